"""Text wrapped as it is written, by what a terminal shows of it: nothing doubled, nothing lost, wherever it was cut."""

from __future__ import annotations

from itertools import pairwise

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.cli.render.terminal import cell_width
from llmspell.cli.render.wrapping import Pen

TEXTS = st.text(alphabet="abcdef   \n漢字é.,🙂", max_size=80)


class Desk:
    """A terminal of *width* columns and the pen that writes to it."""

    def __init__(self, width: int, *, steers: bool = True, prefix: str = "", height: int = 90) -> None:
        self.width = width
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.Stream(self.screen)
        self.pen = Pen(lambda: self.width, steers=steers, prefix=prefix)
        self.raw = ""

    def feed(self, made: str) -> None:
        self.raw += made
        self._stream.feed(made.replace("\n", "\r\n"))

    def write(self, *pieces: str) -> Desk:
        for piece in pieces:
            self.feed(self.pen.write(piece))
        self.feed(self.pen.finish())
        return self

    @property
    def rows(self) -> list[str]:
        rows = [row.rstrip() for row in self.screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows


def cut(text: str, at: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(one % (len(text) + 1) for one in at)})
    return [text[a:b] for a, b in pairwise(edges)]


def inked(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, at=st.lists(st.integers(0, 200), max_size=20), width=st.integers(4, 40))
def test_the_screen_is_the_same_wherever_the_text_was_cut_and_holds_each_sign_once(
    text: str, at: list[int], width: int
) -> None:
    whole, pieces = Desk(width).write(text), Desk(width).write(*cut(text, at))
    dumb = Desk(width, steers=False).write(*cut(text, at))
    assert pieces.rows == whole.rows == dumb.rows
    assert inked("".join(pieces.rows)) == inked(text)
    assert all(cell_width(row) <= width - 1 for row in pieces.rows)
    assert "\x1b" not in whole.raw + dumb.raw  # what comes at once, and what a plain terminal gets


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, at=st.lists(st.integers(0, 200), max_size=20), widths=st.lists(st.integers(4, 40), min_size=21))
def test_nothing_is_lost_or_doubled_where_the_width_changes_meanwhile(
    text: str, at: list[int], widths: list[int]
) -> None:
    desk = Desk(40)
    desk.screen.resize(columns=400)  # wide enough that a terminal itself breaks or cuts nothing
    for piece, width in zip(cut(text, at), widths, strict=False):
        desk.feed(desk.pen.write(piece))
        desk.width = width
    desk.feed(desk.pen.finish())
    assert inked("".join(desk.rows)) == inked(text)


def test_a_row_ends_before_the_word_that_does_not_fit() -> None:
    desk = Desk(12)
    desk.feed(desk.pen.write("hello wor"))
    assert desk.rows == ["hello wor"]  # shown as it came
    desk.feed(desk.pen.write("ldly things"))
    assert desk.rows == ["hello", "worldly", "things"]


def test_a_word_longer_than_a_row_is_broken_and_a_blank_line_stays() -> None:
    assert Desk(6).write("abcdefgh\n\nij").rows == ["abcde", "fgh", "", "ij"]


def test_wide_signs_are_never_halved() -> None:
    assert Desk(6).write("漢字漢字漢").rows == ["漢字", "漢字", "漢"]


def test_each_row_begins_with_the_prefix() -> None:
    assert Desk(10, prefix="| ").write("one two thr", "ee").rows == ["| one two", "| three"]


def test_what_steers_a_terminal_is_shown_and_not_done() -> None:
    assert Desk(40).write("a\x1b[2Jb\x07\rc\u202e").rows == ["a␛[2Jb␇c<202e>"]


def test_a_word_is_held_back_where_it_cannot_be_taken_back() -> None:
    pen = Pen(lambda: 12, steers=False)
    assert [pen.write("hello wor"), pen.write("ldly "), pen.finish()] == ["hello ", "\nworldly ", "\n"]


def test_what_is_held_back_for_long_is_shown_and_stays() -> None:
    pen = Pen(lambda: 12, steers=False)
    assert [pen.write("hello wor"), pen.settle(), pen.write("ldly ")] == ["hello ", "wor", "ld\nly "]


def test_a_row_of_marks_that_take_no_room_has_an_end() -> None:
    pen = Pen(lambda: 40, steers=True)
    rows = pen.write("a" + "\u0301" * 20_000).split("\n")
    assert 4 < len(rows) < 8
    assert sum(row.count("\u0301") for row in rows) == 20_000
