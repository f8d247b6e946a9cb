"""What Matroska and WebM tell: their Info and their Tracks, found in order or by the SeekHead.

One source for both twins: this file, and the module that Cython makes of it. `width` and `height` are pixels as they
are stored.
"""

from __future__ import annotations

import math
import struct

from llmspell._speedups._media_codes import MATROSKA, WAVE_CODECS, fourcc_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from llmspell._speedups._media_window_py import Beyond, Window, sized, sounded
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_matroska_", "_media_window_"))  # the same twin's
    Beyond, Window, sized, sounded = _window.Beyond, _window.Window, _window.sized, _window.sounded

__all__ = ["doc_type", "matroska"]

_HEADER, _DOC_TYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_SEEK_HEAD, _SEEK, _SEEK_ID, _SEEK_AT = 0x114D9B74, 0x4DBB, 0x53AB, 0x53AC
_INFO, _SCALE, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489
_TRACKS, _TRACK, _TYPE, _CODEC, _PRIVATE, _EACH = 0x1654AE6B, 0xAE, 0x83, 0x86, 0x63A2, 0x23E383
_VIDEO, _WIDTH, _HEIGHT, _ALPHA = 0xE0, 0xB0, 0xBA, 0x53C0
_AUDIO, _RATE, _CHANNELS, _BITS = 0xE1, 0xB5, 0x9F, 0x6264
_CLUSTER = 0x1F43B675
_NEVER = 1 << 64


def _vint(window: Window, at: int, longest: int, marked: bool) -> tuple[int, int]:
    """A number of variable length, and where it ends. marked: with the bit that tells the length, as IDs are."""
    first = window.number(at, 1)
    length = 9 - first.bit_length()
    if length > longest:
        raise ValueError(f"a Matroska whose elements are broken at byte {at}")
    value = window.number(at, length)
    return (value if marked else value & ~(1 << (7 * length))), at + length


def _elements(window: Window, at: int, end: int, inside: bool = True) -> Iterator[tuple[int, int, int, bool]]:
    """ID, begin and end of each element from *at* to *end*, and whether its size is known; else it is all."""
    while at < end:
        window.step()
        name, begin = _vint(window, at, 4, True)
        size, start = _vint(window, begin, 8, False)
        known = size != (1 << (7 * (start - begin))) - 1
        to = start + size if known else end
        if inside and to > end:
            raise ValueError(f"a Matroska whose element {name:X} at byte {at} is longer than what it is in")
        yield name, start, to, known
        at = to


def doc_type(head: bytes) -> bytes:
    """The DocType in such a head; empty where it is not told."""
    try:
        return _doc_type(Window(head))
    except (Beyond, ValueError):
        return b""


def _doc_type(window: Window) -> bytes:
    name, at = _vint(window, 0, 4, True)
    size, at = _vint(window, at, 8, False)
    if name == _HEADER:
        for inner, begin, end, _ in _elements(window, at, at + size):
            if inner == _DOC_TYPE:
                return window.get(begin, min(end - begin, 32)).rstrip(b"\0")
    return b""


def matroska(window: Window, facts: dict[str, Any]) -> None:
    whole = window.size if window.size is not None else _NEVER
    name, at = _vint(window, 0, 4, True)
    size, at = _vint(window, at, 8, False)
    if name != _HEADER:
        raise ValueError("a Matroska begins with its EBML head, and this one does not")
    window.within(at + size, "head")
    for name, begin, end, known in _elements(window, at + size, whole, False):
        if name == _SEGMENT:
            if known:
                window.within(end, "segment")
            _segment(window, begin, end, facts)
            return
        window.within(end, f"element {name:X}")
    raise ValueError("a Matroska without its segment")


def _segment(window: Window, begin: int, end: int, facts: dict[str, Any]) -> None:
    places: dict[int, int] = {}
    seen: set[int] = set()
    for name, at, to, known in _elements(window, begin, end):
        if name in (_INFO, _TRACKS):
            _known(window, name, at, to, seen, facts)
        elif name == _SEEK_HEAD:
            _seek(window, at, to, places)
        elif name == _CLUSTER and (not known or any(one in places for one in (_INFO, _TRACKS) if one not in seen)):
            break
        if len(seen) == 2:
            return
    for name in (_INFO, _TRACKS):
        if name in seen or name not in places:
            continue
        at = begin + places[name]
        if at >= end:
            raise ValueError("a Matroska whose SeekHead points behind its end")
        for found, start, to, _ in _elements(window, at, end):
            if found != name:
                raise ValueError("a Matroska whose SeekHead points elsewhere")
            _known(window, name, start, to, seen, facts)
            break
    if _TRACKS not in seen:
        raise ValueError("a Matroska without its tracks")


def _known(window: Window, name: int, at: int, end: int, seen: set[int], facts: dict[str, Any]) -> None:
    if name in seen:
        return
    seen.add(name)
    if name == _INFO:
        _info(window, at, end, facts)
    else:
        for inner, begin, to, _ in _elements(window, at, end):
            if inner == _TRACK:
                _track(window, begin, to, facts)


def _seek(window: Window, at: int, end: int, places: dict[int, int]) -> None:
    for name, begin, to, _ in _elements(window, at, end):
        if name != _SEEK:
            continue
        what = where = -1
        for inner, start, stop, _ in _elements(window, begin, to):
            if inner == _SEEK_ID:
                what = _uint(window, start, stop)
            elif inner == _SEEK_AT:
                where = _uint(window, start, stop)
        if what >= 0 and where >= 0:
            places.setdefault(what, where)


def _uint(window: Window, at: int, end: int) -> int:
    if end - at > 8:
        raise ValueError(f"a Matroska whose number at byte {at} has {end - at} bytes")
    return window.number(at, end - at)


def _float(window: Window, at: int, end: int) -> float:
    if end - at not in (0, 4, 8):
        raise ValueError(f"a Matroska whose number at byte {at} has {end - at} bytes")
    data = window.get(at, end - at)
    value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0] if data else 0.0
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"a Matroska whose number at byte {at} cannot be")
    return value


def _info(window: Window, at: int, end: int, facts: dict[str, Any]) -> None:
    scale, duration = 1_000_000, 0.0
    for name, begin, to, _ in _elements(window, at, end):
        if name == _SCALE:
            scale = _uint(window, begin, to)
            if not scale:
                raise ValueError("a Matroska whose timestamps have no scale")
        elif name == _DURATION:
            duration = _float(window, begin, to)
    seconds = duration * (scale / 1e9)
    if not seconds < _NEVER:
        raise ValueError(f"a Matroska of {seconds:g} seconds cannot be")
    if seconds > 0:
        facts["duration"] = seconds


def _track(window: Window, at: int, end: int, facts: dict[str, Any]) -> None:
    kind = each = 0
    code, private = "", b""
    video: dict[int, int] = {}
    audio: dict[int, float] = {}
    for name, begin, to, _ in _elements(window, at, end):
        if name == _TYPE:
            kind = _uint(window, begin, to)
        elif name == _EACH:
            each = _uint(window, begin, to)
        elif name == _CODEC:
            code = window.get(begin, min(to - begin, 64)).rstrip(b"\0").decode("latin-1")
        elif name == _PRIVATE:
            private = window.get(begin, min(to - begin, 64))
        elif name == _VIDEO:
            for inner, start, stop, _ in _elements(window, begin, to):
                if inner in (_WIDTH, _HEIGHT, _ALPHA):
                    video[inner] = _uint(window, start, stop)
        elif name == _AUDIO:
            for inner, start, stop, _ in _elements(window, begin, to):
                if inner == _RATE:
                    audio[inner] = _float(window, start, stop)
                elif inner in (_CHANNELS, _BITS):
                    audio[inner] = _uint(window, start, stop)
    codec = _codec(code, private)
    if kind == 1 and "width" not in facts:
        sized(facts, video.get(_WIDTH, 0), video.get(_HEIGHT, 0))
        if video.get(_ALPHA):
            facts["alpha"] = True
        if each:
            facts["frame_rate"] = 1e9 / each
        if codec is not None:
            facts["video_codec"] = codec
    elif kind == 2 and "channels" not in facts:
        _sound(audio, codec, facts)


def _sound(audio: dict[int, float], codec: str | None, facts: dict[str, Any]) -> None:
    rate, channels = audio.get(_RATE, 8000.0), int(audio.get(_CHANNELS, 1))
    sounded(facts, channels, round(rate))
    if codec is not None:
        facts["audio_codec"] = codec
    if 0 < audio.get(_BITS, 0) <= 64 and codec in (
        "pcm",
        "pcm_float",
        "flac",
        "alac",
        "truehd",
    ):  # of others it means nothing
        facts["bit_depth"] = int(audio[_BITS])


def _codec(code: str, private: bytes) -> str | None:
    if code == "V_MS/VFW/FOURCC" and len(private) >= 20:
        return fourcc_name(private[16:20])
    if code == "A_MS/ACM" and len(private) >= 2:
        return WAVE_CODECS.get(int.from_bytes(private[:2], "little"))
    known = MATROSKA.get(code) or MATROSKA.get(code.split("/")[0])
    if known is not None:
        return known
    text = code[2:].lower()
    return text if text and text.isascii() and text.isprintable() else None
