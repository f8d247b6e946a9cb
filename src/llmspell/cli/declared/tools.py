"""`llmspell tools`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN
from llmspell.cli.parsing import Group, given, with_options

__all__ = ["COMMANDS"]

#: The options of `run` that say what a tool may reach.
REACH = tuple(option for option in RUN if option.kind == "grants" or option.name == "--ask")


@click.group("tools", cls=Group)
def tools() -> None:
    """Tools for scripts and models: which there are, what they take, and one call of one."""


@tools.command("list")
@click.option("--category", "category", default=None, metavar="NAME", help="Those of this category.")
@with_options(COMMON)
@click.pass_context
def tools_list_command(context: click.RichContext, /, category: str | None, **values: Any) -> None:
    """Lists the tools that are built in, and those that installed packages bring."""
    from llmspell.cli.commands.tools import list_

    context.exit(list_(category, given(values, context)))


@tools.command("show")
@click.argument("name", metavar="NAME")
@with_options(COMMON)
@click.pass_context
def tools_show_command(context: click.RichContext, /, name: str, **values: Any) -> None:
    """Shows what the tool NAME does, what it needs, and what it takes; as JSON, with its schema."""
    from llmspell.cli.commands.tools import show

    context.exit(show(name, given(values, context)))


@tools.command("run")
@click.argument("name", metavar="NAME")
@click.argument("parameters", nargs=-1, metavar="[PARAMETERS…]")
@with_options((*REACH, *COMMON))
@click.pass_context
def tools_run_command(context: click.RichContext, /, name: str, parameters: tuple[str, ...], **values: Any) -> None:
    """Runs the tool NAME once and prints what it gave.

    PARAMETERS are `name=value` each, or one JSON object, or `-` for one on standard input:
    `llmspell tools run calculator input="2 * 21"`.
    """
    from llmspell.cli.commands.tools import run

    context.exit(run(name, parameters, given(values, context)))


COMMANDS = (tools,)
