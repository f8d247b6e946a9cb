"""How long a call may take and how often it is tried, as a provider's settings say it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, ValidationError
from llmspell.providers.base import Timeouts
from llmspell.utils.async_utils import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["policy_of", "timeouts_of"]


def policy_of(name: str, settings: Mapping[str, Any] | None) -> RetryPolicy:
    """`providers.NAME.retry`. Raises ConfigError."""
    try:
        return RetryPolicy.of(settings or {})
    except ValidationError as error:
        raise ConfigError(f"`providers.{name}.retry`: {error.message}", hint=error.hint) from None


def timeouts_of(name: str, settings: Mapping[str, Any]) -> Timeouts:
    """`providers.NAME.timeout`. Raises ConfigError."""
    for field, value in settings.items():
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e9
        if field not in Timeouts._fields or not (good or value is None):
            raise ConfigError(
                f"`providers.{name}.timeout.{field}` is not a timeout",
                hint=f"seconds, 0 is none; there are {', '.join(Timeouts._fields)}",
            )
    return Timeouts(**settings)
