"""What the configured providers can do, as programs and scripts ask for it. Nobody is asked, no key is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, ValidationError, one_line
from llmspell.providers.base import ProviderCapabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.manager import ProviderManager

__all__ = ["about", "find"]

#: What is told of a provider besides its fields.
DERIVED = ("supports_multimodal", "supports_structured_output")


def about(manager: ProviderManager, name: str) -> dict[str, Any]:
    """What there is to know of *name*: name, type, enabled, default, models, capabilities.

    models: those that the settings name. enabled: it can be asked. capabilities: with its default model; empty where
    it cannot be made as it is configured, whose reason then stands in `error`. Raises ConfigError where there is
    none such.
    """
    told: dict[str, Any] = {"name": name, "type": manager.type_of(name), "enabled": manager.is_available(name)}
    told |= {"default": name == manager.default(), "models": [], "capabilities": {}}
    try:
        instance = manager.get(name)
    except ConfigError as error:
        told["error"] = error.message
        return told
    if instance.default_model:
        told["models"] = [instance.default_model]
    told["capabilities"] = manager.capabilities(name).to_dict()
    return told


def find(manager: ProviderManager, wanted: Mapping[str, Any]) -> list[str]:
    """The names of those that can be asked and have what is *wanted*, in order.

    wanted: fields of ProviderCapabilities, `supports_multimodal` and `supports_structured_output`. Of lists
    (`input_modalities=["image"]`) all has to be there, of numbers (`max_context_tokens`) at least so much, of all else
    the same. Raises ValidationError for a field that there is not.
    """
    fields = (*ProviderCapabilities._fields, *DERIVED)
    for field in wanted:
        if field not in fields:
            shown = one_line(str(field), 60)
            raise ValidationError(f"there is no capability `{shown}`", hint=f"there are {', '.join(fields)}")
    names = [name for name in manager.known() if manager.is_available(name)]
    return [name for name in names if _has_all(manager.capabilities(name), wanted)]


def _has_all(can: ProviderCapabilities, wanted: Mapping[str, Any]) -> bool:
    return all(_has(getattr(can, field), value) for field, value in wanted.items())


def _has(there: Any, value: Any) -> bool:
    if isinstance(there, tuple):
        wanted = value if isinstance(value, (list, tuple)) else [value]
        return all(item in there for item in wanted)
    if type(value) is int:
        return type(there) is int and there >= value
    return bool(there == value)
