"""The pool of worker processes: queues, threads, forks, and that nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.isolation import ProcessPool, default_pool
from llmspell.config.loader import load
from llmspell.errors import LLMSpellError, RunCancelledError, ValidationError
from support.processes import PATIENCE, eventually, state_of

if TYPE_CHECKING:
    pass

PLAIN = load(script_dir=None, config_file=None, env={}, flags={})
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")


def children(state: str = "") -> list[int]:
    """This process's children in that state."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and fields[0].startswith(state):
                found.append(int(name))
    return found


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- more scripts than workers


async def test_scripts_beyond_the_most_wait_for_their_turn() -> None:
    with ProcessPool(1, most=2) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool)
        script = "Async.sleep(0.01) return ARGS[1]"
        runs = [runtime.execute_script(script, args=[str(i)]) for i in range(12)]
        assert [done.result for done in await asyncio.gather(*runs)] == [str(i) for i in range(12)]
        assert len(pool.pids) <= 2


async def test_the_time_in_the_queue_is_not_the_script_s() -> None:
    with ProcessPool(1, most=1) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=0.5)
        runs = [runtime.execute_script("Async.sleep(0.2) return 1") for _ in range(5)]
        done = await asyncio.gather(*runs)
    assert [one.result for one in done] == [1] * 5
    assert all(one.seconds < 0.5 for one in done)


async def _holding(pool: ProcessPool) -> tuple[ScriptRuntime, asyncio.Future[Any]]:
    """A script that has the pool's only worker."""
    begun = asyncio.Event()
    runtime = ScriptRuntime(PLAIN, isolation=pool, log=lambda *_: begun.set())
    run = asyncio.ensure_future(runtime.execute_script("Log.info('begun') Async.sleep(60)"))
    await begun.wait()
    return runtime, run


async def test_a_script_in_the_queue_can_be_interrupted_and_cancelled() -> None:
    with ProcessPool(1, most=1) as pool:
        holder, held = await _holding(pool)
        waiting = ScriptRuntime(PLAIN, isolation=pool)
        interrupted = asyncio.ensure_future(waiting.execute_script("return 1"))
        cancelled = asyncio.ensure_future(ScriptRuntime(PLAIN, isolation=pool).execute_script("return 2"))
        served = asyncio.ensure_future(ScriptRuntime(PLAIN, isolation=pool).execute_script("return 3"))
        await asyncio.sleep(0)
        threading.Thread(target=waiting.interrupt).start()
        with pytest.raises(RunCancelledError):
            await asyncio.wait_for(interrupted, PATIENCE)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        holder.interrupt()
        with pytest.raises(RunCancelledError):
            await held
        assert (await asyncio.wait_for(served, PATIENCE)).result == 3


async def test_a_script_that_waits_without_a_loop_can_be_interrupted() -> None:
    with ProcessPool(1, most=1) as pool:
        holder, held = await _holding(pool)
        waiting = ScriptRuntime(PLAIN, isolation=pool)
        run = asyncio.ensure_future(asyncio.to_thread(waiting.run, "return 1"))
        assert await asyncio.to_thread(eventually, lambda: bool(waiting._runs))
        waiting.interrupt()
        with pytest.raises(RunCancelledError):
            await asyncio.wait_for(run, PATIENCE)
        holder.interrupt()
        with pytest.raises(RunCancelledError):
            await held


def test_one_worker_for_each_script_where_that_is_wanted() -> None:
    seen: list[int] = []
    with ProcessPool(1, runs=1) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, log=lambda *_: seen.extend(pool.pids))
        for _ in range(5):
            assert runtime.run("Log.info('x') return 1").result == 1
    assert len(seen) == len(set(seen)) == 5


# ---- threads and loops


def test_threads_with_loops_of_their_own_share_the_pool() -> None:
    wrong: list[BaseException] = []

    async def work(thread: int) -> None:
        async with ScriptRuntime(PLAIN, isolation="process") as runtime:
            for i in range(15):
                script = f"Async.sleep(0) return {thread * 100 + i}"
                assert (await runtime.execute_script(script)).result == thread * 100 + i
                assert (await asyncio.to_thread(runtime.run, f"return {i}")).result == i

    def run(thread: int) -> None:
        try:
            asyncio.run(work(thread))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_runtime_runs_on_one_loop_after_the_other() -> None:
    runtime = ScriptRuntime(PLAIN, isolation="process")
    for _ in range(3):
        assert asyncio.run(runtime.execute_script("Async.sleep(0) return 1")).result == 1


# ---- what is left


@needs_proc
def test_many_runs_leave_no_memory_no_descriptors_and_no_processes() -> None:
    with ProcessPool(1) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, timeout=20.0)
        scripts = [
            "local t = {} for i = 1, 1000 do t[i] = { i } end return t",
            "error({ x = 1 })",
            "Async.map({ 1, 2, 3 }, function() Async.sleep(0) end)",
            "return ((",
            "print(('x'):rep(100000))",
        ]

        def some(count: int) -> None:
            for i in range(count):
                try:
                    runtime.run(scripts[i % len(scripts)])
                except LLMSpellError:
                    continue
            gc.collect()
            assert pool.warm(1)

        some(100)
        pids, opened, mine = pool.pids, len(os.listdir("/proc/self/fd")), resident(os.getpid())
        theirs = resident(pids[0])
        some(1000)
        assert pool.pids == pids
        assert len(os.listdir("/proc/self/fd")) == opened
        assert resident(pids[0]) - theirs < 2 << 20
        assert resident(os.getpid()) - mine < 4 << 20
    assert not set(pids) & set(children())


@needs_proc
def test_workers_that_die_leave_no_descriptors_and_no_zombies() -> None:
    with ProcessPool(2) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, log=lambda *_: os.kill(victim(), signal.SIGKILL))

        def victim() -> int:
            return next(run.remote.worker_pid for run in runtime._runs if run.remote is not None)

        def some(count: int) -> None:
            for _ in range(count):
                with pytest.raises(LLMSpellError):
                    runtime.run("Log.info('x') while true do end")

        some(3)
        assert pool.warm()
        opened = len(os.listdir("/proc/self/fd"))
        some(20)
        assert pool.warm()
        assert len(os.listdir("/proc/self/fd")) == opened
        assert eventually(lambda: children("Z") == [])
        assert len(pool.pids) == 2


@needs_proc
def test_a_worker_that_has_grown_large_ends_and_another_takes_its_place() -> None:
    """What Lua frees in small pieces, the C library keeps."""
    with ProcessPool(1) as pool:
        runtime = ScriptRuntime(PLAIN, isolation=pool, max_memory=0)
        for _ in range(3):
            runtime.run("local t = {} for i = 1, 2000000 do t[i] = { i } end")
            assert pool.warm(1)
            assert resident(pool.pids[0]) < 150 << 20


@needs_proc
@pytest.mark.parametrize("end", ["pool.close()", "del pool, runtime; import gc; gc.collect()", "pass"])
def test_workers_end_with_their_pool(end: str) -> None:
    code = (
        "from llmspell import ScriptRuntime\nfrom llmspell.bridge.isolation import ProcessPool\n"
        "pool = ProcessPool(3)\nruntime = ScriptRuntime(isolation=pool)\npool.warm()\n"
        f"runtime.run('return 1')\nprint(*pool.pids, flush=True)\n{end}\nprint('ended', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-W", "error", "-c", code], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        pids = [int(word) for word in ran.stdout.readline().split()]
        assert len(pids) == 3
        assert ran.wait(PATIENCE) == 0
    assert eventually(lambda: not any(map(state_of, pids)))


BUSY = "Log.info('begun') while true do end"
PATTERN = "Log.info('begun') local s = ('a'):rep(60) string.find(s, ('.-'):rep(40) .. 'b')"


@needs_proc
@pytest.mark.parametrize("script", [BUSY, PATTERN, "Log.info('begun') Async.sleep(60)"])
def test_workers_end_when_their_host_is_killed(script: str) -> None:
    """Whatever they are in the middle of, one function of Lua's own included."""
    code = (
        "from llmspell import ScriptRuntime\nfrom llmspell.bridge.isolation import default_pool\n"
        "tell = lambda *_: print(*default_pool().pids, flush=True)\n"
        f"ScriptRuntime(isolation='process', timeout=0, log=tell).run({script!r})\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        pids = [int(word) for word in ran.stdout.readline().split()]
        assert pids
        assert all(map(state_of, pids))
        ran.kill()
    assert eventually(lambda: not any(map(state_of, pids)))


@needs_proc
def test_a_worker_ends_with_its_host_though_none_of_its_threads_can_run() -> None:
    worker = (
        "import sys; sys.path[:] = sys.argv[3:]\n"
        "from llmspell.bridge.isolation import codec, frames, worker\n"
        "def begin(self, *words):\n"
        "    self._send(frames.ASK, codec.encode(['Log.info', ['begun', None]]))\n"
        "    while True: pass\n"
        "worker.Worker._begin, worker.Worker.watch = begin, lambda self: None\n"
        "worker.main(int(sys.argv[1]), int(sys.argv[2]))\n"
    )
    code = (
        "from llmspell import ScriptRuntime\nfrom llmspell.bridge.isolation import default_pool, process\n"
        f"process.PROGRAM = {worker!r}\n"
        "tell = lambda *_: print(*default_pool().pids, flush=True)\n"
        f"ScriptRuntime(isolation='process', timeout=0, log=tell).run('x()')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as ran:
        assert ran.stdout is not None
        pids = [int(word) for word in ran.stdout.readline().split()]
        assert pids
        ran.kill()
    if sys.platform == "linux":
        assert eventually(lambda: not any(map(state_of, pids)))


@needs_proc
def test_a_forked_child_has_workers_of_its_own() -> None:
    code = """
import os, sys
from llmspell import ScriptRuntime
from llmspell.bridge.isolation import default_pool
runtime = ScriptRuntime(isolation="process")
assert runtime.run("return 1").result == 1
before = set(default_pool().pids)
child = os.fork()
if child == 0:
    assert default_pool().pids == []
    assert runtime.run("return 2").result == 2
    own = set(default_pool().pids)
    assert own and not own & before
    default_pool().close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert runtime.run("return 3").result == 3
assert set(default_pool().pids) == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@needs_proc
def test_workers_end_though_a_forked_child_lives_on() -> None:
    code = """
import os, time
from llmspell import ScriptRuntime
from llmspell.bridge.isolation import default_pool
runtime = ScriptRuntime(isolation="process")
runtime.run("return 1")
pids = default_pool().pids
if os.fork() == 0:
    os.close(1)
    time.sleep(30)
    os._exit(0)
print(*pids, flush=True)
os.kill(os.getpid(), 9)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as ran:
        assert ran.stdout is not None
        pids = [int(word) for word in ran.stdout.readline().split()]
        ran.wait(PATIENCE)
        try:
            assert pids
            assert eventually(lambda: not any(map(state_of, pids)))
        finally:
            os.killpg(ran.pid, signal.SIGKILL)


# ---- words


def test_a_pool_that_was_closed_says_so_and_the_default_one_is_made_anew() -> None:
    pool = ProcessPool(1)
    runtime = ScriptRuntime(PLAIN, isolation=pool)
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError, match="was closed"):
        runtime.run("return 1")
    default_pool().close()
    assert ScriptRuntime(PLAIN, isolation="process").run("return 1").result == 1


async def test_closing_a_pool_ends_scripts_that_run_and_that_wait() -> None:
    pool = ProcessPool(1, most=1)
    _, held = await _holding(pool)
    waiting = asyncio.ensure_future(ScriptRuntime(PLAIN, isolation=pool).execute_script("return 1"))
    await asyncio.sleep(0)
    pool.close()
    told = await asyncio.wait_for(asyncio.gather(held, waiting, return_exceptions=True), PATIENCE)
    assert [type(one).__name__ for one in told] == ["WorkerLostError", "RuntimeError"]


@pytest.mark.parametrize("sizes", [{"workers": 0}, {"workers": 4, "most": 2}, {"runs": -1}])
def test_a_pool_of_no_sense_is_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="ProcessPool"):
        ProcessPool(**sizes)
