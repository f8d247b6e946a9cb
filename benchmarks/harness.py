"""What the measures share: the server, the environment of measured processes, rounds, medians and tables."""

from __future__ import annotations

import gc
import math
import os
import random
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from llmspell.config.loader import Config
    from llmspell.providers.manager import ProviderManager

__all__ = [
    "HERE",
    "TWINS",
    "Push",
    "Server",
    "Spread",
    "engine_module",
    "environment",
    "interleaved",
    "manager",
    "of_medians",
    "plain_config",
    "ratios",
    "table",
    "times_over",
    "under",
]

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TWINS = {"compiled": "_lua_c", "pure": "_lua_py"}  # of the Lua engine

#: Names of lines to factors: by how much a measured subject's work is multiplied, to see the gate fail.
Push = dict[str, float]


class Server:
    """server.py, running. port: where; url: the base address for a client."""

    port = 0

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            [sys.executable, "-I", os.path.join(HERE, "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server did not start")
        self.port = int(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)  # its standard input ends, and with it the server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def environment(home: str, url: str) -> dict[str, str]:
    """What a measured process sees: no setting of the person's who measures, and bytecode that is kept in *home*.

    An editable checkout may have no bytecode, or be told to write none, where an installed package always has it: all
    measured processes keep theirs in one place of their own, written by a first run that is not counted.
    """
    keep = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "LLMSPELL_NO_EXTENSIONS")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    return kept | {
        "HOME": home,
        "PYTHONPYCACHEPREFIX": os.path.join(home, "bytecode"),
        "LLMSPELL_PROVIDERS__BENCH__TYPE": "openai",
        "LLMSPELL_PROVIDERS__BENCH__BASE_URL": url,
    }


def manager(url: str) -> ProviderManager:
    """Providers with `bench`: the server at *url*."""
    from llmspell.providers.manager import ProviderManager

    return ProviderManager({"bench": {"type": "openai", "base_url": url}}, env={})


def plain_config() -> Config:
    """The built-in configuration: nothing of the person's who measures."""
    from llmspell.config.loader import load

    return load(script_dir=None, config_file=None, env={}, flags={})


def engine_module(twin: str) -> Any:
    """The module of one of TWINS. Raises ImportError where it is not built."""
    return import_module(f"llmspell._speedups.{TWINS[twin]}")


@contextmanager
def under(twin: str) -> Iterator[None]:
    """Runtimes made within have the engine of that twin, whichever the chooser took for this process."""
    run: Any = import_module("llmspell.bridge.run")
    usual = run.Engine
    run.Engine = engine_module(twin).Engine
    try:
        yield
    finally:
        run.Engine = usual


def times_over(work: Callable[[], Any], times: float) -> Callable[[], None]:
    """*work*, really done so many times, rounded up."""

    def done() -> None:
        for _ in range(math.ceil(times)):
            work()

    return done


def interleaved(
    subjects: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    items: float = 1.0,
    clock: Callable[[], int] = time.process_time_ns,
) -> list[dict[str, float]]:
    """Each round's microseconds of this process's CPU an item, by subject. clock: another one's, in nanoseconds.

    Each round runs all of them in an order that is drawn anew, garbage collected before each; what other processes do
    meanwhile is not counted, though caches are shared. A first round, which warms up, is not told.
    """
    draw = random.Random(4)
    names = list(subjects)
    told: list[dict[str, float]] = []
    for _ in range(rounds + 1):
        draw.shuffle(names)
        one: dict[str, float] = {}
        for name in names:
            gc.collect()
            before = clock()
            subjects[name]()
            one[name] = (clock() - before) / items / 1000
        told.append(one)
    return told[1:]


class Spread(NamedTuple):
    """A median and the range of the middle half."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        ordered = sorted(values)
        quarter = len(ordered) // 4
        return cls(median(ordered), ordered[quarter], ordered[-1 - quarter])


def ratios(rounds: Sequence[Mapping[str, float]], subject: str, base: str) -> Spread:
    """*subject* to *base*, the median of each round's ratio: what slows a machine down slows both of one round."""
    return Spread.of([one[subject] / one[base] for one in rounds])


def of_medians(rounds: Sequence[Mapping[str, float]], subject: str) -> float:
    """The median over rounds."""
    return median(one[subject] for one in rounds)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns; the first column is left-aligned, the last too, the others right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    lines = []
    for row in rows:
        cells = [
            cell.ljust(w) if i in (0, last) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
