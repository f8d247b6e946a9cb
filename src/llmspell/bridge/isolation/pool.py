"""The pool: worker processes that wait, warm, for the next script."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from llmspell.bridge.isolation.process import COLD, DEAD, WorkerProcess
from llmspell.errors import NotSupportedError, ValidationError, WorkerLostError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import TypeAlias

    Handed: TypeAlias = tuple[Future["WorkerProcess"], WorkerProcess | WorkerLostError]

__all__ = ["ProcessPool", "default_pool"]

DEFAULT_MOST = 64


class ProcessPool:
    """Worker processes for `ScriptRuntime(isolation=…)`: one script in each at a time.

    workers: kept warm, as many as the machine has cores without; there are fewer while fewer scripts run at once.
    most: there are never more; a script beyond waits for its turn, and its `timeout` begins when it has a worker.
    runs: scripts that one worker serves, one after the other, before another takes its place; 0 is without limit, and
        1 gives each script a process that no other script has seen.

    A worker that dies is replaced. A pool may be shared by runtimes, event loops and threads. In a forked child it is
    empty and starts workers of its own; those there were are the parent's. Workers end with their pool, when it is
    closed or dropped, and with this process, however it ends.
    """

    def __init__(self, workers: int | None = None, *, most: int | None = None, runs: int = 0) -> None:
        if not hasattr(os, "fork"):
            raise NotSupportedError(
                "scripts in processes of their own need a Unix system", hint="leave `isolation` out on this one"
            )
        self.workers = os.cpu_count() or 1 if workers is None else workers
        self.most = max(self.workers, DEFAULT_MOST) if most is None else most
        self.runs = runs
        if self.workers < 1 or self.most < self.workers or runs < 0:
            raise ValidationError(
                f"ProcessPool: {self.workers} workers, {self.most} at most, {runs} runs",
                hint="`workers` is 1 or more, `most` no fewer than that, `runs` 0 or more",
            )
        self._lock = threading.Lock()
        self._all: set[WorkerProcess] = set()
        self._idle: deque[WorkerProcess] = deque()  # the longest idle first: it is the likeliest to be warm
        self._queue: deque[tuple[Future[WorkerProcess], Mapping[str, Any]]] = deque()
        self._wanted = 1  # workers that there should be: one more than have been at work at once
        self._options: Mapping[str, Any] = {}  # of engines that nobody has asked for yet: those asked for last
        self._closed = False
        self._finalizer = weakref.finalize(self, _end_all, self._all)
        _pools.add(self)

    def __repr__(self) -> str:
        return f"ProcessPool({len(self._all)} workers, {len(self._idle)} of them idle)"

    @property
    def pids(self) -> list[int]:
        """The numbers of its processes."""
        with self._lock:
            return [worker.pid for worker in self._all]

    # ---- for hosts

    def warm(self, count: int | None = None, *, wait: float = 10.0) -> bool:
        """Starts workers until *count* are idle (as many as are kept, without), and waits; False after *wait* seconds.

        Not needed: without it the first scripts start what they need, and wait some 40 ms for it. Make a runtime with
        this pool before: engines are made for the limits that were asked for last.
        """
        until = monotonic() + wait
        while True:
            with self._lock:
                self._check_open()
                count = min(self.workers if count is None else count, self.workers)
                self._wanted = max(self._wanted, count)
                self._drop_dead()
                while len(self._idle) < count and len(self._all) < self.most:
                    self._idle.append(self._start(self._options))
                cold = [worker for worker in self._idle if worker.state() == COLD]
                if len(self._idle) - len(cold) >= count:
                    return True
            if monotonic() >= until:
                return False
            sleep(0.001)

    def close(self) -> None:
        """Ends all workers. A script that still runs in one raises WorkerLostError; one that begins, RuntimeError."""
        with self._lock:
            self._closed = True
            queue, self._queue = self._queue, deque()
            idle = set(self._idle)
            self._idle.clear()
            self._all -= idle
            for worker in self._all:  # those that have them let go of them
                worker.strike()
        _end_all(idle)
        for future, _ in queue:
            if future.set_running_or_notify_cancel():
                future.set_exception(RuntimeError(CLOSED))

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- for runs

    def expect(self, options: Mapping[str, Any]) -> None:
        """Scripts whose engines are of these *options* will come: the first worker may be started."""
        with self._lock:
            self._options = options
            if not self._closed:
                self._replenish()

    def take(self, options: Mapping[str, Any]) -> WorkerProcess | Future[WorkerProcess]:
        """A worker, warm if there is one, or where all are at work, the next that is not. It is to be given back.

        options: of the engine that is wanted.
        """
        with self._lock:
            self._check_open()
            self._options = options
            worker = self._find(options)
            if worker is None and len(self._all) < self.most:
                worker = self._start(options)
            if worker is None:
                future: Future[WorkerProcess] = Future()
                self._queue.append((future, options))
                return future
            at_work = len(self._all) - len(self._idle)
            self._wanted = max(self._wanted, min(self.workers, at_work + 1))
            self._replenish()
            return worker

    def give_back(self, worker: WorkerProcess) -> None:
        """Of a worker that is at rest: it makes ready for the next script."""
        try:
            if self.runs and worker.runs >= self.runs:
                raise OSError("it has served")
            worker.prepare(worker.options)
        except OSError:
            self.lose(worker)
            return
        surplus = None
        with self._lock:
            self._idle.append(worker)
            handed = self._serve()
            if self._closed or len(self._idle) > self.workers:
                surplus = self._idle.pop()
                self._all.discard(surplus)
        if surplus is not None:
            surplus.end()
        _hand_over(handed)

    def lose(self, worker: WorkerProcess) -> int | None:
        """Ends a worker that is not at rest; another takes its place. What it ended with, if that is known."""
        code = worker.end()
        with self._lock:
            self._all.discard(worker)
            if self._closed:
                return code
            self._replenish()
            handed = self._serve()
        _hand_over(handed)
        return code

    # ---- with the lock held

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(CLOSED)

    def _start(self, options: Mapping[str, Any]) -> WorkerProcess:
        try:
            worker = WorkerProcess(options)
        except OSError as error:
            raise WorkerLostError(
                f"a worker process cannot be started: {error.strerror}",
                hint="the system may have no room for another process, or this one no more open files",
                cause=error,
            ) from None
        self._all.add(worker)
        return worker

    def _find(self, options: Mapping[str, Any]) -> WorkerProcess | None:
        """The idle worker that will soonest run a script; those that are met dead are let go."""
        best, rank = None, 0
        for worker in list(self._idle):
            state = worker.state()
            if state == DEAD:
                self._bury(worker)
                continue
            value = 1 if state == COLD else 3 if worker.options == options else 2
            if value > rank:
                best, rank = worker, value
            if value == 3:
                break
        if best is not None:
            self._idle.remove(best)
        return best

    def _drop_dead(self) -> None:
        for worker in list(self._idle):
            if worker.state() == DEAD:
                self._bury(worker)

    def _bury(self, worker: WorkerProcess) -> None:
        self._idle.remove(worker)
        self._all.discard(worker)
        worker.end()

    def _replenish(self) -> None:
        """Starts what is missing. One that cannot be started now is tried again the next time."""
        while len(self._all) < self._wanted:
            try:
                self._idle.append(self._start(self._options))
            except WorkerLostError:
                return

    def _serve(self) -> list[Handed]:
        """Who waits for a worker, and what is to be given: once the lock is free, for that may call anybody."""
        handed: list[Handed] = []
        while self._queue and (self._idle or len(self._all) < self.most):
            future, options = self._queue.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                handed.append((future, self._find(options) or self._start(options)))
            except WorkerLostError as error:
                handed.append((future, error))
        return handed

    def _forget(self) -> None:
        """In a forked child, where no lock of the parent's threads is ever released."""
        self._lock = threading.Lock()
        for worker in self._all:
            worker.disown()
        self._all.clear()
        self._idle.clear()
        self._queue.clear()
        self._wanted = 1


def _hand_over(handed: list[Handed]) -> None:
    for future, found in handed:
        if isinstance(found, WorkerProcess):
            future.set_result(found)
        else:
            future.set_exception(found)


CLOSED = "the pool of worker processes was closed"
_pools: weakref.WeakSet[ProcessPool] = weakref.WeakSet()
_default: ProcessPool | None = None
_default_lock = threading.Lock()


def default_pool() -> ProcessPool:
    """The pool of `ScriptRuntime(isolation="process")`, shared by this process; one that was closed is made anew."""
    global _default
    with _default_lock:
        if _default is None or _default._closed:
            _default = ProcessPool()
        return _default


def _end_all(workers: set[WorkerProcess]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.wait()
    workers.clear()


def _after_fork() -> None:
    global _default_lock
    _default_lock = threading.Lock()
    for pool in list(_pools):
        pool._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
