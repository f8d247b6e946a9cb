"""Sound that a test makes byte by byte, of every format whose heads are read."""

from __future__ import annotations

import struct

__all__ = [
    "adts",
    "flac",
    "id3",
    "mp3",
    "ogg",
    "ogg_page",
    "opus_head",
    "speex_head",
    "theora_head",
    "vorbis_head",
    "wav",
]


def wav(
    seconds: float = 2.0,
    *,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    number: int = 1,
    extensible: bool = False,
    before: bytes = b"",
    kind: bytes = b"RIFF",
    length: int | None = None,
) -> bytes:
    """number: of the format. before: chunks ahead of the sound. length: what the sound's chunk says of its bytes."""
    block = channels * bits // 8
    data = b"\0" * (block * int(seconds * rate))
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else number, channels, rate, rate * block, block, bits)
    if extensible:
        guid = struct.pack("<H", number) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
        form += struct.pack("<HHI", 22, bits, 0) + guid
    said = len(data) if length is None else length
    if kind != b"RIFF":
        before = b"ds64" + struct.pack("<IQQQI", 28, 0, len(data), len(data) // block, 0) + before
        said = 0xFFFFFFFF
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", said) + data
    body += b"\0" * (len(data) & 1)
    return kind + struct.pack("<I", len(body) if kind == b"RIFF" else 0xFFFFFFFF) + body


def id3(length: int = 0) -> bytes:
    return (
        b"ID3\x04\0\0"
        + bytes([length >> 21 & 127, length >> 14 & 127, length >> 7 & 127, length & 127])
        + b"\0" * length
    )


RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def mp3(
    frames: int = 5, *, version: int = 3, rate: int = 0, mono: bool = False, kbits: int | list[int] = 9, xing: int = -1
) -> bytes:
    """Layer III. version: 3 for MPEG 1, 2 for 2, 0 for 2.5. rate, kbits: numbers in the tables; several are by frames.

    xing: frames that a head in the first frame tells of, if not below 0; it is a frame more.
    """
    hertz, samples = RATES[version][rate], 1152 if version == 3 else 576
    data = []
    for index in range(frames + (xing >= 0)):
        speed = kbits if isinstance(kbits, int) else kbits[index % len(kbits)]
        bits = (_KBITS if version == 3 else _KBITS_2)[speed] * 1000
        head = bytes([0xFF, 0xE0 | version << 3 | 3, speed << 4 | rate << 2, 0xC0 if mono else 0])
        content = b""
        if xing >= 0 and not index:
            side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
            content = b"\0" * side + b"Info" + struct.pack(">II", 1, xing)
        data.append((head + content).ljust(samples // 8 * bits // hertz, b"\0"))
    return b"".join(data)


def adts(frames: int = 5, *, rate: int = 4, channels: int = 2, length: int = 20) -> bytes:
    """length: bytes of a frame."""
    one = bytes([0xFF, 0xF1, 0x40 | rate << 2 | channels >> 2, (channels & 3) << 6 | length >> 11])
    one += bytes([length >> 3 & 255, (length & 7) << 5 | 0x1F, 0xFC])
    return one.ljust(length, b"\0") * frames


def stream_info(samples: int, rate: int, channels: int, bits: int, block: int = 4096, largest: int = 0) -> bytes:
    packed = (rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | samples).to_bytes(8, "big")
    return struct.pack(">HH", block, block) + b"\0\0\0" + largest.to_bytes(3, "big") + packed + b"\0" * 16


def _crc8(data: bytes) -> int:
    check = 0
    for one in data:
        check ^= one
        for _ in range(8):
            check = (check << 1 ^ 7) & 255 if check & 128 else check << 1
    return check


def flac_frame(number: int, length: int = 100) -> bytes:
    """With the head that tells its number, and nothing in it."""
    code = bytes([number]) if number < 128 else bytes([0xC0 | number >> 6, 0x80 | number & 63])
    head = b"\xff\xf8\xc9\x18" + code
    return (head + bytes([_crc8(head)])).ljust(length, b"\0")


def flac(
    samples: int = 44100,
    *,
    rate: int = 44100,
    channels: int = 2,
    bits: int = 16,
    picture: int = 0,
    frames: int | None = None,
) -> bytes:
    """picture: bytes of a block of pictures ahead of the sound. frames: how many there are, else as many as needed."""
    block = 4096
    count = -(-samples // block) if frames is None else frames
    data = (
        b"fLaC" + (b"\0" if picture else b"\x80") + b"\0\0\x22" + stream_info(samples, rate, channels, bits, block, 100)
    )
    if picture:
        data += b"\x86" + picture.to_bytes(3, "big") + b"p" * picture
    return data + b"".join(flac_frame(number) for number in range(count)) + (b"" if count else b"\0" * 20)


def ogg_page(content: bytes, *, granule: int = 0, serial: int = 1, flags: int = 0, version: int = 0) -> bytes:
    """One packet of at most 65,024 bytes. Its sum is left out: it is not looked at."""
    table = b"\xff" * (len(content) // 255) + bytes([len(content) % 255])
    return b"OggS" + struct.pack("<BBQIIIB", version, flags, granule, serial, 0, 0, len(table)) + table + content


def vorbis_head(channels: int = 2, rate: int = 44100) -> bytes:
    return b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, channels, rate, 0, 0, 0, 0xB8, 1)


def opus_head(channels: int = 2, skip: int = 312) -> bytes:
    return b"OpusHead" + struct.pack("<BBHIHB", 1, channels, skip, 44100, 0, 0)


def flac_head(rate: int = 44100, channels: int = 2, bits: int = 16) -> bytes:
    return b"\x7fFLAC\x01\0\0\x01fLaC\0\0\0\x22" + stream_info(0, rate, channels, bits)


def speex_head(channels: int = 1, rate: int = 16000) -> bytes:
    return (
        b"Speex   "
        + b"1.2".ljust(20, b"\0")
        + struct.pack("<IIIIIIiIIIIII", 1, 80, rate, 1, 4, channels, -1, 320, 0, 1, 0, 0, 0)
    )


def theora_head(width: int = 320, height: int = 180, above: int = 25, below: int = 1) -> bytes:
    sizes = struct.pack(">HH", 20, 12) + width.to_bytes(3, "big") + height.to_bytes(3, "big") + b"\0\0"
    return b"\x80theora\x03\x02\x01" + sizes + struct.pack(">II", above, below) + b"\0" * 12


def ogg(*heads: bytes, granule: int = 88200, pages: int = 3, after: bytes = b"", fill: int = 50) -> bytes:
    """A stream for each of *heads*, with serial numbers from 1 on, then pages of the first. fill: bytes of a page."""
    data = b"".join(ogg_page(head, serial=index + 1, flags=2) for index, head in enumerate(heads))
    for index in range(pages):
        data += ogg_page(b"v" * fill, granule=granule * (index + 1) // pages, flags=4 * (index + 1 == pages))
    return data + after
