"""The command in a pipe or on a pseudo-terminal, as a person meets it: bytes out, keys in, a screen to look at.

    with Terminal(["run", "--stream", "a.lua"], env=env) as terminal:
        terminal.until("hello")                 # blocks until the screen shows it
        terminal.keys(b"\\x03")                  # Ctrl+C, through the terminal's own line discipline
        assert terminal.wait() == 130

Nothing here sleeps: a wait ends when the condition holds, and fails when PATIENCE is over.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pyte

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["COMMAND", "PATIENCE", "Done", "Screen", "Terminal", "environment", "llmspell", "start"]

PATIENCE = 15.0  # seconds that a test waits for what must happen: the machine may be busy
_INSTALLED = os.path.join(os.path.dirname(sys.executable), "llmspell")
COMMAND = [_INSTALLED] if os.access(_INSTALLED, os.X_OK) else [sys.executable, "-P", "-m", "llmspell"]
# The child opens the terminal itself, as the leader of its session: so it becomes its controlling terminal.
_ON_TERMINAL = 'exec <"$0" 2>"$0" {out}; exec "$@"'


def environment(**more: str) -> dict[str, str]:
    """The test's own environment (which `conftest` has cleaned), in UTF-8, with *more* in it."""
    return {**os.environ, "LC_ALL": "C.UTF-8", **more}


class Done(NamedTuple):
    """What a command that ended came to."""

    code: int
    out: bytes
    err: bytes


def llmspell(
    *args: str | bytes,
    stdin: bytes = b"",
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = PATIENCE,
) -> Done:
    """Runs the command to its end, all of its streams being pipes."""
    done = subprocess.run(
        [*COMMAND, *args], input=stdin, capture_output=True, cwd=cwd, env=env or environment(), timeout=seconds
    )
    return Done(done.returncode, done.stdout, done.stderr)


def start(
    *args: str | bytes, cwd: str | Path | None = None, env: Mapping[str, str] | None = None, **streams: Any
) -> subprocess.Popen[bytes]:
    """The command in pipes, running."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([*COMMAND, *args], cwd=cwd, env=env or environment(), **pipes)


FRAME = b"\x1b[?2026h", b"\x1b[?2026l"  # its beginning and its end, where a terminal shows it as a whole


class Screen(pyte.Screen):
    """One that joins no emoji, as many terminals do; pyte's own draws nothing of what follows a joiner."""

    def draw(self, data: str) -> None:
        super().draw(data.replace("\u200d", "").replace("\u200c", "").replace("\ufe0f", ""))


class Terminal:
    """The command on a pseudo-terminal of *size* (columns, rows), with *term* as TERM.

    out: where standard output goes instead, such as a file's path. program: what runs in llmspell's place. raw: all
    bytes that came to the terminal; screen: what a person sees of them (a `Screen`).
    """

    def __init__(
        self,
        args: Sequence[str | bytes],
        *,
        size: tuple[int, int] = (80, 24),
        term: str = "xterm-256color",
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        out: str | Path | None = None,
        program: Sequence[str | bytes] = COMMAND,
    ) -> None:
        columns, rows = size
        self.raw = b""
        self.screen = Screen(columns, rows)
        self.emulator = pyte.ByteStream(self.screen)
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self._lives, held = os.pipe()  # its other end is the child's alone: it closes when the child ends
        told = {**(environment() if env is None else env), "TERM": term}
        shell = _ON_TERMINAL.format(out='>"$0"' if out is None else ">" + _quoted(str(out)))
        self.process = subprocess.Popen(
            [shutil.which("sh") or "/bin/sh", "-c", shell, os.ttyname(self._slave), *program, *args],
            cwd=cwd,
            env=told,
            pass_fds=(held,),
            start_new_session=True,
        )
        os.close(held)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self._master, self._slave, self._lives):
            os.close(fd)

    # ---- what a person sees

    @property
    def lines(self) -> list[str]:
        """The screen's lines without what is blank at their ends, blank lines at the end left out."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, condition: str | Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Reads on until the screen shows a text, or *condition* holds."""
        holds = condition if callable(condition) else lambda: condition in self.text
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            ended = left > 0 and not self._read(left)
            if left <= 0 or (ended and not holds()):
                raise AssertionError(f"{'it ended before' if ended else 'timed out:'} {condition!r}\n{self.text}")

    def _read(self, seconds: float) -> bool:
        """Takes in what comes within *seconds*; False where the child has ended and nothing is left."""
        ready, _, _ = select.select([self._master, self._lives], [], [], max(seconds, 0))
        if self._master in ready:
            self._take(os.read(self._master, 65536))
            return True
        return self._lives not in ready

    def _take(self, data: bytes) -> None:
        self.raw += data
        self.emulator.feed(data)

    @property
    def modes(self) -> list[Any]:
        """The terminal's settings, as `termios` has them; `before`: those at the start."""
        return termios.tcgetattr(self._slave)

    # ---- what a person does

    def resize(self, columns: int, rows: int) -> None:
        """The window gets another size; lines go at its foot, as in terminals, and not at its head, as in pyte.

        What was drawn for the old one is taken in first, to the end of its frame.
        """
        while select.select([self._master], [], [], 0)[0] or self.raw.count(FRAME[0]) != self.raw.count(FRAME[1]):
            if not self._read(PATIENCE):
                break
        for line in range(rows, self.screen.lines):
            self.screen.buffer.pop(line, None)
        self.screen.lines = min(rows, self.screen.lines)
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """The window is closed: nobody reads, and the session is told."""
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (self._master, self._slave):
            os.dup2(null, fd)
        os.close(null)

    def keys(self, keys: bytes) -> None:
        """Types *keys*."""
        os.write(self._master, keys)

    @property
    def queued(self) -> int:
        """How many bytes of what was typed wait for whoever reads, its lines being ended."""
        told: int = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"\0\0\0\0"))[0]
        return told

    def until_queued(self, count: int, seconds: float = PATIENCE) -> None:
        """Reads on until so many bytes wait."""
        deadline = time.monotonic() + seconds
        while self.queued < count:
            assert time.monotonic() < deadline, f"{self.queued} of {count} bytes wait"
            self._read(0.01)

    def signal(self, number: int) -> None:
        """Sends a signal to the command alone."""
        os.kill(self.process.pid, number)

    def interrupt(self) -> None:
        """Ctrl+C."""
        self.keys(b"\x03")

    def insist(self, seconds: float = PATIENCE) -> None:
        """Ctrl+C five times a second until the command has ended: two in one moment are one signal."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.interrupt()
            pause = time.monotonic() + 0.2
            while (left := pause - time.monotonic()) > 0:
                if not self._read(left):
                    return

    def terminate(self) -> None:
        """SIGTERM."""
        self.signal(signal.SIGTERM)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code, once the command has ended and all it wrote is read."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it has not ended\n{self.text}"
        return self._ended()

    def _ended(self) -> int:
        # What it wrote last may still be on its way through the system: it comes before what is written now.
        os.write(self._slave, b"\0")
        while not self.raw.endswith(b"\0"):
            self._take(os.read(self._master, 65536))
        self.raw = self.raw[:-1]
        return self.process.wait(PATIENCE)

    def watch(self, see: Callable[[], object], seconds: float = PATIENCE) -> int:
        """As `wait`, with *see* called whenever something may have come, and at the end."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it has not ended\n{self.text}"
            see()
        code = self._ended()
        see()
        return code

    # ---- how it leaves the terminal

    def assert_as_before(self) -> None:
        """The settings are those of the start, the cursor shows, no style is left on, and no other screen."""
        assert self.modes == self.before
        assert not self.screen.cursor.hidden
        assert not self.screen.cursor.attrs.bold
        assert self.screen.cursor.attrs.fg == "default"
        assert b"\x1b[?1049h" not in self.raw


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"
