"""Lines of results that come as they are ready, and leave in the order of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.cli.mapping.outcome import line_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.cli.mapping.journal import Journal

__all__ = ["Ordered"]

WINDOW = 1024  # rows, at least, that may be finished before one that is not, where no journal keeps them
HELD = 64 << 20  # bytes of lines in memory, likewise


class Ordered:
    """Hands each line to *write(line, failed)* in its turn. journal: keeps those that wait; else memory does."""

    def __init__(self, write: Callable[[bytes, bool], None], journal: Journal | None, at_once: int) -> None:
        self._write, self._journal = write, journal
        self._window = max(WINDOW, 4 * at_once)
        self._waiting: list[int] = []  # rows that have begun and not left, from the front on
        self._lines: dict[int, tuple[bytes, bool] | None] = {}  # of those that are finished; None: the journal has it
        self._held = 0
        self._front = 0

    def begin(self, row: int) -> None:
        """A row is under way; rows begin in their order."""
        self._waiting.append(row)

    def room(self) -> bool:
        """Whether another row may begin."""
        if self._journal is not None:
            return True
        return len(self._waiting) - self._front < self._window and (self._held < HELD or not self._lines)

    def finish(self, row: int, kept: dict[str, Any] | None) -> None:
        """It is finished; kept: None where the journal alone has it. OSError as *write* raises it."""
        if self._front < len(self._waiting) and self._waiting[self._front] == row and kept is not None:
            self._front += 1
            self._write(line_of(kept), "error" in kept)
        else:
            line = None if self._journal is not None or kept is None else line_of(kept)
            self._lines[row] = None if line is None or kept is None else (line, "error" in kept)
            self._held += 0 if line is None else len(line)
        self._leave()

    def _leave(self) -> None:
        waiting = self._waiting
        while self._front < len(waiting) and waiting[self._front] in self._lines:
            self._pass(waiting[self._front])
            self._front += 1
        if self._front > 1000 and self._front * 2 > len(waiting):
            del waiting[: self._front]
            self._front = 0

    def _pass(self, row: int) -> None:
        held = self._lines.pop(row)
        if held is None:
            assert self._journal is not None
            kept = self._journal.line(row)
            held = line_of(kept), "error" in kept
        else:
            self._held -= len(held[0])
        self._write(*held)

    def end(self) -> None:
        """The rest goes, in order; rows that were not finished are left out."""
        for row in self._waiting[self._front :]:
            if row in self._lines:
                self._pass(row)
        self._waiting.clear()
        self._front = 0
