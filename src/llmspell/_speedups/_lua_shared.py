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
    "lua_half",
]

DONE, CALL, ERROR, STOPPED, UNFIT, GONE, PREEMPTED = range(7)

KEPT_ERRORS = 1000  # exceptions that error tables in Lua stand for
MEMORY_GRACE = 0.5  # seconds for `<close>` variables after memory ended
SHORT = 1000  # bytes of a text of our own that is parsed each time


class LoadError(Exception):
    """A text that is not Lua. The message is Lua's own: `name:line: what`."""


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
