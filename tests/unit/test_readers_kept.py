"""What readers keep beside the contents: notes, what the next turn wants, usage. Source: WIRE.md §5 to §8."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell.errors import LLMSpellError
from llmspell.providers import anthropic_reader, gemini_reader, responses_reader
from llmspell.providers.dialect import dialect_of
from llmspell.types.streaming import ChunkContent, Control, Reasoning, Text, ToolCallComplete, ToolCallProgress
from llmspell.types.usage import Usage
from support.dialects import events, lines

STOP = {"type": "message_stop"}


def read(type_: str, *values: dict[str, Any]) -> tuple[list[ChunkContent], dict[str, Any]]:
    reading = dialect_of(type_).reading("p", "m", key_env=None, secrets=())
    contents = [*reading.feed((lines if type_ == "ollama" else events)(*values)), *reading.end()]
    assert reading.error is None
    return contents, reading.metadata


# ---- Anthropic


def block(index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def ending(reason: str, **delta: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **delta}}


def test_anthropic_what_ended_it_is_told() -> None:
    last = ending("stop_sequence", stop_sequence="END", container={"id": "c"}, stop_details=None)
    contents, metadata = read("anthropic", last, STOP)
    assert contents == [Control("stream_end", "stop")]
    assert metadata == {"stop_sequence": "END", "container": {"id": "c"}}
    assert read("anthropic", ending("end_turn", stop_sequence=None), STOP)[1] == {}


def test_anthropic_what_the_service_s_own_tool_was_given_is_kept_whole() -> None:
    own = block(
        0,
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"query": '},
        {"type": "input_json_delta", "partial_json": '"x"}'},
    )
    contents, metadata = read("anthropic", *own, ending("end_turn"), STOP)
    assert contents == [Control("stream_end", "stop")]
    used = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    assert metadata["blocks"] == [used]
    cut = block(
        0, {"type": "server_tool_use", "id": "s1", "input": {}}, {"type": "input_json_delta", "partial_json": "["}
    )
    assert read("anthropic", *cut, ending("end_turn"), STOP)[1]["blocks"][0]["input"] == {}


def test_anthropic_citations_are_kept_in_their_block_and_for_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    assert anthropic_reader.LISTS == 256
    monkeypatch.setattr(anthropic_reader, "LISTS", 3)
    notes = [{"cited_text": str(n)} for n in range(5)]
    text = block(
        0,
        {"type": "text", "text": "", "citations": notes[:1]},
        *({"type": "citations_delta", "citation": note} for note in notes[1:]),
        {"type": "text_delta", "text": "a"},
    )
    signed = block(1, {"type": "redacted_thinking", "data": "D"})
    contents, metadata = read("anthropic", *text, *signed, ending("end_turn"), STOP)
    assert contents[:-1] == [Text("a")]
    assert metadata["citations"] == notes[:3]
    assert metadata["blocks"][0] == {"type": "text", "text": "a", "citations": notes[:3]}


def test_anthropic_a_block_may_have_its_text_at_once() -> None:
    made = block(
        0, {"type": "thinking", "thinking": "hm", "signature": "S"}, {"type": "thinking_delta", "thinking": "!"}
    )
    made += block(1, {"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"})
    contents, metadata = read("anthropic", *made, ending("end_turn"), STOP)
    assert contents[:-1] == [Reasoning("hm"), Reasoning("!"), Text("a"), Text("b")]
    assert [one.get("thinking") or one["text"] for one in metadata["blocks"]] == ["hm!", "ab"]


def test_anthropic_a_piece_of_another_kind_is_no_text_of_the_open_block() -> None:
    made = block(
        0,
        {"type": "text", "text": ""},
        {"type": "text_delta", "text": "a"},
        {"type": "new_delta", "text": "NEW"},
    )
    stray = {"type": "new_event", "index": 0, "delta": {"type": "text_delta", "text": "STRAY"}}
    contents, _ = read("anthropic", *made[:-1], stray, ending("end_turn"), STOP)
    assert contents == [Text("a"), Control("stream_end", "stop")]


def test_anthropic_a_summary_of_what_was_said_before_is_kept() -> None:
    made = block(0, {"type": "compaction"}, *({"type": "compaction_delta", "content": one} for one in ("so ", "far")))
    contents, metadata = read("anthropic", *made, ending("compaction"), STOP)
    assert [one for one in contents if isinstance(one, Text)] == []
    assert metadata["blocks"] == [{"type": "compaction", "content": "so far"}]


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 3}, Usage(5, 3, None, None, 8)),
        (
            {"input_tokens": 5, "output_tokens": 3, "iterations": [
                {"type": "message", "input_tokens": 5, "output_tokens": 3},
                {"type": "compaction", "input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 7},
                {"type": "advisor", "output_tokens": 100}, {"output_tokens": 1000}, 5]},
            Usage(22, 123, 7, None, 145),
        ),
        ({"iterations": [{"type": "compaction", "input_tokens": 1}]}, Usage(1)),
        (
            {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(1, 9, None, 4, 10),
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 2, "output_tokens": 0},
            Usage(3, 0, None, None, 3, None, 2),
        ),
        ({"input_tokens": 1, "iterations": "x", "output_tokens_details": 5}, Usage(1)),
    ],
)  # fmt: skip
def test_anthropic_usage(told: dict[str, Any], usage: Usage) -> None:
    found = anthropic_reader.usage_of(told)
    assert found[:5] == usage[:5]
    assert found.cache_write_tokens == usage.cache_write_tokens


def test_anthropic_whose_answer_it_is_and_which_model_s() -> None:
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "m" * 300, "role": "assistant"}}
    told = read("anthropic", start, ending("end_turn"), STOP)[1]
    assert (told["id"], len(told["model"])) == ("msg_1", 200)
    assert read("anthropic", {"type": "message_start", "message": {"id": "", "model": 5}}, ending("end_turn"))[1] == {}


def test_anthropic_texts_and_calls_alone_are_not_kept_beside_and_calls_end_an_answer_as_such() -> None:
    text = block(
        0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}, {"type": "text_delta", "text": "b"}
    )
    call = block(1, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}})
    for last in ([ending("end_turn"), STOP], [STOP], [ending("tool_use"), STOP]):
        contents, metadata = read("anthropic", *text, *call, *last)
        assert contents[:2] == [Text("a"), Text("b")]
        assert contents[-1] == Control("stream_end", "tool_calls")
        assert metadata == {}
    assert read("anthropic", *text, STOP)[0][-1] == Control("stream_end", "stop")
    assert read("anthropic", *call, ending("max_tokens"), STOP)[0][-1] == Control("stream_end", "length")


def test_anthropic_a_piece_of_a_block_that_was_left_is_still_its_own() -> None:
    made = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_start", "content_block": {"type": "redacted_thinking", "data": "D"}},
        *(
            {"type": "content_block_delta", "index": place, "delta": {"type": "text_delta", "text": text}}
            for place, text in ((0, "a"), (1, "b"), (0, "c"))
        ),
    ]
    contents, metadata = read("anthropic", *made, ending("end_turn"), STOP)
    assert contents[:-1] == [Text("a"), Text("b"), Text("c")]
    assert [one.get("text", "-") for one in metadata["blocks"]] == ["ac", "b", "-"]


def test_anthropic_an_error_needs_no_name_and_a_ping_is_none() -> None:
    reading = dialect_of("anthropic").reading("p", "m", key_env=None, secrets=())
    list(reading.feed(events({"error": {"type": "overloaded_error", "message": "busy"}})))
    list(reading.end())
    assert isinstance(reading.error, LLMSpellError)
    assert "busy" in reading.error.message
    assert read("anthropic", {"type": "ping", "error": None}, ending("end_turn"), STOP)[0][-1].type == "control"


# ---- Responses


def done(*values: dict[str, Any], **response: Any) -> list[dict[str, Any]]:
    last = {"type": "response.completed", "response": {"status": "completed", "output": [], **response}}
    return [*values, last]


def item(how: str, place: int, **told: Any) -> dict[str, Any]:
    return {"type": f"response.output_item.{how}", "output_index": place, "item": told}


def test_responses_notes_come_once_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert responses_reader.LISTS == 256
    monkeypatch.setattr(responses_reader, "LISTS", 3)
    notes = [{"type": "url_citation", "n": n} for n in range(5)]
    part = {"type": "output_text", "text": "a", "annotations": notes}
    told = {"type": "message", "id": "msg", "content": [part]}
    added = [
        {"type": "response.output_text.annotation.added", "output_index": 0, "item_id": "msg", "annotation": note}
        for note in notes[:2]
    ]
    assert read("openai-responses", *done(*added, item("done", 0, **told)))[1]["annotations"] == notes[:2]
    assert read("openai-responses", *done(output=[told]))[1]["annotations"] == notes[:3]
    part_of = {"type": "message", "id": "msg", "content": [{**part, "annotations": notes[4:]}]}
    whole = read("openai-responses", *done(*added, item("done", 0, **part_of), output=[part_of]))
    assert whole[1]["annotations"] == notes[:2]
    two = {**told, "content": [{**part, "annotations": notes[:1]}, {**part, "annotations": [5, notes[1]]}]}
    assert read("openai-responses", *done(output=[two]))[1]["annotations"] == notes[:2]


def test_responses_thoughts_are_read_in_pieces_or_whole() -> None:
    pieces = [
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": one} for one in "ab"
    ]
    whole = {"type": "reasoning", "id": "rs", "content": [{"type": "reasoning_text", "text": "ab"}, 5, {"text": "c"}]}
    contents, metadata = read("openai-responses", *done(*pieces, item("done", 0, **whole)))
    assert contents[:-1] == [Reasoning("a"), Reasoning("b"), Reasoning("c")]
    assert metadata["items"] == [whole]
    assert read("openai-responses", *done(output=[whole]))[0][:-1] == [Reasoning("abc")]
    both = {**whole, "summary": [{"type": "summary_text", "text": "in short"}, {"text": "or so"}]}
    assert read("openai-responses", *done(output=[both]))[0][:-1] == [Reasoning("in short\n\nor so")]


def test_responses_parts_of_a_summary_are_apart() -> None:
    about = {"output_index": 0, "item_id": "rs"}
    pieces = [
        {"type": "response.reasoning_summary_text.delta", **about, "summary_index": part, "delta": one}
        for part, one in ((0, "a"), (0, "b"), (1, "c"), (1, "d"))
    ]
    contents, _ = read("openai-responses", *done(*pieces))
    assert contents[:-1] == [Reasoning("a"), Reasoning("b"), Reasoning("\n\nc"), Reasoning("d")]


def test_responses_a_refusal_in_a_message_is_told_and_its_text_is_not_mixed_with_it() -> None:
    parts = [{"type": "output_text", "text": "Well. "}, {"type": "refusal", "refusal": "No.", "text": "NOT"}]
    contents, _ = read("openai-responses", *done(output=[{"type": "message", "content": parts}]))
    assert contents == [Text("Well. "), Text("No."), Control("stream_end", "content_filter")]
    pieces = [
        {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "N"},
        {"type": "response.refusal.done", "output_index": 0, "content_index": 0, "refusal": "NO"},
        {"type": "response.refusal.done", "output_index": 0, "content_index": 1, "refusal": "!"},
    ]
    assert read("openai-responses", *done(*pieces))[0][:-1] == [Text("N"), Text("!")]


def test_responses_arguments_that_were_told_otherwise_in_the_end_are_the_last_ones() -> None:
    began = item("added", 0, type="function_call", id="f", call_id="c", name="f", arguments="")
    piece = {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a"'}
    for whole, progress in (('{"a":1}', [":1}"]), ('{"b":2}', [])):
        over = {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": whole}
        contents, _ = read("openai-responses", *done(began, piece, over))
        told = [one.partial_args for one in contents if isinstance(one, ToolCallProgress)]
        assert told == ["", '{"a"', *progress]
        assert contents[-2] == ToolCallComplete("c", "f", json.loads(whole), None, whole)


def test_responses_calls_without_an_id_get_one_that_is_free() -> None:
    output = [
        {"type": "function_call", "call_id": "call_2", "name": "f", "arguments": "{}"},
        *({"type": "function_call", "name": name, "arguments": "{}"} for name in "gh"),
    ]
    contents, metadata = read("openai-responses", *done(output=output))
    calls = [(one.tool_id, one.name) for one in contents if isinstance(one, ToolCallComplete)]
    assert calls == [("call_2", "f"), ("call_3", "g"), ("call_4", "h")]
    assert "items" not in metadata  # nothing of them is more than the calls


def test_responses_calls_of_the_last_event_are_those_of_the_stream_by_their_ids() -> None:
    began = [
        item("added", place, type="function_call", id=f"f{place}", call_id=f"c{place}", name="f", arguments="{}")
        for place in range(2)
    ]
    output = [
        {"type": "function_call", "id": "other", "call_id": "c1", "name": "f", "arguments": '{"n":1}'},
        {"type": "function_call", "id": "more", "call_id": "c0", "name": "f", "arguments": '{"n":0}'},
    ]
    contents, _ = read("openai-responses", *done(*began, output=output))
    calls = [(one.tool_id, one.arguments) for one in contents if isinstance(one, ToolCallComplete)]
    assert sorted(calls, key=str) == [("c0", {"n": 0}), ("c1", {"n": 1})]


@pytest.mark.parametrize("details", [None, 5, {}, {"reason": ""}, {"reason": 5}])
def test_responses_what_is_incomplete_without_a_reason_was_too_long(details: Any) -> None:
    last = {"type": "response.incomplete", "response": {"status": "incomplete", "incomplete_details": details}}
    assert read("openai-responses", last)[0] == [Control("stream_end", "length")]


def test_responses_an_event_without_a_response_is_no_end() -> None:
    reading = dialect_of("openai-responses").reading("p", "m", key_env=None, secrets=())
    assert list(reading.feed(events({"type": "response.completed", "response": None}))) == []
    assert list(reading.end()) == []
    assert isinstance(reading.error, LLMSpellError)
    assert reading.error.kind == "stream_truncated"


def test_responses_usage() -> None:
    told = {
        "input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
        "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 3},
    }  # fmt: skip
    assert responses_reader.usage_of(told)[:5] == (10, 5, 4, 3, 15)
    assert responses_reader.usage_of({"input_tokens": 1, "input_tokens_details": [1]})[:5] == (
        1,
        None,
        None,
        None,
        None,
    )


# ---- Gemini


def candidate(*parts: dict[str, Any], finish: Any = "STOP", **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, "finishReason": finish, **more}]}


def test_gemini_notes_have_names_of_their_own() -> None:
    told = {
        "groundingMetadata": {"g": 1}, "citationMetadata": {"c": 1}, "urlContextMetadata": {"u": 1},
        "finishMessage": "why",
    }  # fmt: skip
    _, metadata = read("gemini", candidate({"text": "a"}, **told))
    assert metadata == {"grounding": {"g": 1}, "citations": {"c": 1}, "url_context": {"u": 1}, "finish_message": "why"}


@pytest.mark.parametrize("name", ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"])
def test_gemini_what_its_own_tools_said_is_wanted_back(name: str) -> None:
    parts = [{"text": "a"}, {name: {"x": 1}}, {"text": "b"}]
    assert read("gemini", candidate(*parts))[1]["parts"] == parts
    assert "parts" not in read("gemini", candidate({"text": "a"}, {"other": 1}))[1]


def test_gemini_texts_that_follow_each_other_are_kept_as_one() -> None:
    values = [candidate({"text": one}, finish=None) for one in "ab"]
    signed = {"text": "", "thoughtSignature": "S"}
    _, metadata = read("gemini", *values, candidate(signed))
    assert metadata["parts"] == [{"text": "ab"}, signed]


@pytest.mark.parametrize(
    ("number", "word"),
    list(enumerate(
        ["", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT",
         "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"]
    )),
)  # fmt: skip
def test_gemini_a_reason_is_the_same_as_a_word_and_as_a_number(number: int, word: str) -> None:
    assert gemini_reader.FINISH_NUMBERS[number] == word
    if word:
        assert read("gemini", candidate(finish=number)) == read("gemini", candidate(finish=word))


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt": 5, "candidates": 3, "total": 8}, (5, 3, None, None, 8)),
        ({"prompt": 5, "total": 5}, (5, 0, None, None, 5)),
        ({"prompt": 5, "total": 8}, (5, None, None, None, 8)),
        ({"prompt": 5, "toolUsePrompt": 2, "total": 7}, (7, 0, None, None, 7)),
        ({"prompt": 5, "toolUsePrompt": 2, "total": 5}, (7, None, None, None, 5)),
        ({"prompt": 5, "thoughts": 4, "total": 9}, (5, 4, None, 4, 9)),
        ({"prompt": 5, "candidates": 3, "thoughts": 4, "total": 12}, (5, 7, None, 4, 12)),
        ({"prompt": 5, "thoughts": 0, "total": 5}, (5, 0, None, 0, 5)),
        ({"prompt": 5, "candidates": 1, "cachedContent": 4}, (5, 1, 4, None, None)),
        ({"candidates": 1}, (None, 1, None, None, None)),
        ({}, (None,) * 5),
    ],
)
def test_gemini_usage(told: dict[str, int], usage: tuple[int | None, ...]) -> None:
    assert gemini_reader.usage_of({f"{name}TokenCount": value for name, value in told.items()})[:5] == usage


def test_gemini_tokens_are_those_that_were_told_last() -> None:
    first = {**candidate({"text": "a"}, finish=None), "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 6}}
    second = {**candidate({"text": "b"}), "usageMetadata": {"candidatesTokenCount": 2, "totalTokenCount": 7}}
    contents, metadata = read("gemini", {**first, "modelVersion": "m-1", "responseId": "r"}, second)
    assert contents == [Text("a"), Text("b"), Control("stream_end", "stop", Usage(5, 2, None, None, 7))]
    assert metadata == {"model": "m-1", "id": "r"}


def test_gemini_pieces_of_text_with_running_totals_are_read_and_kept() -> None:
    def value(text: str, finish: str | None = None, **usage: int) -> dict[str, Any]:
        one: dict[str, Any] = {"content": {"parts": [{"text": text}]}}
        return {
            "candidates": [one | ({"finishReason": finish} if finish else {})],
            "usageMetadata": {f"{name}TokenCount": count for name, count in usage.items()},
            "modelVersion": "m-1",
            "responseId": "r",
        }

    values = [value(text, prompt=5, cachedContent=4, candidates=n) for n, text in enumerate(["a", "b", "", "c"])]
    last = {"candidates": [{"content": {"parts": [{"text": "d", "thoughtSignature": "S"}]}, "finishReason": "STOP"}]}
    contents, metadata = read("gemini", *values, value("e", prompt=5, candidates=9), last)
    assert contents[:-1] == [Text(one) for one in "abced"]
    assert contents[-1].usage == Usage(5, 9, 4)  # type: ignore[union-attr]
    assert metadata["parts"] == [{"text": "abce"}, {"text": "d", "thoughtSignature": "S"}]


# ---- Ollama


def line(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": "", **message}, "done": False, **more}


def test_ollama_times_are_in_seconds_and_the_first_name_stays() -> None:
    last = {
        "total_duration": 4_500_000_000,
        "load_duration": 1_000_000_000,
        "prompt_eval_duration": 0,
        "eval_duration": 500_000_000,
    }
    contents, metadata = read(
        "ollama",
        line({"content": "a"}, model="m-1", created_at="then"),
        line({"content": "b"}, model="m-2", created_at="now"),
        line({}, done=True, done_reason="load", prompt_eval_count=3, eval_count=2, **last),
    )
    assert contents == [Text("a"), Text("b"), Control("stream_end", "load", Usage(3, 2, None, None, 5))]
    times = {"total_duration": 4.5, "load_duration": 1.0, "prompt_eval_duration": 0.0, "eval_duration": 0.5}
    assert metadata == {"model": "m-1", "created_at": "then", **times}


def test_ollama_answers_of_the_other_address_are_read_too() -> None:
    contents, _ = read("ollama", {"response": "a", "done": False}, {"response": "b", "thinking": "hm", "done": True})
    assert contents[:-1] == [Text("a"), Reasoning("hm"), Text("b")]


def test_ollama_what_was_thought_goes_back_with_calls_alone() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    assert read("ollama", line({"thinking": "h"}), line({"thinking": "m", "tool_calls": [call]}, done=True))[1] == {
        "chat": {"thinking": "hm"}
    }
    assert read("ollama", line({"thinking": "hm"}, done=True))[1] == {}


def test_ollama_a_last_line_of_few_members_is_the_last_all_the_same() -> None:
    last = {"message": {"role": "assistant", "content": "b"}, "done": True}
    assert read("ollama", line({"content": "a"}, model="m"), last)[0] == [
        Text("a"),
        Text("b"),
        Control("stream_end", "stop"),
    ]
