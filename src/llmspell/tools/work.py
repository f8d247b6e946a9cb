"""Computing that may take a while: it does not hold up the event loop, and nobody has to wait for its end.

A thread cannot be stopped. So these have threads of their own, which do not keep a run, or the process, from its end:
the loop's own would have to come to theirs first.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMPUTING", "MAX_INPUT", "SMALL", "WAITING", "in_thread", "worked"]

MAX_INPUT = 10 * 1024 * 1024  # characters or bytes of what a tool is given to work on
SMALL = 32 * 1024  # of that, what is done at once
COMPUTING = 4  # threads at once in which Python computes: each of them slows down all others, and the loop
WAITING = 64  # threads at once of functions that may as well wait for something

T = TypeVar("T")

_places: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, asyncio.Semaphore]] = WeakKeyDictionary()


async def worked(size: int, function: Callable[..., T], *args: Any) -> T:
    """*function* of *args*; in a thread where *size*, of what it works on, is more than SMALL.

    A thread cannot be stopped, so the function's own time must be bounded.
    """
    if size <= SMALL:
        return function(*args)
    return await in_thread(COMPUTING, function, *args)


async def in_thread(most: int, function: Callable[..., T], /, *args: Any, **named: Any) -> T:
    """*function* of *args*, in a thread. StopIteration, which a future cannot hold, comes as RuntimeError.

    most: COMPUTING or WAITING. Cancelled, it leaves the function to its end, and that keeps its place until then.
    """
    loop, context = asyncio.get_running_loop(), copy_context()
    places = _places.setdefault(loop, {}).setdefault(most, asyncio.Semaphore(most))
    await places.acquire()
    outcome: asyncio.Future[T] = loop.create_future()

    def tell(error: BaseException | None, value: Any) -> None:
        places.release()
        if outcome.done():  # its caller has gone
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(value)

    def work() -> None:
        error: BaseException | None = None
        value = None
        try:
            value = context.run(function, *args, **named)
        except StopIteration as stop:
            error = RuntimeError("StopIteration was raised")
            error.__cause__ = stop
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(tell, error, value)
        except RuntimeError:  # the loop is closed
            return

    try:
        Thread(target=work, name="llmspell-tool", daemon=True).start()
    except RuntimeError:  # there are too many
        places.release()
        raise
    return await outcome
