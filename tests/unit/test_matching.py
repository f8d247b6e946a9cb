"""Where regular expressions match: as Python's own do, in bounded time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import ValidationError
from llmspell.tools.matching import Matcher
from llmspell.tools.patterns import TooLong

pytestmark = pytest.mark.once

MOST = 10**9
ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", r"\w", "^", "$", r"\b"])
REPEATED = st.tuples(
    st.sampled_from(["a", "b", "[ab]", "(?:ab)", "(ab|b)", "."]),
    st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{1,2}", "{2}", "{0,2}?", "{1,}?"]),
).map("".join)
PATTERNS = st.recursive(
    ATOMS | REPEATED,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
        inner.map(lambda one: f"({one})"),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(PATTERNS, st.text("abc\n", max_size=10), st.sampled_from(["", "m", "s", "i"]))
def test_matches_are_python_s(pattern: str, text: str, flags: str) -> None:
    known = {"": 0, "m": re.M, "s": re.S, "i": re.I}[flags] | re.A
    own = re.compile(pattern if flags == "m" else pattern.replace("$", r"\Z"), known)  # `$` is the very end here
    wanted = [
        (one.start(), one.end(), tuple(None if one.start(n) < 0 else one.span(n) for n in range(1, own.groups + 1)))
        for one in [own.search(text)]
        if one is not None
    ]
    found = Matcher(pattern, flags).match_at(text, 0, MOST)
    assert [tuple(found)] == wanted if found is not None else wanted == []


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    ("pattern", "text"), [("(a*)*b", "a" * 30_000), ("(a|a)*b", "a" * 30_000), ("(a+)+$", "a" * 20_000 + "b")]
)
def test_what_takes_others_for_ever_is_done_soon(pattern: str, text: str) -> None:
    started = time.process_time()
    Matcher(pattern).match_at(text, 0, MOST)
    assert time.process_time() - started < 5


def test_too_much_is_refused() -> None:
    with pytest.raises(TooLong):
        Matcher("(a*)*b").match_at("a" * 10_000, 0, 1000)
    with pytest.raises(TooLong):
        list(Matcher("a.*b|a").all_in("a" * 10_000, 100_000, MOST))


@pytest.mark.parametrize(
    ("pattern", "matches"), [("b", 1), ("[bc]d?", 2), (r"\d|b$", 1), ("(?i)C", 1), (r"\bc", 0), ("x", 0)]
)
def test_a_long_text_is_no_trouble_where_little_may_begin(pattern: str, matches: int) -> None:
    text = "a" * 400_000 + "c" + "a" * 400_000 + "b"
    assert len(list(Matcher(pattern).all_in(text, 3_000_000, 10))) == matches


def test_all_matches_do_not_overlap() -> None:
    assert [one[:2] for one in Matcher("a+").all_in("aab a", MOST, 10)] == [(0, 2), (4, 5)]
    assert [one[:2] for one in Matcher("x*").all_in("ab", MOST, 10)] == [(0, 0), (1, 1), (2, 2)]
    assert len(list(Matcher("a").all_in("aaaa", MOST, 2))) == 2


def test_names_and_flags() -> None:
    pattern = Matcher(r"(?i)(?P<user>\w+)@(?P<host>\w+)")
    assert pattern.names == {"user": 1, "host": 2}
    assert Matcher("(?i)ABC").match_at("xabc", 0, MOST) is not None
    assert Matcher("[^a]", "i").match_at("aA", 0, MOST) is None


@pytest.mark.parametrize(
    ("pattern", "flags"),
    [("(", ""), ("(?=a)", ""), (r"(a)\1", ""), ("a", "x"), ("(?x)a", ""), ("(a)" * 60, ""), ("a" * 1001, "")],
)
def test_what_is_refused(pattern: str, flags: str) -> None:
    with pytest.raises(ValidationError):
        Matcher(pattern, flags)
