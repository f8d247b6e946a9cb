"""What is known of the services' models: prices, limits and abilities, from `models.toml` beside this file.

What is read here is `models_data.py`, made of it by scripts/models.py: a run must not wait for a TOML parser. Nobody is
asked over the network, so what a service has changed since the date in the file is not known; a configured price goes
before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.types.price import FREE, Price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ProviderCapabilities

__all__ = ["ModelFacts", "find", "known_of", "price_of"]

#: What a name may end in and still mean the same model: "-latest", a date or a version's number in any usual form,
#: a dated preview. Nothing else: "gpt-5-pro" is not "gpt-5".
_VERSION = re.compile(
    r"(-latest|@latest|@default|(-preview)?[-@](20\d{6}|20\d\d-\d\d-\d\d|\d\d-20\d\d|\d\d-\d\d|\d{4}|0\d\d))$"
)
#: Where a service keeps its models: in front of the name.
_FOLDERS = re.compile(r"^(models/|(projects/[^/]+/.*)?publishers/[^/]+/models/|accounts/fireworks/(models|routers)/)")
#: Services whose models are those of others, at the same prices: `vendor/model`, and how the vendor is called here.
_GATEWAYS = ("openrouter", "vercel")
_VENDORS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "x-ai": "xai", "xai": "xai"}
#: Dialects of one service, and Google's second address.
_SAME = {"openai-responses": "openai", "vertex": "gemini"}
#: What runs on one's own machine has no price for a token.
_OWN_MACHINE = ("local", "ollama", "llamacpp", "lmstudio")
_LONGEST = 200  # characters of a name that are looked at


class ModelFacts(NamedTuple):
    """What is known of a model; None, or an empty tuple, is unknown.

    price: for its tokens. input_modalities, output_modalities: text, image, audio, video, file. embeddings: whether it
    makes vectors and no text; dimensions: how many numbers they have, at most.
    """

    price: Price | None = None
    max_context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    reasoning: bool | None = None
    tools: bool | None = None
    structured_output: bool | None = None
    embeddings: bool = False
    dimensions: int | None = None


def find(service: str, model: str) -> ModelFacts | None:
    """What is known of *model* at a service: a type of provider, or a vendor. None where that is nothing.

    The name is taken as it is, then without what tells a version or a date ("gpt-4o-mini-2024-07-18").
    """
    if service in _OWN_MACHINE:
        return ModelFacts(FREE)
    name = _FOLDERS.sub("", model[:_LONGEST].strip().lower())
    if service in _GATEWAYS:
        return _through(name)
    return _row(_SAME.get(service, service), name)


def _through(name: str) -> ModelFacts | None:
    """A gateway's model: at its vendor's price. A variant (":nitro") has a price of its own, but for the free ones."""
    name, _, variant = name.partition(":")
    vendor, _, rest = name.partition("/")
    facts = None
    if vendor in _VENDORS:
        facts = _row(_VENDORS[vendor], rest) or _row(_VENDORS[vendor], rest.replace(".", "-"))
    if variant == "free":
        return (facts or ModelFacts())._replace(price=FREE)
    return None if variant else facts


def _row(service: str, name: str) -> ModelFacts | None:
    from llmspell.providers.models_data import SERVICES

    models: Mapping[str, Mapping[str, Any]] = SERVICES.get(service, {})
    row = models.get(name)
    if row is None:
        short, versions = _VERSION.subn("", name)
        row = models.get(short) if versions else None
    return None if row is None else _facts(row)


def _facts(row: Mapping[str, Any]) -> ModelFacts:
    return ModelFacts(
        Price.of(row),
        row.get("context"),
        row.get("max_output"),
        tuple(row.get("takes", ())),
        tuple(row.get("makes", ())),
        row.get("reasoning"),
        row.get("tools"),
        row.get("structured_output"),
        row.get("embeddings", False),
        row.get("dimensions"),
    )


# ---- for a configured service


def _service(place: tuple[str, str, str]) -> str:
    """The name under which a service is in the catalogue. place: its vendor, "own" where it is the dialect's own
    service, or ""; its type; its host."""
    vendor, type_, host = place
    if vendor == "own":
        return type_
    if not vendor:
        from llmspell.providers.vendors import vendor_at

        at = vendor_at(host)
        vendor = at.name if at is not None else type_
    return vendor


def price_of(place: tuple[str, str, str], model: str, configured: Mapping[str, Any]) -> Price | None:
    """What *model* costs: as it is *configured* under its own name, else by the catalogue, else as "*" is."""
    row = configured.get(model)
    if row is None:
        facts = find(_service(place), model)
        if facts is not None and facts.price is not None:
            return facts.price
        row = configured.get("*")
    return None if row is None else Price.of(row)


def known_of(can: ProviderCapabilities, place: tuple[str, str, str], model: str) -> ProviderCapabilities:
    """What a dialect *can*, with what is known of *model* over it; of modalities, those that both have."""
    facts = find(_service(place), model)
    if facts is None:
        return can
    takes = tuple(word for word in can.input_modalities if word in facts.input_modalities)
    makes = tuple(word for word in can.output_modalities if word in facts.output_modalities)
    told: dict[str, Any] = {
        "max_context_tokens": facts.max_context_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "input_modalities": takes or None,
        "output_modalities": makes or None,
        "supports_reasoning": facts.reasoning,
        "supports_tools": facts.tools,
    }
    if facts.tools is False:
        told["supports_tool_choice"] = False
    if facts.embeddings:
        told |= {"supports_embeddings": True, "supports_streaming": False}
    if facts.structured_output is False and can.structured_output == "native":
        told["structured_output"] = "instruct" if facts.tools is False else "tool"
    return can._replace(**{name: value for name, value in told.items() if value is not None})
