"""A list of models: the next one is asked where the one before failed before its first content."""

from __future__ import annotations

from logging import WARNING
from typing import TYPE_CHECKING, NamedTuple

from llmspell.agents.timeleft import TimeLeft
from llmspell.errors import LLMSpellError
from llmspell.types.streaming import AgentChunk, AgentStream, Control
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from llmspell.providers.base import ProviderInstance
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import Room, Taker

__all__ = ["Candidate", "execute", "stream"]

#: Kinds of errors that another model would end with as well, or that are not the model's.
FINAL = frozenset({"validation", "script", "limit", "permission", "cancelled", "internal", "tool", "workflow"})


class Candidate(NamedTuple):
    """A model that may answer."""

    provider: ProviderInstance
    model: str

    def __str__(self) -> str:
        return f"{self.provider.name}/{self.model}"


class _Failures:
    """What went wrong so far, in order. left: the time of the whole; the first model has what its call says."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        on_retry: Callable[[Mapping[str, Any]], object] | None,
        whole: float | None,
    ) -> None:
        self._candidates = candidates
        self._on_retry = on_retry
        self._whole = whole
        self.left = TimeLeft(whole)
        self._errors: list[LLMSpellError] = []

    @property
    def candidate(self) -> Candidate:
        """Who is asked now."""
        return self._candidates[len(self._errors)]

    def next(self, error: LLMSpellError) -> Control:
        """What a stream says of the model that comes. Raises *error* where there is none, or it would not help."""
        self._errors.append(error)
        # The error says whether the whole is over, and no clock: in a replay it comes at once.
        late = self._whole and error.kind == "timeout" and error.limit == "total"
        if error.kind in FINAL or len(self._errors) >= len(self._candidates) or late:
            if len(self._errors) > 1:
                pairs = zip(self._candidates, self._errors, strict=False)
                error.context["tried"] = [f"{candidate}: {one.message}" for candidate, one in pairs]
                others = ", ".join(str(candidate) for candidate in self._candidates[: len(self._errors) - 1])
                error.hint = (
                    f"{error.hint}; failed before it: {others}" if error.hint else f"failed before it: {others}"
                )
            raise error
        details = {"attempt": 1, "wait": 0.0, "error": error.message, "kind": error.kind, "model": str(self.candidate)}
        logs.tell("agents", WARNING, "another model is asked", {"model": details["model"], **logs.error_fields(error)})
        if self._on_retry is not None:
            self._on_retry(details)
        return Control("retry", details=details)


async def execute(
    candidates: Sequence[Candidate],
    ask: Callable[[Candidate, float | None], Awaitable[AgentOutput]],
    on_retry: Callable[[Mapping[str, Any]], object] | None = None,
    whole: float | None = None,
) -> AgentOutput:
    """The answer of the first that gives one; `metadata` say who. Raises the last one's error; `tried` names all.

    ask: is given a model, and the seconds that it has where those are fewer than the call's. whole: seconds of all
    of it.
    """
    failures = _Failures(candidates, on_retry, whole)
    failures.left.begin()
    seconds = None
    while True:
        try:
            return await ask(failures.candidate, seconds)
        except LLMSpellError as error:
            failures.next(error)
            seconds = failures.left.seconds()


def stream(
    candidates: Sequence[Candidate],
    ask: Callable[[Candidate, float | None], AgentStream],
    on_retry: Callable[[Mapping[str, Any]], object] | None = None,
    whole: float | None = None,
) -> AgentStream:
    """The same, streamed: a Control "retry" names the model that comes."""
    chain = _Chain(_Failures(candidates, on_retry, whole), ask)
    return AgentStream(chain.id, chain.batches(), chain.pour)


class _Chain:
    """One stream out of those of the models that are asked one after the other."""

    def __init__(self, failures: _Failures, ask: Callable[[Candidate, float | None], AgentStream]) -> None:
        self._failures, self._ask = failures, ask
        self._stream = ask(failures.candidate, None)
        self.id = self._stream.stream_id
        self._given = False  # content was given out: no other model may follow
        self._next = 0  # the number of the next chunk
        self._first = True  # it is the first model's stream

    async def batches(self) -> AsyncGenerator[list[AgentChunk], None]:
        self._failures.left.begin()
        while True:
            async with self._stream as source:
                try:
                    while (batch := await source.next_batch()) is not None:
                        if batch := self._batch(batch):
                            yield batch
                    return
                except LLMSpellError as error:
                    retry = self._after(error)
            yield retry
            self._stream = self._next_stream()

    async def pour(self, take: Taker, room: Room) -> None:
        """See AgentStream.pour."""

        def numbered(batch: list[AgentChunk]) -> bool:
            batch = self._batch(batch)
            return take(batch) if batch else True

        self._failures.left.begin()
        while True:
            async with self._stream as source:
                try:
                    await source.pour(numbered, room)
                    return
                except LLMSpellError as error:
                    retry = self._after(error)
            if not take(retry):
                await room()
            self._stream = self._next_stream()

    def _next_stream(self) -> AgentStream:
        return self._ask(self._failures.candidate, self._failures.left.seconds())

    def _batch(self, batch: list[AgentChunk]) -> list[AgentChunk]:
        if not self._given:
            self._given = any(type(chunk.content) is not Control for chunk in batch)
        if self._first:  # as it came
            self._next += len(batch)
            return batch
        made = []
        for chunk in batch:
            if type(chunk.content) is not Control or chunk.content.message != "stream_start":
                made.append(chunk._replace(stream_id=self.id, chunk_index=self._next))
                self._next += 1
        return made

    def _after(self, error: LLMSpellError) -> list[AgentChunk]:
        """The chunk that tells of the next model. Raises *error* where there is none to come."""
        if self._given:
            raise error
        retry = self._failures.next(error)
        candidate = self._failures.candidate
        provider, now = candidate.provider, candidate.provider.now()
        metadata = {"model": candidate.model, "provider": provider.name}
        contents = [retry] if self._next else [Control("stream_start"), retry]
        made = [AgentChunk(self.id, self._next + at, one, metadata, now) for at, one in enumerate(contents)]
        self._next += len(made)
        self._first = False
        return made
