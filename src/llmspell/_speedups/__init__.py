"""The chooser: each hot part has a compiled twin and a pure one; a name takes the compiled one on its first use.

`LLMSPELL_NO_EXTENSIONS=1` picks the pure ones. `choice(stem)` tells which was taken and why. A leaf: twins know plain
values only, and are told of classes when they start.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # checkers read the pure twin
    from types import ModuleType
    from typing import Any

    from llmspell._speedups._sse_py import EventParser as EventParser
    from llmspell._speedups._sse_py import EventTooLarge as EventTooLarge

PURE = bool(os.environ.get("LLMSPELL_NO_EXTENSIONS")) or sys.implementation.name != "cpython"
HOME = {"EventParser": "sse", "EventTooLarge": "sse"}  # name: stem
STEMS = ("sse",)
CHOICE: dict[str, str] = {}  # stem: which twin, and why


def _twin(stem: str) -> ModuleType:
    why = "LLMSPELL_NO_EXTENSIONS is set" if PURE else ""
    if not PURE:
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
