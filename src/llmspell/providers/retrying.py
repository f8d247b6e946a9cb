"""Trying again, of one service: what its calls have in common, and where one call stands.

A call is tried again only until its first content was given out. How long to wait is `_speedups` arithmetic; that a
service which is down is not asked all the more is seen to by RetryTokens, and that one which refuses calls as too many
is asked less at once by Slots. Source: DESIGN.md, "Retry".
"""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Ceiling, RetryTokens, decide
from llmspell.errors import CallTimeoutError, LLMSpellError, RateLimitError
from llmspell.types.streaming import Control
from llmspell.utils.async_utils import Clock, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Retries", "Slots", "Tries"]

SLOW = 0.1  # seconds after which who holds up others, and is not read from, does so no longer


class Slots:
    """As many calls at once as a service bears; more wait their turn, who came first goes first."""

    def __init__(self) -> None:
        self.ceiling = Ceiling()
        self._waiting: list[tuple[int, int, str, asyncio.Future[None]]] = []
        self._asked = 0
        self._paused: dict[str, tuple[asyncio.TimerHandle, asyncio.AbstractEventLoop]] = {}  # by model

    def __len__(self) -> int:
        """How many wait."""
        return sum(not future.done() for *_, future in self._waiting)

    async def enter(self, ticket: int, model: str) -> int:
        """Waits for room; gives what the ceiling's `refused` wants back. ticket: of the call, the lower the earlier."""
        ceiling = self.ceiling
        if self._waiting or not ceiling.room() or self._holds(model):
            future = asyncio.get_running_loop().create_future()
            self._asked += 1
            heappush(self._waiting, (ticket, self._asked, model, future))
            self.serve()
            try:
                await future
            except asyncio.CancelledError:
                if future.done() and not future.cancelled():  # it was let in, and is gone
                    ceiling.over()
                    self.serve()
                raise
            return ceiling.epoch
        return ceiling.begin()

    def serve(self) -> None:
        """Lets in who waits, as far as there is room."""
        waiting, ceiling = self._waiting, self.ceiling
        held = []
        while waiting and ceiling.room():
            one = heappop(waiting)
            *_, model, future = one
            if future.done():
                continue
            if self._holds(model):
                held.append(one)
            else:
                ceiling.begin()
                future.set_result(None)
        for one in held:
            heappush(waiting, one)

    def _holds(self, model: str) -> bool:
        if (paused := self._paused.get(model)) is None:
            return False
        return not paused[1].is_closed()  # with its loop, a pause has ended

    def pause(self, model: str, seconds: float) -> None:
        """Lets in nobody who asks *model* for so long, or until `go_on`."""
        self.go_on(model)
        loop = asyncio.get_running_loop()
        self._paused[model] = loop.call_later(seconds, self.resume, model), loop

    def go_on(self, model: str) -> None:
        """The pause is over; who asks now, or `serve`, lets in who waits."""
        if (paused := self._paused.pop(model, None)) is not None:
            paused[0].cancel()

    def resume(self, model: str) -> None:
        """The pause is over, and who waits is let in."""
        self.go_on(model)
        self.serve()


class Retries:
    """What all calls of one service share. policy: how often and how long, where a call does not say."""

    def __init__(self, policy: RetryPolicy, clock: Clock | None = None) -> None:
        self.policy = policy
        self.clock = clock or Clock()
        self.tokens = RetryTokens()
        self.slots = Slots()
        self._calls = 0

    def call(
        self,
        model: str,
        given: Mapping[str, Any] | int | None,
        total: float | None,
        on_retry: Callable[[Mapping[str, Any]], object] | None = None,
    ) -> Tries:
        """A call begins. given: its own `retry`; total: the seconds that it has in all, None or 0 without end.

        on_retry: is told of each retry, as ModelCall has it.
        """
        self._calls += 1
        self.tokens.earn()
        policy = self.policy if given is None else RetryPolicy.of(given, self.policy)
        return Tries(self, model, policy, self._calls, total or None, on_retry)


class Tries:
    """Where one call stands. `enter`; where the attempt fails, `after`, `wait` and `enter` again; at the call's end,
    however that comes, `leave`."""

    __slots__ = (
        "_begun",
        "_epoch",
        "_inside",
        "_model",
        "_on_retry",
        "_pauses",
        "_policy",
        "_shared",
        "_started",
        "_ticket",
        "_total",
        "_wait",
        "_waited",
        "made",
    )

    def __init__(
        self,
        shared: Retries,
        model: str,
        policy: RetryPolicy,
        ticket: int,
        total: float | None,
        on_retry: Callable[[Mapping[str, Any]], object] | None,
    ) -> None:
        self._shared = shared
        self._model = model
        self._policy = policy
        self._ticket = ticket
        self._total = total
        self._on_retry = on_retry
        self._started = shared.clock.now()
        self._waited = 0.0  # seconds spent in waits and in attempts that failed, not in the queue
        self._begun = self._started
        self._wait = 0.0
        self._epoch = 0
        self._inside = False
        self._pauses = False  # while it waits, so do all others of its model
        self.made = 0  # attempts

    async def enter(self) -> float | None:
        """Waits until the service has room for one more attempt; gives the seconds that are left of the call's total.

        Raises CallTimeoutError where they end before.
        """
        slots = self._shared.slots
        if slots.ceiling.limit == 0:  # nothing was ever refused
            self._epoch = slots.ceiling.begin()
        else:
            try:
                async with asyncio.timeout(self._left()):
                    self._epoch = await slots.enter(self._ticket, self._model)
            except TimeoutError:
                raise CallTimeoutError(
                    f"the call waited {self._total:g} s for others: the service refuses more at once (total timeout)",
                    hint="send fewer calls at once, or raise the call's `timeout`",
                    limit="total",
                    value=self._total,
                ) from None
            self._begun = self._shared.clock.now()
        self._inside = True
        self.made += 1
        return self._left()

    def _left(self) -> float | None:
        if self._total is None:
            return None
        return max(0.0, self._total - (self._shared.clock.now() - self._started))

    def leave(self, *, answered: bool) -> None:
        """The call is over. answered: in full. Of several times, the first counts."""
        slots = self._shared.slots
        if self._pauses:
            self._pauses = False
            slots.resume(self._model)
        if self._inside:
            self._inside = False
            if answered:
                slots.ceiling.succeeded()
            else:
                slots.ceiling.over()
            slots.serve()

    def after(self, error: LLMSpellError) -> Control:
        """The attempt failed before any content: what a stream says of the next. Raises *error* if there is none."""
        slots, ceiling = self._shared.slots, self._shared.slots.ceiling
        alone = False
        if self._inside and isinstance(error, RateLimitError):
            self._inside = False
            # Where even one at once is too many, it is not how many they are, but how fast they come.
            alone = self._epoch == ceiling.epoch and ceiling.in_flight == 1
            ceiling.refused(self._epoch)
        self.leave(answered=False)
        try:
            told = self._again(error)
            if alone:
                self._pauses = True
                slots.pause(self._model, self._wait + SLOW)
            return told
        finally:
            slots.serve()

    def _again(self, error: LLMSpellError) -> Control:
        """Decides; see `after`."""
        shared, policy = self._shared, self._policy
        if not error.retryable:
            raise self._told(error)
        told = error.context.get("retry_after")
        left = self._left()
        spent = self._waited + (shared.clock.now() - self._begun)
        wait, why = decide(
            self.made, policy.attempts, told, spent, policy.budget, policy.base, policy.max, shared.clock.chance()
        )
        if not why and left is not None and wait >= left:
            why = "budget"
        # What is refused as too much is held back by the slots; all else may be an outage.
        if not why and not isinstance(error, RateLimitError) and not shared.tokens.spend():
            why = "outage"
        if why:
            raise self._told(error, why)
        self._wait = wait
        self._waited = spent + wait
        details = {"attempt": self.made + 1, "wait": round(wait, 3), "error": error.message, "kind": error.kind}
        if self._on_retry is not None:
            self._on_retry(details)
        return Control("retry", details=details)

    async def wait(self) -> None:
        """Until the next attempt is due."""
        await self._shared.clock.sleep(self._wait)
        if self._pauses:
            self._pauses = False
            self._shared.slots.go_on(self._model)  # it comes before those who came later
        self._begun = self._shared.clock.now()

    def _told(self, error: LLMSpellError, why: str = "") -> LLMSpellError:
        if self.made > 1:
            error.context.setdefault("attempts", self.made)
            error.message = f"{error.message} (tried {self.made} times)"
            error.args = (error.message,)
        if why == "outage":
            error.context.setdefault("retries", "held back: too many calls of this service fail")
        return error
