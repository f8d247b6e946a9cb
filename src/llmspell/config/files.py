"""A configuration file: read within bounds, parsed, and cut into settings that know their place.

Loaded where there is a file. What a file holds is not trusted here: no value is ever told in an error.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

from llmspell.config.hints import told
from llmspell.config.positions import line_and_column, positions
from llmspell.config.schema import KEYS, is_provider_name
from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str, ...]

__all__ = ["MOST_BYTES", "File", "leaves", "read"]

#: A configuration is small; a file that is not, is something else.
MOST_BYTES = 256 * 1024


class File:
    """A file that was read: its text is kept to tell lines from."""

    __slots__ = ("_positions", "name", "path", "text", "trusted")

    def __init__(self, path: str, trusted: bool, text: str) -> None:
        self.path = path
        self.name = one_line(path)
        self.trusted = trusted
        self.text = text
        self._positions: dict[Path, int] | None = None

    def place(self, path: Path) -> tuple[int, int]:
        """Line and column of a key, both from 1."""
        if self._positions is None:
            self._positions = positions(self.text)
        return line_and_column(self.text, self._positions.get(path, 0))

    def error(self, path: Path, what: str, hint: str) -> ConfigError:
        """That *what* is wrong with the key at *path*."""
        line, column = self.place(path)
        return _file_error(self.name, line, column, what, hint)


def _file_error(name: str, line: int, column: int, what: str, hint: str) -> ConfigError:
    return ConfigError(f"{name}:{line}:{column}: {what}", hint=hint, file=name, line=line, column=column)


def read(path: str, trusted: bool) -> File:
    """The file at *path*. ConfigError where it cannot be read, is too large, or is no text."""
    return File(path, trusted, _text(path))


def _text(path: str) -> str:
    name = one_line(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        why = (exc.strerror if isinstance(exc, OSError) else None) or "not a file's name"
        hint = "check the path and its permissions"
        raise ConfigError(f"cannot read {name}: {why.lower()}", hint=hint, file=name, cause=exc) from None
    if len(data) > MOST_BYTES:
        hint = "is it a configuration file?"
        raise ConfigError(f"{name} is larger than {MOST_BYTES // 1024} KB", hint=hint, file=name)
    try:
        # tomllib sees the same line ends, so that offsets in this text are offsets in its.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        column = len(data[data.rfind(b"\n", 0, exc.start) + 1 : exc.start].decode("utf-8", "replace")) + 1
        raise _file_error(name, line, column, "is not UTF-8 text", "save the file as UTF-8") from None


def _parse(file: File) -> dict[str, Any]:
    try:
        return tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as exc:
        what, line, column = _syntax(str(exc), file.text)
        raise _file_error(file.name, line, column, what, "correct the TOML syntax there") from None
    except (ValueError, RecursionError) as exc:  # a number too long, a date that is none, brackets without end
        what = "is nested too deeply" if isinstance(exc, RecursionError) else "a number or date is out of range"
        raise ConfigError(f"{file.name}: {what}", hint="simplify the file", file=file.name) from None


def _syntax(message: str, text: str) -> tuple[str, int, int]:
    """tomllib says where at the end of its message: "(at line 3, column 5)" or "(at end of document)"."""
    what, _, place = message.rpartition(" (at ")
    numbers = [int(word) for word in place.rstrip(")").replace(",", "").split() if word.isdecimal()]
    if len(numbers) == 2:
        return one_line(what, 200), numbers[0], numbers[1]
    return one_line(what or message, 200), text.count("\n") + 1, len(text) - text.rfind("\n")


def leaves(file: File) -> Iterator[tuple[Path, Any]]:
    """Each setting of a file. Goes no deeper than the schema does, so that nesting costs nothing."""
    for first, value in _parse(file).items():
        if first not in ("runtime", "limits", "providers", "permissions", "tools", "state", "logging"):
            yield (first,), value  # no such key: the caller says so
            continue
        _want_table(file, (first,), value)
        for second, inner in value.items():
            if first == "tools":
                _want_table(file, (first, second), inner)
                for word, setting in inner.items():
                    yield (first, second, word), setting
            elif first != "providers" or second == "default":
                yield (first, second), inner
            else:
                yield from _provider_leaves(file, (first, second), inner)


def _provider_leaves(file: File, parts: Path, table: Any) -> Iterator[tuple[Path, Any]]:
    if not is_provider_name(parts[1]):
        hint = "a provider's name is of small letters, digits, - and _, 64 at most, a letter first"
        raise file.error(parts, f"`{told(parts)}` is no name for a provider", hint)
    _want_table(file, parts, table)
    if not table:
        raise file.error(parts, f"`{told(parts)}` is empty", "set what differs, or take it out")
    for rest, value in table.items():
        if rest not in ("timeout", "retry"):
            yield (*parts, rest), value
            continue
        _want_table(file, (*parts, rest), value)
        for part, seconds in value.items():
            yield (*parts, rest, part), seconds


def _want_table(file: File, parts: Path, value: Any) -> None:
    if not isinstance(value, dict):
        inside = [key.path for key in KEYS if key.path.startswith(".".join((*parts[:1], "")))]
        if len(parts) > 1:
            above = ".".join(("providers", "NAME", *parts[2:], ""))
            inside = [key.path for key in KEYS if key.path.startswith(above)]
        raise file.error(parts, f"`{told(parts)}`: expected a table", "in it may stand: " + ", ".join(inside[:4]))
