"""Puts rows on a terminal and keeps them current, with as few bytes as that takes.

The cursor waits, hidden, at the beginning of the first row, so all that is drawn lies behind it: whatever a change of
size did to the rows, erasing from the cursor on takes all of it away and nothing else. Only rows that have changed are
written, in one write, between the marks by which terminals that know them show a frame as a whole.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

from llmspell.cli.render.echo import Echo, descriptor, in_foreground
from llmspell.cli.render.terminal import style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

__all__ = ["Painter", "Row"]

Row = tuple[str, str]  # what a row holds, and its look

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # a frame: synchronised output
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_ERASE = "\r\x1b[J"  # from the cursor's row on
_PATIENCE = 0.2  # seconds that another thread waits for a frame that is being written


def _write_at_once(fd: int, data: bytes) -> None:
    """Writes *data*, unless the terminal takes nothing now (it was stopped, or is gone)."""
    try:
        if select.select([], [fd], [], 0)[1]:
            os.write(fd, data)
    except (OSError, ValueError):
        pass


class Painter:
    """Rows on a terminal. size: gives its columns and rows. OSError and ValueError where it cannot be written."""

    def __init__(self, out: TextIO, size: Callable[[], tuple[int, int]], *, colour: bool) -> None:
        self._out, self._size, self._colour = out, size, colour
        self._rows: list[str] = []
        self._hidden = False  # the cursor
        self._drawn_for = (0, 0)
        self.ended = False  # nothing is drawn any more
        self._lock = threading.Lock()
        self._fd = descriptor(out)
        self._echo = Echo(self._fd)

    @property
    def drawn(self) -> bool:
        """Whether any row is on the terminal. May be asked from any thread."""
        return bool(self._rows)

    def size(self) -> tuple[int, int]:
        """Columns and rows that may be drawn on: one of each is spared.

        Terminals differ about the width of the newest signs, and a row that wraps by itself would be one more than is
        known; the spared line is what stood there before.
        """
        columns, rows = self._size()
        return max(columns - 1, 2), max(rows - 1, 1)

    @property
    def resized(self) -> bool:
        """Whether the terminal has another size than what is drawn was drawn for."""
        return bool(self._rows) and self._size() != self._drawn_for

    def paint(self, rows: Sequence[Row]) -> None:
        """Shows *rows*, in the place of those before; none of them wider, or more, than `size` says."""
        with self._lock:
            if self.ended or (self._fd is not None and not in_foreground(self._fd)):
                return
            size = self._size()
            frame = ""
            if not self._rows:
                frame, self._hidden = _HIDE, True
                self._echo.off()
            if self._rows and size != self._drawn_for:
                frame, self._rows = frame + _ERASE, []
            fresh = [style(text, look) if self._colour else text for text, look in rows]
            frame += _changes(self._rows, fresh)
            self._rows, self._drawn_for = fresh, size
            if frame:
                self._write(f"{_BEGIN}{frame}{_END}")

    def clear(self) -> None:
        """Takes all of it away, and shows the cursor at the start of where it was."""
        with self._lock:
            if self._rows or self._hidden:
                erase = _ERASE if self._rows else ""
                self._rows, self._hidden = [], False
                self._echo.on()
                self._write(f"{erase}{_SHOW}")

    # ---- from another thread

    def suspend(self, while_gone: Callable[[], None]) -> None:
        """Takes it away, calls *while_gone*, and lets it be drawn again after that. Raises nothing.

        Where a write of the view's own thread does not come to its end (the terminal stands still), only the cursor is
        shown.
        """
        held = self._lock.acquire(timeout=_PATIENCE)
        try:
            if self._hidden and self._fd is not None:
                gone = "" if not self._rows else _ERASE if held else "\n"
                if held:
                    self._rows, self._hidden = [], False
                self._echo.on()
                _write_at_once(self._fd, f"{gone}{_SHOW}".encode())
            while_gone()
        finally:
            if held:
                self._lock.release()

    def forget(self) -> None:
        """What was drawn is no longer known to stand there."""
        if self._lock.acquire(timeout=_PATIENCE):
            self._rows = []
            self._lock.release()

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _changes(old: Sequence[str], new: Sequence[str]) -> str:
    """What makes *new* of *old*, from the beginning of the first row and back to it."""
    parts: list[str] = []
    at = 0  # the cursor's row

    def move(to: int) -> None:
        nonlocal at
        if to > at:
            parts.append(f"\x1b[{to - at}B")
        parts.append("\r")
        at = to

    for index, row in enumerate(new):
        if index < len(old):
            if old[index] == row:
                continue
            move(index)
        elif index:  # a row more: the terminal may have to scroll for it
            if at < index - 1:
                move(index - 1)
            parts.append("\r\n")
            at = index
        parts.append(f"{row}\x1b[K")
    if len(old) > len(new):
        move(len(new))
        parts.append("\x1b[J")
    if not parts:
        return ""
    return "".join(parts) + (f"\x1b[{at}A\r" if at else "\r")
