"""What scripts keep by scope and key, in a file of SQLite's."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from llmspell.errors import ConfigError, LimitError, LLMSpellError, ValidationError, one_line
from llmspell.workflows.state import (
    LARGEST_STORE,
    LARGEST_VALUE,
    MOST_KEYS,
    Slot,
    StateStore,
    decode,
    encode,
    full,
    named,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["SqliteState"]

T = TypeVar("T")
PATIENCE = 10.0  # seconds that a write waits for those of other processes
TURN = 0.05  # of these that it waits before it looks whether it still is to
#: The tables as SQLite tells of them: a file that has others is somebody else's.
_TABLES = {
    "state": """CREATE TABLE state (
  scope TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (scope, key)
) WITHOUT ROWID""",
    "counter": """CREATE TABLE counter (
  id INTEGER PRIMARY KEY CHECK (id = 0), version INTEGER NOT NULL, keys INTEGER NOT NULL, bytes INTEGER NOT NULL
)""",
}
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_LATER = (*_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)  # what may be otherwise another time


class SqliteState(StateStore):
    """Kept in a file, which several processes may use at once; a process that is killed loses no finished write.

    path: the file; made, with its folder, readable by its user alone. Raises ConfigError where it is no such file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._closed = False
        folder = os.path.dirname(os.path.abspath(path))
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
            self._db = sqlite3.connect(path, timeout=TURN, isolation_level=None, check_same_thread=False)
            self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE + 65536)  # of what the file holds, too
            self._patiently(self._prepare, time.monotonic() + PATIENCE)
        except (OSError, sqlite3.Error, _Foreign) as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise ConfigError(
                f"cannot keep State in `{one_line(path, 200)}`: {error}",
                hint="set `state.path` to a file of State's own, in a folder that can be written",
                cause=error,
            ) from None

    def _prepare(self) -> None:
        """Makes the tables. Raises _Foreign where the file has others, and leaves it as it is."""
        found = dict(self._db.execute("SELECT name, sql FROM sqlite_master").fetchall())
        if not found.items() <= _TABLES.items():
            raise _Foreign("it is a database of something else")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        if found.keys() == _TABLES.keys():  # so that nobody waits here for those who write
            return
        with _Write(self._db):
            for statement in _TABLES.values():
                self._db.execute(statement.replace("TABLE", "TABLE IF NOT EXISTS", 1))
            self._db.execute("INSERT OR IGNORE INTO counter VALUES (0, 0, 0, 0)")

    def _patiently(self, work: Callable[[], T], until: float) -> T:
        """Does *work* again while others hold the file. SQLite's own waiting would outlast a run that has ended, and
        there is none where a file's mode is changed.
        """
        while True:
            if self._closed:
                raise ValidationError(f"State in `{one_line(self.path, 200)}` was closed")
            try:
                return work()
            except sqlite3.OperationalError as error:
                if _code(error) not in _BUSY or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    def get(self, scope: str, key: str) -> Slot:
        named("scope", scope), named("key", key)
        return self._told(lambda: self._get(scope, key))

    def _get(self, scope: str, key: str) -> Slot:
        row = self._db.execute("SELECT value, version FROM state WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return Slot(None, 0) if row is None else Slot(decode(row[0]), row[1])

    def put(self, scope: str, key: str, value: Any) -> None:
        self._change(scope, key, value, None)

    def swap(self, scope: str, key: str, version: int, value: Any) -> bool:
        return self._change(scope, key, value, version)

    def _change(self, scope: str, key: str, value: Any, expected: int | None) -> bool:
        named("scope", scope), named("key", key)
        data = None if value is None else encode(key, value)

        def work() -> bool:
            with _Write(self._db):
                if expected is not None and self._version(scope, key) != expected:
                    return False
                self._replace(scope, key, data)
                return True

        return self._told(work)

    def _version(self, scope: str, key: str) -> int:
        row = self._db.execute("SELECT version FROM state WHERE scope = ? AND key = ?", (scope, key)).fetchone()
        return 0 if row is None else int(row[0])

    def _replace(self, scope: str, key: str, data: bytes | None) -> bool:
        """Puts *data*, or nothing, in the place of what is there; gives whether something was."""
        where = scope, key
        before = self._db.execute("SELECT LENGTH(value) FROM state WHERE scope = ? AND key = ?", where).fetchone()
        keys = (data is not None) - (before is not None)
        grown = (0 if data is None else len(data)) - (0 if before is None else before[0])
        # The version is never the same again, whether the key is deleted in between or not.
        version, count, size = self._db.execute(
            "UPDATE counter SET version = version + 1, keys = keys + ?, bytes = bytes + ?"
            " RETURNING version, keys, bytes",
            (keys, grown),
        ).fetchone()
        if data is None:
            self._db.execute("DELETE FROM state WHERE scope = ? AND key = ?", where)
        elif (grown > 0 and size > LARGEST_STORE) or (keys > 0 and count > MOST_KEYS):
            raise full()
        else:
            self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?)", (scope, key, data, version))
        return before is not None

    def delete(self, scope: str, key: str) -> bool:
        named("scope", scope), named("key", key)

        def work() -> bool:
            with _Write(self._db):
                return self._replace(scope, key, None)

        return self._told(work)

    def keys(self, scope: str) -> list[str]:
        named("scope", scope)
        query = "SELECT key FROM state WHERE scope = ? ORDER BY key"
        return self._told(lambda: [row[0] for row in self._db.execute(query, (scope,))])

    def _told(self, work: Callable[[], T]) -> T:
        """Does *work*, one at a time; what the database says is told as llmspell's own."""
        until = time.monotonic() + PATIENCE
        try:
            with self._lock:
                return self._patiently(work, until)
        except LLMSpellError:
            raise
        except (sqlite3.Error, ValueError, TypeError) as error:
            shown = one_line(f"State in `{one_line(self.path, 200)}`: {error}")
            if _code(error) in _LATER:
                hint = "another process may hold it, or the disk may be full"
                raise LimitError(shown, hint=hint, retryable=True, cause=error) from None
            raise ConfigError(shown, hint="the file is broken: move it away", cause=error) from None

    def close(self) -> None:
        self._closed = True  # those that wait do so no longer
        with self._lock:
            self._db.close()


class _Foreign(Exception):
    """The file is no state's."""


def _code(error: Exception) -> int:
    """SQLite's, without what is more exact."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class _Write:
    """One change, whole or not at all. Others wait their turn from its beginning on."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
