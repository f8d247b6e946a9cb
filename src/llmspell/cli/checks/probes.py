"""What `llmspell doctor` tries in a process of its own: a library that ends its process, or never comes back, is then
a line of the report. `run` is the report's side; `answer` is the child's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import LLMSpellError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ENGINE", "LUA", "Found", "answer", "library", "run", "twin"]

PATIENCE = 20.0  # seconds for all that a child tries
STOP = 0.05  # seconds after which a script without end is to be stopped
LATE = 5.0  # seconds that a script of one line may take
_MARK = "llmspell-probe "  # begins a line of the child's: a library may print lines of its own

LUA = "lua"  # the library
ENGINE = "engine"  # what llmspell makes of it


def twin(stem: str) -> str:
    """The probe that asks the chooser for *stem*."""
    return f"twin:{stem}"


def library(module: str) -> str:
    """The probe that imports *module*."""
    return f"library:{module}"


class Found(NamedTuple):
    """What a probe came to. wrong: what is wrong, in words, or None. hint: what to do about that."""

    facts: dict[str, Any]
    wrong: str | None = None
    hint: str | None = None


# -- in the report's process

# `-P`: what lies in the working folder is nobody's library. The path is the one that this process has.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from llmspell.cli.checks import probes; probes.answer()"
)


def run(names: Iterable[str]) -> dict[str, Found]:
    """What each probe found. One that ends the child takes no other with it."""
    found: dict[str, Found] = {}
    left = list(dict.fromkeys(names))
    while left:
        told, ended = _child(left)
        found |= told
        left = [name for name in left if name not in found]
        if left:
            found[left.pop(0)] = Found({}, ended)
    return found


def _child(names: list[str]) -> tuple[dict[str, Found], str]:
    """What a child has told before it ended, and how it ended, in words."""
    import json

    command = [sys.executable, "-P", "-c", _CODE, json.dumps(sys.path), *names]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        out, ended = done.stdout, _end(done.returncode, done.stderr)
    except subprocess.TimeoutExpired as late:
        out, ended = late.stdout or b"", f"it does not come back within {PATIENCE:g} s"
    except OSError as error:
        out, ended = b"", f"Python cannot be started: {error.strerror or error}"
    found: dict[str, Found] = {}
    for line in out.decode("utf-8", "replace").splitlines():
        if line.startswith(_MARK):
            name, *rest = json.loads(line.removeprefix(_MARK))
            found[name] = Found(*rest)
    return found, ended


def _end(code: int, err: bytes) -> str:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    if code < 0:
        import signal

        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"it ends the process ({name})"
    return one_line(lines[-1], 200) if lines else f"it ends the process (exit code {code})"


# -- in the child


def answer() -> None:
    """Tries what the command line names, and tells of each as soon as it is known. Does not return."""
    import json

    for name in sys.argv[2:]:
        kind, _, what = name.partition(":")
        try:
            found = Found(_PROBES[kind](what))
        except LLMSpellError as error:
            found = Found({}, error.message, error.hint)
        except BaseException as error:
            text = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            found = Found({}, one_line(text, 300))
        sys.stdout.write(f"\n{_MARK}{json.dumps([name, *found])}\n")
        sys.stdout.flush()
    os._exit(0)  # the end of a library may go wrong, too, but is none of its use


def _lua(_: str) -> dict[str, Any]:
    import lupa
    import lupa.lua54 as lua54

    return {"lupa": lupa.__version__, "lua": _release(lua54.__file__), "file": lua54.__file__}


def _release(path: str) -> str:
    """Lua's exact release, which lupa does not tell: of the text that every Lua has in it for `ident`."""
    import ctypes
    import re

    try:
        told = ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(ctypes.CDLL(path), "lua_ident")))
    except (OSError, ValueError):  # not told to others, as on Windows: it stands in the file all the same
        with open(path, "rb") as file:
            told = file.read()
    release = re.search(rb"Lua (5\.\d+\.\d+)  Copyright", told)
    return "5.4" if release is None else release[1].decode()


def _engine(_: str) -> dict[str, Any]:
    """A script is run, and one without end is stopped."""
    from time import monotonic

    from llmspell.bridge.engine import DONE, STOPPED, Engine, core
    from llmspell.errors import InternalError

    def outcome(text: bytes, seconds: float) -> Any:
        lua = Engine(lambda op, args: None, lambda fd, data: True, lambda error: {"message": str(error)})
        lua.start(core())
        lua.deadline = monotonic() + seconds
        return lua.resume(lua.load(text, b"@doctor"), None, [])

    came = outcome(b"return pcall(function() return ('x'):rep(3) end)", LATE)
    if came != (DONE, [True, "xxx"]):
        raise InternalError(f"a script came to {came!r}")
    begun = monotonic()
    came = outcome(b"while true do pcall(function() while true do end end) end", STOP)
    if came != (STOPPED, "deadline"):
        raise InternalError(f"a script without end came to {came!r}")
    return {"module": Engine.__module__, "stopped_after": round(monotonic() - begun - STOP, 4)}


def _twin(stem: str) -> dict[str, Any]:
    from llmspell import _speedups

    which, _, why = _speedups.choice(stem).partition(": ")
    return {"twin": which, "reason": why or None}


def _library(module: str) -> dict[str, Any]:
    from importlib import import_module

    if module == "xllamacpp":  # looks for what the processor has before it loads anything
        from llmspell.providers.local_engine import require_engine

        require_engine()
    if module == "httpx":  # as llmspell imports it: without its own command line
        sys.modules["httpx._main"] = None  # type: ignore[assignment]
    return {"file": getattr(import_module(module), "__file__", None)}


_PROBES: dict[str, Callable[[str], dict[str, Any]]] = {
    "lua": _lua,
    "engine": _engine,
    "twin": _twin,
    "library": _library,
}
