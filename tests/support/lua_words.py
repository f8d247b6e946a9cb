"""Texts that are nearly Lua, and what Lua's own compiler says of a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import lupa.lua54 as lua54
from hypothesis import strategies as st

__all__ = ["ROOT", "SCRIPTS", "Verdict", "changed_scripts", "compiled", "escapes", "sentences"]

ROOT = Path(__file__).parents[2]
#: Every script of the project that is text.
SCRIPTS = [
    path
    for folder in ("examples", "src", "tests", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.lua"))
    if b"\0" not in path.read_bytes()
]
WORDS = [
    "and",
    "break",
    "do",
    "else",
    "elseif",
    "end",
    "false",
    "for",
    "function",
    "goto",
    "if",
    "in",
    "local",
    "nil",
    "not",
    "or",
    "repeat",
    "return",
    "then",
    "true",
    "until",
    "while",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "#",
    "&",
    "~",
    "|",
    "<<",
    ">>",
    "//",
    "==",
    "~=",
    "<=",
    ">=",
    "<",
    ">",
    "=",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "::",
    ";",
    ":",
    ",",
    ".",
    "..",
    "...",
    "a",
    "b",
    "c",
    "x",
    "1",
    "2.5",
    "0x1p4",
    ".5",
    "3.",
    "'str'",
    "[[long]]",
    "[==[]]]==]",
    "a",
    "b",
    "(",
    ")",
    "=",
    "<const>",
    "<close>",
    "l1",
    "$",
    "!",
    "@",
    "\n",
    "--\n",
    "--[[x\n]]",
]

_RUNTIME = lua54.LuaRuntime(encoding=None, register_eval=False)
_LOAD = _RUNTIME.eval(
    b"function(text) local ok, f, m = pcall(load, text, '=x', 't') "
    b"if not ok then return 'x:0: ' .. tostring(f) end return m end"
)


class Verdict(NamedTuple):
    """What is wrong: the line, and the words before `near`."""

    line: int
    words: str


def words_of(message: str) -> str:
    """A message without what it quotes, which is shortened."""
    return message.partition(" near ")[0]


def compiled(text: str) -> Verdict | None:
    """What Lua's own compiler says of *text*; None where it takes it."""
    told = _LOAD(text.encode("utf-8", "surrogateescape"))
    if told is None:
        return None
    found = re.match(r"x:(\d+): (.*)", told.decode("utf-8", "replace"), re.DOTALL)
    if found is None:
        return Verdict(0, told.decode("utf-8", "replace"))
    return Verdict(int(found[1]), words_of(found[2]))


#: Words one after the other, few of which are Lua.
sentences = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
#: Strings, long strings and numbers, most of which are broken.
_PIECES = (
    *("'", '"', "\\", "\\n", "\\x4", "\\x41", "\\u{", "\\u{7FFFFFFF", "}", "\\z", "\n", "\r", " ", "[[", "]]", "[="),
    *("=", "--", "1", "0x", "9", ".", "e", "p", "+", "\\255", "\\256", "a", "é"),
)
escapes = st.lists(st.sampled_from(_PIECES), max_size=14).map(lambda parts: "x = " + "".join(parts))


@st.composite
def changed_scripts(draw: st.DrawFn) -> str:
    """A script of the project with a few words more, fewer, or others."""
    text = draw(st.sampled_from(_TEXTS))
    parts = re.findall(r"\w+|\s+|[^\w\s]", text)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(parts)))
        word = f" {draw(st.sampled_from(WORDS))} "
        change = draw(st.sampled_from(("insert", "replace", "drop", "swap")))
        if change == "insert":
            parts.insert(at, word)
        elif change == "replace":
            parts[at : at + 1] = [word]
        elif change == "drop":
            del parts[at : at + 1]
        elif at < len(parts):
            other = draw(st.integers(0, len(parts) - 1))
            parts[at], parts[other] = parts[other], parts[at]
    return "".join(parts)


_TEXTS = [text for path in SCRIPTS if len(text := path.read_text(encoding="utf-8", errors="replace")) < 6000]
