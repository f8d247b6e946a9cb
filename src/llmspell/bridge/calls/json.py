"""Host calls behind `JSON`."""

from __future__ import annotations

import orjson

from llmspell.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _place(text: str | bytes, at: int) -> str:
    before = text[:at]
    newline, end = ("\n", 1) if isinstance(before, str) else (b"\n", 1)
    line = before.count(newline) + 1  # type: ignore[arg-type]
    column = at - (before.rfind(newline) + end) + 1  # type: ignore[arg-type]
    return f"line {line}, column {column}"


def _parse(run: Run, text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = error.msg.partition(": line ")[0]
        raise ValidationError(f"`JSON.parse`: {message} ({_place(text, error.pos)})") from None


def _stringify(run: Run, value: Any, pretty: bool) -> bytes:
    options = orjson.OPT_SORT_KEYS | (orjson.OPT_INDENT_2 if pretty else 0)
    try:
        return orjson.dumps(value, option=options)
    except TypeError as error:
        what = "a string that is not UTF-8" if "bytes" in str(error) else str(error)
        raise ValidationError(f"`JSON.stringify`: {what} cannot be written as JSON") from None


ASKS: dict[str, Callable[..., Any]] = {"JSON.parse": _parse, "JSON.stringify": _stringify}
CALLS: dict[str, Callable[..., Any]] = {}
