"""Every claim of SECURITY.md names tests that are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_tests_that_claims_name_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 60
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_no_claim_is_without_one() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not re.match(r"\| (it|a worker|---)", line)]
    assert len(rows) > 35
    assert [row for row in rows if "::test_" not in row] == []
