"""Dates and times of the tools: what is read, how it is written, and that no text is more than an error."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError, ValidationError
from llmspell.tools.formats import FORMATS
from llmspell.tools.times import formatted, moved, parsed, zone

pytestmark = pytest.mark.once

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "form", "iso"),
    [
        ("2026-01-31", None, "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T12:00:00+01:00", None, "2026-01-31T12:00:00+01:00"),
        ("2026/01/31 03:04", None, "2026-01-31T03:04:00+00:00"),
        ("31.01.2026", None, "2026-01-31T00:00:00+00:00"),
        ("January 5, 2026", None, "2026-01-05T00:00:00+00:00"),
        ("5 Jan 2026 10:11:12", None, "2026-01-05T10:11:12+00:00"),
        ("Tue, 06 Jan 2026 10:00:00 +0100", None, "2026-01-06T10:00:00+01:00"),
        ("1e5", None, "1970-01-02T03:46:40+00:00"),
        (0, None, "1970-01-01T00:00:00+00:00"),
        (-1.5, None, "1969-12-31T23:59:58.500000+00:00"),
        ("31/01/26", "%d/%m/%y", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31", "date", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T01:00", "ISO8601", "2026-01-31T01:00:00+00:00"),
    ],
)
def test_read(text: Any, form: str | None, iso: str) -> None:
    assert parsed(text, "when", form).isoformat() == iso


def test_a_text_that_names_no_zone_is_of_the_one_that_is_asked_for() -> None:
    berlin = zone("Europe/Berlin")
    assert parsed("2026-07-01 12:00", "when", None, berlin).isoformat() == "2026-07-01T12:00:00+02:00"
    assert parsed("2026-07-01 12:00Z", "when", None, berlin).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("soon", None, "`when` is not a time that can be read: `soon`"),
        ("", None, "`when` is not a time that can be read"),
        ("x" * 300, None, "`when` is not a time that can be read"),
        ("nan", None, "`when` is not a time that can be read"),
        ("Tue, 99", None, "`when` is not a time that can be read: `Tue, 99`"),
        (None, None, "`when` is not a time that can be read: `None`"),
        ("inf", None, "`when` is a time that no calendar has"),
        (1e300, None, "`when` is a time that no calendar has"),
        (float("nan"), None, "`when` is a time that no calendar has"),
        ("99999999999999", None, "`when` is a time that no calendar has"),
        ("5 6", "%d %d", "`when` is not a time of the form `%d %d`: `5 6`"),
        ("2026-02-30", "date", "`when` is not a time of the form `date`"),
        ("x", "%Q", "`%Q` means nothing in a format"),
        ("x", "%", "`%` means nothing in a format"),
        ("x", "a\tb", "the format has control characters"),
        ("x", "%d" * 200, "the format is longer than 200 characters"),
    ],
)
def test_what_is_no_time(text: Any, form: str | None, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parsed(text, "when", form)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (None, "2026-01-31T12:00:00+01:00"),
        ("iso", "2026-01-31T12:00:00+01:00"),
        ("unix", "1769857200"),
        ("Timestamp", "1769857200"),
        ("http", "Sat, 31 Jan 2026 11:00:00 GMT"),
        ("rfc2822", "Sat, 31 Jan 2026 12:00:00 +0100"),
        ("human", "January 31, 2026 at 12:00 PM"),
        ("%-d.%-m. %f %% %H", "31.1. 000000 % 12"),
    ],
)
def test_written(form: str | None, text: str) -> None:
    assert formatted(NOON.replace(tzinfo=timezone(timedelta(hours=1))), form) == text


def test_a_time_that_has_no_other_in_utc_is_an_error_of_ours() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=10)))
    with pytest.raises(ValidationError, match="no calendar"):
        formatted(first, "http")


@pytest.mark.parametrize(
    ("name", "hours"), [("UTC", 0), ("z", 0), ("+02:00", 2), ("-0230", -2.5), ("+05", 5), ("Asia/Kolkata", 5.5)]
)
def test_zones(name: str, hours: float) -> None:
    assert NOON.astimezone(zone(name)).utcoffset() == timedelta(hours=hours)


def test_the_local_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    try:
        time.tzset()
        assert NOON.astimezone(zone("local")).utcoffset() == timedelta(hours=3)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["", "+25:00", "+x", "+2", "Nowhere/X", "../etc/passwd", "\0", "Europe", "a" * 9999])
def test_what_is_no_zone(name: str) -> None:
    with pytest.raises(ValidationError, match="there is no time zone"):
        zone(name)


@pytest.mark.parametrize(
    ("amount", "unit", "iso"),
    [
        (1, "months", "2026-02-28T12:00:00+00:00"),
        (-25, "months", "2023-12-31T12:00:00+00:00"),
        (12, "months", "2027-01-31T12:00:00+00:00"),
        (-2025, "years", "0001-01-31T12:00:00+00:00"),
        (1.5, "days", "2026-02-02T00:00:00+00:00"),
        (-250, "milliseconds", "2026-01-31T11:59:59.750000+00:00"),
    ],
)
def test_moved(amount: float, unit: str, iso: str) -> None:
    assert moved(NOON, amount, unit).isoformat() == iso


@pytest.mark.parametrize("amount", [500_000, -500_000, 1e17, float("inf"), float("nan")])
@pytest.mark.parametrize("unit", ["years", "weeks"])
def test_what_no_calendar_has(amount: float, unit: str) -> None:
    with pytest.raises(ToolError, match="no calendar"):
        moved(NOON, amount, unit)


def test_months_are_whole() -> None:
    with pytest.raises(ValidationError, match=r"whole number of months, not 1\.5"):
        moved(NOON, 1.5, "months")


@given(st.text(max_size=30) | st.floats() | st.integers(), st.none() | st.text("%aYmdHMSz- Qf", max_size=8))
def test_anything_is_a_time_or_an_error_of_ours(text: Any, form: str | None) -> None:
    try:
        found = parsed(text, "when", form)
        assert found.tzinfo is not None
        assert isinstance(formatted(found, form), str)
    except LLMSpellError:
        pass


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2026-01-31"], ["2026-02-30", "20260131", "2026-1-31", "x"]),
        (
            "time",
            ["12:00:00Z", "12:00:00.123456789+01:00", "23:59:60Z", "00:59:60+01:00", "12:00:00z"],
            ["12:00:00", "12:00Z", "25:00:00Z", "12:00:00+0100", "12:00:00*01:00", "12:00:00.Z", "12:00:0½Z", "x"],
        ),
        ("date-time", ["2026-01-31T12:00:00Z", "2026-01-31 12:00:00+01:00"], ["2026-01-31", "2026-02-30T12:00:00Z",
         "2026-01-31_12:00:00Z", "2026-01-31T12:00:00 later"]),
        ("email", ["me@example.org"], ["me", "@x", "a@", "a b@c", "a..b@c", "a@.c"]),
        ("uri", ["https://example.org/a", "urn:x"], ["x", "1a:b", "a:", "a:b c", "ä:b", "a_b:c"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567", "123e4567-e89b-12d3-a456-42661417400g"]),
        ("ipv4", ["127.0.0.1"], ["127.0.0.256", "::1", "1.2.3"]),
        ("ipv6", ["::1", "fe80::1"], ["127.0.0.1", "fe80::1%eth0", "::g"]),
    ],
)  # fmt: skip
def test_formats_of_strings(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not FORMATS[name](text)] == []
    assert [text for text in bad if FORMATS[name](text)] == []
    assert not FORMATS[name](good[0] + "0" * 3000)


@given(st.text("0123456789-:.TZ+ aé", max_size=40), st.sampled_from(sorted(FORMATS)))
def test_a_format_says_yes_or_no_of_any_text(text: str, name: str) -> None:
    assert FORMATS[name](text) in (True, False)
