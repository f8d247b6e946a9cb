"""`llmspell map` as a user meets it: results, failures, limits, going on, being stopped."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.answers import KEY, asking
from support.loopback import STALL, Gate, Loopback
from support.rows import ASK, TOKENS, answering, asked, lines, text_of, write_rows
from support.terminal import Terminal, llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

    from support.loopback import Request

SHOUT = """
if ARGS.text == "t2" then error("no twos") end
if ARGS.text == "t3" then print("a word") end
return { n = ARGS.row_number, said = ARGS.text:upper(), style = ARGS.style }
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "s.lua").write_text(ASK)
    return tmp_path / "s.lua"


def shouting(folder: Path) -> str:
    (folder / "shout.lua").write_text(SHOUT)
    return str(folder / "shout.lua")


# ---- rows and results


def test_results_are_lines_in_the_order_of_the_rows_and_failures_have_their_error(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 4)
    done = llmspell("map", shouting(tmp_path), str(rows), "--", "--style", "loud")
    told = lines(done.out)
    assert done.code == 1
    assert [line["row"] for line in told] == [1, 2, 3, 4]
    assert told[0] == {"row": 1, "result": {"n": 1, "said": "T1", "style": "loud"}}
    assert told[1]["error"]["kind"] == "script"
    assert (told[1]["error"]["message"], told[1]["error"]["line"], told[1]["input"]) == ("no twos", 2, {"text": "t2"})
    assert told[2]["output"] == "a word\n"
    assert b"row 2: error[script]: no twos\n" in done.err
    assert done.err.splitlines()[-1].startswith(b"map: 4 rows, 1 failed, ")


def test_an_error_of_a_row_is_that_of_output_json(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 2)
    script = shouting(tmp_path)
    alone = json.loads(llmspell("run", "--output", "json", script, "--", "--text", "t2").err)["error"]
    mapped = lines(llmspell("map", script, str(rows)).out)[1]["error"]
    assert mapped == alone


FORMS = {
    "r.csv": 'name,n\r\n"Ada, ""the"" first",1\r\nBob,2\r\n',
    "r.tsv": 'name\tn\nAda, "the" first\t1\nBob\t2\n'.replace('Ada, "the" first', '"Ada, ""the"" first"'),
    "r.json": '[{"name": "Ada, \\"the\\" first", "n": "1"}, {"name": "Bob", "n": "2"}]',
    "r.jsonl": '{"name": "Ada, \\"the\\" first", "n": "1"}\n\n{"name": "Bob", "n": "2"}',
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("piped", [False, True], ids=["file", "stdin"])
def test_every_format_gives_the_same_rows(name: str, piped: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FORMS[name].encode())
    (tmp_path / "s.lua").write_text("return { ARGS.name, ARGS.row.n, ARGS.row_number }")
    if piped:
        words, given = ["-", "--format", name.partition(".")[2]], FORMS[name].encode()
    else:
        words, given = [str(tmp_path / name)], b""
    done = llmspell("map", str(tmp_path / "s.lua"), *words, stdin=given)
    assert done.code == 0
    assert [line["result"] for line in lines(done.out)] == [['Ada, "the" first', "1", 1], ["Bob", "2", 2]]


def test_values_keep_their_types_and_a_row_may_be_any_value(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("return { math.type(ARGS.row), type(ARGS.row), ARGS.row == JSON.null, ARGS.row }")
    values = [1, 1.5, True, "x", [1, 2], {"row": 7, "row_number": 8}, None]
    given = "\n".join(map(json.dumps, values)).encode()
    told = [line["result"] for line in lines(llmspell("map", str(tmp_path / "s.lua"), "-", stdin=given).out)]
    assert told[0][:2] == ["integer", "number"] or told[0]["1"] == "integer"
    assert [json.dumps(values[index]) in json.dumps(told[index]) for index in range(6)] == [True] * 6


def test_bad_lines_are_told_and_kept_apart_and_nothing_stops(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("return ARGS.row.a")
    rows, results = tmp_path / "r.jsonl", tmp_path / "out.jsonl"
    rows.write_bytes(b'{"a":1}\nnope\n{"a":3}\n')
    done = llmspell("map", str(tmp_path / "s.lua"), str(rows), "--results", str(results))
    assert done.code == 1
    assert lines(results) == [{"row": 1, "result": 1}, {"row": 3, "result": 3}]
    (bad,) = lines(tmp_path / "out.failed.jsonl")
    assert (bad["row"], bad["input"], bad["error"]["kind"], bad["error"]["line"]) == (2, "nope\n", "validation", 2)
    assert b"row 2: error[validation]: line 2: not JSON" in done.err
    assert b"what failed is in " in done.err


def test_offset_and_limit_choose_rows_by_their_numbers(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 9)
    done = llmspell("map", shouting(tmp_path), str(rows), "--offset", "3", "--limit", "2")
    assert [(line["row"], line["result"]["n"]) for line in lines(done.out)] == [(4, 4), (5, 5)]


def test_standard_input_is_taken_as_it_comes(tmp_path: Path) -> None:
    process = start("map", shouting(tmp_path), "-", stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    for text in ("a", "b", "c"):  # each is answered before the next is sent
        process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["said"] == text.upper()
    process.communicate()
    assert process.returncode == 0


def test_many_rows_are_under_way_at_once_and_no_more_than_allowed(script: Path, tmp_path: Path) -> None:
    rows, gate = write_rows(tmp_path / "r.jsonl", 12), Gate()

    def plan(request: Request) -> list[Any]:
        return [gate, *answering()(request)]

    with Loopback([plan]) as server:
        process = start("map", str(script), str(rows), "-j", "5", env=asking(server))
        server.wait_requests(5)
        assert len(server.requests) == 5
        gate.open()
        out, _ = process.communicate()
    assert process.returncode == 0
    assert [line["result"] for line in lines(out)] == [f"re t{n}" for n in range(1, 13)]


def test_no_rows_are_no_error(script: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("text\n")
    done = llmspell("map", str(script), str(tmp_path / "r.csv"))
    assert (done.code, done.out) == (0, b"")
    assert done.err.startswith(b"map: 0 rows")


def test_a_service_that_refuses_for_a_while_is_asked_again_and_every_row_is_done(script: Path, tmp_path: Path) -> None:
    rows, refused = write_rows(tmp_path / "r.jsonl", 20), [0]

    def plan(request: Request) -> list[Any]:
        if refused[0] < 6:
            refused[0] += 1
            head = (
                b"HTTP/1.1 429 X\r\ncontent-type: application/json\r\nretry-after-ms: 20\r\ncontent-length: 2\r\n\r\n"
            )
            return [head, b"{}"]
        return answering()(request)

    with Loopback([plan]) as server:
        done = llmspell("map", str(script), str(rows), "-j", "4", env=asking(server))
        assert len(server.requests) == 26
    assert done.code == 0, done.err
    assert [line["result"] for line in lines(done.out)] == [f"re t{n}" for n in range(1, 21)]


# ---- limits over all rows


def test_a_limit_of_tokens_holds_over_all_rows_and_over_runs_that_go_on(script: Path, tmp_path: Path) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 30), tmp_path / "out.jsonl"
    command = ["map", str(script), str(rows), "--results", str(results), "-j", "3", "--max-tokens-total"]
    with Loopback([answering()]) as server:
        done = llmspell(*command, "130", env=asking(server))
        first = len(server.requests)
        assert done.code == 5
        assert first * TOKENS <= 130
        assert first == len(lines(results)) > 2
        assert not (tmp_path / "out.failed.jsonl").exists()
        assert b"the limit of 130 tokens is reached" in done.err
        assert b"`--resume` goes on" in done.err
        assert llmspell(*command, "130", "--resume", env=asking(server)).code == 5  # what was spent counts
        assert len(server.requests) == first
        assert llmspell(*command, "0", "--resume", env=asking(server)).code == 0
        assert set(asked(server).values()) == {1}
    assert [line["row"] for line in lines(results)] == list(range(1, 31))


def test_a_timeout_is_of_each_row_and_timeout_total_of_all(script: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 4)

    def plan(request: Request) -> list[Any]:
        return [STALL] if text_of(request) == "t2" else answering()(request)

    with Loopback([plan]) as server:
        done = llmspell("map", str(script), str(rows), "--timeout", "0.5", env=asking(server))
        told = lines(done.out)
        assert done.code == 1
        assert [line.get("result") for line in told] == ["re t1", None, "re t3", "re t4"]
        assert (told[1]["error"]["kind"], told[1]["error"]["limit"]) == ("limit", "timeout")
        done = llmspell("map", str(script), str(rows), "--timeout-total", "0.7", env=asking(server))
        assert done.code == 5
        assert [line["row"] for line in lines(done.out)] == [1, 3, 4]  # the second is not done, and has not failed
        assert b"the rows took longer than their limit of 0.7 s" in done.err


def test_max_failed_stops_the_rest(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("error('no')")
    rows = write_rows(tmp_path / "r.jsonl", 500)
    done = llmspell("map", str(tmp_path / "s.lua"), str(rows), "-j", "1", "--max-failed", "3")
    assert (done.code, len(lines(done.out))) == (5, 3)
    assert b"3 rows have failed, as many as may" in done.err


# ---- going on


def test_resume_does_nothing_again_and_retry_failed_only_what_failed(script: Path, tmp_path: Path) -> None:
    rows, results, failed = write_rows(tmp_path / "r.jsonl", 5), tmp_path / "out.jsonl", tmp_path / "out.failed.jsonl"
    refuses = {"t2", "t4"}

    def plan(request: Request) -> list[Any]:
        if text_of(request) in refuses:
            body = b'{"error": {"message": "no such"}}'
            return [b"HTTP/1.1 404 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body), body]
        return answering()(request)

    command = ["map", str(script), str(rows), "--results", str(results)]
    with Loopback([plan]) as server:
        assert llmspell(*command, env=asking(server)).code == 1
        assert [line["row"] for line in lines(failed)] == [2, 4]
        assert lines(failed)[0]["error"]["kind"] == "not_found"
        before, whole = asked(server), (results.read_bytes(), failed.read_bytes())
        done = llmspell(*command, "--resume", env=asking(server))
        assert (done.code, asked(server)) == (1, before)
        assert (results.read_bytes(), failed.read_bytes()) == whole
        refuses.clear()
        assert llmspell(*command, "--retry-failed", env=asking(server)).code == 0
        assert asked(server) - before == {"t2": 1, "t4": 1}
    assert [line["result"] for line in lines(results)] == [f"re t{n}" for n in range(1, 6)]
    assert not failed.exists()


def test_a_row_that_failed_may_be_mended_and_done_again(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("return ARGS.row.a")
    rows, results = tmp_path / "r.jsonl", tmp_path / "out.jsonl"
    rows.write_bytes(b'{"a":1}\nnope\n{"a":3}\n')
    command = ["map", str(tmp_path / "s.lua"), str(rows), "--results", str(results)]
    assert llmspell(*command).code == 1
    rows.write_bytes(b'{"a":1}\n{"a":2}\n{"a":3}\n{"a":4}\n')
    assert llmspell(*command, "--resume").code == 2
    assert llmspell(*command, "--retry-failed").code == 0
    assert [line["result"] for line in lines(results)] == [1, 2, 3, 4]


def test_results_on_standard_output_are_gone_on_with_by_their_journal(script: Path, tmp_path: Path) -> None:
    rows, journal = write_rows(tmp_path / "r.jsonl", 6), tmp_path / "j"
    command = ["map", str(script), "--journal", str(journal)]
    with Loopback([answering()]) as server:
        assert llmspell(*command, str(rows), "--limit", "4", env=asking(server)).code == 0
        done = llmspell(*command, "-", "--resume", stdin=rows.read_bytes(), env=asking(server))
        assert set(asked(server).values()) == {1}
    assert [line["result"] for line in lines(done.out)] == [f"re t{n}" for n in range(1, 7)]
    assert b"4 were done before" in done.err


def changed_script(folder: Path) -> None:
    (folder / "s.lua").write_text(ASK + "-- changed\n")


def changed_row(folder: Path) -> None:
    rows = (folder / "r.jsonl").read_text()
    (folder / "r.jsonl").write_text(rows.replace('"t3"', '"other"'))


def fewer_rows(folder: Path) -> None:
    write_rows(folder / "r.jsonl", 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed_script, b"the script has changed since"),
        (changed_row, b"row 3 is another than when"),
        (fewer_rows, b"has 2 rows, and row 4 was done already"),
        (lambda folder: None, b"has rows that are done already"),
    ],
    ids=["script", "row", "fewer", "no-flag"],
)
def test_what_cannot_be_gone_on_with_says_so_and_changes_nothing(
    change: Any, words: bytes, script: Path, tmp_path: Path
) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 4), tmp_path / "out.jsonl"
    command = ["map", str(script), str(rows), "--results", str(results)]
    flags = [] if words.startswith(b"has rows") else ["--resume"]
    with Loopback([answering()]) as server:
        assert llmspell(*command, env=asking(server)).code == 0
        before = results.read_bytes()
        change(tmp_path)
        done = llmspell(*command, *flags, env=asking(server))
        assert (done.code, results.read_bytes(), len(server.requests)) == (2, before, 4)
        assert words in done.err
        assert b"`--overwrite` begins anew" in done.err
        assert llmspell(*command, "--overwrite", env=asking(server)).code == 0


def test_a_file_that_is_there_is_not_lost(script: Path, tmp_path: Path) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 1), tmp_path / "out.jsonl"
    results.write_text("my own\n")
    done = llmspell("map", str(script), str(rows), "--results", str(results))
    assert (done.code, results.read_text()) == (2, "my own\n")
    assert b"was not begun by this command" in done.err


MISTAKES: list[tuple[list[str], bytes]] = [
    (["-", "-"], b"script and rows cannot both come from standard input"),
    (["s.lua", "none.csv"], b"there are no rows: no file `none.csv`"),
    (["none.lua", "r.jsonl"], b"there is no script `none.lua`"),
    (["s.lua", "s.lua"], b"cannot be told from its name"),
    (["s.lua", "r.jsonl", "--resume"], b"`--resume` needs to know where the results were kept"),
    (["s.lua", "r.jsonl", "-j", "0"], b"`--jobs` takes a number of rows"),
    (["s.lua", "r.jsonl", "--results", "o", "--failed", "o"], b"need a file each"),
    (["s.lua", "r.jsonl", "--results", "r.jsonl", "--overwrite"], b"is read, and cannot be written"),
    (["s.lua", "r.jsonl", "--failed", "./s.lua"], b"is read, and cannot be written"),
    (["s.lua", "r.jsonl", "x"], b"arguments of the script go after `--`"),
    (["s.lua"], b"needs ROWS"),
    (["s.lua", "r.jsonl", "--results"], b"`--results` needs a value"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES)
def test_a_mistake_says_what_to_do_and_ends_with_2(words: list[str], told: bytes, script: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.jsonl", 1)
    done = llmspell("map", *words, cwd=tmp_path)
    assert (done.code, done.out) == (2, b"")
    assert told in done.err
    assert b"hint: " in done.err
    assert not (tmp_path / "o").exists()


def test_a_script_that_is_not_lua_is_told_once_before_any_row(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("return +")
    rows = write_rows(tmp_path / "r.jsonl", 3)
    done = llmspell("map", str(tmp_path / "s.lua"), str(rows), "--results", str(tmp_path / "o.jsonl"))
    assert (done.code, done.err.count(b"error[script]")) == (1, 1)
    assert not (tmp_path / "o.jsonl").exists()


# ---- programs, terminals, signals


def test_for_a_program_nothing_but_json_is_told(script: Path, tmp_path: Path) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 3), tmp_path / "out.jsonl"
    with Loopback([answering()]) as server:
        done = llmspell("map", str(script), str(rows), "--output", "json", env=asking(server))
        summary = json.loads(done.err)
        assert len(lines(done.out)) == 3
        assert (summary["rows"], summary["done"], summary["failed"], summary["exit_code"]) == (3, 3, 0, 0)
        assert summary["usage"]["total_tokens"] == 3 * TOKENS
        done = llmspell(
            "map", str(script), str(rows), "--output", "json", "--results", str(results), env=asking(server)
        )
        assert (json.loads(done.out)["rows"], done.err) == (3, b"")
    done = llmspell("map", str(script), "none.csv", "--output", "json")
    assert json.loads(done.err)["error"]["kind"] == "not_found"


def test_a_reader_that_goes_ends_it_quietly(script: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 2000)
    with Loopback([answering()]) as server:
        process = start("map", str(script), str(rows), env=asking(server))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(15) == 141
        assert len(server.requests) < 2000
    assert err == b""


@pytest.mark.parametrize(("number", "word"), [(signal.SIGINT, b"Ctrl+C"), (signal.SIGTERM, b"SIGTERM")])
def test_stopped_it_keeps_what_is_finished_and_says_how_to_go_on(
    number: int, word: bytes, script: Path, tmp_path: Path
) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 8), tmp_path / "out.jsonl"
    stalls = {"t3", "t6"}

    def plan(request: Request) -> list[Any]:
        return [STALL] if text_of(request) in stalls else answering()(request)

    command = ["map", str(script), str(rows), "--results", str(results), "-j", "3"]
    with Loopback([plan]) as server:
        process = start(*command, env=asking(server))
        server.wait_requests(8)
        _, err = stopped(process, number, tmp_path / "out.jsonl.journal", 6)
        assert process.returncode == 128 + number
        assert b"stopped by " + word in err
        assert b"the same command with `--resume` goes on" in err
        assert [line["row"] for line in lines(results)] == [1, 2, 4, 5, 7, 8]
        stalls.clear()
        assert llmspell(*command, "--resume", env=asking(server)).code == 0
        assert {text for text, times in asked(server).items() if times > 1} == {"t3", "t6"}
    assert [line["row"] for line in lines(results)] == list(range(1, 9))


def stopped(process: Any, number: int, journal: Path, count: int) -> Any:
    """Sends the signal once so many rows are kept."""
    from support.processes import eventually

    assert eventually(lambda: journal.read_bytes().count(b'"result"') >= count)
    process.send_signal(number)
    return process.communicate(timeout=15)


def test_a_terminal_shows_how_far_it_is_and_then_the_sum_alone(script: Path, tmp_path: Path) -> None:
    rows, results, gate = write_rows(tmp_path / "r.jsonl", 6), tmp_path / "out.jsonl", Gate()

    def plan(request: Request) -> list[Any]:
        return [gate, *answering()(request)] if text_of(request) == "t6" else answering()(request)

    words = ["map", str(script), str(rows), "--results", str(results)]
    with Loopback([plan]) as server, Terminal(words, env=asking(server, CI="")) as terminal:
        terminal.until("5 of 6 rows")
        assert terminal.screen.cursor.hidden
        assert "━" in terminal.lines[-1]
        gate.open()
        assert terminal.wait() == 0
        assert len(terminal.lines) == 1
        assert terminal.lines[0].startswith("map: 6 rows, ")
        assert f"{6 * TOKENS} tokens" in terminal.lines[0]
        terminal.assert_as_before()


def test_results_on_a_terminal_stand_whole_above_the_progress(script: Path, tmp_path: Path) -> None:
    rows, gate = write_rows(tmp_path / "r.jsonl", 6), Gate()

    def plan(request: Request) -> list[Any]:
        return [gate, *answering()(request)] if text_of(request) == "t4" else answering()(request)

    words = ["map", str(script), str(rows)]
    with Loopback([plan]) as server, Terminal(words, env=asking(server, CI="")) as terminal:
        terminal.until(lambda: '{"row":3,"result":"re t3"}' in terminal.text and "5 of 6 rows" in terminal.text)
        assert terminal.lines[:3] == [f'{{"row":{n},"result":"re t{n}"}}' for n in (1, 2, 3)]
        terminal.interrupt()
        assert terminal.wait() == 130
        shown = [line for line in terminal.lines if line.startswith("{")]
        assert shown == [f'{{"row":{n},"result":"re t{n}"}}' for n in (1, 2, 3, 5, 6)]
        assert "error[cancelled]: stopped by Ctrl+C" in terminal.text
        terminal.assert_as_before()


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no-color"])
def test_a_terminal_that_takes_less_gets_less(env: dict[str, str], script: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "r.jsonl", 3)
    words = ["map", str(script), str(rows), "--results", str(tmp_path / "o.jsonl")]
    told = {name: value for name, value in env.items() if name != "TERM"}
    with Loopback([answering()]) as server:
        terminal = Terminal(words, env=asking(server, CI="", **told), term=env.get("TERM", "xterm-256color"))
        with terminal:
            assert terminal.wait() == 0
            assert b"\x1b[3" not in terminal.raw  # no colour
            if "TERM" in env:
                assert b"\x1b" not in terminal.raw


def test_no_key_reaches_results_journal_or_errors(script: Path, tmp_path: Path) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 2), tmp_path / "out.jsonl"

    def plan(request: Request) -> list[Any]:
        body = json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()
        return [b"HTTP/1.1 401 X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body), body]

    with Loopback([plan]) as server:
        done = llmspell("map", str(script), str(rows), "--results", str(results), env=asking(server))
    assert done.code == 1
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY.encode() not in written + done.out + done.err
    assert b"bad key ***" in written


def test_the_example_runs_over_its_rows(tmp_path: Path) -> None:
    from pathlib import Path

    folder, results = Path(__file__).parents[2] / "examples" / "map", tmp_path / "out.jsonl"
    words = ["map", str(folder / "sentiment.lua"), str(folder / "reviews.csv"), "-j", "2", "--results", str(results)]
    with Loopback([answering()]) as server:
        done = llmspell(*words, env=asking(server, OPENAI_MODEL="m"))
        texts = set(asked(server))
    assert done.code == 0, done.err
    assert [(line["row"], line["result"]) for line in lines(results)] == [
        (n, {"id": f"r{n}", "sentiment": "re"}) for n in range(1, 5)
    ]
    assert {"Good light,\nbad switch.", 'It broke on the second day. "Sturdy", they say.'} <= texts
