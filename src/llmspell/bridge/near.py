"""Where in its line a syntax error is: Lua names the line and the token, and a token may stand there several times."""

from __future__ import annotations

from llmspell.bridge.engine import Engine, LoadError
from llmspell.bridge.failures import syntax_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.errors import LLMSpellError

__all__ = ["column_of", "found", "point"]

MOST_TEXT = 256 * 1024  # bytes up to the token: each try parses them
MOST_TRIES = 16
SIGNS = frozenset(b"=~<>/.:")  # of which a longer token may be made


def point(error: LLMSpellError, text: bytes, max_memory: int) -> None:
    """Adds the column, where *error* is Lua's own of a syntax error in *text* that has none yet."""
    if error.column is not None or not isinstance(error.line, int) or error.kind != "script":
        return
    column = found(error.message, text, error.line, max_memory)
    if column is not None:
        error.context["column"] = column


def found(message: str, text: bytes, line: int, max_memory: int) -> int | None:
    """The column of what Lua says of a *line* of *text*, by an engine made for that."""
    if not message.endswith("'") or " near '" not in message:
        return None
    engine = Engine(_nothing, _nothing, _nothing, max_memory=max_memory, interrupts="none")  # nothing is run in it

    def refuses(part: bytes) -> str | None:
        try:
            engine.load(part, b"@script")
        except LoadError as refused:
            return syntax_error(str(refused), "script", b"").message
        return None

    try:
        return column_of(message, text, line, refuses)
    finally:
        engine.close()


def _nothing(*_: object) -> Any:
    raise AssertionError("nothing is run")


def column_of(message: str, text: bytes, line: int, refuses: Callable[[bytes], str | None]) -> int | None:
    """The column, from 1, in characters; None where it cannot be told.

    message: Lua's own, without the place, which ends in `near 'token'`. refuses: the same of a text that is none. The
    text up to the right token, and no more, is refused in the same words: what comes before it is none of its kind.
    """
    token = message.rpartition(" near '")[2].removesuffix("'").encode()
    lines = text.split(b"\n")
    if not token or not 0 < line <= len(lines):
        return None
    before, own = sum(len(one) + 1 for one in lines[: line - 1]), lines[line - 1]
    at, tries = own.find(token), 0
    while at >= 0 and before + at < MOST_TEXT and tries < MOST_TRIES:
        if _whole(own, token, at):
            tries += 1
            if refuses(text[: before + at + len(token)]) == message:
                return len(own[:at].decode("utf-8", "replace")) + 1
        at = own.find(token, at + 1)
    return None


def _whole(line: bytes, token: bytes, at: int) -> bool:
    """Whether the token at *at* is no part of a longer one."""
    around = line[at - 1 : at] + line[at + len(token) : at + len(token) + 1] if at else line[len(token) :][:1]
    if all(one in SIGNS for one in token):
        return not any(one in SIGNS for one in around)
    if token[:1].isalnum() or token[:1] == b"_":
        return not any(chr(one).isalnum() or one == 0x5F for one in around if one < 0x80)
    return True
