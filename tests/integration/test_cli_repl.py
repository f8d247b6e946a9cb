"""`llmspell repl` without a terminal: inputs of a pipe or a file, one after another."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.answers import KEY, answer, asking
from support.loopback import STALL, Gate, Loopback
from support.terminal import COMMAND, PATIENCE, environment, llmspell, start

DOCUMENT = Path(__file__).parents[2] / "docs" / "repl.md"


def repl(text: str, *options: str, **more: str) -> tuple[int, str, str]:
    done = llmspell("repl", *options, stdin=text.encode(), env=environment(**more))
    return done.code, done.out.decode(), done.err.decode()


def test_inputs_are_run_without_a_prompt_and_expressions_print_their_value() -> None:
    text = "x = 6\nx * 7\n= x, 'two'\nfunction f(a)\n  return a * 2\nend\nf(21)\nprint('hi')\n{ x, y = 1 }\n"
    assert repl(text) == (0, "42\n6\ntwo\n42\nhi\n{ 6, y = 1 }\n", "")


def test_an_error_ends_no_session_and_the_first_gives_the_exit_code() -> None:
    code, out, err = repl("nil + 1\n:nothing\nFile.read('/etc/hostname')\nprint('on')\n")
    assert (code, out) == (1, "on\n")
    assert err == (
        "error[script]: attempt to perform arithmetic on a nil value\n  --> input 1:1\n 1 │ nil + 1\n   │ ^^^^^^^\n"
        "error[validation]: there is no `:nothing`\n"
        "hint: there are :help, :limits, :usage, :reset, :load, :save, :quit\n"
        "error[permission]: `File.read` may not read `/etc/hostname`\n"
        "hint: to allow it: --allow-read=/etc/hostname, or `permissions.read`\n"
    )
    assert repl("File.read('/etc/none')\nerror('no')\n")[0] == 6


def test_an_error_shows_the_input_that_it_is_of() -> None:
    code, _, err = repl("function f()\n  error('no')\nend\nx = 1\nlocal y = f()\n")
    assert code == 1
    assert "--> input 1:2\n" in err
    assert " 2 │   error('no')\n" in err


def test_what_is_not_finished_at_the_end_is_an_error() -> None:
    code, _, err = repl("f(")
    assert code == 1
    assert "near <eof>" in err


def test_scripts_read_the_lines_that_follow() -> None:
    assert repl("line = io.read()\nthis one\nline\nio.read('a')\nthe\nrest\n")[:2] == (0, "this one\nthe\nrest\n")


def test_os_exit_ends_it_with_its_code() -> None:
    assert repl("os.exit(7)\nprint('not')\n") == (7, "", "")


@pytest.mark.parametrize("stdin", [b"", b"\n \n-- nothing\n"])
def test_nothing_is_nothing(stdin: bytes) -> None:
    assert llmspell("repl", stdin=stdin) == (0, b"", b"")


def test_standard_input_may_be_a_file_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1 + 1")
    for path, out in ((tmp_path / "in", b"2\n"), (os.devnull, b"")):
        with open(path, "rb") as file:
            done = subprocess.run([*COMMAND, "repl"], stdin=file, capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, out, b"")


def test_bytes_of_any_kind_are_run_and_passed_on() -> None:
    done = llmspell("repl", stdin=b"'\xff\xe9' .. '\\27[31m'\n")
    assert done == (0, b"\xff\xe9\x1b[31m\n", b"")


def test_the_session_in_the_documents_goes_as_it_says() -> None:
    block = DOCUMENT.read_text(encoding="utf-8").partition("```console\n")[2].partition("```")[0].splitlines()
    typed = [line.partition(" ")[2] for line in block if line.startswith((">", ">> "))]
    told = [line for line in block if not line.startswith(">")]
    _, out, err = repl("\n".join(typed) + "\n")
    assert out.splitlines() == [line for line in told if not line.startswith("error")]
    assert err.splitlines()[:1] == [line for line in told if line.startswith("error")]


# ---- words for the session


def test_a_script_is_loaded_and_its_globals_stay(tmp_path: Path) -> None:
    (tmp_path / "a b.lua").write_text("#!/usr/bin/env llmspell\nfunction double(x) return 2 * x end\nreturn 'loaded'")
    assert repl(f":load {tmp_path}/a b.lua\ndouble(21)\n") == (0, "loaded\n42\n", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":load", "`:load` needs the name of a file"),
        (":load /no/such", "there is no script `/no/such`"),
        (":load /", "`/` is a folder, not a script"),
        (":quit now", "`:quit` stands alone"),
        (":lod x", "did you mean `:load`?"),
        (":save /no/such/folder/x", "cannot write `/no/such/folder/x`"),
    ],
)
def test_a_word_that_is_wrong_says_how(text: str, message: str) -> None:
    code, out, err = repl(text + "\nprint('on')\n")
    assert out == "on\n"
    assert message in err
    assert code


def test_what_was_typed_is_saved_as_a_script_that_does_the_same(tmp_path: Path) -> None:
    path = tmp_path / "saved.lua"
    typed = f"local x = 1\nx = (x or 2) * 2\nx + 1\nerror('no')\n=x\n:save {path}\n:save {path}\nprint(x)\n"
    code, out, err = repl(typed)
    assert (code, out) == (1, "5\n4\n4\n")
    assert "no" in err
    assert llmspell("run", str(path)) == (0, b"", b"")
    assert "error" not in path.read_text()
    code, _, err = repl(f"y = 1\n:save {path}\n")  # of another session
    assert code
    assert "is there already" in err
    assert "y = 1" not in path.read_text()


def test_a_new_state_has_no_globals() -> None:
    assert repl("x = 1\nx\n:reset\nx\n") == (0, "1\nnil\n", "")


def test_help_limits_and_quit() -> None:
    code, out, err = repl(":help\n:limits\n:quit\nprint('not')\n", "--timeout", "7", "--max-tokens-total", "1000")
    assert (code, err) == (0, "")
    assert ":load FILE" in out
    assert "timeout           7 s, for each input\n" in out
    assert "max_tokens_total  1,000; 1,000 left\n" in out
    assert "not" not in out.splitlines()
    assert max(map(len, out.splitlines())) < 80


# ---- limits and permissions


def test_the_time_is_of_each_input() -> None:
    code, out, err = repl("x = 1\nAsync.sleep(60)\nx\nAsync.sleep(60)\nx\n", "--timeout", "0.2")
    assert (code, out) == (5, "1\n1\n")
    assert err.count("the run took longer than its limit of 0.2 s") == 2


def test_what_cannot_be_stopped_ends_its_state_and_says_so() -> None:
    endless = "table.sort({ 3, 2, 1 }, function() while true do end end)"
    code, out, err = repl(f"x = 1\n{endless}\nx\n", "--timeout", "0.2")
    assert (code, out) == (5, "nil\n")
    assert err.endswith("note: its Lua state has ended with it: globals, agents and tasks are gone\n")


def test_a_session_has_what_was_granted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("words")
    text = f"File.read('{tmp_path}/a')\n"
    assert repl(text, f"--allow-read={tmp_path}") == (0, "words\n", "")
    assert repl(text)[0] == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "json"], "does not write json"),
        (["--record", "x"], "--record"),
        (["x.lua"], "x.lua"),
        (["--timeout", "soon"], "--timeout"),
    ],
)
def test_what_it_does_not_take_is_a_mistake_of_usage(options: list[str], message: str) -> None:
    code, out, err = repl("print(1)\n", *options)
    assert (code, out) == (2, "")
    assert message in err


# ---- models, signals, pipes


def test_models_are_asked_and_what_they_used_is_counted() -> None:
    with Loopback([answer("some ", "words")]) as server:
        env = asking(server)
        text = b"a = Agent.create{ model = 'openai/m' }\na:execute('hi').text\n"
        text += b"for chunk in a:stream('hi') do io.write(chunk.content.text or '') end\n:usage\n"
        done = llmspell("repl", stdin=text, env=env)
    assert (done.code, done.err) == (0, b"")
    first, *usage = done.out.decode().splitlines()
    assert first == "some words"
    assert usage[0].startswith("some words")
    assert "calls" in done.out.decode()
    assert KEY.encode() not in done.out + done.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("text", ["for c in a:stream('hi') do end", "a:execute('hi')"])
def test_a_signal_ends_it_and_closes_its_connections(number: int, code: int, text: str) -> None:
    reached = Gate()
    with Loopback([answer("half ", reached, then=STALL)]) as server:
        process = start("repl", env=asking(server), stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(f"a = Agent.create{{ model = 'openai/m' }}\n{text}\nprint('not')\n".encode())
        process.stdin.flush()
        reached.reached()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        server.connections[0].wait_closed()
    assert (process.returncode, out) == (code, b"")
    assert err.endswith(f"error[cancelled]: stopped by {'Ctrl+C' if code == 130 else 'SIGTERM'}\n".encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_it_waits_for_input(number: int) -> None:
    process = start("repl", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"print('ready') io.flush()\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(PATIENCE) == 128 + number  # its input is still open
    process.communicate()


def test_a_reader_that_has_gone_ends_it_quietly() -> None:
    process = start("repl", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write(b"print('x')\n" * 100)
    process.stdin.close()
    assert process.wait(PATIENCE) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_planted_key_is_in_no_output_of_a_session() -> None:
    with Loopback([[b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"]]) as server:
        text = b"a = Agent.create{ model = 'openai/m' }\na:execute('hi')\na\n:usage\n:limits\nConfig\n"
        done = llmspell("repl", "--traceback", stdin=text, env=asking(server))
    assert done.code == 4
    assert KEY.encode() not in done.out + done.err


def test_the_limit_of_output_is_of_each_input(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[runtime]\nmax_output = 1000\n")
    text = "x = 1\n" + "print(('x'):rep(600))\n" * 3 + "x\nprint(('y'):rep(2000))\nx\n"
    code, out, err = repl(text, "--config", str(tmp_path / "c.toml"))
    assert (code, out.splitlines()[-2:]) == (5, ["1", "nil"])
    assert "globals, agents and tasks are gone" in err
