"""Every recorded exchange of OpenAI's chat dialect: what is read of it, whole, in any cut, and over a socket.

`openai_chat_expected.json` has, for each recording, what a person reads in it: text and reasoning (long ones by their
beginning, end and length), tool calls, usage [input, output, cached, reasoning, total], finish reason and model; or
the error. What no recording has is in tests/unit/test_chat_reader.py.
"""

from __future__ import annotations

import asyncio
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from llmspell.errors import LLMSpellError
from llmspell.providers import openai_chat
from llmspell.providers.base import ModelCall, WireReply
from llmspell.providers.manager import ProviderManager
from llmspell.providers.turn import Turn
from llmspell.providers.wire_errors import from_reply
from llmspell.types.messages import Message
from llmspell.types.streaming import Collector, Control, Text
from llmspell.types.usage import Usage
from support.loopback import Loopback, chunked, head, sse
from support.wire import records, without_cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.types.streaming import AgentChunk, ChunkContent
    from support.wire import Record

EXPECTED: dict[str, Any] = json.loads(Path(__file__).with_name("openai_chat_expected.json").read_text(encoding="utf-8"))
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
CALL = ModelCall("m", (Message("user", "hi"),))


def read(body: bytes, edges: list[int]) -> tuple[list[ChunkContent], LLMSpellError | None, dict[str, Any]]:
    """What the dialect makes of *body*, cut at *edges*."""
    reading = openai_chat.Reading("p", "m")
    contents: list[ChunkContent] = []
    for a, b in pairwise(edges):
        contents += reading.feed(body[a:b])
    contents += reading.end()
    return contents, reading.error, reading.metadata


def output_of(contents: list[ChunkContent]) -> Any:
    collector = Collector()
    for chunk in Turn("p", "m").chunks(contents):
        collector.add(chunk)
    return collector.output()


def brief(text: str) -> str | dict[str, Any]:
    return text if len(text) <= 100 else {"head": text[:50], "tail": text[-30:], "length": len(text)}


def check_error(error: LLMSpellError | None, expected: dict[str, Any]) -> None:
    assert error is not None
    assert (error.kind, error.status, error.retryable) == (
        expected["kind"],
        expected["status"],
        expected["retryable"],
    )
    assert expected["says"] in error.message
    assert error.message.isprintable()
    assert error.hint
    for name in ("retry_after", "request_id"):
        if name in expected:
            assert error.context[name] == expected[name]
    assert expected.get("hint", "") in error.hint


@pytest.mark.parametrize("record", records("openai-chat"))
def test_a_recording_is_read_as_a_person_reads_it(record: Record) -> None:
    expected = EXPECTED[record.name]
    if record.status >= 400:
        reply = WireReply(record.status, record.headers, record.body)
        check_error(from_reply(reply, provider="p", model="m"), expected["error"])
        return
    contents, error, metadata = read(record.body, [0, len(record.body)])
    output = output_of(contents)
    assert brief(output.text) == expected.get("text", "")
    assert brief(output.reasoning) == expected.get("reasoning", "")
    if "error" in expected:
        check_error(error, expected["error"])
        assert not any(isinstance(content, Control) for content in contents)  # no end is told of what failed
        return
    assert error is None
    assert [[call.id, call.name, call.arguments] for call in output.tool_calls] == expected["tool_calls"]
    usage = output.usage._replace(cost_usd=None)  # what a call costs is test_catalog's
    assert usage == (Usage() if expected["usage"] is None else Usage(*expected["usage"]))
    assert output.finish_reason == expected["finish_reason"]
    assert metadata.get("model") == expected["model"]
    assert len(metadata.get("annotations", ())) == expected.get("annotations", 0)
    ends = [content for content in contents if isinstance(content, Control)]
    assert len(ends) == 1
    assert ends[0] is contents[-1]


@pytest.mark.parametrize("record", records("openai-chat"))
def test_a_recording_is_the_same_in_any_cut(record: Record) -> None:
    if record.status >= 400:
        return
    whole = read(record.body, [0, len(record.body)])
    rng = random.Random(record.name)
    for count in (1, 5, 50):
        cuts = sorted(rng.choices(range(len(record.body) + 1), k=count))
        assert_same(read(record.body, [0, *cuts, len(record.body)]), whole)
    assert_same(read(record.body, list(range(len(record.body) + 1))), whole)


def assert_same(
    got: tuple[list[ChunkContent], LLMSpellError | None, dict[str, Any]],
    whole: tuple[list[ChunkContent], LLMSpellError | None, dict[str, Any]],
) -> None:
    assert got[0] == whole[0]
    assert got[2] == whole[2]
    assert (got[1] and got[1].to_dict()) == (whole[1] and whole[1].to_dict())


def test_every_expectation_has_its_recording() -> None:
    names = {parameter.values[0].name for parameter in records("openai-chat") if parameter.values[0] is not None}
    if not names:
        pytest.skip("no recordings")
    assert names == EXPECTED.keys()


def plan(record: Record, rng: random.Random, *, sized: bool) -> list[bytes]:
    """The recording as an answer of HTTP, cut at random."""
    size = len(record.body)
    edges = [0, *sorted(rng.choices(range(size + 1), k=min(12, size))), size]
    pieces = [record.body[a:b] for a, b in pairwise(edges) if b > a]
    headers = dict(record.headers)
    if sized:
        return [head(record.status, headers, size=size), *pieces]
    wire = b"".join([head(record.status, headers), *chunked(pieces)])
    cuts = [0, *sorted(rng.choices(range(len(wire) + 1), k=12)), len(wire)]
    return [wire[a:b] for a, b in pairwise(cuts) if b > a]  # also within heads, sizes and line ends


async def stream(url: str) -> tuple[list[AgentChunk], LLMSpellError | None]:
    """The chunks that come through the whole road, and the error at their end."""
    manager = ProviderManager({"p": {"type": "openai", "base_url": url, "model": "m", "retry": {"attempts": 1}}})
    provider, model = manager.resolve("p")
    chunks: list[AgentChunk] = []
    error: LLMSpellError | None = None
    async with provider.stream(CALL._replace(model=model)) as answer:
        try:
            while (batch := await answer.next_batch()) is not None:
                chunks += batch
        except LLMSpellError as raised:
            error = raised
    await manager.aclose()
    return chunks, error


@pytest.mark.parametrize("sized", [False, True], ids=["chunked", "sized"])
@pytest.mark.parametrize("record", records("openai-chat"))
def test_a_recording_is_the_same_over_a_socket(record: Record, sized: bool) -> None:
    rng = random.Random(f"{record.name} {sized}")
    with Loopback([plan(record, rng, sized=sized)]) as server:
        chunks, error = asyncio.run(stream(server.url))
    expected = EXPECTED[record.name]
    if record.status >= 400:
        assert chunks == []
        check_error(error, expected["error"])
        return
    contents, failed, metadata = read(record.body, [0, len(record.body)])
    assert [without_cost(chunk.content) for chunk in chunks][1:] == [without_cost(content) for content in contents]
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert (error and error.message) == (failed and failed.message)
    if chunks:
        assert chunks[0].content == Control("stream_start")
        assert metadata.items() <= chunks[-1].metadata.items()
    if error is not None:
        assert error.partial == "".join(c.text for c in contents if isinstance(c, Text))


def whole_reply(text: str) -> Callable[[Any], list[bytes]]:
    told = {"object": "chat.completion", "model": "m", "choices": [{"index": 0, "message": {"content": text}}]}
    body = json.dumps(told).encode()
    return lambda request: [head(200, {"content-type": "application/json", "x-request-id": "r1"}, size=len(body)), body]


async def test_a_stream_that_is_answered_in_one_piece_is_read() -> None:
    with Loopback([whole_reply("héllo")]) as server:
        chunks, error = await stream(server.url)
    assert error is None
    assert [chunk.content for chunk in chunks[1:]] == [Text("héllo"), Control("stream_end", "stop")]
    assert chunks[-1].metadata["request_id"] == "r1"
    assert chunks[-1].metadata["latency_ms"] >= 0


async def test_execute_asks_for_one_piece_and_reads_either() -> None:
    with Loopback([whole_reply("one"), [head(), *chunked(sse(["t", "wo"]))]]) as server:
        manager = ProviderManager(
            {"p": {"type": "openai", "base_url": server.url, "model": "m", "retry": {"attempts": 1}}}
        )
        provider, _ = manager.resolve("p")
        assert (await provider.execute(CALL)).text == "one"
        assert (await provider.execute(CALL)).text == "two"
        await manager.aclose()
    assert "stream" not in server.requests[0].json
