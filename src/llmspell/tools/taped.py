"""Calls of tools that reach outside, of a run that is recorded: a replay hears what they gave, and reaches nothing."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import LLMSpellError, ToolError, error_class
from llmspell.tools.base import ToolResult
from llmspell.types.media import Media

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["taped"]

_BYTES = "llmspell:bytes"


async def taped(
    tape: Any, name: str, arguments: Mapping[str, Any], execute: Callable[[], Awaitable[ToolResult]]
) -> ToolResult:
    """What *execute* gives, or raises; in a replay, what it did then. Calls are told apart by name and arguments, since
    those that run together end in any order."""
    given = orjson.dumps(_plain(arguments), option=orjson.OPT_SORT_KEYS)
    source = f"tool.{name}.{sha256(given).hexdigest()[:16]}"
    if tape.replaying:
        told = tape.value(source, lambda: None)
        if not isinstance(told, str):
            raise ToolError(f"the recording has no such call of `{name}`", hint="record the run anew", tool=name)
        return _made(orjson.loads(told))
    try:
        result = await execute()
    except LLMSpellError as error:
        failed = {"error": {"retryable": error.retryable, **_plain(error.to_dict())}}
        tape.value(source, lambda: orjson.dumps(failed).decode())
        raise
    tape.value(source, lambda: orjson.dumps(_plain(result._asdict())).decode())
    return result


def _plain(value: Any) -> Any:
    """*value* as JSON has it, bytes told apart."""
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _value(told: Any) -> Any:
    if isinstance(told, dict):
        if told.keys() == {_BYTES}:
            return base64.b64decode(told[_BYTES])
        return {key: _value(item) for key, item in told.items()}
    return [_value(item) for item in told] if isinstance(told, list) else told


def _made(told: dict[str, Any]) -> ToolResult:
    if (failed := told.get("error")) is not None:
        known = {name: value for name, value in _value(failed).items() if name not in ("kind", "message")}
        raise error_class(failed["kind"])(failed["message"], **known)
    fields = _value(told)
    fields["media"] = tuple(Media(**one) for one in fields["media"])
    return ToolResult(**fields)
