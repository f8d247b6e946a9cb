"""One answer on its way: its id, what is known of it, and the numbers and times of its chunks."""

from __future__ import annotations

import os
import time
from functools import partial
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from llmspell.types.streaming import AgentChunk, Control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmspell.types.streaming import ChunkContent
    from llmspell.types.usage import Usage

__all__ = ["Turn"]

# A named tuple's own constructor is a Python function; the tuple's, called by `map`, costs a third.
_chunk: Callable[[Iterable[Any]], AgentChunk] = partial(tuple.__new__, AgentChunk)


class Turn:
    """Makes the chunks of one answer; what any provider needs to number and stamp.

    stream_id: "stream-" and 12 hex digits. metadata: model and provider, then what the service told, at the end
    latency_ms (milliseconds from the start to the answer's end); one dict, shared by all chunks.
    cost: the usage with its cost in it, of a usage and the model that the service named; asked once, at the end.
    """

    __slots__ = ("_cost", "_next", "_started", "metadata", "stream_id")

    def __init__(self, provider: str, model: str, cost: Callable[[Usage, str], Usage] | None = None) -> None:
        self._cost = cost
        self.stream_id = "stream-" + os.urandom(6).hex()
        self.metadata: dict[str, Any] = {"model": model, "provider": provider}
        self._next = 0
        self._started = time.monotonic()

    def start(self) -> None:
        """The call begins now, and not when the stream was made."""
        self._started = time.monotonic()

    def told(self, facts: Mapping[str, Any]) -> None:
        """What the service said of the answer (`model` as it names it, id, request_id …); None is nothing said."""
        for name, value in facts.items():
            if value is not None and name != "provider":
                self.metadata[name] = value

    def chunks(self, contents: Sequence[ChunkContent]) -> list[AgentChunk]:
        """The next chunks, numbered without gaps and stamped now. The first batch begins with "stream_start".

        Contents that end with Control "stream_end" fill in `latency_ms`.
        """
        if self._next == 0:
            contents = [Control("stream_start"), *contents]
        if not contents:
            return []
        last = contents[-1]
        if type(last) is Control and last.message == "stream_end":
            self.metadata["latency_ms"] = round((time.monotonic() - self._started) * 1000, 1)
            if last.usage is not None and self._cost is not None:
                last = last._replace(usage=self._cost(last.usage, self.metadata["model"]))
                contents = [*contents[:-1], last]
        first, now = self._next, time.time()
        self._next = first + len(contents)
        if len(contents) == 1:  # a token at a time: what serves many takes longer to set up than to do
            return [_chunk((self.stream_id, first, contents[0], self.metadata, now))]
        fields = zip(repeat(self.stream_id), count(first), contents, repeat(self.metadata), repeat(now))
        return list(map(_chunk, fields))
