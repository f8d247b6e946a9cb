"""A host's end of the socket to one worker: frames go out and come in, and the host never waits for a slow worker."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from llmspell.bridge.isolation.codec import FrameError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from llmspell.bridge.isolation.frames import Cutter
    from llmspell.bridge.isolation.process import WorkerProcess

__all__ = ["Link"]

PIECE = 65536
NOTHING = memoryview(b"")


class Link:
    """Frames to and from *worker*. Served on a loop once `attach`ed to one, else while somebody is in `wait`.

    take: called with each frame's kind and content. end: called once, when the worker is gone or speaks nonsense:
    with whether it is gone without having read all that it was sent, and with the nonsense, if that is what it was.
    """

    __slots__ = ("_cutter", "_end", "_loop", "_poll", "_rest", "_socket", "_take", "worker")

    def __init__(
        self,
        worker: WorkerProcess,
        cutter: Cutter,
        take: Callable[[int, bytes], None],
        end: Callable[[bool, Exception | None], None],
    ) -> None:
        self.worker = worker
        self._socket = worker.socket
        self._cutter, self._take, self._end = cutter, take, end
        self._rest = NOTHING  # of a frame that the worker has not taken yet
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poll: select.poll | None = None

    def send(self, frame: bytes) -> None:
        """Sends *frame*, now or as soon as the worker takes it. That it is gone is told by `end`."""
        try:
            sent = self._socket.send(frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            return
        if sent < len(frame):
            self._rest = memoryview(frame)[sent:]
            if self._loop is not None:
                self._loop.add_writer(self._socket.fileno(), self._send_rest)

    @property
    def is_sending(self) -> bool:
        """Whether the worker has not taken yet what it was sent."""
        return bool(self._rest)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """From here on *loop* serves it, until `detach`."""
        self._loop = loop
        loop.add_reader(self._socket.fileno(), self._receive)
        if self._rest:
            loop.add_writer(self._socket.fileno(), self._send_rest)

    def detach(self) -> None:
        """Nothing serves it any more."""
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            loop.remove_reader(self._socket.fileno())
            if self._rest:
                loop.remove_writer(self._socket.fileno())

    def wait(self, seconds: float) -> None:
        """Serves it until something has come or gone, at most so long. A signal's handler may raise here."""
        if self._poll is None:
            self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN | (select.POLLOUT if self._rest else 0))
        for _, event in self._poll.poll(max(seconds, 0) * 1000):
            if event & select.POLLOUT:
                self._send_rest()
            if event & ~select.POLLOUT:
                self._receive()

    def _send_rest(self) -> None:
        try:
            self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._rest = NOTHING
        if not self._rest and self._loop is not None:
            self._loop.remove_writer(self._socket.fileno())

    def _receive(self) -> None:
        try:
            data = self._socket.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:  # it closed with something unread
            self._end(True, None)
            return
        if not data:
            self._end(False, None)
            return
        try:
            for kind, content in self._cutter.feed(data):
                if self._rest:
                    raise FrameError("it answers what it has not read")
                self._take(kind, content)
        except Exception as error:  # of the worker's making: what is wrong here is wrong in what it sent
            self._end(False, error)
