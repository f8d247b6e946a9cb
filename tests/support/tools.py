"""Tools of tests, and an agent that has them and a scripted model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell import Agent
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Does", "asks", "calling", "scripted"]


class Does(Tool):
    """A tool that does what a function says: it is given the arguments, and gives a result, or waits for one."""

    description = "Does it."
    timeout = None

    def __init__(self, name: str, does: Callable[[dict[str, Any]], Any], **properties: str) -> None:
        self.name, self._does = name, does
        self.parameters = {
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in properties.items()},
            "required": list(properties),
        }
        self.calls: list[dict[str, Any]] = []
        self.context: ToolContext | None = None

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        self.calls.append(arguments)
        self.context = context
        made = self._does(arguments)
        if hasattr(made, "__await__"):
            waiting: Awaitable[Any] = made
            made = await waiting
        return made if isinstance(made, ToolResult) else ToolResult(made)


def asks(name: str, **arguments: Any) -> dict[str, Any]:
    """A call in a reply of the mock's."""
    return {"name": name, "arguments": arguments}


def calling(*calls: dict[str, Any], text: str = "") -> dict[str, Any]:
    """A reply of the mock's that calls tools."""
    numbered = [{"id": f"call_{number}", **call} for number, call in enumerate(calls, 1)]
    return {"tool_calls": numbered, **({"text": text} if text else {})}


def scripted(replies: Sequence[Any], tools: Sequence[Any] = (), **more: Any) -> tuple[Agent, MockProvider]:
    """An agent whose model says *replies*, in order; one more is an error."""
    mock = MockProvider(replies, when_over="error")
    manager = ProviderManager({})
    manager.register(mock)
    return Agent("mock", providers=manager, tools=tools, **more), mock
