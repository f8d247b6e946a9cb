"""A connection's own bounds, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from llmspell.providers import transport


class Socket:
    """The transport under a connection, as far as reading goes."""

    def __init__(self) -> None:
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        return None


async def test_what_lies_unread_is_bounded_even_while_a_reader_is_about_to_run() -> None:
    connection: Any = transport.Connection(transport.Pool("127.0.0.1", 9, None))
    socket = Socket()
    connection.connection_made(socket)
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    reader = asyncio.ensure_future(connection.receive(None))
    await asyncio.sleep(0)  # the reader waits now
    piece = b"x" * 65_536
    for _ in range(transport.HELD_MAX // len(piece) + 2):  # all in one turn of the loop
        connection.data_received(piece)
    assert not socket.reading
    assert len(await reader) > transport.HELD_MAX
    assert socket.reading
    connection._stop_timers()
