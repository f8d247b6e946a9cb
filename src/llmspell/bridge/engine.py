"""The Lua engine behind one seam, and the prelude that makes it llmspell's."""

from __future__ import annotations

import os

from llmspell._speedups._lua_py import CALL, DONE, ERROR, GONE, STOPPED, UNFIT, Engine, LoadError

__all__ = ["CALL", "CORE", "DONE", "ERROR", "GONE", "STOPPED", "UNFIT", "Engine", "LoadError", "prelude"]

#: Prelude files that every run has, in order; each of the others is loaded when its global is first used.
CORE = ("sandbox", "table", "io", "module", "coroutine", "api")

_texts: dict[str, bytes] = {}


def prelude(name: str) -> bytes:
    """The text of a prelude file."""
    text = _texts.get(name)
    if text is None:
        with open(os.path.join(os.path.dirname(__file__), "prelude", name + ".lua"), "rb") as file:
            text = _texts[name] = file.read()
    return text
