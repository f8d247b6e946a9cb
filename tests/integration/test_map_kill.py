"""`llmspell map` that is killed: no row that was finished is paid for twice, and no result is lost or doubled."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from support.answers import asking
from support.loopback import Loopback
from support.rows import ASK, answering, asked, lines, write_rows
from support.terminal import llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

ROWS, AT_ONCE = 80, 8


def finished(journal: Path) -> set[str]:
    """The texts of the rows that the journal has, a line that is cut off left out."""
    whole = journal.read_bytes().rpartition(b"\n")[0] if journal.exists() else b""
    return {f"t{line['row']}" for line in lines(whole)[1:] if "result" in line}


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_any_moment_and_resumed_no_finished_row_is_asked_about_again(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    (tmp_path / "s.lua").write_text(ASK)
    rows, results = write_rows(tmp_path / "r.jsonl", ROWS), tmp_path / "out.jsonl"
    command = ["map", str(tmp_path / "s.lua"), str(rows), "-j", str(AT_ONCE), "--results", str(results), "--resume"]
    journal = tmp_path / "out.jsonl.journal"
    with Loopback([answering(lambda text: chance.uniform(0, 0.02))]) as server:
        kills, kept, then = 0, set[str](), asked(server)
        while ROWS - len(kept) > 4 * AT_ONCE:  # so many come for sure
            process = start(*command, env=asking(server))
            server.wait_requests(len(server.requests) + chance.randrange(AT_ONCE if kills else 1, 4 * AT_ONCE))
            process.kill()
            process.communicate()
            kills += 1
            now = asked(server)
            assert {text for text in kept if now[text] != then[text]} == set()
            kept, then = finished(journal), now
            assert kept <= set(now)
        done = llmspell(*command, env=asking(server))
        assert done.code == 0, done.err
        times = asked(server)
        assert {text for text in kept if times[text] != then[text]} == set()
    told = lines(results)
    assert [line["row"] for line in told] == list(range(1, ROWS + 1))
    assert [line["result"] for line in told] == [f"re t{n}" for n in range(1, ROWS + 1)]
    # Only rows in flight at a kill were asked about again.
    assert sum(times.values()) - ROWS <= kills * AT_ONCE
    assert max(times.values()) <= 1 + kills


def test_a_journal_cut_off_anywhere_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(ASK)
    rows, results = write_rows(tmp_path / "r.jsonl", 4), tmp_path / "out.jsonl"
    journal = tmp_path / "out.jsonl.journal"
    command = ["map", str(tmp_path / "s.lua"), str(rows), "-j", "1", "--results", str(results)]
    with Loopback([answering()]) as server:
        assert llmspell(*command, env=asking(server)).code == 0
        whole, expected = journal.read_bytes(), results.read_bytes()
        ends = [index + 1 for index, byte in enumerate(whole) if byte == 10]
        for cut in (0, 5, ends[0], ends[0] + 1, ends[1] - 1, ends[1] + 30, ends[3] - 1, ends[3]):
            journal.write_bytes(whole[:cut])
            server.requests.clear()
            done = llmspell(*command, "--resume", env=asking(server))
            assert (done.code, results.read_bytes()) == (0, expected), done.err
            assert len(server.requests) == 4 - max(sum(end <= cut for end in ends) - 1, 0)
