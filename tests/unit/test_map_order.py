"""Lines that come in any order leave in that of the rows; the journal beneath; what is said of progress."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.cli.mapping import order
from llmspell.cli.mapping.journal import Journal
from llmspell.cli.mapping.order import Ordered
from llmspell.cli.mapping.outcome import Outcome
from llmspell.cli.mapping.progress import Progress, drawn, duration, plain
from llmspell.cli.mapping.rows import Row
from llmspell.cli.mapping.runner import Counts
from llmspell.errors import LLMSpellError, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

ABOUT = {"script": "s", "args": [], "format": "jsonl"}


def row(number: int, value: Any = None) -> Row:
    return Row(number, number, value, None, f"{number:016x}")


def kept(number: int, *, failed: bool = False) -> dict[str, Any]:
    error = {"kind": "script", "message": "no"} if failed else None
    return Outcome(result=f"r{number}" if not failed else None, error=error).kept(row(number))


@given(data=st.data(), count=st.integers(1, 30))
def test_lines_leave_in_order_and_none_before_its_turn(data: st.DataObject, count: int) -> None:
    written: list[int] = []
    ordered = Ordered(lambda line, failed: written.append(json.loads(line)["row"]), None, 4)
    under_way: list[int] = []
    finished: set[int] = set()
    begun = 0
    while len(finished) < count:
        if begun < count and (not under_way or data.draw(st.booleans())):
            begun += 1
            ordered.begin(begun)
            under_way.append(begun)
        else:
            number = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
            finished.add(number)
            ordered.finish(number, kept(number, failed=number % 3 == 0))
        first_missing = next(n for n in range(1, count + 2) if n not in finished)
        assert written == list(range(1, first_missing))
    assert written == list(range(1, count + 1))


def test_at_the_end_what_is_finished_leaves_though_rows_before_it_are_not() -> None:
    written: list[int] = []
    ordered = Ordered(lambda line, failed: written.append(json.loads(line)["row"]), None, 4)
    for number in range(1, 7):
        ordered.begin(number)
    for number in (6, 2, 4):
        ordered.finish(number, kept(number))
    assert written == []
    ordered.end()
    assert written == [2, 4, 6]


def test_without_a_journal_no_more_rows_begin_than_may_wait_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "WINDOW", 8)
    ordered = Ordered(lambda line, failed: None, None, 1)
    for number in range(1, 9):
        assert ordered.room()
        ordered.begin(number)
    for number in range(2, 9):
        ordered.finish(number, kept(number))
    assert not ordered.room()
    ordered.finish(1, kept(1))
    assert ordered.room()


def test_lines_that_wait_are_held_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "HELD", 100)
    ordered = Ordered(lambda line, failed: None, None, 1)
    for number in range(1, 5):
        ordered.begin(number)
    for number in range(2, 5):
        ordered.finish(number, {**kept(number), "result": "x" * 50})
    assert not ordered.room()
    ordered.finish(1, kept(1))
    assert ordered.room()


def test_with_a_journal_lines_wait_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ABOUT, resume=False)
    written: list[bytes] = []
    ordered = Ordered(lambda line, failed: written.append(line), journal, 1)
    for number in range(1, 4001):
        assert ordered.room()
        ordered.begin(number)
    for number in range(4000, 0, -1):
        one = {**kept(number), "result": "é" * (100_000 if number == 7 else 3)}
        journal.add(one)
        ordered.finish(number, one)
    journal.close()
    assert [json.loads(line)["row"] for line in written] == list(range(1, 4001))
    assert len(json.loads(written[6])["result"]) == 100_000


# ---- the journal


def test_a_journal_knows_after_its_end_what_was_in_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ABOUT, resume=False)
    used = {"total_tokens": 7, "cost_usd": 0.25}
    journal.add({**kept(2), "usage": used})
    journal.add({**kept(5, failed=True), "usage": used})
    journal.add({"row": 3, "mark": f"{3:016x}", "usage": used})  # paid for, and not finished
    journal.close()
    again = Journal(tmp_path / "j", ABOUT, resume=True)
    assert [again.state(number) for number in range(1, 8)] == [None, "done", None, None, "failed", None, None]
    assert (again.tokens, again.cost_usd, again.last) == (21, 0.75, 5)
    assert (again.finished, again.failed) == (2, 1)
    again.add(kept(5))
    assert (again.state(5), again.failed) == ("done", 0)
    assert again.line(5)["result"] == "r5"
    again.check(2, f"{2:016x}")
    with pytest.raises(ValidationError, match="row 2 is another"):
        again.check(2, "0" * 16)
    again.close()


@given(cut=st.integers(0, 2000), junk=st.binary(max_size=20))
def test_a_journal_is_read_whatever_its_end_is(cut: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    journal = Journal(path, ABOUT, resume=False)
    head = path.stat().st_size
    for number in range(1, 6):
        journal.add(kept(number))
    journal.close()
    whole = path.read_bytes()
    place = min(head + cut, len(whole))
    path.write_bytes(whole[:place] + junk.replace(b"\n", b""))
    there = whole[:place].count(b"\n") - 1
    again = Journal(path, ABOUT, resume=True)
    assert again.finished == there or (again.finished == there + 1 and junk == b"")
    again.add(kept(6))
    again.close()
    last = Journal(path, ABOUT, resume=True)
    assert last.state(6) == "done"
    assert last.finished == again.finished
    last.close()


def test_a_damaged_line_in_a_journal_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ABOUT, resume=False)
    journal.add(kept(1))
    journal.close()
    damaged = [
        b"\0" * 50,
        b"{",
        b"[]",
        b'{"row": -1, "mark": "0", "result": 1}',
        b'{"row": 1e99}',
        b'{"row":2,"mark":"x"}',
    ]
    with (tmp_path / "j").open("ab") as file:
        file.write(b"".join(line + b"\n" for line in damaged))
    again = Journal(tmp_path / "j", ABOUT, resume=True)
    assert (again.finished, again.state(1)) == (1, "done")
    again.close()


def test_only_one_process_writes_to_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", ABOUT, resume=False)
    with pytest.raises(ValidationError, match="another `llmspell map` writes to"):
        Journal(tmp_path / "j", ABOUT, resume=True)
    journal.close()
    Journal(tmp_path / "j", ABOUT, resume=True).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"script": "t"}, "the script has changed"),
        ({"args": ["x"]}, "arguments are others"),
        ({"format": "csv"}, "format"),
    ],
)
def test_a_journal_of_something_else_is_an_error_that_says_what_to_do(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    Journal(tmp_path / "j", ABOUT, resume=False).close()
    with pytest.raises(ValidationError, match=words) as caught:
        Journal(tmp_path / "j", ABOUT | change, resume=True)
    assert "--overwrite" in str(caught.value.hint)
    Journal(tmp_path / "j", ABOUT | change, resume=True, overwrite=True).close()


@pytest.mark.parametrize("text", ["dear diary\n", "dear diary", "{"])
def test_a_file_that_is_no_journal_is_not_written_to(text: str, tmp_path: Path) -> None:
    (tmp_path / "j").write_text(text)
    if text == "{":  # a journal's beginning, as far as it came
        Journal(tmp_path / "j", ABOUT, resume=True).close()
        return
    with pytest.raises(ValidationError, match="no journal of `llmspell map`"):
        Journal(tmp_path / "j", ABOUT, resume=True)
    assert (tmp_path / "j").read_text() == text


def test_a_journal_that_cannot_be_written_says_so_and_stays_whole(tmp_path: Path) -> None:
    with pytest.raises(LLMSpellError, match="cannot write"):
        Journal(tmp_path / "none" / "j", ABOUT, resume=False)


# ---- progress


def counts(**values: Any) -> Counts:
    made = Counts()
    made.started_at -= 10
    for name, value in values.items():
        setattr(made, name, value)
    return made


def test_progress_says_the_most_important_first_and_keeps_to_its_width() -> None:
    told = counts(done=1200, failed=3, total=5000, tokens=45_678, cost_usd=0.12, read=1210)
    assert plain(told).startswith("map: 1,203 of 5,000 rows, 3 failed, 120 rows/s, 0:3")
    assert plain(told).endswith("45,678 tokens, $0.12")
    for width in (200, 80, 60, 40, 20, 10):
        bar, text = drawn(told, width, True)
        assert len(bar) + len(text) < width
    assert drawn(told, 80, True)[0] == "━━━━━───────────────" + " "
    assert drawn(told, 80, False)[0] == "#####---------------" + " "
    assert drawn(told, 31, True) == ("", "1,203 of 5,000 rows · 3 failed")


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0, 7.4, 61, 3599, 3661, 360_000, 400_000)] == [
        "0:00", "0:07", "1:01", "59:59", "1:01:01", "4 days", "4 days",
    ]  # fmt: skip


def test_what_a_script_writes_is_told_by_its_row_and_steers_no_terminal() -> None:
    out = io.StringIO()
    progress = Progress(counts(), quiet=False, out=out)
    progress.row(3, "hello\x1b[31m\u202e")
    for number in range(40):
        progress.failed(number, {"kind": "script", "message": "no"})
    told = out.getvalue().splitlines()
    assert told[0] == "row 3: hello␛[31m<202e>" or told[0] == "row 3: hello<1b>[31m<202e>"
    assert told[1] == "row 0: error[script]: no"
    assert len(told) == 22
    assert told[-1].startswith("more rows fail")
