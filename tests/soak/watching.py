"""Finds what nobody else tells: jobs that hang, errors that no one awaits, warnings of what was not closed."""

from __future__ import annotations

import asyncio
import faulthandler
import io
import logging
import sys
import threading
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Unheard", "Watchdog", "stacks"]

LOOK = 0.5  # seconds
LEAVE = 10.0  # that what hangs has after it was told to stop; then the process ends


def stacks(loop: asyncio.AbstractEventLoop) -> str:
    """What each task of a loop waits for. To be called on the loop's own thread."""
    out = io.StringIO()
    for task in asyncio.all_tasks(loop):
        task.print_stack(file=out)
    return out.getvalue()


class Watchdog:
    """Calls *hung* with the job that has run longer than *limit* seconds, from its own thread, once.

    When that does not end the soak within LEAVE, *last* is called, which is to end the process.
    """

    def __init__(self, limit: float, hung: Callable[[str], None], last: Callable[[], None]) -> None:
        self._limit, self._hung, self._last = limit, hung, last
        self._running: dict[int, tuple[float, str]] = {}
        self._over = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def begin(self, number: int, name: str) -> None:
        """A job begins."""
        self._running[number] = time.monotonic(), name

    def end(self, number: int) -> None:
        """It has ended."""
        self._running.pop(number, None)

    def close(self) -> None:
        """Stops watching."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(LOOK):
            now = time.monotonic()
            for since, name in list(self._running.values()):
                if now - since > self._limit:
                    self._tell(name)
                    return

    def _tell(self, name: str) -> None:
        print(f"soak: {name} has not ended after {self._limit:g} s", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        shown = threading.Event()

        def show() -> None:
            print(stacks(self._loop), file=sys.stderr, flush=True)
            shown.set()

        self._loop.call_soon_threadsafe(show)
        if not shown.wait(LEAVE):
            print("soak: the event loop itself hangs", file=sys.stderr, flush=True)
        self._hung(name)
        if not self._over.wait(LEAVE):
            self._last()


class Unheard(logging.Handler):
    """Tells *fail* of what is otherwise only printed: by asyncio, by threads, by finalizers, and as a warning."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._fail = fail
        self._before = sys.unraisablehook, threading.excepthook, warnings.showwarning
        logging.getLogger("asyncio").addHandler(self)
        sys.unraisablehook = lambda seen: self._told("in a finalizer", seen.exc_value)
        threading.excepthook = lambda seen: self._told("on a thread", seen.exc_value)
        warnings.simplefilter("always", ResourceWarning)
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = self._warned  # type: ignore[assignment]

    def close(self) -> None:
        """Puts back what was there before."""
        logging.getLogger("asyncio").removeHandler(self)
        sys.unraisablehook, threading.excepthook, warnings.showwarning = self._before
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """A line of asyncio's log."""
        error = record.exc_info[1] if record.exc_info else None
        self._told(f"asyncio: {record.getMessage()}", error)

    def _told(self, where: str, error: BaseException | None) -> None:
        shown = "".join(traceback.format_exception(error, limit=-6)) if error is not None else ""
        self._fail(f"{where}: {shown}")

    def _warned(self, message: Any, category: type[Warning], filename: str, lineno: int, *more: Any) -> None:
        if issubclass(category, (ResourceWarning, RuntimeWarning)):
            self._fail(f"{filename}:{lineno}: {category.__name__}: {message}")
