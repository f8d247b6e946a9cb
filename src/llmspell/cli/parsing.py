"""Commands as rich-click takes them, made from the options' table; what `declared/` declares them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from llmspell.cli.mistakes import NoCommand, NotTaken
from llmspell.cli.options import VALUES, Option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Group", "Word", "given", "with_options"]

#: What an option of a kind takes, in words, and an example.
NUMBERS = {
    "number": ("a number of seconds, at most a year", "30"),
    "count": ("a whole number", "100000"),
    "size": ("a size of memory", "256MB"),
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


class Word(click.Choice[str]):
    """One of some words, and no other."""

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value not in self.choices:
            *most, last = self.choices
            raise NotTaken(f"{', '.join(most)} or {last}", str(value), ctx, param)
        return str(value)


class Group(click.RichGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise NoCommand(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)


def with_options(options: Sequence[Option]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            extra: dict[str, Any] = {}
            if option.kind == "flag":
                extra["is_flag"] = True
            elif option.kind in VALUES:
                extra["type"] = _Number(str(option.kind))
            elif isinstance(option.kind, tuple):
                extra["type"] = Word(option.kind)
            elif option.kind == "grants":
                extra["multiple"] = True
            if option.metavar:
                extra["metavar"] = option.metavar
            names = (option.name, option.short) if option.short else (option.name,)
            function = click.option(*names, option.key, default=None, help=option.help, **extra)(function)
        return function

    return decorate


def given(values: dict[str, Any], context: click.Context) -> dict[str, Any]:
    """The options that were given, before the command or after it; after it wins. The log is set up by them.

    Raises ConfigError where it cannot be.
    """
    told: dict[str, Any] = {}
    for level in (context.parent.parent if context.parent else None, context.parent):
        told |= {} if level is None else {key: value for key, value in level.params.items() if value}
    told |= {key: value for key, value in values.items() if value or (value == 0.0 and value is not False)}
    if "log_level" in told or "log_file" in told:  # also for a command that reads no configuration of its own
        from llmspell.cli.settings import configuration

        configuration({name: told.get(name) for name in ("config", "log_level", "log_file")}, None)
    return told
