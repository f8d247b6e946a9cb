"""A script's open streams: each is read by a task of its own, a little ahead of the script."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Handing, Place
from llmspell.errors import InternalError
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from llmspell.bridge.driver import Driver, Fiber
    from llmspell.bridge.run import Run
    from llmspell.types.streaming import AgentChunk, AgentStream, Collector

    Ended = Callable[[Collector, BaseException | None], None]

__all__ = ["ScriptStream", "Streams"]

AHEAD = 256  # chunks that may lie ready; beyond, the socket is not read


class ScriptStream(Place):
    """One stream and what is ready of it. label: what it is called for a person. slot: it takes one for all its time;
    what asks a model several times takes them itself. ended: is told of its end, once, and of the error if there is
    one.
    """

    __slots__ = (
        "context",
        "counted",
        "ended",
        "error",
        "label",
        "owned",
        "room",
        "slot",
        "stream",
        "task",
        "whose",
    )

    def __init__(
        self,
        number: int,
        stream: AgentStream,
        label: str,
        slot: bool,
        ended: Ended | None,
        whose: tuple[str, str, str] | None,
        context: Context | None,
    ) -> None:
        super().__init__(number)
        self.whose = whose  # agent, provider and model
        self.context = context  # the variables of the fiber that opened it
        self.slot, self.ended = slot, ended
        self.stream = stream
        self.label = label
        self.room: asyncio.Event | None = None
        self.error: BaseException | None = None
        self.counted = False  # in the run's usage
        self.task: asyncio.Task[None] | None = None
        self.owned = False  # the script has read from it


class Streams:
    """All streams of a run, by number."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.known: dict[int, ScriptStream] = {}
        self._unstarted: list[ScriptStream] = []
        self._last = 0

    def open(
        self,
        stream: AgentStream,
        label: str,
        *,
        slot: bool = True,
        ended: Ended | None = None,
        whose: tuple[str, str, str] | None = None,
    ) -> int:
        """Takes in a stream; it is started when the script next waits."""
        self._last += 1
        driver = self.run.driver
        context = None if driver is None else driver.context_of(self.run.engine.running)
        self.known[self._last] = one = ScriptStream(self._last, stream, label, slot, ended, whose, context)
        self._unstarted.append(one)
        return self._last

    def start(self, driver: Driver) -> None:
        """Starts what was opened since the last time."""
        for one in self._unstarted:
            if not one.done:
                one.room = asyncio.Event()
                context = one.context or driver.context_of(None)
                one.task = driver.loop.create_task(self._read(driver, one), context=context)
                driver.tasks.add(one.task)
                one.task.add_done_callback(driver.tasks.discard)
        self._unstarted.clear()

    async def _read(self, driver: Driver, one: ScriptStream) -> None:
        observer = self.run.observer
        logs.CALL.set(logs.call_of(one.stream.stream_id))  # the task has a context of its own
        try:
            async with self.run.slot() if one.slot else _no_slot():
                if observer is not None:
                    if one.whose is not None:
                        observer.about_call(one.stream.stream_id, *one.whose)
                    observer.call_started(one.stream.stream_id, one.label)
                await self._take_all(driver, one)
        except Exception as error:
            one.error = error
        finally:
            one.done = True
            self._count(one)
            if observer is not None:
                observer.call_ended(one.stream.stream_id, one.error)
            self._serve(driver, one)
            await one.stream.aclose()

    def _count(self, one: ScriptStream) -> None:
        if not one.counted:
            one.counted = True
            if not self.run.count_failed(one.error):
                self.run.count_call(one.stream.collector)
            if one.ended is not None:
                one.ended(one.stream.collector, one.error)

    def count_ended(self) -> None:
        """Counts what has come to its end: a script sees the last chunk a moment before the call is put away."""
        for one in self.known.values():
            if one.stream.collector.finish_reason is not None and not one.counted:
                self._count(one)
                if self.run.meter is not None:
                    from llmspell.agents.metered import MeteredStream

                    if isinstance(one.stream, MeteredStream):
                        one.stream.settle()

    async def _take_all(self, driver: Driver, one: ScriptStream) -> None:
        def after() -> None:
            if one.done:  # the script has closed the stream meanwhile
                self._serve(driver, one)
            if self._unstarted:
                self.start(driver)

        hand = Handing(one, driver, "stream:next", AHEAD, self._unstarted, after)
        observer = self.run.observer

        def watched(batch: list[AgentChunk]) -> bool:
            if observer is not None:
                observer.chunks(one.stream.stream_id, batch, one.owned)
            return hand(batch)

        async def room() -> None:
            if one.room is not None and len(one.ready) >= AHEAD:
                one.room.clear()
                await one.room.wait()

        await one.stream.pour(hand if observer is None else watched, room)

    def _serve(self, driver: Driver, one: ScriptStream) -> None:
        """Hands what is ready to the fiber that waits, if one does."""
        if one.waiter is None or not (one.ready or one.done):
            return
        waiter, one.waiter = one.waiter, None
        if one.ready:
            batch, one.ready = one.ready, []
            if one.room is not None:
                one.room.set()
            driver.wake(waiter, True, batch)
        elif one.error is not None:
            error, one.error = one.error, None
            driver.wake(waiter, False, error)
        else:
            driver.wake(waiter, True, None)

    def wait(self, driver: Driver, number: int, fiber: Fiber, args: list[Any]) -> None:
        """A fiber asks for the next chunks: all that are ready, at least one; nothing at the end."""
        one = self.known.get(args[0])
        if one is None:  # nobody should be able to ask; an end that looks like a good one would be worse than this
            driver.wake(number, False, InternalError(f"there is no stream {args[0]}"))
            return
        one.owned = True
        one.waiter = number
        self._serve(driver, one)
        if one.waiter is not None:
            fiber.external = True

            def forget() -> None:
                one.waiter = None

            fiber.cancel = forget

    def close(self, number: int) -> None:
        """Closes a stream's connection; what was read stays readable by `collect`."""
        one = self.known.get(number)
        if one is not None:
            one.stream.abandon()  # the task closes it later: a conversation is free now
            if one.task is None:
                one.done = True
            else:
                one.task.cancel()

    def forget(self, number: int) -> None:
        """The same, and nothing of it stays."""
        self.close(number)
        self.known.pop(number, None)

    def close_all(self) -> None:
        """The run is over."""
        for number in list(self.known):
            self.close(number)


def _no_slot() -> Any:
    from contextlib import nullcontext

    return nullcontext()
