"""What each dialect sends: one call, written as its service wants it. Source: WIRE.md §5 to §8, §11."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell.errors import ValidationError
from llmspell.providers.base import ModelCall, WireRequest
from llmspell.providers.dialect import DIALECTS, dialect_of
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message, ToolCall

pytestmark = pytest.mark.once

PARAMETERS = Parameters(temperature=0.5, top_p=0.9, max_tokens=100, stop=("END",), seed=7, reasoning="low")
TALK = (
    Message("system", "Be brief."),
    Message("user", "What is in Paris?"),
    Message(
        "assistant",
        "Let me look.",
        (ToolCall("c1", "lookup", {"q": "Paris"}, '{"q": "Paris"}'), ToolCall("c2", "clock", {})),
    ),
    Message("tool", '{"found": 3}', (), "c1"),
    Message("tool", "noon", (), "c2"),
    Message("user", "And?"),
)


def sent(type_: str, call: ModelCall, *, stream: bool = True, host: str | None = None) -> tuple[WireRequest, Any]:
    request = dialect_of(type_, host).request(call, stream=stream)
    return request, json.loads(request.body)


@pytest.mark.parametrize("type_", ["openai", "openai-responses", "anthropic", "gemini", "ollama"])
def test_what_is_sent_and_what_is_accepted_is_told(type_: str) -> None:
    streamed = "application/x-ndjson" if type_ == "ollama" else "text/event-stream"
    for stream, types in ((True, streamed), (False, streamed if type_ == "ollama" else "application/json")):
        request, _ = sent(type_, ModelCall("m", TALK[1:2]), stream=stream)
        assert request.method == "POST"
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept"] == types


def test_anthropic() -> None:
    request, body = sent("anthropic", ModelCall("claude-x", TALK, PARAMETERS._replace(reasoning=None)))
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert body == {
        "model": "claude-x",
        "max_tokens": 100,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "What is in Paris?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "c1", "name": "lookup", "input": {"q": "Paris"}},
                    {"type": "tool_use", "id": "c2", "name": "clock", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": '{"found": 3}'},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "noon"},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "stream": True,
    }


def test_anthropic_always_says_how_long_an_answer_may_be_and_pays_for_thinking() -> None:
    _, body = sent("anthropic", ModelCall("m", TALK[:2]), stream=False)
    assert body["max_tokens"] == 4096
    assert "stream" not in body
    _, body = sent("anthropic", ModelCall("m", TALK[:2], Parameters(max_tokens=100, reasoning="low")))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert body["max_tokens"] == 2148
    _, body = sent("anthropic", ModelCall("m", TALK[:2], Parameters(reasoning="none")))
    assert body["thinking"] == {"type": "disabled"}


def test_anthropic_leaves_out_what_is_empty_and_joins_turns_of_one_role() -> None:
    talk = (Message("user", "a"), Message("user", "b"), Message("assistant", ""), Message("user", "c"))
    _, body = sent("anthropic", ModelCall("m", talk))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": text} for text in "abc"]}]


def test_gemini() -> None:
    request, body = sent("gemini", ModelCall("gemini-2.5-flash", TALK, PARAMETERS))
    assert request.path == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert "stream" not in body
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "What is in Paris?"}]},
        {
            "role": "model",
            "parts": [
                {"text": "Let me look."},
                {"functionCall": {"id": "c1", "name": "lookup", "args": {"q": "Paris"}}},
                {"functionCall": {"id": "c2", "name": "clock", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "lookup", "response": {"found": 3}}},
                {"functionResponse": {"id": "c2", "name": "clock", "response": {"output": "noon"}}},
                {"text": "And?"},
            ],
        },
    ]
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 100,
        "stopSequences": ["END"],
        "seed": 7,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
    }
    assert sent("gemini", ModelCall("m", TALK), stream=False)[0].path == "/models/m:generateContent"


def test_gemini_gets_no_id_back_that_it_did_not_give() -> None:
    call = ToolCall("gemini_call_1", "clock", {})
    _, body = sent("gemini", ModelCall("m", (Message("assistant", "", (call,)), Message("tool", "1", (), call.id))))
    assert body["contents"] == [
        {"role": "model", "parts": [{"functionCall": {"name": "clock", "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "clock", "response": {"output": 1}}}]},
    ]


def test_gemini_3_thinks_by_levels_and_vertex_takes_a_bearer_s_token() -> None:
    _, body = sent("gemini", ModelCall("gemini-3-pro", TALK[:2], Parameters(reasoning="high")))
    assert body["generationConfig"]["thinkingConfig"] == {"includeThoughts": True, "thinkingLevel": "high"}
    assert dialect_of("gemini").auth("k") == {"x-goog-api-key": "k"}
    for host in ("europe-west1-aiplatform", "aiplatform", "aiplatform.eu.rep"):
        assert dialect_of("gemini", f"{host}.googleapis.com").auth("k") == {"authorization": "Bearer k"}


def test_a_model_s_name_cannot_lead_elsewhere() -> None:
    request, _ = sent("gemini", ModelCall("../../x?key=1#", TALK[:2]))
    assert request.path == "/models/..%2F..%2Fx%3Fkey%3D1%23:streamGenerateContent?alt=sse"


def test_ollama() -> None:
    request, body = sent("ollama", ModelCall("qwen3", TALK, PARAMETERS))
    assert request.path == "/api/chat"
    assert body["stream"] is True
    assert body["think"] == "low"
    assert body["options"] == {"temperature": 0.5, "top_p": 0.9, "num_predict": 100, "stop": ["END"], "seed": 7}
    assert body["messages"][2:5] == [
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                {"function": {"name": "lookup", "arguments": {"q": "Paris"}}},
                {"function": {"name": "clock", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": '{"found": 3}', "tool_name": "lookup"},
        {"role": "tool", "content": "noon", "tool_name": "clock"},
    ]
    assert sent("ollama", ModelCall("m", TALK), stream=False)[1]["stream"] is False


@pytest.mark.parametrize(
    ("effort", "think"),
    [("none", False), ("minimal", "low"), ("low", "low"), ("high", "high"), ("xhigh", "max"), ("max", "max")],
)
def test_ollama_is_told_how_hard_to_think_in_its_own_words(effort: str, think: bool | str) -> None:
    assert sent("ollama", ModelCall("m", TALK, Parameters(reasoning=effort)))[1]["think"] == think


def test_responses() -> None:
    request, body = sent("openai-responses", ModelCall("gpt-5", TALK, PARAMETERS))
    assert request.path == "/responses"
    assert body["instructions"] == "Be brief."
    assert body["store"] is False
    assert body["input"] == [
        {"role": "user", "content": [{"type": "input_text", "text": "What is in Paris?"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
        {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": '{"q": "Paris"}'},
        {"type": "function_call", "call_id": "c2", "name": "clock", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": '{"found": 3}'},
        {"type": "function_call_output", "call_id": "c2", "output": "noon"},
        {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
    ]
    assert (body["max_output_tokens"], body["temperature"], body["top_p"]) == (100, 0.5, 0.9)
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["stream"] is True
    assert "stop" not in body
    assert "seed" not in body


@pytest.mark.parametrize("type_", DIALECTS)
def test_extra_is_laid_over_the_request_last(type_: str) -> None:
    call = ModelCall("m", TALK[:2], body={"model": "other", "user": "u"}, headers={"X-Team": "a"})
    request, body = sent(type_, call)
    assert (body["model"], body["user"], request.headers["x-team"]) == ("other", "u", "a")


def test_objects_of_extra_are_joined_with_the_requests() -> None:
    extra = {"generationConfig": {"responseMimeType": "application/json"}}
    _, body = sent("gemini", ModelCall("m", TALK[:2], Parameters(max_tokens=5), body=extra))
    assert body["generationConfig"] == {"maxOutputTokens": 5, "responseMimeType": "application/json"}
    assert extra == {"generationConfig": {"responseMimeType": "application/json"}}


@pytest.mark.parametrize("type_", DIALECTS)
@pytest.mark.parametrize("name", ["authorization", "x-api-key", "X-Goog-Api-Key", "api-key", "Host"])
def test_a_script_may_not_say_who_asks(type_: str, name: str) -> None:
    with pytest.raises(ValidationError):
        sent(type_, ModelCall("m", TALK[:2], headers={name: "x"}))


@pytest.mark.parametrize("type_", DIALECTS)
def test_a_dialect_knows_its_own_host(type_: str) -> None:
    assert dialect_of(type_).own
    assert not dialect_of(type_, "proxy.example").own
    assert dialect_of(type_, "proxy.example").keyless
    assert dialect_of(type_).keyless == (type_ == "ollama")


@pytest.mark.parametrize("type_", DIALECTS)
def test_what_another_service_wants_back_is_not_sent(type_: str) -> None:
    turn = Message("assistant", "Hello.", native={"nobody": [{"secret": 1}]})
    request, _ = sent(type_, ModelCall("m", (Message("user", "hi"), turn)))
    assert b"secret" not in request.body
    assert b"Hello." in request.body


def test_responses_sends_back_what_needs_no_store() -> None:
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": []},
    ]
    _, body = sent("openai-responses", ModelCall("m", (Message("assistant", "a", native={"items": items}),)))
    assert body["input"] == [
        {"type": "reasoning", "summary": [], "encrypted_content": "E"},
        {"type": "message", "role": "assistant", "content": []},
    ]


def test_anthropic_sends_its_blocks_back_before_the_results() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "S"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]
    turn = Message("assistant", "", (ToolCall("c1", "f", {}),), native={"blocks": blocks})
    _, body = sent("anthropic", ModelCall("m", (Message("user", "hi"), turn, Message("tool", "1", (), "c1"))))
    assert body["messages"][1] == {"role": "assistant", "content": blocks}
    assert body["messages"][2]["content"][0]["tool_use_id"] == "c1"


def test_a_call_that_was_never_run_has_a_result_all_the_same() -> None:
    """Services refuse a conversation in which a call has none."""
    calls = (ToolCall("c1", "lookup", {}), ToolCall("c2", "clock", None, '{"a":'))
    talk = (
        Message("user", "hi"),
        Message("assistant", "", calls),
        Message("tool", "noon", (), "c2"),
        Message("user", "go on"),
        Message("assistant", "", calls[:1]),
        Message("user", "and on"),
        Message("assistant", "", calls[:1]),  # the last: the service is to say
    )
    told = [message for message in sent("openai", ModelCall("m", talk))[1]["messages"] if message["role"] == "tool"]
    assert [message["tool_call_id"] for message in told] == ["c1", "c2", "c1"]
    assert [message["content"] for message in told] == ["Error: It was not run.", "noon", "Error: It was not run."]

    items = sent("openai-responses", ModelCall("m", talk))[1]["input"]
    assert [item["call_id"] for item in items if item.get("type") == "function_call_output"] == ["c1", "c2", "c1"]

    turns = sent("anthropic", ModelCall("m", talk))[1]["messages"]
    blocks = [block for turn in turns if turn["role"] == "user" for block in turn["content"] if type(block) is dict]
    told = [block for block in blocks if block["type"] == "tool_result"]
    assert [(block["tool_use_id"], block.get("is_error", False)) for block in told] == [
        ("c1", True), ("c2", False), ("c1", True),
    ]  # fmt: skip

    contents = sent("gemini", ModelCall("m", talk))[1]["contents"]
    told = [part["functionResponse"] for turn in contents for part in turn["parts"] if "functionResponse" in part]
    unrun = ("lookup", {"error": "It was not run."})
    assert [(one["name"], one["response"]) for one in told] == [unrun, ("clock", {"output": "noon"}), unrun]

    told = [message for message in sent("ollama", ModelCall("m", talk))[1]["messages"] if message["role"] == "tool"]
    assert [message["tool_name"] for message in told] == ["lookup", "clock", "lookup"]


@pytest.mark.parametrize(
    ("host", "model", "told"),
    [
        ("api.openai.com", "gpt-4o-mini", False),
        ("api.openai.com", "gpt-5.1", True),
        ("api.openai.com", "o3", True),
        ("localhost", "gpt-4o-mini", True),
    ],
)
def test_openai_s_models_that_do_not_reason_are_not_told_not_to(host: str, model: str, told: bool) -> None:
    for type_, member in (("openai", "reasoning_effort"), ("openai-responses", "reasoning")):
        for effort in ("none", "low"):
            _, body = sent(type_, ModelCall(model, TALK[:2], Parameters(reasoning=effort)), host=host)
            assert (member in body) == (told or effort == "low")
