"""What is wrong with a command line, in llmspell's own words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN
from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NoCommand", "NotTaken", "mistake"]


class NoCommand(click.UsageError):
    """A word that is none of *known*, where a command should stand."""

    def __init__(self, word: str, known: Iterable[str], context: Any) -> None:
        super().__init__(f"there is no command `{word}`", context)
        self.word, self.known = word, list(known)


class NotTaken(click.UsageError):
    """A *value* that an option does not take. takes: what it does; example: how that looks, if it has to be shown."""

    def __init__(self, takes: str, value: str, context: Any, param: Any, example: str = "") -> None:
        super().__init__(f"`{param.opts[0]}` takes {takes}, not `{value}`", context)
        self.example = example


def mistake(error: click.UsageError) -> ValidationError:
    """The error for what the parser found. Its hint says what to type instead."""
    path = error.ctx.command_path if error.ctx is not None else "llmspell"
    see = f"`{path} --help` shows what there is"
    message, hint = error.message, see
    if isinstance(error, NoCommand):
        hint = _command_hint(error, path) or see
    elif isinstance(error, NotTaken):
        hint = error.example or see
    elif isinstance(error, click.NoSuchOption):
        message = f"there is no option `{error.option_name}`"
        near = _nearest(error.option_name.lstrip("-"), [name.lstrip("-") for name in _options(error)])
        hint = f"did you mean `--{near}`? {see}" if near else see
        if path == "llmspell" and any(option.name == error.option_name for option in RUN):
            hint = f"it is an option of a command: `llmspell run {error.option_name} …`"
    elif isinstance(error, click.BadOptionUsage):
        message, hint = _bad_usage(error.option_name, see, error.message)
    elif isinstance(error, click.MissingParameter):
        name = error.param.human_readable_name if error.param is not None else "an argument"
        message = f"`{path}` needs {name}"
        if name == "SCRIPT":
            message, hint = "no script is named", f"`{path} FILE` runs a file, `{path} -` what standard input has"
    # A word of the parser's own, where a later release of it has one more.
    message = message[:1].lower() + message[1:].removesuffix(".")
    return ValidationError(one_line(message), hint=one_line(hint))


def _nearest(word: str, words: Iterable[str]) -> str | None:
    from llmspell.bridge.failures import nearest  # help comes here, too, and has no mistakes to mend

    return nearest(word, words)


def _options(error: click.UsageError) -> list[str]:
    if error.ctx is None:
        return []
    return [name for param in error.ctx.command.get_params(error.ctx) for name in param.opts if name.startswith("--")]


def _command_hint(error: NoCommand, path: str) -> str | None:
    word = error.word
    if path == "llmspell" and (word.endswith(".lua") or os.path.isfile(word)):
        return f"did you mean `llmspell run {word}`?"
    near = _nearest(word, error.known)
    return f"did you mean `{path} {near}`?" if near else None


def _bad_usage(name: str, see: str, message: str) -> tuple[str, str]:
    option = next((option for option in (*COMMON, *RUN) if option.name == name), None)
    if option is None and "requires" in message:  # of the command's own
        return f"`{name}` needs a value", f"write it after the option; {see}"
    if option is None or option.kind == "flag":
        return f"`{name}` takes no value", see
    value = "|".join(option.kind) if isinstance(option.kind, tuple) else option.metavar
    return f"`{name}` needs a value", f"write it after the option: `{name} {value}`"
