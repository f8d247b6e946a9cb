"""How a service is reached where the user says so: proxy, certificates, HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from llmspell.errors import ConfigError, NetworkError
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.types.messages import Message
from support.certificates import make_certificate
from support.loopback import Loopback, head, reply, sse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.once
EVENTS = sse(["Hel", "lo"])


async def ask(url: str, **settings: Any) -> str:
    manager = ProviderManager({"acme": {"type": "openai", "base_url": url, "model": "m", **settings}}, env={})
    try:
        provider, model = manager.resolve("acme")
        return (await provider.stream(ModelCall(model, (Message("user", "hi"),))).collect()).text
    finally:
        await manager.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody trusts, with its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def serving(certificate: Path, *, asks: bool = False, h2: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    if h2:
        context.set_alpn_protocols(["h2"])
    return context


# ---- proxies


async def test_a_configured_proxy_is_used_over_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Loopback([reply(EVENTS)]) as proxy:
        assert await ask("http://service.invalid/v1", proxy=f"http://127.0.0.1:{proxy.port}") == "Hello"
    assert proxy.requests[0].path == "http://service.invalid/v1/chat/completions"


async def test_none_takes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Loopback([reply(EVENTS)]) as server:
        assert await ask(server.url, proxy="none") == "Hello"
        with pytest.raises(NetworkError):
            await ask(server.url, retry={"attempts": 1})


async def test_what_is_no_proxy_s_address_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"providers\.acme\.proxy"):
        await ask("http://service.invalid/v1", proxy="proxy.example.com:8080")


# ---- certificates


async def test_a_certificate_s_file_is_trusted(certificate: Path) -> None:
    with Loopback([reply(EVENTS)], tls=serving(certificate)) as server:
        with pytest.raises(NetworkError, match="not trusted"):
            await ask(server.url)
        assert await ask(server.url, ca_file=str(certificate)) == "Hello"


async def test_a_service_that_wants_to_see_one_gets_the_user_s(certificate: Path) -> None:
    with Loopback([reply(EVENTS)], tls=serving(certificate, asks=True)) as server:
        assert await ask(server.url, ca_file=str(certificate), client_cert=str(certificate)) == "Hello"
    assert len(server.requests) == 1


@pytest.mark.parametrize("setting", ["ca_file", "client_cert"])
async def test_a_file_that_is_no_certificate_is_named(setting: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for path, reason in ((broken, "broken"), (tmp_path / "none.pem", "none")):
        with pytest.raises(ConfigError, match=rf"providers\.acme\.{setting}.*{reason}\.pem"):
            await ask("https://127.0.0.1:9/v1", **{setting: str(path)})


# ---- HTTP/2


class Peer(asyncio.Protocol):
    """One connection of HTTP/2 that answers each request with EVENTS, once *together* of them are there."""

    def __init__(self, seen: list[Peer], together: int) -> None:
        self.seen, self.together = seen, together
        self.requests: list[dict[str, str]] = []
        self.bodies: dict[int, bytes] = {}
        self.waiting: list[int] = []
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.seen.append(self)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.requests.append({str(name): str(value) for name, value in event.headers})
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.waiting.append(event.stream_id)
        if len(self.waiting) >= self.together:
            for number in self.waiting:
                self.h2.send_headers(number, [(":status", "200"), ("content-type", "text/event-stream")])
            for number in self.waiting:
                for piece in EVENTS:
                    self.h2.send_data(number, piece)
                self.h2.end_stream(number)
            self.waiting.clear()
        self.flush()


@asynccontextmanager
async def http2(certificate: Path, together: int) -> AsyncIterator[tuple[str, list[Peer]]]:
    peers: list[Peer] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(peers, together), "127.0.0.1", 0, ssl=serving(certificate, h2=True))
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", peers
    finally:
        server.close()


async def test_many_calls_share_one_connection_of_http2(certificate: Path) -> None:
    async with http2(certificate, together=5) as (url, peers):
        settings = {"type": "openai", "base_url": url, "model": "m", "http2": True, "ca_file": str(certificate)}
        manager = ProviderManager({"acme": settings}, env={})
        provider, model = manager.resolve("acme")

        async def one(word: str) -> str:
            return (await provider.stream(ModelCall(model, (Message("user", word),))).collect()).text

        assert await asyncio.gather(*(one(f"word {number}") for number in range(5))) == ["Hello"] * 5
        await manager.aclose()
    served = [peer for peer in peers if peer.requests]
    assert len(served) == 1
    assert {request[":path"] for request in served[0].requests} == {"/v1/chat/completions"}
    assert sorted(int(body.split(b"word ")[1][:1]) for body in served[0].bodies.values()) == [0, 1, 2, 3, 4]


async def test_a_service_without_http2_is_spoken_to_as_before(certificate: Path) -> None:
    with Loopback([[head(), *reply(EVENTS)[1:]]], tls=serving(certificate)) as server:
        assert await ask(server.url, http2=True, ca_file=str(certificate)) == "Hello"
