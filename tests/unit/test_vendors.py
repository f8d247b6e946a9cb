"""Vendors as data: a row is all that a service of a known dialect needs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmspell.config import schema
from llmspell.config.loader import load
from llmspell.errors import AuthError, ConfigError
from llmspell.providers import vendors as vendors_module
from llmspell.providers.base import ModelCall
from llmspell.providers.dialect import DIALECTS, dialect_of
from llmspell.providers.manager import ProviderManager
from llmspell.providers.service import Service
from llmspell.providers.vendors import Vendor, host_of, vendor_at, vendors
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message
from support.loopback import Loopback, reply, sse

pytestmark = pytest.mark.once

CALL = ModelCall("m", (Message("user", "hi"),), Parameters(seed=7, reasoning="low"))
KEY = "sk-of-a-vendor"


def config(**env: str) -> Any:
    return load(script_dir=None, config_file=None, env=env, flags={})


def test_the_configuration_knows_every_row() -> None:
    assert tuple(vendors()) == schema.VENDORS


@pytest.mark.parametrize("vendor", vendors().values(), ids=lambda vendor: vendor.name)
def test_a_row_is_whole(vendor: Vendor) -> None:
    assert schema.is_provider_name(vendor.name)
    assert vendor.type in DIALECTS
    assert vendor.auth in ("bearer", "api-key")
    assert vendor.reasoning in ("effort", "object", "thinking")
    assert {*vendor.takes} | {*(vendor.makes or ())} | {*vendor.result_media} <= {"image", "audio", "file", "video"}
    assert vendor.files in ("file", "file-or-url", "document_url", "file_url")
    assert {*vendor.result_media} <= {*vendor.takes}
    assert vendor.form in ("native", "tool", "instruct")
    assert vendor.choice or vendor.form != "tool"
    assert vendor.keeps in ("", "reasoning", "reasoning_content", "reasoning_details", "extra_content")
    assert vendor.base_url.startswith(("https://", "http://localhost:")) or not vendor.base_url
    assert not vendor.base_url.endswith("/")
    assert vendor.base_url or vendor.api_key_env


@pytest.mark.parametrize(
    "vendor", [one for one in vendors().values() if one.base_url and one.api_key_env], ids=lambda vendor: vendor.name
)
async def test_a_vendor_is_there_without_being_configured_and_says_which_key_it_wants(vendor: Vendor) -> None:
    assert vendor.api_key_env is not None
    settings = config()
    with_key = ProviderManager(settings.providers(), env={vendor.api_key_env: KEY})
    provider, model = with_key.resolve(f"{vendor.name}/some/model")
    assert isinstance(provider, Service)
    assert (provider.name, model, provider._door.origin.host) == (vendor.name, "some/model", host_of(vendor.base_url))
    assert KEY in "".join(provider._door._headers.values())
    without, _ = ProviderManager(settings.providers(), env={}).resolve(f"{vendor.name}/m")
    with pytest.raises(AuthError, match=f"there is no key for {vendor.name}") as caught:
        await without.execute(CALL)
    assert vendor.api_key_env in (caught.value.hint or "")


def test_a_vendor_s_key_goes_to_the_vendor_alone() -> None:
    env = {"GROQ_API_KEY": KEY}
    made = ProviderManager({"groq": {"type": "groq", "base_url": "http://elsewhere.example/v1"}}, env=env).get("groq")
    other = ProviderManager({"mine": {"type": "groq"}}, env=env).get("mine")
    assert isinstance(made, Service)
    assert isinstance(other, Service)
    assert made._door._headers.get("authorization") == f"Bearer {KEY}"  # the user gave the address of that name
    assert other._door._headers.get("authorization") == f"Bearer {KEY}"
    stray = ProviderManager({"mine": {"type": "groq", "base_url": "http://elsewhere.example/v1"}}, env=env).get("mine")
    assert isinstance(stray, Service)
    assert stray._door._headers.get("authorization") is None


def test_one_without_an_address_of_its_own_says_what_to_set() -> None:
    with pytest.raises(ConfigError, match="`azure` has no address") as caught:
        ProviderManager({}, env={"AZURE_OPENAI_API_KEY": KEY}).resolve("azure/gpt")
    assert "providers.azure.base_url" in (caught.value.hint or "")
    url = "https://mine.openai.azure.com/openai/v1"
    made = ProviderManager({"azure": {"base_url": url}}, env={"AZURE_OPENAI_API_KEY": KEY}).get("azure")
    assert isinstance(made, Service)
    assert made._door._headers.get("api-key") == KEY
    assert "authorization" not in made._door._headers


def test_a_slip_is_met_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        ProviderManager({}, env={}).resolve("mistrall/m")
    assert "did you mean `mistral`?" in (caught.value.hint or "")
    with pytest.raises(ConfigError):
        config(LLMSPELL_PROVIDERS__X__TYPE="gopher")


def test_a_section_of_a_vendor_needs_no_type() -> None:
    settings = config(LLMSPELL_PROVIDERS__GROQ__MODEL="llama", LLMSPELL_PROVIDERS__DEFAULT="groq")
    assert settings.providers()["groq"]["type"] == "groq"
    provider, model = ProviderManager(settings.providers(), settings.get("providers.default"), {}).resolve(None)
    assert (provider.name, model) == ("groq", "llama")
    assert config(LLMSPELL_PROVIDERS__DEFAULT="xai").get("providers.default") == "xai"


@pytest.mark.parametrize(
    ("name", "there", "missing"),
    [
        ("mistral", {"random_seed": 7, "reasoning_effort": "low"}, ("seed", "stream_options")),
        ("openrouter", {"usage": {"include": True}, "reasoning": {"effort": "low"}}, ("stream_options",)),
        ("deepseek", {"thinking": {"type": "enabled"}, "seed": 7}, ("reasoning_effort",)),
        ("groq", {"stream_options": {"include_usage": True}, "reasoning_effort": "low"}, ("thinking",)),
        ("perplexity", {"seed": 7}, ("stream_options",)),
    ],
)
def test_what_a_vendor_wants_written_in_another_way(name: str, there: dict[str, Any], missing: tuple[str, ...]) -> None:
    dialect = dialect_of("openai", host_of(vendors()[name].base_url))
    body = json.loads(dialect.request(CALL, stream=True).body)
    assert there.items() <= body.items()
    assert not set(missing) & body.keys()
    extra = {"usage": {"include": False}}
    assert json.loads(dialect.request(CALL._replace(body=extra), stream=True).body)["usage"] == {"include": False}
    assert json.loads(dialect.request(CALL, stream=True).body) == body  # a row is not changed by a request


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "proxy.example", "api.groq.com.evil.example"])
def test_no_other_host_is_a_vendor(host: str) -> None:
    assert vendor_at(host) is None
    assert dialect_of("openai", host).keyless


async def test_a_new_vendor_is_a_row(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback([reply(sse(["Hel", "lo"]))]) as server:
        row = Vendor("acme", "openai", server.url, "ACME_TOKEN")
        monkeypatch.setattr(vendors_module, "vendors", lambda: {"acme": row})
        manager = ProviderManager({}, env={"ACME_TOKEN": KEY})
        provider, model = manager.resolve("acme/m1")
        output = await provider.stream(CALL._replace(model=model)).collect()
        await manager.aclose()
    assert output.text == "Hello"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("settings", "headers", "members"),
    [
        ({"mine": {"type": "mistral"}}, {"authorization": f"Bearer {KEY}"}, {"random_seed": 7}),
        ({"mistral": {}}, {"authorization": f"Bearer {KEY}"}, {"random_seed": 7}),
        ({"mine": {"type": "azure"}}, {"api-key": KEY}, {"seed": 7, "reasoning_effort": "low"}),
        ({"zai": {}}, {"authorization": f"Bearer {KEY}"}, {"thinking": {"type": "enabled"}}),
        ({"mistral": {"type": "openai"}}, {"authorization": f"Bearer {KEY}"}, {"seed": 7}),
    ],
)
async def test_a_vendor_behind_a_gateway_is_spoken_to_in_its_own_way(
    settings: dict[str, dict[str, Any]], headers: dict[str, str], members: dict[str, Any]
) -> None:
    with Loopback([reply(sse(["Hi"]))]) as server:
        name, one = next(iter(settings.items()))
        manager = ProviderManager({name: one | {"base_url": server.url, "api_key": KEY}}, env={})
        assert (await manager.get(name).stream(CALL).collect()).text == "Hi"
        await manager.aclose()
        [request] = server.requests
    sent = {header: request.headers.get(header) for header in ("authorization", "api-key")}
    assert sent == {"authorization": None, "api-key": None} | headers
    assert members.items() <= request.json.items()


async def test_a_vendor_s_gateway_is_asked_without_a_key() -> None:
    with Loopback([reply(sse(["Hi"]))]) as server:
        manager = ProviderManager({"mistral": {"base_url": server.url}}, env={})
        assert (await manager.get("mistral").stream(CALL).collect()).text == "Hi"
        await manager.aclose()
