"""What is sent in OpenAI's chat dialect, as each vendor takes it. Source: WIRE.md §4, §9 to §11."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, NotSupportedError, ValidationError
from llmspell.providers.asking import held
from llmspell.providers.base import ModelCall
from llmspell.providers.dialect import dialect_of
from llmspell.providers.vendors import host_of, vendor
from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.reading import answer_of
from support.wire import HOME, load

pytestmark = pytest.mark.once

OPENAI = "api.openai.com"
GOOGLE = "generativelanguage.googleapis.com"
ASK = (Message("user", "hi"),)
OBJECT = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
CLOSED = OBJECT | {"additionalProperties": False}
LOOSE = {"type": "object", "properties": {"q": {"type": "string"}}}
LOOKUP = ToolSpec("lookup", "Looks.", OBJECT)
CLOCK = ToolSpec("clock")
PNG = Media("image/png", b"\0\1")
WAV = Media("audio/x-wav", b"RIFF")
PDF = Media("application/pdf", b"%PDF", filename="a.pdf")
FAR = Media("application/pdf", url="https://a/b.pdf")
MP4 = Media("video/mp4", b"x")
CALLS = (ToolCall("call_1", "lookup", {"q": "x"}), ToolCall("call_2", "clock", {}))


def at(name: str) -> str:
    """The host of a vendor; of any other name, that."""
    row = vendor(name)
    if name == "azure":
        return "me.openai.azure.com"
    return host_of(row.base_url) if row is not None else name


def sent(*messages: Message, host: str = OPENAI, stream: bool = False, **call: Any) -> Any:
    asked = ModelCall(call.pop("model", "m"), messages or ASK, **call)
    return json.loads(dialect_of("openai", at(host)).request(asked, stream=stream).body)


def content(*parts: Any, host: str = OPENAI, role: str = "user") -> Any:
    return sent(Message("user", "hi"), Message("assistant", "yes"), Message(role, parts), host=host)["messages"][-1][
        "content"
    ]


def answered(body: str | bytes) -> AgentOutput:
    """An answer, read."""
    return answer_of("openai", body if isinstance(body, bytes) else body.encode())


def said(**message: Any) -> AgentOutput:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": "stop"}
    return answered(json.dumps({"object": "chat.completion", "model": "m", "choices": [choice]}))


def call_of(id_: str, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}, **more}


# ---- tools


def test_tools_are_told_with_their_schemas() -> None:
    assert sent(tools=(LOOKUP, CLOCK))["tools"] == [
        {"type": "function", "function": {"name": "lookup", "description": "Looks.", "parameters": OBJECT}},
        {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert "tools" not in sent()


@pytest.mark.parametrize(
    ("host", "choice", "parallel", "told"),
    [
        (OPENAI, None, None, (None, None)),
        (OPENAI, "auto", False, ("auto", False)),
        (OPENAI, "none", None, ("none", None)),
        (OPENAI, "required", True, ("required", True)),
        (OPENAI, "lookup", None, ({"type": "function", "function": {"name": "lookup"}}, None)),
        ("mistral", "required", None, ("any", None)),
        ("mistral", "auto", None, ("auto", None)),
        ("somewhere.example", "required", False, ("required", False)),
        ("zai", "auto", None, ("auto", None)),
    ],
)
def test_who_must_be_called(host: str, choice: str | None, parallel: bool | None, told: Any) -> None:
    body = sent(tools=(LOOKUP,), tool_choice=choice, parallel_tools=parallel, host=host)
    assert (body.get("tool_choice"), body.get("parallel_tool_calls")) == told


def test_where_nobody_can_be_made_to_call() -> None:
    for choice in ("required", "lookup"):
        with pytest.raises(NotSupportedError):
            sent(tools=(LOOKUP,), tool_choice=choice, host="zai")
    assert "tools" not in sent(tools=(LOOKUP,), tool_choice="none", host="zai")
    assert not dialect_of("openai", at("zai")).capabilities().supports_tool_choice


def test_parallel_calls_are_spoken_of_only_with_tools() -> None:
    assert "parallel_tool_calls" not in sent(parallel_tools=False)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "é", "a" * 65, "a\n"])
def test_a_tool_s_name_keeps_the_service_s_rule(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        sent(tools=(ToolSpec(name),))
    assert "64" in str(caught.value.hint)
    assert caught.value.message.isprintable()
    assert sent(tools=(ToolSpec("a_B-9" + "x" * 59),))


@pytest.mark.parametrize(
    "call", [{"tools": (CLOCK,), "tool_choice": "lookup"}, {"tool_choice": "required"}, {"tools": (CLOCK, CLOCK)}]
)
def test_a_choice_of_what_is_not_there(call: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        sent(**call)


@pytest.mark.parametrize(
    ("schema", "strict", "host", "told"),
    [
        (CLOSED, True, OPENAI, True),
        (OBJECT, True, OPENAI, True),
        (LOOSE, True, OPENAI, False),
        (CLOSED, False, OPENAI, False),
        (CLOSED, None, OPENAI, None),
        (CLOSED, True, "groq", None),
    ],
)
def test_a_tool_is_strict_where_its_schema_can_be_held(schema: Any, strict: Any, host: str, told: Any) -> None:
    (tool,) = sent(tools=(LOOKUP._replace(parameters=schema, strict=strict),), host=host)["tools"]
    assert tool["function"].get("strict") == told
    assert tool["function"]["parameters"] == (CLOSED if told else schema)


EMPTY = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (OBJECT, CLOSED),
        ({"type": "object"}, EMPTY),
        ({"type": "string"}, None),
        (LOOSE, None),
        (CLOSED | {"required": ["q", "z"]}, None),
        (OBJECT | {"additionalProperties": True}, None),
        (OBJECT | {"additionalProperties": {"type": "string"}}, None),
        (OBJECT | {"oneOf": [OBJECT]}, None),
        (OBJECT | {"properties": {"q": {"type": "string", "default": "x"}}}, None),
        (OBJECT | {"properties": {"q": {"type": "array", "items": LOOSE}}}, None),
        (OBJECT | {"properties": {"q": {"type": "array", "items": OBJECT}}},
         CLOSED | {"properties": {"q": {"type": "array", "items": CLOSED}}}),
        (OBJECT | {"$defs": {"default": OBJECT}}, CLOSED | {"$defs": {"default": CLOSED}}),
        (OBJECT | {"properties": {"q": {"anyOf": [OBJECT, {"type": "null"}]}}},
         CLOSED | {"properties": {"q": {"anyOf": [CLOSED, {"type": "null"}]}}}),
        (OBJECT | {"properties": {"q": {"enum": [{"default": 1}]}}},
         CLOSED | {"properties": {"q": {"enum": [{"default": 1}]}}}),
    ],
)  # fmt: skip
def test_what_openai_holds_a_model_to(schema: Any, told: Any) -> None:
    before = json.dumps(schema)
    assert held(schema, True) == ((schema, False) if told is None else (told, True))
    assert held(schema, False) == held(schema, None) == (schema, False)
    assert json.dumps(schema) == before


# ---- forms


@pytest.mark.parametrize("schema", [OBJECT, CLOSED, LOOSE])
def test_an_answer_s_form(schema: Any) -> None:
    told = sent(schema=ResponseSchema(schema, "my answer!", "What I want."))["response_format"]
    assert told == {
        "type": "json_schema",
        "json_schema": {
            "name": "my_answer_",
            "description": "What I want.",
            "schema": schema if schema is LOOSE else CLOSED,
            "strict": schema is not LOOSE,
        },
    }


@pytest.mark.parametrize(("host", "way"), [("groq", "tool"), ("deepseek", "instruct"), ("zai", "instruct")])
def test_who_holds_to_no_schema(host: str, way: str) -> None:
    assert dialect_of("openai", at(host)).capabilities().structured_output == way
    with pytest.raises(NotSupportedError):
        sent(schema=ResponseSchema(CLOSED), host=host)


# ---- media


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}}


@pytest.mark.parametrize(
    ("host", "media", "told"),
    [
        (OPENAI, PNG, IMAGE),
        ("groq", PNG, IMAGE),
        ("xai", PNG, IMAGE),
        ("together", PNG, IMAGE),
        ("azure", PNG, IMAGE),
        ("mistral", PNG, IMAGE),
        ("zai", PNG, IMAGE),
        ("openrouter", PNG, IMAGE),
        ("somewhere.example", PNG, IMAGE),
        (
            OPENAI,
            Media("image/gif", url="https://a/b", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://a/b", "detail": "low"}},
        ),
        (OPENAI, WAV, {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        (
            "mistral",
            Media("audio/mpeg", b"x"),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "mp3"}},
        ),
        (
            "openrouter",
            Media("audio/flac; x=1", b"x"),
            {"type": "input_audio", "input_audio": {"data": "eA==", "format": "flac"}},
        ),
        (
            OPENAI,
            PDF,
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        ),
        ("openrouter", FAR, {"type": "file", "file": {"filename": "file.pdf", "file_data": "https://a/b.pdf"}}),
        ("mistral", PDF, {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg=="}),
        ("mistral", FAR, {"type": "document_url", "document_url": "https://a/b.pdf"}),
        ("zai", FAR, {"type": "file_url", "file_url": {"url": "https://a/b.pdf"}}),
        ("zai", MP4, {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,eA=="}}),
        ("openrouter", MP4, {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,eA=="}}),
    ],
)
def test_each_medium_as_the_vendor_takes_it(host: str, media: Media, told: Any) -> None:
    assert content("before", media, "", "after", host=host) == [
        {"type": "text", "text": "before"},
        told,
        {"type": "text", "text": "after"},
    ]


@pytest.mark.parametrize(
    ("host", "media"),
    [
        (OPENAI, MP4),
        (OPENAI, FAR),
        (OPENAI, Media("audio/wav", url="https://a/b")),
        ("mistral", MP4),
        ("somewhere.example", MP4),
        ("deepseek", PNG),
        *[(host, media) for host in ("groq", "xai", "together", "azure") for media in (WAV, PDF, MP4)],
        ("zai", WAV),
        (OPENAI, Media("video/x\n\x1b[31m", b"x")),
    ],
)
def test_what_a_vendor_does_not_take_is_refused_by_its_place(host: str, media: Media) -> None:
    with pytest.raises(NotSupportedError) as caught:
        content("a", media, host=host)
    assert "part 2 of message 3" in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint


@pytest.mark.parametrize("media", [Media("image/png"), Media("image/png", url="file:///a"), Media("application/pdf")])
def test_media_that_are_not_there(media: Media) -> None:
    with pytest.raises(ValidationError):
        content(media)


def test_only_the_user_and_tools_have_media() -> None:
    for role in ("system", "assistant"):
        with pytest.raises(NotSupportedError):
            content("a", PNG, role=role)
    assert content("a", "b") == "ab"


@given(st.lists(st.one_of(st.text(max_size=5), st.binary(max_size=20)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_parts_keep_their_order_and_bytes(parts: list[str | bytes]) -> None:
    told = content(*(part if isinstance(part, str) else Media("image/gif", part) for part in parts))
    if isinstance(told, str):
        assert told == "".join(part for part in parts if isinstance(part, str))
        return
    back = [
        one["text"] if one["type"] == "text" else base64.b64decode(one["image_url"]["url"].partition(",")[2])
        for one in told
    ]
    assert back == [part for part in parts if isinstance(part, bytes) or part]


@pytest.mark.parametrize(
    ("type_", "word"),
    [("wav", "wav"), ("x-wav", "wav"), ("wave", "wav"), ("vnd.wave", "wav"), ("mpeg", "mp3"), ("mp3", "mp3"),
     ("mp4", "m4a"), ("x-m4a", "m4a"), ("ogg", "ogg")],
)  # fmt: skip
def test_each_sound_has_the_word_that_services_know(type_: str, word: str) -> None:
    assert content(Media(f"audio/{type_}", b"x"), host="openrouter")[0]["input_audio"]["format"] == word


def test_what_is_accepted_is_what_is_asked_for() -> None:
    for stream, types in ((True, "text/event-stream"), (False, "application/json")):
        request = dialect_of("openai", OPENAI).request(ModelCall("m", ASK), stream=stream)
        assert request.headers == {"content-type": "application/json", "accept": types}
        assert request.method == "POST"


def test_not_to_think_is_said_as_each_vendor_wants_it() -> None:
    def told(host: str, effort: str) -> dict[str, Any]:
        body = sent(host=host, parameters=Parameters(reasoning=effort))
        return {name: body[name] for name in ("reasoning", "thinking", "reasoning_effort") if name in body}

    assert told("openrouter", "none") == {"reasoning": {"enabled": False}}
    assert told("openrouter", "low") == {"reasoning": {"effort": "low"}}
    assert told("deepseek", "none") == {"thinking": {"type": "disabled"}}
    assert told("deepseek", "low") == {"thinking": {"type": "enabled"}}
    assert told("groq", "low") == {"reasoning_effort": "low"}


def test_who_needs_a_key_and_how_it_is_shown() -> None:
    assert dialect_of("openai", OPENAI).auth("k") == {"authorization": "Bearer k"}
    assert dialect_of("openai", at("azure")).auth("k") == {"api-key": "k"}
    assert dialect_of("openai", OPENAI).auth("") == dialect_of("openai", at("azure")).auth("") == {}
    assert not dialect_of("openai", OPENAI).keyless
    assert not dialect_of("openai", at("groq")).keyless
    assert dialect_of("openai", "somewhere.example").keyless


# ---- what tools gave


def test_results_come_at_once_and_their_media_after_all_of_them() -> None:
    talk = sent(
        Message("user", "hi"),
        Message("assistant", "", CALLS),
        Message("user", "quick!"),
        Message("tool", ("see", PNG), (), "call_1"),
        Message("tool", (PDF,), (), "call_2", is_error=True),
    )["messages"]
    assert talk[2:4] == [
        {"role": "tool", "content": "see", "tool_call_id": "call_1"},
        {"role": "tool", "content": "Error: the tool failed.", "tool_call_id": "call_2"},
    ]
    assert [part["type"] for part in talk[4]["content"]] == ["text", "image_url", "text", "file"]
    assert "call_1" in talk[4]["content"][0]["text"]
    assert [message["role"] for message in talk] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert talk[5]["content"] == "quick!"


@pytest.mark.parametrize("host", ["mistral", "openrouter"])
def test_images_stay_in_the_result_where_they_may(host: str) -> None:
    talk = sent(
        Message("assistant", "", CALLS[:1]), Message("tool", ("see", PNG), (), "call_1", is_error=True), host=host
    )["messages"]
    assert talk[-1]["content"][:2] == [{"type": "text", "text": "Error:"}, {"type": "text", "text": "see"}]
    assert [part["type"] for part in talk[-1]["content"]] == ["text", "text", "image_url"]
    talk = sent(Message("assistant", "", CALLS[:1]), Message("tool", (PDF,), (), "call_1"), host=host)["messages"]
    assert [message["role"] for message in talk] == ["assistant", "tool", "user"]
    assert talk[1]["content"] == "It is in the user's message after this."
    assert set(talk[2]) == {"role", "content"}
    assert talk[2]["content"][0]["type"] == "text"


@pytest.mark.parametrize(
    ("text", "told"),
    [("no such file", "Error: no such file"), ("Error: twice", "Error: twice"), ("", "Error: the tool failed.")],
)
def test_that_a_tool_failed_is_told_in_words(text: str, told: str) -> None:
    talk = sent(Message("assistant", "", CALLS[:1]), Message("tool", text, (), "call_1", is_error=True))["messages"]
    assert talk[-1]["content"] == told


@given(st.lists(st.text(max_size=12), min_size=1, max_size=4, unique=True))
@settings(deadline=None, max_examples=60)
def test_mistral_s_ids_are_nine_letters_the_same_for_call_and_result(ids: list[str]) -> None:
    talk = sent(
        Message("assistant", "", tuple(ToolCall(id_, "f", {}) for id_ in ids)),
        *(Message("tool", "x", (), id_) for id_ in ids),
        host="mistral",
    )["messages"]
    asked = [call["id"] for call in talk[0]["tool_calls"]]
    assert asked == [message["tool_call_id"] for message in talk[1:]]
    assert len(set(asked)) == len(asked)
    assert all(len(id_) == 9 and id_.isascii() and id_.isalnum() for id_ in asked)
    assert [call["id"] for call in sent(Message("assistant", "", (ToolCall("abcDEF123", "f", {}),)), host="mistral")[
        "messages"
    ][0]["tool_calls"]] == ["abcDEF123"]  # fmt: skip


@pytest.mark.parametrize(("host", "kept"), [(OPENAI, False), ("azure", False), ("vllm", True), ("openrouter", True)])
def test_the_longest_ids_are_cut_where_they_are_refused(host: str, kept: bool) -> None:
    for length in (40, 41):
        talk = sent(Message("assistant", "", (ToolCall("x" * length, "f", {}),)), host=host)["messages"]
        assert (talk[0]["tool_calls"][0]["id"] == "x" * length) is (kept or length == 40)
        assert kept or len(talk[0]["tool_calls"][0]["id"]) <= 40
    ids = [*("chatcmpl-tool-" + "0" * 31 + last for last in "12"), "functions.f:0"]
    talk = sent(
        Message("assistant", "", tuple(ToolCall(id_, "f", {}) for id_ in ids)),
        *(Message("tool", "x", (), id_) for id_ in ids),
        host=host,
    )["messages"]
    asked = [call["id"] for call in talk[0]["tool_calls"]]
    assert asked == [message["tool_call_id"] for message in talk[1:]]
    assert asked[-1] == "functions.f:0"
    assert (asked == ids) == kept
    assert kept or (len(set(asked)) == 3 and max(map(len, asked)) <= 40)


@pytest.mark.parametrize("raw", ['{"q": "Par', "[1]", "oh", "{ nested too deep"])
def test_arguments_that_were_never_read_do_not_go_back(raw: str) -> None:
    """Servers read those of a conversation again, and refuse all of it."""
    turn = Message("assistant", "", (ToolCall("c", "f", None, raw), ToolCall("d", "f", {"q": 1}, '{"q": 1}')))
    calls = sent(turn)["messages"][0]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ["{}", '{"q": 1}']
    request = dialect_of("openai-responses").request(ModelCall("m", (turn,)), stream=False)
    assert [item["arguments"] for item in json.loads(request.body)["input"]] == ["{}", '{"q": 1}']


# ---- round trips


def test_parallel_calls_of_an_answer_go_back_as_they_came() -> None:
    calls = [call_of("c1", "a"), call_of("c2", "b"), call_of("c3", "a")]
    output = said(tool_calls=calls)
    talk = sent(output.message(), *(Message("tool", call.id, (), call.id) for call in output.tool_calls))["messages"]
    assert talk[0] == {"role": "assistant", "content": None, "tool_calls": calls}
    assert [message["tool_call_id"] for message in talk[1:]] == ["c1", "c2", "c3"]


def test_a_call_of_plain_text_goes_back_as_such() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    output = said(tool_calls=[custom])
    (call,) = output.tool_calls
    assert (call.name, call.arguments, output.finish_reason) == ("sql", {"input": "SELECT 1"}, "tool_calls")
    assert sent(output.message())["messages"][0]["tool_calls"] == [custom]


DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "S", "index": 0}]


@pytest.mark.parametrize(
    ("member", "value", "hosts"),
    [
        ("reasoning_content", "hm", {"deepseek", "zai"}),
        ("reasoning", "hm", {"cerebras"}),
        ("reasoning_details", DETAILS, {"openrouter", "vercel"}),
        ("extra_content", {"google": {"thought_signature": "S"}}, {GOOGLE}),
    ],
)
def test_reasoning_goes_back_to_who_wants_it_and_to_no_other(member: str, value: Any, hosts: set[str]) -> None:
    message = said(tool_calls=[call_of("c1")], **{member: value}).message()
    everybody = {"deepseek", "zai", "cerebras", "openrouter", "vercel", GOOGLE, OPENAI, "groq", "somewhere.example"}
    told = {host: sent(message, host=host)["messages"][0] for host in everybody}
    assert {host for host in everybody if member in told[host]} == hosts
    assert all(told[host][member] == value for host in hosts)
    assert "chat" not in said(content="x", **{member: value}).metadata


def test_a_call_s_signature_goes_back_to_google() -> None:
    signed = call_of("c1", extra_content={"google": {"thought_signature": "S"}})
    message = said(tool_calls=[call_of("c0"), signed]).message()
    assert sent(message, host=GOOGLE)["messages"][0]["tool_calls"] == [call_of("c0"), signed]
    assert sent(message)["messages"][0]["tool_calls"] == [call_of("c0"), call_of("c1")]


@pytest.mark.parametrize("kept", [None, 7, "x", [], {"calls": 1, "reasoning_details": None}, {"calls": {"c": 1}}])
def test_what_was_kept_may_have_been_in_a_script_s_hands(kept: Any) -> None:
    message = Message("assistant", "a", CALLS, native={"chat": kept})
    for host in ("openrouter", GOOGLE):
        assert sent(message, host=host)["messages"][0].keys() == {"role", "content", "tool_calls"}


# ---- what an answer is made of


@pytest.mark.parametrize(("stream", "form"), [(True, "pcm16"), (False, "wav")])
def test_sound_is_asked_for(stream: bool, form: str) -> None:
    body = sent(modalities=("audio",), stream=stream)
    assert body["modalities"] == ["audio", "text"]
    assert body["audio"] == {"voice": "alloy", "format": form}
    assert sent(modalities=("audio",), body={"audio": {"voice": "ash"}})["audio"] == {"voice": "ash", "format": "wav"}


def test_images_are_asked_for() -> None:
    assert sent(modalities=("image", "text"), host="openrouter")["modalities"] == ["image", "text"]
    assert "modalities" not in sent(modalities=("text",))
    assert sent(modalities=("image",), host="somewhere.example")["modalities"] == ["image", "text"]
    assert dialect_of("openai", "somewhere.example").capabilities().output_modalities == ("text",)
    for host, modality in ((OPENAI, "image"), (OPENAI, "video"), ("mistral", "audio"), ("groq", "image")):
        with pytest.raises(NotSupportedError):
            sent(modalities=(modality,), host=host)


def test_capabilities() -> None:
    able = dialect_of("openai").capabilities("gpt-4o")
    assert (able.structured_output, able.supports_tool_choice, able.tool_result_media) == ("native", True, ())
    assert able.input_modalities == ("text", "image", "audio", "file")
    assert able.output_modalities == ("text", "audio")
    able = dialect_of("openai", at("openrouter")).capabilities()
    assert able.tool_result_media == ("image",)
    assert "video" in able.input_modalities
    assert "image" in able.output_modalities
    able = dialect_of("openai", at("groq")).capabilities()
    assert able.input_modalities == ("text", "image")
    assert not able.structured_output_with_tools


# ---- what clients sent, in recordings


def recorded(name: str) -> dict[str, Any]:
    path = HOME / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no recording {name}")
    body: dict[str, Any] = load(path).request["json"]
    return body


@pytest.mark.parametrize(
    ("name", "host", "mime"),
    [
        ("openai/chat-audio-input", OPENAI, "audio/wav"),
        ("openai/chat-pdf-input", OPENAI, "application/pdf"),
        ("mistral/document-url", "mistral", ""),
    ],
)
def test_a_request_is_as_clients_send_it_media(name: str, host: str, mime: str) -> None:
    body = recorded(name)
    text, part = body["messages"][0]["content"]
    filename = part["file"]["filename"] if "file" in part else None
    inner = part.get("file") or part.get("input_audio") or part
    data = inner.get("file_data") or inner.get("document_url") or inner["data"]
    mime = mime or data.partition(";")[0].removeprefix("data:")
    media = Media(mime, base64.b64decode(data.rpartition(",")[2]), filename=filename)
    assert sent(Message("user", (text["text"], media)), host=host)["messages"] == body["messages"]


def test_a_request_is_as_clients_send_it_reasoning() -> None:
    body = recorded("openrouter/stream-after-reasoning")
    output = answered(load(HOME / "openrouter" / "stream-reasoning-tool.json").body)
    (result,) = [message for message in body["messages"] if message["role"] == "tool"]
    talk = sent(
        Message("user", body["messages"][0]["content"]),
        output.message(),
        Message("tool", result["content"], (), result["tool_call_id"]),
        host="openrouter",
    )["messages"]
    assert talk[1]["reasoning_details"] == body["messages"][1]["reasoning_details"]
    assert [call["id"] for call in talk[1]["tool_calls"]] == [result["tool_call_id"]]
    assert talk[2] == result


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from([OPENAI, "mistral", "zai", "openrouter", "a.b"]))
@settings(deadline=None, max_examples=60)
def test_any_names_end_in_a_request_or_in_one_error(mime: str, tool: str, host: str) -> None:
    failed: LLMSpellError | None = None
    try:
        sent(Message("user", ("a", Media(mime, b"x"))), tools=(ToolSpec(tool),), host=host)
    except LLMSpellError as error:
        failed = error
    if failed is not None:
        assert failed.kind in ("validation", "not_supported")
        assert failed.message.isprintable()
