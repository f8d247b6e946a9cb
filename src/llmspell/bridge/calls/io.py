"""Host calls behind `io` and `os`: standard input, flushing, the end of the run."""

from __future__ import annotations

import os
import select
import sys

from llmspell.errors import LimitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run

POLL = 0.05  # seconds between looks at the clock and at Ctrl+C while input is awaited
PIECE = 65536
LONGEST_NUMERAL = 200
LARGEST_INPUT = 64 * 1024 * 1024  # bytes that may be read ahead: what is kept here is not the script's memory


class Reader:
    """Standard input, read without keeping the run from its limits."""

    def __init__(self, run: Run, fd: int) -> None:
        self.run = run
        self.fd = fd
        self.buffer = bytearray()
        self.ended = False

    def _fill(self) -> bool:
        """Reads some more; False at the end of input, or when the run is to stop."""
        observer, told = self.run.observer, False
        try:
            while not self.ended:
                if (
                    self.run.interrupted
                    or self.run.engine.stop_reason is not None
                    or self.run.clock() >= (self.run.deadline or float("inf"))
                ):
                    return False
                ready, _, _ = select.select([self.fd], [], [], POLL)
                if not ready:
                    if observer is not None and not told:
                        told = True
                        observer.before_read()
                    continue
                if len(self.buffer) > LARGEST_INPUT:
                    raise LimitError("more than 64 MB of input are read at once", hint="read it by lines or in pieces")
                piece = os.read(self.fd, PIECE)
                self.ended = not piece
                self.buffer += piece
                return bool(piece)
            return False
        finally:
            if observer is not None and told:
                observer.after_read()

    def _take(self, count: int) -> bytes:
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def line(self, keep_end: bool) -> bytes | None:
        start = 0
        while (end := self.buffer.find(b"\n", start)) < 0:
            start = len(self.buffer)
            if not self._fill():
                return self._take(len(self.buffer)) or None
        line = self._take(end + 1)
        return line if keep_end else line[:-1]

    def all(self) -> bytes:
        while self._fill():
            pass
        return self._take(len(self.buffer))

    def some(self, count: int) -> bytes | None:
        if count == 0:
            return b"" if self.buffer or self._fill() else None
        while len(self.buffer) < count and self._fill():
            pass
        return self._take(count) or None

    def number(self) -> int | float | None:
        """A numeral, as Lua reads one: the longest beginning of one after white space, at most 200 characters.

        What was no numeral after all is read nevertheless.
        """
        while True:
            stripped = self.buffer.lstrip()
            if stripped or not self._fill():
                break
        del self.buffer[: len(self.buffer) - len(stripped)]
        while len(self.buffer) < LONGEST_NUMERAL and not any(c in b" \t\r\n" for c in self.buffer) and self._fill():
            pass
        return _numeral(self._take(_numeral_length(bytes(self.buffer[:LONGEST_NUMERAL]))).decode())


def _numeral_length(text: bytes) -> int:
    """How many bytes of *text* may be a numeral's."""
    at = 0

    def take(some: bytes, most: int = LONGEST_NUMERAL) -> int:
        nonlocal at
        start = at
        while at < len(text) and at - start < most and text[at] in some:
            at += 1
        return at - start

    take(b"+-", 1)
    hexadecimal = text[at : at + 2] in (b"0x", b"0X")
    if hexadecimal:
        at += 2
    digits = b"0123456789abcdefABCDEF" if hexadecimal else b"0123456789"
    count = take(digits)
    if take(b".", 1):
        count += take(digits)
    if count and take(b"pP" if hexadecimal else b"eE", 1):
        take(b"+-", 1)
        take(b"0123456789")
    return at


def _numeral(text: str) -> int | float | None:
    for convert in (int, float, lambda word: int(word, 16), float.fromhex):
        try:
            value = convert(text)
        except ValueError:
            continue
        return value
    return None


def _read(run: Run, what: str, count: int) -> Any:
    if run.tape is not None:
        return run.tape.value("stdin", lambda: _read_now(run, what, count))
    return _read_now(run, what, count)


def share_input(run: Run, fd: int, buffer: bytearray) -> None:
    """*buffer* is what others have read ahead of the script's standard input, and where both take from."""
    if run._reader is None or run._reader.buffer is not buffer:
        run._reader = Reader(run, fd)
        run._reader.buffer = buffer


def _read_now(run: Run, what: str, count: int) -> Any:
    if run._reader is None:
        try:
            run._reader = Reader(run, sys.stdin.fileno())
        except (AttributeError, OSError, ValueError):
            run._reader = Reader(run, -1)
            run._reader.ended = True
    reader: Reader = run._reader
    if what == "a":
        return reader.all()
    if what == "n":
        return reader.number()
    if what == "b":
        return reader.some(count)
    return reader.line(what == "L")


ASKS: dict[str, Callable[..., Any]] = {
    "io.read": _read,
    "io.flush": lambda run, fd: run.output.flush(fd),
    "os.exit": lambda run, code: run.exit(code),
}
CALLS: dict[str, Callable[..., Any]] = {}
