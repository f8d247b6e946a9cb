"""`llmspell completions` and `help`, declared."""

from __future__ import annotations

import rich_click as click

from llmspell.cli.parsing import Word

__all__ = ["COMMANDS"]


@click.command("completions")
@click.argument("shell", metavar="bash|zsh|fish|powershell", type=Word(("bash", "zsh", "fish", "powershell")))
@click.pass_context
def completions_command(context: click.RichContext, /, shell: str) -> None:
    """Writes what a shell needs to complete llmspell's command lines.

    It completes commands, options and their values, scripts, models, tools, providers and profiles. Nothing is changed:
    the shell's own file has to read what is written here, as in the examples.
    """
    from llmspell.cli.commands.completions import completions

    context.exit(completions(shell))


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND…]")
@click.pass_context
def help_command(context: click.RichContext, /, words: tuple[str, ...]) -> None:
    """Shows the help of llmspell, or of a command."""
    from llmspell.cli.help import full

    context.exit(full([*words, "--help"]))


COMMANDS = (completions_command, help_command)
