"""For each dialect, an answer that calls tools, and how a request tells of the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.dialects import events, lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CALLING", "RESULTS", "Call"]

Call = tuple[str, str, dict[str, Any]]  # id, name, arguments


def _chat(calls: Sequence[Call], text: str) -> tuple[bytes, bytes]:
    asked = [
        {"index": i, "id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for i, (id_, name, arguments) in enumerate(calls)
    ]
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    stream = events(
        chunk({"role": "assistant", "content": text}),
        *(chunk({"tool_calls": [one]}) for one in asked),
        chunk({}, "tool_calls"),
        {"model": "m", "choices": [], "usage": usage},
    )
    message = {"role": "assistant", "content": text, "tool_calls": asked}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return stream + b"data: [DONE]\n\n", json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()


def _responses(calls: Sequence[Call], text: str) -> tuple[bytes, bytes]:
    items: list[dict[str, Any]] = [
        {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text}]}
    ]
    for id_, name, arguments in calls:
        item = {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name}
        items.append({**item, "arguments": json.dumps(arguments), "status": "completed"})
    usage = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    whole = {"id": "r1", "object": "response", "model": "m", "status": "completed", "output": items, "usage": usage}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r1", "model": "m", "status": "in_progress"}}
    ]
    for at, item in enumerate(items):
        told.append({"type": "response.output_item.added", "output_index": at, "item": {**item, "arguments": ""}})
        if item["type"] == "message":
            delta = {"type": "response.output_text.delta", "delta": text}
        else:
            delta = {"type": "response.function_call_arguments.delta", "delta": item["arguments"]}
        told.append({**delta, "output_index": at, "item_id": item["id"]})
        told.append({"type": "response.output_item.done", "output_index": at, "item": item})
    told.append({"type": "response.completed", "response": whole})
    return events(*told, named=True), json.dumps(whole).encode()


def _anthropic(calls: Sequence[Call], text: str) -> tuple[bytes, bytes]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text}]
    blocks += [{"type": "tool_use", "id": id_, "name": name, "input": given} for id_, name, given in calls]
    usage = {"input_tokens": 9, "output_tokens": 5}
    head = {"id": "msg_1", "type": "message", "model": "m"}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": {**head, "content": [], "usage": usage}}]
    for at, block in enumerate(blocks):
        empty = {"text": ""} if block["type"] == "text" else {"input": {}}
        told.append({"type": "content_block_start", "index": at, "content_block": {**block, **empty}})
        if block["type"] == "text":
            delta = {"type": "text_delta", "text": text}
        else:
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        told.append({"type": "content_block_delta", "index": at, "delta": delta})
        told.append({"type": "content_block_stop", "index": at})
    told.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}})
    told.append({"type": "message_stop"})
    whole = {**head, "content": blocks, "stop_reason": "tool_use", "usage": usage}
    return events(*told, named=True), json.dumps(whole).encode()


def _gemini(calls: Sequence[Call], text: str) -> tuple[bytes, bytes]:
    parts: list[dict[str, Any]] = [{"text": text}]
    parts += [{"functionCall": {"id": id_, "name": name, "args": arguments}} for id_, name, arguments in calls]
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, "finishReason": "STOP"}
    whole = {"candidates": [candidate], "modelVersion": "m", "usageMetadata": usage}
    return events(whole), json.dumps(whole).encode()


def _ollama(calls: Sequence[Call], text: str) -> tuple[bytes, bytes]:
    asked = [{"function": {"name": name, "arguments": arguments}} for _, name, arguments in calls]
    message = {"role": "assistant", "content": text, "tool_calls": asked}
    whole = {"model": "m", "message": message, "done": True, "done_reason": "stop"}
    whole |= {"prompt_eval_count": 9, "eval_count": 5}
    first = {"model": "m", "message": message, "done": False}
    last = {**whole, "message": {"role": "assistant", "content": ""}}
    return lines(first, last), json.dumps(whole).encode()


#: (calls, the text beside them) → the stream, and the whole.
CALLING: dict[str, Callable[[Sequence[Call], str], tuple[bytes, bytes]]] = {
    "openai": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}


def _of_anthropic(sent: Any) -> list[Any]:
    return [one["content"] for one in sent["messages"][-1]["content"] if one["type"] == "tool_result"]


def _of_gemini(sent: Any) -> list[Any]:
    parts = sent["contents"][-1]["parts"]
    return [one["functionResponse"]["response"] for one in parts if "functionResponse" in one]


#: A request's body → what it tells of the results of the last calls, in order.
RESULTS: dict[str, Callable[[Any], list[Any]]] = {
    "openai": lambda sent: [one["content"] for one in sent["messages"] if one["role"] == "tool"],
    "openai-responses": lambda sent: [
        one["output"] for one in sent["input"] if one.get("type") == "function_call_output"
    ],
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
    "ollama": lambda sent: [one["content"] for one in sent["messages"] if one["role"] == "tool"],
}
