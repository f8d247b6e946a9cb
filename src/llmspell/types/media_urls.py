"""Data URLs: media that are their own address. Source: RFC 2397, and what browsers take."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from llmspell.errors import ValidationError, one_line
from llmspell.types.media_base64 import Base64Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DataURL", "parse_data_url"]

LONGEST_HEAD = 1000  # characters before the comma
BLOCK = 1 << 16  # characters of data that are looked at together
#: Charsets of texts, by Python's names. Others (utf-7, unicode_escape, idna …) decode to what nobody expects.
_CHARSETS = frozenset((
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7",
    "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257", "koi8-r", "koi8-u",
    "shift_jis", "euc_jp", "iso2022_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr",
))  # fmt: skip


class DataURL(NamedTuple):
    """What one says. mime_type: "" where it says none. charset: "" where it says none."""

    mime_type: str
    charset: str
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as a text, in the charset that is said, else UTF-8. Raises ValidationError."""
        named = one_line(self.charset, 40) or "utf-8"
        try:
            charset = codecs.lookup(named).name
        except (LookupError, ValueError):
            charset = ""
        if charset not in _CHARSETS:
            raise ValidationError(f"the data URL's charset `{named}` is none that is known", hint="UTF-8 is best")
        try:
            return self.data.decode(charset)
        except UnicodeDecodeError as error:
            raise ValidationError(f"the data URL is not {named}: byte {error.start} is wrong") from None


def parse_data_url(url: str, largest: int) -> DataURL:
    """What a data URL says, `data:image/png;base64,…` or `data:,a%20b`. Raises ValidationError for what is none, or has
    more than *largest* bytes."""
    text = url.strip()
    if text[:5].lower() != "data:":
        raise ValidationError("a data URL begins with `data:`")
    comma = text.find(",", 5, 5 + LONGEST_HEAD)
    if comma < 0:
        raise ValidationError("the data URL has no comma, after which its data begin")
    mime_type, *options = (one.strip() for one in text[5:comma].split(";"))
    is_base64 = bool(options) and options[-1].lower() == "base64"
    body = text[comma + 1 :]
    if len(body) > largest * 3:  # as long as the bytes can be, written as %20 or as base64 in lines
        raise ValidationError(f"the data URL has more than {largest} bytes", hint="put it into a file")
    if "#" in body:
        raise ValidationError(
            f"character {comma + 2 + body.index('#')} of the data URL is `#`", hint="write it as `%23`"
        )
    data = _decoded(body) if is_base64 else b"".join(_unquoted(body))
    if len(data) > largest:
        raise ValidationError(f"the data URL has more than {largest} bytes", hint="put it into a file")
    charset = next((one[8:] for one in options if one[:8].lower() == "charset="), "")
    return DataURL(mime_type.lower(), charset, data)


def _unquoted(body: str) -> Iterator[bytes]:
    """The bytes of percent escapes, block by block: `unquote_to_bytes` has an object for each escape meanwhile."""
    at = 0
    while at < len(body):
        end = min(at + BLOCK, len(body))
        if end < len(body) and (cut := body.find("%", end - 2, end)) > 0:  # which is not to be cut in two
            end = cut
        try:
            yield unquote_to_bytes(body[at:end].encode())
        except UnicodeEncodeError as error:
            raise ValidationError(
                f"character {at + error.start + 1} of the data URL's data is half a surrogate pair"
            ) from None
        at = end


def _decoded(body: str) -> bytes:
    decoder = Base64Decoder()
    try:
        if "%" in body:
            return b"".join(map(decoder.feed, _unquoted(body))) + decoder.end()
        return decoder.feed(body) + decoder.end()
    except ValidationError as error:
        raise ValidationError(f"the data URL is broken: {error.message}", hint=error.hint) from None
