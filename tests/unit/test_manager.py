"""Which provider answers, with which model and which key."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from llmspell.errors import AuthError, ConfigError
from llmspell.providers.base import ModelCall, ProviderInstance
from llmspell.providers.manager import TYPES, ProviderManager
from llmspell.providers.service import Service
from llmspell.types.messages import Message

pytestmark = pytest.mark.once

OFFICIAL = "https://api.openai.com/v1"
PROVIDERS: dict[str, dict[str, Any]] = {
    "openai": {"type": "openai", "base_url": OFFICIAL, "api_key_env": "OPENAI_API_KEY", "model": "gpt-x"},
    "hub": {"type": "openai", "base_url": "http://127.0.0.1:9/v1"},
    "local": {"type": "local", "model": "tiny"},
}
CALL = ModelCall("m", (Message("user", "hi"),))
KEY = "sk-test-abcdefghijkl"


def manager(default: str = "auto", env: dict[str, str] | None = None, **more: dict[str, Any]) -> ProviderManager:
    return ProviderManager(PROVIDERS | more, default, env or {})


@pytest.mark.parametrize(
    ("model", "provider", "name", "there"),
    [
        ("openai/gpt-4o-mini", None, "openai", "gpt-4o-mini"),
        ("hub/meta-llama/Llama-3", None, "hub", "meta-llama/Llama-3"),
        ("openai", None, "openai", "gpt-x"),
        ("openai/", None, "openai", "gpt-x"),
        ("local", None, "local", "tiny"),
        ("local/other", None, "local", "other"),
        ("gpt-4o", "openai", "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai", "openai", "gpt-4o"),
        ("openai/gpt-oss-120b", "hub", "hub", "openai/gpt-oss-120b"),
        ("local", "hub", "hub", "local"),
        (None, "openai", "openai", "gpt-x"),
        ("", "openai", "openai", "gpt-x"),
        (None, None, "local", "tiny"),
        ("some-model", None, "local", "some-model"),
    ],
)
def test_models_are_resolved(model: str | None, provider: str | None, name: str, there: str) -> None:
    instance, resolved = manager("local").resolve(model, provider)
    assert (instance.name, resolved) == (name, there)


def test_an_instance_is_made_once() -> None:
    made = manager()
    assert made.resolve("hub/a")[0] is made.resolve("hub/b")[0]


@pytest.mark.parametrize(
    ("env", "default"),
    [({}, "hub"), ({"OPENAI_API_KEY": KEY}, "openai"), ({"OPENAI_API_KEY": ""}, "hub")],
)
def test_auto_takes_the_first_that_can_be_asked(env: dict[str, str], default: str) -> None:
    assert manager(env=env).default() == default


def test_auto_takes_local_last() -> None:
    order = {"mine": {"type": "local"}, "openai": PROVIDERS["openai"]}
    assert ProviderManager(order, env={"OPENAI_API_KEY": KEY}).default() == "openai"
    assert ProviderManager(order, env={}).default() == "mine"
    assert ProviderManager({}, env={}).default() == "local"


def test_an_address_of_its_own_makes_a_provider_usable() -> None:
    changed = PROVIDERS["openai"] | {"base_url": "http://127.0.0.1:9/v1"}
    made = manager(openai=changed)
    assert made.usable("openai")
    assert made.default() == "openai"


def test_names_are_in_order() -> None:
    assert manager().names() == ["openai", "hub", "local"]


@pytest.mark.parametrize("model", ["opnai/gpt-4o", "nobody/m"])
def test_an_unknown_provider_is_told_with_the_nearest(model: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no provider `{model.partition('/')[0]}`") as caught:
        manager().resolve(model)
    hint = caught.value.hint or ""
    assert "configured: openai, hub, local" in hint
    assert ("did you mean `openai`?" in hint) == model.startswith("opnai")
    with pytest.raises(ConfigError):
        manager().resolve("m", "nobody")
    with pytest.raises(ConfigError):
        manager("nobody").resolve(None)


def test_a_provider_without_a_model_says_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match="provider `hub` has no default model") as caught:
        manager().resolve("hub")
    assert "`hub/MODEL`" in (caught.value.hint or "")


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="not a type of provider: `gopher`"):
        manager(x={"type": "gopher"}).resolve("x/m")


async def test_without_a_key_the_first_use_says_what_to_set() -> None:
    provider, model = manager().resolve("openai")
    for ask in (provider.execute, lambda call: provider.stream(call).collect()):
        with pytest.raises(AuthError, match="there is no key for openai") as caught:
            await ask(CALL._replace(model=model))
        assert caught.value.hint == "set `OPENAI_API_KEY`, or run without one: `--model local`"
        assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("settings", "env", "header"),
    [
        ({"api_key": KEY}, {}, f"Bearer {KEY}"),
        ({"api_key": KEY + "\n"}, {}, f"Bearer {KEY}"),
        ({"api_key_env": "MINE"}, {"MINE": KEY}, f"Bearer {KEY}"),
        ({}, {"MY_HUB_API_KEY": KEY}, f"Bearer {KEY}"),
        ({}, {"OPENAI_API_KEY": KEY}, None),  # another service's key stays at home
        ({"headers": {"Authorization": "Basic x"}, "api_key": KEY}, {}, "Basic x"),
    ],
)
def test_which_key_goes_where(settings: dict[str, Any], env: dict[str, str], header: str | None) -> None:
    made = ProviderManager({"my-hub": {"type": "openai", "base_url": "http://127.0.0.1:9"} | settings}, env=env)
    provider = made.get("my-hub")
    assert isinstance(provider, Service)
    assert provider._door._headers.get("authorization") == header


@pytest.mark.parametrize(
    ("type_", "variable", "header", "value"),
    [
        ("openai-responses", "OPENAI_API_KEY", "authorization", f"Bearer {KEY}"),
        ("anthropic", "ANTHROPIC_API_KEY", "x-api-key", KEY),
        ("gemini", "GEMINI_API_KEY", "x-goog-api-key", KEY),
        ("ollama", "OLLAMA_API_KEY", "authorization", f"Bearer {KEY}"),
    ],
)
def test_each_vendor_s_key_goes_to_the_vendor_alone(type_: str, variable: str, header: str, value: str) -> None:
    made = ProviderManager(
        {"own": {"type": type_}, "hub": {"type": type_, "base_url": "http://h"}}, env={variable: KEY}
    )
    own, hub = made.get("own"), made.get("hub")
    assert isinstance(own, Service)
    assert isinstance(hub, Service)
    assert own._door._headers.get(header) == value
    assert hub._door._headers.get(header) is None


@pytest.mark.parametrize(
    ("env", "model", "default"),
    [
        ({}, None, "local"),
        ({}, "qwen3", "ollama"),
        ({"GEMINI_API_KEY": KEY}, "qwen3", "gemini"),
        ({"ANTHROPIC_API_KEY": KEY, "GEMINI_API_KEY": KEY}, None, "anthropic"),
        ({"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}, None, "openai"),
    ],
)
def test_auto_takes_the_first_that_can_be_used(env: dict[str, str], model: str | None, default: str) -> None:
    names = ("openai", "anthropic", "gemini", "ollama")
    settings: dict[str, dict[str, Any]] = {name: {"type": name} for name in names}
    settings["ollama"]["model"] = model
    assert ProviderManager(settings, env=env).default() == default


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/"]
)
def test_anthropic_s_address_is_taken_with_and_without_its_version(url: str) -> None:
    provider = ProviderManager({"a": {"type": "anthropic", "base_url": url}}, env={}).get("a")
    assert isinstance(provider, Service)
    assert provider._door.origin.target("/v1/messages") == "/v1/messages"


def test_no_secret_is_in_a_repr() -> None:
    secret = {"type": "openai", "base_url": "http://127.0.0.1:9", "api_key": KEY, "headers": {"api-key": "hush-hush"}}
    made = ProviderManager({"hub": secret}, env={})
    provider = made.get("hub")
    shown = f"{made!r} {made} {provider!r} {getattr(provider, '_door')!r}"  # noqa: B009 (not of every provider)
    assert KEY not in shown
    assert "hush" not in shown


@pytest.mark.parametrize("field", ["headers", "api_key"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(field: str) -> None:
    value: Any = {"x-key": "a\nb"} if field == "headers" else "a\nb"
    with pytest.raises(ConfigError, match="has a character that no header can carry") as caught:
        ProviderManager({"hub": {"type": "openai", "base_url": "http://127.0.0.1:9", field: value}}, env={}).get("hub")
    assert "a\nb" not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    "url",
    ["api.example.com/v1", "ftp://x", "http://", "http://:80", "http://h:0", "http://h:99999", "http://h:x",
     "http://user:hush@h/v1", "http://h/a b", "http://h/\r\nx", "http://[::1", "http://[::1]x", "https://h/é"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_unseen(url: str) -> None:
    with pytest.raises(ConfigError, match=r"`providers\.hub\.base_url`") as caught:
        ProviderManager({"hub": {"type": "openai", "base_url": url}}, env={}).get("hub")
    assert "hush" not in str(caught.value.to_dict())


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://api.openai.com/v1", "api.openai.com", "/v1/x"),
        ("https://h:443/", "h", "/x"),
        ("http://h:8080/v1/", "h:8080", "/v1/x"),
        ("http://[::1]:8/v1", "[::1]:8", "/v1/x"),
        ("https://[2001:db8::1]/v1", "[2001:db8::1]", "/v1/x"),
        ("https://h/openai/deployments/d?api-version=2", "h", "/openai/deployments/d/x?api-version=2"),
        ("https://bücher.example/v1#f", "xn--bcher-kva.example", "/v1/x"),
    ],
)
def test_addresses_are_taken_apart(url: str, authority: str, target: str) -> None:
    from llmspell.providers.http import Origin

    origin = Origin.of(url, "s")
    assert (origin.authority, origin.target("/x")) == (authority, target)
    query = url.partition("?")[2]
    assert origin.target("/x?alt=sse") == target.partition("?")[0] + "?alt=sse" + (f"&{query}" if query else "")


@pytest.mark.parametrize("timeout", [{"idle": "1"}, {"idle": -1}, {"idle": True}, {"nap": 1}])
def test_a_timeout_that_is_none_is_refused(timeout: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"`providers\.hub\.timeout\.\w+` is not a timeout"):
        ProviderManager({"hub": {"type": "openai", "base_url": "http://h", "timeout": timeout}}, env={}).get("hub")


async def test_closing_closes_each_though_one_fails() -> None:
    closed: list[str] = []

    class Fake(Service):
        async def aclose(self) -> None:
            closed.append(self.name)
            if self.name == "a":
                raise OSError("no")

    made = manager()
    made._made = {name: Fake(name, {"base_url": "http://127.0.0.1:9"}) for name in "ab"}
    with pytest.raises(OSError, match="no"):
        await made.aclose()
    assert closed == ["a", "b"]
    await made.aclose()
    assert closed == ["a", "b"]


def test_each_type_is_a_class_of_its_module() -> None:
    for module, name in TYPES.values():
        assert issubclass(getattr(import_module(module), name.partition(".")[0]), ProviderInstance)


class Own(Service):
    """A provider as somebody might write one."""

    def __init__(self, name: str) -> None:
        super().__init__(name, {"base_url": "http://127.0.0.1:9"})
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


async def test_a_provider_of_one_s_own_is_registered() -> None:
    made = ProviderManager({"openai": {"type": "openai", "api_key": KEY}}, env={})
    own, other = Own("mine"), Own("openai")
    made.register(own)
    assert made.resolve("mine/m") == (own, "m")
    assert made.default() == "mine"
    assert made.usable("mine")
    made.register(other)
    assert made.resolve("openai/m") == (other, "m")
    assert made.names() == ["mine", "openai", "local"]
    await made.aclose()
    assert (own.closed, other.closed) == (1, 1)
    assert made.resolve("mine/m") == (own, "m")
    with pytest.raises(ConfigError, match="cannot be called"):
        made.register(Own("Not A Name"))
