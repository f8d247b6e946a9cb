"""What files of every format tell, whatever is in them: what they were made with, in both twins, by bounded windows."""

from __future__ import annotations

import time
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import films, pictures, sounds
from support.counting import Counting
from support.media_files import FILES, any_file, mutated

if TYPE_CHECKING:
    from types import ModuleType


def told_of(media: ModuleType, data: bytes) -> dict[str, Any]:
    read = Counting(data)
    told: dict[str, Any] = media.read_media(read, len(data))
    assert read.reads <= media.MOST_READS
    assert read.bytes <= media.MOST_BYTES
    return told


@pytest.mark.parametrize("name", FILES)
def test_a_file_tells_what_it_was_made_with(media: ModuleType, name: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(FILES[name])
    def check(one: tuple[bytes, dict[str, Any]]) -> None:
        data, told = one
        assert told_of(media, data) == told

    check()


@pytest.mark.parametrize("name", FILES)
def test_a_head_tells_nothing_that_the_file_does_not(media: ModuleType, name: str) -> None:
    """Neither is it broken: all that can be said of it is that it goes on."""

    @settings(max_examples=30, deadline=None)
    @given(FILES[name])
    def check(one: tuple[bytes, dict[str, Any]]) -> None:
        data, told = one
        head = data[: media.HEAD]
        found = media.media_facts(head, told["mime_type"])
        if "ID3" not in str(head[:3]):
            assert media.sniff(head) in (told["mime_type"], told["mime_type"].replace("video/ogg", "audio/ogg"))
        assert found.items() <= told.items()

    check()


@settings(max_examples=60, deadline=None)
@given(one=any_file(), data=st.data())
def test_a_file_that_was_cut_is_told_to_be_or_tells_no_more(
    media: ModuleType, one: tuple[bytes, dict[str, Any]], data: Any
) -> None:
    whole, told = one
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    try:
        found = told_of(media, cut)
    except ValueError:
        return
    for name, value in found.items():
        if name not in ("duration", "mime_type"):  # a duration may be by what is there
            assert told[name] == value


@pytest.mark.compiled
@settings(max_examples=300, deadline=None)
@given(st.one_of(mutated(), st.binary(max_size=300)))
def test_no_file_breaks_it_and_the_twins_agree(data: bytes) -> None:
    told = []
    for twin in ("c", "py"):
        media = import_module(f"llmspell._speedups._media_{twin}")
        try:
            told.append(told_of(media, data))
        except ValueError as error:
            told.append({"error": str(error)})
    assert told[0] == told[1]


# ---- windows


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(films.FTYP + films.box(b"free", b"\0" * 70_000) * 200, id="boxes"),
        pytest.param(films.FTYP + films.box(b"free") * 300_000, id="small boxes"),
        pytest.param(sounds.adts(30_000, length=300), id="frames of AAC"),
        pytest.param(sounds.adts(60_000, length=7), id="frames as short as may be"),
        pytest.param(sounds.mp3(20_000, kbits=[1, 2]), id="frames of MP3"),
        pytest.param(sounds.flac(0, picture=70_000)[:-20].replace(b"\x86\x01", b"\x06\x01", 1) * 100, id="blocks"),
        pytest.param(
            sounds.ogg(sounds.vorbis_head()) + sounds.ogg_page(b"x" * 65_000, serial=9) * 200, id="pages of others"
        ),
        pytest.param(
            pictures.png(pieces=1)[:-12] + pictures.chunk(b"IDAT", b"d" * 70_000) * 100 + b"tail", id="chunks"
        ),
        pytest.param(pictures.gif(delays=[1] * 20_000), id="frames of GIF"),
        pytest.param(pictures.jpeg()[:-2] + b"\0" * (8 << 20), id="a JPEG without its end"),
        pytest.param(b"ID3\x04\0\0\0\0\0\0" * 300_000, id="tags"),
        pytest.param(
            films.matroska(films.video_track())[:60] + films.element(0xEC, b"\0" * 70_000) * 200, id="elements"
        ),
    ],
)
def test_however_long_a_file_its_windows_are_few(media: ModuleType, data: bytes) -> None:
    read = Counting(data)
    begin = time.process_time()
    with suppress(ValueError):
        media.read_media(read, len(data))
    assert time.process_time() - begin < 10  # some hundredths, where nothing traces it: MOST_STEPS is the bound
    assert 1 <= read.reads <= media.MOST_READS == 64
    assert read.bytes <= media.MOST_BYTES == 4 << 20


def test_a_film_of_five_gigabytes_is_read_in_a_few_windows(media: ModuleType) -> None:
    size = 5 << 30
    movie = films.moov(
        films.track(b"vide", films.video_entry()), films.track(b"soun", films.audio_entry(), scale=44100)
    )
    front = films.FTYP + films.box(b"mdat", size=size - len(films.FTYP) - len(movie), long=True)

    class Film(Counting):
        def __call__(self, offset: int, length: int) -> bytes:
            super().__call__(offset, length)
            behind = offset - (size - len(movie))
            if behind >= 0:
                return movie[behind : behind + length]
            return front[offset : offset + length].ljust(min(length, -behind), b"\0")

    read = Film(b"", size)
    told = media.read_media(read, size)
    assert (told["width"], told["height"], told["duration"], told["sample_rate"]) == (320, 180, 2.0, 44100)
    assert read.reads <= 4
    assert read.bytes <= 4 * media.HEAD


def test_a_file_that_shrinks_meanwhile_is_cut(media: ModuleType) -> None:
    data = sounds.id3(100_000) + sounds.mp3(20)
    with pytest.raises(ValueError, match=r"the MP3 is cut|an MP3 without a frame"):
        media.read_media(lambda at, count: data[at : at + count][: 70_000 if not at else 0], len(data))


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("x"), ValueError("mine")])
def test_what_the_reader_raises_passes(media: ModuleType, error: Exception) -> None:
    def read(offset: int, length: int) -> bytes:
        raise error

    with pytest.raises(type(error)) as caught:
        media.read_media(read, 10)
    assert caught.value is error


def test_windows_of_another_kind_of_bytes_do_as_well(media: ModuleType) -> None:
    data = bytearray(films.mp4(films.moov(films.track(b"vide", films.video_entry())), data=100_000))
    view = memoryview(data)
    assert media.read_media(lambda at, count: view[at : at + count], len(data))["width"] == 320


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"hello", b"\xff\xff\xff\xff", b"RIFF\0\0\0\0XXXX", b"<html></html>", b"The free software"]
)
def test_bytes_of_no_known_kind_tell_nothing(media: ModuleType, data: bytes) -> None:
    assert told_of(media, data) == {}


def test_a_type_whose_heads_are_not_read_tells_itself(media: ModuleType) -> None:
    assert told_of(media, b"%PDF-1.7\n") == {"mime_type": "application/pdf"}
    assert told_of(media, b"\0\0\0\x18ftypavif\0\0\0\0") == {"mime_type": "image/avif"}
    assert media.media_facts(b"whatever", "text/plain") == {}
