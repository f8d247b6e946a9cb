"""One answer on its way: its id, what is known of it, and the numbers and times of its chunks."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Stamp
from llmspell.providers.calls import too_deep
from llmspell.types.streaming import AgentChunk, AgentStream, Control
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
    from contextlib import AbstractContextManager

    from llmspell.providers.base import ModelCall
    from llmspell.providers.call_log import CallLog
    from llmspell.types.streaming import ChunkContent, Room, Taker
    from llmspell.types.usage import Usage

__all__ = ["Turn"]

NESTED = (dict, list)


class Turn:
    """Makes the chunks of one answer; what any provider needs to number and stamp.

    stream_id: "stream-" and 12 hex digits. metadata: model and provider, then what the service told, at the end
    latency_ms (milliseconds from the start to the answer's end); one dict, shared by all chunks.
    cost: the usage with its cost in it, of a usage and the model that the service named; asked once, at the end.
    """

    __slots__ = ("_cost", "_log", "_started", "metadata", "stamp", "stream_id")

    def __init__(self, provider: str, model: str, cost: Callable[[Usage, str], Usage] | None = None) -> None:
        self._cost = cost
        self.stream_id = "stream-" + os.urandom(6).hex()
        self.metadata: dict[str, Any] = {"model": model, "provider": provider}
        self.stamp = Stamp(AgentChunk, self.stream_id, self.metadata)
        self._started = time.monotonic()
        self._log: CallLog | None = None
        if logs.heard("model"):
            from llmspell.providers.call_log import CallLog

            self._log = CallLog(provider, model, self.stream_id)

    def stream(
        self,
        call: ModelCall,
        batches: AsyncGenerator[list[AgentChunk], None],
        pour: Callable[[Taker, Room], Coroutine[Any, Any, None]] | None = None,
    ) -> AgentStream:
        """The stream of the answer to *call*, which the log is told of."""
        if (log := self._log) is not None:
            batches, pour = log.batches(batches, call), None if pour is None else log.poured(pour, call)
        return AgentStream(self.stream_id, batches, pour)

    def whole(self, call: ModelCall) -> AbstractContextManager[None]:
        """What is to be around a call whose answer comes in one piece: the log is told of it."""
        return nullcontext() if self._log is None else self._log.watching(call, stream=False)

    def retried(self, retry: Control) -> None:
        """The call is made again."""
        if self._log is not None:
            self._log.retried(retry.details or {})

    def start(self) -> None:
        """The call begins now, and not when the stream was made."""
        self._started = time.monotonic()

    def told(self, facts: Mapping[str, Any]) -> None:
        """What the service said of the answer (`model` as it names it, id, request_id …); None is nothing said, and
        what is nested deeper than a script can be given is left out.
        """
        for name, value in facts.items():
            if value is None or name == "provider":
                continue
            if type(value) in NESTED and too_deep(value):
                self.metadata.pop(name, None)
            else:  # a list's reader goes on filling it
                self.metadata[name] = list(value) if type(value) is list else value

    def chunks(self, contents: list[ChunkContent]) -> list[AgentChunk]:
        """The next chunks, numbered without gaps and stamped now. The first batch begins with "stream_start".

        Contents that end with Control "stream_end" fill in `latency_ms`. In between, `stamp` does the same.
        """
        if self.stamp.next == 0:
            contents = [Control("stream_start"), *contents]
        if not contents:
            return []
        last = contents[-1]
        if type(last) is Control and last.message == "stream_end":
            self.metadata["latency_ms"] = round((time.monotonic() - self._started) * 1000, 1)
            if last.usage is not None and self._cost is not None:
                last = last._replace(usage=self._cost(last.usage, self.metadata["model"]))
                contents = [*contents[:-1], last]
            if self._log is not None:
                self._log.ended(last, self.metadata)
        return self.stamp(contents)
