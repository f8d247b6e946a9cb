"""Errors in the house's form."""

from __future__ import annotations

import pytest

from llmspell.errors import NotFoundError, ToolError, ValidationError
from llmspell.utils.error_builders import build, invalid, missing, not_found


def test_an_error_is_built_of_its_parts() -> None:
    cause = OSError("the disk\nis full")
    error = (
        build("tool").message("it\nbroke").hint("mend it").context(tool="mine", n=1).context(n=2).cause(cause).error()
    )
    assert type(error) is ToolError
    assert (error.message, error.hint, error.__cause__) == ("it broke", "mend it", cause)
    assert (error.context["tool"], error.context["n"]) == ("mine", 2)


def test_the_cause_says_what_nobody_else_does() -> None:
    assert build("tool").cause(OSError("the disk\nis full")).error().message == "the disk is full"
    assert build("tool").cause(KeyboardInterrupt()).error().message == "KeyboardInterrupt"
    assert build("tool").error().message == "it failed"
    with pytest.raises(ValueError, match="no kind"):
        build("misfortune")


def test_what_is_not_there_is_told_with_the_nearest() -> None:
    error = not_found("model", "gpt5\x1b", ["gpt-5", "other"])
    assert type(error) is NotFoundError
    assert (error.message, error.hint) == ("there is no model `gpt5`", "did you mean `gpt-5`?")
    assert not_found("model", "x", ["b", "a"]).hint == "known are a, b"
    assert not_found("model", "x").hint is None
    assert str(not_found("model", "x", map(str, range(20))).hint).endswith(" and 8 more")
    assert str(not_found("model", "x", map(str, range(12))).hint).endswith(", 8, 9")


def test_fields_that_do_not_fit_or_are_not_there() -> None:
    error = invalid("temperature", "a number from 0 to 2", "hot")
    assert type(error) is ValidationError
    assert error.message == "`temperature` must be a number from 0 to 2, not 'hot'"
    assert error.context["setting"] == "temperature"
    assert len(invalid("a", "short", "x" * 1000).message) < 120
    assert missing("name", "the tool", ["name", "description"]).message == "the tool has no `name`, which is needed"
