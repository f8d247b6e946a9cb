"""What is said to a model: messages in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.types.media import Media, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NATIVE", "ROLES", "Message", "ToolCall"]

#: What a service wants back of its answers stands so in their metadata: Anthropic's, Gemini's, that of Responses, and
#: that of OpenAI's chat dialect and Ollama's.
NATIVE = ("blocks", "parts", "items", "chat")

ROLES = ("system", "user", "assistant", "tool")


class ToolCall(NamedTuple):
    """A call that a model asked for.

    arguments: the parsed object; None where the model's text did not parse (cut by a token limit, or malformed).
    raw: the text of the arguments as it came.
    result: what the tool gave, where it was run. error: what the model was told instead, where it was not, or failed.
    """

    id: str
    name: str
    arguments: dict[str, Any] | None
    raw: str = ""
    result: Any = None
    error: str | None = None

    @property
    def answered(self) -> bool:
        """Whether the model was told something of it."""
        return self.result is not None or self.error is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `raw` only where the arguments did not parse."""
        told: dict[str, Any] = {"id": self.id, "name": self.name, "arguments": self.arguments}
        if self.arguments is None:
            told["raw"] = self.raw
        if self.result is not None:
            told["result"] = self.result
        if self.error is not None:
            told["error"] = self.error
        return told


class Message(NamedTuple):
    """One turn. role: one of ROLES; content: its text, or texts and media in order; tool_calls and tool_call_id as
    turns with tools need them. is_error: of a tool's result, that the tool failed. cut: of an answer that ended in the
    middle, why: "cancelled", or the kind of the error.

    native: of an answer, what its service wants back as it came (signatures, encrypted reasoning, its own tools'
    results), by its dialect's word: `AgentOutput.message` fills it in. Other dialects send the turn without it.
    """

    role: str
    content: str | tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    native: Mapping[str, Any] = {}
    is_error: bool = False
    cut: str | None = None

    @property
    def text(self) -> str:
        """Its texts, joined."""
        content = self.content
        return content if isinstance(content, str) else "".join(part for part in content if isinstance(part, str))

    @property
    def parts(self) -> tuple[Part, ...]:
        """Texts and media, in order; nothing of an empty text."""
        content = self.content
        return content if not isinstance(content, str) else (content,) if content else ()

    @property
    def media(self) -> tuple[Media, ...]:
        """What of it is no text."""
        content = self.content
        return () if isinstance(content, str) else tuple(part for part in content if isinstance(part, Media))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script puts them into `messages`: bytes are bytes."""
        content: Any = self.content
        if not isinstance(content, str):
            content = [{"type": "text", "text": one} if isinstance(one, str) else _part(one) for one in content]
        told: dict[str, Any] = {"role": self.role, "content": content}
        if self.tool_calls:
            told["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        if self.tool_call_id is not None:
            told["tool_call_id"] = self.tool_call_id
        if self.native:
            told["native"] = dict(self.native)
        if self.is_error:
            told["is_error"] = True
        if self.cut is not None:
            told["cut"] = self.cut
        return told


def _part(media: Media) -> dict[str, Any]:
    media = media.loaded()
    known = {name: value for name, value in media._asdict().items() if value is not None}
    return {"type": media.kind, **known}
