"""What to write instead, where a syntax error is the habit of another language."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmspell.bridge.lint.parser import Chunk
    from llmspell.bridge.lint.problems import Fault

__all__ = ["add_hints"]

#: What begins at the fault: a pattern, and what to say of it.
_AT = [
    (re.compile(r"!="), "not equal is `~=` in Lua"),
    (re.compile(r"!"), "not is `not` in Lua"),
    (re.compile(r"&&?"), "both is `and` in Lua"),
    (re.compile(r"\|\|?"), "either is `or` in Lua"),
    (re.compile(r"(\+\+|--)"), "Lua has no `++`: write `x = x + 1`"),
    (re.compile(r"([-+*/%^]|\.\.)="), "Lua has no assignment with an operator: write `x = x + 1`"),
    (re.compile(r"#"), "a comment begins with `--`"),
    (re.compile(r"\?"), "Lua has no `? :`: write `condition and yes or no`"),
    (re.compile(r"[^\x00-\x7f]"), "outside of strings and comments Lua takes ASCII alone"),
]
_EQUALS = re.compile(r"=(?!=)")
_ARROW = re.compile(r"=>")
#: What stands right before it.
_BEFORE = [
    (re.compile(r"\b(let|var|const)\s+$"), "a variable is declared with `local`"),
    (re.compile(r"\bcontinue\s+$"), "Lua has no `continue`: `goto continue`, and `::continue::` at the loop's end"),
    (re.compile(r"\belse\s+if\b[^\n]*$"), "`elseif` is one word; `else if` needs an `end` of its own"),
]
_ELSE_IF = re.compile(r"^[^\n]*?\belse[ \t]+if\b", re.MULTILINE)
_FAR = 60  # characters before a fault that are looked at


def add_hints(chunk: Chunk) -> None:
    """Says of the syntax errors of *chunk* what may have been meant."""
    for fault in chunk.faults:
        if fault.code == "syntax" and fault.hint is None:
            fault.hint = _hint(chunk.text, fault)


def _hint(text: str, fault: Fault) -> str | None:
    if fault.message.startswith("'end' expected"):
        return "`elseif` is one word; `else if` needs an `end` of its own" if _ELSE_IF.search(text) else None
    if " near " not in fault.message:
        return None
    before = text[max(fault.start - _FAR, 0) : fault.start]
    for pattern, hint in _BEFORE:
        if pattern.search(before):
            return hint
    if _ARROW.match(text, max(fault.start - 1, 0)):
        return "in a table it is `key = value`"
    if fault.message.startswith(("'then' expected", "'do' expected")) and _EQUALS.match(text, fault.start):
        return "`==` compares; `=` sets a variable"
    expected = fault.message.startswith(("unexpected symbol", "syntax error", "'then' expected", "'do' expected"))
    if expected or "'}' expected" in fault.message or "')' expected" in fault.message:
        for pattern, hint in _AT:
            if pattern.match(text, fault.start):
                return hint
    return None
