"""Placeholders in texts: `{{name}}`, `{{input.topic}}`, `{{step:draft:output}}`.

A placeholder is a name between two braces each: words, with `.` or `:` between them. It stands for what the name
leads to: a field of a table, an item of a list (`items.1` is the first, as in Lua). A text that is one placeholder
alone takes the value with its type; in a longer one it is written out, tables as JSON. What was filled in is not looked
at again, so a value that holds braces stays as it is. Braces around anything that is no name stay, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmspell.errors import LimitError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.tools.base import Tool

__all__ = ["LONGEST", "SAID", "fill", "fill_arguments", "fill_said", "is_placeholder", "look_up", "render", "text_of"]

LONGEST = 16 * 1024 * 1024  # characters of one text, filled in
DEEPEST = 64  # of tables, as what crosses to Lua
SAID = frozenset(("text", "prompt", "messages"))  # fields of what an agent is told that say something
MOST_NAMES = 20  # that an error lists

# A first word, then words that may hold spaces, as names of steps do. All of it has an end, so that no text takes long.
_NAME = r"[^\W\d][\w-]{0,99}(?:[.:][\w-](?:[\w -]{0,98}[\w-])?){0,32}"
_PLACEHOLDER = re.compile(r"\{\{[ \t]{0,9}(" + _NAME + r")[ \t]{0,9}\}\}")
_WORDS = re.compile(r"[.:]")


def is_placeholder(text: str) -> bool:
    """Whether it is one placeholder alone."""
    return _PLACEHOLDER.fullmatch(text.strip()) is not None


def _number(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {True: "nan", False: "inf" if value > 0 else "-inf"}[value != value]
    text = f"{value:.14g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


def text_of(value: Any) -> str:
    """*value* as it stands in a text: nothing for None, numbers as Lua writes them, tables as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        raise ValidationError("a string that is not UTF-8 cannot stand in a text")
    import orjson

    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise ValidationError("a table that is no JSON cannot stand in a text", cause=error) from error


# ---- what a name leads to


def _step_into(value: Any, words: list[str]) -> tuple[Any, int]:
    """What the first of *words* leads to, and how many of them that took; 0 where there is nothing.

    A key that holds dots itself is found too: `a.b` in `{"a.b": 1}`.
    """
    if isinstance(value, dict):
        for count in range(1, len(words) + 1):
            key = ".".join(words[:count])
            if key in value:
                return value[key], count
        if words[0].isdecimal() and len(words[0]) < 10 and int(words[0]) in value:
            return value[int(words[0])], 1
    elif isinstance(value, list | tuple) and words[0].isdecimal() and len(words[0]) < 10:
        index = int(words[0])
        if 1 <= index <= len(value):
            return value[index - 1], 1
    return None, 0


def _members(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [str(key) for key in list(value)[: 10 * MOST_NAMES]]
    if isinstance(value, list | tuple):
        return [f"1 to {len(value)}"] if value else []
    return []


def _missing(name: str, found: str, members: list[str]) -> ValidationError:
    from difflib import get_close_matches

    shown = one_line(name, 80)
    where = f"`{one_line(found, 80)}` has" if found else "there are"
    if not members:
        hint = f"`{one_line(found, 80)}` has no fields" if found else "there are no names to fill in"
    else:
        listed = ", ".join(one_line(one, 60) for one in members[:MOST_NAMES])
        hint = f"{where} {listed}{', …' if len(members) > MOST_NAMES else ''}"
        near = get_close_matches(shown.rpartition(".")[2], members, 1, 0.6)
        if near:
            hint = f"did you mean `{found + '.' if found else ''}{one_line(near[0], 60)}`? {hint}"
    return ValidationError(f"there is no `{{{{{shown}}}}}`", hint=hint)


def look_up(name: str, values: Mapping[str, Any]) -> Any:
    """What *name* leads to in *values*. Raises ValidationError, which lists the names that are there."""
    words = _WORDS.split(name)
    value: Any = values
    at = 0
    while at < len(words):
        value, count = _step_into(before := value, words[at:])
        if not count:
            raise _missing(name, ".".join(words[:at]), _members(before))
        at += count
    return value


# ---- filling in


def render(text: str, values: Mapping[str, Any] | Callable[[str], Any]) -> str:
    """*text* with its placeholders written out.

    values: a table, or what gives the value of a name. Raises ValidationError for a name that is not there, LimitError
    for more than LONGEST characters.
    """
    look = values if callable(values) else lambda name: look_up(name, values)
    parts: list[str] = []
    texts: dict[str, str] = {}  # by name: the same may stand in a text many times
    at = size = 0
    for match in _PLACEHOLDER.finditer(text):
        name = match[1]
        if name not in texts:
            texts[name] = text_of(look(name))
        parts += (text[at : match.start()], texts[name])
        at = match.end()
        size += len(parts[-1]) + len(parts[-2])
        if size > LONGEST:
            break
    parts.append(text[at:])
    if size + len(parts[-1]) > LONGEST:
        raise LimitError(f"a text, filled in, has more than {LONGEST} characters", limit="template", value=LONGEST)
    return "".join(parts)


def fill(value: Any, look: Callable[[str], Any], depth: int = DEEPEST) -> Any:
    """*value* with the placeholders of every text in it filled in; keys stay as they are."""
    if isinstance(value, str):
        if "{{" not in value:
            return value
        alone = _PLACEHOLDER.fullmatch(value.strip())
        return look(alone[1]) if alone else render(value, look)
    if not isinstance(value, dict | list | tuple):
        return value
    if depth == 0:
        raise ValidationError(f"tables nested more than {DEEPEST} deep cannot be filled in")
    if isinstance(value, dict):
        return {key: fill(item, look, depth - 1) for key, item in value.items()}
    return [fill(item, look, depth - 1) for item in value]


_TYPES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (bool, ("boolean",)), (int, ("integer", "number")), (float, ("number",)), (dict, ("object",)), (list, ("array",)),
)  # fmt: skip


def _wants_text(member: Any, value: Any) -> bool:
    """Whether by its JSON Schema an argument may be a text, and not such a value."""
    types = member.get("type") if isinstance(member, dict) else None
    types = types if isinstance(types, list | tuple) else (types,)
    kinds = next((kinds for python, kinds in _TYPES if isinstance(value, python)), ("string",))
    return "string" in types and not any(kind in types for kind in kinds)


def fill_arguments(given: dict[str, Any], look: Callable[[str], Any], tool: Tool | None) -> dict[str, Any]:
    """A tool's arguments, filled in: what a placeholder alone gives is written out where just a text fits, and names
    that the tool itself has values for stay in its template. tool: None where it is not known.
    """
    if tool is None:
        filled: dict[str, Any] = fill(given, look)
        return filled
    known, template = tool.parameters.get("properties", {}), None
    own: Any = ()
    if tool.fills is not None:
        template, values = tool.fills
        own = next((one for name, one in given.items() if tool.renamed.get(name, name) == values), ())

    def look_but_own(name: str) -> Any:
        mine = isinstance(own, dict) and _WORDS.split(name)[0] in own
        return f"{{{{{name}}}}}" if mine else look(name)

    told = {}
    for name, value in given.items():
        now = tool.renamed.get(name, name)
        found = fill(value, look_but_own if now == template else look)
        told[name] = text_of(found) if isinstance(value, str) and _wants_text(known.get(now), found) else found
    return told


def fill_said(given: Any, look: Callable[[str], Any]) -> Any:
    """What an agent is told, filled in: what a placeholder alone gives is written out where words are wanted, unless it
    is a table of what to say itself.
    """

    def words(before: Any, found: Any, also: tuple[type, ...] = ()) -> Any:
        as_it_is = found is None or not isinstance(before, str) or isinstance(found, (str, *also))
        return found if as_it_is else text_of(found)

    found = fill(given, look)
    if isinstance(found, dict) and found.keys() & SAID:
        told = given if isinstance(given, dict) else {}
        found = found | {name: words(told.get(name), found[name]) for name in ("text", "prompt") if name in found}
        turns, before = found.get("messages"), told.get("messages")
        if isinstance(turns, list) and isinstance(before, list | tuple):
            for turn, one in zip(turns, before, strict=True):
                if isinstance(one, dict) and "content" in one:
                    turn["content"] = words(one["content"], turn["content"], (list,))  # which may be parts
        return found
    return words(given, found)
