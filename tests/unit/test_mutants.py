"""Mutation testing's own parts: what is changed, what is not, and that a process that hangs is stopped."""

from __future__ import annotations

import os
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="mutants are tried on Linux alone"),
]

SOURCE = '''"""Words."""
from __future__ import annotations
__all__ = ["f"]
LIMIT = 3

class Box:
    """Words."""
    size: int = 1

    def full(self, most: int = 2) -> bool:
        """Words."""
        if not most:
            raise ValueError("words")
        return self.size >= most and most < LIMIT

async def f(items):
    total = 0
    for item in items:
        if item in ("a", b"b"):
            continue
        total += item * 2
    print(f"{total} words")
    return total
'''
CHANGES = {
    "": ["3 to 4", "1 to 2", "2 to 3"],
    "Box.full": ["without not", "left out", "return None", "And to Or", "GtE to Gt", "Lt to LtE"],
    "f": ["0 to 1", "In to NotIn", "'a' to another", "b'b' to another", "continue to break", "Add= to Sub=",
          "Mult to FloorDiv", "2 to 3", "left out", "return None"],
}  # fmt: skip


@pytest.fixture
def mutants(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return import_module("mutants")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return import_module("mutation_runs")


def test_what_behaves_is_changed_and_words_are_not(mutants: ModuleType) -> None:
    told: dict[str, list[str]] = {}
    for one in mutants.mutants(SOURCE):
        told.setdefault(one.function, []).append(one.change)
        assert one.lines[0] <= one.line <= one.lines[1]
    assert told == CHANGES


@pytest.mark.parametrize("file", ["utils/id_generator.py", "providers/ollama.py", "types/contents.py"])
def test_each_mutant_is_another_program(mutants: ModuleType, file: str) -> None:
    path = ROOT / "src" / "llmspell" / file
    source = path.read_text(encoding="utf-8")
    plain = compile(source, str(path), "exec", dont_inherit=True)
    found = mutants.mutants(source)
    assert len(found) > 30
    for one in found[::5]:
        assert mutants.compiled(source, one.number, str(path)) != plain
    with pytest.raises(IndexError):
        mutants.compiled(source, len(found), str(path))


def test_a_function_is_changed_for_all_who_hold_it(mutants: ModuleType, runs: ModuleType) -> None:
    source = "def double(n):\n    return n * 2\n"
    space: dict[str, object] = {}
    exec(compile(source, "nowhere.py", "exec"), space)
    held = space["double"]
    assert callable(held)
    assert held(3) == 6
    number = next(one.number for one in mutants.mutants(source) if one.change == "2 to 3")
    live = {("double", 1): [held]}
    assert runs._swapped(mutants.compiled(source, number, "nowhere.py"), live)
    assert held(3) == 9
    assert not runs._swapped(mutants.compiled(source, number, "nowhere.py"), {})


def test_a_process_tells_its_end_and_one_that_hangs_is_stopped_with_its_children(
    runs: ModuleType, tmp_path: Path
) -> None:
    assert runs.forked(lambda: 7, 60.0) == 7
    child = tmp_path / "child"

    def hangs() -> int:
        number = os.fork()
        if number == 0:
            time.sleep(60)
            os._exit(0)
        child.write_text(str(number))
        time.sleep(60)
        return 0

    assert runs.forked(hangs, 1.0) is None
    number = int(child.read_text())
    until = time.monotonic() + 10
    while _runs(number):
        assert time.monotonic() < until, "its child runs on"
        os.sched_yield()


def _runs(number: int) -> bool:
    """Whether that process is there, and no zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_tests_of_a_mutant_are_the_quick_ones(runs: ModuleType) -> None:
    seconds = {"slow": 5.0, "quick": 0.1, "some": 1.0}
    assert runs._within(set(seconds), seconds, 2.0) == (["quick", "some"], 1.1)
    assert runs._within({"slow"}, seconds, 2.0) == (["slow"], 5.0)
    assert runs._within(set(), seconds, 2.0) == ([], 0.0)


def test_a_mutant_that_is_known_as_equivalent_stands_in_its_file(mutants: ModuleType) -> None:
    """A line that has changed since is to be looked at anew."""
    told = import_module("mutate")
    for file, key in told._equivalent():
        source = (ROOT / "src" / "llmspell" / file).read_text(encoding="utf-8")
        assert key in told.keys(mutants.mutants(source)), f"{file}: {key}"
