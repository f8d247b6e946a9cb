"""Sessions: many chunks in one Lua state; what stays between them, and what ends one of them alone."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import _speedups
from llmspell.bridge.run import ScriptExit
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.bridge.session import Session, run_session
from llmspell.errors import LimitError, LLMSpellError, RunCancelledError, ScriptError, ValidationError
from llmspell.providers.manager import ProviderManager
from support.answers import answer
from support.loopback import STALL, Gate, Loopback

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

PREEMPTS = _speedups.choice("lua") == "compiled"
CLOSES = "local k <close> = setmetatable({}, { __close = function() closed = (closed or 0) + 1 end })\n"


def hold(work: Callable[[Session], Awaitable[Any]], path: str = "session", **options: Any) -> Any:
    return run_session(ScriptRuntime(**{"timeout": 20, **options}), work, path=path)


async def told(session: Session, text: str, name: str = "input") -> list[Any]:
    result = (await session.execute(text.encode(), name)).result
    assert isinstance(result, list)
    return result


def shown(*inputs: str, **options: Any) -> list[Any]:
    """What the last of the inputs shows."""

    async def work(session: Session) -> list[Any]:
        for text in inputs[:-1]:
            await told(session, text)
        return await told(session, inputs[-1])

    result = hold(work, **options)
    assert isinstance(result, list)
    return result


# ---- what stays


def test_globals_stay_and_locals_are_of_their_input() -> None:
    assert shown("x = 1; local y = 2", "x, y") == ["1", "nil"]


def test_an_expression_shows_all_its_values_and_a_statement_none() -> None:
    assert shown("1, 'two', nil") == ["1", "two", "nil"]
    assert shown("x = 1") == []
    assert shown("-- nothing") == []
    assert shown("return 5") == ["5"]


def test_tasks_go_on_between_inputs() -> None:
    async def work(session: Session) -> list[Any]:
        await told(session, "gate = Async.semaphore(1); t = Async.spawn(function() Async.sleep(0.01) return 42 end)")
        return await told(session, "t:await()")

    assert hold(work) == ["42"]


def test_functions_of_earlier_inputs_are_told_with_their_place() -> None:
    async def work(session: Session) -> LLMSpellError:
        await told(session, "function f()\n  error('no')\nend", "input 1")
        with pytest.raises(ScriptError) as caught:
            await told(session, "x = f()", "input 2")
        return caught.value

    error = hold(work)
    assert (error.script, error.line, error.message) == ("input 1", 2, "no")
    assert [frame["source"] for frame in error.context["traceback"]] == ["input 1", "input 2"]


def test_modules_are_beside_the_sessions_place(tmp_path: Path) -> None:
    (tmp_path / "double.lua").write_text("return function(x) return 2 * x end")

    async def work(session: Session) -> list[Any]:
        return await told(session, "require('double')(21)")

    assert hold(work, path=os.path.join(tmp_path, "session")) == ["42"]


# ---- what ends an input alone


def test_an_error_ends_its_input_alone() -> None:
    async def work(session: Session) -> list[Any]:
        await told(session, "x = 1")
        for wrong in ("error('no')", "nil + 1", "f(", "error({ a = 1 })", "coroutine.yield(1)", "error()"):
            with pytest.raises(LLMSpellError):
                await told(session, wrong)
        return await told(session, "x")

    assert hold(work) == ["1"]


def test_a_syntax_error_has_line_and_column() -> None:
    async def work(session: Session) -> LLMSpellError:
        with pytest.raises(ScriptError) as caught:
            await told(session, "x = 1\ny = = 2", "input 7")
        return caught.value

    error = hold(work)
    assert (error.script, error.line, error.context["syntax"]) == ("input 7", 2, True)


class Begun:
    """A sink that tells when a chunk writes."""

    then: Callable[[], object]

    def write(self, data: bytes, /) -> None:
        self.then()

    def flush(self) -> None:
        return None


def stopped_in(text: str) -> tuple[LLMSpellError, list[Any], bool]:
    """The error of an input that is stopped, `closed` afterwards, and whether the state ended with it."""

    begun = Begun()

    async def work(session: Session) -> tuple[LLMSpellError, list[Any], bool]:
        begun.then = lambda: session.interrupt(RunCancelledError("stopped here"))
        with pytest.raises(LLMSpellError) as caught:
            await told(session, CLOSES + "print('begun') " + text)
        lost = session.lost
        if lost:
            await session.reset()
        return caught.value, await told(session, "closed"), lost

    result: tuple[LLMSpellError, list[Any], bool] = hold(work, stdout=begun, live=True)
    return result


@pytest.mark.parametrize(
    "text",
    [
        "Async.sleep(100)",
        "coroutine.wrap(function() Async.sleep(100) end)()",
        "Async.all{ function() Async.sleep(100) end, function() Async.sleep(100) end }",
        "pcall(Async.sleep, 100) Async.sleep(100)",
    ],
)
def test_an_input_that_waits_is_stopped_and_its_variables_are_closed(text: str) -> None:
    error, closed, lost = stopped_in(text)
    assert (error.message, closed, lost) == ("stopped here", ["1"], False)


@pytest.mark.skipif(not PREEMPTS, reason="the pure engine gives nobody else a turn while Lua computes")
@pytest.mark.parametrize(
    "text",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
    ],
)
def test_an_input_that_computes_is_stopped_and_its_variables_are_closed(text: str) -> None:
    error, closed, lost = stopped_in(text)
    assert (error.message, closed, lost) == ("stopped here", ["1"], False)


def test_the_time_is_of_each_input() -> None:
    async def work(session: Session) -> list[Any]:
        await told(session, "x = 5")
        for _ in range(2):
            with pytest.raises(LimitError) as caught:
                await told(session, "Async.sleep(100)")
            assert caught.value.context["limit"] == "timeout"
            assert not session.lost
        return await told(session, "x")

    assert hold(work, timeout=0.1) == ["5"]


def test_no_time_passes_while_somebody_is_asked() -> None:
    runtime = ScriptRuntime(timeout=0.1)

    async def work(session: Session) -> list[Any]:
        call = asyncio.ensure_future(told(session, "Async.sleep(0.5) return 'done'"))
        await asyncio.sleep(0)
        runtime.stand_still()
        return await call

    assert run_session(runtime, work, path="session") == ["done"]


@pytest.mark.skipif(not PREEMPTS, reason="the pure engine gives nobody else a turn while Lua computes")
def test_a_task_that_computes_for_ever_holds_up_completion_and_costs_no_state() -> None:
    async def work(session: Session) -> list[Any]:
        await told(session, "x = 5")
        await told(session, "t = Async.spawn(function() while true do end end)")
        with pytest.raises(RunCancelledError):
            await session.members([])
        assert not session.lost
        session.stop_state(RunCancelledError("enough"))
        with pytest.raises(RunCancelledError, match="enough"):
            await told(session, "x")
        await session.reset()
        return await told(session, "x")

    assert hold(work) == ["nil"]


def test_what_cannot_be_stopped_ends_its_state_and_the_session_goes_on() -> None:
    async def work(session: Session) -> list[Any]:
        await told(session, "x = 5")
        with pytest.raises(LimitError) as caught:
            await told(session, "table.sort({ 3, 2, 1 }, function() while true do end end)")
        assert caught.value.context["limit"] == "timeout"
        assert session.lost
        await session.reset()
        return await told(session, "x")

    assert hold(work, timeout=0.1) == ["nil"]


def test_the_limit_of_memory_ends_the_state_and_the_session_goes_on() -> None:
    async def work(session: Session) -> list[Any]:
        with pytest.raises(LimitError):
            await told(session, "t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end")
        assert session.lost
        await session.reset()
        return await told(session, "t")

    assert hold(work, max_memory=8 << 20) == ["nil"]


def test_os_exit_ends_it() -> None:
    async def work(session: Session) -> int:
        with pytest.raises(ScriptExit) as caught:
            await told(session, "os.exit(7)")
        return caught.value.code

    assert hold(work) == 7


def test_it_does_not_go_with_what_runs_elsewhere() -> None:
    with pytest.raises(ValidationError, match="isolation"):
        hold(lambda session: told(session, "1"), isolation="process")


# ---- models


def asking(server: Loopback) -> ProviderManager:
    settings = {"openai": {"type": "openai", "base_url": server.url, "api_key": "k"}}
    return ProviderManager(settings, "openai")


@pytest.mark.parametrize(
    "call",
    ["for chunk in a:stream('hi') do text = (text or '') .. (chunk.content.text or '') end", "a:execute('hi')"],
)
def test_a_call_that_is_stopped_closes_its_connection_and_the_next_one_works(call: str) -> None:
    reached = Gate()
    with Loopback([answer("half ", reached, then=STALL), answer("whole")]) as server:

        async def work(session: Session) -> list[Any]:
            await told(session, "a = Agent.create{ model = 'openai/m' }")
            running = asyncio.ensure_future(told(session, call))
            await asyncio.to_thread(reached.reached)
            session.interrupt(RunCancelledError("stopped here"))
            with pytest.raises(RunCancelledError):
                await running
            await asyncio.to_thread(server.connections[0].wait_closed)
            return await told(session, "a:execute('again').text")

        assert hold(work, providers=asking(server)) == ["whole"]


def test_tokens_are_limited_for_the_whole_session_and_over_another_state() -> None:
    with Loopback([answer("words")]) as server:

        async def work(session: Session) -> Any:
            text = "Agent.create{ model = 'openai/m', max_tokens = 10 }:execute('hi').text"
            done = await session.execute(text.encode(), "input")
            assert done.calls == 1
            assert done.usage["input_tokens"] == 7
            await session.reset()
            assert session.run.usage["input_tokens"] == 7
            with pytest.raises(LimitError) as caught:
                await session.execute(text.encode(), "input")
            return caught.value.context["limit"]

        assert hold(work, providers=asking(server), max_tokens_total=40) == "tokens"
        assert len(server.requests) == 1


# ---- what values look like


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", "{}"),
        ("{ 1, 'two', { 3 } }", '{ 1, "two", { 3 } }'),
        ("{ b = 1, a = { c = true } }", "{ a = { c = true }, b = 1 }"),
        ("{ ['end'] = 1, ['a b'] = 2, [1.5] = 3 }", '{ ["a b"] = 2, ["end"] = 1, [1.5] = 3 }'),
        ("{ 'a\\n\\27[31m\\0' }", '{ "a\\n\\x1b[31m\\x00" }'),
        ("{ JSON.null }", "{ JSON.null }"),
        ("setmetatable({}, { __tostring = function() return 'me' end })", "<me>"),
        ("setmetatable({}, { __tostring = function() error('no') end })", "<a table whose __tostring fails>"),
        ("setmetatable({ x = 1 }, { __name = 'point' })", "point { x = 1 }"),
        ("setmetatable({}, { __index = function() error('no') end, __len = function() error('no') end })", "{}"),
        (
            "{ [setmetatable({}, { __tostring = function() error('no') end })] = 1, [1.5] = 2 }",
            "{ [1.5] = 2, [table] = 1 }",
        ),
        ("(function() string.gsub = error; string.format = error; return { 'a\\n' } end)()", '{ "a\\n" }'),
        ("Agent.create{ name = 'poet', model = 'mock' }", "<agent `poet`>"),
        ("(function() local t = {} t.self = t return t end)()", "{ self = <the table around it> }"),
    ],
)
def test_values_are_shown(text: str, expected: str) -> None:
    assert shown(text) == [expected]


def test_what_is_shown_is_bounded() -> None:
    many = shown("t = {} for i = 1, 100000 do t[i] = i end", "t")[0]
    assert "… 99900 more" in many
    assert len(many) < 2000
    wide = shown("t = {} for i = 1, 1000 do t[i] = {} for j = 1, 1000 do t[i][j] = {} end end", "t")[0]
    assert len(wide) < 20_000
    deep = shown("t = {} u = t for i = 1, 100 do u.x = {} u = u.x end", "t")[0]
    assert "{…}" in deep
    long = shown("{ ('é'):rep(10000) }")[0]
    assert long.endswith("… (20000 bytes) }") or "… (20000 bytes)" in long
    assert len(shown("('x'):rep(3 * 1024 * 1024)")[0]) < (1 << 20) + 100


# ---- completion


def test_members_are_what_a_name_has_and_nothing_of_the_scripts_is_run() -> None:
    async def work(session: Session) -> None:
        await told(
            session,
            """
            t = setmetatable({ own = 1, ['no name'] = 2 }, { __index = { parent = 1 } })
            wild = setmetatable({}, { __index = function() error('run') end, __pairs = function() error('run') end })
            a = Agent.create{ model = 'mock' }
            a_text = 'text'
            """,
        )
        assert sorted((await session.members(["t"]))["names"]) == ["own", "parent"]
        assert (await session.members(["wild"]))["names"] == []
        assert (await session.members(["wild", "x"]))["kind"] == "nil"
        assert (await session.members(["a"]))["kind"] == "agent"
        assert "rep" in (await session.members(["a_text"]))["names"]
        assert {"print", "t", "Agent"} <= set((await session.members([]))["names"])

    hold(work)
