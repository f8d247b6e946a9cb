"""`data_validation`: whether a value has the form that is wanted, by a JSON Schema or by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.rules import RULES, broken, listed
from llmspell.tools.work import COMPUTING, in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]


class DataValidation(Tool):
    name = "data_validation"
    description = "Check whether a value fits a JSON Schema, or a list of rules."
    category = "data"
    timeout = 30.0
    renamed: Mapping[str, str] = {"data": "input", "value": "input"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "input": {"description": "The value."},
            "schema": {"type": ["object", "boolean"], "description": "A JSON Schema."},
            "rules": {
                "type": ["array", "object", "string"],
                "description": f"Rules, `{{type, field?, message?, …}}` each; the types are {', '.join(RULES)}.",
            },
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        if ("schema" in arguments) is ("rules" in arguments):
            raise ValidationError(f"tool `{self.name}` takes either `schema` or `rules`")
        value = arguments.get("input")
        errors = await in_thread(COMPUTING, _errors, value, arguments)  # a schema may take long whatever the value is
        result = {"valid": not errors, "errors": errors, "error_count": len(errors)}
        told = "; ".join(f"{one['field'] or 'the value'} {one['message']}" for one in errors)
        return ToolResult(result, told or "it is valid")


def _errors(value: Any, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    if "rules" in arguments:
        return broken(value, listed(arguments["rules"]))
    from llmspell.tools.schema import check, from_script

    found = []
    for complaint in check(value, from_script(arguments["schema"])):
        where, _, message = complaint.partition(": ")
        found.append({"field": where.removeprefix("$").removeprefix("."), "rule": "schema", "message": message})
    return found


TOOL = DataValidation()
