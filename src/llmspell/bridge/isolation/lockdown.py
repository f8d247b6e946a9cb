"""What a worker gives up before it runs a stranger's script, and how it ends when its host does.

This is no sandbox of the operating system's: a script that took over the interpreter would still run as the host's
user. It keeps accidents small, and makes such a script's next step harder.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Memory", "close_doors", "die_with", "environment"]

#: All of the host's environment that a worker sees: what Python needs to start, and how text and time are shown.
KEPT = (
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "LLMSPELL_NO_EXTENSIONS",
    "TZ",
)

ROOM = 1 << 30  # bytes of address space beside a script's own memory: Python, and values on their way out


def environment(host: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment."""
    return {name: host[name] for name in KEPT if name in host}


def die_with(lifeline: int) -> None:
    """Has the kernel kill this process when the last other end of a pipe is closed: as soon as its host is gone.

    Whatever this process is in the middle of: the thread that reads the pipe which interrupts sees its end, too, but
    has to wait for Python's lock. (PR_SET_PDEATHSIG would do it already when the host's *thread* ends that started
    this process.) Where it cannot be had, that thread has to do.
    """
    try:
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, 9)  # type: ignore[attr-defined,unused-ignore]
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    except (ImportError, AttributeError, OSError):
        return


def close_doors() -> None:
    """From here on this process opens nothing, writes no file, starts no process, and leaves no core.

    Everything that an engine reads must have been read before.
    """
    time.localtime()  # reads the zone
    import resource

    free = os.dup(0)  # the lowest: what is open above it stays open
    os.close(free)
    for name, most in (("CORE", 0), ("FSIZE", 0), ("NPROC", 0), ("NOFILE", free)):
        kind = getattr(resource, "RLIMIT_" + name, None)
        if kind is None:
            continue
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):  # this system has no such limit, or a lower one
            continue


class Memory:
    """This process's own memory: how much it is, and how much it may become. Only where Linux tells of it."""

    def __init__(self) -> None:
        try:
            self._fd: int | None = os.open("/proc/self/statm", os.O_RDONLY)
        except OSError:
            self._fd = None
        self._page = os.sysconf("SC_PAGE_SIZE")

    def _read(self, field: int) -> int:
        if self._fd is None:
            return 0
        return int(os.pread(self._fd, 200, 0).split()[field]) * self._page

    @property
    def resident(self) -> int:
        """Bytes."""
        return self._read(1)

    def bound(self, script: int) -> None:
        """Lets the address space grow by what a script of *script* bytes may need; 0 is without limit.

        A backstop behind the engine's own limit, for the copies that values are on their way.
        """
        import resource

        if self._fd is None:
            return
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = self._read(0) + script + ROOM if script else resource.RLIM_INFINITY
        if hard != resource.RLIM_INFINITY and (most == resource.RLIM_INFINITY or most > hard):
            most = hard
        try:
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        except (OSError, ValueError):
            return
