"""JSON Schema: whether a value has the form that was asked for, in words for a person or a model.

The core of draft 2020-12: type, enum, const, the bounds of numbers, strings, lists and objects, properties and their
names, items, contains, allOf, anyOf, oneOf, not, if, dependent…, and `$ref` within the schema. `unevaluated…` and words
that are not known say nothing, and of formats only those of `formats.py` are looked at. Time and depth are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line
from llmspell.tools.patterns import Pattern, TooLong
from llmspell.tools.schema_values import a_kind, is_multiple, key_of, member, pointed, shown, too_deep, what
from llmspell.tools.schema_words import WORDS, fits, wanted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_COMPLAINTS", "MAX_DEPTH", "Schema", "check", "from_script"]

MAX_DEPTH = 56  # of values, and of schemas; beyond 64 a chunk with one in it could not cross into Lua
MAX_WALK = 5 * MAX_DEPTH  # schemas below each other in one check: a value's level may be several of them
MAX_STEPS = 200_000  # schemas applied to values, in one check
MAX_MATCHING = 2_000_000  # steps of patterns, in one check
MAX_SCHEMAS = 10_000  # in one
MAX_PATTERNS = 200
MAX_COMPLAINTS = 20

TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list | tuple),
    "number": lambda value: _is_number(value),
    "integer": lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
    "string": lambda value: isinstance(value, str),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _TooMuch(Exception):
    """The check takes too long."""


class Schema:
    """A JSON Schema, read once. Raises ValidationError, naming the place, where it is none that can be used."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self._patterns: dict[str, Pattern] = {}
        self._targets: dict[str, Any] = {}
        self._anchors: dict[str, Any] = {}
        self._refs: list[tuple[str, str]] = []  # to be followed, and where they stand
        self._seen: set[int] = set()
        self._read(schema, "schema", 0)
        while self._refs:
            ref, where = self._refs.pop()
            self._targets[ref] = self._follow(ref, where)

    def check(self, value: Any) -> list[str]:
        """What is wrong with *value*: "place: what", at most MAX_COMPLAINTS; none where it fits.

        `$` is the value itself, so a place is `$.items[0].name`; lists count from 0.
        """
        if too_deep(value, MAX_DEPTH):
            return [f"$: must not be nested more than {MAX_DEPTH} deep"]
        walk = _Walk(self)
        try:
            found = walk.check(value, self.schema, "$", 0)
        except _TooMuch:
            return ["$: takes too long to check"]
        return list(dict.fromkeys(found))[:MAX_COMPLAINTS]

    def pattern(self, source: str) -> Pattern:
        """The pattern, read once."""
        if source not in self._patterns:
            self._patterns[source] = Pattern(source)
        return self._patterns[source]

    def target(self, ref: str) -> Any:
        """The schema that a `$ref` names."""
        return self._targets[ref]

    def _read(self, schema: Any, where: str, depth: int) -> None:
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise ValidationError(f"`{where}` must be a JSON Schema: an object, true or false")
        if id(schema) in self._seen:
            return
        self._seen.add(id(schema))
        self._count_parts()
        if isinstance(anchor := schema.get("$anchor"), str):
            self._anchors.setdefault(anchor, schema)
        if depth > MAX_DEPTH:
            raise ValidationError(f"`{one_line(where, 100)}` is nested more than {MAX_DEPTH} deep")
        for name, value in schema.items():
            kind = WORDS.get(name)
            if kind is None:
                continue
            place = f"{where}.{name}"
            if not fits(kind, value):
                raise ValidationError(f"`{one_line(place, 200)}` must be {wanted(kind)}")
            if kind == "schema":
                self._read(value, place, depth + 1)
            elif kind == "schemas":
                for index, one in enumerate(value):
                    self._read(one, f"{place}[{index}]", depth + 1)
            elif kind == "named schemas":
                for key, one in value.items():
                    self._read(one, f"{place}.{key}", depth + 1)
            self._note(name, value, place)

    def _count_parts(self) -> None:
        if len(self._seen) > MAX_SCHEMAS or len(self._patterns) > MAX_PATTERNS:
            raise ValidationError(f"the schema has more than {MAX_SCHEMAS} schemas, or {MAX_PATTERNS} patterns, in it")

    def _note(self, name: str, value: Any, place: str) -> None:
        """What has to be made ready of a word."""
        if name == "pattern":
            self.pattern(value)
        elif name == "patternProperties":
            for source in value:
                self._count_parts()
                self.pattern(source)
        elif name == "$ref":
            self._refs.append((value, place))
        elif name == "type":
            for one in [value] if isinstance(value, str) else value:
                if one not in TYPES:
                    raise ValidationError(
                        f"`{one_line(place, 200)}` is `{one_line(str(one), 40)}`, which is no type",
                        hint=f"there are {', '.join(TYPES)}",
                    )

    def _follow(self, ref: str, where: str) -> Any:
        if ref in self._targets:
            return self._targets[ref]
        found = None
        if ref.startswith("#"):
            found = self._anchors.get(ref[1:]) if ref[1:2] not in ("", "/") else pointed(self.schema, ref[1:])
        if not isinstance(found, dict | bool):
            raise ValidationError(
                f"`{one_line(where, 200)}` names `{one_line(ref, 80)}`, which is not in the schema",
                hint="a `$ref` begins with `#`, as in `#/$defs/name`",
            )
        self._read(found, one_line(ref, 100), 0)  # it may stand where no schema was looked for
        return found


class _Walk:
    """One check: counts its steps."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.steps = 0
        self.matching = 0
        self.keys: dict[int, Any] = {}  # of values, by identity: they live as long as the check

    def check(self, value: Any, schema: Any, where: str, depth: int) -> list[str]:
        self.steps += 1
        if self.steps > MAX_STEPS or depth > MAX_WALK:
            raise _TooMuch
        if isinstance(schema, bool):
            return [] if schema else [f"{where}: must not be there"]
        found: list[str] = []
        if "$ref" in schema:
            found += self.check(value, self.schema.target(schema["$ref"]), where, depth + 1)
        if not self._typed(value, schema, where, found):
            return found  # what else is said of it would be noise
        self._joined(value, schema, where, depth, found)
        if isinstance(value, dict | list | tuple):
            self.steps += (
                len(value) + len(schema.get("required", ())) + len(schema.get("dependentRequired", ()))
            ) // 20
        if isinstance(value, dict):
            self._object(value, schema, where, depth, found)
        elif isinstance(value, list | tuple):
            self._list(value, schema, where, depth, found)
        elif isinstance(value, str):
            self._string(value, schema, where, found)
        elif _is_number(value):
            _number(value, schema, where, found)
        return found

    def _key(self, value: Any) -> Any:
        """`key_of`, once a container."""
        if not isinstance(value, dict | list | tuple):
            return key_of(value)
        key = self.keys.get(id(value))
        if key is None:
            key = self.keys[id(value)] = key_of(value)
        return key

    def _passes(self, value: Any, schema: Any, where: str, depth: int) -> bool:
        return not self.check(value, schema, where, depth + 1)

    def _typed(self, value: Any, schema: dict[str, Any], where: str, found: list[str]) -> bool:
        kind = schema.get("type")
        if kind is not None:
            kinds = [kind] if isinstance(kind, str) else kind
            if not any(TYPES[one](value) for one in kinds):
                found.append(f"{where}: must be {' or '.join(map(a_kind, kinds))}, not {what(value)}")
                return False
        if "const" in schema and self._key(schema["const"]) != self._key(value):
            found.append(f"{where}: must be {shown(schema['const'])}, not {what(value)}")
            return False
        if "enum" in schema:
            key = self._key(value)
            self.steps += len(schema["enum"]) // 10
            if not any(self._key(one) == key for one in schema["enum"]):
                choices = ", ".join(shown(one) for one in schema["enum"][:20])
                found.append(f"{where}: must be one of {choices}, not {what(value)}")
                return False
        return True

    def _joined(self, value: Any, schema: dict[str, Any], where: str, depth: int, found: list[str]) -> None:
        for one in schema.get("allOf", ()):
            found += self.check(value, one, where, depth + 1)
        if choices := schema.get("anyOf"):
            tried = [self.check(value, one, where, depth + 1) for one in choices]
            if all(tried):
                found.append(_nearest(tried, where, "none of the allowed forms fits"))
        if choices := schema.get("oneOf"):
            tried = [self.check(value, one, where, depth + 1) for one in choices]
            right = sum(not one for one in tried)
            if right == 0:
                found.append(_nearest(tried, where, "none of the allowed forms fits"))
            elif right > 1:
                found.append(f"{where}: must fit exactly one of the allowed forms, not {right}")
        if "not" in schema and self._passes(value, schema["not"], where, depth):
            found.append(f"{where}: has a form that is excluded")
        if "if" in schema:
            branch = "then" if self._passes(value, schema["if"], where, depth) else "else"
            if branch in schema:
                found += self.check(value, schema[branch], where, depth + 1)

    def _object(self, value: dict[Any, Any], schema: dict[str, Any], where: str, depth: int, found: list[str]) -> None:
        found += [f"{member(where, name)}: is missing" for name in schema.get("required", ()) if name not in value]
        _sizes(len(value), schema, "Properties", "members", where, found)
        known = schema.get("properties", {})
        patterns = [(self.schema.pattern(source), one) for source, one in schema.get("patternProperties", {}).items()]
        for name, item in value.items():
            if not isinstance(name, str):
                found.append(f"{where}: has a member whose name is {what(name)}")
                continue
            at = member(where, name)
            applied = name in known
            if applied:
                found += self.check(item, known[name], at, depth + 1)
            for pattern, one in patterns:
                if self._matches(pattern, name):
                    applied = True
                    found += self.check(item, one, at, depth + 1)
            if not applied and "additionalProperties" in schema:
                if schema["additionalProperties"] is False:
                    found.append(f"{at}: is not a member that may be there")
                else:
                    found += self.check(item, schema["additionalProperties"], at, depth + 1)
            if "propertyNames" in schema and (wrong := self.check(name, schema["propertyNames"], at, depth + 1)):
                found.append(f"{at}: its name does not fit: {wrong[0].partition(': ')[2]}")
        for name, needed in schema.get("dependentRequired", {}).items():
            if name in value:
                found += [f"{member(where, one)}: is missing beside `{name}`" for one in needed if one not in value]
        for name, one in schema.get("dependentSchemas", {}).items():
            if name in value:
                found += self.check(value, one, where, depth + 1)

    def _list(self, value: Any, schema: dict[str, Any], where: str, depth: int, found: list[str]) -> None:
        _sizes(len(value), schema, "Items", "items", where, found)
        first = schema.get("prefixItems", ())
        for index, (item, one) in enumerate(zip(value, first, strict=False)):
            found += self.check(item, one, f"{where}[{index}]", depth + 1)
        if "items" in schema:
            for index in range(len(first), len(value)):
                found += self.check(value[index], schema["items"], f"{where}[{index}]", depth + 1)
                if len(found) > MAX_COMPLAINTS:
                    break
        if schema.get("uniqueItems") and len({self._key(item) for item in value}) != len(value):
            found.append(f"{where}: must not hold the same item twice")
        if "contains" in schema:
            fitting = sum(self._passes(item, schema["contains"], where, depth) for item in value)
            least = schema.get("minContains", 1)
            if fitting < least:
                found.append(f"{where}: must hold at least {least} items of the form wanted, not {fitting}")
            if "maxContains" in schema and fitting > schema["maxContains"]:
                found.append(f"{where}: must hold at most {schema['maxContains']} such items, not {fitting}")

    def _string(self, value: str, schema: dict[str, Any], where: str, found: list[str]) -> None:
        _sizes(len(value), schema, "Length", "characters", where, found)
        if "pattern" in schema and not self._matches(self.schema.pattern(schema["pattern"]), value):
            found.append(f"{where}: must match the pattern {shown(schema['pattern'])}, which {what(value)} does not")
        if "format" in schema:
            from llmspell.tools.formats import FORMATS

            known = FORMATS.get(schema["format"])
            if known is not None and not known(value):
                found.append(f"{where}: must be a {schema['format']}, which {what(value)} is not")

    def _matches(self, pattern: Pattern, text: str) -> bool:
        try:
            found, steps = pattern.find(text, MAX_MATCHING - self.matching)
        except TooLong:
            raise _TooMuch from None
        self.matching += steps
        return found


def _number(value: float, schema: dict[str, Any], where: str, found: list[str]) -> None:
    if "minimum" in schema and not value >= schema["minimum"]:
        found.append(f"{where}: must be at least {schema['minimum']}, not {value}")
    if "maximum" in schema and not value <= schema["maximum"]:
        found.append(f"{where}: must be at most {schema['maximum']}, not {value}")
    if "exclusiveMinimum" in schema and not value > schema["exclusiveMinimum"]:
        found.append(f"{where}: must be above {schema['exclusiveMinimum']}, not {value}")
    if "exclusiveMaximum" in schema and not value < schema["exclusiveMaximum"]:
        found.append(f"{where}: must be below {schema['exclusiveMaximum']}, not {value}")
    if "multipleOf" in schema and not is_multiple(value, schema["multipleOf"]):
        found.append(f"{where}: must be a multiple of {schema['multipleOf']}, not {value}")


def _sizes(size: int, schema: dict[str, Any], word: str, things: str, where: str, found: list[str]) -> None:
    least, most = schema.get("min" + word), schema.get("max" + word)
    if least is not None and size < least:
        found.append(f"{where}: must have at least {least} {things}, not {size}")
    if most is not None and size > most:
        found.append(f"{where}: must have at most {most} {things}, not {size}")


def _nearest(tried: list[list[str]], where: str, said: str) -> str:
    """Of several forms the one that was nearly met: the complaint that lies deepest."""
    best = max((one[0] for one in tried), key=lambda one: one.partition(": ")[0].count(".") + one.count("["))
    return f"{where}: {said} ({best})"


def check(value: Any, schema: Any) -> list[str]:
    """What is wrong with *value* by *schema*: see Schema.check. Raises ValidationError for a schema that is none."""
    return Schema(schema).check(value)


def from_script(schema: Any, depth: int = 0) -> Any:
    """A schema out of Lua, where an empty table may have been meant as a list: `{}` is one where a list is wanted.

    Its members come by name, since Lua has them in another order in each process.
    """
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {} if schema == [] else schema
    made: dict[str, Any] = {}
    for name in sorted(schema, key=str):
        value, kind = schema[name], WORDS.get(name)
        if value == {} and kind in ("schemas", "values", "names", "type"):
            value = []
        elif kind == "schema":
            value = from_script(value, depth + 1)
        elif kind == "schemas" and isinstance(value, list):
            value = [from_script(one, depth + 1) for one in value]
        elif kind in ("named schemas", "named names"):
            value = {} if value == [] else value
            if isinstance(value, dict) and kind == "named schemas":
                value = {key: from_script(value[key], depth + 1) for key in sorted(value, key=str)}
        made[name] = value
    return made
