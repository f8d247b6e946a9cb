"""Keys from files and commands; types of provider that packages bring and programs register."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from llmspell.config.loader import load
from llmspell.errors import AuthError, ConfigError
from llmspell.providers import keys, vendors
from llmspell.providers.base import ModelCall, WireRequest
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.dialect import Dialect
from llmspell.providers.manager import KeySource, ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.providers.reading import Reading
from llmspell.providers.vendors import Vendor, register_vendor
from llmspell.types.messages import Message
from support.dialects import DIALECTS, TEXT
from support.loopback import Loopback, Request, reply, sse

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

CALL = ModelCall("m", (Message("user", "hi"),))
KEY = "secret-key-of-nobody"


class Toy(Dialect):
    """A dialect as somebody might write one."""

    base_url = "https://toy.example"
    key_env = "TOY_KEY"

    def auth(self, key: str) -> dict[str, str]:
        return {"x-toy": key} if key else {}

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        return WireRequest("POST", "/say", {}, orjson.dumps({"say": call.messages[-1].text}))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        return Reading(ChatReader(provider, model, key_env=key_env, secrets=secrets))


async def test_a_new_dialect_is_one_class() -> None:
    with Loopback([reply(sse(["Hel", "lo"]))]) as server:
        manager = ProviderManager({"mine": {"type": "toy", "base_url": server.url, "api_key": KEY}}, env={})
        manager.register_type("toy", Toy)
        provider, model = manager.resolve("mine/m")
        assert (await provider.stream(CALL._replace(model=model)).collect()).text == "Hello"
        await manager.aclose()
    assert server.requests[0].json == {"say": "hi"}
    assert server.requests[0].headers["x-toy"] == KEY
    assert manager.key_source("toy") == KeySource("missing", "TOY_KEY")
    with pytest.raises(ConfigError):
        manager.register_type("openai", Toy)


async def test_a_new_vendor_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Vendor("acme", base_url="https://acme.example/v1", api_key_env="ACME_KEY", embedding="e")
    try:
        register_vendor(row)
        manager = ProviderManager({}, env={"ACME_KEY": KEY})
        assert manager.get("acme").type == "openai"
        assert "acme" in manager.known()
        assert manager.default() == "local"
        with pytest.raises(ConfigError):
            register_vendor(row)
    finally:
        vendors.vendors().pop("acme", None)


def bring(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """A package that brings a type called `brought`."""
    info = folder / "brought-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[llmspell.providers]\nbrought = brought_module:make\n")
    (folder / "brought_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "brought_module", raising=False)


async def test_a_package_brings_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from llmspell.providers.mock import MockProvider\ndef make(name, settings):\n"
    bring(tmp_path, monkeypatch, code + "    return MockProvider(['brought'], name=name)\n")
    path = tmp_path / "c.toml"
    path.write_text('[providers]\ndefault = "mine"\n[providers.mine]\ntype = "brought"\nheaders = { x = "y" }\n')
    config = load(script_dir=None, config_file=str(path), env={}, flags={})
    manager = ProviderManager(config.providers(), config.get("providers.default"), env={})
    assert (await manager.resolve(None)[0].execute(CALL)).text == "brought"
    assert isinstance(ProviderManager({}, env={}).get("brought"), MockProvider)


@pytest.mark.parametrize(
    ("code", "said"),
    [("1/0\n", "from brought cannot be loaded: ZeroDivisionError"), ("make = 7\n", "neither a class nor a function")],
)
def test_a_broken_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    bring(tmp_path, monkeypatch, code)
    with pytest.raises(ConfigError, match=said):
        ProviderManager({}, env={}).get("brought")


# ---- keys


async def asked(settings: dict[str, Any]) -> str:
    """The key that a provider of such settings sends."""
    with Loopback([reply(sse(["x"]))]) as server:
        manager = ProviderManager({"s": {"type": "openai", "base_url": server.url, **settings}}, env={})
        await asyncio.gather(*(manager.get("s").stream(CALL).collect() for _ in range(3)))
        await manager.aclose()
    [key] = {request.headers["authorization"] for request in server.requests}
    return key


async def test_a_key_from_a_command_is_asked_for_once(tmp_path: Path) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x'); print(' {KEY}'); print('more')"
    command = [sys.executable, "-c", code]
    assert await asked({"api_key_cmd": command}) == f"Bearer {KEY}"
    assert await asked({"api_key_cmd": command}) == f"Bearer {KEY}"
    assert count.read_text() == "x"


@pytest.mark.parametrize("source", ["command", "file"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_key_that_is_refused_is_looked_for_anew(tmp_path: Path, source: str, stream: bool) -> None:
    """It may have been changed since: all calls go on with the new one, for which is asked once."""
    path, count = tmp_path / "key", tmp_path / "count"
    path.write_text("old-key")
    whole = DIALECTS["openai"].whole

    def plan(request: Request) -> Any:
        if "new-key" in request.headers["authorization"]:
            return reply(sse(["x"])) if stream else reply(whole, headers={"content-type": "application/json"})
        return reply(b"{}", 401)

    code = f"open({str(count)!r}, 'a').write('x'); print(open({str(path)!r}).read())"
    settings = {"api_key_cmd": [sys.executable, "-c", code]} if source == "command" else {"api_key_file": str(path)}
    with Loopback([plan]) as server:
        manager = ProviderManager({"s": {"type": "openai", "base_url": server.url, **settings}}, env={})
        provider = manager.get("s")

        async def ask() -> str:
            output = await (provider.stream(CALL).collect() if stream else provider.execute(CALL))
            return output.text

        for _ in range(2):
            with pytest.raises(AuthError):
                await ask()
        assert len(server.requests) == 2, "the same key is not sent twice in one call"
        path.write_text("new-key")
        keys.forget(settings.get("api_key_cmd", ()))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("llmspell.providers.late_key.PAUSE", 0.0)
            assert set(await asyncio.gather(*(ask() for _ in range(5)))) == {"x" if stream else TEXT}
        await manager.aclose()
    assert source == "file" or len(count.read_text()) <= 3


async def test_a_key_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\nmore\n")
    assert await asked({"api_key_file": str(tmp_path / "key")}) == f"Bearer {KEY}"
    with pytest.raises(AuthError, match="cannot be read"):
        await asked({"api_key_file": str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"import sys; print('{KEY}'); print('locked {KEY}', file=sys.stderr); sys.exit(3)", "exit code 3"),
        ("", "wrote no key"),
    ],
)
async def test_a_command_that_fails_says_so_and_not_the_key(code: str, said: str) -> None:
    with pytest.raises(AuthError, match=said) as caught:
        await keys.from_command([sys.executable, "-c", code], "s")
    assert KEY not in str(caught.value.to_dict())


async def test_a_command_that_does_not_end_is_stopped() -> None:
    with pytest.raises(AuthError, match="has not ended within"):
        await keys.from_command([sys.executable, "-c", "import time; time.sleep(600)"], "s", 0.05)
    with pytest.raises(ConfigError, match="cannot be run"):
        await keys.from_command(["/nowhere/program"], "s")


@pytest.mark.parametrize(
    ("line", "what"),
    [("api_key_cmd = \"pass show 'a b'\"", ["pass", "show", "a b"]), ('api_key_cmd = ["pass", "x"]', ["pass", "x"])],
)
def test_a_command_is_a_line_or_its_words(tmp_path: Path, line: str, what: list[str]) -> None:
    path = tmp_path / "llmspell.toml"
    path.write_text(f"[providers.openai]\n{line}\n")
    config = load(script_dir=None, config_file=str(path), env={}, flags={})
    assert config.providers()["openai"]["api_key_cmd"] == what
    manager = ProviderManager(config.providers(), env={})
    assert manager.key_source("openai") == KeySource("command", "pass")
    assert manager.default() == "openai"
    with pytest.raises(ConfigError, match="may not be set by a project's file"):
        load(script_dir=str(tmp_path), config_file=None, env={}, flags={})


def test_gemini_s_other_variable() -> None:
    manager = ProviderManager({"gemini": {"type": "gemini"}}, env={"GOOGLE_API_KEY": KEY})
    assert manager.key_source("gemini") == KeySource("variable", "GOOGLE_API_KEY")
    assert manager.usable("gemini")


# ---- queries


def test_queries() -> None:
    manager = ProviderManager({"openai": {"type": "openai"}, "mock": {"type": "mock"}}, env={})
    assert manager.find(supports_tools=True, input_modalities=["image", "audio"]) == ["mock"]
    assert not manager.is_available("openai")
    assert not manager.is_available("nobody")
    manager.switch("mock")
    assert manager.default() == "mock"
    with pytest.raises(ConfigError):
        manager.switch("nobody")
    told = {one["name"]: one for one in manager.list()}
    assert told["mock"]["default"]
    assert told["mock"]["capabilities"]["supports_embeddings"]
    assert not told["openai"]["enabled"]
