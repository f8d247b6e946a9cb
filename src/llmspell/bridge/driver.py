"""Fibers on asyncio: what a script waits for, and who is woken when it comes.

No task a fiber: a fiber that waits is an entry here, and is resumed from the callback of what it waits for. Wake-ups
are gathered and served once a turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from logging import WARNING
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Resuming, Waits
from llmspell.bridge.engine import AWAY, CALL, DONE, ERROR, GONE, LOST, PREEMPTED, STOPPED, UNFIT
from llmspell.bridge.limits import CLOSE_GRACE
from llmspell.errors import LimitError, RunCancelledError, ScriptError, one_line
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from llmspell.bridge.run import Run

__all__ = ["Driver", "Fiber"]

_NO_LOOP: Any = None
TURNS = 3  # of the loop, after a fiber that computes took its slice
AT_ONCE = 100  # resumes of ready fibers before other work of the loop has its turn
MOST_FIBERS = 100_000  # at once: what is kept of each here is not counted as memory of the script's
MOST_GROUPS = 100_000  # at once, likewise
MOST_UNAWAITED = 1000  # failed tasks that are reported at the end
UPCALL = -2  # the group of fibers that serve Python: see upcalls.py
LONGEST = 1e9  # seconds that the loop's timers take
LEAVE = 2.0  # seconds that cancelled calls have to close their connections


class Fiber(Waits):
    """A fiber that has not ended.

    `context`: the variables of the call from Python that it is of, or that the fiber is of that started it; None is the
    run itself.
    """

    __slots__ = ("context", "group", "joiners")

    def __init__(self, group: int, context: Context | None = None) -> None:
        super().__init__()
        self.group = group
        self.context = context
        self.joiners: list[int] = []


class Group:
    """Fibers whose ends one fiber waits for."""

    __slots__ = ("ended", "members", "waiter")

    def __init__(self) -> None:
        self.members: set[int] = set()
        self.ended: deque[int] = deque()
        self.waiter: int | None = None


class Semaphore:
    """Places, and the fibers that wait for one, in order."""

    __slots__ = ("free", "waiters")

    def __init__(self, free: int) -> None:
        self.free = free
        self.waiters: deque[int] = deque()


class Driver(Resuming):
    """Runs one script's fibers. Made when the script first has or needs more than its main fiber; driven on a loop."""

    fibers: dict[int, Fiber]
    ready: deque[tuple[int, bool | None, Any]]  # ok is None where it was preempted
    ended: asyncio.Future[tuple[Any, ...]]  # from `drive` on

    def __init__(self, run: Run) -> None:
        remote = run.remote
        super().__init__(run.engine, None if remote is None else lambda: remote.away)
        self.run = run
        self.loop: asyncio.AbstractEventLoop = _NO_LOOP  # until `drive`
        self.groups: dict[int, Group] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.unawaited: dict[int, str] = {}  # failed tasks that nobody has asked about
        self._closing: list[int] = []  # detached fibers whose coroutines are to be closed
        self.main = 0
        self._timer: asyncio.TimerHandle | None = None  # of the run's deadline
        self._context = copy_context()
        self._semaphores: dict[int, Semaphore] = {}
        self._last_group = 0
        self.real_work: set[asyncio.Task[Any]] = set()  # of tasks, under a tape: those that it has nothing of
        if run.tape is not None:
            run.tape.busy.append(lambda: bool(self.flushing or self.ready))
            run.tape.others.append(lambda: bool(self.real_work))
        self._waits: dict[str, Callable[[int, Fiber, list[Any]], None]] = {
            "Async.sleep": self._sleep,
            "group.next": self._group_next,
            "task:await": self._join,
            "semaphore:wait": self._semaphore_wait,
            "function:next": lambda number, fiber, args: run.upcalls.wait(self, number, fiber, args),
        }

    # ---- the run

    async def drive(self, main: int, outcome: tuple[Any, ...]) -> tuple[Any, ...]:
        """Takes the main fiber on from its first *outcome* to its end; gives its last outcome.

        Whatever ends it, afterwards no fiber, task or stream of the run is left. Cancelled, it stops the run first.
        """
        self.loop, self._context = asyncio.get_running_loop(), copy_context()
        self.ended = self.loop.create_future()
        self.fibers[main] = Fiber(-1)
        self.main = main
        if self.run.tape is None:
            self.set_timer()
        elif self.run.timeout:
            self.run.tape.timer(self.run.timeout, self._deadline, background=True)
        try:
            if self.run.remote is not None:
                self.run.remote.attach(self.loop, self.arrived, outcome)
            else:
                self.run.engine.preempting = self.run.tape is None  # the loop has others to serve
                self._handle(main, outcome)
                self._after()
            self.check_stop()  # told to before there was a loop to wake
            return await self.ended
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._leave()

    def set_timer(self) -> None:
        """Sets the timer of the run's deadline, which is there, or has moved."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.run.deadline is not None:
            self._timer = self.loop.call_at(self.run.deadline - self.run.clock() + self.loop.time(), self._deadline)

    def _deadline(self) -> None:
        self.run.engine.interrupt("deadline")
        self.check_stop()

    def check_stop(self) -> None:
        """Ends the run if it was told to stop. To be called on the loop."""
        remote = self.run.remote
        if remote is not None and remote.away:
            remote.watch()  # its outcome will tell
            return
        reason = self.run.engine.stop_reason
        if reason is not None and self.ended is not None and not self.ended.done():
            self.ended.set_result((STOPPED, reason))

    def report_unawaited(self) -> None:
        """Says what went wrong in tasks that nobody has asked about."""
        for message in self.unawaited.values():
            self.run.note("warn", f"a task failed, and nobody awaited it: {message}", None)
            logs.tell("run", WARNING, "task failed, and nobody awaited it", run=self.run.log_id)
        self.unawaited.clear()

    @property
    def closing(self) -> bool:
        """Whether fibers are still to be closed that were ended."""
        return bool(self._closing)

    async def _leave(self) -> None:
        self.run.engine.leave(CLOSE_GRACE)
        while self._closing:
            self.run.engine.close_fiber(self._closing.pop())
        for number in list(self.fibers):
            self.detach(number)
            self.run.engine.close_fiber(number)
        if self.run.remote is not None:
            await self.run.remote.settled(CLOSE_GRACE)
            self.run.remote.detach()
        self.run.close_streams()
        tasks = {task for task in self.tasks if not task.done()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE)

    # ---- waking

    def wake(self, fiber: int, ok: bool, value: Any) -> None:
        """Resumes *fiber* at the loop's next turn with what its call came to."""
        self.ready.append((fiber, ok, value))
        if not self.flushing and self.loop is not None:
            self.flushing = True
            self.loop.call_soon(self._flush)

    def close_soon(self, number: int) -> None:
        """Ends a fiber, whatever it waits for: at once it is forgotten, and closed when Lua is free."""
        if self.detach(number):
            self._closing.append(number)
            if not self.flushing:
                self.flushing = True
                self.loop.call_soon(self._flush)

    def came(self, number: int, fiber: Fiber, outcome: Any, op: str, arg: int) -> None:
        """What a fiber came to that was handed something: see `Resuming`."""
        if outcome is None:
            outcome = CALL, op, [arg]
        elif isinstance(outcome, Exception):  # as in `_resume`
            outcome = LOST, outcome
        fiber.external = False
        self._handle(number, outcome)
        if outcome[0] == PREEMPTED:
            self.loop.call_soon(self._flush_after, TURNS)
        else:
            self._flush()

    def _resume(self, number: int, ok: bool | None, value: Any) -> tuple[Any, ...]:
        try:
            outcome: tuple[Any, ...] = self.run.engine.resume(number, ok, value)
        except Exception as error:  # a fault of ours: it ends the run, and is not lost in a callback of the loop's
            outcome = LOST, error
        return outcome

    def _flush(self) -> None:
        resume, ready = self._resume, self.ready
        while self._closing and not self._is_away() and not self.ended.done():
            self.run.engine.close_fiber(self._closing.pop())
        for _ in range(AT_ONCE):
            if not ready or self.ended.done() or self._is_away():
                break
            number, ok, value = ready.popleft()
            fiber = self.fibers.get(number)
            if fiber is None:
                continue
            fiber.cancel, fiber.external = None, False
            outcome = resume(number, ok, value)
            self._handle(number, outcome)
            if outcome[0] == PREEMPTED:  # it took its slice: now the loop has its turns
                self.loop.call_soon(self._flush_after, TURNS)
                return
        self.flushing = False
        self._after()

    def _flush_after(self, turns: int) -> None:
        """Goes on after as many turns of the loop: a timer of its needs three to wake a task."""
        if turns > 1 and not self.ended.done():
            self.run.start_streams(self)
            self.loop.call_soon(self._flush_after, turns - 1)
        else:
            self._flush()

    def _is_away(self) -> bool:
        """Whether a worker process computes, and nothing can be resumed."""
        return self.is_away is not None and self.is_away()

    def arrived(self, number: int, outcome: tuple[Any, ...]) -> None:
        """An outcome that comes from a worker process."""
        if self.ended.done():
            return
        self._handle(number, outcome)
        self._flush()

    def _after(self) -> None:
        if self.ended.done():
            return
        self.run.start_streams(self)
        if self._is_away():
            return
        if self.ready or self._closing:
            self.flushing = True
            self.loop.call_soon(self._flush)
        elif not any(fiber.external for fiber in self.fibers.values()):
            error = ScriptError(
                "the script waits for ever: every task waits for another",
                hint="look for a task that awaits itself, or two that await each other",
            )
            self.ended.set_result((ERROR, {"type": "host"}, error))

    def _handle(self, number: int, outcome: tuple[Any, ...]) -> None:
        code = outcome[0]
        if code == CALL:
            self._wait(number, outcome[1], outcome[2])
        elif code == PREEMPTED:  # it goes on before any other fiber: between its waits, a script has itself to itself
            self.ready.appendleft((number, None, None))
        elif code == AWAY:
            return
        elif code in (STOPPED, LOST) or number == self.main:
            if code in (DONE, ERROR, UNFIT):  # there is nothing of it to close
                self.fibers.pop(number, None)
            if not self.ended.done():
                self.ended.set_result(outcome)
        elif code in (DONE, ERROR, UNFIT):
            if code == ERROR and self.fibers[number].group == 0 and len(self.unawaited) < MOST_UNAWAITED:
                self.unawaited[number] = one_line(str(outcome[1].get("message")))
            if self.fibers[number].group == UPCALL:
                self.run.upcalls.ended(number, outcome)
            self._finished(number)
        elif code == GONE:
            gone = self.fibers.pop(number, None)
            if gone is not None and gone.group == UPCALL:
                self.run.upcalls.gone(number)

    def _finished(self, number: int) -> None:
        fiber = self.fibers.pop(number)
        for joiner in fiber.joiners:
            self.wake(joiner, True, None)
            self.unawaited.pop(number, None)
        group = self.groups.get(fiber.group)
        if group is None:
            return
        group.members.discard(number)
        if group.waiter is None:
            group.ended.append(number)
        else:
            waiter, group.waiter = group.waiter, None
            waiting = self.fibers.get(waiter)
            if waiting is not None and waiting.cancel is not None:
                waiting.cancel()
            self.wake(waiter, True, number)

    # ---- what fibers wait for

    def _wait(self, number: int, op: str, args: list[Any]) -> None:
        if self._close_doomed(number):
            return
        fiber = self.fibers[number]
        wait = self._waits.get(op)
        if wait is None and op == "stream:next":
            wait = self._waits[op] = self.run.stream_wait(self)
        if wait is not None:
            wait(number, fiber, args)
            return
        try:
            coroutine = self.run.call(op, args)
        except Exception as error:
            self.wake(number, False, error)
            return
        task = self.loop.create_task(coroutine, context=self.context_of(number))
        self.tasks.add(task)
        if self.run.tape is not None and not op.startswith(("agent:", "workflow:")):
            self.real_work.add(task)
            task.add_done_callback(self.real_work.discard)
        fiber.external = True
        fiber.cancel = task.cancel
        task.add_done_callback(lambda done: self._called(number, done))

    def context_of(self, number: int | None) -> Context:
        """The variables for what a fiber asks for, a copy: the loop's turn that it runs in may be another's."""
        fiber = None if number is None else self.fibers.get(number)
        return ((None if fiber is None else fiber.context) or self._context).copy()

    def _close_doomed(self, number: int) -> bool:
        """Ends a fiber that was cancelled while it ran; whether it was."""
        if not self.fibers[number].doomed:
            return False
        self.detach(number)
        self.run.engine.close_fiber(number)
        return True

    def _called(self, number: int, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if task.cancelled():
            fiber = self.fibers.get(number)
            if fiber is not None and fiber.cancel == task.cancel:
                self.wake(number, False, RunCancelledError("the call was cancelled"))
            return
        error = task.exception()
        if error is None:
            self.wake(number, True, task.result())
        else:
            self.wake(number, False, error)

    def _sleep(self, number: int, fiber: Fiber, args: list[Any]) -> None:
        seconds = float(args[0])
        fiber.external = True
        fiber.cancel = self._later(seconds, lambda: self.wake(number, True, None))

    def _later(self, seconds: float, wake: Callable[[], object]) -> Callable[[], object]:
        """Calls *wake* after so many seconds; gives what cancels it."""
        seconds = min(max(0.0, seconds), LONGEST)
        if self.run.tape is not None:
            return self.run.tape.timer(seconds, wake)
        return self.loop.call_later(seconds, wake).cancel

    def _group_next(self, number: int, fiber: Fiber, args: list[Any]) -> None:
        group = self.groups[args[0]]
        if group.ended:
            self.wake(number, True, group.ended.popleft())
            return
        group.waiter = number
        timeout = args[1] if len(args) > 1 else 0
        if timeout:
            fiber.external = True
            fiber.cancel = self._later(timeout, lambda: self._group_late(group, number))

    def _group_late(self, group: Group, number: int) -> None:
        if group.waiter == number:
            group.waiter = None
            self.wake(number, True, None)

    def _join(self, number: int, fiber: Fiber, args: list[Any]) -> None:
        joined = self.fibers.get(args[0])
        self.unawaited.pop(args[0], None)
        if joined is None:
            self.wake(number, True, None)
        else:
            joined.joiners.append(number)

    def _semaphore_wait(self, number: int, fiber: Fiber, args: list[Any]) -> None:
        if self.semaphore_try(args[0]):
            self._hand_place(args[0], number)
            return
        waiters = self._semaphores[args[0]].waiters
        waiters.append(number)
        fiber.cancel = lambda: waiters.remove(number)

    def _hand_place(self, semaphore: int, number: int) -> None:
        """A fiber gets a place; one that is ended before it goes on gives it back."""
        self.wake(number, True, None)
        self.fibers[number].cancel = lambda: self.semaphore_release(semaphore)

    # ---- what the script asks of fibers, without waiting

    def new_semaphore(self, places: int) -> int:
        """A semaphore's number. Raises LimitError."""
        if len(self._semaphores) >= MOST_GROUPS:
            raise LimitError(f"the script has more than {MOST_GROUPS} semaphores", hint="make one and use it again")
        number = len(self._semaphores) + 1
        self._semaphores[number] = Semaphore(places)
        return number

    def semaphore_try(self, number: int) -> bool:
        """Takes a place where one is free; whether one was."""
        semaphore = self._semaphores[number]
        if not semaphore.free:
            return False
        semaphore.free -= 1
        return True

    def semaphore_release(self, number: int) -> None:
        """Gives a place to the next who waits."""
        semaphore = self._semaphores[number]
        if semaphore.waiters:
            self._hand_place(number, semaphore.waiters.popleft())
        else:
            semaphore.free += 1

    def start(self, number: int, group: int) -> None:
        """A new fiber, made in Lua: its first resume comes with the next turn. Raises LimitError."""
        if len(self.fibers) >= MOST_FIBERS:
            raise LimitError(
                f"the script has more than {MOST_FIBERS} tasks at once",
                hint="give `Async.map` a `concurrency`, or await tasks before starting more",
            )
        starter = self.fibers.get(self.run.engine.running or 0)
        self.fibers[number] = Fiber(group, None if starter is None else starter.context)
        if group > 0:
            self.groups[group].members.add(number)
        self.wake(number, True, None)

    def new_group(self) -> int:
        """A group's number; 0 is none. Raises LimitError."""
        if len(self.groups) >= MOST_GROUPS:
            raise LimitError(
                f"the script waits for more than {MOST_GROUPS} groups of tasks at once",
                hint="await tasks before starting more",
            )
        self._last_group += 1
        self.groups[self._last_group] = Group()
        return self._last_group

    def cancel_group(self, number: int) -> list[int]:
        """Forgets a group; gives those of its fibers that were still there, for Lua to close."""
        group = self.groups.pop(number, None)
        return [] if group is None else [member for member in list(group.members) if self.detach(member)]

    def detach(self, number: int) -> bool:
        """Cancels what a fiber waits for and forgets it; its coroutine is still to be closed. False: it has ended.

        A fiber that runs right now stays, until it next waits: it cannot be closed from inside itself.
        """
        fiber = self.fibers.get(number)
        if fiber is None:
            return False
        if number == self.run.engine.running:
            fiber.doomed = True
            return False
        if fiber.cancel is not None:
            cancel, fiber.cancel = fiber.cancel, None
            cancel()
        del self.fibers[number]
        for joiner in fiber.joiners:
            self.wake(joiner, True, None)
        group = self.groups.get(fiber.group)
        if group is not None:
            group.members.discard(number)
        return True
