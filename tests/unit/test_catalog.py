"""The catalogue of models: how names are matched, what prices come to, and that its data is sane."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmspell
from llmspell.providers.base import ProviderCapabilities
from llmspell.providers.calls import money
from llmspell.providers.catalog import find, known_of, price_of
from llmspell.providers.manager import ProviderManager
from llmspell.providers.models_data import SERVICES
from llmspell.types.price import FREE, Price, dollars
from llmspell.types.usage import Usage

pytestmark = pytest.mark.once

PROVIDERS = Path(llmspell.__file__).parent / "providers"
TOML = tomllib.loads((PROVIDERS / "models.toml").read_text(encoding="utf-8"))
SCRIPT = Path(__file__).parents[2] / "scripts" / "models.py"


def price(service: str, model: str) -> Price:
    facts = find(service, model)
    assert facts is not None, f"{service}/{model}"
    assert facts.price is not None
    return facts.price


# ---- names


@pytest.mark.parametrize(
    ("service", "model", "same"),
    [
        ("openai", "gpt-4o-mini", "gpt-4o-mini"),
        ("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai", "GPT-4o-mini", "gpt-4o-mini"),
        ("openai", "gpt-4-0613", "gpt-4"),
        ("openai-responses", "gpt-5-2025-08-07", "gpt-5"),
        ("anthropic", "claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("anthropic", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gemini", "gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini", "gemini-2.5-flash-lite-001", "gemini-2.5-flash-lite"),
        ("vertex", "publishers/google/models/gemini-2.5-pro@default", "gemini-2.5-pro"),
        ("mistral", "codestral-latest", "codestral"),
        ("mistral", "codestral-2508", "codestral"),
        ("xai", "grok-4-0709", "grok-4"),
        ("fireworks", "accounts/fireworks/models/gpt-oss-120b", "gpt-oss-120b"),
    ],
)
def test_a_date_a_version_or_a_folder_is_the_same_model(service: str, model: str, same: str) -> None:
    home = {"openai-responses": "openai", "vertex": "gemini"}.get(service, service)
    assert price(service, model) == Price.of(SERVICES[home][same])


@pytest.mark.parametrize(
    ("service", "model"),
    [
        ("openai", "gpt-5-pro"),
        ("openai", "gpt-5-search-api"),
        ("openai", "gpt-4o-realtime-preview"),
        ("openai", "gpt-4o-audio-preview-2024-12-17"),
        ("openai", "gpt-4-1106-preview"),
        ("openai", "gpt-4-32k"),
        ("openai", "gpt-4o-"),
        ("openai", "gpt"),
        ("openai", ""),
        ("anthropic", "claude-opus-4-9"),
        ("gemini", "gemini-2.5-flash-image"),
        ("azure", "my-deployment"),
        ("nobody", "gpt-4o-mini"),
    ],
)
def test_another_model_is_not_taken_for_one_that_is_known(service: str, model: str) -> None:
    assert find(service, model) is None


@given(st.sampled_from(sorted(SERVICES)), st.text(max_size=40))
@settings(max_examples=60)
def test_any_name_is_answered(service: str, model: str) -> None:
    facts = find(service, model)
    assert facts is None or facts.price is not None


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "gpt-4", "o3"])
@given(suffix=st.from_regex(r"-[a-z]{2,8}", fullmatch=True))
@settings(max_examples=30)
def test_a_word_behind_a_name_is_another_model(model: str, suffix: str) -> None:
    if suffix != "-latest" and model + suffix not in SERVICES["openai"]:
        assert find("openai", model + suffix) is None


def test_a_gateway_has_the_vendors_prices_and_free_ones() -> None:
    assert price("openrouter", "openai/gpt-4o-mini") == price("openai", "gpt-4o-mini")
    assert price("openrouter", "anthropic/claude-sonnet-4.5") == price("anthropic", "claude-sonnet-4-5")
    assert price("openrouter", "google/gemini-2.5-pro") == price("gemini", "gemini-2.5-pro")
    assert price("openrouter", "meta-llama/llama-3.3-70b-instruct:free").is_free
    assert find("openrouter", "openai/gpt-4o-mini:nitro") is None
    assert find("openrouter", "meta-llama/llama-3.3-70b-instruct") is None


@pytest.mark.parametrize("service", ["local", "ollama", "llamacpp", "lmstudio"])
def test_what_runs_on_ones_own_machine_costs_nothing(service: str) -> None:
    assert price(service, "anything:7b") == FREE


# ---- a configured provider


def made(settings: dict[str, Any]) -> Any:
    return ProviderManager({"p": settings}, env={}).get("p")


def test_a_configured_price_goes_before_the_catalogue_and_a_star_after_it() -> None:
    own = {"gpt-4o-mini": {"input": 7.0, "output": 8.0}, "*": {"input": 1.0, "output": 2.0, "cached": 0.5}}
    provider = made({"type": "openai", "base_url": "http://127.0.0.1:1/v1", "prices": own})
    assert provider.price("gpt-4o-mini") == Price(7.0, 8.0)
    assert provider.price("gpt-4o") == price("openai", "gpt-4o")
    assert provider.price("mine") == Price(1.0, 2.0, 0.5)
    assert made({"type": "openai", "base_url": "http://127.0.0.1:1/v1"}).price("mine") is None


def test_the_service_is_known_by_its_vendor_or_its_address() -> None:
    assert made({"type": "groq"}).price("openai/gpt-oss-20b") == price("groq", "openai/gpt-oss-20b")
    at = made({"type": "openai", "base_url": "https://api.groq.com/openai/v1"})
    assert at.price("openai/gpt-oss-20b") == price("groq", "openai/gpt-oss-20b")
    assert at.price("gpt-4o-mini") is None  # which Groq has not
    assert made({"type": "lmstudio"}).price("x") == FREE
    assert made({"type": "local"}).price("x") == FREE


def test_abilities_are_the_dialects_with_the_models_over_them() -> None:
    can = ProviderCapabilities(input_modalities=("text", "image", "audio"), structured_output="native")
    place = "own", "openai", "api.openai.com"
    mini = known_of(can, place, "gpt-4o-mini")
    assert (mini.max_context_tokens, mini.max_output_tokens) == (128_000, 16_384)
    assert mini.input_modalities == ("text", "image")  # what both can: the dialect sends no files here
    assert mini.supports_reasoning is False
    assert known_of(can, place, "gpt-5").supports_reasoning is True
    assert known_of(can, place, "gpt-4").structured_output == "tool"
    assert known_of(can, place, "text-embedding-3-small").supports_embeddings
    assert known_of(can, place, "unheard-of") == can
    assert price_of(place, "unheard-of", {}) is None


# ---- what it comes to


def test_a_call_costs_its_parts() -> None:
    known = Price(3.0, 15.0, 0.3, 3.75)
    usage = Usage(1_000_000, 100_000, 200_000, 50_000, cache_write_tokens=100_000)
    assert known.cost(usage) == pytest.approx(0.7 * 3 + 0.2 * 0.3 + 0.1 * 3.75 + 0.1 * 15)
    assert known.cost(Usage(1_000_000, 0)) == pytest.approx(3.0)
    assert Price(3.0, 15.0).cost(Usage(1000, 0, 1000)) == pytest.approx(0.003)  # no price of its own: as the rest
    assert known.cost(Usage(10, None)) is None
    assert known.cost(Usage()) is None
    assert FREE.cost(Usage()) == 0.0


def test_a_long_prompt_is_at_the_high_price_all_of_it() -> None:
    pro = price("gemini", "gemini-2.5-pro")
    assert pro.cost(Usage(200_000, 1000)) == pytest.approx(0.2 * 1.25 + 0.001 * 10)
    assert pro.cost(Usage(200_001, 1000)) == pytest.approx(0.200001 * 2.5 + 0.001 * 15)


prices = st.floats(0, 1000, allow_nan=False)
PRICES = st.builds(lambda i, o, c, w: Price(i, o, min(c, i), w), prices, prices, prices, prices)
counts = st.integers(0, 10**9)


@given(PRICES, counts, counts, counts, counts)
@settings(max_examples=80)
def test_a_cost_is_never_negative_grows_with_tokens_and_is_less_for_cached(
    known: Price, read: int, written: int, cached: int, stored: int
) -> None:
    usage = Usage(read, written, cached, cache_write_tokens=stored)
    cost = known.cost(usage)
    assert cost is not None
    assert cost >= 0
    more = known.cost(usage._replace(input_tokens=read + 1000, output_tokens=written + 1))
    assert more is not None
    assert more >= cost or more == pytest.approx(cost)
    cheap = known.cost(Usage(read, written, cached))
    plain = known.cost(Usage(read, written))
    assert cheap is not None
    assert plain is not None
    assert cheap <= plain or cheap == pytest.approx(plain)
    reading, token = known.most(read)
    assert cost <= (reading + token * written) * (1 + 1e-9) + 1e-12  # what is reserved is enough


@given(PRICES, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 1000))
@settings(max_examples=50)
def test_a_cost_is_linear(known: Price, read: int, written: int, times: int) -> None:
    one, many = known.cost(Usage(read, written)), known.cost(Usage(read * times, written * times))
    assert one is not None
    assert many == pytest.approx(one * times, rel=1e-9, abs=1e-12)


def test_sums_of_usage_have_no_false_cost() -> None:
    priced, unpriced = Usage(1, 2, total_tokens=3, cost_usd=0.5), Usage(10, 20)
    assert priced.plus(priced).cost_usd == 1.0
    assert priced.plus(unpriced).cost_usd is None
    assert Usage().plus(priced) == priced.plus(Usage()) == priced
    assert priced.merged(Usage(output_tokens=9)) == Usage(1, 9, total_tokens=3, cost_usd=0.5)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"cost": 0.000894}, 0.000894),
        ({"cost": 0}, 0.0),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.25}}, 0.25),
        ({"cost": {"input_tokens_cost": 1e-05, "request_cost": 0.005, "total_cost": 0.00501}}, 0.00501),
        ({"cost": {"total_cost": 0}}, None),
        ({"cost_in_usd_ticks": 5143500}, 0.00051435),
        ({"cost_in_usd_ticks": 0}, None),
        ({"cost": "free"}, None),
        ({"cost": -1}, None),
        ({"cost": float("inf")}, None),
        ({"cost": True}, None),
        ({}, None),
    ],
)
def test_what_the_service_says_that_it_cost(usage: dict[str, Any], cost: float | None) -> None:
    assert money(usage) == (None if cost is None else pytest.approx(cost))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "$0.00"),
        (0.00123, "$0.0012"),
        (0.5, "$0.50"),
        (12.345, "$12.35"),
        (1234, "$1,234.00"),
        (1e-12, "$0.00000000"),
    ],
)
def test_dollars(amount: float, shown: str) -> None:
    assert dollars(amount) == shown


# ---- the data


def test_the_module_is_made_of_the_table() -> None:
    spec = importlib.util.spec_from_file_location("models_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made_of_it = script.module((PROVIDERS / "models.toml").read_text(encoding="utf-8"))
    assert (PROVIDERS / "models_data.py").read_text(encoding="utf-8") == made_of_it, "run scripts/models.py"
    assert {name: service["models"] for name, service in TOML.items()} == SERVICES


@pytest.mark.parametrize("service", sorted(TOML))
def test_every_price_has_its_source_and_is_sane(service: str) -> None:
    head = TOML[service]
    assert head.keys() == {"source", "date", "models"}
    assert len(head["source"]) > 20
    assert len(head["date"]) == 10
    known = {"input", "output", "cached", "cache_write", "above", "high", "context", "max_output", "takes", "makes"}
    known |= {"reasoning", "tools", "structured_output", "embeddings", "dimensions"}
    for model, row in head["models"].items():
        assert model == model.lower()
        assert row.keys() <= known, model
        assert 0 < row["input"] <= 100, model
        assert 0 <= row["output"] <= 500, model
        assert row.get("cached", 0) <= row["input"] <= row.get("cache_write", 1000), model
        assert ("above" in row) == ("high" in row), model
        if "high" in row:
            assert row["high"]["input"] > row["input"], model
        assert row.get("max_output", 1) <= row.get("context", 10**7), model
        words = {"text", "image", "audio", "video", "file"}
        assert words >= {*row.get("takes", ()), *row.get("makes", ())}, model
        assert row.get("embeddings", False) == ("dimensions" in row), model
        assert find(service, model) is not None, model
