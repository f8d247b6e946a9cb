"""Where lines are broken for a terminal, and that nothing of a text is lost or doubled by it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.cli.render.block import REASONING, Block, Signs
from llmspell.cli.render.cells import clusters, cut, expand_tabs, live_text, settle, split
from llmspell.cli.render.terminal import cell_width

FAMILY = "👨‍👩‍👧"
#: What models write, and what is hard to lay out.
LETTERS = st.sampled_from(
    [
        *("a", "b", " ", "\n", "\t", "x" * 15, "日", "本", "🎉", "é", "e\u0301", "❤\ufe0f", FAMILY, "🇫🇷", "🇫"),
        *("👍🏽", "ก็", "한", "می\u200cخواهم", "क्\u200dष", "\u200d", "\u0301", "\x1b", "\u202e", "\ufe0f"),
    ]
)
TEXTS = st.lists(LETTERS, max_size=40).map("".join)


def parts(text: str) -> list[str]:
    begin, found = 0, []
    for end, _ in clusters(text):
        found.append(text[begin:end])
        begin = end
    return found


@pytest.mark.parametrize(
    ("sign", "width"),
    [
        ("a", 1),
        ("日", 2),
        ("e\u0301", 1),
        ("🇫🇷", 4),
        ("❤\ufe0f", 2),
        ("👍🏽", 4),
        (FAMILY, 6),
        ("👩‍🚀", 4),
        ("1\ufe0f\u20e3", 2),
    ],
)
def test_what_is_seen_as_one_sign_is_one_and_never_wider_than_counted(sign: str, width: int) -> None:
    assert list(clusters(sign)) == [(len(sign), width)]
    assert parts(f"x{sign}y") == ["x", sign, "y"]


def test_flags_come_in_pairs() -> None:
    assert parts("🇫🇷🇩🇪🇫") == ["🇫🇷", "🇩🇪", "🇫"]


@given(TEXTS)
def test_signs_add_up_to_the_text(text: str) -> None:
    assert "".join(parts(text)) == text


@given(TEXTS.map(lambda text: text.replace("\n", "").replace("\t", "")), st.integers(2, 30))
def test_a_break_loses_nothing_but_the_space_at_it_and_fits(text: str, width: int) -> None:
    text = settle(live_text(text, unicode=True))
    row, rest = split(text, width)
    assert sum(wide for _, wide in clusters(row)) <= width
    if rest is None:
        assert row == text
    else:
        assert text in (row + rest, f"{row} {rest}")
        assert row


def test_a_sign_is_broken_only_where_the_terminal_is_narrower_than_it() -> None:
    assert split("abc" + FAMILY, 8) == ("abc", FAMILY)
    row, rest = split(FAMILY, 5)
    assert (row, rest) == ("👨\u200d👩\u200d", "👧")


def test_tabs_go_to_the_stops_that_a_terminal_has() -> None:
    assert expand_tabs("", "a\tb\tc") == "a       b       c"
    assert expand_tabs("日本", "\tx") == "    x"
    assert expand_tabs("12345678", "\tx") == "        x"


def test_a_joiner_stays_where_it_joins_and_shows_where_it_would_hide() -> None:
    assert settle(live_text(FAMILY, unicode=True)) == FAMILY
    assert settle(live_text("می\u200cخواهم", unicode=True)) == "می\u200cخواهم"
    assert settle(live_text("pass\u200dword", unicode=True)) == "pass<200d>word"
    assert settle(live_text("日\u200d\u200d本", unicode=True)) == "日\u200d<200d>本"
    assert live_text("a\u200db\u200b", unicode=True) == "a\u200db<200b>"
    assert live_text("a\u200db", unicode=False) == "a<200d>b"


def test_cut_keeps_signs_whole() -> None:
    assert cut("日本語", 6, "…") == "日本語"
    assert cut("日本語", 5, "…") == "日本…"
    assert cut(f"a{FAMILY}b", 7, "…") == "a…"
    assert cut("abc", 1, "...") == "."


def seen(text: str) -> str:
    """What has to be read of *text*, one after the other, wherever its lines are broken."""
    return "".join(settle(live_text(text, unicode=True)).split())


def rows_of(block: Block, width: int) -> list[str]:
    block.fit(width)
    return [row for row, _ in block.last(1000, 0.0, labelled=False)]


@settings(max_examples=200, deadline=None)
@given(
    TEXTS.filter(bool), st.lists(st.integers(0, 60), max_size=8), st.lists(st.integers(2, 40), min_size=1, max_size=4)
)
def test_any_text_in_any_pieces_at_any_width_shows_each_character_once_and_in_order(
    text: str, cuts: list[int], widths: list[int]
) -> None:
    block = Block("m", 0.0, widths[0], Signs(unicode=True))
    edges = [0, *sorted(cuts), len(text)]
    for index, (begin, end) in enumerate(pairwise(edges)):
        if text[begin:end]:
            block.add(text[begin:end], "")
        block.fit(widths[index % len(widths)])  # drawn meanwhile, the terminal being resized
    for width in widths:
        rows = rows_of(block, width)
        shown = "".join("".join(row.split()) for row in rows)
        assert shown == seen(text)  # a mark with nothing to stand on has got a space before it
        assert all(cell_width(row) <= width for row in rows)


@given(TEXTS, st.integers(12, 40))
def test_reasoning_has_a_bar_beside_it_and_nothing_of_it_is_lost(text: str, width: int) -> None:
    block = Block("m", 0.0, width, Signs(unicode=True))
    block.add(text or "x", REASONING)
    rows = rows_of(block, width)
    assert all(row.startswith("│ ") for row in rows)
    assert "".join("".join(row[2:].split()) for row in rows) == seen(text or "x")
