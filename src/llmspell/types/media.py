"""Images, sound, video and files that go to a model or come from one.

Media is what messages and answers hold: bytes, or where they are. MediaContent is what a program makes it of, and what
it takes from it: formats, files, base64, arrays. What a program gives of a file is a Referred until a request is made.
"""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeGuard

from llmspell.errors import ValidationError

if TYPE_CHECKING:
    from llmspell.types.media_content import MediaContent as MediaContent
    from llmspell.types.media_formats import AudioFormat as AudioFormat
    from llmspell.types.media_formats import AudioMetadata as AudioMetadata
    from llmspell.types.media_formats import ImageFormat as ImageFormat
    from llmspell.types.media_formats import ImageMetadata as ImageMetadata
    from llmspell.types.media_formats import VideoFormat as VideoFormat
    from llmspell.types.media_formats import VideoMetadata as VideoMetadata

__all__ = [
    "LARGEST_CALL",
    "LIMITS",
    "AudioFormat",
    "AudioMetadata",
    "ImageFormat",
    "ImageMetadata",
    "Media",
    "MediaContent",
    "Part",
    "Referred",
    "VideoFormat",
    "VideoMetadata",
    "agree",
    "is_content",
    "media_of",
    "part_of",
    "sniff",
]


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

    @property
    def size(self) -> int | None:
        """Bytes; None where only the address is known."""
        return None if self.data is None else len(self.data)

    def loaded(self) -> Media:
        """With its bytes, which a medium of a file has not before. Raises as `MediaContent.to_bytes` does."""
        return self

    def to_content(self) -> MediaContent:
        """The same as a MediaContent, whatever its bytes are: its format, what its head tells, where it can go."""
        from llmspell.types.media_content import MediaContent

        return MediaContent.from_media(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: type (see `kind`), media_type, and what is there of data (bytes), url, filename, detail."""
        told: dict[str, Any] = {"type": self.kind, "media_type": self.mime_type}
        more = {"data": self.data, "url": self.url, "filename": self.filename, "detail": self.detail}
        return told | {name: value for name, value in more.items() if value is not None}

    def __repr__(self) -> str:
        what = f"{len(self.data)} bytes" if self.data is not None else self.url
        return f"Media({self.mime_type!r}, {what})"


class Referred(Media):
    """One of a file, by reference: `data` is None until it is `loaded`, which is done when a request is made."""

    content: MediaContent

    @classmethod
    def of(cls, content: MediaContent) -> Referred:
        """*content*, which stays in its file."""
        made = cls(content.mime_type, filename=content.filename, detail=content.detail)
        made.content = content
        return made

    @property
    def base64(self) -> str:
        return self.loaded().base64

    @property
    def data_url(self) -> str:
        return self.loaded().data_url

    @property
    def size(self) -> int | None:
        return self.content.size

    def loaded(self) -> Media:
        return Media(self.mime_type, self.content.to_bytes(), None, self.filename, self.detail)

    def to_dict(self) -> dict[str, Any]:
        return self.loaded().to_dict()

    def _replace(self, **changes: Any) -> Referred:
        made: Referred = super()._replace(**changes)
        made.content = self.content
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Referred) and tuple.__eq__(self, other) and self.content == other.content

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.content)

    def __repr__(self) -> str:
        return f"Media({self.mime_type!r}, {self.size} bytes in {self.content.path!r})"


#: What a message is made of: texts and media, in order.
Part: TypeAlias = str | Media


def is_content(given: object) -> TypeGuard[MediaContent]:
    """Whether it is a MediaContent; their file is not loaded to see it."""
    home = sys.modules.get("llmspell.types.media_content")
    return home is not None and isinstance(given, home.MediaContent)


def media_of(given: object) -> Media | None:
    """A Media, or a MediaContent as one, with its bytes; None of anything else. Raises as `MediaContent.to_bytes`."""
    if isinstance(given, Media):
        return given.loaded()
    return given.to_media() if is_content(given) else None


def part_of(given: Part | MediaContent) -> Part:
    """What a message holds of *given*. Raises ValidationError for what is neither a text nor a medium."""
    if isinstance(given, str | Media):
        return given
    if is_content(given):
        return given.to_part()
    raise ValidationError(
        f"a part of a message is a text, a Media or a MediaContent, not a {type(given).__name__}",
        hint="`MediaContent.from_bytes(data)` makes one of bytes",
    )


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


#: What has files of its own, which a program that only sends and receives does not load.
_HOME = {
    "AudioFormat": "media_formats", "AudioMetadata": "media_formats", "ImageFormat": "media_formats",
    "ImageMetadata": "media_formats", "MediaContent": "media_content", "VideoFormat": "media_formats",
    "VideoMetadata": "media_formats",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"llmspell.types.{home}"), name)
    return value
