"""Values on their way from a host to its worker."""

from __future__ import annotations

from llmspell._speedups._lua_values import Flat
from llmspell.bridge.isolation.frames import to_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Errors", "flat_chunks", "frame"]

KEPT_ERRORS = 1000


def frame(*words: Any) -> bytes:
    """A frame for the worker. Raises what an engine would of a value that Lua cannot have: TypeError, ValueError."""
    try:
        return to_worker(*words)
    except ValueError:
        flat = Flat(None, {})
        for word in words:
            flat.add(word)
        raise


def flat_chunks(batch: list[Any], words: Mapping[type, bytes]) -> list[Any]:
    """Chunks as plain values: those of text as tuples, the others as dicts."""
    flat: list[Any] = []
    for chunk in batch:
        stream_id, index, content, metadata, timestamp = chunk
        word = words.get(type(content))
        if word is None:
            flat.append(chunk.to_dict())
        else:
            flat.append((stream_id, index, word, content[0], metadata, timestamp))
    return flat


class Errors:
    """The exceptions that a script may hold, by number: what it holds are their fields.

    fields: an exception as a plain dict.
    """

    __slots__ = ("_fields", "_known", "_last")

    def __init__(self, fields: Callable[[BaseException], dict[str, Any]]) -> None:
        self._fields = fields
        self._known: dict[int, BaseException] = {}
        self._last = 0

    def keep(self, error: BaseException) -> tuple[int, dict[str, Any]]:
        """Its number, and its fields for the script; its kind alone where those cannot go there."""
        self._last += 1
        self._known[self._last] = error
        if len(self._known) > KEPT_ERRORS:
            del self._known[next(iter(self._known))]
        try:
            told = self._fields(error)
            frame(told)
        except Exception:
            text = ascii(str(error))[1:-1][:500]
            told = {"kind": "internal", "message": text, "retryable": False}
        return self._last, told

    def find(self, reference: Any) -> BaseException | None:
        """What a worker means: a number, or name and words of an exception that was raised in it."""
        if type(reference) is int:
            return self._known.get(reference)
        if type(reference) is not list or len(reference) != 2:
            return None
        name, words = reference
        kind = {"TypeError": TypeError, "ValueError": ValueError}.get(name if type(name) is str else "", RuntimeError)
        return kind(str(words)[:500])

    def clear(self) -> None:
        """Forgets them."""
        self._known.clear()
