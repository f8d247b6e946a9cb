"""`base64_encoder`: bytes as text and back."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import MAX_INPUT, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Base64Encoder(Tool):
    name = "base64_encoder"
    description = "Encode a text as base64, or decode it; standard or URL-safe."
    category = "utility"
    timeout = 30.0
    renamed: Mapping[str, str] = {"data": "input", "text": "input"}
    takes_bytes = ("input",)
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {"type": "string", "enum": ["encode", "decode"]},
            "input": {"type": "string", "maxLength": MAX_INPUT, "description": "The text, or the base64."},
            "variant": {
                "type": "string",
                "enum": ["standard", "url-safe", "url_safe", "urlsafe"],
                "description": "`standard` if left out. `decode` takes either.",
            },
            "padding": {"type": "boolean", "description": "Of `encode`: whether it ends with `=`; true if left out."},
        },
        "required": ["operation", "input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        given = arguments["input"]
        url_safe = arguments.get("variant", "standard") != "standard"
        if arguments["operation"] == "encode":
            data = given.encode() if isinstance(given, str) else given
            told = await worked(len(data) // 4, _encoded, data, url_safe, arguments.get("padding", True))
            result = {"output": told, "encoded": told, "input_length": len(data), "output_length": len(told)}
            return ToolResult(result, told)
        if isinstance(given, bytes):
            raise ValidationError(f"tool `{self.name}`: `input` is not base64: it is no text")
        out = await worked(len(given) // 4, self._decoded, given)
        try:
            text: str | bytes = out.decode()
        except UnicodeDecodeError:
            text = out
        result = {"output": text, "decoded": text, "input_length": len(given), "output_length": len(out)}
        return ToolResult(result, text if isinstance(text, str) else f"{len(out)} bytes that are no text")

    def _decoded(self, given: str) -> bytes:
        try:
            plain = given.encode("ascii").translate(URL_SAFE, b" \t\r\n").rstrip(b"=")
            return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
        except (ValueError, UnicodeError):
            raise ValidationError(
                f"tool `{self.name}`: `input` is not base64", hint="it is of A-Z, a-z, 0-9, + and / (or - and _)"
            ) from None


def _encoded(data: bytes, url_safe: bool, padding: bool) -> str:
    told = (base64.urlsafe_b64encode(data) if url_safe else base64.b64encode(data)).decode("ascii")
    return told if padding else told.rstrip("=")


TOOL = Base64Encoder()
