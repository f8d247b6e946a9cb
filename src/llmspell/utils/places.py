"""Files below a folder that was granted: opened part by part from that folder, so that no link that is put there
meanwhile leads out of it.

A Place is what a permission gives: a real folder, and the way down from it. On systems without `openat` the whole path
is opened, after the same checks and without that protection.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from llmspell.errors import LimitError, LLMSpellError, NotFoundError, PermissionDeniedError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

__all__ = [
    "LARGEST_READ",
    "Entry",
    "Place",
    "append",
    "delete",
    "entries",
    "exists",
    "is_link",
    "is_of_processes",
    "open_file",
    "read",
    "read_most",
    "size",
    "text_of",
    "write",
]

LARGEST_READ = 64 * 1024 * 1024  # bytes of one file
MOST_ENTRIES = 100_000  # of one folder
_BENEATH = os.open in os.supports_dir_fd
_FOLLOW_NOT = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0) | _FOLLOW_NOT | getattr(os, "O_CLOEXEC", 0)
_FILE = _FOLLOW_NOT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_FILE |= getattr(os, "O_BINARY", 0)


class Place(NamedTuple):
    """Where a file is. root: a real folder; parts: the names below it; shown: the path as it was given."""

    root: str
    parts: tuple[str, ...]
    shown: str

    @property
    def path(self) -> str:
        """The whole path."""
        return os.path.join(self.root, *self.parts)


def text_of(name: str) -> str:
    """A file's name as a text: what of it is no UTF-8 is a replacement character each."""
    return os.fsencode(name).decode("utf-8", "replace")


def is_link(path: str) -> bool:
    """Whether a link is there, wherever it leads."""
    return "\0" not in path and os.path.islink(path)


def is_of_processes(path: str) -> bool:
    """Whether a real path is no file but a word of the kernel's on its processes, their variables and memory among it:
    that is granted by its name alone.
    """
    return path == "/proc" or path.startswith("/proc/")


class Entry(NamedTuple):
    """What a folder has. kind: file, folder, link or other; size: bytes of a file, else 0; modified: seconds since the
    epoch."""

    name: str
    kind: str
    size: int
    modified: float


def _told(error: OSError, place: Place, doing: str) -> LLMSpellError:
    """The error in words."""
    shown = one_line(place.shown, 200)
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and doing != "list":
        return NotFoundError(f"there is no file `{shown}`", hint="check the path", cause=error)
    if error.errno == errno.ENOENT:
        return NotFoundError(f"there is no folder `{shown}`", hint="check the path", cause=error)
    if error.errno in (errno.ELOOP, errno.EMLINK):
        return PermissionDeniedError(f"`{shown}` became a link while it was opened", cause=error)
    if error.errno == errno.EISDIR:
        return ValidationError(f"cannot {doing} `{shown}`: it is a folder", cause=error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionDeniedError(
            f"cannot {doing} `{shown}`: {_words(error)}", hint="the operating system refuses it", cause=error
        )
    return ValidationError(f"cannot {doing} `{shown}`: {_words(error)}", cause=error)


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@contextmanager
def _telling(place: Place, doing: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _told(error, place, doing) from None
    except ValueError as error:  # a NUL in the path
        raise ValidationError(f"`{one_line(place.shown, 200)}` is no path", cause=error) from None


@contextmanager
def _folder(place: Place, *, create: bool = False) -> Iterator[int]:
    """The folder that the last part is in, open; its parents are made with *create*."""
    if not _BENEATH:
        path = os.path.join(place.root, *place.parts[:-1])
        if create:
            os.makedirs(path, exist_ok=True)
        yield -1
        return
    number = os.open(place.root, _FOLDER & ~_FOLLOW_NOT)
    try:
        for part in place.parts[:-1]:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=number)
            below = os.open(part, _FOLDER, dir_fd=number)
            os.close(number)
            number = below
        yield number
    finally:
        os.close(number)


def _at(number: int, place: Place) -> tuple[str, int | None]:
    """The last part as calls of `os` take it, and the folder's number."""
    name = place.parts[-1] if place.parts else "."
    return (name, number) if number >= 0 else (place.path, None)


def open_file(place: Place, *, largest: int | None = None) -> int:
    """A regular file, open for reading: its number, for the caller to close.

    Raises NotFoundError, PermissionDeniedError, ValidationError for what is no regular file, LimitError where it has
    more than *largest* bytes: nothing was read of it then.
    """
    with _telling(place, "read"):
        with _folder(place) as folder:
            name, at = _at(folder, place)
            number = os.open(name, os.O_RDONLY | _FILE, dir_fd=at)
        try:
            _regular(os.fstat(number), place, "read", largest)
        except BaseException:
            os.close(number)
            raise
        return number


def _regular(found: os.stat_result, place: Place, doing: str, largest: int | None) -> None:
    shown = one_line(place.shown, 200)
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a plain file"
        raise ValidationError(f"cannot {doing} `{shown}`: it is {what}")
    if largest is not None and found.st_size > largest:
        raise LimitError(
            f"`{shown}` has {found.st_size} bytes, more than the {largest} that are read at once",
            hint="read it in pieces, or by lines",
        )


def read(place: Place, *, largest: int = LARGEST_READ) -> bytes:
    """A file's bytes. Raises as `open_file` does."""
    number = open_file(place, largest=largest)
    with _telling(place, "read"), open(number, "rb") as file:
        data = read_most(file, largest + 1)
        if data is None:  # one of the kernel's, which would wait for something to be told
            raise BlockingIOError(errno.EAGAIN, "it has nothing to read now")
    if len(data) > largest:  # it has grown, or does not know its size
        raise LimitError(f"`{one_line(place.shown, 200)}` has more than {largest} bytes", hint="read it in pieces")
    return data


def read_most(file: BufferedReader, most: int) -> bytes | None:
    """What *file* has, at most *most* bytes; None where it has nothing to read now and would wait.

    Python takes memory for all that is asked for, and gives back what was too much: a file is asked for as much as it
    says it has, and one byte that tells whether it has grown since, or does not know.
    """
    told = os.fstat(file.fileno()).st_size
    data: bytes | None = file.read(min(told + 1, most))
    if data and told < len(data) < most:
        data += file.read(most - len(data)) or b""
    return data


def write(place: Place, data: bytes, *, parents: bool = True) -> None:
    """Puts *data* in the file's place at once: whoever reads sees what was there before, or all of it.

    parents: makes the folders above it. Raises ValidationError where something else than a file is there.
    """
    with _telling(place, "write"), _folder(place, create=parents) as folder:
        name, at = _at(folder, place)
        before = _found(name, at, place)
        beside = os.path.join(os.path.dirname(name), f".llmspell.{secrets.token_hex(8)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE
        number = os.open(beside, flags, 0o666 if before is None else 0o600, dir_fd=at)
        try:
            with open(number, "wb") as file:
                if before is not None:
                    _made_alike(number, before)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, name, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside, dir_fd=at)
            raise


def _made_alike(number: int, before: os.stat_result) -> None:
    """Gives a new file the owner, as far as the system lets it, and the mode of the one whose place it takes."""
    if hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(number, before.st_uid, before.st_gid)
    if hasattr(os, "fchmod"):  # `open` takes from a mode what umask says
        with suppress(OSError):  # not every file system has modes
            os.fchmod(number, before.st_mode & 0o777)


def _found(name: str, at: int | None, place: Place) -> os.stat_result | None:
    """The file that is there, None where none is. Raises ValidationError for another thing, PermissionError for a
    file that may not be written: its folder would let another be put in its place.
    """
    try:
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _regular(found, place, "write", None)
    if not os.access(name, os.W_OK, dir_fd=at):
        raise PermissionError(errno.EACCES, "it is read-only")
    return found


def append(place: Place, data: bytes, *, parents: bool = True) -> None:
    """Adds *data* at the file's end; it is made where there is none."""
    with _telling(place, "append to"), _folder(place, create=parents) as folder:
        name, at = _at(folder, place)
        number = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FILE, 0o666, dir_fd=at)
        with open(number, "ab") as file:
            _regular(os.fstat(number), place, "append to", None)
            file.write(data)


def size(place: Place) -> int | None:
    """Of a regular file; None of anything else, or of nothing."""
    with _telling(place, "read"):
        found = _stat(place)
        return found.st_size if found is not None and stat.S_ISREG(found.st_mode) else None


def exists(place: Place) -> bool:
    """Whether a file or a folder is there."""
    with _telling(place, "read"):
        return _stat(place) is not None


def _stat(place: Place) -> os.stat_result | None:
    try:
        with _folder(place) as folder:
            name, at = _at(folder, place)
            return os.stat(name, dir_fd=at, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def entries(place: Place, *, most: int = MOST_ENTRIES) -> list[Entry]:
    """What a folder has, by name. Raises LimitError for more than *most*."""
    with _telling(place, "list"), _folder(place) as folder:
        name, at = _at(folder, place)
        number = os.open(name, os.O_RDONLY | _FOLDER, dir_fd=at) if at is not None else None
        try:
            with os.scandir(number if number is not None else name) as found:
                told = []
                for one in found:
                    told.append(_entry(one))
                    if len(told) > most:
                        raise LimitError(f"`{one_line(place.shown, 200)}` has more than {most} entries")
        finally:
            if number is not None:
                os.close(number)
    return sorted(told)


def _entry(one: os.DirEntry[str]) -> Entry:
    try:
        found = one.stat(follow_symlinks=False)
    except OSError:  # it has gone
        return Entry(one.name, "other", 0, 0.0)
    kinds = ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link"))
    kind = next((word for test, word in kinds if test(found.st_mode)), "other")
    return Entry(one.name, kind, found.st_size if kind == "file" else 0, found.st_mtime)


def delete(place: Place) -> None:
    """Removes a file, a link itself, or an empty folder."""
    with _telling(place, "delete"), _folder(place) as folder:
        name, at = _at(folder, place)
        if not place.parts:
            raise ValidationError(f"`{one_line(place.shown, 200)}` is what was granted, and stays")
        found = os.stat(name, dir_fd=at, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=at)
        else:
            os.unlink(name, dir_fd=at)
