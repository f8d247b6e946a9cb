"""`uuid_generator`: identifiers, random, by time, and by name."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TOOL"]

NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
FORMATS: dict[str, Callable[[uuid.UUID], str]] = {
    "hyphenated": str,
    "standard": str,
    "simple": lambda one: one.hex,
    "urn": lambda one: one.urn,
    "braced": lambda one: "{" + str(one) + "}",
    "uppercase": lambda one: str(one).upper(),
}
#: Of older scripts: namespaces of their own, made of the word.
OWN = uuid.UUID("6f0e1a52-5f0c-5d5b-9d38-1b1f0a2f6d11")


class UuidGenerator(Tool):
    name = "uuid_generator"
    description = "Make an identifier: a UUID, random (v4), by time (v7, v1) or by name (v5, v3), or `prefix-xxxxxxxx`."
    category = "utility"
    timeout = 10.0
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "enum": ["generate", "component_id", "deterministic", "parse"],
                "description": "`generate` if left out; `component_id` puts `prefix` before an identifier; "
                "`deterministic` is `generate` by name; `parse` reads `input`.",
            },
            "version": {
                "type": "string",
                "enum": ["v1", "v3", "v4", "v5", "v7", "1", "3", "4", "5", "7"],
                "description": "v4 if left out; v5 where there is a name.",
            },
            "format": {"type": "string", "enum": list(FORMATS), "description": "`hyphenated` if left out."},
            "namespace": {
                "type": "string",
                "maxLength": 200,
                "description": "Of v3 and v5: dns, url, oid, x500, a UUID.",
            },
            "name": {"type": "string", "maxLength": 10_000, "description": "Of v3 and v5."},
            "prefix": {"type": "string", "maxLength": 64, "description": "Of `component_id`."},
            "short": {"type": "boolean", "description": "Of `component_id`: 8 digits in place of the whole UUID."},
            "count": {"type": "integer", "minimum": 1, "maximum": 1000, "description": "How many; `uuids` has them."},
            "input": {"type": "string", "maxLength": 100, "description": "Of `parse`: the UUID."},
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        operation = arguments.get("operation", "generate")
        if operation == "parse":
            return self._parsed(arguments.get("input", ""))
        if operation == "component_id":
            made = self._one("v4", arguments, context)
            short = arguments.get("short", True)
            told = f"{arguments.get('prefix', 'component')}-{made.hex[:8] if short else made}"
            return ToolResult({"id": told, "uuid": str(made)}, told)
        named = "name" in arguments or operation == "deterministic"
        version = "v" + arguments.get("version", "v5" if named else "v4").removeprefix("v")
        write = FORMATS[arguments.get("format", "hyphenated")]
        made_all = [write(self._one(version, arguments, context)) for _ in range(arguments.get("count", 1))]
        result: dict[str, Any] = {"uuid": made_all[0], "id": made_all[0], "version": version}
        if "count" in arguments:
            result["uuids"] = made_all
        return ToolResult(result, "\n".join(made_all))

    def _one(self, version: str, arguments: dict[str, Any], context: ToolContext) -> uuid.UUID:
        if version in ("v3", "v5"):
            if "name" not in arguments:
                raise ValidationError(f"tool `{self.name}`: {version} needs a `name`", hint="v4 is random")
            make = uuid.uuid5 if version == "v5" else uuid.uuid3
            return make(_namespace(arguments.get("namespace", "dns")), arguments["name"])
        read = {"v1": _uuid1, "v4": uuid.uuid4, "v7": _uuid7}[version]
        return uuid.UUID(context.heard("uuid", lambda: str(read())))

    def _parsed(self, text: str) -> ToolResult:
        try:
            found = uuid.UUID(text)
        except ValueError:
            return ToolResult({"valid": False, "input": text}, f"`{one_line(text, 60)}` is no UUID")
        told: dict[str, Any] = {"valid": True, "uuid": str(found), "variant": found.variant}
        if found.version is not None:
            told["version"] = f"v{found.version}"
        return ToolResult(told)


def _namespace(word: str) -> uuid.UUID:
    if word.lower() in NAMESPACES:
        return NAMESPACES[word.lower()]
    try:
        return uuid.UUID(word)
    except ValueError:
        return uuid.uuid5(OWN, word)


def _uuid1() -> uuid.UUID:
    """By time, with a node of chance: the machine's own address is nobody's business (RFC 9562, 6.10)."""
    import secrets

    return uuid.uuid1(secrets.randbits(48) | 1 << 40)


def _uuid7() -> uuid.UUID:
    """Milliseconds since 1970 in 48 bits, then chance: RFC 9562, 5.7."""
    import secrets
    import time

    bits = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    bits = bits & ~(0xF << 76) | 7 << 76
    bits = bits & ~(0x3 << 62) | 2 << 62
    return uuid.UUID(int=bits)


TOOL = UuidGenerator()
