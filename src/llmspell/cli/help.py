"""Help, and the command line in full: rich-click."""

from __future__ import annotations

import os
import sys
from typing import Any

import rich_click as click

from llmspell._version import __version__
from llmspell.cli.declared import commands
from llmspell.cli.mistakes import mistake
from llmspell.cli.options import COMMON, GRANTS
from llmspell.cli.panels import WIDEST, arrange
from llmspell.cli.parsing import Group, with_options
from llmspell.cli.render import terminal
from llmspell.cli.telling import form_of, tell
from llmspell.errors import LLMSpellError

__all__ = ["full"]


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@with_options(COMMON)
@click.version_option(__version__, message="llmspell %(version)s")
def cli(**values: Any) -> None:
    """Runs Lua scripts that drive language models: every answer streams, every script is a guest."""


for command in commands():
    cli.add_command(command)
arrange(cli)


def full(words: list[str]) -> int:
    """Parses *words* in full: shows help, says what is wrong (2), or runs the command."""
    at = words.index("--") if "--" in words else len(words)
    words = [f"{word}=*" if index < at and word in GRANTS else word for index, word in enumerate(words)]
    no_color = bool(os.environ.get("NO_COLOR")) or "--no-color" in words[:at]
    _look(no_color)
    try:
        code: Any = cli.main(words[:at], prog_name="llmspell", obj=words[at + 1 :], standalone_mode=False)
    except click.UsageError as error:
        tell(mistake(error), form_of(words[:at]), no_color=no_color)
        return 2
    except LLMSpellError as error:  # what the command needs cannot be loaded
        tell(error, form_of(words[:at]), no_color=no_color)
        return error.exit_code
    except click.Abort:
        return 130
    except SystemExit as done:  # rich-click's: 2 where it has shown a group's help, 1 where its reader has gone
        code = 141 if done.code == 1 else done.code
    return code if isinstance(code, int) else 0


def _look(no_color: bool) -> None:
    """Help has the colours and the width that all else has: rich-click of itself takes a CI's variables for a terminal,
    too, and a dumb terminal for one of 80 columns.
    """
    click.rich_click.WIDTH = min(terminal.terminal_size(sys.stdout, os.environ)[0], WIDEST)
    if not terminal.takes_colour(sys.stdout, os.environ, no_color=no_color):
        click.rich_click.COLOR_SYSTEM = None
        click.rich_click.FORCE_TERMINAL = None if terminal.is_terminal(sys.stdout) else False
    elif not terminal.is_terminal(sys.stdout):
        click.rich_click.FORCE_TERMINAL = True
