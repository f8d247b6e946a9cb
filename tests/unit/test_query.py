"""Queries of JSON values."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError, ValidationError
from llmspell.tools.query import Query

pytestmark = pytest.mark.once

DATA: dict[str, Any] = {
    "users": [
        {"id": 1, "name": "Alice", "age": 30, "tags": ["a", "b"]},
        {"id": 2, "name": "Bob", "age": 25, "tags": []},
    ],
    "m": {"v": "1.0", "x y": 3, "n": None},
}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (".", [DATA]),
        ("", [DATA]),
        (".m.v", ["1.0"]),
        ('.m."x y"', [3]),
        ('.m["x y"]', [3]),
        (".users[].name", ["Alice", "Bob"]),
        (".users[-1].id", [2]),
        (".users[5]", [None]),
        (".users[0:1] | length", [1]),
        (".users[.users | length - 1].id", [2]),
        (".users[] | select(.age > 25) | {name, age}", [{"name": "Alice", "age": 30}]),
        (".users | map({full: .name, y: (.age - 20)})", [[{"full": "Alice", "y": 10}, {"full": "Bob", "y": 5}]]),
        (".users | sort_by(.age) | map(.id)", [[2, 1]]),
        (".users | sort_by(.age) | reverse | .[0:1] | .[].id", [1]),
        ("[.users[].age] | add, min, max", [55, 25, 30]),
        (".users | group_by(.age > 26) | map(length)", [[1, 1]]),
        (".users | any(.age > 29), all(.age > 29)", [True, False]),
        (".nope // 5", [5]),
        (".m.n // .m.v", ["1.0"]),
        (".users.name?", []),
        ("[.users[] | .tags[]?]", [["a", "b"]]),
        ('.users | map(.name) | join(", ")', ["Alice, Bob"]),
        ('if .m.v == "1.0" then "y" elif .q then "z" else "n" end', ["y"]),
        (".m | keys", [["n", "v", "x y"]]),
        (".m | to_entries | from_entries | .v", ["1.0"]),
        ('.m | with_entries(select(.key == "v"))', [{"v": "1.0"}]),
        (".m.v | tonumber + 1", [2.0]),
        ('.m | has("v"), has("w")', [True, False]),
        ("1, 2 | . * 10", [10, 20]),
        ("-1 + 2 * 3", [5]),
        ("7 / 2, 8 / 2, 7 % 4", [3.5, 4, 3]),
        ('"a" + "b", [1] + [2], {a: 1} + {b: 2}', ["ab", [1, 2], {"a": 1, "b": 2}]),
        ("[1, 2, 2] | unique | length", [2]),
        ('{("a" + "b"): 1}', [{"ab": 1}]),
        ("first(.users[]) | .id", [1]),
        ("[limit(1; .users[])] | length", [1]),
        ('.users[] | select(.name | test("^A")) | .id', [1]),
        ("true and false or true, (null | not)", [True, True]),
        ("$.users[*].name", ["Alice", "Bob"]),
        ("$..name", ["Alice", "Bob"]),
        ("$.users[?(@.age < 28)].name", ["Bob"]),
        ("$['m']['v']", ["1.0"]),
        ("empty", []),
        ("[[1, [2]], 3] | flatten", [[1, 2, 3]]),
        ('"a,b" | split(","), ascii_upcase, length', [["a", "b"], "A,B", 3]),
    ],
)
def test_found(query: str, found: list[Any]) -> None:
    assert Query(query).run(DATA) == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (".users[", "a filter is missing"),
        ("selct(.x)", "there is no `selct` here"),
        ("{a", "`}` is missing"),
        ('"abc', "a string is not closed"),
        (".a =", "`=` means nothing"),
        ("map", "`map` takes 1 arguments, not 0"),
        (".a b", "`b` is unexpected"),
        ("if . then 1", "`end` is missing"),
        ("(" * 100, "nested more than 40 deep"),
        ("-" * 9000 + "1", "nested too deep"),
        ("." * 20_000, "longer than 10000"),
    ],
)
def test_what_is_no_query(query: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Query(query)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "query", [".users.name", ".m[]|.x", '1 + "a"', "1 / 0", ".users | tonumber", ".m | sort", "1 | keys"]
)
def test_what_does_not_fit(query: str) -> None:
    with pytest.raises(ToolError):
        Query(query).run(DATA)


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "query", ["[.[] + .[]] | length", "[..]|[..]|[..]|[..]|[..]|[..]", "map(.[0:100])|[.,.]|[.,.]|[..]"]
)
def test_time_is_bounded(query: str) -> None:
    started = time.process_time()
    with pytest.raises(ToolError):
        Query(query).run(list(range(5000)))
    assert time.process_time() - started < 10


DOUBLED = "|".join(["[., .]"] * 28)


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "query",
    [
        DOUBLED,
        f"{DOUBLED} | tostring",
        f"({DOUBLED}) == ({DOUBLED})",
        "|".join(["{a: ., b: .}"] * 28),
        "|".join(["[.] + [.]"] * 28),
        "[., .] | " + "|".join(["map([., .][])"] * 28),
        '"' + "x" * 900 + '" | ' + "|".join([". + ."] * 28),
        "[limit(100; .., ..)] | " + "|".join(['join("' + "y" * 500 + '") | [., ., ., .]'] * 8),
    ],
)
def test_one_value_in_many_places_is_not_written_out(query: str) -> None:
    started = time.process_time()
    with pytest.raises(ToolError):
        Query(query).run(["a", "b"])
    assert time.process_time() - started < 5


def test_a_deep_value_is_an_error_and_no_crash() -> None:
    value: Any = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(ToolError):
        Query("..").run(value)
    with pytest.raises(ToolError):
        Query("unique").run([value, value])


@settings(max_examples=200, deadline=None)
@given(st.text('.[]|,(){}:?"ab01-+*/<>= $@;' + "map", max_size=20))
def test_any_text_finds_something_or_is_an_error_of_ours(query: str) -> None:
    try:
        Query(query).run({"a": [1, {"b": "x"}], "b": None})
    except LLMSpellError:
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON, max_size=6))
def test_sorting_is_an_order(values: list[Any]) -> None:
    once = Query("sort").run(values)[0]
    assert Query("sort").run(once)[0] == once
    assert Query("reverse | sort").run(values)[0] == once
    assert Query("unique | length").run(values)[0] <= len(values)
