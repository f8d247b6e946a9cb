"""`calculator`: the value of an expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.expression import CONSTANTS, FUNCTIONS, MAX_TEXT, evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

TRIGONOMETRIC = (
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
)


class Calculator(Tool):
    name = "calculator"
    description = (
        "Work out an arithmetic expression: + - * / // % ^, parentheses, functions such as sqrt, sin, ln, "
        "log (base 10), round, min, max, factorial, and pi and e."
    )
    category = "math"
    timeout = 10.0
    renamed: Mapping[str, str] = {"expression": "input"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "input": {
                "type": "string",
                "maxLength": MAX_TEXT,
                "description": "The expression, as `2 * (3 + sqrt(16))`.",
            },
            "operation": {
                "type": "string",
                "enum": ["evaluate", "functions"],
                "description": "`evaluate` if left out; `functions` lists what there is.",
            },
            "variables": {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "maxProperties": 1000,
                "description": "Values of names in the expression.",
            },
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        if arguments.get("operation") == "functions":
            told = {
                "trigonometric": list(TRIGONOMETRIC),
                "mathematical": [name for name in FUNCTIONS if name not in TRIGONOMETRIC],
                "constants": list(CONSTANTS),
            }
            return ToolResult(told)
        text = arguments.get("input")
        if text is None:
            raise ValidationError(f"tool `{self.name}`: `input` is missing, the expression", hint='`input = "1 + 1"`')
        value = evaluate(text, arguments.get("variables"))
        shown = str(value)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            try:
                return ToolResult({"result": float(value), "input": text, "exact": shown}, shown)
            except OverflowError:  # more than a number of a script's can be
                return ToolResult({"result": shown, "input": text, "exact": shown}, shown)
        return ToolResult({"result": value, "input": text}, shown)


TOOL = Calculator()
