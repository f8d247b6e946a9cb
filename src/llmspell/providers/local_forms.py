"""What the embedded engine holds an answer to: a form as its grammar takes it, and a tool's call made of such a form.

Functions of values. A model whose template knows no tools calls one all the same where the grammar leaves it nothing
else to write: `{"name": …, "arguments": {…}}`. Source: LOCAL.md §2, "Tools".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import ValidationError
from llmspell.providers.calls import PartialCall
from llmspell.types.streaming import Text, ToolCallProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmspell.types.streaming import ChunkContent
    from llmspell.types.tools import ToolSpec

__all__ = ["ForcedCall", "calls_form", "form", "pattern", "tools_told"]

DEEP = 100  # levels of a schema
PARTS = 1000  # schemas and values in one; the engine takes seconds for more, in which nothing can stop it
LEAST = 1000  # of a minimum length, or of a pattern's repeats; the grammar knows no more

# -- a form


def form(schema: Any) -> Any:
    """*schema* as the engine's grammar takes it: of patterns those that it knows, and nothing that it complains of on
    standard error. What it cannot hold an answer to it leaves out, so the answer is to be checked all the same.

    Raises ValidationError for one that is too large or nested too deeply.
    """
    walk = _Walk(lambda ref: ref)
    told = walk.schema(schema)
    if not walk.to_root:
        return told
    # The grammar knows no reference to the whole: it is given a place of its own.
    return {"$ref": "#/$defs/root", "$defs": {"root": _Walk(_mover("root")).schema(schema)}}


class _Walk:
    """Goes through schemas. move: is given each reference, and gives it where its schema stands elsewhere."""

    __slots__ = ("_move", "_parts", "to_root")

    def __init__(self, move: Callable[[str], str], parts: int = 0) -> None:
        self._move = move
        self._parts = parts
        self.to_root = False

    @property
    def parts(self) -> int:
        """How many there were."""
        return self._parts

    def schema(self, value: Any) -> Any:
        return self._walk({} if isinstance(value, bool) else dict(value), 0, False)

    def _count(self, parts: int, depth: int) -> None:
        self._parts += parts
        if self._parts > PARTS or depth > DEEP:
            raise ValidationError(
                "the schema is too large for the local model: "
                + (f"it has more than {DEEP} levels" if depth > DEEP else f"it has more than {PARTS} parts"),
                hint="make it smaller, or use another provider",
            )

    def _walk(self, value: Any, depth: int, named: bool) -> Any:
        """named: the members of *value* are names of the user's, not words of JSON Schema."""
        if isinstance(value, (list, tuple)):
            return [self._walk(one, depth + 1, False) for one in value]
        if not isinstance(value, dict):
            return value
        self._count(1, depth)
        told: dict[str, Any] = {}
        for name, one in value.items():
            if named:
                told[name] = self._walk(one, depth + 1, False)
            elif name in ("const", "enum"):
                self._count(len(one) if isinstance(one, (list, tuple)) else 1, depth)
                told[name] = one
            elif name == "pattern" and isinstance(one, str):
                if (known := pattern(one)) is not None:
                    told[name] = known
            elif name == "$ref" and isinstance(one, str):
                self.to_root = self.to_root or one == "#"
                told[name] = self._move(one)
            elif name not in _SILENT and not (name in _LEASTS and isinstance(one, int) and one > LEAST):
                told[name] = self._walk(one, depth + 1, name in _NAMED)
        return told


_SILENT = ("default", "examples", "title", "description", "$schema", "$id", "$comment")  # say nothing of the form
_LEASTS = ("minLength", "minItems")
#: Members of a schema whose own members are called as the user likes.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
#: Classes that the grammar does not know, by what stands for them within […].
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \\t\\n\\r"}
_REPEATS = re.compile(r"\{(\d*),?(\d*)\}")
_PIECE = re.compile(r"\\(.)|(\(\?:)|(\(\?)|(\[\^?)|(\])|([$^])|(.)", re.DOTALL)


def pattern(text: str) -> str | None:
    """A regular expression in the words that the grammar knows; None where it cannot be said in them.

    Only one of the whole text can: `^…$`.
    """
    if len(text) > 1000 or not text.startswith("^") or not text.endswith("$") or text.endswith("\\$"):
        return None
    told, inside = "^", False
    for escaped, group, special, opens, closes, anchor, plain in _PIECE.findall(text[1:-1]):
        if escaped:
            if escaped.lower() in _CLASSES:
                if inside and escaped.isupper():
                    return None
                members = _CLASSES[escaped.lower()]
                told += members if inside else f"[{'^' if escaped.isupper() else ''}{members}]"
            elif escaped in "/-" and not inside:
                told += escaped
            elif escaped.isalnum() and escaped not in "ntr":
                return None
            else:
                told += "\\" + escaped
        elif special or (anchor and not inside) or (opens and inside):
            return None
        else:
            inside = bool(opens) or (inside and not closes)
            told += group or opens or closes or anchor or plain
    told += "$"
    repeats = [number for found in _REPEATS.findall(told) for number in found if number]
    if told.count("(") > 20 or any(len(number) > 4 or int(number) > LEAST for number in repeats):
        return None
    if any(odd in told for odd in ("--", "&&", "||", "~~")):  # Python warns that it may mean something else one day
        return None
    try:
        re.compile(told)
    except (re.error, OverflowError, RecursionError):
        return None
    return told


# -- a tool's call


def tools_told(tools: Sequence[ToolSpec]) -> str:
    """What the model is told of the *tools* that it has to call one of."""
    told = [
        orjson.dumps({"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}).decode()
        for tool in tools
    ]
    return 'You answer by calling a tool, as JSON: {"name": the tool, "arguments": {…}}. The tools are:\n' + "\n".join(
        told
    )


def calls_form(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """The schema of a call to one of *tools*: its name first, so that it can be told while the arguments come."""
    places: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    parts = 0
    for number, tool in enumerate(tools):
        home = f"tool{number}"
        walk = _Walk(_mover(home), parts)
        places[home] = walk.schema(tool.parameters)
        parts = walk.parts
        members: Mapping[str, Any] = {"name": {"const": tool.name}, "arguments": {"$ref": f"#/$defs/{home}"}}
        calls.append({"type": "object", "properties": members, "required": [*members], "additionalProperties": False})
    return {"anyOf": calls, "$defs": places}


def _mover(home: str) -> Callable[[str], str]:
    return lambda ref: f"#/$defs/{home}{ref[1:]}" if ref[:1] == "#" else ref


_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)')
_TAIL = re.compile(r"[\s}]*\Z")


class ForcedCall:
    """Reads the text of an answer that `calls_form` shaped, piece by piece, as a tool call. id: the call's.

    What may be the end of the whole object is kept back until more comes or `end` says that there is no more.
    """

    __slots__ = ("_call", "_held", "_id", "_text")

    def __init__(self, id: str) -> None:
        self._id = id
        self._call: PartialCall | None = None
        self._held = ""
        self._text = ""

    def feed(self, piece: str) -> list[ChunkContent]:
        """What *piece* adds: pieces of the arguments, once the tool's name is known."""
        self._text += piece
        if self._call is None:
            head = _HEAD.match(self._text)
            if head is None:
                return []
            self._call = PartialCall(self._id, orjson.loads(head[1]))
            piece = self._text[head.end() :]
        self._held += piece
        tail = _TAIL.search(self._held)
        at = tail.start() if tail is not None else len(self._held)
        told, self._held = self._held[:at], self._held[at:]
        return [ToolCallProgress(self._call.id, self._call.name, self._call.add(told))] if told else []

    def end(self) -> list[ChunkContent]:
        """The rest, and the call whole. One that a token limit cut has no arguments; of a name that was cut there is
        only text."""
        call = self._call
        if call is None:
            return [Text(self._text)] if self._text else []
        rest = self._held.rstrip()
        try:
            orjson.loads(self._text)
            rest = rest.removesuffix("}").rstrip()  # which closes the whole, and not the arguments
        except ValueError:
            pass
        out: list[ChunkContent] = []
        if rest:
            out.append(ToolCallProgress(call.id, call.name, call.add(rest)))
        return [*out, call.whole()]
