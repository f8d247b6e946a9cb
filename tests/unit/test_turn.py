"""How an answer's chunks are numbered and stamped, and what their metadata tell."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from llmspell.providers import turn as turn_module
from llmspell.providers.base import ModelCall
from llmspell.providers.turn import Turn
from llmspell.types.messages import Message
from llmspell.types.streaming import Control, Text
from llmspell.types.usage import Usage

CALL = ModelCall("m", (Message("user", "hi"),))
END = Control("stream_end", "stop", Usage(1, 2))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, to be set."""
    now = [100.0]
    monkeypatch.setattr(turn_module.time, "monotonic", lambda: now[0])
    return now


def test_each_answer_has_an_id_and_says_of_whom_it_is() -> None:
    turn, other = Turn("p", "m"), Turn("p", "m")
    assert re.fullmatch("stream-[0-9a-f]{12}", turn.stream_id)
    assert turn.stream_id != other.stream_id
    assert turn.metadata == {"model": "m", "provider": "p"}


def test_chunks_are_numbered_without_gaps_and_begin_once() -> None:
    turn = Turn("p", "m")
    first, second = turn.chunks([Text("a")]), turn.chunks([Text("b"), Text("c")])
    assert [one.content for one in first] == [Control("stream_start"), Text("a")]
    assert [one.content for one in second] == [Text("b"), Text("c")]
    assert [one.chunk_index for one in (*first, *second)] == [0, 1, 2, 3]
    assert {one.stream_id for one in (*first, *second)} == {turn.stream_id}
    assert turn.chunks([]) == []
    assert [one.content for one in Turn("p", "m").chunks([])] == [Control("stream_start")]


def test_at_its_end_an_answer_tells_how_long_it_took_from_its_start(clock: list[float]) -> None:
    turn = Turn("p", "m")
    clock[0] = 101.0
    turn.start()
    clock[0] = 102.25
    turn.chunks([Text("a")])
    turn.chunks([Control("progress")])
    assert "latency_ms" not in turn.metadata
    clock[0] = 103.23456
    turn.chunks([Text("b"), END])
    assert turn.metadata["latency_ms"] == 2234.6
    made = Turn("p", "m")
    clock[0] += 0.5
    made.chunks([END])
    assert made.metadata["latency_ms"] == 500.0


def test_the_cost_is_asked_once_of_the_model_that_the_service_names() -> None:
    asked: list[tuple[Usage, str]] = []

    def cost(usage: Usage, model: str) -> Usage:
        asked.append((usage, model))
        return usage._replace(cost_usd=0.5)

    turn = Turn("p", "m", cost)
    turn.told({"model": "m-2026"})
    turn.chunks([Text("a")])
    chunks = turn.chunks([Text("b"), END])
    assert chunks[-1].content == END._replace(usage=Usage(1, 2)._replace(cost_usd=0.5))
    assert chunks[-2].content == Text("b")
    assert asked == [(Usage(1, 2), "m-2026")]
    Turn("p", "m", cost).chunks([Control("stream_end", "stop")])
    assert len(asked) == 1
    assert Turn("p", "m").chunks([END])[-1].content == END


def test_what_is_told_is_kept_but_for_nothing_and_who_answers_and_what_is_too_deep() -> None:
    turn = Turn("p", "m")
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    notes = [1]
    turn.told({"provider": "other", "id": None, "deep": 1})
    assert turn.metadata["deep"] == 1
    turn.told({"deep": deep, "notes": notes, "table": {"a": 1}, "model": "m-1"})
    notes.append(2)
    assert turn.metadata == {"provider": "p", "model": "m-1", "notes": [1], "table": {"a": 1}}


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(str(vars(record)["event"]))


@pytest.mark.parametrize("heard", [True, False])
async def test_who_listens_is_told_of_the_call_and_nobody_else(heard: bool) -> None:
    handler, logger = Kept(), logging.getLogger("llmspell.model")
    if heard:
        logger.addHandler(handler)
        logger.setLevel("DEBUG")
    try:
        turn = Turn("p", "m")

        async def batches() -> Any:
            yield turn.chunks([Text("a")])
            turn.retried(Control("retry", details={"attempt": 2}))
            yield turn.chunks([END])

        told = [chunk.content async for chunk in turn.stream(CALL, batches())]
        assert told == [Control("stream_start"), Text("a"), END]
        whole = Turn("p", "m")
        with whole.whole(CALL):
            whole.chunks([Text("a"), END])
    finally:
        logger.removeHandler(handler)
        logger.setLevel("NOTSET")
    assert len(handler.events) == (5 if heard else 0)
    assert [event for event in handler.events if "retr" in event] == handler.events[1:2]
