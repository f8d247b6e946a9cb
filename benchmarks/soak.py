"""Whether memory stays where it is: so many runs, and so many chunks, in one process.

    python benchmarks/soak.py [--runs N] [--chunks N]

    runs      `ScriptRuntime(config).run(…)` of a script that makes tables, closures and coroutines, and of one that
              fails; every tenth with an event loop of its own
    chunks    streamed answers of 2,000 chunks over loopback, each in a runtime of its own, on one loop

A process each, so that nothing of another measure is free to be used. Told is the growth of its resident memory after
a tenth of the work was done before; the budget is 2 MB, over 10,000 runs or 1,000,000 chunks.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import floor
from chunks import COUNT
from harness import HERE, Server, environment, manager, plain_config, table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHUNKS", "RUNS", "growth", "main"]

RUNS, CHUNKS = 10_000, 1_000_000
ANSWER = 2_000  # chunks of one answer
PIECES = 20  # so many looks at the memory
WORKS = """
local t = {}
for i = 1, 100 do
  t[i] = { name = "item " .. i, f = function() return i end }
end
local gen = coroutine.wrap(function() for i = 1, 10 do coroutine.yield(t[i].f()) end end)
local n = 0
for i = 1, 5 do n = n + gen() end
return { n = n, list = JSON.parse("[1,2,3]") }
"""
FAILS = "local ok, e = pcall(error, {}) error('boom ' .. #JSON.stringify({ok}))"
WAITS = "Async.all({ function() Async.sleep(0) end, function() Async.sleep(0) end }) return 1"


def resident() -> float:
    """MB of this process that are in memory."""
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _run(number: int) -> None:
    from llmspell import ScriptRuntime
    from llmspell.errors import ScriptError

    runtime = ScriptRuntime(plain_config())
    if number % 10 == 0:
        runtime.run(WAITS)
    elif number % 10 == 5:
        try:
            runtime.run(FAILS)
        except ScriptError:
            return
        raise RuntimeError("the script did not fail")
    elif runtime.run(WORKS).result != {"n": 15, "list": [1, 2, 3]}:
        raise RuntimeError("the script came to another result")


def _grown(step: Callable[[int], None], count: int, held: list[bytes] | None, keep: int) -> float:
    """MB that *count* steps add after a tenth of them. keep: bytes that each step really keeps, to see it told."""
    before = peak = 0.0
    for number in range(count + count // 10):
        step(number)
        if held is not None and keep:
            held.append(os.urandom(keep))
        if number + 1 == count // 10:
            before = peak = resident()
        elif number % max(1, count // PIECES) == 0:
            peak = max(peak, resident())
    return max(peak, resident()) - before


def _runs(count: int, keep: int) -> float:
    return _grown(_run, count, [], keep)


def _chunks(count: int, keep: int, url: str) -> float:
    from llmspell import ScriptRuntime

    config = plain_config()
    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        providers = manager(url)

        async def read() -> None:
            runtime = ScriptRuntime(config, providers=providers)
            done = await runtime.execute_script(COUNT, args=[f"ready-{ANSWER}"])
            if done.result != ANSWER:
                raise RuntimeError(f"{done.result} chunks came of {ANSWER}")

        grown = _grown(lambda number: runner.run(read()), max(10, count // ANSWER), [], keep)
        runner.run(providers.aclose())
        return grown


def growth(what: str, count: int, *, keep: int = 0) -> float:
    """MB that *count* `runs` or `chunks` add to a process. keep: bytes that each step keeps for real."""
    with Server() as server:
        words = [sys.executable, os.path.join(HERE, "soak.py"), "--within", what, str(count), str(keep), server.url]
        env = environment(os.path.join(HERE, "nowhere"), server.url) | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="memory over many runs and many chunks")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--within", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.within:
        what, count, keep, url = options.within
        print(_runs(int(count), int(keep)) if what == "runs" else _chunks(int(count), int(keep), url))
        return
    rows = [["", "how many", "growth, MB", ""]]
    for what, count in (("runs", options.runs), ("chunks", options.chunks)):
        rows.append([what, f"{count:,}", f"{growth(what, count):.2f}", "budget 2 MB"])
    print(table(rows))


if __name__ == "__main__":
    main()
