"""Conversations on disk: one JSON file each, written whole after each turn, for its owner alone.

    {"llmspell": "chat", "version": 1, "updated": "2026-11-28T15:00:00Z", "model": "openai/gpt-4o-mini", "system": …,
     "schema": …, "usage": {…}, "calls": 2, "unpriced_calls": 0, "title": "What is …", "messages": […]}

`messages` are as `Chat.save` gives them. What a file says is read as data: it grants nothing, and names no tools.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmspell.config.discovery import state_file
from llmspell.errors import NotFoundError, ValidationError, one_line
from llmspell.utils.file_utils import put

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Kept", "Row", "folder", "latest", "named", "read", "rows"]

KIND, VERSION = "chat", 1
LARGEST = 1 << 30  # bytes of a file that is read
LARGEST_LISTED = 1 << 26  # bytes of one that is looked into for a list
MOST_LISTED = 1000
SUFFIX = ".json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def folder(env: Mapping[str, str] = os.environ) -> str:
    """Where conversations are kept."""
    return os.path.join(os.path.dirname(state_file(env, None)), "chats")


def named(name: str) -> str:
    """The file of the conversation *name*. Raises NotFoundError, ValidationError for what is no name."""
    if NAME.fullmatch(name) is None:
        raise ValidationError(
            f"`{one_line(name, 60)}` is no name of a conversation",
            hint="`llmspell chat --list` shows those that are kept; a question goes before `--resume`, or after `--`",
        )
    path = os.path.join(folder(), name + SUFFIX)
    if not os.path.isfile(path):
        raise NotFoundError(
            f"there is no conversation `{one_line(name, 60)}`",
            hint="`llmspell chat --list` shows those that are kept; a question goes before `--resume`, or after `--`",
        )
    return path


def _files() -> list[tuple[float, str]]:
    """When each was written and its path, the last first."""
    found = []
    try:
        with os.scandir(folder()) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and NAME.fullmatch(entry.name.removesuffix(SUFFIX)):
                    with suppress(OSError):
                        if entry.is_file():
                            found.append((entry.stat().st_mtime, entry.path))
    except OSError:
        return []
    return sorted(found, reverse=True)


def latest() -> str:
    """The file of the conversation that was written last. Raises NotFoundError where there is none."""
    for _, path in _files():
        return path
    raise NotFoundError("no conversation is kept yet", hint="begin one: `llmspell chat`")


class Row(NamedTuple):
    """A line of the list."""

    name: str
    updated: str
    model: str
    turns: int
    title: str


def rows() -> list[Row]:
    """The conversations that are kept, the last first; what cannot be read is passed over."""
    found = []
    for moment, path in _files()[:MOST_LISTED]:
        name = os.path.basename(path).removesuffix(SUFFIX)
        updated = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
        try:
            if os.path.getsize(path) > LARGEST_LISTED:
                found.append(Row(name, updated, "", 0, "(large)"))
                continue
            told = read(path)
        except (ValidationError, NotFoundError, OSError):
            continue
        turns = sum(isinstance(one, dict) and one.get("role") == "user" for one in told["messages"])
        found.append(Row(name, updated, str(told.get("model") or ""), turns, str(told.get("title") or "")))
    return found


def read(path: str) -> dict[str, Any]:
    """What a file says, as far as it is a conversation's. Raises NotFoundError, ValidationError."""
    shown = one_line(path, 200)
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise ValidationError(f"`{shown}` is no file that a conversation could be in")
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file `{shown}`", hint="check the path", cause=error) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ValidationError(f"cannot read `{shown}`: {told.lower()}", cause=error) from None
    try:
        value = orjson.loads(data) if len(data) <= LARGEST else None
    except orjson.JSONDecodeError:
        value = None
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(value, dict) or value.get("llmspell", KIND) != KIND or not isinstance(messages, list):
        raise ValidationError(
            f"`{shown}` is no saved conversation", hint="`llmspell chat --list` shows those there are"
        )
    if value.get("version") != VERSION:
        raise ValidationError(
            f"`{shown}` has version {one_line(str(value.get('version')), 20)} of a saved conversation, not {VERSION}",
            hint="a newer llmspell has written it: use that one",
        )
    return value


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


class Kept:
    """The file of one conversation. path: where it is, or will be; None: to be named at the first `write`."""

    def __init__(self, path: str | None = None) -> None:
        self.path = None if path is None else os.path.realpath(path)
        self._stamp = None if self.path is None else _stamp(self.path)

    @property
    def name(self) -> str:
        """As `--resume` takes it, or the path of a file elsewhere; empty while it has none."""
        if self.path is None:
            return ""
        if os.path.dirname(self.path) == os.path.realpath(folder()) and self.path.endswith(SUFFIX):
            return os.path.basename(self.path).removesuffix(SUFFIX)
        return self.path

    def write(self, told: Mapping[str, Any]) -> bool:
        """Puts it in the file's place at once. False where another had written to the file meanwhile, and it went into
        a new one, so that neither is lost. Raises ValidationError where it cannot be written.
        """
        alone = self.path is None or _stamp(self.path) == self._stamp
        if self.path is None or not alone:
            self.path = self._new()
        head = {"llmspell": KIND, "version": VERSION, "updated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        try:
            if not os.path.isdir(place := os.path.dirname(self.path)):
                os.makedirs(place, mode=0o700, exist_ok=True)
            put(self.path, orjson.dumps({**head, **told}), mode=0o600)
        except (OSError, TypeError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise ValidationError(
                f"the conversation cannot be kept in `{one_line(self.path, 200)}`: {words.lower()}",
                hint="`/save FILE` writes it elsewhere",
                cause=error,
            ) from None
        self._stamp = _stamp(self.path)
        return alone

    def _new(self) -> str:
        where = folder() if self.path is None else os.path.dirname(self.path)
        moment = datetime.now(UTC).strftime("%Y-%m-%d-%H%M%S")
        return os.path.join(os.path.realpath(where), f"{moment}-{secrets.token_hex(2)}{SUFFIX}")
