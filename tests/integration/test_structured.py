"""Answers in a form, and what is no text, from Lua to the wire and back: real dialects over loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import Agent, ScriptRuntime
from llmspell.errors import LLMSpellError
from llmspell.providers.base import ModelCall, ProviderCapabilities, ProviderInstance
from llmspell.providers.manager import ProviderManager
from llmspell.providers.service import Service
from llmspell.providers.turn import Turn
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.streaming import AgentChunk, AgentStream, Control, MediaPiece, Text, ToolCallComplete
from llmspell.types.tools import ToolSpec
from llmspell.types.usage import Usage
from support.loopback import Loopback, Request, reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}
DATA = {"name": "Ærø 🌍", "tags": ["a", "b"]}
GOOD = json.dumps(DATA, ensure_ascii=False)
BAD = '{"name": "x"}'
PNG = b"\x89PNG\r\n\x1a\n\x00\xff\xfe"


def events(*values: Any, named: bool = False) -> bytes:
    name = "event: {}\n"
    return "".join(f"{name.format(one['type']) if named else ''}data: {json.dumps(one)}\n\n" for one in values).encode()


def pieces_of(text: str) -> list[str]:
    return [text[:5], text[5:11], text[11:]]


def chat(text: str, stream: bool) -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        return json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
    deltas = [{"model": "m", "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces_of(text)]
    end = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    return events(*deltas, end) + b"data: [DONE]\n\n"


def claude(text: str, stream: bool) -> bytes:
    """The answer as a call of the tool `answer`."""
    used = {"input_tokens": 9, "output_tokens": 5}
    block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": {} if stream else json.loads(text)}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": used}
    if not stream:
        return json.dumps({**message, "content": [block], "stop_reason": "tool_use"}).encode()
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
        for piece in pieces_of(text)
    ]
    return events(
        {"type": "message_start", "message": {**message, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": used},
        {"type": "message_stop"},
        named=True,
    )


def llama(text: str, stream: bool) -> bytes:
    last = {"done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 5}
    pieces = [*pieces_of(text), ""] if stream else [text]
    lines = [{"model": "m", "message": {"role": "assistant", "content": piece}, "done": False} for piece in pieces]
    lines[-1] |= last
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


#: How a form is asked for: the dialect, what its service says, and its content type where it streams.
WAYS = {
    "native": ("openai", chat, "text/event-stream"),
    "tool": ("anthropic", claude, "text/event-stream"),
    "instruct": ("ollama", llama, "application/x-ndjson"),
}


class Able(Service):
    """A service that can what the test says."""

    way = "native"

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return ProviderCapabilities(structured_output=self.way)


def manager_for(server: Loopback, way: str) -> ProviderManager:
    service = Able("acme", {"type": WAYS[way][0], "base_url": server.url, "model": "m", "api_key": "k"})
    service.way = way
    manager = ProviderManager({})
    manager.register(service)
    return manager


def plans(way: str, *texts: str) -> list[Any]:
    _, body, kind = WAYS[way]

    def plan(text: str) -> Any:
        def answered(request: Request) -> Any:
            stream = bool(request.json.get("stream"))
            return reply(body(text, stream), headers={"content-type": kind if stream else "application/json"})

        return answered

    return [plan(text) for text in texts]


LUA = """
  local agent = Agent.create { response_schema = {
    type = "object",
    properties = { name = { type = "string" }, tags = { type = "array", items = { type = "string" } } },
    required = { "name", "tags" },
    additionalProperties = false,
  } }
"""
EXECUTE = (
    LUA
    + """
  local output = agent:execute("Who?")
  return { text = output.text, data = output.data, structured = output.metadata.structured,
    repaired = output.metadata.repaired, tokens = output.usage.total_tokens, calls = #output.tool_calls,
    role = output.message.role, content = output.message.content, last = output.data.tags[#output.data.tags] }
"""
)
STREAM = (
    LUA
    + """
  local partials, kinds, finish, given = JSON.array {}, {}, nil, nil
  local s = agent:stream_execute("Who?")
  for chunk in s do
    local content = chunk.content
    kinds[content.message or content.type] = true
    if content.message == "retry" then
      partials = JSON.array {}
    elseif content.type == "text" and content.partial then
      partials[#partials + 1] = content.partial
    elseif content.message == "stream_end" then
      finish, given = content.finish_reason, content.details.data
    end
  end
  local output = s:collect()
  return { text = output.text, data = output.data, structured = output.metadata.structured,
    repaired = output.metadata.repaired, tokens = output.usage.total_tokens, calls = #output.tool_calls,
    partials = partials, finish = finish, given = given, kinds = kinds }
"""
)


def run(script: str, manager: ProviderManager, **more: Any) -> Any:
    async def main() -> Any:
        try:
            async with ScriptRuntime(providers=manager, timeout=30, **more) as runtime:
                return (await runtime.execute_script(script)).result
        finally:
            await manager.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_script_gets_data_in_each_way(way: str) -> None:
    with Loopback(plans(way, GOOD)) as server:
        told = run(EXECUTE, manager_for(server, way))
    text = told.pop("text")
    assert json.loads(text) == DATA
    assert told == {
        "data": DATA, "structured": way, "tokens": 14, "calls": 0, "role": "assistant", "content": text, "last": "b",
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_script_reads_partials_and_the_data_of_a_stream_in_each_way(way: str) -> None:
    with Loopback(plans(way, GOOD)) as server:
        told = run(STREAM, manager_for(server, way))
    assert (told["text"], told["data"], told["given"], told["finish"]) == (GOOD, DATA, DATA, "stop")
    assert (told["structured"], told["tokens"], told["calls"]) == (way, 14, 0)
    assert told["partials"] == [{}, {"name": "Æ"}, DATA]
    assert set(told["kinds"]) == {"stream_start", "text", "stream_end"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", [EXECUTE, STREAM], ids=["execute", "stream"])
def test_a_script_gets_a_repaired_answer(way: str, script: str) -> None:
    with Loopback(plans(way, BAD, GOOD)) as server:
        told = run(script, manager_for(server, way))
        first, second = (request.json for request in server.requests)
    assert (told["data"], told["repaired"], told["tokens"]) == (DATA, True, 28)
    assert json.loads(told["text"]) == DATA
    assert len(second["messages"]) == len(first["messages"]) + 2
    assert "$.tags: is missing" in json.dumps(second["messages"][-1])
    if script == STREAM:
        assert set(told["kinds"]) == {"stream_start", "text", "retry", "stream_end"}
        assert told["partials"][-1] == DATA


def test_the_text_of_a_repaired_stream_is_that_of_the_second_answer() -> None:
    with Loopback(plans("native", BAD, GOOD)) as server:
        told = run(LUA + "return agent:stream('Who?'):text()", manager_for(server, "native"))
    assert told == GOOD


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_stream_of_data_crosses_into_a_process_of_its_own(isolation: str) -> None:
    with Loopback(plans("native", GOOD)) as server:
        more = {"isolation": isolation} if isolation == "process" else {}
        told = run(STREAM, manager_for(server, "native"), **more)
    assert (told["data"], told["partials"][-1]) == (DATA, DATA)


def test_what_does_not_fit_is_an_error_that_a_script_can_read() -> None:
    script = (
        LUA
        + """
      local ok, e = pcall(agent.execute, agent, "Who?")
      return { ok = ok, kind = e.kind, message = e.message, partial = e.partial, complaint = e.complaints[1] }
    """
    )
    with Loopback(plans("instruct", BAD, BAD)) as server:
        told = run(script, manager_for(server, "instruct"))
    message = told.pop("message")
    assert message == "the answer of `m` does not have the form that was asked for: $.tags: is missing"
    assert told == {"ok": False, "kind": "provider", "partial": BAD, "complaint": "$.tags: is missing"}


@pytest.mark.parametrize("way", WAYS)
def test_python_gets_the_same(way: str) -> None:
    async def main() -> None:
        with Loopback(plans(way, GOOD, GOOD)) as server:
            manager = manager_for(server, way)
            agent = Agent("acme", response_schema=SCHEMA, providers=manager)
            output = await agent.execute("Who?")
            async with agent.stream("Who?") as stream:
                streamed = await stream.collect()
            await manager.aclose()
        for one in (output, streamed):
            assert (json.loads(one.text), one.data, one.metadata["structured"]) == (DATA, DATA, way)
            assert (one.usage.total_tokens, one.finish_reason, one.tool_calls) == (14, "stop", ())

    asyncio.run(main())


def gemini(text: str, stream: bool) -> bytes:
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 5, "totalTokenCount": 14}
    candidate = {"content": content, "finishReason": "STOP", "index": 0}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}).encode()


@pytest.mark.parametrize(
    ("type_", "model", "tools", "way"),
    [
        ("anthropic", "m", (), "tool"),
        ("gemini", "gemini-2.5-flash", (), "native"),
        ("gemini", "gemini-2.5-flash", (ToolSpec("look"),), "instruct"),
        ("gemini", "gemini-3-pro", (ToolSpec("look"),), "native"),
    ],
)
def test_what_a_model_can_decides_the_way(type_: str, model: str, tools: tuple[ToolSpec, ...], way: str) -> None:
    body = claude if type_ == "anthropic" else gemini

    async def main() -> tuple[AgentOutput, Any]:
        with Loopback([reply(body(GOOD, False), headers={"content-type": "application/json"})]) as server:
            settings = {"type": type_, "base_url": server.url, "api_key": "k"}
            manager = ProviderManager({"acme": settings})
            agent = Agent(f"acme/{model}", response_schema=SCHEMA, tools=tools, providers=manager)
            output = await agent.execute("Who?")
            await manager.aclose()
            return output, server.requests[0].json

    output, sent = asyncio.run(main())
    assert (output.data, output.metadata["structured"], output.usage.total_tokens) == (DATA, way, 14)
    if way == "tool":
        assert [tool["name"] for tool in sent["tools"]] == ["answer"]
        assert sent["tool_choice"]["name"] == "answer"
    else:
        assert ("responseJsonSchema" in sent.get("generationConfig", {})) is (way == "native")
        assert ("additionalProperties" in json.dumps(sent.get("systemInstruction", ""))) is (way == "instruct")


def test_a_schema_that_is_none_is_a_fault_of_the_script_s_line() -> None:
    script = """
      local function try(schema)
        local ok, e = pcall(Agent.create, { model = "acme", response_schema = schema })
        return ok and "fine" or e.kind .. ": " .. e.message
      end
      return { try { type = "text" }, try { properties = { a = 1 } }, try { required = {}, type = "object" },
        try { enum = JSON.array {} }, try("no") }
    """
    told = run(script, ProviderManager({"acme": {"type": "openai", "base_url": "http://127.0.0.1:1", "model": "m"}}))
    assert told == [
        "validation: `schema.type` is `text`, which is no type",
        "validation: `schema.properties.a` must be a JSON Schema: an object, true or false",
        "fine",
        "fine",
        "validation: `Agent.create`: `response_schema` must be a table, not the string `no`",
    ]


def test_a_builder_takes_a_schema_and_the_agent_tells_it() -> None:
    script = """
      local agent = Agent.builder():model("acme"):response_schema({ type = "object", required = {} }):build()
      return agent:get_config().response_schema
    """
    told = run(script, ProviderManager({"acme": {"type": "openai", "base_url": "http://127.0.0.1:1", "model": "m"}}))
    assert told == {"type": "object", "required": []}


# ---- what is no text


class Kept(ProviderInstance):
    """Keeps the calls; answers with a picture, a tool's call and what it wants back."""

    name = type = "kept"
    default_model = "m"

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []

    def stream(self, call: ModelCall) -> AgentStream:
        turn = Turn(self.name, call.model)

        async def batches() -> AsyncGenerator[list[AgentChunk], None]:
            self.calls.append(call)
            turn.told({"blocks": [{"type": "thinking", "signature": "s+/=", "n": 1, "none": []}]})
            yield turn.chunks([Text("see"), MediaPiece("image/png", PNG[:6], False), MediaPiece("image/png", PNG[6:])])
            whole = ToolCallComplete("c1", "look", {"q": "x", "list": []}, None, '{"q": "x", "list": []}')
            yield turn.chunks([whole, Control("stream_end", "tool_calls", Usage(1, 1, None, None, 2))])

        return AgentStream(turn.stream_id, batches())

    async def execute(self, call: ModelCall) -> AgentOutput:
        async with self.stream(call) as stream:
            return await stream.collect()


def kept(script: str, **more: Any) -> tuple[Any, list[ModelCall]]:
    provider, manager = Kept(), ProviderManager({})
    manager.register(provider)
    return run(script, manager, **more), provider.calls


SAY = """
  local agent = Agent.create {}
  local png = "\\x89PNG\\r\\n\\x1a\\n\\0\\xff\\xfe"
"""


def test_a_script_sends_parts_of_every_kind() -> None:
    script = (
        SAY
        + """
      agent:execute { messages = {
        { role = "system", content = { { type = "text", text = "Be " }, "brief." } },
        { role = "user", content = {
          "What is this?",
          { type = "image", data = png },
          { type = "image", base64 = "iVBORw0KGgoA//4=", detail = "low" },
          { type = "image", url = "https://example.org/a/b.JPG?x=1" },
          { type = "audio", data = "RIFF....WAVEfmt ", mime_type = "audio/wav" },
          { type = "video", data = "....ftypisom" },
          { type = "file", data = "%PDF-1.7", filename = "a.pdf" },
          { data = "a,b\\n1,2\\n", filename = "t.csv" },
          { type = "file", data = "plain words" },
          { type = "image", url = "data:image/gif;base64,R0lGODlh" },
          { media_type = "image/webp", url = "https://example.org/x" },
        } },
      } }
    """
    )
    _, (call,) = kept(script)
    system, user = call.messages
    assert system == Message("system", "Be brief.")
    assert user.content == (
        "What is this?",
        Media("image/png", PNG),
        Media("image/png", PNG, detail="low"),
        Media("image/jpeg", url="https://example.org/a/b.JPG?x=1"),
        Media("audio/wav", b"RIFF....WAVEfmt "),
        Media("video/mp4", b"....ftypisom"),
        Media("application/pdf", b"%PDF-1.7", filename="a.pdf"),
        Media("text/csv", b"a,b\n1,2\n", filename="t.csv"),
        Media("text/plain", b"plain words"),
        Media("image/gif", b"GIF89a"),
        Media("image/webp", url="https://example.org/x"),
    )


def test_media_goes_with_the_text_and_modalities_with_the_call() -> None:
    script = (
        SAY
        + """
      local media = { { type = "image", data = png } }
      agent:execute { text = "Look.", media = media, output_modalities = { "image" } }
      agent:execute { media = media }
      agent:stream_execute({ prompt = "Look.", media = media, output_modalities = "audio" }):collect()
      agent:execute { text = "Nothing.", media = {}, output_modalities = {} }
    """
    )
    _, calls = kept(script)
    image = Media("image/png", PNG)
    assert [call.messages for call in calls] == [
        (Message("user", ("Look.", image)),),
        (Message("user", (image,)),),
        (Message("user", ("Look.", image)),),
        (Message("user", "Nothing."),),
    ]
    assert [call.modalities for call in calls] == [("image",), (), ("audio",), ()]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ('{ type = "image" }', "`messages[1].content[1]` needs one of data, base64, url, and has none of them"),
        ('{ type = "image", data = png, url = "https://x.org" }', "and has data and url"),
        ('{ type = "picture", data = png }', "`messages[1].content[1].type` must be one of text, image"),
        ('{ type = "image", url = "http://example.org/x" }', "must be an address that begins with https://"),
        ('{ type = "image", url = "https://u:p@example.org/x" }', "must be an address that begins with https://"),
        ('{ type = "image", base64 = "a b c!" }', "`messages[1].content[1].base64` is not base64"),
        ('{ type = "image", data = "?\\xff" }', "the bytes of `messages[1].content[1]` do not tell what they are"),
        ('{ type = "image", data = png, mime_type = "image/jpeg" }', "image/jpeg, and its bytes are image/png"),
        ('{ type = "image", data = png, mime_type = "audio/wav" }', "of type image, and its mime_type is `audio/wav`"),
        ('{ type = "image", data = png, mime_type = "png" }', "must be like image/png, not `png`"),
        ('{ type = "image", data = "" }', "do not tell what they are"),
        ('{ type = "image", data = "", mime_type = "image/png" }', "part 1 of message 1 (image/png) is empty"),
        ('{ type = "image", dta = png }', "has no field `messages[1].content[1].dta`"),
        ('{ type = "text" }', "`messages[1].content[1].text` must be a text in UTF-8"),
        ('{ type = "text", text = png }', "`messages[1].content[1].text` must be a text in UTF-8"),
        ("png", "messages[1].content[1] must be a table"),
        ("3", "messages[1].content[1] must be a table"),
    ],
)  # fmt: skip
def test_a_wrong_part_is_named(part: str, told: str) -> None:
    script = (
        SAY
        + f"""
      local ok, e = pcall(agent.execute, agent, {{ messages = {{ {{ role = "user", content = {{ {part} }} }} }} }})
      return {{ e.kind, e.message }}
    """
    )
    (kind, message), calls = kept(script)
    assert kind == "validation"
    assert told in message
    assert calls == []


def test_an_answer_is_a_message_that_goes_back_whole() -> None:
    script = (
        SAY
        + """
      local first = agent:execute("Look.")
      local call = first.tool_calls[1]
      agent:execute { messages = {
        { role = "user", content = "Look." },
        first.message,
        { role = "tool", content = "no", tool_call_id = call.id, is_error = true },
        { role = "assistant", tool_calls = { { id = "c2", name = "look", arguments = {} } } },
        { role = "tool", content = { { type = "image", data = first.media[1].data } }, tool_call_id = "c2" },
      } }
    """
    )
    _, (_, call) = kept(script)
    _, answer, failed, other, shown = call.messages
    assert answer.role == "assistant"
    assert answer.content == "see"
    assert answer.tool_calls == (ToolCall("c1", "look", {"q": "x", "list": []}),)
    assert answer.native == {"blocks": [{"type": "thinking", "signature": "s+/=", "n": 1, "none": []}]}
    assert failed == Message("tool", "no", (), "c1", {}, True)
    assert other == Message("assistant", "", (ToolCall("c2", "look", {}),))
    assert shown.content == (Media("image/png", PNG),)


@pytest.mark.parametrize("native", ['{ blocks = "x" }', "{ other = {} }", "{ blocks = { 1 } }", "{ 1 }"])
def test_what_no_answer_had_does_not_go_back(native: str) -> None:
    script = (
        SAY
        + f"""
      local message = {{ role = "assistant", content = "x", native = {native} }}
      local ok, e = pcall(agent.execute, agent, {{ messages = {{ message }} }})
      return {{ e.kind, e.message }}
    """
    )
    (kind, message), calls = kept(script)
    assert (kind, calls) == ("validation", [])
    assert "`messages[1].native`" in message


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_media_comes_to_a_script_as_bytes(isolation: str) -> None:
    script = (
        SAY
        + """
      local pieces = {}
      local s = agent:stream_execute("Draw.")
      for chunk in s do
        if chunk.content.type == "media" then
          pieces[#pieces + 1] = { chunk.content.media_type, chunk.content.data, chunk.content.is_final }
        end
      end
      local output = s:collect()
      return { pieces = pieces, media = output.media, same = output.media[1].data == png }
    """
    )
    told, _ = kept(script, **({"isolation": "process"} if isolation == "process" else {}))
    assert told["same"] is True
    assert told["pieces"] == [["image/png", PNG[:6], False], ["image/png", PNG[6:], True]]
    [image] = told["media"]
    assert image.items() >= {"type": "image", "media_type": "image/png", "data": PNG, "mime_type": "image/png"}.items()


def test_lines_of_json_have_media_as_base64_and_no_partials() -> None:
    chunk = AgentChunk("s", 0, MediaPiece("image/png", PNG), {}, 0.0)
    assert chunk.to_json()["content"] == {
        "type": "media", "media_type": "image/png", "data": base64.b64encode(PNG).decode(), "is_final": True,
    }  # fmt: skip
    assert chunk.to_dict()["content"]["data"] == PNG
    with Loopback(plans("native", GOOD)) as server:

        async def main() -> list[AgentChunk]:
            manager = manager_for(server, "native")
            async with Agent("acme", response_schema=SCHEMA, providers=manager).stream("Who?") as stream:
                chunks = [chunk async for chunk in stream]
            await manager.aclose()
            return chunks

        chunks = asyncio.run(main())
    assert all("partial" not in chunk.to_json()["content"] for chunk in chunks)
    assert any("partial" in chunk.to_dict()["content"] for chunk in chunks)
    assert chunks[-1].to_json()["content"]["details"] == {"data": DATA}


def test_a_refused_request_in_a_form_is_the_service_s_error() -> None:
    async def main() -> None:
        body = json.dumps({"error": {"message": "Invalid schema", "type": "invalid_request_error"}}).encode()
        with Loopback([reply(body, 400, {"content-type": "application/json"})]) as server:
            manager = manager_for(server, "native")
            agent = Agent("acme", response_schema=SCHEMA, providers=manager)
            for read in (lambda: agent.execute("x"), lambda: agent.stream("x").collect()):
                with pytest.raises(LLMSpellError) as caught:
                    await read()
                assert caught.value.status == 400
                assert "Invalid schema" in str(caught.value)
            await manager.aclose()

    asyncio.run(main())
