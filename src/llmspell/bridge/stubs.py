"""What is made of the API's data: stubs for editors (LuaCATS), and the reference page.

llmspell types .types        # then an editor with the Lua language server completes, and checks, a script
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.signatures import CLASSES, SIGNATURES, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmspell.bridge.signatures import Signature

__all__ = ["reference", "stubs"]

#: Lua's words for what a field takes, by the word of `api.KINDS`.
KINDS = {
    "string": "string",
    "strings": "string|string[]",
    "seconds": "number",
    "milliseconds": "number",
    "number": "number",
    "temperature": "number",
    "share": "number",
    "count": "integer",
    "rounds": "integer",
    "integer": "integer",
    "table": "table",
    "list": "any[]",
    "items": "any[]|string",
    "flag": "boolean",
    "bytes": "string",
    "retry": "table|integer",
    "lent": "function",
    "approval": "function|string",
    "function": "function",
    "condition": "function|string|boolean",
    "tool": "string",
    "agent": "agent|string",
    "workflow": "workflow|string",
    "range": "table",
    "any": "any",
}
#: What things with methods have besides these.
FIELDS: dict[str, tuple[str, ...]] = {
    "agent": ("name string what it is called",),
    "chat": ("messages Message[] the turns so far",),
    "task": ("done boolean whether it has ended",),
    "tool": ("name string what it is called", "description string what it does", "category string what it is among"),
    "workflow": (
        "id string of this run", "name string what it is called", "type string its kind",
        "description string what it is for",
    ),
    "Media": (
        "type string", "format string", "mime_type string", "filename string", "size integer", "metadata table",
    ),
}  # fmt: skip
#: What builders give are their own kind, and take any field.
OPEN = ("builder",)
OWN = {*CLASSES, *TABLES}
RESERVED = ("end", "while", "repeat", "function", "local", "return")


def kind_of(word: str) -> str:
    """Lua's word for what a field takes."""
    return KINDS.get(word, "any")


def _fields(text: str) -> list[tuple[str, str, str]]:
    found = []
    for line in text.strip().splitlines():
        told, _, doc = line.strip().partition(" -- ")
        name, _, kind = told.partition(": ")
        found.append((name, kind, doc))
    return found


def _class(name: str, fields: Iterable[tuple[str, str, str]]) -> list[str]:
    lines = [f"---@class {name}"]
    for field, kind, doc in fields:
        optional = "?" if kind.endswith("?") else ""
        shown = field if field not in RESERVED else f'["{field}"]'
        lines.append(f"---@field {shown}{optional} {kind.removesuffix('?')} {doc}".rstrip())
    return lines


def _table(name: str, fields: Mapping[str, tuple[str, str]]) -> list[str]:
    return _class(name, ((field, f"{kind_of(kind)}?", doc) for field, (kind, doc) in fields.items()))


def _function(signature: Signature) -> list[str]:
    lines = [f"--- {signature.doc}"]
    for one in signature.parameters:
        mark = "?" if one.optional else ""
        lines.append(f"---@param {one.name}{mark} {one.type}")
    if signature.returns:
        lines.append(f"---@return {signature.returns}")
    names = ", ".join(one.name for one in signature.parameters)
    mark = ":" if signature.method else "."
    return [*lines, f"function {_owner(signature)}{mark}{signature.name}({names}) end", ""]


def _owner(signature: Signature) -> str:
    return f"_{signature.owner}" if signature.method else signature.owner


#: What a class is besides: a stream is a coroutine, and is called by the `for` that it stands in.
BESIDES = {"stream": ": thread\n---@overload fun(): Chunk?"}


def stubs() -> str:
    """A Lua file for the language server: nothing in it runs."""
    lines = ["---@meta llmspell", ""]
    for name, fields in TABLES.items():
        lines += [*_table(name, fields), ""]
    for name, text in CLASSES.items():
        lines += [*_class(name, _fields(text)), ""]
    methods = list(dict.fromkeys(one.owner for one in SIGNATURES if one.method))
    for owner in methods:
        more = (f"---@field {field}" for field in FIELDS.get(owner, ()))
        lines += [f"---@class {owner}{BESIDES.get(owner, '')}", *more, f"local _{owner} = {{}}", ""]
    for owner in OPEN:
        lines += [f"---@class {owner}", "---@field [string] fun(self: builder, ...): any", ""]
    for name in dict.fromkeys(one.owner for one in SIGNATURES if not one.method):
        lines += [f"{name} = {{}}", ""]
    lines += [
        "Debug = Log",
        "---@type any",
        "JSON.null = nil",
        "---@type table<string|integer, string>",
        "ARGS = {}",
        "",
    ]
    for signature in SIGNATURES:
        lines += _function(signature)
    return "\n".join(lines)


def _shown(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _call(signature: Signature) -> str:
    mark = ":" if signature.method else "."
    inside = ", ".join(f"{one.name}{'?' if one.optional else ''}" for one in signature.parameters)
    return f"`{signature.owner}{mark}{signature.name}({inside})`"


def reference() -> str:
    """docs/reference/api.md."""
    lines = [
        "# The script API",
        "",
        "Made of `bridge/signatures.py` and `bridge/api.py` by `python scripts/reference.py`: do not edit.",
        "`llmspell types` gives the same to an editor.",
        "",
    ]
    for owner in dict.fromkeys(one.owner for one in SIGNATURES):
        own = [one for one in SIGNATURES if one.owner == owner]
        title = (
            f"`{owner}`" if not own[0].method or owner == "Media" else f"A{'n' if owner[0] in 'aeiou' else ''} {owner}"
        )
        lines += [f"## {title}", ""]
        rows = ((_call(one), f"`{_shown(one.returns)}`" if one.returns else "", _shown(one.doc)) for one in own)
        lines += _rows(("call", "gives", "what it does"), rows)
    lines += ["## Tables that calls take", ""]
    for name, fields in TABLES.items():
        lines += [f"### {name}", ""]
        rows = ((f"`{field}`", f"`{_shown(kind_of(kind))}`", _shown(doc)) for field, (kind, doc) in fields.items())
        lines += _rows(("field", "takes", "what it is"), rows)
    lines += ["## What calls give", ""]
    for name, text in CLASSES.items():
        lines += [f"### {name}", ""]
        rows = ((f"`{field}`", f"`{_shown(kind)}`", _shown(doc)) for field, kind, doc in _fields(text))
        lines += _rows(("field", "type", "what it is"), rows)
    return "\n".join(lines).rstrip() + "\n"
