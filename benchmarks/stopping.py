"""From the moment a hostile script is to stop to the moment the engine has returned.

    python benchmarks/stopping.py [--rounds N] [--only WORD] [--way WAY]

The scripts are those of `tests/conformance/lua/hostile/` that nothing but time ends, without those that only the end of
their process stops; and an endless `pcall` of a recursion that has no end, with stacks that fill 64 and 256 MB.
Each runs in a runtime of its own in this process and is stopped

    deadline     by its timeout
    interrupt    by `runtime.interrupt()` of another thread
    signal       by SIGINT, which becomes a KeyboardInterrupt

after 60 ms and a random part of 10 more, so that ticks and stops have no common beat. Closing the Lua state afterwards
is not in it. These are milliseconds, and no ratio: a busy machine makes them longer, up to the time for which it
keeps the process waiting. The budget is a median of 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio  # noqa: F401 - a SIGINT in the midst of its import, which a script's first call makes, would leave it in pieces
import gc
import os
import random
import signal
import threading
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import ROOT, plain_config, table
from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["WAYS", "Hostile", "Stop", "hostile", "main", "measure"]

WAYS = ("deadline", "interrupt", "signal")
FOLDER = os.path.join(ROOT, "tests", "conformance", "lua", "hostile")
MEMORY = 48 << 20  # of the scripts in files
AFTER, JITTER = 0.06, 0.01  # seconds
LONGEST = 5.0  # seconds after which a deadline ends what an interrupt or a signal has not: it is told as so much late
RECURSION = "local function f() return 1 + f() end while true do pcall(f) end"


class Hostile(NamedTuple):
    """A script that only time ends."""

    name: str
    text: str
    max_memory: int


class Stop(NamedTuple):
    """One script that was stopped, and how many milliseconds late."""

    name: str
    way: str
    late: float


class Nowhere:
    """Output that goes nowhere."""

    def write(self, data: bytes, /) -> None:
        return None

    def flush(self) -> None:
        return None


class Watched(ScriptRuntime):
    """A runtime that keeps the time at which the engine has returned."""

    returned = 0.0

    def _result(self, run: Any, outcome: Any, captured: Any) -> Any:  # type: ignore[override]
        self.returned = time.monotonic()
        return ScriptRuntime._result(run, outcome, captured)


def hostile() -> Iterator[Hostile]:
    """The scripts, in order of their names."""
    for name in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            text = file.read()
        first = text.split("\n", 3)[:3]
        if "-- Ends: timeout" in first and "-- Only: process" not in first:
            yield Hostile(name.removesuffix(".lua"), text, MEMORY)
    for megabytes in (64, 256):
        yield Hostile(f"recursion in pcall, {megabytes} MB", RECURSION, megabytes << 20)


def _runtime(script: Hostile, timeout: float) -> Watched:
    return Watched(
        plain_config(),
        timeout=timeout,
        max_memory=script.max_memory,
        max_output=1 << 30,
        stdout=Nowhere(),
        stderr=Nowhere(),
        log=lambda level, text, fields: None,
    )


def _by_deadline(script: Hostile, after: float, more: float) -> float | None:
    runtime = _runtime(script, after + more)
    due = time.monotonic() + after
    try:
        runtime.run(script.text)
    except LLMSpellError as error:
        if error.context.get("limit") == "timeout":
            return runtime.returned - due
        if error.context.get("limit") == "memory":
            return None
        raise
    raise RuntimeError(f"{script.name} ended by itself")


def _by_other_thread(script: Hostile, after: float, more: float, way: str) -> float | None:
    runtime = _runtime(script, LONGEST)
    told = 0.0
    begun = threading.Event()

    def stop() -> None:
        nonlocal told
        begun.wait()
        time.sleep(after)
        told = time.monotonic()
        time.sleep(more)
        if way == "interrupt":
            runtime.interrupt(grace=0.0)
        else:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    try:
        begun.set()
        runtime.run(script.text)
    except (LLMSpellError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or error.kind == "cancelled" or error.context.get("limit") == "timeout":
            return (runtime.returned or time.monotonic()) - told  # the signal may have come just before Lua was entered
        if error.context.get("limit") == "memory":
            return None
        raise
    finally:
        _join(thread)
    raise RuntimeError(f"{script.name} ended by itself")


def _join(thread: threading.Thread) -> None:
    """Waits for the thread's end. Its SIGINT comes here where the script had ended before."""
    try:
        thread.join()
    except KeyboardInterrupt:
        thread.join()


def late(script: Hostile, way: str, after: float, more: float = 0.0) -> float | None:
    """Milliseconds from the moment when it was to stop to the engine's return. more: seconds later it is told so.

    None where its own memory had ended it before.
    """
    gc.collect()
    seconds = _by_deadline(script, after, more) if way == "deadline" else _by_other_thread(script, after, more, way)
    return None if seconds is None else seconds * 1000


def measure(
    rounds: int, *, ways: Sequence[str] = WAYS, only: str = "", times: float = 1.0, some: int | None = None
) -> list[Stop]:
    """Stops in an order that is drawn anew each round. some: so many only.

    times: scripts are told later than what is counted from, by 10 ms for each time above one.
    """
    draw = random.Random(4)
    known = [(script, way) for script in hostile() for way in ways if only in script.name]
    told: list[Stop] = []
    for _ in range(rounds):
        draw.shuffle(known)
        for script, way in known[:some]:
            after = AFTER + draw.random() * JITTER
            milliseconds = late(script, way, after, (times - 1) * 0.01)
            if milliseconds is not None:
                told.append(Stop(script.name, way, milliseconds))
    return told


def _line(name: str, stops: Sequence[Stop], note: str = "") -> list[str]:
    values = sorted(stop.late for stop in stops)
    p99 = quantiles(values, n=100)[98] if len(values) > 1 else values[0]
    return [name, str(len(values)), f"{median(values):.1f}", f"{min(p99, values[-1]):.1f}", f"{values[-1]:.1f}", note]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="from a script's deadline to the engine's return")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="scripts whose name has this in it")
    parser.add_argument("--way", choices=WAYS, action="append")
    args = parser.parse_args()
    told = measure(args.rounds, ways=args.way or WAYS, only=args.only)
    rows = [["", "stops", "median ms", "p99", "longest", ""]]
    rows += [_line(way, [s for s in told if s.way == way]) for way in args.way or WAYS]
    rows.append(_line("all", told, "budget: a median of 20 ms"))
    by_name: dict[str, list[Stop]] = {}
    for stop in told:
        by_name.setdefault(stop.name, []).append(stop)
    latest = sorted(by_name, key=lambda name: -median(s.late for s in by_name[name]))[:8]
    rows += [_line(name, by_name[name], "of the latest") for name in latest]
    rows += [_line(name, by_name[name]) for name in by_name if "recursion in pcall" in name and name not in latest]
    print(table(rows))


if __name__ == "__main__":
    main()
