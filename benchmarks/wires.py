"""How each dialect says a text on the wire, for server.py to send and for the least that reads it.

A Wire makes the bytes of an answer: `first`, a text's event, `last`; each framed as a chunk of HTTP. The shapes are
those of WIRE.md §4 – §8, with the members that services really send along.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WIRES", "Wire", "framed", "wire_at"]

USAGE = {"input_tokens": 12, "output_tokens": 20_000}
RESPONSE: dict[str, Any] = {
    "id": "resp_benchmark", "object": "response", "created_at": 1760000000, "status": "in_progress", "error": None,
    "incomplete_details": None, "model": "benchmark", "output": [], "parallel_tool_calls": True, "usage": None,
}  # fmt: skip


class Wire(NamedTuple):
    """One dialect. path: of its requests, beyond the base address, `{model}` where the model stands in it.

    member: what of the request's body names the model; empty where the path does. cut: what ends an event; skip: how
    many bytes stand before its JSON; text: what a text's event says, of the parsed JSON, else None.
    """

    type: str
    base: str
    path: str
    member: str
    content_type: str
    first: bytes
    event: Callable[[str], bytes]
    last: bytes
    cut: bytes
    skip: int
    text: Callable[[Any], str | None]

    @property
    def head(self) -> bytes:
        """What comes before the body."""
        return (
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\nx-request-id: req-benchmark\r\n"
            b"transfer-encoding: chunked\r\n\r\n" % self.content_type.encode()
        )


def framed(body: bytes) -> bytes:
    """A chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _data(value: object, end: bytes = b"\n\n") -> bytes:
    return framed(b"data: " + _json(value) + end)


def _named(value: dict[str, Any]) -> bytes:
    return framed(b"event: %b\ndata: %b\n\n" % (value["type"].encode(), _json(value)))


def _joined(*values: dict[str, Any]) -> bytes:
    return b"".join(map(_named, values))


# ---- Anthropic's Messages

ANTHROPIC = Wire(
    "anthropic",
    "",
    "/v1/messages",
    "model",
    "text/event-stream; charset=utf-8",
    _joined(
        {
            "type": "message_start",
            "message": {
                "id": "msg_benchmark", "type": "message", "role": "assistant", "content": [], "model": "benchmark",
                "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ),
    lambda text: _named({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
    _joined(
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
        {"type": "message_stop"},
    ),
    b"\n\n",
    0,
    lambda value: value["delta"].get("text") if value["type"] == "content_block_delta" else None,
)  # fmt: skip

# ---- OpenAI's Responses

_PLACE = {"item_id": "msg_benchmark", "output_index": 0, "content_index": 0, "sequence_number": 4}
_ITEM = {"id": "msg_benchmark", "type": "message", "status": "in_progress", "content": [], "role": "assistant"}

RESPONSES = Wire(
    "openai-responses",
    "/v1",
    "/responses",
    "model",
    "text/event-stream; charset=utf-8",
    _joined(
        {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
        {"type": "response.in_progress", "sequence_number": 1, "response": RESPONSE},
        {"type": "response.output_item.added", "sequence_number": 2, "output_index": 0, "item": _ITEM},
        {
            "type": "response.content_part.added", **_PLACE,
            "part": {"type": "output_text", "annotations": [], "logprobs": [], "text": ""},
        },
    ),
    lambda text: _named({"type": "response.output_text.delta", **_PLACE, "delta": text, "logprobs": []}),
    _joined(
        {
            "type": "response.completed", "sequence_number": 9,
            "response": {**RESPONSE, "status": "completed", "usage": {**USAGE, "total_tokens": 20_012}},
        },
    ),
    b"\n\n",
    0,
    lambda value: value["delta"] if value["type"] == "response.output_text.delta" else None,
)  # fmt: skip

# ---- Gemini


def _gemini(text: str, **more: object) -> bytes:
    told = {
        "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 20_000, "totalTokenCount": 20_012},
        "modelVersion": "benchmark",
        "responseId": "benchmark",
    }
    return _data(told, b"\r\n\r\n")


GEMINI = Wire(
    "gemini",
    "/v1beta",
    "/models/{model}:streamGenerateContent?alt=sse",
    "",
    "text/event-stream",
    b"",
    _gemini,
    _gemini("", finishReason="STOP"),
    b"\r\n\r\n",
    6,
    lambda value: value["candidates"][0]["content"]["parts"][0]["text"] or None,
)

# ---- Ollama


def _ollama(text: str, **more: object) -> bytes:
    told = {
        "model": "benchmark",
        "created_at": "2026-01-01T00:00:00.000000000Z",
        "message": {"role": "assistant", "content": text},
        "done": False,
        **more,
    }
    return framed(_json(told) + b"\n")


OLLAMA = Wire(
    "ollama",
    "",
    "/api/chat",
    "model",
    "application/x-ndjson",
    b"",
    _ollama,
    _ollama("", done=True, done_reason="stop", prompt_eval_count=12, eval_count=20_000, total_duration=1_000_000),
    b"\n",
    0,
    lambda value: value["message"]["content"] or None,
)

#: By type of provider; OpenAI's chat, with which all began, is server.py's own.
WIRES = {wire.type: wire for wire in (ANTHROPIC, RESPONSES, GEMINI, OLLAMA)}


def wire_at(path: str) -> Wire | None:
    """The one whose requests go to *path*; None is the chat dialect."""
    if ":streamGenerateContent" in path:
        return GEMINI
    return next((wire for wire in WIRES.values() if path.endswith(wire.path)), None)
