"""A stream that is poured: its chunks are those of iteration, it waits where there is no room, it ends as it should."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.driver import TURNS, Driver, Fiber
from llmspell.bridge.engine import DONE, PREEMPTED
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
    manager = ProviderManager(
        {"acme": {"type": "openai", "base_url": server.url, "model": "m", "retry": {"attempts": 1}, **settings}}, env={}
    )
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


@pytest.mark.parametrize("kind", [BrokenPipeError, TimeoutError, EOFError])
async def test_what_the_taker_raises_is_not_taken_for_the_connections(kind: type[Exception]) -> None:
    """Not even where it is of a kind that the connection raises, and raised where the bytes came in."""
    gate, pieces = Gate(), chunked(sse(WORDS), end=False)
    with Loopback([[head(), *pieces[:2], gate, *pieces[2:], STALL]]) as server:
        async with service(server) as provider:
            poured = Poured()

            def take(batch: list[AgentChunk]) -> bool:
                gate.open()
                if WORDS[1] in (poured.text if poured.take(batch) else ""):
                    raise kind("of the taker's own")
                return True

            with pytest.raises(kind, match="own"):
                await asyncio.wait_for(provider.stream(CALL).pour(take, poured.room), LATE)
            await asyncio.to_thread(server.connections[0].wait_closed)


async def test_what_interrupts_the_taker_ends_the_stream() -> None:
    """Whoever goes on after it has no answer with a gap in it, and none that seems whole."""
    gate, pieces = Gate(), chunked(sse(WORDS), end=False)
    with Loopback([[head(), *pieces[:2], gate, *pieces[2:], STALL]]) as server:
        async with service(server) as provider:

            def take(batch: list[AgentChunk]) -> bool:
                gate.open()
                if any(chunk.content == Text(WORDS[1]) for chunk in batch):
                    raise asyncio.CancelledError
                return True

            with pytest.raises(StreamTruncatedError):
                await asyncio.wait_for(provider.stream(CALL).pour(take, Poured().room), LATE)
            await asyncio.to_thread(server.connections[0].wait_closed)


async def test_time_that_others_need_is_no_silence_of_the_service() -> None:
    """Where its timer is due early, and late for what the loop does before it: what lies in the socket counts."""
    pieces, gates = chunked(sse(["a", "b", "c"])), [Gate(), Gate(), Gate()]
    plan = [head(), *pieces[:2], gates[0], pieces[2], gates[1], pieces[3], gates[2], *pieces[4:]]
    loop = asyncio.get_running_loop()

    def hold_past_the_timer() -> None:
        loop.call_soon(hold_past_the_deadline)  # in one turn with the timer, and before it
        time.sleep(0.4)

    def hold_past_the_deadline() -> None:
        gates[1].open()
        gates[2].reached()  # "c" lies in the socket
        time.sleep(0.6)
        gates[2].open()

    def take(batch: list[AgentChunk]) -> bool:
        if poured.take(batch) and poured.text == "ab":
            loop.call_later(0.1, hold_past_the_timer)
        return True

    with Loopback([plan]) as server:
        async with service(server, timeout={"idle": 0.5}) as provider:
            poured = Poured()
            loop.call_later(0.15, gates[0].open)
            await provider.stream(CALL).pour(take, poured.room)
    assert poured.text == "abc"


async def test_one_that_was_closed_is_not_asked_for() -> None:
    with Loopback([reply(sse(WORDS))]) as server:
        async with service(server) as provider:
            poured, stream = Poured(), provider.stream(CALL)
            await stream.aclose()
            await stream.pour(poured.take, poured.room)
        assert not poured.chunks
        assert not server.requests


@pytest.mark.parametrize("framing", ["chunked", "sized", "unframed"])
async def test_an_answer_that_is_cut_anywhere_ends_as_in_iteration(framing: str) -> None:
    body = sse(["a", "b"])
    if framing == "chunked":
        start, wire = head(), b"".join(chunked(body))
    else:
        start, wire = head(size=sum(map(len, body))), b"".join(body)
    if framing == "unframed":
        start = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    cuts = [*range(0, len(wire), 23), *range(len(wire) - 30, len(wire) + 1)]
    plans = [[start, wire[: cut // 2], 0.001, wire[cut // 2 : cut], CLOSE] for cut in cuts for _ in range(2)]

    async def outcome(provider: Any, poured: Poured, *, pour: bool) -> Any:
        stream = provider.stream(CALL)
        try:
            if pour:
                await stream.pour(poured.take, poured.room)
            else:
                while (batch := await stream.next_batch()) is not None:
                    poured.take(batch)
        except LLMSpellError as error:
            return plain(poured.chunks), type(error), error.message, error.context.get("partial")
        return plain(poured.chunks), stream.collector.output().text

    with Loopback(plans) as server:
        async with service(server) as provider:
            for cut in cuts:
                one = await outcome(provider, Poured(), pour=True)
                assert one == await outcome(provider, Poured(), pour=False), cut


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
        manager = ProviderManager(
            {"acme": {"type": "openai", "base_url": server.url, "model": "m", "retry": {"attempts": 1}}}, env={}
        )

        def log(level: str, message: str, fields: Any) -> None:
            (run,) = runtime._runs
            ready.append(len(run.streams.known[1].ready))

        runtime = ScriptRuntime(providers=manager, log=log)
        try:
            assert (await runtime.execute_script(text)).result == len(words)
        finally:
            await manager.aclose()
    assert 0 < ready[0] < 5000


OTHER = 'for other in Agent.create({ model = "acme/m" }):stream_execute("hi") do n = n + 1 end'


@pytest.mark.parametrize("isolation", [None, "process"])
@pytest.mark.parametrize(
    ("at", "body", "told"),
    [
        ("text == 'b'", "error('boo')", "boo"),
        ("text == 'b'", "do break end", 3),
        ("text == 'b'", "coroutine.close(stream)", 3),
        ("text == 'b'", OTHER, 8),
        ("message == 'stream_end'", OTHER, 8),
        ("text ~= 'x'", "Async.sleep(0.005)", 4),
        ("text == 'b'", "Async.spawn(function() n = n + 1 end) Async.sleep(0)", 5),
        ("text == 'b'", "while true do end", "limit of 1 s"),
    ],
    ids=["errs", "breaks", "closes", "opens-another", "opens-another-last", "sleeps", "spawns", "computes"],
)
async def test_a_script_may_do_anything_where_its_bytes_come_in(
    at: str, body: str, told: int | str, isolation: str | None
) -> None:
    """Its stream has four chunks: the start, two texts, the end."""
    text = f"""
      local stream, n = Agent.create({{ model = "acme/m" }}):stream_execute("hi"), 0
      for chunk in stream do
        n = n + 1
        if chunk.content.{at} then {body} end
      end
      return n
    """
    slowly = [step for piece in chunked(sse(["a", "b"])) for step in (piece, 0.005)]
    with Loopback([[head(), *slowly]]) as server:
        manager = ProviderManager(
            {"acme": {"type": "openai", "base_url": server.url, "model": "m", "retry": {"attempts": 1}}}, env={}
        )
        runtime = ScriptRuntime(providers=manager, timeout=1.0 if "true" in body else 20.0, isolation=isolation)
        try:
            outcome: Any = (await asyncio.wait_for(runtime.execute_script(text), 20)).result
        except LLMSpellError as error:
            outcome = error.message
        finally:
            await runtime.aclose()
            await manager.aclose()
        assert outcome == told if isinstance(told, int) else told in outcome
        if body == OTHER:  # the connection was there again at the end, and not before
            assert len(server.connections) == (1 if "end" in at else 2)


async def test_a_fiber_that_took_its_slice_leaves_the_loop_its_turns_although_it_woke_others() -> None:
    turns = 0
    resumed: list[tuple[int, int]] = []  # at which turn of the loop, and which

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    class Waking:
        """Its first fiber wakes the second, and computes."""

        def resume(self, number: int, ok: bool | None, value: Any) -> tuple[Any, ...]:
            resumed.append((turns, number))
            if len(resumed) == 1:
                driver.wake(2, True, None)
                return (PREEMPTED,)
            return DONE, None

        def feed(self, number: int, value: Any, op: str, arg: int) -> tuple[Any, ...]:
            return self.resume(number, True, value)

    loop = asyncio.get_running_loop()
    driver = Driver(SimpleNamespace(engine=Waking(), remote=None, start_streams=lambda driver: None, tape=None))  # type: ignore[arg-type]
    driver.loop, driver.ended, driver.main = loop, loop.create_future(), 1
    driver.fibers = {1: Fiber(-1), 2: Fiber(0)}
    loop.call_soon(turn)
    driver.hand(1, [], "next", 1)
    await asyncio.wait_for(driver.ended, LATE)
    assert [number for _, number in resumed] == [1, 1]
    assert resumed[1][0] - resumed[0][0] >= TURNS
