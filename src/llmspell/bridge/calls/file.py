"""Host calls behind `File`: what was granted is done at once where it is small; the rest waits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell.errors import LimitError, ValidationError
from llmspell.utils import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run
    from llmspell.utils.places import Place

SMALL = 1024 * 1024  # bytes that are read or written while the event loop waits
FEW = 500  # entries of a folder that are looked at meanwhile
CAPABILITY = {"read": "read", "list": "read", "exists": "read", "write": "write", "append": "write"}


def _path(path: Any, name: str) -> str:
    if isinstance(path, bytes):
        return os.fsdecode(path)
    if not isinstance(path, str) or not path:
        raise ValidationError(f"`File.{name}` takes a path first")
    return path


def _do(name: str, place: Place, data: bytes) -> Any:
    if name == "read":
        return places.read(place)
    if name == "write":
        return places.write(place, data)
    if name == "append":
        return places.append(place, data)
    if name == "exists":
        return places.exists(place)
    return _listed(place, places.MOST_ENTRIES)


def _listed(place: Place, most: int) -> list[dict[str, Any]]:
    """What a folder has: names as they are, which need not be UTF-8."""
    return [
        {"name": os.fsencode(one.name), "type": one.kind, "size": one.size, "modified": one.modified}
        for one in places.entries(place, most=most)
    ]


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else data or b""


def _at_once(run: Run, name: str, path: Any, data: Any = None) -> list[Any]:
    """True and what it came to, or false where it has to wait."""
    path, capability = _path(path, name), CAPABILITY[name]
    place = run.permissions.place_granted(capability, path)
    if place is None:
        if run.permissions.ask is None:
            raise run.permissions.denied(capability, path, by=f"File.{name}")
        return [False]
    if name == "read" and (places.size(place) or 0) > SMALL:
        return [False]
    if data is not None and len(data) > SMALL:
        return [False]
    if name == "list":
        try:
            return [True, _listed(place, FEW)]
        except LimitError:
            return [False]
    return [True, _do(name, place, _bytes(data))]


async def _later(run: Run, name: str, path: Any, data: Any = None) -> Any:
    import asyncio

    path = _path(path, name)
    place = await run.permissions.place(CAPABILITY[name], path, by=f"File.{name}")
    return await asyncio.to_thread(_do, name, place, _bytes(data))


ASKS: dict[str, Callable[..., Any]] = {"File.now": _at_once}
CALLS: dict[str, Callable[..., Any]] = {"File.later": _later}
