"""The calls of one answer: looked at, asked about, run together; what the model is told of each."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from logging import WARNING
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from llmspell.errors import LLMSpellError, ToolError, one_line
from llmspell.tools.base import MOST_COMPLAINTS, ToolResult
from llmspell.tools.clocks import within
from llmspell.types.messages import Message, ToolCall
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from llmspell.agents.toolbox import ToolUse
    from llmspell.tools.base import Tool
    from llmspell.types.media import Media, Part

__all__ = ["Done", "Progress", "ToolCalls"]

T = TypeVar("T")

AT_ONCE = 8  # tools of one answer that run together
MOST_CALLS = 128  # of one answer that are run
MOST_RESULT = 100_000  # bytes of a result that a model is told
MOST_MEDIA = 20  # of one result
MOST_ERROR = 2000  # characters of what a model is told of a failure
MOST_PROGRESS = 1000  # that wait to be seen, of one answer
SAME = 3  # times that the same call may give the same
WORDS = 2  # that the model gets after that, before it is an error
#: Errors of tools that no word to the model can mend.
RAISED = frozenset({"limit", "cancelled", "internal"})


class OutOfTime(TimeoutError):
    """The deadline of the whole has come. A loop's clock may be a little behind it, so that it does not tell."""


class Progress(NamedTuple):
    """What a tool that runs says of itself."""

    call: ToolCall
    text: str


class Done(NamedTuple):
    """A call that has its result or its error. message: what the model is told. place: its number among the calls."""

    call: ToolCall
    message: Message
    place: int = 0


class _Seen:
    """A call that was made before. told: what it gave last; same: how often it gave that; words: see WORDS."""

    __slots__ = ("same", "told", "words")

    def __init__(self) -> None:
        self.told: int | None = None
        self.same = self.words = 0


class ToolCalls:
    """Runs the calls of an agent's answers, for one call of the agent.

    agent: its name. room: bytes of a result, at most. kinds: of media that the model reads. deadline: of the call, as
    it is after the last `run`: time that a person takes to approve does not count.
    """

    def __init__(self, use: ToolUse, agent: str) -> None:
        self._use, self._agent = use, agent
        self.room = MOST_RESULT
        self.kinds: tuple[str, ...] = ()
        self.deadline: float | None = None
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._noted: set[tuple[str, str]] = set()  # in this answer
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._inner = count(1)  # calls that tools make

    async def run(
        self, calls: Sequence[ToolCall], stream_id: str, deadline: float | None
    ) -> AsyncGenerator[Progress | Done, None]:
        """Runs them; gives each when it and all before it are done. deadline: of the event loop's clock.

        Raises what `approve` raises, errors of tools where they are to be raised, and OutOfTime at the deadline.
        Closed or cancelled, it ends the tools that run.
        """
        self._noted.clear()
        self.deadline = deadline
        found: asyncio.Queue[Progress | Done | BaseException] = asyncio.Queue()
        tasks: list[asyncio.Task[None]] = []
        to_run: list[tuple[Tool, ToolCall, int]] = []
        ready: dict[int, Done] = {}
        limit = None
        try:
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            async with within(left) as limit:
                for index, call in enumerate(calls):  # one after the other: a person may be asked
                    tool = await self._look_at(call, index)
                    if isinstance(tool, str):
                        ready[index] = self._failed(call, tool, index)
                        self._not_run(stream_id, ready[index].call)
                    else:
                        to_run.append((tool, call, index))
            self.deadline = deadline = limit.when()  # later, by what a person took
            tasks += (asyncio.create_task(self._one(*one, stream_id, found)) for one in to_run)
            given = 0
            while given < len(calls):
                if given in ready:
                    yield self._note(ready.pop(given))
                    given += 1
                    continue
                async with asyncio.timeout_at(deadline) as limit:
                    event = await found.get()
                if isinstance(event, Done):
                    ready[event.place] = event
                elif isinstance(event, Progress):
                    yield event
                else:
                    raise event
        except TimeoutError as error:
            if limit is not None and limit.expired():
                raise OutOfTime from error
            raise  # of `approve`
        finally:
            running = [task for task in tasks if not task.done()]
            for task in running:
                task.cancel()
            if running:
                await asyncio.gather(*running, return_exceptions=True)

    # ---- before a call

    async def _look_at(self, call: ToolCall, index: int) -> Tool | str:
        """The tool to be run; or what the model is told instead."""
        if index >= MOST_CALLS:
            return f"not run: an answer may have at most {MOST_CALLS} calls"
        if (word := self._repeated(call)) is not None:
            return word
        tool = self._use.find(call.name)
        if tool is None:
            known = ", ".join(self._use.tools)
            return f"there is no tool `{one_line(call.name, 80)}`; there are: {one_line(known, MOST_ERROR)}"
        if call.arguments is None:
            return "the arguments are no JSON object, or one nested too deep; call it again with valid JSON"
        if complaints := tool.complaints(call.arguments):
            told = "; ".join(one_line(one, 300) for one in complaints[:MOST_COMPLAINTS])
            return f"the arguments do not fit the tool's schema: {told}"
        return tool if self._use.approve is None else await self._approved(tool, call)

    async def _approved(self, tool: Tool, call: ToolCall) -> Tool | str:
        assert self._use.approve is not None
        said = self._use.approve(call)
        if hasattr(said, "__await__"):
            said = await said
        if said is True:
            return tool
        reason = f": {one_line(said, MOST_ERROR)}" if isinstance(said, str) and said.strip() else ""
        return f"the call was denied{reason}"

    def _repeated(self, call: ToolCall) -> str | None:
        """A word to a model that makes the same call again and again. Raises ToolError where no word helps."""
        key = _key(call)
        seen = self._seen.get(key)
        if seen is None or seen.same < SAME:
            return None
        if key not in self._noted:
            self._noted.add(key)
            seen.words += 1
        if seen.words > WORDS:
            raise ToolError(
                f"the model calls `{one_line(call.name, 80)}` again and again with the same arguments",
                hint="say in the system prompt when it is to stop, let the tool say more, or use another model",
                tool=call.name,
                agent=self._agent,
            )
        return (
            f"not run: it was called {seen.same} times with the same arguments and gave the same each time. "
            "Use what it gave, or do something else."
        )

    def _note(self, done: Done) -> Done:
        """Remembers what a call gave; several of the same in one answer count once."""
        key = _key(done.call)
        if key not in self._noted:
            self._noted.add(key)
            seen = self._seen.setdefault(key, _Seen())
            told = hash(done.message.content)
            seen.same = seen.same + 1 if told == seen.told else 1
            seen.told = told
        return done

    # ---- a call

    async def _one(
        self,
        tool: Tool,
        call: ToolCall,
        index: int,
        stream_id: str,
        found: asyncio.Queue[Progress | Done | BaseException],
    ) -> None:
        """One tool, run; what it comes to goes into *found*."""

        loop, here = asyncio.get_running_loop(), get_ident()

        def put(note: Progress) -> None:
            if found.qsize() < MOST_PROGRESS:
                found.put_nowait(note)

        def progress(text: str) -> None:
            note = Progress(call, text[:MOST_ERROR])
            if get_ident() == here:
                put(note)
            elif not loop.is_closed():  # a function that runs in a thread
                loop.call_soon_threadsafe(put, note)

        host = self._use.host
        try:
            async with self._gate:
                context = host.context(self._agent, call.id)
                context.on_progress = progress
                context.tools, context.call = self._use.tools, partial(self._inside, stream_id, call.id)
                done = await self._watched(
                    stream_id, call, self._executed(tool, call, index, context), lambda done: done.call
                )
        except BaseException as error:  # raised by whoever waits for the calls
            if isinstance(error, asyncio.CancelledError) and asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise  # nobody waits
            found.put_nowait(error)
        else:
            found.put_nowait(done)

    async def _watched(
        self, stream_id: str, call: ToolCall, work: Awaitable[T], ended_as: Callable[[T], ToolCall]
    ) -> T:
        """What *work* gives; whoever looks on is told that the call begins, and that it ends, however it does."""
        host = self._use.host
        host.tool_started(stream_id, call)
        begun, ended = host.now(), call._replace(error="cancelled")
        try:
            with logs.within_call(stream_id):
                done = await work
            ended = ended_as(done)
        except Exception as error:
            said = error.message if isinstance(error, LLMSpellError) else type(error).__name__
            ended = call._replace(error=one_line(said, MOST_ERROR))
            raise
        finally:
            host.tool_ended(stream_id, ended, host.now() - begun)
        return done

    def _not_run(self, stream_id: str, call: ToolCall) -> None:
        """Tells of one that is not run; its error says why."""
        self._use.host.tool_started(stream_id, call._replace(error=None))
        self._use.host.tool_ended(stream_id, call, 0.0)
        logs.tell("tools", WARNING, "tool not run", {"tool": call.name, "agent": self._agent})

    async def _executed(self, tool: Tool, call: ToolCall, index: int, context: Any) -> Done:
        try:
            result = await self._use.host.execute(tool, call.arguments, context)
        except LLMSpellError as error:
            if error.kind in RAISED or (self._use.on_error == "raise" and error.kind != "permission"):
                error.context.setdefault("tool", tool.name)
                raise
            return self._failed(call, error.message, index)
        if result.is_error and self._use.on_error == "raise":
            raise ToolError(one_line(f"tool `{tool.name}` failed: {result.told()}", 1000), tool=tool.name)
        return self._answered(call, result, index)

    async def _inside(self, stream_id: str, outer: str, name: str, arguments: dict[str, Any]) -> ToolResult:
        """A call that a tool makes in the model's name: looked at and asked about like the model's own.

        Raises ToolError for one that is not run, and what the tool raises.
        """
        call = ToolCall(f"{outer}.{next(self._inner)}", name, arguments)
        tool = await self._look_at(call, 0)
        if isinstance(tool, str):
            self._not_run(stream_id, call._replace(error=one_line(tool, MOST_ERROR)))
            raise ToolError(tool, tool=one_line(name, 80))
        host = self._use.host
        work = host.execute(tool, arguments, host.context(self._agent, call.id))
        return await self._watched(stream_id, call, work, lambda result: _ended(call, result))

    def _failed(self, call: ToolCall, told: str, index: int) -> Done:
        told = one_line(told, MOST_ERROR)
        message = Message("tool", f"Error: {told}", (), call.id, {}, True)
        return Done(call._replace(error=told), message, index)

    def _answered(self, call: ToolCall, result: ToolResult, index: int) -> Done:
        text = self._cut(result.told())
        media, beside = self._readable(result.media)
        content: str | tuple[Part, ...] = (text + beside, *media) if media else text + beside
        value = "" if result.result is None and not result.is_error else result.result
        call = call._replace(result=value, error=one_line(text, MOST_ERROR) if result.is_error else None)
        return Done(call, Message("tool", content, (), call.id, {}, result.is_error), index)

    def _cut(self, text: str) -> str:
        """As much as there is room for; what is cut is said."""
        data = text.encode("utf-8", "replace")
        if len(data) <= self.room:
            return data.decode()
        kept = data[: self.room].decode("utf-8", "ignore")
        return f"{kept}\n[cut here: these are the first {self.room} of {len(data)} bytes]"

    def _readable(self, media: tuple[Media, ...]) -> tuple[tuple[Media, ...], str]:
        """Those that the model reads, and a word on the others."""
        read = tuple(one for one in media[:MOST_MEDIA] if one.kind in self.kinds)
        left = len(media) - len(read)
        return read, f"\n[{left} more of the result cannot be shown to this model]" if left else ""


def _ended(call: ToolCall, result: ToolResult) -> ToolCall:
    return call._replace(result=result.result, error=one_line(result.told(), MOST_ERROR) if result.is_error else None)


def _key(call: ToolCall) -> tuple[str, str]:
    if call.arguments is None:
        return call.name, call.raw
    import orjson

    try:
        return call.name, orjson.dumps(call.arguments, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return call.name, repr(call.arguments)
