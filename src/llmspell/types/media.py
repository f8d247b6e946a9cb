"""Images, sound, video and files that go to a model or come from one."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple, TypeAlias

__all__ = ["LARGEST_CALL", "LIMITS", "Media", "Part", "agree", "sniff"]


class Media(NamedTuple):
    """One of them: its bytes, or where they are.

    mime_type: "image/png". data: the bytes; None where `url` (https) says where they are. filename: what a file is
    called there. detail: how closely an image is looked at, where a service asks ("low", "high", "auto").
    """

    mime_type: str
    data: bytes | None = None
    url: str | None = None
    filename: str | None = None
    detail: str | None = None

    @property
    def kind(self) -> str:
        """image, audio, video, or file for all else."""
        major = self.mime_type.partition("/")[0].lower()
        return major if major in ("image", "audio", "video") else "file"

    @property
    def base64(self) -> str:
        """The bytes as bare base64; empty where only the address is known."""
        return base64.b64encode(self.data).decode("ascii") if self.data is not None else ""

    @property
    def data_url(self) -> str:
        """The bytes as a data URL, else the address."""
        return f"data:{self.mime_type};base64,{self.base64}" if self.data is not None else self.url or ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values: type (see `kind`), media_type, and what is there of data (bytes), url, filename, detail."""
        told: dict[str, Any] = {"type": self.kind, "media_type": self.mime_type}
        more = {"data": self.data, "url": self.url, "filename": self.filename, "detail": self.detail}
        return told | {name: value for name, value in more.items() if value is not None}

    def __repr__(self) -> str:
        what = f"{len(self.data)} bytes" if self.data is not None else self.url
        return f"Media({self.mime_type!r}, {what})"


#: What a message is made of: texts and media, in order.
Part: TypeAlias = str | Media

#: Bytes of one medium, by its kind, where the provider's own limit is not lower.
LIMITS = {"image": 100 << 20, "audio": 500 << 20, "video": 5 << 30, "file": 100 << 20}

#: Bytes of all media that go along with one call.
LARGEST_CALL = 512 << 20


def sniff(data: bytes) -> str | None:
    """The MIME type that *data*'s first bytes tell; see `_speedups/_media_py.py` for which are known."""
    from llmspell._speedups import sniff as told

    return told(data)


#: Other names of formats, as the bytes tell them.
_NAMES = {
    "jpg": "jpeg", "pjpeg": "jpeg", "tif": "tiff", "heif": "heic", "mp3": "mpeg", "x-mp3": "mpeg", "m4a": "mp4",
    "x-m4a": "mp4", "3gpp": "mp4", "quicktime": "mp4", "mov": "mp4", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav",
    "x-flac": "flac", "x-aac": "aac", "opus": "ogg", "x-matroska": "webm", "mkv": "webm", "avi": "x-msvideo",
}  # fmt: skip

_RAW = ("pcm", "x-pcm", "l16", "l24", "basic", "x-raw")


def agree(found: str, declared: str) -> bool:
    """Whether what is said to be *declared* may have the bytes of *found*. A container of sound may hold video."""
    (one, _, first), (other, _, second) = found.partition("/"), declared.partition(";")[0].strip().partition("/")
    if declared == "application/octet-stream" or (other == "audio" and second in _RAW):  # whose bytes may be any
        return True
    if found == "image/svg+xml":  # which is text, too
        return other == "text" or second in ("svg+xml", "svg", "xml")
    sound = {"audio", "video"}
    if (one in sound and other in {*sound, "application"}) or one == other:
        return _NAMES.get(first, first) == _NAMES.get(second, second)
    return False
