"""Mutation testing: which small changes of the source does no test notice?

    python scripts/mutate.py [--most N] [--seed N] [--seconds N] [--again] AREA_OR_FILE…
    python scripts/mutate.py --told [AREA_OR_FILE…]        what came out: the survivors, and a table

AREA: a key of AREAS in mutation_areas.py; FILE: one of its files, `utils/id_generator.py`. What comes out is added to
--into (JSON lines); a run goes on where the last one stopped, and --again tries once more those that survived.

Each mutant is tried in a process that is forked from one that has collected the tests: the changed code is put into the
function, whoever holds it, and the tests that reach the statement are run, the quick ones first, until one fails. What
works when a module is made (tables, defaults) is tried in a process that has not imported llmspell yet. A mutant is
killed by a test that fails, an error at the import, or the time limit. Tests are taken as long as they need no more
than --patience seconds together; hypothesis tries few examples, the same each time. For Linux.

Why not mutmut or cosmic-ray: the first changes no module's tables, which half of a dialect is; the second starts an
interpreter for each mutant, which takes longer than its tests.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mutants import Mutant, mutants
from mutation_areas import AREAS, Area
from mutation_runs import Limits, tried

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Kept", "keys", "main", "table"]

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "src" / "llmspell"
EQUIVALENT = HERE / "equivalent_mutants.txt"


class Kept(NamedTuple):
    """What came out of one mutant. told: killed, timeout, survived, or unreached by any test (it survives as well)."""

    file: str
    key: str
    line: int
    told: str
    tests: int


def keys(found: Sequence[Mutant]) -> dict[str, Mutant]:
    """Names of mutants that stay as long as their lines do."""
    count: Counter[str] = Counter()
    named = {}
    for mutant in found:
        name = f"{mutant.text} | {mutant.change}"
        count[name] += 1
        named[name if count[name] == 1 else f"{name} | {count[name]}"] = mutant
    return named


def _kept(path: Path) -> dict[tuple[str, str], Kept]:
    """The last word on each."""
    if not path.exists():
        return {}
    lines = (Kept(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
    return {(one.file, one.key): one for one in lines}


def _equivalent() -> set[tuple[str, str]]:
    """Mutants that nobody can tell from the source, by file and key: `FILE | TEXT | CHANGE ## why`."""
    told = set()
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            file, _, key = line.partition(" ## ")[0].partition(" | ")
            told.add((file, key.strip()))
    return told


def _chosen(words: Iterable[str], parser: argparse.ArgumentParser) -> dict[str, tuple[Area, str]]:
    """Files with their area and its name."""
    told = {}
    for word in words:
        found = {file: (area, name) for name, area in AREAS.items() for file in area.files() if word in (name, file)}
        if not found:
            parser.error(f"{word}: neither an area ({', '.join(AREAS)}) nor a file of one")
        told |= found
    return told


def _percent(killed: int, of: int) -> str:
    return f"{100 * killed / of:.1f} %" if of else "–"


def table(rows: Iterable[tuple[str, Kept]], equivalent: set[tuple[str, str]], there: dict[str, int]) -> str:
    """By area: how many mutants there are, were tried, killed, survived, and are equivalent. there: mutants by area."""
    count: dict[str, Counter[str]] = defaultdict(Counter)
    for area, one in rows:
        what = "killed" if one.told in ("killed", "timeout") else "survived"
        if what == "survived" and (one.file, one.key) in equivalent:
            what = "equivalent"
        count[area][what] += 1
    lines = [
        "| area | mutants | tried | killed | survived | equivalent | score |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    whole: Counter[str] = Counter()
    for area, one_area in count.items():
        whole += one_area
        lines.append(_row(area, there[area], one_area))
    lines.append(_row("all", sum(there[area] for area in count), whole))
    return "\n".join(lines)


def _row(name: str, there: int, count: Counter[str]) -> str:
    killed, survived, same = count["killed"], count["survived"], count["equivalent"]
    score = _percent(killed, killed + survived)
    return f"| {name} | {there} | {killed + survived + same} | {killed} | {survived} | {same} | {score} |"


def _report(chosen: dict[str, tuple[Area, str]], kept: dict[tuple[str, str], Kept], by_file: bool) -> None:
    rows, there, equivalent = [], Counter[str](), _equivalent()
    for file, (_, area) in chosen.items():
        named = keys(mutants((SOURCE / file).read_text(encoding="utf-8")))
        group = file if by_file else area
        there[group] += len(named)
        for key, mutant in named.items():
            one = kept.get((file, key))
            if one is None:
                continue
            rows.append((group, one))
            if one.told in ("survived", "unreached") and (file, key) not in equivalent:
                print(f"{file}:{mutant.line}: {one.told}: {key}")
    print(table(rows, equivalent, there))


def main(argv: Sequence[str]) -> int:
    """Tries mutants; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="AREA_OR_FILE", help=", ".join(AREAS))
    parser.add_argument("--most", type=int, default=0, metavar="N", help="a sample of so many of each file")
    parser.add_argument("--seed", type=int, default=8, metavar="N", help="of the sample")
    parser.add_argument("--seconds", type=float, default=1e9, metavar="N", help="begins none after so long")
    parser.add_argument("--patience", type=float, default=3.0, metavar="N", help="seconds of tests a mutant")
    parser.add_argument("--again", action="store_true", help="those that survived")
    parser.add_argument("--told", action="store_true", help="tries none")
    parser.add_argument("--files", action="store_true", help="the table by file")
    parser.add_argument("--into", type=Path, default=HERE.parent / ".mutation" / "told.jsonl", metavar="FILE")
    options = parser.parse_args(argv)
    chosen = _chosen(options.words or AREAS, parser)
    until = time.monotonic() + options.seconds
    options.into.parent.mkdir(parents=True, exist_ok=True)
    for file, (area, _) in {} if options.told else chosen.items():
        kept, same = _kept(options.into), _equivalent()
        named = list(keys(mutants((SOURCE / file).read_text(encoding="utf-8"))).items())
        if 0 < options.most < len(named):
            named = sorted(random.Random(options.seed).sample(named, options.most), key=lambda one: one[1].number)
        if options.again:
            again = ("survived", "unreached")
            named = [one for one in named if (at := kept.get((file, one[0]))) and at.told in again]
            named = [one for one in named if (file, one[0]) not in same]
        else:
            named = [one for one in named if (file, one[0]) not in kept]
        if not named or time.monotonic() > until:
            continue
        limits = Limits(until, options.patience, options.into.parent)
        print(f"{file}: {len(named)} mutants", file=sys.stderr)
        with options.into.open("a", encoding="utf-8") as into:
            names = {mutant.number: key for key, mutant in named}
            for mutant, told, tests in tried(SOURCE / file, [one for _, one in named], area, limits):
                one = Kept(file, names[mutant.number], mutant.line, told, tests)
                into.write(json.dumps(one._asdict(), ensure_ascii=False) + "\n")
                into.flush()
                print({"killed": ".", "timeout": "t"}.get(told, "S"), end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    _report(chosen, _kept(options.into), options.files)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
