"""What a tool gave, as all who are told of it can take it: a model, a script, a recording."""

from __future__ import annotations

from enum import Enum
from typing import Any

from llmspell.errors import LLMSpellError, ToolError, one_line
from llmspell.tools.base import ToolResult
from llmspell.types.media import Media, media_of

__all__ = ["fit", "plain"]

MAX_DEPTH = 60  # of containers; what is nested deeper cannot go into Lua with what is around it
MOST_VALUES = 2_000_000
LARGEST = 2**1023  # of whole numbers: beyond it they are no numbers of a script's either
_AS_THEY_ARE = frozenset({type(None), bool, float, bytes})


def fit(given: Any, name: str) -> ToolResult:
    """What the tool *name* gave. Raises ToolError where that is no result, or none of plain data."""
    if not isinstance(given, ToolResult):
        raise ToolError(
            f"tool `{name}` gave a {one_line(type(given).__name__, 60)}, and no ToolResult",
            hint="its `run` is to return `ToolResult(value)`",
            tool=name,
        )
    done: ToolResult = given
    if done.media:
        done = done._replace(media=tuple(_medium(one, name) for one in done.media))
    try:
        if not _is_plain(done.result):
            done = done._replace(result=plain(done.result))
    except TypeError as error:
        raise ToolError(
            f"tool `{name}` gave something that is no plain data: {one_line(str(error), 200)}",
            hint="return texts, numbers, lists and dicts of them, a dataclass, a Media or a ToolResult",
            tool=name,
        ) from None
    return done if done.text is None or _is_text(done.text) else done._replace(text=_text(done.text))


def _medium(given: Any, name: str) -> Media:
    """A medium of a result, with its bytes."""
    try:
        medium = media_of(given)
    except LLMSpellError as error:  # a file of a MediaContent that is no more what it was
        raise ToolError(f"tool `{name}` gave a medium without its bytes: {error.message}", tool=name) from error
    if medium is None:
        what = one_line(type(given).__name__, 60)
        raise ToolError(f"tool `{name}` gave a {what} among its media", hint="give Media or MediaContent", tool=name)
    return medium


def _is_plain(value: Any) -> bool:
    """Whether it is plain as it stands. Raises TypeError for what is too deep, or too much."""
    level, seen = [value], 0
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind in _AS_THEY_ARE:
                continue
            if kind is str:
                if not _is_text(one):
                    return False
            elif kind is int:
                if not -LARGEST < one < LARGEST:
                    return False
            elif kind is dict:
                if not all(type(key) is int or (type(key) is str and _is_text(key)) for key in one):
                    return False
                below += one.values()
            elif kind is list:
                below += one
            else:
                return False
        if not below:
            return True
        seen += len(below)
        if seen > MOST_VALUES:
            raise TypeError(f"it holds more than {MOST_VALUES:,} values")
        level = below
    raise TypeError("it is nested too deep")


def plain(value: Any, depth: int = 0) -> Any:
    """What a function gave, as plain data. Raises TypeError, naming the type, for what has no such form."""
    if type(value) in _AS_THEY_ARE:
        return value
    if depth > MAX_DEPTH:
        raise TypeError("it is nested too deep")
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        if not -LARGEST < value < LARGEST:
            raise TypeError("a whole number is too large")
        return int(value)
    if isinstance(value, float | bytes):
        return float(value) if isinstance(value, float) else bytes(value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: plain(getattr(value, name), depth + 1) for name in _fields(value)}
    if hasattr(value, "_asdict"):
        return plain(value._asdict(), depth + 1)
    if isinstance(value, dict):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no plain value")


def _fields(value: Any) -> list[str]:
    import dataclasses

    return [one.name for one in dataclasses.fields(value)]


def _key(key: Any) -> int | str:
    if isinstance(key, int) and not isinstance(key, bool):
        return int(key)
    return _text(key if isinstance(key, str) else str(key))


def _is_text(text: Any) -> bool:
    """Whether it is a text that can be written: half a surrogate pair, as of a file's odd name, cannot."""
    if type(text) is not str:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: Any) -> str:
    return str(text).encode("utf-8", "replace").decode()
