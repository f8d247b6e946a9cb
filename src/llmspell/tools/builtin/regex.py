"""`regex`: matches, replaces and splits by regular expressions, in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.matching import Match, Matcher
from llmspell.tools.patterns import TooLong
from llmspell.tools.work import worked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

MAX_TEXT = 1_000_000  # characters
MAX_STEPS = 3_000_000  # of one call: some seconds of a slow machine
MAX_FOUND = 10_000
MAX_OUTPUT = 10_000_000  # characters of a replacement


class Regex(Tool):
    name = "regex"
    description = "Find, replace and split with a regular expression. It has no look-around and no back references."
    category = "text"
    timeout = 60.0
    renamed: Mapping[str, str] = {"text": "input", "regex": "pattern", "with": "replacement"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "enum": ["match", "find_all", "replace", "split"],
                "description": "`match`, the first, if left out.",
            },
            "pattern": {"type": "string", "maxLength": 1000, "description": r"As `(\w+)@(\w+)\.org`."},
            "input": {"type": "string", "maxLength": MAX_TEXT, "description": "The text."},
            "replacement": {
                "type": "string",
                "maxLength": 10_000,
                "description": "$1 or ${name} is a group, $0 all, $$ a $.",
            },
            "flags": {"type": "string", "pattern": "^[ims]*$", "description": "i: case, m: lines, s: `.` is any."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_FOUND, "description": "How many at most."},
        },
        "required": ["pattern", "input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        pattern = Matcher(arguments["pattern"], arguments.get("flags", ""))
        work = getattr(self, f"_{arguments.get('operation', 'match')}")
        try:
            done: ToolResult = await worked(len(arguments["input"]) * pattern.size, work, pattern, arguments)
        except TooLong:
            raise ToolError(
                f"the text is too long for the pattern `{one_line(pattern.source, 60)}`",
                hint="give it a shorter text, or a simpler pattern",
            ) from None
        return done

    def _match(self, pattern: Matcher, arguments: dict[str, Any]) -> ToolResult:
        text = arguments["input"]
        found = pattern.match_at(text, 0, MAX_STEPS)
        if found is None:
            return ToolResult({"matched": False}, "no match")
        told = _told(found, pattern, text)
        return ToolResult({"matched": True, **told}, told["match"])

    def _find_all(self, pattern: Matcher, arguments: dict[str, Any]) -> ToolResult:
        text, limit = arguments["input"], arguments.get("limit", MAX_FOUND)
        found = [_told(one, pattern, text) for one in pattern.all_in(text, MAX_STEPS, limit)]
        told = "\n".join(one["match"] for one in found) or "no match"
        return ToolResult({"matches": found, "count": len(found)}, told)

    def _replace(self, pattern: Matcher, arguments: dict[str, Any]) -> ToolResult:
        text, limit = arguments["input"], arguments.get("limit", MAX_FOUND)
        if "replacement" not in arguments:
            raise ValidationError(f"tool `{self.name}`: `replace` needs `replacement`")
        parts = _template(arguments["replacement"], pattern)
        pieces: list[str] = []
        at = count = size = 0
        for one in pattern.all_in(text, MAX_STEPS, limit):
            piece = text[at : one.start] + "".join(_filled(part, one, text) for part in parts)
            size += len(piece)
            if size > MAX_OUTPUT:
                raise ToolError(f"the text would be longer than {MAX_OUTPUT} characters")
            pieces.append(piece)
            at, count = one.end, count + 1
        if count == MAX_FOUND and "limit" not in arguments:
            raise ToolError(f"there are {MAX_FOUND} matches or more", hint="give it less at once, or set `limit`")
        done = "".join([*pieces, text[at:]])
        return ToolResult({"result": done, "output": done, "count": count}, done)

    def _split(self, pattern: Matcher, arguments: dict[str, Any]) -> ToolResult:
        text, limit = arguments["input"], arguments.get("limit", MAX_FOUND)
        parts: list[str] = []
        at = 0
        for one in pattern.all_in(text, MAX_STEPS, limit):
            if one.end > one.start:
                parts.append(text[at : one.start])
                at = one.end
        parts.append(text[at:])
        return ToolResult({"parts": parts, "result": parts, "count": len(parts)})


def _told(found: Match, pattern: Matcher, text: str) -> dict[str, Any]:
    """A match for a script: `start` and `end` as Lua counts characters."""
    groups = [text[one[0] : one[1]] if one is not None else None for one in found.groups]
    told: dict[str, Any] = {
        "match": text[found.start : found.end],
        "start": found.start + 1,
        "end": found.end,
        "groups": groups,
    }
    if pattern.names:
        told["named"] = {name: groups[number - 1] for name, number in pattern.names.items()}
    return told


def _template(replacement: str, pattern: Matcher) -> list[str | int]:
    """Texts and numbers of groups. Raises ValidationError for a group that is not there."""
    parts: list[str | int] = []
    rest = replacement
    while rest:
        before, mark, rest = rest.partition("$")
        parts.append(before)
        if not mark:
            break
        if rest[:1] == "$":
            parts.append("$")
            rest = rest[1:]
            continue
        if rest[:1] == "{" and "}" in rest:
            name, _, rest = rest[1:].partition("}")
        else:
            name = rest[: next((at for at, c in enumerate(rest) if not ("0" <= c <= "9")), len(rest))][:2]
            rest = rest[len(name) :]
            if not name:
                parts.append("$")
                continue
        number = pattern.names.get(name, int(name) if name.isascii() and name.isdigit() and len(name) < 4 else -1)
        if not 0 <= number <= pattern.groups:
            raise ValidationError(
                f"`replacement` names the group `{one_line(name, 40)}`, which the pattern has not", hint="$$ is a $"
            )
        parts.append(number)
    return parts


def _filled(part: str | int, found: Match, text: str) -> str:
    if isinstance(part, str):
        return part
    if part == 0:
        return text[found.start : found.end]
    place = found.groups[part - 1]
    return "" if place is None else text[place[0] : place[1]]


TOOL = Regex()
