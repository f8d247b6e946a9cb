"""Answers that a test makes, read as a service's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.providers.dialect import dialect_of
from llmspell.providers.turn import Turn
from llmspell.types.streaming import Collector

if TYPE_CHECKING:
    from llmspell.types.agent import AgentOutput

__all__ = ["answer_of"]


def answer_of(dialect: str, body: bytes) -> AgentOutput:
    """The answer that *body*, all of it, holds; an error fails the test."""
    reading = dialect_of(dialect).reading("p", "m", key_env=None, secrets=())
    contents = [*reading.feed(body), *reading.end()]
    assert reading.error is None
    turn, collector = Turn("p", "m"), Collector()
    turn.told(reading.metadata)
    for chunk in turn.chunks(contents):
        collector.add(chunk)
    return collector.output()
