"""Values as a JSON Schema sees them: which are equal, how deep they are, and how they are named to people."""

from __future__ import annotations

import math
from typing import Any

from llmspell.errors import one_line

__all__ = ["a_kind", "is_multiple", "key_of", "member", "pointed", "shown", "too_deep", "what"]


LONGEST = 60  # characters of a value, or of a name, in a message


def is_multiple(value: float, of: float) -> bool:
    """Whether *value* is a whole number of times *of*; of floats as nearly as they are written."""
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:
        quotient = value / of
    except OverflowError:
        return False
    # 0.3 is a multiple of 0.1 for whoever wrote the schema.
    return math.isfinite(quotient) and math.isclose(quotient, round(quotient), rel_tol=1e-12, abs_tol=1e-9)


def member(where: str, name: str) -> str:
    """The place of a member of what is at *where*."""
    if len(name) <= LONGEST and name.isidentifier():
        return f"{where}.{name}"
    return f"{where}[{shown(name)}]"


def a_kind(kind: str) -> str:
    """A type with its article."""
    return kind if kind == "null" else f"an {kind}" if kind[0] in "aio" else f"a {kind}"


def shown(value: Any) -> str:
    """A value as JSON, on one line and cut."""
    import orjson

    if isinstance(value, str):
        value = value[: LONGEST + 1]
    try:
        return one_line(orjson.dumps(value).decode(), LONGEST)
    except TypeError:
        return one_line(str(value), LONGEST)


def what(value: Any) -> str:
    """The value itself where it is short, else its kind."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, bytes):
        return "a string that is not UTF-8"
    return ("the string " if isinstance(value, str) else "") + shown(value)


def key_of(value: Any) -> Any:
    """What equal values have in common, and only they: 1 is 1.0 in JSON, and true is not 1."""
    if isinstance(value, bool) or value is None:
        return ("constant", value)
    if isinstance(value, dict):
        return ("object", frozenset((name, key_of(item)) for name, item in value.items()))
    if isinstance(value, list | tuple):
        return ("array", tuple(map(key_of, value)))
    return value


def too_deep(value: Any, most: int) -> bool:
    """Whether containers are nested more than *most* deep."""
    level = [value]
    for _ in range(most):
        level = [
            item
            for one in level
            if isinstance(one, dict | list | tuple)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def pointed(schema: Any, pointer: str) -> Any:
    """What a JSON pointer points at; None where there is nothing."""
    from urllib.parse import unquote

    found = schema
    for step in unquote(pointer).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and len(step) < 8 and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found
