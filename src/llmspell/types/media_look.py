"""What a medium is: as its bytes tell, which must agree with what it is said to be, and within what is taken of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell._speedups import read_media
from llmspell.errors import LLMSpellError, ValidationError, one_line
from llmspell.types.media import LIMITS, agree, sniff
from llmspell.types.media_formats import FORMATS, AudioFormat, ImageFormat, VideoFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.types.media_formats import Format

__all__ = ["HEAD", "Looked", "check_size", "declared_type", "is_text", "kind_of", "look"]

HEAD = 65536  # bytes that tell what a medium is
LONGEST_TYPE = 100  # characters of a MIME type
#: Formats whose files always begin as they are known to; sound may have anything before its first frame.
_SURE = frozenset(
    (*(one.mime_type for one in ImageFormat), AudioFormat.WAV.mime_type, AudioFormat.FLAC.mime_type,
     AudioFormat.OGG.mime_type, VideoFormat.WEBM.mime_type, VideoFormat.AVI.mime_type, VideoFormat.MKV.mime_type)
)  # fmt: skip
#: What a text is, by its file's ending.
_TEXTS = {
    "md": "text/markdown", "csv": "text/csv", "tsv": "text/tab-separated-values", "json": "application/json",
    "html": "text/html", "htm": "text/html", "xml": "application/xml", "css": "text/css", "js": "text/javascript",
}  # fmt: skip


class Looked(NamedTuple):
    """What was seen. kind: image, audio, video, or file. facts: as `read_media` tells them."""

    kind: str
    mime_type: str
    facts: dict[str, Any]


def kind_of(mime_type: str) -> str:
    """image, audio, video, or file for all else."""
    major = mime_type.partition("/")[0]
    return major if major in FORMATS else "file"


def check_size(size: int, kind: str, name: str, too_large: type[LLMSpellError] = ValidationError) -> None:
    """Raises ValidationError for nothing, *too_large* for more than is taken of that kind; a text counts as a file."""
    if not size:
        raise ValidationError(f"`{name}`: it is empty")
    if size > (limit := LIMITS[kind if kind in LIMITS else "file"]):
        raise too_large(
            f"`{name}`: it has {size} bytes; of {kind} at most {limit} are taken",
            hint="make it smaller, or give the service its address",
        )


def declared_type(declared: str | Format | None, kind: str | None, name: str) -> str | None:
    """A format or MIME type that was said, as a MIME type: "JPG" of an image is image/jpeg. Raises ValidationError."""
    if declared is None:
        return None
    if isinstance(declared, ImageFormat | AudioFormat | VideoFormat):
        text = declared.mime_type
    elif isinstance(declared, str):
        text = declared.strip().lower()
        if "/" not in text:
            text = _named(text.removeprefix("."), kind)
    else:
        raise ValidationError(f"`{name}`: the format must be a text, like `png` or `image/png`")
    major, _, minor = text.partition("/")
    plain = text.isascii() and major.isalnum() and all(one.isalnum() or one in "+-._;= " for one in minor)
    if not (plain and minor) or len(text) > LONGEST_TYPE:
        raise ValidationError(f"`{name}`: the format must be like `png` or `image/png`, not `{one_line(text, 60)}`")
    if kind in FORMATS and major != kind:
        raise ValidationError(f"`{name}`: `{one_line(text, 60)}` is no {kind}'s format")
    if ";" not in text and major in FORMATS:
        text = next((one.mime_type for one in FORMATS[major] if minor in one._names), text)
    return text


def _named(name: str, kind: str | None) -> str:
    """A format's name as a MIME type: of that kind, or of the first that has it; *name* itself where none has."""
    for known in [FORMATS[kind]] if kind in FORMATS else FORMATS.values():
        if (found := next((one for one in known if one.value == name), None)) is not None:
            return found.mime_type
    if kind in FORMATS:  # by another name, or one of those that have none here
        return next((one.mime_type for one in FORMATS[kind] if name in one._names), f"{kind}/{name}")
    return next((one.mime_type for known in FORMATS.values() for one in known if name in one._names), name)


def is_text(head: bytes) -> bool:
    """Whether *head* is UTF-8, but for a last character that is cut."""
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) > 3 and error.start >= len(head) - 3 and error.reason == "unexpected end of data"
    return True


def look(
    read: Callable[[int, int], bytes], size: int, kind: str | None, declared: str | None, name: str, ending: str = "",
    too_large: type[LLMSpellError] = ValidationError,
) -> Looked:  # fmt: skip
    """What *read* gives windows of: a function of (offset, length). size: bytes of all of it.

    kind: what it must be, None for whatever it is. declared: see `declared_type`. name: what errors call it. ending: of
    a file's name. Raises ValidationError for what is broken, empty or too large, of no known kind, or of another than
    is said.
    """
    first = kind or (kind_of(declared) if declared else "video")
    check_size(size, first, name, too_large)  # before anything is read
    broken = ""
    try:
        facts = read_media(read, size)
    except ValueError as error:
        broken = one_line(str(error), 200)
        facts = {"mime_type": sniff(read(0, min(size, HEAD)))}
    found: str | None = facts.pop("mime_type", None)
    if found is not None and kind in ("audio", "video") and found.startswith(("audio/", "video/")):
        found = f"{kind}/{found.partition('/')[2]}"  # the same container holds either
    if declared is not None and (declared in _SURE if found is None else not agree(found, declared)):
        raise ValidationError(
            f"`{name}`: it is said to be {declared}, and its bytes are {found or 'not'}",
            hint="leave the format out: the bytes tell it",
        )
    if kind in FORMATS and found is not None and not found.startswith(f"{kind}/"):
        raise ValidationError(f"`{name}`: the bytes are {found}, and no {kind}")
    mime_type = declared or found
    if mime_type is None:
        if kind in FORMATS:
            formats = ", ".join(one.value for one in FORMATS[kind])
            raise ValidationError(
                f"`{name}`: the bytes are no {kind} that is known", hint=f"{formats} are; say which it is, if it is one"
            )
        words = is_text(read(0, min(size, HEAD)))
        mime_type = _TEXTS.get(ending.lower(), "text/plain") if words else "application/octet-stream"
    kind = kind_of(mime_type)
    if broken and kind != "file":
        raise ValidationError(f"`{name}`: the {kind} is broken: {broken}")
    check_size(size, kind, name, too_large)
    return Looked(kind, mime_type, facts if kind != "file" else {})
