"""A conversation and what is set of it: model, system prompt, form of the answers, tools, limits, its file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell.agents.agent import Agent
from llmspell.agents.chat import Chat
from llmspell.agents.toolbox import ToolHost
from llmspell.cli.chat import attach
from llmspell.cli.chat.store import Kept, read
from llmspell.errors import ConfigError, LLMSpellError, ValidationError, one_line
from llmspell.tools.base import ToolContext
from llmspell.types.media import Media
from llmspell.types.messages import Message
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.agents.meter import Meter
    from llmspell.config.loader import Config
    from llmspell.providers.base import ProviderInstance
    from llmspell.providers.manager import ProviderManager
    from llmspell.tools.permissions import Permissions
    from llmspell.types.agent import AgentOutput
    from llmspell.types.messages import ToolCall

__all__ = ["Host", "Session", "schema_of", "text_or_file"]

LARGEST_SCHEMA = 4 << 20  # bytes
LARGEST_SYSTEM = 4 << 20
MOST_TITLE = 80


def _bytes_of(path: str, largest: int) -> bytes:
    shown = one_line(path, 200)
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read(largest + 1)
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ValidationError(f"cannot read `{shown}`: {told.lower()}", hint="check the path", cause=error) from None
    if len(data) > largest:
        raise ValidationError(f"`{shown}` has more than {largest} bytes")
    return data


def text_or_file(given: str) -> str:
    """A text, or what the file has that is named after an `@`. Raises ValidationError."""
    if not given.startswith("@"):
        return given
    try:
        return _bytes_of(given[1:], LARGEST_SYSTEM).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ValidationError(f"`{one_line(given[1:], 200)}` is no UTF-8 text") from None


def schema_of(path: str) -> dict[str, Any]:
    """The JSON Schema that a file has. Raises ValidationError."""
    import orjson

    shown = one_line(path, 200)
    try:
        schema = orjson.loads(_bytes_of(path, LARGEST_SCHEMA))
    except orjson.JSONDecodeError as error:
        told = error.msg.partition(": line ")[0]
        raise ValidationError(f"`{shown}` is no JSON: {told} (line {error.lineno}, column {error.colno})") from None
    if not isinstance(schema, dict):
        raise ValidationError(f"`{shown}` is no JSON Schema: it must be an object", hint='as `{"type": "object", …}`')
    return schema


class Host(ToolHost):
    """What is around the tools: what was granted, what the configuration says of them, and who looks on."""

    def __init__(self, permissions: Permissions, settings: dict[str, dict[str, Any]]) -> None:
        super().__init__(permissions)
        self._granted, self._settings = permissions, settings
        self.started: Callable[[ToolCall], object] = lambda call: None
        self.ended: Callable[[ToolCall, float], object] = lambda call, seconds: None

    def context(self, agent: str, call_id: str) -> ToolContext:
        return ToolContext(self._granted, agent=agent, call_id=call_id, settings=self._settings)

    def tool_started(self, stream_id: str, call: ToolCall) -> None:
        self.started(call)

    def tool_ended(self, stream_id: str, call: ToolCall, seconds: float) -> None:
        self.ended(call, seconds)


class Session:
    """One conversation. Raises what Agent does for a model, tool or schema that is none.

    asked: what was said last, for `retry`. pending: what goes along with the next message. usage, calls,
    unpriced_calls: of all its answers, those before it was resumed among them.
    """

    def __init__(
        self,
        manager: ProviderManager,
        config: Config,
        *,
        host: Host,
        meter: Meter | None = None,
        model: str | None = None,
        provider: str | None = None,
        system: str | None = None,
        schema: dict[str, Any] | None = None,
        tools: Sequence[str] = (),
        timeout: float | None = None,
    ) -> None:
        self._manager, self.config, self.host, self._meter = manager, config, host, meter
        self.tools, self.timeout = tuple(dict.fromkeys(tools)), timeout
        self.system, self.schema = system, schema
        self.pending: list[attach.Attached] = []
        self.asked: tuple[Message, ...] = ()
        self.usage, self.calls, self.unpriced_calls = Usage(), 0, 0
        self.kept: Kept | None = None
        self.agent = self._made(model, provider, system, schema)
        self.chat = Chat(self.agent)

    # ---- what is set

    def _made(
        self, model: str | None, provider: str | None, system: str | None, schema: dict[str, Any] | None
    ) -> Agent:
        agent = Agent(
            model,
            provider=provider,
            name="chat",
            system_prompt=system,
            tools=self.tools,
            tool_host=self.host,
            response_schema=schema,
            timeout=self.timeout,
            meter=self._meter,
            providers=self._manager,
        )
        agent.resolve()
        return agent

    @property
    def who(self) -> tuple[ProviderInstance, str]:
        """The provider, and the model's name there."""
        return self.agent.resolve()

    @property
    def label(self) -> str:
        """`provider/model`."""
        provider, model = self.who
        return f"{provider.name}/{model}"

    def use(self, **changes: Any) -> None:
        """Sets model, system or schema; where one cannot be used, all stays as it was, and the error is raised."""
        model = changes.get("model", self.label)
        system, schema = changes.get("system", self.system), changes.get("schema", self.schema)
        agent = self._made(model, None, system, schema)
        self.agent, self.system, self.schema = agent, system, schema
        self.chat.agent = agent

    # ---- what is said

    def attach(self, path: str) -> attach.Attached:
        """A file for the next message. Raises what `attach` does."""
        attached = attach.read(path)
        attach.check(attached, *self.who)
        self.pending.append(attached)
        return attached

    def message(self, text: str) -> tuple[Message, ...]:
        """What is to be said, with what was attached, which is pending no more. Raises NotSupportedError."""
        for one in self.pending:
            attach.check(one, *self.who)
        texts = [one.part for one in self.pending if isinstance(one.part, str)]
        media = [one.part for one in self.pending if isinstance(one.part, Media)]
        whole = "".join([*texts, text])
        self.pending = []
        if not media:
            return (Message("user", whole),)
        return (Message("user", (whole, *media) if whole else tuple(media)),)

    def last_question(self) -> int | None:
        """Where the last exchange begins in the conversation; None where there is none."""
        at = len(self.chat.messages)
        while at and self.chat.messages[at - 1].role != "user":
            at -= 1
        while at > 1 and self.chat.messages[at - 2].role == "user":  # what was asked as several messages
            at -= 1
        return at - 1 if at else None

    def undo(self) -> bool:
        """Takes the last exchange back. False where there is none."""
        at = self.last_question()
        if at is None:
            return False
        del self.chat.messages[at:]
        self.asked = ()
        return True

    def again(self) -> tuple[Message, ...]:
        """The last question, its answer taken back; empty where nothing was asked."""
        at = self.last_question()
        last = self.chat.messages[at:] if at is not None else []
        asked = tuple(one for one in last if one.role == "user")
        if self.asked and self.asked != asked:  # it failed before anything came of it
            return self.asked
        if at is not None:
            del self.chat.messages[at:]
        return asked

    def count(self, output: AgentOutput) -> None:
        """Adds an answer, whole or cut off; nothing of one that had not begun."""
        if not output.metadata:
            return
        asked = output.metadata.get("rounds", 1)
        self.calls += asked
        if output.usage.cost_usd is None:
            self.unpriced_calls += asked
        self.usage = self.usage.plus(output.usage)

    def totals(self) -> dict[str, int | float]:
        """The known fields of `usage`; no cost where some answers have no price."""
        usage = self.usage.with_total()
        return (usage._replace(cost_usd=None) if self.unpriced_calls else usage).to_dict()

    # ---- what is kept

    def told(self) -> dict[str, Any]:
        """What its file says."""
        first = next((one.text for one in self.chat.messages if one.role == "user"), "")
        return {
            "title": one_line(first, MOST_TITLE),
            "model": self.label,
            "system": self.system,
            "schema": self.schema,
            "usage": self.usage.to_dict(),
            "calls": self.calls,
            "unpriced_calls": self.unpriced_calls,
            "messages": self.chat.save()["messages"],
        }

    def save(self) -> bool:
        """Writes its file, where it has one. False: see `Kept.write`."""
        return True if self.kept is None else self.kept.write(self.told())

    def load(self, path: str, **over: Any) -> None:
        """Goes on with the conversation of a file. over: model, system and schema, where others are wanted.

        Raises NotFoundError, ValidationError, ConfigError; all is as it was then.
        """
        told = read(path)
        chat = Chat.load(self.agent, {"version": told["version"], "messages": told["messages"]})
        known = {"model": str, "system": str, "schema": dict}
        found = {name: told[name] for name, kind in known.items() if isinstance(told.get(name), kind)}
        usage = _usage(told.get("usage"))
        try:
            self.use(**{"system": None, "schema": None, **found, **over})
        except ConfigError as error:
            raise ConfigError(
                f"the conversation's model cannot be used: {error.message}",
                hint="`--model` names another to go on with",
                cause=error,
            ) from None
        self.chat = chat
        self.chat.agent = self.agent
        self.usage, self.asked, self.pending = usage, (), []
        self.calls, self.unpriced_calls = _count(told.get("calls")), _count(told.get("unpriced_calls"))
        self.kept = Kept(path)

    def begin_anew(self) -> None:
        """Forgets what was said; what is kept of it stays, and the next turn begins a file of its own."""
        self.chat = Chat(self.agent)
        self.asked, self.pending = (), []
        self.usage, self.calls, self.unpriced_calls = Usage(), 0, 0
        self.kept = None if self.kept is None else Kept()

    def write_to(self, path: str) -> str:
        """Keeps it in a file from now on; gives its path. Raises ValidationError for one that is something else's."""
        path = os.path.abspath(os.path.expanduser(path))
        if os.path.lexists(path):
            try:
                read(path)
            except LLMSpellError as error:
                raise ValidationError(
                    f"`{one_line(path, 200)}` is there, and is no saved conversation",
                    hint="name a file that is not there yet",
                    cause=error,
                ) from None
        kept = Kept(path)
        kept.write(self.told())
        self.kept = kept
        return path


def _usage(told: Any) -> Usage:
    """What a file says was used, as far as it is that."""
    fields = told if isinstance(told, dict) else {}
    return Usage(**{name: fields[name] for name in Usage._fields if type(fields.get(name)) in (int, float)})


def _count(told: Any) -> int:
    return told if type(told) is int and told >= 0 else 0
