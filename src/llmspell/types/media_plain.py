"""MediaContent as plain values, and out of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line
from llmspell.types.media_content import MediaContent
from llmspell.types.media_files import refer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["content_of", "told_of"]

_KINDS = ("text", "image", "audio", "video", "file", "binary")
_SOURCES = ("text", "data", "base64", "path", "url")


def told_of(content: MediaContent) -> dict[str, Any]:
    """See `MediaContent.to_dict`."""
    told: dict[str, Any] = {"type": content.kind, "mime_type": content.mime_type}
    if content.kind == "text":
        told["text"] = content.to_text()
    elif content.reference is not None:
        told |= {"path": content.reference.path, "stamp": content.reference.stamp}
    elif content.url is not None:
        told["url"] = content.url
    else:
        told["data"] = content.to_bytes()
    more = {"size": content.size, "filename": content.filename, "detail": content.detail}
    told |= {name: value for name, value in more.items() if value is not None}
    if (named := content.format) is not None:
        told["format"] = named.value
    if content.metadata is not None:
        facts = content.metadata._asdict().items()
        told["metadata"] = {name: value for name, value in facts if value is not None and name != "size"}
    return told


def content_of(told: Mapping[str, Any], *, files: bool = False) -> MediaContent:
    """See `MediaContent.from_dict`."""
    if not isinstance(told, dict):
        raise ValidationError(f"a medium is a table, not a {type(told).__name__}")
    kind = _text(told, "type")
    if kind is not None and kind not in _KINDS:
        raise ValidationError(f"`type` of a medium must be one of {', '.join(_KINDS[:5])}, not `{one_line(kind, 40)}`")
    sources = [name for name in _SOURCES if told.get(name) is not None]
    if len(sources) != 1:
        came = " and ".join(sources) or "none of them"
        raise ValidationError(f"a medium has one of {', '.join(_SOURCES)}, and this one has {came}")
    mime_type, filename, detail = (_text(told, name) for name in ("mime_type", "filename", "detail"))
    made = _made(told, sources[0], mime_type, filename, detail, files)
    wanted = "file" if kind == "binary" else kind
    if wanted not in (None, "file", made.kind) or (wanted == "file" and made.kind == "text"):
        raise ValidationError(f"a medium is said to be of type {wanted}, and it is {made.kind}")
    return made


def _made(
    told: Mapping[str, Any], source: str, mime_type: str | None, filename: str | None, detail: str | None, files: bool
) -> MediaContent:
    if source == "data":
        data = told["data"]
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ValidationError(
                f"`data` of a medium must be bytes, not a {type(data).__name__}", hint="base64 goes into `base64`"
            )
        return MediaContent.from_bytes(bytes(data), mime_type, filename=filename, detail=detail)
    value = _text(told, source) or ""
    if source == "text":
        return MediaContent.text(value, mime_type=mime_type or "text/plain", filename=filename)
    if source == "base64":
        return MediaContent.from_base64(value, mime_type, filename=filename, detail=detail)
    if source == "url":
        if mime_type is None:
            raise ValidationError("a medium that is an address has no `mime_type`", hint="say what is there: image/png")
        return MediaContent.from_url(value, mime_type, detail=detail)
    if not files:
        raise ValidationError(
            "a medium names a file of this machine, which was not allowed",
            hint="say `files=True` for values that this program made itself",
        )
    known = refer(value)
    stamp, size = _text(told, "stamp"), told.get("size")
    if (stamp is not None and stamp != known.stamp) or (size is not None and size != known.size):
        raise ValidationError(
            f"`{known.shown}` has changed since it was looked at", hint="refer to the file again, as it is now"
        )
    made = MediaContent.from_path(value, mime_type, detail=detail)
    if made.reference != known:
        raise ValidationError(f"`{known.shown}` changed while it was looked at")
    return made


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    if value is not None and not isinstance(value, str):
        raise ValidationError(f"`{name}` of a medium must be a text, not a {type(value).__name__}")
    return value
