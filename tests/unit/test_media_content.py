"""MediaContent: what it is made of, what it says, what it refuses; as plain values and JSON, and back."""

from __future__ import annotations

import base64
import copy
import io
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmspell
from llmspell import (
    AudioFormat,
    AudioMetadata,
    ImageFormat,
    ImageMetadata,
    MediaContent,
    VideoFormat,
    VideoMetadata,
)
from llmspell.errors import ValidationError
from llmspell.types import media as types_media
from llmspell.types.media import LIMITS, Media, Referred
from llmspell.types.media_formats import format_of
from support.media import SAMPLES, mp4, png, wav

FORMATS = [*ImageFormat, *AudioFormat, *VideoFormat]
KINDS = {"image": MediaContent.image, "audio": MediaContent.audio, "video": MediaContent.video}

# ---- formats


def test_the_formats_are_those_that_are_promised() -> None:
    told = {kind.__name__: [one.value for one in kind] for kind in (ImageFormat, AudioFormat, VideoFormat)}
    assert told == {
        "ImageFormat": ["png", "jpeg", "gif", "webp", "bmp", "tiff", "svg"],
        "AudioFormat": ["mp3", "wav", "flac", "ogg", "m4a", "aac"],
        "VideoFormat": ["mp4", "webm", "avi", "mov", "mkv"],
    }
    assert {one.mime_type for one in FORMATS} == set(SAMPLES)


@pytest.mark.parametrize("one", FORMATS)
def test_a_format_is_found_by_its_own_words_in_either_case(one: Any) -> None:
    kind = type(one)
    assert kind.from_mime(one.mime_type) is kind.from_mime(f" {one.mime_type.upper()}; q=1") is one
    assert kind.from_extension(one.extension) is kind.from_extension(f"A.B{one.extension.upper()}") is one
    assert kind.from_name(one.value) is kind.from_name(one.name) is kind.from_name(one.mime_type) is one
    assert format_of(one.mime_type) is one


@pytest.mark.parametrize(
    ("way", "word", "right"),
    [
        (ImageFormat.from_mime, "image/jpg", ImageFormat.JPEG),
        (ImageFormat.from_mime, "image/x-ms-bmp", ImageFormat.BMP),
        (ImageFormat.from_extension, ".tif", ImageFormat.TIFF),
        (ImageFormat.from_name, "Jpg", ImageFormat.JPEG),
        (AudioFormat.from_mime, "audio/vnd.wave", AudioFormat.WAV),
        (AudioFormat.from_mime, "audio/x-m4a", AudioFormat.M4A),
        (AudioFormat.from_mime, "application/ogg", AudioFormat.OGG),
        (AudioFormat.from_extension, "opus", AudioFormat.OGG),
        (VideoFormat.from_extension, "film.M4V", VideoFormat.MP4),
        (VideoFormat.from_name, "quicktime", VideoFormat.MOV),
        (VideoFormat.from_name, "Matroska", VideoFormat.MKV),
    ],
)
def test_a_format_is_found_by_other_names(way: Any, word: str, right: Any) -> None:
    assert way(word) is right


@pytest.mark.parametrize(
    ("way", "word"),
    [
        (ImageFormat.from_mime, "audio/png"),
        (ImageFormat.from_mime, "png"),
        (ImageFormat.from_mime, ""),
        (ImageFormat.from_name, "mp3"),
        (ImageFormat.from_name, None),
        (AudioFormat.from_extension, "jpg"),
        (AudioFormat.from_extension, "."),
        (VideoFormat.from_mime, 3),
    ],
)
def test_what_is_no_format_is_told_with_those_that_are(way: Any, word: Any) -> None:
    with pytest.raises(
        ValidationError, match=r"is no (MIME type|name|extension) of an? (image|audio|video) format"
    ) as e:
        way(word)
    assert e.value.hint is not None
    assert e.value.hint.startswith("there are ")


# ---- bytes


@pytest.mark.parametrize("mime_type", SAMPLES)
def test_bytes_tell_what_they_are(mime_type: str) -> None:
    data = SAMPLES[mime_type]
    kind = mime_type.partition("/")[0]
    found = MediaContent.from_bytes(data)
    assert (found.kind, found.mime_type, found.size) == (kind, mime_type, len(data))
    assert found.format is format_of(mime_type)
    assert found.metadata is not None
    assert found.metadata.size == len(data)
    for declared in (None, found.format, found.format and found.format.value, mime_type.upper()):
        assert KINDS[kind](data, declared) == found == MediaContent.from_bytes(memoryview(data), declared and mime_type)
    assert MediaContent.from_bytes(bytearray(data)).to_bytes() == data


def test_the_head_s_facts_are_its_metadata() -> None:
    assert MediaContent.image(png(5, 4)).metadata == ImageMetadata(
        width=5, height=4, bit_depth=8, color="rgb", alpha=False, size=len(png(5, 4))
    )
    assert MediaContent.audio(wav(4000, 8000)).metadata == AudioMetadata(0.5, 8000, 1, 16, "pcm", len(wav(4000)))
    film = MediaContent.video(SAMPLES["video/x-matroska"]).metadata
    assert film == VideoMetadata(width=64, height=48, codec="vp8", size=len(SAMPLES["video/x-matroska"]))


def test_a_container_holds_sound_or_video() -> None:
    assert MediaContent.audio(mp4()).mime_type == "audio/mp4"
    assert MediaContent.audio(mp4()).format is AudioFormat.M4A
    assert MediaContent.video(mp4()).format is VideoFormat.MP4


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MediaContent.image(b""), "`MediaContent.image` is empty"),
        (lambda: MediaContent.image(png(), "jpeg"), "is said to be image/jpeg, and its bytes are image/png"),
        (lambda: MediaContent.image(b"words", "png"), "is said to be image/png, and its bytes are not"),
        (lambda: MediaContent.image(b"words"), "the bytes are no image that is known"),
        (lambda: MediaContent.image(wav()), "the bytes are audio/wav, and no image"),
        (lambda: MediaContent.audio(png()), "the bytes are image/png, and no audio"),
        (lambda: MediaContent.image(png()[:20]), "the image is broken: "),
        (lambda: MediaContent.image(png(0, 4)), "the image is broken: "),
        (lambda: MediaContent.image(png(), "mp3"), "`mp3` is no name of an image format"),
        (lambda: MediaContent.image(png(), "audio/mp3"), "`audio/mp3` is no image's type"),
        (lambda: MediaContent.image(png(), 7), "a format is a text"),
        (lambda: MediaContent.image("a.png"), "takes bytes, not a str"),
        (
            lambda: MediaContent.image(png(), filename="a b.png", detail="high").to_text(),
            "`a b.png` is no text in UTF-8",
        ),
        (lambda: MediaContent.image(png(), detail="very"), "`detail` must be low, high or auto"),
        (lambda: MediaContent.image(png(), filename=3), "`filename` must be a text"),
        (lambda: MediaContent.binary(png()[:20], filename="p.png"), "`p.png`: the image is broken"),
        (lambda: MediaContent.binary(b"a", "image"), "the MIME type must be like `image/png`"),
        (lambda: MediaContent.binary(b"a", "a/b\r\nx: y"), "the MIME type must be like `image/png`"),
        (lambda: MediaContent.binary(b"a", "a/" + "b" * 200), "the MIME type must be like `image/png`"),
        (lambda: MediaContent.text(b"a"), "takes a text, not a bytes"),
        (lambda: MediaContent.text("a", mime_type="image/png"), "`image/png` is no text's type"),
        (lambda: MediaContent.text("\ud800"), "half a surrogate pair, at character 1"),
        (lambda: MediaContent.from_url("http://a/b", "image/png"), "begins with https://"),
        (lambda: MediaContent.from_url("https://u:p@a/b", "image/png"), "begins with https://"),
        (lambda: MediaContent.from_url("https://[", "image/png"), "begins with https://"),
        (lambda: MediaContent.from_url("https://a/b.png", "image/png").to_bytes(), "only the address is known"),
    ],
)
def test_what_is_wrong_is_told(make: Any, says: str) -> None:
    with pytest.raises(ValidationError) as failed:
        make()
    assert says in failed.value.message
    assert "\n" not in failed.value.message


def test_an_error_does_not_tell_the_content() -> None:
    secret = b"S3CRET" * 10
    with pytest.raises(ValidationError) as failed:
        MediaContent.image(secret)
    assert "S3CRET" not in failed.value.message + str(failed.value.hint)


class Long(bytes):
    """Bytes that say that they are more than they are."""

    said = 0

    def __len__(self) -> int:
        return self.said

    def __getitem__(self, index: Any) -> Any:
        raise AssertionError("it was read")


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (MediaContent.image, 100 << 20),
        (MediaContent.audio, 500 << 20),
        (MediaContent.video, 5 << 30),
        (lambda data: MediaContent.binary(data, "application/pdf"), 100 << 20),
        (MediaContent.from_bytes, 5 << 30),
    ],
)
def test_sizes_are_looked_at_before_the_bytes(make: Any, limit: int) -> None:
    assert limit in LIMITS.values()
    data = Long(b"x")
    data.said = limit + 1
    with pytest.raises(ValidationError, match=f"has {limit + 1} bytes; of .* at most {limit} are taken"):
        make(data)


def test_what_is_no_image_has_the_limit_of_files() -> None:
    data = bytes((100 << 20) + 1)
    with pytest.raises(ValidationError, match="of file at most 104857600"):
        MediaContent.binary(data)


def test_any_file_is_taken_and_named_by_what_it_is() -> None:
    assert MediaContent.binary(b"%PDF-1.7\n").mime_type == "application/pdf"
    assert MediaContent.binary("é".encode() * 10).mime_type == "text/plain"
    assert MediaContent.binary(b"a,b\n", filename="x.CSV").mime_type == "text/csv"
    assert MediaContent.binary(b"\xff\0\xff").mime_type == "application/octet-stream"
    assert MediaContent.binary(png()) == MediaContent.image(png())
    kept = MediaContent.binary(png(), "application/octet-stream", "p.bin")
    assert (kept.kind, kept.metadata, kept.format, kept.filename) == ("file", None, None, "p.bin")
    drawing = MediaContent.binary(SAMPLES["image/svg+xml"], "text/xml")
    assert (drawing.kind, drawing.to_text()) == ("file", SAMPLES["image/svg+xml"].decode())


def test_a_text_is_its_words() -> None:
    text = MediaContent.text("a é")
    assert (text.kind, text.size, text.to_bytes(), text.to_text()) == ("text", 4, "a é".encode(), "a é")
    assert text.to_part() == "a é"
    assert MediaContent.text("").to_part() == ""
    assert MediaContent.from_data_url(text.to_data_url()) == text
    assert repr(text) == "<MediaContent text, 4 bytes>"


def test_an_address_goes_to_the_model_as_it_is() -> None:
    there = MediaContent.from_url("https://x.org/a.jpg", "image/jpg", detail="low")
    assert there.to_media() == Media("image/jpeg", None, "https://x.org/a.jpg", None, "low")
    assert (there.size, there.format, there.url) == (None, ImageFormat.JPEG, "https://x.org/a.jpg")
    assert MediaContent.from_dict(there.to_json()) == there
    assert repr(there) == "<MediaContent image/jpeg, 'https://x.org/a.jpg'>"


# ---- a value


def test_a_medium_cannot_be_changed_and_has_no_room_for_more() -> None:
    one = MediaContent.image(png())
    for name in ("mime_type", "_data", "more"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(one, name, "x")
    with pytest.raises(AttributeError):
        del one.kind
    assert not hasattr(one, "__dict__")
    with pytest.raises(TypeError, match="made by its constructors"):
        MediaContent()


def test_equal_media_are_one_value(tmp_path: Path) -> None:
    one, same, other = MediaContent.image(png()), MediaContent.image(png()), MediaContent.image(png(4))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != MediaContent.image(png(), detail="low")
    assert one != png()
    assert copy.deepcopy(one) is copy.copy(one) is one
    (tmp_path / "a.png").write_bytes(png())
    for value in (one, MediaContent.text("é"), MediaContent.from_path(tmp_path / "a.png")):
        assert pickle.loads(pickle.dumps(value)) == value


def test_its_words_are_short_and_never_its_bytes() -> None:
    assert repr(MediaContent.image(png(), filename="a\nb.png")) == "<MediaContent image/png, 73 bytes, 3x2, 'a b.png'>"
    assert repr(MediaContent.audio(wav())) == "<MediaContent audio/wav, 3244 bytes, 0.2 s>"
    assert len(repr(MediaContent.text("x" * 10_000))) < 60


# ---- what models and tools give


def test_what_a_model_made_is_a_medium_with_its_format() -> None:
    made = Media("image/png", png(), filename="a.png")
    content = made.to_content()
    assert (content.format, content.metadata and content.metadata.size) == (ImageFormat.PNG, 73)
    assert content.to_media() == made
    output = llmspell.AgentOutput.of("here", content, Media("image/png", b"odd"))
    assert output.media == (made, Media("image/png", b"odd"))
    first, second = output.media_contents
    assert first == content
    assert (second.kind, second.mime_type, second.to_bytes()) == ("image", "image/png", b"odd")


def test_the_names_are_where_they_are_looked_for() -> None:
    for name in ("MediaContent", "ImageFormat", "AudioFormat", "VideoFormat", "ImageMetadata", "VideoMetadata"):
        assert getattr(types_media, name) is getattr(llmspell, name)
    with pytest.raises(AttributeError):
        _ = types_media.NoSuch


# ---- plain values


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CONTENTS: st.SearchStrategy[MediaContent] = st.one_of(
    st.builds(MediaContent.text, WORDS, mime_type=st.sampled_from(["text/plain", "text/markdown"]), filename=WORDS),
    st.builds(
        MediaContent.from_bytes, st.sampled_from([*SAMPLES.values()]), filename=st.none() | WORDS,
        detail=st.sampled_from([None, "low", "high", "auto"]),
    ),
    st.builds(
        MediaContent.binary, st.binary(min_size=1, max_size=50), st.just("application/octet-stream"), st.none() | WORDS
    ),
    st.builds(MediaContent.from_url, st.just("https://x.org/a"), st.sampled_from([*SAMPLES, "application/pdf"])),
)  # fmt: skip


@given(content=CONTENTS)
def test_a_medium_is_the_same_after_plain_values_and_after_json(content: MediaContent) -> None:
    assert MediaContent.from_dict(content.to_dict()) == content
    again = MediaContent.from_dict(orjson.loads(orjson.dumps(content.to_json())))
    assert again == content
    assert (again.kind, again.mime_type, again.size, again.metadata) == (
        content.kind, content.mime_type, content.size, content.metadata,
    )  # fmt: skip


@given(content=CONTENTS.filter(lambda one: one.url is None))
def test_a_medium_is_the_same_after_a_data_url(content: MediaContent) -> None:
    again = MediaContent.from_data_url(content.to_data_url())
    assert again.to_bytes() == content.to_bytes()
    if content.mime_type != "application/octet-stream":
        assert (again.kind, again.format) == (content.kind, content.format)


def test_plain_values_are_what_a_script_may_say(tmp_path: Path) -> None:
    content = MediaContent.image(png(), filename="a.png", detail="low")
    told = content.to_dict()
    assert told == {
        "type": "image", "mime_type": "image/png", "data": png(), "size": 73, "filename": "a.png", "detail": "low",
        "format": "png",
        "metadata": {"width": 3, "height": 2, "bit_depth": 8, "color": "rgb", "alpha": False},
    }  # fmt: skip
    from llmspell.bridge.parts import part_of

    for values in (told, content.to_json()):
        assert part_of(values, "f", "media") == content.to_media()
    assert part_of(MediaContent.text("é").to_dict(), "f", "content") == "é"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([], "a medium is a table, not a list"),
        ({"type": "image"}, "has one of text, data, base64, path, url, and this one has none of them"),
        ({"data": png(), "url": "https://a/b"}, "this one has data and url"),
        ({"type": "sound", "data": png()}, "`type` of a medium must be one of text, image, audio, video, file"),
        ({"type": 3, "data": png()}, "`type` of a medium must be a text, not a int"),
        ({"type": "audio", "data": png()}, "is said to be of type audio, and it is image"),
        ({"type": "file", "text": "a"}, "is said to be of type file, and it is text"),
        ({"data": "text"}, "`data` of a medium must be bytes, not a str"),
        ({"base64": "?"}, "character 1 of the base64 is"),
        ({"base64": b"aaaa"}, "`base64` of a medium must be a text, not a bytes"),
        ({"data": png(), "filename": 3}, "`filename` of a medium must be a text"),
        ({"url": "https://a/b"}, "has no `mime_type`"),
        ({"path": "/etc/hostname"}, "names a file of this machine, which was not allowed"),
    ],
)
def test_plain_values_that_are_no_medium_are_told(told: Any, says: str) -> None:
    with pytest.raises(ValidationError) as failed:
        MediaContent.from_dict(told)
    assert says in failed.value.message


JUNK = st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.binary(max_size=10)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    told=st.dictionaries(
        st.sampled_from(["type", "text", "data", "base64", "path", "url", "mime_type", "filename", "detail", "size"]),
        JUNK | st.sampled_from(["image", "text", "image/png", png(), "/nowhere/at/all", "https://a/b"]),
        max_size=5,
    )
)
def test_whatever_the_values_are_they_are_a_medium_or_an_error(told: dict[str, Any]) -> None:
    with suppress(ValidationError):
        made = MediaContent.from_dict(told)
        assert MediaContent.from_dict(made.to_dict()) == made


@given(data=st.binary(min_size=1, max_size=200), mime_type=st.none() | st.sampled_from([*SAMPLES, "text/plain", "x/y"]))
def test_whatever_the_bytes_are_they_are_a_medium_or_an_error(data: bytes, mime_type: str | None) -> None:
    with suppress(ValidationError):
        made = MediaContent.from_bytes(data, mime_type)
        assert made.to_bytes() == data
        assert MediaContent.from_bytes(made.to_bytes(), made.mime_type) == made


# ---- data URLs, and base64 as a whole


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("data:,", ""),
        ("data:,a%20b%2C", "a b,"),
        ("DATA:text/plain;charset=utf-8,%C3%A9", "é"),
        ("data:text/plain;charset=ISO-8859-1,%E9", "é"),
        ("data:;charset=latin-1;BASE64,6Q==", "é"),
        ("data:text/html; charset=\"utf-16\" ;base64,//5hAA==", "a"),
        (" data:text/plain;base64,YQ%3D%3D\n", "a"),
        ("data:,%zz", "%zz"),
    ],
)  # fmt: skip
def test_a_data_url_of_a_text_is_its_words(url: str, text: str) -> None:
    assert MediaContent.from_data_url(url).to_part() == text


def test_a_data_url_of_bytes_is_them() -> None:
    coded = base64.b64encode(png()).decode()
    for url in (
        f"data:image/png;base64,{coded}",
        f"data:IMAGE/PNG;BASE64,{coded}",
        f"data:image/png;base64,{coded[:10]}\n {coded[10:]}",
        "data:image/png," + "".join(f"%{byte:02x}" for byte in png()),
    ):
        assert MediaContent.from_data_url(url) == MediaContent.image(png())
    svg = MediaContent.from_data_url(
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='3' height='4'/>"
    )
    assert svg.format is ImageFormat.SVG


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://a", "begins with `data:`"),
        ("", "begins with `data:`"),
        (3, "takes a text, not a int"),
        ("data:image/png;base64", "has no comma"),
        ("data:" + "x" * 2000 + ",a", "has no comma"),
        ("data:image/png;base64,AA?A", "character 3 of the base64 is the byte 0x3f"),
        ("data:image/png;base64,AAA", "the base64 ends at character 3 with 0 of 1 `=`"),
        ("data:image/png,abc#d", "character 19 of the data URL is `#`"),
        ("data:image/png,abc", "is said to be image/png, and its bytes are not"),
        ("data:text/plain;charset=rot13,abc", "charset `rot13` is none that is known"),
        ("data:text/plain;charset=unicode_escape,abc", "is none that is known"),
        ("data:text/plain;charset=no\0ne,abc", "is none that is known"),
        ("data:text/plain,%ff", "is not utf-8: byte 0 is wrong"),
        ("data:a b,abc", "the MIME type must be like"),
        ("data:image/png;base64,", "is empty"),
    ],
)
def test_a_data_url_that_is_none_is_told(url: Any, says: str) -> None:
    with pytest.raises(ValidationError) as failed:
        MediaContent.from_data_url(url)
    assert says in failed.value.message


@given(url=st.text(max_size=60).map("data:".__add__) | st.from_regex(r"data:[\w/;=, %+-]{0,20},[\w%=+/ ]{0,30}"))
def test_whatever_a_data_url_is_it_is_a_medium_or_an_error(url: str) -> None:
    with suppress(ValidationError):
        made = MediaContent.from_data_url(url)
        assert made.size is not None


# ---- file objects


class Dull(io.RawIOBase):
    """A file that gives little at once and cannot be asked where it stands."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self.data, self.step, self.given = data, step, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> Any:
        piece = self.data[self.given : self.given + min(size, self.step)]
        self.given += len(piece)
        return piece


def test_an_open_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"before" + png())
    file.seek(6)
    assert MediaContent.from_file(file) == MediaContent.image(png())
    assert MediaContent.from_file(Dull(png()), "image/png", filename="a.png").filename == "a.png"


def test_of_an_open_file_no_more_is_read_than_is_taken() -> None:
    class Endless(Dull):
        def read(self, size: int = -1) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless(b"")
    with pytest.raises(ValidationError, match="has more than 5000000 bytes"):
        MediaContent.from_file(endless, largest=5_000_000)
    assert endless.given == 5_000_001

    class Known(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError("it was read")

    with pytest.raises(ValidationError, match=r"`a\.png` has 73 bytes, more than 72"):
        MediaContent.from_file(Known(png()), filename="a.png", largest=72)


@pytest.mark.parametrize(
    ("gives", "says"),
    [("text", "gave a str to read"), (None, "nothing to read now"), (OSError(5, "I/O error"), "cannot read `a`")],
)
def test_an_open_file_that_gives_no_bytes_is_told(gives: Any, says: str) -> None:
    class Odd(Dull):
        def read(self, size: int = -1) -> Any:
            if isinstance(gives, Exception):
                raise gives
            return gives

    with pytest.raises(ValidationError) as failed:
        MediaContent.from_file(Odd(b""), filename="a")
    assert says in failed.value.message


def test_it_is_written_to_an_open_file_that_takes_little_at_once() -> None:
    class Small(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data)[:10])

    file = Small()
    assert MediaContent.image(png()).to_file(file) == 73
    assert file.getvalue() == png()
    with MediaContent.image(png()).open() as opened:
        assert opened.read() == png()


def test_a_part_of_bytes_is_a_plain_medium_and_one_of_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    assert type(MediaContent.image(png()).to_part()) is Media
    part = MediaContent.from_path(tmp_path / "a.png").to_part()
    assert isinstance(part, Referred)
    assert part.data is None
