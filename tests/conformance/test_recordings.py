"""Every recorded exchange of Anthropic, Gemini, Ollama and Responses: what is read of it, whole and in any cut.

`*_expected.json` has, for each recording, what a person reads in it: text and reasoning (long ones by their beginning,
end and length), media (type and number of bytes), tool calls, usage [input, output, cached, reasoning, total], finish
reason and model; or the error.
OpenAI's chat dialect has the same in test_openai_chat.py.
"""

from __future__ import annotations

import asyncio
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.errors import LLMSpellError
from llmspell.providers.base import ModelCall, WireReply
from llmspell.providers.dialect import dialect_of
from llmspell.providers.manager import ProviderManager
from llmspell.providers.turn import Turn
from llmspell.providers.wire_errors import from_reply
from llmspell.types.messages import Message
from llmspell.types.streaming import Collector, Control, Text
from llmspell.types.usage import Usage
from support.loopback import Loopback, chunked, head
from support.wire import records, without_cost

if TYPE_CHECKING:
    from llmspell.types.streaming import AgentChunk, ChunkContent
    from support.wire import Record

APIS = ("anthropic", "gemini", "ollama", "openai-responses")
CALL = ModelCall("m", (Message("user", "hi"),))


def expected_of(api: str) -> dict[str, Any]:
    path = Path(__file__).with_name(api.replace("-", "_") + "_expected.json")
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


EXPECTED = {api: expected_of(api) for api in APIS}
RECORDS = [
    pytest.param(api, *parameter.values, marks=parameter.marks, id=f"{api} {parameter.id}")
    for api in APIS
    for parameter in records(api)
]
Read = tuple[list["ChunkContent"], LLMSpellError | None, dict[str, Any]]


def read(api: str, body: bytes, edges: list[int]) -> Read:
    """What the dialect makes of *body*, cut at *edges*."""
    reading = dialect_of(api).reading("p", "m", key_env=None, secrets=())
    contents: list[ChunkContent] = []
    for a, b in pairwise(edges):
        contents += reading.feed(body[a:b])
    contents += reading.end()
    return contents, reading.error, reading.metadata


def brief(text: str) -> str | dict[str, Any]:
    return text if len(text) <= 100 else {"head": text[:50], "tail": text[-30:], "length": len(text)}


def check_error(error: LLMSpellError | None, expected: dict[str, Any]) -> None:
    assert error is not None
    told = (error.kind, error.status, error.retryable)
    assert told == (expected["kind"], expected["status"], expected["retryable"])
    assert expected["says"] in error.message
    assert error.message.isprintable()
    assert error.hint
    for name in ("retry_after", "request_id"):
        if name in expected:
            assert error.context[name] == expected[name]


@pytest.mark.parametrize(("api", "record"), RECORDS)
def test_a_recording_is_read_as_a_person_reads_it(api: str, record: Record) -> None:
    expected = EXPECTED[api][record.name]
    if record.status >= 400:
        reply = WireReply(record.status, record.headers, record.body)
        check_error(from_reply(reply, provider="p", model="m"), expected["error"])
        return
    contents, error, metadata = read(api, record.body, [0, len(record.body)])
    collector = Collector()
    for chunk in Turn("p", "m").chunks(contents):
        collector.add(chunk)
    output = collector.output()
    assert brief(output.text) == expected.get("text", "")
    assert brief(output.reasoning) == expected.get("reasoning", "")
    if "error" in expected:
        check_error(error, expected["error"])
        assert not any(isinstance(content, Control) for content in contents)  # no end is told of what failed
        return
    assert error is None
    assert [[call.id, call.name, call.arguments] for call in output.tool_calls] == expected["tool_calls"]
    if "media" in expected:
        assert [[media.mime_type, len(media.data or b"")] for media in output.media] == expected["media"]
    assert output.usage._replace(cost_usd=None, cache_write_tokens=None) == (
        Usage() if expected["usage"] is None else Usage(*expected["usage"])
    )
    assert output.finish_reason == expected["finish_reason"]
    assert metadata.get("model") == expected["model"]
    ends = [content for content in contents if isinstance(content, Control)]
    assert len(ends) == 1
    assert ends[0] is contents[-1]


@pytest.mark.parametrize(("api", "record"), RECORDS)
def test_a_recording_is_the_same_in_any_cut(api: str, record: Record) -> None:
    if record.status >= 400:
        return
    whole = read(api, record.body, [0, len(record.body)])
    rng = random.Random(record.name)
    for count in (1, 5, 50):
        cuts = sorted(rng.choices(range(len(record.body) + 1), k=count))
        assert_same(read(api, record.body, [0, *cuts, len(record.body)]), whole)
    if len(record.body) < 100_000:
        assert_same(read(api, record.body, list(range(len(record.body) + 1))), whole)


def assert_same(got: Read, whole: Read) -> None:
    assert got[0] == whole[0]
    assert got[2] == whole[2]
    assert (got[1] and got[1].to_dict()) == (whole[1] and whole[1].to_dict())


@pytest.mark.parametrize("api", APIS)
def test_every_expectation_has_its_recording(api: str) -> None:
    names = {parameter.values[0].name for parameter in records(api) if parameter.values[0] is not None}
    if not names:
        pytest.skip("no recordings")
    assert names == EXPECTED[api].keys()


def plan(record: Record, rng: random.Random) -> list[bytes]:
    """The recording as an answer of HTTP, cut at random, also within heads, sizes and line ends."""
    size = len(record.body)
    edges = [0, *sorted(rng.choices(range(size + 1), k=min(12, size))), size]
    pieces = [record.body[a:b] for a, b in pairwise(edges) if b > a]
    wire = b"".join([head(record.status, dict(record.headers)), *chunked(pieces)])
    cuts = [0, *sorted(rng.choices(range(len(wire) + 1), k=12)), len(wire)]
    return [wire[a:b] for a, b in pairwise(cuts) if b > a]


async def stream(api: str, url: str) -> tuple[list[AgentChunk], LLMSpellError | None]:
    """The chunks that come through the whole road, and the error at their end."""
    manager = ProviderManager({"p": {"type": api, "base_url": url, "model": "m", "retry": {"attempts": 1}}})
    provider, model = manager.resolve("p")
    chunks: list[AgentChunk] = []
    error: LLMSpellError | None = None
    async with provider.stream(CALL._replace(model=model)) as answer:
        try:
            while (batch := await answer.next_batch()) is not None:
                chunks += batch
        except LLMSpellError as raised:
            error = raised
    await manager.aclose()
    return chunks, error


@pytest.mark.parametrize(("api", "record"), RECORDS)
def test_a_recording_is_the_same_over_a_socket(api: str, record: Record) -> None:
    with Loopback([plan(record, random.Random(record.name))]) as server:
        chunks, error = asyncio.run(stream(api, server.url))
    if record.status >= 400:
        assert chunks == []
        check_error(error, EXPECTED[api][record.name]["error"])
        return
    contents, failed, metadata = read(api, record.body, [0, len(record.body)])
    assert [without_cost(chunk.content) for chunk in chunks][1:] == [without_cost(content) for content in contents]
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert (error and error.message) == (failed and failed.message)
    if chunks:
        assert chunks[0].content == Control("stream_start")
        assert metadata.items() <= chunks[-1].metadata.items()
    if error is not None:
        assert error.partial == "".join(c.text for c in contents if isinstance(c, Text))


@pytest.mark.parametrize(
    ("api", "first", "second", "members"),
    [
        ("anthropic", "thinking-tool", "thinking-tool-result", ("messages", 1, "content")),
        ("gemini", "thought-signature-tool", "thought-signature-result", ("contents", 1, "parts")),
        ("openai-responses", "responses-tools-parallel", "responses-after-tools", ("input",)),
    ],
)
def test_what_a_service_wants_back_goes_back_as_it_came(
    api: str, first: str, second: str, members: tuple[Any, ...]
) -> None:
    """Two recordings of one conversation: the first one's answer, as the second one's request has it."""
    found = [parameter.values[0] for parameter in records(api)]
    known = {record.name.partition("/")[2]: record for record in found if record is not None}
    if not known:
        pytest.skip("no recordings")
    contents, _, metadata = read(api, known[first].body, [0, len(known[first].body)])
    collector = Collector()
    turn = Turn("p", "m")
    turn.told(metadata)
    for chunk in turn.chunks(contents):
        collector.add(chunk)
    talk = (Message("user", "hi"), collector.output().message())
    sent = json.loads(dialect_of(api).request(ModelCall("m", talk), stream=False).body)
    recorded = known[second].request["json"]
    for member in members:
        sent, recorded = sent[member], recorded[member]
    if api == "openai-responses":  # of which the one told more than it has to, and the other its own way of a question
        kinds = ("reasoning", "function_call")
        sent, recorded = ([item for item in side if item.get("type") in kinds] for side in (sent, recorded))
        for item in (*sent, *recorded):
            item.pop("content", None)
            item.pop("id", None)
    if api == "gemini":  # that one did not give the call's id back, which it may
        assert sent[0]["functionCall"].pop("id")
    assert sent == recorded
    assert len(sent) >= 1
