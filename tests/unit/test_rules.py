"""Rules of `data_validation`: what each says of a value, the ways to write them, and that none makes a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ValidationError
from llmspell.tools.rules import RULES, broken, listed

pytestmark = pytest.mark.once


def messages(value: Any, *rules: Any) -> list[str]:
    found = broken(value, listed(list(rules)))
    return [": ".join(filter(None, (one["field"], one["message"]))) for one in found]


@pytest.mark.parametrize(
    ("value", "rule", "said"),
    [
        ("", "required", ["is missing"]),
        (0, "required", []),
        ([], "not_empty", ["is empty"]),
        (0, "not_empty", []),
        (1.0, {"type": "type", "expected": "integer"}, []),
        (1.5, {"type": "type", "expected": "integer"}, ["must be of type integer, not number"]),
        (float("inf"), {"type": "type", "expected": "integer"}, ["must be of type integer, not number"]),
        (10**400, {"type": "type", "expected": "integer"}, []),
        (True, {"type": "type", "value": ["number", "null"]}, ["must be of type number or null, not boolean"]),
        (None, {"type": "type", "expected": "string", "optional": True}, []),
        (None, {"type": "type", "expected": "string"}, ["must be of type string, not null"]),
        (b"\xff", {"type": "type", "expected": "array"}, ["must be of type array, not bytes that are no text"]),
        ("a", {"type": "length", "min": 2}, ["must have a length of at least 2, not 1"]),
        ({"a": 1, "b": 2}, {"type": "length", "max": 1}, ["must have a length of at most 1, not 2"]),
        (1, {"type": "length"}, ["has no length"]),
        (5, {"type": "range", "min": 6}, ["must be at least 6, not 5"]),
        (5, {"type": "range", "max": True}, []),
        ("5", {"type": "range", "min": 1}, ["must be a number"]),
        (None, {"type": "range", "min": 1}, []),
        ("b", {"type": "pattern", "regex": "^a"}, ['must match "^a"']),
        ("a", {"type": "pattern", "pattern": "^a"}, []),
        (5, {"type": "pattern", "regex": "a"}, ["must be a string"]),
        (None, {"type": "pattern", "regex": "a"}, []),
        ("a", {"type": "enum", "values": ["b", 1]}, ['must be one of "b", 1, not "a"']),
        (1.0, {"type": "enum", "values": [1]}, []),
        ("me@example.org", "email", []),
        ("me", "email", ["must be an e-mail address"]),
        (5, "uuid", ["must be a UUID"]),
        ("https://example.org/a", "url", []),
        ("http://[x", "url", ["must be a URL"]),
        ("http://h/a b", "url", ["must be a URL"]),
        ("javascript:alert(1)", "url", ["must be a URL"]),
        ("2026-01-31", "date", []),
        ("2026-13-01", "date", ["must be a date"]),
        ("31.01.2026", {"type": "date", "format": "%d.%m.%Y"}, []),
        (5, "date", ["must be a date"]),
        ("x", {"type": "date", "format": "%Q"}, ["`%Q` means nothing in a format"]),
        ([1, 2, 1], "unique", ["must not hold the same item twice"]),
        ([1, "1", True], "unique", []),
        (1, {"type": "array"}, ["must be a list"]),
        ([1], {"type": "array", "min": 2, "max_items": 3}, ["must have at least 2 items, not 1"]),
        ([1, 1], {"type": "array", "unique": True}, ["must not hold the same item twice"]),
        ([1, 0], {"type": "array", "items": {"type": "range", "min": 1}}, ["[2]: must be at least 1, not 0"]),
        (None, {"type": "array", "min": 2}, []),
        (1, {"type": "object"}, ["must be an object"]),
        ({"a": 1}, {"type": "object", "required": ["a", "b"]}, ["b: is missing"]),
        ({"a": 1, "c": 2}, {"type": "object", "fields": {"a": []}, "additional_properties": False}, [
            "c: must not be there"
        ]),
        ({"a": ""}, {"type": "object", "properties": {"a": "required"}}, ["a: is missing"]),
        # where a rule looks
        ({"a": [{"b": 1}]}, {"type": "type", "expected": "string", "field": "a.1.b"}, [
            "a.1.b: must be of type string, not number"
        ]),
        ({"a": [{"b": 1}]}, {"type": "required", "field": "a.2.b"}, ["a.2.b: is missing"]),
        ({"a": [1]}, {"type": "required", "field": "a.0"}, ["a.0: is missing"]),
        ({"a": 1}, {"type": "required", "field": "a.b"}, ["a.b: is missing"]),
        ({"a": 1}, {"type": "required", "field": "b", "message": "say b"}, ["b: say b"]),
        # the ways to write them
        ({}, {"a": {"b": "required"}}, ["a.b: is missing"]),
        ({}, {"a": ["required", "not_empty"]}, ["a: is missing", "a: is empty"]),
        ("", {"rules": ["required", {"rules": {"type": "not_empty"}}]}, ["is missing", "is empty"]),
    ],
)  # fmt: skip
def test_what_a_rule_says(value: Any, rule: Any, said: list[str]) -> None:
    assert messages(value, rule) == said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (5, "a rule is a table, not 5"),
        ("requird", "there is no rule `requird`"),
        (["required"] * 1001, "there are more than 1000 rules"),
        ({"type": "type"}, "the rule `type` has no `None`"),
        ({"type": "type", "expected": ["text"]}, "the rule `type` has no `text`"),
        ({"type": "pattern"}, "the rule `pattern` needs `regex`"),
        ({"type": "enum"}, "the rule `enum` needs `values`"),
        ({"type": "enum", "values": [1] * 201}, "the rule `enum` needs `values`"),
        ({"type": "date", "format": 5}, "the rule `date` takes a text as `format`"),
        ({"type": "object", "required": "a"}, "the rule `object` takes names as `required`"),
        ({"type": "object", "required": [["a"]]}, "the rule `object` takes names as `required`"),
        ({"type": "object", "properties": ["a"]}, "the rule `object` takes names as `required`"),
    ],
)
def test_what_is_no_rule(rule: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        messages({} if isinstance(rule, dict) and rule.get("type") == "object" else "a", rule)
    assert said in caught.value.message


def test_a_rule_that_is_misspelt_is_hinted_at() -> None:
    with pytest.raises(ValidationError) as caught:
        listed("requird")
    assert caught.value.hint == "did you mean `required`?"
    with pytest.raises(ValidationError) as caught:
        listed("zzz")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("there are required, not_empty")


def nested(kind: str, depth: int) -> Any:
    rule: Any = "required"
    for _ in range(depth):
        rule = {"type": "array", "items": rule} if kind == "items" else {kind: [rule]}
    return rule


@pytest.mark.parametrize("kind", ["items", "rules", "name"])
def test_rules_that_are_nested_too_deep_are_refused(kind: str) -> None:
    value: Any = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(ValidationError, match="the rules are nested more than 30 deep"):
        messages(value, nested(kind, 2000 if kind != "items" else 40))


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    with pytest.raises(ValidationError, match="the value is nested more than 60 deep"):
        messages(value, "required")


def test_the_work_is_bounded_and_so_is_what_is_told() -> None:
    each = {"type": "array", "items": {"type": "range", "max": 0}}
    assert len(messages([1] * 500, each)) == 100
    with pytest.raises(ValidationError, match="the rules take too long to check"):
        messages([0] * 2000, *[each] * 60)
    with pytest.raises(ValidationError, match="the rules take too long to check"):
        messages("a" * 3000, *[{"type": "pattern", "regex": "(a|aa)+$"}] * 900)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
WORDS = ("min", "max", "values", "expected", "field", "items", "unique", "required", "properties", "format", "regex")


@given(VALUES, st.sampled_from(sorted(RULES)), st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4))
def test_any_rule_of_any_value_says_something_or_is_an_error_of_ours(
    value: Any, kind: str, more: dict[str, Any]
) -> None:
    try:
        found = broken(value, listed({**more, "type": kind}))
    except LLMSpellError:
        return
    assert all(isinstance(one["message"], str) and one["message"] for one in found)
