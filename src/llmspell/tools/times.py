"""Dates and times out of texts and into them. Formats are checked before the C library sees them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNITS", "formatted", "moved", "parsed", "zone"]

MAX_TEXT = 200  # characters of a date, and of a format
LETTERS = "aAbBcdDeFGHIjklmMnprRsStTuUVwWxXyYzZ%"
FORMATS = {
    "iso8601": "", "iso": "", "rfc3339": "", "rfc2822": "%a, %d %b %Y %H:%M:%S %z", "http": "%a, %d %b %Y %H:%M:%S GMT",
    "date": "%Y-%m-%d", "time": "%H:%M:%S", "datetime": "%Y-%m-%d %H:%M:%S", "human": "%B %d, %Y at %I:%M %p",
}  # fmt: skip
#: What is tried of a text that is not ISO 8601. Only texts that cannot be read in two ways are taken.
GUESSES = (
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%d %b %Y %H:%M:%S", "%Y-%m",
)  # fmt: skip
UNITS: Mapping[str, float] = {
    "milliseconds": 0.001, "seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800,
    "months": 0, "years": 0,
}  # fmt: skip


def zone(name: str) -> tzinfo:
    """A time zone: `UTC`, `local`, `+02:00`, `Europe/Berlin`. Raises ValidationError."""
    if name.lower() in ("utc", "z", "gmt"):
        return UTC
    if name.lower() == "local":
        here = datetime.now().astimezone().tzinfo
        assert here is not None
        return here
    if name[:1] in ("+", "-"):
        digits = name[1:].replace(":", "")
        if digits.isascii() and digits.isdigit() and len(digits) in (2, 4):
            minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
            if minutes < 24 * 60:
                return timezone(timedelta(minutes=-minutes if name[0] == "-" else minutes))
    else:
        from zoneinfo import ZoneInfo

        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            pass
    raise ValidationError(
        f"there is no time zone `{one_line(name, 60)}`", hint="it is `UTC`, `local`, `+02:00`, or as `Europe/Berlin`"
    )


def _checked(form: str) -> str:
    """A format of which the C library can be sure. Raises ValidationError."""
    if len(form) > MAX_TEXT:
        raise ValidationError(f"the format is longer than {MAX_TEXT} characters")
    if not form.isprintable():
        raise ValidationError("the format has control characters")
    pieces = form.replace("%%", "").split("%")[1:]
    for piece in pieces:
        letter = piece[:1]
        if letter == "-":  # no zeros before a number
            letter = piece[1:2]
        if letter == "" or letter not in LETTERS + "f":
            raise ValidationError(
                f"`%{one_line(piece[:2])}` means nothing in a format", hint="as in `%Y-%m-%d %H:%M:%S %z`"
            )
    return form


def formatted(when: datetime, form: str | None) -> str:
    """*when* as *form* says: a format, the name of one, `unix`, or None for ISO 8601. Raises ValidationError."""
    if form is None:
        return when.isoformat()
    if form.lower() in ("unix", "timestamp"):
        return str(int(when.timestamp()))
    form = FORMATS.get(form.lower(), form)
    if not form:
        return when.isoformat()
    if form.endswith(" GMT"):
        try:
            when = when.astimezone(UTC)
        except OverflowError:
            raise ValidationError("the time is one that no calendar has in UTC", hint="years are 1 to 9999") from None
    return when.strftime(_checked(form))


def parsed(given: Any, what: str, form: str | None = None, at: tzinfo = UTC) -> datetime:
    """A date of a text or of seconds since 1970; of a text that names no zone it is that of *at*.

    what: how it is called in messages. Raises ValidationError.
    """
    try:
        if isinstance(given, int | float):
            return datetime.fromtimestamp(given, at)
        text = str(given).strip()
        if 0 < len(text) <= MAX_TEXT:
            found = _read(text, form)
            if found is not None:
                return found if found.tzinfo is not None else found.replace(tzinfo=at)
    except (OverflowError, OSError, ValueError):
        raise ValidationError(f"`{what}` is a time that no calendar has", hint="years are 1 to 9999") from None
    wanted = f"a time of the form `{one_line(form, 60)}`" if form else "a time that can be read"
    raise ValidationError(
        f"`{what}` is not {wanted}: `{one_line(str(given), 60)}`",
        hint="as `2026-01-31T12:00:00Z`, or seconds since 1970; of others `input_format` says how they are written",
    )


def _read(text: str, form: str | None) -> datetime | None:
    if form is not None:
        form = FORMATS.get(form.lower(), form)
    if form:
        from re import error as twice  # of a letter that stands in the format twice

        try:
            return datetime.strptime(text, _checked(form))
        except (ValueError, twice):
            return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        if number == number:
            return datetime.fromtimestamp(number, UTC)
    if text[:3].isalpha() and "," in text[:5]:
        from email.utils import parsedate_to_datetime

        try:
            return parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            pass
    for guess in GUESSES:
        try:
            return datetime.strptime(text, guess)
        except ValueError:
            continue
    return None


def moved(when: datetime, amount: float, unit: str) -> datetime:
    """*when*, and that many of a unit later. Of a month that is shorter it is the last day. Raises ToolError."""
    try:
        if unit not in ("months", "years"):
            return (when.astimezone(UTC) + timedelta(seconds=amount * UNITS[unit])).astimezone(when.tzinfo)
        if amount != int(amount):
            raise ValidationError(f"`amount` must be a whole number of {unit}, not {amount}")
        months = when.year * 12 + when.month - 1 + int(amount) * (12 if unit == "years" else 1)
        year, month = divmod(months, 12)
        import calendar

        if not 1 <= year <= 9999:
            raise OverflowError
        day = min(when.day, calendar.monthrange(year, month + 1)[1])
        return when.replace(year=year, month=month + 1, day=day)
    except (OverflowError, ValueError):  # ValueError: of what is no number
        raise ToolError("the time would be one that no calendar has", hint="years are 1 to 9999") from None
