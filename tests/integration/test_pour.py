"""A stream that is poured: its chunks are those of iteration, it waits where there is no room, it ends as it should."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import CallTimeoutError, LLMSpellError, ProviderError, RateLimitError, StreamTruncatedError
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.types.messages import Message
from llmspell.types.streaming import AgentChunk, AgentStream, Control, Text
from support.loopback import CLOSE, STALL, Gate, Loopback, chunked, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALL = ModelCall("m", (Message("user", "hi"),))
WORDS = [f"word {index} " for index in range(50)]
LATE = 2.0  # seconds that are too many whatever else the machine does


class Poured:
    """Takes batches. room: how many chunks it takes before it has no more room."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.chunks: list[AgentChunk] = []
        self.room_for = room
        self.asked = asyncio.Event()
        self.given = asyncio.Event()

    def take(self, batch: list[AgentChunk]) -> bool:
        self.chunks += batch
        return len(self.chunks) < self.room_for

    async def room(self) -> None:
        self.asked.set()
        await self.given.wait()
        self.room_for = 1_000_000

    @property
    def text(self) -> str:
        return "".join(chunk.content.text for chunk in self.chunks if isinstance(chunk.content, Text))


@asynccontextmanager
async def service(server: Loopback, **settings: Any) -> AsyncIterator[Any]:
    manager = ProviderManager({"acme": {"type": "openai", "base_url": server.url, "model": "m", **settings}}, env={})
    try:
        yield manager.resolve("acme")[0]
    finally:
        await manager.aclose()


def plain(chunks: list[AgentChunk]) -> list[Any]:
    return [(chunk.chunk_index, chunk.content) for chunk in chunks]


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_the_chunks_are_those_of_iteration_however_the_bytes_are_cut(size: int) -> None:
    wire = b"".join(chunked(sse(WORDS)))
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    with Loopback([[head(), *pieces], [head(), *pieces]]) as server:
        async with service(server) as provider:
            poured, stream = Poured(), provider.stream(CALL)
            await stream.pour(poured.take, poured.room)
            async with provider.stream(CALL) as other:
                iterated = [chunk async for chunk in other]
    assert plain(poured.chunks) == plain(iterated)
    assert stream.collector.output().text == "".join(WORDS)
    assert await stream.next_batch() is None


async def test_nothing_more_is_taken_until_there_is_room() -> None:
    gate = Gate()
    pieces = chunked(sse(WORDS))
    with Loopback([[head(), *pieces[:5], gate, *pieces[5:]]]) as server:
        async with service(server) as provider:
            poured = Poured(room=3)
            task = asyncio.ensure_future(provider.stream(CALL).pour(poured.take, poured.room))
            await asyncio.wait_for(poured.asked.wait(), 10)
            before = len(poured.chunks)
            gate.open()
            await asyncio.to_thread(gate.reached)
            await asyncio.sleep(0.05)  # what would be taken too early has come by now
            assert len(poured.chunks) == before
            poured.given.set()
            await task
    assert poured.text == "".join(WORDS)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ([STALL], CallTimeoutError),
        ([CLOSE], StreamTruncatedError),
        ([b"no chunk\r\n", STALL], ProviderError),
        (chunked([b'data: {"error": {"message": "slow down", "code": 429}}\n\n']), RateLimitError),
    ],
)
async def test_what_goes_wrong_is_raised_with_what_came_before(end: list[Any], kind: type[LLMSpellError]) -> None:
    gate = Gate()
    with Loopback([[head(), *chunked(sse(["a", "b"], finish=None, done=False), end=False), gate, *end]]) as server:
        async with service(server, timeout={"idle": 0.2}) as provider:
            poured = Poured()

            def take(batch: list[AgentChunk]) -> bool:
                if poured.take(batch) and poured.text == "ab":
                    gate.open()  # what follows comes while the stream is poured
                return True

            with pytest.raises(kind) as caught:
                await asyncio.wait_for(provider.stream(CALL).pour(take, poured.room), LATE)
            await asyncio.to_thread(server.connections[0].wait_closed)
    assert poured.text == "ab"
    assert caught.value.context["partial"] == "ab"


async def test_what_the_taker_raises_is_raised_and_closes_the_connection() -> None:
    with Loopback([[head(), *chunked(sse(WORDS), end=False), STALL]]) as server:
        async with service(server) as provider:

            def take(batch: list[AgentChunk]) -> bool:
                raise LookupError("lost")

            with pytest.raises(LookupError):
                await asyncio.wait_for(provider.stream(CALL).pour(take, Poured().room), LATE)
            await asyncio.to_thread(server.connections[0].wait_closed)


async def test_cancelled_it_closes_the_connection() -> None:
    with Loopback([[head(), *chunked(sse(WORDS, finish=None, done=False), end=False), STALL]]) as server:
        async with service(server) as provider:
            poured, all_came = Poured(), asyncio.Event()

            def take(batch: list[AgentChunk]) -> bool:
                if poured.take(batch) and poured.text == "".join(WORDS):
                    all_came.set()
                return True

            task = asyncio.ensure_future(provider.stream(CALL).pour(take, poured.room))
            await asyncio.wait_for(all_came.wait(), 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.connections[0].wait_closed)


async def test_the_connection_is_there_again_when_the_last_chunk_is_handed_over() -> None:
    gate, pieces = Gate(), chunked(sse(["one"]))
    with Loopback([[head(), *pieces[:2], gate, b"".join(pieces[2:])], reply(sse(["two"]))]) as server:
        async with service(server) as provider:
            second: list[asyncio.Task[Any]] = []

            def take(batch: list[AgentChunk]) -> bool:
                gate.open()  # the end comes while the stream is poured
                last = batch[-1].content
                if isinstance(last, Control) and last.message == "stream_end":
                    second.append(asyncio.ensure_future(provider.stream(CALL).collect()))
                return True

            await provider.stream(CALL).pour(take, Poured().room)
            assert (await asyncio.wait_for(second[0], LATE)).text == "two"
        assert [request.connection.number for request in server.requests] == [0, 0]


async def test_a_stream_without_a_pour_of_its_own_is_poured_all_the_same() -> None:
    async def batches() -> Any:
        for index in range(5):
            yield [AgentChunk("s", index, Text(str(index)), {}, 0.0)]

    poured = Poured(room=3)
    poured.given.set()
    await AgentStream("s", batches()).pour(poured.take, poured.room)
    assert poured.text == "01234"
    assert poured.asked.is_set()


async def test_a_script_that_does_not_read_holds_the_stream_back() -> None:
    """What lies ready for it is bounded: the socket is not read on while it waits for something else."""
    ready: list[int] = []
    text = """
      local n = 0
      for chunk in Agent.create({ model = "acme/m" }):stream_execute("hi") do
        if chunk.content.type == "text" then
          n = n + 1
          if n == 10 then
            Async.sleep(0.2)
            Log.info("awake")
          end
        end
      end
      return n
    """
    words = ["x" * 200] * 40_000
    with Loopback([reply([b"".join(sse(words))])]) as server:
        manager = ProviderManager({"acme": {"type": "openai", "base_url": server.url, "model": "m"}}, env={})

        def log(level: str, message: str, fields: Any) -> None:
            (run,) = runtime._runs
            ready.append(len(run.streams.known[1].ready))

        runtime = ScriptRuntime(providers=manager, log=log)
        try:
            assert (await runtime.execute_script(text)).result == len(words)
        finally:
            await manager.aclose()
    assert 0 < ready[0] < 5000
