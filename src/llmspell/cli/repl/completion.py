"""What may follow in a line of Lua: names of the session's, members of tables, methods, fields of calls, models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llmspell.bridge.failures import GLOBALS
from llmspell.bridge.signatures import CLASSES, SIGNATURES, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KEYWORDS", "Place", "candidates", "place"]

KEYWORDS = (
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
)  # fmt: skip
LONGEST = 20_000  # characters before the cursor that are looked at
NEAR = 300  # of them, those in which a path of names stands: to look for one takes time by the square

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PATH = re.compile(rf"({_NAME}(?:\s*\.\s*{_NAME})*)\s*([.:])\s*({_NAME})?\Z")
_WORD = re.compile(rf"({_NAME})\Z")
_CALLED = re.compile(rf"({_NAME}(?:\s*[.:]\s*{_NAME})*)\s*\(?\s*\Z")
_MODEL = re.compile(r"""\bmodel\s*=\s*(["'])([^"'\s]*)\Z""")
#: A string, a comment, a brace, or anything else, one after another.
_TOKEN = re.compile(
    r"""--\[(?P<c>=*)\[.*?(?:\](?P=c)\]|\Z) | --[^\n]*
      | \[(?P<s>=*)\[.*?(?:\](?P=s)\]|\Z)
      | "(?:\\.|[^"\\\n])*(?:"|\Z|(?=\n)) | '(?:\\.|[^'\\\n])*(?:'|\Z|(?=\n))
      | [{}] | [^{}"'\-\[]+ | .""",
    re.VERBOSE | re.DOTALL,
)


class Place(NamedTuple):
    """Where the cursor is.

    kind: "name", "member" (after a dot), "method" (after a colon), "field" (of a call's table), "model", "word" (for
    the session itself), or "" where nothing is known. path: the names before it. prefix: what is typed of the word.
    """

    kind: str
    path: tuple[str, ...] = ()
    prefix: str = ""


def place(text: str) -> Place:
    """What *text*, which ends at the cursor, is about to say."""
    if re.fullmatch(r":\w*", text):
        return Place("word", (), text)
    text = text[-LONGEST:]
    near = text[-NEAR:]
    found = _MODEL.search(near)
    if found:
        return Place("model", (), found[2])
    open_braces, quoted = _scanned(text)
    if quoted:
        return Place("")
    found = _PATH.search(near)
    if found and not near[: found.start()].endswith((".", ":", '"', "'", "]", ")")):
        path = tuple(name.strip() for name in found[1].split("."))
        return Place("member" if found[2] == "." else "method", path, found[3] or "")
    found = _WORD.search(near)
    prefix = found[1] if found else ""
    before = text[: len(text) - len(prefix)].rstrip()
    if before.endswith((".", ":")) and not before.endswith(".."):
        return Place("")
    if open_braces and before.endswith(("{", ",", ";")):
        called = _CALLED.search(text[: open_braces[-1]][-NEAR:])
        if called:
            return Place("field", tuple(re.split(r"\s*[.:]\s*", called[1])), prefix)
    return Place("name", (), prefix) if prefix else Place("")


def _scanned(text: str) -> tuple[list[int], bool]:
    """Where the braces are that are open at the end, and whether that is in a string or a comment."""
    braces: list[int] = []
    token = ""
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token == "{":
            braces.append(found.start())
        elif token == "}" and braces:
            braces.pop()
    return braces, _is_open(token)


def _is_open(token: str) -> bool:
    """Whether the last token goes on at the end of the text."""
    if token.startswith("--"):
        long = re.match(r"--\[(=*)\[", token)
        return not (long and token.endswith(f"]{long[1]}]"))
    if token[:1] in ('"', "'"):
        return len(token) == 1 or not token.endswith(token[0]) or _ends_escaped(token)
    long = re.match(r"\[(=*)\[", token)
    return bool(long) and not (long and token.endswith(f"]{long[1]}]"))


def _ends_escaped(token: str) -> bool:
    body = token[1:-1]
    return (len(body) - len(body.rstrip("\\"))) % 2 == 1


def candidates(
    where: Place, *, names: Iterable[str] = (), kind: str = "", models: Iterable[str] = (), words: Iterable[str] = ()
) -> list[str]:
    """What begins with the prefix, in order.

    names: what the session has at the place's path; kind: what the value there is. models: all that are known;
    words: those for the session itself.
    """
    found: set[str] = set()
    if where.kind == "name":
        found = {*names, *GLOBALS, *KEYWORDS}
    elif where.kind == "member":
        found = {*names, *_of(where.path[-1], method=False), *_of(kind, method=False), *_fields_of(kind)}
    elif where.kind == "method":
        found = {*names, *_of(kind, method=True)}
    elif where.kind == "field":
        found = set(_taken_by(where.path))
    elif where.kind == "model":
        found = set(models)
    elif where.kind == "word":
        found = set(words)
    hidden = not where.prefix.startswith("_")  # `_VERSION` and the like are asked for by their beginning
    return sorted(
        (name for name in found if name.startswith(where.prefix) and not (hidden and name.startswith("_"))),
        key=lambda name: (name.lower(), name),
    )


def _of(owner: str, *, method: bool) -> set[str]:
    """The functions of a global, or the methods of a class."""
    return {one.name for one in SIGNATURES if one.owner == owner and one.method == method}


def _fields_of(kind: str) -> set[str]:
    text = CLASSES.get(kind, "")
    return {line.split(":")[0].strip() for line in text.strip().splitlines() if ":" in line}


def _taken_by(path: tuple[str, ...]) -> set[str]:
    """The fields of the tables that a call takes. A method's owner is not known by its name: all of that name count."""
    name, owner = path[-1], path[-2] if len(path) > 1 else ""
    fields: set[str] = set()
    for one in SIGNATURES:
        if one.name != name or not (one.method or one.owner == owner):
            continue
        for parameter in one.parameters:
            for kind in parameter.type.split("|"):
                fields.update(TABLES.get(kind, ()))
    return fields
