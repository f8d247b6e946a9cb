"""A server of Ollama's, played over loopback: what it has, fetching, removing, and that it does not run."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.config import addresses
from llmspell.config.loader import load
from llmspell.errors import (
    AuthError,
    ConfigError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    ProviderError,
    StreamTruncatedError,
    ValidationError,
)
from llmspell.providers import ollama_server
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.providers.ollama_server import OllamaServer
from llmspell.types.messages import Message
from support.loopback import CLOSE, STALL, Gate, Loopback, reply

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.once

CALL = ModelCall("qwen3", (Message("user", "hi"),))
TAGS = {
    "models": [
        {
            "name": "qwen3:latest",
            "model": "qwen3:latest",
            "modified_at": "2026-10-01T10:00:00Z",
            "size": 5_225_388_164,
            "digest": "500a",
            "details": {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
        },
        {"name": "old\x1b[2J", "size": "much", "details": None},
        {"no": "name"},
        "nonsense",
    ]
}


def answers(value: Any, status: int = 200) -> list[Any]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return reply(body, status, {"content-type": "application/json"}, sized=True)


def lines(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() + b"\n" for value in values]


def server_at(url: str, name: str = "ollama") -> OllamaServer:
    return OllamaServer(name, {"type": "ollama", "base_url": url.removesuffix("/v1")})


async def ask(loopback: Loopback, what: Callable[[OllamaServer], Any]) -> Any:
    server = server_at(loopback.url)
    try:
        return await what(server)
    finally:
        await server.aclose()


async def test_its_models_are_those_that_it_lists() -> None:
    with Loopback([answers(TAGS)]) as loopback:
        first, second = await ask(loopback, OllamaServer.models)
    assert (loopback.requests[0].method, loopback.requests[0].path) == ("GET", "/api/tags")
    assert first.id == "qwen3:latest"
    assert first.details == {
        "size": 5_225_388_164,
        "family": "qwen3",
        "parameters": "8.2B",
        "quantization": "Q4_K_M",
        "modified": "2026-10-01T10:00:00Z",
    }
    assert (second.id, second.details) == ("old [2J", {})


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"models": 1}', b""])
async def test_what_makes_no_sense_is_an_error_of_the_provider(body: bytes) -> None:
    with Loopback([answers(body)]) as loopback, pytest.raises(ProviderError, match="makes no sense") as caught:
        await ask(loopback, OllamaServer.models)
    assert "base_url" in str(caught.value.hint)


async def test_what_it_shows_of_a_model() -> None:
    told = {
        "license": "Apache License\nVersion 2.0",
        "details": {"family": "qwen3", "parameter_size": "8.2B"},
        "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 40960},
        "capabilities": ["completion", "tools", 7],
    }
    with Loopback([answers(told), answers([1])]) as loopback:
        info = await ask(loopback, lambda server: server.show("qwen3"))
        nothing = await ask(loopback, lambda server: server.show("qwen3"))
    assert loopback.requests[0].json["model"] == "qwen3"
    assert info.details == {
        "family": "qwen3",
        "parameters": "8.2B",
        "context": 40960,
        "capabilities": ["completion", "tools"],
        "licence": "Apache License",
    }
    assert nothing.details == {}


# -- not there


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "what",
    [
        lambda server: server.execute(CALL),
        lambda server: server.stream(CALL).collect(),
        lambda server: server.models(),
        lambda server: server.pull("qwen3"),
    ],
    ids=["execute", "stream", "models", "pull"],
)
async def test_that_it_does_not_run_is_said_plainly(what: Callable[[OllamaServer], Any]) -> None:
    port = closed_port()
    server = server_at(f"http://127.0.0.1:{port}")
    with pytest.raises(NetworkError) as caught:
        await what(server)
    assert caught.value.message == f"Ollama is not running at http://127.0.0.1:{port}"
    assert "`ollama serve`" in str(caught.value.hint)
    assert (caught.value.exit_code, caught.value.retryable) == (4, False)
    await server.aclose()


async def test_a_model_that_it_has_not_is_to_be_pulled() -> None:
    with Loopback([answers({"error": "model 'qwen3' not found"}, 404)]) as loopback:
        for what in (lambda server: server.execute(CALL), lambda server: server.stream(CALL).collect()):
            with pytest.raises(NotFoundError, match="not found") as caught:
                await ask(loopback, what)
            assert caught.value.hint == "`llmspell models pull ollama/qwen3` fetches it"


# -- fetching

DIGESTS = ("sha256:aa", "sha256:bb")
PULL = (
    {"status": "pulling manifest"},
    {"status": "pulling aa", "digest": DIGESTS[0], "total": 100},
    {"status": "pulling aa", "digest": DIGESTS[0], "total": 100, "completed": 60},
    {"status": "pulling aa", "digest": DIGESTS[0], "total": 100, "completed": 100},
    {"status": "pulling bb", "digest": DIGESTS[1], "total": 20},
    {"status": "pulling bb", "digest": DIGESTS[1], "total": 20, "completed": 20},
    {"status": "pulling cc", "digest": "sha256:cc", "total": 9, "completed": 9},
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
)


class Told:
    def __init__(self) -> None:
        self.progress: list[tuple[int, int]] = []
        self.words: list[str] = []

    def pull(self, server: OllamaServer) -> Any:
        return server.pull("qwen3", lambda done, total: self.progress.append((done, total)), notify=self.words.append)


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_pull_tells_its_progress_to_the_end(size: int) -> None:
    body, told = b"".join(lines(*PULL)), Told()
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    with Loopback([reply(pieces, headers={"content-type": "application/x-ndjson"})]) as loopback:
        await ask(loopback, told.pull)
    request = loopback.requests[0]
    assert (request.method, request.path) == ("POST", "/api/pull")
    assert (request.json["model"], request.json["stream"]) == ("qwen3", True)
    assert told.progress == [(0, 100), (60, 100), (99, 100), (100, 120), (119, 120), (120, 120)]
    assert told.words == ["pulling manifest", "verifying sha256 digest", "writing manifest"]


async def test_of_what_is_there_already_no_byte_is_told() -> None:
    told = Told()
    with Loopback([reply(lines(PULL[0], PULL[3], *PULL[-3:]))]) as loopback:
        await ask(loopback, told.pull)
    assert told.progress == []


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (lines(*PULL[:3], {"error": "disk\nfull"}), ProviderError, "could not fetch qwen3: disk full"),
        (lines({"error": "pull model manifest: file does not exist"}), NotFoundError, "finds no model qwen3"),
        (lines(*PULL[:-1]), StreamTruncatedError, "before its end"),
        ([*lines(*PULL[:-1]), b'{"status": "succ'], StreamTruncatedError, "before its end"),
        ([b"<html>\n"], ProviderError, "makes no sense"),
        ([b"x" * 3_000_000], ProviderError, "makes no sense"),
    ],
)
async def test_a_pull_that_fails_says_why(body: list[bytes], kind: type[LLMSpellError], words: str) -> None:
    told = Told()
    with Loopback([reply(body)]) as loopback, pytest.raises(kind, match=words) as caught:
        await ask(loopback, told.pull)
    assert caught.value.exit_code == 4
    assert "\n" not in caught.value.message
    assert all(done < total for done, total in told.progress)


async def test_a_server_that_cannot_pull_is_not_told_to_pull() -> None:
    with Loopback([answers(b"404 page not found", 404)]) as loopback, pytest.raises(NotFoundError) as caught:
        await ask(loopback, Told().pull)
    assert "base_url" in str(caught.value.hint)


async def test_a_pull_whose_connection_breaks_is_truncated() -> None:
    with Loopback([[*reply(lines(*PULL[:3]))[:-1], CLOSE]]) as loopback, pytest.raises(StreamTruncatedError):
        await ask(loopback, Told().pull)


async def test_a_pull_that_is_cancelled_closes_its_connection() -> None:
    gate, told = Gate(), Told()
    plan = [*reply(lines(*PULL[:3]))[:-1], STALL, gate]
    with Loopback([plan]) as loopback:
        server = server_at(loopback.url)
        task = asyncio.create_task(told.pull(server))
        async with asyncio.timeout(10):
            while len(told.progress) < 2:  # noqa: ASYNC110 (the server's thread sends)
                await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        loopback.connections[0].wait_closed()
        await server.aclose()


async def test_neither_the_calls_timeout_nor_its_idle_one_ends_a_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = [0.15, *reply(lines(*PULL))[1:]]
    plan = [reply([])[0], lines(PULL[0])[0].join([b"%x\r\n" % len(lines(PULL[0])[0]), b"\r\n"]), *pauses]
    with Loopback([plan]) as loopback:
        timeout = {"idle": 0.05, "total": 0.1}
        settings = {"type": "ollama", "base_url": loopback.url.removesuffix("/v1"), "timeout": timeout}
        server = OllamaServer("ollama", settings)
        await server.pull("qwen3")
        await server.aclose()
        monkeypatch.setattr(ollama_server, "SILENCE", 0.02)
        with pytest.raises(LLMSpellError, match="sent nothing more"):
            await server.pull("qwen3")


# -- removing


async def test_a_model_is_removed_by_its_name() -> None:
    with Loopback([answers(b"")]) as loopback:
        await ask(loopback, lambda server: server.remove("qwen3"))
    request = loopback.requests[0]
    assert (request.method, request.path, request.json["model"]) == ("DELETE", "/api/delete", "qwen3")


async def test_one_that_is_not_there_is_told_with_the_nearest() -> None:
    plans = [answers({"error": "model 'quen3' not found"}, 404), answers(TAGS)]
    with Loopback(plans) as loopback, pytest.raises(NotFoundError, match="ollama has no model quen3") as caught:
        await ask(loopback, lambda server: server.remove("quen3"))
    assert caught.value.hint == "did you mean `ollama/qwen3:latest`?"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 2000])
async def test_what_can_be_no_name_is_not_sent(name: str) -> None:
    server = server_at("http://127.0.0.1:1")
    with pytest.raises(ValidationError, match="cannot name a model"):
        await server.remove(name)


async def test_a_server_that_wants_a_key_says_so() -> None:
    with Loopback([answers({"error": "unauthorized"}, 401)]) as loopback, pytest.raises(AuthError):
        await ask(loopback, OllamaServer.models)


# -- where it is


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org", "http://example.org:11434"),
        ("example.org:80", "http://example.org:80"),
        ("http://example.org", "http://example.org"),
        ("https://example.org/ollama/", "https://example.org/ollama"),
        ("https://example.org:8443", "https://example.org:8443"),
        ("ollama.com", "https://ollama.com"),
        (":8000", "http://localhost:8000"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("http://0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:11434"),
        ("[::]:8000", "http://[::1]:8000"),
        ('  "10.0.0.2" ', "http://10.0.0.2:11434"),
        ("box/path", "http://box:11434/path"),
    ],
)
def test_the_forms_of_ollamas_own_variable(text: str, address: str) -> None:
    assert addresses.ollama(text) == address
    config = load(script_dir=None, config_file=None, env={"OLLAMA_HOST": text}, flags={})
    assert config.get("providers.ollama.base_url") == address
    assert config.origin("providers.ollama.base_url") == "environment OLLAMA_HOST"
    assert ProviderManager(config.providers(), env={}).get("ollama").type == "ollama"


@pytest.mark.parametrize("text", ["ftp://x", "http://a b", "user:geheim@host"])
def test_a_variable_that_is_no_address_is_an_error_that_does_not_show_it(text: str) -> None:
    with pytest.raises(ConfigError, match="OLLAMA_HOST") as caught:
        load(script_dir=None, config_file=None, env={"OLLAMA_HOST": text}, flags={})
    assert "geheim" not in str(caught.value)
