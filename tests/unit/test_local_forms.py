"""Forms and forced calls of the embedded model, and what its file says of itself: functions of values."""

from __future__ import annotations

import json
import re
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.providers.local_forms import ForcedCall, calls_form, form, pattern
from llmspell.providers.local_gguf import Facts, facts
from llmspell.types.streaming import Text, ToolCallComplete, ToolCallProgress
from llmspell.types.tools import ToolSpec
from support.weights import gguf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.text('a}{"\\ ü', max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text("ab}", max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


def read(pieces: list[str]) -> tuple[list[ToolCallProgress], Any]:
    """The pieces of the call, and what came last."""
    call = ForcedCall("call_1")
    told = [content for piece in pieces for content in call.feed(piece)]
    *rest, last = call.end()
    return [content for content in (*told, *rest) if isinstance(content, ToolCallProgress)], last


@settings(max_examples=60)
@given(
    st.text(max_size=5),
    st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=3),
    st.lists(st.integers(0, 60), max_size=5),
    st.sampled_from([None, 1, 3]),
)
def test_a_forced_call_in_any_pieces_is_the_call(
    name: str, arguments: dict[str, Any], cuts: list[int], indent: int | None
) -> None:
    text = json.dumps({"name": name, "arguments": arguments}, indent=indent)
    at = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces, last = read([text[start:end] for start, end in pairwise(at)])
    assert isinstance(last, ToolCallComplete)
    assert (last.name, last.arguments) == (name, arguments)
    assert json.loads("".join(piece.partial_args for piece in pieces)) == arguments
    assert {(piece.tool_id, piece.name) for piece in pieces} == {(last.tool_id, name)}


@given(st.integers(1, 48))
def test_a_forced_call_that_was_cut_tells_what_came(at: int) -> None:
    text = '{"name": "go", "arguments": {"a": {"b": "}}"}}}'[:at]
    _, last = read([text])
    if isinstance(last, ToolCallComplete):
        assert last.arguments == ({"a": {"b": "}}"}} if at >= 46 else None)
        assert text.rstrip().endswith(last.raw) or at >= 47
    else:
        assert last == Text(text)
        assert at <= 28


def test_what_it_calls_comes_before_what_with() -> None:
    call = ForcedCall("call_1")
    assert call.feed('{"name": "go", "arg') == []
    assert call.feed('uments": {"a": 1') == [ToolCallProgress("call_1", "go", '{"a": 1')]


def test_references_in_a_tools_schema_lead_where_it_stands_now() -> None:
    tree = {
        "type": "object",
        "properties": {"kid": {"$ref": "#"}, "leaf": {"$ref": "#/$defs/leaf"}, "$ref": {"type": "string"}},
        "$defs": {"leaf": {"const": {"$ref": "#/data"}}},
    }
    made = calls_form([ToolSpec("a"), ToolSpec("b", "", tree)])
    moved = made["$defs"]["tool1"]
    assert made["anyOf"][1]["properties"]["arguments"] == {"$ref": "#/$defs/tool1"}
    assert moved["properties"]["kid"] == {"$ref": "#/$defs/tool1"}
    assert moved["properties"]["leaf"] == {"$ref": "#/$defs/tool1/$defs/leaf"}
    assert moved["properties"]["$ref"] == {"type": "string"}  # a property that is called so
    assert moved["$defs"]["leaf"] == {"const": {"$ref": "#/data"}}  # a value, and no schema


def test_a_schema_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(2000):
        deep = {"items": deep}
    with pytest.raises(ValidationError, match="levels"):
        form(deep)
    many = {"properties": {f"p{n}": {"enum": [1, 2, 3]} for n in range(300)}}
    with pytest.raises(ValidationError, match="more than 1000 parts"):
        form(many)
    with pytest.raises(ValidationError, match="more than 1000 parts"):
        calls_form([ToolSpec("a", "", many)])
    few = {"properties": {f"p{n}": {"type": "string"} for n in range(100)}}
    with pytest.raises(ValidationError, match="more than 1000 parts"):
        calls_form([ToolSpec(f"t{n}", "", few) for n in range(10)])
    assert len(form(few)["properties"]) == 100


def test_a_reference_to_the_whole_has_a_place_to_lead_to() -> None:
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}, "minItems": 10**9}}}
    made = form(tree)
    assert made["$ref"] == "#/$defs/root"
    assert made["$defs"]["root"]["properties"]["kids"] == {"type": "array", "items": {"$ref": "#/$defs/root"}}


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        (r"^\d{2}$", "^[0-9]{2}$"),
        (r"^[\w-]+\S$", r"^[A-Za-z0-9_-]+[^ \t\n\r]$"),
        (r"^a\.b\/c\-d$", r"^a\.b/c-d$"),
        ("^(?:a|b)$", "^(?:a|b)$"),
        ("^[$]$", "^[$]$"),
        ("foo", None),
        ("^foo", None),
        (r"^foo\$", None),
        ("^a$|^b$", None),
        (r"^a\b$", None),
        (r"^(a)\1$", None),
        ("^(?=a)a$", None),
        (r"^[\D]$", None),
        ("^[a$", None),
        ("^(a$", None),
        ("^a{1000}$", "^a{1000}$"),
        ("^a{1,1001}$", None),
        ("^" + "(?:" * 30 + "a" + ")*" * 30 + "$", None),
        ("^" + "a" * 2000 + "$", None),
    ],
)
def test_patterns_are_said_as_the_grammar_knows_them(given_: str, told: str | None) -> None:
    assert pattern(given_) == told


@settings(max_examples=60)
@given(st.text(r"ad\sw[]^-.$(?:)+1", max_size=8), st.text("ad1 -.$\n", max_size=5))
def test_a_pattern_that_is_said_otherwise_means_the_same(middle: str, text: str) -> None:
    told = pattern(f"^{middle}$")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets that may mean something else one day
            before = re.compile(f"^{middle}$", re.ASCII)
    except (re.error, OverflowError):
        return
    if told is not None:
        # \s has two members more than JSON's white space
        assert bool(re.search(told, text)) == bool(before.search(text))


# -- what a file says


def test_a_file_tells_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(
        gguf(
            {
                "general.architecture": "qwen3",
                "general.name": "Q",
                "general.size_label": "4B",
                "tokenizer.ggml.tokens": ["a", "bc"] * 100,
                "qwen3.context_length": 40960,
                "tokenizer.chat_template": "{{ messages }}",
                "tokenizer.chat_template.tool_use": "{% if tools is defined %}{% endif %}",
            }
        )
    )
    assert facts(str(path)) == Facts("Q", "qwen3", "4B", None, 40960, True, True)


def test_a_word_that_has_tools_in_it_is_no_tools(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf({"tokenizer.chat_template": "{{ my_toolsmith }}"}))
    assert facts(str(path)) == Facts(template=True)


WHOLE = gguf({"general.architecture": "x", "a": ["b", "c"], "x.context_length": 7, "tokenizer.chat_template": "t"})


@settings(max_examples=60)
@given(st.integers(0, len(WHOLE)), st.binary(max_size=40))
def test_a_damaged_file_is_unknown_and_no_error(at: int, noise: bytes) -> None:
    import os
    import tempfile

    handle, path = tempfile.mkstemp(suffix=".gguf")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(WHOLE[:at] + noise)
        known = facts(path)
        assert known.context is None or type(known.context) is int
    finally:
        os.remove(path)
