"""Worker processes: what becomes of scripts when they die, attack or hang, and what is left of them all."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import llmspell.bridge
from llmspell import ScriptRuntime
from llmspell.bridge.engine import DONE, PREEMPTED, STOPPED
from llmspell.bridge.isolation import ProcessPool, frames, process
from llmspell.bridge.isolation.codec import decode, encode
from llmspell.bridge.isolation.worker import LAZY
from llmspell.config.loader import load
from llmspell.errors import LimitError, RunCancelledError, WorkerLostError
from support.loopback import STALL, Loopback, chunked, head, sse
from support.processes import PATIENCE, eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = load(script_dir=None, config_file=None, env={}, flags={})
HAS_PROC = os.path.isdir("/proc/self/fd")
needs_proc = pytest.mark.skipif(not HAS_PROC, reason="looks into /proc")


@pytest.fixture
def pool() -> Iterator[ProcessPool]:
    made = ProcessPool(1)
    yield made
    made.close()


# ---- death


@pytest.mark.parametrize("script", ["while true do end", "Async.sleep(60)", "for i = 1, 1e9 do print(i) end"])
async def test_a_worker_that_is_killed_is_an_error_of_its_script_alone(script: str) -> None:
    begun = asyncio.Event()
    dying, living = ProcessPool(1), ProcessPool(1)
    runtime = ScriptRuntime(PLAIN, isolation=dying, log=lambda *_: begun.set())
    other = ScriptRuntime(PLAIN, isolation=living)
    neighbour = asyncio.ensure_future(other.execute_script("for i = 1, 20 do Async.sleep(0.005) end return 'well'"))
    run = asyncio.ensure_future(runtime.execute_script(f"print('so far') Log.info('begun') {script}"))
    await begun.wait()
    os.kill(dying.pids[0], signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="was killed by SIGKILL") as caught:
        await asyncio.wait_for(run, PATIENCE)
    assert (caught.value.kind, caught.value.signal, caught.value.exit_code) == ("internal", 9, 1)
    assert caught.value.output.startswith("so far\n")
    assert "\n" not in caught.value.message
    assert (await runtime.execute_script("return 'again'")).result == "again"
    assert (await neighbour).result == "well"
    dying.close()
    living.close()


async def test_scripts_of_one_pool_do_not_die_with_each_other() -> None:
    with ProcessPool(3) as pool:
        begun: dict[str, asyncio.Event] = {name: asyncio.Event() for name in "abc"}
        runtime = ScriptRuntime(PLAIN, isolation=pool, log=lambda _, name, __: begun[name].set())
        script = "Log.info(ARGS[1]) for i = 1, 40 do Async.sleep(0.005) end return ARGS[1]"
        pids, runs = [], []
        for name in begun:
            before = {run.remote.worker_pid for run in runtime._runs if run.remote is not None}
            runs.append(asyncio.ensure_future(runtime.execute_script(script, args=[name])))
            await begun[name].wait()
            now = {run.remote.worker_pid for run in runtime._runs if run.remote is not None}
            pids += now - before
        os.kill(pids[1], signal.SIGKILL)
        told = await asyncio.gather(*runs, return_exceptions=True)
    assert isinstance(told[1], WorkerLostError)
    assert [getattr(one, "result", None) for one in told] == ["a", None, "c"]


async def test_connections_of_a_script_whose_worker_died_are_closed(pool: ProcessPool) -> None:
    env = {"OPENAI_API_KEY": "k"}
    with Loopback([[head(), *chunked(sse(["Hel"]), end=False)[:2], STALL]]) as server:
        config = load(script_dir=None, config_file=None, env={**env, "OPENAI_BASE_URL": server.url}, flags={})
        async with ScriptRuntime(config, isolation=pool) as runtime:
            run = asyncio.ensure_future(runtime.execute_script("for c in Agent.create{}:stream('hi') do end"))
            await asyncio.to_thread(server.wait_requests, 1)
            os.kill(pool.pids[0], signal.SIGKILL)
            with pytest.raises(WorkerLostError):
                await asyncio.wait_for(run, PATIENCE)
            await asyncio.to_thread(server.connections[0].wait_closed)


def test_a_worker_that_died_idle_is_nobody_s_error(pool: ProcessPool) -> None:
    runtime = ScriptRuntime(PLAIN, isolation=pool)
    for _ in range(5):
        assert pool.warm(1)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert runtime.run("return 1").result == 1


@needs_proc
def test_a_worker_that_died_is_replaced(pool: ProcessPool) -> None:
    runtime = ScriptRuntime(PLAIN, isolation=pool, log=lambda *_: os.kill(pool.pids[0], signal.SIGKILL))
    with pytest.raises(WorkerLostError):
        runtime.run("Log.info('x') while true do end")
    assert pool.warm(1)
    assert len(pool.pids) == 1
    assert is_alive(pool.pids[0])


# ---- attacks

#: A worker that does what its host does not expect: `raw` sends bytes, `ask` a question, and waits for its answer.
HOSTILE = """
import socket, sys
sys.path[:] = sys.argv[3:]
from llmspell.bridge.isolation import frames, lockdown
from llmspell.bridge.isolation.worker import Worker
from llmspell.bridge.isolation.codec import decode, encode
from llmspell.bridge.isolation.worker import LAZY
from llmspell.bridge.engine import DONE
lockdown.die_with(0)
worker = Worker(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
raw, done = worker._data.sendall, lambda value: worker._send(frames.OUTCOME, encode([DONE, value]))
def ask(op, *args):
    worker._send(frames.ASK, encode([op, list(args)]))
    return worker._receive()[2:]
worker._receive()
raw(frames.to_host(frames.READY))
worker._receive()
"""


def hostile(monkeypatch: pytest.MonkeyPatch, program: str) -> ProcessPool:
    monkeypatch.setattr(process, "PROGRAM", HOSTILE + program)
    return ProcessPool(1)


def sent(kind: int, content: bytes = b"") -> str:
    """A program that sends this frame, and then an outcome as it should be."""
    return f"raw({frames.to_host(kind, content)!r})\ndone(1)\nworker._receive()"


FRAMES = {
    "ready in the middle": sent(frames.READY),
    "a kind that is none": "raw(b'\\0\\0\\0\\0\\x63')\nworker._receive()",
    "a frame without end": "raw(b'\\xff\\xff\\xff\\xff\\3')\nworker._receive()",
    "no value": sent(frames.OUTCOME, b"rubbish"),
    "an outcome of another shape": sent(frames.OUTCOME, encode([1, None])),
    "an outcome of no script": sent(frames.OUTCOME, encode([8, "x"])),
    "two outcomes": "done(1)\n" * 50 + "worker._receive()",
    "a question that is none": sent(frames.ASK, encode(["x"])),
    "a write to nowhere": sent(frames.WRITE, b"\7x"),
    "a call that cannot wait": f"raw({frames.to_host(frames.OUTCOME, encode([1, 'Async.sleep', []]))!r})\n"
    "worker._receive()",
    "a call with a list for a number": f"raw({frames.to_host(frames.OUTCOME, encode([1, 'stream:next', [[]]]))!r})\n"
    "worker._receive()",
    "a syntax error after the start": "ask('Run.clock')\n" + sent(frames.OUTCOME, encode([9, "x"])),
    "questions without waiting for answers": "for i in range(100000): worker._send(frames.ASK, "
    "encode(['JSON.parse', ['[' + '0,' * 50000 + '0]']]))",
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
async def test_a_worker_that_breaks_the_protocol_is_ended(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(monkeypatch, FRAMES[name]) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=20.0)
        pids = pool.pids
        if name == "two outcomes":  # the first is as good as any
            assert (await runtime.execute_script("x")).result == 1
        else:
            with pytest.raises(WorkerLostError, match="was ended") as caught:
                await asyncio.wait_for(runtime.execute_script("x"), PATIENCE)
            assert "\n" not in f"{caught.value.message}{caught.value.hint}"
            assert not HAS_PROC or eventually(lambda: not any(map(is_alive, pids)))
        monkeypatch.undo()
        assert eventually(lambda: _runs_well(runtime))


def _runs_well(runtime: ScriptRuntime) -> bool:
    """Whether a script of its own makes comes back: the pool may still have a hostile worker to get rid of."""
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(runtime.run("return 'well'").result)
        except WorkerLostError:
            return

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return done == ["well"]


def test_a_worker_that_was_taken_over_reads_no_file_of_its_host_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret.lua").write_text("return 'secret'")
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "script.lua").write_text("x")
    (folder / "link.lua").symlink_to(tmp_path / "secret.lua")
    program = """
answers = [
    ask('require', '..secret'), ask('require', '../secret'), ask('require', 'link'), ask('dofile', '../secret.lua'),
    ask('dofile', 'link.lua'), ask('dofile', sys.argv[0] + '/../secret.lua'), ask('io.flush', 9), ask('no.such', 1),
    ask('Agent.get'), ask('task:cancel', 1), ask('fiber.start', 7, 99), ask('agent:get_config', 5),
]
done([[ok, str(value)] for ok, value in answers])
worker._receive()
"""
    with hostile(monkeypatch, program) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool)
        told = runtime.run("x", path=str(folder / "script.lua")).result
    assert len(told) == 12
    assert "'secret'" not in str(told)
    assert [ok for ok, _ in told[:9]] == [False] * 9


def test_the_prelude_is_no_way_into_the_host_s_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret.lua").write_text("return 'secret'")
    program = f"done([str(ask('prelude', {str(tmp_path / 'secret')!r}))])\nworker._receive()"
    with hostile(monkeypatch, program) as pool, pytest.raises(WorkerLostError, match="no script asks: `prelude`"):
        ScriptRuntime(PLAIN, isolation=pool).run("x")


@pytest.mark.parametrize("in_loop", [True, False])
def test_a_worker_that_does_not_stop_is_killed_soon_after_the_deadline(
    in_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile(monkeypatch, "import time\nwhile True: time.sleep(1)") as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=0.2)
        pids = pool.pids
        before = time.monotonic()
        with pytest.raises(LimitError, match=r"0\.2 s"):
            _ = asyncio.run(runtime.execute_script("x")) if in_loop else runtime.run("x")
        assert time.monotonic() - before < PATIENCE
        assert not HAS_PROC or eventually(lambda: not any(map(is_alive, pids)))


def test_a_worker_that_does_not_stop_is_killed_soon_after_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "ask('Log.info', 'begun', None)\nimport time\nwhile True: time.sleep(1)"
    with hostile(monkeypatch, program) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=0, log=lambda *_: threading.Timer(0.05, stop).start())

        def stop() -> None:
            runtime.interrupt(grace=0.1)

        with pytest.raises(RunCancelledError):
            runtime.run("x")


async def test_cancelling_does_not_wait_for_a_worker_that_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()
    program = "ask('Log.info', 'begun', None)\nimport time\nwhile True: time.sleep(1)"
    with hostile(monkeypatch, program) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=0, log=lambda *_: begun.set())
        run = asyncio.ensure_future(runtime.execute_script("x"))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(run, PATIENCE)


# ---- what a worker has


@needs_proc
def test_a_worker_has_no_secrets_no_files_and_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pool: ProcessPool
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    monkeypatch.setenv("MY_PASSWORD", "very-secret")
    with open(tmp_path / "open.txt", "w") as held:
        os.set_inheritable(held.fileno(), True)
        assert ScriptRuntime(PLAIN, isolation=pool).run("return 1").result == 1
        assert pool.warm(1)
        home = Path(f"/proc/{pool.pids[0]}")
        assert b"secret" not in (home / "environ").read_bytes() + (home / "cmdline").read_bytes()
        opened = {os.readlink(home / "fd" / name).partition(":")[0] for name in os.listdir(home / "fd")}
    assert os.readlink(home / "cwd") == "/"
    assert opened <= {"/dev/null", "pipe", "socket", f"/proc/{pool.pids[0]}/statm"}
    limits = {line[:26].strip(): line[26:].split()[0] for line in (home / "limits").read_text().splitlines()}
    assert limits["Max core file size"] == limits["Max file size"] == limits["Max processes"] == "0"
    assert int(limits["Max open files"]) < 10


@needs_proc
def test_a_worker_can_open_nothing(pool: ProcessPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way is tried from within a worker that runs a script: in place of its question to the host."""
    program = """
import os
from llmspell.bridge.isolation.worker import main, prelude, Worker
def ask(self, op, args):
    if op == "prelude":
        return prelude(args[0])
    told = []
    attempts = ["open('/etc/passwd')", "__import__('socket').socket()", "os.open('/tmp', 0)", "os.pipe()"]
    if os.geteuid():  # the system's own administrator may start processes whatever the limit
        attempts.append("os.fork()")
    for attempt in attempts:
        try:
            eval(attempt)
            told.append(attempt)
        except OSError:
            pass
    return told
Worker._ask = ask
main(int(sys.argv[1]), int(sys.argv[2]))
"""
    monkeypatch.setattr(process, "PROGRAM", "import sys; sys.path[:] = sys.argv[3:]\n" + program)
    opened = ScriptRuntime(PLAIN, isolation=pool).run("return JSON.parse('x')").result
    assert opened in ([], {})


# ---- interrupts


def _next(worker: process.WorkerProcess, cutter: frames.Cutter, wanted: int) -> Any:
    """What the worker sends next of that kind."""
    while data := worker.socket.recv(65536):
        for kind, content in cutter.feed(data):
            if kind == wanted:
                return content and decode(content)
    return pytest.fail("the worker ended")


def test_an_interrupt_reaches_the_run_that_it_is_meant_for_and_no_other() -> None:
    """One that comes late is none of the next run's business; one that overtakes its run waits for it."""
    options, cutter = {"max_memory": 0}, frames.Cutter(1000)
    worker = process.WorkerProcess(options)
    worker.socket.settimeout(PATIENCE)
    try:
        for run in range(1, 100):
            _next(worker, cutter, frames.READY)
            worker.interrupt(run - 1, "host", 0.0)
            if run % 2:
                worker.interrupt(run, "host", 0.0)
            text = b"while true do end" if run % 2 else b"return 1"
            worker.socket.sendall(frames.to_worker(frames.BEGIN, run, options, [], text, b"=x", [], 20.0))
            while (outcome := _next(worker, cutter, frames.OUTCOME)) == [PREEMPTED]:
                worker.socket.sendall(frames.to_worker(frames.RESUME, frames.MAIN, None, None))
            assert outcome == ([STOPPED, "host"] if run % 2 else [DONE, 1])
            worker.prepare(options)
    finally:
        worker.end()


def test_a_worker_has_read_every_part_of_the_prelude_that_is_loaded_late() -> None:
    """It can open no file once its doors are closed."""
    folder = Path(llmspell.bridge.__file__).parent / "prelude"
    late = set(re.findall(r'lazy\("\w+", "(\w+)"\)', (folder / "api.lua").read_text()))
    assert "provider" in late
    assert late <= set(LAZY)


def test_globals_that_are_loaded_late_are_there_in_a_worker() -> None:
    runtime = ScriptRuntime(isolation="process", model="mock")
    done = runtime.run("return { Provider.default(), type(Run.usage()), type(Provider.list()) }")
    assert done.result == ["mock", "table", "table"]
