"""The tool `csv_analyzer`: tables in any form that they come in, what is asked of them, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError
from llmspell.tools.base import ToolContext
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry

pytestmark = pytest.mark.once

TOOLS = ToolRegistry()

TOWNS = 'name,size,old\nBern,140000,true\nUri,037,false\nOslo,"1,5",\nBern,-2.5,true\n'


async def asked(text: str, operation: str = "analyze", **options: Any) -> Any:
    arguments = {"input": text, "operation": operation, "options": options}
    return (await TOOLS.get("csv_analyzer").execute(arguments, ToolContext(Permissions()))).result


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1;2\n", [{"a": 1, "b": 2}]),
        ("\ufeffa\tb\r\n1\t2\r\n", [{"a": 1, "b": 2}]),
        ("a|b\n1|2|3\n\n   \n4", [{"a": 1, "b": 2, "column_3": 3}, {"a": 4, "b": None, "column_3": None}]),
        ("a\n1\n \n", [{"a": 1}, {"a": None}]),
        ('a,b\n"x, y","line\nbreak"\n', [{"a": "x, y", "b": "line\nbreak"}]),
        ("a,b,c,d\n007,1_000,1e3,TRUE\n", [{"a": "007", "b": "1_000", "c": 1000.0, "d": True}]),
        ("a,b,c\n9223372036854775808,nan,+5\n", [{"a": "9223372036854775808", "b": "nan", "c": 5}]),
        ("", []),
        ("a,b\n", []),
    ],
)
async def test_a_table_is_read(text: str, rows: list[Any]) -> None:
    assert (await asked(text, "convert"))["output"] == rows


async def test_a_table_without_names_gets_some() -> None:
    assert (await asked("1,2\n", "convert", has_header=False))["output"] == [{"column_1": 1, "column_2": 2}]


async def test_columns_are_told_with_their_kinds_and_numbers() -> None:
    told = await asked(TOWNS, "statistics")
    assert (told["rows"], told["column_count"]) == (4, 3)
    name, size, old = told["columns"]
    assert (name["type"], name["unique"], name["min_length"], name["max_length"]) == ("string", 3, 3, 4)
    assert size["type"] == "string"
    assert (old["type"], old["count"], old["missing"]) == ("boolean", 3, 1)
    numbers = (await asked("n,i,e\n1,1,\n2.5,2,\n4,6,\n"))["columns"]
    assert [numbers[0][key] for key in ("type", "min", "max", "sum", "mean", "median")] == [
        "number",
        1,
        4,
        7.5,
        2.5,
        2.5,
    ]
    assert [numbers[1][key] for key in ("type", "sum", "median")] == ["integer", 9, 2]
    assert numbers[1]["std_dev"] == pytest.approx(2.1602, abs=1e-4)
    assert numbers[2]["type"] == "empty"
    assert (await asked("n\n1\n2\n"))["columns"][0]["median"] == 1.5


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ("size > 100", ["Bern"]),
        ("size >= 37 and old = false", ["Uri"]),
        ("size < 0", ["Bern"]),
        ("size <= 37", ["Uri", "Bern"]),
        ("name == 'Uri'", ["Uri"]),
        ("name != Bern", ["Uri", "Oslo"]),
        ("name ~ er", ["Bern", "Bern"]),
        ("`name` > M", ["Uri", "Oslo"]),
        ("size > x", []),
    ],
)
async def test_rows_are_chosen(told: str, names: list[str]) -> None:
    rows = (await asked(TOWNS, "filter", filter=told, columns=["name"]))["output"]
    assert [row["name"] for row in rows] == names


async def test_rows_are_sorted_numbers_first_and_cut() -> None:
    up = (await asked(TOWNS, "convert", sort="size", columns=["size"]))["output"]
    assert [row["size"] for row in up] == [-2.5, "037", 140000, "1,5"]
    down = (await asked(TOWNS, "head", sort="-size", limit=1))["output"]
    assert [row["size"] for row in down] == ["1,5"]
    assert len((await asked("a\n" + "1\n" * 20, "head"))["output"]) == 10


async def test_other_forms_read_the_same_again() -> None:
    text = (await asked(TOWNS, "convert", format="csv"))["output"]
    assert (await asked(text, "convert"))["output"] == (await asked(TOWNS, "convert"))["output"]
    marked = (await asked('a,b\nx|y,"two\nlines"\n', "convert", format="markdown"))["output"]
    assert marked.splitlines()[0] == "| a | b |"
    assert len(marked.strip().splitlines()) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"filter": "nope > 1"}, "there is no column `nope`"),
        ({"filter": "what"}, "the filter `what` cannot be read"),
        ({"filter": "name=1 and " * 80 + "name=1"}, "the filter has more than "),
        ({"sort": "nope"}, "there is no column `nope`"),
        ({"columns": ["nope"]}, "there is no column `nope`"),
        ({"delimiter": "ab"}, "delimiter"),
        ({"columns": ["name"] * 1_000_000}, ""),
    ],
)
async def test_what_cannot_be_asked_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        await asked(TOWNS, "filter", **{"filter": "size > 0", **options})
    assert said in caught.value.message


@settings(max_examples=50)
@given(st.text('ab1,;|\t\n\r"\0 é.-', max_size=60), st.sampled_from(["analyze", "convert", "head"]))
async def test_any_text_is_a_table_or_an_error_of_ours(text: str, operation: str) -> None:
    try:
        await asked(text, operation)
    except LLMSpellError:
        pass
