"""Files, names and folders that somebody made to hurt: long, odd, many, linked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import ValidationError
from llmspell.tools.permissions import Permissions


@pytest.fixture
def granted(tmp_path: Path) -> Permissions:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return Permissions(read=("in", "out"), write=("out",), base=str(tmp_path))


def run(script: str, permissions: Permissions, **more: Any) -> Any:
    return ScriptRuntime(timeout=30, permissions=permissions, **more).run(script).result


@pytest.mark.parametrize(
    "call",
    [
        "File.exists(path)",
        'File.read("in/" .. path)',
        'Tool.execute("file_operations", { operation = "read", path = path })',
        'Tool.execute("file_search", { glob = "*", path = path })',
        "Media.from_file(path)",
    ],
)
def test_a_path_longer_than_any_is_told_at_once(granted: Permissions, call: str) -> None:
    """To follow its parts takes the square of their number: a script would hold up its host for hours."""
    begin = time.monotonic()
    with pytest.raises(ValidationError, match="longer than the 4096 characters of a path"):
        run(f'local path = ("a/"):rep(1000000) return {call}', granted)
    assert time.monotonic() - begin < 5
    assert run('return Config.isFileAccessAllowed(("a/"):rep(1000000))', granted) is False
