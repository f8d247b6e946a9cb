"""JSON Schema: which values fit, what is said of those that do not, and that no schema or value takes for ever."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.tools.patterns import Pattern, TooLong
from llmspell.tools.schema import MAX_COMPLAINTS, Schema, check, from_script

pytestmark = pytest.mark.once

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    },
}

# Schema, values that fit, values that do not.
TABLE: list[tuple[Any, list[Any], list[Any]]] = [
    (True, [1, None, {}], []),
    (False, [], [1, None]),
    ({}, [1, "a", None], []),
    ({"type": "integer"}, [1, 1.0, -3], [1.5, True, "1", None]),
    ({"type": "number"}, [1, 1.5], [True, "1"]),
    ({"type": ["string", "null"]}, ["a", None], [1, [], {}]),
    ({"type": "boolean"}, [True], [0, 1, "true"]),
    ({"enum": [1, "a", None, [1]]}, [1, 1.0, "a", None, [1.0]], [True, "b", [2]]),
    ({"const": {"a": [1, {"b": None}]}}, [{"a": [1.0, {"b": None}]}], [{"a": [1]}, 1]),
    ({"const": False}, [False], [0, None]),
    ({"minimum": 1, "maximum": 3}, [1, 3, "a"], [0.99, 3.01]),
    ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3]),
    ({"multipleOf": 3}, [0, 9, -3, 6.0], [1, 10]),
    ({"multipleOf": 0.1}, [0.3, 1, 0.7], [0.35]),
    ({"minLength": 2, "maxLength": 3}, ["ab", "äöü", 5], ["a", "abcd"]),
    ({"pattern": "b+"}, ["abbc", 1], ["ac", ""]),
    ({"pattern": "^[A-Z]{2}-\\d{3}$"}, ["AB-123"], ["ab-123", "AB-1234", "AB-12\n", "xAB-123"]),
    ({"format": "date"}, ["2024-02-29", 3], ["2023-02-29", "2024-2-9", "soon"]),
    ({"format": "date-time"}, ["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.5+02:00"], ["2024-02-29T25:00:00Z"]),
    ({"format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567"]),
    ({"format": "ipv4"}, ["127.0.0.1"], ["256.0.0.1", "1.2.3"]),
    ({"format": "email"}, ["a@b.org"], ["a.b.org", "@b"]),
    ({"format": "uri"}, ["https://x.org/a?b"], ["x.org", "a b:c"]),
    ({"format": "of-my-own"}, ["anything"], []),
    ({"items": {"type": "integer"}}, [[], [1, 2]], [["a"], [1, "a"]]),
    ({"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False}, [[], [1, "a"]], [["a"], [1, "a", 2]]),
    ({"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    ({"uniqueItems": True}, [[1, 2], [1, True], [{"a": 1}, {}]], [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]]),
    ({"contains": {"const": 5}}, [[1, 5]], [[], [1]]),
    ({"contains": {"const": 5}, "minContains": 2, "maxContains": 3}, [[5, 5]], [[5], [5] * 4]),
    ({"contains": {"const": 5}, "minContains": 0}, [[]], []),
    ({"required": ["a"]}, [{"a": None}, 1], [{}]),
    ({"properties": {"a": True}, "additionalProperties": {"type": "integer"}}, [{"a": "x", "b": 1}], [{"b": "x"}]),
    ({"patternProperties": {"^x": {"minimum": 2}}, "additionalProperties": False}, [{"x": 2}], [{"x-a": 1}, {"y": 1}]),
    ({"propertyNames": {"maxLength": 2}}, [{"ab": 1}], [{"abc": 1}]),
    ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
    ({"dependentRequired": {"a": ["b"]}}, [{"b": 1}, {"a": 1, "b": 1}], [{"a": 1}]),
    ({"dependentSchemas": {"a": {"required": ["b"]}}}, [{}, {"a": 1, "b": 1}], [{"a": 1}]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [0, 3]),
    ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 6], [1]),
    ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, [2, 3], [6, 5]),
    ({"not": {"type": "string"}}, [1], ["a"]),
    ({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}, ["ab", 2], ["a", 1]),
    ({"if": {"const": 1}}, [1, 2], []),
    (TREE, [{}, {"next": None}, {"next": {"next": {}}}], [1, {"next": 3}, {"next": {"next": 1}}]),
    ({"$ref": "#/definitions/a~1b", "definitions": {"a/b": {"type": "null"}}}, [None], [1]),
    ({"$ref": "#here", "$defs": {"x": {"$anchor": "here", "type": "null"}}}, [None], [1]),
    ({"$ref": "#/else_where/0", "else_where": [{"type": "null"}]}, [None], [1]),
    (PERSON, [{"name": "A", "age": 3}], [{}, {"name": "", "age": 1}, {"name": "A", "age": 1, "x": 2}, []]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "good", "bad"), TABLE, ids=[str(row[0])[:60] for row in TABLE])
def test_what_fits_and_what_does_not(schema: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert check(value, schema) == []
    for value in bad:
        assert check(value, schema) != []


def test_complaints_say_where_and_what() -> None:
    value = {"age": -1, "tags": ["a", 2, "a"], "odd name": 1}
    assert check(value, PERSON) == [
        "$.name: is missing",
        "$.age: must be at least 0, not -1",
        "$.tags[1]: must be a string, not 2",
        "$.tags: must not hold the same item twice",
        '$["odd name"]: is not a member that may be there',
    ]
    assert check({"name": 1, "age": "3"}, PERSON) == [
        "$.name: must be a string, not 1",
        '$.age: must be an integer, not the string "3"',
    ]
    assert check("c", {"enum": ["a", "b"]}) == ['$: must be one of "a", "b", not the string "c"']
    assert check({"next": {"next": 1}}, TREE)[0].startswith("$.next: none of the allowed forms fits")


def test_complaints_are_bounded_and_on_one_line() -> None:
    found = check(["\n\x1b[31m" + "x" * 10_000] * 1000, {"items": {"type": "integer"}})
    assert len(found) == MAX_COMPLAINTS
    assert all(one.isprintable() and len(one) < 200 for one in found)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (3, "`schema` must be a JSON Schema"),
        ({"type": "text"}, "`schema.type` is `text`, which is no type"),
        ({"type": []}, "`schema.type` must be"),
        ({"properties": []}, "`schema.properties` must be"),
        ({"properties": {"a": 1}}, "`schema.properties.a` must be a JSON Schema"),
        ({"items": {"required": "a"}}, "`schema.items.required` must be a list of names"),
        ({"minimum": "1"}, "`schema.minimum` must be a number"),
        ({"minLength": -1}, "`schema.minLength` must be a whole number"),
        ({"multipleOf": 0}, "`schema.multipleOf` must be a number above 0"),
        ({"anyOf": []}, "`schema.anyOf` must be a list of JSON Schemas"),
        ({"pattern": "("}, "cannot be read"),
        ({"pattern": r"(a)\1"}, "not taken here"),
        ({"pattern": "(?=a)"}, "not taken here"),
        ({"$ref": "#/nowhere"}, "is not in the schema"),
        ({"$ref": "https://example.org/schema"}, "is not in the schema"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}}}, "is not in the schema"),
        ({"$ref": "#/x", "x": {"type": "nothing"}}, "which is no type"),
    ],
)
def test_a_schema_that_is_none_is_refused_when_it_is_read(schema: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Schema(schema)
    assert told in caught.value.message


@pytest.mark.unmeasured
def test_what_goes_round_for_ever_ends() -> None:
    assert check(1, {"$ref": "#"}) == ["$: takes too long to check"]
    assert check(1, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}) == ["$: takes too long to check"]
    deep: Any = {}
    for _ in range(200):
        deep = {"not": deep}
    with pytest.raises(ValidationError, match="nested"):
        Schema(deep)
    value: Any = 1
    for _ in range(5000):
        value = [value]
    assert check(value, {"items": {"$ref": "#"}}) == ["$: must not be nested more than 56 deep"]
    wide = [[0] * 1000] * 1000
    start = time.process_time()
    assert check(wide, {"items": {"items": {"type": "integer"}}}) == ["$: takes too long to check"]
    assert time.process_time() - start < 5


@pytest.mark.unmeasured
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)+$", "(a|aa)+$", "a*a*a*a*a*a*a*b", "((a{1,9}){1,9})*b"])
def test_no_pattern_takes_exponential_time(pattern: str) -> None:
    start = time.process_time()
    assert not Pattern(pattern).search("a" * 1000 + "!")
    assert time.process_time() - start < 3


@pytest.mark.unmeasured
def test_a_pattern_that_is_too_much_is_refused_or_gives_up() -> None:
    for pattern in ("(a{1000}){1000}", "a" * 2000, "a{4000}", "(((a?){99}){99}){99}"):
        with pytest.raises(ValidationError):
            Pattern(pattern)
    assert Pattern("(((){2000}){2000}){2000}").search("")
    for text in ("abcd" * 40_000, "abcd" * 100_000):
        with pytest.raises(TooLong):
            Pattern("(ab|cd|ef|gh)*x").search(text)
    assert check("ab" * 300_000, {"pattern": "c"}) == ["$: takes too long to check"]


@pytest.mark.unmeasured
def test_many_small_costs_are_bounded_together() -> None:
    start = time.process_time()
    hard = {"items": {"pattern": "^(a?){40}(a?){40}a*$"}}
    assert check(["a" * 100] * 10_000, hard) == ["$: takes too long to check"]
    large: Any = [[1] * 1000] * 100
    assert check(large, {"anyOf": [{"enum": [[n]]} for n in range(5000)]}) != []
    assert check({f"m{n}": n for n in range(50_000)}, {"allOf": [{"minProperties": 1}] * 9000}) != []
    assert check([{}] * 5000, {"items": {"required": [f"n{n}" for n in range(5000)]}}) != []
    assert time.process_time() - start < 10


def test_a_schema_of_too_many_parts_is_refused() -> None:
    for schema in (
        {"allOf": [{"minimum": n} for n in range(10_001)]},
        {"allOf": [{"pattern": f"a{n}"} for n in range(202)]},
    ):
        with pytest.raises(ValidationError, match="the schema has more than"):
            Schema(schema)


LETTERS = st.sampled_from("aab0_ -\n")
ATOMS = st.sampled_from(["a", "b", ".", r"\d", r"\w", r"\S", "[ab]", "[^a]", "[a-b0]", r"[\d_]", "^", "$", r"\b", " "])
PATTERNS = st.recursive(
    ATOMS,
    lambda inside: st.one_of(
        st.builds("{}{}".format, inside, inside),
        st.builds("(?:{}|{})".format, inside, inside),
        st.builds("({}){}".format, inside, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"])),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text(LETTERS, max_size=8))
@settings(max_examples=200, deadline=None)
def test_patterns_find_what_python_finds(pattern: str, text: str) -> None:
    import re

    # Python's `$` also stands before a last newline, JSON Schema's does not.
    python = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    assert Pattern(pattern).search(text) is (python.search(text) is not None)


SCALARS = st.sampled_from([None, True, False, 0, 1, 2, 1.0, 2.5, "", "a", "ab", "b1"])
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.sampled_from("abx"), inside, max_size=3),
    max_leaves=6,
)
SIZES = st.integers(0, 3)


def schemas(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    words: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(["null", "boolean", "object", "array", "number", "integer", ["string", "null"]]),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "minimum": SIZES, "exclusiveMaximum": SIZES, "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": SIZES, "maxLength": SIZES, "pattern": st.sampled_from(["a", "^b", "[0-9]$"]),
        "minItems": SIZES, "maxItems": SIZES, "uniqueItems": st.booleans(),
        "minProperties": SIZES, "maxProperties": SIZES,
        "required": st.lists(st.sampled_from("abx"), unique=True, max_size=2),
        "items": inside, "prefixItems": st.lists(inside, min_size=1, max_size=2), "contains": inside,
        "minContains": SIZES, "maxContains": SIZES,
        "properties": st.dictionaries(st.sampled_from("ab"), inside, max_size=2),
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "x"]), inside, max_size=2),
        "additionalProperties": inside, "propertyNames": inside,
        "dependentRequired": st.dictionaries(st.sampled_from("ab"), st.just(["x"]), max_size=1),
        "dependentSchemas": st.dictionaries(st.sampled_from("ab"), inside, max_size=1),
        "allOf": st.lists(inside, min_size=1, max_size=2), "anyOf": st.lists(inside, min_size=1, max_size=2),
        "oneOf": st.lists(inside, min_size=1, max_size=2), "not": inside,
        "if": inside, "then": inside, "else": inside,
    }  # fmt: skip
    names = st.lists(st.sampled_from(sorted(words)), unique=True, min_size=1, max_size=3)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: words[name] for name in chosen}))


SCHEMAS = st.recursive(st.booleans() | schemas(st.booleans()), schemas, max_leaves=4)


@given(SCHEMAS, VALUES)
@settings(max_examples=200, deadline=None)
def test_it_agrees_with_the_reference(schema: Any, value: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert (check(value, schema) == []) is jsonschema.Draft202012Validator(schema).is_valid(value)


@given(SCHEMAS, VALUES)
@settings(max_examples=50, deadline=None)
def test_any_schema_gives_complaints_of_any_value(schema: Any, value: Any) -> None:
    for complaint in check(value, schema):
        place, _, what = complaint.partition(": ")
        assert place.startswith("$")
        assert what


def test_an_empty_table_is_a_list_where_a_schema_wants_one() -> None:
    given_ = {
        "type": "object",
        "properties": {"a": {"enum": {}, "default": {}}, "b": {"required": {}, "properties": []}},
        "required": {},
        "$defs": [],
        "items": [],
    }
    assert from_script(given_) == {
        "type": "object",
        "properties": {"a": {"enum": [], "default": {}}, "b": {"required": [], "properties": {}}},
        "required": [],
        "$defs": {},
        "items": {},
    }


def test_a_class_of_many_members_costs_what_it_takes() -> None:
    members = "".join(chr(0x4E00 + 2 * number) for number in range(400))
    with pytest.raises(TooLong):
        Pattern(f"^([{members}]|[^{members}])*$").find("a" * 5000, 100_000)


def test_the_patterns_of_one_object_are_counted() -> None:
    with pytest.raises(ValidationError, match="patterns"):
        Schema({"patternProperties": {f"a{number}": True for number in range(5000)}})


def test_an_index_of_many_digits_points_at_nothing() -> None:
    with pytest.raises(ValidationError, match="not in the schema"):
        Schema({"allOf": [True], "$ref": "#/allOf/" + "9" * 5000})


def test_deep_values_are_checked_by_schemas_that_go_through_others() -> None:
    node = {
        "allOf": [{"$ref": "#/$defs/part"}],
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    }
    schema = Schema({"$ref": "#/$defs/node", "$defs": {"node": node, "part": {"required": ["next"]}}})
    value: dict[str, object] = {"next": None}
    for _ in range(50):
        value = {"next": value}
    assert schema.check(value) == []


@pytest.mark.parametrize(("text", "good"), [("23:59:60Z", True), ("12:30:60Z", False), ("01:29:60+01:30", True)])
def test_a_leap_second_is_at_the_end_of_an_hour(text: str, good: bool) -> None:
    assert (Schema({"format": "time"}).check(text) == []) is good


def test_what_is_no_text_is_called_so() -> None:
    schema = {"properties": {"a": {"type": "string"}}, "additionalProperties": False, "patternProperties": {"x": {}}}
    assert check({"a": b"\xff"}, schema) == ["$.a: must be a string, not a string that is not UTF-8"]
    assert check({b"\xff": 1}, schema) == ["$: has a member whose name is a string that is not UTF-8"]
    assert check({5: 1}, {**schema, "propertyNames": {"maxLength": 3}}) == ["$: has a member whose name is 5"]
