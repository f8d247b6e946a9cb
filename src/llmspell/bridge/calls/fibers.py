"""What a script asks of its fibers without waiting. Waiting itself is the driver's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


ASKS: dict[str, Callable[..., Any]] = {
    "fiber.start": lambda run, fiber, group: run.fibers().start(fiber, group),
    "semaphore.new": lambda run, places: run.fibers().new_semaphore(places),
    "semaphore.try": lambda run, number: run.fibers().semaphore_try(number),
    "semaphore.release": lambda run, number: run.fibers().semaphore_release(number),
    "group.new": lambda run: run.fibers().new_group(),
    "group.cancel": lambda run, group: run.fibers().cancel_group(group),
    "task:cancel": lambda run, fiber: run.fibers().detach(fiber),
    "task.done": lambda run, fiber: fiber not in run.fibers().fibers,
}
CALLS: dict[str, Callable[..., Any]] = {}
