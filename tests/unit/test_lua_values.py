"""What the pure engine's Lua is handed: shapes and scalars; and what both engines share of errors and bytecode."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell._speedups import _lua_shared, _lua_values
from llmspell._speedups._lua_shared import code_of, let_values_go
from llmspell._speedups._lua_values import MAX_DEPTH, Flat, rebuild, text_of

SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text(max_size=5))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=4),
    max_leaves=12,
)


def flat(value: Any, depth: int = MAX_DEPTH) -> tuple[bytes, list[Any]]:
    one = Flat(None, {})
    one.add(value, depth)
    return bytes(one.shape), one.values


def nested(deep: int) -> Any:
    value: Any = 1
    for _ in range(deep):
        value = [value]
    return value


@given(VALUES)
def test_what_goes_in_comes_out_again(value: Any) -> None:
    shape, values = flat(value)
    assert rebuild(shape, iter(values)) == [value]


@pytest.mark.parametrize(
    ("value", "shape", "values"),
    [
        (None, b"n", []),
        ("é", b"v", [b"\xc3\xa9"]),
        (b"\xff", b"v", [b"\xff"]),
        (True, b"v", [True]),
        ([], b"e", []),
        ((1, None, [2]), b"[v0[v]]", [1, 2]),
        ({}, b"{}", []),
        ({"a": 1, "b": None, 2: {"c": "d"}}, b"{vvv{vv}}", [b"a", 1, 2, b"c", b"d"]),
        (2**63 - 1, b"v", [2**63 - 1]),
        (-(2**63), b"v", [-(2**63)]),
        (2**63, b"v", [2.0**63]),
        (-(2**63) - 1, b"v", [-(2.0**63)]),
    ],
)
def test_shapes(value: Any, shape: bytes, values: list[Any]) -> None:
    told = flat(value)
    assert told == (shape, values)
    assert [type(one) for one in told[1]] == [type(one) for one in values]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        (10**400, ValueError, "beyond the range of floats"),
        (-(10**400), ValueError, "beyond the range of floats"),
        (object(), TypeError, "a Python object cannot go into Lua"),
        ({(1,): 1}, TypeError, "a Python tuple cannot be a key in Lua"),
        ({float("nan"): 1}, TypeError, "a Python float cannot be a key in Lua"),
        ({None: 1}, TypeError, "a Python NoneType cannot be a key in Lua"),
    ],
)
def test_what_lua_cannot_have(value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        flat(value)


def test_how_deep_and_how_many() -> None:
    assert MAX_DEPTH == 64
    assert flat(nested(64))[0] == b"[" * 64 + b"v" + b"]" * 64
    with pytest.raises(ValueError, match="nested more than 64 deep"):
        flat(nested(65))
    assert flat({"a": {"b": 1}}, 2)[0] == b"{v{vv}}"
    with pytest.raises(ValueError, match="nested"):
        flat({"a": {"b": {}}}, 2)


def test_values_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _lua_values.MAX_VALUES == 1_000_000
    monkeypatch.setattr(_lua_values, "MAX_VALUES", 5)
    assert flat([1, 2, 3, 4])[0] == b"[vvvv]"
    assert flat({"a": 1, "b": 2, "c": 3, "d": 4})[0] == b"{" + b"vv" * 4 + b"}"
    for value in ([1, 2, 3, 4, 5], {"a": [1, 2], "b": [3]}):
        with pytest.raises(ValueError, match="more than 5 values"):
            flat(value)


class Chunk(NamedTuple):
    stream_id: str
    index: int
    content: Any
    metadata: dict[str, Any]
    timestamp: float

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.index}


class Word(NamedTuple):
    text: str


class Else(NamedTuple):
    text: str


def test_chunks_that_share_their_metadata_tell_them_once() -> None:
    one = Flat(Chunk, {Word: b"text"})
    first, second = {"m": 1}, {"m": 1}
    told = [
        Chunk("s", 0, Word("a"), first, 0.5),
        Chunk("s", 1, Word("é"), first, 1.5),
        Chunk("s", 2, Word("c"), second, 2.5),
    ]
    one.add([*told, Chunk("s", 3, Else("x"), second, 3.5)])
    assert bytes(one.shape) == b"[m{vv}ccm{vv}c{vv}]"
    assert one.values == [
        b"m", 1, b"s", 0, b"text", b"a", 0.5, b"s", 1, b"text", b"\xc3\xa9", 1.5,
        b"m", 1, b"s", 2, b"text", b"c", 2.5, b"index", 3,
    ]  # fmt: skip


def test_bytes_that_are_no_text_stay_bytes() -> None:
    assert (text_of(b"\xc3\xa9"), text_of(b"\xff")) == ("é", b"\xff")
    assert rebuild(b"{vv}nv", iter([b"\xff", b"a", b"\xfe"])) == [{b"\xff": "a"}, None, b"\xfe"]


# ---- what both engines share


class Heavy:
    """What a frame holds."""


def test_an_exception_that_is_kept_holds_nothing_of_the_calls_that_raised_it() -> None:
    seen: list[weakref.ref[Heavy]] = []

    def fails(cause: BaseException | None) -> None:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        raise ValueError from cause

    def failed(cause: BaseException | None) -> ValueError:
        try:
            fails(cause)
        except ValueError as error:
            return error
        raise AssertionError

    error: BaseException | None = None
    for _ in range(3):
        error = failed(error)
    assert all(one() is not None for one in seen)
    let_values_go(error)
    assert all(one() is None for one in seen)
    error.__cause__ = None  # type: ignore[union-attr]
    let_values_go(None)


def test_what_came_before_an_exception_is_let_go_as_well() -> None:
    seen: list[weakref.ref[Heavy]] = []

    def inner() -> None:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        raise ValueError

    def outer() -> None:
        try:
            inner()
        except ValueError:
            raise KeyError  # noqa: B904

    try:
        outer()
    except KeyError as error:
        let_values_go(error)
    assert seen[0]() is None


def test_a_chain_without_end_is_followed_twenty_times() -> None:
    error, other = ValueError(), KeyError()
    error.__context__, other.__context__ = other, error
    let_values_go(error)


def test_a_generator_that_waits_is_not_closed() -> None:
    closed: list[str] = []

    def waits() -> Any:
        try:
            yield 1
        except ValueError:
            yield 2
        finally:
            closed.append("closed")

    def fails(generator: Any) -> None:
        try:
            next(generator)
            raise ValueError
        except ValueError as error:
            generator.throw(error)
            raise

    generator = waits()
    try:
        fails(generator)
    except ValueError as error:
        let_values_go(error)
    assert closed == []
    generator.close()
    assert closed == ["closed"]


def test_a_text_that_is_met_again_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lua_shared, "_met", set())
    monkeypatch.setattr(_lua_shared, "_codes", {})
    asked: list[bytes] = []

    def compiled(text: bytes) -> bytes:
        asked.append(text)
        return b"code"

    long, short = b"x" * 1001, b"x" * 1000
    assert [code_of(long, compiled) for _ in range(3)] == [long, b"code", b"code"]
    assert [code_of(short, compiled) for _ in range(3)] == [short] * 3
    assert asked == [long]
