"""Texts: by the width that a terminal gives them, and as names.

Widths and graphemes (what a person takes for one character) are rich's, which knows Unicode's tables.
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "camel_case",
    "graphemes",
    "kebab_case",
    "pascal_case",
    "redact",
    "slug",
    "snake_case",
    "template",
    "truncate",
    "width",
    "wrap",
]

MASK = "***"
#: What looks like a key, wherever it stands; what is in the first group stays.
SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(Bearer |Basic )[A-Za-z0-9._~+/=-]{8,}",
        r"\b((?:api[_-]?key|token|secret|password|passwd|authorization)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]{4,}",
        r"\b((?:sk|pk|rk|gsk|xai|ghp|gho|ghs|hf|pplx)[-_])[A-Za-z0-9_-]{12,}",
        r"\b(AIza)[A-Za-z0-9_-]{20,}",
    )
)


def width(text: str) -> int:
    """Columns that *text* takes on a terminal: two for a wide character, none for one that joins another."""
    from rich.cells import cell_len

    return cell_len(text)


def graphemes(text: str) -> list[str]:
    """What a person takes for characters: a letter with its accents, an emoji with its skin and its family."""
    from rich.cells import split_graphemes

    return [text[start:end] for start, end, _ in split_graphemes(text)[0]]


def truncate(text: str, most: int, *, by: str = "width", ellipsis: str = "…") -> str:
    """*text*, or its beginning and *ellipsis*, in at most *most* columns (`by="width"`) or `"graphemes"`.

    A grapheme is never cut. Where not even the ellipsis fits, as much of it as does.
    """
    if by not in ("width", "graphemes"):
        raise ValidationError(f'`by` is "width" or "graphemes", not {one_line(repr(by), 40)}')
    if most < 0:
        raise ValidationError("`most` must not be negative")
    measure = width if by == "width" else (lambda one: len(graphemes(one)))
    if measure(text) <= most:
        return text
    room = most - measure(ellipsis)
    kept, tail = (text, ellipsis) if room >= 0 else (ellipsis, "")
    left = room if room >= 0 else most
    taken: list[str] = []
    for one in graphemes(kept):
        left -= width(one) if by == "width" else 1
        if left < 0:
            break
        taken.append(one)
    return "".join(taken) + tail


def wrap(text: str, columns: int) -> list[str]:
    """*text* in lines of at most *columns*, broken between words; a longer word is broken between graphemes.

    Line ends stand; spaces at a break go. A grapheme that is wider than *columns* has a line of its own.
    """
    if columns < 1:
        raise ValidationError("a line has at least one column")
    lines: list[str] = []
    for line in text.split("\n"):
        lines += _wrapped(line.rstrip(), columns)
    return lines


def _wrapped(line: str, columns: int) -> list[str]:
    told: list[str] = []
    now, used = "", 0
    for gap, word in re.findall(r"(\s*)(\S+)", line):
        wide = width(gap + word)
        if used and used + wide > columns:
            told.append(now)
            now, used, gap = "", 0, ""
            wide = width(word)
        if not used and wide > columns:
            *whole, now = _broken(gap + word, columns)
            told += whole
            used = width(now)
        else:
            now, used = now + gap + word, used + wide
    return [*told, now]


def _broken(word: str, columns: int) -> list[str]:
    told, used = [""], 0
    for one in graphemes(word):
        wide = width(one)
        if used and used + wide > columns:
            told.append("")
            used = 0
        told[-1] += one
        used += wide
    return told


def _words(text: str) -> list[str]:
    """The words of a name, however it is written: `HTTPServer2 name-of_it` has five."""
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", text))
    return re.findall(r"[^\W_]+", text)


def snake_case(text: str) -> str:
    """`userName` and `User name` as `user_name`."""
    return "_".join(_words(text)).lower()


def kebab_case(text: str) -> str:
    """`userName` and `User name` as `user-name`."""
    return "-".join(_words(text)).lower()


def pascal_case(text: str) -> str:
    """`user_name` and `User name` as `UserName`."""
    return "".join(word[:1].upper() + word[1:].lower() for word in _words(text))


def camel_case(text: str) -> str:
    """`user_name` and `User name` as `userName`."""
    told = pascal_case(text)
    return told[:1].lower() + told[1:]


def slug(text: str, most: int = 80) -> str:
    """A name for a file or an address: lower-case ASCII letters and digits with `-` between, at most *most*.

    Accents go; of a text without any such character, "x".
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))[:most].strip("-") or "x"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """*text* with `***` for each of *secrets*, and for what looks like a key, a token or a password.

    A rule of thumb: what must not be told is better not put into a text at all.
    """
    for secret in sorted((one for one in secrets if one), key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern in SECRETS:
        text = pattern.sub(lambda found: found[1] + MASK, text)
    return text


def template(text: str, values: Mapping[str, Any]) -> str:
    """*text* with `$name` and `${name}` filled in, `$$` for a dollar: the standard library's `string.Template`.

    Raises ValidationError for a name that is not among *values*, and for a `$` that stands for nothing.
    """
    try:
        return string.Template(text).substitute(values)
    except KeyError as error:
        known = ", ".join(f"`{name}`" for name in values) or "no values"
        raise ValidationError(
            f"the template names `{error.args[0]}`, which has no value", hint=f"there are {known}"
        ) from None
    except ValueError as error:
        raise ValidationError(
            f"the template is wrong: {one_line(str(error))}", hint="a dollar is written `$$`"
        ) from None
