"""Scripts in worker processes against scripts in this one: starts, and what a script asks of its host.

    python benchmarks/isolation.py [--rounds N]

    start       a new ScriptRuntime to its first result. `echo`: one round trip to a process that only sends back what
                it is sent, what no isolation can be below; `here`: in this process; `process`: in a worker of a warm
                pool; `loop`: the same by `await …execute_script(…)`; `in a row`: one right after the other, so that a
                worker's making ready for the next is in it, too
    ask         a question that is answered at once: `JSON.parse("1")`
    write       `io.write("x")`
    wait        a call that waits: `Async.sleep(0)`
    chunk       a chunk of a model's stream, from the runtime's queue into the script's hand

Wall time, since two processes share the work, and the median of a round's starts. Where the machine has other work to
do the system's own waking is most of it: `echo` says how much.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import socket
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from floor import loop_factory
from harness import Server, of_medians, plain_config, ratios, table
from llmspell import ScriptRuntime
from llmspell.bridge.isolation import ProcessPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["STARTS", "USES", "Echo", "main", "starts", "uses"]

STARTS = 40  # a round
BUDGET = 300  # µs

ECHO = """
import socket, sys
end = socket.socket(fileno=int(sys.argv[1]))
while data := end.recv(100): end.send(data)
"""
#: What a script does so many times.
USES = {
    "ask": (2000, 'for i = 1, 2000 do JSON.parse("1") end'),
    "write": (2000, 'for i = 1, 2000 do io.write("x") end'),
    "wait": (1000, "for i = 1, 1000 do Async.sleep(0) end"),
    "chunk": (6400, 'for chunk in Agent.create({ model = "bench/ready-6400" }):stream_execute("go") do end'),
}


class Echo:
    """A process that sends back what it is sent."""

    def __enter__(self) -> Echo:
        self._end, other = socket.socketpair()
        command = [sys.executable, "-I", "-S", "-c", ECHO, str(other.fileno())]
        self._process = subprocess.Popen(command, pass_fds=(other.fileno(),))
        other.close()
        self.ask()
        return self

    def ask(self) -> None:
        """One round trip."""
        self._end.send(b"x" * 60)
        self._end.recv(100)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end.close()
        self._process.wait(10)


def _microseconds(work: Callable[[], Any], ready: Callable[[], Any], count: int) -> float:
    """Of the median of *count*; *ready* goes before each, and is not counted."""
    told = []
    for _ in range(count):
        ready()
        before = time.perf_counter_ns()
        work()
        told.append((time.perf_counter_ns() - before) / 1000)
    return median(told)


def starts(rounds: int) -> list[dict[str, float]]:
    """Each round's µs a start, by subject."""
    config = plain_config()
    with Echo() as echo, ProcessPool(2) as pool, asyncio.Runner(loop_factory=loop_factory()) as runner:

        def here() -> None:
            ScriptRuntime(config).run("return 1")

        def process() -> None:
            ScriptRuntime(config, isolation=pool).run("return 1")

        async def awaited() -> float:
            told = []
            for _ in range(STARTS):
                pool.warm(1)
                before = time.perf_counter_ns()
                await ScriptRuntime(config, isolation=pool).execute_script("return 1")
                told.append((time.perf_counter_ns() - before) / 1000)
            return median(told)

        def one_round() -> dict[str, float]:
            gc.collect()
            return {
                "echo": _microseconds(echo.ask, pool.warm, STARTS),
                "here": _microseconds(here, pool.warm, STARTS),
                "process": _microseconds(process, pool.warm, STARTS),
                "loop": runner.run(awaited()),
                "in a row": _microseconds(process, lambda: None, STARTS),
            }

        ScriptRuntime(config, isolation=pool)  # tells the pool what to make ready
        return [one_round() for _ in range(rounds + 1)][1:]  # the first one warms up


def uses(name: str, rounds: int, url: str) -> list[dict[str, float]]:
    """Each round's µs of one use, `here` and in a `process`."""
    from llmspell.config.loader import load

    env = {"LLMSPELL_PROVIDERS__BENCH__TYPE": "openai", "LLMSPELL_PROVIDERS__BENCH__BASE_URL": url}
    config = load(script_dir=None, config_file=None, env=env, flags={})
    count, script = USES[name]
    told = []
    with ProcessPool(1) as pool:
        for _ in range(rounds + 1):
            one = {}
            for where, isolation in (("here", None), ("process", pool)):
                runtime = ScriptRuntime(config, isolation=isolation)
                gc.collect()
                pool.warm(1)
                before = time.perf_counter_ns()
                runtime.run(script)
                one[where] = (time.perf_counter_ns() - before) / 1000 / count
            told.append(one)
    return told[1:]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="scripts in worker processes")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    rows = [["", "µs", "× here", "middle half", ""]]

    def row(what: str, name: str, told: list[dict[str, float]], note: str = "") -> None:
        spread = ratios(told, name, "here")
        range_ = f"{spread.low:.2f} – {spread.high:.2f}"
        rows.append([f"{what} {name}", f"{of_medians(told, name):.1f}", f"{spread.median:.2f}", range_, note])

    told = starts(rounds)
    for name in told[0]:
        row("start", name, told, f"budget {BUDGET} µs" if name in ("process", "loop") else "")
    with Server() as server:
        for use in USES:
            told = uses(use, rounds, server.url)
            row(use, "here", told)
            row(use, "process", told)
    print(table(rows))


if __name__ == "__main__":
    main()
