"""Errors in the house's form: what happened, to what, and what to do next.

raise not_found("model", "gpt5", ["gpt-5", "gpt-5-mini"])
raise build("tool").message("it broke").hint("mend it").context(tool="mine").cause(error).error()
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from llmspell.errors import LLMSpellError, NotFoundError, ValidationError, error_class, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ErrorBuilder", "build", "invalid", "missing", "not_found"]

MOST_TOLD = 12  # of what is known


class ErrorBuilder:
    """An error in the making; each call gives the builder, `error` the error."""

    def __init__(self, kind: str) -> None:
        self._class = error_class(kind)
        if self._class.kind != kind:
            raise ValueError(f"{kind!r} is no kind of error")
        self._message = ""
        self._hint: str | None = None
        self._cause: BaseException | None = None
        self._context: dict[str, Any] = {}

    def message(self, text: str) -> ErrorBuilder:
        """What happened, to what, in one line."""
        self._message = one_line(text)
        return self

    def hint(self, text: str) -> ErrorBuilder:
        """What to do next, in one line."""
        self._hint = one_line(text)
        return self

    def cause(self, error: BaseException) -> ErrorBuilder:
        """What lies beneath; its text is the message where none was given."""
        self._cause = error
        return self

    def context(self, **more: Any) -> ErrorBuilder:
        """What else is known."""
        self._context |= more
        return self

    def error(self) -> LLMSpellError:
        """The error, to be raised."""
        message = self._message
        if not message and self._cause is not None:
            message = one_line(str(self._cause)) or type(self._cause).__name__
        return self._class(message or "it failed", hint=self._hint, cause=self._cause, **self._context)


def build(kind: str) -> ErrorBuilder:
    """A builder for an error of *kind*, a word of the error table. ValueError for another word."""
    return ErrorBuilder(kind)


def not_found(what: str, name: str, known: Iterable[str] = ()) -> NotFoundError:
    """There is no *what* of that name; the hint names the nearest of *known*, or some of them."""
    there = sorted(known)
    return NotFoundError(f"there is no {what} `{one_line(name, 80)}`", hint=_hint(name, there))


def invalid(field: str, expected: str, value: Any) -> ValidationError:
    """A field that does not fit. expected: in words, "a number from 0 to 1"."""
    shown = one_line(repr(value), 60)
    return ValidationError(f"`{one_line(field, 80)}` must be {expected}, not {shown}", setting=field)


def missing(field: str, of: str, known: Iterable[str] = ()) -> ValidationError:
    """A field that must be there."""
    hint = _hint("", sorted(known))
    return ValidationError(f"{of} has no `{one_line(field, 80)}`, which is needed", hint=hint, setting=field)


def _hint(name: str, known: list[str]) -> str | None:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not known:
        return None
    more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    return f"known are {', '.join(known[:MOST_TOLD])}{more}"
