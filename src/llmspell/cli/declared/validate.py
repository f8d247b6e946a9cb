"""`llmspell validate`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, Option
from llmspell.cli.parsing import given, with_options

__all__ = ["COMMANDS"]

OWN = (
    Option("--strict", "flag", "Warnings count as errors do."),
    Option("--stdin-name", "text", "What the script on standard input is called, and where its modules are.", "FILE"),
)


@click.command("validate")
@with_options((*OWN, *COMMON))
@click.argument("scripts", metavar="SCRIPT…", nargs=-1, required=True)
@click.pass_context
def validate_command(context: click.RichContext, /, scripts: tuple[str, ...], **values: Any) -> None:
    """Says what is wrong with scripts, without running them: no network, no keys.

    Looks for errors of syntax, globals and members that nobody has, fields that calls do not take, models and tools
    that are not there; in the modules beside a script, too. SCRIPT is a file, a folder whose `.lua` files are meant, or
    `-` for standard input.

    Exit codes: 0 no errors, 1 errors, 2 usage, 3 configuration.
    """
    from llmspell.cli.commands.validate import validate

    context.exit(validate(scripts, given(values, context)))


COMMANDS = (validate_command,)
