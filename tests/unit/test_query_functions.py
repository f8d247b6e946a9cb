"""The functions of queries: what each gives, and what it does not take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError
from llmspell.tools.query import Query
from llmspell.tools.query_functions import FUNCTIONS

pytestmark = pytest.mark.once

DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("query", "value", "found"),
    [
        ("length", None, [0]),
        ("length", -3, [3]),
        ("keys", ["a", "b"], [[0, 1]]),
        ("add", [], [None]),
        ("add", ["a", "b"], ["ab"]),
        ("add", {"x": [1], "y": [2]}, [[1, 2]]),
        ("add", [1, None, 2], [3]),
        ("flatten(1)", [[1, [2]], 3], [[1, [2], 3]]),
        ("from_entries", [{"name": "a", "v": 1}, {"k": None, "value": 2}], [{"a": 1, "null": 2}]),
        ('has(0), has(1), has("x")', ["a"], [True, False, False]),
        ("contains({a: [1]}), contains({b: 1})", {"a": [1, 2]}, [True, False]),
        ('contains("b"), index("c"), index("d")', "abc", [True, 2, None]),
        ("contains(1)", 1, [True]),
        ("index(2), index(3)", [1, 2], [1, None]),
        ('test("^a"), test("^b")', "ab", [True, False]),
        ("tostring, tojson", "a", ["a", '"a"']),
        ("tostring, tojson", [1, None], ["[1,null]", "[1,null]"]),
        ("tonumber", " -12 ", [-12]),
        ("tonumber", "1.5e3", [1500.0]),
        (".[] | type", [None, True, 1, "a", [], {}], ["null", "boolean", "number", "string", "array", "object"]),
        ("reverse", "abc", ["cba"]),
        ("min, max", [], [None, None]),
        ("min_by(.a), max_by(.a) | .b", [{"a": 2, "b": 1}, {"a": 1, "b": 2}], [2, 1]),
        ("min_by(.a), max_by(.a)", [], [None, None]),
        ("unique_by(.a) | length", [{"a": 1, "b": 1}, {"a": 1, "b": 2}], [1]),
        ("join(0 | tostring)", [1, None, "a"], ["100a"]),
        ('split("")', " a  b ", [["a", "b"]]),
        ('startswith("a"), endswith("c")', "abc", [True, True]),
        ('ltrimstr("a"), rtrimstr("c"), ltrimstr(1)', "abc", ["bc", "ab", "abc"]),
        ("trim, ascii_downcase", " A", ["A", " a"]),
        ("floor, ceil, round, abs", -1.5, [-2, -1, -2, 1.5]),
        ("map(. + 1)", {"a": 1}, [[2]]),
        ("map_values(. + 1)", {"a": 1}, [{"a": 2}]),
        ("map_values(. + 1, 9)", [1, 2], [[2, 3]]),
        ("map_values(empty)", {"a": 1}, [{}]),
        ("any, all", [True, False], [True, False]),
        ("first, last", [1, 2], [1, 2]),
        ("first, last", [], [None, None]),
        ("first(empty), last(empty)", [1], []),
        ("last(.[])", [1, 2], [2]),
        ('limit(0; .[]), limit(-1; .[]), limit("a"; .[])', [1], []),
        ("[recurse] | length", [1, [2]], [4]),
        (".[1.9], .[-1]", [1, 2], [2, 2]),
        (".[:1], .[1:]", "ab", ["a", "b"]),
        (".[0:1]", None, [None]),
        ("{a: {b: 1}, c: 1} * {a: {d: 2}, c: {}}", None, [{"a": {"b": 1, "d": 2}, "c": {}}]),
        ("[1, 2, 1] - [1]", None, [[2]]),
        ('"a/b" / "/"', None, [["a", "b"]]),
        ("null + 1, 1 + null", None, [1, 1]),
        ("-7 % 4, 10 % 3.7", None, [-3, 1]),
        ("[] < {}, null < false, false < true, 1 < 1.5, [1] < [1, 0]", None, [True, True, True, True, True]),
        ('{a: 2} > {a: 1}, {b: 0} > {a: 9}, "a" != "b", [1, 2] >= [1, 2]', None, [True, True, True, True]),
    ],
)
def test_found(query: str, value: Any, found: list[Any]) -> None:
    assert Query(query).run(value) == found


@pytest.mark.parametrize(
    ("query", "value", "said"),
    [
        ("length", True, "a boolean has no length"),
        ("to_entries", 1, "`to_entries` takes an object, not a number"),
        ("from_entries", [1], "`from_entries` takes a list of objects, not of a number"),
        ("flatten(null)", [[1]], "`flatten` takes a number, not null"),
        ('flatten("x")', [[1]], "`flatten` takes a number, not a string"),
        ("tonumber", "0x10", "`0x10` is no number"),
        ("tojson", DEEP, "a list cannot be written as JSON"),
        ("tostring", DEEP, "a list cannot be written as JSON"),
        ("join(1)", [1], "`join` takes a string, not a number"),
        ("startswith(1)", "a", "`startswith` takes a string, not a number"),
        ("index(1)", "a", "`index` takes a string, not a number"),
        ("index(1)", 1, "`index` takes a list, not a number"),
        ("floor", "1", "there is no rounding of a string"),
        ("floor", float("inf"), "there is no rounding of a number"),
        (".[1e400]", [1], "there is no place inf"),
        (".[1e400 - 1e400]", [1], "there is no place nan"),
        (".[:1e400]", [1], "there is no place inf"),
        ('.["a":]', [1], "the ends of a slice are numbers"),
        (".[0:1]", 1, "a slice is of a list or a string, not of a number"),
        (".[true]", [1], "a list has no place that is a boolean"),
        ('"a" * {}', None, "`*` does not go with a string and an object"),
        ("1 % 0", None, "a division by 0"),
        ("1e400 % 2", None, "a number is too large"),
    ],
)
def test_what_does_not_fit_is_said(query: str, value: Any, said: str) -> None:
    with pytest.raises(ToolError) as caught:
        Query(query).run(value)
    assert said in caught.value.message


def test_a_text_that_joins_to_too_much_is_refused() -> None:
    with pytest.raises(ToolError, match="longer than 10000000"):
        Query("join(.[0])").run(["x" * 100_000] * 101)


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(VALUES, VALUES, st.sampled_from(sorted(FUNCTIONS)))
def test_any_function_of_any_values_finds_something_or_is_an_error_of_ours(value: Any, other: Any, name: str) -> None:
    words = [f"{name}({'; '.join(['.[1]'] * takes)})" if takes else name for takes in FUNCTIONS[name][1]]
    for word in words:
        try:
            Query(f"[.[1], .[0]] | {word}, (.[1] | {word})").run([value, other])
        except LLMSpellError:
            pass
