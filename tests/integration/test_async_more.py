"""`Async.semaphore`, `Async.rate`, `Async.merge`, and `Stdin`."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from support.terminal import llmspell


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, isolation: str | None = None, *replies: Any) -> Any:
    manager = ProviderManager({}, env={})
    manager.register(MockProvider(replies or ["one two three"]))
    return ScriptRuntime(timeout=20, isolation=isolation, providers=manager, model="mock").run(script).result


def test_a_semaphore_has_so_many_places_and_an_order(isolation: str | None) -> None:
    got = run(
        """
        local sem, now, most, order = Async.semaphore(2), 0, 0, {}
        Async.map({ 1, 2, 3, 4, 5 }, function(i)
          return sem:with(function(n)
            order[#order + 1] = n
            now = now + 1
            most = math.max(most, now)
            Async.sleep(0.005)
            now = now - 1
          end, i)
        end)
        return { most, now, order, sem:with(function() return "x", "y" end) }
        """,
        isolation,
    )
    assert got == [2, 0, [1, 2, 3, 4, 5], "x", "y"]


def test_a_place_comes_back_whatever_ends_who_has_it_or_waits_for_it(isolation: str | None) -> None:
    got = run(
        """
        local sem = Async.semaphore(1)
        local function hang() sem:with(function() Async.sleep(60) end) end
        pcall(Async.timeout, 0.01, hang)
        local first = sem:with(function() return "after one that was cut off" end)
        pcall(sem.with, sem, function() error("no") end)
        local holder = Async.spawn(hang)
        Async.sleep(0)
        local waiting = Async.spawn(hang)
        Async.sleep(0)
        waiting:cancel()
        holder:cancel()
        local ok = pcall(Async.timeout, 1, function() sem:with(function() end) end)
        return { first, ok }
        """,
        isolation,
    )
    assert got == ["after one that was cut off", True]


def test_who_waits_for_a_place_that_it_has_is_told() -> None:
    with pytest.raises(LLMSpellError, match="waits for ever"):
        run("local s = Async.semaphore(1) s:with(function() s:with(function() end) end)")


def test_a_rate_gives_so_many_turns_in_a_time(isolation: str | None) -> None:
    got = run(
        """
        local rate, started, times = Async.rate(2, 0.1), Run.clock(), {}
        Async.map({ 1, 2, 3, 4, 5 }, function(i) rate:wait() times[i] = Run.clock() - started end)
        return times
        """,
        isolation,
    )
    assert got[1] < 0.1 <= got[2] + 0.001
    assert got[4] >= 0.199


def test_streams_come_together_as_they_come(isolation: str | None) -> None:
    got = run(
        """
        local agent, texts = Agent.create{}, { "", "" }
        for i, chunk in Async.merge{ agent:stream("a"), agent:stream("b") } do
          if chunk.content.type == "text" then texts[i] = texts[i] .. chunk.content.text end
        end
        for _ in Async.merge{} do error("none") end
        for i, chunk in Async.merge{ agent:stream("a"), agent:stream("b") } do break end
        return texts
        """,
        isolation,
    )
    assert got == ["one two three", "one two three"]


def test_an_error_of_one_stream_is_raised_after_what_came() -> None:
    script = """
        local agent, seen = Agent.create{ retry = 1 }, 0
        local ok, e = pcall(function()
          for i, chunk in Async.merge{ agent:stream("a"), agent:stream("b") } do
            if chunk.content.type == "text" then seen = seen + 1 end
          end
        end)
        return { ok, e.kind, seen > 0 }
    """
    broken = {"text": "one", "error": {"kind": "network", "message": "gone"}}
    assert run(script, None, broken, broken) == [False, "network", True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("Async.semaphore(0)", "whole number above 0"),
        ("Async.semaphore(1):with(1)", "takes a function"),
        ("Async.semaphore(1).with(1)", "with a colon"),
        ("Async.semaphore(1):wit()", "with"),
        ("Async.rate(0, 1)", "whole number from 1"),
        ("Async.rate(1, -1)", "number of seconds"),
        ("Async.rate(1, 1).wait()", "with a colon"),
        ("Async.merge(1)", "list of streams"),
        ("Async.merge{ 1 }", "item 1 must be a stream"),
    ],
)
def test_bad_input_is_told(call: str, message: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        run(f"return {call}")
    assert message in f"{caught.value} {caught.value.hint}"


@pytest.mark.once
def test_what_is_piped_in_is_read(tmp_path: Any) -> None:
    (tmp_path / "s.lua").write_text("for line in Stdin.lines() do print(line) break end print(#Stdin.read())")
    done = llmspell("run", str(tmp_path / "s.lua"), stdin=b"one\ntwo\nthree\n")
    assert done.out == b"one\n10\n"
