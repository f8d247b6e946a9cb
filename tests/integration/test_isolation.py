"""Scripts in worker processes: the same results, errors and limits as in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.isolation import ProcessPool
from llmspell.config.loader import load
from llmspell.errors import (
    AuthError,
    InternalError,
    LimitError,
    LLMSpellError,
    RunCancelledError,
    ScriptError,
    ValidationError,
)
from support.loopback import CLOSE, STALL, Gate, Loopback, chunked, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmspell.config.loader import Config


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    made = ProcessPool(2)
    yield made
    made.close()


@pytest.fixture(params=["here", "process"])
def where(request: pytest.FixtureRequest, pool: ProcessPool) -> ProcessPool | None:
    """Each test twice: in this process, and in a worker."""
    return pool if request.param == "process" else None


def config_for(server: Loopback) -> Config:
    env = {"OPENAI_API_KEY": "test-key", "OPENAI_BASE_URL": server.url}
    return load(script_dir=None, config_file=None, env=env, flags={})


PLAIN = load(script_dir=None, config_file=None, env={}, flags={})


def shown(value: Any) -> str:
    """A value as text: types and all, but for the order of dicts, which Lua chooses anew in each process."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{shown(key)}: {shown(item)}" for key, item in value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    return repr(value)


def all_that_is_told(script: str, isolation: Any, *, path: str, args: Any, **limits: Any) -> str:
    """Result or error, output, log, in one text."""
    log: list[Any] = []
    stderr = Kept()
    runtime = ScriptRuntime(
        PLAIN, isolation=isolation, stderr=stderr, log=lambda *entry: log.append(entry), timeout=20.0, **limits
    )
    told: Any
    try:
        done = runtime.run(script, path=path, args=args, name="s.lua")
        told = done.result, done.output, done.exit_code, done.wrote_output
    except LLMSpellError as error:
        told = type(error), error.message, error.hint, error.context, error.output, sorted(error.sources or ())
    return shown((told, log, bytes(stderr.data)))


class Kept:
    """A sink that a test can look into."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    def flush(self) -> None:
        return None


SAME = {
    "values": r"return { 1, 1.5, -0.0, 2^53, math.maxinteger, 'é', '\xff\0', true, { a = { {} } }, JSON.null }",
    "floats": "return { 1/0, -1/0, tostring(0/0), 1e308 }",
    "keys": "return { [1] = 'a', [3] = 'b', x = 'y', [true] = 1, [1.5] = 2 }",
    "several results": "return 1, nil, 'x'",
    "nothing": "local x = 1",
    "an empty list": "return JSON.parse('[]')",
    "arguments": "return ARGS, arg[1], #arg",
    "output": "print('a', 1, nil) io.write('b') io.stderr:write('c') warn('@on') warn('d')",
    "much output": "for i = 1, 5000 do print(i) end io.write(('x'):rep(3000000))",
    "JSON": "return JSON.stringify(JSON.parse('{\"a\": [1, 2.5, null, {}], \"b\": \"\\u00e9\"}'))",
    "a large table": "local t = {} for i = 1, 20000 do t[i] = { i, tostring(i) } end "
    "return JSON.parse(JSON.stringify(t))",
    "log": "Log.info('x', { a = 1 }) Log.warn('\\xff') Log.error('y')",
    "modules": "local lib = require('lib') return lib.f(2), dofile('data.lua'), pcall(require, 'none')",
    "a wait in a module": "return require('waits')",
    "an error of a module's": "require('bad')",
    "an error with a place": "local function f() error('boom') end\nf()",
    "an error table": "error({ kind = 'limit', code = 7, message = 'mine' })",
    "an error of nil": "error()",
    "an error with a cycle": "local t = {} t.t = t error(t)",
    "an error of llmspell's": "Agent.create{ modle = 'x' }",
    "an error that was caught and raised again": "local ok, e = pcall(JSON.parse, '{') error(e)",
    "an error's fields": "local ok, e = pcall(JSON.parse, '{') return e.kind, e.message, e.line, tostring(e), e.hint",
    "a misspelt member": "return Agent.creat",
    "a nil global": "retrun()",
    "a syntax error": "local x = = 1",
    "bytecode": "\x1bLua",
    "a stack overflow": "local function f() return 1 + f() end f()",
    "a function as result": "return { f = print }",
    "a cycle as result": "local t = {} t.t = t return t",
    "a value that cannot be passed on": "return pcall(JSON.stringify, { 0/0 })",
    "exit": "print('a') os.exit(7)",
    "exit through a close": "local x <close> = setmetatable({}, { __close = function() print('closed') end }) "
    "os.exit(3)",
    "exit in a task": "Async.spawn(function() os.exit(4) end) Async.sleep(9)",
    "tasks": "return Async.map({ 3, 1, 2 }, function(n) Async.sleep(n / 1000) return n * 2 end)",
    "many tasks": "local l = {} for i = 1, 300 do l[i] = i end "
    "return Async.map(l, function(n) Async.sleep(0) return n end)",
    "tasks within tasks": "return Async.all{ function() return Async.all{ function() Async.sleep(0) "
    "return 1 end } end }",
    "a race": "return Async.race{ function() Async.sleep(9) end, function() Async.sleep(0.001) return 'second' end }",
    "a timeout of the script's own": "return select(2, pcall(Async.timeout, 0.01, Async.sleep, 9)).kind",
    "settled tasks": "local r = Async.settle{ function() error('x') end, function() return 1 end } "
    "return r[1].ok, tostring(r[1].error), r[2].value",
    "a task that fails": "Async.spawn(function() error('lost') end) Async.sleep(0.01)",
    "a task that is cancelled": "local t = Async.spawn(function() local x <close> = setmetatable({}, "
    "{ __close = function() print('closed') end }) Async.sleep(9) end) Async.sleep(0) t:cancel() return t.done",
    "a task that cancels itself": "local t t = Async.spawn(function() t:cancel() print('on') Async.sleep(0) "
    "print('never') end) Async.sleep(0.01) return t.done",
    "a task left running": "Async.spawn(function() local x <close> = setmetatable({}, "
    "{ __close = function() print('closed') Log.info('closed') end }) Async.sleep(9) end) Async.sleep(0) return 1",
    "a wait for ever": "local a, b a = Async.spawn(function() b:await() end) "
    "b = Async.spawn(function() a:await() end) a:await()",
    "a wait where Lua cannot": "table.sort({ 1, 2 }, function() Async.sleep(0) end)",
    "a generator that waits": "local out = {} for v in coroutine.wrap(function() for i = 1, 3 do Async.sleep(0) "
    "coroutine.yield(i) end end) do out[#out + 1] = v end return out",
    "a misuse": "Async.sleep('x')",
    "the limit of memory": "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "the limit of memory, caught": "while true do pcall(string.rep, 'x', 1 << 30) local t = {} "
    "for i = 1, 1e9 do t[i] = {} end end",
    "the limit of output": "while true do print('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') end",
    "the limit of output in one write": "print('a') io.write(('x'):rep(9000000)) print('b')",
    "the limit of output at the end": "io.write(('x'):rep(9000000))",
    "the limit of output, and then an exit": "io.write(('x'):rep(9000000)) os.exit(3)",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("scripts")
    (made / "lib.lua").write_text("local M = {} function M.f(x) return x + 1 end return M")
    (made / "data.lua").write_text("return { 'data' }")
    (made / "waits.lua").write_text("Async.sleep(0.001) return 'waited'")
    (made / "bad.lua").write_text("local x\nx.y = 1")
    return made


@pytest.mark.parametrize("name", SAME)
def test_a_worker_tells_what_this_process_tells(name: str, pool: ProcessPool, folder: Path) -> None:
    limits = {"max_memory": 16 << 20, "max_output": 4_000_000}
    given = {"path": str(folder / "s.lua"), "args": ["a", "--b=c", "ü"]}
    here, there = (all_that_is_told(SAME[name], isolation, **given, **limits) for isolation in (None, pool))
    assert there == here


# ---- models


HELLO = reply(sse(["Hel", "lo", " there"]))
TEXTS = """
  local texts = {}
  for chunk in Agent.create{}:stream_execute{ text = 'hi' } do
    if chunk.content.type == 'text' then texts[#texts + 1] = chunk.content.text end
  end
  return texts
"""
CHUNKS = """
  local seen = {}
  for chunk in Agent.create{ model = 'openai/m' }:stream_execute('hi') do
    chunk.timestamp, chunk.stream_id = type(chunk.timestamp), type(chunk.stream_id)
    chunk.metadata.latency_ms = nil
    seen[#seen + 1] = chunk
  end
  return seen
"""


async def test_models_answer_and_are_counted(where: ProcessPool | None) -> None:
    script = """
      local agent = Agent.create{}
      local whole = agent:execute('hi')
      local stream = agent:stream('hi')
      stream:next()
      return { whole.text, whole.usage.output_tokens, stream:text(), stream:collect().text }
    """
    with Loopback([HELLO]) as server:
        async with ScriptRuntime(config_for(server), isolation=where) as runtime:
            done = await runtime.execute_script(script)
    assert done.result == ["Hello there", 3, "Hello there", "Hello there"]
    cost = (14 * 0.15 + 6 * 0.6) / 1e6  # of gpt-4o-mini, as the answer names itself
    usage = {"input_tokens": 14, "output_tokens": 6, "total_tokens": 20, "cost_usd": pytest.approx(cost)}
    assert (done.calls, done.usage) == (2, usage)


def test_run_needs_no_event_loop(where: ProcessPool | None) -> None:
    with Loopback([HELLO]) as server:
        assert ScriptRuntime(config_for(server), isolation=where).run(TEXTS).result == ["Hel", "lo", " there"]


async def test_chunks_are_the_same(pool: ProcessPool) -> None:
    with Loopback([HELLO]) as server:
        async with (
            ScriptRuntime(config_for(server)) as here,
            ScriptRuntime(config_for(server), isolation=pool) as there,
        ):
            told = [(await runtime.execute_script(CHUNKS)).result for runtime in (here, there)]
    assert told[0] == told[1]
    assert [chunk["content"]["type"] for chunk in told[0]] == ["control", "text", "text", "text", "control"]


async def test_a_hundred_streams_in_one_script(where: ProcessPool | None) -> None:
    script = """
      local agent, list = Agent.create{}, {}
      for i = 1, 100 do list[i] = i end
      local texts = Async.map(list, function() return agent:stream('hi'):text() end)
      return #texts, texts[1], texts[100]
    """
    with Loopback([HELLO]) as server:
        async with ScriptRuntime(config_for(server), isolation=where) as runtime:
            done = await asyncio.wait_for(runtime.execute_script(script), 60)
    assert done.result == [100, "Hello there", "Hello there"]


async def test_an_uncaught_error_is_the_very_exception(where: ProcessPool | None) -> None:
    class Refused(Exception):
        pass

    refused = Refused("no")

    def log(*_: Any) -> None:
        raise refused

    async with ScriptRuntime(PLAIN, isolation=where, log=log) as runtime:
        with pytest.raises(InternalError, match="Refused: no") as caught:
            await runtime.execute_script("local ok, e = pcall(Log.info, 'x') Async.sleep(0)\nerror(e)")
    assert caught.value.__cause__ is refused


async def test_a_provider_s_error_keeps_its_class_its_fields_and_the_script_s_place(where: ProcessPool | None) -> None:
    with Loopback([reply(b'{"error": {"message": "bad key", "type": "invalid_request_error"}}', 401)]) as server:
        async with ScriptRuntime(config_for(server), isolation=where) as runtime:
            with pytest.raises(AuthError, match="bad key") as caught:
                await runtime.execute_script("local a = Agent.create{}\nlocal r = a:execute('hi')", name="s.lua")
    error = caught.value
    assert (error.script, error.line, error.status, error.exit_code) == ("s.lua", 2, 401, 4)


async def test_a_stream_that_stops_early_raises_after_the_chunks_that_came(where: ProcessPool | None) -> None:
    script = """
      local texts = {}
      local ok, e = pcall(function()
        for chunk in Agent.create{}:stream_execute('hi') do texts[#texts + 1] = chunk.content.text end
      end)
      return { texts, e.kind, e.partial }
    """
    with Loopback([[head(), *chunked(sse(["Hel", "lo"], finish=None, done=False), end=False), CLOSE]]) as server:
        async with ScriptRuntime(config_for(server), isolation=where) as runtime:
            result = (await runtime.execute_script(script)).result
    assert result == [["Hel", "lo"], "stream_truncated", "Hello"]


# ---- stopping


async def test_cancelling_the_task_closes_what_is_open(where: ProcessPool | None) -> None:
    closed: list[str] = []
    script = """
      local mark <close> = setmetatable({}, { __close = function() Log.info('closed') end })
      for chunk in Agent.create{}:stream_execute('hi') do end
    """
    with Loopback([[head(), *chunked(sse(["Hel"]), end=False)[:2], STALL]]) as server:
        runtime = ScriptRuntime(config_for(server), isolation=where, log=lambda _, message, __: closed.append(message))
        async with runtime:
            run = asyncio.ensure_future(runtime.execute_script(script))
            await asyncio.to_thread(server.wait_requests, 1)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            await asyncio.to_thread(server.connections[0].wait_closed)
    assert closed == ["closed"]


BUSY = "Log.info('begun') while true do pcall(function() end) end"


async def test_cancelling_the_task_stops_a_script_that_computes(pool: ProcessPool) -> None:
    begun = asyncio.Event()
    async with ScriptRuntime(PLAIN, isolation=pool, log=lambda *_: begun.set()) as runtime:
        run = asyncio.ensure_future(runtime.execute_script(BUSY))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert (await runtime.execute_script("return 1")).result == 1


def test_interrupt_from_another_thread_stops_a_script_that_computes(where: ProcessPool | None) -> None:
    closing = "local x <close> = setmetatable({}, { __close = function() print('closed') end }) "
    runtime = ScriptRuntime(PLAIN, isolation=where, log=lambda *_: threading.Thread(target=runtime.interrupt).start())
    with pytest.raises(RunCancelledError) as caught:
        runtime.run(closing + BUSY)
    assert caught.value.output == "closed\n"


def test_ctrl_c_stops_a_script_that_computes(where: ProcessPool | None) -> None:
    runtime = ScriptRuntime(
        PLAIN, isolation=where, log=lambda *_: threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    )
    with pytest.raises(KeyboardInterrupt):
        runtime.run(BUSY)


async def test_the_deadline_holds_while_a_script_waits_and_while_it_computes(where: ProcessPool | None) -> None:
    for script in ("Async.sleep(60)", "while true do pcall(function() end) end", "Async.sleep(0) while true do end"):
        for asked in (True, False):
            runtime = ScriptRuntime(PLAIN, timeout=0.2, isolation=where)
            with pytest.raises(LimitError, match=r"0\.2 s") as caught:
                await (runtime.execute_script(script) if asked else asyncio.to_thread(runtime.run, script))
            assert caught.value.setting == "runtime.timeout"


async def test_a_script_that_computes_does_not_hold_up_the_loop(pool: ProcessPool) -> None:
    async with ScriptRuntime(PLAIN, isolation=pool, timeout=20.0) as runtime:
        run = asyncio.ensure_future(runtime.execute_script("while true do end"))
        before = time.monotonic()
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert time.monotonic() - before < 5
        assert not run.done()
        runtime.interrupt()
        with pytest.raises(RunCancelledError):
            await run


async def test_scripts_run_at_once(pool: ProcessPool) -> None:
    """The first is answered only when the second, which began later, has ended."""
    gate = Gate()
    with Loopback([[head(), gate, *chunked(sse(["x"]))]]) as server:
        async with ScriptRuntime(config_for(server), isolation=pool) as runtime:
            first = asyncio.ensure_future(runtime.execute_script("return Agent.create{}:stream('hi'):text()"))
            await asyncio.to_thread(gate.reached)
            assert (await runtime.execute_script("return 'second'")).result == "second"
            gate.open()
            assert (await first).result == "x"


def test_isolation_is_a_word_or_a_pool() -> None:
    with pytest.raises(ValidationError, match="`isolation` is 'procces'") as caught:
        ScriptRuntime(PLAIN, isolation="procces")
    assert '"process"' in str(caught.value.hint)
    assert ScriptRuntime(PLAIN, isolation="process").run("return 1").result == 1


def test_a_script_error_in_a_worker_is_that_script_s_alone(pool: ProcessPool) -> None:
    runtime = ScriptRuntime(PLAIN, isolation=pool)
    with pytest.raises(ScriptError):
        runtime.run("string.format = nil rawset(_G, 'leak', 1) error('x')")
    assert runtime.run("return { type(string.format), rawget(_G, 'leak') == nil }").result == ["function", True]
