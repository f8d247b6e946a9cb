"""Host calls behind `JSON`."""

from __future__ import annotations

import orjson

from llmspell.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


MOST_VALUES = 1_000_000


def _place(text: str | bytes, at: int) -> str:
    before = text[:at]
    newline, end = ("\n", 1) if isinstance(before, str) else (b"\n", 1)
    line = before.count(newline) + 1  # type: ignore[arg-type]
    column = at - (before.rfind(newline) + end) + 1  # type: ignore[arg-type]
    return f"line {line}, column {column}"


def _too_many(text: str | bytes) -> bool:
    """Whether a JSON text holds more values than may go into Lua: each would be a Python object first."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if data.count(b",") + data.count(b"[") + data.count(b"{") < MOST_VALUES:
        return False
    outside = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    return sum(part.count(b",") + part.count(b"[") + part.count(b"{") for part in outside) > MOST_VALUES


def _parse(run: Run, text: str | bytes) -> Any:
    if len(text) > MOST_VALUES and _too_many(text):
        raise ValidationError(
            f"`JSON.parse`: the text holds more than {MOST_VALUES} values", hint="take it apart before it is parsed"
        )
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message, at = error.msg.partition(": line ")[0], error.pos
    raise ValidationError(f"`JSON.parse`: {message} ({_place(text, at)})")  # not in there: orjson's holds the text


def _stringify(run: Run, value: Any, pretty: bool) -> bytes:
    options = orjson.OPT_SORT_KEYS | (orjson.OPT_INDENT_2 if pretty else 0)
    try:
        return orjson.dumps(value, option=options)
    except TypeError as error:
        what = "a string that is not UTF-8" if "bytes" in str(error) else str(error)
        raise ValidationError(f"`JSON.stringify`: {what} cannot be written as JSON") from None


ASKS: dict[str, Callable[..., Any]] = {"JSON.parse": _parse, "JSON.stringify": _stringify}
CALLS: dict[str, Callable[..., Any]] = {}
