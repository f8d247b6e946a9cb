"""`llmspell tools`, as its process is seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once


def llmspell(folder: Path, *words: str, given: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    own = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    } | {"HOME": str(folder)}
    command = [sys.executable, "-m", "llmspell", "tools", *words]
    return subprocess.run(command, env=own | env, cwd=folder, capture_output=True, text=True, timeout=60, input=given)


def test_list(tmp_path: Path) -> None:
    done = llmspell(tmp_path, "list")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "CATEGORY", "NEEDS", "WHAT", "IT", "DOES"]
    assert any(line.startswith("process_executor  ") and " run " in line for line in lines)
    assert "\x1b" not in done.stdout
    told = json.loads(llmspell(tmp_path, "list", "--category", "math", "--output", "json").stdout)
    assert [one["name"] for one in told["tools"]] == ["calculator"]
    events = [json.loads(line) for line in llmspell(tmp_path, "list", "--output", "jsonl").stdout.splitlines()]
    assert {one["event"] for one in events} == {"tool", "result"}
    wrong = llmspell(tmp_path, "list", "--category", "maths")
    assert wrong.returncode == 1
    assert "there is no category `maths`" in wrong.stderr


def test_show(tmp_path: Path) -> None:
    text = llmspell(tmp_path, "show", "hash-calculator").stdout
    assert "needs     nothing" in text
    assert "  input " in text
    assert "needed." in text
    told = json.loads(llmspell(tmp_path, "show", "environment_reader", "--output", "json").stdout)
    assert told["permissions"] == ["env"]
    assert told["parameters"]["type"] == "object"
    wrong = llmspell(tmp_path, "show", "hash")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "hint: did you mean `hash_calculator`?" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "given", "printed"),
    [
        (("calculator", "input=2 * 21"), "", "42\n"),
        (("calculator", "input=42"), "", "42\n"),
        (("calculator", '{"input": "x + 1", "variables": {"x": 1}}'), "", "2\n"),
        (("calculator", "-"), '{"input": "1 + 1"}', "2\n"),
        (("json_processor", 'input={"a": [1, 2]}', "query=.a[]"), "", "[1,2]\n"),
        (("text-manipulator", "operation=join", 'input=["a", "b"]'), "", "a b\n"),
        (("uuid_generator", "count=0"), "", None),
        (("calculator", "5"), "", None),
        (("calculator", "{"), "", None),
        (("calculator", "-"), "[1]", None),
        (("calculator", "input=1/0"), "", None),
    ],
)
def test_run(tmp_path: Path, words: tuple[str, ...], given: str, printed: str | None) -> None:
    done = llmspell(tmp_path, "run", *words, given=given)
    if printed is None:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error[")
    else:
        assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0)


def test_run_tells_programs_all(tmp_path: Path) -> None:
    done = llmspell(tmp_path, "run", "calculator", "input=6 * 7", "--output", "json")
    assert json.loads(done.stdout) == {
        "tool": "calculator",
        "success": True,
        "text": "42",
        "result": {"result": 42, "input": "6 * 7"},
    }
    wrong = llmspell(tmp_path, "run", "calculator", "input=1/0", "--output", "json")
    assert json.loads(wrong.stderr)["error"]["tool"] == "calculator"


def test_run_reaches_what_was_granted(tmp_path: Path) -> None:
    words = ("run", "environment_reader", "variable_name=WHAT")
    denied = llmspell(tmp_path, *words, WHAT="secret")
    assert denied.returncode == 6
    assert "--allow-env=WHAT" in denied.stderr
    assert "secret" not in denied.stdout + denied.stderr
    assert llmspell(tmp_path, *words, "--allow-env=WHAT", WHAT="x").stdout == "x\n"
    (tmp_path / "a.txt").write_text("\x1b[31mred\n")
    read = llmspell(tmp_path, "run", "file_operations", "operation=read", "path=a.txt", "--allow-read=.")
    assert read.stdout == "\x1b[31mred\n"  # to a pipe as it is


def test_mistakes(tmp_path: Path) -> None:
    done = llmspell(tmp_path, "rn")
    assert done.returncode == 2
    assert "did you mean `llmspell tools run`?" in done.stderr
    assert llmspell(tmp_path, "run").returncode == 2
    assert "list" in llmspell(tmp_path, "--help").stdout
