"""Answers of providers that speak no HTTP, as plain JSON values and back."""

from __future__ import annotations

import base64
from typing import Any

from llmspell.types import streaming
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.messages import ToolCall
from llmspell.types.streaming import ChunkContent, Control, MediaPiece
from llmspell.types.usage import Usage

__all__ = ["as_content", "as_output", "plain", "plain_content", "plain_output"]

_CONTENTS: dict[str, Any] = {
    "text": streaming.Text,
    "reasoning": streaming.Reasoning,
    "tool_call_progress": streaming.ToolCallProgress,
    "tool_call_complete": streaming.ToolCallComplete,
    "media": MediaPiece,
    "control": Control,
}


def plain(value: Any) -> Any:
    """*value* as JSON has it: named tuples by field, bytes as {"base64"}; what is none of it, as its text."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items() if item is not None}
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def plain_content(content: ChunkContent) -> dict[str, Any]:
    """One chunk's content."""
    told: dict[str, Any] = {"type": content.type}
    for name, value in zip(content._fields, content, strict=True):
        if value is not None:
            told[name] = value.to_dict() if isinstance(value, Usage) else plain(value)
    return told


def as_content(told: dict[str, Any]) -> ChunkContent:
    """The content again. Raises KeyError or TypeError for what is none."""
    fields = dict(told)
    cls = _CONTENTS[fields.pop("type")]
    if cls is streaming.ToolCallComplete:
        fields.setdefault("arguments", None)
    if cls is Control and fields.get("usage") is not None:
        fields["usage"] = Usage(**fields["usage"])
    if cls is MediaPiece:
        fields["data"] = base64.b64decode(fields["data"]["base64"])
    made: ChunkContent = cls(**fields)
    return made


def plain_output(output: AgentOutput) -> dict[str, Any]:
    """A whole answer."""
    return {
        **{name: plain(value) for name, value in output._asdict().items() if name not in ("usage", "media", "turns")},
        "usage": output.usage.to_dict(),
        "media": [
            {name: plain(value) for name, value in one._asdict().items() if value is not None} for one in output.media
        ],
    }


def as_output(told: dict[str, Any]) -> AgentOutput:
    """The answer again. Raises KeyError or TypeError for what is none."""
    fields = dict(told)
    fields["usage"] = Usage(**fields["usage"])
    fields["tool_calls"] = tuple(ToolCall(**{"arguments": None, **call}) for call in fields["tool_calls"])
    media = []
    for one in fields["media"]:
        data = one.get("data")
        media.append(Media(**{**one, "data": None if data is None else base64.b64decode(data["base64"])}))
    fields["media"] = tuple(media)
    return AgentOutput(**fields)
