"""Where in a TOML text each key stands. tomllib does not say, and an error without a line is half an error.

Reads only texts that tomllib took, so it skips values without checking them. Loaded when a place is asked for.
"""

from __future__ import annotations

import re

__all__ = ["line_and_column", "positions"]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_OPENING = re.compile(r"[\[ \t]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_VALUE = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


def _plain(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] != '"':
        return part
    if "\\" not in part:
        return part[1:-1]
    import tomllib

    try:
        return next(iter(tomllib.loads(part + " = 0")))
    except ValueError:  # no valid text, so its places are worth nothing; but to end is worth something
        return part[1:-1]


def _key(text: str, at: int, above: tuple[str, ...], found: dict[tuple[str, ...], int]) -> tuple[tuple[str, ...], int]:
    """Reads a dotted key: its path and where it ends. Every part of it is noted."""
    path = above
    while part := _PART.match(text, at):
        path = (*path, _plain(part[0]))
        found.setdefault(path, at)
        at = part.end()
        dot = _DOT.match(text, at)
        if dot is None:
            break
        at = dot.end()
    return path, at


def positions(text: str) -> dict[tuple[str, ...], int]:
    """The offset at which each key of *text*, a valid TOML text, is first named. Keys in arrays are not told apart."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()  # of the last [header]
    path: tuple[str, ...] = ()  # of the last key
    inside: list[tuple[str, ...] | None] = []  # of open brackets: an inline table's path, None for an array
    key_next = True
    at = 0
    while True:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        char = text[at : at + 1]
        if not char:
            return found
        if char in "]}" and inside:
            inside.pop()
            key_next = not inside
            at += 1
        elif key_next and not inside and char == "[":
            opening = _OPENING.match(text, at)
            at = opening.end() if opening else at
            table, at = _key(text, at, (), found)
            at = max(at, _end_of_line(text, at))
        elif key_next:
            above = inside[-1] if inside else None
            path, at = _key(text, at, table if above is None else above, found)
            at = text.find("=", at) + 1 or len(text)
            key_next = False
        elif char in "[{":
            inside.append(path if char == "{" else None)
            key_next = char == "{"
            at += 1
        elif char == ",":
            key_next = bool(inside) and inside[-1] is not None
            at += 1
        else:
            value = _VALUE.match(text, at)
            at = value.end() if value else at + 1
            key_next = not inside


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Both from 1; columns are counted in characters."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
