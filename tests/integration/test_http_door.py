"""The door to the network: whatever a service or the way to it does, the call ends as promised."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge import runtime
from llmspell.errors import (
    CallTimeoutError,
    LLMSpellError,
    NetworkError,
    ProviderError,
    RateLimitError,
    StreamTruncatedError,
)
from llmspell.providers import connection, http, openai_chat, transport
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.types.messages import Message
from llmspell.types.streaming import AgentStream, Control
from support.certificates import make_certificate
from support.loopback import CLOSE, RESET, STALL, Gate, Loopback, Request, chunked, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

KEY = "sk-loopback-secret-0123456789"
CALL = ModelCall("m", (Message("user", "hi"),))
EVENTS = sse(["Hel", "lo ", "wörld"])


class Asking:
    """A provider at a server, asked by a test."""

    def __init__(self, url: str, **settings: Any) -> None:
        told: dict[str, Any] = {
            "type": "openai",
            "base_url": url,
            "api_key": KEY,
            "api_key_env": "ACME_KEY",
            "model": "m",
        }
        told |= {"retry": {"attempts": 1}} | settings
        self.manager = ProviderManager({"acme": told}, env={})
        self.provider, _ = self.manager.resolve("acme")

    def stream(self, **call: Any) -> AgentStream:
        return self.provider.stream(CALL._replace(**call))

    async def text(self, **call: Any) -> str:
        async with self.stream(**call) as stream:
            return (await stream.collect()).text

    async def failure(self, **call: Any) -> LLMSpellError:
        """The error that a call ends with; nothing secret may be in it."""
        with pytest.raises(LLMSpellError) as caught:
            await self.text(**call)
        error = caught.value
        shown = f"{error} {error!r} {error.to_dict()} {error.__cause__!r}"
        assert KEY not in shown
        assert "secret" not in shown
        assert error.message.isprintable()
        assert error.hint
        assert (error.provider, error.model) == ("acme", "m")
        return error

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.manager.aclose()


async def failure(*plans: Any, **settings: Any) -> LLMSpellError:
    """The error of one call to a server with these plans."""
    with Loopback(plans) as server:
        async with Asking(server.url, **settings) as asking:
            return await asking.failure()


# Answers that stop.


@pytest.mark.parametrize(
    ("pieces", "partial"),
    [
        ([], ""),
        ([EVENTS[0], EVENTS[1]], "Hel"),
        ([*EVENTS[:2], EVENTS[2][:40]], "Hel"),
        ([*EVENTS[:3], EVENTS[3][: EVENTS[3].index(b"w") + 1]], "Hello "),
        ([*EVENTS[:3], json.dumps("ö", ensure_ascii=False).encode()[:2]], "Hello "),
    ],
    ids=["after the head", "between events", "in an event", "in a text", "in a character"],
)
@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_an_answer_that_stops_is_never_a_short_answer(pieces: list[bytes], partial: str, end: str) -> None:
    gate = Gate()
    with Loopback([[head(), *chunked(pieces, end=False), gate, end]]) as server:
        async with Asking(server.url) as asking, asking.stream() as stream:
            while stream.collector.text != partial:
                await stream.next_batch()
            gate.open()  # only now: a reset overtakes bytes that were not read yet
            with pytest.raises(StreamTruncatedError) as caught:
                await stream.collect()
    assert stream.collector.text == partial
    assert caught.value.partial == partial
    assert caught.value.retryable


@pytest.mark.parametrize("sized", [False, True])
async def test_the_same_within_the_bytes_of_http(sized: bool) -> None:
    whole = head(size=10_000) if sized else head()
    body = EVENTS[0] if sized else b"".join(chunked(EVENTS[:1], end=False))
    error = await failure([whole + body, CLOSE])
    assert isinstance(error, StreamTruncatedError)
    assert error.message == "the connection to acme was lost within the answer"


async def test_an_end_of_http_without_an_end_of_the_stream_is_an_error_too() -> None:
    error = await failure(reply(EVENTS[:3]))
    assert isinstance(error, StreamTruncatedError)
    assert error.partial == "Hello "


async def test_a_head_that_stops_is_an_answer_that_began() -> None:
    assert isinstance(await failure([head()[:30], CLOSE]), StreamTruncatedError)


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_no_byte_of_an_answer_is_an_error_of_the_network(end: str) -> None:
    error = await failure([end])
    assert isinstance(error, NetworkError)
    assert error.retryable


async def test_an_answer_may_end_with_its_connection() -> None:
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    with Loopback([[plain, *EVENTS, CLOSE], [plain.replace(b"1.1", b"1.0"), *EVENTS, CLOSE]]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 2


# Answers that wait.


@pytest.mark.parametrize(
    ("plan", "which", "says"),
    [
        ([STALL], "first_token", "has not begun to answer within 0.1 s"),
        ([head(), STALL], "first_token", "has not begun to answer within 0.1 s"),
        ([head(), *chunked(EVENTS[:2], end=False), STALL], "idle", "sent nothing more for 0.1 s"),
    ],
)
async def test_silence_ends_with_the_timeout_that_it_broke(plan: list[Any], which: str, says: str) -> None:
    error = await failure(plan, timeout={which: 0.1})
    assert isinstance(error, CallTimeoutError)
    assert error.message == f"acme {says} ({which} timeout)"
    assert (error.limit, error.value, error.setting) == (which, 0.1, f"providers.acme.timeout.{which}")
    assert f"`providers.acme.timeout.{which}`" in (error.hint or "")
    assert error.partial == ("Hel" if which == "idle" else "")
    assert error.retryable


async def test_the_whole_call_has_a_timeout_too() -> None:
    def trickle(request: Request) -> list[Any]:
        return [head(), *(step for _ in range(200) for step in (*chunked([b": more\n\n"], end=False), 0.02))]

    error = await failure(trickle, timeout={"total": 0.3, "idle": 5})
    assert isinstance(error, CallTimeoutError)
    assert (error.limit, error.value, error.retryable) == ("total", 0.3, False)
    with Loopback([[STALL]]) as server:
        async with Asking(server.url) as asking:
            error = await asking.failure(timeout=0.1)
    assert (error.limit, error.value) == ("total", 0.1)
    assert "the call's `timeout`" in (error.hint or "")


@pytest.mark.parametrize("piece", [b"1\r\n\n\r\n" * 8000, b"6\r\n: x\n\n\r\n" * 5000], ids=["tiny chunks", "comments"])
async def test_the_timeout_of_the_whole_call_holds_against_a_flood(piece: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def flood() -> None:
        peer, _ = listener.accept()
        with peer, contextlib.suppress(OSError):
            peer.recv(65536)
            peer.sendall(head())
            while True:
                peer.sendall(piece)

    thread = threading.Thread(target=flood)
    thread.start()
    async with Asking(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout={"total": 0.3}) as asking:
        async with asyncio.timeout(4):
            error = await asking.failure()
    await asyncio.to_thread(thread.join)
    listener.close()
    assert isinstance(error, CallTimeoutError)
    assert error.limit == "total"


async def test_it_ends_the_connection_though_nobody_reads() -> None:
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), STALL]]) as server:
        async with Asking(server.url, timeout={"total": 0.2}) as asking, asking.stream() as stream:
            await stream.next_batch()
            await asyncio.to_thread(server.connections[0].wait_closed)
            with pytest.raises(CallTimeoutError):
                await stream.collect()


async def test_comments_are_signs_of_life() -> None:
    alive = [step for _ in range(8) for step in (*chunked([b": busy\n\n"], end=False), 0.05)]
    with Loopback([[head(), *alive, *chunked(EVENTS)]]) as server:
        async with Asking(server.url, timeout={"first_token": 0.3, "idle": 0.3}) as asking:
            assert await asking.text() == "Hello wörld"


async def test_a_slow_reader_is_no_silent_service() -> None:
    with Loopback([reply(EVENTS)]) as server:
        async with Asking(server.url, timeout={"idle": 0.05}) as asking, asking.stream() as stream:
            first = await anext(stream)
            await asyncio.sleep(0.2)
            assert first.content == Control("stream_start")
            assert (await stream.collect()).text == "Hello wörld"


async def test_a_connection_has_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*args: Any, **options: Any) -> Any:
        await asyncio.Event().wait()

    async with Asking("http://127.0.0.1:9/v1", timeout={"connect": 0.05}) as asking:
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        error = await asking.failure()
    assert isinstance(error, CallTimeoutError)
    assert error.message == "no connection to acme within 0.05 s (connect timeout)"


# Services that refuse, or are none.


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "provider"), (401, "auth"), (404, "not_found"), (429, "rate_limit"), (500, "provider")]
)
async def test_error_answers(status: int, kind: str) -> None:
    body = json.dumps({"error": {"message": f"no, {KEY}", "code": None}}).encode()
    error = await failure(reply(body, status, {"content-type": "application/json", "x-request-id": "r9"}))
    assert (error.kind, error.status, error.request_id) == (kind, status, "r9")
    assert error.message == f"acme answered {status}: no, ***"
    assert error.partial == ""
    if status == 401:
        assert "`ACME_KEY`" in (error.hint or "")


async def test_retry_after_is_told() -> None:
    error = await failure(reply(b"{}", 429, {"retry-after": "7"}, sized=True))
    assert isinstance(error, RateLimitError)
    assert (error.retry_after, error.retryable) == (7.0, True)
    assert (await failure(reply(b"{}", 429))).retry_after is None


@pytest.mark.parametrize("end", [CLOSE, RESET, STALL])
@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (429, "rate_limit")])
async def test_an_error_answer_whose_body_breaks_off_is_still_that_error(status: int, kind: str, end: str) -> None:
    plan = [head(status, {"retry-after": "7"}, size=200), b'{"error": {"mess', end]
    error = await failure(plan, timeout={"idle": 0.2})
    assert (error.kind, error.status, error.retry_after) == (kind, status, 7.0)
    assert error.retryable == (status == 429)


async def test_an_error_answers_body_is_bounded() -> None:
    error = await failure(reply([b"x" * 65536] * 64, 500))
    assert error.status == 500
    assert len(error.message) < 600


async def test_a_web_page_is_no_service() -> None:
    error = await failure(reply(b"<html><title>Sign in</title></html>", 200, {"content-type": "text/html"}, sized=True))
    assert error.kind == "provider"
    assert "no model's answer: <html><title>Sign in" in error.message
    assert "base_url" in (error.hint or "")
    error = await failure(reply(b"<html><title>Sign in</title></html>", 403, {"content-type": "text/html"}))
    assert error.message == "acme answered 403 with a web page: Sign in"
    assert "providers.acme.base_url" in (error.hint or "")


async def test_redirects_are_not_followed() -> None:
    with Loopback([reply(EVENTS)]) as other, Loopback([reply(b"", 307, {"location": other.url})]) as server:
        async with Asking(server.url) as asking:
            error = await asking.failure()
    assert error.status == 307
    assert other.requests == []


@pytest.mark.parametrize(
    "wire",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nname : x\r\n\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
     b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
     b"HTTP/1.1 101 Switching\r\n\r\n", head() + b"zz\r\n", head() + b"-1\r\n", head() + b"0x5\r\nhello\r\n",
     head() + b"5\r\nhello!\r\n", head() + b"\r\n", head() + b"1_0\r\n", head() + b"x" * 5000,
     b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, head() + b"0\r\n" + b"t: x\r\n" * 5000,
     b"HTTP/1.1 100 Continue\r\n\r\n" * 5000],
)  # fmt: skip
async def test_what_is_no_http_is_an_error_and_closes(wire: bytes) -> None:
    with Loopback([[wire, STALL]]) as server:
        async with Asking(server.url, timeout={"first_token": 5, "idle": 5}) as asking:
            error = await asking.failure()
            await asyncio.to_thread(server.connections[0].wait_closed)
    assert isinstance(error, ProviderError)
    assert not error.retryable


async def test_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with Asking(f"http://127.0.0.1:{port}/v1") as asking:
            error = await asking.failure()
    assert isinstance(error, NetworkError)
    assert error.message == f"acme cannot be reached: nothing listens at 127.0.0.1:{port}"
    assert "providers.acme.base_url" in (error.hint or "")


async def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with Asking("http://nowhere.invalid/v1") as asking:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
        error = await asking.failure()
    assert isinstance(error, NetworkError)
    assert error.message == "acme cannot be reached: the host `nowhere.invalid` is not known"


async def test_tls_where_there_is_none() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Asking(f"https://127.0.0.1:{port}/v1") as asking:
            error = await asking.failure()
    assert isinstance(error, NetworkError)
    assert f"no TLS with 127.0.0.1:{port}" in error.message
    assert "http:// and not https://" in (error.hint or "")


# Bounds.


async def test_one_event_is_bounded() -> None:
    error = await failure(reply([b"data: " + b"x" * (1 << 20)] + [b"x" * (1 << 20)] * 8))
    assert isinstance(error, ProviderError)
    assert error.message == "acme sent an event of more than 8 MiB"


async def test_the_whole_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_MAX", 1000)
    error = await failure(reply(sse(["x" * 300] * 5)))
    assert isinstance(error, ProviderError)
    assert "its answer has more than" in error.message


async def test_a_reader_that_does_not_read_holds_the_service_back() -> None:
    def much(request: Request) -> list[bytes]:
        return [head(), *chunked(sse(["x" * 16_000] * 2000))]

    with Loopback([much]) as server:
        async with Asking(server.url) as asking, asking.stream() as stream:
            await anext(stream)
            (connection,) = asking.provider._door._own_pool()._all  # type: ignore[attr-defined]
            async with asyncio.timeout(10):
                while not connection._paused:  # noqa: ASYNC110 (nothing tells of it)
                    await asyncio.sleep(0)
            assert connection._size < 4 * transport.HELD_MAX
            assert len((await stream.collect()).text) == 32_000_000


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_a_coding_that_was_not_asked_for(coding: str) -> None:
    packed = gzip.compress(b"".join(EVENTS))
    with Loopback([reply([packed[:30], packed[30:]], 200, {"content-encoding": coding})]) as server:
        async with Asking(server.url) as asking:
            if coding == "gzip":
                assert await asking.text() == "Hello wörld"
            else:
                assert "coding that was not asked for: br" in (await asking.failure()).message
    assert server.requests[0].headers["accept-encoding"] == "identity"


async def test_what_unpacks_beyond_all_measure_is_refused() -> None:
    packed = gzip.compress(b"\n" * (64 << 20))
    error = await failure(reply(packed, 200, {"content-encoding": "gzip"}, sized=True))
    assert isinstance(error, ProviderError)


async def test_what_is_packed_and_becomes_nothing_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"".join(EVENTS[:2]))
    error = await failure([head(headers={"content-encoding": "gzip"}), *chunked([packed, b"x" * 9], end=False), STALL])
    assert isinstance(error, ProviderError)
    assert "goes on after the end of its gzip" in error.message
    monkeypatch.setattr(http, "ANSWER_MAX", 1 << 20)
    empty = [zlib.compress(b"")[:2] + b"\0\0\0\xff\xff" * 100_000] + [b"\0\0\0\xff\xff" * 100_000] * 3
    error = await failure([head(headers={"content-encoding": "deflate"}), *chunked(empty, end=False), STALL])
    assert isinstance(error, ProviderError)
    assert "more than 1 MiB" in error.message


# Closing.


async def leave_early(stream: AgentStream, reader: asyncio.Task[Any]) -> None:
    reader.cancel()  # a stream belongs to one task: who leaves it is done reading
    await asyncio.wait([reader])
    await stream.aclose()


async def cancel(stream: AgentStream, reader: asyncio.Task[Any]) -> None:
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


@pytest.mark.parametrize("end", [leave_early, cancel])
@pytest.mark.parametrize("begun", [[], [head()], [head(), *chunked(EVENTS[:2], end=False)]], ids=["0", "head", "text"])
async def test_the_service_sees_the_end_within_100_ms(
    end: Callable[[AgentStream, asyncio.Task[Any]], Awaitable[None]], begun: list[bytes]
) -> None:
    gate = Gate()
    with Loopback([[*begun, gate, STALL]]) as server:
        async with Asking(server.url) as asking:
            stream = asking.stream()
            if len(begun) > 1:
                await stream.next_batch()
            reader = asyncio.ensure_future(stream.next_batch())
            await asyncio.to_thread(gate.reached)
            left = time.monotonic()
            await end(stream, reader)
            assert await asyncio.to_thread(server.connections[0].wait_closed) - left < 0.1
            assert asking.provider._door._own_pool()._idle == []  # type: ignore[attr-defined]


async def test_leaving_between_two_reads_closes_as_well() -> None:
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), STALL]]) as server:
        async with Asking(server.url) as asking:
            async with asking.stream() as stream:
                await anext(stream)
                left = time.monotonic()
            assert await asyncio.to_thread(server.connections[0].wait_closed) - left < 0.1


async def test_a_cancelled_connect_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Asking("http://127.0.0.1:9/v1") as asking:
        started = asyncio.Event()

        async def slow(*args: Any, **options: Any) -> Any:
            started.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", slow)
        task = asyncio.ensure_future(asking.text())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_closing_the_manager_ends_calls_in_flight() -> None:
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), STALL]]) as server:
        asking = Asking(server.url)
        stream = asking.stream()
        await stream.next_batch()
        waiting = asyncio.ensure_future(stream.next_batch())
        await asyncio.sleep(0.01)
        await asking.manager.aclose()
        with pytest.raises(StreamTruncatedError):
            await waiting


async def test_nothing_is_sent_before_the_first_read() -> None:
    with Loopback([reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            await asking.stream().aclose()
            async with asking.stream():
                pass
    assert server.connections == []


# Connections that are used again.


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the last bytes of an answer may take longer than a new connection would."""
    monkeypatch.setattr(transport, "SETTLE", 5.0)
    monkeypatch.setattr(connection, "DRAIN", 5.0)


@pytest.mark.parametrize("sized", [False, True])
async def test_a_connection_is_used_again(sized: bool) -> None:
    with Loopback([reply(EVENTS, sized=sized)]) as server:
        async with Asking(server.url) as asking:
            for _ in range(5):
                assert await asking.text() == "Hello wörld"
            await asking.provider.execute(CALL)
    assert len(server.connections) == 1
    assert [request.connection.number for request in server.requests] == [0] * 6


async def test_also_after_an_error_that_was_read_whole() -> None:
    with Loopback([reply(b"{}", 500, sized=True), reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            await asking.failure()
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 1


async def test_the_end_mark_ends_the_answer_though_http_goes_on() -> None:
    gate = Gate()
    slow = [head(), *chunked(EVENTS, end=False), gate, b"0\r\n\r\n"]
    with Loopback([slow, reply(EVENTS)]) as server:
        async with Asking(server.url, timeout={"idle": 5}) as asking:
            assert await asyncio.wait_for(asking.text(), 2) == "Hello wörld"
            gate.open()
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 1


async def test_a_connection_whose_answer_does_not_end_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "DRAIN", 0.05)
    with Loopback([[head(), *chunked(EVENTS, end=False), STALL], reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            await asyncio.to_thread(server.connections[0].wait_closed)
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 2


@pytest.mark.parametrize("words", [{"connection": "close"}, {"connection": "Keep-Alive, Close"}])
async def test_a_service_that_closes_is_believed(words: dict[str, str]) -> None:
    with Loopback([reply(EVENTS, 200, words)]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 2


async def test_bytes_that_nobody_asked_for_close_a_kept_connection() -> None:
    with Loopback([[*reply(EVENTS), Gate(), b"HTTP/1.1 200 OK\r\n"], reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            server._plans[0][-2].open()
            await asyncio.to_thread(server.connections[0].wait_closed)
            assert await asking.text() == "Hello wörld"
    assert len(server.connections) == 2


async def test_a_kept_connection_that_dies_as_it_is_used_is_replaced_once() -> None:
    def dies(request: Request) -> list[Any]:
        return [RESET] if request.connection.number == 0 else reply(EVENTS)

    with Loopback([reply(EVENTS), dies, dies]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            assert await asking.text() == "Hello wörld"
    assert len(server.requests) == 3


async def test_many_streams_at_once() -> None:
    def echo(request: Request) -> list[Any]:
        return reply(sse([request.json["messages"][0]["content"]] * 3))

    async def one(number: int) -> None:
        assert await asking.text(messages=(Message("user", f"<{number}>"),)) == f"<{number}>" * 3

    with Loopback([echo]) as server:
        async with Asking(server.url) as asking:
            await asyncio.gather(*(one(number) for number in range(60)))


def test_one_manager_may_serve_a_second_loop() -> None:
    with Loopback([reply(EVENTS)]) as server:
        asking = Asking(server.url)

        async def once() -> None:
            assert await asking.text() == "Hello wörld"
            await asking.manager.aclose()
            asking.provider, _ = asking.manager.resolve("acme")

        asyncio.run(once())
        asyncio.run(once())


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_manager_whose_loop_has_ended_is_closed_all_the_same() -> None:
    with Loopback([reply(EVENTS)]) as server:
        asking = Asking(server.url)
        assert asyncio.run(asking.text()) == "Hello wörld"
        asyncio.run(asking.manager.aclose())
        del asking
        gc.collect()


def test_a_script_that_runs_in_a_loop_of_its_own_leaves_no_connection_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_loop_factory", lambda: None)  # uvloop's own end may hang where a connection is open
    with Loopback([reply(EVENTS)]) as server:
        asking = Asking(server.url)
        for number in range(2):
            script = "return Agent.create{ model = 'acme/m' }:execute('hi').text"
            assert ScriptRuntime(providers=asking.manager).run(script).result == "Hello wörld"
            server.connections[number].wait_closed()
        assert asking.manager.resolve("acme")[0] is asking.provider  # which is its owner's to close


# What goes over the wire.


async def test_a_request_is_whole_and_carries_the_key() -> None:
    with Loopback([reply(EVENTS)]) as server:
        async with Asking(f"{server.url}/?api-version=2", headers={"X-Team": "blue"}) as asking:
            await asking.text(headers={"x-trace": "7"})
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions?api-version=2")
    assert request.json["stream"] is True
    expected = {
        "authorization": f"Bearer {KEY}",
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "x-team": "blue",
        "x-trace": "7",
    }
    assert expected.items() <= request.headers.items()
    assert request.headers["user-agent"].startswith("llmspell/")


async def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    wire = early + head() + b"".join(chunked(EVENTS))
    cuts = [0, *sorted(random.Random(1).sample(range(len(wire)), 40)), len(wire)]
    with Loopback([[wire[a:b] for a, b in pairwise(cuts)]]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"


async def test_a_large_request_is_sent_whole() -> None:
    with Loopback([reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            await asking.text(messages=(Message("user", "x" * 5_000_000),))
    assert len(server.requests[0].json["messages"][0]["content"]) == 5_000_000


# Other roads.


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback([reply(EVENTS), [head(), *chunked(EVENTS[:2], end=False), CLOSE], [head(), STALL]]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        async with Asking("http://service.invalid/v1", timeout={"first_token": 1}) as asking:  # httpx is loaded in it
            assert await asking.text() == "Hello wörld"
            error = await asking.failure()
            assert isinstance(error, StreamTruncatedError)
            assert error.partial == "Hel"
            error = await asking.failure()
            assert isinstance(error, CallTimeoutError)
            assert error.limit == "first_token"
    assert proxy.requests[0].path == "http://service.invalid/v1/chat/completions"
    assert proxy.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_proxy_that_is_gone_is_an_error_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with Asking("http://service.invalid/v1") as asking:
        assert isinstance(await asking.failure(), NetworkError)


async def test_a_proxy_that_closes_without_an_answer_is_an_error_of_the_network() -> None:
    with Loopback([[CLOSE]]) as proxy:
        async with Asking("http://service.invalid/v1", proxy=f"http://127.0.0.1:{proxy.port}") as asking:
            error = await asking.failure()
    assert isinstance(error, NetworkError)
    assert error.retryable


async def test_no_proxy_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Loopback([reply(EVENTS)]) as server:
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"


async def test_leaving_a_proxied_stream_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback([[head(), *chunked(EVENTS[:2], end=False), STALL]]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        async with Asking("http://service.invalid/v1") as asking:
            stream = asking.stream()
            await stream.next_batch()
            left = time.monotonic()
            await stream.aclose()
            assert await asyncio.to_thread(proxy.connections[0].wait_closed) - left < 0.1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


async def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Loopback([reply(EVENTS), [head(), *chunked(EVENTS[:2], end=False), STALL]], tls=context) as server:
        async with Asking(server.url) as asking:
            error = await asking.failure()
            assert isinstance(error, NetworkError)
            assert "is not trusted" in error.message
            assert not error.retryable
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with Asking(server.url) as asking:
            assert await asking.text() == "Hello wörld"
            stream = asking.stream()
            await stream.next_batch()
            left = time.monotonic()
            await stream.aclose()
            assert await asyncio.to_thread(server.requests[1].connection.wait_closed) - left < 0.1
    assert server.requests[0].connection is server.requests[1].connection


def test_it_works_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def once(url: str) -> None:
        async with Asking(url, timeout={"idle": 0.2}) as asking:
            assert await asking.text() == "Hello wörld"
            assert await asking.text() == "Hello wörld"
            assert isinstance(await asking.failure(), StreamTruncatedError)
            assert isinstance(await asking.failure(), CallTimeoutError)
            stream = asking.stream()
            await stream.next_batch()
            await stream.aclose()

    part = [head(), *chunked(EVENTS[:2], end=False)]
    with Loopback([reply(EVENTS), reply(EVENTS), [*part, RESET], [*part, STALL], [*part, STALL]]) as server:
        uvloop.run(once(server.url))
        server.connections[-1].wait_closed()


def test_a_direct_call_imports_no_httpx() -> None:
    code = (
        "import asyncio, sys\n"
        "from llmspell.providers.manager import ProviderManager\n"
        "from llmspell.providers.base import ModelCall\n"
        "from llmspell.types.messages import Message\n"
        "async def main():\n"
        "    manager = ProviderManager({'acme': {'type': 'openai', 'base_url': sys.argv[1], 'model': 'm'}}, env={})\n"
        "    provider, model = manager.resolve('acme')\n"
        "    print((await provider.stream(ModelCall(model, (Message('user', 'hi'),))).collect()).text)\n"
        "    await manager.aclose()\n"
        "asyncio.run(main())\n"
        "print(sorted({'httpx', 'rich', 'click', 'h11', 'importlib.metadata'} & sys.modules.keys()))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with Loopback([reply(EVENTS)]) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url], capture_output=True, text=True, check=True, env=environment
        )
    assert done.stdout == "Hello wörld\n[]\n"


@pytest.mark.unmeasured
def test_the_dialect_knows_no_socket() -> None:
    code = "import llmspell.providers.openai_chat, sys; print('asyncio' in sys.modules, 'socket' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert openai_chat.PATH == "/chat/completions"
