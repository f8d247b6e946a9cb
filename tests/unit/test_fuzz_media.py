"""The target of the fuzzer, driven by hypothesis: always, and for a short while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import media_seeds, media_target
from support.media_files import mutated

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = dict(media_seeds.seeds())


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_is_a_file_of_a_known_kind(name: str) -> None:
    data = SEEDS[name]
    media_target.check(data)
    for media in media_target.TWINS:
        assert media.sniff(data) in media_target.MIME_TYPES


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_files_that_were_tampered_with(data: bytes) -> None:
    media_target.check(data)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(SEEDS.values())),
    st.lists(
        st.tuples(st.integers(0, 2000), st.sampled_from([b"", b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 8])),
        max_size=5,
    ),
    st.integers(0, 2000),
    st.binary(max_size=20),
)
def test_seeds_that_were_tampered_with(seed: bytes, changes: list[tuple[int, bytes]], cut: int, more: bytes) -> None:
    data = bytearray(seed)
    for place, what in changes:
        place %= len(data) + 1
        data[place : place + max(1, len(what))] = what
    media_target.check(bytes(data[: cut if cut < len(data) // 2 else None] + more))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_at_random(data: bytes) -> None:
    media_target.check(data)


def test_the_target_sees_twins_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        HEAD, MOST_READS, MOST_BYTES = 65536, 64, 4 << 20
        sniff = staticmethod(lambda data: "image/png")
        media_facts = staticmethod(lambda data, mime_type: {"width": 1})
        read_media = staticmethod(lambda read, size: {"width": 1})

    monkeypatch.setattr(media_target, "TWINS", [media_target.TWINS[0], Other])
    with pytest.raises(AssertionError, match="the twins differ"):
        media_target.check(SEEDS["png"])


def test_the_seeds_are_written(tmp_path: Path) -> None:
    media_seeds.main(str(tmp_path / "seeds"))
    assert {one.name: one.read_bytes() for one in (tmp_path / "seeds").iterdir()} == SEEDS
