"""A streamed answer as it is read: by chunks, by batches, poured; its end, its errors, and that it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmspell.errors import NetworkError
from llmspell.types.streaming import AgentChunk, AgentStream, Control, Text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

END = Control("stream_end", "stop")


def chunk(number: int, content: Any) -> AgentChunk:
    return AgentChunk("s", number, content, {"model": "m"}, 0.5)


ONE, TWO, THREE, LAST = (chunk(n, one) for n, one in enumerate((Text("a"), Text("b"), Text("c"), END)))


class Source:
    """Batches, then perhaps an error; notes how often it was asked and whether it was closed."""

    def __init__(self, *batches: list[AgentChunk], error: BaseException | None = None) -> None:
        self.batches, self.error = batches, error
        self.asked, self.closed = 0, False
        self.stream = AgentStream("s", self._read())

    async def _read(self) -> AsyncGenerator[list[AgentChunk], None]:
        try:
            for batch in self.batches:
                self.asked += 1
                yield batch
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


async def test_chunks_come_one_by_one_and_batches_as_they_are_ready() -> None:
    source = Source([ONE, TWO, THREE], [LAST])
    stream = source.stream
    assert await anext(stream) == ONE
    assert await stream.next_batch() == [TWO, THREE]
    assert source.asked == 1
    assert await stream.next_batch() == [LAST]
    assert await stream.next_batch() is None
    assert await stream.next_batch() is None
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert [one async for one in Source([ONE], [TWO, LAST]).stream] == [ONE, TWO, LAST]


async def test_the_whole_has_what_was_read_before() -> None:
    stream = Source([ONE, TWO], [THREE, LAST]).stream
    await anext(stream)
    output = await stream.collect()
    assert (output.text, output.finish_reason, output.metadata) == ("abc", "stop", {"model": "m"})


@pytest.mark.parametrize("error", [NetworkError("gone"), ValueError("odd")])
async def test_an_error_comes_after_what_came_before_it_and_once(error: Exception) -> None:
    stream = Source([ONE, TWO], error=error).stream
    assert await stream.next_batch() == [ONE, TWO]
    with pytest.raises(type(error)) as failed:
        await stream.next_batch()
    if isinstance(failed.value, NetworkError):
        assert failed.value.context["partial"] == "ab"
    assert await stream.next_batch() is None


async def test_what_an_error_says_of_what_came_stays() -> None:
    stream = Source([ONE], error=NetworkError("gone", partial="mine")).stream
    with pytest.raises(NetworkError) as failed:
        await stream.collect()
    assert failed.value.context["partial"] == "mine"


async def test_leaving_it_closes_it_and_nothing_comes_any_more() -> None:
    source = Source([ONE, TWO], [LAST])
    async with source.stream as stream:
        assert await anext(stream) == ONE
    assert source.closed
    assert await stream.next_batch() is None
    await stream.aclose()
    assert source.asked == 1


@pytest.mark.parametrize("room", [True, False])
async def test_poured_it_waits_where_there_is_no_room(room: bool) -> None:
    taken: list[Any] = []

    def take(batch: list[AgentChunk]) -> bool:
        taken.append(batch)
        return room

    async def waits() -> None:
        taken.append("waited")

    source = Source([ONE], [TWO, LAST])
    await source.stream.pour(take, waits)
    assert taken == ([[ONE], [TWO, LAST]] if room else [[ONE], "waited", [TWO, LAST], "waited"])
    await source.stream.pour(take, waits)
    assert len(taken) == (2 if room else 4)


async def test_one_that_pours_by_itself_is_poured_once_and_its_error_has_what_came() -> None:
    async def pours(take: Any, room: Any) -> None:
        take([ONE])
        take([TWO])
        raise NetworkError("gone")

    source = Source([THREE])
    stream = AgentStream("s", source._read(), pours)
    taken: list[Any] = []
    with pytest.raises(NetworkError) as failed:
        await stream.pour(lambda batch: taken.append(batch) is None, lambda: None)  # type: ignore[arg-type,return-value]
    assert (failed.value.context["partial"], taken) == ("ab", [[ONE], [TWO]])
    assert await stream.next_batch() is None
    await stream.pour(lambda batch: taken.append(batch) is None, lambda: None)  # type: ignore[arg-type,return-value]
    assert len(taken) == 2


def test_a_chunk_is_told_without_what_it_has_not() -> None:
    from llmspell.types.streaming import MediaPiece, ToolCallComplete

    call = chunk(0, ToolCallComplete("c", "f", {}, None, ""))
    assert call.to_dict()["content"] == {"type": "tool_call_complete", "tool_id": "c", "name": "f", "arguments": {}}
    media = chunk(1, MediaPiece("image/png", b"\0\1"))
    assert media.to_json()["content"]["data"] == "AAE="
    assert media.to_dict()["content"]["data"] == b"\0\1"
    details = {"attempt": 2}
    told = chunk(2, Control("retry", details=details)).to_dict()
    assert told["content"] == {"type": "control", "message": "retry", "details": details}
    assert told["content"]["details"] is not details
