"""Host calls behind `Tool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.bridge.api import TOOL, check
from llmspell.errors import ToolError, ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmspell.bridge.run import Run
    from llmspell.types.media import Media

__all__ = ["ScriptTool", "ordered", "result_of", "told_of"]

#: What the table of a function that reports may have besides its own fields.
REPORT = ("success", "text", "result", "media", "error")
MOST_MEDIA = 100


class ScriptTool(Tool):
    """A tool written in Lua. function: its number among those that were lent."""

    category = "script"
    timeout = None  # the script's own time is limited
    works = False

    def __init__(self, fields: dict[str, Any], parameters: dict[str, Any], function: int) -> None:
        self.name, self.description = fields["name"], fields.get("description", "")
        self.parameters = parameters
        self.category = fields.get("category", self.category)
        if "timeout_ms" in fields:
            self.timeout = fields["timeout_ms"] / 1000
        self.timeout = fields.get("timeout", self.timeout)
        self._function = function

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        values = await context.run.upcalls.call(self._function, arguments)
        return await result_of(context.run, ordered(values[0]) if values else None, self.name)


def ordered(value: Any) -> Any:
    """*value* out of Lua, the members of its tables by name: they come in another order in each process.

    A model is to be told the same of the same, and a replay to ask what was asked.
    """
    if isinstance(value, dict):
        return {name: ordered(value[name]) for name in sorted(value, key=str)}
    return [ordered(item) for item in value] if isinstance(value, list) else value


async def result_of(run: Run, value: Any, name: str) -> ToolResult:
    """What a tool written in Lua gave: any plain value, or a report, a table with `success` or `media` in it."""
    if not isinstance(value, dict):
        return ToolResult(value)
    if not isinstance(value.get("success"), bool) and not (
        isinstance(value.get("media"), list) and all(key in REPORT for key in value)
    ):
        return ToolResult(value)
    failed = value.get("success") is False
    media = await _media(run, value.get("media"), name)
    rest = {key: item for key, item in value.items() if key not in REPORT}
    result = value.get("result", rest or None)
    text = value.get("text")
    if failed:
        told = value.get("error") or text or f"tool `{name}` failed"
        if isinstance(told, dict):
            told = told.get("message") or told
        return ToolResult(result, one_line(ToolResult(told).told(), 2000), media, is_error=True)
    if not isinstance(text, str):
        text = None if result is not None else "done"
    return ToolResult(result, text, media)


async def _media(run: Run, given: Any, name: str) -> tuple[Media, ...]:
    if not isinstance(given, list) or not given:
        return ()
    import asyncio

    from llmspell.bridge.calls.media import Reader
    from llmspell.bridge.parts import media_of

    if len(given) > MOST_MEDIA:
        raise ToolError(f"tool `{name}` gave more than {MOST_MEDIA} media", tool=name)

    def work() -> tuple[Media, ...]:
        read = Reader(run)
        return tuple(media_of(one, name, f"media[{number}]", read) for number, one in enumerate(given, 1))

    if any(isinstance(one, dict) and "file" in one for one in given):  # of a file, which is read now
        return await asyncio.to_thread(work)
    return work()


def told_of(tool: Tool) -> dict[str, Any]:
    """A tool as `Tool.list` tells it."""
    return {
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "permissions": list(tool.needs),
    }


def _name(function: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise ValidationError(f"`{function}` takes a tool's name", hint="`Tool.list()` tells those there are")
    return given


def _register(run: Run, config: Any, function: int | None) -> dict[str, Any]:
    fields = check("Tool.register", TOOL, config)
    for name in ("name", "execute"):
        if name not in fields and not (name == "execute" and function is not None):
            raise ValidationError(f"`Tool.register`: `{name}` is missing", hint=TOOL[name][1])
    assert function is not None
    from llmspell.tools.schema import from_script
    from llmspell.tools.schema_words import WORDS

    parameters = from_script(fields.get("parameters") or {"type": "object"})
    if not any(word in WORDS for word in parameters):
        found = one_line(_named(sorted(map(str, parameters))), 200)
        raise ValidationError(
            f"`Tool.register`: `parameters` is no JSON Schema: it has {found}",
            hint='parameters stand in `properties`: `{ type = "object", properties = { … } }`',
        )
    if parameters.setdefault("type", "object") != "object":
        raise ValidationError(
            "`Tool.register`: `parameters.type` must be `object`",
            hint='arguments come by name: `{ type = "object", properties = { … } }`',
        )
    try:
        tool = run.tools.register(ScriptTool(fields, parameters, function))
    except ValidationError as error:
        raise ValidationError(f"`Tool.register`: {error.message}", hint=error.hint) from None
    return told_of(tool)


def _get(run: Run, name: Any) -> dict[str, Any]:
    return told_of(run.tools.get(_name("Tool.get", name)))


def _exists(run: Run, name: Any) -> bool:
    return isinstance(name, str) and run.tools.find(name) is not None


def _discover(run: Run, wanted: Any) -> list[dict[str, Any]]:
    from llmspell.bridge.api import DISCOVER

    fields = check("Tool.discover", DISCOVER, wanted)
    category, name, text = (fields.get(one) for one in ("category", "name", "text"))
    return [
        told_of(tool)
        for tool in run.tools
        if (category is None or tool.category == category)
        and (name is None or name.replace("-", "_").lower() in tool.name.replace("-", "_").lower())
        and (text is None or text.lower() in f"{tool.name} {tool.description}".lower())
    ]


def _schema(run: Run, name: Any) -> dict[str, Any]:
    return dict(run.tools.get(_name("Tool.get_schema", name)).parameters)


def _info(run: Run, name: Any) -> dict[str, Any]:
    tool = run.tools.get(_name("Tool.get_info", name))
    return {**told_of(tool), "parameters": dict(tool.parameters), "timeout": tool.timeout}


def _lists(value: Any, schema: Any) -> Any:
    """Arguments out of Lua, where an empty table may have been meant as a list: it is one where a list is wanted."""
    if not isinstance(schema, dict):
        return value
    if value == {} and isinstance(value, dict):
        kinds = schema.get("type")
        return (
            [] if kinds == "array" or (isinstance(kinds, list) and "array" in kinds and "object" not in kinds) else {}
        )
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {name: _lists(item, members.get(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_lists(item, schema.get("items")) for item in value] if "items" in schema else value
    return [] if value == () else value


async def _execute(run: Run, name: Any, params: Any) -> dict[str, Any]:
    tool = run.tools.get(_name("Tool.execute", name))
    if params is not None and not isinstance(params, dict):
        came = "a list" if isinstance(params, list) else f"a {type(params).__name__}"
        if params != []:
            raise ValidationError(
                f"tool `{tool.name}` takes a table of its parameters, not {came}",
                hint=f"it takes {_named(tool.parameters.get('properties', {}))}",
                tool=tool.name,
            )
    done = await tool.execute(_lists(params or {}, tool.parameters), run.tool_context())
    if done.is_error:
        raise ToolError(one_line(done.told(), 2000), tool=tool.name)
    told: dict[str, Any] = {"success": True, "text": done.told(), "result": done.result, "tool": tool.name}
    if done.media:
        told["media"] = [one.to_dict() for one in done.media]
    return told


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


ASKS: dict[str, Callable[..., Any]] = {
    "Tool.register": _register,
    "Tool.list": lambda run: [told_of(tool) for tool in run.tools],
    "Tool.get": _get,
    "Tool.exists": _exists,
    "Tool.categories": lambda run: run.tools.categories(),
    "Tool.discover": _discover,
    "Tool.get_info": _info,
    "Tool.get_schema": _schema,
}
CALLS: dict[str, Callable[..., Any]] = {"Tool.execute": _execute}
