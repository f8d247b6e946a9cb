"""One answer of a conversation, as it comes: to a person's view, or to a program's lines."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.errors import LLMSpellError
from llmspell.types.agent import AgentOutput
from llmspell.types.streaming import Control, MediaPiece, Reasoning, StructuredText, Text
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmspell.cli.chat.session import Session
    from llmspell.cli.events import Events
    from llmspell.cli.render.chat_view import ChatView
    from llmspell.types.messages import Message, ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["Turn"]

TICK = 0.1  # seconds between two looks of the spinner
CALL = "1"  # what events name the call


class Turn:
    """Asks, and shows what comes. view: a person's; None where nobody looks. events: a program's lines.

    An answer that has to have a form is shown when it is whole: it may be asked for twice.
    """

    def __init__(self, session: Session, view: ChatView | None, events: Events | None = None) -> None:
        self._session, self._view, self._events = session, view, events
        self._formed = session.schema is not None
        self._came = 0  # characters of an answer that has to have a form
        self._began = monotonic()
        self._first: float | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._running: list[str] = []  # tools
        self.shown = False  # whether anything of the answer was
        self.output: AgentOutput | None = None  # as far as it has come

    async def run(self, asked: Sequence[Message]) -> AgentOutput:
        """The whole answer. Raises LLMSpellError; cancelled, it closes its connection. In any case what came is in the
        conversation, and counted."""
        session = self._session
        session.asked = tuple(asked)
        session.host.started, session.host.ended = self._tool_started, self._tool_ended
        if self._view is not None:
            self._view.waits(session.label)
            self._tick()
        if self._events is not None:
            self._events.call_started(CALL, session.label)
        stream = session.chat.stream(asked)
        try:
            async with stream:
                while (batch := await stream.next_batch()) is not None:
                    self._show(batch)
            self._shown_whole(stream.collector.output())
        except LLMSpellError as error:
            if isinstance(error.rounds, int):  # of an agent with tools: the answers before
                told = AgentOutput("", usage=Usage(**(error.call_usage or {})), metadata={"rounds": error.rounds})
                session.count(told)
            raise
        finally:
            if self._ticker is not None:
                self._ticker.cancel()
            self.output = stream.collector.output()
            session.count(self.output)
            if self._view is not None:
                self._view.end()
        return self.output

    def _tick(self) -> None:
        assert self._view is not None
        try:
            self._view.tick()
        except OSError:  # the terminal is gone: whoever writes next is told
            return
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    # ---- chunks

    def _show(self, batch: Sequence[AgentChunk]) -> None:
        if self._events is not None:
            self._events.chunks(CALL, batch, False)
        for chunk in batch:
            content = chunk.content
            if isinstance(content, Text | StructuredText | Reasoning) and self._first is None and content.text:
                self._first = monotonic() - self._began
            if self._view is not None:
                self._show_one(self._view, content)

    def _show_one(self, view: ChatView, content: object) -> None:
        if isinstance(content, Reasoning):
            view.reasoning(content.text)
        elif isinstance(content, Text | StructuredText):
            if not self._formed:
                view.text(content.text)
                self.shown = self.shown or bool(content.text)
                return
            self._came += len(content.text)
            view.waits(f"{self._session.label} — {self._came:,} characters", since=self._began)
        elif isinstance(content, Control) and content.message == "retry":
            self._came = 0
            why = _why(content.details or {})
            view.line(why)
            view.waits(f"{self._session.label} — {why}", since=self._began)
        elif isinstance(content, Control) and content.message == "heartbeat" and content.details:
            told = f"running {content.details.get('name', '')}: {content.details.get('text', '')}"
            view.waits(told, since=view.since)
        elif isinstance(content, MediaPiece) and content.is_final:
            view.line(f"[{content.media_type}]")

    def _shown_whole(self, output: AgentOutput) -> None:
        if not self._formed or self._view is None:
            return
        from llmspell.cli.events import plain_json

        self._view.text(plain_json(output.data, pretty=True).decode() + "\n")
        self.shown = True

    # ---- tools

    def _tool_started(self, call: ToolCall) -> None:
        if self._events is not None:
            self._events.tool_started(CALL, call)
        if self._view is not None:
            self._view.end()
            self._running.append(call.name)
            self._view.waits(f"running {', '.join(self._running)}")

    def _tool_ended(self, call: ToolCall, seconds: float) -> None:
        if self._events is not None:
            self._events.tool_ended(CALL, call, seconds)
        if self._view is not None:
            self._view.line(_tool_line(call, seconds))
            if call.name in self._running:
                self._running.remove(call.name)
            self._view.waits(f"running {', '.join(self._running)}" if self._running else self._session.label)

    # ---- the end

    def last_line(self) -> str:
        """Tokens, rate, time to the first token, time in all, cost; and why an answer ended before its end."""
        from llmspell.cli.render.live import summary

        output = self.output
        seconds = monotonic() - self._began
        line = summary(
            Usage() if output is None else output.usage,
            seconds,
            first_token=self._first,
            unicode=self._view is None or self._view.look.unicode,
        )
        reasons = {"length": "cut by its token limit", "content_filter": "ended by a content filter"}
        why = reasons.get(output.finish_reason, "") if output is not None else ""
        return f"{line} · {why}" if why else line


def _why(details: Mapping[str, Any]) -> str:
    """Why a request is made again, in a line."""
    if "model" in details:
        return f"asking {details['model']}: {details.get('error')}"
    wait = f"again in {details['wait']:.3g} s" if details.get("wait") else "again"
    return f"{wait}: {details.get('error')}"


def _tool_line(call: ToolCall, seconds: float) -> str:
    import orjson

    try:
        arguments = call.raw if call.arguments is None else orjson.dumps(call.arguments).decode()
    except TypeError:
        arguments = str(call.arguments)
    if call.error is not None:
        came = f"failed: {call.error}"
    elif isinstance(call.result, str):
        came = call.result
    else:
        try:
            came = orjson.dumps(call.result, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            came = "done"
    return f"{call.name} {seconds:.2f} s {arguments[:200]} → {came[:200]}"
