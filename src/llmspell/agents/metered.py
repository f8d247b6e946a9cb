"""A provider whose calls a meter holds to its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.providers.wrapped import WrappedProvider
from llmspell.types.streaming import AgentStream
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llmspell.agents.meter import Held, Meter
    from llmspell.providers.base import Embeddings, ModelCall, ProviderInstance
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentChunk, Collector, Room, Taker

__all__ = ["Metered", "MeteredStream"]


class Metered(WrappedProvider):
    """*provider* under *meter*. All else is the provider's own; closing it closes that."""

    def __init__(self, provider: ProviderInstance, meter: Meter) -> None:
        super().__init__(provider)
        self.meter = meter

    def stream(self, call: ModelCall) -> AgentStream:
        """As the provider gives it; what the call may take is reserved at the first read. Raises LimitError there."""
        return MeteredStream(self.inner, self.meter, call)

    async def execute(self, call: ModelCall) -> AgentOutput:
        call, held = await self.meter.hold(self.inner, call)
        try:
            output = await self.inner.execute(call)
        except BaseException as error:
            held.settle(Usage(), error=error, unseen=True)
            raise
        came = len(output.text.encode()) + len(output.reasoning.encode()) + sum(len(c.raw) for c in output.tool_calls)
        held.settle(output.usage, came=came)
        return output

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        held = await self.meter.hold_texts(self.inner, model, texts)
        try:
            made = await self.inner.embed(model, texts, dimensions=dimensions)
        except BaseException as error:
            held.settle(Usage(output_tokens=0), error=error)
            raise
        held.settle(made.usage._replace(output_tokens=made.usage.output_tokens or 0))
        return made


class MeteredStream(AgentStream):
    """A provider's stream that reserves before its request is sent, and settles at its end, however that comes.

    Nothing is done for a chunk: they go through as they are, but where the request had to be made anew, shorter.
    """

    __slots__ = ("_call", "_held", "_inner", "_meter", "_provider")

    def __init__(self, provider: ProviderInstance, meter: Meter, call: ModelCall) -> None:
        self._held: Held | None = None
        self._inner = inner = provider.stream(call)
        super().__init__(inner.stream_id, _nothing())
        self.collector = inner.collector
        self._provider, self._meter, self._call = provider, meter, call

    async def _begin(self) -> Held:
        call, held = await self._meter.hold(self._provider, self._call)
        self._held = held
        if call is not self._call:
            self._inner = self._provider.stream(call)  # the first one was never read from: nothing was sent
            self.collector = self._inner.collector
        return held

    async def next_batch(self) -> list[AgentChunk] | None:
        if self._ready or self._done:
            return await super().next_batch()
        try:
            held = self._held or await self._begin()
            held.idle = False
            batch = await self._inner.next_batch()
        except BaseException as error:
            self._end(error)
            raise
        held.reads += 1
        held.idle = True
        if batch is None:
            self._end(None)
        return batch if batch is None else self._named(batch)

    async def pour(self, take: Taker, room: Room) -> None:
        if self._held is not None or self._done:
            return await super().pour(take, room)
        error: BaseException | None = None
        try:
            held = await self._begin()

            async def waited() -> None:
                held.reads += 1
                held.idle = True
                await room()
                held.idle = False

            renamed = self._inner.stream_id != self.stream_id
            await self._inner.pour((lambda batch: take(self._named(batch))) if renamed else take, waited)
        except BaseException as failed:
            error = failed
            raise
        finally:
            self._end(error)

    async def aclose(self) -> None:
        self._ready = []
        try:
            await self._inner.aclose()
        finally:
            self._end(None)

    def _named(self, batch: list[AgentChunk]) -> list[AgentChunk]:
        if self._inner.stream_id == self.stream_id:
            return batch
        return [chunk._replace(stream_id=self.stream_id) for chunk in batch]

    def settle(self, error: BaseException | None = None) -> None:
        """Says what the call has taken; of several times, the first counts."""
        if self._held is not None and not self._held.settled:
            self._held.settle(self.collector.usage, came=_came(self.collector), error=error)

    def _end(self, error: BaseException | None) -> None:
        self._done = True
        self.settle(error)

    def __del__(self) -> None:
        self.settle()  # dropped without being closed


def _came(collector: Collector) -> int:
    """Bytes of an answer so far."""
    output = collector.output()
    calls = sum(len(call.raw or str(call.arguments)) for call in output.tool_calls)
    return len(output.text.encode()) + len(output.reasoning.encode()) + calls


async def _nothing() -> AsyncGenerator[list[AgentChunk], None]:
    return
    yield
