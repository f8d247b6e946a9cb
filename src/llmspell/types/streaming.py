"""A streamed answer: chunks, and the stream that gives them.

Chunks and contents are named tuples: immutable, slotted, and the cheapest thing that Python makes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from llmspell.errors import LLMSpellError
from llmspell.types.agent import AgentOutput
from llmspell.types.contents import (
    ChunkContent,
    ChunkMetadata,
    Control,
    ControlMessage,
    MediaPiece,
    Other,
    Reasoning,
    StructuredText,
    Text,
    ToolCallComplete,
    ToolCallProgress,
)
from llmspell.types.media import Media
from llmspell.types.messages import ToolCall
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
    from types import TracebackType

    from llmspell.types.messages import Message

__all__ = [
    "AgentChunk",
    "AgentStream",
    "ChunkContent",
    "ChunkMetadata",
    "Collector",
    "Control",
    "ControlMessage",
    "MediaPiece",
    "Other",
    "Reasoning",
    "StructuredText",
    "Text",
    "ToolCallComplete",
    "ToolCallProgress",
]


class AgentChunk(NamedTuple):
    """One piece of a streamed answer.

    chunk_index: from 0, without gaps. timestamp: seconds since the epoch, when its bytes were read.
    metadata: of the stream (model, provider, …), shared by its chunks: read it, do not write to it.
    """

    stream_id: str
    chunk_index: int
    content: ChunkContent
    metadata: dict[str, Any]
    timestamp: float

    def __repr__(self) -> str:
        return f"<AgentChunk {self.chunk_index} of {self.stream_id}: {self.content!r}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script sees them: bytes are bytes."""
        kind = type(self.content)
        told: dict[str, Any] = {"type": self.content.type}
        if kind is Text or kind is Reasoning:  # nearly all are
            told["text"] = self.content[0]
        elif isinstance(self.content, Other):
            told |= self.content.fields
        else:
            for name, value in zip(self.content._fields, self.content, strict=True):
                if value is None or (name == "raw" and value == ""):
                    continue
                if name == "details":
                    value = dict(value)
                told[name] = value.to_dict() if isinstance(value, Usage) else value
            told |= getattr(self.content, "more", {})
        stream_id, index, _, metadata, timestamp = self
        whole = {
            "stream_id": stream_id, "chunk_index": index, "content": told, "metadata": metadata, "timestamp": timestamp,
        }  # fmt: skip
        return whole if type(self) is AgentChunk else whole | getattr(self, "more", {})

    def to_json(self) -> dict[str, Any]:
        """The same as `--output jsonl` writes it: bytes as base64, and no `partial`, which the texts add up to."""
        told = self.to_dict()
        content = told["content"]
        if isinstance(self.content, StructuredText):
            content.pop("partial", None)
        if isinstance(data := content.get("data"), bytes):
            content["data"] = base64.b64encode(data).decode("ascii")
        return told

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> AgentChunk:
        """The chunk of which `to_dict`, or `to_json`, gave *told*; what is not known of it is kept.

        Raises ValidationError, which names the field.
        """
        global _chunk_of
        if _chunk_of is None:  # an import statement each time would be a fifth of the whole
            from llmspell.types.plain import chunk_of

            _chunk_of = chunk_of
        return _chunk_of(told)


_chunk_of: Callable[[Mapping[str, Any]], AgentChunk] | None = None


#: Is handed a batch; gives whether there is room for more. And what waits until there is.
Taker: TypeAlias = "Callable[[list[AgentChunk]], bool]"
Room: TypeAlias = "Callable[[], Awaitable[object]]"


class Collector:
    """Adds up chunks to an AgentOutput. The one place that knows how pieces become a whole."""

    __slots__ = (
        "_before",
        "_calls",
        "_media",
        "_pieces",
        "_reasoning",
        "_stands",
        "data",
        "finish_reason",
        "metadata",
        "texts",
        "turns",
        "usage",
    )

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._media: list[Media] = []
        self._stands = (0, 0)  # so many calls and media are not void after a retry
        self._before = ""  # the text of the turn whose calls were run
        self.turns: tuple[Message, ...] = ()
        self._begin()
        self.data: Any = None
        self.finish_reason: str | None = None
        self.usage = Usage()
        self.metadata: dict[str, Any] = {}

    def _begin(self) -> None:
        """What came since the last call that was run is void."""
        self.texts: list[str] = []
        self._reasoning: list[str] = []
        del self._calls[self._stands[0] :], self._media[self._stands[1] :]
        self._pieces: list[bytes] = []  # of the medium that is coming

    def add(self, chunk: AgentChunk) -> None:
        """Takes in the next chunk."""
        content = chunk.content
        kind = type(content)
        if kind is Text:
            self.texts.append(content[0])
        elif kind is Reasoning:
            self._reasoning.append(content[0])
        elif kind is StructuredText:
            self.texts.append(content[0])
        elif isinstance(content, Text | StructuredText):  # with fields that are not known
            self.texts.append(content.text)
        elif isinstance(content, Reasoning):
            self._reasoning.append(content.text)
        elif isinstance(content, ToolCallComplete):
            self._call(content)
        elif isinstance(content, MediaPiece):
            self._pieces.append(content.data)
            if content.is_final:
                self._media.append(Media(content.media_type, b"".join(self._pieces)))
                self._pieces = []
        elif isinstance(content, Control):
            self.metadata = chunk.metadata
            if content.message == "retry":  # what came before is void
                self._begin()
            elif content.details is not None:
                self.data = content.details.get("data")
            if content.finish_reason is not None:
                self.finish_reason = content.finish_reason
            if content.usage is not None:
                self.usage = self.usage.merged(content.usage)

    def _call(self, told: ToolCallComplete) -> None:
        """A tool's call; one that was run ends its turn, so that text and reasoning are those of the next."""
        call = ToolCall(told.tool_id, told.name, told.arguments, told.raw, told.result, told.error)
        self._calls.append(call)
        if call.answered:
            self._before = self.text or self._before
            self._stands = len(self._calls), len(self._media)
            self.texts, self._reasoning = [], []

    @property
    def text(self) -> str:
        """The answer so far."""
        if len(self.texts) > 1:
            self.texts = ["".join(self.texts)]
        return self.texts[0] if self.texts else ""

    def output(self) -> AgentOutput:
        """The whole, as far as it has come."""
        last = self.turns[-1] if self.turns else None
        return AgentOutput(
            # Where the last turn's calls are the caller's to run, its text came before those that were run.
            text=self.text if last is None or last.role == "assistant" else self._before,
            reasoning="".join(self._reasoning),
            tool_calls=tuple(self._calls),
            usage=self.usage,
            finish_reason=self.finish_reason or "stop",
            metadata=self.metadata,
            media=tuple(self._media),
            data=self.data,
            turns=self.turns,
        )


class AgentStream:
    """A streamed answer: an async iterator of AgentChunk with a known end.

    The last chunk is a Control "stream_end" with finish reason and usage; an answer that fails raises after every
    chunk that came before, and the error's `partial` is the text so far. Reading is on demand: what is not asked
    for stays in the socket. Closing (`aclose`, leaving `async with`, or cancelling the task that reads) closes the
    connection; a stream that is merely dropped is closed by the event loop some time later, so close it.

    Not to be made by users: agents and providers give it. Belongs to one task at a time.
    """

    __slots__ = ("_batches", "_done", "_pour", "_ready", "collector", "stream_id")

    def __init__(
        self,
        stream_id: str,
        batches: AsyncGenerator[list[AgentChunk], None],
        pour: Callable[[Taker, Room], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.stream_id = stream_id
        self._pour = pour
        self.collector = Collector()
        self._batches = batches
        self._ready: list[AgentChunk] = []  # reversed: the next is last
        self._done = False

    def __aiter__(self) -> AgentStream:
        return self

    async def __anext__(self) -> AgentChunk:
        while not self._ready:
            batch = await self.next_batch()
            if batch is None:
                raise StopAsyncIteration
            self._ready = batch[::-1]
        return self._ready.pop()

    async def next_batch(self) -> list[AgentChunk] | None:
        """All chunks that are ready, at least one; None at the end. Raises as iteration does.

        Cancelled, it closes the connection; what was not delivered is lost.
        """
        if self._ready:
            batch = self._ready[::-1]
            self._ready = []
            return batch
        if self._done:
            return None
        try:
            batch = await anext(self._batches)
        except StopAsyncIteration:
            self._done = True
            return None
        except LLMSpellError as error:
            self._done = True
            error.context.setdefault("partial", self.collector.text)
            raise
        except BaseException:
            self._done = True
            raise
        add = self.collector.add
        for chunk in batch:
            add(chunk)
        return batch

    async def pour(self, take: Taker, room: Room) -> None:
        """Hands each batch to *take*, to the end, where it can from within the loop's own callback, without a turn.

        Where *take* gives false, nothing more is read until *room* is done. Raises as iteration does, and is cancelled
        as it is. Not for a stream that was read from before; *take* must be short, and not raise.
        """
        if self._pour is None or self._done:
            while (batch := await self.next_batch()) is not None:
                if not take(batch):
                    await room()
            return
        from llmspell._speedups import Gathering  # only what streams over a connection of its own needs it

        self._done = True
        try:
            await self._pour(Gathering(self.collector, Text, take), room)
        except LLMSpellError as error:
            error.context.setdefault("partial", self.collector.text)
            raise

    async def collect(self) -> AgentOutput:
        """Reads to the end and gives the whole answer, what was read before included."""
        while await self.next_batch() is not None:
            pass
        return self.collector.output()

    def abandon(self) -> None:
        """Told before `aclose` by who cannot wait for it: nothing more of the stream counts."""

    async def aclose(self) -> None:
        """Closes the connection. Safe to call twice, and after the end."""
        self._done = True
        self._ready = []
        await self._batches.aclose()

    async def __aenter__(self) -> AgentStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
