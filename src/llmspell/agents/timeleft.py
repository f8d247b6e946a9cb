"""The seconds of one whole call, where it takes several requests: other models, a repair."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall

__all__ = ["TimeLeft"]


class TimeLeft:
    """What is left of *timeout* seconds, which count from `begin`; None or 0 is without end."""

    __slots__ = ("_ends", "_timeout")

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout or None
        self._ends: float | None = None

    def begin(self) -> None:
        """The call begins."""
        if self._timeout is not None:
            self._ends = asyncio.get_running_loop().time() + self._timeout

    def seconds(self) -> float | None:
        """What the next request has; None where there is no end."""
        return None if self._ends is None else max(self._ends - asyncio.get_running_loop().time(), 0.001)

    def of(self, call: ModelCall) -> ModelCall:
        """*call*, with what it has."""
        seconds = self.seconds()
        return call if seconds is None else call._replace(timeout=seconds)
