"""What is around the tools of a script's agents: its permissions, its places for model calls, who looks on."""

from __future__ import annotations

from asyncio import current_task
from time import monotonic
from typing import TYPE_CHECKING

from llmspell.agents.toolbox import ToolHost

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from llmspell.bridge.run import Run
    from llmspell.tools.base import Tool, ToolContext, ToolResult
    from llmspell.types.messages import ToolCall

__all__ = ["RunHost"]


class RunHost(ToolHost):
    """A run's."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def context(self, agent: str, call_id: str) -> ToolContext:
        return self._run.tool_context(agent=agent, call_id=call_id)

    async def execute(self, tool: Tool, arguments: dict[str, Any] | None, context: ToolContext) -> ToolResult:
        driver, task = self._run.driver, current_task()
        if self._run.tape is None or driver is None or task is None or not tool.works:
            return await tool.execute(arguments, context)
        driver.real_work.add(task)  # a replay waits for what it has nothing of
        try:
            return await tool.execute(arguments, context)
        finally:
            driver.real_work.discard(task)

    def slot(self) -> AbstractAsyncContextManager[Any]:
        slot: AbstractAsyncContextManager[Any] = self._run.slot()
        return slot

    def now(self) -> float:
        return monotonic() if self._run.tape is None else self._run.tape.at

    def tool_started(self, stream_id: str, call: ToolCall) -> None:
        if self._run.observer is not None:
            self._run.observer.tool_started(stream_id, call)

    def tool_ended(self, stream_id: str, call: ToolCall, seconds: float) -> None:
        if (tape := self._run.tape) is not None:
            seconds = tape.value(f"tool.seconds.{call.id}", lambda: round(seconds, 6))
        if self._run.observer is not None:
            self._run.observer.tool_ended(stream_id, call, seconds)
