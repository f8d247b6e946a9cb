"""Files of the host's own: paths, whole reads and writes, temporary files and locks, with errors that say which file.

What a script may reach is another matter: see `places`.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
import secrets
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmspell.errors import (
    CallTimeoutError,
    LLMSpellError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
    one_line,
)
from llmspell.utils.places import read_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "ensure_parent",
    "expand",
    "lock",
    "normalise",
    "put",
    "read_bytes",
    "read_text",
    "safe_join",
    "temporary_file",
    "temporary_folder",
    "write_atomic",
]

_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}")
_WINDOWS_VARIABLE = re.compile(r"%(\w+)%")
#: Names that are devices on Windows, with whatever ending.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{one}{n}" for one in ("com", "lpt") for n in range(1, 10))}


def _shown(path: str | os.PathLike[str]) -> str:
    return one_line(os.fspath(path), 200)


def _no_nul(path: str) -> str:
    if "\0" in path:
        raise ValidationError(f"a path has no NUL in it: `{_shown(path)}`")
    return path


# ---- paths


def normalise(path: str, platform: str | None = None) -> str:
    """*path* without `.`, `..` where they can be resolved, and doubled separators, as *platform* (`sys.platform`'s
    words; None: this one) writes it. No file is looked at. Raises ValidationError for an empty one."""
    if not path:
        raise ValidationError("a path must not be empty")
    module = ntpath if (platform or sys.platform).startswith("win") else posixpath
    told: str = module.normpath(_no_nul(path))
    return "/" + told.lstrip("/") if module is posixpath and told.startswith("//") else told


def expand(path: str, env: Mapping[str, str] | None = None) -> str:
    """*path* with `~` as the home folder and `$NAME`, `${NAME}` (on Windows `%NAME%`) out of *env*, the process's where
    none is given. Raises ValidationError for a variable that is not set: a path with a hole in it is another path."""
    known = os.environ if env is None else env

    def value(found: re.Match[str]) -> str:
        name = next(group for group in found.groups() if group)
        if name not in known:
            raise ValidationError(f"`{_shown(path)}` names the variable {name}, which is not set")
        return known[name]

    told = _VARIABLE.sub(value, _no_nul(path))
    if os.name == "nt":
        told = _WINDOWS_VARIABLE.sub(value, told)
    if told == "~" or told.startswith(("~/", "~\\")):
        home = known.get("HOME") or known.get("USERPROFILE") or os.path.expanduser("~")
        return home + told[1:]
    return os.path.expanduser(told)


def safe_join(root: str | os.PathLike[str], *parts: str) -> str:
    """*parts* below *root*, links followed. Raises PermissionDeniedError for what leads out of it: an absolute part,
    `..`, a drive, a link; ValidationError for what is no name of a file anywhere (NUL, a device of Windows).

    It is a look at one moment: where others may put links into *root* meanwhile, open through `places` instead.
    """
    base = os.path.realpath(os.fspath(root))
    names: list[str] = []
    for part in parts:
        plain = _no_nul(part).replace("\\", "/")
        if plain.startswith("/") or ntpath.splitdrive(part)[0]:
            raise _outside(part, base)
        names += [name for name in plain.split("/") if name not in ("", ".")]
    if ".." in names:
        raise _outside("/".join(parts), base)
    for name in names:
        if name.rstrip(" .").partition(".")[0].lower() in _DEVICES:
            raise ValidationError(f"`{_shown(name)}` is a device's name on Windows")
    told = os.path.realpath(os.path.join(base, *names))
    if told != base and not told.startswith(base.rstrip(os.sep) + os.sep):
        raise _outside("/".join(parts), base)
    return told


def _outside(part: str, base: str) -> PermissionDeniedError:
    return PermissionDeniedError(f"`{_shown(part)}` leads out of `{_shown(base)}`", hint="name something below it")


# ---- whole files


def _told(error: OSError, path: str | os.PathLike[str], doing: str) -> LLMSpellError:
    """An error of the system's, in words with the file's name."""
    what = f"cannot {doing} `{_shown(path)}`: {(error.strerror or str(error)).lower()}"
    if isinstance(error, FileNotFoundError):
        return NotFoundError(what, cause=error)
    if isinstance(error, PermissionError):
        return PermissionDeniedError(what, cause=error)
    return ValidationError(what, cause=error)


def read_bytes(path: str | os.PathLike[str], largest: int = 64 << 20) -> bytes:
    """A whole file of at most *largest* bytes. Raises NotFoundError, PermissionDeniedError, ValidationError."""
    try:
        with open(path, "rb") as file:
            data = read_most(file, largest + 1) or b""
    except (OSError, ValueError) as error:
        raise _told(error if isinstance(error, OSError) else OSError(str(error)), path, "read") from error
    if len(data) > largest:
        raise ValidationError(f"`{_shown(path)}` has more than {largest} bytes")
    return data


def read_text(path: str | os.PathLike[str], largest: int = 64 << 20) -> str:
    """The same of UTF-8, a mark of its order left out; ValidationError, with the place, for what is none."""
    data = read_bytes(path, largest)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"`{_shown(path)}` is not UTF-8: byte {error.start}, in line {line}"
        raise ValidationError(what, cause=error, line=line) from error


def ensure_parent(path: str | os.PathLike[str]) -> None:
    """Makes the folder that *path* is to stand in, and those above it."""
    folder = os.path.dirname(os.path.abspath(os.fspath(path)))
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise _told(error, folder, "make the folder") from error


def write_atomic(path: str | os.PathLike[str], data: bytes | str, *, mode: int | None = None) -> None:
    """Writes a whole file: whatever happens meanwhile, it is the old one or the new one, and on disk once this returns.

    Folders above it are made; a link is followed. mode: permissions of the file; None: those it had, else the
    process's usual ones. A process that is killed may leave a file `.NAME.….tmp` beside it.
    """
    target = os.path.realpath(os.fspath(path))
    ensure_parent(target)
    try:
        put(target, data.encode("utf-8") if isinstance(data, str) else data, mode=mode)
    except OSError as error:
        raise _told(error, path, "write") from error


def put(path: str, data: bytes, *, mode: int | None = None, replace: bool = True) -> None:
    """What `write_atomic` does, in a folder that is there, with the system's own errors: raises OSError.

    A link is replaced, and not followed. mode: as there. replace: whether what is there may go; else FileExistsError.
    """
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    kept = mode
    if kept is None:
        with suppress(FileNotFoundError):
            kept = os.stat(path).st_mode & 0o7777
    number = os.open(beside, flags, 0o666 if kept is None else kept & 0o600)
    try:
        with open(number, "wb") as file:
            if kept is not None and hasattr(os, "fchmod"):
                os.fchmod(number, kept)
            file.write(data)
            file.flush()
            os.fsync(number)
        if replace:
            os.replace(beside, path)
        else:
            _put_new(beside, path, data, flags, 0o666 if kept is None else kept)
    finally:
        with suppress(OSError):
            os.unlink(beside)  # it is no more where all went well
    _sync_folder(folder)


def _put_new(beside: str, path: str, data: bytes, flags: int, mode: int) -> None:
    """Gives the file beside its name, where nothing has it."""
    try:
        os.link(beside, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with open(os.open(path, flags, mode), "wb") as file:
            file.write(data)


def _sync_folder(folder: str) -> None:
    """The folder's entry is on disk too, where the system can do that."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(number)
    finally:
        os.close(number)


# ---- temporary files, and locks


@contextmanager
def temporary_file(suffix: str = "", folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """An empty file that only this user may read, gone afterwards: `tempfile`'s."""
    number, name = tempfile.mkstemp(suffix=suffix, prefix="llmspell-", dir=folder)
    os.close(number)
    try:
        yield Path(name)
    finally:
        with suppress(OSError):
            os.unlink(name)


@contextmanager
def temporary_folder(folder: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """The same of a folder and all that is in it then."""
    with tempfile.TemporaryDirectory(prefix="llmspell-", dir=folder, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def lock(path: str | os.PathLike[str], seconds: float = 10.0) -> Iterator[None]:
    """Holds the lock file *path*, made where it is not there, against other processes and other holders in this one.

    Waits at most *seconds* for it: CallTimeoutError. The system gives it back where its holder dies; the file stays.
    """
    ensure_parent(path)
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise _told(error, path, "lock") from error
    try:
        deadline, pause = time.monotonic() + seconds, 0.001
        while not _locked(number):
            if time.monotonic() >= deadline:
                what = f"`{_shown(path)}` was held by somebody else for {seconds:g} s"
                raise CallTimeoutError(what, hint="another process uses it; try again when it has ended")
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, 0.1)
        yield
    finally:
        os.close(number)  # which gives it back


def _locked(number: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
