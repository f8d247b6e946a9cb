"""Functions of the script's that Python calls: tools, conditions, steps, questions written in Lua.

A function crosses as a number (`host.lend` in the prelude keeps it). A call of it is a fiber of its own, so that it may
wait like any other; one fiber of the prelude's serves them all and waits in `function:next`.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from llmspell.bridge.engine import ERROR, UNFIT
from llmspell.errors import InternalError, LimitError, LLMSpellError, ScriptError

if TYPE_CHECKING:
    from llmspell.bridge.driver import Driver, Fiber
    from llmspell.bridge.run import Run

__all__ = ["Upcalls"]

DEEPEST = 100  # calls within calls: a tool that calls itself would go on until nothing is left
_around: ContextVar[int] = ContextVar("llmspell_calls_around", default=0)
DONE = "`function.done`: "  # what the prelude hands a result in by; nobody else knows the name


class _Call:
    """One call. fiber: where it runs, once it does; values: what it returned; context: its caller's variables."""

    __slots__ = ("context", "fiber", "future", "values")

    def __init__(self, future: asyncio.Future[list[Any]]) -> None:
        self.future = future
        self.context = copy_context()
        self.context.run(_around.set, _around.get() + 1)
        self.fiber: int | None = None
        self.values: list[Any] = []


class Upcalls:
    """The calls of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._calls: dict[int, _Call] = {}
        self._by_fiber: dict[int, int] = {}
        self._queue: list[dict[str, Any]] = []
        self._serving: int | None = None  # the fiber that serves calls
        self._server: int | None = None  # the same while it waits for them
        self._last = 0

    async def call(self, function: int, *args: Any) -> list[Any]:
        """Calls the script's function of that number; gives what it returned, up to the last value that is not nil.

        args, values: plain data. Raises what the function raised: the exception that it stood for, else ScriptError.
        Cancelled, it ends the function where it waits.
        """
        driver = self._run.driver
        if driver is None or driver.loop is None:
            raise InternalError("a function of the script's was called outside of its run")
        if _around.get() >= DEEPEST:
            raise LimitError(
                f"functions that tools and steps call are nested more than {DEEPEST} deep",
                hint="does one call itself, by a tool or a workflow?",
                limit="function_depth",
                value=DEEPEST,
            )
        self._last = ticket = self._last + 1
        one = self._calls[ticket] = _Call(driver.loop.create_future())
        self._queue.append({"ticket": ticket, "id": function, "args": list(args), "n": len(args)})
        self._serve(driver)
        try:
            return await one.future
        finally:
            del self._calls[ticket]
            if one.fiber is not None and self._by_fiber.pop(one.fiber, None) is not None:
                driver.close_soon(one.fiber)
            elif one.fiber is None:
                self._queue = [call for call in self._queue if call["ticket"] != ticket]

    def _serve(self, driver: Driver) -> None:
        if self._server is not None and self._queue:
            server, self._server = self._server, None
            queue, self._queue = self._queue, []
            driver.wake(server, True, queue)

    # ---- what the serving fiber says

    def wait(self, driver: Driver, number: int, fiber: Fiber, args: list[Any]) -> None:
        """The serving fiber waits for calls."""
        self._server = self._serving = number

        def forget() -> None:
            self._server = None

        fiber.cancel = forget
        self._serve(driver)

    def started(self, ticket: int, fiber: int) -> bool:
        """A call runs in *fiber*; false where its caller has gone meanwhile."""
        one = self._calls.get(ticket)
        if one is None or one.future.done():
            return False
        one.fiber = fiber
        self._by_fiber[fiber] = ticket
        self._run.fibers().fibers[fiber].context = one.context
        return True

    def refused(self, ticket: int, message: str) -> None:
        """A call could not be started."""
        one = self._calls.get(ticket)
        if one is not None and not one.future.done():
            one.future.set_exception(ScriptError(message))

    def done(self, ticket: int, *values: Any) -> None:
        """What a call returned; it counts once its fiber has ended."""
        one = self._calls.get(ticket)
        if one is not None:
            one.values = list(values)

    # ---- what the driver says

    def ended(self, fiber: int, outcome: tuple[Any, ...]) -> None:
        """A fiber has come to its end."""
        if fiber == self._serving:  # a fault of ours
            self._fail(outcome)
        one = self._calls.get(self._by_fiber.pop(fiber, 0))
        if one is None or one.future.done():
            return
        if outcome[0] == UNFIT:
            one.future.set_exception(ScriptError(f"the function's result: {outcome[1]} cannot be passed on"))
        elif outcome[0] == ERROR:
            from llmspell.bridge.failures import script_failure

            error = script_failure(outcome[1], outcome[2], self._run.name)
            if isinstance(error, LLMSpellError) and error.message.startswith(DONE):
                error.message = "the function's result: " + error.message.removeprefix(DONE)
            one.future.set_exception(error if isinstance(error, Exception) else ScriptError(str(error)))
        else:
            one.future.set_result(one.values)

    def _fail(self, outcome: tuple[Any, ...]) -> None:
        told = outcome[1].get("message") if outcome[0] == ERROR else outcome[0]
        for one in self._calls.values():
            if not one.future.done():
                one.future.set_exception(InternalError(f"functions of the script's are no longer served: {told}"))

    def gone(self, fiber: int) -> None:
        """A fiber was closed by somebody else."""
        one = self._calls.get(self._by_fiber.pop(fiber, 0))
        if one is not None and not one.future.done():
            one.future.cancel()
