"""Text that comes in pieces, wrapped by words as it is written to a terminal: nothing of it is written twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.cli.render.terminal import cell_width, char_width, harmless, style

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Pen"]

ERASE = "\r\x1b[K"  # the row that the cursor is in
_TAB = "    "
MOST_SIGNS = 4000  # of a row: no text has so many marks upon its letters


class Pen:
    """Says what is to be written for each piece of a text, which begins at the start of a row.

    width: asks how many columns there are; the last one is spared, as terminals differ about the width of some signs.
    steers: whether the terminal takes sequences. Then each piece is shown at once, and a word that turns out too long
    for its row is taken back and goes on the next; without, the last word is held back until it has ended, or until
    `settle`. prefix: begins each row. look: of all of it.

    What was written stays where it is when the width changes; what comes after is wrapped at the new one.
    """

    def __init__(
        self, width: Callable[[], int], *, steers: bool, unicode: bool = True, prefix: str = "", look: str = ""
    ) -> None:
        self._width, self._steers, self._unicode = width, steers, unicode
        self._prefix, self._look = prefix, look
        self._columns = 0
        self._made: list[str] = []
        self._begin("")

    def _begin(self, text: str) -> None:
        """A new row, with *text* in it that is not written yet."""
        self._row, self._cells = text, cell_width(text)
        self._word = 0  # where in the row its last word begins
        self._sent = 0  # so much of the row is on the screen
        self._opened = False  # whether the prefix is
        self._fixed = False  # whether what is on the screen stays as it is

    @property
    def at_line_start(self) -> bool:
        """Whether nothing is in the row: the cursor stands at its start."""
        return not self._row and not self._opened

    def write(self, text: str) -> str:
        """What a terminal is to be sent for the next piece."""
        self._look_at_width()
        for char in harmless(text.replace("\r", ""), unicode=self._unicode).replace("\t", _TAB):
            if char == "\n":
                self._end_row()
            else:
                self._add(char)
        self._send(len(self._row) if self._steers else self._word)
        return self._taken()

    def settle(self) -> str:
        """What was held back: its word may well have ended. It stays where it is now."""
        if self._sent < len(self._row):
            self._send(len(self._row))
            self._fixed = True
        return self._taken()

    def finish(self) -> str:
        """The rest; the row is ended, if there is one."""
        if not self.at_line_start:
            self._end_row()
        return self._taken()

    def _taken(self) -> str:
        made = "".join(self._made)
        self._made = []
        return made

    def _look_at_width(self) -> None:
        columns = max(self._width() - 1 - cell_width(self._prefix), 2)
        if self._columns and columns != self._columns:
            self._fixed = self._sent > 0  # the terminal may have broken it anew, or cut it off
        self._columns = columns

    def _add(self, char: str) -> None:
        wide = char_width(char)
        if not wide:
            if len(self._row) > MOST_SIGNS:
                self._end_row()
            if char == "\ufe0f" and self._row and char_width(self._row[-1]) == 1:
                self._cells += 1  # an emoji now, which some terminals draw twice as wide
            elif not self._row:
                char, self._cells = " " + char, 1  # a mark with nothing to stand on would go onto the row above
            self._row += char
            return
        if self._cells + wide > self._columns:
            if char == " ":
                self._end_row()
                return
            self._break(wide)
        self._row += char
        self._cells += wide
        if char == " " or wide == 2:  # scripts of wide signs have no spaces: a row may end after each
            self._word = len(self._row)

    def _break(self, wide: int) -> None:
        """The next sign does not fit: the row ends before its last word, or here where that is all there is."""
        word = self._row[self._word :]
        fits = cell_width(word) + wide <= self._columns
        if not self._word or not word or not fits or (self._sent > self._word and self._fixed):
            self._end_row()
            return
        head = self._row[: self._word].removesuffix(" ")
        if self._sent > self._word:
            self._made.append(ERASE)
            self._opened, self._sent = False, 0
        self._row = head
        self._end_row()
        self._begin(word)

    def _end_row(self) -> None:
        self._send(len(self._row))
        self._made.append("\n")
        self._begin("")

    def _send(self, end: int) -> None:
        new = self._row[self._sent : end]
        if new or (end and not self._opened):
            if not self._opened:
                new = self._prefix + new
                self._opened = True
            self._made.append(style(new, self._look))
            self._sent = max(self._sent, end)
