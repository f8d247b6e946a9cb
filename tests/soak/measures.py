"""What a process holds, counted at moments at which nothing runs, and whether any of it grows.

A count is compared by its slope over all of those moments (Theil and Sen: the median of the slopes of all pairs), so
that neither one high value nor a low one at the start makes a growth or hides one.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import threading
from array import array
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["COUNTS", "Growth", "Series", "children", "counted", "growth_of", "is_state", "processor_seconds", "slope"]

#: What is counted besides memory, and how much of a growth over the whole, by the slope, is none.
COUNTS: dict[str, float] = {
    "sockets": 1.5,
    "files": 1.5,
    "pipes": 1.5,
    "other descriptors": 1.5,
    "threads": 1.5,
    "tasks": 1.5,
    "children": 1.5,
    "timers": 1.5,
    "temporary files": 1.5,
    "Lua states": 1.5,
    "generators": 1.5,
}
#: Types of objects that are looked at one by one are those with more than so many; a growth below it is none either.
MOST_OBJECTS = 150
OF_A_MODULE = 100  # objects of one type that an import brings: some are late
CLOCK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLED = 60  # of a series, for the slope: pairs are counted by the square


class Growth(NamedTuple):
    """name: of what. first, last: as measured. grown: by the slope. allowed: what is no growth."""

    name: str
    first: float
    last: float
    grown: float
    allowed: float

    @property
    def failed(self) -> bool:
        """Whether it is one."""
        return self.grown > self.allowed and self.last > self.first

    def __str__(self) -> str:
        return f"{self.name}: {self.first:.10g} → {self.last:.10g}, {self.grown:+.1f} by the slope"


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The median slope of all pairs; 0 of fewer than two."""
    step = max(1, len(times) // SAMPLED)
    points = list(zip(times, values, strict=True))[::step]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :] if b[0] > a[0]]
    return median(slopes) if slopes else 0.0


def growth_of(name: str, times: Sequence[float], values: Sequence[float], allowed: float) -> Growth:
    """What a series says."""
    span = times[-1] - times[0] if times else 0.0
    ends = (values[0], values[-1]) if values else (0.0, 0.0)
    return Growth(name, *ends, slope(times, values) * span, allowed)


# ---- counting


def _links() -> list[str]:
    told = []
    for name in os.listdir("/proc/self/fd"):
        try:
            told.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue  # the one that lists them
    return told


def children(pid: int | None = None) -> list[int]:
    """Processes that this one has started and that have not ended, or not been waited for."""
    told: list[int] = []
    folder = f"/proc/{pid or 'self'}/task"
    for thread in os.listdir(folder):
        try:
            with open(f"{folder}/{thread}/children", encoding="ascii") as file:
                told += map(int, file.read().split())
        except OSError:
            continue
    return told


def _lines(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return sum(line.startswith("ID:") for line in file)
    except OSError:
        return 0


def resident() -> float:
    """MB of this process that are in memory, after what is free was given back."""
    _trim()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE / 1e6


def _trim() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return  # another C library


def processor_seconds(pids: Iterable[int]) -> float:
    """What this process, those children of it that have ended, and those processes have used of a processor."""
    own = os.times()
    used = own.user + own.system + own.children_user + own.children_system
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        used += (int(fields[11]) + int(fields[12])) / CLOCK
    return used


def counted(folder: str) -> tuple[dict[str, float], Counter[str]]:
    """Everything of COUNTS, and `memory`, `blocks`; and how many objects there are of each type.

    To be called on the event loop, with nothing running on it but the caller.
    """
    for _ in range(3):
        gc.collect()
    links = _links()
    kinds = Counter(
        "sockets"
        if one.startswith("socket:")
        else "pipes"
        if one.startswith("pipe:")
        else "files"
        if one.startswith("/") and not one.startswith("/dev/")
        else "other descriptors"
        for one in links
    )
    objects: Counter[str] = Counter(_name(type(one)) for one in gc.get_objects())
    told: dict[str, float] = {name: kinds[name] for name in ("sockets", "files", "pipes", "other descriptors")}
    told["threads"] = max(len(os.listdir("/proc/self/task")), threading.active_count())
    told["tasks"] = len(asyncio.all_tasks())
    told["children"] = len(children())
    told["timers"] = _lines("/proc/self/timers")
    told["temporary files"] = sum(len(files) + len(folders) for _, folders, files in os.walk(folder))
    told["Lua states"] = sum(map(is_state, map(type, gc.get_objects())))
    told["generators"] = objects["builtins.generator"] + objects["builtins.coroutine"]
    told["generators"] += objects["builtins.async_generator"]
    told["modules"] = len(sys.modules)
    told["memory"] = resident()
    told["blocks"] = sys.getallocatedblocks()
    return told, objects


def is_state(kind: type) -> bool:
    """Whether objects of a type are each a Lua state."""
    return kind.__name__ == "Engine" and kind.__module__.startswith("llmspell._speedups.")


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


class Series:
    """All that was counted, moment by moment. warm: index of the first moment that counts."""

    def __init__(self) -> None:
        self.times = array("d")
        self.values: dict[str, array[float]] = {}
        self.objects: dict[str, array[float]] = {}
        self.warm = 0

    def add(self, at: float, values: dict[str, float], objects: Counter[str]) -> None:
        """at: seconds from the start."""
        for table, told in ((self.values, values), (self.objects, objects)):
            for name in told:
                if name not in table:
                    table[name] = array("d", bytes(8 * len(self.times)))
            for name, kept in table.items():
                kept.append(told.get(name, 0))
        self.times.append(at)

    def of(self, name: str) -> tuple[array[float], array[float]]:
        """The warm part of one."""
        table = self.values if name in self.values else self.objects
        return self.times[self.warm :], table[name][self.warm :]

    def growths(self, memory: float) -> list[Growth]:
        """Of everything. memory: MB that are no growth."""
        told = [growth_of("memory", *self.of("memory"), memory)]
        told.append(growth_of("blocks", *self.of("blocks"), memory * 1e6 / 128))
        told += [growth_of(name, *self.of(name), allowed) for name, allowed in COUNTS.items()]
        modules = self.of("modules")[1]
        allowed = MOST_OBJECTS + OF_A_MODULE * (modules[-1] - modules[0])
        for name, kept in self.objects.items():
            if max(kept) > MOST_OBJECTS:
                told.append(growth_of(name, *self.of(name), allowed))
        return told
