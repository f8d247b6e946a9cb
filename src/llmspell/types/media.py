"""Images, sound, video and files that go to a model or come from one."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Media", "Part", "sniff"]


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

#: What bytes begin with; the first that fits.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"qt  ": "video/quicktime",
}


def sniff(data: bytes) -> str | None:
    """The MIME type that *data*'s first bytes tell: of PNG, JPEG, GIF, WebP, PDF, WAV, MP3, Ogg, FLAC, MP4 and WebM."""
    for beginning, mime_type in _BEGINNINGS:
        if data.startswith(beginning):
            return mime_type
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data[:4] == b"\x1a\x45\xdf\xa3":  # Matroska, of which WebM is a kind
        return "video/webm" if b"webm" in data[:64] else "video/x-matroska"
    if len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2 and data[2] & 0xF0 != 0xF0:
        return "audio/mpeg"  # a frame of layer III, without a tag before it
    return None
