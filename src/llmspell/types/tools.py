"""What a model is told of a tool, and of the form that its answer must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ResponseSchema", "ToolSpec"]

_ANYTHING: Mapping[str, Any] = {"type": "object", "properties": {}}


class ToolSpec(NamedTuple):
    """A tool that a model may call.

    parameters: a JSON Schema of the arguments, an object's. strict: the service is to hold the model to it, where it
    can; None is the service's own default.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = _ANYTHING
    strict: bool | None = None


class ResponseSchema(NamedTuple):
    """The form of an answer. schema: a JSON Schema; name: what it is called where a service wants a name."""

    schema: Mapping[str, Any]
    name: str = "answer"
    description: str = ""
    strict: bool = True
