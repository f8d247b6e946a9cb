"""Calls that are tried again, against a loopback server; the waits are those of a clock that the tests keep."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from email.utils import formatdate
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import Agent, Meter, ScriptRuntime
from llmspell.errors import (
    AuthError,
    CallTimeoutError,
    ConfigError,
    LLMSpellError,
    ProviderError,
    QuotaError,
    RateLimitError,
    StreamTruncatedError,
    ValidationError,
)
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.providers.service import Service
from llmspell.types.messages import Message
from llmspell.types.streaming import Control
from llmspell.utils.async_utils import Clock, RetryPolicy, retry_async
from support.loopback import CLOSE, RESET, STALL, Loopback, chunked, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llmspell.types.streaming import AgentChunk

EVENTS = sse(["Hel", "lo"])
CALL = ModelCall("m", (Message("user", "hi"),))


class FakeTime:
    """A clock whose sleeps pass at once. waits: each of them."""

    def __init__(self, share: float = 1.0) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self.clock = Clock(lambda: self.time, self._sleep, lambda: share)

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


def failing(status: int, body: dict[str, Any] | None = None, **headers: str) -> list[Any]:
    """An answer that is an error."""
    data = json.dumps(body or {"error": {"message": "too bad"}}).encode()
    lines = [f"HTTP/1.1 {status} No", f"content-length: {len(data)}", "content-type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode() + data]


@asynccontextmanager
async def asking(server: Loopback, time: FakeTime, **settings: Any) -> AsyncIterator[Service]:
    service = Service("acme", {"type": "openai", "base_url": server.url, "model": "m", **settings}, clock=time.clock)
    try:
        yield service
    finally:
        await service.aclose()


async def in_iteration(service: Service, call: ModelCall = CALL) -> list[AgentChunk]:
    async with service.stream(call) as stream:
        return [chunk async for chunk in stream]


async def poured(service: Service, call: ModelCall = CALL) -> list[AgentChunk]:
    chunks: list[AgentChunk] = []

    def take(batch: list[AgentChunk]) -> bool:
        chunks.extend(batch)
        return True

    async def room() -> None:
        return None

    async with service.stream(call) as stream:
        await stream.pour(take, room)
    return chunks


READERS = {"iteration": in_iteration, "pour": poured}


def text_of(chunks: list[AgentChunk]) -> str:
    return "".join(getattr(chunk.content, "text", "") for chunk in chunks)


# ---- what is waited for


@pytest.mark.parametrize("how", READERS)
async def test_a_stream_shows_each_retry_before_its_wait(how: str) -> None:
    time = FakeTime()
    with Loopback([failing(503), failing(429, retry_after="7"), reply(EVENTS)]) as server:
        async with asking(server, time) as service:
            chunks = await READERS[how](service)
    assert text_of(chunks) == "Hello"
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    controls = [chunk.content for chunk in chunks if isinstance(chunk.content, Control)]
    assert [control.message for control in controls] == ["stream_start", "retry", "retry", "stream_end"]
    first, second = (control.details or {} for control in controls[1:3])
    assert (first["attempt"], first["wait"], first["kind"]) == (2, 0.5, "provider")
    assert (second["attempt"], second["wait"], second["kind"]) == (3, 7.0, "rate_limit")
    assert "answered 503: too bad" in first["error"]
    assert time.waits == [0.5, 7.0]


async def test_an_answer_in_one_piece_is_asked_for_again() -> None:
    time, told = FakeTime(0.5), list[Any]()
    whole = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
    body = json.dumps(whole).encode()
    good = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body]
    with Loopback([failing(500), [head(), RESET], good]) as server:
        async with asking(server, time) as service:
            output = await service.execute(CALL._replace(on_retry=told.append))
    assert output.text == "Hello"
    assert time.waits == [0.25, 0.5]
    assert [details["attempt"] for details in told] == [2, 3]


GEMINI = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [
    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.5s"}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "wait"),
    [
        (failing(429, retry_after="12"), 12.0),
        (failing(429, retry_after="1", retry_after_ms="0"), 0.0),
        (failing(429, retry_after_ms="1500"), 1.5),
        (failing(503, retry_after="2"), 2.0),
        (failing(429, GEMINI), 3.5),
        (failing(429, retry_after="soon"), 0.5),
        (failing(529), 0.5),
        (failing(408), 0.5),
        (failing(400, x_should_retry="true"), 0.5),
    ],
)
async def test_each_form_of_a_wait_is_obeyed(plan: list[Any], wait: float) -> None:
    time = FakeTime()
    with Loopback([plan, reply(EVENTS)]) as server:
        async with asking(server, time) as service:
            assert text_of(await in_iteration(service)) == "Hello"
    assert time.waits == [wait]


async def test_a_date_is_waited_for() -> None:
    from time import time as now

    time = FakeTime()
    with Loopback([lambda request: failing(429, retry_after=formatdate(now() + 20, usegmt=True)), reply(EVENTS)]) as s:
        async with asking(s, time) as service:
            await in_iteration(service)
    assert len(time.waits) == 1
    assert 15 < time.waits[0] <= 20


async def test_a_wait_beyond_the_most_is_raised_at_once_with_the_wait_in_it() -> None:
    time = FakeTime()
    with Loopback([failing(429, retry_after="31")]) as server:
        async with asking(server, time) as service:
            with pytest.raises(RateLimitError) as caught:
                await in_iteration(service)
    assert caught.value.retry_after == 31
    assert "31 s" in (caught.value.hint or "")
    assert (time.waits, len(server.requests)) == ([], 1)


async def test_embeddings_are_asked_for_again_too() -> None:
    time = FakeTime()
    body = json.dumps({"data": [{"index": 0, "embedding": [0.5, 1.0]}], "model": "e", "usage": {"prompt_tokens": 1}})
    good = [f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()]
    with Loopback([failing(503), good]) as server:
        async with asking(server, time) as service:
            assert (await service.embed("e", ["hi"])).vectors == ((0.5, 1.0),)
    assert time.waits == [0.5]


# ---- what is not tried again


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (failing(429, {"error": {"message": "pay", "code": "insufficient_quota"}}), QuotaError),
        (failing(401), AuthError),
        (failing(400), ProviderError),
        (failing(503, x_should_retry="false"), ProviderError),
    ],
)
async def test_what_does_not_pass_is_not_tried_again(plan: list[Any], kind: type[LLMSpellError]) -> None:
    time = FakeTime()
    with Loopback([plan]) as server:
        async with asking(server, time) as service:
            with pytest.raises(kind) as caught:
                await in_iteration(service)
    assert (time.waits, len(server.requests), caught.value.attempts) == ([], 1, None)


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("ending", [CLOSE, RESET, STALL])
async def test_nothing_is_tried_again_once_content_was_given_out(how: str, ending: str) -> None:
    time = FakeTime()
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), ending]]) as server:
        async with asking(server, time, timeout={"idle": 0.2}) as service:
            with pytest.raises((StreamTruncatedError, CallTimeoutError)) as caught:
                await READERS[how](service)
    assert caught.value.partial == "Hel"
    assert (time.waits, len(server.requests)) == ([], 1)


@pytest.mark.parametrize(
    "plan", [[CLOSE], [RESET], [head(), CLOSE], [head(), *chunked([b": x\n\n"], end=False), RESET]]
)
async def test_what_breaks_before_any_content_is_tried_again(plan: list[Any]) -> None:
    time = FakeTime()
    with Loopback([plan, reply(EVENTS)]) as server:
        async with asking(server, time) as service:
            assert text_of(await in_iteration(service)) == "Hello"
    assert len(time.waits) == 1


async def test_an_error_that_comes_before_any_content_is_tried_again() -> None:
    time = FakeTime()
    overloaded = b'data: {"error": {"type": "overloaded_error", "message": "busy"}}\n\n'
    with Loopback([reply([overloaded]), reply(EVENTS)]) as server:
        async with asking(server, time) as service:
            assert text_of(await in_iteration(service)) == "Hello"
    assert time.waits == [0.5]


@pytest.mark.parametrize("where", ["settings", "call", "number"])
async def test_one_attempt_is_none_again(where: str) -> None:
    time = FakeTime()
    settings: dict[str, Any] = {"retry": {"attempts": 1}} if where == "settings" else {}
    own: Any = {"settings": None, "call": {"attempts": 1}, "number": 1}[where]
    with Loopback([failing(503)]) as server:
        async with asking(server, time, **settings) as service:
            with pytest.raises(ProviderError) as caught:
                await in_iteration(service, CALL._replace(retry=own))
    assert len(server.requests) == 1
    assert "tried" not in caught.value.message


# ---- bounds


async def test_the_attempts_are_counted_and_told() -> None:
    time = FakeTime()
    with Loopback([failing(503)]) as server:
        async with asking(server, time) as service:
            with pytest.raises(ProviderError, match=r"too bad \(tried 4 times\)") as caught:
                await in_iteration(service)
    assert (len(server.requests), caught.value.attempts, time.waits) == (4, 4, [0.5, 1.0, 2.0])


async def test_all_waits_lie_within_the_budget() -> None:
    time = FakeTime()
    with Loopback([failing(503)]) as server:
        async with asking(server, time, retry={"attempts": 50, "base": 8, "max": 8, "budget": 30}) as service:
            with pytest.raises(ProviderError):
                await in_iteration(service)
    assert time.waits == [8, 8, 8]


async def test_the_call_s_whole_time_holds_over_all_attempts() -> None:
    time = FakeTime()
    with Loopback([failing(503)]) as server:
        async with asking(server, time, retry={"attempts": 50, "base": 4, "max": 4}) as service:
            with pytest.raises(ProviderError):
                await in_iteration(service, CALL._replace(timeout=10.0))
    assert time.waits == [4, 4]


async def test_in_an_outage_the_added_load_stays_a_share_of_the_calls() -> None:
    time = FakeTime()
    with Loopback([failing(503)]) as server:
        async with asking(server, time) as service:
            for _ in range(100):
                with pytest.raises(ProviderError):
                    await in_iteration(service)
    assert 100 < len(server.requests) <= 100 + 10 + 0.2 * 100


async def test_a_cancelled_wait_ends_at_once_and_leaves_nothing() -> None:
    begun = asyncio.Event()

    async def sleep(seconds: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    with Loopback([failing(503)]) as server:
        service = Service(
            "acme", {"type": "openai", "base_url": server.url}, clock=Clock(lambda: 0.0, sleep, lambda: 1.0)
        )
        before = asyncio.all_tasks()
        task = asyncio.create_task(in_iteration(service))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await service.aclose()
        assert asyncio.all_tasks() == before
        assert len(server.requests) == 1


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"attempts": True}, {"base": -1}, {"tries": 3}, {"max": "long"}])
def test_a_policy_that_is_none_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="retry"):
        Agent("m", retry=wrong)
    with pytest.raises(ConfigError, match=r"providers\.acme\.retry"):
        Service("acme", {"type": "openai", "retry": wrong})


# ---- as many at once as a service bears


async def test_a_service_that_refuses_too_many_at_once_is_asked_for_fewer_and_all_get_their_answer() -> None:
    bears, most, busy, refused = 4, 0, 0, 0
    gates: list[asyncio.Event] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most, refused
        try:
            while head_ := await reader.readuntil(b"\r\n\r\n"):
                size = int(head_.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                if busy >= bears:
                    refused += 1
                    writer.writelines(failing(429))
                    continue
                busy += 1
                most = max(most, busy)
                gate = asyncio.Event()
                gates.append(gate)
                await gate.wait()
                busy -= 1
                writer.writelines(reply(EVENTS))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def opens() -> None:
        while True:
            await asyncio.sleep(0.002)
            for gate in gates[:1]:
                gate.set()
                gates.remove(gate)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    service = Service(
        "acme",
        {
            "type": "openai",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "retry": {"attempts": 20, "base": 0.004, "max": 1},
        },
    )
    opener = asyncio.create_task(opens())
    texts = await asyncio.gather(*(in_iteration(service) for _ in range(120)))
    opener.cancel()
    assert [text_of(chunks) for chunks in texts] == ["Hello"] * 120
    assert most == bears
    assert refused <= 120 - bears + 60  # the first wave, and a trial now and then
    assert (service._retries.slots.ceiling.in_flight, len(service._retries.slots)) == (0, 0)
    await service.aclose()
    server.close()


async def test_a_service_that_takes_one_call_a_moment_is_given_it_and_all_get_their_answer() -> None:
    last = 0.0

    def answer(request: Any) -> list[Any]:
        nonlocal last
        if monotonic() - last < 0.1:
            return failing(429, retry_after_ms="110")
        last = monotonic()
        return reply(EVENTS)

    with Loopback([answer]) as server:
        service = Service("acme", {"type": "openai", "base_url": server.url, "retry": {"attempts": 5}})
        answers = [in_iteration(service) for _ in range(12)]
        assert [text_of(chunks) for chunks in await asyncio.gather(*answers)] == ["Hello"] * 12
        await service.aclose()
        assert len(server.requests) <= 4 * 12  # without a pause each is refused by each moment that it waits for


@pytest.mark.parametrize("leaves", ["cancelled", "at the retry"])
async def test_who_leaves_a_wait_that_holds_all_others_holds_them_no_longer(leaves: str) -> None:
    with Loopback([failing(429, retry_after="20"), reply(EVENTS)]) as server:
        service = Service("acme", {"type": "openai", "base_url": server.url})
        stream = service.stream(CALL)
        chunks = [await anext(stream), await anext(stream)]
        assert getattr(chunks[1].content, "message", "") == "retry"
        waits = asyncio.create_task(anext(stream)) if leaves == "cancelled" else None
        other = asyncio.create_task(in_iteration(service))
        await asyncio.sleep(0.05)
        assert (len(server.requests), other.done()) == (1, False)
        assert text_of(await in_iteration(service, CALL._replace(model="another"))) == "Hello"
        if waits is not None:
            waits.cancel()
            await asyncio.wait([waits])
        await stream.aclose()
        async with asyncio.timeout(5):
            assert text_of(await other) == "Hello"
        await service.aclose()


# ---- a list of models


def models(*servers: Loopback, **settings: Any) -> ProviderManager:
    told = {
        f"p{number}": {"type": "openai", "base_url": server.url, "retry": {"attempts": 1}, **settings}
        for number, server in enumerate(servers)
    }
    return ProviderManager(told, env={})


@pytest.mark.parametrize("first", [failing(503), failing(401), failing(404), [CLOSE], failing(429, retry_after="99")])
async def test_the_next_model_answers_where_the_first_fails(first: list[Any]) -> None:
    told: list[Any] = []
    with Loopback([first]) as bad, Loopback([reply(EVENTS)]) as good:
        manager = models(bad, good)
        agent = Agent(["p0/a", "p1/b"], providers=manager, on_retry=told.append)
        async with agent.stream("hi") as stream:
            chunks = [chunk async for chunk in stream]
        await manager.aclose()
    assert text_of(chunks) == "Hello"
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.stream_id for chunk in chunks}) == 1
    controls = [chunk.content for chunk in chunks if isinstance(chunk.content, Control)]
    assert [control.message for control in controls] == ["stream_start", "retry", "stream_end"]
    assert (controls[1].details or {})["model"] == "p1/b"
    assert chunks[-1].metadata["provider"] == "p1"
    assert [details["model"] for details in told] == ["p1/b"]


HOW: dict[str, Any] = {
    "execute": lambda agent: agent.execute("hi"),
    "stream": lambda agent: agent.stream("hi").collect(),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("tools", [False, True])
async def test_all_models_together_have_the_time_of_the_call(how: str, tools: bool) -> None:
    def look() -> str:
        return "x"

    with Loopback([[STALL]]) as silent, Loopback([[0.3, *failing(503)]]) as slow:
        manager = models(slow, silent, silent)
        agent = Agent(["p0/a", "p1/b", "p2/c"], providers=manager, timeout=0.6, tools=[look] if tools else [])
        began = monotonic()
        with pytest.raises(CallTimeoutError) as caught:
            await HOW[how](agent)
        took = monotonic() - began
        await manager.aclose()
    assert caught.value.provider == "p1"
    assert 0.5 < took < 1.0
    assert len(silent.requests) == 1


@pytest.mark.parametrize("how", HOW)
async def test_a_repair_has_what_is_left_of_the_time_of_the_call(how: str) -> None:
    def unfit(request: Any) -> list[Any]:
        if request.json.get("stream"):
            return [0.3, *reply(sse(["nothing"]))]
        body = json.dumps({"choices": [{"message": {"content": "nothing"}, "finish_reason": "stop"}]}).encode()
        return [0.3, head(size=len(body)) + body]

    with Loopback([unfit, [STALL]]) as server:
        manager = models(server)
        agent = Agent("p0/a", providers=manager, timeout=0.6, response_schema={"type": "object"})
        began = monotonic()
        with pytest.raises(CallTimeoutError):
            await HOW[how](agent)
        took = monotonic() - began
        await manager.aclose()
    assert len(server.requests) == 2
    assert 0.5 < took < 0.85


@pytest.mark.parametrize("proxied", [False, True])
async def test_a_service_that_cannot_be_reached_takes_nothing_of_a_limit(proxied: bool) -> None:
    with Loopback([reply(EVENTS)]) as good, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        one = {"type": "openai", "base_url": nowhere, "retry": 1}
        if proxied:
            one |= {"base_url": "http://service.invalid/v1", "proxy": nowhere}
        manager = ProviderManager({"p0": one, "p1": {"type": "openai", "base_url": good.url}}, env={})
        meter = Meter(max_tokens_total=500)
        assert (await Agent(["p0/a", "p1/b"], providers=manager, meter=meter).execute("hi")).text == "Hello"
        await manager.aclose()
    assert meter.tokens == 9


async def test_a_model_that_has_begun_is_not_followed_by_another() -> None:
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), CLOSE]]) as bad, Loopback([reply(EVENTS)]) as good:
        manager = models(bad, good)
        with pytest.raises(StreamTruncatedError) as caught:
            await Agent(["p0/a", "p1/b"], providers=manager).stream("hi").collect()
        await manager.aclose()
    assert caught.value.partial == "Hel"
    assert good.requests == []


async def test_where_all_fail_the_last_error_names_the_others() -> None:
    with Loopback([failing(503)]) as one, Loopback([failing(401)]) as two:
        manager = models(one, two)
        agent = Agent(["p0/a", "p1/b"], providers=manager)
        with pytest.raises(AuthError) as caught:
            await agent.execute("hi")
        await manager.aclose()
    assert [line.partition(":")[0] for line in caught.value.tried] == ["p0/a", "p1/b"]
    assert "p0/a" in (caught.value.hint or "")


def test_an_empty_list_of_models_is_an_error() -> None:
    with pytest.raises(ValidationError, match="empty list"):
        Agent([])


# ---- from a script


async def run(script: str, manager: ProviderManager) -> tuple[Any, list[str]]:
    lines: list[str] = []
    runtime = ScriptRuntime(providers=manager, log=lambda level, text, fields: lines.append(f"{level} {text}"))
    try:
        return (await runtime.execute_script(script)).result, lines
    finally:
        await manager.aclose()


async def test_a_script_sees_who_answered_and_its_log_what_failed() -> None:
    with Loopback([failing(500)]) as bad, Loopback([reply(EVENTS)]) as good:
        script = """
        local agent = Agent.create{ model = { "p0/a", "p1/b" }, name = "twice" }
        local retries, text, who = 0, "", nil
        for chunk in agent:stream_execute("hi") do
          if chunk.content.type == "text" then text = text .. chunk.content.text end
          if chunk.content.message == "retry" then retries = retries + 1 end
          who = chunk.metadata.provider
        end
        return { text, retries, who }
        """
        result, lines = await run(script, models(bad, good))
    assert result == ["Hello", 1, "p1"]
    assert len(lines) == 1
    assert lines[0].startswith("warn twice: p0 answered 500: too bad; asking p1/b")


@pytest.mark.parametrize("own", ["1", "{ attempts = 2, base = 0.001 }"])
async def test_a_script_says_how_often(own: str) -> None:
    with Loopback([failing(500)]) as server:
        script = f"""
        local agent = Agent.create{{ model = "p0/a", retry = {own} }}
        local ok, e = pcall(function() return agent:execute("hi") end)
        return {{ ok, e.kind }}
        """
        result, _ = await run(script, models(server, retry={"attempts": 4, "base": 0.001}))
    assert result == [False, "provider"]
    assert len(server.requests) == (1 if own == "1" else 2)


# ---- for whatever a user does


async def test_any_operation_is_tried_again() -> None:
    time, told, calls = FakeTime(), list[Any](), 0

    async def operation() -> str:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RateLimitError("no", retry_after=2.0 if calls == 1 else None)
        return "done"

    assert await retry_async(operation, clock=time.clock, on_retry=lambda *what: told.append(what[:2])) == "done"
    assert time.waits == [2.0, 1.0]
    assert told == [(2, 2.0), (3, 1.0)]


async def test_what_is_retryable_is_the_caller_s_word() -> None:
    time, calls = FakeTime(), 0

    async def operation() -> None:
        nonlocal calls
        calls += 1
        raise KeyError("gone")

    again: Callable[[BaseException], bool] = lambda error: isinstance(error, KeyError)  # noqa: E731
    with pytest.raises(KeyError):
        await retry_async(operation, clock=time.clock)
    with pytest.raises(KeyError):
        await retry_async(operation, policy=RetryPolicy(3), retryable=again, clock=time.clock)
    assert (calls, time.waits) == (4, [0.5, 1.0])
