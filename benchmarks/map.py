"""`llmspell map` against a plain loop of `ScriptRuntime.execute_script`: CPU a row, everything in one process.

    python benchmarks/map.py [--rounds N] [--rows N]

    loop        gather over `execute_script` of one runtime, 16 at once, the rows in a list: what map cannot be below
    map         rows read from a file, results in order into a file, nothing kept
    journal     the same with a journal
    resume      the journal's rows passed on, none done

`asks` is a script that asks a model on loopback for one short answer, `computes` one that asks nobody.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from floor import loop_factory
from harness import Server, interleaved, of_medians, ratios, table
from llmspell import ScriptRuntime
from llmspell.cli.mapping.here import Here, Script
from llmspell.cli.mapping.journal import Journal
from llmspell.cli.mapping.rows import Source
from llmspell.cli.mapping.runner import Counts, Runner
from llmspell.config.loader import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.config.loader import Config

__all__ = ["SCRIPTS", "main", "measure"]

AT_ONCE = 16
SCRIPTS = {
    "asks": b'return Agent.create{ model = "bench/ready-1" }:execute(ARGS.text).text',
    "computes": b"return ARGS.text:upper()",
}
ABOUT = {"script": "", "args": [], "format": "jsonl"}


async def plain(text: bytes, config: Config, rows: list[dict[str, Any]]) -> list[Any]:
    """The loop that one would write."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with ScriptRuntime(config) as runtime:

        async def one(row: dict[str, Any]) -> Any:
            async with slots:
                return (await runtime.execute_script(text, named={**row, "row": row})).result

        return await asyncio.gather(*map(one, rows))


async def mapped(text: bytes, config: Config, rows: str, folder: str, journal: Journal | None) -> None:
    """What the command does."""
    source = Source(rows, "jsonl")
    here = Here(Script("s.lua", text, None, []), config, lambda number, text: None)
    with open(os.path.join(folder, "out"), "wb") as out:  # noqa: ASYNC230

        def write(line: bytes, failed: bool) -> None:
            out.write(line)
            out.flush()

        runner = Runner(
            iter(source),
            source,
            here,
            Counts(source),
            at_once=AT_ONCE,
            write=write,
            told=lambda number, error: None,
            journal=journal,
        )
        await runner.run()
    await here.aclose()
    source.close()


def measure(name: str, rounds: int, count: int, url: str) -> list[dict[str, float]]:
    """Each round's µs of CPU a row, by subject."""
    env = {"LLMSPELL_PROVIDERS__BENCH__TYPE": "openai", "LLMSPELL_PROVIDERS__BENCH__BASE_URL": url}
    config = load(script_dir=None, config_file=None, env=env, flags={})
    rows = [{"text": f"row {number}"} for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path, kept = Path(folder, "rows.jsonl"), Path(folder, "journal")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

        def run(work: Callable[[], Any]) -> None:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(work())

        def with_journal(*, resume: bool) -> None:
            journal = Journal(kept, ABOUT, resume=resume, overwrite=not resume)
            run(lambda: mapped(SCRIPTS[name], config, str(path), folder, journal))
            journal.close()

        with_journal(resume=False)
        return interleaved(
            {
                "loop": lambda: run(lambda: plain(SCRIPTS[name], config, rows)),
                "map": lambda: run(lambda: mapped(SCRIPTS[name], config, str(path), folder, None)),
                "journal": lambda: with_journal(resume=False),
                "resume": lambda: with_journal(resume=True),
            },
            rounds,
            items=count,
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="llmspell map against a plain loop")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=1000)
    args = parser.parse_args()
    told = [["", "µs a row", "× loop", "middle half"]]
    with Server() as server:
        for name in SCRIPTS:
            rounds = measure(name, args.rounds, args.rows, server.url)
            for subject in rounds[0]:
                spread = ratios(rounds, subject, "loop")
                middle = f"{spread.low:.2f} – {spread.high:.2f}"
                told.append([f"{name} {subject}", f"{of_medians(rounds, subject):.0f}", f"{spread.median:.2f}", middle])
    print(table(told))


if __name__ == "__main__":
    main()
