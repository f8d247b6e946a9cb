"""In time, or many at once: what is cancelled is waited for, and nothing is read that nobody wants."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.utils import async_utils
from llmspell.utils.async_utils import Clock, RetryPolicy, buffered, concurrent_map, timeout_with_default

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


async def test_what_takes_too_long_is_cancelled_and_its_default_given() -> None:
    ended: list[str] = []

    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")
        return "never"

    async def quick() -> str:
        return "quick"

    assert await timeout_with_default(slow(), 0.01, "default") == "default"
    assert ended == ["ended"]
    assert await timeout_with_default(quick(), 5, None) == "quick"


async def test_its_own_errors_are_raised_a_timeout_too() -> None:
    async def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await timeout_with_default(fails(), 5, None)


async def test_no_more_than_the_limit_run_at_once_and_the_order_stands() -> None:
    running, most = 0, 0

    async def double(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - n % 7):
            await asyncio.sleep(0)
        running -= 1
        return 2 * n

    for ordered in (True, False):
        told = [one async for one in concurrent_map(double, range(50), limit=4, ordered=ordered)]
        assert (told if ordered else sorted(told)) == [2 * n for n in range(50)]
    assert most == 4


async def test_as_they_are_done_the_slow_hold_up_nobody() -> None:
    gate = asyncio.Event()

    async def work(n: int) -> int:
        if n == 0:
            await gate.wait()
        return n

    told = []
    async for one in concurrent_map(work, range(5), limit=2, ordered=False):
        told.append(one)
        if len(told) == 4:
            gate.set()
    assert told == [1, 2, 3, 4, 0]


async def test_a_source_without_end_is_read_only_as_far_as_it_is_wanted() -> None:
    taken = 0

    async def source() -> AsyncIterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def same(n: int) -> int:
        return n

    async with aclosing(concurrent_map(same, source(), limit=3)) as told:
        async for one in told:
            if one == 10:
                break
    assert taken <= 13


async def test_the_first_error_cancels_the_rest() -> None:
    ended: list[int] = []

    async def work(n: int) -> int:
        if n == 1:
            raise ValueError("one")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(n)
        return n

    async def quick(n: int) -> int:
        return n if n == 0 else await work(n)

    told = concurrent_map(quick, range(9), limit=4)
    assert await anext(told) == 0
    with pytest.raises(ValueError, match="one"):
        await anext(told)
    assert sorted(ended) == [2, 3, 4]
    assert len(asyncio.all_tasks()) == 1


async def test_cancelled_it_leaves_nothing_running() -> None:
    begun = asyncio.Event()

    async def work(n: int) -> int:
        begun.set()
        await asyncio.Event().wait()
        return n

    async def main() -> None:
        async for _ in concurrent_map(work, range(9), limit=4):
            pass

    task = asyncio.ensure_future(main())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


@given(items=st.lists(st.integers(), max_size=20), most=st.integers(1, 5))
def test_what_is_buffered_is_the_same(items: list[int], most: int) -> None:
    async def source() -> AsyncIterator[int]:
        for item in items:
            await asyncio.sleep(0)
            yield item

    async def main() -> list[int]:
        return [item async for item in buffered(source(), most)]

    assert asyncio.run(main()) == items


async def test_no_more_is_read_ahead_than_may_lie() -> None:
    read = 0

    async def source() -> AsyncIterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    async with aclosing(buffered(source(), 4)) as told:
        assert await anext(told) == 1
        for _ in range(20):
            await asyncio.sleep(0)
        assert read <= 6  # one given out, four that lie, one in the hand
        assert await anext(told) == 2
    assert len(asyncio.all_tasks()) == 1


async def test_the_sources_error_comes_after_its_items() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise ValueError("the source")

    told = buffered(source(), 5)
    assert [await anext(told), await anext(told)] == [1, 2]
    with pytest.raises(ValueError, match="the source"):
        await anext(told)


@pytest.mark.parametrize("ordered", [True, False])
async def test_one_at_a_time_is_a_limit_too(ordered: bool) -> None:
    running = 0

    async def work(n: int) -> int:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        assert running == 1
        running -= 1
        return n

    assert [n async for n in concurrent_map(work, range(5), limit=1, ordered=ordered)] == list(range(5))


async def test_the_order_stands_unless_one_does_without_and_ten_run_at_once() -> None:
    running, most = 0, 0

    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3 * (30 - n)):
            await asyncio.sleep(0)
        running -= 1
        return n

    assert [n async for n in concurrent_map(work, range(30))] == list(range(30))
    assert most == 10


async def test_as_they_are_done_a_source_is_not_read_while_a_result_lies_ready() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while taken < 20:
            taken += 1
            yield taken

    async def same(n: int) -> int:
        return n

    async with aclosing(concurrent_map(same, source(), limit=8, ordered=False)) as told:
        await anext(told)
        for _ in range(5):
            await asyncio.sleep(0)  # the others are done meanwhile
        await anext(told)
        before = taken
        await anext(told)
        assert taken <= before + 1


async def test_the_first_that_is_done_does_not_wait_for_the_source() -> None:
    taken = 0

    async def source() -> AsyncIterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def same(n: int) -> int:
        return n

    for ordered, before in ((False, 2), (True, 8)):
        taken = 0
        async with aclosing(concurrent_map(same, source(), limit=8, ordered=ordered)) as told:
            assert await anext(told) == 1
            assert taken == before


async def test_a_source_that_is_left_is_closed() -> None:
    closed: list[str] = []

    def source() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.append("closed")

    async def same(n: int) -> int:
        return n

    async with aclosing(concurrent_map(same, source(), limit=2)) as told:
        await anext(told)
    assert closed == ["closed"]


async def test_what_was_read_ahead_leaves_no_task_behind() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert [n async for n in buffered(source(), 1)] == [1]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


def test_chances_lie_evenly_from_0_to_1(monkeypatch: pytest.MonkeyPatch) -> None:
    for data, share in ((bytes(6), 0.0), (b"\x80" + bytes(5), 0.5), (b"\xff" * 6, 1 - 2**-48)):
        monkeypatch.setattr(async_utils, "urandom", {6: data}.__getitem__)
        assert Clock().chance() == share


def test_what_is_usual_is_as_the_guide_says() -> None:
    assert RetryPolicy() == (4, 0.5, 30.0, 60.0)


async def test_limits_are_checked() -> None:
    async def same(n: int) -> int:
        return n

    with pytest.raises(ValidationError):
        await anext(concurrent_map(same, [1], limit=0))
    with pytest.raises(ValidationError):
        await anext(buffered(concurrent_map(same, [1]), 0))


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_source_that_ends_ends_it(ordered: bool) -> None:
    async def source(count: int) -> AsyncIterator[int]:
        for n in range(count):
            yield n

    async def same(n: int) -> int:
        return n

    for count in (0, 1, 3):
        for items in (source(count), range(count)):
            assert [n async for n in concurrent_map(same, items, limit=2, ordered=ordered)] == list(range(count))


def test_a_policy_is_a_number_of_attempts_or_fields_over_another() -> None:
    base = RetryPolicy(attempts=2, base=1.0)
    assert RetryPolicy.of(None) == RetryPolicy()
    assert RetryPolicy.of(None, base) is base
    assert RetryPolicy.of(7, base) == RetryPolicy(attempts=7, base=1.0)
    assert RetryPolicy.of({"max": 3, "budget": 0}, base) == RetryPolicy(2, 1.0, 3, 0)
    assert RetryPolicy.of({"attempts": 100}).attempts == 100


@pytest.mark.parametrize("given", [True, "3", 2.5, [1], b""])
def test_what_is_no_policy_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="`retry` is a number of attempts, or attempts, base, max and budget"):
        RetryPolicy.of(given)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"attempts": 0}, "`retry.attempts` must be a whole number from 1 to 100"),
        ({"attempts": 101}, "`retry.attempts` must be a whole number from 1 to 100"),
        ({"attempts": True}, "`retry.attempts` must be a whole number from 1 to 100"),
        ({"attempts": 2.0}, "`retry.attempts` must be a whole number from 1 to 100"),
        ({"base": -0.1}, "`retry.base` must be a number of seconds"),
        ({"max": 1e9}, "`retry.max` must be a number of seconds"),
        ({"budget": float("nan")}, "`retry.budget` must be a number of seconds"),
        ({"base": False}, "`retry.base` must be a number of seconds"),
        ({"base": "1"}, "`retry.base` must be a number of seconds"),
        ({"tries": 1}, "`retry` has no field `tries`"),
        (0, "`retry.attempts` must be a whole number from 1 to 100"),
    ],
)
def test_a_policy_s_fields_are_checked(given: Any, what: str) -> None:
    with pytest.raises(ValidationError) as failed:
        RetryPolicy.of(given)
    assert failed.value.message == what
