"""MediaContent: a text, an image, sound, video or any file, from wherever it comes and for wherever it goes."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from llmspell.errors import ValidationError, one_line
from llmspell.types import media_files
from llmspell.types.media import LARGEST_CALL, LIMITS, Media, Referred
from llmspell.types.media_base64 import Base64Decoder, encode_base64
from llmspell.types.media_files import PIECE
from llmspell.types.media_formats import format_of, metadata_of
from llmspell.types.media_look import check_size, declared_type, kind_of, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmspell.types.media import Part
    from llmspell.types.media_files import FileReference
    from llmspell.types.media_formats import AudioFormat, Format, ImageFormat, Metadata, VideoFormat

__all__ = ["MediaContent"]

_DETAILS = (None, "low", "high", "auto")


class MediaContent:
    """A text, an image, sound, video or any other file. Immutable; made by its constructors, which look at it.

        MediaContent.image(data)                 bytes, which tell their format
        MediaContent.from_path("film.mp4")       a file, which stays where it is until it is read
        MediaContent.from_data_url(url), .from_base64(text), .from_file(file), .from_pil(image), .from_array(array) …

    kind: text, image, audio, video, or file for all else. mime_type: "image/png". metadata: what its head tells, an
    ImageMetadata, AudioMetadata or VideoMetadata; None of a text or a file. size: bytes, of a text in UTF-8; None where
    only an address is known. url: that address. filename, detail: as Media has them. path: of a file that stays where
    it is. Two are equal that have the same bytes, or the same file, and are told to be the same.

    An image has at most 100 MB, sound 500 MB, video 5 GB, all else 100 MB. Constructors raise ValidationError for more
    before it is read, for what is empty, broken, of no known kind, or of another than it is said to be; the errors of
    files are NotFoundError and PermissionDeniedError too.
    """

    __slots__ = ("_data", "_file", "detail", "filename", "kind", "metadata", "mime_type", "size", "url")

    kind: str
    mime_type: str
    metadata: Metadata | None
    size: int | None
    url: str | None
    filename: str | None
    detail: str | None
    _data: bytes | str | None
    _file: FileReference | None

    def __init__(self) -> None:
        raise TypeError("a MediaContent is made by its constructors: `MediaContent.image(data)`, `.from_path(path)` …")

    # ---- what it is made of

    @classmethod
    def text(cls, text: str, *, mime_type: str = "text/plain", filename: str | None = None) -> MediaContent:
        """Words, which go to a model as they are."""
        if not isinstance(text, str):
            raise ValidationError(f"`MediaContent.text` takes a text, not a {type(text).__name__}")
        size = len(text) if text.isascii() else len(_encoded(text))
        if size:
            check_size(size, "text", "MediaContent.text")
        told = declared_type(mime_type, None, "MediaContent.text") or ""
        if not told.startswith("text/"):
            raise ValidationError(f"`MediaContent.text`: `{told}` is no text's type", hint="`.binary` takes any other")
        return _made("text", told, None, size, data=text, filename=filename)

    @classmethod
    def image(
        cls, data: bytes, format: ImageFormat | str | None = None, *, filename: str | None = None,
        detail: str | None = None,
    ) -> MediaContent:  # fmt: skip
        """An image. format: must agree with the bytes, which tell it. detail: how closely a model looks: "low", "high",
        "auto"."""
        return cls._of_bytes(data, "image", format, "MediaContent.image", filename, detail)

    @classmethod
    def audio(
        cls, data: bytes, format: AudioFormat | str | None = None, *, filename: str | None = None
    ) -> MediaContent:
        """Sound."""
        return cls._of_bytes(data, "audio", format, "MediaContent.audio", filename)

    @classmethod
    def video(
        cls, data: bytes, format: VideoFormat | str | None = None, *, filename: str | None = None
    ) -> MediaContent:
        """Video."""
        return cls._of_bytes(data, "video", format, "MediaContent.video", filename)

    @classmethod
    def binary(cls, data: bytes, mime_type: str | None = None, filename: str | None = None) -> MediaContent:
        """Any file. Where its bytes are an image, sound or video it is one, unless it is "application/octet-stream"."""
        return cls._of_bytes(data, None, mime_type, "MediaContent.binary", filename)

    @classmethod
    def from_bytes(
        cls, data: bytes, mime_type: Format | str | None = None, *, filename: str | None = None,
        detail: str | None = None,
    ) -> MediaContent:  # fmt: skip
        """Whatever the bytes tell that they are."""
        return cls._of_bytes(data, None, mime_type, "MediaContent.from_bytes", filename, detail)

    @classmethod
    def _of_bytes(
        cls, data: Any, kind: str | None, declared: Any, name: str, filename: str | None = None,
        detail: str | None = None,
    ) -> MediaContent:  # fmt: skip
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ValidationError(f"`{name}` takes bytes, not a {type(data).__name__}", hint=_INSTEAD.get(type(data)))
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        name = _shown(filename) or name
        told = declared_type(declared, kind, name)
        check_size(size, kind or (kind_of(told) if told else "video"), name)  # before bytes are copied
        raw = data if isinstance(data, bytes) else bytes(data)
        ending = _shown(filename).rpartition(".")[2]
        found = look(lambda offset, length: raw[offset : offset + length], size, kind, told, name, ending)
        metadata = metadata_of(found.kind, found.facts, size)
        return _made(found.kind, found.mime_type, metadata, size, data=raw, filename=filename, detail=detail)

    @classmethod
    def from_base64(
        cls, text: str | bytes | Iterable[str | bytes], mime_type: Format | str | None = None, *,
        filename: str | None = None, detail: str | None = None,
    ) -> MediaContent:  # fmt: skip
        """Of base64, whole or as pieces of it that are cut anywhere; white space in it is passed over.

        The ValidationError for what is none says at which character.
        """
        name = "MediaContent.from_base64"
        if not isinstance(text, Iterable):
            raise _no_base64(text)
        largest = min(LIMITS[kind_of(declared_type(mime_type, None, name) or "video")], LARGEST_CALL)
        decoder, whole = Base64Decoder(), bytearray()
        for piece in (text,) if isinstance(text, str | bytes) else text:
            if not isinstance(piece, str | bytes):
                raise _no_base64(piece)
            if len(piece) > largest * 2:
                raise _too_much(name, largest)
            whole += decoder.feed(piece)
            if len(whole) > largest:
                raise _too_much(name, largest)
        whole += decoder.end()
        return cls._of_bytes(whole, None, mime_type, name, filename, detail)

    @classmethod
    def from_data_url(cls, url: str, *, filename: str | None = None, detail: str | None = None) -> MediaContent:
        """Of `data:image/png;base64,…`, or `data:text/plain;charset=utf-8,a%20b`, which is a text."""
        from llmspell.types.media_urls import parse_data_url

        name = "MediaContent.from_data_url"
        if not isinstance(url, str):
            raise ValidationError(f"`{name}` takes a text, not a {type(url).__name__}")
        told = parse_data_url(url, LARGEST_CALL)
        if not told.mime_type or told.mime_type.startswith("text/"):
            return cls.text(told.text, mime_type=told.mime_type or "text/plain", filename=filename)
        return cls._of_bytes(told.data, None, told.mime_type, name, filename, detail)

    @classmethod
    def from_path(
        cls, path: str | os.PathLike[str], mime_type: Format | str | None = None, *, detail: str | None = None,
        load: bool = False,
    ) -> MediaContent:  # fmt: skip
        """A file's, which stays where it is: its size and its heads are looked at, and the rest is read when it is
        wanted. It must be unchanged then: ValidationError where it is not, NotFoundError where it is gone.

        load: reads it now. A text is a file too: `.text(path.read_text())` gives its words.
        """
        known = media_files.refer(path)
        made = cls._of_file(known, mime_type, detail)
        return made.load() if load else made

    @classmethod
    def _of_file(cls, known: FileReference, declared: Any, detail: str | None = None) -> MediaContent:
        told = declared_type(declared, None, known.shown)
        filename = os.path.basename(known.path)
        with media_files.window(known) as read:
            found = look(read, known.size, None, told, known.shown, filename.rpartition(".")[2])
        metadata = metadata_of(found.kind, found.facts, known.size)
        return _made(
            found.kind, found.mime_type, metadata, known.size, file=known, filename=filename, detail=detail
        )  # fmt: skip

    @classmethod
    def from_file(
        cls, file: BinaryIO, mime_type: Format | str | None = None, *, filename: str | None = None,
        detail: str | None = None, largest: int = LARGEST_CALL,
    ) -> MediaContent:  # fmt: skip
        """What an open file has from where it stands on, read into memory; at most *largest* bytes of it. One that can
        be asked for its size is asked before; of others no more is read than is taken."""
        data = media_files.read_open(file, largest, _shown(filename) or "MediaContent.from_file")
        return cls._of_bytes(data, None, mime_type, "MediaContent.from_file", filename, detail)

    @classmethod
    def from_url(cls, url: str, mime_type: Format | str, *, detail: str | None = None) -> MediaContent:
        """An https address, from which a model's service takes it itself; nothing is loaded here."""
        try:
            parts = urlsplit(url) if isinstance(url, str) and url.isprintable() and " " not in url else None
            good = parts is not None and parts.scheme == "https" and bool(parts.hostname) and not parts.username
        except ValueError:
            good = False
        if not good:
            raise ValidationError(
                "`MediaContent.from_url` takes an address that begins with https://", hint="bytes go into `from_bytes`"
            )
        told = declared_type(mime_type, None, "MediaContent.from_url") or ""
        return _made(kind_of(told), told, metadata_of(kind_of(told), {}, None), None, url=url, detail=detail)

    @classmethod
    def from_media(cls, media: Media) -> MediaContent:
        """What a model or a tool gave. Whatever its bytes are it is taken; `metadata` tell what they do."""
        if isinstance(media, Referred):
            return media.content
        size = media.size
        try:
            if media.data is not None:
                return cls._of_bytes(media.data, None, media.mime_type, "Media", media.filename, media.detail)
        except ValidationError:  # it is none of what is known: it is what it is said to be
            pass
        if media.data is None and media.url is None:
            raise ValidationError("a medium without bytes and without an address is none")
        facts = metadata_of(media.kind, {}, size)
        named, detail = media.filename, media.detail if media.detail in _DETAILS else None
        return _made(
            media.kind, media.mime_type, facts, size, data=media.data, url=media.url, filename=named, detail=detail
        )  # fmt: skip

    @classmethod
    def from_pil(cls, image: Any, format: ImageFormat | str = "png", *, detail: str | None = None) -> MediaContent:
        """A PIL image, written in that format. Raises ValidationError for one that the format cannot hold."""
        from llmspell.types import media_arrays

        return cls.image(media_arrays.of_pil(image, format), format, detail=detail)

    @classmethod
    def from_array(cls, array: Any, format: ImageFormat | str = "png", *, detail: str | None = None) -> MediaContent:
        """A numpy array of uint8 as an image: height × width (grey), × 3 (RGB) or × 4 (RGBA)."""
        from llmspell.types import media_arrays

        return cls.image(media_arrays.of_array(array, format), format, detail=detail)

    @classmethod
    def from_samples(cls, samples: Any, sample_rate: int) -> MediaContent:
        """A numpy array as a WAV: samples, or samples × channels; int16, int32, uint8, or floats from -1 to 1, which
        become int16. sample_rate: Hz."""
        from llmspell.types import media_arrays

        return cls.audio(media_arrays.of_samples(samples, sample_rate), "wav")

    # ---- what it gives

    @property
    def format(self) -> Format | None:
        """The format by its name; None of a text, a file, and what has no name here."""
        return format_of(self.mime_type)

    @property
    def path(self) -> str | None:
        """Where the file is that it stays in; None of what is in memory."""
        return self._file.path if self._file is not None else None

    @property
    def reference(self) -> FileReference | None:
        """That file, and what it was when it was looked at."""
        return self._file

    def load(self) -> MediaContent:
        """The same in memory."""
        if self._file is None:
            return self
        return _made(
            self.kind, self.mime_type, self.metadata, self.size, data=self.to_bytes(self._file.size),
            filename=self.filename, detail=self.detail,
        )  # fmt: skip

    def windows(self, size: int = PIECE) -> Iterator[bytes]:
        """The bytes, *size* at a time; of a file, no more is in memory. Raises as `to_bytes` does, for a file that was
        written to meanwhile after the last."""
        if size < 1:
            raise ValidationError("the size of a window must be at least 1")
        if self._file is not None:
            return media_files.windows(self._file, size)
        data = self.to_bytes()
        return (data[at : at + size] for at in range(0, len(data), size))

    def open(self) -> BinaryIO:
        """A file object for reading, which the caller closes. Raises as `to_bytes` does, but for what happens to the
        file later."""
        if self._file is None:
            return io.BytesIO(self.to_bytes())
        return io.BufferedReader(media_files.open_reference(self._file))

    def to_bytes(self, largest: int = LARGEST_CALL) -> bytes:
        """The bytes; of a text in UTF-8. largest: of a file of more none is read, and ValidationError raised.

        Raises ValidationError for a file that has changed since it was looked at, and for an address, NotFoundError for
        a file that is gone.
        """
        if isinstance(self._data, str):
            return _encoded(self._data)
        if self._data is not None:
            return self._data
        if self._file is None:
            raise ValidationError(
                "a medium of which only the address is known has no bytes here",
                hint="load it yourself, or send its `url`",
            )
        if self._file.size > largest:
            raise ValidationError(
                f"`{self._file.shown}` has {self._file.size} bytes, more than the {largest} that are read at once",
                hint="take it by `windows()`, or say `largest`",
            )
        return media_files.read_whole(self._file)

    def to_text(self) -> str:
        """The words of a text, or of a file of UTF-8. Raises ValidationError for other bytes."""
        if isinstance(self._data, str):
            return self._data
        try:
            return self.to_bytes().decode()
        except UnicodeDecodeError as error:
            raise ValidationError(f"{self._name()} is no text in UTF-8: byte {error.start} is wrong") from None

    def to_base64(self) -> str:
        """The bytes as base64 on one line. Raises as `to_bytes` does."""
        return base64.b64encode(self.to_bytes()).decode("ascii")

    def base64_pieces(self, size: int = PIECE) -> Iterator[str]:
        """The same as pieces of text that follow each other, each of some *size* bytes; no more is in memory."""
        return encode_base64(self.windows(size))

    def to_data_url(self) -> str:
        """`data:image/png;base64,…`. Raises as `to_bytes` does."""
        charset = ";charset=utf-8" if self.kind == "text" and "charset=" not in self.mime_type else ""
        return f"data:{self.mime_type}{charset};base64,{self.to_base64()}"

    def to_path(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file at once: whoever reads sees what was there before, or all of it. Raises
        PermissionDeniedError, NotFoundError, ValidationError, and as `windows` does."""
        media_files.save(path, self.windows())

    def to_file(self, file: BinaryIO) -> int:
        """Writes it to an open file, where that stands; gives how many bytes. Raises as `windows` does."""
        return sum(media_files.write_all(file, piece) for piece in self.windows())

    def to_pil(self) -> Any:
        """The image as a PIL one, decoded. Raises ValidationError for what is none, or broken; NotSupportedError where
        PIL is not installed."""
        from llmspell.types import media_arrays

        return media_arrays.to_pil(self)

    def to_array(self) -> Any:
        """The image as a numpy array of uint8: height × width (grey), × 3 (RGB) or × 4 (RGBA). Raises as `to_pil`."""
        from llmspell.types import media_arrays

        return media_arrays.to_array(self)

    def to_samples(self) -> tuple[Any, int]:
        """A WAV's samples × channels as a numpy array, and their rate in Hz: uint8, int16 or int32, as it has them (24
        bits are the upper ones of int32). Raises as `to_pil`, NotSupportedError for what is no PCM."""
        from llmspell.types import media_arrays

        return media_arrays.to_samples(self)

    # ---- for a call

    def to_media(self) -> Media:
        """What goes to a model's service: its bytes are read now. Raises as `to_bytes` does."""
        data = None if self.url is not None else self.to_bytes()
        return Media(self.mime_type, data, self.url, self.filename, self.detail)

    def to_part(self) -> Part:
        """A part of a Message: the words of a text, else a Media; a file's is read when the request is made."""
        if self.kind == "text":
            return self.to_text()
        return self.to_media() if self._file is None else Referred.of(self)

    # ---- plain values

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script may put them into `content`: type, then text, data (bytes), url, or path and stamp;
        mime_type, format, size, metadata, filename, detail where they are there."""
        from llmspell.types.media_plain import told_of

        return told_of(self)

    def to_json(self) -> dict[str, Any]:
        """The same with the bytes as base64, in `base64`: it can be written as JSON. Raises ValidationError for a file
        whose path is no text."""
        told = self.to_dict()
        if self._file is not None:
            _encoded(self._file.path)
        if "data" in told:
            told["base64"] = base64.b64encode(told.pop("data")).decode("ascii")
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], *, files: bool = False) -> MediaContent:
        """What `to_dict` or `to_json` gave. The bytes are looked at anew; what they tell themselves is not taken from
        *told*.

        files: whether it may name a file of this machine. Who writes the values chooses which, so it is for values of
        the program's own. Raises ValidationError, which names the field, and as the constructors do.
        """
        from llmspell.types.media_plain import content_of

        return content_of(told, files=files)

    # ---- as a value

    def _name(self) -> str:
        return f"`{_shown(self.filename)}`" if self.filename else f"the {self.kind}"

    def _key(self) -> tuple[Any, ...]:
        return (self.kind, self.mime_type, self._data, self._file, self.url, self.filename, self.detail)

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, MediaContent) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        words = [self.mime_type if self.kind != "text" else "text"]
        words += [f"{self.size} bytes"] if self.size is not None else []
        size = self.metadata
        if size is not None and (width := getattr(size, "width", None)) is not None:
            words.append(f"{width}x{getattr(size, 'height', None)}")
        if size is not None and (seconds := getattr(size, "duration", None)) is not None:
            words.append(f"{seconds:.3g} s")
        words += [repr(one_line(name, 80)) for name in (self.path or self.filename, self.url) if name is not None]
        return f"<MediaContent {', '.join(words)}>"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a MediaContent cannot be changed: `{name}`")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a MediaContent cannot be changed: `{name}`")

    def __copy__(self) -> MediaContent:
        return self

    def __deepcopy__(self, memo: object) -> MediaContent:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, tuple(getattr(self, name) for name in self.__slots__)


#: What takes it instead, by what came.
_INSTEAD: dict[type, str] = {str: "`from_base64`, `from_data_url` and `from_path` take texts"}


def _made(
    kind: str, mime_type: str, metadata: Metadata | None, size: int | None, *, data: bytes | str | None = None,
    file: FileReference | None = None, url: str | None = None, filename: str | None = None, detail: str | None = None,
) -> MediaContent:  # fmt: skip
    if detail not in _DETAILS:
        raise ValidationError(f"`detail` must be low, high or auto, not {one_line(repr(detail), 60)}")
    if filename is not None and not isinstance(filename, str):
        raise ValidationError(f"`filename` must be a text, not a {type(filename).__name__}")
    if filename is not None and not filename.isascii():
        filename = filename.encode("utf-8", "replace").decode()  # half of a surrogate pair can be told to nobody
    return _restored(data, file, detail, filename, kind, metadata, mime_type, size, url)


def _restored(*values: Any) -> MediaContent:
    made = object.__new__(MediaContent)
    for name, value in zip(MediaContent.__slots__, values, strict=True):
        object.__setattr__(made, name, value)
    return made


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(f"the text has half a surrogate pair, at character {error.start + 1}") from None


def _shown(filename: str | None) -> str:
    return one_line(filename, 200) if isinstance(filename, str) else ""


def _no_base64(given: object) -> ValidationError:
    return ValidationError(
        f"`MediaContent.from_base64`: base64 is a text, or pieces of one, not a {type(given).__name__}"
    )


def _too_much(name: str, largest: int) -> ValidationError:
    return ValidationError(f"`{name}`: it has more than {largest} bytes", hint="decode it to a file, and name that")
