"""Small media of each format that has a name, made byte by byte: what their heads tell, and no more, is real."""

from __future__ import annotations

import struct
import zlib

__all__ = ["SAMPLES", "mp4", "png", "wav"]


def png(width: int = 3, height: int = 2, color: bytes = b"\x10\x20\x30") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + color * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def wav(samples: int = 1600, rate: int = 8000) -> bytes:
    data = bytes(2 * samples)
    form = struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I", 8 + len(body)) + kind + body


def mp4(brand: bytes = b"mp42", seconds: int = 3) -> bytes:
    movie = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 1000 * seconds) + bytes(80))
    return box(b"ftyp", brand + bytes(4) + brand) + box(b"moov", movie)


def element(name: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return name + bytes((0x80 | len(body),)) + body


def _matroska(kind: bytes) -> bytes:
    picture = element(b"\xe0", element(b"\xb0", b"\x40"), element(b"\xba", b"\x30"))
    track = (element(b"\xd7", b"\1"), element(b"\x83", b"\1"), element(b"\x86", b"V_VP8"), picture)
    tracks = element(b"\x16\x54\xae\x6b", element(b"\xae", *track))
    return element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", kind)) + element(b"\x18\x53\x80\x67", tracks)


def _avi() -> bytes:
    head = struct.pack("<14I", 40000, 0, 0, 0, 25, 0, 1, 0, 64, 48, 0, 0, 0, 0)
    lists = b"LIST" + struct.pack("<I", 12 + len(head)) + b"hdrlavih" + struct.pack("<I", len(head)) + head
    return b"RIFF" + struct.pack("<I", 4 + len(lists)) + b"AVI " + lists


_JPEG = (
    b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 200, 300) + b"\x03" + b"\1\x11\0\2\x11\0\3\x11\0"
    + b"\xff\xda\x00\x0c\x03\1\0\2\0\3\0\0\x3f\0" + bytes(20) + b"\xff\xd9"
)  # fmt: skip
_TIFF = (
    b"II*\0" + struct.pack("<IH", 8, 2) + struct.pack("<HHII", 256, 4, 1, 20) + struct.pack("<HHII", 257, 4, 1, 10)
    + bytes(4)
)  # fmt: skip
_FLAC = (
    b"fLaC\x80\0\0\x22"
    + bytes(10)
    + (44100 << 44 | 1 << 41 | 15 << 36 | 44100).to_bytes(8, "big")
    + bytes(16)
    + b"\xff\xf8\xc9\x08"
    + bytes(20)
)
_OGG = b"OggS\0\x02" + bytes(8) + b"\1\0\0\0" + bytes(8) + b"\x01\x13OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0"

#: By MIME type, as it is written first.
SAMPLES: dict[str, bytes] = {
    "image/png": png(),
    "image/jpeg": _JPEG,
    "image/gif": b"GIF89a" + struct.pack("<HH", 7, 5) + b"\0\0\0;",
    "image/webp": b"RIFF"
    + struct.pack("<I", 18)
    + b"WEBPVP8L\x05\0\0\0\x2f"
    + struct.pack("<I", 39 | 29 << 14)
    + b"\0",
    "image/bmp": b"BM" + struct.pack("<IHHI", 278, 0, 0, 54) + struct.pack("<IiiHHI", 40, 9, -8, 1, 24, 0) + bytes(244),
    "image/tiff": _TIFF,
    "image/svg+xml": b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="40"/>',
    "audio/mpeg": (b"\xff\xfb\x90\x64" + bytes(413)) * 3,
    "audio/wav": wav(),
    "audio/flac": _FLAC,
    "audio/ogg": _OGG,
    "audio/mp4": mp4(b"M4A "),
    "audio/aac": (b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)) * 3,
    "video/mp4": mp4(),
    "video/webm": _matroska(b"webm"),
    "video/x-msvideo": _avi(),
    "video/quicktime": mp4(b"qt  "),
    "video/x-matroska": _matroska(b"matroska"),
}
