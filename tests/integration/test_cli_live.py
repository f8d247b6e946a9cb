"""The live view of `llmspell run --stream` on a terminal that is resized, typed at, stopped, hung up and lied to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.answers import answer, asking
from support.dialects import events
from support.loopback import STALL, Gate, Loopback, chunked, head, reply, sse
from support.terminal import Terminal
from support.tool_turns import CALLING

if TYPE_CHECKING:
    from support.loopback import Request

EXECUTE = "print(#Agent.create{ name = 'poet', model = 'openai/m' }:execute('hi').text)\n"
WORDS = " ".join(f"word{n}" for n in range(120))


def script(folder: Path, text: str, *options: str) -> list[str]:
    """The command that runs *text* with `--stream`."""
    (folder / "s.lua").write_text(text)
    return ["run", "--stream", *options, str(folder / "s.lua")]


def shows_the_end_of(terminal: Terminal, text: str) -> bool:
    """Whether the screen shows nothing but the last part of *text*, wrapped, and that fills it as far as it can."""
    shown = " ".join(terminal.lines)
    whole = len(terminal.lines) == terminal.screen.lines - 1 or shown == text
    return bool(shown) and text.endswith(shown) and whole


def thoughts(*pieces: str) -> list[bytes]:
    """The beginning of an answer: reasoning, a piece each."""
    told = [{"model": "m", "choices": [{"index": 0, "delta": {"reasoning_content": piece}}]} for piece in pieces]
    return [head(), *chunked([events(one) for one in told], end=False)]


# ---- sizes


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 50), (12, 4)])
def test_a_resize_in_mid_answer_leaves_one_view_of_the_new_size(size: tuple[int, int], tmp_path: Path) -> None:
    gate = Gate()
    with (
        Loopback([answer(WORDS, gate, " end")]) as server,
        Terminal(script(tmp_path, EXECUTE), env=asking(server), size=(60, 20)) as terminal,
    ):
        terminal.until("word119")
        terminal.resize(*size)
        terminal.until(lambda: shows_the_end_of(terminal, WORDS))
        terminal.resize(50, 15)
        terminal.until(lambda: shows_the_end_of(terminal, WORDS))
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == str(len(WORDS) + 4)
        assert not any("word" in line for line in terminal.lines)
        terminal.assert_as_before()


SIGNS = "日本語の詩 🎉 👨‍👩‍👧 🇫🇷 👍🏽 e\u0301 ❤\ufe0f a\tb. "


@pytest.mark.parametrize("columns", [7, 20, 40, 80])
def test_wide_and_joined_signs_are_shown_once_at_any_width(columns: int, tmp_path: Path) -> None:
    gate, text = Gate(), SIGNS * 2
    plan = answer(*text, gate, "!")  # a character a piece
    with (
        Loopback([plan]) as server,
        Terminal(script(tmp_path, EXECUTE), env=asking(server), size=(columns, 24)) as terminal,
    ):
        gate.reached()

        def seen() -> str:
            return "".join("".join(line.split()) for line in terminal.screen.display)

        def plain(told: str) -> str:
            return re.sub("[\ufe0f\u200d\u0301]|\\s", "", told)

        terminal.until(lambda: plain(seen()).replace("é", "e") == plain(text))
        gate.open()
        assert terminal.wait() == 0
        terminal.assert_as_before()


# ---- reasoning, tools, retries


@pytest.mark.parametrize("hidden", [False, True])
def test_reasoning_stands_apart_or_is_only_told_of(hidden: bool, tmp_path: Path) -> None:
    thinking, gate = Gate(), Gate()
    said = chunked(sse(["The ", "answer."]))
    plan = [*thoughts("Let me ", "see."), thinking, *said[:3], gate, *said[3:]]
    options = ["--hide-reasoning"] if hidden else []
    with (
        Loopback([plan]) as server,
        Terminal(script(tmp_path, EXECUTE, *options), env=asking(server)) as terminal,
    ):
        if hidden:
            terminal.until(lambda: bool(re.fullmatch(r"\S poet · openai/m — thinking [\d.]+ s", terminal.text)))
        else:
            terminal.until(lambda: terminal.lines == ["│ Let me see."])
        thinking.open()
        terminal.until("answer.")
        assert terminal.lines == ["The answer."] if hidden else ["│ Let me see.", "The answer."]
        gate.open()
        assert terminal.wait() == 0
        assert (b"Let me" in terminal.raw) is not hidden
        terminal.assert_as_before()


def test_a_tool_that_fails_is_told_in_its_row_and_harmless(tmp_path: Path) -> None:
    called = CALLING["openai"]([("c1", "looks", {"at": "\x1b[2J"})], "")[0]
    last = Gate()
    text = """
      local function fail() error('no \\27[2Jsuch') end
      Tool.register{ name = 'looks', parameters = { type = 'object' }, execute = fail }
      print(Agent.create{ model = 'openai/m', tools = { 'looks' } }:execute('hi').text)
    """
    with (
        Loopback([reply(called), [last, *answer("So ", "what.")]]) as server,
        Terminal(script(tmp_path, text), env=asking(server)) as terminal,
    ):
        terminal.until(lambda: len(terminal.lines) == 2 and "✗ looks" in terminal.lines[0])
        assert re.match(r"✗ looks\(at: \S+\) [\d.]+ s: .*no .*such", terminal.lines[0])
        last.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "So what."
        assert b"\x1b[2J" not in terminal.raw


def test_retries_and_fallbacks_are_said_as_they_happen(tmp_path: Path) -> None:
    error = b'{"error":{"message":"too much to do"}}'
    headers = {"content-type": "application/json", "retry-after": "30"}

    def plan(request: Request) -> list[object]:
        if request.json["model"] == "gone":
            return reply(b'{"error":{"message":"no such model"}}', 404, {"content-type": "application/json"})
        return reply(error, 503, headers)

    text = "print(Agent.create{ name = 'poet', model = { 'openai/gone', 'openai/busy' } }:execute('hi').text)"
    with Loopback([plan]) as server, Terminal(script(tmp_path, text), env=asking(server), size=(120, 24)) as terminal:
        terminal.until("attempt 2 in 2")
        *told, last = terminal.lines
        assert re.match(r"\S poet · openai/busy — attempt 2 in 2\d\.\d s: openai answered 503: too much to do", last)
        assert "no such model; asking openai/busy" in told[0]
        assert "too much to do; attempt 2 in 30 s" in told[1]
        terminal.interrupt()
        assert terminal.wait() == 130
        terminal.assert_as_before()


# ---- what is typed, and signals


def test_what_is_typed_meanwhile_is_not_drawn_into_the_view_and_is_not_lost(tmp_path: Path) -> None:
    gate = Gate()
    text = EXECUTE + "print('read: ' .. io.read('l'))"
    with Loopback([answer("Hello", gate)]) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until("Hello")
        assert terminal.modes != terminal.before
        terminal.keys(b"typed ahead\r")
        terminal.until_queued(len("typed ahead\n"))
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[:2] == ["5", "read: typed ahead"]
        terminal.assert_as_before()


def test_while_the_script_reads_what_is_typed_the_view_is_away(tmp_path: Path) -> None:
    gate = Gate()
    text = """
      local one, two = table.unpack(Async.all{
        function() return Agent.create{ model = 'openai/m' }:execute('hi').text end,
        function() Async.sleep(0.1) print('name?') return io.read('l') end,
      })
      print(one, two)
    """
    plan = answer("Hello", gate)
    with Loopback([plan]) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        gate.reached()
        terminal.until(lambda: terminal.lines == ["name?"] and terminal.modes == terminal.before)
        assert not terminal.screen.cursor.hidden
        terminal.keys(b"Ada")
        terminal.until(lambda: terminal.lines == ["name?", "Ada"])
        terminal.keys(b"\r")
        terminal.until(lambda: terminal.lines == ["name?", "Ada", "Hello"])
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[:3] == ["name?", "Ada", "Hello   Ada"]
        terminal.assert_as_before()


def test_ctrl_z_gives_the_terminal_back_and_the_view_comes_back_with_the_job(tmp_path: Path) -> None:
    gate = Gate()
    plan = answer("Hello ", "world", gate, "!")
    with Loopback([plan]) as server, Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal:
        terminal.until("Hello world")
        terminal.keys(b"\x1a")
        _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        terminal.until(lambda: terminal.lines == [])
        assert not terminal.screen.cursor.hidden
        assert terminal.modes == terminal.before
        terminal.signal(signal.SIGCONT)
        terminal.until(lambda: terminal.lines == ["Hello world"])
        assert terminal.screen.cursor.hidden
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "12"
        terminal.assert_as_before()


def test_after_a_stop_that_nobody_was_told_of_the_view_is_drawn_anew(tmp_path: Path) -> None:
    gate = Gate()
    with (
        Loopback([answer("Hello", gate)]) as server,
        Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal,
    ):
        terminal.until("Hello")
        terminal.signal(signal.SIGSTOP)
        os.waitpid(terminal.process.pid, os.WUNTRACED)
        terminal.screen.reset()  # as if something else had been there
        terminal.screen.set_mode(20)
        terminal.signal(signal.SIGCONT)
        terminal.until(lambda: terminal.lines == ["Hello"])
        gate.open()
        assert terminal.wait() == 0
        terminal.assert_as_before()


@pytest.mark.parametrize(
    ("number", "code", "last"),
    [
        (signal.SIGHUP, 129, "error[cancelled]: stopped by SIGHUP"),
        (signal.SIGTERM, 143, "error[cancelled]: stopped by SIGTERM"),
        (signal.SIGQUIT, 131, None),
    ],
)
def test_a_signal_in_mid_answer_leaves_the_terminal_as_it_was(
    number: int, code: int, last: str | None, tmp_path: Path
) -> None:
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal,
    ):
        terminal.until("Hello")
        terminal.signal(number)
        assert terminal.wait() == code
        server.connections[0].wait_closed()
        assert terminal.lines == (["Hello", last] if last else [])
        terminal.assert_as_before()


def test_a_window_that_is_closed_ends_the_run_and_its_connections(tmp_path: Path) -> None:
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal,
    ):
        terminal.until("Hello")
        terminal.hang_up()
        assert terminal.process.wait(15) in (129, 1, 141)
        server.connections[0].wait_closed()


SERVER = """
import sys, threading
from support.answers import answer
from support.loopback import STALL, Loopback
with Loopback([answer("Hello", then=STALL)]) as server:
    print(server.url, flush=True)
    threading.Event().wait()
"""


def test_a_server_that_is_killed_in_mid_answer(tmp_path: Path) -> None:
    tests = Path(__file__).parent.parent
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(tests)}
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with Terminal(script(tmp_path, EXECUTE), env=asking(url)) as terminal:
            terminal.until("Hello")
            server.kill()
            assert terminal.wait() == 4
            assert terminal.lines[0] == "Hello"
            assert re.match(r"error\[(network|stream_truncated)\]:", terminal.lines[1])
            terminal.assert_as_before()
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
