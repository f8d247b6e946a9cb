"""A configuration file: read within bounds, parsed, and cut into settings that know their place.

Loaded where there is a file. What a file holds is not trusted here: no value is ever told in an error.
"""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

from llmspell.config.hints import told
from llmspell.config.positions import line_and_column, positions
from llmspell.config.schema import KEYS, is_provider_name
from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Path = tuple[str, ...]
    Report = Callable[[ConfigError], None]

__all__ = ["MOST_BYTES", "File", "leaves", "profiles", "read"]

#: A configuration is small; a file that is not, is something else.
MOST_BYTES = 256 * 1024


class File:
    """A file that was read: its text is kept to tell lines from, its bytes to know it again by.

    folder: what relative paths in it are below; the real one, so that no link moves what a trusted file grants.
    """

    __slots__ = ("_positions", "_table", "data", "folder", "name", "path", "status", "text", "trusted")

    def __init__(self, path: str, trusted: bool, data: bytes, status: os.stat_result) -> None:
        self.path = path
        self.name = one_line(path)
        self.trusted = trusted
        folder = os.path.dirname(os.path.abspath(path))
        self.folder = folder if trusted else os.path.realpath(folder)
        self.data = data
        self.status = status
        self.text = _text(self.name, data)
        self._positions: dict[Path, int] | None = None
        self._table: dict[str, Any] | None = None

    def table(self) -> dict[str, Any]:
        """What it says. ConfigError where it is no TOML."""
        if self._table is None:
            self._table = _parse(self)
        return self._table

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
    name = one_line(path)
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        why = (exc.strerror if isinstance(exc, OSError) else None) or "not a file's name"
        hint = "check the path and its permissions"
        raise ConfigError(f"cannot read {name}: {why.lower()}", hint=hint, file=name, cause=exc) from None
    if len(data) > MOST_BYTES:
        hint = "is it a configuration file?"
        raise ConfigError(f"{name} is larger than {MOST_BYTES // 1024} KB", hint=hint, file=name)
    return File(path, trusted, data, status)


def _text(name: str, data: bytes) -> str:
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


def profiles(file: File) -> list[str]:
    """The names of its profiles."""
    table = file.table().get("profile")
    return list(table) if isinstance(table, dict) else []


def leaves(file: File, report: Report) -> Iterator[tuple[Path, Any]]:
    """Each setting of a file by where it stands: first those for all, then those below `profile.NAME`.

    Goes no deeper than the schema does, so that nesting costs nothing. report: is told what is wrong with the shape; it
    may raise.
    """
    table = file.table()
    yield from _settings(file, (), {name: value for name, value in table.items() if name != "profile"}, report)
    overlays = table.get("profile", {})
    if not _is_table(file, ("profile",), overlays, report):
        return
    for name, overlay in overlays.items():
        above = ("profile", name)
        if not is_provider_name(name):
            hint = "a profile's name is of small letters, digits, - and _, 64 at most, a letter first"
            report(file.error(above, f"`{told(above)}` is no name for a profile", hint))
        elif _is_table(file, above, overlay, report):
            yield from _settings(file, above, overlay, report)


def _settings(file: File, above: Path, table: dict[str, Any], report: Report) -> Iterator[tuple[Path, Any]]:
    for first, value in table.items():
        at = (*above, first)
        if first not in ("runtime", "limits", "providers", "permissions", "tools", "state", "logging"):
            yield at, value  # no such key: the caller says so
            continue
        if not _is_table(file, at, value, report):
            continue
        for second, inner in value.items():
            if first == "tools":
                if _is_table(file, (*at, second), inner, report):
                    for word, setting in inner.items():
                        yield (*at, second, word), setting
            elif first != "providers" or second == "default":
                yield (*at, second), inner
            else:
                yield from _provider_leaves(file, (*at, second), inner, report)


def _provider_leaves(file: File, parts: Path, table: Any, report: Report) -> Iterator[tuple[Path, Any]]:
    if not is_provider_name(parts[-1]):
        hint = "a provider's name is of small letters, digits, - and _, 64 at most, a letter first"
        report(file.error(parts, f"`{told(parts)}` is no name for a provider", hint))
        return
    if not _is_table(file, parts, table, report):
        return
    if not table:
        report(file.error(parts, f"`{told(parts)}` is empty", "set what differs, or take it out"))
    for rest, value in table.items():
        if rest not in ("timeout", "retry"):
            yield (*parts, rest), value
        elif _is_table(file, (*parts, rest), value, report):
            for part, seconds in value.items():
                yield (*parts, rest, part), seconds


def _is_table(file: File, at: Path, value: Any, report: Report) -> bool:
    if isinstance(value, dict):
        return True
    parts = at[2:] if at[0] == "profile" else at
    if not parts:
        hint = "as in `[profile.fast]`, and below it `runtime.timeout = 10`"
    else:
        above = ".".join((*parts[:1], ""))
        if len(parts) > 1:
            above = ".".join((parts[0], "NAME", *parts[2:], ""))
        inside = [key.path for key in KEYS if key.path.startswith(above)]
        hint = "in it may stand: " + ", ".join(inside[:4])
    report(file.error(at, f"`{told(at)}`: expected a table", hint))
    return False
