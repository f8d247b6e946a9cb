"""What goes into an agent and what comes out."""

from __future__ import annotations

from typing import Any, NamedTuple

from llmspell.types.media import Media
from llmspell.types.messages import NATIVE, Message, ToolCall
from llmspell.types.usage import Usage

__all__ = ["AgentOutput", "Parameters"]


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
