"""What the readers of heads stand on: windows, the marks of short ones, the tables of MPEG's layers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.counting import Counting

if TYPE_CHECKING:
    from types import ModuleType

DATA = bytes(range(251)) * 1200  # some 300 KB, in which no place is like another near it
ASKED = st.lists(
    st.tuples(st.booleans(), st.integers(0, len(DATA) + 50), st.integers(0, 300), st.sampled_from([0, 20, 5000])),
    max_size=30,
)


@pytest.fixture(scope="module")
def window(media: ModuleType) -> ModuleType:
    """The windows of the same twin."""
    return import_module(media.__name__.replace("_media_", "_media_window_"))


@settings(max_examples=150, deadline=None)
@given(ASKED, st.integers(0, 400))
def test_a_window_gives_what_is_there(window: ModuleType, asked: list[tuple[bool, int, int, int]], head: int) -> None:
    read = Counting(DATA)
    made = window.Window(DATA[:head], read, len(DATA))
    for exact, at, count, near in asked:
        at = max(0, at - near)
        want = DATA[at : at + count]
        if not exact:
            assert made.some(at, count) == want
        elif at + count <= len(DATA):
            assert made.get(at, count) == want
            assert made.number(at, min(count, 8), "little") == int.from_bytes(want[:8], "little")
        else:
            with pytest.raises(
                ValueError, match=rf"the file is cut: it goes on to byte {at + count} at least, and ends at"
            ):
                made.get(at, count)
    assert read.reads <= len(asked)


def test_one_window_serves_what_lies_near(window: ModuleType) -> None:
    read = Counting(DATA)
    made = window.Window(b"", read, len(DATA))
    for at in range(1000, 9000, 8):
        assert made.get(at, 8) == DATA[at : at + 8]
    assert read.reads == 1
    assert made.get(999, 2) == DATA[999:1001]
    assert read.reads == 2


def test_after_its_last_window_there_is_nothing_to_be_seen(window: ModuleType) -> None:
    read = Counting(DATA)
    made = window.Window(b"", read, len(DATA))
    for turn in range(window.MOST_READS - 1):
        made.get(1000 * (turn % 2) * 100, 1)
    with pytest.raises(window.Beyond):
        made.get(50_000, 1)
    for _ in range(window.MOST_STEPS):
        made.step()
    with pytest.raises(window.Beyond):
        made.step()


def test_a_head_alone_ends_where_it_ends(window: ModuleType) -> None:
    made = window.Window(b"head")
    assert made.some(2, 10) == b"ad"
    made.within(1 << 70, "anything")
    with pytest.raises(window.Beyond):
        made.get(2, 10)
    with pytest.raises(ValueError, match="its head is cut"):
        made.fixed(2, 10)


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (-1, 1), (1 << 32, 1), (1, 1 << 32)])
def test_sides_that_cannot_be(window: ModuleType, width: int, height: int) -> None:
    with pytest.raises(ValueError, match=f"{width} by {height} pixels cannot be"):
        window.sized({}, width, height)
    told: dict[str, int] = {}
    window.sized(told, (1 << 32) - 1, 1)
    assert told == {"width": (1 << 32) - 1, "height": 1}


@pytest.mark.parametrize(("channels", "rate"), [(0, 1), (65536, 1), (1, 0), (1, 1 << 32)])
def test_sound_that_cannot_be(window: ModuleType, channels: int, rate: int) -> None:
    with pytest.raises(ValueError, match=f"{channels} channels at {rate} Hz cannot be"):
        window.sounded({}, channels, rate)
    told: dict[str, int] = {}
    window.sounded(told, 65535, (1 << 32) - 1)
    assert told == {"channels": 65535, "sample_rate": (1 << 32) - 1}


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\xff\xfb\x90\x00", "audio/mpeg"), (b"\xff\xf3\x40\x00", "audio/mpeg"), (b"\xff\xe3\x40\x00", "audio/mpeg"),
        (b"\xff\xfd\x90\x00", "audio/mpeg"), (b"\xff\xf5\x40\x00", "audio/mpeg"), (b"\xff\xfa\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"), (b"\xff\xf0\x50\x80", "audio/aac"), (b"\xff\xf9\x50\x80", "audio/aac"),
        (b"\xff\xeb\x90\x00", None),  # a version that there is not
        (b"\xff\xfb\xf0\x00", None),  # a speed that there is not
        (b"\xff\xff\x90\x00", None), (b"\xff\xe1\x90\x00", None), (b"\xff\xfb\x90", None), (b"\xfe\xfb\x90\x00", None),
        (b"RF64\0\0\0\0WAVE", "audio/wav"), (b"BW64\0\0\0\0WAVE", "audio/wav"), (b"RF64\0\0\0\0WAVX", None),
        (b"II+\0\x08\0\0\0", "image/tiff"), (b"MM\0+\0\x08\0\0", "image/tiff"), (b"II*\1", None),
        (b"BM\0\0\0\0\0\0\0\0\0\0\0\0", "image/bmp"), (b"BM\0\0\0\0\0\0\1\0\0\0\0\0", None),
        (b"BM\0\0\0\0\0\0\0\0\0\0\0", None),
        (b"\0\0\0\x08wide", "video/quicktime"), (b"\0\0\0\x08moov", "video/quicktime"),
        (b"\xff\0\0\x08mdat", "video/quicktime"),
        (b"The free", None), (b"The mdat", "video/quicktime"), (b"\0\0\0\x08ftyp", "video/mp4"),
        (b"\0\0\0\x18ftypM4B ", "audio/mp4"), (b"\0\0\0\x18ftypM4P ", "audio/mp4"),
        (b"\0\0\0\x18ftypmif1", "image/heif"),
        (b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska", "video/x-matroska"), (b"\x1a\x45\xdf\xa3", "video/x-matroska"),
        (b"\x1a\x45\xdf\xa3\xc0\x42\x82\x88matroska\xec\xb2" + b"webm" * 20, "video/x-matroska"),
        (b"\x1a\x45\xdf\xa3\x42\x00\xec\x41\xf0" + b"\0" * 496 + b"\x42\x82\x84webm" + b"\0" * 20, "video/webm"),
    ],
)  # fmt: skip
def test_marks_that_are_short(media: ModuleType, data: bytes, mime_type: str | None) -> None:
    assert media.sniff(data) == mime_type


#: Kilobits a second, by MPEG's version (1, 2) and layer.
SPEEDS = {
    (1, 1): [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    (1, 2): [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    (1, 3): [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    (2, 1): [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    (2, 2): [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    (2, 3): [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
}
HERTZ = {1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 2.5: (11025, 12000, 8000)}


@pytest.mark.parametrize("version", HERTZ)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_every_speed_and_rate_of_mpegs_layers(media: ModuleType, version: float, layer: int) -> None:
    """Three frames, the second padded, one behind the other: a wrong length finds no next frame."""
    code = {1: 3, 2: 2, 2.5: 0}[version]
    samples = 384 if layer == 1 else 1152 if layer == 2 or version == 1 else 576
    for number, kbits in enumerate(SPEEDS[1 if version == 1 else 2, layer]):
        for rate, hertz in enumerate(HERTZ[version]):
            data = b""
            for padding in (0, 1, 0):
                slot = 4 if layer == 1 else 1
                length = (samples // 8 // slot * kbits * 1000 // hertz + padding) * slot
                head = bytes(
                    [0xFF, 0xE0 | code << 3 | (4 - layer) << 1 | 1, (number + 1) << 4 | rate << 2 | padding << 1, 0xC0]
                )
                data += head.ljust(length, b"\0")
            found = import_module(media.__name__.replace("_media_", "_media_audio_"))
            facts: dict[str, object] = {}
            windows = import_module(media.__name__.replace("_media_", "_media_window_"))
            found.mp3(windows.Window(data, Counting(data), len(data)), facts)
            assert facts == {
                "channels": 1, "sample_rate": hertz, "audio_codec": f"mp{layer}", "duration": 3 * samples / hertz
            }, kbits  # fmt: skip
