"""A conversation with an agent: what was said stays, tools and media included, and can be kept and shortened."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from llmspell.errors import LLMSpellError, ValidationError, one_line
from llmspell.types.agent import AgentInput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import ROLES, Message, ToolCall
from llmspell.types.streaming import AgentStream, Control

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from llmspell.agents.agent import Agent
    from llmspell.types.agent import AgentOutput
    from llmspell.types.media import Part
    from llmspell.types.streaming import AgentChunk, Room, Taker

__all__ = ["Chat"]

VERSION = 1
MOST_MESSAGES = 10_000  # of one conversation
SUMMARY = (
    "Summarise the conversation above for somebody who is to go on with it: facts, names, numbers, decisions, what was"
    " asked for and is still open. Be brief, and write nothing else."
)
TOLD = "A summary of our conversation so far:\n\n"
NAMES: dict[type, str] = {str: "string", dict: "table", list: "list"}
TAKEN = "Thank you, I will go on from there."


class Chat:
    """A conversation.

        chat = Chat(agent)
        await chat.send("Hello")
        async with chat.stream("And then?") as stream: …

    messages: the turns so far; what the agent is told before them, its system prompt, is not among them. An answer that
    was cut off, because it was cancelled or failed in the middle, stays as far as it came, marked (`Message.cut`).
    One answer at a time.
    """

    def __init__(self, agent: Agent, messages: Sequence[Message] = ()) -> None:
        self.agent = agent
        self.messages: list[Message] = list(messages)
        self._busy = False

    # ---- talking

    async def send(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentOutput:
        """What the agent says to that. Raises as Agent.execute does, and ValidationError while another answer comes."""
        async with self.stream(given) as stream:
            return await stream.collect()

    def stream(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentStream:
        """The same as it comes; read to its end, or closed, it is in `messages`."""
        told = AgentInput.of(given)
        if self._busy:
            raise ValidationError(
                "the conversation waits for an answer", hint="read or close the stream, or make another conversation"
            )
        if len(self.messages) >= MOST_MESSAGES:
            raise ValidationError(f"the conversation has {MOST_MESSAGES} turns", hint="`compact` or `reset` it")
        inner = self.agent.stream(told._replace(messages=(*self.messages, *told.messages)))
        self._busy = True
        return _ChatStream(self, inner, told.messages)

    def _answered(self, asked: Sequence[Message], output: AgentOutput) -> None:
        self._busy = False
        self.messages += [*asked, *output.messages]

    def _cut(self, asked: Sequence[Message], output: AgentOutput, why: str) -> None:
        """An answer ended in the middle: what came of it stays, where something did."""
        self._busy = False
        turns = [turn for turn in output.turns if turn.role != "assistant" or turn.tool_calls]
        while turns and turns[-1].role != "tool":  # calls without what they gave cannot be told again
            turns.pop()
        if output.text:
            turns.append(Message("assistant", output.text, cut=why))
        if turns:
            self.messages += [*asked, *turns]

    # ---- keeping

    def reset(self) -> None:
        """Forgets what was said."""
        self.messages.clear()

    def save(self) -> dict[str, Any]:
        """Plain data, JSON all of it: bytes are base64. Without the agent."""
        return {"version": VERSION, "messages": [_saved(message) for message in self.messages]}

    @classmethod
    def load(cls, agent: Agent, saved: Mapping[str, Any]) -> Chat:
        """A conversation as `save` gave it. Raises ValidationError for what is none."""
        try:
            if (version := _table(saved, "it").get("version")) != VERSION:
                raise ValueError(f"its version is {version!r}")
            return cls(agent, [_loaded(one) for one in _list(saved, "messages")])
        except ValueError as error:
            told = one_line(str(error), 200)
            raise ValidationError(f"that is no saved conversation: {told}", hint="pass what `save` gave") from None

    async def compact(self, keep: int = 4) -> bool:
        """Puts a summary, which the agent's model writes, in the place of all but the last *keep* turns or more: what
        is kept begins with a turn of the user's. False where there is nothing to shorten.
        """
        if keep < 0:
            raise ValidationError("`keep` must be at least 0")
        if self._busy:
            raise ValidationError("the conversation waits for an answer")
        at = max(len(self.messages) - keep, 0)
        while 0 < at < len(self.messages) and self.messages[at].role != "user":
            at -= 1
        if at < 2 or (at == 2 and self.messages[0].text.startswith(TOLD)):
            return False
        self._busy = True
        try:
            older = self.messages[:at]
            summary = await self._summary(older)
        finally:
            self._busy = False
        self.messages[:at] = [Message("user", TOLD + summary), Message("assistant", TAKEN)]
        return True

    async def _summary(self, older: Sequence[Message]) -> str:
        asked = (*older, Message("user", SUMMARY))
        output = await self.agent.plain(AgentInput(asked, Parameters(temperature=0)))
        if not output.text.strip():
            raise ValidationError("the model gave no summary", hint="try again, or `reset`")
        return output.text.strip()


def _saved(message: Message) -> dict[str, Any]:
    told = message.to_dict()
    if isinstance(told["content"], list):
        for part in told["content"]:
            if isinstance(data := part.pop("data", None), bytes):
                part["base64"] = base64.b64encode(data).decode("ascii")
    return told


def _member(told: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """What *told* has of that name. Raises ValueError where it is no *kind*."""
    value = told.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` is no {NAMES[kind]}")
    return value


def _list(told: Mapping[str, Any], name: str) -> Sequence[Any]:
    return () if told.get(name) == {} else _member(told, name, list, ())  # Lua's `{}` may be either


def _table(told: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise ValueError(f"{what} is no table")
    return told


def _loaded(told: Any) -> Message:
    told = _table(told, "a turn")
    role = told.get("role")
    if role not in ROLES:
        raise ValueError(f"a turn's role is {role!r}")
    content: Any = told.get("content")
    if not isinstance(content, str):
        content = tuple(_part(part) for part in _list(told, "content"))
    return Message(
        role,
        content,
        tuple(_call(call) for call in _list(told, "tool_calls")),
        _member(told, "tool_call_id", str),
        dict(_member(told, "native", dict, {})),
        bool(told.get("is_error")),
        _member(told, "cut", str),
    )


def _call(told: Any) -> ToolCall:
    told = _table(told, "a call")
    known, name = _member(told, "id", str), _member(told, "name", str)
    if known is None or name is None:
        raise ValueError("a call has no `id`, or no `name`")
    arguments = {} if told.get("arguments") == [] else _member(told, "arguments", dict)
    return ToolCall(
        known, name, arguments, _member(told, "raw", str, ""), told.get("result"), _member(told, "error", str)
    )


def _part(told: Any) -> Part:
    if isinstance(told, str):
        return told
    told = _table(told, "a part")
    if told.get("type") == "text":
        text: str = _member(told, "text", str, "")
        return text
    mime_type, data = _member(told, "mime_type", str), _member(told, "base64", str)
    if mime_type is None:
        raise ValueError("a part has no `mime_type`")
    return Media(
        mime_type,
        None if data is None else base64.b64decode(data, validate=True),
        *(_member(told, name, str) for name in ("url", "filename", "detail")),
    )


class _ChatStream(AgentStream):
    """A stream whose end the conversation is told of."""

    __slots__ = ("_asked", "_chat", "_inner")

    def __init__(self, chat: Chat, inner: AgentStream, asked: Sequence[Message]) -> None:
        super().__init__(inner.stream_id, _nothing())
        self._chat: Chat | None = chat
        self._inner, self._asked = inner, asked
        self.collector = inner.collector

    async def next_batch(self) -> list[AgentChunk] | None:
        if self._ready or self._done:
            return await super().next_batch()
        try:
            batch = await self._inner.next_batch()
        except BaseException as error:
            self._done = True
            self._over(error)
            raise
        if batch is None:
            self._done = True
        self._look(batch)
        return batch

    def _look(self, batch: list[AgentChunk] | None) -> None:
        """At the end chunk the answer is whole: who reads it may look at the conversation."""
        self.collector = self._inner.collector  # another one, where a limit made the request anew
        content = None if batch is None else batch[-1].content
        if content is None or (type(content) is Control and content.message == "stream_end"):
            self._over(None)

    async def pour(self, take: Taker, room: Room) -> None:
        if self._done:
            return await super().pour(take, room)
        self._done = True

        def looked(batch: list[AgentChunk]) -> bool:
            self._look(batch)
            return take(batch)

        try:
            await self._inner.pour(looked, room)
        except BaseException as error:
            self._over(error)
            raise
        self._over(None)

    async def aclose(self) -> None:
        self._done = True
        self._ready = []
        try:
            await self._inner.aclose()
        finally:
            self.abandon()

    def abandon(self) -> None:
        self._over(None if self.collector.finish_reason is not None else GeneratorExit())

    def _over(self, error: BaseException | None) -> None:
        chat, self._chat = self._chat, None
        if chat is None:
            return
        if error is None:
            chat._answered(self._asked, self._inner.collector.output())
        else:
            why = error.kind if isinstance(error, LLMSpellError) else "cancelled"
            chat._cut(self._asked, self._inner.collector.output(), why)

    def __del__(self) -> None:
        self._over(GeneratorExit())  # dropped without being closed


async def _nothing() -> AsyncGenerator[list[AgentChunk], None]:
    return
    yield
