"""The benchmarks' gate: what it lets pass, and that it fails when work is really multiplied."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = [
    pytest.mark.once,
    pytest.mark.unmeasured,
    pytest.mark.skipif(sys.platform == "win32", reason="the measures spawn and wait as POSIX does"),
]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The gate, as it imports its neighbours when it is run as a script."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return import_module("gate")


def run_gate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / "gate.py"), "--rounds", "0.1", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_value_up_to_its_limit_passes_and_one_above_fails(gate: ModuleType) -> None:
    for line in gate.LINES:
        assert gate.failures({line.name: line.limit}) == []
        assert gate.failures({line.name: line.limit * 1.01}) == [line.name]
        assert gate.failures({line.name: float("nan")}) == [line.name]


def test_the_verdict_tells_a_missed_budget_from_a_failure(gate: ModuleType) -> None:
    for line in gate.LINES:
        assert gate.verdict(line, line.budget) == "ok"
        assert gate.verdict(line, line.budget * 1.01) == "misses its budget"
        assert gate.verdict(line, line.limit * 1.01) == "FAILS"


def test_a_limit_stands_at_or_above_its_budget_and_says_why(gate: ModuleType) -> None:
    for line in gate.LINES:
        assert line.limit >= line.budget
        assert 1 < line.margin <= 1.5
        assert line.why


def test_each_line_is_measured(gate: ModuleType) -> None:
    assert sorted(name for names in gate.MEASURES.values() for name in names) == sorted(
        line.name for line in gate.LINES
    )


def test_a_line_holds_as_it_is_and_fails_when_its_work_is_multiplied() -> None:
    """Of memory: the one that no neighbour on the machine disturbs."""
    held = run_gate("--only", "hello-memory")
    assert held.returncode == 0, held.stdout + held.stderr
    pushed = run_gate("--only", "hello-memory", "--push", "hello-memory=3")
    assert pushed.returncode == 1, pushed.stdout + pushed.stderr
    assert "fails: hello-memory" in pushed.stdout


def test_a_line_of_time_fails_when_its_work_is_multiplied() -> None:
    pushed = run_gate("--only", "chunk-ready", "--push", "chunk-ready=4")
    assert pushed.returncode == 1, pushed.stdout + pushed.stderr
    assert "fails: chunk-ready" in pushed.stdout


@pytest.mark.parametrize("words", [["--push", "nothing=2"], ["--push", "latency=0.5"], ["--push", "latency"]])
def test_a_push_that_is_none_is_a_usage_error(words: list[str]) -> None:
    refused = run_gate(*words)
    assert refused.returncode == 2
    assert "--push" in refused.stderr
