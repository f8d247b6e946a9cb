"""How an answer of HTTP is framed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ConfigError
from llmspell.providers.framing import Chunked, Sized, Unframed, WireError, body_of, head_end, parse_head
from llmspell.providers.http import Origin

if TYPE_CHECKING:
    from collections.abc import Callable


def words(call: Callable[[], object], kind: type[Exception]) -> str:
    """What *call* says when it fails as it may; nothing when it does not fail."""
    try:
        call()
    except kind as error:
        return str(error)
    return ""


def test_what_comes_after_a_body_is_told() -> None:
    sized = Sized(2)
    assert sized.feed(b"abc") == b"ab"
    assert (sized.done, sized.rest) == (True, b"c")


@given(data=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
def test_any_bytes_are_a_head_or_an_error(data: bytes) -> None:
    assert words(lambda: body_of(parse_head(data)), WireError).isprintable()


def test_a_head_is_read() -> None:
    head = parse_head(b"HTTP/1.1 200\r\nA: 1\r\na:2 \r\nB: x\r\n  y\r\nConnection: close")
    assert head == (200, {"a": "1, 2", "b": "x y", "connection": "close"}, False)
    assert parse_head(b"HTTP/1.1 200 OK\nA: 1") == (200, {"a": "1"}, True)
    assert not parse_head(b"HTTP/1.0 200 OK").persistent
    assert parse_head(b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive").persistent


def test_where_a_head_ends() -> None:
    assert head_end(b"a\r\n\r\nb") == (1, 5)
    assert head_end(b"a\n\nb\r\n\r\n") == (1, 3)
    assert head_end(b"a\r\n\r") is None


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        ("transfer-encoding: chunked\r\ncontent-length: 5", Chunked),
        ("Transfer-Encoding: Chunked", Chunked),
        ("content-length: 5, 5", Sized),
        ("content-length: 0", Sized),
        ("x: y", Unframed),
    ],
)
def test_how_a_body_is_framed(lines: str, kind: type) -> None:
    assert type(body_of(parse_head(f"HTTP/1.1 200 OK\r\n{lines}".encode()))) is kind
    assert body_of(parse_head(b"HTTP/1.1 204 No Content")).done


@given(st.text() | st.text(max_size=30).map(lambda text: "http://" + text))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    made: list[Origin] = []
    said = words(lambda: made.append(Origin.of(text, "providers.x.base_url")), ConfigError)
    if not made:
        assert said.startswith("`providers.x.base_url` ")
        return
    line = f"{made[0].target('/p')}{made[0].authority}"
    assert line.isascii()
    assert line.isprintable()
    assert " " not in line
