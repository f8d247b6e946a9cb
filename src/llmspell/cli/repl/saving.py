"""Inputs of a session as one script: each has the same effect there as it had by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmspell.bridge.chunks import is_chunk

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["script_of"]

_LOCAL = re.compile(rb"\blocal\b")


def script_of(inputs: Iterable[bytes]) -> bytes:
    """Lua that does what the inputs did, one after another."""
    return b"".join(_statement(text) + b"\n" for text in inputs)


def _statement(text: bytes) -> bytes:
    if not is_chunk(text):  # an expression: its value was shown, and is nothing to a script
        return b"do local _ = " + text + b"\nend"
    if not is_chunk(text + b"\n;local _"):  # it ends with a `return`, which would end the script
        return b";(function(...)\n" + text + b"\nend)()"
    if _LOCAL.search(text):  # its locals were its own
        return b"do\n" + text + b"\nend"
    return text
