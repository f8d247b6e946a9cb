"""What a part is said to be, and what its bytes are."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell.bridge.parts import media_of
from llmspell.errors import ValidationError
from llmspell.types.media import agree

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1"
PDF = b"%PDF-1.7\n\xff"
WAV = b"RIFF\x24\0\0\0WAVEfmt "
OGG = b"OggS\0\2" + b"\0" * 20


@pytest.mark.parametrize(
    ("found", "declared", "right"),
    [
        ("image/png", "image/png", True),
        ("image/jpeg", "image/jpg", True),
        ("image/png", "image/jpeg", False),
        ("image/png", "application/octet-stream", True),
        ("image/png", "application/pdf", False),
        ("application/pdf", "image/png", False),
        ("application/pdf", "text/plain", False),
        ("audio/wav", "audio/vnd.wave", True),
        ("audio/mpeg", "audio/mp3", True),
        ("audio/ogg", "audio/opus", True),
        ("audio/ogg", "application/ogg", True),
        ("audio/ogg", "audio/ogg; codecs=opus", True),
        ("audio/mpeg", "audio/pcm", True),
        ("audio/aac", "audio/l16;rate=24000", True),
        ("video/mp4", "audio/mp4", True),
        ("video/mp4", "audio/x-m4a", True),
        ("video/mp4", "video/quicktime", True),
        ("image/svg+xml", "application/xml", True),
        ("image/svg+xml", "text/html", True),
        ("image/svg+xml", "image/png", False),
        ("image/png", "image/svg+xml", False),
        ("audio/wav", "video/mp4", False),
        ("audio/wav", "image/png", False),
    ],
)
def test_what_bytes_may_be_said_to_be(found: str, declared: str, right: bool) -> None:
    assert agree(found, declared) is right


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"type": "image", "data": PDF, "mime_type": "image/png"}, "image/png, and its bytes are application/pdf"),
        ({"type": "file", "data": PNG, "mime_type": "application/pdf"}, "application/pdf, and its bytes are image/png"),
        ({"type": "video", "data": WAV, "mime_type": "video/mp4"}, "video/mp4, and its bytes are audio/wav"),
        ({"type": "image", "url": "data:text/html,<b>"}, "of type image, and its mime_type is `text/html`"),
        ({"type": "image", "url": "data:image/png;base64,JVBERi0xLjcK"}, "its bytes are application/pdf"),
        ({"url": 'data:image/png"x,y'}, "must be like image/png"),
        ({"data": PNG, "mime_type": "image/png\r\nx"}, "must be like image/png"),
    ],
)
def test_a_part_that_is_something_else_is_refused(part: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        media_of(part, "f", "part")


@pytest.mark.parametrize(
    ("part", "mime_type"),
    [
        ({"data": b"ID3 is a way to learn", "mime_type": "text/plain"}, "text/plain"),
        ({"data": OGG, "mime_type": "audio/opus"}, "audio/opus"),
        ({"url": "data:text/plain;charset=utf-8,hi"}, "text/plain"),
        ({"url": "data:,hi"}, "text/plain"),
        ({"url": "data:;base64,iVBORw0KGgo="}, "image/png"),
        ({"data": b"<svg/>", "mime_type": "image/svg+xml"}, "image/svg+xml"),
        ({"data": b"<svg/>", "mime_type": "text/xml"}, "text/xml"),
        ({"type": "image", "data": b"<svg/>"}, "image/svg+xml"),
        ({"data": b"<svg/>"}, "text/plain"),
        ({"data": b"hi", "mime_type": "text/plain;charset=utf-8"}, "text/plain;charset=utf-8"),
    ],
)
def test_a_part_that_is_what_it_is_said_to_be(part: dict[str, Any], mime_type: str) -> None:
    assert media_of(part, "f", "part").mime_type == mime_type
