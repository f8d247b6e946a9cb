"""What is typed after a `/` in a conversation."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, NamedTuple

from llmspell.bridge.failures import nearest
from llmspell.cli.chat import store
from llmspell.cli.chat.session import schema_of, text_or_file
from llmspell.cli.render.terminal import harmless
from llmspell.errors import ValidationError, one_line
from llmspell.types.price import dollars

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.cli.chat.session import Session
    from llmspell.types.messages import Message

__all__ = ["COMMANDS", "Slash", "is_command", "said"]

MOST_SHOWN = 400  # characters of a turn in the history


class Command(NamedTuple):
    """takes: what stands after it."""

    name: str
    takes: str
    help: str


COMMANDS = (
    Command("help", "", "this list"),
    Command("model", "[NAME]", "which model answers, or another one from now on"),
    Command("system", "[TEXT|@FILE|off]", "what the model is told before the conversation"),
    Command("attach", "[FILE…|off]", "files for the next message: pictures, sound, film, PDF, text"),
    Command("schema", "[FILE|off]", "answers as data of this JSON Schema"),
    Command("retry", "", "asks the last question again"),
    Command("undo", "", "takes the last question and its answer back"),
    Command("history", "", "what was said"),
    Command("save", "[FILE]", "where the conversation is kept, or in another file from now on"),
    Command("load", "NAME|FILE", "goes on with another conversation"),
    Command("usage", "", "tokens and cost so far"),
    Command("clear", "", "begins a new conversation"),
    Command("tools", "", "what the model may call"),
    Command("quit", "", "leaves, as Ctrl+D does"),
)
WORDS = {"exit": "quit"}


def is_command(text: str) -> bool:
    """Whether what was typed is a command. `//` begins a message with a slash."""
    return text.startswith("/") and not text.startswith("//")


def said(text: str) -> str:
    """The message that was typed."""
    return text[1:] if text.startswith("//") else text


class Slash:
    """Does commands. show: takes lines for the person. `left`: whether the last one leaves."""

    def __init__(self, session: Session, show: Callable[[str], object]) -> None:
        self._session, self._show = session, show
        self.left = False

    def do(self, typed: str) -> tuple[Message, ...]:
        """Does one; gives what is to be asked because of it, mostly nothing. Raises LLMSpellError."""
        word, _, rest = typed[1:].partition(" ")
        if "\n" in word:
            word, _, rest = typed[1:].partition("\n")
        name = WORDS.get(word.strip(), word.strip())
        command = next((one for one in COMMANDS if one.name == name), None)
        if command is None:
            near = nearest(name, [one.name for one in COMMANDS])
            meant = f"did you mean `/{near}`? " if near else ""
            raise ValidationError(
                f"there is no command `/{one_line(name, 40)}`",
                hint=f"{meant}`/help` shows what there is; `//` begins a message with a slash",
            )
        rest = rest.strip()
        if rest and not command.takes:
            raise ValidationError(f"`/{name}` takes nothing, not `{one_line(rest, 40)}`")
        if not rest and command.takes and not command.takes.startswith("["):
            raise ValidationError(f"`/{name}` needs {command.takes}")
        asked = getattr(self, f"_{name}")(rest)
        return asked if isinstance(asked, tuple) else ()

    def _help(self, rest: str) -> None:
        wide = max(len(one.name) + len(one.takes) for one in COMMANDS) + 2
        for one in COMMANDS:
            self._show(f"/{one.name} {one.takes}".ljust(wide) + " " + one.help)
        self._show('A line that ends with \\ goes on; """ begins and ends several lines; // begins a message with /.')
        self._show("Ctrl+C stops an answer; Ctrl+D leaves.")

    def _model(self, rest: str) -> None:
        if rest:
            self._session.use(model=rest)
        self._show(f"model: {self._session.label}")

    def _system(self, rest: str) -> None:
        if rest:
            self._session.use(system=None if rest == "off" else text_or_file(rest))
        self._show(f"system: {_short(self._session.system or 'nothing')}")

    def _schema(self, rest: str) -> None:
        if rest:
            self._session.use(schema=None if rest == "off" else schema_of(rest))
        schema = self._session.schema
        self._show("schema: none" if schema is None else f"schema: {_short(str(schema.get('title') or schema))}")

    def _attach(self, rest: str) -> None:
        if rest == "off":
            self._session.pending = []
        for path in _paths(rest) if rest != "off" else ():
            self._show(f"attached {self._session.attach(path)}")
        if rest in ("", "off"):
            for one in self._session.pending:
                self._show(f"attached {one}")
            if not self._session.pending:
                self._show("nothing is attached")

    def _retry(self, rest: str) -> tuple[Message, ...]:
        asked = self._session.again()
        if not asked:
            raise ValidationError("nothing was asked yet")
        return asked

    def _undo(self, rest: str) -> None:
        if not self._session.undo():
            raise ValidationError("there is nothing to take back")
        self._session.save()
        self._show(f"taken back; {_turns(self._session)} left")

    def _history(self, rest: str) -> None:
        if not self._session.chat.messages:
            self._show("nothing was said yet")
        for message in self._session.chat.messages:
            media = "".join(f" [{one.filename or one.mime_type}]" for one in message.media)
            calls = "".join(f" [calls {call.name}]" for call in message.tool_calls)
            cut = f" [cut: {message.cut}]" if message.cut else ""
            self._show(f"{message.role}: {_short(message.text)}{media}{calls}{cut}")

    def _save(self, rest: str) -> None:
        if rest:
            self._show(f"kept in {self._session.write_to(_path(rest))}")
            return
        self._session.save()
        kept = self._session.kept
        if kept is None or kept.path is None:
            self._show("it is not kept: `/save FILE` keeps it")
        else:
            self._show(f"kept in {kept.path}")

    def _load(self, rest: str) -> None:
        path = os.path.expanduser(_path(rest))
        if not os.path.exists(path) and store.NAME.fullmatch(rest):
            path = store.named(rest)
        self._session.load(path)
        self._show(f"{self._session.label}, {_turns(self._session)}")

    def _usage(self, rest: str) -> None:
        session, usage = self._session, self._session.totals()
        told = [f"{session.calls} answer{'' if session.calls == 1 else 's'}"]
        told += [f"{usage[name]:,} tokens {word}" for name, word in _TOKENS if name in usage]
        if "cost_usd" in usage:
            told.append(dollars(usage["cost_usd"]))
        elif session.unpriced_calls:
            told.append(f"{session.unpriced_calls} without a known price")
        self._show(", ".join(told))

    def _clear(self, rest: str) -> None:
        self._session.begin_anew()
        self._show("a new conversation")

    def _tools(self, rest: str) -> None:
        for spec in self._session.agent.tools:
            self._show(f"{spec.name}: {_short(spec.description)}")
        if not self._session.agent.tools:
            self._show("none: `--tool NAME` gives it some; `llmspell tools list` shows those there are")

    def _quit(self, rest: str) -> None:
        self.left = True


_TOKENS = (("input_tokens", "in"), ("output_tokens", "out"))


def _turns(session: Session) -> str:
    count = sum(one.role == "user" for one in session.chat.messages)
    return f"{count} question{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    return one_line(harmless(text[: 2 * MOST_SHOWN]), MOST_SHOWN)


def _path(rest: str) -> str:
    """A path, which may stand in quotes."""
    found = _paths(rest)
    if len(found) != 1:
        raise ValidationError(f"`{one_line(rest, 60)}` is more than one path", hint="put one with spaces in quotes")
    return found[0]


def _paths(rest: str) -> list[str]:
    if os.path.lexists(os.path.expanduser(rest)):  # with spaces, as it stands
        return [rest]
    try:
        return shlex.split(rest)
    except ValueError:
        return [rest]
