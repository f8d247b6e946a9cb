"""What every byte and every chunk of a streamed answer passes, pure twin: HTTP's chunks come off, chunks are stamped.

`_stream_c.pyx` is the compiled one; tests/unit/test_framing.py and test_turn.py compare them. Strict where two readers
could disagree about where an answer ends. Source: RFC 9112 §7.1.
"""

from __future__ import annotations

from functools import partial
from itertools import count, repeat
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LINE_MAX", "TRAILER_MAX", "Chunked", "Pouring", "Stamp", "TakerFailed", "WireError"]

LINE_MAX = 4 * 1024  # of a chunk's size line
TRAILER_MAX = 16 * 1024


class WireError(Exception):
    """What came is no HTTP answer, or one beyond the bounds; the text says what."""


class TakerFailed(Exception):
    """Who is poured into raised its cause, which says nothing of the connection."""


class Chunked:
    """A body in chunks, each with its size before it. `feed` gives what of its bytes is content.

    done: it is whole; nothing is fed to it then. rest: what came after the end.
    """

    __slots__ = ("_closing", "_left", "_pending", "_sizes", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._pending = b""  # of a line that is not whole
        self._left = 0  # bytes of the chunk that are still to come
        self._closing = False  # the chunk's own line end comes next
        self._trailer = -1  # bytes of the trailer so far, once there is one
        self._sizes: dict[bytes, int] = {}  # size lines that were read: an answer's chunks are alike

    def feed(self, data: bytes) -> bytes:
        """Raises WireError for what is no chunk."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        out: list[bytes] = []
        at, end = 0, len(data)
        find, known = data.find, self._sizes.get
        while at < end and not self.done:
            if not (self._left or self._closing) and self._trailer < 0:
                # A chunk that lies whole in the data, and whose size line was seen before: nearly every one.
                stop = find(b"\r\n", at)
                size = known(data[at:stop]) if stop > 0 else None
                if size is not None and data.startswith(b"\r\n", stop + 2 + size):
                    out.append(data[stop + 2 : stop + 2 + size])
                    at = stop + 4 + size
                    continue
            at = self._piece(data, at, out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _piece(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Takes one line, or what there is of a chunk; tells where it got to."""
        if self._left:
            piece = data[at : at + self._left]
            out.append(piece)
            self._left -= len(piece)
            self._closing = True
            return at + len(piece)
        stop = data.find(b"\n", at)
        if stop < 0:
            self._pending = data[at:]
            if len(self._pending) > LINE_MAX:
                raise WireError("the answer has a chunk without a size")
            return len(data)
        line = data[at:stop].removesuffix(b"\r")
        at = stop + 1
        if self._closing:
            if line:
                raise WireError("the answer has a chunk that is longer than it says")
            self._closing = False
        elif self._trailer < 0:
            self._left = chunk_size(line)
            if self._left == 0:
                self._trailer = 0
            elif len(self._sizes) < 1024:
                self._sizes[line] = self._left
        else:
            self._trailer += len(line) + 2
            if self._trailer > TRAILER_MAX:
                raise WireError(f"the answer has more than {TRAILER_MAX >> 10} KiB of trailers")
            if not line:
                self.done = True
                self.rest = data[at:]
        return at


def chunk_size(line: bytes) -> int:
    """What a chunk's size line says. Raises WireError."""
    digits = line.partition(b";")[0].rstrip(b" \t")
    # `int` alone takes signs, underscores and 0x, of which two readers could make two sizes.
    if digits.isalnum() and len(digits) <= 12 and b"x" not in digits.lower():
        try:
            return int(digits, 16)
        except ValueError:
            pass
    raise WireError("the answer has a chunk without a size")


class Pouring:
    """Called with an answer's bytes as they come: hands their content on, and tells whether more is wanted.

    body: how the answer is framed; a `Chunked`, or what is like it. take: is handed content, gives whether it wants
    more. most: bytes of content; size: how many there have been. Raises WireError, and TakerFailed from what *take*
    raises.
    """

    __slots__ = ("_body", "_most", "_take", "size")

    def __init__(self, body: Any, take: Callable[[bytes], bool], most: int, size: int) -> None:
        self._body = body
        self._take = take
        self._most = most
        self.size = size

    def __call__(self, data: bytes) -> bool:
        content = self._body.feed(data)
        self.size += len(content)
        if self.size > self._most:
            raise WireError(f"its answer has more than {self._most >> 20} MiB")
        try:
            return (not content or self._take(content)) and not self._body.done
        except Exception as error:
            raise TakerFailed from error


class Stamp:
    """Called with contents: gives their chunks, numbered without gaps and stamped now.

    kind: a chunk's class, a named tuple of a stream's name, the number, the content, `metadata` and the time.
    """

    __slots__ = ("_kind", "_metadata", "_stream_id", "next")

    def __init__(self, kind: type[Any], stream_id: str, metadata: dict[str, Any]) -> None:
        self._kind = kind
        self._stream_id = stream_id
        self._metadata = metadata
        self.next = 0

    def __call__(self, contents: list[Any]) -> list[Any]:
        kind, stream_id, metadata, first, now = self._kind, self._stream_id, self._metadata, self.next, time()
        self.next = first + len(contents)
        # A named tuple's own constructor is a Python function; the tuple's costs a third.
        if len(contents) == 1:  # a token at a time: what serves many takes longer to set up than to do
            return [tuple.__new__(kind, (stream_id, first, contents[0], metadata, now))]
        fields = zip(repeat(stream_id), count(first), contents, repeat(metadata), repeat(now))
        return list(map(partial(tuple.__new__, kind), fields))
