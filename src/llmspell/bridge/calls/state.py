"""Host calls behind `State`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.workflows.state import MemoryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run
    from llmspell.workflows.state import StateStore


def _do(store: StateStore, name: str, args: tuple[Any, ...]) -> Any:
    if name == "get":
        found = store.get(*args)
        return {"value": found.value, "version": found.version}
    if name == "put":
        return store.put(*args, *(None,) * (3 - len(args)))
    if name == "swap":
        return store.swap(*args, *(None,) * (4 - len(args)))
    return store.delete(*args) if name == "delete" else store.keys(*args)


def _at_once(run: Run, name: str, *args: Any) -> list[Any]:
    """True and what it came to, or false where it has to wait for a disk."""
    store = run.state
    if isinstance(store, MemoryState):
        return [True, _do(store, name, args)]
    if run.tape is not None:  # what others have kept is of the world: a replay tells what it was
        return [True, run.tape.value(f"State.{name}", lambda: _do(store, name, args))]
    return [False]


async def _later(run: Run, name: str, *args: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(_do, run.state, name, args)


#: What scripts call; an operation has its name, so that what is wrong with a value is told of it.
NAMES = [
    *("save", "load", "delete", "exists", "list_keys", "update", "set", "get"),
    *(f"{kind}_{verb}" for kind in ("agent", "tool", "workflow") for verb in ("set", "get")),
]

ASKS: dict[str, Callable[..., Any]] = {f"State.{name}": _at_once for name in NAMES}
CALLS: dict[str, Callable[..., Any]] = {f"State.{name}": _later for name in NAMES}
