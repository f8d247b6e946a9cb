"""One connection of our own to a service: bytes that come, until they are read or poured. Source: RFC 9112."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from llmspell._speedups import Receiving
from llmspell.providers.framing import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.providers.framing import Body
    from llmspell.providers.transport import Pool

__all__ = ["HELD_MAX", "Connection"]

HELD_MAX = 256 * 1024  # bytes that lie unread before the socket is left alone
DRAIN = 1.0  # seconds that an answer whose end mark was seen has to end as HTTP, for its connection to be kept


class Connection(Receiving, asyncio.Protocol):
    """One connection. Bytes lie here until they are read; beyond HELD_MAX the socket waits."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.loop.time)
        self.loop = pool.loop
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._paused = False
        self._over = False  # nothing more will come
        self._broken: Exception | None = None
        self._idle: float | None = None
        self._ends: float | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._late = False  # the request's whole time is over
        self._late_timer: asyncio.TimerHandle | None = None
        self._spare: Body | None = None  # the body whose rest is thrown away
        self._spare_timer: asyncio.TimerHandle | None = None
        self.settled: asyncio.Future[None] | None = None  # of a connection whose answer is to end at any moment
        self.idle_since: float | None = None
        self.gone: asyncio.Future[None] = pool.loop.create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a stream's, whichever loop made it

    def received(self, data: bytes) -> None:
        """What came, and is not poured."""
        if not self.wanted:
            if self._spare is not None:
                self._throw_away(data)
            else:  # nobody asked
                self.abort()
            return
        self.answered = True
        self._held.append(data)
        self._size += len(data)
        self._wake()
        if self._size > HELD_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(error)
        self._stop_timers()
        if not self.gone.done():
            self.gone.set_result(None)
        self._pool.forget(self)

    def _ended(self, error: Exception | None) -> None:
        if not self._over:
            self._over = True
            self._broken = error
        if self.idle_since is not None or self._spare is not None:
            self.abort()
        self._wake()

    def _wake(self) -> None:
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(False)

    # What an exchange calls.

    @property
    def usable(self) -> bool:
        """Whether a request can be sent over it."""
        return not self._over and self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, ends: float | None = None) -> None:
        """Sends a request; how its answer goes is told by `receive`.

        ends: in the loop's time: then it is closed, however much still comes, and whether anybody reads or not.
        """
        self._late = False
        if ends is not None:
            self._late_timer = self.loop.call_at(ends, self._end)
        self.idle_since = None
        self.answered = False
        self.wanted = True
        if self._transport is not None:
            self._transport.write(data)

    async def receive(self, deadline: float | None) -> bytes:
        """All bytes that have come, at least one; none at the connection's end.

        deadline: in the loop's time; beyond it TimeoutError. Raises OSError for a connection that broke.
        """
        while not self._held:
            if self._late:
                raise TimeoutError
            if self._over:
                if self._broken is not None:
                    raise self._broken
                return b""
            # One timer serves all waits: it is moved only when it fires, or is too late.
            self._deadline = deadline
            if deadline is not None and (self._timer is None or self._timer_at > deadline):
                self._arm(deadline)
            self.waiter = self.loop.create_future()
            try:
                await self.waiter
            finally:
                self.waiter = None
        return self._all_held()

    async def pour(self, take: Callable[[bytes], bool], idle: float | None, ends: float | None) -> bool:
        """Hands what comes to *take*, in the loop's own callback, for as long as it gives true; then gives true.

        False: the connection has ended. What *take* raises is raised here. idle: seconds between two reads, ends: in
        the loop's time; beyond them TimeoutError. Raises OSError for a connection that broke.
        """
        if self._held and not take(self._all_held()):
            return True
        if not self._over:
            self._idle, self._ends, self.heard = idle, ends, self.loop.time()
            due = self._due()
            if due is not None and (self._timer is None or self._timer_at > due):
                self._arm(due)
            self.waiter = waiter = self.loop.create_future()
            self.take = take
            try:
                if await waiter:
                    return True
            finally:  # the connection may serve the next request already
                if self.waiter is waiter:
                    self.waiter = self.take = None
        if self._late:
            raise TimeoutError
        if self._broken is not None:
            raise self._broken
        return False

    def poured(self, waiter: asyncio.Future[bool]) -> None:
        """Nothing more is to be handed on; *take* may have given the connection to the next request."""
        if self.waiter is waiter:
            self.take = None
        if not waiter.done():
            waiter.set_result(True)

    def _due(self) -> float | None:
        """When what is poured has been silent for too long."""
        if self._idle is None:
            return self._ends
        due = self.heard + self._idle
        return due if self._ends is None or due < self._ends else self._ends

    def _all_held(self) -> bytes:
        held = self._held
        data = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        waiter, deadline = self.waiter, self._deadline if self.take is None else self._due()
        if waiter is None or waiter.done() or deadline is None:
            return
        if deadline - self._timer_at > 0.001:  # also where it is past by now: first what lies in the socket is read
            self._arm(deadline)
        else:
            waiter.set_exception(TimeoutError())

    def _end(self) -> None:
        self._late = True
        self._wake()
        self.abort()

    def abort(self) -> None:
        """Closes at once; the other side sees it now."""
        self._over = True
        self.wanted = False
        self._spare = None
        self._stop_timers()
        self._pool.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def give_back(self, body: Body) -> None:
        """The request that was sent is over: the connection is kept for the next, or closed.

        Where *body* is not done, its end mark was seen and the last bytes of HTTP are on their way: a moment is given
        to them, and nobody waits for it.
        """
        self._spare = body
        self.wanted = False
        held = self._all_held()
        if not self.usable:
            self.abort()
        elif held or body.done:
            self._throw_away(held)
        if self._spare is not None and self.usable:
            self._spare_timer = self.loop.call_later(DRAIN, self.abort)
            self.settled = self.loop.create_future()
            self._pool.settling.add(self)

    def _throw_away(self, data: bytes) -> None:
        body = self._spare
        if body is None:
            return
        try:
            content = data if body.done else body.feed(data)
        except WireError:
            content = b"?"
        if content.strip() or body.rest:
            self.abort()
        elif body.done:
            self._keep()

    def _keep(self) -> None:
        self._stop_timers()
        self._spare = None
        self.idle_since = self.loop.time()
        self._pool.keep(self)

    def _stop_timers(self) -> None:
        if self.settled is not None:
            if not self.settled.done():
                self.settled.set_result(None)
            self.settled = None
            self._pool.settling.discard(self)
        for timer in (self._timer, self._spare_timer, self._late_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._spare_timer = self._late_timer = None
