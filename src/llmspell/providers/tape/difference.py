"""Where two requests differ, in one line that a person can read."""

from __future__ import annotations

import json
from typing import Any

from llmspell.errors import one_line
from llmspell.providers.tape.redaction import REDACTED

__all__ = ["difference", "is_as_recorded"]

MOST = 4  # places that are named
SHOWN = 60  # characters of a value
_ABSENT = object()


def difference(was: Any, now: Any) -> str:
    """The places where *now* is not *was*, plain JSON values both; empty where they are equal.

    `messages[1].content: was "…", is "…"`, at most MOST of them; items are counted from 0. Of long texts, the part
    around the first character that differs.
    """
    found: list[str] = []
    more = _compare(was, now, "", found)
    return "; ".join(found) + (f"; and {more} more" if more else "")


def _compare(was: Any, now: Any, path: str, found: list[str]) -> int:
    """Adds what differs to *found*; gives how many places did not fit."""
    if isinstance(was, dict) and isinstance(now, dict):
        names = [*was, *(name for name in now if name not in was)]
        pairs = [(f"{path}.{name}" if path else name, was.get(name, _ABSENT), now.get(name, _ABSENT)) for name in names]
    elif isinstance(was, list) and isinstance(now, list):
        size = max(len(was), len(now))
        pairs = [
            (f"{path}[{i}]", was[i] if i < len(was) else _ABSENT, now[i] if i < len(now) else _ABSENT)
            for i in range(size)
        ]
    elif is_as_recorded(was, now):
        return 0
    elif len(found) == MOST:
        return 1
    else:
        before, after = _shown(was, now)
        found.append(f"`{one_line(path, 80) or 'it'}`: was {before}, is {after}")
        return 0
    return sum(_compare(old, new, place, found) for place, old, new in pairs)


def is_as_recorded(was: Any, now: Any) -> bool:
    """Whether *now* is what was written down as *was*: any text may stand where that has a secret taken out.

    As JSON has it: true is not 1, and 1.0 is 1.
    """
    if isinstance(was, str) and isinstance(now, str):
        return was == now or (REDACTED in was and _fits(was.split(REDACTED), now))
    if isinstance(was, dict) and isinstance(now, dict):
        return was.keys() == now.keys() and all(is_as_recorded(value, now[name]) for name, value in was.items())
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(map(is_as_recorded, was, now))
    return bool(was == now) and isinstance(was, bool) == isinstance(now, bool)


def _fits(parts: list[str], text: str) -> bool:
    """Whether *text* has all *parts* in their order, the first at its beginning and the last at its end."""
    first, *middle, last = parts
    if not (len(text) >= len(first) + len(last) and text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _shown(was: Any, now: Any) -> tuple[str, str]:
    start = 0
    if isinstance(was, str) and isinstance(now, str):
        while start < min(len(was), len(now)) and was[start] == now[start]:
            start += 1
        start = max(0, start - SHOWN // 3)
        if max(len(was), len(now)) <= SHOWN:
            start = 0
    return _value(was, start), _value(now, start)


def _value(value: Any, start: int) -> str:
    if value is _ABSENT:
        return "absent"
    if isinstance(value, str):
        part = ("…" if start else "") + value[start : start + SHOWN] + ("…" if len(value) > start + SHOWN else "")
        return one_line(json.dumps(part, ensure_ascii=False), SHOWN * 2)
    return one_line(json.dumps(value, ensure_ascii=False, default=str), SHOWN)
