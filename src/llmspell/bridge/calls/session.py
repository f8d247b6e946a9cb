"""Host calls behind a session's prelude. See bridge/session.py."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _ready(run: Run, evaluate: int, members: int) -> None:
    run.session_functions = (evaluate, members)


async def _wait(run: Run) -> None:
    """The main fiber waits: the session lives as long as it does."""
    import asyncio

    await asyncio.get_running_loop().create_future()


ASKS: dict[str, Callable[..., Any]] = {"session.ready": _ready}
CALLS: dict[str, Callable[..., Any]] = {"session:wait": _wait}
