"""`http_request`: one request to a host that was granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LARGEST_BODY = 4 * 1024 * 1024  # bytes that are sent


class HttpRequest(Tool):
    name = "http_request"
    description = "Send an HTTP request to a host and get its answer."
    category = "network"
    needs = ("net",)
    timeout = 120.0
    renamed: Mapping[str, str] = {"input": "url"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "method": {"type": "string", "description": f"{', '.join(METHODS)}; GET if left out."},
            "url": {"type": "string", "minLength": 1, "description": "https://host/path"},
            "headers": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
            "body": {"description": "A text, or a value that is sent as JSON."},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 600, "description": "Seconds; 30."},
            "follow_redirects": {"type": "boolean", "description": "True if left out."},
        },
        "required": ["url"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        from llmspell.tools.net import MOST_REDIRECTS, fetch

        method = arguments.get("method", "GET").upper()
        if method not in METHODS:
            raise ValidationError(f"`{self.name}`: `method` must be one of {', '.join(METHODS)}")
        headers = {str(name).lower(): value for name, value in (arguments.get("headers") or {}).items()}
        answer = await fetch(
            method,
            arguments["url"],
            permissions=context.permissions,
            by=self.name,
            headers=headers,
            body=_body(arguments.get("body"), headers),
            seconds=arguments.get("timeout", 30.0),
            redirects=MOST_REDIRECTS if arguments.get("follow_redirects", True) else 0,
        )
        text = answer.text()
        result = {
            "status": answer.status,
            "url": answer.url,
            "headers": answer.headers,
            "body": text,
            "truncated": answer.truncated,
        }
        return ToolResult(result, f"HTTP {answer.status}\n\n{text}")


def _body(given: Any, headers: dict[str, Any]) -> bytes:
    if given is None:
        return b""
    if isinstance(given, bytes | str):
        data = given if isinstance(given, bytes) else given.encode()
    else:
        import orjson

        try:
            data = orjson.dumps(given)
        except TypeError:
            raise ValidationError(
                "`http_request`: `body` cannot be written as JSON", hint="texts in it must be UTF-8"
            ) from None
        headers.setdefault("content-type", "application/json")
    if len(data) > LARGEST_BODY:
        raise ValidationError(f"`http_request`: `body` has more than {LARGEST_BODY} bytes")
    return data


TOOL = HttpRequest()
