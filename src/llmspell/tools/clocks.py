"""Time limits of tools that stand still while a person is asked: how long that takes is nobody's fault."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["standing_still", "within"]

_running: ContextVar[tuple[asyncio.Timeout, ...]] = ContextVar("running", default=())  # of what runs here


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
    """`asyncio.timeout`, but for the time that is spent in `standing_still`."""
    async with asyncio.timeout(seconds) as limit:
        token = _running.set((*_running.get(), limit))
        try:
            yield limit
        finally:
            _running.reset(token)


@contextmanager
def standing_still() -> Iterator[None]:
    """No time passes for the limits that this is within."""
    begun = asyncio.get_running_loop().time()
    held = [(limit, limit.when()) for limit in _running.get() if not limit.expired()]
    for limit, _ in held:
        limit.reschedule(None)
    try:
        yield
    finally:
        spent = asyncio.get_running_loop().time() - begun
        for limit, when in held:
            if when is not None and not limit.expired():
                limit.reschedule(when + spent)
