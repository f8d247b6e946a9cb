"""What the prelude says of functions that Python calls. See bridge/upcalls.py."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


ASKS: dict[str, Callable[..., Any]] = {
    "function.started": lambda run, ticket, fiber: run.upcalls.started(ticket, fiber),
    "function.refused": lambda run, ticket, message: run.upcalls.refused(ticket, message),
    "function.done": lambda run, ticket, *values: run.upcalls.done(ticket, *values),
}
CALLS: dict[str, Callable[..., Any]] = {}
