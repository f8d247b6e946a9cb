"""What is sent to Gemini and Vertex: tools, forms, media, thinking, by what each model takes. WIRE.md §7, §10, §11."""

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
from llmspell.providers.gemini import version_of
from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.reading import answer_of
from support.wire import HOME, load

pytestmark = pytest.mark.once

MODEL, OLDER = "gemini-3-flash-preview", "gemini-2.5-flash"
VERTEX = "europe-west1-aiplatform.googleapis.com"
ASK = (Message("user", "hi"),)
SCHEMA = {"type": "object", "properties": {"q": {"$ref": "#/$defs/q"}}, "$defs": {"q": {"type": "string"}}}
LOOKUP = ToolSpec("lookup", "Looks.", SCHEMA)
CLOCK = ToolSpec("clock")
PNG = Media("image/png", b"\0\1")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "AAE="}}
FOREIGN = "skip_thought_signature_validator"


def sent(*messages: Message, model: str = MODEL, host: str | None = None, **call: Any) -> Any:
    asked = ModelCall(model, messages or ASK, **call)
    return json.loads(dialect_of("gemini", host).request(asked, stream=False).body)


def answered(*parts: dict[str, Any]) -> AgentOutput:
    """An answer of these parts, read."""
    return answer_of(
        "gemini", json.dumps({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}).encode()
    )


def test_who_it_is_and_what_it_can() -> None:
    dialect = dialect_of("gemini")
    told = dialect.capabilities()
    assert (dialect.key_env, told.max_media_size) == ("GEMINI_API_KEY", 50 << 20)
    assert told.input_modalities == ("text", "image", "audio", "video", "file")
    assert told.output_modalities == ("text", "image", "audio")
    assert dialect.auth("k") == {"x-goog-api-key": "k"}
    assert dialect.auth("") == {}


@pytest.mark.parametrize(
    ("schema", "there"),
    [
        ({"type": "object"}, False),
        ({"type": "object", "properties": {}, "required": [], "additionalProperties": False}, False),
        ({"type": "object", "properties": {"a": {}}}, True),
        ({"type": "object", "description": "x"}, True),
    ],
)
def test_a_tool_that_takes_nothing_has_no_schema(schema: dict[str, Any], there: bool) -> None:
    (told,) = sent(tools=(ToolSpec("f", "", schema),))["tools"][0]["functionDeclarations"]
    assert ("parametersJsonSchema" in told) is there


@pytest.mark.parametrize(
    ("name", "fine"), [("a_b.c:d-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False), ("é", False)]
)
def test_names_of_tools(name: str, fine: bool) -> None:
    if fine:
        assert sent(tools=(ToolSpec(name),))["tools"][0]["functionDeclarations"][0]["name"] == name
    else:
        with pytest.raises(ValidationError):
            sent(tools=(ToolSpec(name),))


# ---- tools


def test_tools_are_told_with_their_json_schemas() -> None:
    assert sent(tools=(LOOKUP, CLOCK))["tools"] == [
        {
            "functionDeclarations": [
                {"name": "lookup", "description": "Looks.", "parametersJsonSchema": SCHEMA},
                {"name": "clock"},
            ]
        }
    ]
    assert "tools" not in sent()
    free = ToolSpec("free", "", {"type": "object", "patternProperties": {"^a": {}}})
    assert sent(tools=(free,))["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == free.parameters


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("clock", {"mode": "ANY", "allowedFunctionNames": ["clock"]}),
    ],
)
def test_who_must_be_called(choice: str | None, told: Any) -> None:
    config = sent(tools=(LOOKUP, CLOCK), tool_choice=choice, parallel_tools=False).get("toolConfig")
    assert config == (told and {"functionCallingConfig": told})


def test_a_tool_s_name_keeps_the_service_s_rule() -> None:
    for name in ("", "a b", "é", "a" * 129, "a\n", "a/b"):
        with pytest.raises(ValidationError):
            sent(tools=(ToolSpec(name),))
    assert sent(tools=(ToolSpec("9a.b:c-d_e"),))
    with pytest.raises(ValidationError) as caught:
        sent(tools=(ToolSpec("9a"),), host=VERTEX)
    assert "first" in str(caught.value.hint)
    assert sent(tools=(ToolSpec("_a.b"),), host=VERTEX)


@pytest.mark.parametrize(
    "call",
    [
        {"tools": (CLOCK,), "tool_choice": "lookup"},
        {"tool_choice": "required"},
        {"tools": (CLOCK, CLOCK)},
    ],
)
def test_a_choice_of_what_is_not_there(call: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sent(**call)


# ---- the conversation


def results(*tools: Message, model: str = OLDER, calls: tuple[ToolCall, ...] | None = None) -> Any:
    """What follows the model's calls."""
    if calls is None:
        calls = (ToolCall("a", "lookup", {}), ToolCall("gemini_call_2", "clock", {}))
    return sent(Message("user", "hi"), Message("assistant", "", calls), *tools, model=model)["contents"][2:]


def test_results_are_in_the_order_of_their_calls_and_have_the_ids_that_the_service_gave() -> None:
    told = results(Message("tool", "noon", (), "gemini_call_2"), Message("tool", '{"b": 1}', (), "a"))
    assert told == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "lookup", "id": "a", "response": {"b": 1}}},
                {"functionResponse": {"name": "clock", "response": {"output": "noon"}}},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("text", "error", "response"),
    [
        ("[1]", False, {"output": [1]}),
        ("null", False, {"output": None}),
        ("", False, {"output": ""}),
        ("NaN", False, {"output": "NaN"}),
        ('{"a": 1}', False, {"a": 1}),
        ("no such place", True, {"error": "no such place"}),
        ('{"code": 4}', True, {"error": {"code": 4}}),
        ("", True, {"error": "The tool failed."}),
    ],
)
def test_a_result_is_an_object(text: str, error: bool, response: Any) -> None:
    noon = Message("tool", "noon", (), "gemini_call_2")
    ((told, _),) = (turn["parts"] for turn in results(Message("tool", text, (), "a", is_error=error), noon))
    assert told["functionResponse"]["response"] == response


def test_media_of_a_result_are_in_it_from_gemini_3_on_and_beside_it_before() -> None:
    pdf, sound = Media("application/pdf", b"%"), Media("audio/wav", b"x")
    message = Message("tool", ("see", PNG, pdf, sound), (), "a")
    other = Message("tool", "noon", (), "gemini_call_2")
    inline = [
        INLINE,
        {"inlineData": {"mimeType": "application/pdf", "data": "JQ=="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "eA=="}},
    ]
    first = {"name": "lookup", "response": {"output": "see"}, "id": "a"}
    second = {"functionResponse": {"name": "clock", "response": {"output": "noon"}}}
    beside = {"text": "From `lookup`:"}
    assert results(message, other)[0]["parts"] == [{"functionResponse": first}, second, beside, *inline]
    assert results(message, other, model=MODEL)[0]["parts"] == [
        {"functionResponse": first | {"parts": inline[:2]}}, second, beside, inline[2],
    ]  # fmt: skip


def test_an_address_in_a_result_goes_beside_it() -> None:
    noon = Message("tool", "noon", (), "gemini_call_2")
    told = results(Message("tool", (Media("image/png", url="https://a/b"),), (), "a"), noon, model=MODEL)[0]["parts"]
    assert told[2:] == [
        {"text": "From `lookup`:"},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a/b"}},
    ]


def test_two_rounds_of_calls_with_the_same_invented_ids_keep_their_names() -> None:
    talk = sent(
        Message("user", "hi"),
        Message("assistant", "", (ToolCall("gemini_call_1", "lookup", {}),)),
        Message("tool", "1", (), "gemini_call_1"),
        Message("assistant", "", (ToolCall("gemini_call_1", "clock", {}),)),
        Message("tool", "2", (), "gemini_call_1"),
    )["contents"]
    assert [part["functionResponse"]["name"] for turn in talk[2::2] for part in turn["parts"]] == ["lookup", "clock"]


def test_a_turn_of_another_service_s_is_taken_by_gemini_3() -> None:
    calls = (ToolCall("toolu_1", "lookup", {"q": "x"}), ToolCall("toolu_2", "clock", None))
    turns = {
        model: sent(Message("user", "hi"), Message("assistant", "So:", calls), model=model)["contents"][1]["parts"]
        for model in (MODEL, OLDER)
    }
    first = {"functionCall": {"id": "toolu_1", "name": "lookup", "args": {"q": "x"}}}
    second = {"functionCall": {"id": "toolu_2", "name": "clock", "args": {}}}
    assert turns[MODEL] == [{"text": "So:"}, first | {"thoughtSignature": FOREIGN}, second]
    assert turns[OLDER] == [{"text": "So:"}, first, second]


def test_an_answer_s_parts_go_back_as_they_came() -> None:
    parts = (
        {"text": "hm", "thought": True},
        {"text": "ha", "thought": True, "thoughtSignature": "T"},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "E"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"functionCall": {"name": "lookup", "args": {"q": "x"}}, "thoughtSignature": "S"},
        {"functionCall": {"name": "clock", "id": "x", "args": {}}},
        {"text": "", "thoughtSignature": "L"},
    )
    output = answered(*parts)
    tools = [Message("tool", "1", (), call.id) for call in output.tool_calls]
    talk = sent(Message("user", "hi"), output.message(), *reversed(tools))["contents"]
    assert talk[1] == {"role": "model", "parts": list(parts[1:])}
    assert [part["functionResponse"] for part in talk[2]["parts"]] == [
        {"name": "lookup", "response": {"output": 1}},
        {"name": "clock", "response": {"output": 1}, "id": "x"},
    ]


def test_turns_of_one_role_are_joined_and_an_empty_conversation_is_refused() -> None:
    body = sent(Message("system", "a"), Message("user", "b"), Message("user", ("c", "")), Message("system", "d"))
    assert body["contents"] == [{"role": "user", "parts": [{"text": "b"}, {"text": "c"}]}]
    assert body["systemInstruction"] == {"parts": [{"text": "a\n\nd"}]}
    for empty in ((Message("system", "a"),), (Message("user", ""), Message("assistant", ()))):
        with pytest.raises(ValidationError):
            sent(*empty)


@pytest.mark.parametrize("parts", [None, "x", 7, {"a": 1}, [], [1, "x", None]])
def test_parts_that_are_none_leave_the_turn_as_it_reads(parts: Any) -> None:
    turn = Message("assistant", "a", native={"parts": parts})
    assert sent(Message("user", "hi"), turn)["contents"][1]["parts"] == [{"text": "a"}]


# ---- media


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (PNG, INLINE),
        (Media("audio/mpeg", b"x"), {"inlineData": {"mimeType": "audio/mpeg", "data": "eA=="}}),
        (Media("video/mp4", b"\xff\xef"), {"inlineData": {"mimeType": "video/mp4", "data": "/+8="}}),
        (Media("text/csv", b"a,b"), {"inlineData": {"mimeType": "text/csv", "data": "YSxi"}}),
        (
            Media("video/mp4", url="https://www.youtube.com/watch?v=x"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}},
        ),
        (
            Media("application/pdf", url="gs://bucket/a.pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
        ),
        (Media("", url="https://a/b"), {"fileData": {"fileUri": "https://a/b"}}),
        (Media("image/*", url="https://a/b"), {"fileData": {"fileUri": "https://a/b"}}),
    ],
)
def test_each_medium_has_its_part(media: Media, part: Any) -> None:
    assert sent(Message("user", ("before", media, "after")))["contents"] == [
        {"role": "user", "parts": [{"text": "before"}, part, {"text": "after"}]}
    ]
    assert sent(Message("user", "hi"), Message("assistant", (media,)))["contents"][1]["parts"] == [part]


@pytest.mark.parametrize("media", [Media("image/png"), Media("image/png", url="file:///etc/passwd"), Media("", b"x")])
def test_media_that_are_not_there(media: Media) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(Message("user", "hi"), Message("user", ("a", media)))
    assert "part 2 of message 2" in caught.value.message


def test_a_system_has_no_media() -> None:
    with pytest.raises(NotSupportedError):
        sent(Message("system", ("a", PNG)), Message("user", "hi"))


@given(st.lists(st.one_of(st.text(max_size=5), st.binary(max_size=20)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_parts_keep_their_order_and_bytes(parts: list[str | bytes]) -> None:
    given_ = tuple(part if isinstance(part, str) else Media("audio/wav", part) for part in parts)
    if not any(isinstance(part, bytes) or part for part in parts):
        return
    told = sent(Message("user", given_))["contents"][0]["parts"]
    back = [part["text"] if "text" in part else base64.b64decode(part["inlineData"]["data"]) for part in told]
    assert back == [part for part in parts if isinstance(part, bytes) or part]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("image",), ["TEXT", "IMAGE"]),
        (("text", "image"), ["TEXT", "IMAGE"]),
        (("audio",), ["AUDIO"]),
        (("text",), ["TEXT"]),
    ],
)
def test_what_an_answer_may_be_made_of(asked: tuple[str, ...], told: list[str]) -> None:
    assert sent(modalities=asked)["generationConfig"] == {"responseModalities": told}
    with pytest.raises(NotSupportedError):
        sent(modalities=("video",))


# ---- forms, thinking


def test_a_form_is_a_json_schema_and_stands_beside_tools_from_gemini_3_on() -> None:
    form = ResponseSchema(SCHEMA)
    told = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert sent(schema=form, model=OLDER)["generationConfig"] == told
    assert sent(schema=form, tools=(LOOKUP,))["generationConfig"] == told
    assert sent(schema=form, tools=(LOOKUP,), model="gemini-flash-latest")["generationConfig"] == told
    with pytest.raises(NotSupportedError):
        sent(schema=form, tools=(LOOKUP,), model=OLDER)


@pytest.mark.parametrize(
    ("model", "effort", "told"),
    [
        ("gemini-3-pro-preview", "high", (True, "high")),
        ("gemini-3-pro-preview", "medium", (True, "high")),
        ("gemini-3.1-pro-preview", "medium", (True, "medium")),
        ("gemini-3.1-pro-preview", "none", (False, "low")),
        ("gemini-3.6-flash", "minimal", (True, "minimal")),
        ("models/gemini-3-flash-preview", "none", (False, "minimal")),
        ("gemini-3.7-flash", "minimal", (True, "low")),
        ("gemini-3.7-flash-lite", "minimal", (True, "minimal")),
        ("gemini-4-carbon", "max", (True, "high")),
        ("gemini-flash-latest", "minimal", (True, "low")),
        ("gemini-pro-latest", "low", (True, "low")),
        ("gemini-10-flash", "low", (True, "low")),
        ("gemini-2.5-flash", "none", (False, 0)),
        ("gemini-2.5-pro", "none", (False, 128)),
        ("gemini-2.5-flash-lite", "minimal", (True, 512)),
        ("gemini-2.5-pro-preview-05-06", "high", (True, 24576)),
        ("gemini-2.5-flash", "max", (True, -1)),
        ("gemini-1.5-pro-latest", "low", (True, 1024)),
        ("gemini-exp-1206", "low", (True, 1024)),
        ("tuned-gemini-30x", "low", (True, 1024)),
    ],
)
def test_each_model_thinks_in_its_way(model: str, effort: str, told: tuple[bool, Any]) -> None:
    thoughts, amount = told
    name = "thinkingLevel" if isinstance(amount, str) else "thinkingBudget"
    config = sent(model=model, parameters=Parameters(reasoning=effort))["generationConfig"]
    assert config == {"thinkingConfig": {"includeThoughts": thoughts, name: amount}}


def test_versions_are_read_of_names() -> None:
    told = {
        name: version_of(name)
        for name in (
            "gemini-3.1-flash-image",
            "GEMINI-2.0-flash-001",
            "gemini-live-2.5-flash",
            "gemma-3-27b-it",
            "",
            "²",
        )
    }
    assert list(told.values()) == [(3, 1), (2, 0), (2, 5), (0, 0), (0, 0), (0, 0)]


def test_capabilities() -> None:
    able = dialect_of("gemini").capabilities
    assert able().input_modalities == ("text", "image", "audio", "video", "file")
    assert able().supports_embeddings
    assert able(MODEL).tool_result_media == ("image", "file")
    assert able(MODEL).structured_output_with_tools
    assert able(OLDER).tool_result_media == ()
    assert not able(OLDER).structured_output_with_tools
    assert (able(OLDER).structured_output, able(OLDER).supports_reasoning) == ("native", True)
    assert able("gemini-2.0-flash").supports_reasoning is False
    assert able("gemini-2.5-flash-image").output_modalities == ("text", "image")
    assert not able("gemini-2.5-flash-image").supports_tools
    speaks = able("gemini-2.5-flash-preview-tts")
    assert (speaks.input_modalities, speaks.output_modalities) == (("text",), ("audio",))
    assert able("gemini-embedding-001").supports_embeddings
    assert not able("gemma-3-27b-it").supports_tools
    assert able("tuned").supports_reasoning is None


# ---- what clients sent, in recordings


def recorded(name: str) -> dict[str, Any]:
    path = HOME / "gemini" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recording {name}")
    body: dict[str, Any] = load(path).request["json"]
    return body


def spelt(value: Any) -> Any:
    """A request with names as this one has them: the service reads both ways."""
    names = {"inline_data": "inlineData", "mime_type": "mimeType"}
    if isinstance(value, dict):
        return {names.get(name, name): spelt(one) for name, one in value.items()}
    return [spelt(one) for one in value] if isinstance(value, list) else value


def test_a_request_is_as_clients_send_it_sound() -> None:
    body = spelt(recorded("audio-input"))
    text, sound = body["contents"][0]["parts"]
    media = Media("audio/wav", base64.b64decode(sound["inlineData"]["data"]))
    assert sent(Message("user", (text["text"], media)))["contents"] == body["contents"]


def test_a_request_is_as_clients_send_it_forms_and_speech() -> None:
    body = recorded("structured")
    form = ResponseSchema(body["generationConfig"]["responseJsonSchema"])
    assert sent(schema=form)["generationConfig"] == body["generationConfig"]
    speech = recorded("audio-output")["generationConfig"]
    extra = {"generationConfig": {"speechConfig": speech["speechConfig"]}}
    assert sent(modalities=("audio",), body=extra)["generationConfig"] == speech


@pytest.mark.parametrize("name", ["pdf-tool-result", "tools-parallel-results", "thought-signature-result"])
def test_a_request_is_as_clients_send_it_results(name: str) -> None:
    body = spelt(recorded(name))
    question, answer, given_ = body["contents"]
    output = answered(*answer["parts"])
    talk = [Message("user", question["parts"][0]["text"]), output.message()]
    for call, part in zip(output.tool_calls, given_["parts"], strict=True):
        told = part["functionResponse"]
        media = [
            Media(one["inlineData"]["mimeType"], base64.b64decode(one["inlineData"]["data"]))
            for one in told.get("parts", ())
        ]
        talk.append(Message("tool", (json.dumps(told["response"]), *media), (), call.id))
    tools = tuple(ToolSpec(t["name"], t["description"]) for t in body["tools"][0]["functionDeclarations"])
    request = sent(*talk, tools=tools)
    assert request["contents"] == body["contents"]
    names = [tool["name"] for tool in request["tools"][0]["functionDeclarations"]]
    assert names == [tool["name"] for tool in body["tools"][0]["functionDeclarations"]]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=10), st.text(max_size=10))
@settings(deadline=None, max_examples=60)
def test_any_names_end_in_a_request_or_in_one_error(model: str, mime: str, tool: str, text: str) -> None:
    failed: LLMSpellError | None = None
    messages = (Message("user", ("a", Media(mime, b"x"))), Message("tool", text, (), tool))
    try:
        sent(*messages, model=model, tools=(ToolSpec(tool),), parameters=Parameters(reasoning=text))
    except LLMSpellError as error:
        failed = error
    if failed is not None:
        assert failed.kind in ("validation", "not_supported")
        assert failed.message.isprintable()
