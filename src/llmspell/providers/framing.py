"""How an HTTP/1.1 answer is framed: its head, and where its body ends. Bytes in, bytes out, no I/O.

Strict where two readers could disagree about where an answer ends, for the next one would be taken for the rest of
it. Source: RFC 9112.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = [
    "ANSWER_MAX",
    "HEAD_MAX",
    "Body",
    "Chunked",
    "Head",
    "Sized",
    "Unframed",
    "WireError",
    "body_of",
    "head_end",
    "parse_head",
]

ANSWER_MAX = 256 * 1024 * 1024  # bytes of one answer
HEAD_MAX = 64 * 1024  # bytes of an answer's status line and headers
LINE_MAX = 4 * 1024  # of a chunk's size line
TRAILER_MAX = 16 * 1024


class WireError(Exception):
    """What came is no HTTP answer, or one beyond the bounds; the text says what."""


class Head(NamedTuple):
    """An answer's first part. Header names are in lower case, repeated ones joined with a comma."""

    status: int
    headers: dict[str, str]
    persistent: bool


def parse_head(data: bytes) -> Head:
    """Status line and headers, without the blank line. Raises WireError."""
    lines = data.decode("latin-1").replace("\r\n", "\n").split("\n")
    version, _, rest = lines[0].partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdecimal() and code >= "100"):
        raise WireError("what answers does not speak HTTP/1.1")
    headers: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        if line[:1] in (" ", "\t") and name:  # a folded line, as old servers send it
            headers[name] += " " + line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise WireError("the answer has a header line that is none")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    wish = headers.get("connection", "").lower()
    persistent = "close" not in wish and (version == "HTTP/1.1" or "keep-alive" in wish)
    return Head(int(code), headers, persistent)


def head_end(data: bytes) -> tuple[int, int] | None:
    """Where the head ends and the body begins; lone LFs are taken for line ends, as old servers send them."""
    stop = data.find(b"\r\n\r\n")
    bare = data.find(b"\n\n", 0, stop if stop >= 0 else len(data))
    if bare >= 0:
        return bare, bare + 2
    return None if stop < 0 else (stop, stop + 4)


class Body(Protocol):
    """How an answer's body is framed. `feed` gives what of its bytes is content; `done` once it is whole."""

    done: bool
    rest: bytes  # what came after the end

    def feed(self, data: bytes) -> bytes: ...


class Sized:
    """A body of a known number of bytes."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.done = size == 0
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        if len(data) > self.left:
            data, self.rest = data[: self.left], data[self.left :]
        self.left -= len(data)
        self.done = self.left == 0
        return data


class Unframed:
    """A body that ends with the connection."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        return data


class Chunked:
    """A body in chunks, each with its size before it. Source: RFC 9112 §7.1."""

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
            self._left = _chunk_size(line)
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


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].rstrip(b" \t")
    # `int` alone takes signs, underscores and 0x, of which two readers could make two sizes.
    if digits.isalnum() and len(digits) <= 12 and b"x" not in digits.lower():
        try:
            return int(digits, 16)
        except ValueError:
            pass
    raise WireError("the answer has a chunk without a size")


def body_of(head: Head) -> Body:
    """How the body after *head* is framed. Raises WireError."""
    if head.status in (204, 304):
        return Sized(0)
    coding = head.headers.get("transfer-encoding", "").lower()
    if coding:
        if coding != "chunked":
            raise WireError(f"the answer has a transfer coding that was not asked for: {coding[:40]}")
        return Chunked()
    length = head.headers.get("content-length")
    if length is None:
        return Unframed()
    sizes = {part.strip() for part in length.split(",")}
    text = sizes.pop()
    if sizes or not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise WireError("the answer's length cannot be read")
    return Sized(int(text))
