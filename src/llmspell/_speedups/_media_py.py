"""What bytes are, by how they begin: the type of images, sound, video and documents, and what their heads tell.

One source for both twins: this file and its parts (`_media_image_py.py` and so on), and the modules that Cython makes
of them. Values are plain, and nothing is decoded. A file is looked at through windows (`_media_window_py.py`): their
number and their bytes are bounded, whatever the file says.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell._speedups import _media_audio_py as _audio
    from llmspell._speedups import _media_avi_py as _avi
    from llmspell._speedups import _media_image_py as _image
    from llmspell._speedups import _media_matroska_py as _matroska
    from llmspell._speedups import _media_mp4_py as _mp4
    from llmspell._speedups import _media_ogg_py as _ogg
    from llmspell._speedups import _media_svg_py as _svg
    from llmspell._speedups._media_window_py import HEAD, MOST_BYTES, MOST_READS, Beyond, Window
else:
    from importlib import import_module

    def _part(name: str) -> Any:
        """The part of that name, of the same twin; where one is missing, so is the twin."""
        return import_module(__name__.replace("._media_", f"._media_{name}_"))

    _window, _image, _svg, _audio = _part("window"), _part("image"), _part("svg"), _part("audio")
    _ogg, _mp4, _avi, _matroska = _part("ogg"), _part("mp4"), _part("avi"), _part("matroska")
    HEAD, MOST_BYTES, MOST_READS = _window.HEAD, _window.MOST_BYTES, _window.MOST_READS
    Beyond, Window = _window.Beyond, _window.Window

__all__ = ["HEAD", "MOST_BYTES", "MOST_READS", "media_facts", "read_media", "sniff"]

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4P ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"qt  ": "video/quicktime",
}
#: What may begin a QuickTime file of before there was an ftyp.
_OLD_BOXES = (b"moov", b"wide", b"free", b"skip", b"pnot")
#: By the type, and for sound and video by its second half, since the same container holds either: name, reader.
_IMAGES: dict[str, tuple[str, Callable[[Window, dict[str, Any]], None]]] = {
    "image/png": ("PNG", _image.png),
    "image/jpeg": ("JPEG", _image.jpeg),
    "image/gif": ("GIF", _image.gif),
    "image/webp": ("WebP", _image.webp),
    "image/bmp": ("BMP", _image.bmp),
    "image/tiff": ("TIFF", _image.tiff),
    "image/svg+xml": ("SVG", _svg.svg),
}
_CONTAINERS: dict[str, tuple[str, Callable[[Window, dict[str, Any]], None]]] = {
    "wav": ("WAV", _audio.wav),
    "mpeg": ("MP3", _audio.mp3),
    "aac": ("AAC", _audio.aac),
    "flac": ("FLAC", _audio.flac),
    "ogg": ("Ogg", _ogg.ogg),
    "mp4": ("MP4", _mp4.mp4),
    "quicktime": ("QuickTime", _mp4.mp4),
    "x-msvideo": ("AVI", _avi.avi),
    "webm": ("WebM", _matroska.matroska),
    "x-matroska": ("Matroska", _matroska.matroska),
}


def sniff(data: bytes) -> str | None:
    """The MIME type that the first bytes tell; None where they tell none that is known.

    PNG, JPEG, GIF, WebP, BMP, TIFF, SVG, AVIF, HEIC; WAV, MP3, AAC, Ogg, FLAC, M4A; MP4, QuickTime, WebM, Matroska,
    AVI; PDF. An SVG is told by its root, which may stand anywhere in the first HEAD bytes; the others by 64.
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
        kind = _matroska.doc_type(data[:HEAD])
        return "video/webm" if kind == b"webm" or (not kind and b"webm" in data[:64]) else "video/x-matroska"
    if first[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "image/tiff"
    return _sniff_more(first, data)


def _sniff_more(first: bytes, data: bytes) -> str | None:
    """Of what has no mark of its own at its begin, or a short one."""
    if first[:4] in (b"RF64", b"BW64") and first[8:12] == b"WAVE":
        return "audio/wav"
    if first[:2] == b"BM" and len(first) >= 14 and first[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if len(first) > 3 and first[0] == 0xFF:
        if first[1] & 0xF6 == 0xF0:
            return "audio/aac"
        # a frame of layer III or II, without a tag before it
        if first[1] & 0xE6 in (0xE2, 0xE4) and first[1] & 0x18 != 0x08 and first[2] & 0xF0 != 0xF0:
            return "audio/mpeg"
    if first[4:8] == b"mdat" or (first[4:8] in _OLD_BOXES and first[0] == 0):
        return "video/quicktime"
    if first[:1] in (b"<", b" ", b"\t", b"\r", b"\n") or first[:2] in (b"\xef\xbb", b"\xff\xfe", b"\xfe\xff", b"\0<"):
        return "image/svg+xml" if _svg.is_svg(data[:HEAD]) else None
    return None


def media_facts(data: bytes, mime_type: str) -> dict[str, Any]:
    """What the head *data* of a file of *mime_type* (as `sniff` tells it) tells. What it does not tell is left out.

    Of images: width and height (pixels, as they are stored; of an SVG at 96 to the inch, rounded), bit_depth (bits of
    one channel), color ("grayscale", "rgb", "palette", "cmyk"), alpha (bool), frames, pages, duration (seconds, of an
    animation). Of sound: channels, sample_rate (Hz), duration (seconds), bit_depth (bits of one sample), audio_codec.
    Of video these, and width, height, rotation (degrees, clockwise, for showing), frame_rate (Hz), video_codec.
    Of several streams of a kind, the first is told of.

    Raises ValueError, in words, for a head that is broken or says what cannot be. That the file goes on behind *data*
    is no error; see `read_media`, which is given the whole.
    """
    facts: dict[str, Any] = {}
    _read(Window(data), mime_type, facts)
    facts.pop("mime_type", None)
    return facts


def read_media(read: Callable[[int, int], bytes], size: int) -> dict[str, Any]:
    """What a file is, and what it tells, by MOST_READS windows and MOST_BYTES bytes at most: it is never read whole.

    read(offset, length): the bytes there, fewer at the file's end alone; 0 <= offset < size, 0 < length <= HEAD.
    size: bytes of the file.
    Gives `mime_type` (as `sniff`, or more exactly), and beside it what `media_facts` gives; nothing where the bytes
    tell no type. A file that would need more windows than that is told of as far as they go.

    Raises ValueError, in words, for a file that is cut, broken, or says what cannot be. What *read* raises passes.
    """
    if size <= 0:
        return {}
    head = bytes(read(0, min(size, HEAD)))[:HEAD]
    mime_type = sniff(head)
    if mime_type is None:
        return {}
    facts: dict[str, Any] = {"mime_type": mime_type}
    window = Window(head, read, size)
    if head[:3] == b"ID3":
        mime_type = facts["mime_type"] = _behind_id3(window)
    _read(window, mime_type, facts)
    return facts


def _behind_id3(window: Window) -> str:
    """What the sound is that follows a tag: an MP3, as most often, or another."""
    window.name = "MP3"
    try:
        found = sniff(window.some(_audio.after_id3(window), 16))
    except Beyond:
        found = None
    return found if found in ("audio/flac", "audio/aac") else "audio/mpeg"


def _read(window: Window, mime_type: str, facts: dict[str, Any]) -> None:
    major, _, minor = mime_type.partition("/")
    found = _CONTAINERS.get(minor) if major in ("audio", "video") else _IMAGES.get(mime_type)
    if found is None:
        return
    window.name, reader = found
    try:
        reader(window, facts)
    except Beyond:  # what was told until there stands
        pass
