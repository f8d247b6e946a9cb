"""Host calls behind `Media`: what bytes and files are. A file's bytes are read when they are wanted, and not before."""

from __future__ import annotations

import binascii
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell._speedups import media_facts
from llmspell.errors import LimitError, NotFoundError, ValidationError, one_line
from llmspell.types.media import LARGEST_CALL, LIMITS, agree, sniff
from llmspell.utils import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run
    from llmspell.utils.places import Place

HEAD = 65536  # bytes that are looked at
LARGEST_READ = LARGEST_CALL  # bytes of a file that are ever read into memory
MOST_FILES = 10_000  # of one run
#: What a format is called, where its name is not the MIME type's second half.
FORMATS = {
    "jpg": "jpeg", "mp3": "mpeg", "m4a": "mp4", "mov": "quicktime", "mkv": "x-matroska", "avi": "x-msvideo",
    "tif": "tiff", "wave": "wav", "x-wav": "wav", "svg": "svg+xml",
}  # fmt: skip
#: What always begins as it is known to.
SURE = ("image/png", "image/jpeg", "image/gif", "image/webp")
SHORT = {"mpeg": "mp3", "quicktime": "mov", "x-matroska": "mkv", "x-msvideo": "avi", "svg+xml": "svg"}


class FileMedia(NamedTuple):
    """A medium in a file that may be read. size: bytes, when it was looked at."""

    place: Place
    size: int
    mime_type: str


def _raw(data: Any, name: str) -> bytes:
    if isinstance(data, str):
        return data.encode()
    if not isinstance(data, bytes):
        raise ValidationError(f"`{name}` takes the bytes first")
    return data


def _kind(mime_type: str) -> str:
    major = mime_type.partition("/")[0]
    return major if major in ("image", "audio", "video") else "file"


def _check_size(size: int, kind: str, name: str) -> None:
    if not size:
        raise ValidationError(f"`{name}`: it is empty")
    if size > LIMITS[kind]:
        raise LimitError(
            f"`{name}`: it has {size} bytes; of {kind} at most {LIMITS[kind]} are taken",
            hint="make it smaller, or give the service its address",
        )


def _declared(declared: Any, kind: str, name: str) -> str | None:
    """A format or MIME type that was said, as a MIME type."""
    if declared is None:
        return None
    text = declared.strip().lower() if isinstance(declared, str) else ""
    major, slash, minor = text.partition("/")
    if not slash:
        major, minor = kind, text.removeprefix(".")
    if not minor or len(text) > 100 or not all(c.isascii() and (c.isalnum() or c in "+-.") for c in major + minor):
        raise ValidationError(f"`{name}`: the format must be like `png` or `image/png`")
    if kind in ("image", "audio", "video") and major != kind:
        raise ValidationError(f"`{name}`: `{one_line(text, 60)}` is no {kind}'s format")
    return f"{major}/{FORMATS.get(minor, minor)}"


def _told(head: bytes, size: int, kind: str | None, declared: str | None, name: str) -> dict[str, Any]:
    """What a script sees of a medium. kind: what it must be, None for whatever it is. Raises ValidationError."""
    found = sniff(head)
    if found is not None and kind in ("audio", "video") and found.startswith(("audio/", "video/")):
        found = f"{kind}/{found.partition('/')[2]}"  # the same container holds either
    if declared is not None and (declared in SURE if found is None else not agree(found, declared)):
        raise ValidationError(
            f"`{name}`: it is said to be {declared}, and its bytes are {found or 'not'}",
            hint="leave the format out: the bytes tell it",
        )
    if kind in ("image", "audio", "video") and found is not None and not found.startswith(f"{kind}/"):
        raise ValidationError(f"`{name}`: the bytes are {found}, and no {kind}")
    mime_type = declared or found
    if mime_type is None:
        if kind is not None and kind != "file":
            raise ValidationError(
                f"`{name}`: the bytes are no {kind} that is known", hint='say its format: `"png"`, if it is one'
            )
        mime_type = "text/plain" if _is_text(head) else "application/octet-stream"
    kind = _kind(mime_type)
    _check_size(size, kind, name)
    try:
        metadata = media_facts(head, found) if found is not None else {}
    except ValueError as error:
        raise ValidationError(f"`{name}`: the {kind} is broken: {error}") from None
    minor = mime_type.partition("/")[2]
    format_ = SHORT.get(minor, minor)
    return {"type": kind, "format": format_, "mime_type": mime_type, "size": size, "metadata": metadata}


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(data) - 3 > 0 and b"\0" not in data
    return b"\0" not in data


def _of_bytes(run: Run, name: str, kind: str, data: Any, declared: Any) -> dict[str, Any]:
    """What the bytes are that a script has."""
    raw = _raw(data, name)
    _check_size(len(raw), kind, name)
    told = _told(raw[:HEAD], len(raw), kind, _declared(declared, kind, name), name)
    return told


def _of_base64(run: Run, text: Any, declared: Any) -> dict[str, Any]:
    name = "Media.from_base64"
    if not isinstance(text, str):
        raise ValidationError(f"`{name}` takes a string first")
    if len(text) > LARGEST_READ:
        raise LimitError(f"`{name}`: the text is too long")
    try:
        raw = binascii.a2b_base64("".join(text.split()).encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeError):
        raise ValidationError(f"`{name}`: that is not base64") from None
    told = _told(raw[:HEAD], len(raw), None, _declared(declared, "application", name), name)
    return {**told, "data": raw}


def _of_output(run: Run, data: Any, mime_type: str) -> dict[str, Any]:
    """What a model made; whatever it is, it is taken."""
    raw = _raw(data, "Media")
    found = sniff(raw[:HEAD]) or mime_type
    try:
        metadata = media_facts(raw[:HEAD], found)
    except ValueError:
        metadata = {}
    minor = mime_type.partition("/")[2]
    told = {"type": _kind(mime_type), "format": SHORT.get(minor, minor), "mime_type": mime_type}
    return {**told, "size": len(raw), "metadata": metadata}


async def _of_file(run: Run, path: Any, declared: Any) -> dict[str, Any]:
    """What a file is; its size is looked at first, and of its bytes the head alone."""
    import asyncio

    name = "Media.from_file"
    text = os.fsdecode(path) if isinstance(path, bytes) else path
    if not isinstance(text, str) or not text:
        raise ValidationError(f"`{name}` takes a path first")
    if len(run.media) >= MOST_FILES:
        raise LimitError(f"the script has more than {MOST_FILES} media of files")
    place = await run.permissions.place("read", text, by=name)
    told = await asyncio.to_thread(_look, place, _declared(declared, "application", name), name)
    number = len(run.media) + 1
    run.media[number] = FileMedia(place, told["size"], told["mime_type"])
    return {**told, "filename": places.text_of(os.path.basename(place.path)), "file": number}


def _look(place: Place, declared: str | None, name: str) -> dict[str, Any]:
    number = places.open_file(place)
    with open(number, "rb") as file:
        size = os.fstat(number).st_size
        if size > max(LIMITS.values()):
            raise LimitError(f"`{name}`: it has {size} bytes, more than {max(LIMITS.values())}")
        return _told(file.read(HEAD), size, None, declared, name)


class Reader:
    """Gives the bytes of media of files to one call, each file's once.

    most: tells how many bytes one of them may have. Raises LimitError before those are read that would be too many in
    all: a medium takes no room of Lua's, however often it is named.
    """

    def __init__(self, run: Run, most: Callable[[], int | None] = lambda: None) -> None:
        self._run, self._most = run, most
        self._left = LARGEST_CALL
        self._known: dict[int, bytes] = {}

    def __call__(self, number: int) -> bytes:
        one = self._run.media.get(number)
        if one is not None and one.size > self._left and one.size <= LARGEST_READ:
            raise LimitError(f"the files of one call have more than {LARGEST_CALL} bytes", hint="send fewer at once")
        if number not in self._known:
            self._known[number] = read_file(self._run, number, self._most())
        data = self._known[number]
        self._left -= len(data)
        return data


def read_file(run: Run, number: Any, most: int | None = None) -> bytes:
    """The bytes of a medium of a file. Raises LimitError before they are read where there are more than *most*."""
    one = run.media.get(number) if isinstance(number, int) else None
    if one is None:
        raise NotFoundError("the medium's file is no longer known")
    return places.read(one.place, largest=LARGEST_READ if most is None else min(most, LARGEST_READ))


async def _bytes(run: Run, number: Any) -> bytes:
    import asyncio

    return await asyncio.to_thread(read_file, run, number)


async def _save(run: Run, path: Any, source: Any) -> None:
    """Writes the bytes, or those of the file of that number, under the permission `write`."""
    import asyncio

    text = os.fsdecode(path) if isinstance(path, bytes) else path
    if not isinstance(text, str) or not text:
        raise ValidationError("`media:save` takes a path")
    place = await run.permissions.place("write", text, by="media:save")

    def work() -> None:
        data = read_file(run, source) if isinstance(source, int) else _raw(source, "media:save")
        places.write(place, data)

    await asyncio.to_thread(work)


ASKS: dict[str, Callable[..., Any]] = {
    "Media.of_bytes": _of_bytes,
    "Media.from_base64": _of_base64,
    "Media.of_output": _of_output,
}
CALLS: dict[str, Callable[..., Any]] = {"Media.from_file": _of_file, "media:bytes": _bytes, "media:save": _save}
