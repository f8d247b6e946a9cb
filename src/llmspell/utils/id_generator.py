"""Ids: a word for what is named, and a UUID of version 7, so that they sort by the time they were made.

Source: RFC 9562 §5.7, with a counter of 12 bits for those of one millisecond (§6.2, method 1).
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from os import urandom
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from llmspell.errors import ValidationError, one_line

__all__ = ["Id", "is_id", "new_id", "parse_id", "uuid7"]

PREFIX = re.compile(r"[a-z][a-z0-9_]{0,31}")
_lock = Lock()
_last = 0  # milliseconds and counter of the last one, as one number


class Id(NamedTuple):
    """An id's parts. made: when, in UTC, to the millisecond."""

    prefix: str
    uuid: UUID

    @property
    def made(self) -> datetime:
        return datetime.fromtimestamp((self.uuid.int >> 80) / 1000, UTC)

    def __str__(self) -> str:
        return f"{self.prefix}-{self.uuid}"


def uuid7() -> UUID:
    """A UUID that is larger than all that this process made before, even where the clock goes back."""
    global _last
    with _lock:
        fresh = (time.time_ns() // 1_000_000) << 12 | (urandom(1)[0])
        _last = fresh if fresh >> 12 > _last >> 12 else _last + 1  # a counter that is full takes the next millisecond
        stamp = _last
    chance = int.from_bytes(urandom(8)) & (1 << 62) - 1
    return UUID(int=(stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 2 << 62 | chance)


def new_id(prefix: str) -> str:
    """`run-0199…`. Raises ValidationError for a prefix that is not lower-case letters, digits and `_`."""
    if not PREFIX.fullmatch(prefix):
        raise ValidationError(
            f"`{one_line(prefix, 40)}` is no prefix of an id", hint="lower-case letters, digits and `_`, at most 32"
        )
    return f"{prefix}-{uuid7()}"


def parse_id(text: str, prefix: str | None = None) -> Id:
    """The parts of an id, which must have *prefix* where one is given. Raises ValidationError."""
    found, _, rest = text.partition("-")
    try:
        uuid = UUID(rest)
    except ValueError:
        uuid = None
    if uuid is None or str(uuid) != rest or uuid.version != 7 or not PREFIX.fullmatch(found):
        raise ValidationError(f"`{one_line(text, 80)}` is no id", hint="a prefix, `-` and a UUID of version 7")
    if prefix is not None and found != prefix:
        raise ValidationError(f"`{one_line(text, 80)}` is the id of a {found}, not of a {one_line(prefix, 40)}")
    return Id(found, uuid)


def is_id(text: str, prefix: str | None = None) -> bool:
    """Whether *text* is an id, with *prefix* where one is given."""
    try:
        parse_id(text, prefix)
    except ValidationError:
        return False
    return True
