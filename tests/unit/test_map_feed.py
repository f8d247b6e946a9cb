"""Rows from the thread that reads them to the loop that takes them: in order, few ahead, and nothing lost."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from llmspell.cli.mapping import feed
from llmspell.cli.mapping.feed import Feed
from llmspell.cli.mapping.rows import Row
from llmspell.errors import ValidationError
from support.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.once


class Reading:
    """A source of *count* rows of *size* bytes each that knows how far it was read; then it raises *error*."""

    def __init__(self, count: int, size: int = 1, error: Exception | None = None) -> None:
        self.count, self.size, self.error = count, size, error
        self.read = 0

    @property
    def position(self) -> int:
        return self.read * self.size

    def __iter__(self) -> Iterator[Row]:
        for number in range(1, self.count + 1):
            self.read = number
            yield Row(number, number, number, None, "0")
        if self.error is not None:
            raise self.error


async def settled(reading: Reading, most: int) -> None:
    """Waits until so many rows were read, and for the thread to be where it stays."""
    assert await asyncio.to_thread(eventually, lambda: reading.read >= most)


async def test_rows_come_in_order_and_then_the_end() -> None:
    reading = Reading(1000)
    taken = Feed(iter(reading), reading)
    assert [(await taken.next()).number for _ in range(1000)] == list(range(1, 1001))  # type: ignore[union-attr]
    assert await taken.next() is None
    assert await taken.next() is None


async def test_no_more_rows_are_read_ahead_than_a_few() -> None:
    reading = Reading(100_000)
    taken = Feed(iter(reading), reading)
    for number in range(1, 200):
        row = await taken.next()
        assert row is not None
        assert row.number == number
        assert reading.read <= number + feed.AHEAD + 1
    await settled(reading, 199 + feed.AHEAD)
    assert reading.read == 199 + feed.AHEAD + 1  # the last one waits for room
    taken.close()


async def test_large_rows_are_read_ahead_by_their_bytes() -> None:
    reading = Reading(1000, size=feed.AHEAD_BYTES // 4)
    taken = Feed(iter(reading), reading)
    await settled(reading, 5)
    for _ in range(20):
        row = await taken.next()
        assert row is not None
        assert reading.read <= row.number + 7
    taken.close()


async def test_what_reading_raises_comes_after_the_rows_before_it() -> None:
    reading = Reading(3, error=ValidationError("no"))
    taken = Feed(iter(reading), reading)
    assert [(await taken.next()).number for _ in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
    with pytest.raises(ValidationError, match="no"):
        await taken.next()


async def test_a_wait_that_is_cancelled_loses_no_row_and_closing_ends_the_thread() -> None:
    go = threading.Event()

    class Slow(Reading):
        def __iter__(self) -> Iterator[Row]:
            go.wait(10)
            yield from super().__iter__()

    reading = Slow(500)
    taken = Feed(iter(reading), reading)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await taken.next()
    go.set()
    row = await taken.next()
    assert row is not None
    assert row.number == 1
    taken.close()
    names = lambda: [thread.name for thread in threading.enumerate()]  # noqa: E731
    assert await asyncio.to_thread(eventually, lambda: "llmspell-rows" not in names())
