"""Rows from a thread that reads them, to an event loop that takes them: no more are read ahead than a few."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell.cli.mapping.rows import Row

__all__ = ["Feed"]

AHEAD = 64  # rows that are read before they are wanted
AHEAD_BYTES = 8 << 20  # of the input, beyond which one row at a time is read ahead


class Feed:
    """Reads *rows* on a thread of its own. Of one event loop. `close` leaves the thread where it is blocked: it is a
    daemon, and does nothing more once its read returns.
    """

    def __init__(self, rows: Iterator[Row], position: _Position) -> None:
        self._rows, self._position = rows, position
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Row | BaseException | None] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lock = threading.Condition()
        self._closed = False
        self._taken_at = 0  # bytes of the input that were read when the newest row was taken
        threading.Thread(target=self._read, name="llmspell-rows", daemon=True).start()

    def _read(self) -> None:
        last: BaseException | None = None
        try:
            for row in self._rows:
                if not self._put(row):
                    return
        except BaseException as error:
            last = error
        self._put(last)

    def _put(self, row: Row | BaseException | None) -> bool:
        with self._lock:
            while not self._closed and self._ready and self._full():
                self._lock.wait()
            if self._closed:
                return False
            self._ready.append(row)
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            try:
                self._loop.call_soon_threadsafe(_wake, waiter)
            except RuntimeError:  # the loop is closed
                return False
        return True

    def _full(self) -> bool:
        return len(self._ready) >= AHEAD or self._position.position - self._taken_at > AHEAD_BYTES

    async def next(self) -> Row | None:
        """The next row; None at the end. Raises what reading them raised. Cancelled, it loses nothing."""
        while True:
            with self._lock:
                if self._ready:
                    row = self._ready[0]
                    if row is None or isinstance(row, BaseException):
                        break
                    self._ready.popleft()
                    self._taken_at = self._position.position
                    self._lock.notify()
                    return row
                waiter = self._waiter = self._loop.create_future()
            await waiter
        if row is not None:
            raise row
        return None

    def close(self) -> None:
        """No more is wanted."""
        with self._lock:
            self._closed = True
            self._lock.notify()


class _Position(Protocol):
    """What tells how much was read: see Source."""

    @property
    def position(self) -> int: ...


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
