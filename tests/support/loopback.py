"""A scripted HTTP/1.1 server on 127.0.0.1: it sends exactly the bytes, in exactly the pieces, that a test says.

    with Loopback([reply(sse(["Hel", "lo"])), "stall"]) as server:
        ...  # server.url is http://127.0.0.1:PORT/v1
        assert server.requests[0].json["model"] == "m"

It runs on a thread with a loop of its own, so that plain tests, tests of coroutines and child processes can all use
it. A plan says what is done with one request; it is a list of steps:

    bytes             sent as they are, in one write
    Gate              waits until the test opens it
    float             waits so many seconds (for a trickle; to wait for something, use a Gate)
    STALL             waits until the client closes the connection, or the server is closed
    CLOSE             closes the connection: FIN after what was sent
    RESET             closes it with RST

Without CLOSE or RESET the connection stays open for the next request. Plans are used one a request, in the order in
which requests come; the last one serves all that come after. A function of the request may stand for a plan.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

__all__ = [
    "CLOSE",
    "RESET",
    "STALL",
    "Connection",
    "Gate",
    "Loopback",
    "Plan",
    "Request",
    "chunked",
    "head",
    "reply",
    "sse",
]

STALL, CLOSE, RESET = "stall", "close", "reset"
PATIENCE = 10.0  # seconds that a test waits for what must happen


class Gate:
    """Holds a plan until the test opens it; `reached` tells the test that the plan has come to it."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._reached = threading.Event()
        self._wakers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        with self._lock:
            self._opened.set()
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def reached(self, seconds: float = PATIENCE) -> None:
        """Blocks until the plan is here; on an event loop use `await asyncio.to_thread(gate.reached)`."""
        assert self._reached.wait(seconds), "the plan never came to this gate"

    async def _pass(self) -> None:
        loop = asyncio.get_running_loop()
        opened = asyncio.Event()
        with self._lock:
            self._reached.set()
            if self._opened.is_set():
                return
            self._wakers.append(lambda: loop.call_soon_threadsafe(opened.set))
        await opened.wait()


Step = bytes | float | str | Gate
Plan = "Sequence[Step] | Callable[[Request], Sequence[Step]]"


class Request:
    """A request as it came. Header names are in lower case."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes, connection: Connection) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.connection = connection

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One client's connection. closed_at: time.monotonic() of the moment its end was seen, however it ended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed_at: float | None = None
        self._closed = threading.Event()

    def wait_closed(self, seconds: float = PATIENCE) -> float:
        """Blocks until the client has closed it; gives the moment."""
        assert self._closed.wait(seconds), f"the client has not closed connection {self.number}"
        assert self.closed_at is not None
        return self.closed_at

    def _saw_end(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
            self._closed.set()


class Loopback:
    """The server. url: its base address, ending in /v1. requests, connections: what came, in order."""

    def __init__(self, plans: Iterable[Any], *, tls: Any = None) -> None:
        self._plans = list(plans)
        assert self._plans, "a server needs a plan"
        self._tls = tls
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self._came = threading.Condition()
        self.errors: list[BaseException] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Loopback:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()
        if error is None and self.errors:
            raise self.errors[0]

    def wait_requests(self, count: int, seconds: float = PATIENCE) -> None:
        """Blocks until so many requests have come."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.requests) >= count, seconds), "too few requests came"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self) -> None:
        self._server = await self._loop.create_server(lambda: _Peer(self), "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self._peers: set[_Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def _close(self) -> None:
        self._server.close()
        for peer in list(self._peers):
            peer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # the transports' own last callbacks
            await asyncio.sleep(0)

    def _plan_for(self, request: Request) -> Sequence[Step]:
        with self._came:
            self.requests.append(request)
            plan = self._plans[min(len(self.requests), len(self._plans)) - 1]
            self._came.notify_all()
        return plan(request) if callable(plan) else plan


class _Peer(asyncio.Protocol):
    """The server's end of one connection."""

    transport: asyncio.Transport

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.record = Connection(len(server.connections))
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.connections.append(self.record)
        self.server._peers.add(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None:
            self._next()

    def eof_received(self) -> None:
        self.record._saw_end()
        self.gone.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.record._saw_end()
        self.gone.set()
        self.server._peers.discard(self)

    def _next(self) -> None:
        """Takes the next whole request out of the buffer, if there is one."""
        stop = self.buffer.find(b"\r\n\r\n")
        if stop < 0:
            return
        lines = self.buffer[:stop].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        size = int(headers.get("content-length", "0"))
        if len(self.buffer) < stop + 4 + size:
            return
        body, self.buffer = self.buffer[stop + 4 : stop + 4 + size], self.buffer[stop + 4 + size :]
        method, path, _ = lines[0].split(" ")
        request = Request(method, path, headers, body, self.record)
        self.task = asyncio.ensure_future(self._serve(request))
        self.server._tasks.add(self.task)
        self.task.add_done_callback(self.server._tasks.discard)

    async def _serve(self, request: Request) -> None:
        try:
            for step in self.server._plan_for(request):
                await self._do(step)
                if self.transport.is_closing():
                    return
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.server.errors.append(error)
            self.transport.abort()
            return
        self.task = None
        self._next()

    async def _do(self, step: Step) -> None:
        if isinstance(step, bytes):
            self.transport.write(step)
            await asyncio.sleep(0)  # a write of its own for each piece
        elif isinstance(step, Gate):
            await step._pass()
        elif isinstance(step, (int, float)):
            await asyncio.sleep(step)
        elif step == STALL:
            await self.gone.wait()
        elif step == CLOSE:
            self.transport.close()
        elif step == RESET:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            raise ValueError(f"no such step: {step!r}")


def head(status: int = 200, headers: dict[str, str] | None = None, *, size: int | None = None) -> bytes:
    """Status line and headers. size: the content length; None is chunked."""
    told = {"content-type": "text/event-stream"} | (headers or {})
    told |= {"transfer-encoding": "chunked"} if size is None else {"content-length": str(size)}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> list[bytes]:
    """Each piece as one chunk, and the last chunk."""
    framed = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    return [*framed, b"0\r\n\r\n"] if end else framed


def reply(
    body: bytes | Sequence[bytes], status: int = 200, headers: dict[str, str] | None = None, *, sized: bool = False
) -> list[Step]:
    """A plan for a whole answer; a body in pieces is sent in those pieces. sized: with a content length."""
    pieces = [body] if isinstance(body, bytes) else list(body)
    if sized:
        return [head(status, headers, size=sum(map(len, pieces))), *pieces]
    return [head(status, headers), *chunked(pieces)]


def sse(texts: Iterable[str], *, model: str = "m", finish: str | None = "stop", done: bool = True) -> list[bytes]:
    """The events of a chat stream that says *texts*, one a piece; then finish reason, usage and end mark."""
    texts = list(texts)

    def event(**fields: Any) -> bytes:
        data = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, **fields}
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def choice(delta: dict[str, Any], reason: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    events = [event(choices=choice({"role": "assistant", "content": ""}))]
    events += [event(choices=choice({"content": text})) for text in texts]
    if finish is not None:
        events.append(event(choices=choice({}, finish)))
        usage = {"prompt_tokens": 7, "completion_tokens": len(texts), "total_tokens": 7 + len(texts)}
        events.append(event(choices=[], usage=usage))
    if done:
        events.append(b"data: [DONE]\n\n")
    return events
