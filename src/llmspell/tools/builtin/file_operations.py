"""`file_operations`: reads, writes, appends to, lists, looks for and deletes files, as far as was granted."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from llmspell.errors import LimitError, ToolError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.utils import places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.utils.places import Place

__all__ = ["TOOL"]

LARGEST = 16 * 1024 * 1024  # bytes that are read or written
OPERATIONS = {"read": "read", "list": "read", "exists": "read", "write": "write", "append": "write", "delete": "write"}


class FileOperations(Tool):
    name = "file_operations"
    description = "Read, write, append to, list, look for or delete files and folders."
    category = "files"
    needs = ("read", "write")
    takes_bytes = ("input", "content")
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {"type": "string", "enum": list(OPERATIONS)},
            "path": {"type": "string", "minLength": 1, "description": "The file or folder."},
            "input": {"type": "string", "description": "What to write or append."},
            "content": {"type": "string", "description": "The same as `input`."},
        },
        "required": ["operation", "path"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        operation, path = arguments["operation"], arguments["path"]
        data = b""
        if operation in ("write", "append"):
            given = arguments.get("input", arguments.get("content"))
            if given is None:
                raise ValidationError(
                    f"`{self.name}`: to {operation} it needs `input`", hint="an empty text is one, too"
                )
            data = given if isinstance(given, bytes) else given.encode()
            if len(data) > LARGEST:
                raise ValidationError(f"`{self.name}`: `input` has more than {LARGEST} bytes")
        place = await self._place(operation, path, context)
        try:
            return await asyncio.to_thread(_do, operation, place, data)
        except LimitError as error:  # of one file, and not of the run: a model may do something about it
            raise ToolError(error.message, hint=error.hint, cause=error) from None

    async def _place(self, operation: str, path: str, context: ToolContext) -> Place:
        """Where it is, links followed; of a link that is to be deleted the link itself, in its folder."""
        permissions = context.permissions
        folder, name = os.path.split(path)
        if operation == "delete" and places.is_link(os.path.join(permissions.base, path)):
            above = await permissions.place("write", folder or ".", by=self.name)
            return above._replace(parts=(*above.parts, name), shown=path)
        return await permissions.place(OPERATIONS[operation], path, by=self.name)


def _do(operation: str, place: Place, data: bytes) -> ToolResult:
    if operation == "read":
        return _read(place)
    told: dict[str, Any] = {"path": place.shown}
    if operation == "exists":
        found = places.exists(place)
        return ToolResult({**told, "exists": found}, "yes" if found else "no")
    if operation == "list":
        entries = [
            {"name": places.text_of(one.name), "type": one.kind, "size": one.size} for one in places.entries(place)
        ]
        text = "\n".join(f"{one['name']}/" if one["type"] == "folder" else str(one["name"]) for one in entries)
        return ToolResult({**told, "entries": entries, "files": [one["name"] for one in entries]}, text or "(empty)")
    if operation == "delete":
        places.delete(place)
        return ToolResult({**told, "deleted": True}, f"deleted {place.shown}")
    (places.write if operation == "write" else places.append)(place, data)
    return ToolResult({**told, "bytes": len(data), "written": True}, f"wrote {len(data)} bytes to {place.shown}")


def _read(place: Place) -> ToolResult:
    data = places.read(place, largest=LARGEST)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValidationError(
            f"`{place.shown}` is no text in UTF-8", hint="`Media.from_file` reads images and other files"
        ) from None
    return ToolResult({"path": place.shown, "content": text, "output": text, "size": len(data)}, text)


TOOL = FileOperations()
