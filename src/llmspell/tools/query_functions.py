"""The functions of a query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from llmspell.errors import ToolError, one_line
from llmspell.tools.query_values import KEY, MAX_TEXT, compared, holds, kind_of, numbers, rank, short, worked_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llmspell.tools.query_reader import Filter

__all__ = ["FUNCTIONS"]

Work: TypeAlias = Any  # query._Work, which counts the steps


def _a_list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ToolError(f"`{name}` takes a list, not {kind_of(value)}")
    return value


def _a_string(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ToolError(f"`{name}` takes a string, not {kind_of(value)}")
    return value


# ---- functions that take filters: each gets the work, the value, its arguments


def _select(work: Work, value: Any, condition: Filter) -> Iterator[Any]:
    for one in work.each(condition, value):
        if holds(one):
            yield value


def _map(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    yield [one for item in _a_list(value, "map") for one in work.each(what, item)]


def _map_values(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    if isinstance(value, dict):
        yield {name: one for name, item in value.items() for one in list(work.each(what, item))[:1]}
    else:
        yield [one for item in _a_list(value, "map_values") for one in list(work.each(what, item))[:1]]


def _with_entries(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    yield _from_entries(work, [one for item in _to_entries(work, value) for one in work.each(what, item)])


def _keyed(work: Work, value: Any, what: Filter | None, name: str) -> list[tuple[Any, Any]]:
    """The items with what they are sorted by, sorted."""
    items = _a_list(value, name)
    keyed = [(item if what is None else work.all(what, item), item) for item in items]
    weight = sum(sum(map(work.weigh, key)) if what is not None else work.weigh(key) for key, _ in keyed)
    work.count(weight * max(len(items).bit_length(), 1) // 4)
    return sorted(keyed, key=lambda one: KEY(one[0]))


def _groups(work: Work, value: Any, what: Filter, name: str) -> list[list[Any]]:
    groups: list[list[Any]] = []
    last: Any = None
    for key, item in _keyed(work, value, what, name):
        if groups and compared(last, key) == 0:
            groups[-1].append(item)
        else:
            groups.append([item])
        last = key
    return groups


def _sort_by(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    yield [item for _, item in _keyed(work, value, what, "sort_by")]


def _group_by(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    yield _groups(work, value, what, "group_by")


def _unique_by(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    yield [group[0] for group in _groups(work, value, what, "unique_by")]


def _min_by(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    keyed = _keyed(work, value, what, "min_by")
    yield keyed[0][1] if keyed else None


def _max_by(work: Work, value: Any, what: Filter) -> Iterator[Any]:
    keyed = _keyed(work, value, what, "max_by")
    yield keyed[-1][1] if keyed else None


def _any_of(work: Work, value: Any, what: Filter | None = None) -> Iterator[Any]:
    yield any(
        holds(one) for item in _a_list(value, "any") for one in ([item] if what is None else work.each(what, item))
    )


def _all_of(work: Work, value: Any, what: Filter | None = None) -> Iterator[Any]:
    yield all(
        holds(one) for item in _a_list(value, "all") for one in ([item] if what is None else work.each(what, item))
    )


def _first(work: Work, value: Any, what: Filter = ("each",)) -> Iterator[Any]:
    if what == ("each",) and value == []:
        yield None
        return
    for one in work.each(what, value):
        yield one
        return


def _last(work: Work, value: Any, what: Filter = ("each",)) -> Iterator[Any]:
    found = work.all(what, value)
    if found or what == ("each",):
        yield found[-1] if found else None


def _limit(work: Work, value: Any, count: Filter, what: Filter) -> Iterator[Any]:
    left = work.first(count, value)
    if numbers(left) and left > 0:
        for number, one in enumerate(work.each(what, value), 1):
            yield one
            if number >= left:
                return


# ---- functions of a value and of values


def _to_entries(work: Work, value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise ToolError(f"`to_entries` takes an object, not {kind_of(value)}")
    return [{"key": name, "value": item} for name, item in value.items()]


def _from_entries(work: Work, value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for one in _a_list(value, "from_entries"):
        if not isinstance(one, dict):
            raise ToolError(f"`from_entries` takes a list of objects, not of {kind_of(one)}")
        name = next((one[key] for key in ("key", "name", "k") if key in one), None)
        made[name if isinstance(name, str) else _tostring(work, name)] = one.get("value", one.get("v"))
    return made


def _length(work: Work, value: Any) -> int | float:
    if value is None:
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    if numbers(value):
        return abs(value)  # type: ignore[no-any-return]
    raise ToolError(f"{kind_of(value)} has no length")


def _keys(work: Work, value: Any) -> list[Any]:
    if isinstance(value, dict):
        return sorted(value)
    return list(range(len(_a_list(value, "keys"))))


def _add(work: Work, value: Any) -> Any:
    items = list(value.values()) if isinstance(value, dict) else _a_list(value, "add")
    if items and all(isinstance(one, str) for one in items):
        return short("".join(items))  # no longer than what was weighed
    if items and all(isinstance(one, list) for one in items):
        return [one for item in items for one in item]
    done: Any = None
    for item in items:
        done = worked_out(work, "+", done, item)
    return done


def _flatten(work: Work, value: Any, depth: Any = 100) -> list[Any]:
    made: list[Any] = []
    if not numbers(depth):
        raise ToolError(f"`flatten` takes a number, not {kind_of(depth)}")
    for one in _a_list(value, "flatten"):
        work.count()
        made += _flatten(work, one, depth - 1) if isinstance(one, list) and depth > 0 else [one]
    return made


def _has(work: Work, value: Any, key: Any) -> bool:
    if isinstance(value, dict):
        return key in value if isinstance(key, str) else False
    return numbers(key) and 0 <= key < len(_a_list(value, "has"))


def _contains(work: Work, value: Any, part: Any) -> bool:
    work.count()
    if isinstance(value, dict) and isinstance(part, dict):
        return all(name in value and _contains(work, value[name], item) for name, item in part.items())
    if isinstance(value, list) and isinstance(part, list):
        return all(any(_contains(work, one, item) for one in value) for item in part)
    if isinstance(value, str) and isinstance(part, str):
        return part in value
    return compared(value, part) == 0


def _tostring(work: Work, value: Any) -> str:
    import orjson

    try:
        return value if isinstance(value, str) else orjson.dumps(value).decode()
    except TypeError as error:  # nested deeper than it writes, or with what JSON has not
        raise ToolError(f"{kind_of(value)} cannot be written as JSON: {one_line(str(error), 60)}") from None


def _tonumber(work: Work, value: Any) -> int | float:
    if numbers(value):
        return value  # type: ignore[no-any-return]
    text = _a_string(value, "tonumber").strip()
    try:
        return int(text) if text.lstrip("+-").isdigit() and len(text) < 19 else float(text)
    except ValueError:
        raise ToolError(f"`{one_line(text, 40)}` is no number") from None


def _join(work: Work, value: Any, between: Any) -> str:
    texts = ["" if one is None else _tostring(work, one) for one in _a_list(value, "join")]
    mark = _a_string(between, "join")
    if sum(map(len, texts)) + len(mark) * len(texts) > MAX_TEXT:
        raise ToolError(f"a string is longer than {MAX_TEXT} characters")
    return mark.join(texts)


def _index_of(work: Work, value: Any, part: Any) -> int | None:
    if isinstance(value, str):
        at = value.find(_a_string(part, "index"))
        return at if at >= 0 else None
    return next((at for at, one in enumerate(_a_list(value, "index")) if compared(one, part) == 0), None)


def _test(work: Work, value: Any, pattern: Any) -> bool:
    from llmspell.tools.patterns import Pattern, TooLong

    try:
        found, steps = Pattern(_a_string(pattern, "test")).find(_a_string(value, "test"), 1_000_000)
    except TooLong:
        raise ToolError("a string is too long for its pattern") from None
    work.count(steps // 4)
    return found


def _round_to(value: Any, how: Callable[[float], int]) -> int:
    if not numbers(value) or value - value != 0:
        raise ToolError(f"there is no rounding of {kind_of(value)}")
    return how(value)


def _ceil(value: float) -> int:
    return -int(-value // 1)


def _of_value(function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """A function of the value and of the values of its arguments, for each of these."""

    def run(work: Work, value: Any, *arguments: Filter) -> Iterator[Any]:
        work.count(work.weigh(value) // 8)
        if not arguments:
            yield function(work, value)
        else:
            for one in work.all(arguments[0], value):
                yield function(work, value, one)

    return run


def _edge(value: Any, name: str, how: Callable[..., Any]) -> Any:
    items = _a_list(value, name)
    return how(items, key=KEY) if items else None


TYPE_NAMES = {0: "null", 1: "boolean", 2: "boolean", 3: "number", 4: "string", 5: "array", 6: "object"}

_PLAIN: dict[str, tuple[Callable[..., Any], Iterable[int]]] = {
    "length": (_length, (0,)), "keys": (_keys, (0,)), "add": (_add, (0,)), "flatten": (_flatten, (0, 1)),
    "to_entries": (_to_entries, (0,)), "from_entries": (_from_entries, (0,)),
    "has": (_has, (1,)), "contains": (_contains, (1,)), "index": (_index_of, (1,)), "test": (_test, (1,)),
    "tostring": (_tostring, (0,)), "tonumber": (_tonumber, (0,)),
    "tojson": (lambda w, v: _tostring(w, [v])[1:-1], (0,)),
    "type": (lambda w, v: TYPE_NAMES[rank(v)], (0,)), "not": (lambda w, v: not holds(v), (0,)),
    "sort": (lambda w, v: [one for _, one in _keyed(w, v, None, "sort")], (0,)),
    "unique": (lambda w, v: [one[0] for one in _groups(w, v, ("self",), "unique")], (0,)),
    "reverse": (lambda w, v: v[::-1] if isinstance(v, str) else _a_list(v, "reverse")[::-1], (0,)),
    "min": (lambda w, v: _edge(v, "min", min), (0,)), "max": (lambda w, v: _edge(v, "max", max), (0,)),
    "join": (_join, (1,)),
    "split": (lambda w, v, by: _a_string(v, "split").split(_a_string(by, "split") or None), (1,)),
    "ascii_downcase": (lambda w, v: _a_string(v, "ascii_downcase").lower(), (0,)),
    "ascii_upcase": (lambda w, v: _a_string(v, "ascii_upcase").upper(), (0,)),
    "startswith": (lambda w, v, p: _a_string(v, "startswith").startswith(_a_string(p, "startswith")), (1,)),
    "endswith": (lambda w, v, p: _a_string(v, "endswith").endswith(_a_string(p, "endswith")), (1,)),
    "ltrimstr": (lambda w, v, p: v.removeprefix(p) if isinstance(v, str) and isinstance(p, str) else v, (1,)),
    "rtrimstr": (lambda w, v, p: v.removesuffix(p) if isinstance(v, str) and isinstance(p, str) else v, (1,)),
    "trim": (lambda w, v: _a_string(v, "trim").strip(), (0,)),
    "floor": (lambda w, v: _round_to(v, lambda n: int(n // 1)), (0,)), "ceil": (lambda w, v: _round_to(v, _ceil), (0,)),
    "round": (lambda w, v: _round_to(v, round), (0,)), "abs": (lambda w, v: abs(_length(w, v)), (0,)),
}  # fmt: skip

#: Name: the function, and how many arguments it takes.
FUNCTIONS: dict[str, tuple[Callable[..., Iterator[Any]], tuple[int, ...]]] = {
    **{name: (_of_value(function), tuple(takes)) for name, (function, takes) in _PLAIN.items()},
    "select": (_select, (1,)), "map": (_map, (1,)), "map_values": (_map_values, (1,)),
    "with_entries": (_with_entries, (1,)), "sort_by": (_sort_by, (1,)), "group_by": (_group_by, (1,)),
    "unique_by": (_unique_by, (1,)), "min_by": (_min_by, (1,)), "max_by": (_max_by, (1,)),
    "any": (_any_of, (0, 1)), "all": (_all_of, (0, 1)), "first": (_first, (0, 1)), "last": (_last, (0, 1)),
    "limit": (_limit, (2,)), "empty": (lambda work, value: iter(()), (0,)),
    "recurse": (lambda work, value: work.each(("deep",), value), (0,)),
}  # fmt: skip
