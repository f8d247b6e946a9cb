"""MediaContent: what it is made of, what it says, what it refuses; as plain values and JSON, and back."""

from __future__ import annotations

import base64
import copy
import io
import pickle
import tracemalloc
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
from llmspell.types.media_look import look
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


OTHERS: dict[Any, str] = {
    ImageFormat.PNG: "x-png apng", ImageFormat.JPEG: "jpg pjpeg jpe jfif", ImageFormat.WEBP: "x-webp",
    ImageFormat.BMP: "x-bmp x-ms-bmp dib", ImageFormat.TIFF: "tif x-tiff", ImageFormat.SVG: "svg x-svg+xml",
    AudioFormat.MP3: "mp3 x-mp3 mpeg3 x-mpeg mpga", AudioFormat.WAV: "x-wav wave vnd.wave x-pn-wav",
    AudioFormat.FLAC: "x-flac", AudioFormat.OGG: "x-ogg oga opus vorbis", AudioFormat.M4A: "m4a x-m4a m4b",
    AudioFormat.AAC: "x-aac aacp adts", VideoFormat.MP4: "m4v x-m4v", VideoFormat.AVI: "avi msvideo vnd.avi",
    VideoFormat.MOV: "mov qt x-quicktime", VideoFormat.MKV: "mkv matroska",
}  # fmt: skip


@pytest.mark.parametrize(("one", "names"), OTHERS.items())
def test_all_names_of_a_format_are_known(one: Any, names: str) -> None:
    major = one.mime_type.partition("/")[0]
    for name in names.split():
        assert type(one).from_name(name) is one
        assert type(one).from_mime(f"{major}/{name}") is one
        assert format_of(f"{major}/{name}") is format_of(f"{major}/{name}; q=1") is one


def test_what_has_no_format_here_has_none() -> None:
    assert [format_of(one) for one in ("text/plain", "image/heic", "image/", "png", "", "application/ogg")] == [
        None
    ] * 6


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
        (lambda: MediaContent.image(b""), "`MediaContent.image`: it is empty"),
        (lambda: MediaContent.image(png(), "jpeg"), "it is said to be image/jpeg, and its bytes are image/png"),
        (lambda: MediaContent.image(b"words", "png"), "it is said to be image/png, and its bytes are not"),
        (lambda: MediaContent.image(b"words"), "the bytes are no image that is known"),
        (lambda: MediaContent.image(wav()), "the bytes are audio/wav, and no image"),
        (lambda: MediaContent.audio(png()), "the bytes are image/png, and no audio"),
        (lambda: MediaContent.image(png()[:20]), "the image is broken: "),
        (lambda: MediaContent.image(png(0, 4)), "the image is broken: "),
        (lambda: MediaContent.image(png(), "mp3"), "it is said to be image/mp3, and its bytes are image/png"),
        (lambda: MediaContent.image(png(), "audio/mp3"), "`audio/mp3` is no image's format"),
        (lambda: MediaContent.image(png(), 7), "the format must be a text"),
        (lambda: MediaContent.image("a.png"), "takes bytes, not a str"),
        (
            lambda: MediaContent.image(png(), filename="a b.png", detail="high").to_text(),
            "`a b.png` is no text in UTF-8",
        ),
        (lambda: MediaContent.image(png(), detail="very"), "`detail` must be low, high or auto"),
        (lambda: MediaContent.image(png(), filename=3), "`filename` must be a text"),
        (lambda: MediaContent.binary(png()[:20], filename="p.png"), "`p.png`: the image is broken"),
        (lambda: MediaContent.binary(b"a", "image"), "the format must be like `png` or `image/png`"),
        (lambda: MediaContent.binary(b"a", "a/b\r\nx: y"), "the format must be like `png` or `image/png`"),
        (lambda: MediaContent.binary(b"a", "a/" + "b" * 200), "the format must be like `png` or `image/png`"),
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


def test_an_error_names_the_constructor() -> None:
    calls: dict[str, Any] = {
        "text": lambda: MediaContent.text("a", mime_type="a"),
        "image": lambda: MediaContent.image(b""),
        "audio": lambda: MediaContent.audio(b""),
        "video": lambda: MediaContent.video(b""),
        "binary": lambda: MediaContent.binary(b""),
        "from_bytes": lambda: MediaContent.from_bytes(b""),
        "from_base64": lambda: MediaContent.from_base64(""),
        "from_data_url": lambda: MediaContent.from_data_url("data:image/png,"),
        "from_file": lambda: MediaContent.from_file(io.BytesIO()),
        "from_url": lambda: MediaContent.from_url("https://a", "a"),
    }
    for name, call in calls.items():
        with pytest.raises(ValidationError, match=f"^`MediaContent.{name}`"):
            call()


def test_a_text_has_the_limit_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "file", 5)
    assert MediaContent.text("ab é").size == 5
    with pytest.raises(ValidationError, match=r"^`MediaContent\.text`: it has 6 bytes; of text at most 5 are taken"):
        MediaContent.text("abc é")


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
    with pytest.raises(ValidationError, match=f"it has {limit + 1} bytes; of .* at most {limit} are taken"):
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


@pytest.mark.parametrize(
    ("ending", "mime_type"),
    [
        ("md", "text/markdown"), ("csv", "text/csv"), ("tsv", "text/tab-separated-values"), ("htm", "text/html"),
        ("html", "text/html"), ("json", "application/json"), ("xml", "application/xml"), ("css", "text/css"),
        ("js", "text/javascript"), ("txt", "text/plain"), ("png", "text/plain"), ("", "text/plain"),
    ],
)  # fmt: skip
def test_a_text_is_what_its_file_s_ending_says(ending: str, mime_type: str) -> None:
    assert MediaContent.binary(b"words", filename=f"a.{ending}").mime_type == mime_type
    assert MediaContent.binary(b"\xff\xfe\xfd", filename=f"a.{ending}").mime_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        (b"a" * 65535 + "é".encode(), True),  # cut where no more is looked at
        (b"a" * 65533 + "😀".encode(), True),
        (b"a" * 65530 + b"\xffaaaaaa", False),
        (b"a" * 65534 + b"\xffa", False),
        (b"a" * 70000 + b"\xff", True),
        (b"abc\xc3", True),
        (b"\xc3", False),
        (b"a\0b", False),
    ],
)
def test_a_text_is_told_by_its_beginning(data: bytes, is_text: bool) -> None:
    assert MediaContent.binary(data).mime_type == ("text/plain" if is_text else "application/octet-stream")


def test_a_type_has_at_most_100_characters() -> None:
    assert MediaContent.binary(b"\0", "a/" + "b" * 98).mime_type == "a/" + "b" * 98
    with pytest.raises(ValidationError, match="the format must be like"):
        MediaContent.binary(b"\0", "a/" + "b" * 99)


def test_nothing_is_read_of_what_is_too_large() -> None:
    def read(offset: int, length: int) -> bytes:
        raise AssertionError("it was read")

    for kind, declared, size in (
        ("image", None, 100),
        (None, "audio/wav", 500),
        (None, "a/b", 100),
        (None, None, 5120),
    ):
        with pytest.raises(ValidationError, match=f"it has {(size << 20) + 1} bytes; of"):
            look(read, (size << 20) + 1, kind, declared, "a")


def test_formats_that_are_known_are_told_where_bytes_are_none() -> None:
    with pytest.raises(ValidationError) as failed:
        MediaContent.audio(b"words")
    assert failed.value.hint == "mp3, wav, flac, ogg, m4a, aac are; say which it is, if it is one"


def test_a_text_is_its_words() -> None:
    text = MediaContent.text("a é")
    assert (text.kind, text.size, text.to_bytes(), text.to_text()) == ("text", 4, "a é".encode(), "a é")
    assert text.to_part() == "a é"
    assert MediaContent.text("").to_part() == ""
    assert text.to_data_url() == "data:text/plain;charset=utf-8;base64,YSDDqQ=="
    assert MediaContent.from_data_url(text.to_data_url()) == text
    assert MediaContent.binary(b"%PDF-").to_data_url() == "data:application/pdf;base64,JVBERi0="
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


@pytest.mark.parametrize(
    "media",
    [
        Media("image/*", url="http://x.org/a"),
        Media("image/png", png()[:20], detail="low"),
        Media("image/png", wav(), filename="a"),
        Media("odd", b""),
        Media("audio/l16;rate=24000", b"\0\1"),
    ],
)
def test_whatever_a_model_made_is_taken_as_it_is_said_to_be(media: Media) -> None:
    content = media.to_content()
    assert content.to_media() == media
    assert (content.kind, content.mime_type, content.size) == (media.kind, media.mime_type, media.size)
    assert repr(content)


def test_a_medium_of_nothing_is_told() -> None:
    with pytest.raises(ValidationError, match="without bytes and without an address"):
        Media("image/png").to_content()


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


def test_a_file_is_called_so_or_binary() -> None:
    kept = MediaContent.binary(b"\0\1")
    assert kept.to_dict()["type"] == "file"
    for word in ("file", "binary", None):
        assert MediaContent.from_dict({"type": word, "data": b"\0\1"}) == kept
        assert MediaContent.from_dict({"type": word, "data": png()}) == MediaContent.image(png())
    with pytest.raises(ValidationError, match="is said to be of type file, and it is text"):
        MediaContent.from_dict({"type": "binary", "text": "a"})


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
        ("\tdata:,a", "a"),
        ("data:,a ", "a"),
        ("data:,%zz", "%zz"),
    ],
)  # fmt: skip
def test_a_data_url_of_a_text_is_its_words(url: str, text: str) -> None:
    assert MediaContent.from_data_url(url).to_part() == text


CHARSETS = {
    "utf-8 utf-16 utf-16le utf-16be gb18030": "é ж 東",
    "us-ascii": "a",
    "iso-8859-1 latin1 iso-8859-15 windows-1252": "é",
    "iso-8859-2 windows-1250": "ł",
    "iso-8859-5 windows-1251 koi8-r": "ж",
    "koi8-u": "ї",
    "iso-8859-7 windows-1253": "ω",
    "iso-8859-9 windows-1254": "ş",
    "windows-1257": "ą",
    "shift_jis euc-jp iso-2022-jp": "東京",
    "gb2312 gbk": "东",
    "big5": "東",
    "euc-kr": "한",
}


@pytest.mark.parametrize(("names", "text"), CHARSETS.items())
def test_a_data_url_may_be_in_any_charset_of_the_web(names: str, text: str) -> None:
    for name in names.split():
        body = "".join(f"%{byte:02x}" for byte in text.encode(name))
        for said in (name, name.upper(), f'"{name}"'):
            assert MediaContent.from_data_url(f"data:text/plain;charset={said},{body}").to_text() == text, name


def test_a_data_url_that_is_too_long_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.types.media_content.LARGEST_CALL", 20)
    monkeypatch.setattr("llmspell.types.media_urls.unquote_to_bytes", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ValidationError, match="the data URL has more than 20 bytes"):
        MediaContent.from_data_url("data:," + "a" * 61)


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
        ("data:image/png,abc", "it is said to be image/png, and its bytes are not"),
        ("data:text/plain;charset=rot13,abc", "charset `rot13` is none that is known"),
        ("data:text/plain;charset=unicode_escape,abc", "is none that is known"),
        ("data:text/plain;charset=no\0ne,abc", "is none that is known"),
        ("data:text/plain,%ff", "is not utf-8: byte 0 is wrong"),
        ("data:,a\ud800", "character 2 of the data URL's data is half a surrogate pair"),
        ("data:a b,abc", "the format must be like"),
        ("data:image/png;base64,", "it is empty"),
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


@pytest.mark.parametrize("before", range(8))
def test_a_long_data_url_is_read_block_by_block(before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.types.media_urls.BLOCK", 8)
    body = "x" * before + "%41é%%4" + "%42" * 9 + "%"
    assert MediaContent.from_data_url("data:," + body).to_text() == "x" * before + "Aé%%4" + "B" * 9 + "%"
    coded = base64.b64encode(png()).decode().replace("/", "%2F").replace("=", "%3D")
    assert MediaContent.from_data_url(f"data:image/png;base64,{coded}") == MediaContent.image(png())


def test_many_escapes_take_no_memory_out_of_proportion() -> None:
    url = "data:application/pdf," + "%25%50%44%46%2d" + "%ff" * (1 << 20)
    tracemalloc.start()
    try:
        assert MediaContent.from_data_url(url).size == 5 + (1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


def test_a_name_that_is_half_a_character_can_be_written() -> None:
    one = MediaContent.image(png(), filename="a\ud800.png")
    assert one.filename == "a?.png"
    assert MediaContent.from_dict(orjson.loads(orjson.dumps(one.to_json()))) == one


def test_a_data_url_of_more_than_a_call_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.types.media_content.LARGEST_CALL", 20)
    assert MediaContent.from_data_url("data:," + "%20" * 20).size == 20
    for body in ("%20" * 21, "a" * 21, "a" * 100):
        with pytest.raises(ValidationError, match="the data URL has more than 20 bytes"):
            MediaContent.from_data_url(f"data:,{body}")


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

    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            return 0

    with pytest.raises(ValidationError, match="the file took nothing"):
        MediaContent.image(png()).to_file(Full())
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
