"""The formats of images, sound and video that are known by name, and what their heads tell of them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

__all__ = [
    "AudioFormat",
    "AudioMetadata",
    "Format",
    "ImageFormat",
    "ImageMetadata",
    "Metadata",
    "NamedFormat",
    "VideoFormat",
    "VideoMetadata",
    "format_of",
    "metadata_of",
]


class NamedFormat(Enum):
    """A format: its value is its short name, "png". mime_type: "image/jpeg". extension: ".jpg". Other names of it, and
    either case, are understood."""

    mime_type: str
    extension: str
    _names: frozenset[str]
    _kind: str

    def __new__(cls, name: str, minor: str, others: str) -> Self:
        """minor: the MIME type's second half. others: what else it is called, as a MIME type, an ending or a name."""
        made = object.__new__(cls)
        made._value_ = name
        made._kind = cls.__name__.removesuffix("Format").lower()
        made.mime_type = f"{made._kind}/{minor}"
        made.extension = f".{name.replace('jpeg', 'jpg')}"
        made._names = frozenset((name, minor, *others.split()))
        return made

    @classmethod
    def from_mime(cls, mime_type: str) -> Self:
        """ "image/jpg; q=1" is JPEG. Raises ValidationError for a type of something else, or of none of these."""
        text = mime_type.partition(";")[0].strip().lower() if isinstance(mime_type, str) else ""
        major, _, minor = text.partition("/")
        found = cls._found(minor) if major in cls._majors() else None
        return found or cls._refused("MIME type", mime_type)

    @classmethod
    def from_extension(cls, extension: str) -> Self:
        """ ".JPG" and "jpg" are JPEG; so is "photo.jpg". Raises ValidationError."""
        text = extension.strip().rpartition(".")[2].lower() if isinstance(extension, str) else ""
        return cls._found(text) or cls._refused("extension", extension)

    @classmethod
    def from_name(cls, name: str) -> Self:
        """ "JPEG", "Jpg", ".jpg" and "image/jpeg" are JPEG. Raises ValidationError."""
        if isinstance(name, str) and "/" in name:
            return cls.from_mime(name)
        text = name.strip().removeprefix(".").lower() if isinstance(name, str) else ""
        return cls._found(text) or cls._refused("name", name)

    @classmethod
    def _majors(cls) -> tuple[str, ...]:
        return (cls.__name__.removesuffix("Format").lower(), "application")  # application/ogg, application/mp4

    @classmethod
    def _found(cls, name: str) -> Self | None:
        return next((one for one in cls if name in one._names), None) if name else None

    @classmethod
    def _refused(cls, what: str, given: Any) -> Any:
        kind = cls.__name__.removesuffix("Format").lower()
        shown = one_line(given, 60) if isinstance(given, str) else type(given).__name__
        raise ValidationError(
            f"`{shown}` is no {what} of {'an' if kind[0] in 'ai' else 'a'} {kind} format that is known",
            hint=f"there are {', '.join(one.value for one in cls)}",
        )


class ImageFormat(NamedFormat):
    """Formats of images."""

    PNG = "png", "png", "x-png apng"
    JPEG = "jpeg", "jpeg", "jpg pjpeg jpe jfif"
    GIF = "gif", "gif", ""
    WEBP = "webp", "webp", "x-webp"
    BMP = "bmp", "bmp", "x-bmp x-ms-bmp dib"
    TIFF = "tiff", "tiff", "tif x-tiff"
    SVG = "svg", "svg+xml", "x-svg+xml"


class AudioFormat(NamedFormat):
    """Formats of sound."""

    MP3 = "mp3", "mpeg", "x-mp3 mpeg3 x-mpeg mpga"
    WAV = "wav", "wav", "x-wav wave vnd.wave x-pn-wav"
    FLAC = "flac", "flac", "x-flac"
    OGG = "ogg", "ogg", "x-ogg oga opus vorbis"
    M4A = "m4a", "mp4", "x-m4a m4b"
    AAC = "aac", "aac", "x-aac aacp adts"


class VideoFormat(NamedFormat):
    """Formats of video."""

    MP4 = "mp4", "mp4", "m4v x-m4v"
    WEBM = "webm", "webm", ""
    AVI = "avi", "x-msvideo", "msvideo vnd.avi"
    MOV = "mov", "quicktime", "qt x-quicktime"
    MKV = "mkv", "x-matroska", "matroska"


Format: TypeAlias = ImageFormat | AudioFormat | VideoFormat
FORMATS: dict[str, type[ImageFormat] | type[AudioFormat] | type[VideoFormat]] = {
    "image": ImageFormat,
    "audio": AudioFormat,
    "video": VideoFormat,
}
_BY_MIME: dict[str, Format] = {one.mime_type: one for kind in FORMATS.values() for one in kind}


def format_of(mime_type: str) -> Format | None:
    """The format of a MIME type, by any of its names; None where it has no name here."""
    told = _BY_MIME.get(mime_type)
    if told is None and (kind := FORMATS.get(mime_type.partition("/")[0])) is not None:
        told = kind._found(mime_type.partition(";")[0].partition("/")[2].strip().lower())
    return told


class ImageMetadata(NamedTuple):
    """Of an image. width, height: pixels. bit_depth: bits of a channel. color: grayscale, rgb, palette or cmyk. alpha:
    whether it can be transparent. frames, duration: pictures of an animation, and its seconds. pages: pictures of a
    TIFF. size: bytes. None: the head does not tell."""

    width: int | None = None
    height: int | None = None
    bit_depth: int | None = None
    color: str | None = None
    alpha: bool | None = None
    frames: int | None = None
    duration: float | None = None
    pages: int | None = None
    size: int | None = None


class AudioMetadata(NamedTuple):
    """Of sound. duration: seconds. sample_rate: Hz. bit_depth: bits of a sample. codec: "pcm", "opus" … size: bytes.
    None: the head does not tell."""

    duration: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    bit_depth: int | None = None
    codec: str | None = None
    size: int | None = None


class VideoMetadata(NamedTuple):
    """Of video. width, height: pixels as they are stored. rotation: degrees, clockwise, for showing. duration: seconds.
    frame_rate: pictures a second. codec: of the pictures, "h264" …; audio_codec, sample_rate (Hz), channels: of its
    sound. size: bytes. None: the head does not tell."""

    width: int | None = None
    height: int | None = None
    rotation: int | None = None
    duration: float | None = None
    frame_rate: float | None = None
    codec: str | None = None
    audio_codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    size: int | None = None


Metadata: TypeAlias = ImageMetadata | AudioMetadata | VideoMetadata
_METADATA: dict[str, type[ImageMetadata] | type[AudioMetadata] | type[VideoMetadata]] = {
    "image": ImageMetadata,
    "audio": AudioMetadata,
    "video": VideoMetadata,
}


def metadata_of(kind: str, facts: Mapping[str, Any], size: int | None) -> Metadata | None:
    """What `read_media` told of an image, sound or video; None of anything else."""
    made = _METADATA.get(kind)
    if made is None:
        return None
    told = {name: facts[name] for name in made._fields if name in facts}
    if "codec" in made._fields and (codec := facts.get(f"{kind}_codec")) is not None:
        told["codec"] = codec
    return made(**(told | {"size": size}))
