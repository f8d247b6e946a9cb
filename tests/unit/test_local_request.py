"""What the engine of the embedded model is asked: a body for a call, or an error that says what it cannot be given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell.errors import NotSupportedError, ValidationError
from llmspell.providers.base import ModelCall
from llmspell.providers.local_forms import LEAST, calls_form, form, pattern
from llmspell.providers.local_request import request
from llmspell.types.agent import Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec

pytestmark = pytest.mark.once

ASK = (Message("user", "hi"),)
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
LOOKUP, CLOCK = ToolSpec("lookup", "Looks.", SCHEMA), ToolSpec("clock")
USUAL = {
    "max_tokens": 512, "temperature": 0.6, "min_p": 0.1, "repeat_penalty": 1.1,
    "messages": [{"role": "user", "content": "hi"}],
    "stream": True, "return_progress": True, "stream_options": {"include_usage": True},
}  # fmt: skip
TALK = (
    Message("user", "look"),
    Message("assistant", "Well.", (ToolCall("c1", "lookup", {"q": "x"}), ToolCall("c2", "clock", None, "{oops"))),
    Message("tool", "found", (), "c1"),
    Message("tool", "gone", (), "c2", is_error=True),
)


def sent(*messages: Message, knows_tools: bool = False, **call: Any) -> Any:
    return json.loads(request(ModelCall("m", messages or ASK, **call), "local", "m", knows_tools=knows_tools).body)


def test_a_plain_call_has_what_is_usual_and_what_was_set_goes_before_it() -> None:
    assert sent() == USUAL
    told = Parameters(temperature=0.9, top_p=0.5, max_tokens=7, seed=0, stop=("END",))
    wanted = {"temperature": 0.9, "top_p": 0.5, "max_tokens": 7, "seed": 0, "stop": ["END"], "cache_prompt": False}
    assert sent(parameters=told) == USUAL | wanted


def test_what_a_call_adds_is_laid_over_it_but_for_what_the_request_must_say_itself() -> None:
    added = {
        "min_p": 0.2, "n": 1, "messages": [], "stream": False, "stream_options": {}, "return_progress": 0, "model": "x",
    }  # fmt: skip
    assert sent(body=added) == USUAL | {"min_p": 0.2, "n": 1}


@pytest.mark.parametrize(
    ("name", "value"), [("grammar", "root ::= x"), ("json_schema", {}), ("response_format", {"a": 1})]
)
def test_a_form_of_the_script_s_own_is_held_to_by_the_best_guess(name: str, value: Any) -> None:
    assert sent(body={name: value})["temperature"] == (0 if value else 0.6)
    assert sent(body={name: value}, parameters=Parameters(temperature=0.3))["temperature"] == 0.3


def test_an_answer_s_form() -> None:
    body = sent(schema=ResponseSchema(SCHEMA))
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form(SCHEMA)}}
    assert body == USUAL | {"response_format": shape, "temperature": 0}


def test_tools_that_the_model_knows() -> None:
    tool = {"type": "function", "function": {"name": "lookup", "description": "Looks.", "parameters": form(SCHEMA)}}
    for choice in (None, "auto"):
        body = sent(tools=(LOOKUP,), tool_choice=choice, knows_tools=True)
        assert body == USUAL | {"tools": [tool], "tool_choice": "auto", "temperature": 0}
    assert sent(tools=(LOOKUP,), parallel_tools=False, knows_tools=True)["parallel_tool_calls"] is False
    assert sent(tools=(LOOKUP,), tool_choice="none") == USUAL


@pytest.mark.parametrize(("choice", "tools"), [("required", (LOOKUP, CLOCK)), ("clock", (CLOCK,))])
def test_a_call_that_is_forced_is_a_form(choice: str, tools: tuple[ToolSpec, ...]) -> None:
    asked = request(ModelCall("m", ASK, tools=(LOOKUP, CLOCK), tool_choice=choice), "local", "m", knows_tools=True)
    assert asked.forced
    body = json.loads(asked.body)
    assert body["response_format"]["json_schema"]["schema"] == calls_form(tools)
    system, user = body["messages"]
    assert (system["role"], user) == ("system", {"role": "user", "content": "hi"})
    assert all((f'"name":"{one.name}"' in system["content"]) is (one in tools) for one in (LOOKUP, CLOCK))
    assert "tools" not in body


def test_what_the_system_says_comes_before_what_is_said_of_the_tools() -> None:
    talk = (Message("system", "Be brief."), *ASK)
    messages = sent(*talk, tools=(LOOKUP,), tool_choice="required")["messages"]
    assert messages[0]["content"].startswith("Be brief.\n\nYou answer by calling a tool")
    assert messages[1:] == [{"role": "user", "content": "hi"}]
    messages = sent(Message("system", ""), *ASK, tools=(LOOKUP,), tool_choice="required")["messages"]
    assert messages[0]["content"].startswith("You answer by calling a tool")


def test_calls_and_results_in_words_and_in_the_dialect() -> None:
    assert sent(*TALK)["messages"][1:] == [
        {
            "role": "assistant",
            "content": 'Well.\n{"name":"lookup","arguments":{"q":"x"}}\n{"name":"clock","arguments":"{oops"}',
        },
        {"role": "user", "content": "The tool lookup gave: found"},
        {"role": "user", "content": "The tool clock failed: gone"},
    ]
    answer, found, gone = sent(*TALK, knows_tools=True)["messages"][1:]
    assert [call["function"] for call in answer["tool_calls"]] == [
        {"name": "lookup", "arguments": '{"q":"x"}'},
        {"name": "clock", "arguments": "{oops"},
    ]
    assert [(call["id"], call["type"]) for call in answer["tool_calls"]] == [("c1", "function"), ("c2", "function")]
    assert found == {"role": "tool", "content": "found", "tool_call_id": "c1"}
    assert gone["tool_call_id"] == "c2"
    alone = sent(*ASK, Message("tool", "x", (), "c9"), Message("tool", "y"))["messages"]
    assert [one["content"] for one in alone[1:]] == ["The tool c9 gave: x", "The tool  gave: y"]


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        ({"body": {"n": 2}}, ValidationError, "one answer a call"),
        ({"parameters": Parameters(reasoning="low")}, NotSupportedError, "`reasoning` cannot be set"),
        ({"modalities": ("text", "image")}, NotSupportedError, "makes no image"),
        ({"tools": (LOOKUP,)}, NotSupportedError, "knows no tools, so it cannot choose"),
        ({"body": {"tools": [{}]}}, NotSupportedError, "knows no tools"),
        ({"tool_choice": "required"}, ValidationError, "there are no tools"),
        ({"tools": (LOOKUP,), "tool_choice": "other"}, ValidationError, "`tool_choice` names no tool: 'other'"),
        ({"parameters": Parameters(seed=-1)}, ValidationError, "`seed` is -1"),
        ({"parameters": Parameters(seed=2**32 - 1)}, ValidationError, "`seed` is 4294967295"),
        ({"parameters": Parameters(max_tokens=0)}, ValidationError, "`max_tokens` is 0"),
        ({"body": {"grammar": "x" * 70_000}}, ValidationError, "the form is too large"),
        ({"body": {"x": {1, 2}}}, ValidationError, "a request to local that is no JSON"),
    ],
)
def test_what_it_cannot_be_given(call: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        sent(**call)


def test_tools_and_a_form_are_not_for_one_call() -> None:
    with pytest.raises(NotSupportedError, match="tools and a schema in one call"):
        sent(tools=(LOOKUP,), schema=ResponseSchema(SCHEMA), knows_tools=True)


def test_it_reads_text_alone() -> None:
    for kind, told in (("image/png", "not an image"), ("video/mp4", "not a video"), ("audio/wav", "not an audio")):
        with pytest.raises(NotSupportedError, match=f"reads text only, {told}"):
            sent(Message("user", ("see", Media(kind, b"x"))))


# ---- forms


def test_the_form_of_a_call_says_its_tool_and_its_arguments() -> None:
    assert calls_form([LOOKUP]) == {
        "anyOf": [
            {
                "type": "object",
                "properties": {"name": {"const": "lookup"}, "arguments": {"$ref": "#/$defs/tool0"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        ],
        "$defs": {"tool0": SCHEMA},
    }


@pytest.mark.parametrize("word", ["default", "examples", "title", "description", "$schema", "$id", "$comment"])
def test_what_says_nothing_of_the_form_goes_but_where_it_is_a_name(word: str) -> None:
    for home in ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"):
        assert form({word: {}, home: {word: {"type": "string", word: 1}}}) == {home: {word: {"type": "string"}}}


def test_the_least_that_must_be_there_has_a_bound() -> None:
    for name in ("minLength", "minItems"):
        assert form({name: LEAST}) == {name: LEAST}
        assert form({name: LEAST + 1}) == {}


def test_patterns_have_bounds() -> None:
    assert pattern("^" + "a" * 998 + "$") is not None
    assert pattern("^" + "a" * 999 + "$") is None
    assert pattern("^" + "(a)" * 20 + "$") is not None
    assert pattern("^" + "(a)" * 21 + "$") is None
    for odd in ("--", "&&", "||", "~~"):
        assert pattern(f"^[a{odd}b]$") is None
