"""`llmspell tools`: which tools there are, what each takes, and one call of one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.cli.asking import Asker, said, written
from llmspell.cli.events import plain_json
from llmspell.cli.render import terminal
from llmspell.cli.settings import configuration
from llmspell.errors import LLMSpellError, ToolError, ValidationError, one_line
from llmspell.tools.registry import ToolRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.config.loader import Config
    from llmspell.tools.base import Tool, ToolResult

__all__ = ["list_", "run", "show"]

LARGEST = 32 * 1024 * 1024  # bytes of parameters from standard input
CELL = 400  # characters of a cell


def list_(category: str | None, options: dict[str, Any]) -> int:
    """A table of the tools, those of a category where one is named. Gives the exit code."""
    try:
        registry = ToolRegistry()
        if category is not None and category not in registry.categories():
            raise ValidationError(
                f"there is no category `{one_line(category, 60)}`", hint=f"there are {', '.join(registry.categories())}"
            )
        tools = [tool for tool in registry if category in (None, tool.category)]
    except LLMSpellError as error:
        return said(error, options)
    if options.get("output") == "jsonl":
        for tool in tools:
            sys.stdout.buffer.write(plain_json({"event": "tool", **_about(tool)}) + b"\n")
        return written("", {}, options)
    rows = [("NAME", "CATEGORY", "NEEDS", "WHAT IT DOES")]
    rows += [(tool.name, tool.category, _needs(tool), _first(tool.description)) for tool in tools]
    return written(_table(rows), {"tools": [_about(tool) for tool in tools]}, options)


def show(name: str, options: dict[str, Any]) -> int:
    """All of one tool. Gives the exit code."""
    try:
        tool = ToolRegistry().get(name)
    except LLMSpellError as error:
        return said(error, options)
    timeout = "none" if tool.timeout is None else f"{tool.timeout:g} s"
    rows = [("name", tool.name), ("category", tool.category), ("needs", _needs(tool)), ("timeout", timeout)]
    told = [_harmless(tool.description), "", _table(rows), "", "parameters:"]
    needed = tool.parameters.get("required", ())
    members = tool.parameters.get("properties", {})
    shown = [(f"  {one}", _kind(what), _member(what, one in needed)) for one, what in members.items()]
    told.append(_table(shown) if shown else "  none")
    value = {**_about(tool), "timeout": tool.timeout, "parameters": tool.parameters}
    return written("\n".join(told), value, options)


def run(name: str, words: Sequence[str], options: dict[str, Any]) -> int:
    """Runs a tool once. words: its parameters, `name=value` each, or one JSON object, or `-` for one on standard input.

    Gives the exit code.
    """
    try:
        tool = ToolRegistry().get(name)
        given = _parameters(tool, words)
        config = configuration(options, os.curdir)
        done = Asker(config).run(lambda asker: _call(tool, given, config, options))
        if done.is_error:
            raise ToolError(one_line(done.told(), 2000), tool=tool.name)
    except LLMSpellError as error:
        return said(error, options)
    told: dict[str, Any] = {"tool": tool.name, "success": True, "text": done.told(), "result": done.result}
    if done.media:
        told["media"] = [one.to_dict() for one in done.media]
    return written(_harmless(done.told(), lines=True).rstrip("\n"), told, options)


async def _call(tool: Tool, given: dict[str, Any], config: Config, options: dict[str, Any]) -> ToolResult:
    from llmspell.tools.base import ToolContext
    from llmspell.tools.permissions import Permissions

    ask = None
    if options.get("ask"):
        from llmspell.cli.prompt import Prompt

        ask = Prompt()
    permissions = Permissions.of(config.permissions(), ask=ask)
    return await tool.execute(given, ToolContext(permissions, settings=config.tools()))


def _parameters(tool: Tool, words: Sequence[str]) -> dict[str, Any]:
    if len(words) == 1 and (words[0] == "-" or words[0].lstrip()[:1] == "{"):
        text: str | bytes = sys.stdin.buffer.read(LARGEST + 1) if words[0] == "-" else words[0]
        if len(text) > LARGEST:
            raise ValidationError("the parameters are longer than 32 MiB")
        try:
            given = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ValidationError(
                f"the parameters are no JSON: {error.msg.partition(': line ')[0]} (line {error.lineno})",
                hint='as `{"input": "1 + 1"}`, or `input="1 + 1"`',
            ) from None
        if not isinstance(given, dict):
            raise ValidationError("the parameters must be a JSON object", hint='as `{"input": "1 + 1"}`')
        return given
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValidationError(
                f"`{one_line(word, 60)}` is no parameter", hint='as `input="1 + 1"`, or one JSON object for all'
            )
        given[name] = _value(value, tool.parameters.get("properties", {}).get(name, {}))
    return given


def _value(text: str, schema: Any) -> Any:
    """A parameter's value: text where the schema takes text, else what it says as JSON."""
    kinds = schema.get("type") if isinstance(schema, dict) else None
    kinds = [kinds] if isinstance(kinds, str) else kinds or []
    if kinds == ["string"]:
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return text if "string" in kinds and not isinstance(value, dict | list) else value


# ---- how it is shown


def _about(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "category": tool.category,
        "permissions": list(tool.needs),
    }


def _needs(tool: Tool) -> str:
    return ", ".join(tool.needs) or "nothing"


def _first(text: str) -> str:
    """The first sentence."""
    line = text.partition("\n")[0]
    return line.partition(". ")[0].removesuffix(".")


def _kind(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    if isinstance(schema.get("enum"), list) and "type" not in schema:
        return "one of these"
    kinds = schema.get("type", "any")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _member(schema: Any, needed: bool) -> str:
    if not isinstance(schema, dict):
        return ""
    words = ["needed."] if needed else []
    if isinstance(schema.get("enum"), list):
        words.append("one of " + ", ".join(map(str, schema["enum"])) + ".")
    words.append(str(schema.get("description", "")))
    return " ".join(filter(None, words))


def _look() -> terminal.Look:
    return terminal.look(sys.stdout, no_color=True)


def _harmless(text: str, *, lines: bool = False) -> str:
    """What may be a stranger's, for a terminal; elsewhere a result goes out as it is."""
    if lines and not terminal.is_terminal(sys.stdout):
        return text
    return terminal.harmless(text, keep_newlines=lines, unicode=_look().unicode)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    shown = [
        tuple(terminal.harmless(cell[:CELL], keep_newlines=False, unicode=_look().unicode) for cell in row)
        for row in rows
    ]
    wide = [max(terminal.cell_width(row[column]) for row in shown) for column in range(len(shown[0]))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - terminal.cell_width(cell)) for cell, width in zip(row, wide, strict=True)
        ).rstrip()
        for row in shown
    )
