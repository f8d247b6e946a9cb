"""Media that stay in their files: where one is, what it was when it was looked at, and windows of it.

A file is opened anew each time, since a program may hold many references. What is opened must still be what was looked
at: the same file of the same size, not written to since, as the system's clock of writes can tell.
"""

from __future__ import annotations

import io
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from llmspell.errors import LLMSpellError, NotFoundError, PermissionDeniedError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "PIECE",
    "FileReference",
    "open_reference",
    "path_of",
    "read_open",
    "read_whole",
    "refer",
    "save",
    "window",
    "windows",
    "write_all",
]

PIECE = 1 << 20  # bytes that are read and written at once
#: A pipe must not wait for its other end, nor a terminal become this process's own.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_FLAGS |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class FileReference(NamedTuple):
    """A file. path: absolute. size: bytes. stamp: which file it was, and when it was last written to."""

    path: str
    size: int
    stamp: str

    @property
    def shown(self) -> str:
        """The path for a message."""
        return one_line(self.path, 200)


def _stamp(found: os.stat_result) -> str:
    # Without the device: it may be numbered anew when a file system is mounted again.
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"


@contextmanager
def telling(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """The system's errors in llmspell's words, with the file's name."""
    try:
        yield
    except OSError as error:
        shown = one_line(os.fsdecode(path), 200)
        why = (error.strerror or str(error)).lower()
        kind: type[LLMSpellError] = ValidationError
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            kind = NotFoundError
        elif isinstance(error, PermissionError):
            kind = PermissionDeniedError
        raise kind(f"cannot {doing} `{shown}`: {why}", cause=error) from None


def path_of(given: str | bytes | os.PathLike[str]) -> str:
    """*given* as a text. Raises ValidationError for what is no path."""
    if not isinstance(given, str | bytes | os.PathLike):
        raise ValidationError(f"a path is a text or a Path, not a {type(given).__name__}")
    name = os.fsdecode(given)
    if not name or "\0" in name:
        raise ValidationError(f"`{one_line(name, 200)}` is no path")
    return name


def _open(path: str) -> tuple[io.FileIO, os.stat_result]:
    """A regular file, open, and what it is. Raises OSError, ValidationError for what is none."""
    number = os.open(path, _FLAGS)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a plain file"
            raise ValidationError(f"cannot read `{one_line(path, 200)}`: it is {what}")
        return io.FileIO(number), found
    except BaseException:
        os.close(number)
        raise


def refer(path: str | os.PathLike[str]) -> FileReference:
    """The file at *path* as it is now; links are followed. Nothing of it is read.

    Raises NotFoundError, PermissionDeniedError, ValidationError for what is no regular file.
    """
    with telling(path, "read"):
        absolute = os.path.abspath(path_of(path))
        file, found = _open(absolute)
        file.close()
    return FileReference(absolute, found.st_size, _stamp(found))


def _same(file: io.FileIO, known: FileReference) -> None:
    found = os.fstat(file.fileno())
    if found.st_size != known.size or _stamp(found) != known.stamp:
        now = "" if found.st_size == known.size else f": it had {known.size} bytes, and has {found.st_size}"
        raise ValidationError(
            f"`{known.shown}` has changed since it was looked at{now}", hint="refer to the file again, as it is now"
        )


def open_reference(known: FileReference) -> io.FileIO:
    """The file, open for reading, without a buffer; the caller closes it.

    Raises NotFoundError where it is gone, ValidationError where it is not what it was.
    """
    with telling(known.path, "read"):
        try:
            file, _ = _open(known.path)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"`{known.shown}` is gone: it was there when it was looked at",
                hint="refer to it where it is",
                cause=error,
            ) from None
        try:
            _same(file, known)
        except BaseException:
            file.close()
            raise
        return file


def _read(file: io.FileIO, known: FileReference, offset: int, length: int) -> bytes:
    """That much of it, and no less."""
    file.seek(offset)
    pieces, left = [], length
    while left:
        piece = file.read(left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    if left:
        raise ValidationError(f"`{known.shown}` ended at {offset + length - left} bytes; it had {known.size}")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@contextmanager
def window(known: FileReference) -> Iterator[Callable[[int, int], bytes]]:
    """A function of (offset, length) that gives the bytes there, fewer at the end alone; at the end of it all the file
    must still be what it was. Raises as `open_reference` does."""
    with open_reference(known) as file:

        def read(offset: int, length: int) -> bytes:
            with telling(known.path, "read"):
                return _read(file, known, offset, max(min(length, known.size - offset), 0))

        yield read
        _same(file, known)


def windows(known: FileReference, size: int = PIECE) -> Iterator[bytes]:
    """All of its bytes, *size* at a time. Raises as `open_reference` does, and after the last where the file was
    written to meanwhile."""
    with telling(known.path, "read"), open_reference(known) as file:
        for offset in range(0, known.size, size):
            yield _read(file, known, offset, min(size, known.size - offset))
        _same(file, known)


def read_whole(known: FileReference) -> bytes:
    """All of its bytes at once. Raises as `windows` does."""
    with telling(known.path, "read"), open_reference(known) as file:
        data = _read(file, known, 0, known.size)
        _same(file, known)
        return data


def read_open(file: BinaryIO, largest: int, name: str) -> bytes:
    """What is left of an open file, of which no more is read than *largest* bytes and one. Raises ValidationError."""
    most = largest + 1
    data = bytearray()  # and no list of pieces: there may be one a byte
    with telling(name, "read"):
        _check_left(file, largest, name)
        while len(data) < most:
            piece: Any = file.read(min(PIECE, most - len(data)))
            if not isinstance(piece, bytes | bytearray | memoryview):
                what = "nothing to read now" if piece is None else f"a {type(piece).__name__} to read, and no bytes"
                raise ValidationError(f"`{name}`: the file gave {what}", hint='open it with "rb"')
            if not piece:
                return bytes(data)
            data += piece
    raise ValidationError(f"`{name}` has more than {largest} bytes", hint="refer to it by its path")


def _check_left(file: BinaryIO, largest: int, name: str) -> None:
    """Raises ValidationError where the file tells that it has too much."""
    try:
        if not file.seekable():
            return
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (AttributeError, OSError, ValueError):  # it only reads: that tells too
        return
    if end - here > largest:
        raise ValidationError(f"`{name}` has {end - here} bytes, more than {largest}", hint="refer to it by its path")


def write_all(file: BinaryIO, data: bytes) -> int:
    """Writes it whole to a file that may take less at once, as one without a buffer does."""
    left = memoryview(data)
    while left:
        count = file.write(left)
        if not count:
            raise ValidationError("the file took nothing of what was written to it")
        left = left[count:]
    return len(data)


def save(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> None:
    """Writes them to *path* at once: whoever reads sees what was there before, or all of it.

    Raises PermissionDeniedError, NotFoundError where there is no such folder, ValidationError; what *pieces* raises
    passes, and then nothing is there but what was.
    """
    with telling(path, "write"):
        target = os.path.realpath(path_of(path))
        if os.path.exists(target) and not os.path.isfile(target):
            raise ValidationError(
                f"cannot write `{one_line(os.fsdecode(path), 200)}`: something else than a file is there"
            )
        beside = os.path.join(os.path.dirname(target), f".llmspell.{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        number = os.open(beside, flags, 0o666)
        try:
            with open(number, "wb") as file:
                with suppress(FileNotFoundError):
                    if hasattr(os, "fchmod"):
                        os.fchmod(number, os.stat(target).st_mode & 0o777)
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(number)
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
