"""HTTP/1.1 to one service over connections of our own: what a streamed answer needs, and no more.

httpx serves where a proxy applies (proxied.py). Directly, this serves: importing httpx and making its client costs
more than the rest of a short run, and its layers cost more a chunk than everything of llmspell's together.
One request at a time goes over a connection; what is wrong with an answer closes it. Source: RFC 9112.

What is raised: TimeoutError, OSError (refused, reset, TLS, an unknown host), WireError (no HTTP, or too much of it).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Pouring, TakerFailed
from llmspell.providers.connection import HELD_MAX, Connection
from llmspell.providers.framing import ANSWER_MAX, HEAD_MAX, Unframed, WireError, body_of, head_end, parse_head

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from llmspell.providers.framing import Body, Head

__all__ = ["HELD_MAX", "ConnectTimeout", "Connection", "Exchange", "Pool", "TakerFailed"]

IDLE_MAX = 32  # connections kept for the next request
KEEP = 30.0  # seconds for which one is kept
SETTLE = 0.02  # seconds that a request waits for such a connection, since a new one takes longer


class ConnectTimeout(TimeoutError):
    """No connection stood in time."""


class Exchange:
    """One request and its answer. `aclose` it, whatever happened."""

    sent = True  # it has a connection

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

    async def start(self, request: bytes, deadline: float | None, ends: float | None = None) -> None:
        """Sends the request and reads the answer's head. ends: of the whole answer; see Connection.send."""
        self._connection.send(request, ends)
        data = b""
        passed = 0  # bytes of interim answers
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
            passed += stop[1]
            if passed > HEAD_MAX:  # while bytes come without a pause, no deadline is looked at
                raise WireError("the service sends interim answers without end")
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
        the connection ended before the body, WireError also for a body of more than ANSWER_MAX bytes, TakerFailed.
        """
        body = self._body
        piece = Pouring(body, take, ANSWER_MAX, size)
        early, self._early = self._early, b""
        if body.done or (early and not piece(early)) or await self._connection.pour(piece, idle, ends):
            return piece.size
        if not isinstance(body, Unframed):
            raise EOFError
        body.done = True
        return piece.size

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
        self.settling: set[Connection] = set()  # whose answers are to end at any moment
        self.loop = asyncio.get_running_loop()

    async def take(self) -> Connection | None:
        """A connection that was kept, or None."""
        if not self._idle and self.settling:
            settling = [one.settled for one in self.settling if one.settled is not None]
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
        connection = Connection(self)
        tls: dict[str, Any] = {}
        if self._context is not None:
            # uvloop lets go of a handshake that was given up when its own time is over: a minute, if nothing is said.
            tls = {"ssl": self._context, "ssl_handshake_timeout": None if seconds is None else seconds + 1.0}
        try:
            async with asyncio.timeout(seconds):
                await self.loop.create_connection(lambda: connection, self.host, self.port, **tls)
        except TimeoutError as error:
            connection.abort()
            if error.errno is not None:  # the system's own, in words that are better
                raise ConnectionAbortedError(error.errno, error.strerror) from error
            raise ConnectTimeout from None
        except BaseException:
            connection.abort()  # given up in the very moment in which it stood, it would write to a closed socket
            raise
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
