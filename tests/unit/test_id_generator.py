"""Ids that sort by the time they were made."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.utils import id_generator
from llmspell.utils.id_generator import is_id, new_id, parse_id, uuid7


def test_ids_are_of_version_7_and_tell_when_they_were_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    text = new_id("run")
    found = parse_id(text)
    assert (found.prefix, found.uuid.version, found.uuid.variant) == ("run", 7, "specified in RFC 4122")
    assert before <= found.made <= datetime.now(UTC) + timedelta(seconds=10)
    assert str(found) == text


def test_ids_sort_as_they_were_made_and_no_two_are_the_same() -> None:
    made = [new_id("a") for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_of_many_threads_are_all_different() -> None:
    made: list[list[int]] = [[] for _ in range(8)]

    def make(mine: list[int]) -> None:
        mine += [uuid7().int for _ in range(2000)]

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 16_000


def test_a_clock_that_goes_back_does_not_lead_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    now = time.time_ns()
    monkeypatch.setattr(id_generator.time, "time_ns", lambda: now - 10**12)
    assert uuid7() > first
    assert uuid7() > first


def test_the_bits_lie_as_the_standard_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of RFC 9562, A.6, with our counter in the place of its twelve bits of chance."""
    chance = {1: b"\xc3", 8: bytes.fromhex("d8c4dc0c0c07398f")}
    monkeypatch.setattr(id_generator, "_last", 0)
    monkeypatch.setattr(id_generator, "urandom", chance.__getitem__)
    monkeypatch.setattr(id_generator.time, "time_ns", lambda: 0x017F22E279B0 * 1_000_000 + 999_999)
    assert str(uuid7()) == "017f22e2-79b0-70c3-98c4-dc0c0c07398f"
    assert str(uuid7()) == "017f22e2-79b0-70c4-98c4-dc0c0c07398f"
    for _ in range(0xFFF - 0xC4):
        last = uuid7()
    assert str(last) == "017f22e2-79b0-7fff-98c4-dc0c0c07398f"
    assert str(uuid7()) == "017f22e2-79b1-7000-98c4-dc0c0c07398f"


@pytest.mark.parametrize("prefix", ["", "Run", "1a", "a-b", "a" * 33, "é"])
def test_a_prefix_is_a_plain_word(prefix: str) -> None:
    with pytest.raises(ValidationError, match="no prefix"):
        new_id(prefix)


@pytest.mark.parametrize(
    "text",
    ["", "run", "run-", "run-1234", "0199c0de-0000-7000-8000-000000000000", "run-0199c0de-0000-4000-8000-000000000000",
     "run-0199C0DE-0000-7000-8000-000000000000", "run-{0199c0de-0000-7000-8000-000000000000}",
     "RUN-0199c0de-0000-7000-8000-000000000000"],
)  # fmt: skip
def test_what_is_no_id_is_refused(text: str) -> None:
    assert is_id(text) is False
    with pytest.raises(ValidationError, match="is no id"):
        parse_id(text)


def test_an_id_of_another_kind_is_refused() -> None:
    text = new_id("run")
    assert is_id(text, "run")
    assert not is_id(text, "call")
    with pytest.raises(ValidationError, match="of a run, not of a call"):
        parse_id(text, "call")


@given(text=st.text(max_size=60))
def test_any_text_is_an_id_or_none(text: str) -> None:
    if is_id(text):
        assert str(parse_id(text)) == text
