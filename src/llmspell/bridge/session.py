"""A session: chunks, one after another, in one Lua state, whose globals, agents and tasks stay.

The state's main fiber waits for the session's end. Each chunk is a call of a function of the prelude's, in a fiber of
its own: so it may wait, its error is its own, and it can be stopped where it waits or computes without an end of the
others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell.bridge import limits
from llmspell.bridge.engine import CALL, prelude
from llmspell.bridge.run import ScriptExit
from llmspell.errors import InternalError, LLMSpellError, RunCancelledError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    from llmspell.bridge.run import Run
    from llmspell.bridge.runtime import ScriptResult, ScriptRuntime

    T = TypeVar("T")

__all__ = ["Session", "run_session"]

GRACE = 1.0  # seconds after its time that a chunk has to stop by itself; then its Lua state is ended
LOOK = 0.2  # seconds between looks at a clock that stands still
LEAVE = 2.0  # seconds that cancelled calls have to close their connections


class Session:
    """Made by `run_session`. The limits of time and of output are of each chunk, those of tokens and cost of all.

    What ends the Lua state itself, such as its limit of memory, ends no session: `lost` is true then, and `reset`
    gives another state.
    """

    def __init__(self, runtime: ScriptRuntime, path: str, name: str) -> None:
        self._runtime, self._path, self._name = runtime, path, name
        self._run: Run | None = None
        self._driving: asyncio.Task[tuple[Any, ...]] | None = None
        self._call: asyncio.Task[list[Any]] | None = None
        self._why: LLMSpellError | None = None
        self.lost = False
        self.busy = False  # a chunk runs
        self.leaving = False  # connections of what was stopped are being closed: that takes LEAVE at most

    @property
    def run(self) -> Run:
        """What runs now, for what it has used and may."""
        assert self._run is not None
        return self._run

    # ---- the Lua state

    async def open(self) -> None:
        """A new Lua state. What was used of tokens and cost before stays used."""
        before = self._run
        run, main, _ = self._runtime._begin(b"", (), self._path, self._name)
        if before is not None:
            run.go_on_from(before)
        self._run, self.lost = run, False
        run.deadline, run.engine.deadline = None, float("inf")  # until a chunk begins
        run.engine.start(prelude("session"))
        self._driving = asyncio.create_task(run.fibers().drive(main, (CALL, "session:wait", [])))
        await asyncio.sleep(0)  # it is on its way

    async def close(self) -> None:
        """Ends the state: tasks, streams and connections with it."""
        run, driving = self._run, self._driving
        if run is None or driving is None:
            return
        run.stop(RunCancelledError("the session has ended"), limits.CLOSE_GRACE)
        await asyncio.wait({driving})
        self._driving = None
        run.fibers().report_unawaited()
        self._runtime._end(run)

    async def reset(self) -> None:
        """Another Lua state in this one's place."""
        await self.close()
        await self.open()

    # ---- chunks

    async def execute(self, text: bytes, name: str) -> ScriptResult:
        """Runs a chunk to its end; its result is a list of its values, as texts. name: as shown in messages.

        What the result tells of usage, calls and seconds is of this chunk, and of what others did meanwhile.
        Raises LLMSpellError: what the chunk raised, what stopped it; ScriptExit where it called `os.exit`.
        """
        from llmspell.bridge.runtime import ScriptResult

        run = self.run
        run.partials.clear()
        run.output.written = 0  # its limit is of each chunk
        run.count_ended()
        before, calls, unpriced = run.usage, run.calls, run.unpriced_calls
        self._why, run.interrupted = None, False
        self._begin_time()
        self.busy = True
        try:
            told = (await self._called(run.session_functions[0], text, name))[0]
        except LLMSpellError as error:
            from llmspell.bridge.failures import point

            point(error, name, text)
            raise
        finally:
            self.busy = False
            run.deadline, run.engine.deadline = None, float("inf")
            run.fibers().set_timer()
            run.fibers().report_unawaited()
        if "refused" in told:
            from llmspell.bridge.failures import syntax_error

            raise syntax_error(_text(told["refused"]), name, text)
        run.count_ended()
        done = ScriptResult(run, told["texts"] or [], "", 0)
        done.usage = {key: value - before.get(key, 0) for key, value in done.usage.items()}
        done.calls, done.unpriced_calls = done.calls - calls, done.unpriced_calls - unpriced
        return done

    async def members(self, path: list[str]) -> dict[str, Any]:
        """What the value at *path* from the globals on has: `names`, and `kind`. Nothing of the script's is run.

        Raises RunCancelledError where a task leaves it no turn.
        """
        late = asyncio.get_running_loop().call_later(GRACE, self.stop, RunCancelledError("a task computes"))
        try:
            told: dict[str, Any] = (await self._called(self.run.session_functions[1], path))[0]
            return told
        finally:
            late.cancel()

    async def _called(self, function: int, *args: Any) -> list[Any]:
        driving = self._driving
        assert driving is not None
        call = self._call = asyncio.ensure_future(self.run.upcalls.call(function, *args))
        timer = asyncio.ensure_future(self._watch_time())
        try:
            await asyncio.wait({call, driving}, return_when=asyncio.FIRST_COMPLETED)
            if call.cancelled():
                await self._settled()
            if self.run.fibers().ended.done():  # the state's end is on its way
                await asyncio.wait({driving})
        finally:
            timer.cancel()
            self._call = None
            if not call.done():
                call.cancel()
                await asyncio.wait({call})
        if driving.done():
            self.lost = True
            raise self._ended(driving)
        if call.cancelled():
            raise self._stopped()
        return call.result()

    def interrupt(self, error: LLMSpellError) -> None:
        """`stop`, from any thread."""
        if self._driving is not None:
            self.run.interrupted = True
            self._driving.get_loop().call_soon_threadsafe(self.stop, error)

    def stop(self, error: LLMSpellError) -> None:
        """Stops the chunk that runs, where it waits or computes. To be called on the event loop."""
        if self._call is not None and not self._call.done():
            self._why = self._why or error
            self._call.cancel()

    def stop_state(self, error: LLMSpellError) -> None:
        """Stops all that the state does, for good. From any thread."""
        self.run.stop(error, limits.CLOSE_GRACE)

    def _stopped(self) -> LLMSpellError:
        error = self._why or RunCancelledError("the call was stopped")
        if self.run.partials:
            error.context.setdefault("partial", "\n".join(self.run.partials))
        return error

    def _ended(self, driving: asyncio.Task[tuple[Any, ...]]) -> BaseException:
        """Why the state has ended."""
        try:
            self.run.settle(driving.result())
        except (LLMSpellError, ScriptExit) as error:
            return error
        return InternalError("the session's Lua state has ended")

    async def _settled(self) -> None:
        """Waits until what was stopped is closed: its `<close>` variables have run, its connections are gone."""
        driver = self.run.fibers()
        while driver.closing and not driver.ended.done():  # noqa: ASYNC110 - a turn of the loop, or two
            await asyncio.sleep(0)
        leaving = {task for task in driver.tasks if not task.done() and task.cancelling()}
        self.leaving = bool(leaving)
        try:
            if leaving:
                await asyncio.wait(leaving, timeout=LEAVE)
        finally:
            self.leaving = False

    # ---- time

    def _begin_time(self) -> None:
        run = self.run
        run.started = run.clock()
        if run.timeout:
            run.deadline = run.engine.deadline = run.started + run.timeout + GRACE
            run.fibers().set_timer()

    async def _watch_time(self) -> None:
        """Stops the chunk at its time, a little before its state is ended for it."""
        run = self.run
        while run.timeout:
            left = LOOK if run.deadline is None else run.deadline - GRACE - run.clock()
            if left <= 0:
                self.stop(limits.timeout_reached(run.timeout))
                return
            await asyncio.sleep(left)


def _text(told: str | bytes) -> str:
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else told


def run_session(
    runtime: ScriptRuntime, work: Callable[[Session], Awaitable[T]], *, path: str, name: str = "session"
) -> T:
    """Opens a session, has *work* use it on an event loop of its own, and closes it and the runtime.

    path: where a script of the session's would be, for `require` and for what `State` keeps; no file has to be there.
    Raises ValidationError where the runtime has its scripts elsewhere, or on record.
    """
    if runtime._pool is not None or runtime._tape is not None:
        raise ValidationError("a session does not go with `isolation`, `record` or `replay`")
    from llmspell.bridge.runtime import _loop_factory

    async def main() -> T:
        session = Session(runtime, path, name)
        await session.open()
        try:
            return await work(session)
        finally:
            await session.close()
            await runtime.leave_loop()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main())
