"""What a model's tokens cost."""

from __future__ import annotations

from math import floor, log10
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from llmspell.types.usage import Usage

__all__ = ["FREE", "Price", "dollars"]

MILLION = 1_000_000


class Price(NamedTuple):
    """US dollars for a million tokens, each 0 or more.

    input, output: reasoning is output. cached: of input that came from a cache; None is as `input`. cache_write: of
    input that was put into one; None is as `input`. above: for a call that reads more than so many tokens (0 is none)
    all of it is at the prices of `high`: input, output, cached and cache_write, in this order.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    above: int = 0
    high: tuple[float, float, float | None, float | None] | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Price:
        """From a row of a price list, whose other members are passed over."""
        told = row.get("high")
        high = None if told is None else (told["input"], told["output"], told.get("cached"), told.get("cache_write"))
        cached, stored = row.get("cached"), row.get("cache_write")
        return cls(row["input"], row["output"], cached, stored, row.get("above", 0), high)

    @property
    def is_free(self) -> bool:
        """Whether no call costs anything."""
        return not any(self[:4]) and not any(self.high or ())

    def cost(self, usage: Usage) -> float | None:
        """Of a call; None where what it read or wrote is not known."""
        if self.is_free:
            return 0.0
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        read = usage.input_tokens
        fresh, written, cached, stored = self._rates(read)
        from_cache = min(usage.cached_tokens or 0, read)
        into_cache = min(usage.cache_write_tokens or 0, read - from_cache)
        plain = read - from_cache - into_cache
        return (plain * fresh + from_cache * cached + into_cache * stored + usage.output_tokens * written) / MILLION

    def most(self, read: int) -> tuple[float, float]:
        """What a call that reads *read* tokens may cost: for reading, at most, and for each token that it writes."""
        fresh, written, cached, stored = self._rates(read)
        return read * max(fresh, cached, stored) / MILLION, written / MILLION

    def _rates(self, read: int) -> tuple[float, float, float, float]:
        fresh, written, cached, stored = self.high if self.high is not None and read > self.above else self[:4]
        return fresh, written, fresh if cached is None else cached, fresh if stored is None else stored


FREE = Price(0.0, 0.0)


def dollars(amount: float) -> str:
    """US dollars for people: $1.50, $0.0012."""
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    digits = min(max(2, 1 - floor(log10(amount))), 8)
    return f"${amount:.{digits}f}"
