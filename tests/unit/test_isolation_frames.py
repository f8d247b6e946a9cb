"""What a host makes of a worker's bytes: the values that went in, or one error for all that is nothing."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
from itertools import pairwise
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.bridge.engine import CALL, DONE, ERROR, STOPPED
from llmspell.bridge.failures import script_failure
from llmspell.bridge.isolation import frames
from llmspell.bridge.isolation.codec import MAX_DEPTH, MAX_PARTS, FrameError, decode, encode
from llmspell.bridge.isolation.frames import ASK, HEAD, OUTCOME, READY, WRITE, Cutter, to_host
from llmspell.bridge.isolation.gate import outcome_of, question_of

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.binary(),
)
SCALARS = st.none() | KEYS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=30,
)


def typed(value: Any) -> Any:
    """With what `==` passes over: types, and the sign of 0."""
    if isinstance(value, dict):
        return [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [typed(item) for item in value]
    return repr(value)


def shaped(shape: bytes, rest: bytes = b"") -> bytes:
    """A value's bytes, by hand."""
    return pack("<I", len(shape)) + shape + rest


@given(value=VALUES)
@settings(deadline=None)
def test_a_value_comes_out_as_it_went_in(value: Any) -> None:
    assert typed(decode(encode(value))) == typed(value)


def test_a_number_that_is_none_and_infinities_come_out() -> None:
    told = decode(encode([math.nan, math.inf, -math.inf, -0.0]))
    assert math.isnan(told[0])
    assert repr(told[1:]) == "[inf, -inf, -0.0]"


SHAPES = st.lists(st.sampled_from(b"ntfidsb[]{}?"), max_size=40).map(bytes)


@given(data=st.binary(max_size=200) | st.tuples(SHAPES, st.binary(max_size=60)).map(lambda p: shaped(*p)))
@settings(max_examples=1000, deadline=None)
def test_any_bytes_are_a_value_or_the_one_error(data: bytes) -> None:
    try:
        value = decode(data)
    except FrameError:
        return
    assert typed(decode(encode(value))) == typed(value)


@given(value=VALUES, data=st.data())
@settings(deadline=None)
def test_a_value_that_is_cut_short_or_goes_on_is_the_error(value: Any, data: st.DataObject) -> None:
    whole = encode(value)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:cut], whole + b"n"):
        with pytest.raises(FrameError):
            decode(wrong)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        shaped(b""),
        shaped(b"x"),
        shaped(b"nn"),
        shaped(b"n", b"n"),
        b"\xff\xff\xff\xffn",
        b"\5\0\0\0n",
        shaped(b"i"),
        shaped(b"i", b"\0" * 7),
        shaped(b"d", b"\0" * 9),
        shaped(b"s", b"\xff\xff\xff\xffabc"),
        shaped(b"s", b"\4\0\0\0abc"),
        shaped(b"s", b"\1\0\0\0\xff"),
        shaped(b"[ss]", b"\xff\xff\xff\xff\2\0\0\0a"),
        shaped(b"["),
        shaped(b"]"),
        shaped(b"n]"),
        shaped(b"[}"),
        shaped(b"{]"),
        shaped(b"{n}"),
        shaped(b"{nn}"),
        shaped(b"{[]n}"),
        shaped(b"{tnt}"),
        shaped(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1)),
        shaped(b"[" * 100_000),
        shaped(b"[" + b"n" * MAX_PARTS + b"]"),
    ],
)
def test_lies_are_the_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        decode(data)


def test_a_million_small_values_take_no_time_to_speak_of() -> None:
    """What a hostile worker could hold its host up with, against reading as much of JSON in Python's own way."""
    value = {"list": [[] for _ in range(100_000)], "dict": {str(i): i for i in range(100_000)}}
    data, text = encode(value), json.dumps(value)

    def seconds(read: Callable[[], Any]) -> float:
        before = time.perf_counter()
        assert read() == value
        return time.perf_counter() - before

    ratios = [seconds(lambda: decode(data)) / seconds(lambda: json.loads(text)) for _ in range(3)]
    assert min(ratios) < 20


WORDS = [
    (READY, b""),
    (ASK, b"n"),
    (WRITE, b"\1" + b"x" * 70_000),
    (OUTCOME, encode([DONE, {"a": 1}])),
    (READY, b""),
]
WIRE = b"".join(to_host(kind, content) for kind, content in WORDS)


@given(cuts=st.sets(st.integers(0, len(WIRE)), max_size=20) | st.sets(st.integers(0, 30)))
@settings(deadline=None)
def test_frames_are_the_same_wherever_the_bytes_were_cut(cuts: set[int]) -> None:
    cutter, edges = Cutter(100_000), [0, *sorted(cuts), len(WIRE)]
    assert [frame for a, b in pairwise(edges) for frame in cutter.feed(WIRE[a:b])] == WORDS


@pytest.mark.parametrize(
    "head",
    [
        HEAD.pack(0, 200),
        HEAD.pack(1, READY),
        HEAD.pack(1002, WRITE),
        HEAD.pack(0xFFFFFFFF, OUTCOME),
        HEAD.pack(frames.LARGEST_WORDS + 1, frames.BROKEN),
    ],
)
def test_a_frame_that_cannot_be_is_refused_by_its_head(head: bytes) -> None:
    with pytest.raises(FrameError):
        Cutter(1000).feed(head)


def test_what_is_only_announced_takes_no_memory() -> None:
    cutter = Cutter(1 << 30)
    tracemalloc.start()
    try:
        assert cutter.feed(HEAD.pack(1 << 30, WRITE) + b"\1") == []
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# ---- questions and outcomes


@given(value=VALUES)
@settings(deadline=None)
def test_any_value_is_a_question_and_an_outcome_or_neither(value: Any) -> None:
    for read in (question_of, outcome_of):
        try:
            told = read(value)
        except FrameError:
            continue
        assert isinstance(told, tuple)


@given(
    told=st.dictionaries(
        st.sampled_from(["type", "message", "kind", "hint", "line", "traceback", "retryable", "value", "script", "id"]),
        VALUES,
    ),
    frames_told=st.none() | st.lists(VALUES | st.dictionaries(st.sampled_from(["source", "line", "what"]), VALUES)),
)
@settings(deadline=None)
def test_whatever_is_told_of_an_error_it_becomes_one(told: dict[str, Any], frames_told: Any) -> None:
    if frames_told is not None:
        told["traceback"] = frames_told
    _, kept, _ = outcome_of([ERROR, told, None])
    error = script_failure(kept, None, "s.lua")
    assert isinstance(error, Exception)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [DONE],
        [DONE, 1, 2],
        ["0", 1],
        [True, 1],
        [CALL, 5, []],
        [CALL, "x", {}],
        [STOPPED, None],
        [ERROR, [], None],
        [7],
        [99, "x"],
    ],
)
def test_outcomes_of_the_wrong_shape_are_the_error(value: Any) -> None:
    with pytest.raises(FrameError):
        outcome_of(value)


@pytest.mark.parametrize(
    "value",
    [
        ["prelude", ["../../../x"]],
        ["api.missing", ["Agent", "x", ["y" * 300]]],
        ["api.missing", ["Agent", "x", ["y"] * 2000]],
        ["api.missing", ["Agent", "x", [5]]],
        ["api.missing", []],
        ["Log.info"],
        [b"Log.info", []],
        ["Log.info", {}],
    ],
)
def test_questions_that_no_script_asks_are_the_error(value: Any) -> None:
    with pytest.raises(FrameError):
        question_of(value)
