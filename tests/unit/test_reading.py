"""How answers are taken apart before a dialect reads them: what is no JSON, or cut, and bounds. WIRE.md §3, §11."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell.errors import LLMSpellError
from llmspell.providers import reading as reading_module
from llmspell.providers.dialect import dialect_of
from llmspell.types.streaming import ChunkContent, Text
from support.dialects import events, lines

TYPED = ("anthropic", "openai-responses")
PIECE = {
    "anthropic": {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "a"},
    },
    "openai-responses": {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
}


def read(type_: str, *pieces: bytes) -> tuple[list[ChunkContent], LLMSpellError | None]:
    reading = dialect_of(type_).reading("p", "m", key_env=None, secrets=())
    contents = [content for piece in pieces for content in reading.feed(piece)]
    contents += reading.end()
    return contents, reading.error


@pytest.mark.parametrize("type_", TYPED)
@pytest.mark.parametrize("data", [b"it is too busy", b'{"message": "it is too busy"}', b'{"error": "it is too busy"}'])
def test_an_event_named_error_is_one_whatever_it_holds(type_: str, data: bytes) -> None:
    contents, error = read(type_, events(PIECE[type_]) + b"event: error\ndata: " + data + b"\n\n")
    assert contents == [Text("a")]
    assert error is not None
    assert "it is too busy" in error.message


@pytest.mark.parametrize("type_", TYPED)
def test_what_is_no_json_ends_the_answer_after_what_came_before(type_: str) -> None:
    contents, error = read(type_, events(PIECE[type_]) + b"data: nonsense\n\n" + events(PIECE[type_]))
    assert contents == [Text("a")]
    assert error is not None
    assert (error.kind, "nonsense" in error.message) == ("provider", True)


@pytest.mark.parametrize("type_", TYPED)
def test_half_an_event_at_the_end_is_an_answer_cut_short(type_: str) -> None:
    contents, error = read(type_, events(PIECE[type_]) + b'data: {"type": "con')
    assert contents == [Text("a")]
    assert error is not None
    assert error.kind == "stream_truncated"


@pytest.mark.parametrize("type_", TYPED)
def test_empty_events_are_nothing(type_: str) -> None:
    contents, error = read(type_, b"data:  \n\n", events(PIECE[type_]), b"data:\n\n")
    assert contents == [Text("a")]
    assert error is not None
    assert error.kind == "stream_truncated"


def line(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}


@pytest.mark.parametrize("together", [True, False])
def test_lines_are_counted(monkeypatch: pytest.MonkeyPatch, together: bool) -> None:
    monkeypatch.setattr(reading_module, "MAX_EVENTS", 3)
    for count, fine in ((3, True), (4, False)):
        made = [lines(line("a")) for _ in range(count - 1)] + [lines(line("", done=True))]
        contents, error = read("ollama", *([b"".join(made)] if together else made))
        assert (error is None) is fine
        if error is not None:
            assert (error.kind, "more than 3 lines" in error.message) == ("provider", True)
            assert contents == ([] if together else [Text("a")] * 3)


@pytest.mark.parametrize("cut", [1, 5, None])
def test_a_line_may_be_as_long_as_it_may(monkeypatch: pytest.MonkeyPatch, cut: int | None) -> None:
    body = lines(line("a" * 50, done=True))
    for most, fine in ((len(body), True), (len(body) - 2, False)):
        monkeypatch.setattr(reading_module, "MAX_LINE", most)
        contents, error = read("ollama", *([body] if cut is None else [body[:cut], body[cut:]]))
        assert (error is None) is fine
        assert bool(contents) is fine


def test_an_answer_is_over_with_its_last_line_and_nothing_after_it_is_read() -> None:
    for rest in (lines(line("b")), b"nonsense\n"):
        contents, error = read("ollama", lines(line("a", done=True)) + rest)
        assert error is None
        assert contents[0] == Text("a")
        assert len(contents) == 2


def test_the_usual_bounds() -> None:
    assert (reading_module.MAX_REPLY, reading_module.MAX_LINE) == (32 << 20, 16 << 20)
    assert reading_module.MOST_ITEMS == 4096
