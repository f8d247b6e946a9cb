"""JSON by orjson and TOML by the standard library, with errors that say where: source, line and column."""

from __future__ import annotations

import base64
import dataclasses
import re
from enum import Enum
from pathlib import PurePath
from typing import Any, TypeVar

import orjson

from llmspell.errors import ValidationError, one_line

__all__ = ["as_dataclass", "dumps", "loads", "loads_toml", "plain"]

T = TypeVar("T")


def loads(text: str | bytes, source: str = "the text") -> Any:
    """The value of JSON. Raises ValidationError with `line` and `column`, from 1. source: what it is called there."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        what = error.msg.partition(": line ")[0]
        raise _wrong(source, "JSON", what, error.lineno, error.colno) from None


def dumps(value: Any, *, pretty: bool = False, sort: bool = False) -> bytes:
    """*value* as JSON, as `plain` sees it. pretty: in lines, indented by two. sort: members by name.

    Raises ValidationError for what is none of it, and for a number of more than 64 bits.
    """
    options = (orjson.OPT_INDENT_2 if pretty else 0) | (orjson.OPT_SORT_KEYS if sort else 0)
    try:
        return orjson.dumps(plain(value), option=options)
    except (TypeError, RecursionError) as error:
        raise ValidationError(f"it cannot be written as JSON: {one_line(str(error))}") from None


def plain(value: Any) -> Any:
    """*value* of dicts, lists, texts and numbers alone.

    Dataclasses, named tuples and what has `to_dict` become dicts, sets and tuples lists, an Enum its value, a path its
    text, bytes their base64; dates and UUIDs are left to orjson, which writes them as ISO 8601 and as text.
    """
    if isinstance(value, dict):
        return {name if isinstance(name, str) else str(plain(name)): plain(item) for name, item in value.items()}
    if isinstance(value, str | int | float | bool) or value is None:
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "to_dict") and not isinstance(value, type):
        return plain(value.to_dict())
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    return str(value) if isinstance(value, PurePath) else value


def loads_toml(text: str | bytes, source: str = "the text") -> dict[str, Any]:
    """The table of TOML. Raises ValidationError with `line` and `column`, from 1."""
    import tomllib

    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
            raise _wrong(source, "TOML", "not UTF-8", before.count(b"\n") + 1, column) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line, column = _place(str(error), text)
        raise _wrong(source, "TOML", what, line, column) from None
    except RecursionError:
        raise ValidationError(f"{source} is nested too deep for TOML") from None


def _place(message: str, text: str) -> tuple[str, int, int]:
    """What tomllib says, apart from where."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return message, 1, 1
    if found[2] is None:
        return found[1], text.count("\n") + 1, len(text) - text.rfind("\n")
    return found[1], int(found[2]), int(found[3])


def _wrong(source: str, kind: str, what: str, line: int, column: int) -> ValidationError:
    message = f"{source}:{line}:{column}: it is no {kind}: {one_line(what)}"
    return ValidationError(message, line=line, column=column)


def as_dataclass(kind: type[T], value: Any, where: str = "the value") -> T:
    """A dataclass out of a dict, its fields that are dataclasses likewise; other fields are taken as they are.

    Raises ValidationError for what is no dict, for a field that it does not have, and for one that is missing.
    """
    import typing

    if not isinstance(value, dict):
        raise ValidationError(f"{where} must be a table, not a {type(value).__name__}")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise ValidationError(
                f"{where} has no field `{one_line(str(name), 60)}`", hint=f"it has {', '.join(fields)}"
            )
    hints = typing.get_type_hints(kind)
    told: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in value:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise ValidationError(f"{where} has no `{name}`, which is needed")
            continue
        hint = hints[name]
        nested = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        told[name] = as_dataclass(hint, value[name], f"`{name}` of {where}") if nested else value[name]
    return kind(**told)
