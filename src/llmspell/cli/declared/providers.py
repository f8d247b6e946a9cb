"""`llmspell providers`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON
from llmspell.cli.parsing import Group, given, with_options

__all__ = ["COMMANDS"]


@click.group("providers", cls=Group)
def providers() -> None:
    """The services and models that answer: what is configured, what they can do, whether they can be asked."""


@providers.command("list")
@with_options(COMMON)
@click.pass_context
def providers_list_command(context: click.RichContext, /, **values: Any) -> None:
    """Lists the providers that are configured, and the vendors whose key is there."""
    from llmspell.cli.commands.providers import list_

    context.exit(list_(given(values, context)))


@providers.command("show")
@click.argument("name", metavar="NAME")
@click.argument("model", required=False, metavar="[MODEL]")
@with_options(COMMON)
@click.pass_context
def providers_show_command(context: click.RichContext, /, name: str, model: str | None, **values: Any) -> None:
    """Shows what is set of the provider NAME, where its key is, and what it can do, with MODEL where one is named."""
    from llmspell.cli.commands.providers import show

    context.exit(show(name, model, given(values, context)))


@providers.command("check")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--ask", "ask", is_flag=True, default=None, help="Ask the services: each lists its models.")
@with_options(COMMON)
@click.pass_context
def providers_check_command(context: click.RichContext, /, names: tuple[str, ...], **values: Any) -> None:
    """Says which keys are found and where; with `--ask`, whether the services take them.

    Exit codes: 0 all is well, 3 a provider that was named lacks its key, 4 one that was asked has failed.
    """
    from llmspell.cli.commands.providers import check

    context.exit(check(list(names), given(values, context)))


COMMANDS = (providers,)
