"""What no recording of OpenAI's chat dialect shows: streams made by hand from WIRE.md, and requests."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, StreamTruncatedError
from llmspell.providers import openai_chat
from llmspell.providers import reading as reading_module
from llmspell.providers.base import ModelCall
from llmspell.providers.chat_reader import ChatReader, usage_of
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message, ToolCall
from llmspell.types.streaming import (
    ChunkContent,
    Control,
    MediaPiece,
    Reasoning,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.usage import Usage
from support.loopback import sse

PROPERTY = settings(deadline=None, max_examples=200)
CALL = ModelCall("m", (Message("user", "hi"),))


def read(body: bytes, edges: list[int]) -> tuple[list[ChunkContent], LLMSpellError | None, dict[str, Any]]:
    """What the dialect makes of *body*, cut at *edges*."""
    reading = openai_chat.Reading("p", "m")
    contents: list[ChunkContent] = []
    for a, b in pairwise(edges):
        contents += reading.feed(body[a:b])
    contents += reading.end()
    return contents, reading.error, reading.metadata


def events(*values: Any, done: bool = True) -> list[ChunkContent]:
    """The contents of a made stream, its end included; raises what it raises."""
    reader = ChatReader("p", "m")
    out = [content for value in values for content in reader.event(value)]
    if done:
        reader.done()
    return out + reader.end()


def delta(finish: str | None = None, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def tool(id_: Any = None, name: Any = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    return delta(tool_calls=[fields | {"id": id_, "function": {"name": name, "arguments": arguments}}])


def calls(contents: list[ChunkContent]) -> list[tuple[str, str, Any]]:
    """The whole calls; their pieces must add up to them, under the same ids."""
    whole = [content for content in contents if isinstance(content, ToolCallComplete)]
    for call in whole:
        pieces = [c.partial_args for c in contents if isinstance(c, ToolCallProgress) and c.tool_id == call.tool_id]
        assert pieces
        assert "".join(pieces) == call.raw
    return [(call.tool_id, call.name, call.arguments) for call in whole]


TWO = [("call_1", "f", {}), ("call_2", "g", {})]


def test_empty_pieces_give_no_chunk() -> None:
    contents = events(delta(role="assistant", content=""), delta(content=None), delta(), delta("stop", content=""))
    assert contents == [Control("stream_end", "stop")]


def test_reasoning_comes_once_though_it_is_told_twice() -> None:
    both = delta(reasoning="so", reasoning_details=[{"type": "reasoning.text", "text": "so"}], content="a")
    assert events(both)[:2] == [Reasoning("so"), Text("a")]
    assert events(delta(reasoning_details=[{"summary": "s"}, {"text": "t"}, {"data": "x"}]))[0] == Reasoning("st")


def test_details_of_reasoning_are_put_together_with_and_without_their_number() -> None:
    def kept(*details: dict[str, Any]) -> Any:
        reader = ChatReader("p", "m")
        for detail in details:
            reader.event(delta(reasoning_details=[detail]))
        reader.event(tool("c", "f", "{}", index=0))
        reader.done()
        reader.end()
        return reader.metadata["chat"]["reasoning_details"]

    text, signed = {"type": "reasoning.text", "text": "a"}, {"type": "reasoning.text", "signature": "S"}
    secret = {"type": "reasoning.encrypted", "data": "d"}
    one = {"type": "reasoning.text", "text": "a" * 300, "signature": "S"}
    for number in ({}, {"index": 0}):
        assert kept(*[text | number] * 300, signed | number) == [one | number]
    assert kept(text, signed, text, secret, secret) == [text | signed, text, secret, secret]
    assert kept(text | {"index": 0}, text | {"index": 1}) == [text | {"index": 0}, text | {"index": 1}]


def facts(*values: Any) -> dict[str, Any]:
    reader = ChatReader("p", "m")
    for value in values:
        reader.event(value)
    reader.done()
    reader.end()
    return reader.metadata


def test_what_an_answer_says_of_itself_is_kept_as_it_came_first() -> None:
    first = {"id": "one", "created": 1.5, "model": "", "service_tier": None, "system_fingerprint": 7, "choices": []}
    later = delta(content="a") | {"id": "two", "created": 3, "model": "m-1", "service_tier": "flex\n"}
    told = facts(first, later, delta() | {"model": "m-2", "system_fingerprint": "fp"})
    assert told == {"id": "one", "created": 1.5, "model": "m-1", "service_tier": "flex", "system_fingerprint": "fp"}
    assert "created" not in facts(delta(content="a") | {"created": [1], "id": {"a": 1}})


def test_citations_and_notes_are_kept_up_to_a_bound() -> None:
    assert facts(delta() | {"citations": ["https://a", 5, "https://b"]})["citations"] == ["https://a", "https://b"]
    assert "citations" not in facts(delta() | {"citations": []}, delta() | {"citations": "x"})
    assert len(facts(delta() | {"citations": ["u"] * 300})["citations"]) == 256
    notes = [delta(annotations=[{"n": n}, 5]) for n in range(300)]
    assert facts(*notes)["annotations"] == [{"n": n} for n in range(256)]
    pictures = [delta(images=[{"image_url": {"url": f"https://a/{n}"}}]) for n in range(300)]
    assert facts(*pictures)["image_urls"] == [f"https://a/{n}" for n in range(256)]


def test_a_whole_answer_is_over_and_its_details_are_each_their_own() -> None:
    detail = {"type": "reasoning.summary", "summary": "s"}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"content": "a", "reasoning_details": [detail, detail], "tool_calls": [call]}
    reader = ChatReader("p", "m")
    contents = [*reader.event({"object": "chat.completion", "choices": [{"message": message}]}), *reader.end()]
    assert contents[-1] == Control("stream_end", "tool_calls")
    assert reader.metadata["chat"]["reasoning_details"] == [detail, detail]


def test_a_summary_in_pieces_is_one() -> None:
    pieces = [delta(reasoning_details=[{"type": "reasoning.summary", "index": 0, "summary": one}]) for one in "ab"]
    told = facts(*pieces, tool("c", "f", "{}", index=0))
    assert told["chat"]["reasoning_details"] == [{"type": "reasoning.summary", "index": 0, "summary": "ab"}]


def test_content_as_a_list_is_taken_apart() -> None:
    assert events(delta(content=[{"type": "text", "text": ""}, "", {"text": 5}])) == [Control("stream_end", "stop")]
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}, "b", 5]
    assert events(delta(content=parts))[:-1] == [Reasoning("hm"), Text("a"), Text("b")]


def test_a_message_after_pieces_is_what_they_add_up_to() -> None:
    last = {"object": "chat.completion.done", "choices": [{"message": {"content": "ab"}, "finish_reason": "stop"}]}
    assert events(delta(content="a"), delta(content="b"), last) == [Text("a"), Text("b"), Control("stream_end", "stop")]


def test_a_choice_s_number_may_be_a_text() -> None:
    chunk = {"choices": [{"index": "0", "delta": {"content": "a"}}, {"index": "1", "delta": {"content": "b"}}]}
    assert events(chunk) == [Text("a"), Control("stream_end", "stop")]


def test_only_the_first_choice_of_several_is_read() -> None:
    contents = events(delta(content="a"), delta(content="B", index=1), delta(content="b"), delta("stop", index=1))
    assert contents == [Text("a"), Text("b"), Control("stream_end", "stop")]


@pytest.mark.parametrize(
    ("fragments", "whole"),
    [
        pytest.param(
            [tool("a", "f", "{", index=0), tool("b", "g", "{}", index=1), tool(None, None, "}", index=0)],
            [("a", "f", {}), ("b", "g", {})],
            id="interleaved by index",
        ),
        pytest.param([tool("a", "f", '{"x"'), tool(None, None, ":1}")], [("a", "f", {"x": 1})], id="no index"),
        pytest.param([tool("a", "f", "{}"), tool("b", "g", "{}")], [("a", "f", {}), ("b", "g", {})], id="a new id"),
        pytest.param(
            [tool("a", "f", "{}", index=0), tool("b", "g", "{}", index=0)],
            [("a", "f", {}), ("b", "g", {})],
            id="two calls of one index",
        ),
        pytest.param(
            [tool("r1", "f", '{"x"', index=0), tool("r2", None, ":1}", index=0)],
            [("r1", "f", {"x": 1})],
            id="another id for each fragment",
        ),
        pytest.param(
            [tool("0", "f", "{", index=0), tool("0", "f", "}", index=0)], [("0", "f", {})], id="name and id repeated"
        ),
        pytest.param([tool("", "f", "{}", index=0)], [("call_1", "f", {})], id="an empty id"),
        pytest.param(
            [tool(None, "f", "", index=0), tool("late", None, "{}", index=0)], [("call_1", "f", {})], id="a late id"
        ),
        pytest.param([tool(None, "f", "{}"), tool(None, "g", "{}")], TWO, id="neither"),
        pytest.param(
            [tool("a", "f", "{}", index=0), tool("a", "g", "{}", index=1)],
            [("a", "f", {}), ("call_2", "g", {})],
            id="the same id twice",
        ),
        pytest.param([tool("", "f", "{}", index=0), tool("", "g", "{}", index=0)], TWO, id="one index and no id"),
        pytest.param(
            [tool("", "f", '{"x":1}', index=0), tool("", "f", '{"x":2}', index=0)],
            [("call_1", "f", {"x": 1}), ("call_2", "f", {"x": 2})],
            id="one index, no id and one name",
        ),
        pytest.param(
            [tool(None, "f", '{"x"', index=0), tool(None, "f", ":1}", index=0), tool(None, "f", "", index=0)],
            [("call_1", "f", {"x": 1})],
            id="the name alone repeated",
        ),
        pytest.param(
            [tool("a", "f", "{}"), tool("a", "g", '{"x":1}')],
            [("a", "f", {}), ("call_2", "g", {"x": 1})],
            id="the same id twice and no index",
        ),
        pytest.param([tool("a", "f", "{}"), tool("a", "f", "")], [("a", "f", {})], id="a call that is named again"),
        pytest.param([tool("a", "f", {"x": 1}, index=0)], [("a", "f", {"x": 1})], id="arguments as an object"),
        pytest.param([tool("a", "f", None, index=0)], [("a", "f", {})], id="arguments null"),
        pytest.param([tool("a", "f", "", index=0)], [("a", "f", {})], id="arguments empty"),
        pytest.param([tool("a", "f", "{oh", index=0)], [("a", "f", None)], id="arguments that do not parse"),
        pytest.param([tool("a", "f", "[1]", index=0)], [("a", "f", None)], id="arguments that are no object"),
        pytest.param(
            [delta(function_call={"name": "f", "arguments": "{"}), delta(function_call={"arguments": "}"})],
            [("call_1", "f", {})],
            id="the older way",
        ),
        pytest.param([delta(function_call={"name": "", "arguments": ""}, tool_calls=None)], [], id="an empty object"),
        pytest.param([delta(tool_calls=[None, 5, {}, {"function": None}])], [], id="what is none"),
    ],
)  # fmt: skip
def test_tool_calls_are_put_together(fragments: list[dict[str, Any]], whole: list[tuple[str, str, Any]]) -> None:
    contents = events(*fragments)
    assert calls(contents) == whole
    assert contents[-1] == Control("stream_end", "tool_calls" if whole else "stop")


@pytest.mark.parametrize(
    ("finish", "neutral"),
    [("stop", "stop"), ("eos", "stop"), ("length", "length"), ("function_call", "tool_calls"),
     ("content_filter", "content_filter"), ("model_limit", "model_limit"), ("", "stop")],
)  # fmt: skip
def test_finish_reasons(finish: str, neutral: str) -> None:
    assert events(delta(finish))[-1] == Control("stream_end", neutral)


def test_the_last_of_two_finish_reasons_counts_and_one_end_is_told() -> None:
    reader = ChatReader()
    out = [*reader.event(delta("length")), *reader.event(delta("stop")), *reader.end(), *reader.end()]
    assert out == [Control("stream_end", "stop")]


def test_a_refusal_and_an_image_may_be_parts_of_the_content() -> None:
    parts = [
        {"type": "text", "text": "so: "},
        {"type": "refusal", "refusal": "no"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": None},
    ]
    assert events(delta(content=parts), delta("stop")) == [
        Text("so: "),
        Text("no"),
        MediaPiece("image/png", b"\0\0\0"),
        Control("stream_end", "content_filter"),
    ]


def test_a_refusal_is_an_answer() -> None:
    assert events(delta(refusal="I "), delta(refusal="can't"), delta("stop")) == [
        Text("I "),
        Text("can't"),
        Control("stream_end", "content_filter"),
    ]


def test_usage_is_completed_field_by_field() -> None:
    first = delta(content="a") | {"usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    last = {"choices": [], "usage": {"completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2}}}
    end = events(first, delta("stop"), last)[-1]
    assert isinstance(end, Control)
    assert end.usage == Usage(5, 9, 2, None, 14)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
          "completion_tokens_details": {"reasoning_tokens": 20}}, Usage(10, 25, None, 20, 35)),
        ({"prompt_tokens": 10, "completion_tokens": 25, "total_tokens": 35,
          "completion_tokens_details": {"reasoning_tokens": 20}}, Usage(10, 25, None, 20, 35)),
        ({"prompt_tokens": "10", "completion_tokens": -1, "total_tokens": True, "prompt_tokens_details": []}, Usage()),
        ({"prompt_cache_hit_tokens": 3, "prompt_tokens": 4.0}, Usage(4, None, 3)),
    ],
    ids=["xAI leaves reasoning out", "others do not", "what are no counts", "DeepSeek's cache"],
)  # fmt: skip
def test_usage(told: dict[str, Any], usage: Usage) -> None:
    assert usage_of(told) == usage


def test_a_stream_without_its_end_is_cut_short() -> None:
    reader = ChatReader("p", "m")
    assert reader.event(delta(content="a")) == [Text("a")]
    with pytest.raises(StreamTruncatedError, match="stopped before its end") as caught:
        reader.end()
    assert (caught.value.provider, caught.value.model) == ("p", "m")


def test_an_error_comes_after_what_came_before_it() -> None:
    reader = ChatReader("p", "m")
    assert reader.event(delta(content="a") | {"error": {"message": "no", "code": 503}}) == [Text("a")]
    for call in (reader.end, lambda: reader.event(delta(content="b")), reader.end):
        with pytest.raises(LLMSpellError, match="p failed while it answered: no") as caught:
            call()
        assert (caught.value.status, caught.value.retryable) == (503, True)


def made(*lines: str) -> bytes:
    return "".join(f"{line}\n\n" for line in lines).encode()


START = 'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}'


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (made(START, 'data: {"error":{"message":"busy","type":"overloaded_error"}}'), "provider", "busy"),
        (made(START, 'event: error\ndata: {"message":"slow down","code":429}'), "rate_limit", "slow down"),
        (made(START, "event: error\ndata: out of luck"), "provider", "out of luck"),
        (made(START, 'error: {"message":"no memory"}'), "provider", "no memory"),
        (
            made(START, 'data: {"choices":[{"delta":{},"finish_reason":"error","error":{"message":"down"}}]}'),
            "provider",
            "down",
        ),
        (made(START.replace("{", '{"object":"chat.completion",', 1)), "stream_truncated", "stopped before its end"),
        (made(START, '{"error": {"message": "bare", "code": 500}}'), "provider", "bare"),
        (made(START, 'data: {"object":"error","message":"old way","code":400}'), "provider", "old way"),
        (made(START, "data: hello"), "provider", "no model's answer: hello"),
        (made(START), "stream_truncated", "stopped before its end"),
        (made(START) + b'data: {"choices":[{"del', "stream_truncated", "stopped within a piece"),
        (made(START) + b"data: [DO", "stream_truncated", "stopped within a piece"),
    ],
)
def test_what_goes_wrong_within_an_answer(body: bytes, kind: str, says: str) -> None:
    for edges in ([0, len(body)], list(range(len(body) + 1))):
        contents, error, _ = read(body, edges)
        assert contents == [Text("a")]
        assert error is not None
        assert error.kind == kind
        assert says in error.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"", "stream_truncated"), (b"{", "stream_truncated"), (b"[]", "provider"), (b'{"error":"no"}', "provider"),
     (b'[{"error":{"code":401}}]', "auth"), (b'{"choices":null}', "provider")],
)  # fmt: skip
def test_an_answer_that_is_none(body: bytes, kind: str) -> None:
    contents, error, _ = read(body, [0, len(body)])
    assert contents == []
    assert error is not None
    assert error.kind == kind


def test_what_is_after_the_end_mark_is_not_read() -> None:
    body = made(START, "data: [DONE]", START, "data: {")
    assert read(body, [0, len(body)])[0] == [Text("a"), Control("stream_end", "stop")]


def test_one_event_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MAX_EVENTS", 3)
    _, error, _ = read(made(*[START] * 4), [0, 10_000])
    assert error is not None
    assert "more than 3 events" in error.message


@PROPERTY
@given(texts=st.lists(st.text(), max_size=8), cut=st.integers(0, 10_000))
def test_texts_come_through_as_they_were(texts: list[str], cut: int) -> None:
    body = b"".join(sse(texts))
    contents, error, _ = read(body, [0, min(cut, len(body)), len(body)])
    assert error is None
    assert [c.text for c in contents if isinstance(c, Text)] == [text for text in texts if text]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "tool_calls", "function", "arguments", "name", "id", "index",
             "usage", "error", "finish_reason", "reasoning", "reasoning_details", "text", "x_groq", "annotations",
             "prompt_tokens", "model", "object", "citations", "function_call", "refusal", "detail", "code", "metadata"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@PROPERTY
@given(values=st.lists(st.fixed_dictionaries({"choices": st.lists(JSON, max_size=2)}, optional={"usage": JSON}) | JSON))
def test_whatever_a_service_sends_is_read_or_an_error_of_ours(values: list[Any]) -> None:
    body = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + b"data: [DONE]\n\n"
    contents, error, _ = read(body, [0, len(body)])
    whole = read(body, [*range(0, len(body), 7), len(body)])
    assert (contents, error and error.message) == (whole[0], whole[1] and whole[1].message)
    if error is None:
        assert isinstance(contents[-1], Control)


# Requests.


def body_of(call: ModelCall, **options: Any) -> dict[str, Any]:
    told = json.loads(openai_chat.request(call, **{"stream": False, **options}).body)
    assert isinstance(told, dict)
    return told


def test_a_request_says_what_was_set_and_nothing_else() -> None:
    request = openai_chat.request(CALL, stream=False)
    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert json.loads(request.body) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    full = Parameters(temperature=0.0, top_p=0.5, max_tokens=9, stop=("a", "b"), seed=0, reasoning="low")
    told = body_of(CALL._replace(parameters=full), stream=True)
    assert told == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 9,
        "stop": ["a", "b"],
        "seed": 0,
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_conversation_with_tools_is_written() -> None:
    asked = ToolCall("call_1", "f", {"q": "x"})
    messages = (
        Message("system", "s"),
        Message("assistant", "", (asked, ToolCall("call_2", "g", None, "{oh"))),
        Message("tool", "42", tool_call_id="call_1"),
    )
    assert body_of(CALL._replace(messages=messages))["messages"] == [
        {"role": "system", "content": "s"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"q":"x"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "Error: It was not run.", "tool_call_id": "call_2"},
        {"role": "tool", "content": "42", "tool_call_id": "call_1"},
    ]


@pytest.mark.parametrize(
    ("host", "model", "member"),
    [("api.openai.com", "o3-mini", "max_completion_tokens"), ("api.openai.com", "gpt-5.2", "max_completion_tokens"),
     ("eu.api.openai.com", "gpt-5-mini", "max_completion_tokens"), ("notapi.openai.com", "gpt-5", "max_tokens"),
     ("api.openai.com", "gpt-4o-mini", "max_tokens"), ("localhost", "o3-mini", "max_tokens"),
     ("me.openai.azure.com", "gpt-5-mini", "max_completion_tokens"), ("me.openai.azure.com", "gpt-4o", "max_tokens"),
     ("me.openai.azure.com", "grok-4", "max_tokens"), ("openrouter.ai", "gpt-5", "max_tokens")],
)  # fmt: skip
def test_only_openais_own_reasoning_models_take_another_limit(host: str, model: str, member: str) -> None:
    call = CALL._replace(model=model, parameters=Parameters(max_tokens=5))
    told = json.loads(openai_chat.Chat(host).request(call, stream=False).body)
    assert {name for name in told if name.startswith("max_")} == {member}


def test_extra_members_and_headers_are_laid_over_the_request() -> None:
    call = CALL._replace(body={"model": "other", "top_k": 3}, headers={"X-Trace": "1", "Accept": "x"})
    request = openai_chat.request(call, stream=True)
    assert json.loads(request.body)["model"] == "other"
    assert json.loads(request.body)["top_k"] == 3
    assert request.headers == {"content-type": "application/json", "accept": "x", "x-trace": "1"}


@pytest.mark.parametrize("name", ["Authorization", "host", "Content-Length", "Transfer-Encoding"])
def test_extra_headers_cannot_say_who_asks_or_where(name: str) -> None:
    with pytest.raises(LLMSpellError, match=f"may not set `{name.lower()}`"):
        openai_chat.request(CALL._replace(headers={name: "x"}), stream=True)


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a b": "c"}, {"": "c"}, {"a": "\u2028"}, {"a": 5}])
def test_extra_headers_that_no_request_can_carry_are_refused(headers: dict[str, Any]) -> None:
    with pytest.raises(LLMSpellError, match="no request can carry"):
        openai_chat.request(CALL._replace(headers=headers), stream=True)
