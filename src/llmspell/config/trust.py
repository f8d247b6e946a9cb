"""Projects' files that their user trusts: each by its path and its content, in a file of its own.

What a trusted file says holds as if the user had said it, so that it may raise limits and grant. So it must be the very
file that the user looked at: its hash is taken of the bytes that are parsed, and what others may write is not trusted,
neither a project's file nor an entry here. A link is not: what is beside the file would be another's. Loaded where a
project's file asks for more than it may.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from llmspell.config import discovery
from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.config.files import File

__all__ = ["Entry", "State", "add", "entries", "folder_of", "key_of", "remove", "state_of"]

_MOST = 64 * 1024  # bytes of an entry
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class State(NamedTuple):
    """Whether a file is trusted. why: after "it", why it is not though the user has said so; None where nobody has."""

    trusted: bool
    why: str | None = None


class Entry(NamedTuple):
    """One that was trusted. path: of the project's file; digest: of its content; when: in UTC."""

    path: str
    digest: str
    when: str


def folder_of(env: Mapping[str, str]) -> str:
    """Where the entries are."""
    return os.path.join(discovery.data_folder(env), "trusted")


def key_of(path: str) -> str:
    """A project's file by its real folder and its own name: a link to it has another's neighbours."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def state_of(file: File, env: Mapping[str, str]) -> State:
    """Whether *file*, as it was read, is trusted."""
    key = os.path.join(file.folder, os.path.basename(file.path))
    place = _place(key, env)
    if not os.path.lexists(place):
        return State(False)
    entry = _read(place)
    if entry is None or entry.path != key:
        return State(False, "was trusted in a place that others may write: " + one_line(place, 200))
    if entry.digest != sha256(file.data).hexdigest():
        return State(False, "has changed since it was trusted")
    why = _exposed(file)
    return State(why is None, why)


def add(file: File, env: Mapping[str, str]) -> None:
    """Trusts *file* as it was read. ConfigError where it cannot be trusted, or that cannot be kept."""
    why = _exposed(file)
    if why is not None:
        raise ConfigError(f"{file.name} cannot be trusted: it {why}", hint=_MEND.get(why, "put it elsewhere"))
    from datetime import UTC, datetime

    key = os.path.join(file.folder, os.path.basename(file.path))
    told = {
        "path": key,
        "sha256": sha256(file.data).hexdigest(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    place = _place(key, env)
    folder = os.path.dirname(place)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if not _is_own(os.lstat(folder), stat.S_ISDIR):
            raise ConfigError(
                f"{one_line(folder)} may be written by others",
                hint="`chmod go-w` it, if it is yours: what is trusted is kept in it",
            )
        from llmspell.utils.file_utils import put

        put(place, json.dumps(told).encode() + b"\n", mode=0o600)
    except OSError as error:
        why = (error.strerror or "it cannot be written").lower()
        raise ConfigError(f"cannot keep what is trusted in {one_line(folder)}: {why}", cause=error) from None


def remove(path: str, env: Mapping[str, str]) -> bool:
    """Trusts the file at *path* no more; whether it was. It need not be there any more."""
    try:
        os.unlink(_place(key_of(path), env))
    except FileNotFoundError:
        return False
    except OSError as error:
        why = (error.strerror or "it cannot be written").lower()
        raise ConfigError(f"cannot remove what is trusted: {why}", cause=error) from None
    return True


def entries(env: Mapping[str, str]) -> list[Entry]:
    """All that are trusted, by their paths."""
    folder = folder_of(env)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = (_read(os.path.join(folder, name)) for name in names if name.endswith(".json"))
    return sorted(entry for entry in found if entry is not None)


def _place(key: str, env: Mapping[str, str]) -> str:
    return os.path.join(folder_of(env), sha256(os.fsencode(key)).hexdigest()[:32] + ".json")


def _read(place: str) -> Entry | None:
    """The entry at *place*; None where it is none, or somebody else may have written it."""
    try:
        if not _is_own(os.lstat(os.path.dirname(place)), stat.S_ISDIR):
            return None
        with open(os.open(place, os.O_RDONLY | _NOFOLLOW), "rb") as file:
            if not _is_own(os.fstat(file.fileno()), stat.S_ISREG):
                return None
            told = json.loads(file.read(_MOST))
        return Entry(str(told["path"]), str(told["sha256"]), one_line(str(told["when"]), 40))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


# Who may write

#: What to do about it.
_MEND = {
    "may be written by others": "take that from them: `chmod go-w` it",
    "is in a folder that others may write": "take that from them: `chmod go-w` its folder",
    "is a symbolic link": "trust a file that stands there itself",
}


def _is_own(status: os.stat_result, kind: object) -> bool:
    if not callable(kind) or not kind(status.st_mode):
        return False
    return os.name == "nt" or (status.st_uid == os.geteuid() and not _others_write(status))


def _exposed(file: File) -> str | None:
    """Why a project's file is not its user's alone, after "it"."""
    if os.path.islink(file.path):
        return "is a symbolic link"
    if os.name == "nt":
        return None
    if file.status.st_uid not in (0, os.geteuid()):
        return "belongs to another user"
    if _others_write(file.status):
        return "may be written by others"
    with contextlib.suppress(OSError):
        folder = os.stat(file.folder)
        if not _others_write(folder) and folder.st_uid in (0, os.geteuid()):
            return None
    return "is in a folder that others may write"


def _others_write(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private(status.st_gid, status.st_uid)


def _is_private(group: int, user: int) -> bool:
    """Whether a group has that user alone, as many systems give each of their users one."""
    try:
        import grp
        import pwd

        of, who = grp.getgrgid(group), pwd.getpwuid(user)
    except (ImportError, KeyError):
        return False
    return group == who.pw_gid and of.gr_name == who.pw_name and set(of.gr_mem) <= {who.pw_name}
