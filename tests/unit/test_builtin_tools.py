"""The built-in tools that reach nothing outside: what they give, and what they make of bad input."""

from __future__ import annotations

import re
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from llmspell.errors import ValidationError
from llmspell.tools.base import ToolContext, ToolResult
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry

pytestmark = pytest.mark.once

TOOLS = ToolRegistry()


async def use(name: str, /, **arguments: Any) -> ToolResult:
    return await TOOLS.get(name).execute(arguments, ToolContext(Permissions()))


async def result(name: str, /, **arguments: Any) -> Any:
    return (await use(name, **arguments)).result


# ---- what they give


@pytest.mark.parametrize(
    ("name", "arguments", "wanted"),
    [
        ("calculator", {"operation": "evaluate", "input": "2 + 3 * 4 - 1"}, {"result": 13}),
        ("calculator", {"expression": "x^2", "variables": {"x": 1.5}}, {"result": 2.25}),
        (
            "uuid_generator",
            {"version": "v5", "namespace": "dns", "name": "example.com"},
            {"uuid": "cfbff0d1-9375-5685-968c-48ce8b15ae17"},
        ),
        ("uuid_generator", {"operation": "parse", "input": "x"}, {"valid": False}),
        (
            "hash_calculator",
            {"algorithm": "sha256", "input": "test data"},
            {"hash": "916f0027a575074ce72a331777c3478d6513f786a591bd892da1a577bf2335f9"},
        ),
        ("hash_calculator", {"algorithm": "MD5", "data": ""}, {"hash": "d41d8cd98f00b204e9800998ecf8427e"}),
        (
            "hash_calculator",
            {"algorithm": "SHA-1", "input": b"\xff"},
            {"hash": "85e53271e14006f0265921d02d4d736cdc580b0b"},
        ),
        (
            "hash_calculator",
            {
                "operation": "verify",
                "algorithm": "md5",
                "input": "",
                "expected_hash": " D41D8CD98F00B204E9800998ECF8427E",
            },
            {"valid": True},
        ),
        ("hash_calculator", {"operation": "verify", "input": "", "expected_hash": "00"}, {"valid": False}),
        (
            "hash_calculator",
            {"input": "what do ya want for nothing?", "key": "Jefe"},
            {"hash": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        ),
        (
            "base64_encoder",
            {"operation": "encode", "input": "Hello, LLMSpell!"},
            {"output": "SGVsbG8sIExMTVNwZWxsIQ==", "encoded": "SGVsbG8sIExMTVNwZWxsIQ=="},
        ),
        (
            "base64_encoder",
            {"operation": "decode", "input": "SGVsbG8sIExM\nTVNwZWxsIQ"},
            {"output": "Hello, LLMSpell!", "decoded": "Hello, LLMSpell!"},
        ),
        ("base64_encoder", {"operation": "encode", "input": b"\xff\xfe", "variant": "url-safe"}, {"output": "__4="}),
        ("base64_encoder", {"operation": "decode", "input": "__4"}, {"output": b"\xff\xfe"}),
        ("text_manipulator", {"operation": "uppercase", "text": "hello"}, {"result": "HELLO"}),
        (
            "text_manipulator",
            {"operation": "snake_case", "input": "HelloWorldFromHTTPServer"},
            {"result": "hello_world_from_http_server"},
        ),
        ("text_manipulator", {"operation": "camel_case", "input": "hello_big-world x"}, {"result": "helloBigWorldX"}),
        (
            "text_manipulator",
            {"operation": "replace", "input": "a b a", "options": {"from": "a", "to": "c"}},
            {"result": "c b c"},
        ),
        (
            "text_manipulator",
            {"operation": "substring", "input": "LLMSpell is", "options": {"start": 0, "end": 8}},
            {"result": "LLMSpell"},
        ),
        (
            "text_manipulator",
            {"operation": "split", "input": "a,b", "options": {"delimiter": ","}},
            {"result": ["a", "b"]},
        ),
        (
            "text_manipulator",
            {"operation": "join", "input": ["a", "b"], "options": {"delimiter": "-"}},
            {"result": "a-b"},
        ),
        ("text_manipulator", {"operation": "join", "input": '["a", "b"]'}, {"result": "a b"}),
        (
            "text_manipulator",
            {"operation": "word_wrap", "input": "the quick brown foxes", "options": {"width": 4}},
            {"result": "the\nquic\nk\nbrow\nn\nfoxe\ns"},
        ),
        (
            "text_manipulator",
            {"operation": "truncate", "input": "abcdef", "options": {"max_length": 3}},
            {"result": "ab…"},
        ),
        ("text_manipulator", {"operation": "slugify", "input": "Crème brûlée!"}, {"result": "creme-brulee"}),
        (
            "text_manipulator",
            {"operation": "count", "input": "a b\nc"},
            {"result": {"characters": 5, "words": 3, "lines": 2}},
        ),
        ("template_creator", {"input": "Hello, {{name}}!", "context": {"name": "you"}}, {"output": "Hello, you!"}),
        (
            "json_processor",
            {"operation": "query", "input": '{"items": [1, 2, 3]}', "query": ".items | length"},
            {"output": 3},
        ),
        (
            "json_processor",
            {"operation": "query", "input": {"a": [1, 2]}, "query": ".a[]"},
            {"output": [1, 2], "count": 2},
        ),
        ("json_processor", {"operation": "parse", "input": "[1, null]"}, {"output": [1, None]}),
        (
            "json_processor",
            {"operation": "stringify", "input": {"b": 1, "a": [True]}},
            {"output": '{"a":[true],"b":1}'},
        ),
        (
            "json_processor",
            {"operation": "merge", "input": {"a": {"x": 1}}, "with": '{"a": {"y": 2}}'},
            {"output": {"a": {"x": 1, "y": 2}}},
        ),
        (
            "json_processor",
            {"operation": "validate", "input": "{}", "schema": {"required": ["a"]}},
            {"valid": False, "errors": ["$.a: is missing"]},
        ),
        (
            "data_validation",
            {"input": {"a": 1}, "rules": {"rules": [{"type": "required"}, {"type": "type", "expected": "object"}]}},
            {"valid": True, "errors": []},
        ),
        ("data_validation", {"input": [1, "x"], "schema": {"items": {"type": "number"}}}, {"valid": False}),
        (
            "regex",
            {"pattern": r"(\w)(\d)?", "input": "-a"},
            {"matched": True, "match": "a", "start": 2, "end": 2, "groups": ["a", None]},
        ),
        ("regex", {"pattern": "x", "input": "a"}, {"matched": False}),
        (
            "regex",
            {"operation": "replace", "pattern": r"(?P<a>\w)=(\w)", "input": "x=y", "replacement": "$2=${a}$$$0"},
            {"result": "y=x$x=y", "count": 1},
        ),
        ("regex", {"operation": "split", "pattern": ", *", "input": "a, b,c"}, {"parts": ["a", "b", "c"]}),
        (
            "csv_analyzer",
            {"operation": "analyze", "input": "name,age\nAlice,30\nBob,25\n"},
            {"row_count": 2, "column_count": 2},
        ),
        (
            "datetime_handler",
            {"operation": "format", "input": "2024-12-25T10:30:00Z", "format": "%d.%m.%y"},
            {"formatted": "25.12.24", "timestamp": 1735122600},
        ),
        (
            "datetime_handler",
            {"operation": "add", "input": "2024-01-31", "amount": 1, "unit": "months"},
            {"date": "2024-02-29"},
        ),
        (
            "datetime_handler",
            {"operation": "subtract", "input": "2024-03-31T00:00:00Z", "amount": 1.5, "unit": "hour"},
            {"datetime": "2024-03-30T22:30:00+00:00"},
        ),
        (
            "datetime_handler",
            {"operation": "diff", "start": "2024-01-01", "end": "2024-01-02T01:00:00"},
            {"seconds": 90000, "hours": 25.0},
        ),
        (
            "datetime_handler",
            {"operation": "convert", "input": "2024-07-01 12:00", "target_timezone": "America/New_York"},
            {"converted": "2024-07-01T08:00:00-04:00"},
        ),
        (
            "date-time-handler",
            {"operation": "parse", "input": "Wed, 25 Dec 2024 10:30:00 +0100"},
            {"timestamp": 1735119000},
        ),
        (
            "datetime_handler",
            {"operation": "parse", "input": "25.12.2024", "timezone": "+01:00"},
            {"timestamp": 1735081200},
        ),
    ],
)
async def test_results_have_the_fields_that_scripts_look_for(
    name: str, arguments: dict[str, Any], wanted: dict[str, Any]
) -> None:
    found = await result(name, **arguments)
    assert {field: found[field] for field in wanted} == wanted


async def test_whole_floats_are_whole_numbers() -> None:
    found = await result("text_manipulator", operation="substring", input="abc", options={"start": 1.0, "end": 2.0})
    assert found["result"] == "b"
    found = await result("calculator", input="x / 2", variables={"x": 3.0})
    assert found["result"] == 1.5


async def test_identifiers() -> None:
    for version, letter in (("v1", "1"), ("v4", "4"), ("v7", "7")):
        found = await result("uuid_generator", version=version)
        assert re.fullmatch("[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", found["uuid"])
        assert found["uuid"][14] == letter
    found = await result("uuid_generator", version="v1")
    assert uuid.UUID(found["uuid"]).node >> 40 & 1  # no machine's own
    found = await result("uuid_generator", operation="component_id", prefix="tool")
    assert re.fullmatch("tool-[0-9a-f]{8}", found["id"])
    many = (await result("uuid_generator", count=50, format="simple"))["uuids"]
    assert len(set(many)) == 50
    one = await result("uuid_generator", version="v7")
    assert abs(int(one["uuid"].replace("-", "")[:12], 16) / 1000 - time.time()) < 60


async def test_now_is_now() -> None:
    found = await result("datetime_handler")
    assert abs(found["timestamp"] - time.time()) < 60
    assert datetime.fromisoformat(found["datetime"]).tzinfo == UTC


async def test_columns_are_described() -> None:
    text = "id;city;n;ok\n007;Rome;1.5;true\n008;;2;false\n009;Rome;;true\n"
    columns = {one["name"]: one for one in (await result("csv_analyzer", input=text))["columns"]}
    assert {name: one["type"] for name, one in columns.items()} == {
        "id": "string",
        "city": "string",
        "n": "number",
        "ok": "boolean",
    }
    assert columns["city"]["missing"] == 1
    assert columns["city"]["unique"] == 1
    assert (columns["n"]["min"], columns["n"]["max"], columns["n"]["mean"]) == (1.5, 2, 1.75)


async def test_tables_are_filtered_sorted_and_converted() -> None:
    text = 'name,age\n"Alice, A.",30\nBob,25\nCy,x\nDi,9\n'

    async def rows(**options: Any) -> Any:
        return (await result("csv_analyzer", operation="convert", input=text, options=options))["output"]

    assert [one["name"] for one in await rows(filter="age > 9")] == ["Alice, A.", "Bob"]
    assert [one["name"] for one in await rows(filter="age >= 9 and name ~ b")] == ["Bob"]
    assert [one["name"] for one in await rows(sort="-age")] == ["Cy", "Alice, A.", "Bob", "Di"]
    assert await rows(columns=["age"], limit=1) == [{"age": 30}]
    assert await rows(format="csv", limit=1) == 'name,age\n"Alice, A.",30\n'
    assert (await rows(format="markdown", limit=1)).splitlines()[1] == "| --- | --- |"
    assert await rows(has_header=False, limit=1) == [{"column_1": "name", "column_2": "age"}]


TEMPLATES = [
    ("{{#each items}}{{@index}}:{{this}}{{#unless @last}}, {{/unless}}{{/each}}", "0:a, 1:b"),
    ("{{#each people}}{{name}} {{this.name}};{{else}}none{{/each}}", "X X;"),
    ("{{#each none}}x{{else}}none{{/each}}", "none"),
    ("{{#if none}}a{{else if items}}b{{else}}c{{/if}}", "b"),
    ("{% for one in items %}{{ loop.index }}{{ one | upper }}{% endfor %}", "1A2B"),
    ("{% if n > 2 and %}x{% endif %}", None),
    ("{% if n == 3 %}three{% elif n == 4 %}four{% else %}more{% endif %}", "three"),
    ("{% if not none %}yes{% endif %}", "yes"),
    ("{{ missing | default('x') }}{{ missing | default(value=1) }}", "x1"),
    ("{{ items | join(', ') }} {{ items | length }} {{ items[1] }} {{ people.0.name }}", "a, b 2 b X"),
    ("a{{! not shown }}b{# nor this #}c", "abc"),
    ("{{{html}}} {{ html | escape }}", "<b> &lt;b&gt;"),
    ("{{n}} {{yes}} {{items}} {{f}}", '3 true ["a","b"] 1.5'),
    ("a } } { b", "a } } { b"),
]


@pytest.mark.parametrize(("template", "wanted"), TEMPLATES)
async def test_templates(template: str, wanted: str | None) -> None:
    values = {"items": ["a", "b"], "people": [{"name": "X"}], "none": [], "n": 3, "yes": True, "f": 1.5, "html": "<b>"}
    if wanted is None:
        with pytest.raises(ValidationError):
            await use("template_engine", input=template, context=values)
    else:
        assert (await use("template_engine", input=template, context=values)).text == wanted


async def test_rules_name_the_field() -> None:
    rules = {
        "name": [{"type": "required"}, {"type": "length", "min": 2}],
        "mail": "email",
        "age": {"type": "range", "min": 0, "max": 150},
        "code": {"type": "pattern", "regex": "^[A-Z]+$", "message": "must be capitals"},
        "tags": {"type": "array", "unique": True, "item_rules": {"type": "type", "expected": "string"}},
    }
    bad = {"name": "x", "mail": "no", "age": 200, "code": "ab", "tags": ["a", "a", 1]}
    found = await result("data_validation", input=bad, rules=rules)
    assert [(one["field"], one["rule"]) for one in found["errors"]] == [
        ("name", "length"),
        ("mail", "email"),
        ("age", "range"),
        ("code", "pattern"),
        ("tags", "array"),
        ("tags[3]", "type"),
    ]
    assert found["errors"][3]["message"] == "must be capitals"
    good = {"name": "xy", "mail": "a@b.org", "age": 1, "code": "AB", "tags": ["a"]}
    assert (await result("data_validation", input=good, rules=rules))["valid"]
    assert not (await result("data_validation", input={}, rules=rules))["valid"]
