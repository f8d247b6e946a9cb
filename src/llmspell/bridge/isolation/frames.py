"""What goes between a host and its worker, and how a worker's bytes are cut into frames.

They speak in turn. The host gives a command and the worker computes; meanwhile it may write (not answered) and ask
(answered at once), and at last it tells the outcome: then it is the host's turn again. Whoever speaks out of turn is
broken. Only `READY`, that an engine waits for the next script, comes without a command of its own.

To the worker: 4 bytes of length, then a tuple in Python's marshal format, its kind first: a worker trusts its host.
To the host: 4 bytes of length, a byte for the kind, then what `codec` makes, or bytes as they were written.
A second way, a pipe, interrupts a worker while it computes: messages of one size, which a thread there reads.
"""

from __future__ import annotations

import marshal
from struct import Struct

from llmspell.bridge.isolation.codec import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ANSWER",
    "ASK",
    "BEGIN",
    "BROKEN",
    "CHUNKS",
    "CLOSE",
    "CONTROL",
    "HEAD",
    "LEAVE",
    "MAIN",
    "NEXT",
    "OUTCOME",
    "READY",
    "RESUME",
    "WRITE",
    "Cutter",
    "to_host",
    "to_worker",
]

#: To the worker.
NEXT = 0  # options: make an engine, and drop the one before
BEGIN = 1  # run's number, options, texts to start with, script, its name, arguments, seconds it has or None
RESUME = 2  # fiber, ok, value
CHUNKS = 3  # fiber, chunks, each as a tuple or, where it is no text, as a dict
CLOSE = 4  # fiber
LEAVE = 5  # why the run was stopped or None, its grace, the grace now, fibers to close
ANSWER = 6  # None or why to stop and the grace, ok, value

#: To the host.
READY, ASK, WRITE, OUTCOME, BROKEN = range(5)

MAIN = 1  # the main fiber's number in an engine: the first it makes

HEAD = Struct("<IB")
LENGTH = Struct("<I")
CONTROL = Struct("<Id16s")  # the run's number, the grace, why

LARGEST_VALUE = 160 * 1024 * 1024  # an engine lets out 64 MB of text and a million values at once
LARGEST_WORDS = 4096


def to_worker(*words: Any) -> bytes:
    """A frame for the worker. Raises ValueError for what marshal does not know."""
    content = marshal.dumps(words)
    return LENGTH.pack(len(content)) + content


def to_host(kind: int, content: bytes = b"") -> bytes:
    """A frame for the host."""
    return HEAD.pack(len(content), kind) + content


class Cutter:
    """Cuts what a worker sends into frames. largest_write: bytes that a script may write at once.

    A length is believed as far as bytes have come: nothing is set aside for what is only announced.
    """

    __slots__ = ("_have", "_largest", "_need", "_parts")

    def __init__(self, largest_write: int) -> None:
        self._largest = (0, LARGEST_VALUE, largest_write + 1, LARGEST_VALUE, LARGEST_WORDS)
        self._parts: list[bytes] = []
        self._have = self._need = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that *data* completes, as kind and content. Raises FrameError."""
        if self._parts:
            self._parts.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._parts)
            self._parts = []
        frames: list[tuple[int, bytes]] = []
        at = 0
        while len(data) - at >= HEAD.size:
            length, kind = HEAD.unpack_from(data, at)
            if kind > BROKEN or length > self._largest[kind]:
                raise FrameError(f"a frame of kind {kind} and {length} bytes")
            stop = at + HEAD.size + length
            if len(data) < stop:
                self._keep(data[at:], HEAD.size + length)
                return frames
            frames.append((kind, data[at + HEAD.size : stop]))
            at = stop
        if at < len(data):
            self._keep(data[at:], HEAD.size)
        return frames

    def _keep(self, rest: bytes, need: int) -> None:
        self._parts, self._have, self._need = [rest], len(rest), need
