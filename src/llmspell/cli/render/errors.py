"""An error as a person reads it: what happened, where in the script, what lies beneath, what to do next.

Returns text, writes nothing and needs no rich. All that came from outside is made harmless here.
"""

from __future__ import annotations

import re

from llmspell.cli.render.terminal import cell_width, char_width, harmless, style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from llmspell.errors import LLMSpellError

__all__ = ["excerpt", "render"]

_AROUND = 2  # lines shown before the script's line, and after
_TAB = 4
_MOST_FRAMES = 20
_MOST_CAUSES = 5
_MOST_TEXT = 4000  # characters of a message or a hint
_MOST_NAME = 200
_WIDE = 200  # columns of a source line where nothing else bounds it
_LINE_END = re.compile(r"\r\n|\n\r|\r|\n")  # as Lua counts lines


class _Pen:
    """How to write for one reader: the choices that `render` was given."""

    __slots__ = ("colour", "cut", "unicode", "width")

    def __init__(self, *, colour: bool, width: int, unicode: bool) -> None:
        self.colour = colour
        self.width = width
        self.unicode = unicode
        self.cut = "…" if unicode else "..."

    def paint(self, text: str, words: str) -> str:
        return style(text, words) if self.colour else text

    def line(self, value: object, most: int = _MOST_NAME) -> str:
        """*value* as one harmless line of at most *most* characters."""
        text = str(value)
        if len(text) > most:
            text = text[:most] + self.cut
        return harmless(text, keep_newlines=False, unicode=self.unicode).replace("\t", " ")

    def wrapped(self, text: str, first: int, later: str) -> list[str]:
        """*text* in lines that fit the width: *first* columns are taken in the first, *later* begins the others."""
        if not self.width or first + cell_width(text) <= self.width:
            return [text]
        lines: list[str] = []
        line, used = "", first
        for word in text.split(" "):
            wide = cell_width(word)
            if line and used + 1 + wide > self.width:
                lines.append(line)
                line, used = later + word, len(later) + wide
            else:
                used += wide + (1 if line else 0)
                line = f"{line} {word}" if line else word
        return [*lines, line]


def render(
    error: LLMSpellError, *, source: Callable[[str], str | None], colour: bool, width: int, unicode: bool
) -> str:
    """The error in full, its last line ended.

    source: gives a script's text by the name that the error has for it, None where it is not known.
    colour: whether ANSI colours may be used. width: columns; 0 where no terminal bounds them, then sentences stay
    on one line. unicode: whether more than ASCII can be drawn (what the texts themselves hold, stays).
    """
    pen = _Pen(colour=colour, width=width, unicode=unicode)
    lines = _sentence(pen, f"error[{pen.line(error.kind)}]", error.message, "bold red", "bold")
    lines += _excerpt(pen, error, source)
    lines += _traceback(pen, error)
    lines += _beneath(pen, error)
    if error.hint:
        if "--allow-" in error.hint:  # that flag is to be copied: the terminal breaks that line, and not we
            pen.width = 0
        lines += _sentence(pen, "hint", error.hint, "cyan", "")
    return "\n".join(lines) + "\n"


def _sentence(pen: _Pen, head: str, text: str, head_look: str, look: str, indent: str = "") -> list[str]:
    """`head: text`, wrapped, its later lines set in."""
    first = len(indent) + len(head) + 2
    body = pen.wrapped(pen.line(text, _MOST_TEXT), first, indent + "  ")
    body = [pen.paint(line, look) for line in body]
    body[0] = f"{indent}{pen.paint(head, head_look)}{pen.paint(':', look)} {body[0]}"
    return body


# Where in the script


def excerpt(place: LLMSpellError, text: str, *, colour: bool, width: int, unicode: bool) -> list[str]:
    """The lines of *text* around *place*, with a caret below its own; as `render` draws them."""
    pen = _Pen(colour=colour, width=width, unicode=unicode)
    return _excerpt(pen, place, lambda name: text)[1:]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _excerpt(pen: _Pen, error: LLMSpellError, source: Callable[[str], str | None]) -> list[str]:
    """The place, and the script's own lines around it where its text is known."""
    script, line, column = error.script, _number(error.line), _number(error.column)
    if not isinstance(script, str) or line is None:
        return []
    place = f"{pen.line(script)}:{line}" + (f":{column}" if column is not None else "")
    lines = [f"  {pen.paint('-->', 'blue')} {place}"]
    text = source(script)
    if text is None:
        return lines
    first, shown = _lines_around(text, line)
    if not first <= line < first + len(shown):
        return lines
    digits = len(str(first + len(shown) - 1))
    bar = pen.paint("│" if pen.unicode else "|", "blue")
    room = max((pen.width or _WIDE + digits + 4) - digits - 4, 10)
    strips = _Window(pen, shown, line - first, column, room)
    for number, strip in enumerate(strips.lines(), first):
        told = f" {number:>{digits}}"
        lines.append(f"{pen.paint(told, 'bold' if number == line else 'dim')} {bar} {strip}".rstrip())
        if number == line:
            lines.append(f" {' ' * digits} {bar} {strips.caret()}".rstrip())
    return lines


def _lines_around(text: str, line: int) -> tuple[int, list[str]]:
    """The number of the first line shown, and the lines. Reads no further than it must."""
    first = max(line - _AROUND, 1)
    shown: list[str] = []
    number, start = 1, 0
    for end in _LINE_END.finditer(text):
        if number >= first:
            shown.append(text[start : end.start()])
        number, start = number + 1, end.end()
        if number > line + _AROUND:
            return first, shown
    if number >= first and (start < len(text) or number == line):
        shown.append(text[start:])
    return first, shown


class _Window:
    """Source lines, cut to the room there is, so that the caret is seen.

    shown: the lines. at: which of them the error is in. column: of the error, from 1, in characters; None where only
    the line is known. room: columns for a line.
    """

    def __init__(self, pen: _Pen, shown: list[str], at: int, column: int | None, room: int) -> None:
        self._pen = pen
        self._shown = shown
        self._at = at
        self._room = room
        text = shown[at]
        # A line may be a megabyte: what is far from the error is not laid out.
        self._from = max((column or 1) - 1 - 2 * room, 0)
        self._to = (column or 1) + 3 * room
        if column is not None:
            before = self._cells(text[self._from : min(column - 1, len(text))])
            self._start, self._wide = len(before), 1
        else:
            bare = self._cells(text[: self._to].rstrip())
            self._start = next((index for index, cell in enumerate(bare) if cell != " "), 0)
            self._wide = max(len(bare) - self._start, 1)
        over = self._start + min(self._wide, room) + len(pen.cut) - room  # the sign of a cut must not hide the error
        self._left = 0
        if over > 0:
            # Without a column, what stands far in is shown from its first sign; else its indentation is worth its room.
            first = room // 2 if column is not None or self._start < room // 2 else len(pen.cut)
            self._left = max(self._start - first, 0)

    def _cells(self, text: str) -> list[str]:
        """A string for each column: a wide character is followed by an empty one, marks join what they stand on."""
        cells: list[str] = []
        for char in text:
            if char == "\t":
                cells += " " * (_TAB - len(cells) % _TAB)
                continue
            for shown in harmless(char, keep_newlines=False, unicode=self._pen.unicode):
                width = char_width(shown)
                if width:
                    cells += [shown, ""][:width]
                elif cells:
                    cells[-1 if cells[-1] or len(cells) == 1 else -2] += shown
                else:
                    cells.append(" " + shown)
        return cells

    def lines(self) -> Iterator[str]:
        """Each line as it is shown: the error's around the error, the others from their beginning."""
        for index, text in enumerate(self._shown):
            if index == self._at:
                far = self._from > 0 or self._left > 0
                yield self._strip(text[self._from :], self._left, self._to - self._from, far)
            else:
                yield self._strip(text, 0, 3 * self._room, False)

    def _strip(self, text: str, left: int, most: int, cut_left: bool) -> str:
        """Columns from *left* on of the first *most* characters of *text*."""
        cells = self._cells(text[:most])
        cut = self._pen.cut
        cut_right = len(cells) > left + self._room or len(text) > most
        part = cells[left : left + self._room - (len(cut) if cut_right else 0)]
        if cut_left and part:
            part = [*cut, *part[len(cut) :]]
        # A wide character that an edge cuts in two makes place for a space.
        for index, cell in enumerate(part):
            if cell == "" and (index == 0 or char_width(part[index - 1][:1] or " ") < 2):
                part[index] = " "
        if cut_right and part and char_width(part[-1][:1] or " ") == 2:
            part[-1] = " "
        return "".join(part) + (cut if cut_right else "")

    def caret(self) -> str:
        """The line below the error's: a caret under its column, or under all of it."""
        start = self._start - self._left
        wide = min(self._wide, self._room - start)
        return " " * start + self._pen.paint("^" * max(wide, 1), "bold red")


# What lies beneath


def _traceback(pen: _Pen, error: LLMSpellError) -> list[str]:
    frames = error.traceback
    if not isinstance(frames, list):
        return []
    if len(frames) == 1 and isinstance(frames[0], dict):
        stands = error.script, error.line
        if None in stands or stands == (frames[0].get("source"), frames[0].get("line")):
            return []  # it says no more than the place does
    runs = _runs([frame for frame in frames if isinstance(frame, dict)])
    cut = len(frames) >= _MOST_FRAMES  # so many are kept: there may be more
    lines = []
    for at, (frame, times) in enumerate(runs[:_MOST_FRAMES], 1):
        place = f"({pen.line(frame.get('source', '?'))}:{pen.line(frame.get('line', '?'))})"
        lines.append(f"  at {pen.line(frame.get('what') or '?')} {pen.paint(place, 'dim')}")
        if times > 1:
            more = "more" if cut and at == len(runs) else f"{times - 1} more"
            lines.append(pen.paint(f"  {pen.cut} and {more} of the same", "dim"))
    if left := sum(times for _, times in runs[_MOST_FRAMES:]):
        lines.append(pen.paint(f"  {pen.cut} {left} more", "dim"))
    return lines


def _runs(frames: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Frames, each with how often it stands in a row: what calls itself without end is told once."""
    runs: list[tuple[dict[str, Any], int]] = []
    for frame in frames:
        if runs and runs[-1][0] == frame:
            runs[-1] = frame, runs[-1][1] + 1
        else:
            runs.append((frame, 1))
    return runs


def _causes(error: LLMSpellError) -> Iterator[LLMSpellError]:
    """The errors of our own beneath this one. Others may quote what is secret; they are for `--traceback`."""
    from llmspell.errors import LLMSpellError

    below = error.__cause__
    for _ in range(_MOST_CAUSES):
        if not isinstance(below, LLMSpellError):
            return
        yield below
        below = below.__cause__


def _raised(pen: _Pen, error: LLMSpellError) -> list[str]:
    """The error value of the script's own, where it is a table; its message was told."""
    value = error.value
    if error.kind != "script" or not isinstance(value, dict | list):
        return []
    if isinstance(value, dict):
        value = {key: one for key, one in value.items() if key != "message" or one != error.message}
    if not value:
        return []
    from llmspell.cli.events import plain_json

    head = "  value: "
    return [head + _fitting(pen, pen.line(plain_json(value).decode()), max((pen.width or 2 * _WIDE) - len(head), 20))]


def _fitting(pen: _Pen, text: str, room: int) -> str:
    """As much of *text* as *room* columns take."""
    if cell_width(text) <= room:
        return text
    while text and cell_width(text) > room - len(pen.cut):
        text = text[:-1]
    return text + pen.cut


def _beneath(pen: _Pen, error: LLMSpellError) -> list[str]:
    lines = _raised(pen, error)
    chain = [error, *_causes(error)]
    for cause in chain[1:]:
        lines += _sentence(pen, f"caused by {pen.line(cause.kind)}", cause.message, "", "", "  ")

    def known(name: str) -> Any:
        return next((one.context[name] for one in chain if one.context.get(name) is not None), None)

    if known("provider") is not None:
        for name in ("provider", "model", "status", "request_id"):
            value = known(name)
            if value is not None:
                lines.append(f"  {name.replace('_', ' ')}: {pen.line(value)}")
    partial = known("partial")
    if isinstance(partial, str) and partial:
        count = len(partial)
        lines.append(f"  the answer so far: {count} character{'' if count == 1 else 's'}")
    return lines
