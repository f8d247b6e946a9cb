"""The formats of strings that a JSON Schema may name and that are looked at. Others say nothing."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMATS"]

LONGEST = 2000  # characters of a text in a format


def _date(text: str) -> bool:
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _time(text: str) -> bool:
    """RFC 3339: with seconds and an offset."""
    if len(text) < 9 or text[2] != ":" or text[5] != ":" or not text.isascii():
        return False
    clock, offset = (text[:-1], "") if text[-1] in "zZ" else (text[:-6], text[-6:])
    if offset and (offset[0] not in "+-" or offset[3] != ":"):
        return False
    whole, dot, fraction = clock.partition(".")
    if len(whole) != 8 or (dot and not fraction.isdecimal()):
        return False
    if whole.endswith(":59:60") or (offset and whole.endswith(":60")):  # a leap second, at 23:59 of Greenwich
        whole = whole[:-2] + "59"
    try:
        time.fromisoformat(whole + (offset or "+00:00"))
    except ValueError:
        return False
    return True


def _date_time(text: str) -> bool:
    if len(text) < 20 or text[10] not in "tT ":
        return False
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return _date(text[:10]) and _time(text[11:])


def _email(text: str) -> bool:
    name, at, host = text.rpartition("@")
    return bool(at and name and host) and not any(c.isspace() for c in text) and ".." not in text and host[0] != "."


def _uri(text: str) -> bool:
    scheme, colon, rest = text.partition(":")
    good = bool(colon and rest) and text.isascii() and not any(c in ' <>"{}|\\^`' or c < "!" for c in text)
    return good and scheme[:1].isalpha() and all(c.isalnum() or c in "+-." for c in scheme)


def _uuid(text: str) -> bool:
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        c in "0123456789abcdefABCDEF" for part in parts for c in part
    )


def _address(version: int) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        from ipaddress import IPv4Address, IPv6Address

        try:
            (IPv4Address if version == 4 else IPv6Address)(text)
        except ValueError:
            return False
        return "%" not in text

    return holds


def _short(holds: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda text: len(text) <= LONGEST and holds(text)


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _short(_date),
    "time": _short(_time),
    "date-time": _short(_date_time),
    "email": _short(_email),
    "uri": _short(_uri),
    "uuid": _short(_uuid),
    "ipv4": _short(_address(4)),
    "ipv6": _short(_address(6)),
}
