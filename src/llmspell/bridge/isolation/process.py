"""A worker process, as its host sees it: how it is started, interrupted and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from llmspell.bridge.isolation.frames import CONTROL, HEAD, NEXT, READY, to_host, to_worker
from llmspell.bridge.isolation.lockdown import environment
from llmspell.errors import NotSupportedError, WorkerLostError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLD", "DEAD", "WARM", "WorkerProcess", "loss"]

#: What an idle worker is: an engine waits in it, or not yet, or it is no more.
WARM, COLD, DEAD = "warm", "cold", "dead"

MOMENT = 0.01  # seconds that a killed process is waited for, before a thread does it
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]\n"
    "from llmspell.bridge.isolation.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)


def _command(data: int, control: int) -> list[str]:
    """What starts a worker: nothing of the user's own Python settings, the modules of this process."""
    if not sys.executable or getattr(sys, "frozen", False):
        raise NotSupportedError(
            "a worker process cannot be started: this program is not a Python that could run one",
            hint="leave `isolation` out, and run strangers' scripts in a process that a Python of its own serves",
        )
    import lupa

    import llmspell

    homes = [os.path.dirname(os.path.dirname(str(package.__file__))) for package in (llmspell, lupa)]
    path = dict.fromkeys(os.path.abspath(entry) for entry in [*sys.path, *homes])
    options = ["-I", "-S", "-B"] if sys.dont_write_bytecode else ["-I", "-S"]
    return [sys.executable, *options, "-c", PROGRAM, str(data), str(control), *path]


class WorkerProcess:
    """One worker. Belongs to one run at a time, or to nobody; `pool` sees to that.

    options: of the engine that it makes first. Who has one ends it, or gives it back to its pool.
    """

    __slots__ = ("_control", "_control_lock", "_is_open", "_lifeline", "_process", "options", "runs", "socket", "warm")

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.runs = 0
        self.warm = False  # it has said that an engine waits
        self._process: subprocess.Popen[bytes] | None = None
        self._is_open = True
        self._control_lock = threading.Lock()  # for `interrupt`, which may come at any moment
        lifeline, self._lifeline = os.pipe()
        control, self._control = os.pipe()
        self.socket, data = socket.socketpair()
        try:
            self.socket.setblocking(False)
            os.set_blocking(self._control, False)
            self._process = subprocess.Popen(
                _command(data.fileno(), control),
                stdin=lifeline,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(data.fileno(), control),
                env=environment(os.environ),
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl+C is the host's affair
            )
            self.prepare(options)
        except BaseException:
            self.end()
            raise
        finally:
            data.close()
            os.close(control)
            os.close(lifeline)

    @property
    def pid(self) -> int:
        """The process's number; 0 once it has been ended."""
        return 0 if self._process is None else self._process.pid

    def prepare(self, options: Mapping[str, Any]) -> None:
        """Has it drop its engine and make the next, of *options*. OSError where it is no more."""
        self.options = options
        self.warm = False
        self.socket.send(to_worker(NEXT, dict(options)))

    def state(self) -> str:
        """WARM, COLD or DEAD, of one that is idle."""
        try:
            data = self.socket.recv(HEAD.size)
        except BlockingIOError:
            return WARM if self.warm else COLD
        except OSError:
            return DEAD
        if self.warm or data != to_host(READY):
            return DEAD
        self.warm = True
        return WARM

    def interrupt(self, number: int, reason: str, grace: float) -> None:
        """Stops run *number* in it, where it computes. From any thread, and from a signal's handler."""
        if not self._control_lock.acquire(blocking=False):  # it is being closed
            return
        try:
            if self._is_open:
                os.write(self._control, CONTROL.pack(number, grace, reason.encode()))
        except OSError:  # it is no more, or does not read what it is told: then it will be killed
            return
        finally:
            self._control_lock.release()

    # ---- the end

    def kill(self) -> None:
        """Kills it, and closes all that is open for it here. It is still to be waited for."""
        self._close()
        self.strike()

    def strike(self) -> None:
        """Kills it, no more: whoever has it will see that."""
        if self._process is not None:
            try:
                self._process.kill()  # one that has ended by itself keeps its own code
            except OSError:
                pass

    def wait(self) -> None:
        """Waits for the end of one that was killed."""
        if self._process is not None:
            self._process.wait()

    def end(self) -> int | None:
        """Kills it and waits. What it ended with, as `Popen.returncode`, if that is soon known. Safe to call twice."""
        self.kill()
        process, self._process = self._process, None
        if process is None:
            return None
        until = monotonic() + MOMENT
        while process.poll() is None:
            if monotonic() >= until:
                threading.Thread(target=process.wait, name="llmspell-reaper", daemon=True).start()
                return None
            sleep(0.0002)
        return process.returncode

    def disown(self) -> None:
        """In a forked child: lets go of what is the parent's."""
        self._control_lock = threading.Lock()  # one that another thread held is never released here
        self._close()
        process, self._process = self._process, None
        if process is not None:
            process.returncode = 0  # not this process's to wait for

    def _close(self) -> None:
        with self._control_lock:
            was_open, self._is_open = self._is_open, False
        if was_open:
            self.socket.close()
            os.close(self._control)
            os.close(self._lifeline)


def _end_of(code: int | None) -> str:
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def loss(code: int | None, nonsense: Exception | None) -> WorkerLostError:
    """The error of a script whose worker is no more. code: as of `WorkerProcess.end`; nonsense: what it had sent."""
    if nonsense is not None:
        return WorkerLostError(
            f"the script's worker process was ended: {one_line(str(nonsense) or type(nonsense).__name__)}",
            hint="it did what no worker does: take the script for an attack, or report it as a fault of llmspell's",
        )
    killed = code == -signal.SIGKILL
    return WorkerLostError(
        f"the script's worker process {_end_of(code)}",
        hint="somebody ended it, or the system for want of memory: the script may be run again"
        if killed
        else "the interpreter broke down under it: keep the script, and report it as a fault of llmspell's",
        signal=-code if code is not None and code < 0 else None,
    )
