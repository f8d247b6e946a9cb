"""Base64 by pieces: bytes in any pieces to text, and text that is cut anywhere to bytes, in bounded memory."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from llmspell.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Base64Decoder", "Base64Encoder", "decode_base64", "encode_base64"]

_SPACE = b" \t\r\n\f\v"
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


class Base64Encoder:
    """Bytes to text, piece by piece: the pieces of text add up to the base64 of all bytes."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""  # two bytes at most, which are no whole group yet

    def feed(self, piece: bytes) -> str:
        """The text of what is whole by now; "" where that is nothing."""
        data = self._rest + piece if self._rest else piece
        whole = len(data) - len(data) % 3
        self._rest = bytes(data[whole:])
        return binascii.b2a_base64(data[:whole], newline=False).decode("ascii")

    def end(self) -> str:
        """The last group, padded."""
        rest, self._rest = self._rest, b""
        return binascii.b2a_base64(rest, newline=False).decode("ascii")


class Base64Decoder:
    """Text to bytes, piece by piece, however it is cut. White space is passed over; all else must be RFC 4648's.

    Raises ValidationError with the place, in characters from 1: for a character that does not belong there, for padding
    that is missing, too much, or followed by something.
    """

    __slots__ = ("_padding", "_rest", "_seen")

    def __init__(self) -> None:
        self._rest = b""  # three characters at most, which are no whole group yet
        self._padding = 0  # characters of it that came
        self._seen = 0  # characters that came, white space included

    def feed(self, piece: str | bytes) -> bytes:
        """The bytes of what is whole by now."""
        if isinstance(piece, str):
            try:
                return self.feed(piece.encode("ascii"))
            except UnicodeEncodeError as error:
                shown = piece[error.start : error.start + 1].encode("unicode_escape").decode()
                raise self._wrong(piece[: error.start].encode(), f"`{shown}`") from None
        text = bytes(piece)
        if others := piece.translate(None, _LETTERS):
            if wrong := others.translate(None, b"=" + _SPACE):
                raise self._wrong(piece[: piece.index(wrong[:1])], f"the byte {wrong[0]:#04x}")
            text = piece.translate(None, _SPACE)
        if self._padding or b"=" in others:
            text = self._padded(piece, text)
        self._seen += len(piece)
        text = self._rest + text if self._rest else text
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        return binascii.a2b_base64(text[:whole])

    def _padded(self, piece: bytes, text: bytes) -> bytes:
        """The letters of *text*, where padding has begun or begins. What ends a group is decoded by `end`."""
        letters = text.rstrip(b"=")
        more = len(text) - len(letters)
        if (letters and (self._padding or b"=" in letters)) or self._padding + more > 2:
            self._misplaced(piece)
        self._padding += more
        return letters

    def _misplaced(self, piece: bytes) -> None:
        """Raises ValidationError for the first character of *piece* that the padding before it does not let be."""
        for index, byte in enumerate(piece):
            if byte == 0x3D:
                self._padding += 1
            at = f"at character {self._seen + index + 1}"
            if self._padding > 2:
                raise ValidationError(f"the base64 has a third `=` of padding, {at}")
            if self._padding and byte != 0x3D and byte not in _SPACE:
                raise ValidationError(f"the base64 goes on after its padding, {at}")

    def end(self) -> bytes:
        """The last bytes. Raises ValidationError where the text is not whole."""
        rest, padding = self._rest, self._padding
        needed = -len(rest) % 4
        if len(rest) == 1 or padding != needed:
            what = f"{padding} of {needed} `=` of its padding" if len(rest) > 1 else "a group of one character alone"
            what = f"padding after whole groups, `{'=' * padding}`" if not rest else what
            raise ValidationError(f"the base64 ends at character {self._seen} with {what}")
        self._rest, self._padding = b"", 0
        return binascii.a2b_base64(rest + b"=" * padding)

    def _wrong(self, before: bytes, shown: str) -> ValidationError:
        """The error of a character after *before*, in which there may be another, which is raised."""
        self.feed(before)
        return ValidationError(
            f"character {self._seen + 1} of the base64 is {shown}, which does not belong there",
            hint="it takes A-Z, a-z, 0-9, `+` and `/`, with `=` at its end",
        )


def encode_base64(pieces: Iterable[bytes]) -> Iterator[str]:
    """The base64 of all the bytes in *pieces*, as pieces of text that follow each other."""
    encoder = Base64Encoder()
    for piece in pieces:
        if text := encoder.feed(piece):
            yield text
    if text := encoder.end():
        yield text


def decode_base64(pieces: Iterable[str | bytes]) -> Iterator[bytes]:
    """The bytes of a base64 text that comes in *pieces*, cut anywhere. Raises as Base64Decoder does."""
    decoder = Base64Decoder()
    for piece in pieces:
        if data := decoder.feed(piece):
            yield data
    if data := decoder.end():
        yield data
