"""How an HTTP/1.1 answer is framed: its head, and where its body ends. Bytes in, bytes out, no I/O.

Strict where two readers could disagree about where an answer ends, for the next one would be taken for the rest of
it. Source: RFC 9112.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from llmspell._speedups import Chunked, WireError

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
