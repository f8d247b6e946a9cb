"""The Lua engine behind one seam, and the prelude that makes it llmspell's.

Where Lua cannot be had, importing this raises NotSupportedError, which says why.
"""

from __future__ import annotations

import os

from llmspell import _speedups
from llmspell._speedups._lua_shared import CALL, DONE, ERROR, GONE, PREEMPTED, STOPPED, UNFIT, LoadError
from llmspell.errors import NotSupportedError, one_line

# lupa itself cannot be had twice in a process: it refuses the second interpreter, or hangs there (Python 3.11), and a
# sub-interpreter that comes first would take it from the main one.
if not _speedups.in_main_interpreter():
    raise NotSupportedError(
        "scripts run in a process's main interpreter, and this is a sub-interpreter",
        hint="use threads or processes instead; with mod_wsgi, set `WSGIApplicationGroup %{GLOBAL}`",
    )
try:
    from llmspell._speedups import Engine
except ImportError as error:
    raise NotSupportedError(
        f"Lua cannot be loaded: {one_line(str(error))}",
        hint="`llmspell doctor` says more; `pip install --force-reinstall lupa` mends a broken installation",
    ) from error

__all__ = [
    "AWAY",
    "CALL",
    "DONE",
    "ERROR",
    "GONE",
    "LOST",
    "PREEMPTED",
    "REFUSED",
    "STOPPED",
    "UNFIT",
    "Engine",
    "LoadError",
    "core",
    "prelude",
]

#: Outcomes of an engine in another process: one that comes later; an exception, for that process is no more; what is
#: wrong with a text that is not Lua, and in which column, or 0.
AWAY, LOST, REFUSED = range(PREEMPTED + 1, PREEMPTED + 4)

#: Prelude files that every run has, in order; each of the others is loaded when its global is first used.
_CORE = ("sandbox", "table", "io", "module", "coroutine", "api")

_texts: dict[str, bytes] = {}


def prelude(name: str) -> bytes:
    """The text of a prelude file."""
    text = _texts.get(name)
    if text is None:
        with open(os.path.join(os.path.dirname(__file__), "prelude", name + ".lua"), "rb") as file:
            text = _texts[name] = file.read()
    return text


def core() -> bytes:
    """The text that every run starts with: those files, each a function of its own."""
    text = _texts.get("")
    if text is None:
        text = b"local host = ...\n" + b"".join(b"(function(...)\n%b\nend)(host);\n" % prelude(part) for part in _CORE)
        _texts[""] = text
    return text
