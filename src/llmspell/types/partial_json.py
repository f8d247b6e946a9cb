"""JSON that is still being written: the value as far as it has come."""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["MAX_DEPTH", "PartialJson"]

MAX_DEPTH = 48  # of containers; a value has to cross into Lua inside a chunk, where 64 is the end
MAX_NUMBER = 400  # characters of one number

_SPACE = frozenset(" \t\n\r")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ENDS = frozenset(",]} \t\n\r")
_HEX = frozenset("0123456789abcdefABCDEF")

# What comes next.
VALUE, FIRST_ITEM, FIRST_KEY, KEY, COLON, AFTER, STRING, WORD, DONE, FAILED = range(10)


class PartialJson:
    """Takes a JSON text in pieces. `value` after each piece is a prefix of the whole text's value.

    That is: of an object the members that were begun, in order, of a list the items; the last of them may be a prefix
    itself. A string grows; a number and the words true, false and null are there once their end was seen, a member
    once its value was begun. None where nothing is there yet. Text that is no JSON, or is nested more than MAX_DEPTH
    deep, ends it: `failed`, and `value` stays what it was. Never raises. Time is linear in the text, each `snapshot`
    in the width of what is open.
    """

    __slots__ = ("_at_key", "_escape", "_high", "_open", "_pieces", "_root", "_state", "_word")

    def __init__(self) -> None:
        self._state = VALUE
        self._open: list[tuple[dict[str, Any] | list[Any], str]] = []  # containers, each with the key that is open
        self._root: Any = None
        self._pieces: list[str] = []  # of the string that is being read
        self._at_key = False  # that string is a key
        self._escape = ""  # what came of an escape, from its backslash
        self._high = 0  # the first half of a pair of surrogates
        self._word = ""  # what came of a number, or of true, false and null

    @property
    def failed(self) -> bool:
        """The text is no JSON."""
        return self._state == FAILED

    @property
    def whole(self) -> bool:
        """The value is complete; only white space came after it."""
        return self._state == DONE

    def feed(self, text: str) -> None:
        """Takes in the next piece."""
        at, end = 0, len(text)
        while at < end and self._state != FAILED:
            if self._state == STRING:
                at = self._string(text, at, end)
            elif self._state == WORD:
                at = self._more_word(text, at, end)
            else:
                char = text[at]
                at += 1
                if char not in _SPACE:
                    self._token(char)

    def snapshot(self) -> Any:
        """The value now. Later pieces do not change it; what is complete in it is shared between snapshots."""
        tail: Any = None
        begun = False
        if self._state == STRING and not self._at_key:
            tail, begun = "".join(self._pieces), True
        for container, key in reversed(self._open):
            if isinstance(container, dict):
                inside: Any = dict(container)
                if begun:
                    inside[key] = tail
            else:
                inside = [*container, tail] if begun else list(container)
            tail, begun = inside, True
        return tail if begun else self._root

    def _fail(self) -> None:
        self._root = self.snapshot()
        self._open = []
        self._state = FAILED

    def _token(self, char: str) -> None:
        state = self._state
        if state == AFTER:
            self._after(char)
        elif state == COLON:
            if char == ":":
                self._state = VALUE
            else:
                self._fail()
        elif (state == FIRST_ITEM and char == "]") or (state == FIRST_KEY and char == "}"):
            self._close()
        elif state in (FIRST_KEY, KEY):
            if char == '"':
                self._begin_string(key=True)
            else:
                self._fail()
        elif state == DONE:
            self._fail()
        elif char == '"':
            self._begin_string(key=False)
        elif char in "{[":
            if len(self._open) >= MAX_DEPTH:
                self._fail()
                return
            self._open.append(({} if char == "{" else [], ""))
            self._state = FIRST_KEY if char == "{" else FIRST_ITEM
        elif char in "-0123456789tfn":
            self._word = char
            self._state = WORD
        else:
            self._fail()

    def _after(self, char: str) -> None:
        """What may follow a value inside a container."""
        inside = self._open[-1][0]
        if char == ",":
            self._state = KEY if isinstance(inside, dict) else VALUE
        elif char == ("}" if isinstance(inside, dict) else "]"):
            self._close()
        else:
            self._fail()

    def _close(self) -> None:
        container, _ = self._open.pop()
        self._put(container)

    def _put(self, value: Any) -> None:
        """A value is complete."""
        if not self._open:
            self._root = value
            self._state = DONE
            return
        container, key = self._open[-1]
        if isinstance(container, dict):
            container[key] = value
        else:
            container.append(value)
        self._state = AFTER

    def _begin_string(self, *, key: bool) -> None:
        self._pieces = []
        self._at_key = key
        self._state = STRING

    def _string(self, text: str, at: int, end: int) -> int:
        """The string goes on at *at*; gives where to go on."""
        if self._escape:
            self._more_escape(text[at])
            return at + 1
        stop = at
        while stop < end and (char := text[stop]) != '"' and char != "\\" and char >= " ":
            stop += 1
        if stop > at:
            self._low_missing()
            self._pieces.append(text[at:stop])
        if stop == end:
            return end
        char = text[stop]
        if char == "\\":
            self._escape = char
        elif char == '"':
            self._end_string()
        else:  # a control character has to be escaped
            self._fail()
        return stop + 1

    def _end_string(self) -> None:
        self._low_missing()
        value = "".join(self._pieces)
        self._pieces = []
        if self._at_key:
            self._open[-1] = (self._open[-1][0], value)
            self._at_key = False
            self._state = COLON
        else:
            self._put(value)

    def _more_escape(self, char: str) -> None:
        escape = self._escape
        if escape == "\\" and char != "u":
            self._escape = ""
            if char in _ESCAPES:
                self._low_missing()
                self._pieces.append(_ESCAPES[char])
            else:
                self._fail()
            return
        if len(escape) > 1 and char not in _HEX:
            self._fail()
            return
        self._escape = escape + char
        if len(self._escape) == 6:
            self._unit(int(self._escape[2:], 16))
            self._escape = ""

    def _unit(self, unit: int) -> None:
        """A UTF-16 unit of an escape: a pair makes one character, half a pair is no text."""
        if 0xDC00 <= unit < 0xE000 and self._high:
            self._pieces.append(chr(0x10000 + ((self._high - 0xD800) << 10) + (unit - 0xDC00)))
            self._high = 0
            return
        self._low_missing()
        if 0xD800 <= unit < 0xDC00:
            self._high = unit
        else:
            self._pieces.append("\ufffd" if 0xDC00 <= unit < 0xE000 else chr(unit))

    def _low_missing(self) -> None:
        if self._high:
            self._high = 0
            self._pieces.append("\ufffd")

    def _more_word(self, text: str, at: int, end: int) -> int:
        stop = at
        while stop < end and text[stop] not in _ENDS:
            stop += 1
        self._word += text[at:stop]
        if len(self._word) > MAX_NUMBER:
            self._fail()
        elif stop < end:
            self._end_word()
        return stop

    def _end_word(self) -> None:
        try:
            value = orjson.loads(self._word)
        except ValueError:
            self._fail()
            return
        self._word = ""
        self._put(value)

    def end(self) -> None:
        """There is no more: a number that stands alone is complete."""
        if self._state == WORD and not self._open:
            self._end_word()
