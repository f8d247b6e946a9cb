"""The command line's own page of the reference, out of what the commands declare."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import rich_click as click

from llmspell.cli.help import cli
from llmspell.cli.options import COMMON

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["manual"]

HEAD = """# The command line

<!-- Written by scripts/reference.py; do not edit. -->

Every command takes these, before it or after it:

"""
COMMON_NAMES = {option.name for option in COMMON}


def manual() -> str:
    """The page, as Markdown."""
    context = click.Context(cli, info_name="llmspell")
    options = [one for one in cli.params if isinstance(one, click.Option) and "--version" not in one.opts]
    return HEAD + _table(options, context) + "".join(_commands(cli, context, ["llmspell"]))


def _commands(group: click.Group, context: click.Context, words: list[str]) -> Iterator[str]:
    for name in sorted(group.commands):
        command = group.commands[name]
        if command.hidden:
            continue
        below = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group):
            yield f"\n## {' '.join([*words[1:], name])}\n\n{_text(command)}\n"
            yield from _commands(command, below, [*words, name])
            continue
        level = "##" if len(words) == 1 else "###"
        usage = " ".join([*words, name, *command.collect_usage_pieces(below)])
        yield f"\n{level} {' '.join([*words[1:], name])}\n\n```text\n{usage}\n```\n\n{_text(command)}\n"
        own = [
            one for one in command.params
            if isinstance(one, click.Option) and not COMMON_NAMES & set(one.opts) and not one.hidden
        ]  # fmt: skip
        if own:
            yield "\n" + _table(own, below)


def _text(command: click.Command) -> str:
    """What a command says of itself; lines that belong together as one."""
    text = inspect.cleandoc((command.help or "").replace("\b", ""))
    return "\n\n".join(
        part if re.match(r"\s*([-*]|```)", part) else re.sub(r"\s*\n\s*", " ", part) for part in text.split("\n\n")
    )


def _table(options: list[click.Option], context: click.Context) -> str:
    rows = ["| option | |", "| --- | --- |"]
    for one in options:
        record = one.get_help_record(context)
        if record is not None:
            names, says = (part.replace("|", "\\|").replace("\n", " ") for part in record)
            rows.append(f"| `{names}` | {says} |")
    return "\n".join(rows) + "\n"
