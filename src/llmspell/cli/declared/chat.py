"""`llmspell chat`, declared."""

from __future__ import annotations

from typing import Any

import rich_click as click

from llmspell.cli.options import COMMON, RUN, Option
from llmspell.cli.parsing import given, with_options

__all__ = ["COMMANDS"]

OWN = (
    Option("--system", "text", "What the model is told before the conversation.", "TEXT|@FILE"),
    Option("--schema", "text", "Answers are data of the JSON Schema in this file, checked.", "FILE"),
    Option("--hide-reasoning", "flag", "Do not show what a model thinks before it answers."),
    Option("--timeout", "number", "Seconds for one answer, its tools included; 0 is without limit.", "SECONDS"),
)
#: The options of `run` that are meant here, too.
SHARED = tuple(
    option
    for option in RUN
    if option.kind == "grants" or option.name in ("--model", "--provider", "--max-tokens-total", "--max-cost", "--ask")
)


@click.command("chat")
@click.option("--attach", "attached", multiple=True, metavar="FILE", help="Goes along with the first message.")
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="A tool that the model may call; no others.")
@click.option(
    "--resume",
    "resume",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[NAME]",
    help="Go on with the conversation NAME, or with the last one.",
)
@click.option("--session", "session", metavar="FILE", help="Keep the conversation in this file, and go on with it.")
@click.option("--list", "listed", is_flag=True, help="List the conversations that are kept.")
@click.option("-p", "--print", "print", is_flag=True, help="Answer once and end, on a terminal too.")
@with_options((*OWN, *SHARED, *COMMON))
@click.argument("words", nargs=-1, metavar="[PROMPT]")
@click.pass_context
def chat_command(
    context: click.RichContext,
    /,
    words: tuple[str, ...],
    attached: tuple[str, ...],
    tools: tuple[str, ...],
    resume: str | None,
    session: str | None,
    listed: bool,
    **values: Any,
) -> None:
    """Talks with a model.

    On a terminal it goes on until you leave; `/help` shows what can be typed. PROMPT is the first message. In a pipe,
    or with `--print`, it answers once: PROMPT, and what standard input has.
    """
    from llmspell.cli.commands.chat import chat, list_

    options = given(values, context)
    if listed:
        context.exit(list_(options))
    told = (*words, *list(context.obj or ()))
    context.exit(chat(told, options, resume=resume, session=session, attached=attached, tools=tools))


COMMANDS = (chat_command,)
