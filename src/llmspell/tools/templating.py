"""Templates: texts with places that are filled in, in a small part of what Handlebars and Tera (Jinja) take.

`{{name}}`, `{{a.b[1].c}}`, `{{ name | upper | default("x") }}`, `{{#if x}} … {{else}} … {{/if}}`, `{{#unless x}}`,
`{{#each items}} {{this}} {{@index}} {{/each}}`, `{% if x == 1 %} … {% elif y %} … {% else %} … {% endif %}`,
`{% for item in items %} {{ loop.index }} … {% endfor %}`, `{{! … }}` and `{# … #}`. Nothing is run: there are no calls
but the filters of FILTERS, and what comes out is bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError, one_line
from llmspell.tools.template_reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.tools.template_reader import Piece

__all__ = ["FILTERS", "Template"]

MAX_TEXT = 1_000_000  # characters of a template
MAX_OUTPUT = 5_000_000  # of what comes out
MAX_STEPS = 200_000  # pieces that are written


class _Missing:
    """Stands for what is not there."""


MISSING = _Missing()


class Template:
    """A template, read once. Raises ValidationError, naming the line, for one that cannot be read."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise ValidationError(f"the template is longer than {MAX_TEXT} characters")
        self.pieces = Reader(text, FILTERS).whole()

    def render(self, values: Mapping[str, Any], *, strict: bool = True) -> str:
        """The text. strict: a name that is not there is an error, else it is nothing. Raises ToolError."""
        work = _Render(strict)
        work.write(self.pieces, [dict(values)])
        return "".join(work.out)


class _Render:
    """One filling in."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.out: list[str] = []
        self.size = self.steps = 0

    def put(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise ToolError(f"the text would be longer than {MAX_OUTPUT} characters")
        self.out.append(text)

    def count(self, more: int = 1) -> None:
        self.steps += more
        if self.steps > MAX_STEPS:
            raise ToolError("the template takes too long to fill in", hint="give it shorter lists")

    def write(self, pieces: list[Piece], scopes: list[dict[str, Any]]) -> None:
        for piece in pieces:
            self.count()
            kind = piece[0]
            if kind == "text":
                self.put(piece[1])
            elif kind == "value":
                value = self.value(piece[1], scopes)
                if isinstance(value, _Missing):
                    self.missing(piece[1], scopes)
                else:
                    self.put(self.told(piece[1], value))
            elif kind == "if":
                self.write(piece[2] if self.holds(piece[1], scopes) else piece[3], scopes)
            else:
                self.each(piece, scopes)

    def told(self, what: Piece, value: Any) -> str:
        try:
            return _text(value)
        except (TypeError, ValueError):
            raise ToolError(f"the template has `{_shown(what)}`, which cannot be written as JSON") from None

    def each(self, piece: Piece, scopes: list[dict[str, Any]]) -> None:
        _, name, source, body, otherwise = piece
        items = self.value(source, scopes)
        if isinstance(items, _Missing):
            self.missing(source, scopes)
            items = []
        pairs = (
            list(items.items())
            if isinstance(items, dict)
            else list(enumerate(items))
            if isinstance(items, list)
            else None
        )
        if pairs is None:
            raise ToolError(f"the template goes through `{_shown(source)}`, which is no list")
        if not pairs:
            self.write(otherwise, scopes)
        self.count(len(pairs))
        for number, (key, item) in enumerate(pairs):
            ends = {"first": number == 0, "last": number == len(pairs) - 1}
            scope: dict[str, Any] = {f"@{word}": value for word, value in ends.items()}
            scope |= {"@index": number, "@key": key, name: item}
            scope["loop"] = {"index": number + 1, "index0": number, **ends}
            inner = [item] if name == "this" and isinstance(item, dict) else []
            self.write(body, [*scopes, *inner, scope])

    def missing(self, what: Piece, scopes: list[dict[str, Any]]) -> None:
        if not self.strict:
            return
        names = sorted({name for scope in scopes for name in scope if isinstance(name, str) and name[:1] != "@"})[:30]
        raise ToolError(
            f"the template has `{_shown(what)}`, which was not given",
            hint=f"there are {', '.join(one_line(name, 40) for name in names)}" if names else "no values were given",
        )

    def holds(self, what: Piece, scopes: list[dict[str, Any]]) -> bool:
        if what[0] == "not":
            return not self.holds(what[1], scopes)
        if what[0] != "sign":
            value = self.value(what, scopes)
            return (
                not isinstance(value, _Missing)
                and value is not None
                and value is not False
                and value not in ("", 0, [], {})
            )
        left, right = self.value(what[2], scopes), self.value(what[3], scopes)
        try:
            if isinstance(left, list | dict) or isinstance(right, list | dict):
                raise TypeError
            self.count(_size(left, right))
            return _compares(what[1], left, right)
        except TypeError:
            raise ToolError(
                f"the template compares `{_shown(what[2])}` and `{_shown(what[3])}`, which cannot be"
            ) from None

    def value(self, what: Piece, scopes: list[dict[str, Any]]) -> Any:
        if what[0] == "literal":
            return what[1]
        if what[0] == "filter":
            value = self.value(what[3], scopes)
            arguments = [self.value(one, scopes) for one in what[2]]
            if isinstance(value, _Missing) and what[1] != "default":
                return value
            self.count(_size(value, *arguments))
            try:
                made = FILTERS[what[1]](value, *arguments)
                self.count(_size(made))
                return made
            except (TypeError, ValueError, AttributeError, LookupError, OverflowError):
                raise ToolError(f"the filter `{what[1]}` does not go with `{_shown(what[3])}`") from None
        first, *rest = what[1]
        value = next((scope[first] for scope in reversed(scopes) if first in scope), MISSING)
        for name in rest:
            value = _member(value, name)
        return value


def _size(*values: Any) -> int:
    """What a filter of these costs, in steps."""
    return sum(len(value) // 64 for value in values if isinstance(value, str | list | dict | bytes))


def _join(value: Any, between: Any = "") -> str:
    texts, mark = list(map(_text, value)), str(between)
    if sum(map(len, texts)) + len(mark) * len(texts) > MAX_OUTPUT:
        raise ToolError(f"the text would be longer than {MAX_OUTPUT} characters")
    return mark.join(texts)


def _compares(sign: str, left: Any, right: Any) -> bool:
    if sign in ("==", "!="):
        return bool(left == right) is (sign == "==")
    if sign in ("<", "<="):
        return bool(left < right if sign == "<" else left <= right)
    return bool(left > right if sign == ">" else left >= right)


def _member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 9:
        return value[int(name)] if int(name) < len(value) else MISSING
    if name == "length" and isinstance(value, str | list):
        return len(value)
    return MISSING


def _shown(what: Piece) -> str:
    if what[0] == "path":
        return one_line(".".join(what[1]), 60)
    return _shown(what[3]) if what[0] == "filter" else one_line(str(what[1]), 60)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    import orjson

    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS).decode()


def _default(value: Any, other: Any = "") -> Any:
    return other if isinstance(value, _Missing) or value is None or value == "" else value


def _round(value: Any, digits: int = 0) -> Any:
    return round(value, max(-20, min(digits, 20))) if digits else round(value)


HTML = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#39;"}

#: Name: what it makes of a value.
FILTERS: dict[str, Callable[..., Any]] = {
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "capitalize": lambda value: _text(value)[:1].upper() + _text(value)[1:].lower(),
    "title": lambda value: " ".join(word[:1].upper() + word[1:] for word in _text(value).split(" ")),
    "trim": lambda value: _text(value).strip(),
    "length": len,
    "default": _default,
    "join": _join,
    "first": lambda value: value[0] if value else None,
    "last": lambda value: value[-1] if value else None,
    "round": _round,
    "json": lambda value: _text([value])[1:-1],
    "escape": lambda value: _text(value).translate(HTML),
    "truncate": lambda value, length=100: _text(value) if len(_text(value)) <= length else _text(value)[:length] + "…",
}
