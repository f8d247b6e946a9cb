"""HTTP/1.1 to one service over connections of our own: what a streamed answer needs, and no more.

httpx serves where a proxy applies (proxied.py). Directly, this serves: importing httpx and making its client costs
more than the rest of a short run, and its layers cost more a chunk than everything of llmspell's together.
One request at a time goes over a connection; what is wrong with an answer closes it. Source: RFC 9112.

What is raised: TimeoutError, OSError (refused, reset, TLS, an unknown host), WireError (no HTTP, or too much of it).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from llmspell.providers.framing import ANSWER_MAX, HEAD_MAX, Unframed, WireError, body_of, head_end, parse_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from llmspell.providers.framing import Body, Head

__all__ = ["ConnectTimeout", "Connection", "Exchange", "Pool"]

HELD_MAX = 256 * 1024  # bytes that lie unread before the socket is left alone
IDLE_MAX = 32  # connections kept for the next request
KEEP = 30.0  # seconds for which one is kept
DRAIN = 1.0  # seconds that an answer whose end mark was seen has to end as HTTP, for its connection to be kept
SETTLE = 0.02  # seconds that a request waits for such a connection, since a new one takes longer


class ConnectTimeout(TimeoutError):
    """No connection stood in time."""


class Connection(asyncio.Protocol):
    """One connection. Bytes lie here until they are read; beyond HELD_MAX the socket waits."""

    def __init__(self, pool: Pool) -> None:
        self.loop = pool.loop
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._paused = False
        self._over = False  # nothing more will come
        self._broken: Exception | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take: Callable[[bytes], bool] | None = None  # who is handed what comes, while it is poured
        self._heard = 0.0
        self._idle: float | None = None
        self._ends: float | None = None
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._spare: Body | None = None  # the body whose rest is thrown away
        self._spare_timer: asyncio.TimerHandle | None = None
        self.settled: asyncio.Future[None] | None = None  # of a connection whose answer is to end at any moment
        self._wanted = False  # what comes is an answer that somebody reads
        self.idle_since: float | None = None
        self.answered = False  # bytes have come since the last request
        self.gone: asyncio.Future[None] = pool.loop.create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # a stream's, whichever loop made it

    def data_received(self, data: bytes) -> None:
        if not self._wanted:
            if self._spare is not None:
                self._throw_away(data)
            else:  # nobody asked
                self.abort()
            return
        self.answered = True
        take = self._take
        if take is not None:
            self._heard = self.loop.time()
            self._hand(take, data)
            return
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
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(False)

    # What an exchange calls.

    @property
    def usable(self) -> bool:
        """Whether a request can be sent over it."""
        return not self._over and self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> None:
        """Sends a request; how its answer goes is told by `receive`."""
        self.idle_since = None
        self.answered = False
        self._wanted = True
        if self._transport is not None:
            self._transport.write(data)

    async def receive(self, deadline: float | None) -> bytes:
        """All bytes that have come, at least one; none at the connection's end.

        deadline: in the loop's time; beyond it TimeoutError. Raises OSError for a connection that broke.
        """
        while not self._held:
            if self._over:
                if self._broken is not None:
                    raise self._broken
                return b""
            # One timer serves all waits: it is moved only when it fires, or is too late.
            self._deadline = deadline
            if deadline is not None and (self._timer is None or self._timer_at > deadline):
                self._arm(deadline)
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._all_held()

    async def pour(self, take: Callable[[bytes], bool], idle: float | None, ends: float | None) -> bool:
        """Hands what comes to *take*, in the loop's own callback, for as long as it gives true; then gives true.

        False: the connection has ended. What *take* raises is raised here. idle: seconds between two reads, ends: in
        the loop's time; beyond them TimeoutError. Raises OSError for a connection that broke.
        """
        if self._held and not take(self._all_held()):
            return True
        if not self._over:
            self._idle, self._ends, self._heard = idle, ends, self.loop.time()
            due = self._due()
            if due is not None and (self._timer is None or self._timer_at > due):
                self._arm(due)
            self._waiter = waiter = self.loop.create_future()
            self._take = take
            try:
                if await waiter:
                    return True
            finally:  # the connection may serve the next request already
                if self._waiter is waiter:
                    self._waiter = self._take = None
        if self._broken is not None:
            raise self._broken
        return False

    def _hand(self, take: Callable[[bytes], bool], data: bytes) -> None:
        waiter = self._waiter
        try:
            if take(data):
                return
        except Exception as error:
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
        if self._waiter is waiter:
            self._take = None
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    def _due(self) -> float | None:
        """When what is poured has been silent for too long."""
        if self._idle is None:
            return self._ends
        due = self._heard + self._idle
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
        waiter, deadline = self._waiter, self._deadline if self._take is None else self._due()
        if waiter is None or waiter.done() or deadline is None:
            return
        if deadline - self.loop.time() > 0.001:
            self._arm(deadline)
        else:
            waiter.set_exception(TimeoutError())

    def abort(self) -> None:
        """Closes at once; the other side sees it now."""
        self._over = True
        self._wanted = False
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
        self._wanted = False
        held = self._all_held()
        if not self.usable:
            self.abort()
        elif held or body.done:
            self._throw_away(held)
        if self._spare is not None and self.usable:
            self._spare_timer = self.loop.call_later(DRAIN, self.abort)
            self.settled = self.loop.create_future()

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
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)
        self.settled = None
        for timer in (self._timer, self._spare_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._spare_timer = None


class Exchange:
    """One request and its answer. `aclose` it, whatever happened."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._early = b""  # of the body, read with the head
        self._head: Head | None = None
        self._body: Body = Unframed()
        self._closed = False
        self.status = 0
        self.headers: dict[str, str] = {}

    @property
    def answered(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._connection.answered

    @property
    def ended(self) -> bool:
        """Whether the body is at its end."""
        return self._body.done

    async def start(self, request: bytes, deadline: float | None) -> None:
        """Sends the request and reads the answer's head."""
        self._connection.send(request)
        data = b""
        while True:
            while (stop := head_end(data)) is None:
                if len(data) > HEAD_MAX:
                    raise WireError(f"the answer has more than {HEAD_MAX >> 10} KiB of headers")
                more = await self._connection.receive(deadline)
                if not more:
                    raise ConnectionResetError("the connection was closed before the answer's headers were whole")
                data += more
            head = parse_head(data[: stop[0]])
            data = data[stop[1] :]
            if head.status >= 200:
                break
            if head.status == 101:
                raise WireError("the service changed to a protocol that was not asked for")
        self._head, self._early, self._body = head, data, body_of(head)
        self.status, self.headers = head.status, head.headers

    async def read(self, deadline: float | None) -> bytes:
        """The next bytes of the body; none at its end. Raises EOFError where the connection ended before it."""
        while not self._body.done:
            data = self._early or await self._connection.receive(deadline)
            self._early = b""
            if not data:
                if isinstance(self._body, Unframed):
                    self._body.done = True
                    break
                raise EOFError
            content = self._body.feed(data)
            if content:
                return content
        return b""

    async def pour(self, take: Callable[[bytes], bool], idle: float | None, ends: float | None, size: int) -> int:
        """Hands the body to *take* as it comes, in the loop's own callback, until that gives false or it is at its end.

        size: bytes of it that came before; gives how many came until now. See Connection.pour; raises EOFError where
        the connection ended before the body, WireError also for a body of more than ANSWER_MAX bytes.
        """
        body = self._body
        feed = body.feed

        def piece(data: bytes) -> bool:
            nonlocal size
            content = feed(data)
            size += len(content)
            if size > ANSWER_MAX:
                raise WireError(f"its answer has more than {ANSWER_MAX >> 20} MiB")
            return (not content or take(content)) and not body.done

        early, self._early = self._early, b""
        if body.done or (early and not piece(early)) or await self._connection.pour(piece, idle, ends):
            return size
        if not isinstance(body, Unframed):
            raise EOFError
        body.done = True
        return size

    async def aclose(self, *, finished: bool) -> None:
        """Never waits. finished: it went well and nothing more is wanted; else the connection is closed at once."""
        self.close(finished=finished)

    def close(self, *, finished: bool) -> None:
        """The same, for who cannot wait."""
        if self._closed:
            return
        self._closed = True
        body, head = self._body, self._head
        reusable = head is not None and head.persistent and not isinstance(body, Unframed)
        if finished and reusable and not self._early and not body.rest:
            self._connection.give_back(body)
        else:
            self._connection.abort()


class Pool:
    """Connections to one host, on one event loop."""

    def __init__(self, host: str, port: int, tls: Callable[[], ssl.SSLContext] | None) -> None:
        self.host = host
        self.port = port
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self.loop = asyncio.get_running_loop()

    async def take(self) -> Connection | None:
        """A connection that was kept, or None."""
        if not self._idle:
            settling = [one.settled for one in self._all if one.settled is not None]
            if settling:
                await asyncio.wait(settling, timeout=SETTLE, return_when=asyncio.FIRST_COMPLETED)
        now = self.loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now - (connection.idle_since or 0.0) < KEEP:
                return connection
            connection.abort()
        return None

    async def connect(self, seconds: float | None) -> Connection:
        """A new connection, within so many *seconds*. Raises ConnectTimeout, OSError (also of TLS, and of names)."""
        if self._tls is not None and self._context is None:
            self._context = self._tls()
        try:
            async with asyncio.timeout(seconds):
                _, connection = await self.loop.create_connection(
                    lambda: Connection(self), self.host, self.port, ssl=self._context
                )
        except TimeoutError as error:
            if error.errno is not None:  # the system's own, in words that are better
                raise ConnectionAbortedError(error.errno, error.strerror) from error
            raise ConnectTimeout from None
        self._all.add(connection)
        return connection

    def keep(self, connection: Connection) -> None:
        """Keeps a connection for the next request; the oldest gives way."""
        self._idle.append(connection)
        if len(self._idle) > IDLE_MAX:
            self._idle[0].abort()

    def forget(self, connection: Connection) -> None:
        """It is closed, or about to be."""
        if connection.gone.done():
            self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def aclose(self) -> None:
        """Closes all of them, and waits until they are."""
        everyone = list(self._all)
        for connection in everyone:
            connection.abort()
        if everyone:
            await asyncio.wait([connection.gone for connection in everyone], timeout=1.0)
        self._all.clear()
