"""Computing that may take a while: it does not hold up the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_INPUT", "SMALL", "in_thread", "worked"]

MAX_INPUT = 10 * 1024 * 1024  # characters or bytes of what a tool is given to work on
SMALL = 32 * 1024  # of that, what is done at once

T = TypeVar("T")


async def worked(size: int, function: Callable[..., T], *args: Any) -> T:
    """*function* of *args*; in a thread where *size*, of what it works on, is more than SMALL.

    A thread cannot be stopped, so the function's own time must be bounded.
    """
    if size <= SMALL:
        return function(*args)
    return await in_thread(function, *args)


async def in_thread(function: Callable[..., T], /, *args: Any, **named: Any) -> T:
    """*function* of *args*, in a thread. StopIteration, which a future cannot hold, comes as RuntimeError."""
    import asyncio

    def work() -> T:
        try:
            return function(*args, **named)
        except StopIteration as error:
            raise RuntimeError("StopIteration was raised") from error

    return await asyncio.to_thread(work)
