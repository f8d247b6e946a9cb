"""`llmspell` between other programs: bytes as they are, JSON that parses, exit codes, and readers that leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from llmspell._version import __version__
from support.answers import answer, asking
from support.loopback import STALL, Gate, Loopback
from support.terminal import COMMAND, environment, llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

FORMS = ("text", "json", "jsonl")
LOOP = """
for chunk in Agent.create{ model = 'openai/m' }:stream_execute('hi') do
  if chunk.content.type == 'text' then io.write(chunk.content.text) end
end
"""
STUCK = "print('before')\nstring.find(('a'):rep(40), ('a*'):rep(20) .. 'b')\n"


@pytest.fixture
def run_file(tmp_path: Path) -> Any:
    """Writes a script and gives the words that run it."""

    def write(text: str | bytes, *options: str) -> list[str]:
        (tmp_path / "s.lua").write_bytes(text.encode() if isinstance(text, str) else text)
        return ["run", *options, str(tmp_path / "s.lua")]

    return write


def events(out: bytes) -> list[dict[str, Any]]:
    """The lines of `--output jsonl`."""
    return [json.loads(line) for line in out.splitlines()]


# ---- streams in a pipe


def test_a_stream_in_a_pipe_is_the_scripts_bytes_each_chunk_flushed(run_file: Any) -> None:
    gate = Gate()
    with (
        Loopback([answer("first\x1b[31m", gate, "second\n")]) as server,
        start(*run_file(LOOP, "--stream"), env=asking(server)) as child,
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        assert os.read(child.stdout.fileno(), 1000) == b"first\x1b[31m"
        gate.open()
        assert child.stdout.read() == b"second\n"
        assert child.wait() == 0
        assert child.stderr.read() == b""


def test_an_executed_answer_in_a_pipe_shows_nothing_but_the_script(run_file: Any) -> None:
    with Loopback([answer("Hello")]) as server:
        text = "print(Agent.create{ model = 'openai/m' }:execute('hi').text)"
        done = llmspell(*run_file(text, "--stream"), env=asking(server))
        assert done == (0, b"Hello\n", b"")
        assert server.requests[0].json["stream"] is True


def test_jsonl_tells_each_chunk_as_it_comes(run_file: Any) -> None:
    gate = Gate()
    with Loopback([answer("one", gate, "two")]) as server:
        command = run_file(LOOP + "return { n = 2 }", "--output", "jsonl")
        with start(*command, "--", "a", env=asking(server)) as child:
            assert child.stdout is not None
            told = [json.loads(child.stdout.readline()) for _ in range(4)]
            gate.open()
            told += events(child.stdout.read())
    assert [event["event"] for event in told].count("chunk") == 4  # start, one, two, end
    assert told[0] == {"event": "start", "version": 1, "script": command[-1], "args": ["a"]}
    texts = [event["chunk"]["content"] for event in told if event["event"] == "chunk"]
    assert [content["text"] for content in texts if content["type"] == "text"] == ["one", "two"]
    assert "".join(event["text"] for event in told if event["event"] == "output") == "onetwo"
    last = told[-1]
    assert (last["event"], last["result"], last["calls"], last["exit_code"]) == ("result", {"n": 2}, 1, 0)
    assert last["usage"] == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}


def test_jsonl_ends_with_the_error_and_what_had_come(run_file: Any) -> None:
    with Loopback([answer("one ", "two", then="close")]) as server:
        done = llmspell(*run_file(LOOP, "--output", "jsonl"), env=asking(server))
    told = events(done.out)
    assert (done.code, done.err) == (4, b"")
    assert [event["event"] for event in told].count("error") == 1
    assert told[-1]["error"]["kind"] == "stream_truncated"
    assert told[-1]["error"]["partial"] == "one two"


# ---- JSON


def test_a_json_error_has_kind_message_hint_script_and_line(run_file: Any) -> None:
    done = llmspell(*run_file("print('so far')\nAgent.create{ temprature = 1 }\n", "--output", "json"))
    told = json.loads(done.err)
    error = told["error"]
    assert (done.code, done.out) == (1, b"")
    assert (error["kind"], error["line"]) == ("validation", 2)
    assert error["message"] == "`Agent.create` has no field `temprature`"
    assert error["hint"] == "did you mean `temperature`?"
    assert error["script"].endswith("s.lua")
    assert error["traceback"][0]["line"] == 2
    assert told["output"] == "so far\n"


def test_values_that_are_no_text_are_json_all_the_same(run_file: Any) -> None:
    script = r"io.write('\xff') return { ['\xfe'] = '\xfd', n = 0/0, [1.5] = true }"
    done = llmspell(*run_file(script, "--output", "json"))
    told = json.loads(done.out)
    assert (told["output"], told["result"]) == ("\ufffd", {"\ufffd": "\ufffd", "n": None, "1.5": True})


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_an_object_is_one_line_for_every_reader_of_lines_and_steers_no_terminal(form: str, run_file: Any) -> None:
    odd = "a\u2028b\u2029c\x85d\x9b2Je\x7ff\x1b[2Jg\n\x0b\x0c\x1c\x1d\x1eé"
    out = llmspell(*run_file(f"local t = [[{odd}]] io.write(t) return t", "--output", form)).out.decode()
    assert out.splitlines() == out.split("\n")[:-1]
    assert all(c.isprintable() or c == "\n" for c in out)
    assert json.loads(out.splitlines()[-1])["result"] == odd


def test_arguments_and_a_path_that_are_no_utf8_pass_unchanged_and_are_told_in_json(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"s\xff.lua")
    with open(path, "w", encoding="utf-8") as file:
        file.write("io.write(ARGS[1], '|', ARGS.name, '|', ARGS[0]:sub(-6)) error('lost')")
    args = ["--", b"\xfe 1", b"--name=\xfd"]
    done = llmspell("run", path, *args)
    assert (done.code, done.out) == (1, b"\xfe 1|\xfd|s\xff.lua")
    assert done.err.startswith(b"error[script]: lost")
    told = events(llmspell("run", "--output", "jsonl", path, *args).out)
    assert told[0]["args"] == ["\ufffd 1", "--name=\ufffd"]
    assert told[-1]["error"]["message"] == "lost"


def test_pythons_traceback_is_shown_where_it_is_asked_for(run_file: Any) -> None:
    plain = llmspell(*run_file("error('lost')"))
    shown = llmspell(*run_file("error('lost')", "--traceback"))
    assert b"Traceback (most recent call last):" not in plain.err
    assert shown.err.startswith(b"Traceback (most recent call last):")
    assert shown.err.endswith(plain.err)
    told = json.loads(llmspell(*run_file("error('lost')", "--traceback", "--output", "json")).err)
    assert "Traceback" in told["error"]["python"]


# ---- readers that leave, disks that are full


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_that_has_gone_ends_the_run_quietly(form: str, run_file: Any) -> None:
    script = "print('one') io.read('l') for i = 1, 20000 do print('more') end"
    with start(*run_file(script, "--output", form, "--stream"), stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        if form != "json":  # which writes at the end
            assert child.stdout.readline()
        child.stdout.close()
        child.stdin.write(b"go on\n")
        child.stdin.flush()
        assert (child.wait(), child.stderr.read()) == (141, b"")


def test_a_reader_that_leaves_in_mid_answer_closes_the_connection(run_file: Any) -> None:
    for form in ("text", "jsonl"):
        gate = Gate()
        with Loopback([answer("one", gate, *["more"] * 50, then=STALL)]) as server:
            with start(*run_file(LOOP, "--stream", "--output", form), env=asking(server)) as child:
                assert child.stdout is not None
                assert child.stderr is not None
                assert os.read(child.stdout.fileno(), 3)
                gate.reached()
                child.stdout.close()
                gate.open()
                assert (child.wait(), child.stderr.read()) == (141, b"")
            server.connections[0].wait_closed()


def test_log_lines_that_nobody_reads_end_the_run_quietly(run_file: Any) -> None:
    script = "io.read('l') Log.info('note') while true do end"
    with start(*run_file(script), stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        child.stderr.close()
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert (child.wait(), child.stdout.read()) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("form", FORMS)
def test_output_that_cannot_be_written_is_an_error(form: str, run_file: Any) -> None:
    with open("/dev/full", "wb") as full:
        for script in ("print('lost')", "io.write(('x'):rep(100000)) while true do end"):
            if form == "json" and "while" in script:
                continue  # nothing is written before the end
            with start(*run_file(script, "--output", form), stdout=full) as child:
                assert child.stderr is not None
                told = child.stderr.read().decode()
                assert child.wait() == 1
                assert "the output cannot be written: no space left on device" in told
                assert "free some space" in told


def test_streams_that_are_closed_from_the_start_are_no_fault(run_file: Any) -> None:
    def shell(redirections: str, *words: str) -> tuple[int, bytes, bytes]:
        script = f'exec "$@" {redirections}'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *COMMAND, *words], capture_output=True, env=environment(), timeout=30
        )
        return done.returncode, done.stdout, done.stderr

    assert shell(">&-", *run_file("print('x')")) == (0, b"", b"")
    assert shell("2>&-", "run", "--timeout", "soon", "x.lua") == (2, b"", b"")
    assert shell("<&-", *run_file("print(io.read('l'), io.read('a'))")) == (0, b"nil\t\n", b"")


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "Ctrl+C"), (15, 143, "SIGTERM")])
def test_a_signal_to_a_run_in_pipes_leaves_what_was_written(number: int, code: int, word: str, run_file: Any) -> None:
    with start(*run_file("io.write('so far') io.flush() Async.sleep(60)")) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert os.read(child.stdout.fileno(), 100) == b"so far"
        child.send_signal(number)
        assert (child.wait(), child.stdout.read()) == (code, b"")
        assert child.stderr.read() == f"error[cancelled]: stopped by {word}\n".encode()


# ---- limits


@pytest.mark.parametrize("form", FORMS)
def test_a_script_stuck_in_c_is_ended_a_second_after_its_deadline(form: str, run_file: Any) -> None:
    begin = time.monotonic()
    done = llmspell(*run_file(STUCK, "--timeout", "0.2", "--output", form))
    assert time.monotonic() - begin < 4
    assert done.code == 5
    told = (done.out + done.err).decode()
    assert "the run took longer than its limit of 0.2 s" in told
    if form == "text":
        assert done.out == b"before\n"
        assert done.err.startswith(b"error[limit]")
    else:
        assert json.loads(told.splitlines()[-1])["error"]["kind"] == "limit"


def test_a_reader_that_does_not_read_does_not_keep_the_run_beyond_its_deadline(run_file: Any) -> None:
    script = "while true do io.write(('x'):rep(10000)) end"
    with start(*run_file(script, "--timeout", "0.2")) as child:
        assert child.wait(10) == 5
        assert child.stderr is not None
        assert child.stderr.read().startswith(b"error[limit]: the run took longer than its limit of 0.2 s\n")


# ---- the rest of the command line


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("form", FORMS)
def test_a_slow_reader_gets_all_of_it(form: str, unbuffered: str, run_file: Any) -> None:
    """Each write is interrupted by ticks while the pipe is full. An unbuffered file takes a part of it then."""
    words = run_file("for _ = 1, 4 do io.write(('x'):rep(1 << 18)) end return ('y'):rep(1 << 18)", "--output", form)
    with start(*words, env={**environment(), "PYTHONUNBUFFERED": unbuffered}) as child:
        assert child.stdout is not None
        got = b""
        while piece := os.read(child.stdout.fileno(), 1 << 16):
            got += piece
            time.sleep(0.01)  # a slow reader: two ticks
        assert child.wait(30) == 0
    assert got.count(b"x") >= 4 << 18
    if form != "text":
        last = json.loads(got.splitlines()[-1])
        assert last["result"] == "y" * (1 << 18)


def test_version_and_help() -> None:
    assert llmspell("--version") == (0, f"llmspell {__version__}\n".encode(), b"")
    for words in (["--help"], ["run", "--help"], ["run", "-h"], ["models", "--help"]):
        code, out, err = llmspell(*words)
        assert (code, err) == (0, b"")
        assert b"Usage: llmspell" in out
    told = llmspell("run", "--help").out.decode()
    for word in ("--stream", "--model", "--provider", "--timeout", "--config", "--output", "--no-color", "Exit codes"):
        assert word in told
    code, out, err = llmspell()
    assert (code, out) == (2, b"")
    assert b"usage: llmspell COMMAND" in err
    assert b"  run " in err


def test_python_m_llmspell_is_the_same(run_file: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmspell", *run_file("return 1")], capture_output=True, env=environment(), timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"")


def test_flags_win_over_the_configuration(run_file: Any, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[runtime]\ntimeout = 0.2\n[providers]\ndefault = 'local'\n")
    config = ["--config", str(tmp_path / "c.toml")]
    assert llmspell(*run_file("Async.sleep(0.5)", *config)).code == 5
    for words, told in (
        (["--timeout", "0"], "local\tsmollm2-135m-instruct"),
        (["--timeout", "60", "--provider", "openai"], "openai\tgpt-4o-mini"),
        (["--timeout", "60", "--model", "openai/other"], "openai\tother"),
        (["--timeout", "60", "--provider", "openai", "--model", "vendor/model"], "openai\tvendor/model"),
    ):
        script = "local told = Agent.create{}:get_config() print(told.provider, told.model) Async.sleep(0.3)"
        assert llmspell(*run_file(script, *config, *words)) == (0, f"{told}\n".encode(), b"")
