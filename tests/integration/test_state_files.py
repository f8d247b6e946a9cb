"""Files of `State` that are not what they should be, and many processes that open one."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import ConfigError, LimitError, ValidationError
from llmspell.workflows import state_file
from llmspell.workflows.state_file import SqliteState


def change(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def kept(path: Path) -> None:
    store = SqliteState(str(path))
    store.put("s", "k", 1)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE notes (text)",
        "CREATE TABLE state (scope, key, value, version)",
        "CREATE VIEW state AS WITH RECURSIVE c(scope) AS (SELECT 1 UNION ALL SELECT 1 FROM c) SELECT scope FROM c",
    ],
)
def test_another_program_s_database_is_refused_and_left_as_it_is(tmp_path: Path, statement: str) -> None:
    change(path := tmp_path / "s.db", statement)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="it is a database of something else"):
        SqliteState(str(path))
    assert path.read_bytes() == before


def test_a_file_with_a_trigger_of_somebody_s_is_refused(tmp_path: Path) -> None:
    kept(path := tmp_path / "s.db")
    change(path, "CREATE TRIGGER t AFTER INSERT ON state BEGIN DELETE FROM state; END")
    with pytest.raises(ConfigError, match="it is a database of something else"):
        SqliteState(str(path))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE state SET value = 5",
        "UPDATE state SET value = 'words'",
        "UPDATE state SET value = x'7b'",
        """UPDATE state SET value = CAST('{"\\u0000bytes":1}' AS BLOB)""",
        "UPDATE state SET value = zeroblob(5000000)",
    ],
)
def test_a_value_that_is_none_is_told(tmp_path: Path, statement: str) -> None:
    kept(path := tmp_path / "s.db")
    change(path, statement)
    store = SqliteState(str(path))
    with pytest.raises(ConfigError, match="State in `"):
        store.get("s", "k")
    store.put("s", "k", 2)
    assert store.get("s", "k").value == 2, "it can be replaced"
    store.close()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A file that somebody else is writing to."""
    kept(path := tmp_path / "s.db")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield path
    other.close()


def test_a_run_ends_in_time_though_others_hold_the_file(held: Path) -> None:
    """To open it waits for nobody, and to close it for none of those that wait."""
    flags = {"state.backend": "sqlite", "state.path": str(held)}
    config = load(script_dir=None, config_file=None, env={}, flags=flags)
    script = """
        local all = {}
        for i = 1, 20 do all[i] = function() State.set("k" .. i, 1) end end
        Async.all(all)
    """

    async def main() -> None:
        async with ScriptRuntime(config, timeout=0.5) as runtime:
            await runtime.execute_script(script)

    begin = time.monotonic()
    with pytest.raises(LimitError, match="took longer than its limit"):
        asyncio.run(main())
    assert time.monotonic() - begin < 5


def test_a_write_gives_up_where_others_do_not(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_file, "PATIENCE", 0.2)
    store = SqliteState(str(held))
    with pytest.raises(LimitError, match="database is locked") as caught:
        store.put("s", "k", 2)
    assert caught.value.retryable
    assert store.get("s", "k").value == 1, "to read waits for nobody"
    store.close()
    with pytest.raises(ValidationError, match="was closed"):
        store.get("s", "k")


OPENER = textwrap.dedent("""
    import sys, time
    from llmspell.workflows.state_file import SqliteState
    path, begin, name = sys.argv[1:]
    for number in range(20):
        while time.time() < float(begin) + number / 50:
            pass
        store = SqliteState(f"{path}{number}")
        store.put("s", name, 1)
        store.close()
""")


def test_processes_that_make_one_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    begin = str(time.time() + 1)
    words = [sys.executable, "-c", OPENER, str(tmp_path / "s"), begin]
    all_ = [subprocess.Popen([*words, name]) for name in "abc"]
    assert [process.wait(60) for process in all_] == [0, 0, 0]
    for number in range(20):
        store = SqliteState(str(tmp_path / f"s{number}"))
        assert store.keys("s") == ["a", "b", "c"]
        store.close()
