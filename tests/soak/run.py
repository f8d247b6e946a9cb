"""The soak: jobs drawn by chance, several at once, at a share of a processor, with a count of all that is held."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import tracemalloc
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from soak.jobs_calls import CALLS
from soak.jobs_hosts import HOSTS
from soak.jobs_scripts import SCRIPTS
from soak.leaks import LEAKS
from soak.measures import Series, children, counted, processor_seconds
from soak.report import Report, progress
from soak.watching import Unheard, Watchdog
from soak.world import World

if TYPE_CHECKING:
    from soak.world import Told

__all__ = ["JOBS", "Options", "Soak", "soak"]

JOBS: dict[str, tuple[Any, int]] = {**CALLS, **SCRIPTS, **HOSTS}
LANES = 8  # jobs at once
BEHIND = 1.0  # seconds of a processor that are made up for; what was lost in waits beyond that is lost
SETTLE = 5.0  # seconds that what was abandoned has to end by itself
STILL = 1.0  # seconds without an end of any of it, after which it is taken to stay
STILL = 0.5  # seconds without an end of any of it, after which it is taken to stay
MOST_FAILURES = 20  # that end the soak


class Options(NamedTuple):
    """How a soak is run.

    seconds: of the whole. load: share of one processor. seed: of the choice of jobs. every: seconds between two counts.
    warm: share of the time before the first one that counts. memory: MB that are no growth. hang: seconds of one job.
    weights: a file for the embedded model, or None. jobs: names of those to draw; all without. leaks: names of leaks
    that are made on purpose, with each job. trace: whether it is said where memory grew, which takes twice the time.
    """

    seconds: float
    load: float = 0.4
    seed: int = 0
    every: float = 60.0
    warm: float = 0.15
    memory: float = 4.0
    hang: float = 60.0
    weights: str | None = None
    jobs: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    trace: bool = False


class Soak:
    """One run. What has come so far is in `report`; `stop` ends it after the jobs that run."""

    def __init__(self, options: Options, world: World) -> None:
        self.options, self.world = options, world
        self.report = Report(options.seed)
        self.series = Series()
        self._began = self._paced_since = time.monotonic()
        self._used_before = self._used_since = processor_seconds(children())
        self._number = 0
        self._left = 1  # tasks that were there when nothing ran: this one
        self._traced: tracemalloc.Snapshot | None = None
        self._stopped = asyncio.Event()
        self._drawn = self._weights()
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._watchdog = Watchdog(options.hang, self._hung, self._give_up)

    def _weights(self) -> tuple[list[str], list[int]]:
        names = [name for name in JOBS if not self.options.jobs or name in self.options.jobs]
        if self.options.weights is None:
            names = [name for name in names if name != "embedded model"]
        return names, [JOBS[name][1] for name in names]

    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    # ---- its end

    def stop(self, by: str) -> None:
        """Ends it after the jobs that run. by: whose word it is."""
        self.report.stopped_by = self.report.stopped_by or by
        self._stopped.set()

    def _hung(self, name: str) -> None:
        self.report.fail(f"{name} hung")

        def end() -> None:
            self.stop("the watchdog")
            for task in self._running:
                task.cancel()

        self._loop.call_soon_threadsafe(end)

    def _give_up(self) -> None:
        self.report.measured(self.series, self.options, self.seconds())
        print(self.report.summary(), file=sys.stderr, flush=True)
        os._exit(1)

    # ---- its work

    async def run(self) -> None:
        """To the end of its time, or until it is stopped."""
        next_count = self._began + self.options.every
        while not self._over():
            lanes = [asyncio.create_task(self._lane(next_count)) for _ in range(LANES)]
            self._running.update(lanes)
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*lanes)
            self._running.clear()
            await self._settle()
            self._count()
            next_count = time.monotonic() + self.options.every
            print(progress(self.report, self.series, self.seconds(), self._share()), flush=True)
        self._watchdog.close()
        if where := self._where():
            print(where, flush=True)
        self.report.measured(self.series, self.options, self.seconds())

    def _over(self) -> bool:
        full = len(self.report.failures) >= MOST_FAILURES
        return self._stopped.is_set() or full or self.seconds() >= self.options.seconds

    async def _lane(self, until: float) -> None:
        end = min(until, self._began + self.options.seconds)
        while time.monotonic() < end and not self._stopped.is_set():
            if self._ahead():
                await asyncio.sleep(0.02)
                continue
            self._number += 1
            await self._job(self._number)

    def _ahead(self) -> bool:
        """Whether more of the processor was used than should have been."""
        now, used = time.monotonic(), processor_seconds(children())
        behind = (now - self._paced_since) * self.options.load - (used - self._used_since)
        if behind > BEHIND:
            self._paced_since, self._used_since = now - BEHIND / self.options.load, used
        return behind < 0

    def _share(self) -> float:
        return (processor_seconds(children()) - self._used_before) / max(self.seconds(), 1e-9)

    async def _job(self, number: int) -> None:
        dice = Random(f"{self.options.seed} {number}")
        names, weights = self._drawn
        name = names[number - 1] if number <= len(names) else dice.choices(names, weights)[0]  # each once, to begin
        title = f"job {number} ({name})"
        self._watchdog.begin(number, title)
        try:
            told: list[Told] = await JOBS[name][0](self.world, dice)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self.report.fail(f"{title}: {traceback.format_exc(limit=-6)}")
            return
        finally:
            self._watchdog.end(number)
        for leak in self.options.leaks:
            LEAKS[leak](self.world)
        self.report.take(name, title, told)

    async def _settle(self) -> None:
        """Waits until what was left alone has ended: tasks, but for this one, and connections."""
        await self.world.rest()
        until, left, since = time.monotonic() + SETTLE, 0, 0.0
        while (now := time.monotonic()) < until and (count := len(asyncio.all_tasks())) > self._left:
            if count != left:
                left, since = count, now
            elif now - since > STILL:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.05)
        self._left = len(asyncio.all_tasks())

    def _count(self) -> None:
        self.series.add(self.seconds(), *counted(self.world.folder))
        if self.seconds() < self.options.seconds * self.options.warm or self._number <= len(self._drawn[0]):
            self.series.warm = len(self.series.times)
        elif self.options.trace and not tracemalloc.is_tracing():
            tracemalloc.start(8)
            self._traced = tracemalloc.take_snapshot()

    def _where(self) -> str:
        """Where memory grew, since it counted; to be called when nothing runs."""
        if self._traced is None:
            return ""
        grown = tracemalloc.take_snapshot().compare_to(self._traced, "traceback")
        tracemalloc.stop()
        told: list[str] = []
        for one in grown[:8]:
            told += [f"{one.size_diff:+} B, {one.count_diff:+} blocks:", *one.traceback.format()]
        return "\n".join(told)


def certificate(folder: str) -> str:
    """A certificate for 127.0.0.1, made by openssl, with its key: one file."""
    path = os.path.join(folder, "server.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    with open(path, "ab") as both, open(f"{path}.crt", "rb") as one:
        both.write(one.read())
    return path


async def _within(options: Options, folder: str) -> Report:
    world = World(options.seed, folder, certificate(folder), options.weights)
    made = Soak(options, world)
    loop = asyncio.get_running_loop()
    watched = Unheard(made.report.fail)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, made.stop, number.name)
    try:
        await made.run()
    finally:
        made.report.asked, said = await world.aclose()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if said:
        made.report.fail(said)
    await made.report.left_behind()
    watched.close()
    return made.report


def soak(options: Options) -> Report:
    """Runs one, on an event loop of its own, and says what it came to."""
    from llmspell.bridge.runtime import _loop_factory

    kept = os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(_within(options, folder))
        finally:
            tempfile.tempdir = None
            os.environ.pop("TMPDIR")
            if kept is not None:
                os.environ["TMPDIR"] = kept
