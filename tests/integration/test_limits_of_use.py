"""Limits of tokens and cost over the whole road: a script, an agent, a real dialect, a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import ConfigError, LimitError
from support.loopback import STALL, Loopback, chunked, head
from support.terminal import environment as os_environment
from support.terminal import llmspell

if TYPE_CHECKING:
    from pathlib import Path

    from support.loopback import Request

pytestmark = pytest.mark.once

WRITES = 40  # tokens of each answer, or what the request allows where that is less
READS = 12
PRICES = '{ "m" = { input = 1000, output = 2000 } }'


def answer(request: Request) -> list[bytes]:
    """OpenAI's, which keeps to the request's `max_tokens`, in one piece or streamed."""
    asked = request.json
    written = min(asked.get("max_tokens") or WRITES, WRITES)
    usage = {"prompt_tokens": READS, "completion_tokens": written, "total_tokens": READS + written}
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
        body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
        return [head(200, {"content-type": "application/json"}, size=len(body)), body]
    delta = [{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}]
    end = [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    events: list[dict[str, Any]] = [{"model": "m", "choices": delta}, {"model": "m", "choices": end}]
    events.append({"model": "m", "choices": [], "usage": usage})
    sent = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return [head(200, {"content-type": "text/event-stream"}), *chunked([*sent, b"data: [DONE]\n\n"])]


def environment(url: str, **more: str) -> dict[str, str]:
    return {
        "LLMSPELL_PROVIDERS__ACME__TYPE": "openai",
        "LLMSPELL_PROVIDERS__ACME__BASE_URL": url,
        "LLMSPELL_PROVIDERS__ACME__MODEL": "m",
        **more,
    }


async def run(server: Loopback, script: str, *, prices: str | None = PRICES, **limits: Any) -> Any:
    more = {} if prices is None else {"LLMSPELL_PROVIDERS__ACME__PRICES": prices}
    config = load(script_dir=None, config_file=None, env=environment(server.url, **more), flags={})
    async with ScriptRuntime(config, model="acme", **limits) as runtime:
        return await runtime.execute_script(script)


CALLS = {
    "execute": 'return agent:execute("hello").usage.cost_usd',
    "stream": """
        local cost
        for chunk in agent:stream_execute("hello") do
          if chunk.content.message == "stream_end" then cost = chunk.content.usage.cost_usd end
        end
        return cost""",
    "collect": 'return agent:stream_execute("hello"):collect().usage.cost_usd',
}


@pytest.mark.parametrize("way", CALLS)
async def test_a_call_its_stream_and_its_run_say_what_it_cost(way: str) -> None:
    with Loopback([answer]) as server:
        done = await run(server, f"local agent = Agent.create{{}} local function one() {CALLS[way]} end return one()")
    cost = (READS * 1000 + WRITES * 2000) / 1e6
    assert done.result == pytest.approx(cost)
    assert done.usage["cost_usd"] == pytest.approx(cost)
    assert done.usage["total_tokens"] == READS + WRITES
    assert done.unpriced_calls == 0


async def test_a_run_tells_its_usage_and_its_limits() -> None:
    script = """
        local agent = Agent.create{}
        local before = Run.usage()
        agent:execute("hello")
        agent:stream_execute("hello"):collect()
        return { before, Run.usage(), Run.limits(), Run.clock() }"""
    with Loopback([answer]) as server:
        done = await run(server, script, max_tokens_total=1000, max_cost_usd=5.0)
    before, after, limits, clock = done.result
    assert before["calls"] == 0
    assert before["seconds"] >= 0
    assert (after["calls"], after["input_tokens"], after["output_tokens"]) == (2, 2 * READS, 2 * WRITES)
    assert after["cost_usd"] == pytest.approx(2 * (READS + 2 * WRITES) / 1000)
    assert "unpriced_calls" not in after
    assert (limits["max_tokens_total"], limits["max_cost_usd"], limits["timeout"]) == (1000, 5.0, 300.0)
    assert limits["left"]["max_tokens_total"] == 1000 - 2 * (READS + WRITES)
    assert limits["left"]["max_cost_usd"] == pytest.approx(5 - after["cost_usd"])
    assert 0 < limits["left"]["timeout"] <= 300
    assert after["seconds"] <= clock


async def test_calls_without_a_price_are_counted_and_make_no_false_sum() -> None:
    two = '{ "priced" = { input = 1, output = 1 } }'
    script = """
        Agent.create{}:execute("hello")
        Agent.create{ model = "acme/priced" }:execute("hello")
        return Run.usage()"""
    with Loopback([answer]) as server:
        done = await run(server, script, prices=two)
    assert done.result["unpriced_calls"] == done.unpriced_calls == 1
    assert "cost_usd" not in done.usage
    assert "cost_usd" not in done.result


@pytest.mark.parametrize("way", CALLS)
@pytest.mark.parametrize("limits", [{"max_tokens_total": 200}, {"max_cost_usd": 0.32}], ids=["tokens", "cost"])
async def test_a_loop_ends_at_the_limit_and_not_above_it(way: str, limits: dict[str, Any]) -> None:
    script = f"""
        local agent = Agent.create{{ max_tokens = 60 }}
        local function one() {CALLS[way]} end
        local count = 0
        while true do
          local ok, problem = pcall(one)
          if not ok then return {{ count, problem.kind, problem.message, Run.usage().total_tokens, problem.limit }} end
          count = count + 1
        end"""
    with Loopback([answer]) as server:
        count, kind, message, total, limit = (await run(server, script, **limits)).result
        assert len(server.requests) == count
    assert count in (2, 3)
    assert total == count * (READS + WRITES)
    assert kind == "limit"
    assert limit in ("tokens", "cost")
    assert "is reached" in message


async def test_ten_calls_at_once_do_not_go_over() -> None:
    script = """
        local agent = Agent.create{ max_tokens = 60 }
        local done = Async.settle((function()
          local work = {}
          for i = 1, 10 do
            work[i] = i % 2 == 0 and function() return agent:execute("hello").text end
              or function() return agent:stream_execute("hello"):collect().text end
          end
          return work
        end)())
        local count = 0
        for _, one in ipairs(done) do
          if one.ok then count = count + 1 elseif one.error.kind ~= "limit" then error(one.error) end
        end
        return { count, Run.usage().total_tokens, Run.limits().left.max_tokens_total }"""
    with Loopback([answer]) as server:
        count, total, left = (await run(server, script, max_tokens_total=300)).result
        assert len(server.requests) == count
    assert 3 <= count <= 5
    assert total == count * (READS + WRITES) <= 300
    assert left == 300 - total


async def test_without_a_length_the_request_says_what_is_left() -> None:
    with Loopback([answer]) as server:
        done = await run(server, 'return Agent.create{}:execute("hello").text', max_tokens_total=60)
        sent = server.requests[0].json["max_tokens"]
    assert done.result == "hi"
    assert READS < sent < 60


async def test_a_stream_that_is_left_counts_what_came() -> None:
    def half(request: Request) -> list[Any]:
        event = {"model": "m", "choices": [{"index": 0, "delta": {"content": "x" * 100}, "finish_reason": None}]}
        sent = b"data: " + json.dumps(event).encode() + b"\n\n"
        return [head(200, {"content-type": "text/event-stream"}), *chunked([sent], end=False), STALL]

    script = """
        local agent = Agent.create{ max_tokens = 500 }
        for chunk in agent:stream_execute("hello") do
          if chunk.content.type == "text" then break end
        end
        Async.sleep(0)
        for _ = 1, 200 do
          if Run.limits().left.max_tokens_total > 500 then break end
          Async.sleep(0.01)
        end
        return Run.limits().left.max_tokens_total"""
    with Loopback([half]) as server:
        left = (await run(server, script, max_tokens_total=1000)).result
    assert 900 < left < 1000 - 40


async def test_a_model_without_a_price_under_a_limit_of_cost_is_not_asked() -> None:
    with Loopback([answer]) as server:
        with pytest.raises(LimitError, match="no price for acme/m") as caught:
            await run(server, 'return Agent.create{}:execute("hello").text', prices=None, max_cost_usd=1.0)
        assert server.requests == []
    assert caught.value.exit_code == 5
    assert "[providers.acme.prices]" in (caught.value.hint or "")


# ---- the command line and the configuration


def test_flags_hold_and_json_tells_the_cost(tmp_path: Path) -> None:
    script = tmp_path / "s.lua"
    script.write_text('return Agent.create{ model = "acme" }:execute("hello").usage.cost_usd')
    with Loopback([answer]) as server:
        env = os_environment(**environment(server.url), LLMSPELL_PROVIDERS__ACME__PRICES=PRICES)
        done = llmspell("run", "--output", "json", "--max-cost", "$2", str(script), env=env)
        assert done.code == 0, done.err
        told = json.loads(done.out)
        lines = llmspell("run", "--output", "jsonl", "--max-tokens-total", "5", str(script), env=env)
        events = [json.loads(line) for line in lines.out.splitlines()]
        free = llmspell("run", "--max-cost", "0.000001", str(script), env=env)
    assert told["usage"]["cost_usd"] == told["result"] == pytest.approx((READS + 2 * WRITES) / 1000)
    assert "unpriced_calls" not in told
    assert lines.code == free.code == 5
    assert events[-1]["event"] == "error"
    assert events[-1]["error"]["limit"] == "tokens"
    assert events[-1]["error"]["setting"] == "limits.max_tokens_total"
    assert b"limits.max_cost_usd" in free.err


def test_a_projects_file_may_lower_the_limits_and_sets_no_price(tmp_path: Path) -> None:
    file = tmp_path / "llmspell.toml"

    def loaded(text: str, **env: str) -> Any:
        file.write_text(text)
        return load(script_dir=str(tmp_path), config_file=None, env=env, flags={})

    granted = {"LLMSPELL_LIMITS__MAX_COST_USD": "0.5"}
    assert loaded("[limits]\nmax_tokens_total = 1000\n").get("limits.max_tokens_total") == 1000
    user = tmp_path / "llmspell" / "config.toml"
    user.parent.mkdir()
    user.write_text("[limits]\nmax_cost_usd = 1.0\nmax_tokens_total = 500\n")
    home = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert loaded("[limits]\nmax_cost_usd = 0.25\n", **home).get("limits.max_cost_usd") == 0.25
    for raised in ("max_cost_usd = 2", "max_cost_usd = 0", "max_tokens_total = 0"):
        with pytest.raises(ConfigError, match="may not be raised"):
            loaded(f"[limits]\n{raised}\n", **home)
    with pytest.raises(ConfigError, match="may not be set by a project's file"):
        loaded('[providers.openai.prices]\n"gpt-5" = { input = 0, output = 0 }\n')
    file.unlink()
    assert load(script_dir=None, config_file=None, env=granted, flags={}).get("limits.max_cost_usd") == 0.5


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[limits]\nmax_cost_usd = -1\n", "2:1: `limits.max_cost_usd`: expected US dollars from 0"),
        ("[limits]\nmax_cost_usd = nan\n", "expected US dollars from 0"),
        ('[limits]\nmax_tokens_total = "many"\n', "expected a whole number, got a string"),
        ("[limits]\nmax_cost = 1\n", "unknown key `limits.max_cost`"),
        ('[providers.openai.prices]\n"x.y/z" = { input = 1 }\n', 'expected input and output for "x.y/z"'),
        ('[providers.openai.prices]\n"x" = { input = -1, output = 1 }\n', '"x".input: expected US dollars'),
        ('[providers.openai.prices]\n"x" = { input = 1, output = 1, cost = 2 }\n', "at most cached and cache_write"),
        ("[providers.openai]\nprices = 3\n", "expected a table of models"),
    ],
)
def test_a_bad_limit_or_price_is_an_error_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(script_dir=None, config_file=str(file), env={}, flags={})
    assert what in caught.value.message
    assert "bad.toml:" in caught.value.message


def test_a_price_in_a_file_has_a_models_own_name(tmp_path: Path) -> None:
    file = tmp_path / "good.toml"
    file.write_text('[providers.openai.prices]\n"vendor/model-4.1" = { input = 1, output = 2.5, cached = 0.5 }\n')
    config = load(script_dir=None, config_file=str(file), env={}, flags={})
    price = {"input": 1.0, "output": 2.5, "cached": 0.5}
    assert config.providers()["openai"]["prices"] == {"vendor/model-4.1": price}
    assert config.origin("providers.openai.prices").endswith("good.toml:1")
