"""The column of a syntax error whose token stands in its line several times, by what Lua says of shorter texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell._speedups._lua_shared import LoadError
from llmspell.bridge.failures import syntax_error
from llmspell.bridge.near import MOST_TEXT, column_of


def refusing(lua: Any) -> Any:
    engine = lua.Engine(lambda op, args: None, lambda fd, data: True, lambda error: {}, interrupts="none")

    def refuses(text: bytes) -> str | None:
        try:
            engine.load(text, b"@a.lua")
        except LoadError as error:
            return syntax_error(str(error), "a.lua", b"").message
        return None

    return refuses


@pytest.mark.parametrize(
    "text",
    [
        "x = @= = 1",
        "local t = { [1] = 2 @[3] = 4 }",
        "f(a, b) f(a @b)",
        "if a == b @= c then end",
        "x = 'a' .. 'b' @'c' 'd'",
        "return 1, 2 @return 1",
        "\n\tlocal 詩 = '詩'\n",
        "goto a a = 1 @1",
        "y = (1) + (2 @y)",
        "for i = 1, 2 do end @end",
        "\n\n\t['詩'] = 1, ['b'] = 2",
        "x = a.b.c .. @. d",
        "x = 1 + 2 + @+ 3",
    ],
)
def test_the_column_is_that_of_the_token_that_does_not_fit(lua: Any, text: str) -> None:
    wanted = text.rpartition("\n")[2].find("@") + 1 or None
    source = text.replace("@", "").encode()
    refuses = refusing(lua)
    message = refuses(source)
    if wanted is None or message is None:  # texts that are to be refused at their first sign, or not at all
        return
    line = source.count(b"\n") + 1
    assert column_of(message, source, line, refuses) == wanted


WORDS = ["x", "=", "1", "2", "(", ")", "[", "]", "{", "}", ",", ";", "end", "if", "then", "==", "~=", "..", "'a'"]


@given(st.lists(st.sampled_from([*WORDS, '"b"', "--", "\n", "é", "詩", "::", "~"])))
def test_whatever_the_text_a_column_is_one_of_the_token_s(words: list[str]) -> None:
    from llmspell import _speedups

    text = " ".join(words).encode()
    refuses = refusing(_speedups)
    message = refuses(text)
    if message is None or " near '" not in message:
        return
    token = message.rpartition(" near '")[2].removesuffix("'")
    for line, shown in enumerate(text.decode().split("\n"), 1):
        column = column_of(message, text, line, refuses)
        assert column is None or shown.startswith(token, column - 1)


def test_a_long_text_is_not_tried() -> None:
    text = b"x = 1 " * MOST_TEXT + b") )"
    assert column_of("unexpected symbol near ')'", text, 1, lambda part: pytest.fail("it was")) is None
