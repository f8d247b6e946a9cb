"""The journal of `llmspell map`: a line for each row that is finished, written before anything else is told of it.

The first line says what is mapped, so that it can be gone on with. Each of the others has `row`, `mark` (of what the
row says), `result` or `error`, and `usage`; of several of one row the last counts. A line that was cut off when the
process or the machine died is taken away.
"""

from __future__ import annotations

import os
import re
import sys
from array import array
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.bridge.output import unwritten
from llmspell.cli.events import plain_json
from llmspell.errors import LLMSpellError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Journal"]

NAME = "llmspell map"
VERSION = 1
SYNC = 1.0  # seconds between two times that the disk is waited for
MOST_ROWS = 1 << 32
_MARK = re.compile("[0-9a-f]{16}")
BEGIN_ANEW = "`--overwrite` begins anew and does all rows again"


class Journal:
    """Open for appending, by this process alone. Raises ValidationError where *path* holds another one.

    about: what is mapped, plain data. resume: goes on with what is there; else there may be nothing, but for
    *overwrite*. tokens, cost_usd: of all rows in it, failed and repeated ones too.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any], *, resume: bool, overwrite: bool = False) -> None:
        self.path = str(path)
        self.tokens = 0
        self.cost_usd = 0.0
        self.last = 0  # row that is finished
        self.finished = self.failed = 0
        self._places = array("q")  # by row: 0, or 1 + where its line begins, below 0 of one that failed
        self._marks = array("Q")
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise _cannot(self.path, error) from None
        try:
            self._begin({"journal": NAME, "version": VERSION, **about}, resume, overwrite)
        except BaseException:
            os.close(self._fd)
            raise
        self._reader = open(self.path, "rb", buffering=0)  # noqa: SIM115
        self._dirty = True
        self._synced = monotonic()

    def _begin(self, head: dict[str, Any], resume: bool, overwrite: bool) -> None:
        self._lock()
        if overwrite:
            os.ftruncate(self._fd, 0)
        self._end = os.fstat(self._fd).st_size
        if self._end and not resume:
            raise ValidationError(
                f"`{one_line(self.path, 200)}` has rows that are done already",
                hint=f"`--resume` goes on where it stopped; {BEGIN_ANEW}",
            )
        if self._end:
            self._read(head)
        if not self._end:
            self._append(plain_json(head) + b"\n")

    def _lock(self) -> None:
        """It goes with the process, however that ends."""
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValidationError(
                f"another `llmspell map` writes to `{one_line(self.path, 200)}`", hint="wait for it, or stop it first"
            ) from None

    # ---- what is there

    def _read(self, head: dict[str, Any]) -> None:
        with open(self.path, "rb") as file:
            place = 0
            for line in file:
                if not line.endswith(b"\n"):
                    if place == 0 and not plain_json(head).startswith(line):
                        raise self._foreign()
                    break
                if place == 0:
                    self._compare(line, head)
                else:
                    self._take(line, place)
                place += len(line)
        if place < self._end:
            os.ftruncate(self._fd, place)
        self._end = place

    def _compare(self, line: bytes, head: dict[str, Any]) -> None:
        told = _loaded(line)
        if told.get("journal") != NAME or told.get("version") != VERSION:
            raise self._foreign()
        for name, words in (
            ("script", "the script has changed"),
            ("args", "the script's arguments are others"),
            ("format", "the rows are read in another format"),
        ):
            if told.get(name) != head.get(name):
                raise ValidationError(
                    f"{words} since `{one_line(self.path, 200)}` was begun",
                    hint=f"take it back to go on; {BEGIN_ANEW}",
                )

    def _foreign(self) -> ValidationError:
        return ValidationError(f"`{one_line(self.path, 200)}` is no journal of `llmspell map`", hint=BEGIN_ANEW)

    def _take(self, line: bytes, place: int) -> None:
        """One line of it; one that is damaged is as if it were not there, and its row is done again."""
        told = _loaded(line)
        row, mark = told.get("row"), told.get("mark")
        if isinstance(row, int) and 0 < row <= MOST_ROWS and isinstance(mark, str) and _MARK.fullmatch(mark):
            usage = told.get("usage") or {}
            self.tokens += usage.get("total_tokens", 0)
            self.cost_usd += usage.get("cost_usd", 0.0)
            if "result" in told or "error" in told:
                self._note(row, mark, place, "error" in told)

    def _note(self, row: int, mark: str, place: int, failed: bool) -> None:
        short = row + 1 - len(self._places)
        if short > 0:
            more = [0] * max(short, len(self._places) // 4)
            self._places.extend(more)
            self._marks.extend(more)
        before = self._places[row]
        self.finished += not before
        self.failed += failed - (before < 0)
        self._places[row] = -place if failed else place
        self._marks[row] = int(mark, 16)
        self.last = max(self.last, row)

    # ---- rows

    def state(self, row: int) -> str | None:
        """Whether a row is "done" or "failed"; None where it is neither."""
        place = self._places[row] if row < len(self._places) else 0
        return None if place == 0 else "failed" if place < 0 else "done"

    def check(self, row: int, mark: str) -> None:
        """Raises ValidationError where a row that is finished said something else then."""
        if self.state(row) is not None and self._marks[row] != int(mark, 16):
            raise ValidationError(
                f"row {row} is another than when `{one_line(self.path, 200)}` was written",
                hint=f"take the rows back to go on (more may come at the end); {BEGIN_ANEW}",
            )

    def line(self, row: int) -> dict[str, Any]:
        """What was kept of a row that is finished."""
        place = abs(self._places[row])
        size = 1 << 16
        while True:
            self._reader.seek(place)
            data = self._reader.read(size)
            if b"\n" in data or len(data) < size:
                return _loaded(data.partition(b"\n")[0])
            size *= 4

    def add(self, kept: dict[str, Any]) -> None:
        """Writes what is kept of a row. It is the file's when this returns, whatever becomes of the process.

        Raises LLMSpellError where it cannot be written.
        """
        place = self._end
        try:
            self._append(plain_json(kept) + b"\n")
        except OSError as error:
            os.ftruncate(self._fd, place)
            raise unwritten(error) from None
        if "result" in kept or "error" in kept:
            self._note(kept["row"], kept["mark"], place, "error" in kept)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._end += len(data)
        self._dirty = True

    def due(self) -> bool:
        """Whether it is time for `sync`."""
        return self._dirty and monotonic() - self._synced >= SYNC

    def sync(self) -> None:
        """Waits until the disk has it: what is written outlives the machine's end, too. From any thread."""
        self._dirty = False
        self._synced = monotonic()
        os.fsync(self._fd)

    def close(self) -> None:
        """To be called once."""
        try:
            if self._dirty:
                self.sync()
        finally:
            self._reader.close()
            os.close(self._fd)


def _loaded(line: bytes) -> dict[str, Any]:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _cannot(path: str, error: OSError) -> LLMSpellError:
    why = (error.strerror or "it failed").lower()
    return ValidationError(f"cannot write `{one_line(path, 200)}`: {why}", hint="name another file", cause=error)
