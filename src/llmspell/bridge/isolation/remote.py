"""The engine of a script that runs in a worker process: the same seam as an engine's here, but for time.

`resume` sends the worker on its way and gives AWAY; the outcome comes to whom `attach` has named, on that loop, or to
who waits in `wait`. Meanwhile what the script writes and asks is served here, as it comes. Nothing that a worker sends
is trusted, and one that does not stop when it is told to is killed.
"""

from __future__ import annotations

from concurrent.futures import Future
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.bridge.engine import AWAY, ERROR, LOST, REFUSED, STOPPED
from llmspell.bridge.isolation import frames
from llmspell.bridge.isolation.codec import FrameError, decode
from llmspell.bridge.isolation.gate import outcome_of, question_of
from llmspell.bridge.isolation.link import Link
from llmspell.bridge.isolation.outgoing import Errors, flat_chunks, frame
from llmspell.bridge.isolation.place import Place
from llmspell.bridge.isolation.process import loss

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from llmspell.bridge.isolation.pool import ProcessPool
    from llmspell.bridge.isolation.process import WorkerProcess

    Arrived: TypeAlias = Callable[[int, tuple[Any, ...]], None]

__all__ = ["RemoteEngine"]

PATIENCE = 1.0  # seconds that a worker has to stop, beyond the grace of `<close>` variables
GLANCE = 0.5  # seconds between looks at the clock while nothing comes
LARGEST_WRITE = 1 << 30  # bytes, where memory has no limit
RETRIES = 3  # workers that may be found dead before they read anything
INFINITY = float("inf")


class RemoteEngine:
    """One script's engine, in a worker of *pool*. Belongs to one thread; only `interrupt` may be called from another.

    ask, write, fields: as an engine's, and called here. options: of the engine, for the worker.
    """

    def __init__(
        self,
        ask: Callable[[str, list[Any]], Any],
        write: Callable[[int, bytes], bool],
        fields: Callable[[BaseException], dict[str, Any]],
        pool: ProcessPool,
        options: Mapping[str, Any],
    ) -> None:
        self.deadline = INFINITY  # of `time.monotonic`
        self.stop_reason: str | None = None
        self.raised: BaseException | None = None
        self.running: int | None = None
        self.away = False  # it is the worker's turn
        self.preempting = True  # whatever is set here: the worker sees to it
        self._ask, self._write, self._errors = ask, write, Errors(fields)
        self._pool, self._options = pool, options
        self._link: Link | None = None
        self._place = Place(pool, options)
        self._starts: list[bytes] = []
        self._script: tuple[bytes, bytes] = b"", b""
        self._args: list[str] = []
        self._begun = self._heard = False
        self._tried = 0
        self._turn = frames.MAIN  # whose outcome is awaited
        self._grace = 0.0
        self._kill_at = INFINITY
        self._lost: tuple[Any, ...] | None = None
        self._leaving: list[int] | None = None  # fibers to close, once the run is over
        self._chunk_type: type | None = None
        self._chunk_words: dict[type, bytes] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: Arrived | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rest: asyncio.Future[None] | None = None
        self._outcome: tuple[Any, ...] | None = None  # for `wait`

    # ---- a worker

    async def place(self) -> None:
        """Takes a worker; waits where all are at work. Stopped meanwhile, it takes none."""
        self._seat(await self._place.worker())

    def place_now(self) -> None:
        """The same without an event loop."""
        self._seat(self._place.worker_now())

    def _seat(self, worker: WorkerProcess | None) -> None:
        if worker is None:
            return
        worker.runs += 1
        worker.options = self._options
        cutter = frames.Cutter(self._options.get("max_memory") or LARGEST_WRITE)
        self._link = Link(worker, cutter, self._take, self._ended)

    @property
    def worker_pid(self) -> int:
        """The number of the process that the script is in; 0 where it is in none."""
        return 0 if self._link is None else self._link.worker.pid

    # ---- the seam

    def use_chunks(self, chunk_type: type, words: dict[type, bytes]) -> None:
        """Tells which class is a chunk and which of its contents are text alone, with their type's name."""
        self._chunk_type, self._chunk_words = chunk_type, words

    def start(self, text: bytes) -> None:
        """A text of llmspell's own to be run before the script; the prelude itself the worker has."""
        self._starts.append(text)

    def load(self, text: bytes, name: bytes) -> int:
        """The main fiber, not started. That the text does not parse is its first outcome: REFUSED."""
        self._script = text, name
        return frames.MAIN

    def resume(self, fiber: int, ok: bool | None = None, value: Any = None) -> tuple[Any, ...]:
        """Has the worker run *fiber* on, as an engine's `resume` does. AWAY: its outcome comes later."""
        if self.stop_reason is not None:
            return STOPPED, self.stop_reason
        if self._lost is not None:
            return self._lost
        self.running = fiber
        if not self._begun:
            self._args = value or []
            self._begin()
        elif ok and type(value) is list and value and type(value[0]) is self._chunk_type:
            self._command(fiber, frames.CHUNKS, fiber, flat_chunks(value, self._chunk_words))
        else:
            self._resume(fiber, ok, value)
        return (AWAY,)

    def feed(self, fiber: int, value: Any, op: str, arg: int) -> tuple[Any, ...]:
        """As `resume` with a value: what the fiber asks for next comes later."""
        return self.resume(fiber, True, value)

    def _begin(self) -> None:
        assert self._link is not None
        self._begun = True
        seconds = None if self.deadline == INFINITY else self.deadline - monotonic()
        words = self._link.worker.runs, self._options, self._starts, *self._script, self._args, seconds
        self._command(frames.MAIN, frames.BEGIN, *words)

    def _resume(self, fiber: int, ok: bool | None, value: Any) -> None:
        if ok is not False:
            try:
                self._command(fiber, frames.RESUME, fiber, ok, value)
                return
            except (TypeError, ValueError) as error:
                value = error
        self._command(fiber, frames.RESUME, fiber, False, self._errors.keep(value))

    def close_fiber(self, fiber: int) -> None:
        """Ends a fiber that waits; once the run is over, with the others in `settled`."""
        if self._leaving is not None:
            self._leaving.append(fiber)
        elif self._lost is None:
            self._command(fiber, frames.CLOSE, fiber)

    def interrupt(self, reason: str, grace: float = 0.0) -> None:
        """Stops the script for good. *grace*: seconds for `<close>` variables.

        Safe from any thread and from a signal's handler.
        """
        if self.stop_reason is not None:
            return
        self._grace = grace
        self._kill_at = monotonic() + grace + PATIENCE
        self.stop_reason = reason
        self._place.give_up()
        link = self._link
        if link is not None:
            link.worker.interrupt(link.worker.runs, reason, grace)

    def leave(self, grace: float) -> None:
        """The run is over. Fibers that are closed from here on are closed in `settled`."""
        self._leaving = []
        if self.away:
            self.interrupt("finished", grace)
        elif self.stop_reason is None:
            self.stop_reason, self._grace = "finished", grace

    def close(self) -> None:
        """Gives the worker back; one that is not at rest is killed."""
        link = self._unlink()
        self._errors.clear()
        if link is None:
            return
        if self.away or link.is_sending:
            self._pool.lose(link.worker)
        else:
            self._pool.give_back(link.worker)

    # ---- waiting

    def attach(self, loop: asyncio.AbstractEventLoop, arrived: Arrived, outcome: tuple[Any, ...]) -> None:
        """From here on *loop* serves the worker, and *arrived* is called with a fiber and its outcome.

        outcome: the main fiber's, so far.
        """
        self._loop, self._arrived = loop, arrived
        if self._link is not None:
            self._link.attach(loop)
        if outcome[0] != AWAY:
            try:
                arrived(self._turn, outcome)
            except Exception as error:  # as where it comes from the link
                self._ended(False, error)

    def detach(self) -> None:
        """Nothing is served any more."""
        if self._link is not None:
            self._link.detach()

    def wait(self) -> tuple[Any, ...]:
        """Serves the worker until the outcome is there; without an event loop."""
        while self._outcome is None:
            now = monotonic()
            if now >= self.deadline:
                self.interrupt("deadline")
            if now >= self._kill_at or self._link is None:
                self._overdue()
                continue
            until = self.deadline if self.stop_reason is None else self._kill_at
            self._link.wait(min(until - now, GLANCE))
        outcome, self._outcome = self._outcome, None
        return outcome

    def watch(self) -> None:
        """Sees to it that a worker which was told to stop does. On the loop."""
        if self.away and self._loop is not None and self._kill_at < INFINITY:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(max(self._kill_at - monotonic(), 0), self._overdue)

    async def settled(self, grace: float) -> None:
        """Waits until nothing of the run is left in the worker. After `leave`; *grace* as there."""
        if self.away:
            await self._at_rest()
        if self._leaving and self._link is not None:
            fibers, self._leaving = self._leaving, []
            self._kill_at = monotonic() + grace + PATIENCE
            self._command(self._turn, frames.LEAVE, self.stop_reason, self._grace, grace, fibers)
            await self._at_rest()

    async def _at_rest(self) -> None:
        assert self._loop is not None
        self._rest = self._loop.create_future()
        self.watch()
        try:
            await self._rest
        finally:
            self._rest = None

    # ---- turns

    def _command(self, turn: int, *words: Any) -> None:
        assert self._link is not None
        told = frame(*words)
        self._turn, self.away = turn, True
        self._link.send(told)

    def _take(self, kind: int, content: bytes) -> None:
        """A frame of the worker's."""
        link = self._link
        if link is None:  # lost by what came before it
            return
        if kind == frames.READY and not link.worker.warm:
            link.worker.warm = True
            return
        if not self.away:
            raise FrameError("it speaks out of turn")
        first, self._heard = not self._heard, True
        if kind == frames.WRITE:
            self._written(content)
        elif kind == frames.ASK:
            self._asked(*question_of(decode(content)))
        elif kind == frames.OUTCOME:
            self._came_back(outcome_of(decode(content)), first)
        elif kind == frames.BROKEN:
            raise FrameError(f"it failed with {content.decode('utf-8', 'replace')}")
        else:
            raise FrameError("it is ready in the middle of a script")

    @property
    def _is_cut_off(self) -> bool:
        """Whether the host has ended the script where it stands: what came after that is no more heard."""
        return self.stop_reason in ("host", "raised") and self._grace == 0

    def _written(self, content: bytes) -> None:
        if not content or content[0] not in (1, 2):
            raise FrameError("it writes to nowhere")
        if self._is_cut_off:
            return
        try:
            self._write(content[0], content[1:])
        except BaseException as error:
            self._raise(error)

    def _asked(self, op: str, args: list[Any]) -> None:
        told: tuple[bool, Any] = True, None
        try:
            if not self._is_cut_off:
                told = True, self._ask(op, args)
        except Exception as error:
            told = False, self._errors.keep(error)
        except BaseException as error:
            self._raise(error)
        if self._link is not None:
            self._answer(*told)

    def _answer(self, ok: bool, value: Any) -> None:
        assert self._link is not None
        stop = None if self.stop_reason is None else (self.stop_reason, self._grace)
        try:
            told = frame(frames.ANSWER, stop, ok, value)
        except (TypeError, ValueError) as error:
            told = frame(frames.ANSWER, stop, False, self._errors.keep(error))
        self._link.send(told)

    def _raise(self, error: BaseException) -> None:
        """Ends the run with what a handler raised that is none of the script's business."""
        if self.stop_reason is None:
            self.raised = error
            self.interrupt("raised")

    def _came_back(self, outcome: tuple[Any, ...], first: bool) -> None:
        code = outcome[0]
        if code == REFUSED and not first:
            raise FrameError("it has no script any more")
        if code == STOPPED and self.stop_reason is None:
            self.stop_reason = outcome[1]
        elif code != STOPPED and self.stop_reason is not None:
            outcome = STOPPED, self.stop_reason
        elif code == ERROR:
            outcome = ERROR, outcome[1], self._errors.find(outcome[2])
        self._deliver(outcome)

    def _deliver(self, outcome: tuple[Any, ...]) -> None:
        self.away, self.running = False, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rest is not None:
            if not self._rest.done():
                self._rest.set_result(None)
        elif self._arrived is not None:
            self._arrived(self._turn, outcome)
        else:
            self._outcome = outcome

    # ---- losing the worker

    def _unlink(self) -> Link | None:
        link, self._link = self._link, None
        if link is not None:
            link.detach()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return link

    def _ended(self, unread: bool, nonsense: Exception | None) -> None:
        """The worker is gone, or not to be dealt with any more."""
        link = self._unlink()
        if link is None:
            return
        code = self._pool.lose(link.worker)
        unbegun = unread and self.away and not self._heard and self.stop_reason is None
        if unbegun and self._tried < RETRIES and self._begin_elsewhere():
            return
        if self.stop_reason is not None:
            self._lost = STOPPED, self.stop_reason
        else:
            self._lost = LOST, loss(code, nonsense)
        self._deliver(self._lost)

    def _begin_elsewhere(self) -> bool:
        """Where the worker had died before it read the script, which so has not begun: another takes it."""
        self._tried += 1
        taken = self._pool.take(self._options)
        if isinstance(taken, Future):
            if taken.cancel():
                return False
            taken = taken.result()
        self._seat(taken)
        if self._link is not None and self._loop is not None:
            self._link.attach(self._loop)
        self._begin()
        return True

    def _overdue(self) -> None:
        """It was told to stop, and does not."""
        link = self._unlink()
        if link is not None:
            self._pool.lose(link.worker)
        self._lost = STOPPED, self.stop_reason or "host"
        self._deliver(self._lost)
