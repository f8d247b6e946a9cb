"""`json_processor`: JSON read, written, queried, merged and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import MAX_INPUT, SMALL, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

MAX_VALUES = 500_000  # commas and brackets of a text


class JsonProcessor(Tool):
    name = "json_processor"
    description = "Parse, write, query (jq or JSONPath), merge or validate JSON."
    category = "data"
    timeout = 30.0
    renamed: Mapping[str, str] = {"data": "input", "json": "input", "jq": "query", "path": "query", "content": "input"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "enum": ["query", "parse", "stringify", "format", "merge", "validate"],
                "description": "`query` if left out; `stringify` writes `input` as it is, `format` reads JSON first.",
            },
            "input": {"description": "A value, or JSON text; of `merge`, a list of objects, or one beside `with`."},
            "query": {"type": "string", "maxLength": 10_000, "description": "As `.items[] | select(.n > 3) | .name`."},
            "with": {"description": "Of `merge`: what goes over `input`."},
            "schema": {"type": ["object", "boolean"], "description": "Of `validate`: a JSON Schema."},
            "pretty": {"type": "boolean", "description": "Of `stringify`: with line breaks."},
        },
        "required": ["input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        given, operation = arguments["input"], arguments.get("operation", "query")
        size = len(given) if isinstance(given, str) else 1024 * len(given) if isinstance(given, list | dict) else 0
        if operation in ("query", "validate"):
            size = SMALL + 1  # small ones may take long, too
        done: ToolResult = await worked(size, getattr(self, f"_{operation}"), given, arguments)
        return done

    def _value(self, given: Any) -> Any:
        """What *given* is, or says as JSON."""
        if not isinstance(given, str):
            return given
        if len(given) > MAX_INPUT or sum(map(given.count, ",[{")) > MAX_VALUES:
            raise ToolError(f"`input` is longer than {MAX_INPUT} characters, or holds more than {MAX_VALUES} values")
        import orjson

        try:
            return orjson.loads(given)
        except orjson.JSONDecodeError as error:
            message, line, column = error.msg.partition(": line ")[0], error.lineno, error.colno
        raise ValidationError(f"tool `{self.name}`: `input` is no JSON: {message} (line {line}, column {column})")

    def _query(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        from llmspell.tools.query import Query

        found = Query(arguments.get("query", ".")).run(self._value(given))
        output = found[0] if len(found) == 1 else found
        return ToolResult({"output": output, "results": found, "count": len(found)}, _written(output, False))

    def _parse(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        value = self._value(given)
        return ToolResult({"output": value}, _written(value, False))

    def _stringify(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        text = _written(given, arguments.get("pretty", False))
        return ToolResult({"output": text}, text)

    def _format(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        text = _written(self._value(given), arguments.get("pretty", True))
        return ToolResult({"output": text}, text)

    def _merge(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        value = self._value(given)
        parts = [value, self._value(arguments["with"])] if "with" in arguments else value
        if isinstance(parts, dict):
            parts = [parts]
        if not isinstance(parts, list) or not parts or not all(isinstance(one, dict) for one in parts):
            raise ValidationError(
                f"tool `{self.name}`: `merge` takes objects", hint="a list of them as `input`, or one beside `with`"
            )
        merged: Any = {}
        for one in parts:
            _merge_into(merged, one)
        return ToolResult({"output": merged}, _written(merged, False))

    def _validate(self, given: Any, arguments: dict[str, Any]) -> ToolResult:
        from llmspell.tools.schema import check, from_script

        if "schema" not in arguments:
            raise ValidationError(f"tool `{self.name}`: `validate` needs `schema`")
        errors = check(self._value(given), from_script(arguments["schema"]))
        told = {"valid": not errors, "errors": errors}
        return ToolResult({**told, "output": told}, "it fits" if not errors else "; ".join(errors))


def _merge_into(a: dict[str, Any], b: dict[str, Any]) -> None:
    """*b* into *a*, which grows: objects member by member, all else as a whole. What is in *b* is left as it was."""
    for name, item in b.items():
        if not isinstance(item, dict):
            a[name] = item
            continue
        if not isinstance(a.get(name), dict):
            a[name] = {}
        _merge_into(a[name], item)


def _written(value: Any, pretty: bool) -> str:
    import orjson

    options = orjson.OPT_SORT_KEYS if not pretty else orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
    try:
        return orjson.dumps(value, option=options | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError as error:
        what = "a string that is not UTF-8" if "bytes" in str(error) else "what is in it"
        raise ValidationError(f"tool `json_processor`: {what} cannot be written as JSON") from None


TOOL = JsonProcessor()
