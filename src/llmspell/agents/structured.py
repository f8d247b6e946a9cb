"""Answers in a form that was asked for: the three ways to get one, the check, and one repair.

`native`: the service holds the model to the schema. `tool`: the model has to call a tool whose arguments are the
answer. `instruct`: the model is told. Which of them is the provider's word (`ProviderCapabilities.structured_output`)
and stands in the answer's metadata as `structured`. In every way the answer is checked, and where it does not fit the
model is told so and asked once more (`repaired`); what does not fit then is an error.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.agents.forms import CUT, Form, Unfit, complain, parsed, repair_call, spoken, way_of
from llmspell.agents.timeleft import TimeLeft
from llmspell.errors import LLMSpellError, ProviderError
from llmspell.types.partial_json import PartialJson
from llmspell.types.streaming import (
    AgentChunk,
    AgentStream,
    Control,
    StructuredText,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmspell.providers.base import ModelCall, ProviderInstance
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import ChunkContent, Room, Taker

__all__ = ["execute", "stream"]

#: How far a text goes on having `partial`s, in characters, and how little it must have grown for the next: by so small
#: a share of its length. Each is a copy for the script: without a bound the whole would be quadratic in the answer.
MOST_PARTIAL = 65_536
SHARE = 1024


async def execute(provider: ProviderInstance, call: ModelCall, form: Form) -> AgentOutput:
    """The whole answer, its `data` by *form*.

    An answer that was refused, or calls tools, is a result without data. Raises ProviderError where the answer was cut
    by a token limit or does not fit after one repair; its context has partial, complaints and call_usage.
    """
    way, asked = way_of(provider, call, form)
    left = TimeLeft(call.timeout)
    left.begin()
    usage: Usage | None = None
    for last in (False, True):
        try:
            output = await provider.execute(asked)
        except LLMSpellError as error:
            if usage is not None:
                error.context.setdefault("call_usage", usage.to_dict())
            raise
        usage = output.usage if usage is None else usage.plus(output.usage)
        if way == "tool":
            output = _out_of_tool(output, form)
        metadata = {**output.metadata, "structured": way, **({"repaired": True} if last else {})}
        output = output._replace(usage=usage, metadata=metadata)
        try:
            data = _data(form, output.text, output.finish_reason)
        except Unfit as unfit:
            if last or unfit.cut:
                raise complain(provider, call, unfit, output.text, usage) from None
            asked = left.of(repair_call(asked, output.text, unfit))
        else:
            return output._replace(data=data)
    raise AssertionError("unreachable")


def _data(form: Form, text: str, finish_reason: str) -> Any:
    """The value of an answer; None where it is none that must have the form. Raises Unfit."""
    if finish_reason in ("content_filter", "tool_calls", "pause"):
        return None
    return parsed(form, text, cut=finish_reason == CUT)


def _out_of_tool(output: AgentOutput, form: Form) -> AgentOutput:
    """The answer that is a call of the form's tool, as a text."""
    for call in output.tool_calls:
        if call.name == form.name:
            text = call.raw or (orjson.dumps(call.arguments).decode() if call.arguments is not None else "")
            return output._replace(text=text, tool_calls=(), finish_reason=_finish(output.finish_reason))
    return output


def _finish(reason: str) -> str:
    return "stop" if reason == "tool_calls" else reason


def stream(provider: ProviderInstance, call: ModelCall, form: Form) -> AgentStream:
    """The answer as it comes: its texts are StructuredText, "stream_end" has the data in `details`.

    Where it does not fit, a Control "retry" says that all before it is void, and the second answer follows. Raises on
    reading as `execute` does.
    """
    way, asked = way_of(provider, call, form)
    first = provider.stream(asked)
    joined = _Joined(provider, call, asked, form, way, first)
    return AgentStream(first.stream_id, joined.batches(), joined.pour)


class _Joined:
    """One stream out of an answer and, where that does not fit, its repair."""

    def __init__(
        self,
        provider: ProviderInstance,
        call: ModelCall,
        asked: ModelCall,
        form: Form,
        way: str,
        first: AgentStream,
    ) -> None:
        self._provider, self._call, self._asked, self._form, self._way = provider, call, asked, form, way
        self._stream = first
        self._id = first.stream_id
        self._left = TimeLeft(call.timeout)
        self._numbers = count()
        self._metadata: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._repairs = False
        self._begin()

    def _begin(self) -> None:
        """An answer begins."""
        self._pieces: list[str] = []
        self._beside: list[str] = []  # what is said beside a tool's call
        self._length = 0
        self._told = 0  # the length at the last `partial`
        self._json: PartialJson | None = PartialJson()
        self._begun = self._way != "instruct"  # the JSON has begun
        self._tool: str | None = None  # the call that the answer is
        self._end: AgentChunk | None = None

    # ---- the two ways of being read

    async def batches(self) -> AsyncGenerator[list[AgentChunk], None]:
        more = True
        self._left.begin()
        while more:
            async with self._stream as source:
                try:
                    while (batch := await source.next_batch()) is not None:
                        if made := self._batch(batch):
                            yield made
                except LLMSpellError as error:
                    self._tell(error)
                    raise
            more, last = self._finished()
            yield last

    async def pour(self, take: Taker, room: Room) -> None:
        """See AgentStream.pour."""

        def shaped(batch: list[AgentChunk]) -> bool:
            made = self._batch(batch)
            return take(made) if made else True

        more = True
        self._left.begin()
        while more:
            async with self._stream as source:
                try:
                    await source.pour(shaped, room)
                except LLMSpellError as error:
                    self._tell(error)
                    raise
            more, last = self._finished()
            if not take(last) and more:
                await room()

    def _tell(self, error: LLMSpellError) -> None:
        """Gives an error of the stream what this side of it knows."""
        error.context["partial"] = self._text
        if self._usage is not None:
            error.context.setdefault("call_usage", self._usage.to_dict())

    # ---- chunks

    @property
    def _text(self) -> str:
        return "".join(self._pieces) or "".join(self._beside)

    def _chunk(self, content: ChunkContent, timestamp: float) -> AgentChunk:
        return AgentChunk(self._id, next(self._numbers), content, self._metadata, timestamp)

    def _batch(self, batch: list[AgentChunk]) -> list[AgentChunk]:
        """The chunks as they are given out. Must not raise."""
        if not self._metadata or self._end is not None:
            self._learn(batch[0])
        made = []
        for chunk in batch:
            content = self._content(chunk)
            if content is not None:
                made.append(self._chunk(content, chunk.timestamp))
        return made

    def _learn(self, chunk: AgentChunk) -> None:
        more = {"repaired": True} if self._repairs else {}
        self._metadata.update(chunk.metadata, structured=self._way, **more)

    def _content(self, chunk: AgentChunk) -> ChunkContent | None:
        content = chunk.content
        if isinstance(content, Text):
            if self._way == "tool":  # it is no answer, unless there is no call
                self._beside.append(content.text)
                return None
            return self._said(content.text)
        if isinstance(content, ToolCallProgress | ToolCallComplete) and self._is_answer(content):
            return self._of_call(content)
        if isinstance(content, Control):
            if content.message == "stream_end":
                self._end = chunk
                return None
            if content.message == "stream_start" and self._repairs:
                return None
            if content.message == "retry":  # the provider's own: what came before is void
                self._begin()
                self._learn(chunk)
        return content

    def _is_answer(self, content: ToolCallProgress | ToolCallComplete) -> bool:
        return self._way == "tool" and content.name == self._form.name

    def _of_call(self, content: ToolCallProgress | ToolCallComplete) -> ChunkContent | None:
        """A piece of the answer's call; the call itself is not shown, and a second one is none."""
        if self._tool is None:
            self._tool = content.tool_id
        if content.tool_id != self._tool:
            return None
        if isinstance(content, ToolCallProgress):
            return self._said(content.partial_args) if content.partial_args else None
        if self._pieces:
            return None
        whole = content.raw or (orjson.dumps(content.arguments).decode() if content.arguments is not None else "")
        return self._said(whole) if whole else None

    def _said(self, text: str) -> ChunkContent:
        """A piece of the answer's text, with the value as far as it has come."""
        self._pieces.append(text)
        self._length += len(text)
        json = self._json
        if json is None:
            return Text(text)
        if self._begun:
            json.feed(text)
        else:
            self._begun = self._find(json)
        if json.failed or self._length > MOST_PARTIAL:
            self._json = None  # what it has come to stands in the chunks before
            return Text(text)
        if (self._length - self._told) * SHARE < self._length:
            return Text(text)
        self._told = self._length
        return StructuredText(text, json.snapshot())

    def _find(self, json: PartialJson) -> bool:
        """Begins with the JSON where it begins: a model that was only told may say something before."""
        so_far = spoken("".join(self._pieces)) if self._length < 2000 else ""
        starts = [at for at in map(so_far.find, self._form.beginnings) if at >= 0]
        if starts:
            json.feed(so_far[min(starts) :])
        if not starts and self._length >= 2000:
            self._json = None  # no JSON comes
        return bool(starts)

    # ---- the end of one answer

    def _finished(self) -> tuple[bool, list[AgentChunk]]:
        """Whether another answer follows, and the chunks that end this one. Raises ProviderError."""
        output = self._stream.collector.output()
        self._usage = output.usage if self._usage is None else self._usage.plus(output.usage)
        end = self._end
        if end is None:
            raise ProviderError(f"{self._provider.name} ended an answer without its end", provider=self._provider.name)
        self._learn(end)
        text, finish, made = self._text, output.finish_reason, []
        if self._tool is not None:
            finish = _finish(finish)
        elif self._beside:
            made = [self._chunk(StructuredText(text, None), end.timestamp)]
        try:
            data = _data(self._form, text, finish)
        except Unfit as unfit:
            if self._repairs or unfit.cut:
                raise complain(self._provider, self._call, unfit, text, self._usage) from None
            self._repairs = True
            asked = repair_call(self._asked, text, unfit)
            self._stream = self._provider.stream(self._left.of(asked))
            self._begin()
            details = {"attempt": 2, "wait": 0.0, "error": unfit.said, "kind": "provider"}
            return True, [*made, self._chunk(Control("retry", details=details), end.timestamp)]
        known = None if self._usage == Usage() else self._usage
        last = Control("stream_end", finish, known, {"data": data})
        return False, [*made, self._chunk(last, end.timestamp)]
