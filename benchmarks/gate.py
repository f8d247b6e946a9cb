"""The gate: every measure with few rounds; exit code 1 if one is well beyond its budget.

    python benchmarks/gate.py [--only NAME]… [--rounds N] [--push NAME=FACTOR]…

What is compared is a ratio to something that runs beside it in the same rounds, or an amount of memory; one line alone
is a time: how late a script stops, a median of many, whose limit is several times what it takes.
A line fails above its limit: its budget and a margin, since cores are shared and noisy. Where llmspell is known to
miss a budget today, the limit stands on what was measured instead, and the line says so: it must not get worse.
A line that fails is measured once more, with twice the rounds: noise seldom comes back.

--push multiplies a subject's work, for real, so that one can see a line fail: processes run so many times, chunks are
read so many times over, the hand takes so much longer, the script holds so much more memory or is told to stop so much
later.
"""

from __future__ import annotations

import argparse
import sys
import time
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from harness import Push, Server, of_medians, ratios, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.bridge.runtime import ScriptResult

__all__ = ["LINES", "Line", "failures", "main", "verdict"]


class Line(NamedTuple):
    """What is held to a budget. known: today's value where it is known to be above; margin: times, and why so much."""

    name: str
    what: str
    budget: float
    margin: float
    why: str
    unit: str = "×"
    known: float | None = None

    @property
    def limit(self) -> float:
        """Above it, the gate fails."""
        return max(self.budget, self.known or 0.0) * self.margin


STARTS = "starts of processes vary by a tenth"
BUILDS = "builds of Python differ in size"
BUSY = "a busy machine keeps a process waiting"
STEADY = "both are work of the processor alone"

LINES = (
    Line("hello-wall", "run hello.lua : python -c pass", 2.2, 1.25, STARTS),
    Line("hello-memory", "its peak", 16, 1.1, BUILDS, "MB"),
    Line("version-wall", "--version : python -c pass", 1.3, 1.25, STARTS),
    Line("help-wall", "--help : the same, most of it rich-click's import", 12, 1.25, STARTS),
    Line("tab-wall", "what a shell asks at a Tab : the same", 1.5, 1.25, STARTS),
    Line("stream-wall", "200 chunks, process : httpx script", 1.0, 1.2, STARTS),
    Line("stream-memory", "its peak", 32, 1.1, BUILDS, "MB"),
    Line("chunk-ready", "CPU a chunk, all ready : floor", 2.0, 1.3, "caches are shared"),
    Line("chunk-each", "CPU a chunk, one a read : floor", 1.2, 1.4, "caches are shared"),
    Line(
        "wire-ready", "the dearest of the other dialects, all ready : floor", 2.0, 1.3, "Gemini's is at it", known=2.1
    ),
    Line("wire-each", "the same, one a read : floor", 1.2, 1.4, "caches are shared"),
    Line("round", "a tool's call and its result over loopback : floor, 1 ms of 0.27", 3.7, 1.1, BUSY),
    Line("latency", "send to script, median : floor", 1.2, 1.4, "caches are shared"),
    Line("paced-cpu", "200 streams of 100 chunks a second, CPU : floor", 1.5, 1.4, "turns of the loop"),
    Line("paced-memory", "its peak", 45, 1.1, BUILDS, "MB"),
    Line("many-chunk", "CPU a chunk of 1,000 streams at once : of one", 2.0, 1.2, "caches are shared"),
    Line("many-memory", "a stream of 1,000", 60, 1.1, BUILDS, "KB"),
    Line("cross-ready", "chunks into Lua, 64 a resume : built in Lua", 2.5, 1.2, STEADY),
    Line("cross-each", "the same, one a resume", 2.5, 1.2, STEADY),
    Line("cross-twins", "chunks into Lua, compiled : pure", 1 / 1.3, 1.2, STEADY),
    Line("into-twins", "tables into Lua, compiled : pure", 1 / 3, 1.2, STEADY),
    Line("out-twins", "tables out of Lua, compiled : pure", 1 / 3, 1.2, STEADY),
    Line("program", "a model's program, start to end : bare Lua state, 1 ms of 27 us", 37, 1.1, BUSY),
    Line("media-twins", "heads of media, compiled : pure", 1 / 1.3, 1.2, STEADY),
    Line("media-memory", "a file of 5 GB in place of 5 KB, at the peak", 2, 1.2, BUILDS, "MB"),
    Line("file-write", "a file written whole : the same by hand, CPU", 1.5, 1.25, "what a disk's fsync takes varies"),
    Line("file-read", "4 KB with errors that say which file : open and read", 1.4, 1.2, STEADY),
    Line("file-lock", "a lock and its release : open, flock and close", 4.0, 1.2, STEADY),
    Line("retry-once", "retry_async of what succeeds : a plain await, 0.2 µs of 0.4", 2.5, 1.25, STEADY),
    Line("retry-thrice", "of what fails twice : a loop by hand, 5 µs of 8", 3.0, 1.2, STEADY),
    Line("retry-twins", "what to do after a failure, compiled : pure", 1 / 1.3, 1.2, STEADY),
    Line("call", "a call that waits : the loop alone, 2 µs of 7", 3.5, 1.25, "what a turn costs differs by kernel"),
    Line("start", "new runtime to first result : bare lupa, 45 µs of 150", 3.3, 1.25, STEADY),
    Line("tick", "a computing script with a tick : without", 1.03, 1.08, "two like times: noise is all of it"),
    Line("stop", "a hostile script, from deadline to stop, median", 20, 1.5, BUSY, "ms"),
    Line("patterns", "find, match, gmatch, gsub : Lua's own, the worst case", 1.25, 1.2, STEADY),
    Line(
        "isolated-start",
        "a start in a worker process : in this one, 300 µs of 120",
        2.5,
        1.5,
        "two processes, of the clock",
    ),
    Line("grow-runs", "memory over 2,000 runs", 2, 1.2, "pages are large", "MB"),
    Line("grow-chunks", "memory over 200,000 chunks", 2, 1.2, "pages are large", "MB"),
)


def _some(usual: int, rounds: float) -> int:
    return max(1, round(usual * rounds))


def _hello(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import processes

    extra = (push.get("hello-memory", 1.0) - 1) * 11  # MB; about what it has without
    told = processes.hello(server.url, _some(31, rounds), times=push.get("hello-wall", 1.0), weight=extra)
    wall = ratios(told.wall, "llmspell", "pass").median
    return {"hello-wall": wall, "hello-memory": of_medians(told.peak, "llmspell")}


def _starts(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import processes

    times = {name: push.get(f"{name}-wall", 1.0) for name in processes.STARTS}
    told = processes.starts(server.url, _some(15, rounds), times=times)
    return {f"{name}-wall": ratios(told.wall, name, "pass").median for name in processes.STARTS}


def _stream(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import processes

    extra = (push.get("stream-memory", 1.0) - 1) * 27
    told = processes.stream(server.url, _some(15, rounds), times=push.get("stream-wall", 1.0), weight=extra)
    wall = ratios(told.wall, "llmspell", "httpx").median
    return {"stream-wall": wall, "stream-memory": of_medians(told.peak, "llmspell")}


def _ready(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import chunks

    times = push.get("chunk-ready", 1.0)
    told = chunks.measure(server, *chunks.READY, _some(11, rounds), times=times, subjects=("floor", "script"))
    return {"chunk-ready": ratios(told, "script", "floor").median}


def _each(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import chunks

    times = push.get("chunk-each", 1.0)
    told = chunks.measure(server, *chunks.EACH, _some(11, rounds), times=times, subjects=("floor", "script"))
    return {"chunk-each": ratios(told, "script", "floor").median}


def _wires(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import dialects

    told = {}
    for kind in dialects.KINDS:
        name = f"wire-{kind}"
        told[name] = max(
            ratios(
                dialects.measure(
                    server, wire, kind, _some(5, rounds), times=push.get(name, 1.0), subjects=("floor", "script")
                ),
                "script",
                "floor",
            ).median
            for wire in dialects.WIRES.values()
        )
    return told


def _round(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import rounds as turns

    told = turns.measure(server, _some(7, rounds), times=push.get("round", 1.0), subjects=("floor", "llmspell"))
    return {"round": ratios(told, "llmspell", "floor").median}


def _latency(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import latency

    times = push.get("latency", 1.0)
    told = latency.measure(server, _some(9, rounds), chunks=500, times=times, subjects=("floor", "script"))
    return {"latency": latency.ratio(told, "script").median}


def _paced(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import many

    extra = (push.get("paced-memory", 1.0) - 1) * 32
    told = many.paced(server.url, _some(5, rounds), times=push.get("paced-cpu", 1.0), weight=extra)
    cpu = ratios(told.cpu, "script", "floor").median
    return {"paced-cpu": cpu, "paced-memory": of_medians(told.peak, "script")}


def _many(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import many

    told = many.measure(server, _some(5, rounds), counts=(1, 1000), times=push.get("many-chunk", 1.0))
    return {"many-chunk": ratios(told, "script 1000", "script 1").median}


def _many_memory(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import many

    extra = (push.get("many-memory", 1.0) - 1) * 25  # KB; about what it has without
    return {"many-memory": many.memory(server.url, _some(2, rounds), weight=extra)["script"]}


def _cross(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import crossing

    times = max(push.get(name, 1.0) for name in ("cross-ready", "cross-each", "cross-twins"))
    ready, each = (crossing.measure(case, _some(11, rounds), times=times) for case in crossing.CASES[:2])
    return {
        "cross-ready": ratios(ready, "compiled", "built").median,
        "cross-each": ratios(each, "compiled", "built").median,
        "cross-twins": ratios(ready, "compiled", "pure").median,
    }


def _tables(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import crossing

    told = {}
    for name, case in zip(("into-twins", "out-twins"), crossing.CASES[2:4], strict=True):
        rounds_ = crossing.measure(case, _some(7, rounds), times=push.get(name, 1.0))
        told[name] = ratios(rounds_, "compiled", "pure").median
    return told


def _program(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import programs

    told = programs.measure(_some(5, rounds), times=push.get("program", 1.0))
    return {"program": ratios(told, "run_lua", "bare").median}


def _media(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import media

    told = media.measure(_some(7, rounds), times=push.get("media-twins", 1.0))
    memory = max(media.grown(), 0.0) + push.get("media-memory", 1.0) - 1
    return {"media-twins": ratios(told, "compiled", "pure").median, "media-memory": memory}


def _files(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import files

    told = {}
    for name, case in (("file-write", "write"), ("file-read", "read 4 KB"), ("file-lock", "lock")):
        ours, base, _ = files.CASES[case]
        some = files.measure(case, _some(9, rounds), times=push.get(name, 1.0), subjects=(ours, base))
        told[name] = ratios(some, ours, base).median
    return told


def _retry(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import retry

    told = {}
    for name, case in (("retry-once", "once"), ("retry-thrice", "thrice"), ("retry-twins", "decide")):
        ours, base, _ = retry.CASES[case]
        some = retry.measure(case, _some(9, rounds), times=push.get(name, 1.0), subjects=(ours, base))
        told[name] = ratios(some, ours, base).median
    return told


def _call(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import calls

    loop = list(calls.loops())[-1]
    told = calls.measure(loop, _some(11, rounds), times=push.get("call", 1.0), kinds=("timer", "sleep"))
    return {"call": ratios(told, "sleep", "timer").median}


def _start(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import starts

    told = starts.measure(_some(15, rounds), times=push.get("start", 1.0), subjects=("lupa", "script"))
    return {"start": ratios(told, "script", "lupa").median}


def _tick(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import ticks

    told = ticks.measure(_some(25, rounds), times=push.get("tick", 1.0), ways=("none", "tick"))
    return {"tick": ratios(told, "tick", "none").median}


def _stop(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import stopping

    ways = ("deadline", "interrupt")
    told = stopping.measure(1, ways=ways, times=push.get("stop", 1.0), some=_some(100, rounds))
    return {"stop": max(median(stop.late for stop in told if stop.way == way) for way in ways)}


def _patterns(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import patterns

    times = push.get("patterns", 1.0)

    class Loops(patterns.Loops):
        def time(self, case: patterns.Case, library: str, count: int) -> float:
            return super().time(case, library, round(count * times) if library == "own" else count)

    told = (patterns.measure(Loops(), case, _some(7, rounds)) for case in patterns.CASES)
    return {"patterns": max(ratios(case, "own", "lua").median for case in told)}


def _isolated(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import isolation
    from llmspell import ScriptRuntime

    times = ceil(push.get("isolated-start", 1.0))

    class Runtime(ScriptRuntime):
        def run(self, *args: Any, **options: Any) -> ScriptResult:
            for _ in range(times - 1 if self._pool is not None else 0):
                super().run(*args, **options)
            return super().run(*args, **options)

    with patch.object(isolation, "ScriptRuntime", Runtime):
        told = isolation.starts(_some(7, rounds))
    return {"isolated-start": ratios(told, "process", "here").median}


def _grow(server: Server, rounds: float, push: Push) -> dict[str, float]:
    import soak

    kept = {name: (push.get(name, 1.0) - 1) for name in ("grow-runs", "grow-chunks")}
    return {
        "grow-runs": soak.growth("runs", 2000, keep=round(kept["grow-runs"] * 1000)),
        "grow-chunks": soak.growth("chunks", 200_000, keep=round(kept["grow-chunks"] * 20_000)),
    }


#: Which measure gives which lines.
MEASURES: dict[Callable[[Server, float, Push], dict[str, float]], tuple[str, ...]] = {
    _hello: ("hello-wall", "hello-memory"),
    _starts: ("version-wall", "help-wall", "tab-wall"),
    _stream: ("stream-wall", "stream-memory"),
    _ready: ("chunk-ready",),
    _each: ("chunk-each",),
    _wires: ("wire-ready", "wire-each"),
    _round: ("round",),
    _latency: ("latency",),
    _paced: ("paced-cpu", "paced-memory"),
    _many: ("many-chunk",),
    _many_memory: ("many-memory",),
    _cross: ("cross-ready", "cross-each", "cross-twins"),
    _tables: ("into-twins", "out-twins"),
    _program: ("program",),
    _media: ("media-twins", "media-memory"),
    _files: ("file-write", "file-read", "file-lock"),
    _retry: ("retry-once", "retry-thrice", "retry-twins"),
    _call: ("call",),
    _start: ("start",),
    _tick: ("tick",),
    _stop: ("stop",),
    _patterns: ("patterns",),
    _isolated: ("isolated-start",),
    _grow: ("grow-runs", "grow-chunks"),
}


def verdict(line: Line, measured: float) -> str:
    """`ok`, `misses its budget` (below the limit all the same), or `FAILS`."""
    if not measured <= line.limit:  # so written, what is no number fails
        return "FAILS"
    return "ok" if measured <= line.budget else "misses its budget"


def failures(measured: dict[str, float]) -> list[str]:
    """The names of lines whose measured value is above its limit."""
    return [line.name for line in LINES if line.name in measured and verdict(line, measured[line.name]) == "FAILS"]


def _measure(server: Server, names: Sequence[str], rounds: float, push: Push) -> dict[str, float]:
    told: dict[str, float] = {}
    for measure, gives in MEASURES.items():
        if any(name in names for name in gives):
            told |= measure(server, rounds, push)
    return {name: value for name, value in told.items() if name in names}


def _push(words: Sequence[str], parser: argparse.ArgumentParser) -> Push:
    push: Push = {}
    known = {line.name for line in LINES}
    for word in words:
        name, _, factor = word.partition("=")
        try:
            push[name] = float(factor)
        except ValueError:
            parser.error(f"--push takes NAME=FACTOR, not {word}")
        if name not in known or not 1 <= push[name] <= 100:
            parser.error(f"--push {word}: a line's name, and a factor from 1 to 100")
    return push


def shown(measured: dict[str, float]) -> str:
    """The table."""
    rows = [["line", "measured", "budget", "limit", "verdict", "what, and why that limit"]]
    for line in LINES:
        if line.name in measured:
            value = measured[line.name]
            stands_on = f"{line.known:g} {line.unit} measured before" if line.known else "the budget"
            why = f"{line.what}; {stands_on} × {line.margin:g}: {line.why}"
            numbers = [f"{number:.2f} {line.unit}" for number in (value, line.budget, line.limit)]
            rows.append([line.name, *numbers, verdict(line, value), why])
    return table(rows)


def main(argv: Sequence[str]) -> int:
    """Measures, prints, gives the exit code."""
    names = [line.name for line in LINES]
    parser = argparse.ArgumentParser(description="fails where a ratio is well beyond its budget")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--rounds", type=float, default=1.0, help="so many times as many rounds as usual, from 0.1")
    parser.add_argument("--push", action="append", default=[], metavar="NAME=FACTOR")
    options = parser.parse_args(argv)
    push = _push(options.push, parser)
    if not 0.1 <= options.rounds <= 100:
        parser.error("--rounds takes a factor from 0.1 to 100")
    began = time.monotonic()
    with Server() as server:
        measured = _measure(server, options.only or names, options.rounds, push)
        again = failures(measured)
        if again:
            measured |= _measure(server, again, options.rounds * 2, push)
    print(shown(measured))
    failed = failures(measured)
    print(f"{'fails: ' + ', '.join(failed) if failed else 'holds'} ({time.monotonic() - began:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
