"""Doing an operation again that failed in a way that may pass: bounded in number and time, and spread out.

The arithmetic is that of `_speedups` (backoff, decide); here are the clock, the sleep and the chance.
"""

from __future__ import annotations

import asyncio
from os import urandom
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from llmspell._speedups import decide
from llmspell.errors import LLMSpellError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

__all__ = ["Clock", "RetryPolicy", "retry_async"]

T = TypeVar("T")


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
