"""`template_engine`, also `template_creator`: fills a template in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.templating import FILTERS, MAX_TEXT, Template
from llmspell.tools.work import SMALL, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]


class TemplateEngine(Tool):
    name = "template_engine"
    description = "Fill in a template: {{name}}, {{#each items}}…{{/each}}, {% if x %}…{% endif %}, {{ x | upper }}."
    category = "text"
    timeout = 30.0
    fills = ("input", "context")
    renamed: Mapping[str, str] = {"template": "input", "variables": "context", "data": "context", "values": "context"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "input": {
                "type": "string",
                "maxLength": MAX_TEXT,
                "description": f"The template. Filters: {', '.join(FILTERS)}.",
            },
            "context": {"type": "object", "description": "The values."},
            "strict": {
                "type": "boolean",
                "description": "Whether a name without a value is an error; true if left out.",
            },
            "engine": {
                "type": "string",
                "enum": ["handlebars", "tera", "jinja", "simple"],
                "description": "Of older scripts; all are one.",
            },
        },
        "required": ["input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        text, values, strict = arguments["input"], arguments.get("context", {}), arguments.get("strict", True)
        size = SMALL + 1 if "#each" in text or "% for" in text or "%for" in text else len(text)
        told = await worked(size, lambda: Template(text).render(values, strict=strict))
        return ToolResult({"output": told, "rendered": told, "result": told}, told)


TOOL = TemplateEngine()
