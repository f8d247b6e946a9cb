"""Measures whether the process grows while something is done over and over. The scripts beside this one use it.

They end with 0 where the process stays flat and with 1 where it grows; what was measured is one line of JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell._speedups import choice
from llmspell.bridge.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_GROWTH", "Host", "flat", "resident"]

MOST_GROWTH = 400_000  # bytes: a hundred for each of 4,000 crossings. DESIGN.md, "Budgets", allows 2 MB for a million
ROUNDS, WARM = 5, 2  # the first warm up: what is kept once and for all is kept by then
COLLECTIONS = 10  # a round, of Python's cyclic garbage

PRELUDE = b"""
local host = ...
local public = host.public
pcall, xpcall, setmetatable = public.pcall, public.xpcall, setmetatable
for _, name in ipairs { "create", "wrap", "resume", "yield", "status", "close", "running", "isyieldable" } do
  coroutine[name] = public[name]
end
ask, call = host.ask, host.call
"""


class Host:
    """An engine and a host that answers it: `give` makes the answer, which may be an exception to be raised."""

    def __init__(self, give: Callable[[], Any] = lambda: None, **options: Any) -> None:
        self.give = give
        self.engine = Engine(self._ask, lambda fd, data: True, self._fields, **options)
        self.engine.start(PRELUDE)

    def _ask(self, op: str, args: list[Any]) -> Any:
        answer = self.give()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @staticmethod
    def _fields(error: BaseException) -> dict[str, Any]:
        return {"kind": "validation", "message": str(error), "retryable": False}

    def start(self, text: str) -> tuple[int, tuple[Any, ...]]:
        """A new main fiber and its first outcome."""
        fiber = self.engine.load(text.encode(), b"@leak.lua")
        return fiber, self.engine.resume(fiber, None, [])


def resident() -> int:
    """Bytes of this process that are in memory; where the system does not tell, the most that ever were."""
    for _ in range(2):
        gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator holds in reserve is no leak
    except (AttributeError, OSError, TypeError):
        pass
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def flat(once: Callable[[], object], times: int, each: int = 1, *, most: int = MOST_GROWTH) -> None:
    """Calls *once*, which makes *each* crossings, for *times* crossings after a warm-up; ends the process.

    A leak of most / times bytes a crossing is seen.
    """
    calls = -(-times // each // (ROUNDS - WARM))
    began = monotonic()
    gc.disable()  # else how much garbage is waiting when the process is measured depends on the moment
    sizes = []
    for _ in range(ROUNDS):
        for done in range(calls):
            once()
            if done % max(calls // COLLECTIONS, 1) == 0:
                gc.collect()
        sizes.append(resident())
    told = {
        "crossings": calls * each * (ROUNDS - WARM),
        "grown": sizes[-1] - sizes[WARM - 1],
        "most": most,
        "sizes": sizes,
        "seconds": round(monotonic() - began, 2),
        "twin": choice("lua"),
    }
    print(json.dumps(told))
    sys.exit(0 if told["grown"] < most else 1)
