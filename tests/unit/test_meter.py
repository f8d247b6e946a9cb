"""The meter: what is reserved before a call, what is taken after it, and who waits for whom."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell import Agent, Meter
from llmspell.agents import meter as meter_module
from llmspell.agents.estimate import UNKNOWN_OUTPUT, input_tokens, need_of
from llmspell.agents.meter import LEAST_OUTPUT
from llmspell.errors import AuthError, CallTimeoutError, LimitError, NetworkError, RateLimitError
from llmspell.providers.base import Embeddings, ModelCall, ProviderCapabilities, ProviderInstance
from llmspell.providers.manager import ProviderManager
from llmspell.providers.turn import Turn
from llmspell.types.agent import Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.price import FREE, Price
from llmspell.types.streaming import AgentStream, Control, Text
from llmspell.types.tools import ResponseSchema, ToolSpec
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentChunk

pytestmark = pytest.mark.once


USAGE = Usage(10, 5)


class Scripted(ProviderInstance):
    """A model of one's own: writes *words*, waits for `gate` before the last, then ends with *usage* or *error*."""

    type = "own"

    def __init__(
        self,
        *,
        usage: Usage | None = USAGE,
        error: BaseException | None = None,
        price: Price | None = None,
        words: Sequence[str] = ("one ", "two"),
        longest: int | None = 100,
    ) -> None:
        self.name = "own"
        self.usage, self.error, self.words, self.longest = usage, error, words, longest
        self.its_price = price
        self.calls: list[ModelCall] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_gate = asyncio.Event()

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return ProviderCapabilities(max_output_tokens=self.longest)

    def price(self, model: str) -> Price | None:
        return Price(1000.0, 1000.0) if model == "dear" else self.its_price

    def stream(self, call: ModelCall) -> AgentStream:
        turn = Turn(self.name, call.model)
        return AgentStream(turn.stream_id, self._batches(call, turn))

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        self.calls.append(call)
        for word in self.words[:-1]:
            yield turn.chunks([Text(word)])
        self.at_gate.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        yield turn.chunks([Text(word) for word in self.words[-1:]] + [Control("stream_end", "stop", self.usage)])

    async def execute(self, call: ModelCall) -> AgentOutput:
        return await self.stream(call).collect()

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        return Embeddings(((0.0,),) * len(texts), model, Usage(7))


def call(text: str = "hello", max_tokens: int | None = None, **more: Any) -> ModelCall:
    return ModelCall("m", (Message("user", text),), Parameters(max_tokens=max_tokens), **more)


READ = input_tokens(call())


# ---- estimates


@given(st.text(max_size=300), st.text(max_size=50))
@settings(max_examples=50)
def test_what_a_call_reads_grows_with_all_that_is_sent(text: str, more: str) -> None:
    plain = call(text)
    size = len(text.encode("utf-8", "surrogatepass"))
    assert size / 4 <= input_tokens(plain) <= size + 40
    for larger in (
        call(text + more),
        plain._replace(messages=(*plain.messages, Message("user", more))),
        plain._replace(tools=(ToolSpec("t", more),)),
        plain._replace(schema=ResponseSchema({"description": more})),
        plain._replace(body={"extra": more}),
        plain._replace(messages=(Message("user", (text, Media("image/png", b"x"))),)),
        plain._replace(messages=(Message("assistant", text, (ToolCall("1", "t", {"a": more}),)),)),
    ):
        assert input_tokens(larger) >= input_tokens(plain)


@pytest.mark.parametrize("text", ["The quick brown fox. " * 50, "def f(x):\n    return x\n" * 40, "我们在这里。" * 60])
def test_the_estimate_is_near_and_seldom_short(text: str) -> None:
    """Against what tokenizers in use say of such texts: at least a token for 4 bytes of English, 3 of all else."""
    assert input_tokens(call(text)) >= len(text.encode()) / (4 if text.isascii() else 3)


def test_the_body_may_not_slip_a_longer_answer_or_another_model_by() -> None:
    provider = Scripted()
    assert need_of(provider, call(max_tokens=7)).output == 7
    for body in (
        {"max_tokens": 5000},
        {"max_completion_tokens": 5000},
        {"generationConfig": {"maxOutputTokens": 5000}},
        {"options": {"num_predict": 5000}},
    ):
        need = need_of(provider, call(max_tokens=7, body=body))
        assert (need.output, need.fixed) == (5000, True)
    assert need_of(provider, call(max_tokens=7, body={"n": 3})).output == 21
    dear = need_of(provider, call(body={"model": "dear"}))
    assert (dear.price, dear.model) == (Price(1000.0, 1000.0), "dear")


def test_an_answer_without_a_length_has_the_models() -> None:
    assert need_of(Scripted(longest=100), call())[1:4] == (100, False, False)
    assert need_of(Scripted(longest=None), call())[1:4] == (UNKNOWN_OUTPUT, False, True)


# ---- before and after


async def test_a_call_takes_what_it_said_and_gives_back_the_rest() -> None:
    meter = Meter(max_tokens_total=1000)
    provider = meter.over(Scripted())
    output = await provider.execute(call(max_tokens=50))
    assert output.text == "one two"
    assert (meter.tokens, meter.reserved_tokens, meter.tokens_left) == (15, 0, 985)


async def test_what_does_not_fit_is_not_sent_and_says_what_is_left() -> None:
    inner = Scripted()
    provider = Meter(max_tokens_total=READ + 49).over(inner)
    with pytest.raises(LimitError) as caught:
        await provider.execute(call(max_tokens=50))
    assert inner.calls == []
    assert caught.value.exit_code == 5
    assert f"limit of {READ + 49} tokens is reached: 0 were used" in caught.value.message
    assert "--max-tokens-total" in (caught.value.hint or "")
    assert caught.value.setting == "limits.max_tokens_total"
    assert (await Meter(max_tokens_total=READ + 50).over(inner).execute(call(max_tokens=50))).text


async def test_an_answer_of_no_length_is_cut_to_what_is_left_and_no_shorter_than_makes_sense() -> None:
    inner = Scripted(longest=100)
    meter = Meter(max_tokens_total=READ + 40)
    stream = meter.over(inner).stream(call())
    chunks = [chunk async for chunk in stream]
    assert inner.calls[-1].parameters.max_tokens == 40
    assert {chunk.stream_id for chunk in chunks} == {stream.stream_id}
    await Meter(max_tokens_total=10_000).over(inner).execute(call())
    assert inner.calls[-1].parameters.max_tokens is None  # the model's own limit is limit enough
    sent = len(inner.calls)
    with pytest.raises(LimitError):
        await Meter(max_tokens_total=READ + LEAST_OUTPUT - 1).over(inner).execute(call())
    assert len(inner.calls) == sent
    unknown = Scripted(longest=None)
    await Meter(max_tokens_total=10_000).over(unknown).execute(call())
    assert unknown.calls[-1].parameters.max_tokens == UNKNOWN_OUTPUT


async def test_a_limit_of_cost_holds_by_the_price_and_refuses_what_has_none() -> None:
    inner = Scripted(price=Price(1000.0, 2000.0))  # 0.1 cent a token read, 0.2 cent one written
    meter = Meter(max_cost_usd=1.0)
    provider = meter.over(inner)
    await provider.execute(call(max_tokens=50))
    assert meter.cost_usd == pytest.approx(10 * 0.001 + 5 * 0.002)
    with pytest.raises(LimitError, match=r"limit of \$1.00 is reached: \$0.020 were spent"):
        await provider.execute(call(max_tokens=1000))
    await provider.execute(call())
    assert inner.calls[-1].parameters.max_tokens is None
    with pytest.raises(LimitError, match="no price for own/m") as caught:
        await meter.over(Scripted()).execute(call(max_tokens=1))
    assert '[providers.own.prices]` with `"m"' in (caught.value.hint or "")
    free = Meter(max_cost_usd=0.000001)
    await free.over(Scripted(price=FREE)).execute(call())
    assert free.cost_usd == 0


async def test_the_services_own_word_of_a_cost_goes_before_the_price() -> None:
    meter = Meter(max_cost_usd=5.0)
    provider = meter.over(Scripted(price=Price(1000.0, 1000.0), usage=Usage(10, 5, cost_usd=0.5)))
    await provider.execute(call(max_tokens=50))
    assert meter.cost_usd == 0.5
    await provider.execute(call(max_tokens=50, body={"model": "dear"}))
    assert meter.cost_usd == 1.0


@pytest.mark.parametrize(
    "error",
    [
        RateLimitError("slow down"),
        AuthError("no key"),
        NetworkError("nobody there", unsent=True),
        CallTimeoutError("nobody there", limit="connect"),
    ],
)
async def test_a_call_that_was_refused_takes_nothing(error: Exception) -> None:
    inner = Scripted(error=error, words=())
    meter = Meter(max_tokens_total=1000)
    for way in (
        meter.over(inner).execute(call(max_tokens=50)),
        meter.over(inner).stream(call(max_tokens=50)).collect(),
    ):
        with pytest.raises(type(error)):
            await way
    assert (meter.tokens, meter.reserved_tokens) == (0, 0)


async def test_a_call_that_broke_off_takes_what_was_seen_or_all_that_it_might() -> None:
    inner = Scripted(error=CallTimeoutError("late"), words=("x" * 50, ""))
    meter = Meter(max_tokens_total=10_000)
    with pytest.raises(CallTimeoutError):
        await meter.over(inner).stream(call(max_tokens=500)).collect()
    assert meter.tokens == READ + 20  # 50 bytes that came
    with pytest.raises(CallTimeoutError):
        await meter.over(inner).execute(call(max_tokens=500))
    assert meter.tokens == READ + 20 + READ + 500
    with pytest.raises(NetworkError):  # a connection stood, and who knows what the service did
        await meter.over(Scripted(error=NetworkError("lost"))).execute(call(max_tokens=500))
    assert meter.tokens == READ + 20 + 2 * (READ + 500)
    assert meter.reserved_tokens == 0


@pytest.mark.parametrize("leave", ["close", "drop", "cancel"])
async def test_a_stream_left_early_takes_what_came(leave: str) -> None:
    inner = Scripted(words=("x" * 50, "y"))
    inner.gate.clear()
    meter = Meter(max_tokens_total=10_000)
    stream = meter.over(inner).stream(call(max_tokens=500))
    assert meter.reserved_tokens == 0  # nothing is sent, so nothing is held, before the first read
    await stream.next_batch()
    assert meter.reserved_tokens == READ + 500
    if leave == "close":
        await stream.aclose()
        await stream.aclose()
    elif leave == "cancel":
        task = asyncio.ensure_future(stream.next_batch())
        await asyncio.wait_for(inner.at_gate.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    del stream
    if leave == "cancel":
        del task
    gc.collect()
    assert (meter.tokens, meter.reserved_tokens) == (READ + 20, 0)


async def test_a_stream_that_was_never_read_holds_nothing() -> None:
    meter = Meter(max_tokens_total=1000)
    stream = meter.over(Scripted()).stream(call(max_tokens=500))
    await stream.aclose()
    assert (meter.tokens, meter.reserved_tokens) == (0, 0)
    assert await stream.next_batch() is None


async def test_an_answer_that_tells_no_usage_is_estimated() -> None:
    meter = Meter(max_tokens_total=1000)
    await meter.over(Scripted(usage=None, words=("x" * 99, "y"))).execute(call(max_tokens=50))
    assert meter.tokens == READ + 40


async def test_vectors_are_held_too() -> None:
    meter = Meter(max_tokens_total=100)
    provider = meter.over(Scripted())
    await provider.embed("m", ["hello"])
    assert meter.tokens == 7
    with pytest.raises(LimitError):
        await provider.embed("m", ["hello " * 100])


# ---- several at once


async def test_calls_at_once_wait_for_one_another_and_never_go_over() -> None:
    inner = Scripted(usage=Usage(READ, 100), longest=100)
    meter = Meter(max_tokens_total=5 * (READ + 100))
    provider, most = meter.over(inner), 0

    async def one(number: int) -> bool:
        nonlocal most
        try:
            way = provider.execute(call()) if number % 2 else provider.stream(call()).collect()
            await way
        except LimitError:
            return False
        most = max(most, meter.tokens + meter.reserved_tokens)
        return True

    done = await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(10))), 10)
    assert sum(done) == 5
    assert len(inner.calls) == 5
    assert most <= meter.max_tokens_total
    assert (meter.tokens, meter.reserved_tokens) == (meter.max_tokens_total, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_waits_for_others_no_longer_than_it_has_time(stream: bool) -> None:
    inner = Scripted()
    inner.gate.clear()
    meter = Meter(max_tokens_total=READ + 150)
    provider = meter.over(inner)
    first = asyncio.ensure_future(provider.execute(call(max_tokens=100)))
    await asyncio.wait_for(inner.at_gate.wait(), 10)
    late = call(max_tokens=100, timeout=0.05)
    with pytest.raises(CallTimeoutError) as caught:
        await (provider.stream(late).collect() if stream else provider.execute(late))
    assert (caught.value.limit, caught.value.value) == ("total", 0.05)
    second = asyncio.ensure_future(provider.execute(call(max_tokens=100, timeout=60)))
    await asyncio.sleep(0.05)
    inner.gate.set()
    await first
    await second
    assert 59 < (inner.calls[-1].timeout or 0) < 59.99  # what it has left
    assert inner.calls[0].timeout is None


async def test_a_call_that_takes_little_lets_the_next_one_in() -> None:
    inner = Scripted(usage=Usage(5, 5), longest=100_000)
    meter = Meter(max_tokens_total=100_000 + READ)
    provider = meter.over(inner)
    outputs = await asyncio.wait_for(asyncio.gather(*(provider.execute(call()) for _ in range(10))), 10)
    assert [output.text for output in outputs] == ["one two"] * 10
    assert meter.tokens == 100


async def test_nobody_waits_for_a_stream_that_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "PATIENCE", 0.01)
    inner = Scripted(longest=100)
    meter = Meter(max_tokens_total=READ + 100 + READ + LEAST_OUTPUT - 1)
    provider = meter.over(inner)
    stream = provider.stream(call())
    await stream.next_batch()
    with pytest.raises(LimitError, match=f"{READ + 100} are reserved by calls in flight"):
        await asyncio.wait_for(provider.execute(call()), 10)
    await stream.collect()
    await provider.execute(call())


async def test_who_is_cancelled_while_waiting_leaves_the_others_in_order() -> None:
    inner = Scripted(longest=100)
    inner.gate.clear()
    provider = Meter(max_tokens_total=READ + 130).over(inner)
    first, second, third = (asyncio.ensure_future(provider.execute(call())) for _ in range(3))
    await asyncio.wait_for(inner.at_gate.wait(), 10)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    inner.gate.set()
    assert (await asyncio.wait_for(first, 10)).text == "one two"
    assert (await asyncio.wait_for(third, 10)).text == "one two"
    assert len(inner.calls) == 2


async def test_agents_share_a_meter_without_lua() -> None:
    inner = Scripted(usage=Usage(30, 30))
    providers = ProviderManager({}, env={})
    providers.register(inner)
    meter = Meter(max_tokens_total=160)
    one, two = (Agent("own/m", providers=providers, meter=meter, max_tokens=60) for _ in range(2))
    await one.execute("hello")
    await two.execute("hello")
    with pytest.raises(LimitError):
        await one.execute("hello")
    assert meter.tokens == 120
    assert len(inner.calls) == 2
