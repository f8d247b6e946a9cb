"""What is sent to Responses and to Ollama: tools, forms, media. Source: WIRE.md §5, §8, §10, §11."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, NotSupportedError, ValidationError
from llmspell.providers.base import ModelCall
from llmspell.providers.dialect import dialect_of
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.reading import answer_of
from support.wire import HOME, load

pytestmark = pytest.mark.once

RESPONSES, OLLAMA = "openai-responses", "ollama"
BOTH = (RESPONSES, OLLAMA)
OBJECT = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CLOSED = OBJECT | {"additionalProperties": False}
LOOSE = {"type": "object", "properties": {"q": {"type": "string"}}}
EMPTY = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
LOOKUP = ToolSpec("lookup", "Looks.", OBJECT)
CLOCK = ToolSpec("clock")
PNG = Media("image/png", b"\0\1")
PDF = Media("application/pdf", b"%PDF", filename="a.pdf")
CALLS = (ToolCall("c1", "lookup", {"q": "x"}), ToolCall("c2", "clock", {}))


def sent(type_: str, *messages: Message, **call: Any) -> Any:
    asked = ModelCall("m", messages or (Message("user", "hi"),), **call)
    return json.loads(dialect_of(type_).request(asked, stream=False).body)


def answered(*items: dict[str, Any], type_: str = RESPONSES) -> AgentOutput:
    """A response of these items, or an answer of these lines, read."""
    body = json.dumps({"object": "response", "status": "completed", "model": "m", "output": items}).encode()
    if type_ == OLLAMA:
        body = b"\n".join(json.dumps(line).encode() for line in items)
    return answer_of(type_, body)


# ---- tools


def test_tools_of_responses_are_flat_and_say_whether_they_are_strict() -> None:
    tools = (LOOKUP, CLOCK._replace(strict=True), LOOKUP._replace(name="l2", parameters=CLOSED, strict=True))
    assert sent(RESPONSES, tools=tools)["tools"] == [
        {"type": "function", "name": "lookup", "description": "Looks.", "parameters": OBJECT, "strict": False},
        {"type": "function", "name": "clock", "parameters": EMPTY, "strict": True},
        {"type": "function", "name": "l2", "description": "Looks.", "parameters": CLOSED, "strict": True},
    ]


def test_tools_of_ollama() -> None:
    assert sent(OLLAMA, tools=(LOOKUP,))["tools"] == [
        {"type": "function", "function": {"name": "lookup", "description": "Looks.", "parameters": OBJECT}}
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "told"),
    [
        (None, None, (None, None)),
        ("auto", False, ("auto", False)),
        ("none", None, ("none", None)),
        ("required", True, ("required", True)),
        ("lookup", None, ({"type": "function", "name": "lookup"}, None)),
    ],
)
def test_who_must_be_called(choice: str | None, parallel: bool | None, told: Any) -> None:
    body = sent(RESPONSES, tools=(LOOKUP,), tool_choice=choice, parallel_tools=parallel)
    assert (body.get("tool_choice"), body.get("parallel_tool_calls")) == told


def test_nobody_can_be_made_to_call_at_ollama() -> None:
    for choice in ("required", "lookup"):
        with pytest.raises(NotSupportedError):
            sent(OLLAMA, tools=(LOOKUP,), tool_choice=choice)
    assert "tools" not in sent(OLLAMA, tools=(LOOKUP,), tool_choice="none")
    body = sent(OLLAMA, tools=(LOOKUP,), tool_choice="auto", parallel_tools=False)
    assert body.keys() == {"model", "messages", "stream", "tools"}


@pytest.mark.parametrize("type_", BOTH)
def test_tools_that_no_service_takes(type_: str) -> None:
    for call in ({"tools": (ToolSpec("a b"),)}, {"tool_choice": "required"}, {"tools": (CLOCK, CLOCK)}):
        with pytest.raises(ValidationError):
            sent(type_, **call)


@pytest.mark.parametrize(
    ("model", "host", "told"),
    [
        ("gpt-5-nano", None, True), ("gpt-5.2", None, True), ("o3-mini", None, True), ("o3-mini", "api.x.ai", False),
        ("gpt-4o", None, False), ("gpt-4.1-nano", None, False), ("gpt-5-chat-latest", None, False), ("", None, False),
    ],
)  # fmt: skip
def test_a_model_that_thinks_unasked_is_asked_for_what_it_wants_back(model: str, host: str | None, told: bool) -> None:
    call = ModelCall(model, (Message("user", "hi"),), tools=(CLOCK,))
    body = json.loads(dialect_of(RESPONSES, host).request(call, stream=False).body)
    assert body.get("include") == (["reasoning.encrypted_content"] if told else None)
    body = json.loads(dialect_of(RESPONSES, host).request(call._replace(tools=()), stream=False).body)
    assert "include" not in body


# ---- forms, and what an answer is made of


def test_an_answer_s_form() -> None:
    schema = ResponseSchema(CLOSED, "my answer", "What.")
    assert sent(RESPONSES, schema=schema)["text"] == {
        "format": {
            "type": "json_schema",
            "name": "my_answer",
            "description": "What.",
            "schema": CLOSED,
            "strict": True,
        }
    }
    assert sent(RESPONSES, schema=ResponseSchema(LOOSE))["text"]["format"]["strict"] is False
    assert sent(OLLAMA, schema=schema)["format"] == CLOSED


def test_images_are_a_tool_of_responses() -> None:
    body = sent(RESPONSES, tools=(CLOCK,), modalities=("text", "image"))
    assert body["tools"][1:] == [{"type": "image_generation"}]
    assert "tools" not in sent(RESPONSES, modalities=("text",))
    for type_, modality in ((RESPONSES, "audio"), (OLLAMA, "image")):
        with pytest.raises(NotSupportedError):
            sent(type_, modalities=(modality,))


# ---- media


@pytest.mark.parametrize(
    ("media", "told"),
    [
        (PNG, {"type": "input_image", "image_url": "data:image/png;base64,AAE="}),
        (
            Media("image/gif", url="https://a/b", detail="high"),
            {"type": "input_image", "image_url": "https://a/b", "detail": "high"},
        ),
        (PDF, {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}),
        (Media("application/pdf", url="https://a/b"), {"type": "input_file", "file_url": "https://a/b"}),
        (
            Media("text/plain", b"x"),
            {"type": "input_file", "filename": "file.txt", "file_data": "data:text/plain;base64,eA=="},
        ),
    ],
)
def test_each_medium_of_responses(media: Media, told: Any) -> None:
    (item,) = sent(RESPONSES, Message("user", ("before", media, "", "after")))["input"]
    assert item["content"] == [
        {"type": "input_text", "text": "before"},
        told,
        {"type": "input_text", "text": "after"},
    ]


def test_images_of_ollama_are_bare_base64() -> None:
    (message,) = sent(OLLAMA, Message("user", ("see ", PNG, "this", Media("image/gif", b"x"))))["messages"]
    assert message == {"role": "user", "content": "see this", "images": ["AAE=", "eA=="]}


@pytest.mark.parametrize(
    ("type_", "media"),
    [
        (RESPONSES, Media("audio/wav", b"x")),
        (RESPONSES, Media("video/mp4", b"x")),
        (OLLAMA, Media("audio/wav", b"x")),
        (OLLAMA, PDF),
        (OLLAMA, Media("image/png", url="https://a/b")),
        (OLLAMA, Media("video/x\n\x1b[31m", b"x")),
    ],
)
def test_what_is_not_taken_is_refused_by_its_place(type_: str, media: Media) -> None:
    with pytest.raises(NotSupportedError) as caught:
        sent(type_, Message("user", "hi"), Message("user", ("a", media)))
    assert "part 2 of message 2" in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("type_", BOTH)
def test_media_that_are_not_there_or_of_who_has_none(type_: str) -> None:
    with pytest.raises(ValidationError):
        sent(type_, Message("user", (Media("image/png"),)))
    for role in ("system", "assistant"):
        with pytest.raises(NotSupportedError):
            sent(type_, Message(role, ("a", PNG)))


@given(st.lists(st.one_of(st.text(max_size=5), st.binary(max_size=20)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_parts_keep_their_order_and_bytes(parts: list[str | bytes]) -> None:
    said = tuple(part if isinstance(part, str) else Media("image/gif", part) for part in parts)
    texts = [part for part in parts if isinstance(part, str)]
    (item,) = sent(RESPONSES, Message("user", said))["input"]
    back = [
        one["text"] if "text" in one else base64.b64decode(one["image_url"].partition(",")[2])
        for one in item["content"]
    ]
    assert back == [part for part in parts if isinstance(part, bytes) or part] or back == ["".join(texts)]
    (message,) = sent(OLLAMA, Message("user", said))["messages"]
    assert message["content"] == "".join(texts)
    assert [base64.b64decode(one) for one in message.get("images", ())] == [p for p in parts if isinstance(p, bytes)]


# ---- what tools gave


TURN = (
    Message("user", "hi"),
    Message("assistant", "", CALLS),
    Message("user", "quick!"),
    Message("tool", ("see", PNG), (), "c1"),
    Message("tool", "gone", (), "c2", is_error=True),
)


def test_results_of_responses_hold_their_media() -> None:
    items = sent(RESPONSES, *TURN, Message("tool", (PDF,), (), "c2", is_error=True))["input"]
    assert [item.get("type", item.get("role")) for item in items] == [
        "user",
        "function_call",
        "function_call",
        *["function_call_output"] * 3,
        "user",
    ]
    assert items[3] == {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [
            {"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAE="},
        ],
    }
    assert items[4]["output"] == "Error: gone"
    assert [part["type"] for part in items[5]["output"]] == ["input_text", "input_file"]


def test_media_of_a_result_that_failed_come_after_the_word_for_it() -> None:
    failed = Message("tool", ("gone", PNG), (), "c1", is_error=True)
    output = sent(RESPONSES, *TURN[:2], failed)["input"][-1]["output"]
    assert output[:2] == [{"type": "input_text", "text": "Error:"}, {"type": "input_text", "text": "gone"}]


@pytest.mark.parametrize(
    ("mime_type", "name"),
    [
        ("application/pdf", "file.pdf"), ("Application/PDF; x=1", "file.pdf"), ("text/csv", "file.txt"),
        ("application/x", "file"),
    ],
)  # fmt: skip
def test_a_file_without_a_name_has_one_of_its_kind(mime_type: str, name: str) -> None:
    (message,) = sent(RESPONSES, Message("user", (Media(mime_type, b"x"),)))["input"]
    assert message["content"][0]["filename"] == name


def test_images_of_results_go_beside_them_at_ollama() -> None:
    messages = sent(OLLAMA, *TURN)["messages"]
    assert messages[2:4] == [
        {"role": "tool", "content": "see", "tool_name": "lookup"},
        {"role": "tool", "content": "Error: gone", "tool_name": "clock"},
    ]
    assert messages[4]["role"] == "user"
    assert messages[4]["images"] == ["AAE="]
    assert "lookup" in messages[4]["content"]
    assert messages[5] == {"role": "user", "content": "quick!"}
    assert sent(OLLAMA, *TURN[:2], Message("tool", (PNG,), (), "c1"))["messages"][-2]["content"]


def test_results_at_ollama_name_their_tool_or_their_call() -> None:
    told = sent(OLLAMA, *TURN[:2], Message("tool", "x", (), "c9"), Message("tool", "y"))["messages"][-2:]
    assert [one["tool_name"] for one in told] == ["c9", ""]
    turn = (*TURN[:2], Message("tool", (PNG,), (), "c1"), Message("tool", (PNG, PNG), (), "c2"))
    first, second, beside = sent(OLLAMA, *turn)["messages"][-3:]
    assert first["content"] == second["content"] == "It is in the user's message after this."
    assert beside == {
        "role": "user", "content": "1 from the tool lookup. 2 from the tool clock.", "images": ["AAE="] * 3,
    }  # fmt: skip


def test_who_needs_a_key_at_ollama() -> None:
    assert dialect_of(OLLAMA, "localhost").keyless
    assert not dialect_of(OLLAMA, "ollama.com").keyless
    assert dialect_of(OLLAMA).base_url == "http://localhost:11434"
    assert (dialect_of(OLLAMA).auth("k"), dialect_of(OLLAMA).auth("")) == ({"authorization": "Bearer k"}, {})


# ---- round trips


def test_what_a_model_of_ollama_s_thought_goes_back_with_its_calls() -> None:
    call = {"function": {"name": "lookup", "arguments": {"q": "x"}}}
    lines: list[dict[str, Any]] = [
        {"model": "m", "message": {"role": "assistant", "content": "", "thinking": "h"}, "done": False},
        {"message": {"role": "assistant", "content": "", "thinking": "m", "tool_calls": [call]}, "done": False},
        {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"},
    ]
    output = answered(*lines, type_=OLLAMA)
    (message, result) = sent(OLLAMA, output.message(), Message("tool", "42", (), output.tool_calls[0].id))["messages"]
    assert message == {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]}
    assert result == {"role": "tool", "content": "42", "tool_name": "lookup"}
    for other in ("openai", RESPONSES):
        assert "thinking" not in json.dumps(sent(other, output.message()))
    lines[1]["message"]["tool_calls"] = []
    assert "chat" not in answered(*lines, type_=OLLAMA).metadata


def function(id_: str, name: str) -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": name, "arguments": "{}"}


def without(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in names}


def test_parallel_calls_go_back_behind_the_reasoning_that_made_them() -> None:
    items = (
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
        function("c1", "a"),
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "F"},
        function("c2", "a"),
    )
    output = answered(*items)
    results = [Message("tool", call.id, (), call.id) for call in output.tool_calls]
    told = sent(RESPONSES, output.message(), *results)["input"]
    assert told[:4] == [without(item, "id") for item in items]
    assert [item["call_id"] for item in told[4:]] == ["c1", "c2"]


@pytest.mark.parametrize("kept", [True, False])
def test_a_call_of_plain_text_and_its_result_go_back_as_such(kept: bool) -> None:
    custom = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "sql", "input": "SELECT 1"}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
    output = answered(*((thought, custom) if kept else (custom,)))
    (call,) = output.tool_calls
    assert (call.name, call.arguments, output.finish_reason) == ("sql", {"input": "SELECT 1"}, "tool_calls")
    told = sent(RESPONSES, output.message(), Message("tool", "1", (), "c1"))["input"]
    assert told[-2:] == [
        without(custom, "id"),
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
    ]


@pytest.mark.parametrize("kept", [None, 7, "x", {"a": 1}, [], [None, "x"]])
def test_what_was_kept_may_have_been_in_a_script_s_hands(kept: Any) -> None:
    told = sent(RESPONSES, Message("assistant", "a", native={"items": kept}))["input"]
    assert told == [{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]


def test_capabilities() -> None:
    able = dialect_of(RESPONSES).capabilities("m")
    assert (able.structured_output, able.supports_tool_choice) == ("native", True)
    assert (able.input_modalities, able.tool_result_media) == (("text", "image", "file"), ("image", "file"))
    assert able.output_modalities == ("text", "image")
    assert dialect_of(RESPONSES, "api.x.ai").capabilities().output_modalities == ("text",)
    able = dialect_of(OLLAMA).capabilities("m")
    assert (able.structured_output, able.supports_tool_choice, able.input_modalities) == (
        "native",
        False,
        ("text", "image"),
    )
    assert not able.structured_output_with_tools


# ---- what clients sent, in recordings


def recorded(name: str) -> dict[str, Any]:
    path = HOME / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recording {name}")
    body: dict[str, Any] = load(path).request["json"]
    return body


def test_a_request_is_as_clients_send_it_results() -> None:
    body = recorded("openai/responses-after-tools")
    output = answered(*[item for item in body["input"] if item.get("type") in ("reasoning", "function_call")])
    results = [
        Message("tool", item["output"], (), item["call_id"])
        for item in body["input"]
        if item.get("type") == "function_call_output"
    ]
    told = sent(
        RESPONSES,
        Message("user", body["input"][0]["content"]),
        output.message(),
        *results,
        tools=tuple(ToolSpec(tool["name"], tool["description"], tool["parameters"]) for tool in body["tools"]),
    )
    assert told["input"][1:] == body["input"][1:]
    assert told["tools"] == body["tools"]


def test_a_request_is_as_clients_send_it_a_form() -> None:
    body = recorded("openai/responses-structured")
    form = body["text"]["format"]
    assert sent(RESPONSES, schema=ResponseSchema(form["schema"], form["name"]))["text"] == body["text"]


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(BOTH))
@settings(deadline=None, max_examples=50)
def test_any_names_end_in_a_request_or_in_one_error(mime: str, tool: str, type_: str) -> None:
    failed: LLMSpellError | None = None
    try:
        sent(type_, Message("user", ("a", Media(mime, b"x"))), tools=(ToolSpec(tool),))
    except LLMSpellError as error:
        failed = error
    if failed is not None:
        assert failed.kind in ("validation", "not_supported")
        assert failed.message.isprintable()
