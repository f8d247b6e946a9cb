"""What a stream can show, and how text from outside is made harmless before a terminal shows it.

Cheap: imports the standard library's smallest only, and rich never.
"""

from __future__ import annotations

import os
import unicodedata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

__all__ = [
    "Look",
    "cell_width",
    "char_width",
    "harmless",
    "is_terminal",
    "look",
    "style",
    "takes_colour",
    "takes_unicode",
    "terminal_size",
]

_CODES = {
    "bold": "1",
    "dim": "2",
    "italic": "3",
    "underline": "4",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
_WIDEST = 500
_TALLEST = 1000


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person looks at *stream*. A closed or missing one is no terminal."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError, OSError):
        return False


def takes_colour(stream: IO[str] | None, env: Mapping[str, str], *, no_color: bool = False) -> bool:
    """Whether to write colours to *stream*.

    `--no-color` (*no_color*) and NO_COLOR say no, then FORCE_COLOR (but "0") says yes; else a terminal that is not
    TERM=dumb takes them.
    """
    if no_color or env.get("NO_COLOR"):
        return False
    if env.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and env.get("TERM") != "dumb"


def terminal_size(stream: IO[str] | None, env: Mapping[str, str]) -> tuple[int, int]:
    """Columns and rows: COLUMNS and LINES where they are set, else the terminal's own, else 80 and 24."""
    columns, rows = _positive(env.get("COLUMNS")), _positive(env.get("LINES"))
    if (not columns or not rows) and stream is not None:
        try:
            own = os.get_terminal_size(stream.fileno())
        except (AttributeError, ValueError, OSError):
            pass
        else:
            columns, rows = columns or own.columns, rows or own.lines
    return min(columns or 80, _WIDEST), min(rows or 24, _TALLEST)


def _positive(text: str | None) -> int:
    return int(text) if text and len(text) < 6 and text.isascii() and text.isdigit() else 0


def takes_unicode(stream: IO[str] | None) -> bool:
    """Whether what llmspell draws beyond ASCII can be written to *stream*."""
    try:
        "│…␛⠋·".encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


class Look:
    """How to draw for one stream: what `render` wants to know. width is 0 where no terminal bounds it."""

    __slots__ = ("colour", "unicode", "width")

    def __init__(self, *, colour: bool, width: int, unicode: bool) -> None:
        self.colour, self.width, self.unicode = colour, width, unicode


def look(stream: IO[str] | None, *, env: Mapping[str, str] = os.environ, no_color: bool = False) -> Look:
    """The look for *stream*, all of it at once."""
    return Look(
        colour=takes_colour(stream, env, no_color=no_color),
        width=terminal_size(stream, env)[0] if is_terminal(stream) else 0,
        unicode=takes_unicode(stream),
    )


def style(text: str, words: str) -> str:
    """*text* in the look that *words* name ("bold red"); text that is empty stays so."""
    if not text or not words:
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in words.split())}m{text}\x1b[0m"


# Printable by Unicode's own classes, yet seen as nothing: they hide or glue what stands beside them. U+FE0E and
# U+FE0F, which choose between a sign's text and emoji form, are in every other emoji and stay.
_UNSEEN = frozenset(
    (
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0),
        *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)),
    )
)
_KEPT = 4096  # characters whose form is remembered: no text can make the tables grow further


class _Forms(dict[int, str]):
    """What each character is shown as; filled as characters come. For `str.translate`."""

    def __init__(self, *, newlines: bool, unicode: bool) -> None:
        self._unicode = unicode
        self[0x09] = "\t"
        if newlines:
            self[0x0A] = "\n"

    def __missing__(self, code: int) -> str:
        shown = self._form(code)
        if len(self) < _KEPT:
            self[code] = shown
        return shown

    def _form(self, code: int) -> str:
        char = chr(code)
        if char.isprintable() and code not in _UNSEEN:
            return char
        if self._unicode and code < 0x20:
            return chr(0x2400 + code)
        if self._unicode and code == 0x7F:
            return "␡"
        if unicodedata.category(char) == "Zs":
            return " "
        return f"<{code:02x}>"


_FORMS = {
    (newlines, unicode): _Forms(newlines=newlines, unicode=unicode)
    for newlines in (False, True)
    for unicode in (False, True)
}


def harmless(text: str, *, keep_newlines: bool = True, unicode: bool = True) -> str:
    """*text* with nothing in it that steers a terminal or deceives its reader.

    Control characters (escape sequences with them), bidirectional and zero-width ones are made visible: `␛`, or
    `<1b>` where *unicode* is False or no sign stands for them. Newlines (a carriage return before one is dropped)
    and tabs pass; with *keep_newlines* False a newline is shown as any control character is, so one line stays one.
    What else is printable passes as it is. Nothing is shortened.
    """
    if text.isascii() and text.isprintable():
        return text
    if keep_newlines and "\r" in text:
        text = text.replace("\r\n", "\n")
    return text.translate(_FORMS[keep_newlines, unicode])


def char_width(char: str) -> int:
    """The columns that a character takes, beside its neighbours: 0, 1 or 2."""
    if " " <= char <= "~":
        return 1
    if unicodedata.east_asian_width(char) in "WF" or "\U0001f1e6" <= char <= "\U0001f1ff":  # two of these are a flag
        return 2
    return 0 if unicodedata.category(char) in ("Mn", "Me") or char in "\u200c\u200d" else 1


def cell_width(text: str) -> int:
    """The columns that a line of harmless text takes. A sign made an emoji by U+FE0F is counted as two."""
    if text.isascii():
        return len(text)
    width = 0
    for index, char in enumerate(text):
        if char == "\ufe0f":
            width += 1 if index and char_width(text[index - 1]) == 1 else 0
        else:
            width += char_width(char)
    return width
