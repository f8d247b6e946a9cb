"""Host calls behind `Media`: what bytes and files are. A file's bytes are read when they are wanted, and not before."""

from __future__ import annotations

import binascii
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell._speedups import read_media
from llmspell.errors import LimitError, NotFoundError, ValidationError, one_line
from llmspell.types.media import LARGEST_CALL
from llmspell.types.media_formats import FORMATS, format_of, metadata_of
from llmspell.types.media_look import Looked, declared_type, kind_of, look
from llmspell.utils import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run
    from llmspell.utils.places import Place

LARGEST_READ = LARGEST_CALL  # bytes of a file that are ever read into memory
MOST_FILES = 10_000  # of one run


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


def _told(read: Callable[[int, int], bytes], size: int, kind: str | None, declared: Any, name: str) -> dict[str, Any]:
    """What a script sees of a medium. kind: what it must be, None for whatever it is. Raises ValidationError, and
    LimitError for one that is too large."""
    kind = kind if kind in FORMATS else None
    return _fields(look(read, size, kind, declared_type(declared, kind, name), name, too_large=LimitError), size)


def _fields(seen: Looked, size: int) -> dict[str, Any]:
    named = format_of(seen.mime_type)
    metadata = metadata_of(seen.kind, seen.facts, None)
    facts = {} if metadata is None else {k: v for k, v in metadata._asdict().items() if v is not None}
    return {
        "type": seen.kind,
        "format": named.value if named is not None else seen.mime_type.partition("/")[2],
        "mime_type": seen.mime_type,
        "size": size,
        "metadata": facts,
    }


def _window(raw: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: raw[offset : offset + length]


def _of_bytes(run: Run, name: str, kind: str, data: Any, declared: Any) -> dict[str, Any]:
    """What the bytes are that a script has."""
    raw = _raw(data, name)
    return _told(_window(raw), len(raw), kind, declared, name)


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
    return {**_told(_window(raw), len(raw), None, declared, name), "data": raw}


def _of_output(run: Run, data: Any, mime_type: str) -> dict[str, Any]:
    """What a model made; whatever it is, it is taken."""
    raw = _raw(data, "Media")
    try:
        facts = read_media(_window(raw), len(raw))
    except ValueError:
        facts = {}
    return _fields(Looked(kind_of(mime_type), mime_type, facts), len(raw))


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
    told = await asyncio.to_thread(_look, place, declared, name)
    number = len(run.media) + 1
    run.media[number] = FileMedia(place, told["size"], told["mime_type"])
    return {**told, "filename": places.text_of(os.path.basename(place.path)), "file": number}


def _look(place: Place, declared: Any, name: str) -> dict[str, Any]:
    number = places.open_file(place)
    with open(number, "rb", buffering=0) as file:

        def read(offset: int, length: int) -> bytes:
            try:
                file.seek(offset)
                return file.read(length) or b""
            except OSError as error:
                raise ValidationError(f"`{name}`: it cannot be read: {one_line(str(error), 120)}") from None

        return _told(read, os.fstat(number).st_size, None, declared, name)


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
