"""What media are called, and data URLs to the byte: charsets, bounds, names of formats."""

from __future__ import annotations

import pytest

from llmspell._speedups._media_codes import fourcc_name
from llmspell.errors import ValidationError
from llmspell.types.media_formats import AudioFormat, ImageFormat, VideoFormat, format_of
from llmspell.types.media_urls import DataURL, parse_data_url


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "é"), ("utf-16", "é"), ("utf-16-le", "é"), ("utf-16-be", "é"), ("us-ascii", "e"), ("latin-1", "é"),
        ("iso-8859-2", "ł"), ("iso-8859-5", "ж"), ("iso-8859-7", "λ"), ("iso-8859-9", "ş"), ("iso-8859-15", "€"),
        ("windows-1250", "ł"), ("windows-1251", "ж"), ("windows-1252", "€"), ("windows-1253", "λ"),
        ("windows-1254", "ş"), ("windows-1257", "ā"), ("koi8-r", "ж"), ("koi8-u", "є"), ("Shift_JIS", "世"),
        ("EUC-JP", "世"), ("iso-2022-jp", "世"), ("gb2312", "世"), ("gbk", "世"), ("gb18030", "世"), ("big5", "世"),
        ("euc-kr", "한"),
    ],
)  # fmt: skip
def test_texts_in_each_charset(charset: str, text: str) -> None:
    assert DataURL("text/plain", charset, text.encode(charset)).text == text


@pytest.mark.parametrize("charset", ["utf-7", "idna", "unicode_escape", "rot13", "base64", "no\0ne", "x" * 300])
def test_a_charset_that_is_none_is_told(charset: str) -> None:
    with pytest.raises(ValidationError, match="is none that is known"):
        _ = DataURL("text/plain", charset, b"a").text


def test_without_a_charset_it_is_utf_8_and_what_is_none_is_told() -> None:
    assert DataURL("text/plain", "", "é".encode()).text == "é"
    with pytest.raises(ValidationError, match="the data URL is not utf-8: byte 1 is wrong"):
        _ = DataURL("text/plain", "", b"a\xff").text


@pytest.mark.parametrize("body", ["abc", "%61%62%63", ";base64,YWJj"])
def test_as_many_bytes_as_may_be_and_no_more(body: str) -> None:
    url = f"data:text/plain{body if body[0] == ';' else ',' + body}"
    assert parse_data_url(url, 3).data == b"abc"
    with pytest.raises(ValidationError, match="more than 2 bytes"):
        parse_data_url(url, 2)


def test_its_head_is_short_and_its_parts_are_read_whatever_their_case() -> None:
    assert parse_data_url("data:,", 0) == ("", "", b"")
    told = parse_data_url(' DATA:Text/HTML; CharSet="ISO-8859-1" ;BASE64,6Q== ', 10)
    assert (told.mime_type, told.data, told.text) == ("text/html", b"\xe9", "é")
    assert parse_data_url("data:" + "a" * 999 + ",x", 9).data == b"x"
    with pytest.raises(ValidationError, match="no comma"):
        parse_data_url("data:" + "a" * 1000 + ",x", 9)
    with pytest.raises(ValidationError, match="character 7 of the data URL is `#`"):
        parse_data_url("data:,#", 9)


@pytest.mark.parametrize(
    ("names", "format_"),
    [
        ("image/svg image/svg+xml image/x-svg+xml", ImageFormat.SVG), ("image/tif image/x-tiff", ImageFormat.TIFF),
        ("image/jpg image/pjpeg image/jpe image/jfif", ImageFormat.JPEG), ("image/x-png image/apng", ImageFormat.PNG),
        ("image/x-bmp image/x-ms-bmp image/dib", ImageFormat.BMP), ("image/gif", ImageFormat.GIF),
        ("image/webp image/x-webp", ImageFormat.WEBP),
        ("audio/mpeg audio/x-mp3 audio/mpeg3 audio/x-mpeg audio/mpga audio/mp3", AudioFormat.MP3),
        ("audio/x-wav audio/wave audio/vnd.wave audio/x-pn-wav", AudioFormat.WAV), ("audio/x-flac", AudioFormat.FLAC),
        ("audio/x-ogg audio/oga audio/opus audio/vorbis", AudioFormat.OGG), ("audio/mp4 audio/x-m4a", AudioFormat.M4A),
        ("audio/aacp audio/adts", AudioFormat.AAC), ("video/m4v video/x-m4v", VideoFormat.MP4),
        ("video/msvideo video/vnd.avi", VideoFormat.AVI), ("video/qt video/x-quicktime", VideoFormat.MOV),
        ("video/mkv video/matroska video/x-matroska", VideoFormat.MKV), ("video/webm", VideoFormat.WEBM),
    ],
)  # fmt: skip
def test_each_name_of_a_format(names: str, format_: object) -> None:
    for name in names.split():
        kind, minor = name.split("/")
        assert format_of(f"{kind}/{minor.upper()} ; q=1") is format_
        assert format_of(name) is format_


def test_what_has_no_name_here() -> None:
    assert format_of("image/odd") is format_of("text/png") is format_of("png") is format_of("") is None


@pytest.mark.parametrize(
    ("code", "name"),
    [(b"avc1", "h264"), (b"RAW ", "rawvideo"), (b"png\0", "png"), (b"ODD1", "odd1"), (b"\xff\xff\xff\xff", None),
     (b"\0\0\0\0", None), (b"a\1bc", None)],
)  # fmt: skip
def test_four_characters_are_a_codec_or_themselves(code: bytes, name: str | None) -> None:
    assert fourcc_name(code) == name
