"""The mock: what it was told to say, in order, the same every time."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell.config.loader import load
from llmspell.errors import ConfigError, ProviderError, RateLimitError, ValidationError
from llmspell.providers import turn
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MOST_WIDTH, MockProvider
from llmspell.types.messages import Message
from llmspell.types.streaming import Control, Text
from llmspell.types.usage import Usage

pytestmark = pytest.mark.once

CALL = ModelCall("m", (Message("system", "Be brief."), Message("user", "one two three")))


async def test_it_says_what_it_was_told_in_order_and_repeats_the_last() -> None:
    mock = MockProvider(["a", {"text": "b", "reasoning": "hm", "finish_reason": "length"}])
    said = [await mock.execute(CALL) for _ in range(3)]
    assert [one.text for one in said] == ["a", "b", "b"]
    assert (said[1].reasoning, said[1].finish_reason) == ("hm", "length")
    assert mock.calls == [CALL, CALL, CALL]


async def test_without_replies_it_says_what_the_user_said() -> None:
    assert (await MockProvider().execute(CALL)).text == "one two three"


async def test_after_the_last_it_may_fail() -> None:
    mock = MockProvider(["a"], when_over="error")
    await mock.execute(CALL)
    with pytest.raises(ProviderError, match="no reply left: 1 were given, this is call 2"):
        await mock.execute(CALL)


@pytest.mark.parametrize(
    ("reply", "pieces"),
    [
        ("Hello to  all\n", ["Hello", " to", "  all", "\n"]),
        ({"text": "abcde", "chunk_size": 2}, ["ab", "cd", "e"]),
        ("", []),
    ],
)
async def test_it_streams_words_or_pieces(reply: Any, pieces: list[str]) -> None:
    async with MockProvider([reply]).stream(CALL) as stream:
        chunks = [chunk async for chunk in stream]
    assert [chunk.content.text for chunk in chunks if isinstance(chunk.content, Text)] == pieces
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))


async def test_usage_is_counted_or_as_told() -> None:
    counted, told = [
        (await MockProvider([reply]).execute(CALL)).usage
        for reply in ("four words of text", {"text": "x", "usage": {"input_tokens": 70, "output_tokens": 8}})
    ]
    assert counted == Usage(5, 4, total_tokens=9)
    assert told == Usage(70, 8, total_tokens=78)


async def test_tool_calls() -> None:
    done = await MockProvider([{"tool_calls": [{"name": "add", "arguments": {"a": 1}}]}]).execute(CALL)
    assert done.finish_reason == "tool_calls"
    assert [(call.id, call.name, call.arguments) for call in done.tool_calls] == [("call_1", "add", {"a": 1})]


async def test_an_error_comes_after_the_text_before_it() -> None:
    told = {"kind": "rate_limit", "message": "slow\ndown", "status": 429, "retry_after": 3}
    async with MockProvider([{"text": "so far", "error": told}]).stream(CALL) as stream:
        with pytest.raises(RateLimitError, match="slow down") as caught:
            async for _ in stream:
                pass
        assert stream.collector.text == "so far"
    assert (caught.value.status, caught.value.retry_after, caught.value.provider) == (429, 3, "mock")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "reply",
    [
        7,
        {"txet": "x"},
        {"text": 7},
        {"delay": -1},
        {"chunk_size": 0},
        {"chunk_size": True},
        {"usage": {"tokens": 1}},
        {"usage": {"input_tokens": -1}},
        {"error": {"kind": "nonsense"}},
        {"error": {"kind": "network", "code": 7}},
        {"tool_calls": [{"arguments": {}}]},
        {"tool_calls": [{"name": "x", "arguments": []}]},
    ],
)
def test_a_reply_that_is_none_is_told(reply: Any) -> None:
    with pytest.raises(ConfigError, match=r"providers\.mock\.replies\[2\]"):
        MockProvider(["fine", reply])


async def test_vectors_depend_on_the_text_alone() -> None:
    mock = MockProvider()
    first, second = await mock.embed("", ["a", "b", "a"]), await mock.embed("", ["b"], dimensions=3)
    a, b, again = first.vectors
    assert a == again != b
    assert len(a) == 8
    assert second.vectors == (b[:3],)
    assert all(-1 <= number <= 1 for number in a)


async def test_it_is_there_without_being_configured_and_never_by_itself() -> None:
    manager = ProviderManager({}, env={})
    provider, model = manager.resolve("mock")
    assert isinstance(provider, MockProvider)
    assert model == "mock"
    assert manager.default() == "local"
    named = ProviderManager({"mock": {"type": "mock"}, "local": {"type": "local"}}, env={})
    assert named.default() == "local"


async def test_it_is_configured(tmp_path: Any) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[providers]\ndefault = "mock"\n[providers.mock]\nmodel = "m1"\nwhen_over = "error"\n'
        'replies = ["hi", { text = "ho", delay = 0.0 }]\n'
    )
    config = load(script_dir=None, config_file=str(path), env={}, flags={})
    manager = ProviderManager(config.providers(), config.get("providers.default"), env={})
    provider, model = manager.resolve(None)
    assert model == "m1"
    assert [(await provider.execute(CALL)).text for _ in range(2)] == ["hi", "ho"]
    with pytest.raises(ProviderError):
        await provider.execute(CALL)


async def test_what_it_can_is_all_that_can_be_asked_for() -> None:
    mock = MockProvider(model="mine")
    told = mock.capabilities()
    assert told.input_modalities == ("text", "image", "audio", "video", "file")
    assert told.tool_result_media == ("image", "audio", "video", "file")
    assert told.supports_reasoning
    assert told.supports_embeddings
    assert told.structured_output_any_root
    assert [one.id for one in await mock.models()] == [mock.default_model] == ["mine"]
    assert (MockProvider.type, MockProvider().name, MockProvider().default_model) == ("mock", "mock", "mock")
    assert repr(MockProvider(["a"])) == "MockProvider('mock', replies=1, calls=0)"
    with pytest.raises(ConfigError, match='when_over` is "repeat" or "error"'):
        MockProvider(when_over="never")


@pytest.mark.parametrize(
    ("width", "fine"), [(0, False), (-1, False), (1, True), (MOST_WIDTH, True), (MOST_WIDTH + 1, False)]
)
async def test_vectors_have_a_width(width: int, fine: bool) -> None:
    if not fine:
        with pytest.raises(ValidationError):
            await MockProvider().embed("m", ["a"], dimensions=width)
        return
    told = await MockProvider().embed("m", ["one two", "three"], dimensions=width)
    assert [len(vector) for vector in told.vectors] == [width, width]
    assert all(-1 <= number <= 1 for vector in told.vectors for number in vector)
    assert (told.model, told.usage) == ("m", Usage(3, 0, None, None, 3))


async def test_time_counts_from_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(turn.time, "monotonic", lambda: now)
    stream = MockProvider(["a"]).stream(CALL)
    now = 200.0
    assert (await stream.collect()).metadata["latency_ms"] == 0.0


async def test_the_least_of_each_field_is_one_too() -> None:
    reply = {"text": "ab", "chunk_size": 1, "delay": 0, "usage": {"input_tokens": 0, "output_tokens": 0}}
    async with MockProvider([reply]).stream(CALL) as stream:
        contents = [chunk.content async for chunk in stream]
    assert contents[1:] == [Text("a"), Text("b"), Control("stream_end", "stop", Usage(0, 0, None, None, 0))]


async def test_a_call_has_the_id_that_it_was_given_or_the_next_and_only_what_a_script_can_be_given() -> None:
    deep: Any = {}
    for _ in range(220):
        deep = {"a": deep}
    calls = [
        {"name": "f", "id": "mine"},
        {"name": "g"},
        {"name": "h", "arguments": deep},
        {"name": "i", "arguments": {}},
    ]
    output = await MockProvider([{"tool_calls": calls}]).execute(CALL)
    assert output.finish_reason == "tool_calls"
    assert [(call.id, call.name) for call in output.tool_calls] == [
        ("mine", "f"),
        ("call_2", "g"),
        ("call_3", "h"),
        ("call_4", "i"),
    ]
    assert [call.arguments for call in output.tool_calls] == [{}, {}, None, {}]
    wide = {str(number): [] for number in range(60)}
    output = await MockProvider([{"tool_calls": [{"name": "f", "arguments": wide}]}]).execute(CALL)
    assert output.tool_calls[0].arguments == wide
