"""What the two Lua engines share: the outcomes of a step, and llmspell's own Lua, read and compiled once a process."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CALL",
    "DONE",
    "ERROR",
    "GONE",
    "KEPT_ERRORS",
    "MEMORY_GRACE",
    "PREEMPTED",
    "STOPPED",
    "UNFIT",
    "LoadError",
    "code_of",
    "let_values_go",
    "lua_half",
]

DONE, CALL, ERROR, STOPPED, UNFIT, GONE, PREEMPTED = range(7)

KEPT_ERRORS = 1000  # exceptions that error tables in Lua stand for
MEMORY_GRACE = 0.5  # seconds for `<close>` variables after memory ended
RESUMED = 0x20 | 0x80 | 0x200  # code of a generator, a coroutine, an asynchronous generator
SHORT = 1000  # bytes of a text of our own that is parsed each time


class LoadError(Exception):
    """A text that is not Lua. The message is Lua's own: `name:line: what`."""


def let_values_go(error: BaseException | None) -> None:
    """Before an exception is kept: its traceback says where it was, and no longer holds what was there.

    The arguments of a call that failed may be megabytes; a thousand such exceptions are kept. Frames of coroutines and
    generators are left alone: one that waits would be closed.
    """
    seen = 0
    while error is not None and seen < 20:
        at = error.__traceback__
        while at is not None:
            if not at.tb_frame.f_code.co_flags & RESUMED:
                try:
                    at.tb_frame.clear()
                except RuntimeError:  # it still runs
                    pass
            at = at.tb_next
        error = error.__cause__ or error.__context__
        seen += 1


def lua_half(parts: tuple[str, ...]) -> bytes:
    """The parts of one text, in order: they share their locals, which a script cannot reach."""
    text = b""
    for part in parts:
        with open(os.path.join(os.path.dirname(__file__), "lua_half", part + ".lua"), "rb") as file:
            text += file.read()
    return text


_met: set[bytes] = set()
_codes: dict[bytes, bytes] = {}


def code_of(text: bytes, compile_: Callable[[bytes], bytes]) -> bytes:
    """A text of llmspell's own, or its bytecode if this process has met it before: that loads five times as fast."""
    code = _codes.get(text)
    if code is not None:
        return code
    if text in _met:
        code = _codes[text] = compile_(text)
        return code
    if len(text) > SHORT:
        _met.add(text)
    return text
