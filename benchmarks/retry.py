"""Trying again, against a plain await and against tenacity; its arithmetic, compiled and pure.

    python benchmarks/retry.py [--rounds N]

    once      an operation that succeeds at once. plain: awaited; loop: `for` and `try` around it, by hand;
              `retry_async`; tenacity's `AsyncRetrying`, where it is installed, with the same policy
    thrice    one that fails twice, where no wait takes time: what is measured is the machinery, errors among it
    decide    `decide` of a third attempt, by either twin; a loop that calls a function of Python which does nothing
    backoff   `backoff` of the same

CPU time of this process, an operation or a call.
"""

from __future__ import annotations

import argparse
import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

from floor import loop_factory
from harness import interleaved, of_medians, ratios, table, times_over
from llmspell.errors import RateLimitError
from llmspell.utils.async_utils import Clock, RetryPolicy, retry_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Operation = Callable[[], Awaitable[int]]
    Way = Callable[[Operation], Coroutine[Any, Any, int]]

__all__ = ["CASES", "main", "measure"]

#: A case: what is measured, what it is compared with, operations a round.
CASES = {
    "once": ("retry_async", "plain", 4000),
    "thrice": ("retry_async", "loop", 1500),
    "decide": ("compiled", "pure", 40_000),
    "backoff": ("compiled", "pure", 40_000),
}
POLICY = RetryPolicy()
TRIES = 4


async def _no_wait(seconds: float) -> None:
    return None


CLOCK = Clock(sleep=_no_wait)


def operation(fails: int) -> Operation:
    """One that fails so many times, then succeeds, then begins again."""
    count = 0

    async def work() -> int:
        nonlocal count
        count += 1
        if count <= fails:
            raise RateLimitError("too many")
        count = 0
        return 1

    return work


async def _plain(work: Operation) -> int:
    return await work()


async def _loop(work: Operation) -> int:
    for attempt in range(TRIES):
        try:
            return await work()
        except RateLimitError:
            if attempt == TRIES - 1:
                raise
        await _no_wait(0)
    raise AssertionError


async def _ours(work: Operation) -> int:
    return await retry_async(work, policy=POLICY, clock=CLOCK)


def _tenacity() -> Way | None:
    try:
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
    except ImportError:
        return None
    again = AsyncRetrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_random_exponential(multiplier=POLICY.base, max=POLICY.max),
        retry=retry_if_exception_type(RateLimitError),
        sleep=_no_wait,
        reraise=True,
    )

    async def work(work: Operation) -> int:
        return await again(work)

    return work


def _awaited(case: str, runner: asyncio.Runner) -> dict[str, Callable[[], None]]:
    ways: dict[str, Way] = {"loop": _loop, "retry_async": _ours}
    if case == "once":
        ways = {"plain": _plain} | ways
    if (other := _tenacity()) is not None:
        ways["tenacity"] = other
    count = CASES[case][2]

    def subject(way: Way) -> Callable[[], None]:
        work = operation(2 if case == "thrice" else 0)

        async def many() -> None:
            for _ in range(count):
                await way(work)

        return lambda: runner.run(many())

    return {name: subject(way) for name, way in ways.items()}


def _nothing(*values: object) -> None:
    return None


def _counted(case: str) -> dict[str, Callable[[], None]]:
    """Calls of the arithmetic, as `retry_async` makes them."""
    twins = {"compiled": "_retry_c", "pure": "_retry_py"}
    calls: dict[str, Callable[..., object]] = {
        name: getattr(import_module(f"llmspell._speedups.{module}"), case) for name, module in twins.items()
    }
    words = (3, 4, None, 1.0, 60.0, 0.5, 30.0, 0.25) if case == "decide" else (3, 0.5, 30.0, 0.25)
    count = CASES[case][2]

    def subject(call: Callable[..., object]) -> Callable[[], None]:
        def many() -> None:
            for _ in range(count):
                call(*words)

        return many

    return {name: subject(call) for name, call in ({"nothing": _nothing} | calls).items()}


def measure(case: str, rounds: int, *, times: float = 1.0, subjects: tuple[str, ...] = ()) -> list[dict[str, float]]:
    """Each round's µs an operation or a call, by subject (all where none is named). times: ours is done so many times
    over."""
    ours, _, count = CASES[case]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        there = _counted(case) if case in ("decide", "backoff") else _awaited(case, runner)
        chosen = {
            name: times_over(work, times if name == ours else 1.0)
            for name, work in there.items()
            if not subjects or name in subjects
        }
        return interleaved(chosen, rounds, items=count)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="trying again, against a plain await and tenacity")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    rows = [["", "", "µs", "ratio", "middle half", "against"]]
    for case, (ours, base, _) in CASES.items():
        told = measure(case, rounds)
        for name in told[0]:
            spread = ratios(told, name, base)
            shown = [f"{of_medians(told, name):.2f}", f"{spread.median:.2f}", f"{spread.low:.2f} – {spread.high:.2f}"]
            rows.append([case, name + (" *" if name == ours else ""), *shown, base])
    print(table(rows))


if __name__ == "__main__":
    main()
