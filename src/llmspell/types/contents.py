"""What a chunk of a streamed answer holds: one named tuple a variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.types.usage import Usage

__all__ = [
    "ChunkContent",
    "ChunkMetadata",
    "Control",
    "ControlMessage",
    "MediaPiece",
    "Other",
    "Reasoning",
    "StructuredText",
    "Text",
    "ToolCallComplete",
    "ToolCallProgress",
]


class Text(NamedTuple):
    """A piece of the answer. Pieces add up; nothing is trimmed."""

    text: str

    @property
    def type(self) -> str:
        return "text"


class StructuredText(NamedTuple):
    """A piece of an answer that is to have a form. partial: the value as far as it has come, None where nothing is
    there yet; it belongs to this piece alone, and shares with others what is complete: read it, do not write to it.
    """

    text: str
    partial: Any = None

    @property
    def type(self) -> str:
        return "text"


class Reasoning(NamedTuple):
    """A piece of the model's reasoning, which is not part of the answer."""

    text: str

    @property
    def type(self) -> str:
        return "reasoning"


class ToolCallProgress(NamedTuple):
    """A piece of a tool call's arguments; the pieces of one `tool_id` add up to JSON text."""

    tool_id: str
    name: str
    partial_args: str

    @property
    def type(self) -> str:
        return "tool_call_progress"


class ToolCallComplete(NamedTuple):
    """A tool call, whole. arguments is None where the text (in `raw`) did not parse. result: what the tool gave; error:
    what the model is told where it failed or was not run. Both are None where the call is the caller's to run.
    """

    tool_id: str
    name: str
    arguments: dict[str, Any] | None
    result: Any = None
    raw: str = ""
    error: str | None = None

    @property
    def type(self) -> str:
        return "tool_call_complete"


class MediaPiece(NamedTuple):
    """A piece of what the model made that is no text; the pieces up to one that is final are one medium.

    media_type: "image/png". data: bytes.
    """

    media_type: str
    data: bytes
    is_final: bool = True

    @property
    def type(self) -> str:
        return "media"

    def __repr__(self) -> str:
        last = "" if self.is_final else ", is_final=False"
        return f"MediaPiece({self.media_type!r}, <{len(self.data)} bytes>{last})"


class ControlMessage:
    """What a Control's `message` may be."""

    STREAM_START = "stream_start"
    STREAM_END = "stream_end"
    RETRY = "retry"
    CANCELLED = "cancelled"
    HEARTBEAT = "heartbeat"


class Control(NamedTuple):
    """Not content: `message` is stream_start, stream_end (with finish_reason and usage), retry, cancelled or heartbeat.

    details: of a retry: attempt (the number of the one that comes), wait (seconds), error and kind (of the one that
    failed), model (where another one is asked). What came before a retry is void, back to the last call of a tool that
    was run; there is some only where an answer did not have the form that was asked for. Of a stream_end: data, where
    a form was asked for. Of a heartbeat: tool_id, name and text, what a tool that runs says of its progress.
    """

    message: str
    finish_reason: str | None = None
    usage: Usage | None = None
    details: Mapping[str, Any] | None = None

    @property
    def type(self) -> str:
        return "control"


class Other(NamedTuple):
    """A content that this version does not know: `type` is what it was called, `fields` all that it had."""

    kind: str
    fields: dict[str, Any]

    @property
    def type(self) -> str:
        return self.kind


ChunkContent: TypeAlias = (
    Text | StructuredText | Reasoning | ToolCallProgress | ToolCallComplete | MediaPiece | Control | Other
)


class ChunkMetadata(TypedDict, total=False):
    """What a chunk's `metadata` may tell: a plain dict, with what the service says beside."""

    model: str
    provider: str
    id: str
    request_id: str
    latency_ms: float
    structured: str
