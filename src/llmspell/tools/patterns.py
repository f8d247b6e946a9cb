"""Regular expressions of a JSON Schema, matched in bounded time.

Both the pattern and the text may come from strangers, and Python's own matcher takes exponential time on some pairs of
them. Here a pattern is read by Python's reader, made into states, and all states that a text can be in are followed at
once: time is the product of the two lengths, and both are bounded. What cannot be matched so (back references, looking
ahead and behind) is refused.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_STEPS", "Pattern", "TooLong"]

MAX_PATTERN = 1000  # characters
MAX_STATES = 2000
MAX_STEPS = 1_000_000  # of one match: states times characters

_reader = import_module("re._parser")
_words = import_module("re._constants")

#: A state that takes a character: tests, whether they are turned round, the next state.
Test: TypeAlias = tuple[str, Any]


class TooLong(Exception):
    """The text is too long for its pattern."""


class Pattern:
    """A pattern, searched for anywhere in a text, as JSON Schema has it. `\\d`, `\\w` and `\\s` are ASCII's.

    Raises ValidationError for one that cannot be read, is too long, or cannot be matched in bounded time.
    """

    __slots__ = ("_moves", "_start", "_states", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        shown = one_line(source, 60)
        if len(source) > MAX_PATTERN:
            raise ValidationError(f"the pattern `{shown}` is longer than {MAX_PATTERN} characters")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what may mean something else one day
                parsed = _reader.parse(source)
        except Exception as error:
            raise ValidationError(f"the pattern `{shown}` cannot be read: {one_line(str(error), 100)}") from None
        if parsed.state.flags & ~_words.SRE_FLAG_UNICODE:
            raise ValidationError(f"the pattern `{shown}` has flags, which are not taken here")
        #: For each state: ("char", tests, negated, next), ("split", nexts), ("at", kind, next), ("end",)
        self._states: list[tuple[Any, ...]] = [("end",)]
        try:
            self._start = self._sequence(parsed, 0)
        except RecursionError:
            raise ValidationError(f"the pattern `{shown}` is nested too deep") from None

    def search(self, text: str) -> bool:
        """Whether it is somewhere in *text*. Raises TooLong beyond MAX_STEPS."""
        return self.find(text, MAX_STEPS)[0]

    def find(self, text: str, most: int) -> tuple[bool, int]:
        """The same, and how many steps it took. Raises TooLong beyond *most*."""
        if len(text) * 4 > most:
            raise TooLong
        states, last = self._states, len(text)
        now: set[int] = set()
        steps = 0
        for at in range(last + 1):
            before = text[at - 1] if at else ""
            char = text[at] if at < last else ""
            # A match may begin anywhere, so the start joins the states at every place.
            reached = self._spread({*now, self._start}, before, char)
            if 0 in reached:
                return True, steps
            steps += len(reached)
            if steps > most:
                raise TooLong
            now = set()
            for number in reached:
                state = states[number]
                if state[0] == "char" and char:
                    steps += len(state[1]) >> 3  # a class of many members takes its time, too
                    if _any(state[1], char) is not state[2]:
                        now.add(state[3])
        return False, steps

    def _spread(self, begin: set[int], before: str, char: str) -> set[int]:
        """All states that are reached without a character."""
        seen, waiting = set(begin), list(begin)
        while waiting:
            state = self._states[waiting.pop()]
            if state[0] == "split":
                more = state[1]
            elif state[0] == "at" and _holds(state[1], before, char):
                more = (state[2],)
            else:
                continue
            for one in more:
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
        return seen

    # ---- states of a pattern

    def _state(self, *state: Any) -> int:
        if len(self._states) >= MAX_STATES:
            raise ValidationError(f"the pattern `{one_line(self.source, 60)}` is too large")
        self._states.append(state)
        return len(self._states) - 1

    def _sequence(self, items: Any, following: int) -> int:
        for word, value in reversed(list(items)):
            following = self._item(str(word), value, following)
        return following

    def _item(self, word: str, value: Any, following: int) -> int:
        if word == "LITERAL":
            return self._state("char", [("is", chr(value))], False, following)
        if word == "NOT_LITERAL":
            return self._state("char", [("is", chr(value))], True, following)
        if word == "ANY":
            return self._state("char", [("is", "\n"), ("is", "\r")], True, following)
        if word == "IN":
            tests = [_test(str(name), what) for name, what in value if str(name) != "NEGATE"]
            return self._state("char", tests, str(value[0][0]) == "NEGATE", following)
        if word == "AT":
            return self._state("at", str(value), following)
        if word == "BRANCH":
            return self._state("split", tuple(self._sequence(one, following) for one in value[1]))
        if word == "SUBPATTERN" and not value[1] and not value[2]:
            return self._sequence(value[3], following)
        if word in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, items = value
            return self._repeat(least, most, items, following)
        raise ValidationError(
            f"the pattern `{one_line(self.source, 60)}` has {word.replace('_', ' ').lower()}, which is not taken here",
            hint="write it without looking ahead or behind, back references and flags",
        )

    def _repeat(self, least: int, most: Any, items: Any, following: int) -> int:
        if most is _words.MAXREPEAT:
            loop = self._state("split", ())
            self._states[loop] = ("split", (self._sequence(items, loop), following))
            following = loop
        else:
            if most > MAX_STATES:
                raise ValidationError(f"the pattern `{one_line(self.source, 60)}` is too large")
            end = following
            for _ in range(most - least):
                following = self._state("split", (self._sequence(items, following), end))
        if least > MAX_STATES:
            raise ValidationError(f"the pattern `{one_line(self.source, 60)}` is too large")
        for _ in range(least):
            before = self._sequence(items, following)
            if before == following:  # of nothing there is as much as one likes
                break
            following = before
        return following


_KINDS: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": lambda c: "0" <= c <= "9",
    "CATEGORY_WORD": lambda c: c == "_" or (c.isascii() and c.isalnum()),
    "CATEGORY_SPACE": lambda c: c.isspace() or c == "\ufeff",
}


def _test(name: str, what: Any) -> Test:
    if name == "LITERAL":
        return "is", chr(what)
    if name == "RANGE":
        return "range", (chr(what[0]), chr(what[1]))
    kind = str(what)  # a category
    return ("not", kind.replace("NOT_", "")) if "NOT_" in kind else ("of", kind)


def _any(tests: list[Test], char: str) -> bool:
    for name, what in tests:
        if name == "is":
            held = char == what
        elif name == "range":
            held = what[0] <= char <= what[1]
        else:
            held = _KINDS[what](char) is (name == "of")
        if held:
            return True
    return False


def _holds(kind: str, before: str, char: str) -> bool:
    if kind in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
        return not before
    if kind in ("AT_END", "AT_END_STRING"):
        return not char
    word = _KINDS["CATEGORY_WORD"]
    edge = (bool(before) and word(before)) is not (bool(char) and word(char))
    return edge if kind == "AT_BOUNDARY" else not edge
