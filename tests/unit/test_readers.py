"""What no recording of Anthropic, Gemini, Ollama and Responses shows: bytes made by hand from WIRE.md."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError
from llmspell.providers import gemini_reader
from llmspell.providers import reading as reading_module
from llmspell.providers.dialect import DIALECTS, dialect_of
from llmspell.providers.turn import Turn
from llmspell.types.media import Media
from llmspell.types.streaming import (
    ChunkContent,
    Collector,
    Control,
    MediaPiece,
    Reasoning,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.usage import Usage
from support.dialects import DIALECTS as MADE
from support.dialects import TEXT, events, lines

PROPERTY = settings(deadline=None, max_examples=100)


def read(type_: str, *pieces: bytes) -> tuple[list[ChunkContent], LLMSpellError | None, dict[str, Any]]:
    reading = dialect_of(type_).reading("p", "m", key_env=None, secrets=())
    contents = [content for piece in pieces for content in reading.feed(piece)]
    contents += reading.end()
    return contents, reading.error, reading.metadata


def end_of(contents: list[ChunkContent]) -> str | None:
    last = contents[-1]
    assert isinstance(last, Control)
    return last.finish_reason


# ---- Anthropic


def block(index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


STOP = {"type": "message_stop"}


def ending(reason: str, **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


def test_anthropic_a_message_delta_with_a_reason_is_an_end_and_nothing_before_it_is() -> None:
    text = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"})
    contents, error, _ = read("anthropic", events(*text, ending("end_turn")))
    assert (error, end_of(contents)) == (None, "stop")
    contents, error, _ = read("anthropic", events(*text))
    assert contents == [Text("a")]
    assert error is not None
    assert error.kind == "stream_truncated"


def test_anthropic_a_call_that_a_limit_cut_is_told_as_it_came() -> None:
    cut = block(
        0,
        {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"q": "Par'},
    )
    contents, error, _ = read("anthropic", events(*cut, ending("max_tokens"), STOP))
    assert error is None
    assert contents[:2] == [ToolCallProgress("t1", "f", ""), ToolCallProgress("t1", "f", '{"q": "Par')]
    assert contents[2] == ToolCallComplete("t1", "f", None, None, '{"q": "Par')
    assert end_of(contents) == "length"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("refusal", "content_filter"),
        ("pause_turn", "pause"),
        ("model_context_window_exceeded", "length"),
        ("new", "new"),
    ],
)
def test_anthropic_reasons(reason: str, finish: str) -> None:
    contents, _, _ = read("anthropic", events(ending(reason), STOP))
    assert end_of(contents) == finish


def test_anthropic_thinking_keeps_its_signature_for_the_next_turn() -> None:
    thought = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "thinking_delta", "thinking": "!"},
        {"type": "signature_delta", "signature": "S"},
    )
    hidden = block(1, {"type": "redacted_thinking", "data": "D"})
    text = block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"})
    contents, _, metadata = read("anthropic", events(*thought, *hidden, *text, ending("end_turn"), STOP))
    assert contents[:3] == [Reasoning("hm"), Reasoning("!"), Text("a")]
    assert metadata["blocks"] == [
        {"type": "thinking", "thinking": "hm!", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": "a"},
    ]


def test_anthropic_thinking_that_was_cut_is_not_kept() -> None:
    def kept(reason: str, *deltas: dict[str, Any]) -> Any:
        ending = {"type": "message_delta", "delta": {"stop_reason": reason}}
        began = block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)
        return read("anthropic", events(*began, ending, STOP))[2].get("blocks")

    thought, signed = {"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "S"}
    assert kept("max_tokens", thought) is None
    assert kept("max_tokens", thought, signed) == [{"type": "thinking", "thinking": "hm", "signature": "S"}]
    # There are services that sign nothing.
    assert kept("end_turn", thought) == [{"type": "thinking", "thinking": "hm", "signature": ""}]


def test_anthropic_usage_is_replaced_and_caches_are_read_too() -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 100}}}
    contents, _, _ = read("anthropic", events(start, ending("end_turn", output_tokens=3), STOP))
    assert contents[-1] == Control("stream_end", "stop", Usage(105, 3, 100, None, 108))


def test_anthropic_an_event_s_name_serves_where_the_value_has_no_type() -> None:
    body = b'event: content_block_delta\ndata: {"index": 0, "delta": {"type": "text_delta", "text": "a"}}\n\n'
    assert read("anthropic", body + events(ending("end_turn"), STOP))[0][0] == Text("a")


def test_anthropic_pieces_that_name_no_block_are_of_the_last() -> None:
    made = [{name: told for name, told in value.items() if name != "index"} for value in [
        *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}),
        *block(1, {"type": "tool_use", "id": "t", "name": "f", "input": {}},
               *({"type": "input_json_delta", "partial_json": piece} for piece in ('{"x":', "1}"))),
    ]]  # fmt: skip
    contents, error, _ = read("anthropic", events(*made, STOP))
    assert error is None
    assert contents[0] == Text("a")
    assert contents[-2] == ToolCallComplete("t", "f", {"x": 1}, None, '{"x":1}')


def test_anthropic_ids_are_distinct_and_the_kept_blocks_say_the_same() -> None:
    blocks = [{"type": "tool_use", "id": id_, "name": "f", "input": {}} for id_ in ("a", "a", None, "call_3")]
    blocks.append({"type": "redacted_thinking", "data": "d"})
    contents, error, metadata = read("anthropic", json.dumps({"content": blocks, "stop_reason": "tool_use"}).encode())
    assert error is None
    ids = [content.tool_id for content in contents if isinstance(content, ToolCallComplete)]
    assert ids == ["a", "call_2", "call_3", "call_4"]
    assert [block.get("id") for block in metadata["blocks"]] == [*ids, None]


def test_anthropic_an_answer_of_nothing_is_a_result() -> None:
    contents, error, metadata = read(
        "anthropic", b'{"content":null,"stop_reason":"refusal","stop_details":{"category":"c"}}'
    )
    assert error is None
    assert contents == [Control("stream_end", "content_filter")]
    assert metadata == {"stop_details": {"category": "c"}}


# ---- Gemini


def answer(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


def test_gemini_calls_without_ids_get_their_own_and_end_an_answer_as_calls() -> None:
    calls = [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "g", "args": {"a": 1}, "id": "x"}}]
    contents, _, _ = read("gemini", events(answer(*calls, finishReason="STOP")))
    assert [c for c in contents if isinstance(c, ToolCallComplete)] == [
        ToolCallComplete("gemini_call_1", "f", {}, None, "{}"),
        ToolCallComplete("x", "g", {"a": 1}, None, '{"a":1}'),
    ]
    assert end_of(contents) == "tool_calls"


def test_gemini_a_blocked_prompt_is_a_result_with_its_reason() -> None:
    told = {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "no"}}
    contents, error, metadata = read("gemini", events(told))
    assert (error, end_of(contents)) == (None, "content_filter")
    assert (metadata["block_reason"], metadata["finish_message"]) == ("SAFETY", "no")


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"])
def test_gemini_reasons_of_a_filter(reason: str) -> None:
    assert end_of(read("gemini", events({"candidates": [{"finishReason": reason}]}))[0]) == "content_filter"


@pytest.mark.parametrize(
    "tail", ['{"error": {"code": 503, "message": "x"}}', '[{"error": {"code": 503, "message": "x"}}]']
)
def test_gemini_a_bare_error_among_the_events(tail: str) -> None:
    contents, error, _ = read("gemini", events(answer({"text": "a"})) + tail.encode())
    assert contents == [Text("a")]
    assert error is not None
    assert (error.kind, error.status) == ("provider", 503)


def test_gemini_a_list_of_all_answers_is_the_stream_in_one_piece() -> None:
    parts = [answer({"text": "a"}), answer({"text": "b", "thought": True}), answer(finishReason="STOP")]
    body = json.dumps(parts, indent=2).replace("\n", "\r\n").encode()
    contents, error, _ = read("gemini", body[:20], body[20:])
    assert error is None
    assert contents == [Text("a"), Reasoning("b"), Control("stream_end", "stop")]


def picture(data: str, mime: str = "image/png") -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}


def test_gemini_signatures_are_kept_with_the_parts_around_them_and_thoughts_are_not() -> None:
    body = events(
        answer({"text": "hm", "thought": True}, {"text": "a"}),
        answer({"text": "b"}, picture("AAAA")),
        answer({"text": "", "thoughtSignature": "S"}, finishReason="STOP"),
    )
    contents, _, metadata = read("gemini", body)
    assert contents == [
        Reasoning("hm"), Text("a"), Text("b"), MediaPiece("image/png", b"\0\0\0"), Control("stream_end", "stop"),
    ]  # fmt: skip
    assert metadata == {"parts": [{"text": "ab"}, picture("AAAA"), {"text": "", "thoughtSignature": "S"}]}


def test_gemini_media_are_contents_and_no_metadata() -> None:
    body = events(answer(picture("AAAA"), picture("/+8=", "image/webp")), answer({"text": "a"}, finishReason="STOP"))
    contents, _, metadata = read("gemini", body)
    assert contents[:2] == [MediaPiece("image/png", b"\0\0\0"), MediaPiece("image/webp", b"\xff\xef")]
    assert metadata == {}


def test_gemini_pieces_of_raw_sound_are_one_medium() -> None:
    sound = "audio/L16;codec=pcm;rate=24000"
    body = events(
        answer(picture("AQI=", sound)),
        answer(picture("AwQ=", sound)),
        answer(picture("AAAA")),
        answer(picture("BQY=", sound), finishReason="STOP"),
    )
    collector = Collector()
    for chunk in Turn("p", "m").chunks(read("gemini", body)[0]):
        collector.add(chunk)
    assert collector.output().media == (
        Media(sound, b"\1\2\3\4"), Media("image/png", b"\0\0\0"), Media(sound, b"\5\6"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "told"),
    [("_-8", b"\xff\xef"), ("AA AA\n", b"\0\0\0"), ("AAAAA", b"\0\0\0"), ("!\x07é", None), ("=", None), (7, None)],
)
def test_gemini_base64_that_is_none_ends_nothing(data: Any, told: bytes | None) -> None:
    contents, error, _ = read("gemini", events(answer(picture(data), {"text": "a"}, finishReason="STOP")))
    assert error is None
    assert contents == [
        *([MediaPiece("image/png", told)] if told else []), Text("a"), Control("stream_end", "stop"),
    ]  # fmt: skip


@given(st.binary(max_size=50), st.text(max_size=5), st.integers(0, 80))
@PROPERTY
def test_gemini_base64_is_read_as_far_as_it_goes(data: bytes, junk: str, cut: int) -> None:
    text = base64.b64encode(data).decode()[:cut]
    told = [c for c in read("gemini", events(answer(picture(text))))[0] if isinstance(c, MediaPiece)]
    assert b"".join(piece.data for piece in told) == data[: len(text.rstrip("=")) * 6 // 8]
    read("gemini", events(answer(picture(junk + text + junk), finishReason="STOP")))  # raises nothing


def test_gemini_what_its_own_tools_did_is_kept_for_the_next_turn() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    contents, _, metadata = read("gemini", events(answer(code, result, {"text": "a"}, finishReason="STOP")))
    assert contents == [Text("a"), Control("stream_end", "stop")]
    assert metadata["parts"] == [code, result, {"text": "a"}]


def test_gemini_a_long_answer_loses_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini_reader, "PARTS", 10)
    body = events(*(answer({"text": "a"}) for _ in range(95)))
    body += events(answer({"text": "", "thoughtSignature": "S"}, finishReason="STOP"))
    assert read("gemini", body)[2]["parts"] == [{"text": "a" * 95}, {"text": "", "thoughtSignature": "S"}]
    code = {"executableCode": {"code": "1"}}
    assert len(read("gemini", events(answer(*[code] * 95, finishReason="STOP")))[2]["parts"]) <= 10


def test_gemini_a_call_s_id_is_no_other_turn_s() -> None:
    call = {"functionCall": {"name": "f"}}
    ids = []
    for turn in ("r-1_x", "r-2_x"):
        contents, _, _ = read("gemini", events(answer(call, call, finishReason="STOP") | {"responseId": turn}))
        ids += [c.tool_id for c in contents if isinstance(c, ToolCallComplete)]
    assert ids == ["gemini_call_r1x_1", "gemini_call_r1x_2", "gemini_call_r2x_1", "gemini_call_r2x_2"]
    twice = {"functionCall": {"name": "f", "id": "x"}}
    contents, _, _ = read("gemini", events(answer(twice, twice, finishReason="STOP")))
    assert [c.tool_id for c in contents if isinstance(c, ToolCallComplete)] == ["x", "gemini_call_2"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        (1, "stop"), (2, "length"), (3, "content_filter"), (4, "content_filter"), (5, "other"), (6, "language"),
        (7, "content_filter"), (8, "content_filter"), (9, "content_filter"), (10, "error"), (11, "content_filter"),
        (12, "error"), (99, "99"), (-1, "-1"), ("NEW", "new"), ("IMAGE_RECITATION", "content_filter"),
    ],
)  # fmt: skip
def test_gemini_reasons_as_words_and_as_numbers(reason: Any, finish: str) -> None:
    contents, error, _ = read("gemini", events(answer({"text": "a"}, finishReason=reason)))
    assert (error, end_of(contents)) == (None, finish)


def test_gemini_a_reason_that_is_none_is_no_end() -> None:
    for reason in (0, None, "", True, [], 1.0):
        error = read("gemini", events(answer({"text": "a"}, finishReason=reason)))[1]
        assert error is not None
        assert error.kind == "stream_truncated"
    contents, _, metadata = read("gemini", events({"promptFeedback": {"blockReason": 4}}))
    assert (end_of(contents), metadata["block_reason"]) == ("content_filter", "PROHIBITED_CONTENT")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ({"candidates": [{"content": {"parts": [{"text": "a"}]}}], "usageMetadata": {}}, ["a"]),
        ({"candidates": [{"content": {}}]}, []),
        ({"candidates": []}, []),
        ({"usageMetadata": {"promptTokenCount": 3}, "modelVersion": "g"}, []),
    ],
)
def test_gemini_an_answer_in_one_piece_is_whole_without_a_reason(value: dict[str, Any], texts: list[str]) -> None:
    contents, error, _ = read("gemini", json.dumps(value).encode())
    assert error is None
    assert [content.text for content in contents[:-1] if isinstance(content, Text)] == texts
    assert end_of(contents) == "stop"
    for body in (events(value), json.dumps([value]).encode()):  # of a stream the last answer has one
        _, error, _ = read("gemini", body)
        assert error is not None
        assert error.kind == "stream_truncated"


def test_gemini_an_error_of_null_is_none() -> None:
    value = {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}], "error": None}
    for body in (events(value), json.dumps(value).encode()):
        assert read("gemini", body)[0] == [Text("a"), Control("stream_end", "stop")]


def test_gemini_of_several_candidates_the_first_is_told() -> None:
    several = [
        {"index": 1, "content": {"parts": [{"text": "no"}]}, "finishReason": "SAFETY"},
        {"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"},
    ]
    assert read("gemini", events({"candidates": several}))[0] == [Text("a"), Control("stream_end", "stop")]


CUT = [answer({"text": "Grüße, [}"}), answer({"text": "b"}), answer({"text": "c"}, finishReason="STOP")]
CUT_BYTES = json.dumps(CUT, indent=1, ensure_ascii=False).replace("\n", "\r\n").encode()


@given(st.integers(1, len(CUT_BYTES)))
@PROPERTY
def test_gemini_a_list_that_is_cut_tells_the_answers_that_came_whole(at: int) -> None:
    contents, error, _ = read("gemini", CUT_BYTES[:at])
    whole = CUT_BYTES[:at].count(b"\r\n }")  # the end of an answer
    texts = [content for content in contents if isinstance(content, Text)]
    assert texts == [Text("Grüße, [}"), Text("b"), Text("c")][:whole]
    if whole == len(CUT):  # its last word was said: only the list's own end is missing
        assert (error, contents[-1]) == (None, Control("stream_end", "stop"))
    else:
        assert error is not None
        assert error.kind == "stream_truncated"


@pytest.mark.parametrize("inside", ["NaN", '"\\ud83c"', "[" * 5000])
def test_gemini_of_a_list_that_is_cut_only_json_is_read(inside: str) -> None:
    contents, error, metadata = read(
        "gemini", json.dumps(CUT[:1])[:-1].encode() + f', {{"responseId": {inside}}}'.encode()
    )
    assert (contents, metadata) == ([Text("Grüße, [}")], {})
    assert error is not None
    assert error.kind == "stream_truncated"


def test_gemini_an_error_in_a_list_that_is_cut_is_that_error() -> None:
    body = json.dumps([CUT[0], {"error": {"code": 503, "message": "x"}}, CUT[1]]).encode()[:-9]
    contents, error, _ = read("gemini", body)
    assert contents == [Text("Grüße, [}")]
    assert error is not None
    assert (error.kind, error.status) == ("provider", 503)


# ---- Ollama


def line(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": "", **message}, "done": False, **more}


def test_ollama_thinking_and_calls() -> None:
    body = lines(
        line({"thinking": "hm"}),
        line({"tool_calls": [{"function": {"name": "f", "arguments": {"q": 1}}}]}),
        line({"tool_calls": [{"id": "x", "function": {"index": 1, "name": "g", "arguments": {}}}]}),
        line({}, done=True, done_reason="stop", eval_count=3),
    )
    contents, error, _ = read("ollama", body.rstrip(b"\n"))
    assert error is None
    assert contents[0] == Reasoning("hm")
    assert contents[3:] == [
        ToolCallComplete("call_1", "f", {"q": 1}, None, '{"q":1}'),
        ToolCallComplete("x", "g", {}, None, "{}"),
        Control("stream_end", "tool_calls", Usage(None, 3)),
    ]


def test_ollama_ids_are_distinct_and_an_empty_error_is_none() -> None:
    calls = [{"id": "call_2", "function": {"name": "f"}}, {"function": {"name": "g"}}]
    contents, error, _ = read("ollama", lines(line({"tool_calls": calls}, done=True, error=None)))
    assert error is None
    assert [c.tool_id for c in contents if isinstance(c, ToolCallComplete)] == ["call_2", "call_3"]


def test_ollama_an_error_in_a_line_and_a_line_without_its_end() -> None:
    contents, error, _ = read("ollama", lines(line({"content": "a"}), {"error": "out of memory"}))
    assert contents == [Text("a")]
    assert error is not None
    assert "out of memory" in error.message
    contents, error, _ = read("ollama", lines(line({"content": "a"})) + b'{"model": "m", "mess')
    assert contents == [Text("a")]
    assert error is not None
    assert error.kind == "stream_truncated"


def test_ollama_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MAX_LINE", 100)
    _, error, _ = read("ollama", b'{"a": "', b"x" * 100)
    assert error is not None
    assert error.kind == "provider"


# ---- Responses


def responses(*values: dict[str, Any], **response: Any) -> bytes:
    last = {"type": "response.completed", "response": {"status": "completed", "model": "m", "output": [], **response}}
    return events(*values, last)


@pytest.mark.parametrize(
    ("event", "response", "finish"),
    [
        ("incomplete", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ("incomplete", {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ("completed", {}, "stop"),
        ("cancelled", {"status": "cancelled"}, "cancelled"),
    ],
)
def test_responses_ends(event: str, response: dict[str, Any], finish: str) -> None:
    contents, error, _ = read("openai-responses", events({"type": f"response.{event}", "response": response}))
    assert (error, end_of(contents)) == (None, finish)


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "slow down"}},
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}},
        },
    ],
)  # fmt: skip
def test_responses_errors_of_every_shape_are_told_once(error: dict[str, Any]) -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}
    failed = {"type": "response.failed", "response": {"status": "failed", "error": {"message": "again"}}}
    contents, raised, _ = read("openai-responses", events(delta, error, failed))
    assert contents == [Text("a")]
    assert raised is not None
    assert (raised.kind, "slow down" in raised.message) == ("rate_limit", True)


def test_responses_what_did_not_stream_is_told_from_the_last_event() -> None:
    output = [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "E",
        },
        {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"q":1}'},
        {"type": "custom_tool_call", "id": "ct", "call_id": "c2", "name": "g", "input": "plain"},
    ]
    contents, error, metadata = read("openai-responses", responses(output=output))
    assert error is None
    assert [c for c in contents if isinstance(c, (Reasoning, Text))] == [Reasoning("hm"), Text("a")]
    assert contents[-3:-1] == [
        ToolCallComplete("c1", "f", {"q": 1}, None, '{"q":1}'),
        ToolCallComplete("c2", "g", {"input": "plain"}, None, "plain"),
    ]
    assert end_of(contents) == "tool_calls"
    assert metadata["items"] == output


def test_responses_what_streamed_is_not_told_again() -> None:
    item = {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "ab"}]}
    deltas = [{"type": "response.output_text.delta", "output_index": 0, "item_id": "msg", "delta": d} for d in "ab"]
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    for values in ([*deltas, done], deltas):
        contents, _, _ = read("openai-responses", responses(*values, output=[item]))
        assert contents == [Text("a"), Text("b"), Control("stream_end", "stop")]


ADDED = {"type": "response.output_item.added"}
DONE = {"type": "response.output_item.done"}
THOUGHT = {"type": "reasoning", "id": "rs", "summary": [{"text": "A"}, {"text": "B"}]}
SAID = {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "ab"}]}
FIRST = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "f", "arguments": '{"q":1}'}
SECOND = {"type": "function_call", "id": "f2", "call_id": "c2", "name": "g", "arguments": "{}"}
OUTPUT = [THOUGHT, SAID, FIRST, SECOND]


def streamed() -> list[dict[str, Any]]:
    """The four items as OpenAI streams them."""
    values: list[dict[str, Any]] = []
    for place, item in enumerate(OUTPUT):
        at = {"output_index": place, "item_id": item["id"]}
        empty = {**item, "summary": [], "content": [], "arguments": ""}
        values.append({**ADDED, "output_index": place, "item": empty})
        if item is THOUGHT:
            for number, text in enumerate("AB"):
                part = {**at, "summary_index": number}
                values.append({"type": "response.reasoning_summary_text.delta", **part, "delta": text})
                values.append({"type": "response.reasoning_summary_text.done", **part, "text": text})
        elif item is SAID:
            part = {**at, "content_index": 0}
            values += [{"type": "response.output_text.delta", **part, "delta": text} for text in "ab"]
            values.append({"type": "response.output_text.done", **part, "text": "ab"})
        else:
            values.append({"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]})
            values.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
        values.append({**DONE, "output_index": place, "item": item})
    return values


def without(values: list[dict[str, Any]], *members: str) -> list[dict[str, Any]]:
    return [{name: member for name, member in value.items() if name not in members} for value in values]


def left_out(values: list[dict[str, Any]], *endings: str) -> list[dict[str, Any]]:
    return [value for value in values if not value["type"].endswith(endings)]


RENAMED = [{**item, "id": f"other_{item['id']}"} for item in OUTPUT]


@pytest.mark.parametrize("output", [OUTPUT, [], RENAMED, OUTPUT[1:], RENAMED[1:], RENAMED[2:]])
@pytest.mark.parametrize(
    "values",
    [
        streamed(),
        without(streamed(), "output_index"),
        without(streamed(), "item_id"),
        left_out(streamed(), "item.done"),
        left_out(streamed(), "text.delta", "arguments.delta"),
        left_out(streamed(), "text.delta", "arguments.delta", "item.done"),
        left_out(streamed(), "text.done", "arguments.done"),
        left_out(streamed(), "item.added"),
        without(left_out(streamed(), "item.done"), "output_index"),
    ],
    ids=[
        "all", "no index", "no id", "no item done", "no deltas", "texts whole", "deltas only", "no added", "no place",
    ],
)  # fmt: skip
def test_responses_in_every_form_are_told_once(values: list[dict[str, Any]], output: list[dict[str, Any]]) -> None:
    contents, error, _ = read("openai-responses", responses(*values, output=output))
    assert error is None
    assert "".join(c.text for c in contents if isinstance(c, Reasoning)) == "A\n\nB"
    assert "".join(c.text for c in contents if isinstance(c, Text)) == "ab"
    calls = [(c.tool_id, c.name, c.arguments) for c in contents if isinstance(c, ToolCallComplete)]
    if any(value["type"].endswith("item.added") for value in values):
        assert calls == [("c1", "f", {"q": 1}), ("c2", "g", {})]
    else:
        assert [call[2] for call in calls] == [{"q": 1}, {}]
    assert end_of(contents) == "tool_calls"


def test_responses_items_that_all_have_one_place_are_told_apart() -> None:
    def told(kind: str, id_: str, pieces: dict[str, Any], **whole: Any) -> list[dict[str, Any]]:
        item = {"type": kind, "id": id_}
        stem = "response.output_item"
        return [
            {"type": f"{stem}.added", "output_index": 0, "item": item | {"call_id": whole.get("call_id")}},
            {"output_index": 0, "item_id": id_, "content_index": 0, "summary_index": 0, **pieces},
            {"type": f"{stem}.done", "output_index": 0, "item": item | whole},
        ]

    arguments = "response.function_call_arguments.delta"
    body = events(
        *told("reasoning", "r", {"type": "response.reasoning_summary_text.delta", "delta": "think"},
              summary=[{"type": "summary_text", "text": "think"}]),
        *told("message", "m", {"type": "response.output_text.delta", "delta": "a"},
              content=[{"type": "output_text", "text": "a"}]),
        *told("function_call", "f1", {"type": arguments, "delta": '{"x":1}'}, call_id="c1", name="f",
              arguments='{"x":1}'),
        *told("function_call", "f2", {"type": arguments, "delta": '{"x":2}'}, call_id="c2", name="f",
              arguments='{"x":2}'),
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    )  # fmt: skip
    contents, error, metadata = read("openai-responses", body)
    assert error is None
    assert [c.text for c in contents if isinstance(c, (Text, Reasoning))] == ["think", "a"]
    whole = [(c.tool_id, c.name, c.arguments) for c in contents if isinstance(c, ToolCallComplete)]
    assert whole == [("c1", "f", {"x": 1}), ("c2", "f", {"x": 2})]
    assert [item["id"] for item in metadata["items"]] == ["r", "m", "f1", "f2"]


@pytest.mark.parametrize("number", [[], {}, "0", None, 1.5, 2**70])
def test_responses_a_part_s_number_may_be_anything(number: Any) -> None:
    piece = {"output_index": 0, "item_id": "m", "content_index": number}
    done = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    body = events(
        {"type": "response.output_text.delta", "delta": "a", **piece},
        {"type": "response.output_text.done", "text": "a", **piece},
        done,
    )
    contents, error, _ = read("openai-responses", body)
    assert (contents, error) == ([Text("a"), Control("stream_end", "stop")], None)


def test_responses_an_id_that_comes_late_is_no_other_call_s() -> None:
    def called(place: int, **told: Any) -> dict[str, Any]:
        item = {"type": "function_call", "name": "f", "arguments": "{}", **told}
        return {"type": f"response.output_item.{'done' if told else 'added'}", "output_index": place, "item": item}

    done = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    body = events(called(0), called(1), called(0, call_id="c"), called(1, call_id="c"), done)
    contents, error, _ = read("openai-responses", body)
    assert error is None
    assert [c.tool_id for c in contents if isinstance(c, ToolCallComplete)] == ["c", "call_2"]


def test_responses_one_that_has_no_output_yet_is_a_result() -> None:
    contents, error, _ = read("openai-responses", b'{"object":"response","status":"queued","output":null}')
    assert (contents, error) == ([Control("stream_end", "queued")], None)


def test_responses_arguments_may_be_an_object_and_come_last() -> None:
    item = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "f", "arguments": {"q": 1}}
    empty = {"type": "function_call", "id": "f1"}
    values = [{**ADDED, "output_index": 0, "item": empty}, {**DONE, "output_index": 0, "item": item}]
    contents, _, _ = read("openai-responses", responses(*values))
    assert contents[-2] == ToolCallComplete("c1", "f", {"q": 1}, None, '{"q":1}')


def test_responses_a_refusal_is_text_and_a_filter_s() -> None:
    delta = {"type": "response.refusal.delta", "output_index": 0, "delta": "I cannot."}
    contents, _, _ = read("openai-responses", responses(delta))
    assert contents == [Text("I cannot."), Control("stream_end", "content_filter")]


# ---- all of them


@pytest.mark.parametrize("type_", DIALECTS)
@PROPERTY
@given(data=st.data())
def test_any_cut_is_the_same(type_: str, data: st.DataObject) -> None:
    body = MADE[type_].stream + MADE[type_].end
    edges = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *edges], [*edges, len(body)], strict=True)]
    contents, error, _ = read(type_, *pieces)
    assert error is None
    assert "".join(c.text for c in contents if isinstance(c, Text)) == TEXT


PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e9, 1e9) | st.text(max_size=5)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("type_", DIALECTS)
@PROPERTY
@given(data=st.data())
def test_whatever_a_service_sends_is_read_or_an_error_of_ours(type_: str, data: st.DataObject) -> None:
    """Values of the dialect with anything in the place of one of their members."""
    made = MADE[type_]
    text = (made.stream + made.end).replace(b"\r", b"")
    values = [
        json.loads(row.removeprefix(b"data: ")) for row in text.split(b"\n") if row.startswith((b"data: {", b"{"))
    ]

    def spoiled(value: Any) -> Any:
        if data.draw(st.integers(0, 5)) == 0:
            return data.draw(JSON)
        if isinstance(value, dict):
            return {name: spoiled(member) for name, member in value.items()}
        return [spoiled(member) for member in value] if isinstance(value, list) else value

    body = (lines if type_ == "ollama" else events)(*(spoiled(value) for value in values))
    contents, error, _ = read(type_, body)
    ends = [content for content in contents if isinstance(content, Control)]
    assert (len(ends) == 1) == (error is None)
    assert all(isinstance(content.text, str) for content in contents if isinstance(content, (Text, Reasoning)))


@pytest.mark.parametrize("type_", DIALECTS)
@PROPERTY
@given(pieces=st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_end_as_one_error(type_: str, pieces: list[bytes]) -> None:
    contents, error, _ = read(type_, *pieces)
    assert contents == []
    assert error is not None


def nested(deep: int) -> bytes:
    return b'{"a":' * deep + b"1" + b"}" * deep


@pytest.mark.parametrize(
    ("type_", "before", "after"),
    [
        ("openai", b'{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":', b"}}]}}]}"),
        ("anthropic", b'{"stop_reason":"tool_use","content":[{"type":"tool_use","id":"c","name":"f","input":', b"}]}"),
        ("gemini", b'{"candidates":[{"finishReason":"STOP","content":{"parts":[{"functionCall":{"id":"c","name":"f",'
         b'"args":', b"}}]}}]}"),
        ("ollama", b'{"done":true,"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":', b"}}]}}"),
        ("openai-responses", b'{"status":"completed","output":[{"type":"function_call","call_id":"c","name":"f",'
         b'"arguments":', b"}]}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("deep", [60, 300, 900])
def test_arguments_nested_too_deep_are_such_as_cannot_be_read(
    type_: str, before: bytes, after: bytes, deep: int
) -> None:
    contents, error, _ = read(type_, before + nested(deep) + after)
    assert error is None
    assert [(c.name, c.arguments) for c in contents if isinstance(c, ToolCallComplete)] == [("f", None)]
    assert end_of(contents) == "tool_calls"


def test_what_is_nested_deeper_than_a_script_can_be_given_is_no_metadata() -> None:
    turn, filling = Turn("p", "m"), [{"a": 1}]
    turn.told({"annotations": filling, "id": "i", "grounding": json.loads(nested(60))})
    filling.append(json.loads(nested(60)))  # as a reader does, while the stream is read
    assert turn.metadata == {"model": "m", "provider": "p", "id": "i", "annotations": [{"a": 1}]}
    turn.told({"annotations": filling, "id": "i"})
    assert turn.metadata == {"model": "m", "provider": "p", "id": "i"}


CALLED = {"function": {"name": "f", "arguments": {}}}


@pytest.mark.parametrize(
    ("type_", "answer"),
    [
        ("openai", lambda n: {"choices": [{"message": {"tool_calls": [CALLED] * n}, "finish_reason": "stop"}]}),
        ("anthropic", lambda n: {"content": [{"type": "tool_use", "name": "f"}] * n, "stop_reason": "tool_use"}),
        ("ollama", lambda n: {"message": {"tool_calls": [CALLED] * n}, "done": True}),
        ("openai-responses", lambda n: {"status": "completed", "output": [{"type": "function_call", "name": "f"}] * n}),
        ("openai-responses", lambda n: {"status": "completed", "output": [{"type": "message"}] * n}),
    ],
)
def test_calls_and_items_of_an_answer_are_bounded(type_: str, answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_module, "MOST_ITEMS", 3)
    assert read(type_, json.dumps(answer(3)).encode())[1] is None
    error = read(type_, json.dumps(answer(4)).encode())[1]
    assert error is not None
    assert (error.kind, error.message) == ("provider", "p sent more than 3 calls or items in one answer")
