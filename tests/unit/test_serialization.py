"""JSON and TOML with places in their errors, and plain values of what Python has."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.types.usage import Usage
from llmspell.utils.serialization import as_dataclass, dumps, loads, loads_toml, plain

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(value=VALUES, pretty=st.booleans(), sort=st.booleans())
def test_values_are_the_same_again(value: Any, pretty: bool, sort: bool) -> None:
    assert loads(dumps(value, pretty=pretty, sort=sort)) == value


@pytest.mark.parametrize(
    ("text", "line", "column"), [("{", 1, 2), ('{\n "a": 1,\n}', 2, 8), ("[1, x]", 1, 5), ("", 1, 1), ("é\n", 1, 1)]
)
def test_json_errors_say_where(text: str, line: int, column: int) -> None:
    with pytest.raises(ValidationError) as failed:
        loads(text, "a.json")
    assert failed.value.message.startswith(f"a.json:{line}:{column}: it is no JSON: ")
    assert (failed.value.context["line"], failed.value.context["column"]) == (line, column)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a = ", 1, 5), ("a = 1\nb 2", 2, 3), ("a = 1\na = 2", 2, 6), (b"a = 1\nb = '\xff'", 2, 6), ("[a", 1, 3)],
)
def test_toml_errors_say_where(text: str | bytes, line: int, column: int) -> None:
    with pytest.raises(ValidationError) as failed:
        loads_toml(text, "a.toml")
    assert (failed.value.context["line"], failed.value.context["column"]) == (line, column)
    assert "it is no TOML" in failed.value.message


@given(text=st.text(max_size=40) | st.binary(max_size=40))
def test_any_text_is_toml_or_an_error_with_a_place(text: str | bytes) -> None:
    place = (1, 1)
    try:
        assert isinstance(loads_toml(text), dict)
    except ValidationError as error:
        place = error.context["line"], error.context["column"]
    assert min(place) >= 1


def test_an_error_says_what_and_where_in_one_line() -> None:
    for read, kind in ((loads, "JSON"), (loads_toml, "TOML")):
        with pytest.raises(ValidationError) as failed:
            read("[1,\n  =]")
        assert re.fullmatch(rf"the text:\d:\d: it is no {kind}: [^:]+", failed.value.message)
        assert "line" not in failed.value.message
    with pytest.raises(
        ValidationError, match=r"^a\.json:2:3: it is no JSON: unexpected character, expected a JSON value$"
    ):
        loads("[1,\n  =]", "a.json")
    with pytest.raises(ValidationError, match=r"^a\.toml:1:5: it is no TOML: Invalid value$"):
        loads_toml("a = =", "a.toml")
    with pytest.raises(ValidationError, match=r"^a\.toml:2:4: it is no TOML: not UTF-8$"):
        loads_toml(b"\xc3\xa9\nab\xc3\xa9\xff", "a.toml")


def test_json_is_short_unless_it_is_to_be_pretty_or_sorted() -> None:
    value = {"b": 1, "a": [2]}
    assert dumps(value) == b'{"b":1,"a":[2]}'
    assert dumps(value, sort=True) == b'{"a":[2],"b":1}'
    assert dumps(value, pretty=True) == b'{\n  "b": 1,\n  "a": [\n    2\n  ]\n}'
    assert dumps(value, pretty=True, sort=True) == b'{\n  "a": [\n    2\n  ],\n  "b": 1\n}'


def test_toml_that_is_nested_too_deep_is_an_error() -> None:
    with pytest.raises(ValidationError):
        loads_toml("a = " + "[" * 100_000)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Inner:
    n: int


@dataclasses.dataclass
class Outer:
    name: str
    inner: Inner
    more: list[int] = dataclasses.field(default_factory=list)


def test_what_python_has_becomes_plain() -> None:
    value = {
        "outer": Outer("a", Inner(1)), "pair": Pair(1, b"\x00\xff"), "colour": Colour.RED, "level": Level.HIGH,
        "path": Path("a/b"), "set": frozenset([1]), "usage": Usage(1, 2), 3: (None, True),
        "when": datetime(2026, 1, 2, tzinfo=UTC), "id": UUID(int=1),
    }  # fmt: skip
    assert loads(dumps(value)) == {
        "outer": {"name": "a", "inner": {"n": 1}, "more": []}, "pair": {"left": 1, "right": "AP8="}, "colour": "red",
        "level": 3, "path": "a/b", "set": [1], "usage": {"input_tokens": 1, "output_tokens": 2}, "3": [None, True],
        "when": "2026-01-02T00:00:00+00:00", "id": "00000000-0000-0000-0000-000000000001",
    }  # fmt: skip
    assert plain(Outer) is Outer  # a class is no value of it


@pytest.mark.parametrize("value", [object(), {"a": lambda: 1}, 2**64, "\ud800"])
def test_what_json_has_not_is_an_error(value: Any) -> None:
    with pytest.raises(ValidationError, match="cannot be written as JSON"):
        dumps(value)


def test_a_value_that_holds_itself_is_an_error() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValidationError, match="cannot be written as JSON"):
        dumps(value)


def test_dataclasses_come_out_of_tables() -> None:
    assert as_dataclass(Outer, {"name": "a", "inner": {"n": 1}}) == Outer("a", Inner(1))
    assert as_dataclass(Outer, {"inner": {"n": 1}, "more": [1], "name": "a"}) == Outer("a", Inner(1), [1])
    for wrong, says in [
        ({"name": "a"}, "the value has no `inner`"),
        ({"name": "a", "inner": {}}, "`inner` of the value has no `n`"),
        ({"name": "a", "inner": {"n": 1, "m": 2}}, "`inner` of the value has no field `m`"),
        ({"name": "a", "inner": 3}, "`inner` of the value must be a table, not a int"),
        ([], "the value must be a table"),
    ]:
        with pytest.raises(ValidationError) as failed:
            as_dataclass(Outer, wrong)
        assert says in failed.value.message
