"""The measure of coverage: what counts as run, in which processes, and that it fails below its floor."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SIGN = """
def sign(number):
    if number < 0:
        return "minus"
    return "plus"
"""
#: Runs one way of SIGN here, and, where it is told to, the other in a process that ends as the command does.
PROGRAM = """
import os, subprocess, sys
from llmspell.sign import sign
sign(1)
if len(sys.argv) > 1:
    code = "import os; from llmspell.sign import sign; sign(-1); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], cwd=sys.argv[1], check=True)
"""

pytestmark = [
    pytest.mark.once,
    pytest.mark.unmeasured,
    pytest.mark.skipif(sys.platform == "win32", reason="CI measures on Linux"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small llmspell with llmspell's own settings of coverage."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    package = tmp_path / "src" / "llmspell"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "sign.py").write_text(SIGN)
    return tmp_path


@pytest.fixture
def measure(project: Path) -> Callable[..., tuple[int, str]]:
    """Runs PROGRAM with words under coverage, as CI runs the tests; gives what `covered.py` ends with and says."""

    def run(*words: str, floor: float = 90) -> tuple[int, str]:
        place = project / "pyproject.toml"
        place.write_text(re.sub(r"(?m)^fail_under = \d+", f"fail_under = {floor}", place.read_text()))
        left = project / "left"
        left.mkdir()
        env = {name: value for name, value in os.environ.items() if name not in ("COVERED", "COVERAGE_FILE")}
        env |= {"PYTHONPATH": str(project / "src"), "COVERAGE_FILE": str(left / "data")}
        env |= {"COVERAGE_PROCESS_START": str(place)}
        subprocess.run([sys.executable, "-c", PROGRAM, *words], cwd=project, env=env, check=True)
        return covered(project, left)

    return run


def covered(project: Path, left: Path) -> tuple[int, str]:
    code = (
        "import sys; from pathlib import Path; import covered\n"
        "sys.exit(covered.main(['--of', 'this', sys.argv[1]], Path.cwd()))"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    env["PYTHONPATH"] = str(ROOT / "scripts")
    done = subprocess.run(
        [sys.executable, "-c", code, str(left)], cwd=project, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_what_was_not_run_and_the_ways_not_taken_count_and_the_floor_fails(
    measure: Callable[..., tuple[int, str]],
) -> None:
    code, told = measure(floor=80)
    # 3 of 4 lines, 1 of 2 ways.
    assert told.splitlines()[-1] == (
        "coverage, this: 66.67 % of lines and branches, 50.00 % of branches (floor 80 %): BELOW THE FLOOR"
    )
    assert code == 1


def test_branches_alone_have_the_floor_too(measure: Callable[..., tuple[int, str]]) -> None:
    code, told = measure(floor=60)
    assert told.endswith("(floor 60 %): BELOW THE FLOOR\n")
    assert code == 1


def test_above_the_floor_it_passes(measure: Callable[..., tuple[int, str]]) -> None:
    code, told = measure(floor=50)
    assert told.endswith("50.00 % of branches (floor 50 %)\n")
    assert code == 0


def test_it_follows_into_processes_wherever_they_run_and_however_they_end(
    measure: Callable[..., tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, told = measure(str(tmp_path_factory.mktemp("elsewhere")))
    assert told.splitlines()[-1] == "coverage, this: 100.00 % of lines and branches, 100.00 % of branches (floor 90 %)"
    assert code == 0


def test_a_file_that_nothing_loads_counts(measure: Callable[..., tuple[int, str]], project: Path) -> None:
    (project / "src" / "llmspell" / "other.py").write_text("\n".join(f"a{n} = {n}" for n in range(94)))
    code, told = measure(floor=4)
    assert ": 4.00 % of lines and branches, 50.00 % of branches" in told
    assert code == 0


def test_an_llmspell_that_is_installed_elsewhere_does_not_count(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "src" / "llmspell"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (other / "sign.py").write_text(SIGN)
    (other / "another.py").write_text("a = 1\n" * 100)
    code = "import sys; sys.path.insert(0, sys.argv[1]); import llmspell.another"
    env = {name: value for name, value in os.environ.items() if name not in ("COVERED", "PYTHONPATH")}
    env |= {"COVERAGE_PROCESS_START": str(project / "pyproject.toml"), "COVERAGE_FILE": str(project / "left" / "data")}
    (project / "left").mkdir()
    subprocess.run([sys.executable, "-c", code, str(other.parent)], cwd=other, env=env, check=True)
    assert list((project / "left").iterdir())
    assert covered(project, project / "left")[1].endswith(
        ": 0.00 % of lines and branches, 0.00 % of branches (floor 90 %): BELOW THE FLOOR\n"
    )


def test_where_nothing_was_measured_it_fails(project: Path) -> None:
    (project / "left").mkdir()
    code, told = covered(project, project / "left")
    assert told == "coverage: No data to combine\n"
    assert code == 1
