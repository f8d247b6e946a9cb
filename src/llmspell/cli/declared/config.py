"""`llmspell config`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN
from llmspell.cli.parsing import Group, given, with_options
from llmspell.cli.settings import GRANTED, SETTINGS

__all__ = ["COMMANDS"]

#: The options of `run` that stand for settings.
SET = tuple(option for option in RUN if option.key in SETTINGS or option.key in GRANTED)


@click.group("config", cls=Group)
def config() -> None:
    """The configuration: what holds and why, its files, and whether they are right."""


@config.command("show")
@click.argument("path", required=False, metavar="[PATH]")
@click.option("--origin", "origin", is_flag=True, default=None, help="Say of each where it came from.")
@with_options((*SET, *COMMON))
@click.pass_context
def show_command(context: click.RichContext, /, path: str | None, **values: Any) -> None:
    """Shows every setting that holds, as TOML; those below PATH where one is named, as `providers.openai`.

    What is unset is left out; with `--output json` it is null. Secrets are shown as `***`.
    """
    from llmspell.cli.commands.config_show import show

    context.exit(show(path, given(values, context)))


@config.command("path")
@with_options(COMMON)
@click.pass_context
def path_command(context: click.RichContext, /, **values: Any) -> None:
    """Lists the files that are looked for, the strongest last: which are there, which are used."""
    from llmspell.cli.commands.config_show import path

    context.exit(path(given(values, context)))


@config.command("init")
@click.option("--project", "project", is_flag=True, default=None, help="Write `./llmspell.toml`, the project's.")
@click.option("--force", "force", is_flag=True, default=None, help="Write over the file that is there.")
@with_options(COMMON)
@click.pass_context
def init_command(context: click.RichContext, /, **values: Any) -> None:
    """Writes a file with every setting as it is without one, each with its comment: the user's, or the project's."""
    from llmspell.cli.commands.config_files import init

    context.exit(init(given(values, context)))


@config.command("check")
@click.argument("file", required=False, metavar="[FILE]")
@with_options(COMMON)
@click.pass_context
def check_command(context: click.RichContext, /, file: str | None, **values: Any) -> None:
    """Tells all that is wrong with the configuration, or with FILE: each with its line and column.

    Exit codes: 0 it is right, 3 it is not.
    """
    from llmspell.cli.commands.config_files import check

    context.exit(check(file, given(values, context)))


@config.command("trust")
@click.argument("path", required=False, metavar="[FOLDER|FILE]")
@click.option("--list", "list", is_flag=True, default=None, help="List the files that are trusted.")
@click.option("--remove", "remove", is_flag=True, default=None, help="Trust it no more.")
@with_options(COMMON)
@click.pass_context
def trust_command(context: click.RichContext, /, path: str | None, **values: Any) -> None:
    """Lets a project's `llmspell.toml` raise limits and grant, as it is now: changed, it is not trusted any more.

    Without a FOLDER or FILE, the nearest from here upwards.
    """
    from llmspell.cli.commands.config_trust import trust

    context.exit(trust(path, given(values, context)))


COMMANDS = (config,)
