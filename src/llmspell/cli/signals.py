"""Signals and the deadline's backstop: a thread that waits for them, whatever the main thread is stuck in.

The signals are blocked and taken by `sigtimedwait`, so no exception ever comes up between two lines of Python, and a
second Ctrl+C ends the process even while Lua's library loops in C.
"""

from __future__ import annotations

import _signal as signal  # the module `signal` costs an import of `enum`, a tenth of the whole start
import _thread
import os
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Watch"]

BACKSTOP = 1.0  # seconds after its deadline that a script has to stop
STOPPING = 5.0  # seconds after a signal that everything has to close
STILL = 1.0  # seconds between two looks whether a deadline that was put off holds again
LAST_WORDS = 0.5  # seconds that telling of it may take
ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")  # by name: not every system has all
STOPS = ("SIGTSTP", "SIGCONT")


def _end(code: int) -> None:
    sleep(LAST_WORDS)
    os._exit(code)


class Watch:
    """Watches a run: `on_signal(number)` at the first signal; at the second the process ends with 128 + its number.

    One that has not ended STOPPING seconds after the first is stuck in C, and ended likewise.
    deadline: of `time.monotonic`, or None; BACKSTOP seconds later `on_late()` is called and the process ends with 5.
    before_exit: called before the process is ended from here, to give the terminal back.
    suspended: where the terminal is drawn on: called with what stops the process, when Ctrl+Z asks for that, to give
    the terminal back meanwhile; and with None when the process goes on after a stop that nobody was told of.
    All run on the watching thread. Where the platform has no `sigtimedwait`, Python's own handlers serve.
    Ctrl+\\ ends the process as the second signal does.
    """

    def __init__(
        self,
        on_signal: Callable[[int], None],
        on_late: Callable[[], None],
        before_exit: Callable[[], None],
        deadline: float | None,
        suspended: Callable[[Callable[[], None] | None], None] | None = None,
    ) -> None:
        self._on_signal, self._on_late, self._before_exit = on_signal, on_late, before_exit
        self._suspended = suspended
        self._end_at = float("inf") if deadline is None else deadline + BACKSTOP
        self._stops = {getattr(signal, name, None) for name in STOPS}
        self.received: int | None = None
        self._finished = False
        self._still_since: float | None = None
        # One that is ignored (a job in a script's background) stays so.
        names = ENDING if suspended is None else ENDING + STOPS
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        self._signals = {number for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
        if hasattr(signal, "sigtimedwait"):
            signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
            _thread.start_new_thread(self._watch, ())
        else:
            for number in self._signals - self._stops:
                signal.signal(number, lambda got, frame: self._take(got))

    def _watch(self) -> None:
        while not self._finished:
            wait = self._end_at - monotonic() if self._still_since is None else STILL
            if wait <= 0:
                self._late()
                return
            got = signal.sigtimedwait(self._signals, min(wait, 3600.0))
            if got is None:
                continue
            if self._finished:  # it came here all the same, since another was on its way to the main thread
                os.kill(os.getpid(), got.si_signo)  # type: ignore[unreachable]  # another thread has said so meanwhile
                return
            self._take(got.si_signo)

    def _take(self, number: int) -> None:
        if number in self._stops:
            self._stand(number)
            return
        if self.received is not None or number == getattr(signal, "SIGQUIT", None):
            self._before_exit()
            os._exit(128 + number)
        self.received = number
        self._end_at = monotonic() + STOPPING
        self._still_since = None
        self._on_signal(number)

    def _stand(self, number: int) -> None:
        """Stops the process for as long as its user wants, or goes on after that."""
        if self._suspended is None:
            return
        if number == signal.SIGCONT:
            self._suspended(None)
            return

        def stop() -> None:
            os.kill(os.getpid(), signal.SIGSTOP)
            signal.sigtimedwait({signal.SIGCONT}, 1.0)  # the process goes on, or has not quite stopped yet

        self._suspended(stop)

    def take(self, number: int) -> None:
        """A signal that another thread was given, whose library did not block it."""
        self._take(number)

    def _late(self) -> None:
        if self._finished:
            return
        code = 5 if self.received is None else 128 + self.received
        _thread.start_new_thread(_end, (code,))  # whoever reads what is told may have stopped to
        try:
            self._before_exit()
            if self.received is None:
                self._on_late()
        finally:
            os._exit(code)

    def stand_still(self) -> None:
        """The deadline is put off, for as long as it takes until `go_on`."""
        if self.received is None:
            self._still_since = monotonic()

    def go_on(self) -> None:
        """The deadline holds again, so much later."""
        since = self._still_since
        if since is not None and self.received is None:
            self._end_at += monotonic() - since
        self._still_since = None

    def finish(self) -> None:
        """The run is over: what is left to do is short, and a signal ends the process as usual."""
        self._finished = True
        if hasattr(signal, "sigtimedwait") and self.received is None:
            for number in self._signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
