"""Leaks on purpose, one a job, to see that each is found: `--leak NAME`."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from soak.world import World

__all__ = ["LEAKS"]

_kept: list[Any] = []


class _Kept:
    """An object of a type of its own."""


def _thread(world: World) -> None:
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def _state(world: World) -> None:
    from llmspell import ScriptRuntime

    _kept.append(ScriptRuntime(world.plain)._begin("return 1", (), None, None))


#: By name, which is that of the count that it shows in.
LEAKS: dict[str, Callable[[World], Any]] = {
    "sockets": lambda world: socket.socket().detach(),
    "files": lambda world: os.open(__file__, os.O_RDONLY),
    "tasks": lambda world: _kept.append(asyncio.ensure_future(asyncio.Event().wait())),
    "threads": _thread,
    "memory": lambda world: _kept.append(os.urandom(200_000)),
    "temporary files": lambda world: tempfile.mkstemp(),
    "objects": lambda world: _kept.extend(_Kept() for _ in range(20)),
    "Lua states": _state,
}
