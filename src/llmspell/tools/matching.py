"""Where a regular expression matches, and what its groups hold, in bounded time.

The states of `patterns.Pattern`, with marks where groups begin and end. All ways through them are followed at once, in
order of preference, so a match is the one that Python's matcher would find, and time is the product of the two lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from llmspell.errors import ValidationError, one_line
from llmspell.tools.patterns import MAX_STATES, Pattern, TooLong, _any, _holds, _words

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FLAGS", "MAX_GROUPS", "Match", "Matcher"]

MAX_GROUPS = 50
FLAGS = "ims"

#: A way through the states: where it is, and the places that it has marked, by group.
Way: TypeAlias = tuple[int, tuple[int, ...]]


class Match(NamedTuple):
    """A match. start, end: of the whole, in characters from 0. groups: of each, from 1; None where it took no part."""

    start: int
    end: int
    groups: tuple[tuple[int, int] | None, ...]


class Matcher(Pattern):
    """A pattern that tells where it matches. flags: `i` (case), `m` (`^` and `$` at lines), `s` (`.` takes newlines).

    Raises ValidationError as Pattern does, for a flag that is none, and for more than MAX_GROUPS groups.
    """

    __slots__ = ("_begins", "_first", "_flags", "_known", "_literal", "groups", "names", "steps")

    def __init__(self, source: str, flags: str = "") -> None:
        if source.startswith("(?") and source[2 : source.find(")")].isalpha():  # flags at the beginning, as in Python
            at = source.index(")")
            flags, source = flags + source[2:at], source[at + 1 :]
        for flag in flags:
            if flag not in FLAGS:
                raise ValidationError(f"the flag `{one_line(flag)}` is not taken here", hint="there are i, m and s")
        self._flags = flags
        self._known: dict[tuple[int, str], bool] = {}
        #: How many groups there are, and the numbers of those that have names.
        self.groups = 0
        self.names: dict[str, int] = {}
        #: Of all matching so far.
        self.steps = 0
        super().__init__(source)
        self._begins: dict[str, bool] = {}
        self._first = self._beginnings()
        self._literal: str | None = None  # the one character that every match begins with
        if self._first is not None and len(self._first) == 1 and "i" not in flags:
            _, tests, negated, _ = self._states[self._first[0]]
            if len(tests) == 1 and tests[0][0] == "is" and not negated:
                self._literal = tests[0][1]
        if self.groups > MAX_GROUPS:
            raise ValidationError(f"the pattern has more than {MAX_GROUPS} groups")

    def _sequence(self, items: Any, following: int) -> int:
        if not self.names and getattr(items, "state", None) is not None:
            self.names = dict(items.state.groupdict)
            self.groups = items.state.groups - 1
        return super()._sequence(items, following)

    def _item(self, word: str, value: Any, following: int) -> int:
        if word == "SUBPATTERN" and value[0] is not None and not value[1] and not value[2]:
            end = self._state("save", 2 * value[0] + 1, following)
            return self._state("save", 2 * value[0], self._sequence(value[3], end))
        if word == "ANY":
            newline = [] if "s" in self._flags else [("is", "\n")]
            return self._state("char", newline, True, following)
        if word == "MIN_REPEAT":
            least, most, items = value
            return self._lazy(least, most, items, following)
        return super()._item(word, value, following)

    def _lazy(self, least: int, most: Any, items: Any, following: int) -> int:
        """A repetition that rather ends than goes on."""
        if most is _words.MAXREPEAT:
            loop = self._state("split", ())
            self._states[loop] = ("split", (following, self._sequence(items, loop)))
            start = loop
        elif most > MAX_STATES:
            raise ValidationError(f"the pattern `{one_line(self.source, 60)}` is too large")
        else:
            start = following
            for _ in range(most - least):
                start = self._state("split", (following, self._sequence(items, start)))
        return self._repeat(least, least, items, start)

    # ---- matching

    @property
    def size(self) -> int:
        """How many states it has: time is at most this for each character."""
        return len(self._states)

    def match_at(self, text: str, at: int, most: int) -> Match | None:
        """The first match that begins at *at* or after it. Raises TooLong once all matching took *most* steps."""
        marks = (-1,) * (2 * self.groups + 2)
        found: tuple[int, ...] | None = None
        ways: list[Way] = []
        last, place = len(text), at - 1
        while place < last:
            place += 1
            if not ways and found is None:
                place = self._next_start(text, place)
                if place > last:
                    break
            before = text[place - 1] if place else ""
            char = text[place] if place < last else ""
            if found is None:
                ways.append((self._start, (place, *marks[1:])))
            reached, ended = self._reached(ways, place, before, char)
            if ended is not None:
                found = ended
            self.steps += len(reached) + 1
            if self.steps > most:
                raise TooLong
            ways = [(self._states[number][3], saved) for number, saved in reached if char and self._takes(number, char)]
            if found is not None and not ways:
                break
        return None if found is None else _match(found)

    def all_in(self, text: str, most: int, limit: int) -> Iterator[Match]:
        """The matches that do not overlap, at most *limit*. Raises TooLong."""
        at = 0
        while at <= len(text) and limit > 0:
            found = self.match_at(text, at, most)
            if found is None:
                return
            yield found
            limit -= 1
            at = found.end + (found.end == found.start)

    def _next_start(self, text: str, place: int) -> int:
        """The first place from *place* on where a match may begin; beyond the text's end where there is none."""
        if self._first is None:
            return place
        if self._literal is not None:
            found = text.find(self._literal, place)
            return found if found >= 0 else len(text) + 1
        begins, first = self._begins, self._first
        for at in range(place, len(text)):
            char = text[at]
            known = begins.get(char)
            if known is None:
                known = begins[char] = any(self._takes(number, char) for number in first)
            if known:
                self.steps += (at - place) // 16
                return at
        self.steps += (len(text) - place) // 16
        return len(text) + 1

    def _beginnings(self) -> tuple[int, ...] | None:
        """The states that may take a match's first character; None where a match may be empty."""
        seen: set[int] = set()
        waiting = [self._start]
        while waiting:
            number = waiting.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            if state[0] == "end":
                return None
            if state[0] == "split":
                waiting.extend(state[1])
            elif state[0] in ("save", "at"):
                waiting.append(state[2])
        return tuple(number for number in seen if self._states[number][0] == "char")

    def _reached(self, ways: list[Way], place: int, before: str, char: str) -> tuple[list[Way], tuple[int, ...] | None]:
        """The states that take a character next, the preferred first; and the marks of a way that came to the end,
        which is preferred to those that would come after it."""
        reached: list[Way] = []
        seen: set[int] = set()
        for way in ways:
            waiting = [way]
            while waiting:
                number, saved = waiting.pop()
                if number in seen:
                    continue
                seen.add(number)
                state = self._states[number]
                kind = state[0]
                if kind == "char":
                    reached.append((number, saved))
                elif kind == "split":
                    waiting.extend((one, saved) for one in reversed(state[1]))
                elif kind == "save":
                    waiting.append((state[2], (*saved[: state[1]], place, *saved[state[1] + 1 :])))
                elif kind == "at":
                    if self._stands(state[1], before, char):
                        waiting.append((state[2], saved))
                else:
                    return reached, (saved[0], place, *saved[2:])
        self.steps += len(seen)
        return reached, None

    def _takes(self, number: int, char: str) -> bool:
        """Whether a state takes a character."""
        known = self._known.get((number, char))
        if known is None:
            _, tests, negated, _ = self._states[number]
            held = _any(tests, char)
            if not held and "i" in self._flags:
                held = _any(tests, char.lower()) or _any(tests, char.upper())
            known = held is not negated
            if len(self._known) < 100_000:
                self._known[number, char] = known
        return known

    def _stands(self, kind: str, before: str, char: str) -> bool:
        if "m" in self._flags:
            if kind == "AT_BEGINNING":
                return before in ("", "\n")
            if kind == "AT_END":
                return char in ("", "\n")
        return _holds(kind, before, char)


def _match(saved: tuple[int, ...]) -> Match:
    groups = tuple(
        (saved[at], saved[at + 1]) if saved[at] >= 0 and saved[at + 1] >= 0 else None for at in range(2, len(saved), 2)
    )
    return Match(saved[0], saved[1], groups)
