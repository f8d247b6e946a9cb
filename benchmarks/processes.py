"""Whole processes: wall time and peak memory, from the spawn to the end.

    python benchmarks/processes.py [--rounds N] [--check]

    hello     `llmspell run examples/hello.lua` against `python -c pass`
    starts    `llmspell --version`, `--help`, and what a shell asks at a Tab, against the same
    stream    `llmspell run --stream` of a script that prints a streamed answer of 200 chunks, over loopback HTTP,
              against minimal_httpx.py, which does the same; the floor's process stands beside them

Each round runs every subject once, the order turning with the rounds; a ratio is taken within a round, and the median
of the rounds' ratios is told. Peaks are the kernel's (see launcher.py). --check compares them with `/usr/bin/time -v`.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from harness import HERE, ROOT, Server, environment, of_medians, ratios, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["CHUNKS", "Launcher", "Rounds", "Run", "command", "heavier", "hello", "in_turn", "main", "starts", "stream"]

CHUNKS = 200
MODEL = f"ready-{CHUNKS}"
HELLO = os.path.join(ROOT, "examples", "hello.lua")
STREAM = os.path.join(HERE, "print_stream.lua")
KERNEL_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes; what ru_maxrss counts in


class Run(NamedTuple):
    """One process, from its spawn to its end. milliseconds, of the clock and of CPU; its peak in MB (10⁶ bytes)."""

    milliseconds: float
    cpu: float
    megabytes: float


class Launcher:
    """launcher.py, running, with the environment that its children see."""

    def __init__(self, env: Mapping[str, str], folder: str) -> None:
        self._env, self._folder = dict(env), folder

    def __enter__(self) -> Launcher:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.join(HERE, "launcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
            cwd=self._folder,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=30)

    def run(self, words: Sequence[str], *, output: str = os.devnull, times: int = 1) -> Run:
        """Runs a program *times* times, one after the other. RuntimeError where it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\0".join([output, str(times), *words]).encode() + b"\n")
        self._process.stdin.flush()
        nanoseconds, microseconds, peak, code = map(int, self._process.stdout.readline().split())
        if code:
            raise RuntimeError(f"exit code {code}: {' '.join(words)}")
        return Run(nanoseconds / 1e6, microseconds / 1e3, peak * KERNEL_UNIT / 1e6)

    def output(self, words: Sequence[str]) -> str:
        """What a program writes to standard output."""
        path = os.path.join(self._folder, "output")
        self.run(words, output=path)
        with open(path, encoding="utf-8") as file:
            return file.read()


class Rounds(NamedTuple):
    """What was measured: for each round, subject to value."""

    wall: list[dict[str, float]]
    cpu: list[dict[str, float]]
    peak: list[dict[str, float]]


def command() -> str:
    """The installed command."""
    return os.path.join(sysconfig.get_path("scripts"), "llmspell")


def in_turn(launcher: Launcher, subjects: Mapping[str, Sequence[str]], rounds: int, times: Mapping[str, int]) -> Rounds:
    """Runs each subject once a round, the order turning. times: how often those it names are run for one."""
    told = Rounds([], [], [])
    names = list(subjects)
    for number in range(rounds):
        wall: dict[str, float] = {}
        cpu: dict[str, float] = {}
        peak: dict[str, float] = {}
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            wall[name], cpu[name], peak[name] = launcher.run(subjects[name], times=times.get(name, 1))
        told.wall.append(wall)
        told.cpu.append(cpu)
        told.peak.append(peak)
    return told


def heavier(script: str, megabytes: float, folder: str) -> str:
    """The same script with so much of ballast in its Lua heap, to see the memory's line fail."""
    if megabytes <= 0:
        return script
    with open(script, encoding="utf-8") as file:
        text = file.read()
    path = os.path.join(folder, "heavier.lua")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'local ballast = string.rep("x", {round(megabytes * 1e6)})\n{text}\nreturn #ballast > 0\n')
    return path


def hello(url: str, rounds: int, *, times: float = 1.0, weight: float = 0.0) -> Rounds:
    """Subjects `pass` and `llmspell`. times, rounded up: runs of the command for one; weight: MB of ballast."""
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url), home) as launcher:
        subjects = {
            "pass": [sys.executable, "-c", "pass"],
            "llmspell": [command(), "run", heavier(HELLO, weight, home)],
        }
        if not launcher.output(subjects["llmspell"]).startswith("Hello from llmspell"):
            raise RuntimeError("hello.lua does not say hello")
        for words in subjects.values():  # writes bytecode, and warms what the system keeps of files
            launcher.run(words)
        return in_turn(launcher, subjects, rounds, {"llmspell": math.ceil(times)})


#: What is started without a script: a subject's name, and the command's words.
STARTS = {"version": ["--version"], "help": ["--help"], "tab": ["__complete", "bash", "llmspell run --mod"]}


def starts(url: str, rounds: int, *, times: Mapping[str, float] | None = None) -> Rounds:
    """Subjects `pass` and those of STARTS. times: as `hello` has it, by subject."""
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url), home) as launcher:
        subjects = {"pass": [sys.executable, "-c", "pass"]}
        subjects |= {name: [command(), *words] for name, words in STARTS.items()}
        begun = {name: launcher.output(words).split("\n")[0] for name, words in subjects.items()}
        if not (begun["version"].startswith("llmspell ") and begun["help"].startswith("Usage:") and begun["tab"]):
            raise RuntimeError("a command does not say what it should")
        return in_turn(launcher, subjects, rounds, {name: math.ceil(count) for name, count in (times or {}).items()})


def stream(url: str, rounds: int, *, times: float = 1.0, weight: float = 0.0) -> Rounds:
    """Subjects `httpx`, `floor` and `llmspell`; see `hello`."""
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url), home) as launcher:
        script = heavier(STREAM, weight, home)
        subjects = {
            "httpx": [sys.executable, os.path.join(HERE, "minimal_httpx.py"), url, MODEL],
            "floor": [sys.executable, os.path.join(HERE, "floor.py"), url, MODEL],
            "llmspell": [command(), "run", "--stream", script, "--", MODEL],
        }
        texts = {name: launcher.output(words) for name, words in subjects.items()}
        if not texts["floor"] or len({text.strip() for text in texts.values()}) != 1:
            raise RuntimeError("the subjects did not print the same answer")
        return in_turn(launcher, subjects, rounds, {"llmspell": math.ceil(times)})


def _check(url: str) -> str:
    """The peak of one process as this file measures it, and as GNU time does."""
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url), home) as launcher:
        words = [command(), "run", "--stream", STREAM, "--", MODEL]
        launcher.run(words)
        ours = launcher.run(words).megabytes
        smallest = launcher.run(["/bin/true"]).megabytes
        timed = subprocess.run(
            ["/usr/bin/time", "-v", *words], capture_output=True, text=True, check=True, env=environment(home, url)
        )
    found = re.search(r"Maximum resident set size \(kbytes\): (\d+)", timed.stderr)
    theirs = int(found[1]) * 1024 / 1e6 if found else math.nan
    return (
        f"peak of one stream: {ours:.2f} MB here, {theirs:.2f} MB by time -v; least that can be told {smallest:.2f} MB"
    )


def rows(what: str, told: Rounds, base: str) -> list[list[str]]:
    """Lines of the table."""
    made = []
    for name in told.wall[0]:
        spread = ratios(told.wall, name, base)
        made.append(
            [
                f"{what} {name}",
                f"{of_medians(told.wall, name):.1f}",
                f"{spread.median:.2f}",
                f"{spread.low:.2f} – {spread.high:.2f}",
                f"{of_medians(told.peak, name):.1f}",
            ]
        )
    return made


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="wall time and peak memory of whole processes")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--check", action="store_true", help="compare the peak with /usr/bin/time -v")
    options = parser.parse_args()
    with Server() as server:
        if options.check:
            print(_check(server.url))
            return
        lines = [["", "ms", "× base", "middle half", "peak MB"]]
        lines += rows("hello", hello(server.url, options.rounds), "pass")
        lines += rows("start", starts(server.url, options.rounds), "pass")
        lines += rows("stream", stream(server.url, options.rounds), "httpx")
    print(table(lines))
    print("budgets: hello 2.2 × and 16 MB, version 1.3 ×, a Tab 1.5 ×, help 12 ×, stream 1.0 × and 32 MB")


if __name__ == "__main__":
    main()
