"""Host calls behind `tools`, what a model's own program may call. See bridge/run_lua.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import InternalError, ToolError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run


def _names(run: Run) -> list[str]:
    return [] if run.tool_calls is None else run.tool_calls.names()


async def _call(run: Run, name: str, params: Any) -> Any:
    """What a tool gave: its result, or its text where that is all."""
    if run.tool_calls is None:
        raise InternalError("there are no tools here")
    if params == []:
        params = {}
    if not isinstance(params, dict):
        raise ValidationError(f"`tools.{name}` takes a table of its parameters")
    done = await run.tool_calls.call(name, params)
    if done.is_error:
        raise ToolError(one_line(done.told(), 2000), tool=name)
    return done.told() if done.result is None else done.result


def _has(run: Run, name: Any) -> bool:
    return run.tool_calls is not None and isinstance(name, str) and run.tool_calls.has(name)


ASKS: dict[str, Callable[..., Any]] = {"tools.names": _names, "tools.has": _has}
CALLS: dict[str, Callable[..., Any]] = {"tools.call": _call}
