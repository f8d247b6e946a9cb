"""Pictures that a test makes byte by byte, of every format whose heads are read, and what is to be told of them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["bmp", "chunk", "gif", "jpeg", "png", "svg", "tiff", "webp"]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 3, height: int = 2, *, depth: int = 8, color: int = 2, before: bytes = b"", pieces: int = 1
) -> bytes:
    """before: chunks ahead of the picture. pieces: into how many chunks it is cut, of one byte each but the last."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    rows = zlib.compress(b"\0" * 20)
    parts = [rows[index : index + 1] for index in range(pieces - 1)] + [rows[pieces - 1 :]]
    data = b"".join(chunk(b"IDAT", part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + data + chunk(b"IEND", b"")


def segment(kind: int, data: bytes) -> bytes:
    """A JPEG's."""
    return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data


def jpeg(
    width: int = 300, height: int = 200, *, parts: int = 3, depth: int = 8, kind: int = 0xC0, before: bytes = b""
) -> bytes:
    """kind: of the frame. before: segments ahead of it."""
    frame = struct.pack(">BHHB", depth, height, width, parts) + b"\1\x11\0" * parts
    scan = bytes([parts]) + b"\1\0" * parts + b"\0\x3f\0"
    return (
        b"\xff\xd8" + before + segment(0xDB, b"\0" * 65) + segment(kind, frame) + segment(0xDA, scan) + b"\x12\x34"
    ) + b"\xff\xd9"


def gif(width: int = 7, height: int = 5, *, delays: Sequence[int] = (0,), colors: int = 2, local: int = 0) -> bytes:
    """delays: hundredths of a second, one a picture. colors, local: bits of the palettes, 0 for none."""
    flags = 0x80 | (colors - 1) if colors else 0
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, flags, 0, 0) + b"\0" * (3 << colors if colors else 0)
    data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0\x21\xfe\x05hello\0"
    frames = []
    for delay in delays:
        frame = b"\x21\xf9\x04\0" + struct.pack("<H", delay) + b"\0\0"
        mine = 0x80 | (local - 1) if local else 0
        frame += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, mine) + b"\0" * (3 << local if local else 0)
        frames.append(frame + b"\x02" + b"\x02\x4c\x01" + b"\xff" + b"x" * 255 + b"\0")
    return data + b"".join(frames) + b";"


def webp(
    kind: bytes = b"VP8 ", width: int = 40, height: int = 30, *, alpha: bool = False, delays: Sequence[int] = ()
) -> bytes:
    """delays: thousandths of a second, one a picture of an animation, which is of kind VP8X."""

    def piece(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)

    lossy = piece(b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width & 0x3FFF, height & 0x3FFF) + b"x")
    bits = ((width - 1) & 0x3FFF) | ((height - 1) & 0x3FFF) << 14 | alpha << 28
    size = ((width - 1) & 0xFFFFFF).to_bytes(3, "little") + ((height - 1) & 0xFFFFFF).to_bytes(3, "little")
    if kind == b"VP8 ":
        body = lossy
    elif kind == b"VP8L":
        body = piece(b"VP8L", b"\x2f" + struct.pack("<I", bits) + b"xy")
    else:
        body = piece(b"VP8X", bytes([0x10 * alpha | 2 * bool(delays), 0, 0, 0]) + size)
        for delay in delays:
            body += piece(b"ANMF", b"\0" * 6 + size + delay.to_bytes(3, "little") + b"\0" + lossy)
        body += b"" if delays else lossy
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp(width: int = 9, height: int = -8, *, bits: int = 24, head: int = 40) -> bytes:
    """head: bytes of the second head, 12 for OS/2's. A height below nought: rows from the top."""
    rows = ((bits * width + 31) // 32 * 4) * abs(height)
    if head == 12:
        form = struct.pack("<IHHHH", 12, width, abs(height), 1, bits)
    else:
        form = struct.pack("<IiiHHIIiiII", head, width, height, 1, bits, 0, rows, 0, 0, 0, 0) + b"\0" * (head - 40)
    begin = 14 + len(form)
    return b"BM" + struct.pack("<IHHI", begin + rows, 0, 0, begin) + form + b"\0" * rows


def tiff(
    sizes: Sequence[tuple[int, int]] = ((30, 20),),
    *,
    order: str = "<",
    big: bool = False,
    depth: int = 8,
    samples: int = 3,
    kind: int = 2,
    extra: int | None = None,
) -> bytes:
    """sizes: of each page. kind: how colors are told (262)."""
    mark = b"II" if order == "<" else b"MM"
    data = mark + struct.pack(order + ("HHHQ" if big else "HI"), *((43, 8, 0, 16) if big else (42, 8)))
    inside = 8 if big else 4
    for index, (width, height) in enumerate(sizes):
        tags: list[tuple[int, int, int, Any]] = [(256, 4, 1, width), (257, 4, 1, height)]
        begin = len(data)
        count = 5 + (extra is not None)
        table = (8 + count * 20 + 8) if big else (2 + count * 12 + 4)
        tags += [
            (258, 3, samples, begin + table if samples * 2 > inside else depth),
            (262, 3, 1, kind),
            (277, 3, 1, samples),
        ]
        if extra is not None:
            tags.append((338, 3, 1, extra))
        data += struct.pack(order + ("Q" if big else "H"), count)
        for tag, form, many, value in tags:
            data += struct.pack(order + ("HHQ" if big else "HHI"), tag, form, many)
            if form == 3 and many * 2 <= inside:
                data += struct.pack(order + "H" * many, *[value] * many).ljust(inside, b"\0")
            else:
                data += struct.pack(order + ("Q" if form == 3 and big else "I"), value).ljust(inside, b"\0")
        outside = struct.pack(order + "H" * samples, *[depth] * samples) if samples * 2 > inside else b""
        after = begin + table + len(outside)
        data += struct.pack(order + ("Q" if big else "I"), after if index + 1 < len(sizes) else 0) + outside
    return data


def svg(
    attributes: str, *, before: str = "", root: str = "svg", space: str = 'xmlns="http://www.w3.org/2000/svg"'
) -> bytes:
    return f"{before}<{root} {space} {attributes}><rect/></{root}>".encode()
