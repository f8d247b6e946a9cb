"""`llmspell exec` and `repl`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN, Option
from llmspell.cli.parsing import given, with_options

__all__ = ["COMMANDS"]


@click.command("exec")
@with_options((*RUN, *COMMON))
@click.argument("code", metavar="CODE")
@click.argument("args", nargs=-1, metavar="[-- ARGS…]", type=click.UNPROCESSED)
@click.pass_context
def exec_command(context: click.RichContext, /, code: str, args: tuple[str, ...], **values: Any) -> None:
    """Runs CODE, a line of Lua.

    CODE may be an expression, whose value is printed: `llmspell exec "1 + 1"`. All else is as with `run`; what stands
    after `--` is the code's, as `ARGS`.

    Exit codes: 0 done, 1 the code raised, 2 usage, 3 configuration, 4 provider, 5 a limit, 6 permission,
    130 and 143 stopped by Ctrl+C and SIGTERM.
    """
    from llmspell.cli.commands.exec import run

    if args:
        raise click.UsageError(f"`{args[0]}` comes after the code: its own arguments go after `--`", context)
    context.exit(run(code, list(context.obj), given(values, context)))


#: What is of each input is said so. What a session has no use for: it is always live, and no recording has its clock.
_TIMEOUT = Option("--timeout", "number", "Seconds for each input; 0 is without limit.", "SECONDS")
_NOT_OF_SESSIONS = ("--stream", "--record", "--replay", "--dry-run")
_OF_SESSIONS = tuple(
    _TIMEOUT if option.name == _TIMEOUT.name else option
    for option in (*RUN, *COMMON)
    if option.name not in _NOT_OF_SESSIONS
)


@click.command("repl")
@with_options(_OF_SESSIONS)
@click.pass_context
def repl_command(context: click.RichContext, /, **values: Any) -> None:
    """Runs lines of Lua as they are typed; globals, agents and tasks stay.

    `--timeout` is of each input, tokens and cost are of the whole session. From a pipe or a file it reads inputs
    without a prompt; the exit code is then that of the first one that failed.

    `pip install 'llmspell[repl]'` brings history, completion and line editing. `:help` there says what there is.
    """
    from llmspell.cli.commands.repl import repl

    context.exit(repl(given(values, context)))


COMMANDS = (exec_command, repl_command)
