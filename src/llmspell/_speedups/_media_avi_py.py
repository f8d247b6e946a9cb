"""What an AVI tells in its head.

One source for both twins: this file, and the module that Cython makes of it.
"""

from __future__ import annotations

from llmspell._speedups._media_codes import fourcc_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from llmspell._speedups._media_audio_py import wave_format
    from llmspell._speedups._media_window_py import Window, sized
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_avi_", "_media_window_"))  # the same twin's
    Window, sized = _window.Window, _window.sized
    wave_format = import_module(__name__.replace("_media_avi_", "_media_audio_")).wave_format

__all__ = ["avi"]

_NEVER = 1 << 64


def avi(window: Window, facts: dict[str, Any]) -> None:
    size = window.number(4, 4, "little")
    if size:  # else it was never finished
        window.within(8 + size, "RIFF")
    told = False
    for kind, begin, end in _chunks(window, 12, window.size if window.size is not None else _NEVER):
        window.within(end, f"chunk at byte {begin - 8}")
        if kind == b"LIST" and end - begin >= 4:
            name = window.get(begin, 4)
            if name == b"hdrl" and not told:
                _head(window, begin + 4, end, facts)
                told = True
            elif name == b"movi":
                break
    if not told:
        raise ValueError("an AVI without its head")


def _chunks(window: Window, at: int, end: int, inside: bool = False) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of what is in each chunk from *at* to *end*."""
    while end - at >= 8:
        window.step()
        head = window.get(at, 8)
        length = int.from_bytes(head[4:], "little")
        if inside and at + 8 + length > end:
            raise ValueError(f"an AVI whose chunk at byte {at} is longer than the list it is in")
        yield head[:4], at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def _head(window: Window, begin: int, end: int, facts: dict[str, Any]) -> None:
    each = frames = 0
    seen: set[bytes] = set()
    for kind, at, to in _chunks(window, begin, end, True):
        if kind == b"avih":
            if to - at < 40:
                raise ValueError("an AVI whose head is broken")
            each, frames = window.number(at, 4, "little"), window.number(at + 16, 4, "little")
            width, height = window.number(at + 32, 4, "little"), window.number(at + 36, 4, "little")
            if width or height:
                sized(facts, width, height)
        elif kind == b"LIST" and to - at >= 4:
            name = window.get(at, 4)
            if name == b"strl":
                _stream(window, at + 4, to, seen, facts)
            elif name == b"odml":
                _large(window, at + 4, to, facts)
    if each:
        facts.setdefault("frame_rate", 1e6 / each)
        if frames:
            facts.setdefault("duration", frames * each / 1e6)


def _large(window: Window, begin: int, end: int, facts: dict[str, Any]) -> None:
    """The frames of all parts of a file of several."""
    for kind, at, to in _chunks(window, begin, end, True):
        if kind == b"dmlh" and to - at >= 4:
            frames = window.number(at, 4, "little")
            if frames and "frame_rate" in facts:
                facts["duration"] = frames / facts["frame_rate"]


def _stream(window: Window, begin: int, end: int, seen: set[bytes], facts: dict[str, Any]) -> None:
    """What a stream says, the first of its kind. seen: the kinds there were."""
    head = b""
    for kind, at, to in _chunks(window, begin, end, True):
        if kind == b"strh":
            if to - at < 36:
                raise ValueError("an AVI whose stream is broken")
            head = window.get(at, 36)
        elif kind == b"strf" and head and head[:4] not in seen:
            seen.add(head[:4])
            form = window.get(at, min(to - at, 64))
            if head[:4] == b"vids":
                _video(head, form, facts)
            elif head[:4] == b"auds":
                if len(form) < 16:
                    raise ValueError("an AVI whose sound is broken")
                wave_format(form, facts)
                rate, length = _rate(head), int.from_bytes(head[32:36], "little")
                if length and b"vids" not in seen:
                    facts["duration"] = length / rate


def _rate(head: bytes) -> float:
    """Pieces a second of a stream."""
    scale, rate = int.from_bytes(head[20:24], "little"), int.from_bytes(head[24:28], "little")
    if not scale or not rate:
        raise ValueError("an AVI whose stream has no rate cannot be")
    return rate / scale


def _video(head: bytes, form: bytes, facts: dict[str, Any]) -> None:
    if len(form) < 40:
        raise ValueError("an AVI whose picture is broken")
    width = int.from_bytes(form[4:8], "little", signed=True)
    sized(facts, width, abs(int.from_bytes(form[8:12], "little", signed=True)))
    code = form[16:20]
    codec = "rawvideo" if code == b"\0\0\0\0" else fourcc_name(code)
    if codec is not None:
        facts["video_codec"] = codec
    facts["frame_rate"] = _rate(head)
    length = int.from_bytes(head[32:36], "little")
    if length:
        facts["duration"] = length / facts["frame_rate"]
