"""The machine, as far as this process may use it: in a container, what that was given."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Memory", "System", "Terminal", "cores", "memory", "system", "terminal"]

_CGROUPS = "/sys/fs/cgroup"


class Memory(NamedTuple):
    """Bytes. total: what there is, or what the container may have; available: what of it is free to be taken. None is
    unknown."""

    total: int | None
    available: int | None


class Terminal(NamedTuple):
    """A stream's terminal. colour: whether it is to have colours; unicode: whether its encoding has all characters."""

    columns: int
    rows: int
    is_terminal: bool
    colour: bool
    unicode: bool


class System(NamedTuple):
    """What runs here. platform: "linux", "darwin", "win32" …; machine: "x86_64" …"""

    platform: str
    machine: str
    release: str
    python: str
    implementation: str
    cores: float
    memory: Memory


def _text(path: str) -> str:
    """What a file of the kernel's says; nothing where there is none."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _groups(controller: str) -> list[str]:
    """The folders of this process's cgroup and those above it, of version 2, then of version 1."""
    told: list[str] = []
    for line in _text("/proc/self/cgroup").splitlines():
        _, names, path = (*line.split(":", 2), "", "")[:3]
        root = _CGROUPS if not names else os.path.join(_CGROUPS, names)
        if not names or controller in names.split(","):
            parts = [part for part in path.split("/") if part and part != ".."]
            told += [os.path.join(root, *parts[:count]) for count in range(len(parts), -1, -1)]
    return told or [_CGROUPS]


def cores() -> float:
    """Processors that this process may use at once: those that it may run on, and no more than its container's share,
    which may be a fraction."""
    try:
        there = float(len(os.sched_getaffinity(0)))
    except AttributeError:  # macOS, Windows
        there = float(os.cpu_count() or 1)
    for folder in _groups("cpu"):
        quota, _, period = _text(os.path.join(folder, "cpu.max")).partition(" ")
        if not quota:
            quota = _text(os.path.join(folder, "cpu.cfs_quota_us"))
            period = _text(os.path.join(folder, "cpu.cfs_period_us"))
        if quota.strip().isdigit() and period.strip().isdigit() and int(period):
            there = min(there, int(quota) / int(period))
    return there


def memory() -> Memory:
    """What there is, the container's limits counted in."""
    facts = {}
    for line in _text("/proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdigit():
            facts[name] = int(number[0]) * 1024
    total, available = facts.get("MemTotal"), facts.get("MemAvailable")
    if total is None:
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return Memory(None, None)
    for folder in _groups("memory"):
        most = _number(folder, "memory.max", "memory.limit_in_bytes")
        if most is None or most >= total:
            continue
        total = most
        used = _number(folder, "memory.current", "memory.usage_in_bytes")
        if used is not None:
            free = max(0, most - used)
            available = free if available is None else min(available, free)
    return Memory(total, available if available is None else min(available, total))


def _number(folder: str, *names: str) -> int | None:
    for name in names:
        text = _text(os.path.join(folder, name)).strip()
        if text.isdigit():
            return int(text)
    return None


def terminal(stream: TextIO | None = None) -> Terminal:
    """Of a text stream, standard output where none is named. NO_COLOR, FORCE_COLOR and TERM=dumb are obeyed."""
    from shutil import get_terminal_size

    out = sys.stdout if stream is None else stream
    try:
        shown = bool(out.isatty())
    except (AttributeError, ValueError):
        shown = False
    columns, rows = get_terminal_size()
    dumb = os.environ.get("TERM", "") in ("dumb", "unknown")
    colour = not os.environ.get("NO_COLOR") and (bool(os.environ.get("FORCE_COLOR")) or (shown and not dumb))
    encoding = str(getattr(out, "encoding", None) or "ascii").lower().replace("-", "").replace("_", "")
    return Terminal(columns, rows, shown, colour, encoding.startswith(("utf", "ucs")))


def system() -> System:
    """All of it."""
    import platform

    version = ".".join(map(str, sys.version_info[:3]))
    return System(
        sys.platform, platform.machine(), platform.release(), version, sys.implementation.name, cores(), memory()
    )
