"""Ctrl+C and SIGTERM in a session: taken by a thread, whatever the main thread is stuck in.

The first asks, the second insists, the third ends the process; where what runs does not stop, each comes by itself.
The signals are blocked and taken by `sigtimedwait`, as in `cli/signals.py`, whose words on that hold here, too.
"""

from __future__ import annotations

import _signal as signal
import _thread
import os
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Signals"]

ASKED, INSISTED = 1.0, 2.0  # seconds that what runs has to stop, asked for the first time and for the second
LONGEST = 3600.0  # of one wait
LAST = 3  # the time at which the process ends


class Signals:
    """take: called on the thread with the signal's number and which time it is, from 1; false where nothing runs that
    is to stop. before_exit: called before the process is ended from here, to give the terminal back.
    """

    def __init__(self, take: Callable[[int, int], bool], before_exit: Callable[[], None]) -> None:
        self._tell, self._before_exit = take, before_exit
        self._number, self._times, self._again = 0, 0, float("inf")
        self._finished = False
        self._lock = _thread.RLock()  # a handler may come up in what holds it
        # One that is ignored (a job in a script's background) stays so.
        self._signals = {n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN}
        if hasattr(signal, "sigtimedwait"):
            signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
            _thread.start_new_thread(self._watch, ())
        else:
            for number in self._signals:
                signal.signal(number, lambda got, frame: self._take(got))

    def _watch(self) -> None:
        while not self._finished:
            left = self._again - monotonic()
            if left <= 0:
                self._take(self._number)
                continue
            got = signal.sigtimedwait(self._signals, min(left, LONGEST))
            if got is not None and not self._finished:
                self._take(got.si_signo)

    def _take(self, number: int) -> None:
        with self._lock:
            self._times += 1
            if self._times >= LAST:
                try:
                    self._before_exit()
                finally:
                    os._exit(128 + number)
            self._number, self._again = number, monotonic() + (ASKED if self._times == 1 else INSISTED)
            if not self._tell(number, self._times):
                self.calm()

    def calm(self) -> None:
        """What was to stop has stopped: the next signal is a first one."""
        with self._lock:
            self._times, self._again = 0, float("inf")

    def finish(self) -> None:
        """The session is over: a signal ends the process as usual."""
        self._finished = True
        if hasattr(signal, "sigtimedwait"):
            for number in self._signals:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)
