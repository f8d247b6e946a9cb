"""Queries of JSON values: a part of jq's language, read here and worked out in bounded time.

Paths (`.a.b`, `."a b"`, `.[0]`, `.[-1]`, `.[2:4]`, `.[]`, `..`, `?`), `|`, `,`, `[…]`, `{a, b: .c}`, literals,
+ - * / %, comparisons, `and`, `or`, `//`, `if … then … elif … else … end`, and the functions of
`query_functions.py`. A JSONPath is taken too: `$.a[*].b`, `$..b`, `[?(@.price > 3)]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError, one_line
from llmspell.tools.query_functions import FUNCTIONS
from llmspell.tools.query_reader import Reader
from llmspell.tools.query_values import holds, kind_of, numbers, whole, worked_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmspell.tools.query_reader import Filter

__all__ = ["Query"]

MAX_TEXT = 10_000
MAX_STEPS = 500_000  # values that pass through filters, in one query
MAX_RESULTS = 100_000
MAX_WEIGHT = 2_000_000  # values, and 64 characters of strings each, in one value


class Query:
    """A query, read once. Raises ValidationError, naming the place, for a text that is none."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise ValidationError(f"the query is longer than {MAX_TEXT} characters")
        try:
            self.filter = Reader(text.strip(), {name: takes for name, (_, takes) in FUNCTIONS.items()}).whole()
        except RecursionError:
            raise ValidationError(f"the query `{one_line(text, 80)}` is nested too deep") from None

    def run(self, value: Any) -> list[Any]:
        """What comes of *value*, in order. Raises ToolError where a filter does not fit what it is given, or it takes
        too long."""
        work = _Work()
        found = []
        try:
            for one in work.each(self.filter, value):
                found.append(one)
                if len(found) > MAX_RESULTS:
                    raise ToolError(f"the query gives more than {MAX_RESULTS} values")
        except RecursionError:
            raise ToolError("the query, or its input, is nested too deep") from None
        return found


class _Work:
    """One run of a query: counts its steps."""

    def __init__(self) -> None:
        self.steps = 0
        self.weights: dict[int, tuple[Any, int]] = {}  # by id; the values are kept, so that no id comes twice

    def count(self, more: int = 1) -> None:
        """Counts steps. Raises ToolError when they are too many."""
        self.steps += more
        if self.steps > MAX_STEPS:
            raise ToolError("the query takes too long", hint="give it less, or ask for less")

    def weigh(self, value: Any) -> int:
        """How much it is when it is written out: one value may stand in another many times. Raises ToolError when it
        is too much."""
        if isinstance(value, str):
            return 1 + len(value) // 64
        if not isinstance(value, list | dict):
            return 1
        known = self.weights.get(id(value))
        if known is not None:
            return known[1]
        self.count(len(value) // 16)
        items = value.values() if isinstance(value, dict) else value
        weight = 1 + sum(map(self.weigh, items))
        if weight > MAX_WEIGHT:
            raise ToolError("the query makes a value that is too large", hint="give it less, or ask for less")
        self.weights[id(value)] = value, weight
        return weight

    def made(self, value: Any) -> Any:
        """A value that is new, if it is not too large."""
        self.weigh(value)
        return value

    def each(self, what: Filter, value: Any) -> Iterator[Any]:
        """What the filter gives for *value*."""
        self.count()
        work: Callable[..., Iterator[Any]] = getattr(self, f"_{what[0]}")
        return work(value, *what[1:])

    def first(self, what: Filter, value: Any) -> Any:
        """The first of it, or null."""
        return next(iter(self.each(what, value)), None)

    def _self(self, value: Any) -> Iterator[Any]:
        yield value

    def _value(self, value: Any, told: Any) -> Iterator[Any]:
        yield told

    def _pipe(self, value: Any, left: Filter, right: Filter) -> Iterator[Any]:
        for one in self.each(left, value):
            yield from self.each(right, one)

    def _comma(self, value: Any, left: Filter, right: Filter) -> Iterator[Any]:
        yield from self.each(left, value)
        yield from self.each(right, value)

    def _try(self, value: Any, what: Filter) -> Iterator[Any]:
        before = self.steps
        try:
            yield from self.each(what, value)
        except ToolError:
            if self.steps > MAX_STEPS or before > MAX_STEPS:
                raise

    def _member(self, value: Any, name: str) -> Iterator[Any]:
        if value is None:
            yield None
        elif isinstance(value, dict):
            yield value.get(name)
        else:
            raise ToolError(
                f"{kind_of(value)} has no member `{one_line(name, 60)}`", hint="`?` after a path passes over that"
            )

    def _each(self, value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value
        else:
            raise ToolError(f"`[]` takes a list or an object, not {kind_of(value)}")

    def _deep(self, value: Any) -> Iterator[Any]:
        self.count()
        yield value
        if isinstance(value, dict | list):
            for one in value.values() if isinstance(value, dict) else value:
                yield from self._deep(one)

    def _held(self, value: Any, name: str) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    def _index(self, value: Any, of: Filter, what: Filter) -> Iterator[Any]:
        for one in self.each(of, value):
            for key in self.each(what, value):
                yield _at(one, key)

    def _slice(self, value: Any, of: Filter, first: Filter | None, last: Filter | None) -> Iterator[Any]:
        ends = [None if end is None else self.first(end, value) for end in (first, last)]
        if not all(end is None or numbers(end) for end in ends):
            raise ToolError("the ends of a slice are numbers")
        start, stop = (None if end is None else whole(end) for end in ends)
        for one in self.each(of, value):
            if one is not None and not isinstance(one, list | str):
                raise ToolError(f"a slice is of a list or a string, not of {kind_of(one)}")
            yield None if one is None else one[start:stop]

    def _list(self, value: Any, what: Filter) -> Iterator[Any]:
        yield self.made(self.all(what, value))

    def all(self, what: Filter, value: Any) -> list[Any]:
        """All of it."""
        found = []
        for one in self.each(what, value):
            self.count()
            found.append(one)
        return found

    def _object(self, value: Any, members: tuple[tuple[Filter, Filter], ...]) -> Iterator[Any]:
        made: list[dict[str, Any]] = [{}]
        for key, what in members:
            names, values = self.all(key, value), self.all(what, value)
            if not all(isinstance(name, str) for name in names):
                raise ToolError("the name of a member is a string")
            self.count(len(made) * len(names) * len(values) * (len(members) // 4 + 1))
            made = [{**one, name: item} for one in made for name in names for item in values]
        yield from map(self.made, made)

    def _if(self, value: Any, condition: Filter, yes: Filter, no: Filter) -> Iterator[Any]:
        for one in self.each(condition, value):
            yield from self.each(yes if holds(one) else no, value)

    def _sign(self, value: Any, sign: str, left: Filter, right: Filter) -> Iterator[Any]:
        if sign == "//":
            found = [one for one in self._try(value, left) if holds(one)]
            yield from found or self.each(right, value)
        elif sign in ("and", "or"):
            for one in self.each(left, value):
                if holds(one) is (sign == "or"):
                    yield sign == "or"
                else:
                    for other in self.each(right, value):
                        yield holds(other)
        else:
            for other in self.all(right, value):
                for one in self.each(left, value):
                    yield self.made(worked_out(self, sign, one, other))

    def _call(self, value: Any, name: str, arguments: tuple[Filter, ...]) -> Iterator[Any]:
        return map(self.made, FUNCTIONS[name][0](self, value, *arguments))


def _at(value: Any, key: Any) -> Any:
    """What stands at an index or a name. Raises ToolError."""
    if value is None:
        return None
    if isinstance(value, list) and numbers(key):
        at = whole(key)
        return value[at] if -len(value) <= at < len(value) else None
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    raise ToolError(f"{kind_of(value)} has no place that is {kind_of(key)}")
