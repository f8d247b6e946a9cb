"""Retries, fallback, forms and limits at once: each holds beside the others."""

from __future__ import annotations

import json
from typing import Any

import pytest

import llmspell
from llmspell.errors import LimitError, ProviderError
from llmspell.providers.manager import ProviderManager
from llmspell.types.streaming import Control
from support.loopback import Loopback, reply, sse

pytestmark = pytest.mark.once
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
USAGE = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}


def answer(text: str) -> list[Any]:
    """A stream of one text, and what it used."""
    *events, done = sse([text])
    used = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    return reply([*events, used, done])


def failing(status: int) -> list[Any]:
    return [b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}" % status]


def manager(*servers: Loopback) -> ProviderManager:
    retry = {"attempts": 2, "base": 0.001}
    return ProviderManager(
        {f"p{n}": {"type": "openai", "base_url": one.url, "retry": retry} for n, one in enumerate(servers)}, env={}
    )


async def test_an_answer_that_never_fits_is_followed_by_the_next_model_s() -> None:
    with Loopback([answer("no JSON")]) as bad, Loopback([failing(503), answer('{"n": 7}')]) as good:
        providers = manager(bad, good)
        agent = llmspell.Agent(["p0/a", "p1/b"], response_schema=SCHEMA, providers=providers)
        stream = agent.stream("How many?")
        async with stream:
            with pytest.raises(ProviderError):  # what was given out cannot be taken back
                await stream.collect()
        assert len(bad.requests) == 2  # with its repair
        assert good.requests == []
        await providers.aclose()


async def test_a_service_that_fails_is_tried_again_then_left_and_the_form_holds_with_the_next() -> None:
    with Loopback([failing(500)]) as bad, Loopback([failing(503), answer('{"n": 7}')]) as good:
        providers = manager(bad, good)
        agent = llmspell.Agent(["p0/a", "p1/b"], response_schema=SCHEMA, providers=providers)
        async with agent.stream("How many?") as stream:
            chunks = [chunk async for chunk in stream]
        output = stream.collector.output()
        await providers.aclose()
    retries = [c.content for c in chunks if isinstance(c.content, Control) and c.content.message == "retry"]
    assert [(one.details or {}).get("model") for one in retries] == [None, "p1/b", None]
    assert (len(bad.requests), len(good.requests)) == (2, 2)
    assert (output.data, output.metadata["provider"], output.metadata["structured"]) == ({"n": 7}, "p1", "native")
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))


async def test_attempts_that_fail_take_nothing_of_a_limit() -> None:
    with Loopback([failing(503), answer("Hi"), failing(503), answer("Ho")]) as server:
        providers = manager(server)
        meter = llmspell.Meter(max_tokens_total=1000)
        agent = llmspell.Agent("p0/a", max_tokens=100, meter=meter, providers=providers)
        for expected in ("Hi", "Ho"):
            async with agent.stream("x") as stream:
                assert (await stream.collect()).text == expected
        await providers.aclose()
    assert meter.tokens == 100
    assert len(server.requests) == 4


async def test_a_limit_is_no_reason_to_ask_another_model() -> None:
    with Loopback([answer("Hi")]) as one, Loopback([answer("Ho")]) as two:
        providers = manager(one, two)
        meter = llmspell.Meter(max_tokens_total=120)
        agent = llmspell.Agent(["p0/a", "p1/b"], max_tokens=50, meter=meter, providers=providers)
        assert (await agent.stream("x").collect()).text == "Hi"
        with pytest.raises(LimitError):
            await (
                llmspell.Agent(["p0/a", "p1/b"], max_tokens=90, meter=meter, providers=providers).stream("x").collect()
            )
        await providers.aclose()
    assert (len(one.requests), two.requests) == (1, [])


async def test_a_repair_counts_towards_the_limit() -> None:
    with Loopback([answer("no JSON"), answer('{"n": 7}')]) as server:
        providers = manager(server)
        meter = llmspell.Meter(max_tokens_total=5000)
        agent = llmspell.Agent("p0/a", max_tokens=100, response_schema=SCHEMA, meter=meter, providers=providers)
        async with agent.stream("How many?") as stream:
            output = await stream.collect()
        await providers.aclose()
    assert (output.data, output.usage.total_tokens, meter.tokens) == ({"n": 7}, 100, 100)
    assert "repaired" in output.metadata


def test_a_script_with_all_of_it() -> None:
    script = """
    local agent = Agent.create{
      model = { "p0/a", "p1/b" }, max_tokens = 100, retry = { attempts = 2, base = 0.001 },
      response_schema = { type = "object", properties = { n = { type = "integer" } }, required = { "n" } },
    }
    local last, partial
    for chunk in agent:stream_execute("How many?") do
      last, partial = chunk, chunk.content.partial or partial
    end
    local usage = Run.usage()
    return { last.metadata.provider, partial.n, usage.total_tokens, usage.calls, Run.limits().max_tokens_total }
    """
    with Loopback([failing(500)]) as bad, Loopback([answer('{"n": 7}')]) as good:
        config = {f"LLMSPELL_PROVIDERS__P{n}__{key}": value for n, one in enumerate((bad, good))
                  for key, value in (("TYPE", "openai"), ("BASE_URL", one.url))}  # fmt: skip
        from llmspell.config.loader import load

        runtime = llmspell.ScriptRuntime(
            load(script_dir=None, config_file=None, env=config, flags={}), max_tokens_total=5000
        )
        done = runtime.run(script)
    assert done.result[:2] == ["p1", 7]
    assert done.result[4] == 5000
