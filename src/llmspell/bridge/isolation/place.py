"""A script's place in a pool: a worker, or the wait for one."""

from __future__ import annotations

from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.bridge.isolation.pool import ProcessPool
    from llmspell.bridge.isolation.process import WorkerProcess

__all__ = ["Place"]


class Place:
    """Waits for a worker of *pool*, once. options: of the engine that is wanted."""

    __slots__ = ("_future", "_given_up", "_options", "_pool")

    def __init__(self, pool: ProcessPool, options: Mapping[str, Any]) -> None:
        self._pool, self._options = pool, options
        self._future: Future[WorkerProcess] | None = None
        self._given_up = False

    def give_up(self) -> None:
        """Whoever waits gets None. From any thread, and from a signal's handler."""
        self._given_up = True
        if self._future is not None:
            self._future.cancel()

    async def worker(self) -> WorkerProcess | None:
        """A worker, which is to be given back. Cancelled, it leaves none behind."""
        taken = self._take()
        if not isinstance(taken, Future):
            return taken
        import asyncio

        try:
            return await asyncio.wrap_future(taken)
        except asyncio.CancelledError:
            self._leave(taken)
            task = asyncio.current_task()
            if self._given_up and (task is None or not task.cancelling()):
                return None
            raise

    def worker_now(self) -> WorkerProcess | None:
        """The same without an event loop. What a signal's handler raises comes through."""
        taken = self._take()
        if not isinstance(taken, Future):
            return taken
        try:
            return taken.result()
        except CancelledError:
            return None
        except BaseException:
            self._leave(taken)
            raise

    def _take(self) -> WorkerProcess | Future[WorkerProcess] | None:
        if self._is_given_up():
            return None
        taken = self._pool.take(self._options)
        if isinstance(taken, Future):
            self._future = taken
            if self._is_given_up():  # a moment ago
                taken.cancel()
        return taken

    def _is_given_up(self) -> bool:
        return self._given_up

    def _leave(self, taken: Future[WorkerProcess]) -> None:
        """Gives back what has come all the same."""
        if not taken.cancel() and not taken.cancelled() and taken.exception() is None:
            self._pool.give_back(taken.result())
