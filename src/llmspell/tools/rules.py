"""Rules for values, as `data_validation` takes them: `{type = "length", min = 3, field = "name"}` and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line
from llmspell.tools.schema_values import key_of, shown, too_deep

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.tools.patterns import Pattern

__all__ = ["RULES", "broken", "listed"]

MOST_RULES = 1000
MOST_BROKEN = 100  # of rules, told in one answer
MOST_STEPS = 100_000  # rules applied to values
MOST_MATCHING = 3_000_000  # steps of patterns
MOST_VALUES = 200  # of an enum
MAX_DEPTH = 30

KINDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def listed(rules: Any, depth: int = 0) -> list[dict[str, Any]]:
    """Rules in any of the ways that they may be written in: a list, one, `{rules = …}`, or by the name of a field.

    Raises ValidationError for what is no rule, and for rules that are nested too deep.
    """
    if depth > MAX_DEPTH:
        raise ValidationError(f"the rules are nested more than {MAX_DEPTH} deep")
    if isinstance(rules, str):
        return [_rule({"type": rules})]
    if isinstance(rules, list):
        if len(rules) > MOST_RULES:
            raise ValidationError(f"there are more than {MOST_RULES} rules")
        return [one for item in rules for one in listed(item, depth + 1)]
    if not isinstance(rules, dict):
        raise ValidationError(f"a rule is a table, not {shown(rules)}", hint='as `{ type = "required" }`')
    if isinstance(rules.get("type"), str):
        return [_rule(rules)]
    if isinstance(rules.get("rules"), list | dict) and len(rules) == 1:
        return listed(rules["rules"], depth + 1)
    found = []
    for name, more in rules.items():
        for one in listed(more, depth + 1):
            inner = one.get("field")
            found.append({**one, "field": f"{name}.{inner}" if inner else str(name)})
    return found


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    if rule["type"] not in RULES:
        from difflib import get_close_matches

        near = get_close_matches(rule["type"][:40], RULES, 1, 0.6)
        raise ValidationError(
            f"there is no rule `{one_line(rule['type'], 40)}`",
            hint=f"did you mean `{near[0]}`?" if near else f"there are {', '.join(RULES)}",
        )
    return rule


def broken(value: Any, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules that *value* breaks: `{field, rule, message}` each, at most MOST_BROKEN."""
    if too_deep(value, MAX_DEPTH * 2):
        raise ValidationError(f"the value is nested more than {MAX_DEPTH * 2} deep")
    walk = _Walk()
    walk.all(value, rules, "", 0)
    return walk.found[:MOST_BROKEN]


class _Walk:
    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.steps = self.matching = 0
        self.patterns: dict[str, Pattern] = {}

    def all(self, value: Any, rules: list[dict[str, Any]], where: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ValidationError(f"the rules are nested more than {MAX_DEPTH} deep")
        for rule in rules:
            self._count(1)
            if len(self.found) >= MOST_BROKEN:
                return
            at, field = value, str(rule.get("field", ""))
            for name in field.split(".") if field else ():
                at = _member(at, name)
            place = ".".join(filter(None, (where, field)))
            kind = rule["type"]
            if kind in ("array", "object"):
                self._inner(at, rule, place, depth)
            elif kind == "pattern":
                self._told(place, rule, self._matching(at, rule))
            elif at is not None or kind in ("required", "not_empty", "type"):
                self._told(place, rule, RULES[kind](at, rule))

    def _count(self, more: int) -> None:
        self.steps += more
        if self.steps > MOST_STEPS:
            raise ValidationError("the rules take too long to check", hint="give it less at once")

    def _matching(self, value: Any, rule: dict[str, Any]) -> str | None:
        from llmspell.tools.patterns import Pattern, TooLong

        source = rule.get("regex", rule.get("pattern"))
        if not isinstance(source, str):
            raise ValidationError("the rule `pattern` needs `regex`")
        pattern = self.patterns.get(source)
        if pattern is None:
            self._count(len(source))
            pattern = self.patterns[source] = Pattern(source)
        if value is None or not isinstance(value, str):
            return None if value is None else "must be a string"
        try:
            found, steps = pattern.find(value, MOST_MATCHING - self.matching)
        except TooLong:
            raise ValidationError("the rules take too long to check", hint="give it shorter texts") from None
        self.matching += steps
        return None if found else f"must match {shown(source)}"

    def _told(self, place: str, rule: dict[str, Any], message: str | None) -> None:
        if message is not None:
            self.found.append({"field": place, "rule": rule["type"], "message": str(rule.get("message") or message)})

    def _inner(self, value: Any, rule: dict[str, Any], place: str, depth: int) -> None:
        if value is None:
            return
        if rule["type"] == "array":
            if not isinstance(value, list):
                return self._told(place, rule, "must be a list")
            least, most = rule.get("min_items", rule.get("min")), rule.get("max_items", rule.get("max"))
            self._told(place, rule, _bounds(len(value), least, most, "must have", " items"))
            if rule.get("unique"):
                self._told(place, rule, _unique(value, rule))
            if inner := rule.get("item_rules", rule.get("items")):
                rules = listed(inner)
                self._count(len(value) // 10)
                for number, item in enumerate(value, 1):
                    self.all(item, rules, f"{place}[{number}]", depth + 1)
            return None
        if not isinstance(value, dict):
            return self._told(place, rule, "must be an object")
        needed = rule.get("required") or []
        members = rule.get("properties", rule.get("fields")) or {}
        named = isinstance(needed, list) and all(isinstance(name, str) for name in needed)
        if not named or not isinstance(members, dict):
            raise ValidationError("the rule `object` takes names as `required`, and rules by name as `properties`")
        self._count((len(value) + len(needed)) // 10)
        for name in needed:
            if value.get(name) is None:
                self._told(".".join(filter(None, (place, str(name)))), rule, "is missing")
        if rule.get("additional_properties") is False:
            for name in value:
                if name not in members:
                    self._told(".".join(filter(None, (place, str(name)))), rule, "must not be there")
        for name, inner in members.items():
            self.all(value.get(name), listed(inner), ".".join(filter(None, (place, str(name)))), depth + 1)
        return None


def _member(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 9:
        at = int(name)
        return value[at - 1] if 0 < at <= len(value) else None
    return None


def _bounds(size: float, least: Any, most: Any, verb: str, things: str = "") -> str | None:
    if _is_number(least) and size < least:
        return f"{verb} at least {least}{things}, not {size}"
    if _is_number(most) and size > most:
        return f"{verb} at most {most}{things}, not {size}"
    return None


def _required(value: Any, rule: dict[str, Any]) -> str | None:
    return "is missing" if value is None or value == "" else None


def _not_empty(value: Any, rule: dict[str, Any]) -> str | None:
    return "is empty" if value is None or (isinstance(value, str | list | dict) and not value) else None


def _type(value: Any, rule: dict[str, Any]) -> str | None:
    wanted = rule.get("expected", rule.get("value"))
    names = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    for name in names:
        if name not in KINDS:
            raise ValidationError(
                f"the rule `type` has no `{one_line(str(name), 40)}`", hint=f"there are {', '.join(KINDS)}"
            )
    if any(KINDS[name](value) for name in names) or (value is None and rule.get("optional")):
        return None
    came = next((name for name, fits in KINDS.items() if fits(value)), "bytes that are no text")
    return f"must be of type {' or '.join(names)}, not {came}"


def _length(value: Any, rule: dict[str, Any]) -> str | None:
    if not isinstance(value, str | list | dict):
        return "has no length"
    return _bounds(len(value), rule.get("min"), rule.get("max"), "must have a length of")


def _range(value: Any, rule: dict[str, Any]) -> str | None:
    if not _is_number(value):
        return "must be a number"
    return _bounds(value, rule.get("min"), rule.get("max"), "must be")


def _enum(value: Any, rule: dict[str, Any]) -> str | None:
    values = rule.get("values")
    if not isinstance(values, list) or len(values) > MOST_VALUES:
        raise ValidationError(f"the rule `enum` needs `values`, a list of at most {MOST_VALUES}")
    key = key_of(value)
    if any(key_of(one) == key for one in values):
        return None
    return f"must be one of {', '.join(map(shown, values[:20]))}, not {shown(value)}"


def _form(name: str, words: str) -> Callable[[Any, dict[str, Any]], str | None]:
    def check(value: Any, rule: dict[str, Any]) -> str | None:
        from llmspell.tools.formats import FORMATS

        return None if isinstance(value, str) and FORMATS[name](value) else f"must be {words}"

    return check


def _url(value: Any, rule: dict[str, Any]) -> str | None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value) if isinstance(value, str) and len(value) < 10_000 else None
        good = parts is not None and parts.scheme in ("http", "https", "ftp", "ws", "wss") and bool(parts.hostname)
    except ValueError:
        good = False
    return None if good and " " not in value else "must be a URL"


def _date(value: Any, rule: dict[str, Any]) -> str | None:
    from llmspell.tools.times import parsed

    form = rule.get("format")
    if form is not None and not isinstance(form, str):
        raise ValidationError("the rule `date` takes a text as `format`", hint="as `%Y-%m-%d`")
    try:
        parsed(value if isinstance(value, str) else "", "value", form)
    except ValidationError as error:
        return "must be a date" if "not a" in error.message else error.message
    return None


def _unique(value: Any, rule: dict[str, Any]) -> str | None:
    if isinstance(value, list) and len({key_of(one) for one in value}) != len(value):
        return "must not hold the same item twice"
    return None


def _fits(value: Any, rule: dict[str, Any]) -> str | None:  # of rules that _Walk sees to itself
    return None


#: Name: what says whether a value breaks the rule, or None.
RULES: dict[str, Callable[[Any, dict[str, Any]], str | None]] = {
    "required": _required, "not_empty": _not_empty, "type": _type, "length": _length, "range": _range,
    "pattern": _fits, "enum": _enum, "email": _form("email", "an e-mail address"), "url": _url, "date": _date,
    "uuid": _form("uuid", "a UUID"), "unique": _unique, "array": _fits, "object": _fits,
}  # fmt: skip
