"""`hash_calculator`: digests of texts and bytes, and whether one is right."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import MAX_INPUT, worked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

ALGORITHMS = (
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s",
)  # fmt: skip


class HashCalculator(Tool):
    name = "hash_calculator"
    description = "Calculate the hash of a text (sha256 and others; also keyed, as an HMAC), or verify one."
    category = "utility"
    timeout = 30.0
    renamed: Mapping[str, str] = {
        "data": "input",
        "text": "input",
        "expected": "expected_hash",
        "hash": "expected_hash",
    }
    takes_bytes = ("input", "key")
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "input": {"type": "string", "maxLength": MAX_INPUT, "description": "What to hash; text as UTF-8."},
            "operation": {"type": "string", "enum": ["hash", "verify"], "description": "`hash` if left out."},
            "algorithm": {
                "type": "string",
                "description": f"{', '.join(ALGORITHMS)}; sha256 if left out.",
                "maxLength": 20,
            },
            "expected_hash": {"type": "string", "maxLength": 200, "description": "Of `verify`, in hexadecimal digits."},
            "key": {"type": "string", "maxLength": 10_000, "description": "A key: the hash is an HMAC."},
            "format": {"type": "string", "enum": ["hex", "base64"], "description": "Of the hash; `hex` if left out."},
        },
        "required": ["input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        algorithm = self._algorithm(arguments.get("algorithm", "sha256"))
        data, key = _bytes(arguments["input"]), arguments.get("key")
        digest = await worked(len(data) // 4, _digest, algorithm, data, None if key is None else _bytes(key))
        shown = digest.hex()
        if arguments.get("format") == "base64":
            from base64 import b64encode

            shown = b64encode(digest).decode("ascii")
        if arguments.get("operation", "hash") == "hash":
            return ToolResult({"hash": shown, "algorithm": algorithm, "input_length": len(data)}, shown)
        expected = arguments.get("expected_hash")
        if expected is None:
            raise ValidationError(f"tool `{self.name}`: `verify` needs `expected_hash`")
        wanted = expected.strip() if arguments.get("format") == "base64" else expected.strip().lower()
        right = hmac.compare_digest(wanted.encode(), shown.encode())
        result = {"valid": right, "matches": right, "hash": shown, "algorithm": algorithm}
        return ToolResult(result, "the hash is right" if right else "the hash is not right")

    def _algorithm(self, word: str) -> str:
        plain = word.lower().replace("-", "").replace("_", "")
        for name in ALGORITHMS:
            if plain in (name.replace("_", ""), "blake2" if name == "blake2b" else name):
                return name
        raise ValidationError(
            f"tool `{self.name}`: there is no algorithm `{one_line(word)}` here",
            hint=f"there are {', '.join(ALGORITHMS)}",
        )


def _digest(algorithm: str, data: bytes, key: bytes | None) -> bytes:
    if key is not None:
        return hmac.digest(key, data, algorithm)
    return hashlib.new(algorithm, data, usedforsecurity=False).digest()


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


TOOL = HashCalculator()
