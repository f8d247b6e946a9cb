"""Texts by their width, and as names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.utils import string_utils as told

FAMILY = "👩‍👩‍👧"
TEXTS = st.lists(st.sampled_from([*"ab cdé世界\n-", "e\u0301", FAMILY, "🇩🇪"]), max_size=40).map("".join)


def test_widths_and_graphemes_are_a_persons() -> None:
    assert (told.width("abc"), told.width("世界"), told.width("e\u0301"), told.width(FAMILY)) == (3, 4, 1, 2)
    assert told.graphemes(f"ae\u0301{FAMILY}世") == ["a", "e\u0301", FAMILY, "世"]


@pytest.mark.parametrize(
    ("text", "most", "by", "short"),
    [
        ("hello", 5, "width", "hello"),
        ("hello!", 5, "width", "hell…"),
        ("世界世界", 5, "width", "世界…"),
        ("世界世界", 4, "width", "世…"),
        ("世界世界", 3, "graphemes", "世界…"),
        (f"{FAMILY}{FAMILY}", 1, "graphemes", "…"),
        (f"{FAMILY}{FAMILY}", 3, "width", f"{FAMILY}…"),
        ("hello", 0, "width", ""),
    ],
)
def test_a_text_is_cut_between_graphemes(text: str, most: int, by: str, short: str) -> None:
    assert told.truncate(text, most, by=by) == short


@given(
    text=TEXTS, most=st.integers(0, 30), by=st.sampled_from(["width", "graphemes"]), end=st.sampled_from(["…", "..."])
)
def test_what_is_cut_fits(text: str, most: int, by: str, end: str) -> None:
    short = told.truncate(text, most, by=by, ellipsis=end)
    assert (told.width(short) if by == "width" else len(told.graphemes(short))) <= most or short == text
    if short != text and short.endswith(end):
        assert text.startswith(short.removesuffix(end))


def test_how_to_cut_is_checked() -> None:
    with pytest.raises(ValidationError, match="width"):
        told.truncate("a", 1, by="letters")
    with pytest.raises(ValidationError, match="negative"):
        told.truncate("a", -1)
    with pytest.raises(ValidationError, match="one column"):
        told.wrap("a", 0)


def test_lines_break_between_words_and_in_words_that_are_too_long() -> None:
    assert told.wrap("the quick brown fox", 10) == ["the quick", "brown fox"]
    assert told.wrap("abcdefghij k", 4) == ["abcd", "efgh", "ij k"]
    assert told.wrap("k abcdefghij", 4) == ["k", "abcd", "efgh", "ij"]
    assert told.wrap("ab cd efgh", 4) == ["ab", "cd", "efgh"]
    assert told.wrap("  indented line", 10) == ["  indented", "line"]
    assert told.wrap("a\n\nb", 5) == ["a", "", "b"]
    assert told.wrap("世界世界", 5) == ["世界", "世界"]
    assert told.wrap("世", 1) == ["世"]
    assert told.wrap("", 5) == [""]


@given(text=TEXTS, columns=st.integers(2, 30))
def test_wrapping_loses_nothing_but_spaces(text: str, columns: int) -> None:
    lines = told.wrap(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(told.width(line) <= columns for line in lines)


@pytest.mark.parametrize(
    ("text", "snake", "kebab", "pascal", "camel"),
    [
        ("userName", "user_name", "user-name", "UserName", "userName"),
        ("User name", "user_name", "user-name", "UserName", "userName"),
        ("HTTPServer2 of_it", "http_server2_of_it", "http-server2-of-it", "HttpServer2OfIt", "httpServer2OfIt"),
        ("", "", "", "", ""),
        ("été-Là", "été_là", "été-là", "ÉtéLà", "étéLà"),
    ],
)
def test_names_in_each_case(text: str, snake: str, kebab: str, pascal: str, camel: str) -> None:
    cases = told.snake_case(text), told.kebab_case(text), told.pascal_case(text), told.camel_case(text)
    assert cases == (snake, kebab, pascal, camel)


def test_slugs() -> None:
    assert told.slug("Ça va, là-bas?") == "ca-va-la-bas"
    assert told.slug("../../etc/passwd") == "etc-passwd"
    assert told.slug("世界") == "x"
    assert told.slug("x" * 100) == "x" * 80
    assert told.slug("a b c", 3) == "a-b"
    assert told.slug("a b c", 2) == "a"


@given(text=st.text(max_size=60), most=st.integers(1, 40))
def test_a_slug_is_a_name_for_a_file(text: str, most: int) -> None:
    slug = told.slug(text, most)
    assert slug
    assert len(slug) <= most
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert told.slug(slug) == slug


def test_secrets_do_not_stay() -> None:
    text = (
        'GET /?api_key=abcd1234&x=1 Authorization: Bearer abcdefgh12345 "password": "hunter22" sk-abcdefghijklmnop mine'
    )
    told_ = told.redact(text, ["mine", ""])
    for secret in ("abcd1234", "abcdefgh12345", "hunter22", "abcdefghijklmnop", "mine"):
        assert secret not in told_
    assert told_.startswith("GET /?api_key=***&x=1 ")
    assert told.redact("AIza" + "Sy0_-x" * 5 + ".") == "AIza***."
    assert told.redact("a longer secret and a long", ["a long", "a longer secret"]) == "*** and ***"
    assert told.redact("nothing of it, token by token") == "nothing of it, token by token"


def test_a_template_is_filled_in_or_says_what_is_missing() -> None:
    assert told.template("$a and ${b}c, $$5", {"a": 1, "b": "x"}) == "1 and xc, $5"
    with pytest.raises(ValidationError, match="names `c`") as failed:
        told.template("$c", {"a": 1, "b": 2})
    assert failed.value.hint == "there are `a`, `b`"
    with pytest.raises(ValidationError) as failed:
        told.template("$c", {})
    assert failed.value.hint == "there are no values"
    with pytest.raises(ValidationError, match="wrong"):
        told.template("5$ off", {})
