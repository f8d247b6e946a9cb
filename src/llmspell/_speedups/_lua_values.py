"""Values on their way into and out of the pure engine's Lua: a shape and a flat list of scalars.

`lua_half/stopping.lua` says what the letters of a shape mean.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Flat", "rebuild", "text_of"]

MAX_VALUES = 1_000_000
MAX_DEPTH = 64


def text_of(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


class Flat:
    """One value on its way into Lua: the shape and its scalars."""

    __slots__ = ("chunk_type", "chunk_words", "count", "metadata", "shape", "values")

    def __init__(self, chunk_type: type | None, chunk_words: dict[type, bytes]) -> None:
        self.shape = bytearray()
        self.values: list[Any] = []
        self.count = 0
        self.metadata: object = None
        self.chunk_type = chunk_type
        self.chunk_words = chunk_words

    def scalar(self, value: Any) -> None:
        kind = type(value)
        if kind is str:
            value = value.encode()
        elif kind is int and not -(2**63) <= value < 2**63:
            try:
                value = float(value)
            except OverflowError:
                raise ValueError("an integer beyond the range of floats cannot go into Lua") from None
        self.shape.append(118)  # v
        self.values.append(value)

    def add(self, value: Any, depth: int = MAX_DEPTH) -> None:
        """Takes in *value*. Raises TypeError for what Lua cannot have, ValueError for what is too deep or too large."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES} values")
        kind = type(value)
        if value is None:
            self.shape.append(110)  # n
        elif kind in (str, int, float, bool, bytes):
            self.scalar(value)
        elif depth == 0:
            raise ValueError(f"values nested more than {MAX_DEPTH} deep")
        elif kind is dict:
            self.mapping(value, depth)
        elif kind is list or kind is tuple:
            self.sequence(value, depth)
        elif kind is self.chunk_type:
            self.chunk(value, depth)
        else:
            raise TypeError(f"a Python {kind.__name__} cannot go into Lua")

    def mapping(self, value: dict[Any, Any], depth: int) -> None:
        self.shape.append(123)  # {
        for key, item in value.items():
            if item is None:
                continue
            if type(key) not in (str, int, float, bool, bytes) or key != key:
                raise TypeError(f"a Python {type(key).__name__} cannot be a key in Lua")
            self.scalar(key)
            self.add(item, depth - 1)
        self.shape.append(125)  # }

    def sequence(self, value: list[Any] | tuple[Any, ...], depth: int) -> None:
        if not value:
            self.shape.append(101)  # e
            return
        self.shape.append(91)  # [
        for item in value:
            if item is None:
                self.shape.append(48)  # 0
            else:
                self.add(item, depth - 1)
        self.shape.append(93)  # ]

    def chunk(self, value: Any, depth: int) -> None:
        stream_id, index, content, metadata, timestamp = value
        word = self.chunk_words.get(type(content))
        if word is None:
            self.mapping(value.to_dict(), depth)
            return
        if metadata is not self.metadata:
            self.metadata = metadata
            self.shape.append(109)  # m
            self.mapping(metadata, depth - 1)
        self.shape.append(99)  # c
        self.values += (stream_id.encode(), index, word, content[0].encode(), timestamp)


def rebuild(shape: bytes, values: Iterator[Any]) -> list[Any]:
    """The values of one crossing out of Lua."""
    top: list[Any] = []
    stack: list[tuple[Any, Any]] = []  # what to go back to: a container and the key in it that waits
    here: Any = top
    key: Any = None
    wants_key = False
    for letter in shape:
        if wants_key and letter == 118:
            raw = next(values)
            key = text_of(raw) if type(raw) is bytes else raw
            wants_key = False
            continue
        if letter in (125, 93):  # } ]
            done = here
            here, key = stack.pop()
        elif letter in (123, 91):  # { [
            stack.append((here, key))
            here = {} if letter == 123 else []
            wants_key = letter == 123
            continue
        elif letter == 118:
            raw = next(values)
            done = text_of(raw) if type(raw) is bytes else raw
        else:
            done = [] if letter == 101 else None
        if type(here) is list:
            here.append(done)
        else:
            here[key] = done
        wants_key = type(here) is dict
    return top
