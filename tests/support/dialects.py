"""For each dialect, an answer made by hand: its stream, the same in one piece, and where its end mark begins."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ["DIALECTS", "Made", "events", "lines"]


class Made(NamedTuple):
    """An answer whose text is `TEXT`.

    stream: its bytes, up to and with the last text. end: what makes it whole. whole: the same in one piece, as JSON.
    error: an error inside of a stream, as bytes. type: of the content.
    """

    stream: bytes
    end: bytes
    whole: bytes
    error: bytes
    type: str = "text/event-stream"


TEXT = "Grüße, 世界 🌍!"
PIECES = ("Grüße, ", "世界 ", "🌍!")


def events(*values: Any, named: bool = False) -> bytes:
    """Values as an event stream."""
    told = b""
    for value in values:
        if named:
            told += f"event: {value['type']}\n".encode()
        told += b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
    return told


def lines(*values: Any) -> bytes:
    """Values as lines of JSON."""
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values)


def _chat() -> Made:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    message = {"role": "assistant", "content": TEXT}
    return Made(
        events(chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in PIECES)),
        events(chunk({}, "stop"), {"model": "m", "choices": [], "usage": usage}) + b"data: [DONE]\n\n",
        json.dumps(
            {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        ).encode(),
        events({"error": {"message": "slow down", "code": 429}}),
    )


def _anthropic() -> Made:
    start = {
        "id": "msg_1",
        "type": "message",
        "model": "m",
        "content": [],
        "usage": {"input_tokens": 9, "output_tokens": 1},
    }
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in PIECES
    ]
    return Made(
        events(
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            *deltas,
            named=True,
        ),
        events(
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
            named=True,
        ),
        json.dumps(
            {
                "type": "message", "model": "m", "content": [{"type": "text", "text": TEXT}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 9, "output_tokens": 5},
            }
        ).encode(),
        events({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}, named=True),
    )  # fmt: skip


def _gemini() -> Made:
    def answer(text: str, **more: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": [{"text": text}] if text else []}, "index": 0, **more}
        return {"candidates": [candidate], "modelVersion": "m"}

    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
    return Made(
        events(*(answer(piece) for piece in PIECES)).replace(b"\n", b"\r\n"),
        events({**answer("", finishReason="STOP"), "usageMetadata": usage}).replace(b"\n", b"\r\n"),
        json.dumps({**answer(TEXT, finishReason="STOP"), "usageMetadata": usage}).encode(),
        events({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}),
    )


def _ollama() -> Made:
    def line(text: str, **more: Any) -> dict[str, Any]:
        return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}

    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 5}
    return Made(
        lines(*(line(piece) for piece in PIECES)),
        lines(line("", **last)),
        json.dumps(line(TEXT, **last)).encode(),
        lines({"error": {"message": "slow down", "code": 429}}),
        "application/x-ndjson",
    )


def _responses() -> Made:
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    item = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": TEXT}]}
    whole = {"id": "r1", "object": "response", "model": "m", "status": "completed", "output": [item], "usage": usage}
    deltas = [
        {"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_1", "delta": piece}
        for piece in PIECES
    ]
    return Made(
        events(
            {"type": "response.created", "response": {"id": "r1", "model": "m", "status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1"}},
            *deltas,
            named=True,
        ),
        events(
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
            named=True,
        ),
        json.dumps(whole).encode(),
        events({"type": "error", "error": {"message": "slow down", "code": "rate_limit_exceeded"}}, named=True),
    )


DIALECTS = {
    "openai": _chat(),
    "openai-responses": _responses(),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "ollama": _ollama(),
}
