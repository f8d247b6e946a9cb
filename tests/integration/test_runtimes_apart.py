"""Runtimes know nothing of each other: in two loops, in threads, within one another, in a forked process.

What one does (streams, fails, loops, floods, is closed or dropped) is nothing to the next one: its results are exact,
its connections stay open, its deadline still holds.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.engine import CALL, DONE, Engine
from llmspell.config.loader import Config, load
from llmspell.errors import LimitError, LLMSpellError, RunCancelledError, ScriptError, ValidationError
from llmspell.providers.manager import ProviderManager
from support.loopback import STALL, Gate, Loopback, chunked, head, reply, sse
from support.quiet import Nowhere, quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.loopback import Request, Step

PIECES = 12
PATIENCE = 60.0  # seconds: too late whatever else the machine does


def config_for(url: str) -> Config:
    env = {"OPENAI_API_KEY": "test-key", "OPENAI_BASE_URL": url}
    return load(script_dir=None, config_file=None, env=env, flags={})


def runtime(config: Config, **options: Any) -> ScriptRuntime:
    return ScriptRuntime(config, **{"timeout": PATIENCE, "log": quiet, **options})


def asked(request: Request) -> str:
    """What the user said."""
    return str(request.json["messages"][0]["content"])


def pieces_of(name: str) -> list[str]:
    return [f"{name}.{i} " for i in range(PIECES)]


def by_name(request: Request) -> list[Step]:
    return reply(sse(pieces_of(asked(request))))


# ---- two loops in two threads

READ = """
  local texts = {}
  for chunk in Agent.create{}:stream_execute(ARGS[1]) do
    if chunk.content.type == 'text' then texts[#texts + 1] = chunk.content.text end
  end
"""
COMPUTE = """
  local sum = tonumber(ARGS[2])
  for turn = 1, 20 do
    for i = 1, 2000 do sum = (sum * 31 + i) % 1000003 end
    Async.sleep(0)
  end
  print(ARGS[1])
  return { ARGS[1], sum }
"""


def sum_of(number: int) -> int:
    for _ in range(20):
        for i in range(1, 2001):
            number = (number * 31 + i) % 1000003
    return number


#: What a script does, what is different about its runtime, and what it must come to, by name and number.
KINDS: list[tuple[str, dict[str, Any], Callable[[str, int], Any]]] = [
    (COMPUTE, {}, lambda name, number: ([name, sum_of(number)], name + "\n")),
    (READ + "print(ARGS[1]) return texts", {}, lambda name, number: (pieces_of(name), name + "\n")),
    (
        "Async.all{ function() Async.sleep(0) end, function() " + READ + "error(ARGS[1] .. #texts, 0) end }",
        {},
        lambda name, number: (ScriptError, name + str(PIECES)),
    ),
    (
        "while true do pcall(Async.sleep, 0) for i = 1, 1000 do end end",
        {"timeout": 0.3},
        lambda name, number: (LimitError, "timeout", set()),
    ),
    (
        "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(10000) .. #t end) Async.sleep(0) end",
        {"max_memory": 4_000_000},
        lambda name, number: (LimitError, "memory", set()),
    ),
    (
        READ + "while true do print(ARGS[1]) Async.sleep(0) end",
        {"max_output": 1000},
        lambda name, number: (LimitError, "output", {name}),
    ),
]


async def told(script: str, name: str, number: int, config: Config, options: dict[str, Any]) -> Any:
    """What a runtime of its own came to with a script."""
    async with runtime(config, **options) as own:
        try:
            done = await own.execute_script(script, args=[name, str(number)], name=name)
        except LimitError as error:
            return type(error), error.limit, set(str(error.output).split())
        except LLMSpellError as error:
            return type(error), error.message
        return done.result, done.output


async def many(side: str, config: Config) -> dict[tuple[str, int], Any]:
    """Each kind five times, all at once; what each came to, and what it should have."""
    names = [(f"{side}{at}-{turn}", at * 100 + turn, kind) for turn in range(5) for at, kind in enumerate(KINDS)]
    runs = [told(script, name, number, config, options) for name, number, (script, options, _) in names]
    came = await asyncio.gather(*runs)
    wanted = [expected(name, number) for name, number, (_, _, expected) in names]
    return {(name, number): (got, want) for (name, number, _), got, want in zip(names, came, wanted, strict=True)}


def on_a_loop(side: str, config: Config) -> dict[tuple[str, int], Any]:
    """Thirty runtimes on a loop of this thread: asyncio's, and uvloop's for the other side."""
    factory: Any = None
    if side == "b":
        uvloop = pytest.importorskip("uvloop")
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(many(side, config))


def test_two_loops_in_two_threads_with_thirty_runtimes_each() -> None:
    with Loopback([by_name]) as server, ThreadPoolExecutor(2) as pool:
        config = config_for(server.url)
        sides = [pool.submit(on_a_loop, side, config) for side in "ab"]
        results = [side.result(PATIENCE) for side in sides]
    for came in results:
        assert len(came) == 5 * len(KINDS)
        for name, (got, want) in came.items():
            assert got == want, name


# ---- closed, and dropped


async def test_closing_a_runtime_closes_its_connections_and_nobody_else_s() -> None:
    gate = Gate()
    first, *rest = chunked(sse(pieces_of("kept")))

    def plan(request: Request) -> list[Step]:
        if asked(request) == "kept":
            return [head(), first, gate, *rest]
        return [head(), *chunked(sse(pieces_of("closed")), end=False)[:3], STALL]

    with Loopback([plan]) as server:
        config = config_for(server.url)
        async with runtime(config) as kept:
            closed = runtime(config)
            reading = asyncio.ensure_future(kept.execute_script(READ + "return texts", args=["kept"]))
            script = "Async.all{ " + ", ".join(["function() " + READ + " end"] * 3) + " }"
            runs = [asyncio.ensure_future(closed.execute_script(script, args=["closed"])) for _ in range(4)]
            await asyncio.to_thread(server.wait_requests, 13)
            await closed.aclose()
            for run in runs:
                with pytest.raises(RunCancelledError):
                    await asyncio.wait_for(run, PATIENCE)
            ended = [request.connection for request in server.requests if asked(request) == "closed"]
            assert len(ended) == 12
            for connection in ended:
                await asyncio.to_thread(connection.wait_closed)
            (open_still,) = [request.connection for request in server.requests if asked(request) == "kept"]
            assert open_still.closed_at is None
            gate.open()
            assert (await asyncio.wait_for(reading, PATIENCE)).result == pieces_of("kept")


def gone(one: weakref.ref[Any]) -> bool:
    for _ in range(3):
        gc.collect()
    return one() is None


async def test_a_runtime_that_is_dropped_is_collected_whatever_it_did() -> None:
    """Nothing warns (a warning fails the test), and nothing of it stays, though nobody has closed it."""
    scripts = [
        "return 1",
        "error('x')",
        "Async.sleep(0)",
        READ,
        "Async.spawn(function() Async.sleep(1e9) end) Async.sleep(0)",
        "pcall(JSON.parse, '{') error(select(2, pcall(JSON.parse, '{')))",
    ]
    with Loopback([by_name]) as server:
        config = config_for(server.url)
        for script in scripts:
            own = runtime(config)
            dropped = weakref.ref(own)
            try:
                await own.execute_script(script, args=["x"])
            except (ScriptError, ValidationError):
                pass
            del own
            for _ in range(3):
                await asyncio.sleep(0)
            assert gone(dropped), script


def waiting(ask: Callable[[str, list[Any]], Any]) -> Any:
    """An engine with a fiber that waits: in coroutines, with variables to be closed, with a host's error in hand."""
    engine = Engine(ask, lambda fd, data: True, lambda error: {"kind": "x", "message": str(error)}, max_memory=1 << 22)
    engine.start(b"local host = ... call, ask = host.call, host.ask coroutine.wrap = host.public.wrap")
    text = b"""
      local ok, e = pcall(ask, 'fail')
      local spin = setmetatable({}, { __close = function() while true do end end })
      coroutine.wrap(function() local x <close> = spin call('wait', e.message) end)()
    """
    assert engine.resume(engine.load(text, b"@t.lua"), None, [])[:2] == (CALL, "wait")
    return engine


def test_an_engine_that_is_dropped_in_the_middle_of_a_script_is_freed() -> None:
    """Its `<close>` variables do not run, so that one which never ends holds nobody up; the next engine works."""

    class Asker:
        def __call__(self, op: str, args: list[Any]) -> Any:
            raise ValueError("no")

    for _ in range(20):
        ask = Asker()
        engines = [waiting(ask) for _ in range(5)]
        asker = weakref.ref(ask)
        engines[0].close()
        del ask, engines
        assert gone(asker)
    engine = Engine(lambda op, args: None, lambda fd, data: True, lambda error: {})
    assert engine.resume(engine.load(b"return 1 + 1", b"@t.lua"), None, []) == (DONE, 2)


# ---- one goes wild, the other goes on

WILD = {
    "loop": "while true do pcall(function() while true do end end) end",
    "memory": "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(1000) .. #t end) end",
    "recursion": "local function f() return 1 + f() end while true do pcall(f) end",
    "output": "while true do pcall(print, ('x'):rep(1000)) end",
    "host calls": "while true do pcall(JSON.parse, '[[1],[2],[3') end",
    "log": "while true do Log.info('x', { a = 1 }) end",
    "coroutines": "while true do coroutine.wrap(function() coroutine.yield() end)() end",
    "tasks": "while true do Async.spawn(function() end) Async.sleep(0) end",
    "sort": "while true do table.sort({ 3, 1, 2 }, function() for i = 1, 1e5 do end end) end",
}


def gated(name: str) -> tuple[list[Step], list[Gate]]:
    """A stream of which each piece comes only when the script has shown the one before."""
    gates = [Gate() for _ in range(PIECES)]
    pieces = chunked(sse(pieces_of(name)))
    steps: list[Step] = [head(), *pieces[:2]]
    for gate, piece in zip(gates[:-1], pieces[2:], strict=False):
        steps += [gate, piece]
    return [*steps, *pieces[PIECES + 1 :]], gates


@pytest.mark.parametrize("wild", WILD.values(), ids=WILD.keys())
def test_a_stream_goes_on_while_another_thread_s_script_goes_wild(wild: str) -> None:
    """The stream's every piece waits for the one before to be shown: it ends only if its script is let run."""
    steps, gates = gated("calm")
    over, began = threading.Event(), threading.Event()
    ends: list[str] = []

    def rage() -> None:
        while not over.is_set():
            began.set()
            try:
                limits = {"timeout": 0.5, "max_memory": 8_000_000, "max_output": 1_000_000}
                ScriptRuntime(stdout=Nowhere(), log=quiet, **limits).run(wild)
            except LimitError as error:
                ends.append(str(error.limit))

    with Loopback([steps]) as server, ThreadPoolExecutor(1) as pool:
        calm = runtime(config_for(server.url), log=lambda level, message, fields: gates[int(message)].open())
        raging = pool.submit(rage)
        began.wait(PATIENCE)
        try:
            script = READ.replace("texts[#texts + 1]", "Log.info(tostring(#texts)) texts[#texts + 1]")
            assert calm.run(script + "return texts", args=["calm"]).result == pieces_of("calm")
        finally:
            over.set()
        raging.result(PATIENCE)
    assert ends
    assert set(ends) <= {"timeout", "memory", "output"}


def test_a_run_that_ends_closes_no_connection_of_a_manager_s_other_threads() -> None:
    """The stream waits at its second piece until runs of another thread, by the same manager, have come and gone."""
    steps, gates = gated("calm")
    shown = threading.Event()
    with Loopback([steps, *[by_name] * 3]) as server:
        url = server.url
        manager = ProviderManager({"openai": {"base_url": url}}, env={"OPENAI_API_KEY": "test-key"})

        def show(level: str, message: str, fields: dict[str, Any] | None) -> None:
            shown.set()
            if int(message) > 1:
                gates[int(message)].open()

        calm = ScriptRuntime(providers=manager, model="openai/m", timeout=PATIENCE, log=show)
        script = READ.replace("texts[#texts + 1]", "Log.info(tostring(#texts)) texts[#texts + 1]")
        with ThreadPoolExecutor(1) as pool:
            streaming = pool.submit(lambda: calm.run(script + "return texts", args=["calm"]).result)
            assert shown.wait(PATIENCE)
            for _ in range(3):
                one = ScriptRuntime(providers=manager, model="openai/m", timeout=PATIENCE)
                assert one.run(READ + "return texts", args=["short"]).result == pieces_of("short")
            for gate in gates[:2]:
                gate.open()
            assert streaming.result(PATIENCE) == pieces_of("calm")


async def test_a_stream_of_the_same_loop_is_whole_after_another_s_script_went_wild() -> None:
    with Loopback([by_name]) as server:
        config = config_for(server.url)
        limits = {"timeout": 0.2, "max_memory": 8_000_000, "max_output": 1_000_000, "stdout": Nowhere()}
        wild = [runtime(config, **limits).execute_script(script) for script in WILD.values()]
        async with runtime(config) as calm:
            runs = [calm.execute_script(READ + "return texts", args=[f"calm{i}"]) for i in range(5)]
            *ends, a, b, c, d, e = await asyncio.gather(*wild, *runs, return_exceptions=True)
    assert [type(end) for end in ends] == [LimitError] * len(WILD)
    assert [one.result for one in (a, b, c, d, e)] == [pieces_of(f"calm{i}") for i in range(5)]  # type: ignore[union-attr]


def test_interrupting_one_runtime_stops_its_scripts_alone() -> None:
    running = threading.Barrier(3)

    def start(own: ScriptRuntime) -> str:
        try:
            return str(own.run("Log.info('here') while true do end").result)
        except LLMSpellError as error:
            return error.kind

    first, second = [runtime(config_for("http://127.0.0.1:9/v1"), log=lambda *_: running.wait(PATIENCE)) for _ in "ab"]
    with ThreadPoolExecutor(2) as pool:
        a, b = pool.submit(start, first), pool.submit(start, second)
        running.wait(PATIENCE)
        first.interrupt()
        assert a.result(PATIENCE) == "cancelled"
        assert not b.done()
        second.interrupt(LimitError("enough"))
        assert b.result(PATIENCE) == "limit"


# ---- within one another


def test_a_runtime_within_another_s_callback_has_limits_of_its_own_and_leaves_the_outer_s_in_place() -> None:
    """The host runs a script while it serves another's call, three deep; then each of them still stops in time."""
    seen: list[Any] = []

    def log(level: str, message: str, fields: Any) -> None:
        if message == "0":
            return
        try:
            ScriptRuntime(timeout=0.2, log=log).run(f"Log.info('{int(message) - 1}') while true do end")
        except LimitError as error:
            seen.append((message, error.limit, ScriptRuntime().run("return 6 * 7").result))

    script = "for i = 1, 3 do Log.info('3') end local n = 0 for i = 1, 100000 do n = n + i end return n"
    assert ScriptRuntime(timeout=PATIENCE, log=log).run(script).result == 5000050000
    assert seen == [("1", "timeout", 42), ("2", "timeout", 42), ("3", "timeout", 42)] * 3
    with pytest.raises(LimitError):
        ScriptRuntime(timeout=1.0, log=log).run("Log.info('2') while true do pcall(function() end) end")


# ---- threads that come and go


def timers() -> int:
    """How many timers of the process the kernel knows; 0 where it does not tell."""
    try:
        with open("/proc/self/timers") as file:
            return file.read().count("ID:")
    except OSError:
        return 0


def test_two_hundred_short_threads_each_with_a_runtime() -> None:
    """One in ten loops until its deadline. Afterwards no thread and no timer is left."""
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        try:
            if number % 10 == 0:
                ScriptRuntime(timeout=0.05).run("while true do pcall(function() end) end")
            results[number] = ScriptRuntime().run(COMPUTE, args=["x", number]).result[1]
        except LimitError as error:
            results[number] = error.limit

    work(1)
    threads, known = threading.active_count(), timers()
    for start in range(0, 200, 20):
        batch = [threading.Thread(target=work, args=(number,)) for number in range(start, start + 20)]
        for thread in batch:
            thread.start()
        for thread in batch:
            thread.join(PATIENCE)
    assert results == {number: "timeout" if number % 10 == 0 else sum_of(number) for number in range(200)}
    assert threading.active_count() == threads
    assert timers() <= known


# ---- a process that forks

FORK = """
import asyncio, os
from llmspell import ScriptRuntime
from llmspell.errors import LimitError

SUM = "local n = 0 for i = 1, 100000 do n = n + i {} end return n"
children = []

def stops(seconds):
    try:
        ScriptRuntime(timeout=seconds).run("while true do pcall(function() while true do end end) end")
    except LimitError as error:
        return error.limit == "timeout"

def works():
    waits = "Async.sleep(0.01) return Async.map({1, 2}, function(x) return x * 2 end)"
    runs = [ScriptRuntime().run(script).result for script in (SUM.format(""), waits)]
    return runs == [5000050000, [2, 4]] and stops(0.1)

def fork(also=lambda: True):
    child = os.fork()
    if child:
        children.append(child)
        return
    code = 1
    try:
        code = 0 if works() and works() and also() else 2
    finally:
        os._exit(code)

async def main():
    runtime = ScriptRuntime(log=lambda level, message, fields: fork())
    within = SUM.format("if i % 50000 == 0 then Log.info('fork, while Lua runs') end")
    run = asyncio.ensure_future(runtime.execute_script("Async.sleep(0.05) " + within))
    await asyncio.sleep(0)
    fork()  # while a script waits in a loop that will never turn in the child
    assert (await run).result == 5000050000
    fork(lambda: runtime.run("return 1").result == 1)
    try:
        await ScriptRuntime(timeout=0.2).execute_script("Async.sleep(0) while true do end")
    except LimitError:
        return True

assert works()
fork()
assert asyncio.run(main()) and works() and len(children) == 5
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
print("well")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_forked_child_runs_scripts_with_deadlines_and_the_parent_goes_on() -> None:
    """Forked before, between and while scripts run: the child inherits no timer, and must make its own."""
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *warnings, "-c", FORK], capture_output=True, text=True, timeout=PATIENCE, env=os.environ
    )
    assert (done.returncode, done.stdout) == (0, "well\n"), done.stderr
