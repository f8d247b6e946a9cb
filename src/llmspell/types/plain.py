"""Chunks out of plain values: what `AgentChunk.to_dict` and `to_json` gave, back again, whoever wrote it.

What is not known is kept: a content of an unknown type is an `Other`, and unknown fields of a known one, or of the
chunk, are in its `more` and are written again by `to_dict`. So a program of today passes on what a later one wrote.
"""

from __future__ import annotations

import base64
import binascii
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import ValidationError, one_line
from llmspell.types import streaming
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.types.streaming import AgentChunk, ChunkContent

__all__ = ["chunk_of", "content_of"]

#: By the word in `type`. A text that has `partial` is a piece of an answer with a form.
KINDS: dict[str, Any] = {
    "text": streaming.Text,
    "reasoning": streaming.Reasoning,
    "tool_call_progress": streaming.ToolCallProgress,
    "tool_call_complete": streaming.ToolCallComplete,
    "media": streaming.MediaPiece,
    "control": streaming.Control,
}
TEXTS = ("text", "tool_id", "name", "partial_args", "raw", "media_type", "message")  # fields that are always a text
SOMETIMES = ("error", "finish_reason")  # a text or nothing


def chunk_of(told: Mapping[str, Any]) -> AgentChunk:
    """The chunk. Raises ValidationError, which names the field."""
    if not isinstance(told, dict):
        raise ValidationError(f"a chunk is a table, not {_kind(told)}")
    if len(told) == 5:  # those that `to_dict` gives, of the types that it gives: nothing is left to be told or kept
        stream_id, index, timestamp = told.get("stream_id"), told.get("chunk_index"), told.get("timestamp")
        content, metadata = told.get("content"), told.get("metadata")
        if (
            type(stream_id) is str
            and type(index) is int
            and index >= 0
            and type(content) is dict
            and type(metadata) is dict
            and type(timestamp) is float
        ):
            return streaming.AgentChunk(stream_id, index, content_of(content), metadata, timestamp)
    fields = dict(told)
    stream_id = _field(fields, "stream_id", str, "a text")
    index = _field(fields, "chunk_index", int, "a whole number")
    if index < 0:
        raise ValidationError("`chunk_index` of a chunk counts from 0")
    content = content_of(_field(fields, "content", dict, "a table"))
    metadata = _field(fields, "metadata", dict, "a table") if "metadata" in fields else {}
    timestamp = float(_field(fields, "timestamp", (int, float), "a number"))
    made: AgentChunk = _with(streaming.AgentChunk, (stream_id, index, content, metadata, timestamp), fields)
    return made


def content_of(told: Mapping[str, Any]) -> ChunkContent:
    """The content. Raises ValidationError, which names the field."""
    if len(told) == 2 and type(text := told.get("text")) is str and told.get("type") in ("text", "reasoning"):
        return streaming.Text(text) if told["type"] == "text" else streaming.Reasoning(text)
    fields = dict(told)
    word = _field(fields, "type", str, "a text")
    kind = KINDS.get(word)
    if kind is None:
        return streaming.Other(word, fields)
    if word == "text" and "partial" in fields:
        kind = streaming.StructuredText
    values = []
    for name in kind._fields:
        if name not in fields:
            if name != "arguments" and name not in kind._field_defaults:
                raise ValidationError(f"a chunk's content of type `{word}` has no `{name}`")
            values.append(kind._field_defaults.get(name))
        else:
            values.append(_value(word, name, fields.pop(name)))
    made: ChunkContent = _with(kind, tuple(values), fields)
    return made


def _value(word: str, name: str, value: Any) -> Any:
    """A known field's value, checked."""
    where = f"`{name}` of a chunk's content of type `{word}`"
    if name in TEXTS or (name in SOMETIMES and value is not None):
        if not isinstance(value, str):
            raise ValidationError(f"{where} must be a text, not {_kind(value)}")
    elif name == "data":
        return _bytes(where, value)
    elif name == "is_final":
        if not isinstance(value, bool):
            raise ValidationError(f"{where} must be true or false, not {_kind(value)}")
    elif name == "usage" and value is not None:
        return _usage(where, value)
    elif name in ("arguments", "details") and value is not None and not isinstance(value, dict):
        raise ValidationError(f"{where} must be a table, not {_kind(value)}")
    return value


def _bytes(where: str, value: Any) -> bytes:
    """Bytes, or their base64."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValidationError(f"{where} must be bytes or their base64, not {_kind(value)}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValidationError(f"{where} is no base64: {one_line(str(error), 80)}") from None


def _usage(where: str, value: Any) -> Usage:
    if not isinstance(value, dict):
        raise ValidationError(f"{where} must be a table, not {_kind(value)}")
    known: dict[str, Any] = {name: one for name, one in value.items() if name in Usage._fields}
    for name, one in known.items():
        if one is not None and (isinstance(one, bool) or not isinstance(one, int | float)):
            raise ValidationError(f"`{name}` in {where} must be a number, not {_kind(one)}")
    return Usage(**known)


def _field(fields: dict[str, Any], name: str, kind: Any, words: str) -> Any:
    """Takes a field out, checked."""
    value = fields.pop(name, None)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValidationError(f"`{name}` of a chunk must be {words}, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else f"a {type(value).__name__}"


def _with(kind: Any, values: tuple[Any, ...], more: dict[str, Any]) -> Any:
    """A named tuple, and in its `more` what its kind does not know."""
    if not more:
        return tuple.__new__(kind, values)
    made = tuple.__new__(_with_more(kind), values)
    made.more = more
    return made


class _Named(NamedTuple):
    """What mypy takes the kinds for."""

    more: dict[str, Any]


@cache
def _with_more(kind: type[_Named]) -> Any:
    """A subclass whose members have `more`."""

    def equal(self: Any, other: object) -> bool:
        return tuple.__eq__(self, other) is True and self.more == getattr(other, "more", {})

    return type(
        kind.__name__,
        (kind,),
        {
            "__eq__": equal,
            "__ne__": lambda self, other: not equal(self, other),
            "__hash__": kind.__hash__,
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
        },
    )
