"""Where a session's inputs come from: a terminal, line by line, or a pipe or file."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Protocol

from llmspell.bridge.calls.io import share_input
from llmspell.bridge.chunks import needs_more

if TYPE_CHECKING:
    from llmspell.bridge.run import Run

__all__ = ["FIRST", "MORE", "Cleared", "Lines", "Reader", "wants_more"]

FIRST, MORE = "> ", ">> "  # as Lua's own
PIECE = 65536
LONGEST = 8 * 1024 * 1024  # bytes of one input


class Cleared(Exception):
    """What was typed was given up, by Ctrl+C."""


class Reader(Protocol):
    """interactive: whether a person types."""

    interactive: bool

    async def read(self) -> str | None:
        """The next input, of one line or several; None at the end. Raises Cleared."""

    def clear(self) -> None:
        """Ctrl+C, while an input is read. To be called on the event loop."""

    def close(self) -> None:
        """It is over."""


def wants_more(text: str) -> bool:
    """Whether an input goes on in the next line, by the parser's word."""
    if text.startswith(":") and not text.startswith("::"):
        return False  # a word for the session itself
    data = text.removeprefix("=").encode("utf-8", "surrogateescape")
    return bool(data.strip()) and len(data) < LONGEST and needs_more(data)


class Lines:
    """Lines of standard input as they are, with a prompt on standard error where a person types them.

    The terminal's own line editing holds: it clears the line at Ctrl+C, and ends the input at Ctrl+D.
    """

    def __init__(self, *, interactive: bool) -> None:
        self.interactive = interactive
        self._fd = sys.stdin.fileno()
        self._waits = True
        self._buffer = bytearray()
        self._ended = False
        self._ready: asyncio.Future[bool] | None = None

    async def read(self) -> str | None:
        lines: list[str] = []
        while True:
            self._prompt(MORE if lines else FIRST)
            line = await self._line()
            if line is None:
                if self.interactive:
                    sys.stderr.write("\n")
                return "\n".join(lines) if lines else None
            lines.append(line)
            text = "\n".join(lines)
            if not wants_more(text):
                return text

    def _prompt(self, text: str) -> None:
        if self.interactive:
            sys.stderr.write(text)
            sys.stderr.flush()

    async def _line(self) -> str | None:
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            piece = b"" if self._ended else await self._piece()
            self._ended = not piece and not self.interactive  # on a terminal there may be more after Ctrl+D
            if not piece:
                end = start
                break
            self._buffer += piece
        if end == len(self._buffer) == 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    async def _piece(self) -> bytes:
        if self._waits:
            loop = asyncio.get_running_loop()
            ready = self._ready = loop.create_future()
            try:
                loop.add_reader(self._fd, _set, ready)
            except (OSError, NotImplementedError):  # a file, which never lets one wait, or no loop of that kind
                self._waits = False
                ready.set_result(True)
            try:
                if not await ready:
                    self._buffer.clear()
                    if self.interactive:
                        sys.stderr.write("\n")
                    raise Cleared
            finally:
                loop.remove_reader(self._fd)
                self._ready = None
        try:
            return os.read(self._fd, PIECE)
        except OSError:  # the terminal has gone
            return b""

    def share(self, run: Run) -> None:
        """What scripts read of standard input is what comes next here."""
        share_input(run, self._fd, self._buffer)

    def clear(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(False)

    def close(self) -> None:
        return None


def _set(ready: asyncio.Future[bool]) -> None:
    if not ready.done():
        ready.set_result(True)
