"""Operations that are done again, in time, or many at once.

Again: what failed in a way that may pass, bounded in number and time, and spread out. The arithmetic is that of
`_speedups` (backoff, decide); here are the clock, the sleep and the chance.
"""

from __future__ import annotations

import asyncio
from os import urandom
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from llmspell._speedups import decide
from llmspell.errors import LLMSpellError, ValidationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping
    from typing import Any

__all__ = ["Clock", "RetryPolicy", "buffered", "concurrent_map", "retry_async", "timeout_with_default"]

T = TypeVar("T")
U = TypeVar("U")


class RetryPolicy(NamedTuple):
    """How often and how long.

    attempts: in all, 1 is no retry. base: seconds, the most of the first wait; it doubles with each. max: seconds of
    one wait at most; a service that asks for more is not waited for. budget: seconds in which all waits must lie,
    counted from the first attempt; 0 is no bound.
    """

    attempts: int = 4
    base: float = 0.5
    max: float = 30.0
    budget: float = 60.0

    @classmethod
    def of(cls, given: Mapping[str, Any] | int | None, base: RetryPolicy | None = None) -> RetryPolicy:
        """*given* over *base*: a table of fields, or a number of attempts. Raises ValidationError."""
        base = base or cls()
        if given is None:
            return base
        if isinstance(given, int) and not isinstance(given, bool):
            given = {"attempts": given}
        if isinstance(given, int) or not hasattr(given, "items"):
            raise ValidationError("`retry` is a number of attempts, or attempts, base, max and budget")
        for name, value in given.items():
            if name not in cls._fields:
                raise ValidationError(f"`retry` has no field `{name}`", hint=f"it takes {', '.join(cls._fields)}")
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
            if name == "attempts":
                good = type(value) is int and 1 <= value <= 100
            if not good:
                what = "a whole number from 1 to 100" if name == "attempts" else "a number of seconds"
                raise ValidationError(f"`retry.{name}` must be {what}")
        return base._replace(**given)


class Clock(NamedTuple):
    """Where time and chance come from, so that they can come from elsewhere.

    now: seconds, monotonic. sleep: waits so many. chance: a number from 0 to 1, evenly drawn.
    """

    now: Callable[[], float] = monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    chance: Callable[[], float] = lambda: int.from_bytes(urandom(6)) / 2**48  # the module `random` is slow to import


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, LLMSpellError) and error.retryable


async def retry_async(
    operation: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy | None = None,
    retryable: Callable[[BaseException], bool] = _may_pass,
    on_retry: Callable[[int, float, BaseException], object] | None = None,
    clock: Clock | None = None,
) -> T:
    """What *operation* gives, called again while it fails in a way that may pass.

    retryable: whether an error may; else `LLMSpellError.retryable` says so. An error's `retry_after` (seconds) is
    waited for. on_retry: told before each wait (the number of the attempt that comes, seconds, the error). Raises the
    last error. Cancelled, it stops at once, in a wait as in the operation.
    """
    policy, clock = policy or RetryPolicy(), clock or Clock()
    began, attempt = clock.now(), 1
    while True:
        try:
            return await operation()
        except Exception as error:
            if not retryable(error):
                raise
            told = getattr(error, "retry_after", None)
            wait, why = decide(
                attempt,
                policy.attempts,
                told if isinstance(told, (int, float)) else None,
                clock.now() - began,
                policy.budget,
                policy.base,
                policy.max,
                clock.chance(),
            )
            if why:
                raise
            attempt += 1
            if on_retry is not None:
                on_retry(attempt, wait, error)
        await clock.sleep(wait)


async def timeout_with_default(operation: Awaitable[T], seconds: float, default: U) -> T | U:
    """What *operation* gives, or *default* where it takes longer: then it is cancelled, and its end waited for.

    A TimeoutError of its own is raised as it is.
    """
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            return await operation
    except TimeoutError:
        if not scope.expired():
            raise
        return default


async def concurrent_map(
    function: Callable[[T], Awaitable[U]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int = 10,
    ordered: bool = True,
) -> AsyncGenerator[U, None]:
    """What *function* gives for each of *items*, at most *limit* at once; in their order, or as they are done.

    An item is taken only when there is room for it: results that nobody has taken yet count, so that neither a source
    without end nor a slow reader fills the memory. The first error is raised when its turn comes, and cancels the rest,
    as leaving the loop does (close the generator: `async with aclosing(concurrent_map(…))`).
    """
    if limit < 1:
        raise ValidationError("`limit` must be at least 1")
    source = _each(items)
    running: list[asyncio.Task[U]] = []  # in the items' order
    more = True
    try:
        while more or running:
            while more and len(running) < limit:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    more = False
                    break
                running.append(asyncio.ensure_future(_called(function, item)))
                if not ordered and any(task.done() for task in running):
                    break
            if not running:
                break
            if ordered:
                await asyncio.wait(running[:1])
                yield running.pop(0).result()
                continue
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            done = next(task for task in running if task.done())
            running.remove(done)
            yield done.result()
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.gather(*running, return_exceptions=True)
        await source.aclose()


async def _called(function: Callable[[T], Awaitable[U]], item: T) -> U:
    return await function(item)


async def _each(items: Iterable[T] | AsyncIterable[T]) -> AsyncGenerator[T, None]:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def buffered(items: AsyncIterable[T], most: int) -> AsyncGenerator[T, None]:
    """The same items, read ahead by at most *most*: the source waits once so many lie. Its error comes after them.

    Leaving the loop stops the source (close the generator, as of `concurrent_map`).
    """
    if most < 1:
        raise ValidationError("`most` must be at least 1")
    lying: asyncio.Queue[T] = asyncio.Queue(most)
    end: asyncio.Task[None]

    async def read() -> None:
        async for item in items:
            await lying.put(item)

    end = asyncio.ensure_future(read())
    try:
        while True:
            if lying.empty():
                if end.done():
                    break
                taken = asyncio.ensure_future(lying.get())
                await asyncio.wait([taken, end], return_when=asyncio.FIRST_COMPLETED)
                if not taken.done():
                    taken.cancel()
                    continue
                yield taken.result()
            else:
                yield lying.get_nowait()
        end.result()
    finally:
        end.cancel()
        await asyncio.wait([end])
