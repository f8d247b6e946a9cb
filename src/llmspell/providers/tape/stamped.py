"""Answers whose names and times are the tape's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.providers.base import ProviderInstance
from llmspell.types.streaming import AgentChunk, AgentStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from llmspell.providers.base import Embeddings, ModelCall, ModelInfo, ProviderCapabilities
    from llmspell.providers.tape.tape import Tape
    from llmspell.types.agent import AgentOutput
    from llmspell.types.price import Price
    from llmspell.types.streaming import ChunkContent

__all__ = ["Stamped"]


class Stamped(ProviderInstance):
    """*inner*, with `stream_id`, `timestamp` and `latency_ms` from the tape: the same in the recording's replay."""

    def __init__(self, inner: ProviderInstance, tape: Tape) -> None:
        self.inner, self._tape = inner, tape
        self.name, self.type = inner.name, inner.type

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def default_model(self) -> str:
        return self.inner.default_model

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

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return self.inner.capabilities(model)

    def price(self, model: str) -> Price | None:
        return self.inner.price(model)

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        return await self.inner.embed(model, texts, dimensions=dimensions)

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self.inner.models()

    async def aclose(self) -> None:
        await self.inner.aclose()

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
