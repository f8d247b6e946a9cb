"""Placeholders: what they stand for, what stays, and what is not there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LimitError, ValidationError
from llmspell.workflows import templates
from llmspell.workflows.templates import fill, is_placeholder, look_up, render, text_of

pytestmark = pytest.mark.once

VALUES: dict[str, Any] = {
    "name": "Ada",
    "count": 3,
    "share": 0.5,
    "whole": 2.0,
    "yes": True,
    "none": None,
    "order": {"id": 17, "lines": ["pen", {"sku": "x-1"}], "a.b": "dotted", "two words": "spaced"},
    "by_number": {1: "one"},
}
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
PLAIN = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12)
VALUE = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def look(name: str) -> Any:
    return look_up(name, VALUES)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hello {{name}}!", "Hello Ada!"),
        ("{{ name }}{{name}}", "AdaAda"),
        ("{{count}} {{share}} {{whole}} {{yes}} {{none}}.", "3 0.5 2.0 true ."),
        ("{{order.id}} {{order:id}} {{order.lines.1}} {{order.lines.2.sku}}", "17 17 pen x-1"),
        ("{{order.a.b}} {{by_number.1}}", "dotted one"),
        ("{{order.two words}} {{ two words }}", "spaced {{ two words }}"),
        ("{{order.lines}}", '["pen",{"sku":"x-1"}]'),
        ('{"a": {"b": 1}} {{}} {{ }} {{"x"}} {{1}} {{name', '{"a": {"b": 1}} {{}} {{ }} {{"x"}} {{1}} {{name'),
    ],
)
def test_a_text_is_filled_in(text: str, filled: str) -> None:
    assert render(text, VALUES) == filled


@given(value=VALUE)
@settings(max_examples=40, deadline=None)
def test_a_placeholder_alone_keeps_the_type(value: Any) -> None:
    assert fill({"a": ["  {{v}}\n"]}, lambda name: value) == {"a": [value]}


@given(before=st.text(max_size=10), value=st.text(max_size=10), after=st.text(max_size=10))
@settings(max_examples=60, deadline=None)
def test_what_stands_around_stays_and_what_was_filled_in_is_not_looked_at_again(
    before: str, value: str, after: str
) -> None:
    around = (before + after).replace("{", "").replace("}", "")
    before, after = around[: len(around) // 2], around[len(around) // 2 :]
    assert render(f"{before}{{{{v}}}}{after}", {"v": value + "{{v}}"}) == before + value + "{{v}}" + after


@given(value=VALUE, path=st.lists(NAMES, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_a_path_leads_where_its_words_say(value: Any, path: list[str]) -> None:
    table = value
    for word in reversed(path):
        table = {word: table}
    assert look_up(".".join(path), table) == look_up(":".join(path), table) == value


@given(value=st.lists(VALUE, max_size=3) | st.dictionaries(NAMES, VALUE, max_size=3))
@settings(max_examples=40, deadline=None)
def test_tables_stand_in_texts_as_json(value: Any) -> None:
    assert json.loads(text_of(value)) == value


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nam", "did you mean `name`?"),
        ("order.idd", "did you mean `order.id`? `order` has id, lines, a.b, two words"),
        ("order.lines.3", "`order.lines` has 1 to 2"),
        ("name.first", "`name` has no fields"),
        ("none.x", "`none` has no fields"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_that_lists_those_that_are(name: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        look(name)
    assert caught.value.message == f"there is no `{{{{{name}}}}}`"
    assert hint in str(caught.value.hint)


def test_an_error_lists_a_few_names_alone() -> None:
    with pytest.raises(ValidationError) as caught:
        look_up("x", {f"name_{n}": n for n in range(1000)})
    assert caught.value.hint == "there are " + ", ".join(f"name_{n}" for n in range(20)) + ", …"


def test_a_text_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "LONGEST", 100)
    assert len(render("{{v}}" * 10, {"v": "x" * 10})) == 100
    with pytest.raises(LimitError):
        render("{{v}}" * 11, {"v": "x" * 10})


def test_what_is_too_deep_is_refused() -> None:
    deep: Any = "{{name}}"
    for _ in range(70):
        deep = [deep]
    with pytest.raises(ValidationError, match="nested"):
        fill(deep, look)


def test_a_placeholder_alone_is_told_from_a_text() -> None:
    assert is_placeholder(" {{a.b}} ")
    assert not any(map(is_placeholder, ("a > 3", "{{ }}", "{{a}} > 3", "{{a}}{{b}}", "")))
