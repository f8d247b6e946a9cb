"""Columns of a terminal: where a line of harmless text may be broken, and how wide its parts are.

What a person sees as one sign (a letter with its marks, a flag, a family joined of several people) is never broken.
Terminals differ about the width of joined signs: counted is what one that joins nothing takes, so that no line is ever
wider than was thought.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmspell.cli.render.terminal import cell_width, char_width, harmless

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clusters", "cut", "expand_tabs", "live_text", "settle", "split"]

TAB_STOPS = 8  # columns, as terminals have them
_JOINER = "\u200d"
_EMOJI_FORM = "\ufe0f"  # makes an emoji of the sign before it, which some terminals then draw twice as wide
_JOINERS = re.compile("([\u200c\u200d])")
# One with nothing before it that it could join: it would only hide.
_IDLE_JOINER = re.compile("(?<![^\x00-\x7f\u200c\u200d])[\u200c\u200d]")


_KEPT = 4096  # characters whose width is remembered: no text can make the table grow further


class _Widths(dict[str, int]):
    """What `char_width` says, kept."""

    def __missing__(self, char: str) -> int:
        width = char_width(char)
        if len(self) < _KEPT:
            self[char] = width
        return width


_WIDTHS = _Widths()


def live_text(text: str, *, unicode: bool) -> str:
    """*text* made harmless, but for joiners, which emoji and some scripts need: `settle` looks what they stand beside.

    Carriage returns go: there is nothing to return to.
    """
    text = text.replace("\r", "")
    if not unicode or text.isascii():
        return harmless(text, unicode=unicode)
    return "".join(
        part if index % 2 else harmless(part, unicode=unicode) for index, part in enumerate(_JOINERS.split(text))
    )


def settle(line: str) -> str:
    """*line* with those joiners made visible that join nothing."""
    if line.isascii() or ("\u200c" not in line and _JOINER not in line):
        return line
    return _IDLE_JOINER.sub(lambda found: f"<{ord(found[0]):x}>", line)


def expand_tabs(line: str, text: str) -> str:
    """*text*, which goes on from *line*, with spaces up to the next stop in the place of each tab."""
    first, *rest = text.split("\t")
    line, told = line + first, first
    for part in rest:
        gap = " " * (TAB_STOPS - cell_width(line) % TAB_STOPS)
        line, told = f"{line}{gap}{part}", f"{told}{gap}{part}"
    return told


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def clusters(text: str) -> Iterator[tuple[int, int]]:
    """Where each sign of *text* ends, and how many columns it takes."""
    index, count = 0, len(text)
    while index < count:
        base = text[index]
        width = last = _WIDTHS[base]
        index += 1
        if index < count and _is_flag_half(base) and _is_flag_half(text[index]):
            width += _WIDTHS[text[index]]
            index += 1
        while index < count:
            char = text[index]
            if char == _EMOJI_FORM:
                width, last = width + (last == 1), 2
            elif "\U0001f3fb" <= char <= "\U0001f3ff":  # the tone of a skin
                width += 2
            elif (wide := _WIDTHS[char]) != 0:
                if text[index - 1] != _JOINER or char.isascii():
                    break
                last = wide
                width += wide
            index += 1
        yield index, width


def split(line: str, width: int) -> tuple[str, str | None]:
    """As much of *line* as fits, broken at a space if there is one, and the rest; None where all of it fits."""
    if line.isascii():
        return _split_ascii(line, width)
    used = space = begin = 0
    for end, wide in clusters(line):
        char = line[begin:end]
        if used + wide > width:
            if char == " ":
                return line[:begin], line[end:]
            if space:
                return line[:space], line[space + 1 :]
            begin = begin or _fitting(line[:end], width)
            return line[:begin], line[begin:]
        if char == " " and begin:
            space = begin
        used += wide
        begin = end
    return line, None


def _split_ascii(line: str, width: int) -> tuple[str, str | None]:
    if len(line) <= width:
        return line, None
    if line[width] == " ":
        return line[:width], line[width + 1 :]
    space = line.rfind(" ", 1, width)
    return (line[:space], line[space + 1 :]) if space > 0 else (line[:width], line[width:])


def _fitting(sign: str, width: int) -> int:
    """How many characters of one sign, which is wider than the terminal, fit: one at least."""
    for index in range(len(sign) - 1, 1, -1):
        if char_width(sign[index]) and cell_width(sign[:index]) <= width:
            return index
    return 1


def cut(text: str, width: int, sign: str) -> str:
    """*text*, or its beginning and *sign* where it is wider than *width*."""
    if cell_width(text) <= width:
        return text
    if width <= len(sign):
        return sign[:width]
    used = end = 0
    for index, wide in clusters(text):
        if used + wide > width - len(sign):
            break
        used, end = used + wide, index
    return text[:end] + sign
