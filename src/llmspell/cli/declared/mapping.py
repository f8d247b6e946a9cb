"""`llmspell map`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN, Option
from llmspell.cli.parsing import given, with_options

__all__ = ["COMMANDS"]

MAP = (
    Option("--jobs", "count", "Rows at once; unset: 16, or `runtime.max_concurrency` where that is less.", "N", "-j"),
    Option("--results", "text", "Write the results here, and keep a journal beside it.", "FILE"),
    Option("--failed", "text", "Write rows that failed here; unset: beside the results.", "FILE"),
    Option("--journal", "text", "Keep what is finished here; unset: `FILE.journal` beside the results.", "FILE"),
    Option("--resume", "flag", "Go on where an earlier run stopped; no finished row is done again."),
    Option("--retry-failed", "flag", "The same, and do rows again that failed."),
    Option("--overwrite", "flag", "Begin anew, and lose the results that are there."),
    Option("--format", ("jsonl", "csv", "tsv", "json", "lines"), "What ROWS holds; unset: as its name says."),
    Option("--offset", "count", "Leave out so many rows at the beginning.", "N"),
    Option("--limit", "count", "Do so many rows at most.", "N"),
    Option("--max-failed", "count", "Stop once so many rows have failed; 0 is any number.", "N"),
    Option("--engine", ("local", "ray"), "Where rows run: in this process, or on a Ray cluster (extra `ray`)."),
    Option("--actors", "count", "Processes on the cluster; unset: one for each of its cores.", "N"),
    Option("--ray-address", "text", "The cluster; unset: `RAY_ADDRESS`, or one that is started here.", "ADDRESS"),
    Option("--timeout-total", "number", "Seconds for all rows together; 0 is without limit.", "SECONDS"),
)
_WORDS = {
    "--timeout": "Seconds for each row; 0 is without limit.",
    "--max-cpu": "Seconds of computing by the script over each row; 0 is without limit.",
    "--max-tokens-total": "Tokens that all model calls of all rows may read and write; 0 is without limit.",
    "--max-cost": "US dollars that all model calls of all rows may cost; 0 is without limit.",
}
_NOT_HERE = ("--stream", "--record", "--replay", "--ask")
OF_RUN = tuple(
    Option(option.name, option.kind, _WORDS.get(option.name, option.help), option.metavar)
    for option in RUN
    if option.name not in _NOT_HERE
)


@click.command("map")
@with_options((*MAP, *OF_RUN, *COMMON))
@click.argument("script", metavar="SCRIPT")
@click.argument("rows", metavar="ROWS")
@click.argument("args", nargs=-1, metavar="[-- ARGS…]", type=click.UNPROCESSED)
@click.pass_context
def map_command(context: click.RichContext, /, script: str, rows: str, args: tuple[str, ...], **values: Any) -> None:
    """Runs a Lua script once over each of many rows.

    ROWS is a file of JSONL, CSV, TSV, one JSON array or plain lines, or `-` for standard input. The script finds a
    row's fields in `ARGS`, and all of it in `ARGS.row`; what it returns is the row's result. Results are JSONL, in the
    order of the rows.

    Exit codes: 0 all rows are done, 1 some have failed, 2 usage, 3 configuration, 4 no cluster,
    5 a limit over all rows, 130 and 143 stopped by Ctrl+C and SIGTERM.
    """
    from llmspell.cli.commands.map import map_

    if args:
        raise click.UsageError(f"`{args[0]}` comes after the rows: arguments of the script go after `--`", context)
    context.exit(map_(script, rows, list(context.obj), given(values, context)))


COMMANDS = (map_command,)
