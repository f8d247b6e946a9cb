"""What bytes are, by how they begin: the type of images, sound, video and documents, and what their heads tell.

One source for both twins: this file, and the module that Cython makes of it. Values are plain; nothing is decoded, and
no more is looked at than the head that is given.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["HEAD", "media_facts", "read_media", "sniff"]

HEAD = 65536  # bytes of a file that are enough to tell
MOST_SEGMENTS = 1000  # of a JPEG that are passed over

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"qt  ": "video/quicktime",
}


def sniff(data: bytes) -> str | None:
    """The MIME type that the first bytes tell; None where they tell none that is known.

    PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF, HEIC; WAV, MP3, AAC, Ogg, FLAC, M4A; MP4, QuickTime, WebM, Matroska, AVI;
    PDF.
    """
    first: bytes = data[:16]
    if first[:8] == b"\x89PNG\r\n\x1a\n":
        return "image/png"
    if first[:3] == b"\xff\xd8\xff":
        return "image/jpeg"
    if first[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if first[:4] == b"RIFF":
        return _RIFF.get(first[8:12])
    if first[:5] == b"%PDF-":
        return "application/pdf"
    if first[4:8] == b"ftyp":
        return _BRANDS.get(first[8:12], "video/mp4")
    if first[:4] == b"OggS":
        return "audio/ogg"
    if first[:4] == b"fLaC":
        return "audio/flac"
    if first[:3] == b"ID3":
        return "audio/mpeg"
    if first[:4] == b"\x1a\x45\xdf\xa3":  # Matroska, of which WebM is a kind
        return "video/webm" if b"webm" in data[:64] else "video/x-matroska"
    if first[:4] in (b"II*\0", b"MM\0*"):
        return "image/tiff"
    if first[:2] == b"BM" and len(first) >= 14 and first[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if len(first) > 3 and first[0] == 0xFF:
        if first[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if first[1] & 0xE6 == 0xE2 and first[2] & 0xF0 != 0xF0:  # a frame of layer III, without a tag before it
            return "audio/mpeg"
    return None


def media_facts(data: bytes, mime_type: str) -> dict[str, Any]:
    """What the head *data* of such a file tells: width and height of an image (pixels), channels, sample_rate (Hz) and
    duration (seconds) of a WAV. What it does not tell is left out.

    Raises ValueError, in words, for a head that is cut or cannot be.
    """
    size = None
    if mime_type == "image/png":
        size = _png(data)
    elif mime_type == "image/gif":
        size = _pair(data, 6, "little")
    elif mime_type == "image/jpeg":
        size = _jpeg(data)
    elif mime_type == "image/webp":
        size = _webp(data)
    elif mime_type == "image/bmp":
        size = _bmp(data)
    elif mime_type == "audio/wav":
        return _wav(data)
    if size is None:
        return {}
    width, height = size
    if width <= 0 or height <= 0:
        raise ValueError(f"an image of {width} by {height} pixels cannot be")
    return {"width": width, "height": height}


def read_media(read: Callable[[int, int], bytes], size: int) -> dict[str, Any]:
    """What a file is, and what its heads tell, by a bounded number of bounded windows: it is never read whole.

    read(offset, length): the bytes there, fewer at the file's end alone; 0 <= offset < size, and length is never more
    than HEAD. size: bytes of the file.
    Gives `mime_type` (as `sniff`), and beside it what `media_facts` gives; nothing where the bytes tell no type.

    Raises ValueError, in words, for a file that is cut, broken, or says what cannot be. What *read* raises passes.
    """
    if size <= 0:
        return {}
    head = bytes(read(0, min(size, HEAD)))
    mime_type = sniff(head)
    return {} if mime_type is None else {"mime_type": mime_type, **media_facts(head, mime_type)}


def _number(data: bytes, at: int, count: int, order: str) -> int:
    """A whole number without a sign."""
    if at + count > len(data):
        raise ValueError("its head is cut")
    value = 0
    for index in range(count):
        byte = data[at + index]
        value = (value << 8) | byte if order == "big" else value | (byte << (8 * index))
    return value


def _pair(data: bytes, at: int, order: str) -> tuple[int, int]:
    return _number(data, at, 2, order), _number(data, at + 2, 2, order)


def _png(data: bytes) -> tuple[int, int]:
    if data[12:16] != b"IHDR":
        raise ValueError("a PNG begins with its IHDR, and this one does not")
    return _number(data, 16, 4, "big"), _number(data, 20, 4, "big")


def _bmp(data: bytes) -> tuple[int, int]:
    height = _number(data, 22, 4, "little")
    return _number(data, 18, 4, "little"), height if height < 1 << 31 else (1 << 32) - height


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """Of the frame's head, which comes after other segments; None where that lies beyond *data*."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        if at + 4 > len(data):
            return None
        if data[at] != 0xFF:
            raise ValueError("a JPEG's segments are broken")
        kind = data[at + 1]
        if kind == 0xFF:  # filling
            at += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:  # without a length
            at += 2
            continue
        if kind == 0xDA or kind == 0xD9:
            raise ValueError("a JPEG without the head of its frame")
        length = _number(data, at + 2, 2, "big")
        if length < 2:
            raise ValueError("a JPEG's segments are broken")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            if at + 9 > len(data):
                return None
            return _number(data, at + 7, 2, "big"), _number(data, at + 5, 2, "big")
        at += 2 + length
    raise ValueError("a JPEG of too many segments")


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 ":
        if data[23:26] != b"\x9d\x01\x2a":
            raise ValueError("a WebP whose frame is broken")
        width, height = _pair(data, 26, "little")
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        if data[20:21] != b"\x2f":
            raise ValueError("a WebP whose frame is broken")
        bits = _number(data, 21, 4, "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    if kind == b"VP8X":
        return _number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1
    raise ValueError("a WebP of no known kind")


def _wav(data: bytes) -> dict[str, Any]:
    at = 12
    told: dict[str, Any] = {}
    rate = 0
    while at + 8 <= len(data):
        name, length = data[at : at + 4], _number(data, at + 4, 4, "little")
        if name == b"fmt ":
            if length < 16:
                raise ValueError("a WAV whose format is broken")
            channels, frequency = _number(data, at + 10, 2, "little"), _number(data, at + 12, 4, "little")
            rate = _number(data, at + 16, 4, "little")
            if not channels or not frequency:
                raise ValueError("a WAV of no channels, or no rate, cannot be")
            told = {"channels": channels, "sample_rate": frequency}
        elif name == b"data":
            if not told:
                raise ValueError("a WAV without its format")
            if rate and 0 < length < 0xFFFFFFFF:
                told["duration"] = length / rate
            return told
        at += 8 + length + (length & 1)
    return told
