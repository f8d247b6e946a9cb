"""Templates: what is filled in, what cannot be, and that no value makes anything but a text or an error of ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError, ValidationError
from llmspell.tools.templating import FILTERS, Template

pytestmark = pytest.mark.once

DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("{{ a }} {{ b }} {{ c }} {{ d }}", {"a": None, "b": True, "c": False, "d": 1.5}, " true false 1.5"),
        ("{{ a }}", {"a": b"\xff!"}, "\ufffd!"),
        ("{{ a }} {{ b }}", {"a": [1, "x"], "b": {"k": None}}, '[1,"x"] {"k":null}'),
        ("{{ 1 }} {{ -5 }} {{ 1.5 }} {{ 'it' }} {{ true }}", {}, "1 -5 1.5 it true"),
        ("{{ a.b[1].c }} {{ a['b'].length }} {{ s.length }}", {"a": {"b": [0, {"c": 7}]}, "s": "four"}, "7 2 4"),
        ("{{! not } told }}a{# nor { this #}b", {}, "ab"),
        ("{{{ a }}}", {"a": "<b>"}, "<b>"),
        # what counts as true
        ("{{#if a}}y{{else}}n{{/if}}{{#unless a}}n{{else}}y{{/unless}}", {"a": 1}, "yy"),
        ("{% if a %}y{% else %}n{% endif %}{% if not a %}n{% else %}y{% endif %}", {"a": []}, "nn"),
        ("{{#if a}}1{{else if b}}2{{else}}3{{/if}}", {"a": 0, "b": {}}, "3"),
        ("{{#if a}}1{{else if b}}2{{else}}3{{/if}}", {"a": "", "b": "x"}, "2"),
        ("{% if a == 1 %}1{% elif a == 2 %}2{% else %}3{% endif %}", {"a": 2}, "2"),
        # comparisons, whatever stands in quotes
        ("{% if a < 2 %}l{% endif %}{% if a <= 1 %}L{% endif %}{% if a > 0 %}g{% endif %}", {"a": 1}, "lLg"),
        ("{% if a >= 1 %}G{% endif %}{% if a != 1 %}n{% endif %}", {"a": 1}, "G"),
        ("{% if a != 'x==y' %}other{% else %}same{% endif %}", {"a": "x==y"}, "same"),
        ("{% if '<' == a %}same{% endif %}", {"a": "<"}, "same"),
        # loops
        ("{{#each a}}{{@index}}{{@key}}={{this}} {{else}}none{{/each}}", {"a": {"k": 1, "l": 2}}, "0k=1 1l=2 "),
        ("{{#each a}}{{this}}{{else}}none{{/each}}", {"a": []}, "none"),
        ("{{#each a}}{{name}}{{#if @last}}.{{else}},{{/if}}{{/each}}", {"a": [{"name": 1}, {"name": 2}]}, "1,2."),
        ("{% for x in a %}{{ loop.index }}{{ loop.index0 }}{{ x }} {% endfor %}", {"a": ["b", "c"]}, "10b 21c "),
        ("{% for x in a %}{{ x }}{% else %}none{% endfor %}", {"a": []}, "none"),
        # filters
        ("{{ a | upper | lower | capitalize | title | trim }}", {"a": " oNE two "}, "One Two"),
        ("{{ a | length }} {{ a | first }} {{ a | last }} {{ a | join(', ') }}", {"a": [1, 2]}, "2 1 2 1, 2"),
        ("{{ a | first }}{{ a | last }}", {"a": []}, ""),
        ("{{ a | round }} {{ a | round(1) }} {{ a | round(digits=400) }}", {"a": 2.25}, "2 2.2 2.25"),
        ("{{ a | json }} {{ a | escape }}", {"a": "\"<&'"}, '"\\"<&\'" &quot;&lt;&amp;&#39;'),
        ("{{ a | truncate(length=2) }} {{ a | truncate(3) }}", {"a": "abc"}, "ab… abc"),
        ("{{ a | default('b|c') }} {{ n | default(1) }} {{ e | default('x') }}", {"n": None, "e": ""}, "b|c 1 x"),
    ],
)
def test_filled_in(template: str, values: dict[str, Any], text: str) -> None:
    assert Template(template).render(values) == text


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("{{ a }}", {"b": 1}, "`a`, which was not given"),
        ("{{ a.b }}", {"a": 1}, "`a.b`, which was not given"),
        ("{{ a[9] }}", {"a": [1]}, "`a.9`, which was not given"),
        ("{{ a | upper }}", {}, "`a`, which was not given"),
        ("{{#each a}}{{/each}}", {}, "`a`, which was not given"),
        ("{% for x in a %}{% endfor %}", {"a": "b"}, "goes through `a`, which is no list"),
        ("{% if a < 'x' %}{% endif %}", {"a": 1}, "compares `a` and `x`, which cannot be"),
        ("{% if a == b %}{% endif %}", {"a": [1], "b": [1]}, "compares `a` and `b`, which cannot be"),
        ("{{ a | length }}", {"a": 1}, "the filter `length` does not go with `a`"),
        ("{{ a | round }}", {"a": float("inf")}, "the filter `round` does not go with `a`"),
        ("{{ a | first }}", {"a": {"x": 1}}, "the filter `first` does not go with `a`"),
        ("{{ a | last }}", {"a": {"x": 1}}, "the filter `last` does not go with `a`"),
        ("{{ a | join(',') }}", {"a": [DEEP]}, "the filter `join` does not go with `a`"),
        ("{{ a }}", {"a": [b"\xff"]}, "`a`, which cannot be written as JSON"),
        ("{{ a }}", {"a": [2**70]}, "`a`, which cannot be written as JSON"),
        ("{{ a.b }}", {"a": {"b": DEEP}}, "`a.b`, which cannot be written as JSON"),
        ("{{ a | join(b) }}", {"a": [""] * 9, "b": "x" * 700_000}, "the text would be longer than 5000000"),
    ],
)
def test_what_cannot_be_filled_in_is_named(template: str, values: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolError) as caught:
        Template(template).render(values)
    assert said in caught.value.message


def test_without_strict_what_was_not_given_is_nothing() -> None:
    made = Template("[{{ a }}{{ b.c | upper }}{{#each d}}x{{else}}none{{/each}}]").render({}, strict=False)
    assert made == "[none]"


def test_what_was_given_is_hinted_at() -> None:
    with pytest.raises(ToolError) as caught:
        Template("{{ nam }}").render({"name": 1, "age": 2})
    assert caught.value.hint == "there are age, name"
    with pytest.raises(ToolError) as caught:
        Template("{{ nam }}").render({})
    assert caught.value.hint == "no values were given"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{/if}}", "`/if` ends nothing (line 2)"),
        ("{% endfor %}", "`endfor` ends nothing"),
        ("{{#with a}}{{/with}}", "there is no `{{#with}}` here"),
        ("{{#if a}}", "`{{#if}}` is not closed by `{{/if}}`"),
        ("{{#if a}}{{/each}}", "`{{#if}}` is not closed by `{{/if}}`"),
        ("{% if a %}", "`{% if %}` is not closed by `{% endif %}`"),
        ("{% for a in b %}", "`{% for %}` is not closed by `{% endfor %}`"),
        ("{% for a %}{% endfor %}", "a loop is written"),
        ("{% for 1 in b %}{% endfor %}", "a loop is written"),
        ("{% set a = 1 %}", "there is no `{% set %}` here"),
        ("{{ }}", "a name is missing"),
        ("{{ a b }}", "`a b` is no name"),
        ("{{ a..b }}", "`a..b` is no name"),
        ("{{ " + ".".join("a" * 40) + " }}", "a name has too many parts"),
        ("{{ a | nope }}", "there is no filter `nope`"),
        ("{{ a | default('x' }}", "the parenthesis of `default` is not closed"),
        ("{{ a", "`{{` is not closed by `}}`"),
        ("{# a", "`{#` is not closed by `#}`"),
        ("x" * 1_000_001, "longer than 1000000"),
    ],
)
def test_what_is_no_template_is_named_with_its_line(template: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Template(template)
    assert said in caught.value.message


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(VALUES, VALUES, st.sampled_from(sorted(FILTERS)))
def test_any_value_in_any_filter_gives_a_text_or_an_error_of_ours(value: Any, other: Any, name: str) -> None:
    for template in (f"{{{{ a | {name} }}}}", f"{{{{ a | {name}(b) }}}}", "{% if a < b %}1{% endif %}", "{{ a }}"):
        try:
            assert isinstance(Template(template).render({"a": value, "b": other}), str)
        except LLMSpellError:
            pass


@given(st.text("{}%#!/|.()'\"=<>& ab1", max_size=40))
def test_any_text_is_a_template_or_an_error_of_ours(text: str) -> None:
    try:
        Template(text).render({"a": [1], "b": {"a": 2}})
    except LLMSpellError:
        pass
