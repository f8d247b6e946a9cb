"""Ctrl+C, SIGTERM and SIGHUP to a run in pipes, at every stage of it: one exit code each, and nothing left behind."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.answers import answer, asking
from support.loopback import STALL, Loopback, reply
from support.terminal import PATIENCE, start
from support.tool_turns import CALLING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIGNALS = [(signal.SIGINT, 130, "Ctrl+C"), (signal.SIGTERM, 143, "SIGTERM"), (signal.SIGHUP, 129, "SIGHUP")]
each_signal = pytest.mark.parametrize(("number", "code", "word"), SIGNALS, ids=[word for _, _, word in SIGNALS])
ASK = "print(Agent.create{ model = 'openai/m', tools = TOOLS }:execute('hi').text)\n"
CLOSES = "local keep <close> = setmetatable({}, { __close = function() print('closed') end })\n"


@contextmanager
def running(folder: Path, text: str, *options: str, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command that runs *text*, in pipes; it is gone at the end."""
    (folder / "s.lua").write_text(text)
    with start("run", *options, str(folder / "s.lua"), **more) as child:
        try:
            yield child
        finally:
            child.kill()


def ended(child: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    """Exit code, what is left of its output, and its errors."""
    out, err = child.communicate(timeout=PATIENCE)
    return child.returncode, out, err.decode()


def taken_in(pipe: Any) -> None:
    """Blocks until all that was written to *pipe* has been read at its other end."""
    deadline = time.monotonic() + PATIENCE
    while struct.unpack("i", fcntl.ioctl(pipe.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0]:
        assert time.monotonic() < deadline, "it is not read"
        select.select([], [], [], 0.005)


@each_signal
def test_while_the_script_is_read(number: int, code: int, word: str) -> None:
    with start("run", "-", stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(b"print('never')\n")
        child.stdin.flush()
        taken_in(child.stdin)
        child.send_signal(number)
        told, out, err = ended(child)
        assert told in (
            code,
            -number,
        )  # nothing has begun: the signal itself may end it, which a shell tells as the same
        assert (out, err) == (b"", "")


@each_signal
def test_while_a_large_script_is_compiled(number: int, code: int, word: str) -> None:
    with start("run", "-", stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(b"x = 1 " * 1_300_000 + b"while true do end\n")
        child.stdin.flush()
        taken_in(child.stdin)
        child.stdin.close()
        child.stdin = None
        child.send_signal(number)  # as it is read to its end, compiled, or just started
        told, out, err = ended(child)
        assert told in (code, -number)
        assert (out, err) in [(b"", ""), (b"", f"error[cancelled]: stopped by {word}\n")]


@each_signal
@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_before_the_first_token(form: str, number: int, code: int, word: str, tmp_path: Path) -> None:
    script = CLOSES + ASK
    with (
        Loopback([[STALL]]) as server,
        running(tmp_path, script, "--stream", "--output", form, env=asking(server)) as child,
    ):
        server.wait_requests(1)
        child.send_signal(number)
        told, out, err = ended(child)
        server.connections[0].wait_closed()
    assert told == code
    message = f"stopped by {word}"
    if form == "text":
        assert (out, err) == (b"closed\n", f"error[cancelled]: {message}\n")
    elif form == "json":
        error = json.loads(err)
        assert (error["error"]["message"], error["output"], out) == (message, "closed\n", b"")
    else:
        events = [json.loads(line) for line in out.splitlines()]
        assert (events[-1]["event"], events[-1]["error"]["message"], err) == ("error", message, "")


@each_signal
def test_in_mid_answer(number: int, code: int, word: str, tmp_path: Path) -> None:
    script = """
      for chunk in Agent.create{ model = 'openai/m' }:stream_execute('hi') do
        if chunk.content.type == 'text' then io.write(chunk.content.text) end
      end
    """
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        running(tmp_path, script, "--stream", env=asking(server)) as child,
    ):
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 100) == b"Hello"
        child.send_signal(number)
        told, out, err = ended(child)
        server.connections[0].wait_closed()
    assert (told, out) == (code, b"")
    assert err.endswith(f"error[cancelled]: stopped by {word}\n")


@each_signal
@pytest.mark.parametrize("work", ["Async.sleep(60)", "while true do end"], ids=["asleep", "computing"])
def test_in_a_tool(work: str, number: int, code: int, word: str, tmp_path: Path) -> None:
    called = CALLING["openai"]([("c1", "work", {})], "")[0]
    script = f"""
      local function execute() print('at work') {work} end
      Tool.register{{ name = 'work', parameters = {{ type = 'object' }}, execute = execute }}
      TOOLS = {{ 'work' }}
      {ASK}
    """
    with (
        Loopback([reply(called), answer("never")]) as server,
        running(tmp_path, script, "--stream", env=asking(server)) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == b"at work\n"
        child.send_signal(number)
        assert ended(child) == (code, b"", f"error[cancelled]: stopped by {word}\n")
        assert len(server.requests) == 1


@each_signal
def test_while_a_close_runs_at_the_end(number: int, code: int, word: str, tmp_path: Path) -> None:
    script = CLOSES.replace("print('closed')", "print('closing') io.stdout:flush() while true do end") + "print('done')"
    with running(tmp_path, script, "--stream") as child:
        assert child.stdout is not None
        assert [child.stdout.readline(), child.stdout.readline()] == [b"done\n", b"closing\n"]
        child.send_signal(number)
        assert ended(child) == (code, b"", f"error[cancelled]: stopped by {word}\n")


@each_signal
def test_while_the_result_is_written_to_a_reader_that_does_not_read(
    number: int, code: int, word: str, tmp_path: Path
) -> None:
    with running(tmp_path, "return ('x'):rep(1 << 20)", "--output", "json") as child:
        assert child.stdout is not None
        assert os.read(child.stdout.fileno(), 1) == b"{"
        child.send_signal(number)
        child.wait(PATIENCE)
        told, _, err = ended(child)
        assert told in (code, -number)
        assert "Traceback" not in err


def test_a_signal_after_the_run_that_the_watching_thread_is_given_ends_the_process() -> None:
    """As where another signal is just on its way to the main thread: here, that does not take it."""
    code = """
import os, signal, time
from llmspell.cli.signals import Watch
watch = Watch(lambda number: None, lambda: None, lambda: None, None)
time.sleep(0.2)  # the thread waits for signals by then
watch.finish()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.2)  # it has been taken by then; if it has not, it is still there
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
time.sleep(0.1)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        run = running(tmp_path, "print('at work') print(io.read('l'))", "--stream", stdin=subprocess.PIPE)
        child = run.__enter__()
    finally:
        signal.signal(signal.SIGHUP, old)
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"at work\n"
        child.send_signal(signal.SIGHUP)
        child.stdin.write(b"go on\n")
        child.stdin.flush()
        assert ended(child) == (0, b"go on\n", "")
    finally:
        run.__exit__(None, None, None)


# ---- what a pipe gets


HARD = "Hello \x1b[31m日本 👨‍👩‍👧\ttab"


@pytest.mark.parametrize("form", ["text", "json", "jsonl"])
def test_no_control_sequence_is_written_where_there_is_no_terminal(form: str, tmp_path: Path) -> None:
    called = CALLING["openai"]([("c1", "fails", {})], "I look")[0]
    busy = reply(b'{"error":{"message":"too much"}}', 503, {"content-type": "application/json", "retry-after": "0"})
    script = """
      Tool.register{ name = 'fails', parameters = { type = 'object' }, execute = function() error('no') end }
      local text = Agent.create{ model = 'openai/m', tools = { 'fails' } }:execute('hi').text
      error(#text)
    """
    with (
        Loopback([busy, reply(called), answer(HARD)]) as server,
        running(tmp_path, script, "--stream", "--output", form, env=asking(server, FORCE_COLOR="0")) as child,
    ):
        told, out, err = ended(child)
    assert told == 1
    assert b"\x1b" not in out + err.encode()
    assert "too much" in err or form != "text"
