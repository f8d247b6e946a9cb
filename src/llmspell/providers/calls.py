"""What every dialect's reader needs: a tool call that comes in pieces, and values that may be anything."""

from __future__ import annotations

from binascii import a2b_base64
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import one_line
from llmspell.types.media import sniff
from llmspell.types.streaming import MediaPiece, Text, ToolCallComplete

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PartialCall", "PartialMedia", "count", "image_of", "json_of", "money", "new_text", "text_of", "too_deep"]

#: A named tuple's own constructor is a Python function; the tuple's costs a third.
new_text: Callable[[tuple[str]], Text] = partial(tuple.__new__, Text)


#: Of the arguments of a call: with what is around them, 64 is the end for values that cross into Lua.
MAX_DEPTH = 56


def too_deep(value: Any) -> bool:
    """Whether lists and objects stand in each other more than MAX_DEPTH deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        inner = (one for whole in level for one in (whole.values() if isinstance(whole, dict) else whole))
        level = [one for one in inner if isinstance(one, dict | list)]
    return bool(level)


def json_of(value: Any) -> str:
    """*value* as JSON; of one that is nested deeper than can be written what is none, so that it is not read again."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # its reader goes deeper than its writer
        return "{ nested too deep"


class PartialCall:
    """A tool call that is being read. id, name: as they are told to scripts."""

    __slots__ = ("id", "name", "pieces")

    def __init__(self, id_: str, name: str) -> None:
        self.id = id_
        self.name = name
        self.pieces: list[str] = []

    def add(self, arguments: Any) -> str:
        """Takes in a piece of the arguments, or all of them as an object; gives the text that it adds."""
        if isinstance(arguments, dict):
            text = json_of(arguments)
            if "".join(self.pieces).strip():  # an object is the whole: nothing of it adds to what was told
                self.pieces = [text]
                return ""
            self.pieces = [text]
            return text
        if isinstance(arguments, str) and arguments:
            self.pieces.append(arguments)
            return arguments
        return ""

    def parsed(self) -> dict[str, Any] | None:
        """The arguments; None where their text is no JSON object, or one that is too deep."""
        text = "".join(self.pieces).strip()
        if text in ("", "null"):
            return {}
        try:
            value = orjson.loads(text)
        except ValueError:
            return None
        if text.count("{") + text.count("[") > MAX_DEPTH and too_deep(value):
            return None
        return value if isinstance(value, dict) else None

    def whole(self) -> ToolCallComplete:
        """The call, at its end."""
        return ToolCallComplete(self.id, self.name, self.parsed(), None, "".join(self.pieces))


class PartialMedia:
    """A medium that comes as base64, cut anywhere. type: its own, or told by its first bytes."""

    __slots__ = ("_rest", "type")

    def __init__(self, type_: str = "") -> None:
        self.type = type_
        self._rest = ""

    def add(self, piece: str) -> bytes:
        """The bytes that *piece* completes; none of what is no base64."""
        text = self._rest + piece
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        return _decoded(text[:whole])


def image_of(data: str, type_: str = "") -> MediaPiece | None:
    """An image that is told whole, as base64 or as a data URL; None where it is neither."""
    if data[:5].lower() == "data:":
        head, _, data = data.partition(",")
        type_ = head[5:].partition(";")[0].strip().lower()
    found = _decoded(data)
    return MediaPiece(one_line(type_, 80) or sniff(found) or "image/png", found) if found else None


def _decoded(text: str) -> bytes:
    try:
        return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True) if text else b""
    except ValueError:
        return b""


def text_of(value: Any) -> str:
    """*value* if it is a text, else none."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int | None:
    """*value* if it is a number of things."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def money(usage: dict[str, Any]) -> float | None:
    """US dollars, where a `usage` tells what the call cost: `cost` as a number (OpenRouter; what a key of the user's
    own pays elsewhere is added) or with its sum in it (Perplexity), or ten thousand millionths of a dollar (xAI).

    But for OpenRouter's, whose free models cost 0, a 0 is nothing told.
    """
    told = usage.get("cost")
    if isinstance(told, dict):
        return _dollars(told.get("total_cost")) or None
    cost = _dollars(told)
    if cost is not None and usage.get("is_byok") is True:
        details = usage.get("cost_details")
        cost += (_dollars(details.get("upstream_inference_cost")) if isinstance(details, dict) else None) or 0.0
    ticks = count(usage.get("cost_in_usd_ticks"))
    return ticks / 1e10 if cost is None and ticks else cost


def _dollars(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else None
