"""Answers whose names and times are the tape's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.providers.wrapped import WrappedProvider
from llmspell.types.streaming import AgentChunk, AgentStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from llmspell.providers.base import ModelCall, ProviderInstance
    from llmspell.providers.tape.tape import Tape
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import ChunkContent

__all__ = ["Stamped"]


class Stamped(WrappedProvider):
    """*inner*, with `stream_id`, `timestamp` and `latency_ms` from the tape: the same in the recording's replay."""

    def __init__(self, inner: ProviderInstance, tape: Tape) -> None:
        super().__init__(inner)
        self._tape = tape

    def stream(self, call: ModelCall) -> AgentStream:
        name = self._tape.stream_id()
        return AgentStream(name, self._batches(self.inner.stream(call), name))

    async def _batches(self, stream: AgentStream, name: str) -> AsyncGenerator[list[AgentChunk], None]:
        stamps = self.stamps(name)
        try:
            while (batch := await stream.next_batch()) is not None:
                yield stamps([chunk.content for chunk in batch], batch[-1].metadata)
        finally:
            await stream.aclose()

    async def execute(self, call: ModelCall) -> AgentOutput:
        began = self._tape.at
        return self.stamp_output(await self.inner.execute(call), began)

    def now(self) -> float:
        return self._tape.now()

    # ---- stamps

    def stamps(self, name: str) -> Callable[[Sequence[ChunkContent], Mapping[str, Any]], list[AgentChunk]]:
        """Makes the chunks of a stream that begins now: numbered, and stamped with the time of the event."""
        tape = self._tape
        began, count = tape.at, 0
        metadata: dict[str, Any] = {}

        def chunks(contents: Sequence[ChunkContent], told: Mapping[str, Any]) -> list[AgentChunk]:
            nonlocal count
            metadata.update(told)
            if "latency_ms" in metadata:
                metadata["latency_ms"] = round((tape.at - began) * 1000, 1)
            first, count = count, count + len(contents)
            now = tape.now()
            return [AgentChunk(name, first + i, content, metadata, now) for i, content in enumerate(contents)]

        return chunks

    def stamp_output(self, output: AgentOutput, began: float) -> AgentOutput:
        """A whole answer that was asked for at *began*."""
        if "latency_ms" not in output.metadata:
            return output
        latency = round((self._tape.at - began) * 1000, 1)
        return output._replace(metadata={**output.metadata, "latency_ms": latency})
