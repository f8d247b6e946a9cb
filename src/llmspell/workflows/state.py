"""What scripts keep by scope and key; here for as long as the store lives. `state_file.py` keeps it on disk.

A store takes plain values (nil, booleans, numbers, texts, bytes, lists and tables of them) and gives copies. Every
change gives the key a new version, so that `swap` can tell whether somebody else came between.
"""

from __future__ import annotations

import base64
import math
import threading
from typing import Any, NamedTuple

import orjson

from llmspell.errors import LimitError, ValidationError, one_line

__all__ = ["LARGEST_STORE", "MOST_KEYS", "MemoryState", "Slot", "StateStore", "decode", "encode", "full", "named"]

LONGEST_NAME = 512  # bytes of a scope, and of a key
LARGEST_VALUE = 4 * 1024 * 1024  # bytes of a value, as JSON
LARGEST_STORE = 64 * 1024 * 1024  # bytes of all values
MOST_KEYS = 100_000
_BYTES = "\0bytes"  # the key of a table that stands for a string that is no UTF-8, or for a table with that key alone


class Slot(NamedTuple):
    """What is kept under a key. version: 0 where nothing is."""

    value: Any
    version: int


def named(word: str, text: Any) -> str:
    """A scope or a key. Raises ValidationError."""
    if not isinstance(text, str) or not text or not _is_text(text) or len(text.encode()) > LONGEST_NAME:
        raise ValidationError(f"a {word} of State is a text in UTF-8 of 1 to {LONGEST_NAME} bytes")
    return text


def _packed(value: Any) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, dict):
        plain = {key: _packed(one) for key, one in value.items()}
        return {_BYTES: plain} if plain.keys() == {_BYTES} else plain
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it has a number that JSON does not")
    return [_packed(one) for one in value] if isinstance(value, list | tuple) else value


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() != {_BYTES}:
            return {key: _unpacked(one) for key, one in value.items()}
        inner = value[_BYTES]
        return {_BYTES: _unpacked(inner[_BYTES])} if isinstance(inner, dict) else base64.b64decode(inner)
    return [_unpacked(one) for one in value] if isinstance(value, list) else value


def decode(data: bytes) -> Any:
    """The value of what `encode` gave. Raises ValueError for what it cannot have given."""
    try:
        return _unpacked(orjson.loads(data))
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no value of State: {error}") from None


def _misfit(value: Any, at: str = "") -> str | None:
    """What in *value* cannot be kept, and where."""
    what = None
    if isinstance(value, dict):
        for key, one in value.items():
            if not (isinstance(key, str) and _is_text(key)):
                what = f"the key {key!r}"
            elif found := _misfit(one, f"{at}.{key}" if at else key):
                return found
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value, 1):
            if found := _misfit(one, f"{at}[{number}]"):
                return found
    elif isinstance(value, float):
        what = None if math.isfinite(value) else str(value)
    elif isinstance(value, str):
        what = None if _is_text(value) else "a text with half a surrogate pair"
    elif isinstance(value, int):
        what = None if -(1 << 63) <= value < 1 << 64 else "a number of more than 64 bits"
    elif value is not None and not isinstance(value, bytes):
        what = f"a value of type {type(value).__name__}"
    return what and f"{what} at `{one_line(at, 200)}`" if at else what


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(key: str, value: Any) -> bytes:
    """A value as it is kept. Raises ValidationError, naming its place, for what cannot be; LimitError for one that is
    too large.
    """
    try:
        data = orjson.dumps(_packed(value))
    except (TypeError, ValueError) as error:
        raise _unkept(key, _misfit(value) or str(error)) from None
    except RecursionError:
        raise _unkept(key, "it is nested too deep") from None
    if len(data) > LARGEST_VALUE:
        raise LimitError(
            f"`{one_line(key, 80)}` of State would take {len(data)} bytes, more than the {LARGEST_VALUE} of one value",
            hint="keep it in parts, or in a file",
        )
    return data


def _unkept(key: str, why: str) -> ValidationError:
    return ValidationError(
        f"`{one_line(key, 80)}` of State cannot keep that value: {one_line(why, 300)}",
        hint="keep strings, numbers, booleans, and tables of them",
    )


class StateStore:
    """Values by scope and key."""

    def get(self, scope: str, key: str) -> Slot:
        """What is kept; (None, 0) where nothing is."""
        raise NotImplementedError

    def put(self, scope: str, key: str, value: Any) -> None:
        """Keeps a value; None takes away what was kept. Raises ValidationError, LimitError."""
        raise NotImplementedError

    def swap(self, scope: str, key: str, version: int, value: Any) -> bool:
        """The same where the key still has that version; else it changes nothing, and gives False."""
        raise NotImplementedError

    def delete(self, scope: str, key: str) -> bool:
        """Whether there was something."""
        raise NotImplementedError

    def keys(self, scope: str) -> list[str]:
        """Of one scope, sorted."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives back what it holds."""


class MemoryState(StateStore):
    """Kept as long as the object is; several threads may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # scripts of several threads may share it
        self._slots: dict[str, dict[str, tuple[bytes, int]]] = {}
        self._count = self._size = self._version = 0

    def get(self, scope: str, key: str) -> Slot:
        found = self._slots.get(named("scope", scope), {}).get(named("key", key))
        return Slot(None, 0) if found is None else Slot(decode(found[0]), found[1])

    def put(self, scope: str, key: str, value: Any) -> None:
        self._change(scope, key, value, None)

    def swap(self, scope: str, key: str, version: int, value: Any) -> bool:
        return self._change(scope, key, value, version)

    def _change(self, scope: str, key: str, value: Any, expected: int | None) -> bool:
        named("scope", scope), named("key", key)
        data = None if value is None else encode(key, value)
        with self._lock:
            before = self._slots.get(scope, {}).get(key)
            if expected is not None and expected != (before[1] if before else 0):
                return False
            self._replace(scope, key, data)
            return True

    def _replace(self, scope: str, key: str, data: bytes | None) -> bool:
        """Puts *data*, or nothing, in the place of what is there; gives whether something was."""
        before = self._slots.get(scope, {}).get(key)
        size = self._size + len(data or b"") - (len(before[0]) if before else 0)
        count = self._count + (data is not None) - (before is not None)
        if data is not None and (size > LARGEST_STORE or count > MOST_KEYS):
            raise full()
        self._size, self._count = size, count
        if data is not None:
            self._version += 1
            self._slots.setdefault(scope, {})[key] = data, self._version
        elif before is not None:
            keys = self._slots[scope]
            del keys[key]
            if not keys:
                del self._slots[scope]
        return before is not None

    def delete(self, scope: str, key: str) -> bool:
        named("scope", scope), named("key", key)
        with self._lock:
            return self._replace(scope, key, None)

    def keys(self, scope: str) -> list[str]:
        named("scope", scope)
        with self._lock:
            return sorted(self._slots.get(scope, ()))


def full() -> LimitError:
    """The error where a store can take no more."""
    return LimitError(
        f"State would keep more than {LARGEST_STORE >> 20} MB or {MOST_KEYS} keys",
        hint="delete what is no longer needed, or keep it in files",
    )
