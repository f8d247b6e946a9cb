"""Calls of tools in a run that is recorded. A replay hears what those gave that reach outside, and reaches nothing.

Those that reach nothing run again. All end when the recording has it: which of several ends first decides how a run
goes on.
"""

from __future__ import annotations

import asyncio
import base64
from contextvars import ContextVar
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import LLMSpellError, error_class
from llmspell.tools.base import ToolResult
from llmspell.types.media import Media

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["taped"]

_BYTES = "llmspell:bytes"

#: The tasks in which the tool runs that makes this call, and those that wait for it.
_within: ContextVar[tuple[asyncio.Task[Any], ...]] = ContextVar("llmspell_taped_within", default=())


async def taped(
    run: Any, name: str, arguments: Mapping[str, Any], outside: bool, execute: Callable[[], Awaitable[ToolResult]]
) -> ToolResult:
    """What *execute* gives, or raises. outside: whether a replay gives what it did then, and does not execute.

    Of the arguments only a digest is written down: there may be a key in them.
    """
    tape, tasks = run.tape, (*_within.get(), _task())
    digest = sha256(orjson.dumps(_plain(arguments), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    entry = {"provider": f"the tool {name}", "ask": "tool", "body": {"arguments": digest}}
    token = _within.set(tasks)
    try:
        if tape.replaying:
            return await _replayed(run, entry, outside, tasks, execute)
        return await _recorded(tape, tape.request(entry), outside, execute)
    finally:
        _within.reset(token)


async def _recorded(tape: Any, call: int, outside: bool, execute: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
    try:
        result = await execute()
    except LLMSpellError as error:
        told = {"retryable": error.retryable, **_plain(error.to_dict())}
        await tape.event({"do": "fail", "call": call, "error": told} if outside else {"do": "end", "call": call})
        raise
    output = {"do": "output", "output": _plain(result._asdict())} if outside else {"do": "end"}
    await tape.event({**output, "call": call})
    return result


async def _replayed(
    run: Any,
    entry: dict[str, Any],
    outside: bool,
    tasks: tuple[asyncio.Task[Any], ...],
    execute: Callable[[], Awaitable[ToolResult]],
) -> ToolResult:
    if outside:
        event = await _heard(run, run.tape.request(entry), tasks)
        if event["do"] == "output":
            return _made(event["output"])
        raise _failed(event.get("error", {}))
    call = run.tape.known(entry)  # a script that computes otherwise has others
    work, task = run.driver.real_work, tasks[-1]
    alone = task not in work
    work.add(task)
    try:
        return await execute()
    finally:
        if alone:
            work.discard(task)
        if call is not None:
            await _heard(run, call, tasks)


async def _heard(run: Any, call: int, tasks: tuple[asyncio.Task[Any], ...]) -> Any:
    """The call's end, when its turn has come. Who waits for that does no work for which the recording would wait."""
    work = run.driver.real_work
    held = work.intersection(tasks)
    work.difference_update(held)
    try:
        return await run.tape.event(call)
    finally:
        run.tape.leave(call)
        work.update(task for task in held if not task.done())


def _task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


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
    fields = _value(told)
    fields["media"] = tuple(Media(**one) for one in fields["media"])
    return ToolResult(**fields)


def _failed(told: dict[str, Any]) -> LLMSpellError:
    known = {name: value for name, value in _value(told).items() if name not in ("kind", "message")}
    return error_class(told.get("kind", ""))(told.get("message", ""), **known)
