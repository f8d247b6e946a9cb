"""How many tokens a call read and wrote, and what it cost."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Usage"]


class Usage(NamedTuple):
    """Tokens of one call, or of several. None is unknown, which is not 0.

    input_tokens: all that was read, cached included.
    output_tokens: all that was written, reasoning included.
    cached_tokens: the part of the input that came from a cache.
    reasoning_tokens: the part of the output that is reasoning.
    total_tokens: as the service said, else the sum of input and output where both are known.
    cost_usd: US dollars, as the service said or by its price list; None where there is no price.
    cache_write_tokens: the part of the input that was put into a cache, where that has a price of its own.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None
    cost_usd: float | None = None
    cache_write_tokens: int | None = None

    def merged(self, later: Usage) -> Usage:
        """This with *later*'s known fields over it: services repeat and complete usage, they do not add."""
        return Usage._make(old if new is None else new for old, new in zip(self, later, strict=True))

    def plus(self, other: Usage) -> Usage:
        """The sum of two calls, field by field; unknown and known makes known.

        But for the cost: a sum that leaves out a call would be a false one, so it is known where both are, or where
        one of the two is no call at all (nothing of it is known).
        """
        if self == _NOTHING:
            return other
        if other == _NOTHING:
            return self
        cost = None
        if self.cost_usd is not None and other.cost_usd is not None:
            cost = self.cost_usd + other.cost_usd
        total = Usage._make(
            (a or 0) + (b or 0) if a is not None or b is not None else None for a, b in zip(self, other, strict=True)
        )
        return total._replace(cost_usd=cost)

    def with_total(self) -> Usage:
        """This, its total filled in where input and output are known and the service gave none."""
        if self.total_tokens is None and self.input_tokens is not None and self.output_tokens is not None:
            return self._replace(total_tokens=self.input_tokens + self.output_tokens)
        return self

    def to_dict(self) -> dict[str, int | float]:
        """The known fields."""
        return {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}


_NOTHING = Usage()
