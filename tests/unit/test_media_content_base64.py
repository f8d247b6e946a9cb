"""Base64 by pieces: cut anywhere it gives the same, and what is wrong is told with its place."""

from __future__ import annotations

import base64
import re
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell import MediaContent
from llmspell.errors import ValidationError
from llmspell.types.media_base64 import Base64Decoder, decode_base64, encode_base64
from support.media import png, wav


@st.composite
def cut(draw: st.DrawFn, whole: Any) -> list[Any]:
    """*whole*, cut anywhere, empty pieces among them."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]


@given(data=st.data(), whole=st.binary(max_size=100))
def test_bytes_in_any_pieces_are_the_same_base64(data: st.DataObject, whole: bytes) -> None:
    assert "".join(encode_base64(data.draw(cut(whole)))) == base64.b64encode(whole).decode()


@given(data=st.data(), whole=st.binary(max_size=100), lines=st.booleans(), as_bytes=st.booleans())
def test_base64_cut_anywhere_is_the_same_bytes(data: st.DataObject, whole: bytes, lines: bool, as_bytes: bool) -> None:
    text: Any = base64.encodebytes(whole) if lines else base64.b64encode(whole)
    text = text if as_bytes else text.decode()
    assert b"".join(decode_base64(data.draw(cut(text)))) == whole


@given(data=st.data(), text=st.text(st.sampled_from("AQ/+=é \n?-_"), max_size=24))
def test_whatever_the_text_is_all_cuts_of_it_mean_the_same(data: st.DataObject, text: str) -> None:
    def told(pieces: list[str]) -> Any:
        try:
            return b"".join(decode_base64(pieces))
        except ValidationError as error:
            return error.message

    whole = told([text])
    assert told(data.draw(cut(text))) == whole == told(list(text))
    plain = "".join(one for one in text if one not in " \n")
    right = re.fullmatch(r"([A-Z/+]{4})*([A-Z/+]{2}==|[A-Z/+]{3}=)?", plain) is not None
    assert (whole if isinstance(whole, bytes) else None) == (base64.b64decode(plain) if right else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("AAAA AA?A", "character 8 of the base64 is the byte 0x3f"),
        ("AAAAé", "character 5 of the base64 is `\\xe9`"),
        ("AA-_", "character 3 of the base64 is the byte 0x2d"),
        ("AA==A", "goes on after its padding, at character 5"),
        ("AA== AA==", "goes on after its padding, at character 6"),
        ("AA\n===", "a third `=` of padding, at character 6"),
        ("AAA", "ends at character 3 with 0 of 1 `=`"),
        ("AA=", "ends at character 3 with 1 of 2 `=`"),
        ("AAA==", "ends at character 5 with 2 of 1 `=`"),
        ("AAAA=", "ends at character 5 with padding after whole groups"),
        ("AAAAA", "ends at character 5 with a group of one character alone"),
        ("A===", "a third `=` of padding, at character 4"),
    ],
)
@pytest.mark.parametrize("step", [1, 2, 100])
def test_what_is_wrong_is_told_with_its_place(text: str, says: str, step: int) -> None:
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    with pytest.raises(ValidationError) as failed:
        MediaContent.from_base64(pieces)
    assert says in failed.value.message


def test_a_piece_of_a_wrong_type_is_told() -> None:
    for given_ in (3, [3], [None]):
        with pytest.raises(ValidationError, match="base64 is a text, or pieces of one"):
            MediaContent.from_base64(given_)


@given(data=st.data())
def test_a_medium_of_pieces_is_that_of_the_whole(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([png(), wav(20)]))
    text = base64.b64encode(whole).decode()
    assert MediaContent.from_base64(data.draw(cut(text))) == MediaContent.from_bytes(whole)
    assert MediaContent.from_base64(text, MediaContent.from_bytes(whole).format).to_base64() == text
    with suppress(ValidationError):
        MediaContent.from_base64(text[:-4])


def test_more_than_is_taken_is_not_decoded_to_the_end() -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        piece = "AAAA" * (1 << 18)
        while True:
            taken += 1
            yield piece

    with pytest.raises(ValidationError, match="has more than 104857600 bytes"):
        MediaContent.from_base64(endless(), "image/png")
    assert taken == 134  # of 786,432 bytes each


def test_a_text_that_is_too_long_is_not_decoded_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.types.media_content.LARGEST_CALL", 60)
    monkeypatch.setattr(Base64Decoder, "feed", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ValidationError, match="has more than 60 bytes"):
        MediaContent.from_base64("A" * 124)


def test_as_much_as_is_taken_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.types.media_content.LARGEST_CALL", 60)
    assert MediaContent.from_base64("A" * 80 + " " * 40).size == 60
    assert MediaContent.from_base64(["AAAA"] * 20).size == 60
    with pytest.raises(ValidationError, match="has more than 60 bytes"):
        MediaContent.from_base64(["AAAA"] * 21)


def test_a_file_is_coded_and_decoded_in_little_memory(tmp_path: Path) -> None:
    source, coded, target = tmp_path / "a.bin", tmp_path / "a.txt", tmp_path / "b.bin"
    block = bytes(range(256)) * 4096
    with source.open("wb") as file:
        for _ in range(40):
            file.write(block)
    one = MediaContent.from_path(source)
    tracemalloc.start()
    try:
        with coded.open("w") as text:
            text.writelines(one.base64_pieces())
        with coded.open() as text, target.open("wb") as file:
            for piece in decode_base64(iter(lambda: text.read(1 << 20), "")):
                file.write(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert target.read_bytes() == block * 40
    assert peak < 8 << 20


def test_a_decoder_tells_how_far_it_came() -> None:
    decoder = Base64Decoder()
    assert decoder.feed("AAA") == b""
    assert decoder.feed(b"AAA") == b"\0\0\0"
    assert decoder.feed("A A") == b"\0\0\0"
    assert decoder.end() == b""
