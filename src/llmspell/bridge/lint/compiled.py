"""The word of Lua's own compiler, which reads a text and runs nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.engine import Engine, LoadError
from llmspell.bridge.lint.problems import Fault, Lines

if TYPE_CHECKING:
    from llmspell.bridge.lint.parser import Chunk

__all__ = ["agreed"]


def agreed(chunk: Chunk, text: bytes) -> None:
    """Leaves of the faults in *chunk* those that Lua's compiler agrees with, and adds what only it knows.

    Where the two differ it is right: what it takes is no error, and what it refuses (an expression that needs more
    registers than there are, say) is one.
    """
    message = _refused(text)
    if message is None:
        if chunk.broken:
            chunk.faults.clear()
    elif not chunk.broken:
        chunk.faults.append(_fault(message, chunk.lines, len(chunk.text)))


def _refused(text: bytes) -> str | None:
    """What is wrong with *text*, in Lua's words; None where it is Lua."""
    engine = Engine(lambda name, arguments: None, lambda number, data: True, lambda error: {})
    try:
        engine.load(text, b"=script")
    except LoadError as error:
        return str(error)
    finally:
        engine.close()
    return None


def _fault(message: str, lines: Lines, size: int) -> Fault:
    place, _, rest = message.partition(": ")
    number = place.removeprefix("script:")
    if not number.isdigit():
        return Fault(message.partition("\n")[0], 0, 0, "limit")
    line = min(int(number), len(lines.starts))
    end = lines.starts[line] - 1 if line < len(lines.starts) else size
    return Fault(rest.partition("\n")[0], lines.starts[line - 1], end, "limit")
