"""`environment_reader`: environment variables, as far as they were granted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]


class EnvironmentReader(Tool):
    name = "environment_reader"
    description = "Read an environment variable, or list those that may be read."
    category = "system"
    needs = ("env",)
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {"type": "string", "enum": ["get", "list"], "description": "`get` if left out."},
            "variable_name": {"type": "string", "minLength": 1, "description": "Of `get`."},
            "pattern": {"type": "string", "description": "Of `list`: what the names must have in them."},
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        if arguments.get("operation", "get") == "list":
            wanted = arguments.get("pattern", "")
            names = sorted(name for name in os.environ if wanted in name and context.permissions.allows("env", name))
            return ToolResult({"variables": names, "count": len(names)}, "\n".join(names) or "none may be read")
        name = arguments.get("variable_name")
        if name is None:
            raise ValidationError(f"`{self.name}`: `get` needs `variable_name`")
        await context.permissions.need("env", name, by=self.name)
        value = os.environ.get(name)
        result: dict[str, Any] = {"variable_name": name, "exists": value is not None, "value": value}
        return ToolResult(result, value if value is not None else f"`{name}` is not set")


TOOL = EnvironmentReader()
