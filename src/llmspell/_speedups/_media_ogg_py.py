"""What an Ogg tells in its first pages and its last: Vorbis, Opus, FLAC, Speex, and beside them Theora and VP8.

One source for both twins: this file, and the module that Cython makes of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell._speedups._media_audio_py import flac_stream
    from llmspell._speedups._media_window_py import HEAD, Window, sized, sounded
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_ogg_", "_media_window_"))  # the same twin's
    HEAD, Window, sized, sounded = _window.HEAD, _window.Window, _window.sized, _window.sounded
    flac_stream = import_module(__name__.replace("_media_ogg_", "_media_audio_")).flac_stream

__all__ = ["ogg"]

MOST_STREAMS = 16
LARGEST_PAGE = 27 + 255 + 255 * 255
_NO_GRANULE = (1 << 64) - 1  # of a page in which no packet ends


class _Stream:
    """One of the streams of a file. rate: granules a second; 0: they tell no time. skip: granules before it begins."""

    __slots__ = ("rate", "serial", "skip")

    def __init__(self, serial: int, rate: int, skip: int = 0) -> None:
        self.serial = serial
        self.rate = rate
        self.skip = skip


def _page(window: Window, at: int) -> tuple[int, int, int, int, int]:
    """Of the page at *at*: its flags, granule, serial number, where its content begins and where it ends."""
    head = window.get(at, 27)
    if head[:4] != b"OggS" or head[4]:
        raise ValueError(f"an Ogg whose pages are broken at byte {at}")
    count = head[26]
    begin = at + 27 + count
    end = begin + sum(window.get(at + 27, count))
    window.within(end, f"page at byte {at}")
    return head[5], int.from_bytes(head[6:14], "little"), int.from_bytes(head[14:18], "little"), begin, end


def ogg(window: Window, facts: dict[str, Any]) -> None:
    at = 0
    streams: list[_Stream] = []
    while len(streams) < MOST_STREAMS:
        if at and window.size is not None and at >= window.size:
            break
        flags, _, serial, begin, end = _page(window, at)
        if not flags & 2:  # of a stream that has begun
            break
        stream = _stream(window.some(begin, min(end - begin, 128)), serial, facts)
        if stream is not None:
            streams.append(stream)
        at = end
    if not at:
        raise ValueError("an Ogg begins with a stream's first page, and this one does not")
    if "video_codec" in facts:
        facts["mime_type"] = "video/ogg"
    timed = [one for one in streams if one.rate]
    if timed and window.size is not None:
        _duration(window, timed[0], at, facts)


def _stream(packet: bytes, serial: int, facts: dict[str, Any]) -> _Stream | None:
    """What the first packet of a stream says."""
    if packet[:7] == b"\x01vorbis":
        if len(packet) < 30:
            raise ValueError("an Ogg whose Vorbis is broken")
        return _sound(facts, "vorbis", packet[11], int.from_bytes(packet[12:16], "little"), serial)
    if packet[:8] == b"OpusHead":
        if len(packet) < 19:
            raise ValueError("an Ogg whose Opus is broken")
        return _sound(facts, "opus", packet[9], 48000, serial, int.from_bytes(packet[10:12], "little"))
    if packet[:5] == b"\x7fFLAC":
        if len(packet) < 51 or packet[9:13] != b"fLaC" or packet[13] & 127:
            raise ValueError("an Ogg whose FLAC is broken")
        told: dict[str, Any] = {}
        flac_stream(packet[17:51], told)
        if "audio_codec" not in facts:
            facts.update(told)
        return _Stream(serial, told["sample_rate"])
    if packet[:8] == b"Speex   ":
        if len(packet) < 68:
            raise ValueError("an Ogg whose Speex is broken")
        channels, rate = int.from_bytes(packet[48:52], "little"), int.from_bytes(packet[36:40], "little")
        return _sound(facts, "speex", channels, rate, serial)
    if packet[:7] == b"\x80theora":
        return _theora(packet, serial, facts)
    if packet[:5] == b"OVP80":
        if len(packet) < 26 or packet[5:6] != b"\1":
            raise ValueError("an Ogg whose VP8 is broken")
        _picture(facts, "vp8", int.from_bytes(packet[8:10], "big"), int.from_bytes(packet[10:12], "big"))
        _frames(facts, int.from_bytes(packet[18:22], "big"), int.from_bytes(packet[22:26], "big"))
    return None


def _sound(facts: dict[str, Any], codec: str, channels: int, rate: int, serial: int, skip: int = 0) -> _Stream:
    told: dict[str, Any] = {"audio_codec": codec}
    sounded(told, channels, rate)
    if "audio_codec" not in facts:  # the first of several is told of
        facts.update(told)
    return _Stream(serial, rate, skip)


def _theora(packet: bytes, serial: int, facts: dict[str, Any]) -> _Stream:
    if len(packet) < 42:
        raise ValueError("an Ogg whose Theora is broken")
    _picture(facts, "theora", int.from_bytes(packet[14:17], "big"), int.from_bytes(packet[17:20], "big"))
    _frames(facts, int.from_bytes(packet[22:26], "big"), int.from_bytes(packet[26:30], "big"))
    return _Stream(serial, 0)  # its granules tell of frames since a key frame


def _picture(facts: dict[str, Any], codec: str, width: int, height: int) -> None:
    if "video_codec" not in facts:
        sized(facts, width, height)
        facts["video_codec"] = codec


def _frames(facts: dict[str, Any], above: int, below: int) -> None:
    if not above or not below:
        raise ValueError("an Ogg whose frames have no rate cannot be")
    facts.setdefault("frame_rate", above / below)


def _duration(window: Window, stream: _Stream, begin: int, facts: dict[str, Any]) -> None:
    """By the last granule of a stream, which is looked for from the file's end, by what looks like a page."""
    size = window.size
    if size is None:
        return
    end = size
    while end > 0:
        start = max(0, end - HEAD)
        data = window.some(start, end - start)
        found = data.rfind(b"OggS")
        while found >= 0:
            window.step()
            granule = _granule(window, data, start, found, stream)
            if granule is not None:
                if granule > stream.skip:
                    facts["duration"] = (granule - stream.skip) / stream.rate
                return
            found = data.rfind(b"OggS", 0, found + 3)
        if start == 0:
            return
        end = start + 3 if start > begin else 0


def _granule(window: Window, data: bytes, start: int, found: int, stream: _Stream) -> int | None:
    """The granule of the page at *found* of *data*, which begins at *start*; None where it is no page that tells it."""
    size = window.size or 0
    head = data[found : found + 27]
    at = start + found
    if len(head) < 27:
        head = window.some(at, 27)
    if len(head) < 27 or head[4] or head[5] > 7:
        if size - at < 27:
            raise ValueError("the Ogg is cut: its last page is not all there")
        return None
    table = data[found + 27 : found + 27 + head[26]]
    if len(table) < head[26]:
        table = window.some(at + 27, head[26])
    end = at + 27 + head[26] + sum(table)
    if end > size or len(table) < head[26]:
        if size - at <= LARGEST_PAGE:
            raise ValueError("the Ogg is cut: its last page is not all there")
        return None
    if end < size and window.some(end, 4) != b"OggS":  # it only looks like one
        return None
    granule = int.from_bytes(head[6:14], "little")
    if int.from_bytes(head[14:18], "little") != stream.serial or granule == _NO_GRANULE:
        return None
    return granule
