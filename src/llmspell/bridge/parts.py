"""The parts of what a script says to a model: texts, images, sound, video and files."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from llmspell.bridge.api import PART, check
from llmspell.errors import LimitError, ValidationError, one_line
from llmspell.types.media import Media, agree, sniff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.types.media import Part

__all__ = ["media_of", "part_of"]

KINDS = ("image", "audio", "video", "file")
SOURCES = ("data", "base64", "url")  # and a `Media` of a file, which is read before
#: What an address's ending tells of what is there.
ENDINGS = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "pdf": "application/pdf",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
}


def part_of(given: Any, function: str, where: str, read: Callable[[int], bytes] | None = None) -> Part:
    """A part of a message's content. Raises ValidationError naming *function*, the place and what is wrong."""
    if isinstance(given, str):
        return given
    if isinstance(given, dict) and given.get("type", "text" if "text" in given else "") == "text":
        text = check(function, PART, given, where).get("text")
        if isinstance(text, str):
            return text
        raise ValidationError(
            f"`{function}`: `{where}.text` must be a text in UTF-8", hint='a part is `{ type = "text", text = "…" }`'
        )
    return media_of(given, function, where, read)


def media_of(given: Any, function: str, where: str, read: Callable[[int], bytes] | None = None) -> Media:
    """A part that is no text. read: gives the bytes of a `Media` of a file, by its number. Raises as `part_of` does."""
    fields = check(function, PART, given, where)
    kind = fields.get("type")
    if kind is not None and kind not in KINDS:
        raise ValidationError(
            f"`{function}`: `{where}.type` must be one of text, {', '.join(KINDS)}, not `{one_line(kind, 40)}`"
        )
    sources = [name for name in (*SOURCES, "file") if name in fields]
    if len(sources) != 1:
        came = f"has {' and '.join(sources)}" if sources else "has none of them"
        raise ValidationError(
            f"`{function}`: `{where}` needs one of {', '.join(SOURCES)}, and {came}",
            hint='a part is `{ type = "image", data = bytes }`, or `{ type = "image", url = "https://…" }`',
        )
    declared = _declared(fields, kind, function, where)
    url = fields.get("url")
    data: bytes | None = None
    if url is not None and url[:5].lower() == "data:":
        told, data = _data_url(url, function, where)
        declared, url = declared or _declared({"mime_type": told or None}, kind, function, where), None
    elif url is not None:
        _check_url(url, function, where)
    elif "file" in fields:
        data = _of_file(fields["file"], function, where, read)
    elif "base64" in fields:
        data = _decoded(fields["base64"], function, f"{where}.base64")
    else:
        data = _bytes(fields["data"])
    mime_type = _mime_type(data, url, declared, kind, fields.get("filename"), function, where)
    return Media(mime_type, data, url, fields.get("filename"), fields.get("detail"))


def _of_file(number: int, function: str, where: str, read: Callable[[int], bytes] | None) -> bytes:
    if read is None:
        raise ValidationError(f"`{function}`: `{where}` is a medium of a file, which has no place here")
    try:
        return read(number)
    except LimitError as error:
        raise ValidationError(f"`{function}`: `{where}`: {error.message}", hint=error.hint, cause=error) from None


def _bytes(value: str | bytes) -> bytes:
    """A byte string of Lua's: one that happens to be UTF-8 comes as a text."""
    return value.encode() if isinstance(value, str) else value


def _decoded(value: str, function: str, where: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(value.split()).encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeError):
        raise ValidationError(
            f"`{function}`: `{where}` is not base64", hint="bytes go into `data` as they are"
        ) from None


def _data_url(url: str, function: str, where: str) -> tuple[str, bytes]:
    """What the address says that it has, and that."""
    head, comma, body = url[5:].partition(",")
    mime_type, *more = head.split(";")
    if not comma:
        raise ValidationError(f"`{function}`: `{where}.url` is a data URL without data")
    data = _decoded(body, function, f"{where}.url") if "base64" in more else unquote_to_bytes(body)
    return mime_type, data


def _check_url(url: str, function: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and not parts.username and url.isprintable()
    except ValueError:
        good = False
    if not good or " " in url:
        raise ValidationError(
            f"`{function}`: `{where}.url` must be an address that begins with https://",
            hint="the service fetches it itself; bytes go into `data`",
        )


def _declared(fields: Mapping[str, Any], kind: str | None, function: str, where: str) -> str | None:
    declared: str | None = fields.get("mime_type", fields.get("media_type"))
    if declared is None:
        return None
    declared = declared.strip().lower()
    major, slash, minor = declared.partition("/")
    plain = declared.isascii() and all(c.isalnum() or c in "+-._;=" for c in minor)
    if not (slash and major.isalnum() and minor and plain) or len(declared) > 100:
        raise ValidationError(
            f"`{function}`: `{where}.mime_type` must be like image/png, not `{one_line(declared, 60)}`"
        )
    if kind not in (None, "file", major):
        raise ValidationError(
            f"`{function}`: `{where}` is of type {kind}, and its mime_type is `{one_line(declared, 60)}`"
        )
    return "image/jpeg" if declared == "image/jpg" else declared


def _mime_type(
    data: bytes | None,
    url: str | None,
    declared: str | None,
    kind: str | None,
    filename: str | None,
    function: str,
    where: str,
) -> str:
    """What it is: as was said, else as its bytes, its name or its address say."""
    found = sniff(data) if data is not None else None
    if declared is not None:
        words = data is not None and declared.startswith("text/") and _is_text(data)
        if found is not None and not words and not agree(found, declared):
            raise ValidationError(
                f"`{function}`: `{where}` is said to be {one_line(declared, 60)}, and its bytes are {found}",
                hint="leave `mime_type` out: the bytes tell it",
            )
        return declared
    if found == "image/svg+xml" and kind != "image":  # services read it as text, and take it for no picture
        found = None
    if found is None:
        path = filename or (urlsplit(url).path if url is not None else "")
        found = ENDINGS.get(path.rpartition(".")[2].lower())
    if found is not None and kind in ("audio", "video"):  # the same container holds either
        found = f"{kind}/{found.partition('/')[2]}" if found.startswith(("audio/", "video/")) else None
    if found is not None and kind == "image" and not found.startswith("image/"):
        found = None
    if found is None and url is not None:
        return f"{kind}/*" if kind in ("image", "audio", "video") else "application/octet-stream"
    if found is None and data is not None and kind in (None, "file") and _is_text(data):
        return "text/plain"
    if found is None:
        raise ValidationError(
            f"`{function}`: the bytes of `{where}` do not tell what they are", hint='say it: `mime_type = "image/png"`'
        )
    return found


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in data
