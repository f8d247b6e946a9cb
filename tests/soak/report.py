"""What a soak came to: a line each minute, a table at the end, and the same as JSON."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from soak.measures import children, is_state

if TYPE_CHECKING:
    from soak.measures import Growth, Series
    from soak.run import Options
    from soak.world import Told

__all__ = ["Report", "progress"]

LOOKS = 40  # for what has yet to end
SHOWN = 4000  # characters of one failure
TOLD = ("memory", "sockets", "tasks", "threads", "files", "pipes", "children", "Lua states", "temporary files")


class Report:
    """Fills while the soak runs.

    failures: texts. growths: of what was counted. stopped_by: whose word ended it before its time, or "".
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.failures: list[str] = []
        self.jobs: Counter[str] = Counter()
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.faults: dict[str, Counter[str]] = defaultdict(Counter)
        self.streams = self.chunks = self.calls = 0
        self.asked: dict[str, int] = {}
        self.growths: list[Growth] = []
        self.moments: dict[str, dict[str, float]] = {}
        self.seconds = 0.0
        self.stopped_by = ""

    @property
    def failed(self) -> bool:
        """Whether anything was wrong."""
        return bool(self.failures) or any(growth.failed for growth in self.growths)

    def take(self, name: str, title: str, told: list[Told]) -> None:
        """What a job came to."""
        self.jobs[name] += 1
        for one in told:
            self.outcomes[name][one.outcome] += 1
            self.calls += 1
            self.streams += one.streams
            self.chunks += one.chunks
            if one.fault:
                self.faults[one.fault][one.outcome] += 1
            if one.outcome not in one.allowed:
                allowed = ", ".join(sorted(one.allowed)) or "nothing"
                self.fail(f"{title}: after `{one.fault}` came `{one.outcome}`, and may be: {allowed}")

    def fail(self, why: str) -> None:
        """Something is wrong: told at once, and at the end."""
        self.failures.append(why[:SHOWN])
        print(f"soak: {why[:SHOWN]}", file=sys.stderr, flush=True)

    def measured(self, series: Series, options: Options, seconds: float) -> None:
        """What the counts say."""
        self.seconds = seconds
        if len(series.times) - series.warm < 3:
            if not self.failures and seconds >= options.seconds:
                self.fail("there were too few counts to see a growth in: a longer soak, or a shorter `--every`")
            return
        self.growths = series.growths(options.memory)
        at = {"first": 0, "warm": series.warm, "last": len(series.times) - 1}
        five = [i for i, when in enumerate(series.times) if when >= 300]
        if five:
            at["five minutes"] = five[0]
        for name, index in at.items():
            values = {what: kept[index] for what, kept in series.values.items()}
            self.moments[name] = {"seconds": series.times[index], **values}

    async def left_behind(self) -> None:
        """What is there when all is closed and should not be."""
        await asyncio.get_running_loop().shutdown_default_executor()
        for _ in range(LOOKS):
            if len(asyncio.all_tasks()) == 1 and not children() and threading.active_count() == 1:
                break
            await asyncio.sleep(0.05)
        gc.collect()
        states = [one for one in gc.get_objects() if is_state(type(one))]
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        threads = [one for one in threading.enumerate() if one is not threading.main_thread()]
        for what, left in (
            ("tasks", tasks),
            ("threads", threads),
            ("child processes", children()),
            ("Lua states", states),
        ):
            if left:
                self.fail(f"{len(left)} {what} were left when all was closed: {left[:3]}")

    def summary(self) -> str:
        """For a person."""
        lines = [f"soak: seed {self.seed}, {self.seconds / 60:.1f} min, {sum(self.jobs.values())} jobs, "]
        lines[0] += f"{self.calls} calls and scripts, {self.streams} streams, {self.chunks} chunks"
        lines.append("requests: " + ", ".join(f"{name} {count}" for name, count in sorted(self.asked.items())))
        lines.append("\njobs, and what came of their parts")
        lines += [f"  {name:24}{count:7}  {_shares(self.outcomes[name])}" for name, count in self.jobs.most_common()]
        lines.append("\nfaults, and what came of them")
        lines += [
            f"  {name:24}{sum(kinds.values()):7}  {_shares(kinds)}" for name, kinds in sorted(self.faults.items())
        ]
        lines.append("\nheld while nothing runs")
        for name, values in self.moments.items():
            shown = ", ".join(f"{what} {values[what]:.10g}" for what in TOLD if what in values)
            lines.append(f"  {name} ({values['seconds'] / 60:.1f} min): {shown}")
        lines += [f"  growth of {growth}" for growth in self.growths if growth.name == "memory" or growth.failed]
        if self.failed:
            lines.append("\nFAILED")
            lines += [f"  {why}" for why in self.failures]
            lines += [f"  {growth}, of which {growth.allowed:.4g} may be" for growth in self.growths if growth.failed]
        else:
            lines.append("\nnothing was wrong")
        if self.stopped_by:
            lines[-1] += f"; stopped before its time by {self.stopped_by}"
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "stopped_by": self.stopped_by,
            "failed": self.failed,
            "failures": self.failures,
            "jobs": dict(self.jobs),
            "calls": self.calls,
            "streams": self.streams,
            "chunks": self.chunks,
            "requests": self.asked,
            "outcomes": {name: dict(kinds) for name, kinds in self.outcomes.items()},
            "faults": {name: dict(kinds) for name, kinds in self.faults.items()},
            "moments": self.moments,
            "growths": [{**growth._asdict(), "failed": growth.failed} for growth in self.growths],
        }


def _shares(kinds: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())


def progress(report: Report, series: Series, seconds: float, share: float) -> str:
    """One line."""
    values = {name: kept[-1] for name, kept in series.values.items()}
    told = ", ".join(f"{values[name]:.0f} {name}" for name in TOLD[1:] if values.get(name))
    return (
        f"{seconds / 60:6.1f} min  {sum(report.jobs.values()):6} jobs  {report.streams:6} streams  "
        f"{share:.2f} of a processor  {values['memory']:.1f} MB  {told}"
        + (f"  {len(report.failures)} FAILURES" if report.failures else "")
    )
