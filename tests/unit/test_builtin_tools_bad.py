"""The built-in tools that reach nothing outside: what they make of bad input, and of too much."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError, ValidationError
from llmspell.tools.base import ToolContext, ToolResult
from llmspell.tools.builtin.web_fetch import read_page
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry

pytestmark = pytest.mark.once

TOOLS = ToolRegistry()


async def use(name: str, /, **arguments: Any) -> ToolResult:
    return await TOOLS.get(name).execute(arguments, ToolContext(Permissions()))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("calculator", {}, "`input` is missing"),
        ("calculator", {"input": 1}, "$.input: must be a string"),
        ("calculator", {"inptu": "1"}, "$.inptu: is not a member"),
        ("calculator", {"input": "x", "variables": {"x": "1"}}, "$.variables.x: must be a number"),
        ("uuid_generator", {"version": "v9"}, "must be one of"),
        ("uuid_generator", {"version": "v5"}, "needs a `name`"),
        ("uuid_generator", {"count": 10**6}, "at most 1000"),
        ("hash_calculator", {}, "$.input: is missing"),
        ("hash_calculator", {"input": "", "algorithm": "crc32"}, "there is no algorithm `crc32`"),
        ("hash_calculator", {"input": "", "operation": "verify"}, "needs `expected_hash`"),
        ("base64_encoder", {"operation": "decode", "input": "!!"}, "is not base64"),
        ("base64_encoder", {"operation": "decode", "input": b"\xff"}, "is not base64"),
        ("text_manipulator", {"operation": "nope", "input": ""}, "must be one of"),
        ("text_manipulator", {"operation": "replace", "input": "a", "options": {"from": "a"}}, "needs `options.to`"),
        (
            "text_manipulator",
            {"operation": "replace", "input": "a", "options": {"from": "", "to": "b"}},
            "`options.from` is empty",
        ),
        ("text_manipulator", {"operation": "uppercase", "input": ["a"]}, "only `join` takes a list"),
        ("text_manipulator", {"operation": "join", "input": "a"}, "takes a list of texts"),
        ("template_engine", {"input": "{{#each x}}"}, "is not closed"),
        ("template_engine", {"input": "a\n{{x"}, "is not closed by `}}` (line 2)"),
        ("template_engine", {"input": "{{x | system}}"}, "there is no filter `system`"),
        ("template_engine", {"input": "{% include 'x' %}"}, "there is no `{% include %}`"),
        ("template_engine", {"input": "{{#if a}}" * 50}, "nested more than 30 deep"),
        ("json_processor", {"input": "{"}, "is no JSON"),
        ("json_processor", {"input": {}, "query": ".["}, "a filter is missing"),
        ("json_processor", {"input": {}, "operation": "validate"}, "needs `schema`"),
        ("json_processor", {"input": {}, "operation": "validate", "schema": {"type": "objct"}}, "which is no type"),
        ("json_processor", {"input": [1], "operation": "merge"}, "takes objects"),
        ("http_request", {"url": "https://a.example/", "body": {"a": b"\xff"}}, "`body` cannot be written as JSON"),
        ("json_processor", {"input": {"a": b"\xff"}, "operation": "stringify"}, "not UTF-8"),
        ("data_validation", {"input": 1}, "either `schema` or `rules`"),
        ("data_validation", {"input": 1, "rules": "requird"}, "there is no rule `requird`"),
        ("data_validation", {"input": "a", "rules": {"type": "pattern", "regex": "("}}, "cannot be read"),
        ("regex", {"pattern": "(?=a)", "input": ""}, "not taken here"),
        ("regex", {"pattern": "a", "input": "a", "operation": "replace", "replacement": "$1"}, "names the group `1`"),
        ("regex", {"pattern": "a", "input": "a", "flags": "x"}, "must match the pattern"),
        ("csv_analyzer", {"input": "a,b", "operation": "filter"}, "needs `options.filter`"),
        (
            "csv_analyzer",
            {"input": "a,b", "operation": "filter", "options": {"filter": "c > 1"}},
            "there is no column `c`",
        ),
        ("csv_analyzer", {"input": "a,b", "operation": "filter", "options": {"filter": "what"}}, "cannot be read"),
        ("csv_analyzer", {"input": "a,b", "options": {"delimiter": "\n"}}, "delimiter"),
        ("datetime_handler", {"operation": "parse"}, "needs `input`"),
        ("datetime_handler", {"operation": "parse", "input": "yesterday"}, "is not a time that can be read"),
        ("datetime_handler", {"operation": "parse", "input": 1e300}, "no calendar has"),
        ("datetime_handler", {"timezone": "Mars/Olympus"}, "no time zone"),
        ("datetime_handler", {"timezone": "../../etc/passwd"}, "no time zone"),
        ("datetime_handler", {"format": "%1000000000d"}, "means nothing in a format"),
        (
            "datetime_handler",
            {"operation": "add", "input": 0, "amount": 0.5, "unit": "months"},
            "must be a whole number of months",
        ),
    ],
)
async def test_bad_input_is_told(name: str, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await use(name, **arguments)
    assert said in caught.value.message
    assert caught.value.tool == TOOLS.get(name).name
    assert caught.value.message.isprintable()


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("calculator", {"input": "9**9**9"}),
        ("text_manipulator", {"operation": "repeat", "input": "xx", "options": {"count": 10**9}}),
        (
            "text_manipulator",
            {"operation": "replace", "input": "a" * 10**6, "options": {"from": "a", "to": "b" * 1000}},
        ),
        ("text_manipulator", {"operation": "indent", "input": "\n" * 10**6, "options": {"spaces": 100}}),
        ("template_engine", {"input": "{{#each a}}{{#each ../a}}{{/each}}{{/each}}", "context": {"a": [1]}}),
        (
            "template_engine",
            {
                "input": "{% for x in a %}{% for y in a %}{% for z in a %}{{x}}{% endfor %}{% endfor %}{% endfor %}",
                "context": {"a": list(range(500))},
            },
        ),
        ("template_engine", {"input": "{{nope}}", "context": {"name": 1}}),
        ("template_engine", {"input": "{{#each a}}{{/each}}" * 10_000, "context": {"a": list(range(10_000))}}),
        ("template_engine", {"input": "{{ a | upper | length }}" * 10_000, "context": {"a": "x" * 10**6}}),
        ("template_engine", {"input": "{{ a | join(b) | length }}", "context": {"a": [""] * 10**5, "b": "x" * 10**6}}),
        ("template_engine", {"input": "{% if a == a %}{% endif %}", "context": {"a": [1]}}),
        (
            "csv_analyzer",
            {"input": "a\n" + "1\n" * 1000, "operation": "head", "options": {"columns": ["a"] * 1000, "limit": 999}},
        ),
        ("csv_analyzer", {"input": "a\n1", "operation": "filter", "options": {"filter": "a>0 and " * 100}}),
        (
            "data_validation",
            {"input": "ab" * 4500, "rules": [{"type": "pattern", "regex": f"(a|b){{{n},500}}$"} for n in range(200)]},
        ),
        ("data_validation", {"input": 1, "rules": {"type": "enum", "values": list(range(1000))}}),
        ("text_manipulator", {"operation": "lines", "input": "\n" * 10**7}),
        ("json_processor", {"input": [1] * 3000, "query": "[.[] + .[]]"}),
        ("json_processor", {"input": "[" + "0," * 600_000 + "0]"}),
        ("regex", {"pattern": "(a*)*b", "input": "a" * 10**6}),
        ("regex", {"operation": "replace", "pattern": "", "input": "a" * 20_000, "replacement": "b"}),
        ("csv_analyzer", {"input": "," * 2000}),
        ("csv_analyzer", {"input": "a\n" * 400_000}),
        ("datetime_handler", {"operation": "add", "input": 0, "amount": 1e15, "unit": "days"}),
    ],
)
async def test_what_would_take_too_much_is_refused_soon(name: str, arguments: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(LLMSpellError) as caught:
        await use(name, **arguments)
    assert isinstance(caught.value, ToolError | ValidationError)
    assert time.process_time() - started < 12


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"type": "object", "required": 3}, "takes names as `required`"),
        ({"type": "type", "expected": "bytes"}, "the rule `type` has no `bytes`"),
        ({"type": "enum"}, "needs `values`"),
        ({"type": "pattern"}, "needs `regex`"),
        ([3], "a rule is a table, not 3"),
    ],
)
async def test_rules_that_are_none(rules: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        await use("data_validation", input={"a": 1}, rules=rules)


async def test_bytes_break_a_rule_of_type() -> None:
    done = await use("data_validation", input=b"\xff", rules={"type": "type", "expected": "string"})
    assert "must be of type string, not bytes that are no text" in done.told()


@pytest.mark.unmeasured
async def test_long_texts_do_not_take_long() -> None:
    started = time.process_time()
    for operation in ("snake_case", "word_wrap", "slugify", "title_case", "sanitize", "normalize_whitespace", "dedent"):
        await use("text_manipulator", operation=operation, input="aB cd\n" * 30_000)
    await use("text_manipulator", operation="word_wrap", input="x" * 300_000, options={"width": 1})
    await use("template_engine", input="{{a}} x " * 9_000, context={"a": 1})
    assert time.process_time() - started < 10


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)
OURS = [
    "base64_encoder",
    "calculator",
    "csv_analyzer",
    "data_validation",
    "datetime_handler",
    "hash_calculator",
    "json_processor",
    "regex",
    "template_engine",
    "text_manipulator",
    "uuid_generator",
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_they_are_given_the_error_is_one_of_ours(data: st.DataObject) -> None:
    tool = TOOLS.get(data.draw(st.sampled_from(OURS)))
    members = tool.parameters["properties"]
    arguments: dict[str, Any] = {}
    for name, schema in members.items():
        if name in tool.parameters.get("required", ()) or data.draw(st.booleans()):
            choices = [st.sampled_from(schema["enum"])] if "enum" in schema else []
            arguments[name] = data.draw(choices[0] if choices else st.text(max_size=20) | ANY)
    failed: LLMSpellError | None = None
    try:
        done = asyncio.run(tool.execute(arguments, ToolContext(Permissions())))
    except (ValidationError, ToolError) as error:
        failed = error
    if failed is None:
        assert isinstance(done.told(), str)
    else:
        assert failed.__cause__ is None, failed  # not one that ran into something
        assert failed.message.isprintable()


def test_each_says_what_it_is() -> None:
    for name in OURS:
        tool = TOOLS.get(name)
        assert (tool.name, tool.needs) == (name, ())
        assert tool.description
        assert tool.timeout
        assert tool.parameters["additionalProperties"] is False
        for member, schema in tool.parameters["properties"].items():
            assert "description" in schema or member in ("operation", "options"), f"{name}.{member}"


async def quickly(name: str, /, **arguments: Any) -> float:
    """Runs a tool that gives an error or a value; the longest time, in seconds, that the event loop stood still."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.002)
            longest = max(longest, time.perf_counter() - begun)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(10):
            await use(name, **arguments)
    except ToolError:
        pass
    finally:
        await asyncio.sleep(0.005)
        watching.cancel()
    return longest


async def test_a_long_delimiter_between_many_texts_is_refused() -> None:
    with pytest.raises(ToolError, match="longer than 2000000"):
        await use("text_manipulator", operation="join", input=["a"] * 10_000, options={"delimiter": "x" * 1_000_000})


async def test_many_objects_are_merged_in_a_time_that_grows_with_them_alone() -> None:
    many = "[" + ",".join(f'{{"k{number}": {{"n": {number}}}}}' for number in range(40_000)) + "]"
    async with asyncio.timeout(10):  # a copy each took minutes
        done = await use("json_processor", operation="merge", input=many)
    assert done.result["output"]["k39999"] == {"n": 39_999}


async def test_a_replacement_may_be_asked_for_any_number_of_times() -> None:
    options = {"from": "a", "to": "b", "count": 10**30}
    assert (await use("text_manipulator", operation="replace", input="aa", options=options)).result["result"] == "bb"


@pytest.mark.parametrize(
    "arguments",
    [
        {"operation": "convert", "input": "0001-01-01", "target_timezone": "America/New_York"},
        {"operation": "convert", "input": "9999-12-31T23:59:59", "target_timezone": "+14:00"},
        {"operation": "parse", "input": "9999-12-31T23:59:59Z", "timezone": "+14:00"},
        {"operation": "parse", "input": 1_700_000_000_000},
        {"operation": "parse", "input": float("nan")},
        {"operation": "add", "input": "2026-01-01", "amount": float("nan"), "unit": "days"},
        {"operation": "add", "input": "2026-01-01", "amount": float("nan"), "unit": "months"},
    ],
)
async def test_a_time_that_no_calendar_has_is_told_in_words(arguments: dict[str, Any]) -> None:
    with pytest.raises(LLMSpellError, match="no calendar has"):
        await use("datetime_handler", **arguments)


@pytest.mark.parametrize("template", ["{{ x" + " | upper" * 5000 + " }}", "{% if " + "not " * 5000 + "x %}{% endif %}"])
async def test_a_template_that_is_one_long_chain_is_told_in_words(template: str) -> None:
    with pytest.raises(ValidationError, match="more than 30"):
        await use("template_engine", input=template, context={"x": "a"})


async def test_a_small_value_under_a_large_schema_does_not_hold_up_the_event_loop() -> None:
    parts: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**parts, "a30": {"type": "integer"}}}
    assert await quickly("data_validation", input=1, schema=schema) < 0.15
    assert await quickly("json_processor", operation="validate", input=1, schema=schema) < 0.15


@pytest.mark.parametrize(
    "piece", ["<!--", "<!--a>", "<![CDATA[", "<![a>", "<?", "</", "<a ", "<a x='", "<!", "<title>&amp;", "<script></"]
)
def test_a_page_that_never_ends_what_it_begins_is_read_in_good_time(piece: str) -> None:
    begun = time.perf_counter()
    page = read_page("https://a.example/", "<p>first</p>" + piece * 40_000)
    assert page.text().startswith("first")
    assert time.perf_counter() - begun < 5  # half a minute and more, where each looks through all that follows


def test_comments_of_a_page_are_not_read_and_what_stands_behind_them_is() -> None:
    page = read_page("https://a.example/", "<p>a<!-- <b> -->b<!-->c<!-- x --><![if y]>d<![endif]>e <!-- f<p>g <h")
    assert page.text() == "abcde f\ng <h"
