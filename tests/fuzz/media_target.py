"""What must hold of any bytes at all that are taken for a media file."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from support.counting import Counting

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MIME_TYPES", "check"]

MIME_TYPES = (
    "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/svg+xml", "audio/wav",
    "audio/mpeg", "audio/aac", "audio/flac", "audio/ogg", "video/mp4", "video/quicktime", "video/x-msvideo",
    "video/webm", "video/x-matroska",
)  # fmt: skip
#: What may be told, and of which type it is.
TOLD = {
    "mime_type": str, "width": int, "height": int, "bit_depth": int, "color": str, "alpha": bool, "frames": int,
    "pages": int, "duration": float, "channels": int, "sample_rate": int, "audio_codec": str, "video_codec": str,
    "frame_rate": float, "rotation": int,
}  # fmt: skip
_COMPILED = find_spec("llmspell._speedups._media_c") is not None
TWINS = [import_module(f"llmspell._speedups._media_{end}") for end in (["py", "c"] if _COMPILED else ["py"])]


def check(data: bytes) -> None:
    """Each twin tells facts or raises ValueError, in few windows, and both the same. AssertionError where not."""
    told = [_all_of(media, data) for media in TWINS]
    assert all(one == told[0] for one in told), f"the twins differ: {told}"


def _all_of(media: ModuleType, data: bytes) -> list[Any]:
    read = Counting(data)
    answers = [_answer(lambda: media.read_media(read, len(data)))]
    assert read.reads <= media.MOST_READS, f"{read.reads} windows"
    assert read.bytes <= media.MOST_BYTES, f"{read.bytes} bytes"
    head = data[: media.HEAD]
    answers.append(media.sniff(head))
    if not head:
        assert answers[1] is None
    # Every reader is given any bytes: what a caller says of their type may be wrong.
    answers.extend(_answer(lambda name=name: media.media_facts(head, name)) for name in MIME_TYPES)
    return answers


def _answer(ask: Any) -> dict[str, Any] | str:
    try:
        facts: dict[str, Any] = ask()
    except ValueError as error:
        words = str(error)
        assert words.isprintable(), repr(words)
        assert 5 < len(words) < 200, words
        return words
    for name, value in facts.items():
        assert type(value) is TOLD[name], f"{name} is {value!r}"
        if isinstance(value, str):
            assert value.isprintable(), repr(value)
            assert 0 < len(value) <= 64, value
        elif not isinstance(value, bool):
            assert math.isfinite(value), f"{name} is {value!r}"
            assert 0 < value < 1 << 65, f"{name} is {value!r}"
    return facts
