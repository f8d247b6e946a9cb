"""`llmspell run`, `doctor` and `types`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN
from llmspell.cli.parsing import given, with_options

__all__ = ["COMMANDS"]


@click.command("run")
@with_options((*RUN, *COMMON))
@click.argument("script", metavar="SCRIPT")
@click.argument("args", nargs=-1, metavar="[-- ARGS…]", type=click.UNPROCESSED)
@click.pass_context
def run_command(context: click.RichContext, /, script: str, args: tuple[str, ...], **values: Any) -> None:
    """Runs a Lua script.

    SCRIPT is a file, or `-` for standard input; what stands after `--` is the script's, as `ARGS`.

    Exit codes: 0 done, 1 the script raised, 2 usage, 3 configuration, 4 provider, 5 a limit, 6 permission,
    130, 143 and 129 stopped by Ctrl+C, SIGTERM and SIGHUP.
    """
    from llmspell.cli.commands.run import run

    if args:
        raise click.UsageError(f"`{args[0]}` comes after the script: its own arguments go after `--`", context)
    context.exit(run(script, list(context.obj), given(values, context)))


@click.command("doctor")
@with_options(COMMON)
@click.pass_context
def doctor_command(context: click.RichContext, /, **values: Any) -> None:
    """Checks this installation: what is there, which twins are in use and why, what is configured, what is wrong.

    Exit codes: 0 it works, 1 something is broken.
    """
    from llmspell.cli.commands.doctor import doctor

    context.exit(doctor(given(values, context)))


@click.command("types")
@click.argument("folder", required=False, metavar="[FOLDER]")
@with_options(COMMON)
@click.pass_context
def types_command(context: click.RichContext, /, folder: str | None, **values: Any) -> None:
    """Writes stubs for editors: with the Lua language server they complete and check scripts.

    Without FOLDER to standard output; with it, into `FOLDER/llmspell.lua`.
    """
    from llmspell.cli.commands.types import types

    context.exit(types(folder, given(values, context)))


COMMANDS = (run_command, doctor_command, types_command)
