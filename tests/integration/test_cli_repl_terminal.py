"""`llmspell repl` as a person meets it: with prompt_toolkit, and with the terminal's own lines."""

from __future__ import annotations

import os
import re
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from support.answers import answer, asking
from support.loopback import STALL, Gate, Loopback
from support.terminal import Terminal, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.once

SUMMARY = re.compile(r"7 tokens in · \d+ out.*")
GREETING = "llmspell "
CTRL_C, CTRL_D, TAB, UP, ENTER = b"\x03", b"\x04", b"\t", b"\x1b[A", b"\r"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where the history is."""
    return tmp_path / "state"


@pytest.fixture(params=["toolkit", "plain"])
def more(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of either: in one of them prompt_toolkit cannot be had."""
    told = {"XDG_STATE_HOME": str(home)}
    if request.param == "plain":
        (tmp_path / "without").mkdir()
        (tmp_path / "without" / "prompt_toolkit.py").write_text("raise ImportError('none here')\n")
        paths = [str(tmp_path / "without"), *filter(None, [os.environ.get("PYTHONPATH")])]
        told["PYTHONPATH"] = os.pathsep.join(paths)
    return told


def prompts(terminal: Terminal) -> int:
    return sum(line == ">" or line.startswith("> ") for line in terminal.lines)


def at_prompt(terminal: Terminal) -> None:
    """Waits until the last line is an empty prompt."""
    terminal.until(lambda: bool(terminal.lines) and terminal.lines[-1] == ">")


def say(terminal: Terminal, text: str, *, key: bytes = ENTER) -> None:
    """Types a line at the prompt, and waits until it stands there before it is entered."""
    at_prompt(terminal)
    terminal.keys(text.encode())
    terminal.until(lambda: terminal.lines[-1].replace(" ", "").endswith(text.replace(" ", "")))
    terminal.keys(key)


def ended(terminal: Terminal, code: int = 0) -> list[str]:
    """Ctrl+D at the prompt, and what is on the screen then, but for the greeting."""
    at_prompt(terminal)
    terminal.keys(CTRL_D)
    assert terminal.wait() == code
    terminal.assert_as_before()
    assert terminal.lines[0].startswith(GREETING)
    return [line for line in terminal.lines[1:] if line != ">"]


def test_values_are_printed_and_globals_stay(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "x = 6")
        say(terminal, "x * 7")
        say(terminal, "'\\27[31mred', {x}")
        assert ended(terminal) == ["> x = 6", "> x * 7", "42", "> '\\27[31mred', {x}", "␛[31mred", "{ 6 }"]


def test_what_is_not_finished_goes_on_in_the_next_line(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "for i = 1, 2 do")
        terminal.until(lambda: terminal.lines[-1] == ">>")
        terminal.keys(b"print(i)" + ENTER)
        terminal.until(lambda: terminal.text.count(">>") == 2 and terminal.lines[-1] == ">>")
        terminal.keys(b"end" + ENTER)
        assert ended(terminal) == ["> for i = 1, 2 do", ">> print(i)", ">> end", "1", "2"]


def test_an_error_ends_no_session(more: dict[str, str]) -> None:
    with Terminal(["repl", "--no-color"], env=environment(**more)) as terminal:
        say(terminal, "error('no')")
        say(terminal, ":nothing")
        say(terminal, "1 + 1")
        assert ended(terminal) == [
            "> error('no')",
            "error[script]: no",
            "  --> input 1:1",
            " 1 │ error('no')",
            "   │ ^^^^^^^^^^^",
            "> :nothing",
            "error[validation]: there is no `:nothing`",
            "hint: there are :help, :limits, :usage, :reset, :load, :save, :quit",
            "> 1 + 1",
            "2",
        ]


def test_ctrl_c_at_the_prompt_clears_the_line(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "x = 5 +", key=CTRL_C)
        say(terminal, "x")
        assert ended(terminal)[-1] == "nil"


def test_a_slow_answer_is_shown_as_it_comes_and_ctrl_c_stops_it_and_not_the_session(more: dict[str, str]) -> None:
    reached = Gate()
    plans = [answer("Half of", reached, then=STALL), answer("The whole")]
    with Loopback(plans) as server, Terminal(["repl"], env=asking(server, **more)) as terminal:
        say(terminal, "a = Agent.create{ model = 'openai/m' }")
        say(terminal, "a:execute('hi').text")
        terminal.until("Half of")
        terminal.keys(CTRL_C)
        server.connections[0].wait_closed()
        terminal.until("stopped by Ctrl+C")
        say(terminal, "a:execute('hi').text")
        terminal.until(lambda: any(SUMMARY.fullmatch(line) for line in terminal.lines))
        lines = ended(terminal)
    at = lines.index("error[cancelled]: stopped by Ctrl+C")
    assert "Half of" in lines[at - 1] or "Half of" in lines[at - 2]
    assert [line for line in lines if "Half of" in line] == ["Half of"]
    assert lines[-2] == "The whole"
    assert SUMMARY.fullmatch(lines[-1])


def test_a_stream_that_the_input_reads_is_printed_as_it_comes(more: dict[str, str]) -> None:
    reached, stalled = Gate(), Gate()
    plans = [answer("one ", reached, "two ", stalled, then=STALL)]
    text = "for c in a:stream('hi') do io.write(c.content.text or '') end"
    with Loopback(plans) as server, Terminal(["repl"], env=asking(server, **more)) as terminal:
        say(terminal, "a = Agent.create{ model = 'openai/m' }")
        say(terminal, text)
        terminal.until("one")
        assert "two" not in terminal.text
        reached.open()
        terminal.until("one two")
        terminal.keys(CTRL_C)
        server.connections[0].wait_closed()
        say(terminal, "'still here'")
        lines = ended(terminal)
    assert [line for line in lines if line.startswith("one two")]
    assert lines[-1] == "still here"


def test_ctrl_c_stops_what_computes_or_reads(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "x = 5")
        for text in ("print('go') while true do end", "print('go') io.read()", "print('go') Async.sleep(60)"):
            before = terminal.text.count("stopped by Ctrl+C")
            say(terminal, text)
            terminal.until(lambda: terminal.lines[-1] == "go")
            terminal.keys(CTRL_C)
            terminal.until(lambda before=before: terminal.text.count("stopped by Ctrl+C") > before)  # type: ignore[misc]
        say(terminal, "'on'")
        assert ended(terminal)[-1] == "on"


def test_what_does_not_stop_costs_its_state_and_not_the_session(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "x = 5")
        say(terminal, "print('go') table.sort({ 3, 2, 1 }, function() while true do end end)")
        terminal.until(lambda: terminal.lines[-1] == "go")
        terminal.keys(CTRL_C)
        terminal.until("globals, agents and tasks are gone")
        say(terminal, "x")
        assert ended(terminal)[-1] == "nil"


def test_what_tasks_write_waits_while_a_line_is_typed(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more)) as terminal:
        say(terminal, "t = Async.spawn(function() Async.sleep(0.05) print('tick') done = true end)")
        at_prompt(terminal)
        terminal.keys(b"while not done do Async.sleep(0.01) end")
        terminal.until("0.01) end")
        assert "tick" not in [line.strip() for line in terminal.lines]
        terminal.keys(ENTER)
        assert ended(terminal)[-1] == "tick"


def test_os_exit_and_quit_end_it(more: dict[str, str]) -> None:
    for text, code in (("os.exit(7)", 7), (":quit", 0)):
        with Terminal(["repl"], env=environment(**more)) as terminal:
            say(terminal, text)
            assert terminal.wait() == code
            terminal.assert_as_before()


def test_sigterm_ends_it_at_the_prompt_and_in_a_call(more: dict[str, str]) -> None:
    for text in ("", "print('go') Async.sleep(60)"):
        with Terminal(["repl"], env=environment(**more)) as terminal:
            at_prompt(terminal)
            if text:
                say(terminal, text)
                terminal.until(lambda terminal=terminal: terminal.lines[-1] == "go")  # type: ignore[misc]
            os.kill(_command(terminal), signal.SIGTERM)
            assert terminal.wait() == 143
            terminal.assert_as_before()
            assert terminal.lines[-1] == "error[cancelled]: stopped by SIGTERM"


def _command(terminal: Terminal) -> int:
    return terminal.process.pid


def test_a_person_is_asked_for_what_was_not_granted(more: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a").write_text("words")
    with Terminal(["repl", "--ask"], env=environment(**more), cwd=tmp_path) as terminal:
        say(terminal, "File.read('a')")
        terminal.until("allow it?")
        terminal.keys(b"y\n")
        say(terminal, "'on'")
        assert ended(terminal)[-3:] == ["words", "> 'on'", "on"]


def test_results_may_go_elsewhere(more: dict[str, str], tmp_path: Path) -> None:
    with Terminal(["repl"], env=environment(**more), out=tmp_path / "out") as terminal:
        say(terminal, "6 * 7")
        assert ended(terminal) == ["> 6 * 7"]
    assert (tmp_path / "out").read_text() == "42\n"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_can_do_nothing_gets_no_control_sequence(term: str, home: Path) -> None:
    with Terminal(["repl"], env=environment(XDG_STATE_HOME=str(home)), term=term) as terminal:
        say(terminal, "6 * 7")
        assert ended(terminal) == ["> 6 * 7", "42"]
        assert b"\x1b" not in terminal.raw


# ---- with prompt_toolkit


def toolkit(home: Path) -> dict[str, str]:
    pytest.importorskip("prompt_toolkit")
    return environment(XDG_STATE_HOME=str(home))


def test_what_was_typed_comes_back_in_the_next_session_but_no_secret(home: Path) -> None:
    path = home / "llmspell" / "repl_history"
    with Terminal(["repl"], env=toolkit(home)) as terminal:
        say(terminal, "x = 40 + 2")
        say(terminal, "key = 'sk-abcdefghijklmnopqrstuvwxyz'")
        say(terminal, " y = 'with a space before it'")
        ended(terminal)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = path.read_text()
    assert "x = 40 + 2" in kept
    assert "sk-abc" not in kept
    assert "with a space" not in kept
    with Terminal(["repl"], env=toolkit(home)) as terminal:
        at_prompt(terminal)
        terminal.keys(b"z")
        terminal.until("> z")
        terminal.keys(b"\x7f")  # by now the file is read
        at_prompt(terminal)
        terminal.keys(UP)
        terminal.until("> x = 40 + 2")
        terminal.keys(ENTER)
        say(terminal, "x")
        assert ended(terminal)[-1] == "42"


@pytest.mark.parametrize(
    ("before", "typed", "completed"),
    [
        ("", "coro", "> coroutine"),
        ("", "string.fo", "> string.format"),
        ("mine = { only_this = 1 }", "mine.on", "> mine.only_this"),
        ("a = Agent.create{ model = 'mock' }", "a:stream_", "> a:stream_execute"),
        ("s = 'text'", "s:gm", "> s:gmatch"),
        ("", "Agent.bu", "> Agent.builder"),
        ("", "Agent.create{ max_tok", "> Agent.create{ max_tokens"),
        ("", ":he", "> :help"),
        ("", "x = { model = 'loc", "> x = { model = 'local"),
    ],
)
def test_tab_completes(before: str, typed: str, completed: str, home: Path) -> None:
    with Terminal(["repl"], env=toolkit(home)) as terminal:
        if before:
            say(terminal, before)
        say(terminal, typed, key=TAB)
        terminal.until(lambda: terminal.lines[-1] == completed)
        terminal.keys(CTRL_C)
        ended(terminal)


def test_several_completions_are_shown_and_one_is_taken(home: Path) -> None:
    with Terminal(["repl"], env=toolkit(home)) as terminal:
        say(terminal, "string.re", key=TAB)
        terminal.until(lambda: "reverse" in terminal.text and "rep" in terminal.text)
        terminal.keys(TAB)
        terminal.until("> string.rep")
        terminal.keys(ENTER)
        terminal.until(lambda: "reverse" not in terminal.text)
        terminal.keys(b"('ab', 3)" + ENTER)
        terminal.until("ababab")
        ended(terminal)


def test_pasted_lines_are_one_input(home: Path) -> None:
    with Terminal(["repl"], env=toolkit(home)) as terminal:
        at_prompt(terminal)
        terminal.keys(b"\x1b[200~x = 1\nx = x + 1\x1b[201~")
        terminal.until(">> x = x + 1")
        terminal.keys(ENTER)
        say(terminal, "x")
        assert ended(terminal)[-1] == "2"


@pytest.mark.parametrize("size", [(40, 10), (200, 50)])
def test_it_is_right_at_other_sizes(size: tuple[int, int], more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more), size=size) as terminal:
        say(terminal, "6 * 7")
        terminal.until("42")
        at_prompt(terminal)
        terminal.keys(CTRL_D)
        assert terminal.wait() == 0
        terminal.assert_as_before()


def test_a_long_line_is_wrapped_without_marks_and_help_says_what_is_missing(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(**more), size=(40, 24)) as terminal:
        at_prompt(terminal)
        text = "x = '" + "0123456789" * 5 + "'"
        terminal.keys(text.encode())
        terminal.until(lambda: "".join(terminal.lines[2:]) == "> " + text)
        terminal.keys(ENTER)
        say(terminal, ":help")
        terminal.until(":quit")
        missing = "pip install 'llmspell[repl]'" in terminal.text
        assert missing == ("without" in more.get("PYTHONPATH", ""))
        at_prompt(terminal)
        terminal.keys(CTRL_D)
        assert terminal.wait() == 0


def test_no_color_is_obeyed(more: dict[str, str]) -> None:
    with Terminal(["repl"], env=environment(NO_COLOR="1", **more)) as terminal:
        say(terminal, "error('no')")
        ended(terminal)
        assert not re.search(rb"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.raw)


def test_exec_streams_as_run_does(home: Path) -> None:
    between = Gate()
    with Loopback([answer("Hello ", between, "world")]) as server:
        code = "Agent.create{ model = 'openai/m' }:execute('hi').text"
        with Terminal(["exec", "--stream", code], env=asking(server)) as terminal:
            terminal.until("Hello")
            between.open()
            assert terminal.wait() == 0
            assert terminal.lines[0] == "Hello world"
            assert SUMMARY.fullmatch(terminal.lines[1])
            terminal.assert_as_before()


def test_ctrl_c_stops_exec() -> None:
    with Terminal(["exec", "print('go') Async.sleep(60)"]) as terminal:
        terminal.until("go")
        terminal.interrupt()
        assert terminal.wait() == 130
