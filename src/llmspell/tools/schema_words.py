"""The words of a JSON Schema and what each must be given."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["WORDS", "fits", "wanted"]

#: Word: what it takes. Words that only describe (title, default, examples …) are not here.
WORDS: dict[str, str] = {
    **dict.fromkeys(
        ("additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"), "schema"
    ),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), "schema"),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), "schemas"),
    **dict.fromkeys(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"), "named schemas"),
    "dependentRequired": "named names",
    "required": "names",
    "enum": "values",
    "type": "type",
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), "number"),
    "multipleOf": "number above 0",
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), "count"),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), "count"),
    "uniqueItems": "boolean",
    **dict.fromkeys(("pattern", "format", "$ref", "$anchor"), "string"),
}

_WANTED = {
    "schema": "a JSON Schema: an object, true or false",
    "schemas": "a list of JSON Schemas, not empty",
    "named schemas": "an object of JSON Schemas",
    "named names": "an object of lists of names",
    "names": "a list of names",
    "values": "a list of values",
    "type": "a type or a list of types",
    "number": "a number",
    "number above 0": "a number above 0",
    "count": "a whole number, not below 0",
    "boolean": "true or false",
    "string": "a string",
}


def wanted(kind: str) -> str:
    """What a word takes, for a message."""
    return _WANTED[kind]


def fits(kind: str, value: Any) -> bool:
    """Whether *value* is what a word of this kind takes; the schemas inside it are not looked at."""
    if kind == "schema":
        return isinstance(value, dict | bool)
    if kind == "schemas":
        return isinstance(value, list) and bool(value)
    if kind == "named schemas":
        return isinstance(value, dict) and _all_strings(value)
    if kind == "named names":
        return isinstance(value, dict) and all(isinstance(one, list) and _all_strings(one) for one in value.values())
    if kind == "names":
        return isinstance(value, list) and _all_strings(value)
    if kind == "values":
        return isinstance(value, list)
    if kind == "type":
        return isinstance(value, str) or (isinstance(value, list) and bool(value) and _all_strings(value))
    if kind in ("number", "number above 0"):
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return good and (kind == "number" or value > 0)
    if kind == "count":
        whole = type(value) is int or (isinstance(value, float) and value.is_integer())
        return whole and value >= 0
    return isinstance(value, bool if kind == "boolean" else str)


def _all_strings(values: Any) -> bool:
    return all(isinstance(one, str) for one in values)
