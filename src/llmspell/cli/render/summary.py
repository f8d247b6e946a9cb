"""The line at the end of a run on a terminal: tokens, rate, times, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.cli.render.terminal import style
from llmspell.types.price import dollars

if TYPE_CHECKING:
    from llmspell.types.usage import Usage

__all__ = ["summary"]


def summary(
    usage: Usage | None,
    seconds: float,
    *,
    first_token: float | None = None,
    writing: float | None = None,
    colour: bool = False,
    unicode: bool = True,
) -> str:
    """The line at the end of a run, dim where *colour* is: tokens, rate, time to the first token, time in all, cost.

    seconds: of the whole run. first_token: seconds from the first request to the first token. writing: seconds in
    which tokens came, all calls' together; without it there is the time after the first token. What is not known is
    left out, and a cost of nothing.
    """
    parts: list[str] = []
    read = usage.input_tokens if usage is not None else None
    written = usage.output_tokens if usage is not None else None
    if read is not None:
        parts.append(f"{read:,} tokens in")
    if written is not None:
        parts.append(f"{written:,} out" if parts else f"{written:,} tokens out")
        during = writing if writing is not None else seconds - (first_token or 0.0)
        if written > 1 and during > 0.001:
            rate = written / during
            parts.append(f"{rate:,.1f} tokens/s" if rate < 100 else f"{rate:,.0f} tokens/s")
    if first_token is not None:
        parts.append(f"first token {_duration(first_token)}")
    parts.append(_duration(seconds))
    if usage is not None and usage.cost_usd:
        parts.append(dollars(usage.cost_usd))
    line = (" · " if unicode else ", ").join(parts)
    return style(line, "dim") if colour else line


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
