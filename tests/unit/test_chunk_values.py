"""Chunks as plain values and as JSON, and back: every variant, and what is not known."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.types.streaming import (
    AgentChunk,
    ChunkContent,
    Collector,
    Control,
    ControlMessage,
    MediaPiece,
    Other,
    Reasoning,
    StructuredText,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.usage import Usage

WORDS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(WORDS, VALUES, max_size=3)
COUNTS = st.none() | st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.none() | st.floats(0, 1e6), COUNTS)
CONTENTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(Text, WORDS),
    st.builds(StructuredText, WORDS, VALUES.filter(lambda value: value is not None)),
    st.builds(Reasoning, WORDS),
    st.builds(ToolCallProgress, WORDS, WORDS, WORDS),
    st.builds(ToolCallComplete, WORDS, WORDS, st.none() | TABLES, VALUES, WORDS, st.none() | WORDS),
    st.builds(MediaPiece, WORDS, st.binary(max_size=40), st.booleans()),
    st.builds(Control, WORDS, st.none() | WORDS, st.none() | USAGES, st.none() | TABLES),
    st.builds(Other, st.sampled_from(["thought", "later"]), st.dictionaries(WORDS.filter("type".__ne__), VALUES)),
)  # fmt: skip
CHUNKS = st.builds(AgentChunk, WORDS, st.integers(0, 2**40), CONTENTS, TABLES, st.floats(0, 1e12))


@given(chunk=CHUNKS)
def test_a_chunk_is_the_same_after_plain_values(chunk: AgentChunk) -> None:
    again = AgentChunk.from_dict(chunk.to_dict())
    assert again == chunk
    assert type(again) is AgentChunk
    assert type(again.content) is type(chunk.content)


@given(chunk=CHUNKS)
def test_a_chunk_is_the_same_after_json(chunk: AgentChunk) -> None:
    again = AgentChunk.from_dict(orjson.loads(orjson.dumps(chunk.to_json())))
    if isinstance(chunk.content, StructuredText):  # its `partial` is what the texts add up to
        chunk = chunk._replace(content=Text(chunk.content.text))
    assert again == chunk


@given(chunk=CHUNKS, more=TABLES, told=TABLES)
def test_what_is_not_known_is_kept(chunk: AgentChunk, more: dict[str, Any], told: dict[str, Any]) -> None:
    values = chunk.to_dict()
    outer = {f"new_{name}": value for name, value in more.items()}
    inner = {f"new_{name}": value for name, value in told.items()}
    values |= outer
    values["content"] |= inner
    again = AgentChunk.from_dict(values)
    assert again.to_dict() == values
    assert AgentChunk.from_dict(again.to_dict()) == again
    assert isinstance(again, AgentChunk)
    assert again[:2] == chunk[:2]
    if outer:
        assert again != chunk
    collector = Collector()
    collector.add(again)  # whatever came, it is read
    if isinstance(again.content, Text):
        assert collector.text == again.content.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stream_id": 1}, "`stream_id` of a chunk must be a text, not a int"),
        ({"chunk_index": True}, "`chunk_index` of a chunk must be a whole number, not true"),
        ({"chunk_index": -1}, "counts from 0"),
        ({"content": "text"}, "`content` of a chunk must be a table"),
        ({"content": {}}, "`type` of a chunk must be a text, not nothing"),
        ({"content": {"type": "text"}}, "has no `text`"),
        ({"content": {"type": "text", "text": 1}}, "`text` of a chunk's content of type `text` must be a text"),
        ({"content": {"type": "media", "media_type": "a/b", "data": "?"}}, "is no base64"),
        ({"content": {"type": "media", "media_type": "a/b", "data": 7}}, "must be bytes or their base64"),
        ({"content": {"type": "media", "media_type": "a/b", "data": "", "is_final": 1}}, "must be true or false"),
        ({"content": {"type": "control", "message": "stream_end", "usage": [1]}}, "must be a table"),
        ({"content": {"type": "control", "message": "x", "usage": {"input_tokens": "1"}}}, "must be a number"),
        ({"content": {"type": "tool_call_complete", "tool_id": "1", "name": "n", "arguments": []}}, "must be a table"),
        (
            {"content": {"type": "control", "message": "x", "usage": {"output_tokens": True}}},
            "must be a number, not true",
        ),
        ({"content": {"type": "control", "message": "x", "details": [1]}}, "`details` of a chunk's content"),
        ({"content": {"type": "tool_call_progress", "tool_id": "1", "name": "n"}}, "has no `partial_args`"),
        ({"chunk_index": 0.5}, "must be a whole number, not a float"),
        ({"timestamp": None}, "`timestamp` of a chunk must be a number, not nothing"),
        ({"metadata": 3}, "`metadata` of a chunk must be a table"),
    ],
)
def test_what_is_no_chunk_is_told(change: dict[str, Any], says: str) -> None:
    chunk = AgentChunk("s", 0, Text("a"), {}, 1.0).to_dict() | change
    with pytest.raises(ValidationError) as failed:
        AgentChunk.from_dict(chunk)
    assert says in failed.value.message


@pytest.mark.parametrize(
    ("type_", "names"),
    [
        ("text", "text"), ("reasoning", "text"), ("tool_call_progress", "tool_id name partial_args"),
        ("tool_call_complete", "tool_id name raw error"), ("media", "media_type"), ("control", "message finish_reason"),
    ],
)  # fmt: skip
def test_what_is_a_text_is_no_number(type_: str, names: str) -> None:
    whole = {
        "text": "a", "tool_id": "a", "name": "a", "partial_args": "a", "raw": "a", "media_type": "a", "data": "",
        "message": "a", "error": "a", "finish_reason": "a",
    }  # fmt: skip
    for name in names.split():
        with pytest.raises(ValidationError) as failed:
            AgentChunk.from_dict(
                {"stream_id": "s", "chunk_index": 0, "timestamp": 1, "content": {"type": type_, **whole, name: 1}}
            )
        assert failed.value.message == f"`{name}` of a chunk's content of type `{type_}` must be a text, not a int"


@pytest.mark.parametrize("told", [None, [], "chunk", 1])
def test_what_is_no_table_is_no_chunk(told: Any) -> None:
    with pytest.raises(ValidationError, match="a chunk is a table, not"):
        AgentChunk.from_dict(told)


def test_chunks_and_contents_cannot_be_changed_and_have_no_room_for_more() -> None:
    contents: list[ChunkContent] = [
        Text("a"), StructuredText("a"), Reasoning("a"), ToolCallProgress("1", "n", ""), MediaPiece("a/b", b""),
        ToolCallComplete("1", "n", {}), Control(ControlMessage.STREAM_END), Other("x", {}),
    ]  # fmt: skip
    for one in [*contents, AgentChunk("s", 0, contents[0], {}, 1.0)]:
        with pytest.raises(AttributeError):
            one.text = "b"  # type: ignore[union-attr,misc]
        assert not hasattr(one, "__dict__")


def test_a_chunk_tells_what_it_is_in_a_line() -> None:
    chunk = AgentChunk("stream-1", 3, Text("Hel"), {"model": "m" * 1000}, 1.0)
    assert repr(chunk) == "<AgentChunk 3 of stream-1: Text(text='Hel')>"
    assert repr(MediaPiece("image/png", bytes(10_000_000))) == "MediaPiece('image/png', <10000000 bytes>)"
    assert repr(MediaPiece("image/png", b"", False)).endswith("is_final=False)")
