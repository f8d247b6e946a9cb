"""Whether a text is Lua, whether it only lacks an end, and what of it is an expression: by Lua's own parser.

Each look is at a Lua state of its own that runs nothing.
"""

from __future__ import annotations

from llmspell.bridge.engine import Engine, LoadError

__all__ = ["is_chunk", "is_expression", "needs_more"]

END = "<eof>"  # how Lua's word ends where the text does


def _refused(text: bytes) -> str | None:
    """What Lua has against *text*; None where it is a chunk."""
    if b"\0" in text[:4096] or text.startswith(b"\x1bLua"):
        return "not a text"
    engine = Engine(lambda op, args: None, lambda fd, data: True, lambda error: {}, max_memory=0, max_cpu=0)
    try:
        engine.load(text, b"=text")
    except LoadError as error:
        return str(error)
    finally:
        engine.close()
    return None


def is_chunk(text: bytes) -> bool:
    """Whether it can be run as it is."""
    return _refused(text) is None


def is_expression(text: bytes) -> bool:
    """Whether it has a value, or several, or none."""
    return _refused(b"return " + text) is None


def needs_more(text: bytes) -> bool:
    """Whether *text* is the beginning of an expression or of statements, and neither as it stands."""
    expression = _refused(b"return " + text)
    if expression is None:
        return False
    text += b"\n"  # which ends a string in quotes: that is wrong, and nothing mends it
    expression, statements = _refused(b"return " + text) or "", _refused(text)
    return statements is not None and (statements.endswith(END) or expression.endswith(END))
