"""Texts that are nearly Lua, and what Lua's own compiler says of a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import lupa.lua54 as lua54
from hypothesis import strategies as st

__all__ = ["ROOT", "SCRIPTS", "Verdict", "changed_scripts", "compiled", "escapes", "programs", "sentences", "words_of"]

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


# ---- programs that the grammar makes

_NAMES = st.sampled_from(("a", "b", "c", "Agent", "Async", "string", "_ENV", "_G", "self"))
_CONSTANTS = st.sampled_from(
    ("nil", "true", "1", "0x1p4", "2.5e-3", "'s'", '"\\z \\n"', "[[\nl]]", "[=[ ]] ]=]", "...", "{}", "function() end")
)
_BINARY = st.sampled_from(
    ["+", "-", "*", "/", "//", "%", "^", "&", "|", "~", "<<", ">>", "..", "==", "~=", "<", ">", "<=", ">=", "and", "or"]
)
_SPACES = st.sampled_from((" ", "\n", " --c\n", " --[[c\n]] "))


def _joined(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    """The parts with space of some kind between them."""
    chosen = [part if not isinstance(part, str) else st.just(part) for part in parts]
    return st.tuples(_SPACES, *chosen).map(lambda found: found[0].join(found[1:]))


def _listed(of: st.SearchStrategy[str], least: int = 1) -> st.SearchStrategy[str]:
    return st.lists(of, min_size=least, max_size=3).map(", ".join)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    prefix = st.one_of(_NAMES, _joined("(", inner, ")"))
    field = st.one_of(inner, _joined(_NAMES, "=", inner), _joined("[", inner, "] =", inner))
    given = st.one_of(_joined("(", _listed(inner, 0), ")"), _joined("{", _listed(field, 0), "}"))
    return st.one_of(
        _joined(inner, _BINARY, inner),
        _joined(st.sampled_from(("-", "not", "#", "~")), inner),
        _joined("{", _listed(field, 0), "}"),
        _joined(prefix, ".", _NAMES),
        _joined(prefix, "[", inner, "]"),
        _joined(prefix, given),
        _joined(prefix, ":", _NAMES, given),
        _joined("function(a, ...) return", inner, "end"),
    )


_EXPRESSIONS = st.recursive(st.one_of(_NAMES, _CONSTANTS), _larger, max_leaves=8)


def _bodies(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("\n".join)
    return st.one_of(
        _joined("do", body, "end"),
        _joined("while", _EXPRESSIONS, "do", body, "break end"),
        _joined("repeat", body, "until", _EXPRESSIONS),
        _joined("if", _EXPRESSIONS, "then", body, "else", body, "end"),
        _joined("if", _EXPRESSIONS, "then", body, "elseif", _EXPRESSIONS, "then", body, "end"),
        _joined("for", _NAMES, "=", _EXPRESSIONS, ",", _EXPRESSIONS, "do", body, "end"),
        _joined("for", _listed(_NAMES), "in", _listed(_EXPRESSIONS), "do", body, "goto e ::e:: end"),
        _joined("function", _NAMES, ".", _NAMES, ":", _NAMES, "(b, ...)", body, "end"),
        _joined("local function", _NAMES, "(...)", body, "return", _EXPRESSIONS, "end"),
    )


_STATEMENTS = st.recursive(
    st.one_of(
        _joined(_NAMES, "=", _listed(_EXPRESSIONS)),
        _joined("local", _listed(_NAMES), "=", _listed(_EXPRESSIONS)),
        _joined("local", _NAMES, "<const> =", _EXPRESSIONS),
        _joined("local", _NAMES, "<close> = nil"),
        _joined(_NAMES, ".", _NAMES, ",", _NAMES, "[", _EXPRESSIONS, "] =", _EXPRESSIONS),
        _joined(_NAMES, "(", _listed(_EXPRESSIONS, 0), ");"),
        _joined("do return", _EXPRESSIONS, "end"),
    ),
    _bodies,
    max_leaves=10,
)
#: Most of them are Lua: a constant may be assigned to, and `...` may stand where there is none.
programs = st.lists(_STATEMENTS, max_size=6).map("\n".join)
