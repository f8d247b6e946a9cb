"""Sound and images in answers of chat and Responses, and questions of the service's own. No recording has any of them:
the bytes are made from WIRE.md §4, §5 and §10.
"""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.providers.calls import PartialMedia, image_of
from llmspell.providers.dialect import dialect_of
from llmspell.providers.turn import Turn
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.streaming import AgentChunk, Collector, MediaPiece, Text

pytestmark = pytest.mark.once

PNG = b"\x89PNG\r\n\x1a\n rest"
WAV = b"RIFF\x10\0\0\0WAVEfmt "
PCM = "audio/pcm;rate=24000"


def told(data: bytes) -> str:
    return base64.b64encode(data).decode()


def read(type_: str, body: bytes) -> tuple[AgentOutput, list[AgentChunk]]:
    reading = dialect_of(type_).reading("p", "m", key_env=None, secrets=())
    contents = [*reading.feed(body), *reading.end()]
    assert reading.error is None
    turn, collector = Turn("p", "m"), Collector()
    turn.told(reading.metadata)
    chunks = turn.chunks(contents)
    for chunk in chunks:
        collector.add(chunk)
    return collector.output(), chunks


def events(*values: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def chat_stream(*deltas: dict[str, Any]) -> AgentOutput:
    chunks = [{"model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return read("openai", events(*chunks, end) + b"data: [DONE]\n\n")[0]


def chat(**message: Any) -> AgentOutput:
    choice = {"message": {"role": "assistant", "content": None, **message}, "finish_reason": "stop"}
    return read("openai", json.dumps({"object": "chat.completion", "model": "m", "choices": [choice]}).encode())[0]


def response(*items: dict[str, Any]) -> bytes:
    return json.dumps({"object": "response", "status": "completed", "model": "m", "output": items}).encode()


# ---- sound


def test_sound_in_one_piece_and_what_is_said_in_it() -> None:
    output = chat(audio={"id": "a1", "data": told(WAV), "transcript": "Hello.", "expires_at": 1})
    assert output.text == "Hello."
    assert output.media == (Media("audio/wav", WAV),)


def test_sound_comes_in_pieces_and_its_words_with_it() -> None:
    output = chat_stream(
        {"role": "assistant", "content": None, "audio": {"id": "a1", "transcript": "Hel"}},
        {"audio": {"id": "a1", "data": told(b"\1\2\3\4")}},
        {"audio": {"transcript": "lo"}},
        {"audio": {"data": told(b"\5\6")}},
        {"audio": {"expires_at": 1}},
    )
    assert output.text == "Hello"
    assert output.media == (Media(PCM, b"\1\2\3\4\5\6"),)


def test_raw_sound_may_begin_as_mp3_does() -> None:
    frame = b"\xff\xfb\x90\x44"
    assert chat(audio={"data": told(frame)}).media == (Media("audio/mpeg", frame),)
    assert chat_stream({"audio": {"data": told(frame)}}).media == (Media(PCM, frame),)


@pytest.mark.parametrize("audio", [None, {}, [], "x", {"data": 7, "transcript": None}, {"data": "%%%%"}, {"data": "="}])
def test_sound_that_is_none(audio: Any) -> None:
    output = chat(content="hi", audio=audio)
    assert output.text == "hi"
    assert [medium for medium in output.media if medium.data] == []


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 80), max_size=6))
@settings(deadline=None, max_examples=100)
def test_base64_may_be_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    text, partial = told(data), PartialMedia()
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert b"".join(map(partial.add, pieces)) == data


@given(st.lists(st.one_of(st.text(max_size=9), st.text("ABCDabcd+/=", max_size=9)), max_size=6))
@settings(deadline=None, max_examples=100)
def test_any_text_for_base64_is_harmless(pieces: list[str]) -> None:
    partial = PartialMedia()
    for piece in pieces:
        assert isinstance(partial.add(piece), bytes)
        found = image_of(piece)
        assert found is None or found.data
    assert chat_stream(*({"audio": {"data": piece}} for piece in pieces)).finish_reason == "stop"


# ---- images


@pytest.mark.parametrize("stream", [True, False])
def test_images_of_openrouter(stream: bool) -> None:
    images = [
        {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{told(b'x')}"}},
        {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}},
        {"type": "image_url", "image_url": None},
        "x",
    ]
    output = chat_stream({"content": "Here.", "images": images}) if stream else chat(content="Here.", images=images)
    assert output.text == "Here."
    assert output.media == (Media("image/webp", b"x"),)
    assert output.metadata["image_urls"] == ["https://a/b.png"]


@pytest.mark.parametrize("stream", [True, False])
def test_images_of_responses_are_told_once_and_not_kept(stream: bool) -> None:
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": told(PNG)}
    body = response(item)
    if stream:
        added = item | {"status": "in_progress", "result": None}
        partial = {"type": "response.image_generation_call.partial_image", "partial_image_b64": told(b"half")}
        body = events(
            {"type": "response.output_item.added", "output_index": 0, "item": added},
            partial | {"output_index": 0, "item_id": "ig_1", "partial_image_index": 0},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": json.loads(body)},
        )
    output, _ = read("openai-responses", body)
    assert output.media == (Media("image/png", PNG),)
    assert told(PNG) not in json.dumps(output.metadata)
    assert output.finish_reason == "stop"


def test_an_image_s_type_is_told_or_seen() -> None:
    assert image_of(told(b"x"), "image/webp") == MediaPiece("image/webp", b"x")
    assert image_of(f"DATA:image/GIF;base64,{told(b'x')}") == MediaPiece("image/gif", b"x")
    assert image_of(told(PNG)) == MediaPiece("image/png", PNG)
    assert image_of(told(b"x").rstrip("=")) == MediaPiece("image/png", b"x")


# ---- what the service waits for


@pytest.mark.parametrize(
    ("item", "finish"),
    [
        ({"type": "mcp_approval_request", "id": "mcpr_1", "name": "x", "arguments": "{}"}, "tool_calls"),
        ({"type": "tool_search_call", "id": "ts_1", "execution": "client", "arguments": {}}, "tool_calls"),
        ({"type": "tool_search_call", "id": "ts_1", "execution": "server", "arguments": {}}, "stop"),
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "stop"),
        ({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"}, "tool_calls"),
    ],
)
def test_a_question_of_the_service_s_is_no_end(item: dict[str, Any], finish: str) -> None:
    output, _ = read("openai-responses", response(item))
    assert output.finish_reason == finish
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    last = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    assert read("openai-responses", events(done, last))[0].finish_reason == finish


# ---- the short way of a piece of text


def piece(text: Any, place: Any = 0, id_: Any = "m1", part: Any = 0) -> dict[str, Any]:
    kind = "response.output_text.delta"
    return {"type": kind, "output_index": place, "item_id": id_, "content_index": part, "delta": text}


def message(*texts: str, id_: str = "m1") -> dict[str, Any]:
    return {"type": "message", "id": id_, "content": [{"type": "output_text", "text": text} for text in texts]}


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.sampled_from(["", "a", "bc"])), max_size=12))
@settings(deadline=None, max_examples=60)
def test_pieces_of_several_messages_add_up_however_they_come(pieces: list[tuple[int, int, str]]) -> None:
    stream = [piece(text, place, f"m{place}", part) for place, part, text in pieces]
    last = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    output, chunks = read("openai-responses", events(*stream, last))
    assert output.text == "".join(text for _, _, text in pieces)
    assert sum(isinstance(chunk.content, Text) for chunk in chunks) == sum(bool(text) for _, _, text in pieces)


def test_a_text_in_pieces_is_not_told_again_at_its_end() -> None:
    output, _ = read(
        "openai-responses",
        events(
            *(piece(text) for text in ("He", "l", "", "lo")),
            piece(7),
            piece("") | {"type": "response.output_text.done", "text": "Hello"},
            {"type": "response.output_item.done", "output_index": 0, "item": message("Hello")},
            {"type": "response.completed", "response": {"status": "completed", "output": [message("Hello", " more")]}},
        ),
    )  # fmt: skip
    assert output.text == "Hello more"


def test_lines_of_ollama_that_hold_more_than_text_go_the_long_way() -> None:
    lines: list[dict[str, Any]] = [
        {"model": "m", "message": {"role": "assistant", "content": "a"}, "done": False},
        {"message": {"role": "assistant", "content": ""}, "done": False},
        {"message": {"role": "assistant", "content": "b"}, "done": False},
        {"message": {"content": "c", "thinking": "t"}, "done": False},
        {"message": {"role": "assistant", "content": "d", "thinking": "u"}, "done": False},
        {"message": {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, "done": False},
        {"message": {"role": "assistant", "content": "e"}, "done": True, "done_reason": "stop", "eval_count": 3},
    ]
    output, _ = read("ollama", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    assert (output.text, output.reasoning, len(output.tool_calls)) == ("abcde", "tu", 1)
    assert (output.finish_reason, output.usage.output_tokens) == ("tool_calls", 3)


@pytest.mark.parametrize("cut", [None, 1])
def test_lines_in_one_read_or_cut_anywhere_are_read_up_to_the_one_that_is_none(cut: int | None) -> None:
    one = {"model": "m", "message": {"role": "assistant", "content": "a"}, "done": False}
    last = {"message": {"role": "assistant", "content": "z"}, "done": True, "done_reason": "stop"}
    good = json.dumps(one).encode() + b"\n \r\n"
    for body, text, failed in (
        (good * 3 + b"<html>\n" + good, "aaa", True),
        (good * 2 + json.dumps(last).encode() + b"\n" + good + b"?\n", "aaz", False),
    ):
        reading = dialect_of("ollama").reading("p", "m", key_env=None, secrets=())
        contents = []
        for at in range(0, len(body), cut or len(body)):
            contents += reading.feed(body[at : at + (cut or len(body))])
        contents += reading.end()
        assert "".join(one.text for one in contents if isinstance(one, Text)) == text
        assert (reading.error is not None) is failed
        assert reading.finished
