"""The tools of an agent: what they are made of, and how they are to be used."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import LimitError, ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.registry import ToolRegistry, check_name, plain_name
from llmspell.types.tools import ToolSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from llmspell.agents.agent import Agent
    from llmspell.tools.permissions import Permissions
    from llmspell.types.agent import AgentOutput
    from llmspell.types.messages import ToolCall

__all__ = ["MAX_ROUNDS", "AgentTool", "ToolHost", "ToolUse", "gather"]

MAX_ROUNDS = 20  # in which an agent calls tools, where it says nothing else
MAX_DEPTH = 8  # agents that call agents that call agents …
ON_ERROR = ("tell", "raise")

_depth: ContextVar[int] = ContextVar("llmspell_agents_deep", default=0)


class ToolHost:
    """What is around an agent whose tools are run. A host that has more to say overrides what it wants.

    permissions: what tools may reach; without it, nothing outside.
    """

    def __init__(self, permissions: Permissions | None = None) -> None:
        self._permissions = permissions

    def context(self, agent: str, call_id: str) -> ToolContext:
        """What one call of a tool may use."""
        if self._permissions is None:
            from llmspell.tools.permissions import Permissions

            self._permissions = Permissions()
        return ToolContext(self._permissions, agent=agent, call_id=call_id)

    async def execute(self, tool: Tool, arguments: dict[str, Any] | None, context: ToolContext) -> ToolResult:
        """Runs a tool. Raises what `Tool.execute` does."""
        return await tool.execute(arguments, context)

    def slot(self) -> AbstractAsyncContextManager[Any]:
        """Held while a model is asked, and not while tools run: a tool may ask a model itself."""
        from contextlib import nullcontext

        return nullcontext()

    def now(self) -> float:
        """Seconds, of a clock that goes forwards: how long tools take is told by it."""
        return monotonic()

    def tool_started(self, stream_id: str, call: ToolCall) -> None:
        """A tool begins. stream_id: of the answer that called it."""

    def tool_ended(self, stream_id: str, call: ToolCall, seconds: float) -> None:
        """*call* has its result or its error."""


class ToolUse(NamedTuple):
    """How an agent uses its tools.

    tools: those that are run, by the name that the model knows. unrun: names of those whose calls are the caller's.
    max_rounds: see MAX_ROUNDS. approve: is asked before each call: true runs it; false, or a reason, does not.
    on_error: what becomes of a tool that fails: the model is told ("tell"), or the error is raised ("raise").
    """

    tools: dict[str, Tool]
    unrun: frozenset[str]
    max_rounds: int
    approve: Callable[[ToolCall], Any] | None
    on_error: str
    host: ToolHost

    def find(self, name: str) -> Tool | None:
        """The tool that a model means: some take `-` for `_`."""
        found = self.tools.get(name)
        if found is None:
            plain = plain_name(name)
            found = next((tool for known, tool in self.tools.items() if plain_name(known) == plain), None)
        return found


def gather(
    given: Iterable[Any],
    *,
    max_rounds: int | None,
    approve: Callable[[ToolCall], Any] | None,
    on_error: str,
    host: ToolHost | None,
    permissions: Permissions | None,
) -> tuple[tuple[ToolSpec, ...], ToolUse | None]:
    """What a model is told of an agent's tools, and how they are run; None where none is.

    given: see Agent. Raises ValidationError for what is no tool, NotFoundError for a name that nobody knows.
    """
    if max_rounds is not None and (type(max_rounds) is not int or max_rounds < 0):
        raise ValidationError(
            f"`max_tool_rounds` must be a whole number, at least 0, not {one_line(str(max_rounds), 40)}",
            hint="0: calls come back unrun",
        )
    if on_error not in ON_ERROR:
        raise ValidationError(
            f'`on_tool_error` must be "tell" or "raise", not `{one_line(str(on_error), 40)}`',
            hint="tell: the model is told of a tool that fails; raise: so are you",
        )
    if approve is not None and not callable(approve):
        raise ValidationError("`approve` must be a function", hint="of a call; it gives true, false, or a reason")
    made = [one if isinstance(one, ToolSpec) else _tool(one) for one in given]
    specs = tuple(one if isinstance(one, ToolSpec) else one.spec for one in made)
    tools = {one.name: one for one in made if isinstance(one, Tool)}
    for name in tools:
        check_name(name)
    if not tools or max_rounds == 0:
        return specs, None
    unrun = frozenset(one.name for one in made if isinstance(one, ToolSpec))
    host = host or ToolHost(permissions)
    return specs, ToolUse(tools, unrun, MAX_ROUNDS if max_rounds is None else max_rounds, approve, on_error, host)


def _tool(given: Any) -> Tool:
    from llmspell.agents.agent import Agent

    if isinstance(given, Tool):
        return given
    if isinstance(given, str):
        return ToolRegistry().get(given)
    if isinstance(given, Agent):
        return AgentTool(given)
    if callable(given):
        from llmspell.tools.function import FunctionTool

        return FunctionTool(given)
    raise ValidationError(
        f"`tools` has a {type(given).__name__}, which is no tool",
        hint="it takes tools, functions, names of built-in ones, agents, and a ToolSpec for a call that you run",
    )


class AgentTool(Tool):
    """An agent as a tool: it is told `input`, and what it answers is the result; its data, where it has a form.

    run_agent: how it is run; without it, by its own `execute`.
    """

    category = "agent"
    timeout = None  # the agent has one of its own
    works = False

    def __init__(
        self,
        agent: Agent,
        *,
        name: str | None = None,
        description: str | None = None,
        run_agent: Callable[[str], Awaitable[AgentOutput]] | None = None,
    ) -> None:
        self.name = name or _name(agent.name)
        self.description = description or agent.description or f"Asks the agent {one_line(agent.name, 60)}."
        self.parameters = {
            "type": "object",
            "properties": {"input": {"type": "string", "description": "what to say to the agent"}},
            "required": ["input"],
            "additionalProperties": False,
        }
        self._run_agent = run_agent or agent.execute

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        depth = _depth.get()
        if depth >= MAX_DEPTH:
            raise LimitError(
                f"agents call agents more than {MAX_DEPTH} deep",
                hint="an agent may have itself among its tools, by way of another",
                limit="agents deep",
                value=MAX_DEPTH,
            )
        token = _depth.set(depth + 1)
        try:
            output = await self._run_agent(arguments["input"])
        finally:
            _depth.reset(token)
        if output.data is not None:
            return ToolResult(output.data, media=output.media)
        return ToolResult(output.text, media=output.media)


def _name(name: str) -> str:
    """An agent's name as a tool may have it."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
    return plain if plain.strip("_-") else "agent"
