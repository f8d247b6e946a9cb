"""What the log is told of a run: that it began, with which limits, and what it came to. See utils/logs.py."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from llmspell.errors import RunCancelledError
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run

__all__ = ["asked", "left", "started"]

LAYER = "run"
LIMITS = ("timeout", "max_cpu", "max_memory", "max_concurrency", "max_tokens_total", "max_cost_usd")


def started(run: Run) -> None:
    """A run begins. Where somebody listens, it has an id from now on, which what is told in its context carries."""
    if not logs.heard(LAYER):
        return
    run.log_id = logs.new_id("run")
    run.log_token = logs.RUN.set(run.log_id)
    limits = {name: getattr(run, name) or None for name in LIMITS}
    logs.tell(LAYER, logging.INFO, "run started", {"script": run.name, **limits})


def left(run: Run, error: BaseException | None) -> None:
    """It has ended; *error*, if that ended it."""
    told: dict[str, Any] = {"seconds": round(run.seconds(), 3), "calls": run.calls or None, **run.usage}
    if error is None:
        level, event = logging.INFO, "run ended"
        told = {"result": run.ended_as[0], "exit_code": run.ended_as[1], **told}
    elif isinstance(error, RunCancelledError):
        level, event, told = logging.WARNING, "run stopped", {"signal": error.signal, **told}
    else:
        level, event, told = logging.ERROR, "run failed", {**logs.error_fields(error), **told}
    logs.tell(LAYER, level, event, {"script": run.name, **told}, run=run.log_id)
    try:
        logs.RUN.reset(run.log_token)
    except ValueError:  # it ends in another context than it began in
        logs.RUN.set("")


def asked(run: Run, handler: Callable[..., Any], args: list[Any]) -> Any:
    """What *handler* answers to the script; the loop's turn that it is asked in may be another run's, or a call's."""
    tokens = logs.RUN.set(run.log_id), logs.CALL.set("")
    try:
        return handler(run, *args)
    finally:
        logs.RUN.reset(tokens[0])
        logs.CALL.reset(tokens[1])
