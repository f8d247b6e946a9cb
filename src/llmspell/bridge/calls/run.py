"""Host calls behind `Run`: what the script has used so far, and what it may."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _clock(run: Run) -> float:
    return run.seconds()


def _usage(run: Run) -> dict[str, Any]:
    run.count_ended()
    told: dict[str, Any] = {**run.usage, "calls": run.calls, "seconds": _clock(run)}
    if run.unpriced_calls:
        told["unpriced_calls"] = run.unpriced_calls
    return told


def _limits(run: Run) -> dict[str, Any]:
    """Each limit under the name of its setting, 0 where there is none; in `left`, what is left of those there are."""
    run.count_ended()
    told: dict[str, Any] = {
        "timeout": run.timeout,
        "max_cpu": run.max_cpu,
        "max_memory": run.max_memory,
        "max_output": run.output.limit,
        "max_concurrency": run.max_concurrency,
        "max_tokens_total": run.max_tokens_total,
        "max_cost_usd": run.max_cost_usd,
    }
    left: dict[str, Any] = {}
    if run.timeout:
        left["timeout"] = max(run.timeout - _clock(run), 0.0)
    meter = run.meter
    if meter is not None:
        tokens, cost = meter.tokens_left, meter.cost_left_usd
        left |= {} if tokens is None else {"max_tokens_total": tokens}
        left |= {} if cost is None else {"max_cost_usd": cost}
    return {**told, "left": left}


ASKS: dict[str, Callable[..., Any]] = {"Run.clock": _clock, "Run.usage": _usage, "Run.limits": _limits}
CALLS: dict[str, Callable[..., Any]] = {}
