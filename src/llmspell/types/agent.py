"""What goes into an agent and what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import ValidationError, one_line
from llmspell.types.media import Media, part_of
from llmspell.types.messages import NATIVE, ROLES, Message, ToolCall
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmspell.types.media import MediaContent, Part

__all__ = ["AgentInput", "AgentInputBuilder", "AgentOutput", "Parameters"]


class Parameters(NamedTuple):
    """How a model is to write. None: the service's own default.

    temperature, top_p: numbers as the service takes them. max_tokens: of the answer. stop: texts that end it.
    seed: for services that can repeat an answer. reasoning: "low", "medium", "high", or what the model knows.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    reasoning: str | None = None

    def over(self, base: Parameters) -> Parameters:
        """These where they are given, *base*'s elsewhere."""
        return Parameters._make(low if high is None else high for high, low in zip(self, base, strict=True))


class AgentInput(NamedTuple):
    """What one call says: a text, or a conversation. parameters go over the agent's own.

    modalities: what the answer may be made of besides text ("image", "audio"). context: what the model is to know
    besides, added to what the system says.
    """

    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    modalities: tuple[str, ...] = ()
    context: str = ""

    @classmethod
    def of(cls, given: str | Message | Sequence[Message] | AgentInput) -> AgentInput:
        """A string is one user's message. A MediaContent among parts is what it gives a message: one of a file is read
        when the request is made. Raises ValidationError for nothing to say, or a role that is none."""
        if isinstance(given, AgentInput):
            made = given
        elif isinstance(given, str):
            made = cls((Message("user", given),))
        elif isinstance(given, Message):
            made = cls((given,))
        else:
            made = cls(tuple(given))
        if not made.messages:
            raise ValidationError("there is nothing to say to the model", hint="give a text, or messages")
        for index, message in enumerate(made.messages):
            if message.role not in ROLES:
                raise ValidationError(
                    f"messages[{index + 1}].role must be one of {', '.join(ROLES)}, not `{message.role}`"
                )
        if any(type(message.content) is tuple for message in made.messages):
            made = made._replace(messages=tuple(map(_plain, made.messages)))
        return made

    @classmethod
    def text(cls, text: str) -> AgentInput:
        """What a user says, in words alone."""
        return cls.of(text)

    @classmethod
    def builder(cls) -> AgentInputBuilder:
        """For one that is put together: `AgentInput.builder().text("What is this?").media(picture).build()`."""
        return AgentInputBuilder()

    @property
    def media(self) -> tuple[Media, ...]:
        """All media of all messages, in order. One of a file has `data` once it is `loaded()`."""
        return tuple(one for message in self.messages for one in message.media)


def _plain(message: Message) -> Message:
    """With texts and media alone for parts."""
    content = message.content
    if not isinstance(content, tuple) or all(isinstance(part, str | Media) for part in content):
        return message
    return message._replace(content=tuple(map(part_of, content)))


class AgentInputBuilder:
    """Puts an AgentInput together; each call gives the builder, `build` the input.

    Texts and media that follow each other are one message of the user's, in that order.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._parts: list[Part] = []
        self._parameters: dict[str, Any] = {}
        self._modalities: tuple[str, ...] = ()
        self._context: list[str] = []

    def system(self, text: str) -> AgentInputBuilder:
        """What the model is told before all else; it stands first, whenever it is said."""
        self._messages.insert(sum(message.role == "system" for message in self._messages), Message("system", text))
        return self

    def text(self, text: str) -> AgentInputBuilder:
        """Words of the user's."""
        self._parts.append(text)
        return self

    def media(self, *media: Media | MediaContent) -> AgentInputBuilder:
        """Images, sound, video or files of the user's."""
        self._parts += map(part_of, media)
        return self

    def message(self, message: Message) -> AgentInputBuilder:
        """A whole turn: an answer of before, or what a tool gave."""
        self._end()
        self._messages.append(message)
        return self

    def context(self, given: str | Mapping[str, Any]) -> AgentInputBuilder:
        """What the model is to know besides: a text, or values, which are told as JSON."""
        if not isinstance(given, str):
            import orjson

            given = "Context, as JSON:\n" + orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
        self._context.append(given)
        return self

    def parameters(self, **parameters: Any) -> AgentInputBuilder:
        """Fields of Parameters, over those said before. Raises ValidationError for one that it does not have."""
        for name in parameters:
            if name not in Parameters._fields:
                known = ", ".join(Parameters._fields)
                raise ValidationError(f"there is no parameter `{one_line(name, 60)}`", hint=f"there are {known}")
        self._parameters |= parameters
        return self

    def output(self, *modalities: str) -> AgentInputBuilder:
        """What the answer may be made of besides text: "image", "audio"."""
        self._modalities = tuple(dict.fromkeys((*self._modalities, *modalities)))
        return self

    def _end(self) -> None:
        if self._parts:
            plain = all(isinstance(part, str) for part in self._parts)
            self._messages.append(Message("user", "".join(map(str, self._parts)) if plain else tuple(self._parts)))
            self._parts = []

    def build(self) -> AgentInput:
        """The input. Raises ValidationError for nothing to say."""
        self._end()
        context = "\n\n".join(self._context)
        return AgentInput.of(
            AgentInput(tuple(self._messages), Parameters(**self._parameters), self._modalities, context)
        )


class AgentOutput(NamedTuple):
    """A whole answer.

    finish_reason: stop, length, tool_calls, content_filter, pause, error, or the service's own word.
    metadata: model (as the service named it), provider, latency_ms, and what else the service told
        (request_id, id, created …).
    media: what the model made that is no text. data: the parsed value, where a form was asked for.
    turns: where tools were run, all that was added to the conversation. text and reasoning are then those of the last
        turn, tool_calls and media those of all, usage the sum; metadata are the last turn's, with `rounds`, how often
        the model was asked, and latency_ms of all these answers.
    """

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    metadata: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default; never written to)
    media: tuple[Media, ...] = ()
    data: Any = None
    turns: tuple[Message, ...] = ()

    @classmethod
    def of(
        cls, text: str, *media: Media | MediaContent, data: Any = None, usage: Usage | None = None, **metadata: Any
    ) -> AgentOutput:
        """An answer of an agent of one's own: its words, what else it made, and what there is to tell of it."""
        made = tuple(one.loaded() if isinstance(one, Media) else one.to_media() for one in media)
        return cls(text, usage=usage or Usage(), media=made, data=data, metadata=metadata)

    @property
    def media_contents(self) -> tuple[MediaContent, ...]:
        """`media`, each with its format and what its head tells, to be saved or made into something else."""
        return tuple(one.to_content() for one in self.media)

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the call added to the conversation: the answer, before it calls of tools and what those gave."""
        return self.turns or (self.message(),)

    def message(self) -> Message:
        """The answer as a turn of the conversation, with what its service wants back."""
        if self.turns:
            said: Message = next(turn for turn in reversed(self.turns) if turn.role == "assistant")
            return said
        native = {name: self.metadata[name] for name in NATIVE if name in self.metadata}
        return Message("assistant", self.text, self.tool_calls, None, native)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script sees them; `media` only where there is some, its bytes as bytes."""
        told: dict[str, Any] = {
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [call.to_dict() for call in self.tool_calls],
            "usage": self.usage.to_dict(),
            "finish_reason": self.finish_reason,
            "metadata": dict(self.metadata),
        }
        if self.media:
            told["media"] = [media.to_dict() for media in self.media]
        if self.data is not None:
            told["data"] = self.data
        if self.turns:
            told["messages"] = [turn.to_dict() for turn in self.turns]
        return told
