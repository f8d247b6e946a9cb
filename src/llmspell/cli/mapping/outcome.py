"""What a row came to, and how that is written."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.cli.events import plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.cli.mapping.rows import Row

__all__ = ["Outcome", "bad_row", "line_of"]

#: Limits that hold over all rows: which a row meets first is chance, so it has not failed, and is not done.
SHARED = ("tokens", "cost")


class Outcome(NamedTuple):
    """What the script gave for one row, or the error that ended it, as plain data. usage: as in ScriptResult.

    stopped: the row was not done, since the whole was stopped, or a limit that holds over all rows was reached.
    """

    result: Any = None
    error: dict[str, Any] | None = None
    output: str = ""
    usage: Mapping[str, int | float] = MappingProxyType({})
    seconds: float = 0.0
    stopped: bool = False

    @property
    def met_limit(self) -> bool:
        """Whether it was a limit over all rows that ended it."""
        return self.error is not None and self.error["kind"] == "limit" and self.error.get("limit") in SHARED

    def kept(self, row: Row) -> dict[str, Any]:
        """What the journal has of it."""
        told: dict[str, Any] = {"row": row.number, "mark": row.mark}
        if self.error is None:
            told["result"] = self.result
        else:
            told |= {"error": self.error, "input": row.value}
        if self.output:
            told["output"] = self.output
        return told | {"usage": dict(self.usage), "seconds": round(self.seconds, 3)}


def bad_row(row: Row) -> Outcome:
    """That of a row that could not be read."""
    told = {"kind": "validation", "message": row.error, "hint": None, "retryable": False, "line": row.line}
    return Outcome(error=told)


def line_of(kept: dict[str, Any]) -> bytes:
    """The line of the results, or of the failed rows, for what the journal has of a row."""
    told = plain_json({name: kept[name] for name in ("result", "error", "input", "output") if name in kept})
    return b'{"row":%d,%b\n' % (kept["row"], told[1:])
