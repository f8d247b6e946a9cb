"""Host calls behind `Log`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _level(name: str) -> Callable[[Run, str, dict[str, Any] | None], None]:
    def log(run: Run, message: str | bytes, fields: dict[str, Any] | None) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        run.log(name, text, fields if isinstance(fields, dict) else None)

    return log


ASKS: dict[str, Callable[..., Any]] = {
    **{f"Log.{name}": _level(name) for name in ("debug", "info", "warn", "error")},
}
CALLS: dict[str, Callable[..., Any]] = {}
