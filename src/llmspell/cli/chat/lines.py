"""What is typed at the prompt: messages of one line, or of several. prompt_toolkit where it is there, else plain lines.

A line that ends with a backslash goes on; `\"\"\"` begins a block, and ends it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Interrupted", "Plain", "Reader", "goes_on", "joined", "reader", "unblocked"]

BLOCK = '"""'
LARGEST = 64 << 20  # bytes of one message
PROMPT, MORE = "> ", "… "


class Interrupted(Exception):
    """Ctrl+C at the prompt. empty: nothing was typed."""

    def __init__(self, *, empty: bool = True) -> None:
        super().__init__()
        self.empty = empty


class Reader(Protocol):
    """Reads messages."""

    async def read(self) -> str | None:
        """The next one; None at the end of input. Raises Interrupted."""

    def interrupt(self) -> None:
        """Ctrl+C came as a signal."""


def goes_on(text: str) -> bool:
    """Whether what was typed so far is not all of the message."""
    start = text.lstrip()
    if start.startswith(BLOCK):
        return not start[len(BLOCK) :].rstrip().endswith(BLOCK)
    return text.endswith("\\")


def unblocked(text: str) -> str:
    """A message without the marks of a block, where it is one."""
    start = text.strip()
    if start.startswith(BLOCK) and len(start) >= 2 * len(BLOCK) and start.endswith(BLOCK):
        return start[len(BLOCK) : -len(BLOCK)].strip("\n")
    return text


def joined(lines: Sequence[str]) -> str:
    """The message of the lines that were typed."""
    text = "\n".join(lines)
    if text.lstrip().startswith(BLOCK):
        return unblocked(text)
    return "\n".join([*(line.removesuffix("\\") for line in lines[:-1]), lines[-1]]) if lines else ""


class Plain:
    """Lines as the terminal itself has them typed."""

    def __init__(self, write: Callable[[str], None], *, unicode: bool = True, number: int = 0) -> None:
        self._write, self._number = write, number
        self._more = MORE if unicode else ". "
        self._buffer = b""
        self._waiting: asyncio.Future[None] | None = None

    async def read(self) -> str | None:
        lines: list[str] = []
        while True:
            self._write(self._more if lines else PROMPT)
            line = await self._line()
            if line is None:
                self._write("\n")
                return joined(lines).removesuffix("\\") if lines else None
            lines.append(line)
            block = lines[0].lstrip().startswith(BLOCK)
            if not (goes_on("\n".join(lines)) if block else line.endswith("\\")):
                return joined(lines)

    async def _line(self) -> str | None:
        """The next line without its end; None at the end of input."""
        while b"\n" not in self._buffer and len(self._buffer) < LARGEST:
            data = await self._bytes()
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest.decode("utf-8", "replace") if rest else None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("utf-8", "replace").removesuffix("\r")

    async def _bytes(self) -> bytes:
        loop = asyncio.get_running_loop()
        if sys.platform == "win32":
            return (await asyncio.to_thread(sys.stdin.readline)).encode("utf-8", "replace")
        ready = self._waiting = loop.create_future()

        def readable() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(self._number, readable)
        try:
            await ready
        except asyncio.CancelledError:
            self._write("\n")
            raise
        finally:
            self._waiting = None
            loop.remove_reader(self._number)
        try:
            return os.read(self._number, 65536)
        except OSError:  # the terminal is gone
            return b""

    def interrupt(self) -> None:
        self._buffer = b""
        self._write("\n")
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Interrupted())


def reader(
    write: Callable[[str], None], words: Callable[[], Sequence[str]], said: Sequence[str], **look: bool
) -> Reader:
    """The best there is. write: to the terminal. words: what a `/` can be completed to. said: messages of before."""
    if os.environ.get("TERM", "") not in ("dumb", "") and importlib.util.find_spec("prompt_toolkit") is not None:
        from llmspell.cli.chat.editing import Editor

        return Editor(words, said, **look)
    return Plain(write, unicode=look.get("unicode", True))
