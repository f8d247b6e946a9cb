"""What is sent to Anthropic: tools, forms, media, thinking, by what each model takes. Source: WIRE.md §6, §10, §11."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, NotSupportedError, ValidationError
from llmspell.providers.base import ModelCall
from llmspell.providers.claude import claude
from llmspell.providers.dialect import dialect_of
from llmspell.providers.manager import ProviderManager
from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.reading import answer_of
from support.wire import HOME, load

pytestmark = pytest.mark.once

MODEL = "claude-haiku-4-5"
ASK = (Message("user", "hi"),)
LOOKUP = ToolSpec("lookup", "Looks.", {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
CLOCK = ToolSpec("clock")
PNG = Media("image/png", b"\0\1")
PDF = Media("application/pdf", b"%PDF", filename="a.pdf")


def sent(*messages: Message, model: str = MODEL, **call: Any) -> Any:
    asked = ModelCall(model, messages or ASK, **call)
    return json.loads(dialect_of("anthropic").request(asked, stream=False).body)


def content(*parts: Any, role: str = "user") -> Any:
    return sent(Message("user", "hi"), Message("assistant", "yes"), Message(role, parts))["messages"][-1]["content"]


@given(st.lists(st.text(max_size=12) | st.sampled_from(["functions.f:0", "x" * 200]), min_size=1, unique=True))
@settings(deadline=None, max_examples=60)
def test_ids_of_calls_are_such_as_it_takes(ids: list[str]) -> None:
    talk = sent(
        *ASK,
        Message("assistant", "", tuple(ToolCall(id_, "f", {}) for id_ in (*ids, "toolu_1"))),
        *(Message("tool", "x", (), id_) for id_ in (*ids, "toolu_1")),
    )["messages"]
    asked = [block["id"] for block in talk[1]["content"]]
    assert asked == [block["tool_use_id"] for block in talk[2]["content"]]
    assert asked[-1] == "toolu_1"
    assert len(set(asked)) == len(asked)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,128}", id_) for id_ in asked)


def test_ids_of_calls_among_kept_blocks_are_the_same_as_those_of_their_results() -> None:
    thinks = {"type": "thinking", "thinking": "hm", "signature": "S"}
    asks = {"type": "tool_use", "id": "f:0", "name": "f", "input": {}}
    turn = Message("assistant", "", (ToolCall("f:0", "f", {}),), native={"blocks": [thinks, asks]})
    talk = sent(*ASK, turn, Message("tool", "x", (), "f:0"))["messages"]
    assert talk[1]["content"][0] == thinks
    assert talk[1]["content"][1]["id"] == talk[2]["content"][0]["tool_use_id"]


def answered(*blocks: dict[str, Any], stop: str = "end_turn") -> AgentOutput:
    """An answer of these blocks, read."""
    return answer_of("anthropic", json.dumps({"type": "message", "content": blocks, "stop_reason": stop}).encode())


# ---- tools


def test_tools_are_told_with_their_schemas() -> None:
    assert sent(tools=(LOOKUP, CLOCK))["tools"] == [
        {"name": "lookup", "description": "Looks.", "input_schema": LOOKUP.parameters},
        {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tools" not in sent()


@pytest.mark.parametrize(
    ("choice", "parallel", "told"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("lookup", None, {"type": "tool", "name": "lookup"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("lookup", True, {"type": "tool", "name": "lookup", "disable_parallel_tool_use": False}),
    ],
)
def test_who_must_be_called(choice: str | None, parallel: bool | None, told: Any) -> None:
    assert sent(tools=(LOOKUP,), tool_choice=choice, parallel_tools=parallel).get("tool_choice") == told


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "a" * 129, "a\n"])
def test_a_tool_s_name_keeps_the_service_s_rule(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(tools=(ToolSpec(name),))
    assert "128" in str(caught.value.hint)
    assert caught.value.message.isprintable()
    assert sent(tools=(ToolSpec("a_B-9" + "x" * 123),))


@pytest.mark.parametrize(
    "call",
    [
        {"tools": (CLOCK,), "tool_choice": "lookup"},
        {"tool_choice": "required"},
        {"tool_choice": "clock"},
        {"tools": (CLOCK, CLOCK)},
    ],
)
def test_a_choice_of_what_is_not_there(call: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sent(**call)


@pytest.mark.parametrize("choice", ["required", "lookup"])
@pytest.mark.parametrize("model", [MODEL, "claude-opus-4-7"])
def test_a_model_that_thinks_cannot_be_made_to_call(model: str, choice: str) -> None:
    call = {"model": model, "tools": (LOOKUP,), "tool_choice": choice}
    with pytest.raises(NotSupportedError) as caught:
        sent(**call, parameters=Parameters(reasoning="low"))
    assert "reasoning" in str(caught.value.hint)
    assert sent(**call, parameters=Parameters(reasoning="none"))["tool_choice"]["type"] in ("any", "tool")
    assert sent(**call | {"tool_choice": "auto"}, parameters=Parameters(reasoning="low"))["tool_choice"]


def test_newest_models_cannot_be_made_to_call_at_all() -> None:
    for model in ("claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1"):
        with pytest.raises(NotSupportedError):
            sent(model=model, tools=(LOOKUP,), tool_choice="required")
        assert not dialect_of("anthropic").capabilities(model).supports_tool_choice
    assert dialect_of("anthropic").capabilities("claude-opus-5").supports_tool_choice


def test_strict_tools_are_closed_where_the_model_is_held_to_them() -> None:
    strict = LOOKUP._replace(strict=True)
    (tool,) = sent(tools=(strict,))["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"] == LOOKUP.parameters | {"additionalProperties": False}
    (tool,) = sent(tools=(strict,), model="claude-opus-4-1")["tools"]
    assert "strict" not in tool
    assert tool["input_schema"] == LOOKUP.parameters


# ---- the conversation


def test_results_stand_in_one_turn_before_its_text_and_errors_say_so() -> None:
    calls = (ToolCall("c1", "lookup", {"q": "x"}), ToolCall("c2", "clock", None, "{cut"))
    talk = sent(
        Message("user", "hi"),
        Message("assistant", "", calls),
        Message("user", "quick!"),
        Message("tool", "42", (), "c1"),
        Message("tool", "", (), "c2", is_error=True),
    )["messages"]
    assert talk[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"q": "x"}},
                {"type": "tool_use", "id": "c2", "name": "clock", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "42"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "The tool failed.", "is_error": True},
                {"type": "text", "text": "quick!"},
            ],
        },
    ]


def test_media_in_a_result_stay_inside_it_in_order() -> None:
    (result,) = sent(
        Message("user", "hi"),
        Message("assistant", "", (ToolCall("c1", "clock", {}),)),
        Message("tool", ("see", PNG, "", PDF), (), "c1"),
    )["messages"][-1]["content"]
    assert result == {
        "type": "tool_result",
        "tool_use_id": "c1",
        "content": [
            {"type": "text", "text": "see"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAE="}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "title": "a.pdf",
            },
        ],
    }


def test_systems_are_joined_and_an_empty_conversation_is_refused() -> None:
    body = sent(Message("system", "a"), Message("user", "hi"), Message("system", " \n"), Message("system", ("b", "c")))
    assert body["system"] == "a\n\nbc"
    assert "system" not in sent(Message("system", ""), Message("user", "hi"))
    for empty in ((Message("system", "a"),), (Message("user", " \n"), Message("assistant", ""))):
        with pytest.raises(ValidationError):
            sent(*empty)


def test_an_answer_that_was_begun_goes_last_without_a_space_at_its_end() -> None:
    assert sent(Message("user", "hi"), Message("assistant", " {\n"))["messages"][-1] == {
        "role": "assistant",
        "content": " {",
    }


def test_an_answer_s_blocks_go_back_as_they_came() -> None:
    blocks = (
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
        {"type": "text", "text": ""},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "text", "text": "Let me ", "citations": [{"cited_text": "x"}]},
        {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"q": "x"}},
        {"type": "tool_use", "id": "c2", "name": "clock", "input": {}},
    )
    output = answered(*blocks, stop="tool_use")
    results = (Message("tool", "1", (), "c1"), Message("tool", "2", (), "c2"))
    talk = sent(Message("user", "hi"), output.message(), *results, tools=(LOOKUP, CLOCK))["messages"]
    assert talk[1]["content"] == [block for block in blocks if block.get("text") != ""]
    assert [block["tool_use_id"] for block in talk[2]["content"]] == ["c1", "c2"]


def test_a_lone_text_keeps_what_stands_beside_it() -> None:
    cited = {"type": "text", "text": "a", "citations": [{"cited_text": "x"}]}
    turn = Message("assistant", "a", native={"blocks": [cited]})
    assert sent(Message("user", "hi"), turn, Message("user", "b"))["messages"][1]["content"] == [cited]


@pytest.mark.parametrize("blocks", [None, "x", 7, {"a": 1}, [], [1, "x", None]])
def test_blocks_that_are_none_leave_the_turn_as_it_reads(blocks: Any) -> None:
    turn = Message("assistant", "a", native={"blocks": blocks})
    assert sent(Message("user", "hi"), turn, Message("user", "b"))["messages"][1]["content"] == "a"


# ---- media


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (PNG, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAE="}}),
        (
            Media("IMAGE/JPEG; q=1", b"\xff\xd8"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9g="}},
        ),
        (Media("image/webp", url="https://a/b"), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (Media("image/*", url="https://a/b"), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (
            Media("application/pdf", url="https://a/b.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
        ),
        (
            Media("text/markdown", "Grüße".encode(), filename="a.md"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
                "title": "a.md",
            },
        ),
        (
            Media("application/json", b"\xef\xbb\xbf{}"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        ),
    ],
)
def test_each_medium_has_its_block(media: Media, block: Any) -> None:
    assert content("before", media, "after") == [
        {"type": "text", "text": "before"},
        block,
        {"type": "text", "text": "after"},
    ]


@pytest.mark.parametrize(
    "media",
    [
        Media("audio/wav", b"x"),
        Media("video/mp4", url="https://a/b"),
        Media("image/svg+xml", b"x"),
        Media("application/zip", b"x"),
        Media("text/plain", url="https://a/b"),
        Media("bad\n\x1b[31m", b"x"),
    ],
)
def test_what_the_service_does_not_take_is_refused_by_its_place(media: Media) -> None:
    with pytest.raises(NotSupportedError) as caught:
        content("a", media)
    assert "part 2 of message 3" in caught.value.message
    assert caught.value.message.isprintable()
    assert "PDF" in str(caught.value.hint)


@pytest.mark.parametrize(
    "media", [Media("image/png"), Media("image/png", url="gs://a/b"), Media("text/plain", b"\xff\xfe")]
)
def test_media_that_are_not_there(media: Media) -> None:
    with pytest.raises(ValidationError):
        content(media)


def test_nothing_is_sent_of_what_is_refused() -> None:
    async def ask() -> None:
        manager = ProviderManager({"p": {"type": "anthropic", "base_url": "http://127.0.0.1:9", "model": "m"}})
        provider, model = manager.resolve("p")
        with pytest.raises(NotSupportedError):  # and no NetworkError: nobody listens there
            await provider.execute(ModelCall(model, (Message("user", (Media("audio/wav", b"x"),)),)))
        await manager.aclose()

    asyncio.run(ask())


def test_only_the_user_and_tools_have_media() -> None:
    for role in ("system", "assistant"):
        with pytest.raises(NotSupportedError):
            sent(Message("user", "hi"), Message(role, ("a", PNG)))
    with pytest.raises(NotSupportedError):
        sent(modalities=("image",))
    assert sent(modalities=("text",))


@given(st.lists(st.one_of(st.text(max_size=5), st.binary(max_size=20)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_parts_keep_their_order_and_bytes(parts: list[str | bytes]) -> None:
    given_ = tuple(part if isinstance(part, str) else Media("image/gif", part) for part in parts)
    if not any(isinstance(part, bytes) or part.strip() for part in parts):
        return
    blocks = sent(Message("user", given_))["messages"][0]["content"]
    if isinstance(blocks, str):
        blocks = [{"type": "text", "text": blocks}]
    told = [block["text"] if block["type"] == "text" else base64.b64decode(block["source"]["data"]) for block in blocks]
    assert told == [part for part in parts if isinstance(part, bytes) or part.strip()]


# ---- forms


SCHEMA = {
    "type": "object",
    "properties": {
        "minimum": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"a": {"enum": [1]}}}},
        "free": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
    },
    "$defs": {"x": {"anyOf": [{"type": "object", "properties": {}}]}},
}


def test_a_form_is_closed_and_without_what_the_service_cannot_hold() -> None:
    told = sent(schema=ResponseSchema(SCHEMA))["output_config"]["format"]
    assert told == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "minimum": {"type": "integer"},
                "tags": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"a": {"enum": [1]}}, "additionalProperties": False},
                },
                "free": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "$defs": {"x": {"anyOf": [{"type": "object", "properties": {}, "additionalProperties": False}]}},
            "additionalProperties": False,
        },
    }
    assert "minimum" in json.dumps(SCHEMA["properties"])  # its own is not touched


@pytest.mark.parametrize(
    "word",
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems",
     "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties"],
)  # fmt: skip
def test_a_form_says_nothing_of_sizes_but_where_they_are_names_or_values(word: str) -> None:
    schema = {
        "type": "object",
        word: 1,
        "properties": {word: {"enum": [{word: 1}], "default": {word: 1}, "items": [{"const": {word: 1}, word: 2}]}},
        "examples": [{word: 1}],
    }
    held = sent(schema=ResponseSchema(schema))["output_config"]["format"]["schema"]
    assert held == {
        "type": "object",
        "properties": {word: {"enum": [{word: 1}], "default": {word: 1}, "items": [{"const": {word: 1}}]}},
        "examples": [{word: 1}],
        "additionalProperties": False,
    }


def test_a_request_names_the_version_and_the_key() -> None:
    dialect = dialect_of("anthropic")
    assert dialect.auth("k") == {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    assert dialect.auth("") == {"anthropic-version": "2023-06-01"}
    assert (dialect.key_env, dialect.capabilities().max_media_size) == ("ANTHROPIC_API_KEY", 24 << 20)


@pytest.mark.parametrize(("top_p", "there"), [(0.94, False), (0.95, True), (1.0, True)])
def test_while_it_thinks_only_most_of_the_words_may_be_taken(top_p: float, there: bool) -> None:
    body = sent(parameters=Parameters(reasoning="low", top_p=top_p, max_tokens=9000))
    assert ("top_p" in body) is there


def test_an_id_of_128_characters_is_taken_and_a_longer_one_made_shorter() -> None:
    for length in (128, 129):
        talk = sent(
            *ASK, Message("assistant", "", (ToolCall("x" * length, "f", {}),)), Message("tool", "y", (), "x" * length)
        )
        id_ = talk["messages"][1]["content"][0]["id"]
        assert (id_ == "x" * length) is (length == 128)
        assert len(id_) <= 128


def test_a_form_stands_beside_an_effort_and_older_models_are_not_held() -> None:
    body = sent(
        schema=ResponseSchema({"type": "object"}), model="claude-opus-4-6", parameters=Parameters(reasoning="low")
    )
    assert body["output_config"].keys() == {"effort", "format"}
    for model in ("claude-opus-4-1", "claude-3-5-haiku-20241022", "kimi-k2"):
        assert dialect_of("anthropic").capabilities(model).structured_output == "tool"
        with pytest.raises(NotSupportedError):
            sent(schema=ResponseSchema(SCHEMA), model=model)


# ---- thinking


def thought(model: str, effort: str | None, **parameters: Any) -> tuple[Any, Any, int]:
    body = sent(model=model, parameters=Parameters(reasoning=effort, **parameters))
    return body.get("thinking"), body.get("output_config"), body["max_tokens"]


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("claude-sonnet-4-5", "low", ({"type": "enabled", "budget_tokens": 2048}, None, 8192 + 2048)),
        ("claude-sonnet-4-5", "none", ({"type": "disabled"}, None, 8192)),
        ("claude-3-7-sonnet-20250219", "high", ({"type": "enabled", "budget_tokens": 16384}, None, 24576)),
        ("claude-opus-4-1", "xhigh", ({"type": "enabled", "budget_tokens": 32000 - 1024}, None, 32000)),
        ("claude-opus-4-6", "minimal", ({"type": "adaptive"}, {"effort": "low"}, 8192 + 1024)),
        ("claude-sonnet-4-6", "none", ({"type": "disabled"}, None, 8192)),
        ("claude-opus-4-7", "xhigh", ({"type": "adaptive", "display": "summarized"}, {"effort": "xhigh"}, 40960)),
        ("claude-opus-5", "none", ({"type": "disabled"}, None, 16384)),
        ("claude-sonnet-5-5", "none", ({"type": "between_tools"}, None, 16384)),
        ("claude-opus-5-5", "none", (None, {"effort": "low"}, 16384)),
        ("claude-fable-5-1", "high", ({"type": "adaptive", "display": "summarized"}, {"effort": "high"}, 32768)),
        ("claude-haiku-5-5", None, (None, None, 16384)),
        ("claude-3-haiku-20240307", None, (None, None, 4096)),
        ("kimi-k2", "medium", ({"type": "enabled", "budget_tokens": 8192}, None, 4096 + 8192)),
    ],
)  # fmt: skip
def test_each_model_thinks_in_its_way(model: str, effort: str | None, told: Any) -> None:
    assert thought(model, effort) == told


@given(
    st.sampled_from(["claude-opus-4-0", "claude-sonnet-4-5", "claude-3-7-sonnet-latest", "m"]),
    st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max", "odd"]),
    st.one_of(st.none(), st.integers(1, 200_000)),
)
@settings(deadline=None, max_examples=60)
def test_thinking_leaves_room_for_the_answer(model: str, effort: str, most: int | None) -> None:
    thinking, _, tokens = thought(model, effort, max_tokens=most)
    assert 1024 <= thinking["budget_tokens"] < tokens
    assert tokens >= (most or 0)
    assert tokens <= max(claude(model).limit, most or 0)


@pytest.mark.parametrize(
    ("model", "effort", "top_p", "told"),
    [
        (MODEL, None, 0.5, {"temperature": 0.5, "top_p": 0.5}),
        (MODEL, "none", 0.5, {"temperature": 0.5, "top_p": 0.5}),
        (MODEL, "low", 0.5, {}),
        (MODEL, "low", 0.97, {"top_p": 0.97}),
        ("claude-opus-4-6", None, None, {"temperature": 0.5}),
        ("claude-opus-4-6", "low", None, {}),
        ("claude-opus-4-7", None, 0.97, {}),
        ("claude-haiku-5-5", "none", 0.97, {}),
    ],
)
def test_sampling_is_left_out_where_the_model_refuses_it(
    model: str, effort: str | None, top_p: float | None, told: Any
) -> None:
    body = sent(model=model, parameters=Parameters(temperature=0.5, top_p=top_p, reasoning=effort))
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == told


@pytest.mark.parametrize(
    ("names", "like"),
    [
        (("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5@20250929"), "claude-sonnet-4-5"),
        (("anthropic/claude-opus-4.7", "CLAUDE-OPUS-4-7-20260401"), "claude-opus-4-7"),
        (("anthropic.claude-sonnet-5-v1:0", "claude-sonnet-5-20260801"), "claude-sonnet-5"),
        (("claude-3-5-sonnet-latest",), "claude-3-5-sonnet-20241022"),
        (("claude-mythos-preview",), "claude-mythos-5"),
        (("", "claude", "gpt-5-claude-like", "my-model-9"), "m"),
    ],
)
def test_a_model_is_known_by_any_of_its_names(names: tuple[str, ...], like: str) -> None:
    for name in names:
        assert claude(name)._replace(thinks=None) == claude(like)._replace(thinks=None)


def test_capabilities() -> None:
    able = dialect_of("anthropic").capabilities()
    assert (able.structured_output, able.supports_tools, able.supports_reasoning) == ("native", True, True)
    assert able.input_modalities == ("text", "image", "file")
    assert able.tool_result_media == ("image", "file")
    assert not able.supports_embeddings
    able = dialect_of("anthropic").capabilities("claude-sonnet-4-5")
    assert (able.structured_output, able.max_output_tokens) == ("native", 64000)
    assert dialect_of("anthropic").capabilities("claude-3-5-haiku-latest").supports_reasoning is False
    assert dialect_of("anthropic").capabilities("kimi-k2").supports_reasoning is None


# ---- what clients sent, in recordings


def recorded(name: str) -> dict[str, Any]:
    path = HOME / "anthropic" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recording {name}")
    body: dict[str, Any] = load(path).request["json"]
    return body


def spoken(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turns in one of the ways to say them: no text as a block where it is alone, no error told that is none."""
    for turn in turns:
        if isinstance(turn["content"], list):
            for block in turn["content"]:
                if block.get("is_error") is False:
                    del block["is_error"]
                block.pop("citations", None)
            if len(turn["content"]) == 1 and turn["content"][0]["type"] == "text":
                turn["content"] = turn["content"][0]["text"]
    return turns


def test_a_request_is_as_clients_send_it_media_in_a_result() -> None:
    body = recorded("image-tool-result")
    data = base64.b64decode(body["messages"][2]["content"][0]["content"][1]["source"]["data"])
    call = ToolCall("toolu_01DwJvMbi7YLANFtEVri6sB1", "image_fetch", {})
    told = sent(
        Message("user", "Use the image_fetch tool, then describe exactly what the returned image shows."),
        Message("assistant", "", (call,)),
        Message("tool", ("Fetched the image.", Media("image/png", data)), (), call.id),
        tools=(ToolSpec("image_fetch", "Fetches the requested image", body["tools"][0]["input_schema"]),),
    )
    assert told["messages"] == spoken(body["messages"])
    assert told["tools"] == body["tools"]


def test_a_request_is_as_clients_send_it_a_document() -> None:
    body = recorded("pdf-citations")
    text, document = body["messages"][0]["content"]
    pdf = Media("application/pdf", base64.b64decode(document["source"]["data"]), filename=document["title"])
    assert sent(Message("user", (text["text"], pdf)))["messages"] == spoken(body["messages"])


@pytest.mark.parametrize("name", ["tools-parallel-results", "thinking-tool-result"])
def test_a_request_is_as_clients_send_it_results(name: str) -> None:
    body = recorded(name)
    question, answer, results = body["messages"]
    talk = [Message("user", question["content"][0]["text"]), answered(*answer["content"]).message()]
    talk += [Message("tool", one["content"], (), one["tool_use_id"]) for one in results["content"]]
    tools = tuple(ToolSpec(t["name"], t["description"], t["input_schema"]) for t in body["tools"])
    told = sent(*talk, tools=tools, tool_choice="auto")
    assert told["messages"] == spoken(body["messages"])
    assert told["tool_choice"] == body["tool_choice"]
    assert [{"description": "", **tool} for tool in told["tools"]] == body["tools"]


def test_a_request_is_as_clients_send_it_a_form() -> None:
    body = recorded("structured")
    schema = ResponseSchema(body["output_config"]["format"]["schema"])
    assert sent(schema=schema)["output_config"] == body["output_config"]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10))
@settings(deadline=None, max_examples=60)
def test_any_names_end_in_a_request_or_in_one_error(model: str, mime: str, tool: str) -> None:
    failed: LLMSpellError | None = None
    try:
        sent(Message("user", ("a", Media(mime, b"x"))), model=model, tools=(ToolSpec(tool),))
    except LLMSpellError as error:
        failed = error
    if failed is not None:
        assert failed.kind in ("validation", "not_supported")
        assert failed.message.isprintable()
