"""What MP4, M4A and QuickTime tell in their boxes, of which the one that counts may stand at the file's end.

One source for both twins: this file, and the module that Cython makes of it. `width` and `height` are pixels as they
are stored; `rotation` is degrees, clockwise, by which they are turned for showing, where a file says any.
"""

from __future__ import annotations

from llmspell._speedups._media_codes import MPEG4_OBJECTS, fourcc_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from llmspell._speedups._media_window_py import Window, sized, sounded
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_mp4_", "_media_window_"))  # the same twin's
    Window, sized, sounded = _window.Window, _window.sized, _window.sounded

__all__ = ["mp4"]

#: Boxes that are looked into, and what of them: nothing nests deeper than this table.
_INSIDE = {
    b"moov": (b"mvhd", b"trak", b"mvex"),
    b"mvex": (b"mehd",),
    b"trak": (b"tkhd", b"mdia"),
    b"mdia": (b"mdhd", b"hdlr", b"minf"),
    b"minf": (b"stbl",),
    b"stbl": (b"stsd", b"stts", b"stsz", b"stz2"),
}
_LINEAR = ("pcm", "pcm_float", "flac", "alac")  # codecs whose samples have a size
_ENTRY = 1024  # bytes of a track's description that are looked at
_NEVER = 1 << 64


def mp4(window: Window, facts: dict[str, Any]) -> None:
    told = pictures = False
    for kind, begin, end in _boxes(window, 0, window.size if window.size is not None else _NEVER, ""):
        window.within(end, f"box `{_shown(kind)}`")
        if kind == b"moov" and not told:
            movie: dict[str, Any] = {}
            _look(window, kind, begin, end, movie, facts)
            _duration(movie, facts)
            told = True
        elif kind == b"mdat":
            pictures = True
        if told and pictures:
            return
    if not told and window.size is not None:
        raise ValueError(f"the {window.name} has no `moov`: it is cut, or was never finished")


def _shown(kind: bytes) -> str:
    return "".join(chr(one) if 32 <= one < 127 else "?" for one in kind)


def _boxes(window: Window, at: int, end: int, parent: str) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of what is in each box from *at* to *end*."""
    while end - at >= 8:
        window.step()
        head = window.get(at, 8)
        size, kind, begin = int.from_bytes(head[:4], "big"), head[4:], at + 8
        if size == 1:
            size, begin = window.number(at + 8, 8), at + 16
        if size == 0:  # it goes on to the end
            size = end - at
        if size < begin - at:
            raise ValueError(f"an MP4 whose box `{_shown(kind)}` at byte {at} is shorter than its head")
        if parent and at + size > end:
            raise ValueError(
                f"an MP4 whose box `{_shown(kind)}` at byte {at} is longer than `{parent}`, which it is in"
            )
        yield kind, begin, at + size
        at += size


def _look(window: Window, kind: bytes, begin: int, end: int, held: dict[str, Any], facts: dict[str, Any]) -> None:
    """Into a box of _INSIDE. held: what is known of the film, or of one of its tracks."""
    for inner, at, to in _boxes(window, begin, end, _shown(kind)):
        if inner not in _INSIDE[kind]:
            continue
        if inner == b"trak":
            track: dict[str, Any] = {}
            _look(window, inner, at, to, track, facts)
            _track(window, track, held, facts)
        elif inner in _INSIDE:
            _look(window, inner, at, to, held, facts)
        else:
            _leaf(window, inner, at, to, held)


def _leaf(window: Window, kind: bytes, at: int, end: int, held: dict[str, Any]) -> None:
    name = _shown(kind)

    def number(offset: int, count: int) -> int:
        if at + offset + count > end:
            raise ValueError(f"an MP4 whose `{name}` is too short")
        return window.number(at + offset, count)

    if kind in (b"mvhd", b"mdhd"):
        long = number(0, 1) == 1
        scale, duration = number(20 if long else 12, 4), number(24 if long else 16, 8 if long else 4)
        if not scale:
            raise ValueError(f"an MP4 whose `{name}` has a second of no parts")
        if duration and duration not in (0xFFFFFFFF, _NEVER - 1):
            held["duration"] = duration / scale
        held["scale"] = scale
    elif kind == b"mehd":
        held["fragments"] = number(4, 8 if number(0, 1) == 1 else 4)
    elif kind == b"tkhd":
        skip = 12 if number(0, 1) == 1 else 0
        held["matrix"] = tuple(number(40 + skip + 4 * index, 4) for index in (0, 1, 3, 4))
        held["shown"] = number(76 + skip, 4) >> 16, number(80 + skip, 4) >> 16
    elif kind == b"hdlr":
        held["kind"] = number(8, 4).to_bytes(4, "big")
    elif kind == b"stsd":
        if not number(4, 4):
            raise ValueError("an MP4 whose track is not described")
        size = number(8, 4)
        if size < 16 or at + 8 + size > end:
            raise ValueError("an MP4 whose description of a track does not fit")
        held["entry"] = window.get(at + 8, min(size, _ENTRY))
    elif kind == b"stts":
        count = number(4, 4)
        if at + 8 + 8 * count > end:
            raise ValueError(f"an MP4 whose `stts` of {count} entries does not fit")
        if count:
            held["first"] = number(8, 4), number(12, 4)
    else:
        each, count = number(4, 4), number(8, 4)
        bits = (each & 0xFF) if kind == b"stz2" else 0 if each else 32
        if at + 12 + (count * bits + 7) // 8 > end:
            raise ValueError(f"an MP4 whose `{name}` of {count} entries does not fit")
        held["samples"] = count


def _duration(movie: dict[str, Any], facts: dict[str, Any]) -> None:
    """The film's; else its fragments'; else its longest track's."""
    if "scale" not in movie:
        raise ValueError("an MP4 whose `moov` has no `mvhd`")
    if "duration" in movie:
        facts["duration"] = movie["duration"]
    elif movie.get("fragments"):
        facts["duration"] = movie["fragments"] / movie["scale"]
    elif "longest" in movie:
        facts["duration"] = movie["longest"]


def _track(window: Window, track: dict[str, Any], movie: dict[str, Any], facts: dict[str, Any]) -> None:
    kind, entry = track.get("kind"), track.get("entry")
    if "duration" in track:
        movie["longest"] = max(movie.get("longest", 0.0), track["duration"])
    if entry is None:
        if kind in (b"vide", b"soun"):
            raise ValueError("an MP4 whose track is not described")
        return
    if kind == b"vide" and "width" not in facts:
        _video(track, entry, facts)
    elif kind == b"soun" and "sample_rate" not in facts:
        _audio(track, entry, facts)


def _video(track: dict[str, Any], entry: bytes, facts: dict[str, Any]) -> None:
    if len(entry) < 86:
        raise ValueError("an MP4 whose description of a track does not fit")
    width, height = int.from_bytes(entry[32:34], "big"), int.from_bytes(entry[34:36], "big")
    if not width and not height:
        width, height = track.get("shown", (0, 0))
    sized(facts, width, height)
    codec = _codec(entry, b"mp4v")
    if codec is not None:
        facts["video_codec"] = codec
    one = 0x10000
    turned = {(0, one, 2**32 - one, 0): 90, (2**32 - one, 0, 0, 2**32 - one): 180, (0, 2**32 - one, one, 0): 270}
    rotation = turned.get(track.get("matrix", ()))
    if rotation is not None:
        facts["rotation"] = rotation
    samples, scale, (count, delta) = track.get("samples", 0), track.get("scale", 0), track.get("first", (0, 0))
    if scale and delta and count + 1 >= samples and count > 1:  # all last as long, but for the last one perhaps
        facts["frame_rate"] = scale / delta
    elif samples > 1 and track.get("duration"):
        facts["frame_rate"] = samples / track["duration"]


def _audio(track: dict[str, Any], entry: bytes, facts: dict[str, Any]) -> None:
    if len(entry) < 36:
        raise ValueError("an MP4 whose description of a track does not fit")
    version, channels, bits = (int.from_bytes(entry[at : at + 2], "big") for at in (16, 24, 26))
    rate = int.from_bytes(entry[32:34], "big")
    if version == 2 and len(entry) >= 60:
        import struct

        channels, bits = int.from_bytes(entry[48:52], "big"), int.from_bytes(entry[56:60], "big")
        exact = struct.unpack(">d", entry[40:48])[0]
        rate = int(exact) if 1 <= exact < 1 << 32 else 0
    codec = _codec(entry, b"mp4a")
    if codec == "aac":
        channels = _aac_channels(_objects(entry)[1]) or channels
    rate = rate or track.get("scale", 0)  # above 65535 the field is too short for it
    if not channels and codec not in MPEG4_OBJECTS.values() and codec not in _LINEAR:  # for which 0 may be right
        sounded(facts, 1, rate)
        del facts["channels"]
    else:
        sounded(facts, channels, rate)
    if codec in ("ac3", "eac3", "dts", "mp3", "mp2") and version == 0 and channels == 2:
        del facts["channels"]  # of these the field has a 2, whatever the sound has
        if channels := _ac3_channels(entry):
            facts["channels"] = channels
    if codec is not None:
        facts["audio_codec"] = codec
        if codec in _LINEAR and 0 < bits <= 64:
            facts["bit_depth"] = bits


def _codec(entry: bytes, general: bytes) -> str | None:
    """By a description's four characters, or by what an esds or a scheme of protection in it says."""
    code = entry[4:8]
    if code in (b"encv", b"enca"):
        found = entry.find(b"frma")
        code = entry[found + 4 : found + 8] if found > 0 else code
    if code == general:
        known = MPEG4_OBJECTS.get(_objects(entry)[0])
        if known is not None:
            return known
    return fourcc_name(code)


def _objects(entry: bytes) -> tuple[int, bytes]:
    """The object type in an esds, and what it says to the decoder; 0 and nothing where there is none."""
    at = entry.find(b"esds", 8)
    if at < 0:
        return 0, b""
    at += 8
    kind = 0
    while at < len(entry):
        tag, at = entry[at], at + 1
        length = 0
        for _ in range(4):
            if at >= len(entry):
                return kind, b""
            one, at = entry[at], at + 1
            length = length << 7 | one & 127
            if one < 128:
                break
        if tag == 3 and at + 3 <= len(entry):
            flags = entry[at + 2]
            at += 3 + (2 if flags & 0x80 else 0) + (2 if flags & 0x20 else 0)
            if flags & 0x40:
                at += 1 + (entry[at] if at < len(entry) else 0)
        elif tag == 4 and at < len(entry):
            kind = entry[at]
            at += 13
        elif tag == 5:
            return kind, entry[at : at + length]
        else:
            at += length
    return kind, b""


def _ac3_channels(entry: bytes) -> int:
    """Of a dac3; 0 where there is none."""
    at = entry.find(b"dac3", 36) + 4
    if at < 40 or at + 3 > len(entry):
        return 0
    bits = int.from_bytes(entry[at : at + 3], "big")  # 2 of rate, 5 + 3 of kind, 3 of layout, 1 of low effects …
    return (2, 1, 2, 3, 3, 4, 4, 5)[bits >> 11 & 7] + (bits >> 10 & 1)


def _aac_channels(config: bytes) -> int:
    """Of an AudioSpecificConfig; 0 where it does not tell."""
    bits, left = int.from_bytes(config[:8], "big"), min(len(config), 8) * 8
    if left < 40:
        bits, left = bits << 40, left + 40
    type_, left = bits >> (left - 5) & 31, left - 5
    if type_ == 31:
        left -= 6
    index, left = bits >> (left - 4) & 15, left - 4
    if index == 15:
        left -= 24
    channels = bits >> (left - 4) & 15
    if type_ == 29 and channels == 1:  # parametric stereo
        return 2
    return 8 if channels == 7 else channels if channels < 7 else 0
