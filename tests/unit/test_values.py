"""Small values: what tokens cost, how usage adds up, what messages and chunks are made of and come to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.types.agent import AgentInput, AgentOutput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import NATIVE, Message, ToolCall
from llmspell.types.price import FREE, Price, dollars
from llmspell.types.streaming import (
    AgentChunk,
    ChunkContent,
    Collector,
    Control,
    ControlMessage,
    MediaPiece,
    Other,
    Reasoning,
    StructuredText,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.tools import ResponseSchema, ToolSpec
from llmspell.types.usage import Usage

TOKENS = st.none() | st.integers(0, 10**6)
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, st.none() | st.sampled_from([0.25, 0.5]), TOKENS)
PNG = Media("image/png", b"\0\1")

# ---- prices


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (Price(2.0, 10.0), Usage(1_000_000, 100_000), 3.0),
        (Price(2.0, 10.0), Usage(1_000_000, 0, cached_tokens=500_000), 2.0),
        (Price(2.0, 10.0, cached=0.2), Usage(1_000_000, 0, cached_tokens=500_000), 1.1),
        (Price(2.0, 10.0, cached=0.0), Usage(1_000_000, 0, cached_tokens=500_000), 1.0),
        (Price(2.0, 10.0, cache_write=2.5), Usage(1_000_000, 0, cache_write_tokens=400_000), 2.2),
        (Price(2.0, 10.0, 0.2, 2.5), Usage(1_000_000, 0, cached_tokens=900_000, cache_write_tokens=400_000), 0.43),
        (Price(2.0, 10.0, 0.2), Usage(100, 0, cached_tokens=200), 0.2 * 100 / 1e6),
        (Price(2.0, 10.0, 0.2, 2.5), Usage(10, 0), 20 / 1e6),
        (Price(2.0, 10.0), Usage(None, 5), None),
        (Price(2.0, 10.0), Usage(5, None), None),
        (Price(0.0, 10.0), Usage(5, None), None),
        (FREE, Usage(), 0.0),
        (Price(1.0, 2.0, above=100, high=(10.0, 20.0, None, None)), Usage(100, 100), 300 / 1e6),
        (Price(1.0, 2.0, above=100, high=(10.0, 20.0, None, None)), Usage(101, 100), (1010 + 2000) / 1e6),
        (Price(1.0, 2.0, above=0, high=(10.0, 20.0, 3.0, None)), Usage(100, 0, cached_tokens=50), (500 + 150) / 1e6),
        (Price(1.0, 2.0, above=100), Usage(200, 0), 200 / 1e6),
    ],
)
def test_what_a_call_cost(price: Price, usage: Usage, cost: float | None) -> None:
    assert price.cost(usage) == (None if cost is None else pytest.approx(cost))


def test_what_a_call_may_cost_at_most() -> None:
    assert Price(2.0, 10.0).most(1_000_000) == (2.0, 10 / 1e6)
    assert Price(2.0, 10.0, 0.2, 2.5).most(1_000_000) == (2.5, 10 / 1e6)
    assert Price(2.0, 10.0, 3.0, 2.5).most(1_000_000) == (3.0, 10 / 1e6)
    dear = Price(2.0, 10.0, above=10, high=(4.0, 20.0, None, None))
    assert dear.most(10) == (20 / 1e6, 10 / 1e6)
    assert dear.most(11) == (44 / 1e6, 20 / 1e6)


@given(
    rates=st.tuples(*[st.floats(0, 100)] * 4), read=st.integers(0, 10**6), written=st.integers(0, 10**6), data=st.data()
)
def test_no_call_costs_more_than_it_may(rates: Any, read: int, written: int, data: Any) -> None:
    price = Price(*rates)
    cached, stored = data.draw(st.integers(0, read)), data.draw(st.integers(0, 2 * read))
    cost = price.cost(Usage(read, written, cached, cache_write_tokens=stored))
    for_reading, a_token = price.most(read)
    assert cost is not None
    assert 0 <= cost <= (for_reading + written * a_token) * (1 + 1e-9) + 1e-12


def test_a_row_of_a_price_list() -> None:
    assert Price.of({"input": 1.0, "output": 2.0, "source": "x"}) == Price(1.0, 2.0)
    row: dict[str, Any] = {"input": 1.0, "output": 2.0, "cached": 0.1, "cache_write": 1.25, "above": 7}
    row["high"] = {"input": 3.0, "output": 4.0}
    assert Price.of(row) == Price(1.0, 2.0, 0.1, 1.25, 7, (3.0, 4.0, None, None))
    high = {"input": 3.0, "output": 4.0, "cached": 0.3, "cache_write": 3.5}
    assert Price.of(row | {"high": high}).high == (3.0, 4.0, 0.3, 3.5)


def test_what_is_free() -> None:
    assert FREE == (0.0, 0.0, None, None, 0, None)
    assert FREE.is_free
    assert not any(
        price.is_free
        for price in (
            Price(0.1, 0.0),
            Price(0.0, 0.1),
            Price(0.0, 0.0, 0.1),
            Price(0.0, 0.0, None, 0.1),
            Price(0.0, 0.0, above=1, high=(0.1, 0.0, None, None)),
        )
    )
    assert Price(0.0, 0.0, above=1, high=(0.0, 0.0, None, None)).is_free


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (0, "$0.00"), (1.5, "$1.50"), (1, "$1.00"), (1234.5, "$1,234.50"), (0.5, "$0.50"), (0.99, "$0.99"),
        (0.0123, "$0.012"), (0.0012, "$0.0012"), (0.000123, "$0.00012"), (1e-12, "$0.00000000"),
    ],
)  # fmt: skip
def test_dollars_for_people(amount: float, told: str) -> None:
    assert dollars(amount) == told


# ---- usage


@given(first=USAGES, second=USAGES, third=USAGES)
def test_usage_adds_up_in_any_order(first: Usage, second: Usage, third: Usage) -> None:
    assert first.plus(second) == second.plus(first)
    assert first.plus(second).plus(third) == first.plus(second.plus(third))
    assert first.plus(Usage()) == Usage().plus(first) == first
    for name, one, other in zip(Usage._fields, first, second, strict=True):
        whole = getattr(first.plus(second), name)
        if name != "cost_usd" and (one is not None or other is not None):
            assert whole == (one or 0) + (other or 0)


def test_a_cost_is_known_where_all_are() -> None:
    assert Usage(1, cost_usd=0.25).plus(Usage(2, cost_usd=0.5)) == Usage(3, cost_usd=0.75)
    assert Usage(1, cost_usd=0.25).plus(Usage(2)) == Usage(3)
    assert Usage(1).plus(Usage(2, cost_usd=0.5)) == Usage(3)
    assert Usage(cost_usd=0.0).plus(Usage(cost_usd=0.0)) == Usage(cost_usd=0.0)


def test_what_is_unknown_of_one_call_is_known_of_both() -> None:
    assert Usage(1, None, 3).plus(Usage(None, 2, 4)) == Usage(1, 2, 7)
    assert Usage(1, 0).plus(Usage(2, 0)) == Usage(3, 0)


def test_a_tool_and_a_form_need_little() -> None:
    assert ToolSpec("f") == ("f", "", {"type": "object", "properties": {}}, None)
    assert ResponseSchema({}) == ({}, "answer", "", True)


def test_usage_is_completed_and_told() -> None:
    assert Usage(1, 2).merged(Usage(None, 3, 4)) == Usage(1, 3, 4)
    assert Usage(1, 2).with_total() == Usage(1, 2, total_tokens=3)
    assert Usage(1, 2, total_tokens=9).with_total() == Usage(1, 2, total_tokens=9)
    assert Usage(1).with_total() == Usage(1)
    assert Usage(None, 1).with_total() == Usage(None, 1)
    assert Usage(0, None, cost_usd=0.0).to_dict() == {"input_tokens": 0, "cost_usd": 0.0}


# ---- messages


def test_a_message_is_told_with_what_it_has_and_no_more() -> None:
    assert Message("user", "hi").to_dict() == {"role": "user", "content": "hi"}
    call = ToolCall("c", "f", {"a": 1}, '{"a":1}')
    whole = Message("assistant", ("a", PNG, "b"), (call,), None, {"chat": {"t": 1}}, cut="cancelled")
    assert whole.to_dict() == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image", "mime_type": "image/png", "data": b"\0\1"},
            {"type": "text", "text": "b"},
        ],
        "tool_calls": [{"id": "c", "name": "f", "arguments": {"a": 1}}],
        "native": {"chat": {"t": 1}},
        "cut": "cancelled",
    }
    result = Message("tool", "gone", (), "c", is_error=True)
    assert result.to_dict() == {"role": "tool", "content": "gone", "tool_call_id": "c", "is_error": True}


def test_what_a_message_is_made_of() -> None:
    mixed = Message("user", ("a", PNG, "b"))
    assert (mixed.text, mixed.parts, mixed.media) == ("ab", ("a", PNG, "b"), (PNG,))
    plain = Message("user", "hi")
    assert (plain.text, plain.parts, plain.media) == ("hi", ("hi",), ())
    assert Message("user", "").parts == ()


def test_a_call_is_told_with_what_came_of_it() -> None:
    assert ToolCall("c", "f", {}).to_dict() == {"id": "c", "name": "f", "arguments": {}}
    assert ToolCall("c", "f", None, "{oops").to_dict() == {"id": "c", "name": "f", "arguments": None, "raw": "{oops"}
    assert ToolCall("c", "f", {}, "{}", 0, "no").to_dict() == {
        "id": "c", "name": "f", "arguments": {}, "result": 0, "error": "no",
    }  # fmt: skip
    assert not ToolCall("c", "f", {}).answered
    assert ToolCall("c", "f", {}, result=False).answered
    assert ToolCall("c", "f", {}, error="").answered


# ---- what an agent is given, and gives


def test_an_input_is_put_together() -> None:
    answer = Message("assistant", "yes")
    made = (
        AgentInput.builder()
        .text("What is ")
        .text("this?")
        .system("Be brief.")
        .message(answer)
        .text("And")
        .media(PNG, PNG)
        .text("that?")
        .system("Be kind.")
        .context("It is late.")
        .context({"b": 1, "a": 2})
        .parameters(temperature=0.5, max_tokens=7)
        .parameters(temperature=0.7)
        .output("image", "audio")
        .output("image")
        .build()
    )
    assert made == AgentInput(
        (
            Message("system", "Be brief."),
            Message("system", "Be kind."),
            Message("user", "What is this?"),
            answer,
            Message("user", ("And", PNG, PNG, "that?")),
        ),
        Parameters(temperature=0.7, max_tokens=7),
        ("image", "audio"),
        'It is late.\n\nContext, as JSON:\n{"a":2,"b":1}',
    )
    assert made.media == (PNG, PNG)


def test_an_input_of_each_form() -> None:
    message = Message("user", "hi")
    assert AgentInput.of("hi") == AgentInput.of(message) == AgentInput.of([message]) == AgentInput.text("hi")
    assert AgentInput.of("hi") == AgentInput((message,), Parameters(), (), "")
    made = AgentInput((message,), modalities=("image",))
    assert AgentInput.of(made) is made
    with pytest.raises(ValidationError, match="nothing to say"):
        AgentInput.builder().build()
    with pytest.raises(
        ValidationError, match=r"messages\[2\].role must be one of system, user, assistant, tool, not `bot`"
    ):
        AgentInput.of([message, Message("bot", "hi")])
    with pytest.raises(ValidationError, match="no parameter `heat`") as failed:
        AgentInput.builder().parameters(heat=1)
    assert failed.value.hint == "there are temperature, top_p, max_tokens, stop, seed, reasoning"


def test_parameters_go_over_others_where_they_are_given() -> None:
    base = Parameters(0.5, 0.9, 100, ("END",), 7, "low")
    assert Parameters().over(base) == base
    assert base.over(Parameters()) == base
    assert Parameters(temperature=0.0, stop=()).over(base) == base._replace(temperature=0.0, stop=())


def test_an_answer_of_one_s_own() -> None:
    made = AgentOutput.of("hi", PNG, data={"a": 1}, usage=Usage(1, 2), model="mine")
    assert (made.text, made.media, made.data, made.usage) == ("hi", (PNG,), {"a": 1}, Usage(1, 2))
    assert (made.metadata, made.reasoning, made.finish_reason) == ({"model": "mine"}, "", "stop")
    assert AgentOutput.of("hi") == AgentOutput("hi")


def test_an_answer_is_told_with_what_it_has() -> None:
    call = ToolCall("c", "f", {}, "{}", 42)
    turns = (Message("assistant", "", (call,)), Message("tool", "42", (), "c"), Message("assistant", "so"))
    plain = AgentOutput("so", "hm", (call,), Usage(1, 2), "length", {"model": "m", "chat": {"t": 1}})
    told = {
        "text": "so", "reasoning": "hm", "tool_calls": [call.to_dict()], "finish_reason": "length",
        "usage": {"input_tokens": 1, "output_tokens": 2}, "metadata": {"model": "m", "chat": {"t": 1}},
    }  # fmt: skip
    assert plain.to_dict() == told
    whole = plain._replace(media=(PNG,), data=0, turns=turns)
    assert whole.to_dict() == told | {
        "media": [PNG.to_dict()], "data": 0, "messages": [turn.to_dict() for turn in turns],
    }  # fmt: skip
    said = Message("assistant", "so", (call,), None, {"chat": {"t": 1}})
    assert (plain.message(), plain.messages) == (said, (said,))
    assert (whole.message(), whole.messages) == (turns[2], turns)
    assert whole._replace(turns=turns[:2]).message() == turns[0]


# ---- what a chunk holds


def test_each_content_says_what_it_is_and_has_little_that_must_be_said() -> None:
    assert [
        one.type
        for one in (
            Text("a"), StructuredText("a"), Reasoning("a"), ToolCallProgress("c", "f", ""),
            ToolCallComplete("c", "f", {}), MediaPiece("image/png", b""), Control("retry"), Other("thought", {}),
        )
    ] == [
        "text", "text", "reasoning", "tool_call_progress", "tool_call_complete", "media", "control", "thought",
    ]  # fmt: skip
    assert ToolCallComplete("c", "f", {}) == ("c", "f", {}, None, "", None)
    assert MediaPiece("image/png", b"").is_final
    assert StructuredText("a").partial is None
    assert Control("retry") == ("retry", None, None, None)


def test_the_words_of_controls() -> None:
    told = {name: word for name, word in vars(ControlMessage).items() if not name.startswith("_")}
    assert told == {name: name.lower() for name in told}
    assert sorted(told.values()) == ["cancelled", "heartbeat", "retry", "stream_end", "stream_start"]


@pytest.mark.parametrize("name", ["blocks", "parts", "items", "chat"])
def test_what_a_service_wants_back_is_in_the_turn_and_nothing_else(name: str) -> None:
    output = AgentOutput("a", metadata={name: [1], "model": "m", "id": "x"})
    assert output.message().native == {name: [1]}
    assert NATIVE == ("blocks", "parts", "items", "chat")


def chunks(*contents: ChunkContent, metadata: dict[str, Any] | None = None) -> list[AgentChunk]:
    return [AgentChunk("s", number, one, metadata or {}, 0.5) for number, one in enumerate(contents)]


def collected(*contents: ChunkContent) -> AgentOutput:
    collector = Collector()
    for chunk in chunks(*contents, metadata={"model": "m"}):
        collector.add(chunk)
    return collector.output()


def test_chunks_add_up_to_an_answer() -> None:
    output = collected(
        Control("stream_start"), Reasoning("h"), Reasoning("m"), Text("a"), StructuredText("b", 1),
        MediaPiece("image/png", b"1", False), MediaPiece("image/png", b"2"), MediaPiece("image/gif", b"3"),
        ToolCallComplete("c", "f", {"x": 1}, None, '{"x":1}'),
        Control("stream_end", "tool_calls", Usage(1, 2), {"data": 5}),
    )  # fmt: skip
    assert output == AgentOutput(
        "ab", "hm", (ToolCall("c", "f", {"x": 1}, '{"x":1}'),), Usage(1, 2), "tool_calls", {"model": "m"},
        (Media("image/png", b"12"), Media("image/gif", b"3")), 5,
    )  # fmt: skip
    assert collected(Text("a")) == AgentOutput("a")


def test_what_came_before_a_retry_is_void_but_for_calls_that_were_run() -> None:
    ran = ToolCallComplete("c", "f", {}, 42, "{}")
    output = collected(
        Text("look"), Reasoning("r"), MediaPiece("image/png", b"1"), ran,
        Text("half"), Reasoning("h"), ToolCallComplete("d", "g", {}), MediaPiece("image/png", b"2", False),
        Control("retry", details={"attempt": 2}),
        MediaPiece("image/png", b"3"), Text("whole"), Control("stream_end", "stop", Usage(1)),
    )  # fmt: skip
    assert (output.text, output.reasoning, output.data) == ("whole", "", None)
    assert [call.id for call in output.tool_calls] == ["c"]
    assert [one.data for one in output.media] == [b"1", b"3"]


def test_a_call_that_was_run_ends_its_turn() -> None:
    assert collected(Text("look"), ToolCallComplete("c", "f", {}, error="no"), Text("so")).text == "so"
    assert collected(Text("look"), ToolCallComplete("c", "f", {}), Text("so")).text == "lookso"


def test_usage_and_ends_are_those_that_were_told_last() -> None:
    output = collected(Control("stream_end", "length", Usage(1, 2)), Control("stream_end", None, Usage(None, 3)))
    assert (output.usage, output.finish_reason) == (Usage(1, 3), "length")
