"""What the models of Anthropic take, by their names. Source: WIRE.md §6; Anthropic on thinking, November 2026.

A model that is not known by its name (another vendor's, behind the same API) is spoken to as the older ones are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from llmspell.providers.asking import name_parts, version_in

__all__ = ["Claude", "claude"]

UNBOUND = 1 << 30


class Claude(NamedTuple):
    """One model's ways.

    thinks: whether it can. adaptive: it finds out itself how much to think, by an effort; else it is given a number of
    tokens. off: the type of thinking that turns it off; empty where nothing does. samples: it takes a temperature.
    forced: a tool can be made to be called. native: answers in the form of a schema. answer, limit: tokens of an
    answer where the call does not say, and the most that it writes.
    """

    thinks: bool | None = None
    adaptive: bool = False
    off: str = "disabled"
    samples: bool = True
    forced: bool = True
    native: bool = False
    answer: int = 4096
    limit: int = UNBOUND


@lru_cache(64)
def claude(model: str) -> Claude:
    """The ways of *model*: "claude-opus-4-6", "claude-3-5-sonnet-20241022", "us.anthropic.claude-sonnet-5-v1:0"."""
    parts = name_parts(model)
    if "claude" not in parts:
        return Claude()
    parts = parts[parts.index("claude") + 1 :]
    family = next((part for part in parts if part.isalpha()), "")
    version = version_in(parts) or ((5, 0) if family == "mythos" else (0, 0))
    return Claude(
        thinks=version >= (3, 7) if version > (0, 0) else None,
        adaptive=version >= (4, 6),
        off=_off(family, version),
        samples=version < (4, 7),
        forced=not _must_not(family, version),
        native=version >= (4, 5),
        answer=4096 if version < (3, 5) else 8192 if version < (5, 0) else 16384,  # those from 5 on think unasked
        limit=_limit(family, version),
    )


def _off(family: str, version: tuple[int, int]) -> str:
    if version < (5, 0) or family == "haiku":
        return "disabled"
    if family == "sonnet":
        return "disabled" if version < (5, 5) else "between_tools"
    return "disabled" if family == "opus" and version < (5, 5) else ""


def _must_not(family: str, version: tuple[int, int]) -> bool:
    """Whether a forced call is refused."""
    return (family in ("opus", "sonnet") and version >= (5, 5)) or (family in ("fable", "mythos") and version >= (5, 1))


def _limit(family: str, version: tuple[int, int]) -> int:
    if version < (3, 7):
        return UNBOUND if version < (3, 0) else 4096 if version < (3, 5) else 8192
    if family == "opus" and version < (4, 5):
        return 32000
    return 64000 if version < (4, 6) or (family == "sonnet" and version < (5, 0)) else 128000
