"""Host calls behind `Provider`. None tells a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.bridge.api import EMBED, check
from llmspell.errors import ConfigError, ValidationError
from llmspell.types.agent import AgentOutput

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run


def _name(function: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise ValidationError(f"`{function}` takes a provider's name", hint="`Provider.list()` tells those there are")
    return given


def _get(run: Run, given: Any) -> dict[str, Any] | None:
    from llmspell.providers.queries import about

    name = _name("Provider.get", given)
    try:
        return about(run.providers(), name)
    except ConfigError:
        return None


def _capabilities(run: Run, given: Any, model: Any) -> dict[str, Any]:
    if model is not None and not isinstance(model, str):
        raise ValidationError("`Provider.capabilities`: the model must be a string")
    return run.providers().capabilities(_name("Provider.capabilities", given), model).to_dict()


def _default(run: Run, given: Any) -> str:
    """The default of this script: a switch is seen by the agents that it makes from then on, and by no other script."""
    manager = run.providers()
    if given is not None:
        name = _name("Provider.default", given)
        if name != "auto":
            manager.get(name)
        run.model, run.provider = None, name if name != "auto" else None
    return run.provider or (run.model and manager.resolve(run.model)[0].name) or manager.default()


def _list(run: Run) -> list[dict[str, Any]]:
    default = _default(run, None)
    return [{**told, "default": told["name"] == default} for told in run.providers().list()]


async def _embed(run: Run, given: Any) -> list[tuple[float, ...]]:
    fields = check("Provider.embed", EMBED, given)
    if "input" not in fields:
        raise ValidationError("`Provider.embed` needs `input`", hint=EMBED["input"][1])
    texts = [fields["input"]] if isinstance(fields["input"], str) else fields["input"]
    provider, slash, model = (fields.get("model") or "").partition("/")
    manager = run.providers()
    if fields.get("provider") is not None:
        provider, model = fields["provider"], (model if provider == fields["provider"] else fields.get("model") or "")
    elif not slash and provider not in manager.known():
        provider, model = _default(run, None), provider  # a model of the default's
    async with run.slot():
        found = await manager.get(provider).embed(model, texts, dimensions=fields.get("dimensions"))
    run.count_call(AgentOutput("", usage=found.usage, metadata={"model": found.model, "provider": provider}))
    return [*found.vectors]


async def _models(run: Run, given: Any) -> list[dict[str, Any]]:
    name = _name("Provider.models", given)
    async with run.slot():
        found = await run.providers().get(name).models()
    return [{**info.details, "id": info.id} for info in found]


ASKS: dict[str, Callable[..., Any]] = {
    "Provider.list": _list,
    "Provider.get": _get,
    "Provider.capabilities": _capabilities,
    "Provider.isAvailable": lambda run, name: run.providers().is_available(_name("Provider.isAvailable", name)),
    "Provider.default": _default,
    "Provider.find": lambda run, wanted: run.providers().find(**check_wanted(wanted)),
}
CALLS: dict[str, Callable[..., Any]] = {"Provider.embed": _embed, "Provider.models": _models}


def check_wanted(given: Any) -> dict[str, Any]:
    """A table of capabilities by name. Raises ValidationError."""
    if given in (None, []):
        return {}
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise ValidationError("`Provider.find` takes a table of capabilities")
    return given
