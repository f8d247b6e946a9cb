"""Settings as TOML: what tomllib reads back as the same."""

from __future__ import annotations

from typing import Any

__all__ = ["key", "value"]

_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def key(parts: tuple[str, ...]) -> str:
    """A dotted key."""
    return ".".join(part if _is_bare(part) else _string(part) for part in parts)


def value(told: Any, kind: str = "") -> str:
    """A value on one line. kind: of its setting, by which a size is written with its unit."""
    if isinstance(told, bool):
        return "true" if told else "false"
    if kind == "size" and isinstance(told, int):
        return _size(told)
    if isinstance(told, int | float):
        return repr(told)
    if isinstance(told, dict):
        inside = ", ".join(f"{key((str(name),))} = {value(one)}" for name, one in told.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(told, list | tuple):
        return f"[{', '.join(map(value, told))}]"
    return _string(str(told))


def _is_bare(part: str) -> bool:
    return bool(part) and part.isascii() and part.replace("-", "").replace("_", "").isalnum()


def _string(text: str) -> str:
    return f'"{"".join(_SHORT.get(char) or _char(char) for char in text)}"'


def _char(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if 0xD800 <= code < 0xE000:  # half of a character, or a byte that is no text: TOML has no word for it
        return "\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _size(count: int) -> str:
    for unit, shift in (("GB", 30), ("MB", 20), ("KB", 10)):
        if count and not count % (1 << shift):
            return f'"{count >> shift}{unit}"'
    return str(count)
