"""What an answer used is the same whether it was streamed or came in one piece."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.providers.dialect import dialect_of
from llmspell.types.streaming import Control
from llmspell.types.usage import Usage
from support.wire import HOME, Record, load

pytestmark = pytest.mark.once
APIS = {"openai": "openai-chat", "openai-responses": "openai-responses", "anthropic": "anthropic", "gemini": "gemini",
        "ollama": "ollama"}  # fmt: skip
COUNTS = st.integers(0, 10**7)
SOME = st.none() | COUNTS


def usage_of(type_: str, body: bytes) -> Usage:
    reading = dialect_of(type_).reading("p", "m", key_env=None, secrets=())
    contents = [*reading.feed(body), *reading.end()]
    assert reading.error is None
    end = contents[-1]
    assert isinstance(end, Control)
    return (end.usage or Usage())._replace(cost_usd=None)


def events(*values: Any, done: bool = False) -> bytes:
    body = b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in values)
    return body + (b"data: [DONE]\n\n" if done else b"")


def known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


PROPERTY = settings(max_examples=60, deadline=None)


@PROPERTY
@given(COUNTS, COUNTS, SOME, SOME)
def test_chat(read: int, written: int, cached: int | None, thought: int | None) -> None:
    usage = known(
        prompt_tokens=read,
        completion_tokens=written,
        prompt_tokens_details=known(cached_tokens=cached) or None,
        completion_tokens_details=known(reasoning_tokens=thought) or None,
    )
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    whole = orjson.dumps({"object": "chat.completion", "choices": [choice], "usage": usage})
    delta = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}], "usage": None}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = events(delta, last, {"choices": [], "usage": usage}, done=True)
    assert usage_of("openai", stream) == usage_of("openai", whole) != Usage()


@PROPERTY
@given(COUNTS, COUNTS, SOME, SOME)
def test_responses(read: int, written: int, cached: int | None, thought: int | None) -> None:
    usage = known(
        input_tokens=read,
        output_tokens=written,
        input_tokens_details=known(cached_tokens=cached) or None,
        output_tokens_details=known(reasoning_tokens=thought) or None,
    )
    item = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}
    response = {"id": "r", "object": "response", "status": "completed", "output": [item], "usage": usage}
    stream = events({"type": "response.completed", "response": response})
    assert usage_of("openai-responses", stream) == usage_of("openai-responses", orjson.dumps(response)) != Usage()


@PROPERTY
@given(COUNTS, COUNTS, SOME, SOME, st.booleans())
def test_anthropic(read: int, written: int, cached: int | None, made: int | None, again: bool) -> None:
    """again: newer answers repeat at the end what they read."""
    inputs = known(input_tokens=read, cache_read_input_tokens=cached, cache_creation_input_tokens=made)
    message = {"type": "message", "id": "m", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
    text = {"type": "text", "text": "x"}
    whole = {**message, "content": [text], "stop_reason": "end_turn", "usage": {**inputs, "output_tokens": written}}
    stream = events(
        {"type": "message_start", "message": {**message, "usage": {**inputs, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {**(inputs if again else {}), "output_tokens": written},
        },
        {"type": "message_stop"},
    )
    assert usage_of("anthropic", stream) == usage_of("anthropic", orjson.dumps(whole)) != Usage()


@PROPERTY
@given(COUNTS, COUNTS, SOME, SOME, SOME)
def test_gemini(read: int, written: int, thought: int | None, cached: int | None, tools: int | None) -> None:
    usage = known(
        promptTokenCount=read,
        candidatesTokenCount=written,
        thoughtsTokenCount=thought,
        cachedContentTokenCount=cached,
        toolUsePromptTokenCount=tools,
        totalTokenCount=read + written + (thought or 0) + (tools or 0),
    )

    def answer(text: str, usage: dict[str, Any], **more: Any) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": text}]}
        told = {"candidates": [{"content": content, "index": 0, **more}], "usageMetadata": usage}
        return told | {"modelVersion": "m", "responseId": "r"}

    early = {"promptTokenCount": read, "totalTokenCount": read}
    stream = events(answer("x", early), answer("y", early), answer("z", usage, finishReason="STOP"))
    whole = orjson.dumps(answer("xyz", usage, finishReason="STOP"))
    assert usage_of("gemini", stream) == usage_of("gemini", whole) != Usage()


@PROPERTY
@given(SOME, COUNTS)
def test_ollama(read: int | None, written: int) -> None:
    counts = known(prompt_eval_count=read, eval_count=written)
    last = {"model": "m", "done": True, "done_reason": "stop", **counts}
    lines = [{"model": "m", "message": {"role": "assistant", "content": "x"}, "done": False}]
    lines.append({**last, "message": {"role": "assistant", "content": ""}})
    stream = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    whole = orjson.dumps({**last, "message": {"role": "assistant", "content": "x"}})
    assert usage_of("ollama", stream) == usage_of("ollama", whole) != Usage()


def pairs() -> list[Any]:
    """Recordings of one request, one streamed and one not; one skipped parameter where there are none."""
    if not HOME.is_dir():
        return [pytest.param(None, None, marks=pytest.mark.skip(reason="no recordings: set LLMSPELL_WIRE"))]
    same: dict[str, list[Record]] = {}
    for path in sorted(HOME.glob("*/*.json")):
        record = load(path)
        body = record.request.get("json") or {}
        asked = {name: value for name, value in body.items() if not name.startswith("stream")}
        if record.status == 200:
            told = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()
            same.setdefault(f"{path.parent.name} {told}", []).append(record)
    return [
        pytest.param(streamed, whole, id=f"{streamed.name} and {whole.name}")
        for group in same.values()
        for streamed in group
        for whole in group
        if streamed.streamed
        and not whole.streamed
        and "content-filter" not in whole.name
        and "queued" not in whole.name
    ]


@pytest.mark.parametrize(("streamed", "whole"), pairs())
def test_a_request_that_was_recorded_both_ways_reads_as_much(streamed: Record, whole: Record) -> None:
    """What was read is the same; what was written differs, for it was written twice, but as much is known of it."""
    types = {api: type_ for type_, api in APIS.items()}
    one, other = (usage_of(types[record.api], record.body) for record in (streamed, whole))
    assert one.input_tokens == other.input_tokens
    assert [value is None for value in one] == [value is None for value in other]
