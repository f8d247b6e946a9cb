"""JSON values in a query: their kinds, their order, and signs between two."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from llmspell.errors import ToolError

__all__ = ["KEY", "MAX_TEXT", "compared", "holds", "kind_of", "numbers", "rank", "short", "whole", "worked_out"]

MAX_TEXT = 10_000_000  # characters of a string that is made

_ORDER = {type(None): 0, bool: 1, int: 3, float: 3, str: 4, list: 5, dict: 6}


def rank(value: Any) -> int:
    """Its place among the kinds."""
    return 2 if value is True else _ORDER.get(type(value), 7)


def compared(a: Any, b: Any) -> int:
    """-1, 0 or 1: null, false, true, numbers, strings, lists, objects, in this order."""
    if a is b:
        return 0
    first, second = rank(a), rank(b)
    if first != second:
        return -1 if first < second else 1
    if isinstance(a, list):
        for one, other in zip(a, b, strict=False):
            if order := compared(one, other):
                return order
        return (len(a) > len(b)) - (len(a) < len(b))
    if isinstance(a, dict):
        names, others = sorted(a), sorted(b)
        return compared(names, others) or compared([a[name] for name in names], [b[name] for name in names])
    if a is None or isinstance(a, bool):
        return 0
    return int(a > b) - int(a < b)


KEY = cmp_to_key(compared)


def worked_out(work: Any, sign: str, a: Any, b: Any) -> Any:
    """*a* and *b* with a sign between them. Raises ToolError where they do not go together."""
    if sign in ("==", "!=", "<", "<=", ">", ">="):
        _count(work, a, b)
        order = compared(a, b)
        return {
            "==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
        }[sign]  # fmt: skip
    if numbers(a, b):
        return _reckoned(sign, a, b)
    _count(work, a, b)
    if sign == "+":
        if a is None or b is None:
            return b if a is None else a
        if isinstance(a, str) and isinstance(b, str):
            return short(a + b)
        if isinstance(a, list) and isinstance(b, list):
            return a + b
        if isinstance(a, dict) and isinstance(b, dict):
            return {**a, **b}
    if sign == "-" and isinstance(a, list) and isinstance(b, list):
        work.count(len(a) * len(b))
        return [one for one in a if not any(compared(one, other) == 0 for other in b)]
    if sign == "/" and isinstance(a, str) and isinstance(b, str) and b:
        return a.split(b)
    if sign == "*" and isinstance(a, dict) and isinstance(b, dict):
        return _merged(a, b)
    raise ToolError(f"`{sign}` does not go with {kind_of(a)} and {kind_of(b)}")


def _count(work: Any, *values: Any) -> None:
    work.count(sum(map(work.weigh, values)) // 16)


def numbers(*values: Any) -> bool:
    """Whether all are numbers."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def whole(number: float) -> int:
    """A place in a list, without its fraction. Raises ToolError for what is none."""
    if number - number != 0:
        raise ToolError(f"there is no place {number}")
    return int(number)


def _reckoned(sign: str, a: Any, b: Any) -> int | float:
    try:
        if sign == "+":
            done = a + b
        elif sign == "-":
            done = a - b
        elif sign == "*":
            done = a * b
        elif sign == "/":
            done = a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b
        else:
            done = abs(int(a)) % abs(int(b)) * (-1 if a < 0 else 1)
    except ZeroDivisionError:
        raise ToolError(f"a division by 0: {a} {sign} {b}") from None
    except (OverflowError, ValueError):
        raise ToolError(f"a number is too large: {a} {sign} {b}") from None
    return float(done) if isinstance(done, int) and done.bit_length() > 64 else done


def _merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    made = dict(a)
    for name, value in b.items():
        old = made.get(name)
        made[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


def short(text: str) -> str:
    """The text. Raises ToolError where it is too long."""
    if len(text) > MAX_TEXT:
        raise ToolError(f"a string is longer than {MAX_TEXT} characters")
    return text


def holds(value: Any) -> bool:
    """Whether it counts as true: all but false and null do."""
    return value is not None and value is not False


def kind_of(value: Any) -> str:
    """A value's kind, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"
