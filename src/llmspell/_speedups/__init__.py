"""The chooser: each hot part has a compiled twin and a pure one; a name takes the compiled one on its first use.

`LLMSPELL_NO_EXTENSIONS=1` picks the pure ones, and so does a Python whose extensions could not be trusted: another
than CPython, one without its global lock, a sub-interpreter. `choice(stem)` tells which was taken and why. A leaf:
twins know plain values only, and are told of classes when they start.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # checkers read the pure twin
    from types import ModuleType
    from typing import Any

    from llmspell._speedups._lua_py import Engine as Engine
    from llmspell._speedups._media_py import media_facts as media_facts
    from llmspell._speedups._media_py import read_media as read_media
    from llmspell._speedups._media_py import sniff as sniff
    from llmspell._speedups._retry_py import Ceiling as Ceiling
    from llmspell._speedups._retry_py import RetryTokens as RetryTokens
    from llmspell._speedups._retry_py import backoff as backoff
    from llmspell._speedups._retry_py import decide as decide
    from llmspell._speedups._sse_py import EventParser as EventParser
    from llmspell._speedups._sse_py import Events as Events
    from llmspell._speedups._sse_py import EventTooLarge as EventTooLarge
    from llmspell._speedups._sse_py import chat_text as chat_text
    from llmspell._speedups._stream_py import Chunked as Chunked
    from llmspell._speedups._stream_py import Gathering as Gathering
    from llmspell._speedups._stream_py import Handing as Handing
    from llmspell._speedups._stream_py import Passing as Passing
    from llmspell._speedups._stream_py import Place as Place
    from llmspell._speedups._stream_py import Pouring as Pouring
    from llmspell._speedups._stream_py import Receiving as Receiving
    from llmspell._speedups._stream_py import Resuming as Resuming
    from llmspell._speedups._stream_py import Stamp as Stamp
    from llmspell._speedups._stream_py import TakerFailed as TakerFailed
    from llmspell._speedups._stream_py import Waits as Waits
    from llmspell._speedups._stream_py import WireError as WireError

HOME = {
    "Engine": "lua", "EventParser": "sse", "EventTooLarge": "sse", "Events": "sse", "chat_text": "sse",
    "media_facts": "media", "read_media": "media", "sniff": "media",
    "Ceiling": "retry", "RetryTokens": "retry", "backoff": "retry", "decide": "retry",
    "Chunked": "stream", "Gathering": "stream", "Handing": "stream", "Passing": "stream",
    "Place": "stream", "Pouring": "stream", "Receiving": "stream", "Resuming": "stream", "Stamp": "stream",
    "TakerFailed": "stream", "Waits": "stream", "WireError": "stream",
}  # name: stem  # fmt: skip
STEMS = ("lua", "media", "retry", "sse", "stream")
CHOICE: dict[str, str] = {}  # stem: which twin, and why


def in_main_interpreter() -> bool:
    """Whether this is the process's main interpreter, and no sub-interpreter. Looked at before lupa is imported."""
    import _thread

    told = getattr(_thread, "_is_main_interpreter", None)  # from Python 3.12 on
    if told is not None:
        return bool(told())
    import _signal

    try:
        _signal.signal(0, _signal.SIG_DFL)  # no signal has this number, but who may ask is looked at first
    except ValueError as error:
        if "main interpreter" not in str(error):
            return True
    try:  # half a millisecond, for those alone who first use llmspell in another thread than the main one
        interpreters: Any = import_module("_xxsubinterpreters")
    except ImportError:
        return True
    return bool(interpreters.get_current() == interpreters.get_main())


def has_global_lock() -> bool:
    """Whether this Python was built with its global lock, and runs with it."""
    enabled = getattr(sys, "_is_gil_enabled", None)  # from Python 3.13 on
    return "free-threading" not in sys.version and (enabled is None or bool(enabled()))


def _refusal() -> str:
    """Why no compiled twin may be taken; nothing where one may."""
    if os.environ.get("LLMSPELL_NO_EXTENSIONS"):
        return "LLMSPELL_NO_EXTENSIONS is set"
    if sys.implementation.name != "cpython":
        return f"this Python is {sys.implementation.name}; compiled twins are for CPython"
    if not has_global_lock():
        return "this Python runs without its global lock; compiled twins rely on it"
    if not in_main_interpreter():
        return "this is a sub-interpreter; a process's compiled twins are its main interpreter's"
    return ""


def _twin(stem: str) -> ModuleType:
    why = _refusal()
    if not why:
        try:
            module = import_module(f"._{stem}_c", __name__)
            CHOICE[stem] = "compiled"
            return module
        except ImportError as exc:
            why = str(exc)
    CHOICE[stem] = f"pure: {why}"
    return import_module(f"._{stem}_py", __name__)


def choice(stem: str) -> str:
    """`compiled`, or `pure: ` and the reason, for one of STEMS."""
    if stem not in CHOICE:
        _twin(stem)
    return CHOICE[stem]


def __getattr__(name: str) -> Any:
    stem = HOME.get(name)
    if stem is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_twin(stem), name)
    globals()[name] = value
    return value
