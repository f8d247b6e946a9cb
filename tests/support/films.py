"""Films that a test makes byte by byte: MP4 and QuickTime, AVI, Matroska and WebM."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "audio_entry",
    "avi",
    "box",
    "element",
    "esds",
    "matroska",
    "moov",
    "mp4",
    "riff",
    "track",
    "video_entry",
    "vint",
]

FTYP = b"\0\0\0\x18ftypisom\0\0\2\0isommp42"


def box(kind: bytes, *content: bytes, size: int | None = None, long: bool = False) -> bytes:
    """size: what it says of its bytes, if that is not so. long: by a number of eight bytes."""
    data = b"".join(content)
    if long:
        return struct.pack(">I", 1) + kind + struct.pack(">Q", len(data) + 16 if size is None else size) + data
    return struct.pack(">I", len(data) + 8 if size is None else size) + kind + data


def esds(object_type: int = 0x40, config: bytes = b"\x12\x10") -> bytes:
    """config: an AudioSpecificConfig; this one is of AAC, 44,100 Hz, two channels."""
    special = b"\x05\x80\x80\x80" + bytes([len(config)]) + config
    decoder = b"\x04\x80\x80\x80" + bytes([13 + len(special)]) + bytes([object_type]) + b"\x15" + b"\0" * 11 + special
    return box(b"esds", b"\0\0\0\0", b"\x03\x80\x80\x80" + bytes([3 + len(decoder)]) + b"\0\1\0" + decoder)


def video_entry(width: int = 320, height: int = 180, *, code: bytes = b"avc1", more: bytes = b"") -> bytes:
    return box(code, b"\0" * 6 + b"\0\1" + b"\0" * 16 + struct.pack(">HH", width, height) + b"\0" * 50, more)


def audio_entry(
    channels: int = 2,
    rate: int = 44100,
    *,
    code: bytes = b"mp4a",
    bits: int = 16,
    more: bytes | None = None,
    version: int = 0,
) -> bytes:
    """version: 2 is QuickTime's, whose rate is a float and whose numbers are larger."""
    more = esds() if more is None else more
    if version == 2:
        form = struct.pack(">HHIHHhHI", 2, 0, 0, 3, 16, -2, 0, 0x10000) + struct.pack(
            ">IdII", 72, rate, channels, 0x7F000000
        )
        return box(code, b"\0" * 6 + b"\0\1" + form + struct.pack(">IIII", bits, 0, 0, 0), more)
    form = struct.pack(
        ">HHIHHHHI", version, 0, 0, channels, bits, 0, 0, (rate << 16) & 0xFFFFFFFF if rate < 65536 else 0
    )
    return box(code, b"\0" * 6 + b"\0\1" + form, more)


TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def track(
    kind: bytes,
    entry: bytes,
    *,
    scale: int = 25000,
    duration: int = 50000,
    samples: int = 50,
    times: Sequence[tuple[int, int]] = ((50, 1000),),
    long: bool = False,
    turn: int = 0,
    shown: tuple[int, int] = (320, 180),
    sizes: bytes | None = None,
) -> bytes:
    """times: entries of the stts. sizes: the content of the stsz after its flags."""
    form = ">BxxxQQIQ" if long else ">BxxxIIII"
    a, b, c, d = (one * 0x10000 for one in TURNS[turn])
    matrix = struct.pack(">iiiiiiiii", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    place = struct.pack(">BxxxQQIIQ" if long else ">BxxxIIIII", long, 0, 0, 1, 0, 0) + b"\0" * 16 + matrix
    sizes = struct.pack(">II", 0, samples) + b"\0\0\0\1" * samples if sizes is None else sizes
    table = box(
        b"stbl",
        box(b"stsd", b"\0\0\0\0\0\0\0\1", entry),
        box(b"stts", struct.pack(">II", 0, len(times)), *(struct.pack(">II", *one) for one in times)),
        box(b"stsz", b"\0\0\0\0", sizes),
    )
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(form, long, 0, 0, scale, duration) + b"\x55\xc4\0\0"),
        box(b"hdlr", b"\0" * 8 + kind + b"\0" * 12 + b"handler\0"),
        box(b"minf", box(b"vmhd", b"\0" * 12), table),
    )
    return box(b"trak", box(b"tkhd", place + struct.pack(">II", shown[0] << 16, shown[1] << 16)), box(b"edts"), media)


def moov(*tracks: bytes, scale: int = 1000, duration: int = 2000, long: bool = False, more: bytes = b"") -> bytes:
    head = struct.pack(">BxxxQQIQ" if long else ">BxxxIIII", long, 0, 0, scale, duration) + b"\0" * 80
    return box(b"moov", box(b"mvhd", head), *tracks, more, box(b"udta", b"\0\0\0\0"))


def mp4(movie: bytes, *, ftyp: bytes = FTYP, first: bool = False, data: int = 100, long: bool = False) -> bytes:
    """first: the moov ahead of the data."""
    content = box(b"mdat", b"d" * data, long=long)
    return ftyp + box(b"free") + (movie + content if first else content + movie)


def riff(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) & 1)


def avi(
    width: int = 320, height: int = 180, *, rate: int = 25, scale: int = 1, frames: int = 50, code: bytes = b"XVID",
    audio: bytes | None = None, video: bool = True, total: int | None = None,
) -> bytes:  # fmt: skip
    """audio: a WAVEFORMAT. total: frames that the odml list tells of."""
    head = struct.pack(
        "<IIIIIIIIII", 1_000_000 * scale // rate, 0, 0, 0, frames, 0, 1, 0, width * video, height * video
    )
    content = riff(b"avih", head + b"\0" * 16)
    if audio is not None:
        form = b"auds" + struct.pack("<IIHHIIIII", 0, 0, 0, 0, 0, 1, 8000, 0, 16000) + b"\0" * 20
        content += riff(b"LIST", b"strl" + riff(b"strh", form) + riff(b"strf", audio))
    if video:
        form = b"vids" + code + struct.pack("<IHHIIIII", 0, 0, 0, 0, scale, rate, 0, frames) + b"\0" * 20
        picture = struct.pack("<IiiHH4sIiiII", 40, width, -height, 1, 24, code, 0, 0, 0, 0, 0)
        content += riff(b"LIST", b"strl" + riff(b"strh", form) + riff(b"strf", picture))
    if total is not None:
        content += riff(b"LIST", b"odml" + riff(b"dmlh", struct.pack("<I", total) + b"\0" * 20))
    movie = riff(b"LIST", b"movi" + riff(b"00dc", b"frame"))
    return riff(b"RIFF", b"AVI " + riff(b"JUNK", b"x") + riff(b"LIST", b"hdrl" + content) + movie + riff(b"idx1", b""))


def vint(value: int, length: int | None = None) -> bytes:
    """A size of Matroska's, in as few bytes as it takes, or in *length*."""
    length = length or next(one for one in range(1, 9) if value < (1 << (7 * one)) - 1)
    return (value | 1 << (7 * length)).to_bytes(length, "big")


def element(name: int, content: bytes | int | float, *, size: bytes | None = None) -> bytes:
    """size: as it is written, if it is not the true one."""
    if isinstance(content, int):
        content = content.to_bytes(max(1, (content.bit_length() + 7) // 8), "big")
    elif isinstance(content, float):
        content = struct.pack(">d", content)
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (vint(len(content)) if size is None else size) + content


UNKNOWN = b"\x01" + b"\xff" * 7


def video_track(
    width: int = 320, height: int = 180, code: bytes = b"V_VP9", each: int = 40_000_000, more: bytes = b""
) -> bytes:
    content = element(0xD7, 1) + element(0x83, 1) + element(0x86, code)
    content += element(0x23E383, each) if each else b""
    return element(0xAE, content + more + element(0xE0, element(0xB0, width) + element(0xBA, height)))


def audio_track(
    rate: float = 48000.0, channels: int = 2, code: bytes = b"A_OPUS", bits: int = 0, more: bytes = b""
) -> bytes:
    sound = element(0xB5, rate) + element(0x9F, channels) + (element(0x6264, bits) if bits else b"")
    return element(0xAE, element(0xD7, 2) + element(0x83, 2) + element(0x86, code) + more + element(0xE1, sound))


def matroska(
    *tracks: bytes,
    duration: float | None = 2500.0,
    scale: int = 1_000_000,
    kind: bytes = b"webm",
    live: bool = False,
    last: bool = False,
    cluster: int = 1000,
) -> bytes:
    """live: the segment's size is not known. last: Info and Tracks come behind the clusters, told of by a SeekHead."""
    head = element(0x1A45DFA3, element(0x4286, 1) + element(0x4282, kind))
    told = b"" if duration is None else element(0x4489, duration)
    info, list_ = element(0x1549A966, element(0x2AD7B1, scale) + told), element(0x1654AE6B, b"".join(tracks))
    clusters = element(0x1F43B675, element(0xE7, 0) + element(0xA3, b"c" * cluster))
    if last:

        def seek(where: int) -> bytes:
            return b"".join(
                element(0x4DBB, element(0x53AB, name) + element(0x53AC, at.to_bytes(8, "big")))
                for name, at in ((0x1549A966, where), (0x1654AE6B, where + len(info)))
            )

        front = len(element(0x114D9B74, seek(0)))
        content = element(0x114D9B74, seek(front + len(clusters))) + clusters + info + list_
    else:
        content = element(0xEC, b"\0" * 10) + info + list_ + clusters
    return head + element(0x18538067, content, size=UNKNOWN if live else None)
