"""What a model's file says of itself: the keys at the head of a GGUF file, read without the engine.

The file may be anybody's: every length is bounded by what is left of the file, and by HEAD; what cannot be read is
unknown, and no error.
"""

from __future__ import annotations

import os
import re
import struct
from functools import lru_cache
from typing import IO, NamedTuple

__all__ = ["Facts", "facts"]

HEAD = 256 * 2**20  # bytes of keys that are looked through; a large vocabulary is a tenth of it
TEXT = 2**20  # bytes of one text that is kept
KEYS = 10_000
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of a value, by its type
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
_STRING, _ARRAY = 8, 9
#: Templates that the engine may use: a model may have one of its own for tools.
_TEMPLATES = ("tokenizer.chat_template", "tokenizer.chat_template.tool_use")
_TOOLS = re.compile(r"\btools\b")


class Facts(NamedTuple):
    """Of one model. None is unknown.

    name, architecture, parameters ("135M"), licence: as the file has them. context: tokens that it was trained on.
    template: whether it has a chat template, that is, whether it was made to talk. tools: whether its template shows
    a conversation's tools to it.
    """

    name: str | None = None
    architecture: str | None = None
    parameters: str | None = None
    licence: str | None = None
    context: int | None = None
    template: bool = False
    tools: bool = False


def facts(path: str) -> Facts:
    """What the file at *path* says; all of it is unknown where there is none, or it is no GGUF. Blocks: 20 ms the
    first time, then a look at its size and time."""
    try:
        stat = os.stat(path)
        return _facts(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return Facts()


@lru_cache(maxsize=64)
def _facts(path: str, size: int, changed: int) -> Facts:
    keys: dict[str, str | int] = {}
    with open(path, "rb") as file:
        try:
            _read(file, min(size, HEAD), keys)
        except (ValueError, struct.error):
            pass  # cut or damaged: what came before holds

    def text(name: str) -> str | None:
        value = keys.get(name)
        return value if isinstance(value, str) and value else None

    context = keys.get(f"{text('general.architecture')}.context_length")
    templates = [value for name in _TEMPLATES if (value := text(name))]
    return Facts(
        text("general.name"),
        text("general.architecture"),
        text("general.size_label"),
        text("general.license"),
        context if type(context) is int and context > 0 else None,
        bool(templates),
        any(_TOOLS.search(template) for template in templates),
    )


def _read(file: IO[bytes], size: int, keys: dict[str, str | int]) -> None:
    """Fills *keys* with the file's texts and whole numbers. Raises ValueError where it ends or makes no sense."""
    magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or not 2 <= version <= 3 or count > KEYS:
        raise ValueError

    def string(keep: bool = True) -> str:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - file.tell():
            raise ValueError
        if not keep or length > TEXT:
            file.seek(length, 1)
            return ""
        return file.read(length).decode("utf-8", "replace")

    for _ in range(count):
        name = string()
        (kind,) = struct.unpack("<I", file.read(4))
        if kind == _STRING:
            keys[name] = string()
        elif kind == _ARRAY:
            inner, length = struct.unpack("<IQ", file.read(12))
            if inner == _STRING:
                if length > (size - file.tell()) // 8:
                    raise ValueError
                for _ in range(length):
                    string(keep=False)
            elif inner in _SIZES and length * _SIZES[inner] <= size - file.tell():
                file.seek(length * _SIZES[inner], 1)
            else:
                raise ValueError
        elif kind in _SIZES:
            data = file.read(_SIZES[kind])
            if kind in _NUMBERS:
                (keys[name],) = struct.unpack(_NUMBERS[kind], data)
        else:
            raise ValueError
