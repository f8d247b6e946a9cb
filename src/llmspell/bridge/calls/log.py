"""Host calls behind `Log`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def line_of(message: str, fields: dict[str, Any] | None) -> str:
    """The message and the fields behind it, `name=value` each, tables as JSON."""
    known = fields or {}
    return message + "".join(f" {name}={_shown(known[name])}" for name in sorted(known, key=str))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    import orjson

    def text(other: Any) -> str:
        return other.decode("utf-8", "replace") if isinstance(other, bytes) else str(other)

    try:
        return text(value) if isinstance(value, bytes) else orjson.dumps(value, text, orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # keys that are no text
        return str(value)


def _text(message: str | bytes) -> str:
    return message if isinstance(message, str) else message.decode("utf-8", "replace")


def _level(name: str) -> Callable[[Run, str, dict[str, Any] | None], None]:
    def log(run: Run, message: str | bytes, fields: dict[str, Any] | list[Any] | None) -> None:
        # By their types: what a script's values come as, and a line of a log may be a token of a stream.
        text = message if type(message) is str else _text(message)
        run.log(name, text, {"value": fields} if type(fields) is list else fields)  # type: ignore[arg-type]

    return log


ASKS: dict[str, Callable[..., Any]] = {
    **{f"Log.{name}": _level(name) for name in ("debug", "info", "warn", "error")},
}
CALLS: dict[str, Callable[..., Any]] = {}
