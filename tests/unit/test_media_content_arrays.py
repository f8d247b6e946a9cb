"""Media as images of PIL and arrays of numpy, and out of them; and without either."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell import AudioFormat, ImageFormat, MediaContent
from llmspell.errors import NotSupportedError, ValidationError
from llmspell.types import media_arrays
from support.media import SAMPLES, png, wav

numpy = pytest.importorskip("numpy")
pil = pytest.importorskip("PIL.Image")

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4])
)


@st.composite
def images(draw: st.DrawFn) -> Any:
    shape = draw(SHAPES)
    count = int(numpy.prod(shape))
    return numpy.frombuffer(draw(st.binary(min_size=count, max_size=count)), numpy.uint8).reshape(shape)


def flat(array: Any) -> Any:
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


@pytest.fixture(params=["with PIL", "without PIL"])
def with_or_without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param == "without PIL":
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
    return bool(request.param == "with PIL")


@given(array=images())
def test_an_array_is_a_png_and_the_same_array_again(array: Any) -> None:
    content = MediaContent.from_array(array)
    assert content.format is ImageFormat.PNG
    assert (content.metadata[1], content.metadata[0]) == array.shape[:2]
    assert (content.to_array() == flat(array)).all()
    assert content.to_array().dtype == numpy.uint8
    assert (media_arrays._of_png(numpy, content) == flat(array)).all()  # as it is read where PIL is missing
    assert (numpy.asarray(pil.open(io.BytesIO(content.to_bytes()))) == flat(array)).all()  # as others read it


def test_arrays_in_any_order_of_memory_are_images(with_or_without: bool) -> None:
    array = numpy.arange(4 * 5 * 3, dtype=numpy.uint8).reshape(4, 5, 3)
    for one in (array[::-1], array[:, ::2], numpy.asfortranarray(array), array[:, :, ::-1]):
        assert (MediaContent.from_array(one).to_array() == one).all()


@pytest.mark.parametrize("filters", [b"\0\0", b"\1\1", b"\2\2", b"\1\2"])
def test_a_png_of_simple_filters_is_read_without_pil_as_it_is_with_it(filters: bytes) -> None:
    rows = zlib.compress(b"".join(filters[i : i + 1] + bytes(range(1 + i, 7 + i)) for i in range(2)))
    data = png(2, 2)
    at = data.index(b"IDAT") - 4
    part = struct.pack(">I", len(rows)) + b"IDAT" + rows + struct.pack(">I", zlib.crc32(b"IDAT" + rows))
    content = MediaContent.image(data[:at] + part + data[-12:])
    assert (media_arrays._of_png(numpy, content) == content.to_array()).all()


def test_what_a_png_needs_pil_for_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    paeth = io.BytesIO()
    palette = io.BytesIO()
    noise = numpy.random.default_rng(1).integers(0, 9, (20, 20, 3), numpy.uint8).cumsum(0, dtype=numpy.uint8)
    pil.fromarray(noise).save(paeth, "png")
    pil.fromarray(noise).quantize(8).save(palette, "png")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    rows = zlib.compress(b"\3" + bytes(9) + b"\0" + bytes(9))
    average = png()[: (at := png().index(b"IDAT")) - 4] + struct.pack(">I", len(rows)) + b"IDAT" + rows
    average += struct.pack(">I", zlib.crc32(average[at:])) + png()[-12:]
    for data in (paeth.getvalue(), palette.getvalue(), average):
        content = MediaContent.image(data)
        with pytest.raises(NotSupportedError, match="needs pillow") as failed:
            content.to_array()
        assert failed.value.hint == "`pip install pillow`"
    for call in (
        lambda: MediaContent.image(SAMPLES["image/gif"]).to_array(),
        lambda: MediaContent.image(png()).to_pil(),
        lambda: MediaContent.from_pil("x"),
        lambda: MediaContent.from_array(noise, "webp"),
    ):
        with pytest.raises(NotSupportedError, match="needs pillow, which is not installed"):
            call()


def test_without_numpy_its_absence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for call in (
        lambda: MediaContent.from_array([[1]]),
        lambda: MediaContent.image(png()).to_array(),
        lambda: MediaContent.from_samples([1], 8000),
        lambda: MediaContent.audio(wav()).to_samples(),
    ):
        with pytest.raises(NotSupportedError, match="needs numpy, which is not installed") as failed:
            call()
        assert failed.value.hint == "`pip install numpy`"


@pytest.mark.parametrize("name", ["png", "JPG", "gif", "webp", "bmp", "tiff"])
def test_an_image_of_pil_is_written_in_the_format_that_is_asked_for(name: str) -> None:
    image = pil.new("RGB", (12, 7), (200, 100, 50))
    content = MediaContent.from_pil(image, name, detail="low")
    assert content.format is ImageFormat.from_name(name)
    assert (content.metadata[0], content.metadata[1]) == (12, 7)
    assert content.to_pil().size == (12, 7)
    array = content.to_array()
    assert array.shape[:2] == (7, 12)
    assert abs(array.astype(int)[3, 3][:3] - [200, 100, 50]).max() < 12
    assert MediaContent.from_array(array, name).format is content.format


def test_modes_of_pil_are_arrays_of_one_of_three_forms() -> None:
    forms = {"1": (3, 4), "L": (3, 4), "LA": (3, 4, 4), "P": (3, 4, 3), "RGB": (3, 4, 3), "RGBA": (3, 4, 4)}
    for mode, shape in forms.items():
        assert MediaContent.from_pil(pil.new(mode, (4, 3))).to_array().shape == shape, mode
    assert MediaContent.from_pil(pil.new("CMYK", (4, 3)), "tiff").to_array().shape == (3, 4, 3)
    with pytest.raises(NotSupportedError, match="more than 8 bits"):
        MediaContent.from_pil(pil.new("I;16", (4, 3))).to_array()


def test_a_palette_may_be_transparent() -> None:
    image = pil.new("P", (4, 3))
    file = io.BytesIO()
    image.save(file, "png", transparency=0)
    assert MediaContent.image(file.getvalue()).to_array().shape == (3, 4, 4)
    assert (MediaContent.image(file.getvalue()).to_array()[:, :, 3] == 0).all()


def test_a_file_is_decoded_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(6, 5))
    content = MediaContent.from_path(tmp_path / "a.png")
    assert content.to_pil().size == (6, 5)
    assert content.to_array().tolist() == [[[16, 32, 48]] * 6] * 5
    (tmp_path / "a.png").write_bytes(png(7, 7))
    with pytest.raises(ValidationError, match="has changed"):
        content.to_array()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        ([[1]], "takes an array of uint8, not a list"),
        (numpy.zeros((2, 2)), "takes an array of uint8, not an array of float64"),
        (numpy.zeros(4, numpy.uint8), "height × width, × 3 or × 4, and this one is 4"),
        (numpy.zeros((2, 2, 2), numpy.uint8), "this one is 2 × 2 × 2"),
        (numpy.zeros((2, 0, 3), numpy.uint8), "this one is 2 × 0 × 3"),
        (numpy.zeros((), numpy.uint8), "this one is one value"),
        (numpy.broadcast_to(numpy.uint8(1), (1 << 15, 1 << 14)), "at most 268435456 are taken"),
    ],
)
def test_an_array_that_is_no_image_is_told(array: Any, says: str) -> None:
    with pytest.raises(ValidationError) as failed:
        MediaContent.from_array(array)
    assert says in failed.value.message


def test_what_a_format_cannot_hold_is_told() -> None:
    with pytest.raises(ValidationError, match="of mode RGBA, cannot be written as jpeg"):
        MediaContent.from_pil(pil.new("RGBA", (2, 2)), "jpeg")
    with pytest.raises(NotSupportedError, match="cannot be written as svg"):
        MediaContent.from_pil(pil.new("RGB", (2, 2)), "svg")
    with pytest.raises(ValidationError, match="takes an image of PIL, not a str"):
        MediaContent.from_pil("x")
    with pytest.raises(NotSupportedError, match=r"PIL does not read image/svg\+xml"):
        MediaContent.image(SAMPLES["image/svg+xml"]).to_pil()
    with pytest.raises(ValidationError, match="is made of an image, and this is audio/wav"):
        MediaContent.audio(wav()).to_array()


def test_an_image_that_would_not_fit_into_memory_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    large = bytearray(png(3, 2))
    large[16:24] = struct.pack(">II", 30_000, 30_000)
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    content = MediaContent.from_media(MediaContent.image(png()).to_media()._replace(data=bytes(large)))
    with pytest.raises(ValidationError, match="30000 by 30000 pixels"):
        content.to_array()
    large[16:24] = struct.pack(">II", 15_000, 14_000)  # beyond PIL's own bound
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    content = MediaContent.from_media(MediaContent.image(png()).to_media()._replace(data=bytes(large)))
    with pytest.raises(ValidationError, match="too many pixels to be decoded"):
        content.to_array()
    # A head that is within the bound, and rows that are not: no more is unpacked than the head says.
    bomb = zlib.compress(bytes(200 << 20))
    at = bytes(png()).index(b"IDAT") - 4
    part = struct.pack(">I", len(bomb)) + b"IDAT" + bomb + struct.pack(">I", zlib.crc32(b"IDAT" + bomb))
    content = MediaContent.image(png()[:at] + part + png()[-12:])
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert content.to_array().shape == (2, 3, 3)


def test_a_png_of_fewer_rows_than_it_says_is_broken() -> None:
    large = bytearray(png(3, 2))
    large[20:24] = struct.pack(">I", 3)
    large[29:33] = struct.pack(">I", zlib.crc32(large[12:29]))
    content = MediaContent.image(bytes(large))
    with pytest.raises(ValidationError, match="fewer rows than its head says"):
        media_arrays._of_png(numpy, content)


@given(data=st.data())
def test_broken_images_are_told_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([png(20, 10), SAMPLES["image/bmp"], SAMPLES["image/tiff"]])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = MediaContent.image(bytes(whole))
    except ValidationError:
        return
    reads = [content.to_pil, content.to_array]
    if content.format is ImageFormat.PNG:
        reads.append(lambda: media_arrays._of_png(numpy, content))
    for read in reads:
        with suppress(ValidationError, NotSupportedError):
            read()


# ---- sound


@pytest.mark.parametrize("kind", ["u1", "<i2", ">i2", "<i4"])
@pytest.mark.parametrize("channels", [None, 1, 2, 5])
def test_samples_are_a_wav_and_the_same_samples_again(kind: str, channels: int | None) -> None:
    shape = (50,) if channels is None else (50, channels)
    info = numpy.iinfo(kind)
    samples = numpy.random.default_rng(3).integers(info.min, info.max, shape, numpy.dtype(kind).newbyteorder("="))
    content = MediaContent.from_samples(samples.astype(kind), 44_100)
    assert content.format is AudioFormat.WAV
    facts = content.metadata
    assert (facts.sample_rate, facts.channels) == (44_100, channels or 1)
    told, rate = content.to_samples()
    assert rate == 44_100
    assert (told == samples.reshape(50, -1)).all()


def test_floats_are_16_bits() -> None:
    told, _ = MediaContent.from_samples(numpy.array([0.0, 1.0, -1.0, 2.0, 0.5], numpy.float32), 8000).to_samples()
    assert told[:, 0].tolist() == [0, 32767, -32767, 32767, 16384]


def test_24_bits_are_the_upper_ones() -> None:
    body = b"\x01\x00\x00" + b"\xff\xff\x7f" + b"\x00\x00\x80"
    form = struct.pack("<HHIIHH", 1, 1, 8000, 24000, 3, 24)
    data = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(body)) + body + b"\0"
    told, _ = MediaContent.audio(b"RIFF" + struct.pack("<I", len(data)) + data).to_samples()
    assert told[:, 0].tolist() == [1 << 8, 0x7FFFFF << 8, -(1 << 31)]


@pytest.mark.parametrize(
    ("samples", "rate", "says"),
    [
        ([1], 8000, "takes an array of samples"),
        (numpy.zeros((2, 2, 2), numpy.int16), 8000, "takes an array of samples"),
        (numpy.zeros(0, numpy.int16), 8000, "takes an array of samples"),
        (numpy.zeros((2, 100), numpy.int16), 8000, "sound of 100 channels"),
        (numpy.zeros(4, numpy.int64), 8000, "samples are uint8, int16, int32 or floats, not int64"),
        (numpy.array([numpy.nan]), 8000, "not all numbers"),
        (numpy.zeros(4, numpy.int16), 0, "a whole number of Hz, not 0"),
        (numpy.zeros(4, numpy.int16), 44.1, "a whole number of Hz"),
        (numpy.zeros(4, numpy.int16), True, "a whole number of Hz"),
    ],
)
def test_samples_that_are_no_sound_are_told(samples: Any, rate: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MediaContent.from_samples(samples, rate)


def test_sound_of_another_kind_is_not_read() -> None:
    with pytest.raises(NotSupportedError, match="samples are read of WAV alone"):
        MediaContent.audio(SAMPLES["audio/flac"]).to_samples()
    floats = wav().replace(b"\x10\0\0\0\1\0\1\0", b"\x10\0\0\0\3\0\1\0", 1)
    with pytest.raises(NotSupportedError, match="samples are read of PCM alone"):
        MediaContent.from_bytes(floats, "audio/wav").to_samples()


@given(data=st.data())
def test_broken_sound_is_told_and_nothing_else(data: st.DataObject) -> None:
    whole = bytearray(wav(30))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(4, 60))] = data.draw(st.integers(0, 255))
    with suppress(ValidationError, NotSupportedError):
        MediaContent.audio(bytes(whole[: data.draw(st.integers(20, len(whole)))])).to_samples()


def test_what_is_asked_for_is_all_that_is_imported() -> None:
    code = (
        "import sys, numpy; from llmspell import MediaContent\n"
        "MediaContent.from_array(numpy.zeros((2, 2), 'uint8'))\nprint('PIL' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
