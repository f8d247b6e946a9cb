"""What is found wrong in a script, and where."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Any, NamedTuple

__all__ = ["ERROR", "WARNING", "Fault", "Lines", "Problem"]

#: It cannot run, or would surely fail where the line is reached.
ERROR = "error"
#: It is most likely a slip.
WARNING = "warning"

_NEWLINE = re.compile(r"\r\n|\n\r|\r|\n")  # as Lua counts lines


class Fault(Exception):
    """Something wrong in one text, by offsets: what the readers raise and the checks collect.

    told: the offset whose line Lua's own compiler names, where that is not the place's own.
    """

    def __init__(
        self,
        message: str,
        start: int,
        end: int,
        code: str,
        severity: str = ERROR,
        hint: str | None = None,
        told: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.start, self.end = message, start, max(end, start)
        self.code, self.severity, self.hint = code, severity, hint
        self.told = start if told is None else told


class Lines:
    """Offsets of a text as lines and columns, both from 1; columns are characters."""

    def __init__(self, text: str) -> None:
        self.starts = [0, *(found.end() for found in _NEWLINE.finditer(text))]

    def line(self, offset: int) -> int:
        """The number of the line that has *offset*."""
        return bisect_right(self.starts, offset)

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1


class Problem(NamedTuple):
    """One problem of one file. The end is the place after the last character of what it is about."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    severity: str
    code: str
    message: str
    hint: str | None

    @classmethod
    def of(cls, fault: Fault, path: str, lines: Lines) -> Problem:
        """*fault* in the file *path*."""
        place, end = lines.place(fault.start), lines.place(fault.end)
        return cls(path, *place, *end, fault.severity, fault.code, fault.message, fault.hint)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict()
