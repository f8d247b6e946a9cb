"""How much of llmspell the tests have run: adds up what their processes left, prints it, fails below the floor.

    python scripts/covered.py FOLDER… [--of WORDS] [--missing]

A FOLDER has the files that coverage.py has left for each process (CONTRIBUTING.md, "Coverage"). Two numbers count:
lines and branches together, which is coverage.py's own, and branches alone. Both have the floor of pyproject.toml
(`fail_under`). Exit code 1 below it, or where nothing was measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage import Coverage
from coverage.exceptions import CoverageException

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/llmspell")


def measured(folders: list[Path], root: Path = ROOT, package: Path = PACKAGE) -> tuple[dict[str, Any], float]:
    """What coverage.py's JSON reports of each file, of all that was left in *folders*; and the floor in per cent.

    root: where pyproject.toml and *package*, the sources, are. A file of them that no process has loaded counts with
    nothing run; others (an llmspell installed elsewhere) do not count. Raises CoverageException where nothing was left.
    """
    with tempfile.TemporaryDirectory() as place:
        told = Coverage(data_file=str(Path(place) / "all"), config_file=str(root / "pyproject.toml"))
        left = [str(file) for folder in folders for file in sorted(folder.iterdir())]
        told.combine(left, strict=True, keep=True)
        data = told.get_data()
        data.touch_files(str(path.relative_to(root)) for path in (root / package).rglob("*.py"))
        report = Path(place) / "report.json"
        told.json_report(outfile=str(report), ignore_errors=True)  # of what a test has made elsewhere, and is gone
        found = json.loads(report.read_text())["files"]
        files = {name: file for name, file in found.items() if Path(name).is_relative_to(package)}
        return files, float(told.get_option("report:fail_under") or 0)


def share(run: int, of: int) -> float:
    return 100.0 * run / of if of else 100.0


def both(numbers: dict[str, int]) -> tuple[float, float]:
    """Lines and branches together, and branches alone, in per cent."""
    lines, branches = numbers["num_statements"], numbers["num_branches"]
    run = numbers["covered_lines"] + numbers["covered_branches"]
    return share(run, lines + branches), share(numbers["covered_branches"], branches)


def added(files: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The numbers of files together."""
    found: dict[str, int] = defaultdict(int)
    for file in files:
        for key, number in file["summary"].items():
            if isinstance(number, int):
                found[key] += number
    return found


def by_package(files: dict[str, Any], package: Path = PACKAGE) -> dict[str, dict[str, int]]:
    """The numbers of each package, and of the files that are in none."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, file in files.items():
        parts = Path(name).relative_to(package).parts
        found[parts[0] if len(parts) > 1 else "(top)"].append(file)
    return {name: added(found[name]) for name in sorted(found)}


def missing(file: dict[str, Any]) -> str:
    lines = set(file["missing_lines"])
    ways = [f"{start}->{'exit' if end < 0 else end}" for start, end in file["missing_branches"] if start not in lines]
    return " ".join([*map(str, sorted(lines)), *ways])


def main(words: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--of", default="", help="what was measured, in words")
    parser.add_argument("--missing", action="store_true", help="what was not run, of each file")
    options = parser.parse_args(words)
    try:
        files, floor = measured(options.folders, root)
    except CoverageException as error:
        print(f"coverage: {error}", file=sys.stderr)
        return 1
    print(f"{'':16}{'all':>8}{'branches':>10}")
    for name, numbers in by_package(files).items():
        whole, branches = both(numbers)
        print(f"{name:16}{whole:8.2f}{branches:10.2f}")
    if options.missing:
        for name, file in sorted(files.items()):
            if told := missing(file):
                print(f"{both(file['summary'])[0]:6.1f} {name}: {told}")
    whole, branches = both(added(files.values()))
    verdict = "" if min(whole, branches) >= floor else ": BELOW THE FLOOR"
    print(
        f"coverage{options.of and ', ' + options.of}: {whole:.2f} % of lines and branches, "
        f"{branches:.2f} % of branches (floor {floor:g} %){verdict}"
    )
    return 1 if verdict else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
