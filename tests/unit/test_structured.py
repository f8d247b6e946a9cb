"""Answers in a form: which way it is asked for, what is checked, the repair, and streams that say the same."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.agents.agent import Agent, AgentInput
from llmspell.agents.forms import Form, Unfit, parsed, way_of
from llmspell.errors import NetworkError, ProviderError, ValidationError
from llmspell.providers.base import ModelCall, ProviderCapabilities, ProviderInstance
from llmspell.providers.turn import Turn
from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.media import Media, sniff
from llmspell.types.messages import Message
from llmspell.types.streaming import (
    AgentChunk,
    AgentStream,
    Control,
    MediaPiece,
    StructuredText,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.tools import ResponseSchema, ToolSpec
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmspell.types.streaming import ChunkContent, Room, Taker

pytestmark = pytest.mark.once

SCHEMA = {
    "title": "A person",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
GOOD = '{"name": "Ada", "age": 36}'
BAD = '{"name": "Ada"}'
ADA = {"name": "Ada", "age": 36}


USED = Usage(10, 5, None, None, 15)


def say(*texts: str, finish: str = "stop") -> list[ChunkContent]:
    return [*map(Text, texts), Control("stream_end", finish, USED)]


def call_tool(*pieces: str, name: str = "A_person", finish: str = "tool_calls", before: str = "") -> list[ChunkContent]:
    raw = "".join(pieces)
    try:
        arguments = json.loads(raw)
    except ValueError:
        arguments = None
    said: list[ChunkContent] = [Text(before)] if before else []
    progress = [ToolCallProgress("c1", name, piece) for piece in ("", *pieces)]
    whole = ToolCallComplete("c1", name, arguments, None, raw)
    return [*said, *progress, whole, Control("stream_end", finish, USED)]


class Service(ProviderInstance):
    """Says what it was told to say, an answer a call; keeps the calls."""

    name = type = "fake"

    def __init__(self, way: str, *answers: Any, **able: Any) -> None:
        self.able = ProviderCapabilities(structured_output=way, **able)
        self.answers = list(answers)
        self.calls: list[ModelCall] = []
        self.open = 0

    def resolve(self, model: str | None, provider: str | None) -> tuple[Service, str]:
        return self, "m"

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        assert model == "m"
        return self.able

    def stream(self, call: ModelCall) -> AgentStream:
        turn = Turn(self.name, call.model)

        async def batches() -> AsyncGenerator[list[AgentChunk], None]:
            self.calls.append(call)
            self.open += 1
            try:
                for content in self.answers.pop(0):
                    await asyncio.sleep(0)
                    if isinstance(content, Exception):
                        raise content
                    yield turn.chunks([content])
            finally:
                self.open -= 1

        async def pour(take: Taker, room: Room) -> None:
            async for batch in batches():
                if not take(batch):
                    await room()

        return AgentStream(turn.stream_id, batches(), pour)

    async def execute(self, call: ModelCall) -> AgentOutput:
        async with self.stream(call) as stream:
            return await stream.collect()


def agent(service: Service, **more: Any) -> Agent:
    return Agent(providers=service, **{"response_schema": SCHEMA, **more})  # type: ignore[arg-type]


async def poured(stream: AgentStream) -> list[AgentChunk]:
    got: list[AgentChunk] = []

    def take(batch: list[AgentChunk]) -> bool:
        got.extend(batch)
        return len(got) % 2 == 0

    await stream.pour(take, lambda: asyncio.sleep(0))
    return got


async def answered(service: Service, how: str, **more: Any) -> AgentOutput:
    """One answer, read in one of the three ways."""
    asked = agent(service, **more)
    if how == "execute":
        return await asked.execute("Who?")
    async with asked.stream("Who?") as stream:
        chunks = await poured(stream) if how == "pour" else [chunk async for chunk in stream]
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.stream_id for chunk in chunks} == {stream.stream_id}
    ends = [chunk.content.message for chunk in chunks if isinstance(chunk.content, Control)]
    assert (ends[0], ends[-1]) == ("stream_start", "stream_end")
    assert ends.count("stream_start") == ends.count("stream_end") == 1
    assert service.open == 0
    return stream.collector.output()


HOW = pytest.mark.parametrize("how", ["execute", "stream", "pour"])
WAYS = {"native": say('{"name": "A', 'da", "age": 36}'), "tool": call_tool(GOOD[:9], GOOD[9:]), "instruct": say(GOOD)}


@HOW
@pytest.mark.parametrize("way", WAYS)
def test_each_way_gives_the_data_and_says_which_it_was(way: str, how: str) -> None:
    service = Service(way, WAYS[way])
    output = asyncio.run(answered(service, how))
    assert (output.data, output.text, output.finish_reason, output.tool_calls) == (ADA, GOOD, "stop", ())
    assert output.metadata["structured"] == way
    assert "repaired" not in output.metadata
    assert output.metadata["model"] == "m"
    assert "latency_ms" in output.metadata
    assert output.usage == Usage(10, 5, None, None, 15)
    assert output.to_dict()["data"] == ADA
    (call,) = service.calls
    assert (call.schema is not None) is (way == "native")
    assert [tool.name for tool in call.tools] == (["A_person"] if way == "tool" else [])
    assert call.tool_choice == ("A_person" if way == "tool" else None)
    assert any("additionalProperties" in message.text for message in call.messages) is (way == "instruct")


@HOW
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_of_another_form_is_repaired_once(way: str, how: str) -> None:
    first = call_tool(BAD) if way == "tool" else say(BAD)
    service = Service(way, first, WAYS[way])
    output = asyncio.run(answered(service, how))
    assert (output.data, output.text, output.metadata["repaired"]) == (ADA, GOOD, True)
    assert output.metadata["structured"] == way
    assert output.usage == Usage(20, 10, None, None, 30)
    before, after = service.calls
    *_, said, complaint = after.messages
    assert (said.role, said.text) == ("assistant", BAD)
    assert complaint.role == "user"
    assert "$.age: is missing" in complaint.text
    assert after._replace(messages=before.messages) == before


@HOW
@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_fit_after_a_repair_is_an_error_with_what_was_said(way: str, how: str) -> None:
    bad = call_tool(BAD) if way == "tool" else say(BAD)
    service = Service(way, bad, bad)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(answered(service, how))
    error = caught.value
    assert "$.age: is missing" in error.message
    assert (error.partial, error.complaints, error.provider, error.model) == (BAD, ["$.age: is missing"], "fake", "m")
    assert error.call_usage == {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30}
    assert error.retryable is False
    assert len(service.calls) == 2


@HOW
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_a_limit_cut_is_an_error_that_names_it(way: str, how: str) -> None:
    cut = call_tool(GOOD[:12], finish="length") if way == "tool" else say(GOOD[:12], finish="length")
    service = Service(way, cut)
    with pytest.raises(ProviderError) as caught:
        asyncio.run(answered(service, how, max_tokens=7))
    assert "token limit" in caught.value.message
    assert caught.value.hint == "raise `max_tokens`, which is 7"
    assert (caught.value.partial, caught.value.finish_reason) == (GOOD[:12], "length")
    assert len(service.calls) == 1


@HOW
@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_a_result_without_data(way: str, how: str) -> None:
    output = asyncio.run(answered(Service(way, say("I won't.", finish="content_filter")), how))
    assert (output.data, output.text, output.finish_reason) == (None, "I won't.", "content_filter")
    assert "data" not in output.to_dict()


@HOW
def test_calls_of_the_agent_s_own_tools_come_back_unrun(how: str) -> None:
    service = Service("native", call_tool('{"q": 1}', name="lookup"))
    output = asyncio.run(answered(service, how, tools=[ToolSpec("lookup")], tool_choice="auto"))
    assert (output.data, output.finish_reason) == (None, "tool_calls")
    assert [call.name for call in output.tool_calls] == ["lookup"]
    (call,) = service.calls
    assert (call.tools[0].name, call.tool_choice, call.schema is not None) == ("lookup", "auto", True)


@HOW
def test_a_text_beside_the_tool_s_call_is_no_answer(how: str) -> None:
    output = asyncio.run(answered(Service("tool", call_tool(GOOD, before="Let me see.")), how))
    assert (output.text, output.data) == (GOOD, ADA)


@HOW
def test_a_model_that_answers_in_words_where_it_had_to_call_is_read_all_the_same(how: str) -> None:
    output = asyncio.run(answered(Service("tool", say("Here: ", GOOD)), how))
    assert (output.text, output.data) == ("Here: " + GOOD, ADA)


@HOW
def test_a_tool_call_that_comes_whole_is_an_answer(how: str) -> None:
    whole = [ToolCallComplete("c1", "A_person", ADA, None, ""), Control("stream_end", "tool_calls")]
    output = asyncio.run(answered(Service("tool", whole), how))
    assert (json.loads(output.text), output.data) == (ADA, ADA)


@HOW
def test_an_empty_answer_is_repaired_without_an_empty_turn(how: str) -> None:
    service = Service("native", say(), say(GOOD))
    assert asyncio.run(answered(service, how)).data == ADA
    assert [message.role for message in service.calls[1].messages] == ["user", "user"]


def test_who_is_instructed_where_no_tool_can_be_forced() -> None:
    list_of = {"type": "array", "items": {"type": "integer"}}
    cases: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
        ({}, {"tools": [ToolSpec("t")]}, "tool", "instruct"),
        ({}, {"reasoning": "high"}, "tool", "instruct"),
        ({}, {"reasoning": "none"}, "tool", "tool"),
        ({"supports_tool_choice": False}, {}, "tool", "instruct"),
        ({}, {"response_schema": list_of}, "tool", "instruct"),
        ({}, {"response_schema": list_of}, "native", "instruct"),
        ({"structured_output_any_root": True}, {"response_schema": list_of}, "native", "native"),
        ({}, {"tools": [ToolSpec("t")]}, "native", "native"),
    ]
    for able, more, way, expected in cases:
        service = Service(
            way, call_tool(GOOD) if expected == "tool" else say("[1]" if "response_schema" in more else GOOD), **able
        )
        output = asyncio.run(answered(service, "execute", **more))
        assert output.metadata["structured"] == expected
        assert service.calls[0].tools[0].name == "t" if "tools" in more else True


def test_the_instruction_joins_the_system_prompt() -> None:
    service = Service("instruct", say(GOOD))
    asyncio.run(answered(service, "execute", system_prompt="Be brief."))
    first, second = service.calls[0].messages
    assert first.role == "system"
    assert first.text.startswith("Be brief.\n\nAnswer with one JSON value")
    assert json.loads(first.text.splitlines()[-1]) == SCHEMA
    assert second == Message("user", "Who?")


def test_texts_carry_the_value_as_far_as_it_has_come() -> None:
    async def main() -> list[AgentChunk]:
        async with agent(Service("native", say('{"name": "A', 'da", "a', 'ge": 36', "}"))).stream("Who?") as stream:
            return [chunk async for chunk in stream]

    contents = [chunk.content for chunk in asyncio.run(main())]
    assert contents[1:-1] == [
        StructuredText('{"name": "A', {"name": "A"}),
        StructuredText('da", "a', {"name": "Ada"}),
        StructuredText('ge": 36', {"name": "Ada"}),
        StructuredText("}", ADA),
    ]
    assert {content.type for content in contents[1:-1]} == {"text"}
    assert contents[-1] == Control("stream_end", "stop", Usage(10, 5, None, None, 15), {"data": ADA})


def test_a_fence_before_the_json_is_passed_over() -> None:
    async def main() -> list[Any]:
        stream = agent(
            Service("instruct", say("Sure:\n``", "`json\n", '{"name": ', '"Ada", "age": 36}', "\n```"))
        ).stream("Who?")
        return [chunk.content async for chunk in stream]

    *_, end = contents = asyncio.run(main())
    assert end.details == {"data": ADA}
    assert [getattr(one, "partial", None) for one in contents[1:-1]] == [None, None, {}, ADA, None]


def test_thinking_before_the_json_is_passed_over() -> None:
    async def main() -> list[Any]:
        said = say("<think>Is it ", '{"name": "Bob"', "}?</think>", '{"name": ', '"Ada", "age": 36}')
        return [chunk.content async for chunk in agent(Service("instruct", said)).stream("Who?")]

    *_, end = contents = asyncio.run(main())
    assert end.details == {"data": ADA}
    assert [getattr(one, "partial", None) for one in contents[1:-1]] == [None, None, None, {}, ADA]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=3), st.data())
@settings(max_examples=20, deadline=None)
def test_a_stream_gives_what_execute_gives_however_it_is_cut(names: list[str], data: st.DataObject) -> None:
    text = json.dumps({"names": names})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]
    schema = {"type": "object", "properties": {"names": {"items": {"type": "string"}}}}
    for way in ("native", "tool", "instruct"):
        said = call_tool(*pieces, name="answer") if way == "tool" else say(*pieces)
        outputs = [
            asyncio.run(answered(Service(way, said), how, response_schema=schema)) for how in ("execute", "stream")
        ]
        assert outputs[0].data == outputs[1].data == {"names": names}
        assert outputs[0].text == outputs[1].text == text


def test_partials_are_few_in_a_long_answer_and_end_in_a_longer_one() -> None:
    text = json.dumps({"names": ["x" * 40] * 4000})
    pieces = [text[at : at + 2] for at in range(0, len(text), 2)]

    async def main() -> list[AgentChunk]:
        async with agent(Service("native", say(*pieces)), response_schema={"type": "object"}).stream("Who?") as stream:
            return [chunk async for chunk in stream]

    chunks = asyncio.run(main())
    with_partial = [chunk.chunk_index for chunk in chunks if isinstance(chunk.content, StructuredText)]
    assert with_partial[:1000] == list(range(1, 1001))
    assert len(with_partial) < 6000
    assert with_partial[-1] < 33_000
    assert "".join(chunk.content.text for chunk in chunks if chunk.content.type == "text") == text  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["stream", "pour"])
def test_an_error_in_mid_stream_has_the_text_so_far_and_closes(how: str) -> None:
    said = [*call_tool('{"name": "A')[:2], NetworkError("lost", provider="fake")]
    service = Service("tool", said)
    with pytest.raises(NetworkError) as caught:
        asyncio.run(answered(service, how))
    assert caught.value.partial == '{"name": "A'
    assert service.open == 0


def test_a_failed_repair_tells_what_was_used_before() -> None:
    service = Service("native", say(BAD), [NetworkError("lost")])
    for how in ("execute", "stream", "pour"):
        service.answers = [say(BAD), [NetworkError("lost")]]
        with pytest.raises(NetworkError) as caught:
            asyncio.run(answered(service, how))
        assert caught.value.call_usage == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


@HOW
def test_a_retry_of_the_provider_s_own_voids_what_came_before(how: str) -> None:
    said = [Text('{"na'), Control("retry", details={"attempt": 2}), *say(GOOD)]
    output = asyncio.run(answered(Service("native", said), how))
    assert (output.text, output.data) == (GOOD, ADA)
    assert "repaired" not in output.metadata


def test_a_stream_that_is_left_closes_its_answer() -> None:
    async def main() -> None:
        service = Service("native", say(*GOOD))
        async with agent(service).stream("Who?") as stream:
            async for _ in stream:
                assert service.open == 1
                break
        assert service.open == 0

    asyncio.run(main())


def test_media_beside_the_text_is_passed_on() -> None:
    service = Service("native", [MediaPiece("image/png", b"\x89P"), *say(GOOD)])
    output = asyncio.run(answered(service, "stream"))
    assert (output.media, output.data) == ((Media("image/png", b"\x89P"),), ADA)
    assert output.to_dict()["media"] == [{"type": "image", "media_type": "image/png", "data": b"\x89P"}]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '```json\n{"a": 1}\n```',
        'Sure! ```\n{"a": 1}\n``` Bye.',
        'It is {"a": 1}, as you said.',
        '<think>x</think>{"a": 1}',
        '<think>Is it {"a": 2}? ```{"a": 3}```</think>{"a": 1}',
        'Is it {"a": 2}?</think>\n\n```json\n{"a": 1}\n```',
        'As [1] says, it is {"a": 1}, {"b": 2}.',
        'First:\n```\n{"b": 1}\n```\nthen:\n```json\n{"a": 1}\n```',
        '{"not": json} {"a": 1}',
        "[" * 40 + ' {"a": 1}',
    ],
)
def test_the_json_of_an_answer_is_found_that_has_its_form(text: str) -> None:
    form = Form({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
    assert parsed(form, text) == {"a": 1}


HOPELESS = [
    "",
    "no",
    '{"b": 1}',
    "[" * 100_000,
    "{" * 100_000,
    '{"a": NaN}',
    "``````",
    "```\n```",
    '<think>Is it {"a": 1}?',
    '<think>{"a": 1}</think>',
]


@pytest.mark.parametrize("text", HOPELESS)
def test_an_answer_without_it_is_none_and_takes_no_time(text: str) -> None:
    with pytest.raises(Unfit):
        parsed(Form({"type": "object", "required": ["a"]}), text)


ROOTS: list[dict[str, Any]] = [{"type": "array"}, {"type": "string"}, {"anyOf": [True]}, {"$ref": "#/$defs/a"}]


@pytest.mark.parametrize("schema", ROOTS)
@pytest.mark.parametrize(("any_root", "way"), [(True, "native"), (False, "instruct")])
def test_a_form_that_is_no_object_s_is_held_by_services_that_take_it(
    schema: dict[str, Any], any_root: bool, way: str
) -> None:
    service = Service("native", structured_output_any_root=any_root)
    call = ModelCall("m", (Message("user", "hi"),))
    assert way_of(service, call, Form({**schema, "$defs": {"a": SCHEMA}}))[0] == way
    assert way_of(service, call, Form(SCHEMA))[0] == "native"


@pytest.mark.parametrize("schema", [{"const": 2**70}, {"properties": {"a": {"default": {1: 2}}}}, {"title": "\ud800"}])
def test_a_schema_that_is_no_json_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Form(schema)


def test_a_form_knows_its_name_and_whether_it_is_strict() -> None:
    form = Form(SCHEMA)
    assert (form.name, form.told.strict, form.is_object) == ("A_person", True, True)
    assert Form({**SCHEMA, "required": ["name"]}).told.strict is False
    assert Form({"type": "object"}).told.strict is False
    assert (
        Form(
            {
                "type": "object",
                "properties": {"a": {"type": "object"}},
                "required": ["a"],
                "additionalProperties": False,
            }
        ).told.strict
        is False
    )
    assert Form({"type": "array", "items": SCHEMA}).told.strict is True
    open_inside = {"$defs": {"a": {"properties": {"b": {"type": "string"}}}}, "anyOf": [{"$ref": "#/$defs/a"}]}
    assert Form(open_inside).told.strict is False
    assert Form({**SCHEMA, "allOf": [True]}).told.strict is False
    assert Form({"title": "…"}).name == "answer"
    for wrong in (
        ResponseSchema(SCHEMA, "a b"),
        ResponseSchema(SCHEMA, ""),
        {"type": "nothing"},
        ResponseSchema({"type": 1}),
    ):
        with pytest.raises(ValidationError):
            Agent("m", response_schema=wrong)


def test_tools_are_checked_when_the_agent_is_made() -> None:
    with pytest.raises(ValidationError, match="same name"):
        Agent("m", tools=[ToolSpec("a"), ToolSpec("a")])
    with pytest.raises(ValidationError, match="no tool of the agent"):
        Agent("m", tools=[ToolSpec("a")], tool_choice="b")


def test_tools_and_modalities_go_with_a_call_without_a_form() -> None:
    service = Service("native", say("hi"))
    asked = agent(service, response_schema=None, tools=[ToolSpec("a")], tool_choice="a")
    asyncio.run(asked.execute(AgentInput((Message("user", "x"),), Parameters(), ("image",))))
    (call,) = service.calls
    assert (call.tools, call.tool_choice, call.modalities, call.schema) == ((ToolSpec("a"),), "a", ("image",), None)


def test_a_medium_that_is_too_large_or_empty_is_named() -> None:
    service = Service("native", say(GOOD), max_media_size=10)
    for data, told in ((b"x" * 11, "has 11 bytes; fake takes at most 10"), (b"", "is empty")):
        message = Message("user", ("Look:", Media("image/png", data)))
        with pytest.raises(ValidationError) as caught:
            asyncio.run(agent(service).execute([message]))
        assert caught.value.message.startswith("part 2 of message 1 (image/png)")
        assert told in caught.value.message
    assert service.calls == []


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0....", "image/jpeg"),
        (b"GIF89a....", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"ID3\x03....", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"OggS....", "audio/ogg"),
        (b"fLaC....", "audio/flac"),
        (b"\0\0\0\x20ftypisom", "video/mp4"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x01B\x82\x84webm", "video/webm"),
        (b"plain text", None),
        (b"", None),
        (b"RIFF\0\0\0\0ACON", None),
    ],
)
def test_bytes_tell_what_they_are(data: bytes, mime_type: str | None) -> None:
    assert sniff(data) == mime_type


@given(st.binary(max_size=20))
@settings(max_examples=50)
def test_any_bytes_may_be_looked_at(data: bytes) -> None:
    sniff(data)
