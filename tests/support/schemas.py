"""The JSON Schemas of `docs/schemas`, as they stand, and closed: then an object has only what they name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

__all__ = ["closed", "fits", "schema"]

FOLDER = Path(__file__).parent.parent.parent / "docs" / "schemas"


def schema(name: str) -> dict[str, Any]:
    """One of them."""
    told: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return told


def closed(value: Any) -> Any:
    """The same, where an object that says nothing of other properties has none."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: closed(one) for key, one in value.items()}
    if value.get("type") == "object" and isinstance(value.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    return made


_VALIDATORS: dict[str, tuple[Draft202012Validator, Draft202012Validator]] = {}


def fits(name: str, value: Any) -> Any:
    """*value*, which fits the schema of that name, and has nothing that it does not name."""
    if name not in _VALIDATORS:
        told = schema(name)
        _VALIDATORS[name] = Draft202012Validator(told), Draft202012Validator(closed(told))
    for validator in _VALIDATORS[name]:
        validator.validate(value)
    return value
