"""Python's type hints as JSON Schemas, and JSON values as what the hints say."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from llmspell.errors import ValidationError, one_line

__all__ = ["as_hinted", "schema_of"]

PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    Any: {},
    object: {},
    list: {"type": "array"},
    tuple: {"type": "array"},
    typing.Tuple: {"type": "array"},  # noqa: UP006 (one of any items, which `tuple[()]` is not)
    set: {"type": "array", "uniqueItems": True},
    dict: {"type": "object"},
}
MAX_DEPTH = 20  # of hints within hints


def schema_of(hint: Any, where: str, depth: int = 0) -> dict[str, Any]:
    """The JSON Schema of a type hint. where: what it is of, for messages.

    It takes str, int, float, bool, None, Any, list, tuple, set and dict with what is in them, unions, Literal, Enum,
    TypedDict, dataclasses, and Annotated with a text that describes or a dict of more words of the schema.
    Raises ValidationError for another one.
    """
    if depth > MAX_DEPTH:
        raise ValidationError(f"the type of {where} is nested too deep, or in itself")
    try:
        if hint in PLAIN:
            return dict(PLAIN[hint])
    except TypeError:  # of Annotated with a dict
        pass
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        made = schema_of(args[0], where, depth + 1)
        for more in args[1:]:
            made |= {"description": more} if isinstance(more, str) else more if isinstance(more, dict) else {}
        return made
    if origin in (Required, NotRequired):
        return schema_of(args[0], where, depth + 1)
    if origin is Literal:
        return {"enum": [one.value if isinstance(one, enum.Enum) else one for one in args]}
    if origin is Union or origin is types.UnionType:
        return _union([schema_of(one, where, depth + 1) for one in args])
    if origin is not None:
        return _container(origin, args, where, depth)
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return {"enum": [one.value for one in hint]}
        if is_typeddict(hint):
            members = get_type_hints(hint, include_extras=True)
            keys = set(getattr(hint, "__required_keys__", ()))  # wrong where annotations are texts
            keys |= {name for name, one in members.items() if get_origin(one) is Required}
            return _members(
                members, {name for name in keys if get_origin(members[name]) is not NotRequired}, where, depth
            )
        if dataclasses.is_dataclass(hint):
            told = get_type_hints(hint, include_extras=True)
            fields = [one for one in dataclasses.fields(hint) if one.init]
            needed = [one.name for one in fields if _no_default(one)]
            return _members({one.name: told[one.name] for one in fields}, needed, where, depth)
    raise ValidationError(
        f"the type of {where} is `{one_line(getattr(hint, '__name__', str(hint)), 60)}`, which no JSON Schema can say",
        hint="use str, int, float, bool, list, dict, Literal, an Enum, a TypedDict or a dataclass",
    )


def _no_default(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _union(choices: list[dict[str, Any]]) -> dict[str, Any]:
    if all(choice.keys() == {"type"} and isinstance(choice["type"], str) for choice in choices):
        return {"type": [choice["type"] for choice in choices]}
    return {"anyOf": choices}


def _container(origin: Any, args: tuple[Any, ...], where: str, depth: int) -> dict[str, Any]:
    name = getattr(origin, "__name__", "")
    if name in ("list", "List", "Sequence", "Iterable", "Collection", "set", "frozenset", "Set"):
        made: dict[str, Any] = {"type": "array"}
        if args:  # there are none of `typing.List`
            made["items"] = schema_of(args[0], where, depth + 1)
        return made | {"uniqueItems": True} if name in ("set", "frozenset", "Set") else made
    if name == "tuple":
        if len(args) == 2 and args[1] is ...:
            return {"type": "array", "items": schema_of(args[0], where, depth + 1)}
        items = [schema_of(one, where, depth + 1) for one in args]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if name in ("dict", "Mapping", "MutableMapping"):
        return {"type": "object"} | ({"additionalProperties": schema_of(args[1], where, depth + 1)} if args else {})
    raise ValidationError(f"the type of {where} is a `{one_line(name, 60)}`, which no JSON Schema can say")


def _members(told: dict[str, Any], needed: Any, where: str, depth: int) -> dict[str, Any]:
    members = {name: schema_of(hint, f"{where}.{name}", depth + 1) for name, hint in told.items()}
    made: dict[str, Any] = {"type": "object", "properties": members, "additionalProperties": False}
    return made | {"required": sorted(needed)} if needed else made


def as_hinted(hint: Any, value: Any) -> Any:
    """A JSON value that fits the hint's schema, as the hint has it: an Enum's member, a dataclass, a tuple."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated or origin in (Required, NotRequired):
        return as_hinted(args[0], value)
    if origin is Union or origin is types.UnionType:
        return _chosen(args, value)
    if origin is Literal:
        return next((one for one in args if isinstance(one, enum.Enum) and one.value == value), value)
    if isinstance(value, list | tuple):
        items = [as_hinted(args[0], one) for one in value] if args and origin is not tuple else list(value)
        wanted = origin or hint
        if wanted is tuple and args:
            each = [args[0]] * len(value) if args[-1] is ... else list(args)
            return tuple(as_hinted(one, item) for one, item in zip(each, value, strict=False))
        return wanted(items) if wanted in (tuple, set, frozenset) else items
    if isinstance(value, dict) and origin is not None and len(args) == 2:
        return {key: as_hinted(args[1], item) for key, item in value.items()}
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return hint(value)
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            told = get_type_hints(hint, include_extras=True)
            return hint(**{name: as_hinted(told[name], item) for name, item in value.items()})
        if hint is int and isinstance(value, float):
            return int(value)
        if hint is float and type(value) is int:
            return float(value)
    return value


def _chosen(choices: tuple[Any, ...], value: Any) -> Any:
    """*value* as the first of the choices that it fits."""
    from llmspell.tools.schema import check

    for one in choices:
        if not check(value, schema_of(one, "a choice")):
            return as_hinted(one, value)
    return value
