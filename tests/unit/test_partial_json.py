"""JSON that is still being written: each prefix of a text gives a prefix of its value."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.types.partial_json import MAX_DEPTH, PartialJson

pytestmark = pytest.mark.once

NOTHING = object()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(TEXT, inside, max_size=4),
    max_leaves=12,
)


def is_prefix(part: Any, whole: Any) -> bool:
    """What has come is the whole, or the whole's beginning; only the last of a container may be a beginning itself."""
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if isinstance(part, list) and isinstance(whole, list):
        if len(part) > len(whole):
            return False
        same = all(a == b for a, b in zip(part[:-1], whole, strict=False))
        return same and (not part or is_prefix(part[-1], whole[len(part) - 1]))
    if isinstance(part, dict) and isinstance(whole, dict):
        keys = list(part)
        if keys != list(whole)[: len(keys)]:
            return False
        same = all(part[key] == whole[key] for key in keys[:-1])
        return same and (not keys or is_prefix(part[keys[-1]], whole[keys[-1]]))
    return type(part) is type(whole) and bool(part == whole)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=60, deadline=None)
def test_every_prefix_of_a_text_gives_a_prefix_of_its_value(value: Any, ascii_: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    parser = PartialJson()
    before: Any = None
    for char in text:
        parser.feed(char)
        now = parser.snapshot()
        assert now is None or is_prefix(now, value), (now, value)
        assert before is None or is_prefix(before, now), (before, now)
        before = now
    parser.end()
    assert parser.whole
    assert parser.snapshot() == value


@given(VALUES, st.data())
@settings(max_examples=60, deadline=None)
def test_it_does_not_matter_where_a_text_is_cut(value: Any, data: st.DataObject) -> None:
    text = " " + json.dumps(value) + "\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    parser, single = PartialJson(), PartialJson()
    for piece in pieces:
        parser.feed(piece)
        for char in piece:
            single.feed(char)
        assert parser.snapshot() == single.snapshot()
    assert parser.snapshot() == value
    assert (parser.whole, parser.failed) == (True, False)


@given(st.text(st.sampled_from('{}[]",:\\u0dD8aeltrufs -1.'), max_size=40))
@settings(max_examples=150, deadline=None)
def test_what_is_no_json_ends_it_and_raises_nothing(text: str) -> None:
    parser = PartialJson()
    parser.feed(text)
    parser.end()
    parser.snapshot()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        assert not parser.whole
    else:  # Python's reader takes half a pair of surrogates, which is no text
        assert parser.whole
        assert "ud8" in text.lower() or "udd" in text.lower() or parser.snapshot() == value


def parts(text: str) -> list[Any]:
    parser = PartialJson()
    out = []
    for char in text:
        parser.feed(char)
        out.append(parser.snapshot())
    return out


def test_a_string_grows_and_a_number_comes_when_its_end_was_seen() -> None:
    assert parts('{"a":"xy","b":12,"c":true}') == [
        {}, {}, {}, {}, {},
        {"a": ""}, {"a": "x"}, {"a": "xy"}, {"a": "xy"}, {"a": "xy"},
        *[{"a": "xy"}] * 6,
        {"a": "xy", "b": 12},
        *[{"a": "xy", "b": 12}] * 8,
        {"a": "xy", "b": 12, "c": True},
    ]  # fmt: skip


def test_half_a_pair_of_surrogates_waits_for_the_other_half() -> None:
    said = parts('"\\ud83d\\ude00"')
    assert said[6] == ""
    assert said[-1] == "😀"
    assert parts('"\\ud83dx"')[-1] == "\ufffdx"
    assert parts('"\\ude00\\ud83d"')[-1] == "\ufffd\ufffd"


def test_each_escape_is_its_character() -> None:
    for escape, char in zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True):
        assert parts(f'"a\\{escape}b"')[-1] == f"a{char}b"
        assert parts(f'"\\ud83d\\{escape}"')[-1] == f"\ufffd{char}"
    assert parts('"\\u00E9\\u00e9\\u0041"')[-1] == "ééA"


@pytest.mark.parametrize("text", ["-1", "0", "9", "true", "false", "null", "1.5e3"])
def test_what_is_no_text_comes_with_what_follows_it_or_at_the_end(text: str) -> None:
    parser = PartialJson()
    parser.feed(text)
    assert (parser.snapshot(), parser.whole) == (None, False)
    parser.end()
    assert (parser.snapshot(), parser.whole, parser.failed) == (json.loads(text), True, False)
    parser.end()
    parser.feed("  \n")
    assert parser.whole
    parser.feed("1")
    assert (parser.failed, parser.snapshot()) == (True, json.loads(text))
    inside = PartialJson()
    inside.feed(f"[{text}")
    inside.end()
    assert (inside.snapshot(), inside.whole) == ([], False)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("[1 2]", [1]),
        ('["a" "b"]', ["a"]),
        ('{"a": 1 "b": 2}', {"a": 1}),
        ('{"a": 1]', {"a": 1}),
        ("[1}", [1]),
        ('{"a": {"b": "c', {"a": {"b": "c"}}),
        ('["\\uz123"]', [""]),
        ('["\\u12g4"]', [""]),
        ('{"a": "x", "b" "', {"a": "x"}),
        ('{"a": "x",}', {"a": "x"}),
        ("[+1]", []),
        ("[]]", []),
        ("x", None),
    ],
)
def test_what_was_read_before_a_mistake_is_the_value(text: str, kept: Any) -> None:
    parser = PartialJson()
    parser.feed(text)
    assert parser.snapshot() == kept
    assert parser.failed is not text.endswith("c")


def test_a_snapshot_stays_as_it_was() -> None:
    parser = PartialJson()
    parser.feed('{"list": [1, {"x": "a')
    before = parser.snapshot()
    parser.feed('bc"}, 2], "more": 3}')
    assert before == {"list": [1, {"x": "a"}]}
    assert parser.snapshot() == {"list": [1, {"x": "abc"}, 2], "more": 3}


@pytest.mark.parametrize("text", ['{"a": 1} x', "{a: 1}", "[1,]", '{"a" 1}', '["\n"]', '["\\x"]', "[tru]", "[1e999]"])
def test_what_came_before_a_mistake_stays(text: str) -> None:
    parser = PartialJson()
    parser.feed(text)
    assert parser.failed
    kept = parser.snapshot()
    parser.feed('{"b": 2}')
    assert parser.snapshot() == kept


def test_depth_and_numbers_are_bounded() -> None:
    parser = PartialJson()
    parser.feed("[" * (MAX_DEPTH + 1))
    assert parser.failed
    parser = PartialJson()
    parser.feed("[" + "1" * 1000)
    assert parser.failed


@pytest.mark.unmeasured
def test_time_is_linear_in_the_text() -> None:
    text = json.dumps([{"name": "x" * 20, "values": list(range(10))}] * 400)

    def seconds(size: int) -> float:
        best = 9.0
        for _ in range(3):
            parser = PartialJson()
            start = time.process_time()
            for at in range(0, size, 4):
                parser.feed(text[at : at + 4])
            best = min(best, time.process_time() - start)
        return best

    assert seconds(len(text)) < 12 * seconds(len(text) // 4)
