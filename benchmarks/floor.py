"""The floor: the least that Python can do to read a streamed answer. No llmspell, and none of its checks.

    python benchmarks/floor.py http://127.0.0.1:PORT/v1 ready-200 [STREAMS]

A bare asyncio socket (uvloop where it is there), the head found by its blank line, chunks of HTTP by their sizes,
events by theirs, JSON by orjson. It bounds nothing, checks nothing and can read only what server.py writes: what
llmspell costs beyond it is what llmspell does for its user, and budgets are ratios to it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from wires import Wire

__all__ = ["Reader", "WireReader", "loop_factory", "main", "read", "read_wire"]


def loop_factory() -> Any:
    """What makes the event loop: uvloop's where it is there, None for asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


class Reader(asyncio.Protocol):
    """One answer. take: called with each piece of text. reads: how often the socket gave something."""

    def __init__(self, request: bytes, take: Callable[[str], object]) -> None:
        self._request = request
        self._take = take
        self._held = b""
        self._tail = b""
        self._begun = False
        self.reads = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or EOFError("the answer was cut"))

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if self._held:
            data = self._held + data
        at = 0
        if not self._begun:
            stop = data.find(b"\r\n\r\n")
            if stop < 0:
                self._held = data
                return
            self._begun, at = True, stop + 4
        pieces = []
        while (stop := data.find(b"\r\n", at)) > 0:
            size = int(data[at:stop], 16)
            end = stop + 2 + size
            if len(data) < end + 2:
                break
            pieces.append(data[stop + 2 : end])
            at = end + 2
            if not size:
                self._ended()
        self._held = data[at:]
        self._events(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _ended(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _events(self, body: bytes) -> None:
        if self._tail:
            body = self._tail + body
        *events, self._tail = body.split(b"\n\n")
        for event in events:
            if event != b"data: [DONE]":
                text = orjson.loads(event[6:])["choices"][0]["delta"].get("content")
                if text:
                    self._take(text)


async def read(port: int, model: str, take: Callable[[str], object]) -> int:
    """Asks the server at *port* and reads the answer to its end; gives how many reads it took."""
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: Reader(head.encode() + body, take), "127.0.0.1", port)
    try:
        await reader.done
    finally:
        transport.abort()
    return reader.reads


class WireReader(Reader):
    """One answer of another dialect."""

    def __init__(self, request: bytes, take: Callable[[str], object], wire: Wire) -> None:
        super().__init__(request, take)
        self._wire = wire

    def _events(self, body: bytes) -> None:
        wire = self._wire
        if self._tail:
            body = self._tail + body
        *events, self._tail = body.split(wire.cut)
        skip, text_of = wire.skip, wire.text
        for event in events:
            text = text_of(orjson.loads(event[skip or event.find(b"{") :]))
            if text:
                self._take(text)


async def read_wire(port: int, wire: Wire, model: str, take: Callable[[str], object]) -> None:
    """The same in another dialect."""
    told = {wire.member: model} if wire.member else {}
    body = json.dumps({**told, "stream": True, "messages": [{"role": "user", "content": "go"}]}).encode()
    head = f"POST {wire.base}{wire.path.format(model=model)} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    loop = asyncio.get_running_loop()
    request = head.encode() + body
    transport, reader = await loop.create_connection(lambda: WireReader(request, take, wire), "127.0.0.1", port)
    try:
        await reader.done
    finally:
        transport.abort()


def main(url: str, model: str, streams: str = "") -> None:
    """Prints the answer as it comes; of many answers at once, the number of their texts."""
    port = int(url.split(":")[2].partition("/")[0])
    count = 0

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def tally(text: str) -> None:
        nonlocal count
        count += 1

    async def many() -> None:
        await asyncio.gather(*(read(port, model, tally) for _ in range(int(streams))))
        print(count)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(many() if streams else read(port, model, show))


if __name__ == "__main__":
    main(*sys.argv[1:])
