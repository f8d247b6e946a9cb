"""Limits of tokens and of money over many model calls: each reserves what it may take before it is sent.

A call that does not fit waits for those in flight, which seldom take all they may, and is an error only where nobody is
in flight, or those that are do not move. So calls at once can never take more than the limit, but for what the estimate
of their input is short of.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from llmspell.agents.estimate import Need, need_of, text_tokens, texts_need
from llmspell.agents.timeleft import TimeLeft
from llmspell.errors import CallTimeoutError, LimitError, LLMSpellError
from llmspell.types.price import dollars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.providers.base import ModelCall, ProviderInstance
    from llmspell.types.usage import Usage

__all__ = ["Held", "Meter"]

#: The shortest answer, in tokens, that is worth a call whose caller named no length.
LEAST_OUTPUT = 16
#: Seconds after which a stream that nobody has read from is not waited for.
PATIENCE = 2.0
#: Kinds of error that a service answers with before it has done anything.
REFUSED = (
    "auth", "config", "context_length", "limit", "not_found", "not_supported", "permission", "provider", "quota",
    "rate_limit", "validation",
)  # fmt: skip


class Meter:
    """What calls together may take, and have taken. Of one event loop at a time.

        meter = llmspell.Meter(max_cost_usd=0.50)
        agents = [llmspell.Agent(model, meter=meter) for model in models]

    max_tokens_total: read and written, of all calls. max_cost_usd: US dollars; a model without a price is refused. 0 is
    without limit. tokens, cost_usd: what was taken so far, as the services said it; where they did not, what was
    estimated, for a call that was cut off too.

    A call reserves its input, estimated (see `estimate.py`), and its `max_tokens`; where it names none, what the model
    can write at most, or what is left where that is less, in which case the request says so. Raises LimitError.
    """

    def __init__(self, *, max_tokens_total: int = 0, max_cost_usd: float = 0.0) -> None:
        self.max_tokens_total = max_tokens_total
        self.max_cost_usd = max_cost_usd
        self.tokens = 0
        self.cost_usd = 0.0
        self._held: set[Held] = set()
        self._turn = asyncio.Lock()  # who waits does so in the order in which they came
        self._waiting: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Meter(tokens={self.tokens}, cost_usd={self.cost_usd:.6f})"

    @property
    def reserved_tokens(self) -> int:
        """Of calls in flight."""
        return sum(held.tokens for held in self._held)

    @property
    def reserved_cost_usd(self) -> float:
        """Of calls in flight."""
        return math.fsum(held.cost for held in self._held)

    @property
    def tokens_left(self) -> int | None:
        """What a new call may take; None without a limit."""
        return max(self.max_tokens_total - self.tokens - self.reserved_tokens, 0) if self.max_tokens_total else None

    @property
    def cost_left_usd(self) -> float | None:
        """What a new call may cost; None without a limit."""
        left = self.max_cost_usd - self.cost_usd - self.reserved_cost_usd
        return max(left, 0.0) if self.max_cost_usd else None

    def over(self, provider: ProviderInstance) -> ProviderInstance:
        """*provider*, each of whose calls this one holds to its limits."""
        from llmspell.agents.metered import Metered

        return provider if isinstance(provider, Metered) and provider.meter is self else Metered(provider, self)

    # ---- before a call and after it

    async def hold(self, provider: ProviderInstance, call: ModelCall) -> tuple[ModelCall, Held]:
        """Reserves what *call* may take; gives the call as it is to be sent. `settle` what is held, in any case.

        Raises LimitError; CallTimeoutError where the call's own time ends while it waits for others.
        """
        need = need_of(provider, call)
        left = TimeLeft(call.timeout)
        left.begin()
        waits = not self._free(need)
        try:
            async with asyncio.timeout(left.seconds()):
                granted, held = await self._hold(provider, need)
        except TimeoutError:
            raise _late(provider.name, call) from None
        if waits:
            call = left.of(call)
        if not need.fixed and (need.capped or granted < need.output):
            call = call._replace(parameters=call.parameters._replace(max_tokens=granted))
        return call, held

    async def hold_texts(self, provider: ProviderInstance, model: str, texts: Sequence[str]) -> Held:
        """The same for texts of which vectors are made."""
        return (await self._hold(provider, texts_need(provider, model, texts)))[1]

    async def _hold(self, provider: ProviderInstance, need: Need) -> tuple[int, Held]:
        self.check_price(provider, need)
        return await self.reserve(need)

    def check_price(self, provider: ProviderInstance, need: Need) -> None:
        """Raises LimitError where a limit of cost cannot hold, since nobody knows the price."""
        if self.max_cost_usd and need.price is None:
            raise _unpriced(provider.name, need.model)

    async def reserve(self, need: Need) -> tuple[int, Held]:
        """What an answer may have, in tokens, and what is held for it, once there is room. Raises LimitError."""
        async with self._turn:
            granted = self._fits(need, alone=not self._held)
            while granted is None:
                if not await self._freed():
                    granted = self._fits(need, alone=True)
                    if granted is None:
                        raise self._reached(need)
                    break
                granted = self._fits(need, alone=not self._held)
            held = Held(self, need, granted)
            self._held.add(held)
        return granted, held

    def _free(self, need: Need) -> bool:
        """Whether a call would not have to wait."""
        return not self._turn.locked() and self._fits(need, alone=not self._held) is not None

    def _fits(self, need: Need, *, alone: bool) -> int | None:
        """How long the answer may be; None where the call does not fit, or would better wait for the others."""
        room = self._room(need)
        if need.output <= room:
            return need.output
        return int(room) if alone and not need.fixed and room >= LEAST_OUTPUT else None

    def _room(self, need: Need) -> float:
        """Tokens that an answer may have by both limits, below 0 where there is no room for the input."""
        room = math.inf
        if self.max_tokens_total:
            room = self.max_tokens_total - self.tokens - self.reserved_tokens - need.input
        if self.max_cost_usd and need.price is not None and not need.price.is_free:
            reading, token = need.price.most(need.input)
            left = self.max_cost_usd - self.cost_usd - self.reserved_cost_usd - reading
            if left < 0:
                return -1
            room = min(room, left // token if token else math.inf)
        return room

    async def _freed(self) -> bool:
        """Waits until a call in flight has ended. False where there is none, or none that moves."""
        seen = {held: held.reads for held in self._held}
        while self._held:
            self._waiting = waiting = asyncio.get_running_loop().create_future()
            await asyncio.wait((waiting,), timeout=PATIENCE)
            self._waiting = None
            if waiting.done():
                return True
            if all(held.idle and seen.get(held) == held.reads for held in self._held):
                return False
            seen = {held: held.reads for held in self._held}
        return False

    def take(self, held: Held, tokens: int, cost: float) -> None:
        """What a call has taken in the end."""
        self._held.discard(held)
        self.tokens += tokens
        self.cost_usd += cost
        waiting = self._waiting
        if waiting is not None and not waiting.done() and not waiting.get_loop().is_closed():
            waiting.set_result(None)

    # ---- errors

    def _reached(self, need: Need) -> LimitError:
        answer = f"and {need.output:,} to write" if need.fixed else "and some to write"
        needs = f"the next call needs about {need.input:,} to read {answer}"
        tokens = self.max_tokens_total - self.tokens - self.reserved_tokens - need.input
        if self.max_tokens_total and tokens < (need.output if need.fixed else LEAST_OUTPUT):
            flight = f", {self.reserved_tokens:,} are reserved by calls in flight" if self._held else ""
            return LimitError(
                f"the limit of {self.max_tokens_total:,} tokens is reached: {self.tokens:,} were used{flight}; {needs}",
                hint="raise it with `--max-tokens-total N` or the setting `limits.max_tokens_total` (0 is without "
                "limit), or give the call a lower `max_tokens`",
                limit="tokens",
                value=self.max_tokens_total,
                setting="limits.max_tokens_total",
                used=self.tokens,
                reserved=self.reserved_tokens,
            )
        flight = f", {dollars(self.reserved_cost_usd)} are reserved by calls in flight" if self._held else ""
        needs += f" tokens of {need.model}"
        if need.price is not None:
            reading, token = need.price.most(need.input)
            needs += f", up to {dollars(reading + token * (need.output if need.fixed else LEAST_OUTPUT))}"
            needs += "" if need.fixed else " or more"
        return LimitError(
            f"the limit of {dollars(self.max_cost_usd)} is reached: {dollars(self.cost_usd)} were spent{flight}; "
            f"{needs}",
            hint="raise it with `--max-cost USD` or the setting `limits.max_cost_usd` (0 is without limit), or give "
            "the call a lower `max_tokens`",
            limit="cost",
            value=self.max_cost_usd,
            setting="limits.max_cost_usd",
            used=self.cost_usd,
            reserved=self.reserved_cost_usd,
        )


class Held:
    """What one call has reserved. tokens, cost: at most. reads: how often it was read from; idle: nobody reads now."""

    __slots__ = ("__weakref__", "_meter", "cost", "idle", "need", "reads", "settled", "tokens")

    def __init__(self, meter: Meter, need: Need, output: int) -> None:
        self._meter = meter
        self.need = need
        self.tokens = need.input + output
        reading, token = need.price.most(need.input) if need.price is not None else (0.0, 0.0)
        self.cost = reading + token * output
        self.reads = 0
        self.idle = False
        self.settled = False

    def settle(self, usage: Usage, *, came: int = 0, error: BaseException | None = None, unseen: bool = False) -> None:
        """The call has ended. usage: what is known of it. came: bytes of the answer that were read. unseen: what was
        written could not be seen, so all that was reserved may have been."""
        if self.settled:
            return
        self.settled = True
        need, price = self.need, self.need.price
        if _took_nothing(error) and not came and usage.total_tokens is None and usage.input_tokens is None:
            return self._meter.take(self, 0, 0.0)
        read = need.input if usage.input_tokens is None else usage.input_tokens
        written = usage.output_tokens
        if written is None:
            written = self.tokens - need.input if unseen else text_tokens(came)
        tokens = max(usage.total_tokens or 0, read + written)
        cost = usage.cost_usd or 0.0
        if price is not None:
            known = price.cost(usage._replace(input_tokens=read, output_tokens=written)) or 0.0
            # The service's own word goes before the price list; but a request may name another model than the call.
            cost = known if usage.cost_usd is None else max(cost, known if need.swapped else 0.0)
        return self._meter.take(self, tokens, cost)


def _late(provider: str, call: ModelCall) -> CallTimeoutError:
    return CallTimeoutError(
        f"the call waited {call.timeout:g} s for others, which may take all that is left of a limit (total timeout)",
        hint="send fewer calls at once, give them a lower `max_tokens`, or raise the call's `timeout`",
        retryable=False,
        limit="total",
        value=call.timeout,
        provider=provider,
        model=call.model,
    )


def _took_nothing(error: BaseException | None) -> bool:
    """Whether the service has surely done nothing: it was not reached, or refused."""
    if not isinstance(error, LLMSpellError):
        return False
    return error.kind in REFUSED or bool(error.unsent) or error.limit == "connect"


def _unpriced(provider: str, model: str) -> LimitError:
    return LimitError(
        f"there is no price for {provider}/{model}, so the limit of cost cannot hold",
        hint=f'say what it costs: `[providers.{provider}.prices]` with `"{model}" = {{ input = …, output = … }}`, US '
        "dollars for a million tokens; or take the limit away (`--max-cost 0`)",
        limit="cost",
        setting="limits.max_cost_usd",
        provider=provider,
        model=model,
    )
