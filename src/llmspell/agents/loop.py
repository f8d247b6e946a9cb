"""The tool loop: a model is asked, the tools that it calls are run, it is told what they gave, until it calls none."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llmspell.agents import fallback
from llmspell.agents.estimate import input_tokens
from llmspell.agents.fallback import Candidate
from llmspell.agents.toolcalls import MOST_RESULT, Done, OutOfTime, ToolCalls
from llmspell.errors import CallTimeoutError, ContextLengthError, LimitError, LLMSpellError, one_line
from llmspell.providers.base import ModelCall
from llmspell.types.streaming import (
    AgentChunk,
    AgentStream,
    Control,
    Reasoning,
    Text,
    ToolCallComplete,
)
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from llmspell.agents.forms import Form
    from llmspell.agents.toolbox import ToolUse
    from llmspell.types.agent import AgentOutput
    from llmspell.types.media import Media
    from llmspell.types.messages import Message, ToolCall
    from llmspell.types.streaming import ChunkContent, Room, Taker

__all__ = ["Loop"]

#: Answers whose calls are not run: they were cut, or are none.
UNRUN = frozenset({"length", "content_filter", "error"})
#: Bytes of a result that a model is told, however small its context is; else as many as that has tokens, about a
#: quarter of it.
LEAST_RESULT = 1000


class Loop:
    """One call of an agent that has tools to be run.

    candidates: who may answer; the one that answers first is asked in all rounds. make: the request to one of them,
    without what the rounds add. A tool_choice that forces a call holds for the first round only: in all rounds, the
    model could never answer. name: the agent's. timeout: seconds for the whole, tools included.

    A limit of rounds that is reached is an error, as it is with a limit of tokens: an answer that a model was made to
    give without its tools looks like a whole one, and is a guess.
    """

    def __init__(
        self,
        use: ToolUse,
        candidates: Sequence[Candidate],
        make: Callable[[Candidate], ModelCall],
        *,
        name: str,
        form: Form | None,
        timeout: float | None,
        on_retry: Callable[[Any], object] | None,
    ) -> None:
        self._use, self._candidates, self._make = use, candidates, make
        self._name, self._form, self._timeout, self._on_retry = name, form, timeout, on_retry
        self._who = candidates[0]
        self._base: ModelCall | None = None  # of who answers
        self._turns: list[Message] = []
        self._told = 0  # so many of the turns had been read when `_known` was counted
        self._known: int | None = None  # tokens of the conversation, as the service counted
        self._calls: list[ToolCall] = []
        self._media: list[Media] = []
        self._usage: Usage | None = None
        self._rounds = self._run_rounds = 0
        self._deadline: float | None = None
        self._latency = 0.0  # of all answers, in ms
        self._asking = False
        self._unrun: list[ToolCall] = []  # of the last answer, the caller's to run
        self._paused = ""  # the text of answers that go on in the next round
        self._over = False
        # of a stream
        self._id = ""
        self._next = 0
        self._held: list[AgentChunk] = []  # calls that came
        self._end: AgentChunk | None = None
        self._outer: AgentStream | None = None

    def _begin(self) -> None:
        self._runner = ToolCalls(self._use, self._name)
        if self._timeout:
            self._deadline = asyncio.get_running_loop().time() + self._timeout

    # ---- the request of a round

    def _call(self, who: Candidate, left: float | None = None) -> ModelCall:
        """What is sent to *who* now, who has *left* seconds. Raises ContextLengthError where it cannot fit."""
        self._asking = True
        if self._base is None or self._rounds == 0:
            self._who, self._base = who, self._make(who)
        call = self._base
        if self._rounds:
            choice = None  # where a model cannot choose, and was made to call one, it has to answer now
            if call.tool_choice == "none" or not who.provider.capabilities(call.model).supports_tools:
                choice = "none"
            call = call._replace(messages=(*call.messages, *self._turns), tool_choice=choice)
        if self._rounds and self._deadline is not None:
            left = max(self._deadline - asyncio.get_running_loop().time(), 0.001)
        return call if left is None else call._replace(timeout=left)

    def _check(self, call: ModelCall) -> None:
        """Refuses what cannot fit the model's context. Only what is sure: the service itself counts the rest."""
        limit = self._who.provider.capabilities(call.model).max_context_tokens
        if limit is None:
            return
        if self._known is None:
            least = input_tokens(call) // 2  # an estimate is seldom more than twice the truth
        else:
            least = self._known + input_tokens(ModelCall(call.model, tuple(self._turns[self._told :]))) // 2
        if least > limit:
            raise ContextLengthError(
                f"the conversation has at least {least:,} tokens, and `{one_line(call.model, 80)}` takes {limit:,}",
                hint="let tools give less, ask for less at once, or use a model with a larger context",
                provider=self._who.provider.name,
                model=call.model,
                limit="context",
                value=limit,
            )

    # ---- whole

    async def execute(self) -> AgentOutput:
        """The whole answer. Raises LLMSpellError; cancelled, it closes its connection and ends tools that run."""
        self._begin()
        try:
            while True:
                async with self._use.host.slot():
                    output = await self._ask()
                to_run = self._take_in(output)
                async with aclosing(self._run(to_run, "")) as running:
                    async for _ in running:
                        pass
                if self._over:
                    return self._whole(output)
        except LLMSpellError as error:
            self._tell(error)
            raise

    async def _ask(self) -> AgentOutput:
        if self._rounds == 0 and len(self._candidates) > 1:
            return await fallback.execute(self._candidates, self._ask_one, self._on_retry, self._timeout)
        return await self._ask_one(self._who)

    async def _ask_one(self, who: Candidate, left: float | None = None) -> AgentOutput:
        call = self._call(who, left)
        self._check(call)
        if self._form is None:
            return await who.provider.execute(call)
        from llmspell.agents import structured

        return await structured.execute(who.provider, call, self._form)

    def _whole(self, output: AgentOutput) -> AgentOutput:
        return output._replace(
            text=self._paused + output.text,
            tool_calls=tuple(self._calls),
            usage=self._usage or Usage(),
            metadata=self._metadata(output.metadata),
            media=tuple(self._media),
            turns=tuple(self._turns),
        )

    def _metadata(self, last: dict[str, Any]) -> dict[str, Any]:
        # The models' own time: what tools take is the script's, and another in a replay.
        return {**last, "rounds": self._rounds, "latency_ms": round(self._latency, 1)}

    # ---- what an answer means

    def _take_in(self, output: AgentOutput) -> list[ToolCall]:
        """The calls of an answer that are to be run. None, and `_over`: it was the last. Raises LimitError."""
        self._asking = False
        usage = output.usage
        self._usage = usage if self._usage is None else self._usage.plus(usage)
        self._rounds += 1
        self._latency += output.metadata.get("latency_ms") or 0.0
        self._turns.append(output._replace(turns=()).message())
        self._media += output.media
        self._told = len(self._turns)
        if usage.input_tokens is not None:
            self._known = usage.input_tokens + (usage.output_tokens or 0) - (usage.reasoning_tokens or 0)
        runs = [call for call in output.tool_calls if call.name not in self._use.unrun]
        if output.finish_reason in UNRUN:
            runs = []
        if not runs and output.finish_reason != "pause":
            self._over = True
            self._calls += output.tool_calls
            return []
        if self._run_rounds >= self._use.max_rounds:
            raise LimitError(
                f"agent `{one_line(self._name, 80)}` has called tools in {self._run_rounds} rounds, and goes on",
                hint="raise `max_tool_rounds`, or ask for less at once",
                limit="tool rounds",
                value=self._use.max_rounds,
                setting="max_tool_rounds",
                agent=self._name,
                partial=output.text or None,
            )
        self._run_rounds += 1
        self._paused = self._paused + output.text if not runs else ""
        able = self._who.provider.capabilities(self._who.model)
        limit = able.max_context_tokens
        self._runner.kinds = able.input_modalities
        self._runner.room = MOST_RESULT if limit is None else min(MOST_RESULT, max(limit, LEAST_RESULT))
        self._unrun = [call for call in output.tool_calls if call not in runs]
        return runs

    async def _run(self, calls: list[ToolCall], stream_id: str) -> AsyncGenerator[ChunkContent, None]:
        """Runs an answer's calls; gives what a stream shows of them. Raises what ToolCalls.run does."""
        if not calls:
            return
        try:
            async with aclosing(self._runner.run(calls, stream_id, self._deadline)) as running:
                async for event in running:
                    if isinstance(event, Done):
                        call = event.call
                        self._turns.append(event.message)
                        self._calls.append(call)
                        yield ToolCallComplete(call.id, call.name, call.arguments, call.result, call.raw, call.error)
                    else:
                        details = {"tool_id": event.call.id, "name": event.call.name, "text": event.text}
                        yield Control("heartbeat", details=details)
        except OutOfTime as error:
            names = ", ".join(sorted({one_line(call.name, 60) for call in calls}))
            raise CallTimeoutError(
                f"agent `{one_line(self._name, 80)}` took longer than {self._timeout:g} s, with its tools ({names})",
                hint="raise its `timeout`, which is for the whole call",
                agent=self._name,
            ) from error
        self._deadline = self._runner.deadline
        if self._unrun:  # the caller's to answer
            self._calls += self._unrun
            self._over = True

    def _tell(self, error: LLMSpellError) -> None:
        """Gives an error what is known of the rounds before."""
        if self._usage is None:
            return
        # What an error of a tool says of usage is that of another agent, which is counted where that was asked.
        own = error.context.get("call_usage") if self._asking else None
        error.context["call_usage"] = (self._usage.plus(Usage(**own)) if own else self._usage).to_dict()
        error.context["rounds"] = self._rounds

    # ---- streamed

    def stream(self) -> AgentStream:
        """The answer as it comes. Raises on reading as `execute` does."""
        self._source = self._open()
        self._id = self._source.stream_id
        self._outer = AgentStream(self._id, self._batches(), self._pour)
        return self._outer

    def _open(self) -> AgentStream:
        """The stream of the next round: nothing is sent before it is read."""
        self._held, self._end = [], None
        if self._rounds == 0 and len(self._candidates) > 1:
            return fallback.stream(self._candidates, self._open_one, self._on_retry, self._timeout)
        return self._open_one(self._who)

    def _open_one(self, who: Candidate, left: float | None = None) -> AgentStream:
        call = self._call(who, left)
        if self._rounds:
            self._check(call)
        if self._form is None:
            return who.provider.stream(call)
        from llmspell.agents import structured

        return structured.stream(who.provider, call, self._form)

    def _start(self) -> None:
        self._begin()
        if len(self._candidates) == 1 and self._base is not None:  # of several, each says itself what it cannot take
            self._check(self._base)

    async def _batches(self) -> AsyncGenerator[list[AgentChunk], None]:
        try:
            self._start()
            while True:
                async with self._use.host.slot(), self._source as source:
                    while (batch := await source.next_batch()) is not None:
                        if made := self._batch(batch):
                            yield made
                async with aclosing(self._between()) as between:
                    async for made in between:
                        yield made
                if self._over:
                    return
                self._source = self._open()
        except LLMSpellError as error:
            self._tell(error)
            raise

    async def _pour(self, take: Taker, room: Room) -> None:
        """See AgentStream.pour."""

        def shaped(batch: list[AgentChunk]) -> bool:
            made = self._batch(batch)
            return take(made) if made else True

        try:
            self._start()
            while True:
                async with self._use.host.slot(), self._source as source:
                    await source.pour(shaped, room)
                async with aclosing(self._between()) as between:
                    async for made in between:
                        if not take(made):
                            await room()
                if self._over:
                    return
                self._source = self._open()
        except LLMSpellError as error:
            self._tell(error)
            raise

    def _batch(self, batch: list[AgentChunk]) -> list[AgentChunk]:
        """The chunks as they are given out: numbered through, calls and the end held back. Must not raise."""
        if self._rounds == 0 and not self._held and len(batch) == 1:
            kind = type(batch[0].content)
            if kind is Text or kind is Reasoning:  # as it came: the way of nearly all
                self._next += 1
                return batch
        made = []
        for chunk in batch:
            content = chunk.content
            if type(content) is ToolCallComplete:
                self._held.append(chunk)
            elif type(content) is Control and not self._shows(chunk, content):
                continue
            else:
                made.append(self._numbered(chunk))
        return made

    def _shows(self, chunk: AgentChunk, control: Control) -> bool:
        if control.message == "stream_end":
            self._end = chunk
            return False
        if control.message == "retry":
            self._held = []
        return control.message != "stream_start" or self._rounds == 0

    def _numbered(self, chunk: AgentChunk) -> AgentChunk:
        index = self._next
        self._next = index + 1
        if chunk.chunk_index == index and chunk.stream_id == self._id:
            return chunk
        return AgentChunk(self._id, index, chunk.content, chunk.metadata, chunk.timestamp)

    def _made(self, content: ChunkContent, like: AgentChunk, metadata: dict[str, Any] | None = None) -> AgentChunk:
        """A chunk of this loop's own."""
        now = self._who.provider.now()
        return self._numbered(AgentChunk(self._id, -1, content, metadata or like.metadata, now))

    async def _between(self) -> AsyncGenerator[list[AgentChunk], None]:
        """After an answer: its calls as they are done, and the end, where it was the last."""
        output, end = self._source.collector.output(), self._end
        if end is None:
            from llmspell.errors import ProviderError

            name = self._who.provider.name
            raise ProviderError(f"{name} ended an answer without its end", provider=name)
        to_run = self._take_in(output)
        async with aclosing(self._run(to_run, self._id)) as running:
            async for content in running:
                yield [self._made(content, end)]
        if not self._over:
            return
        assert self._outer is not None
        self._outer.collector.turns = tuple(self._turns)
        unrun = {call.id for call in self._calls if not call.answered}
        made = [
            self._numbered(chunk)
            for chunk in self._held
            if type(chunk.content) is ToolCallComplete and chunk.content.tool_id in unrun
        ]
        known = None if self._usage == Usage() else self._usage
        last = Control("stream_end", output.finish_reason, known, end.content.details)  # type: ignore[union-attr]
        yield [*made, self._made(last, end, self._metadata(end.metadata))]
