"""How what a step names is run: tools, agents, functions, and the time that passes meanwhile."""

from __future__ import annotations

import asyncio
import copy
import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llmspell.errors import CallTimeoutError, NotFoundError, ToolError, ValidationError, one_line
from llmspell.utils.async_utils import Clock
from llmspell.workflows.templates import text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from llmspell.agents.agent import Agent
    from llmspell.tools.base import Tool, ToolContext, ToolResult
    from llmspell.tools.registry import ToolRegistry
    from llmspell.workflows.steps import Step, StepContext, StepResult
    from llmspell.workflows.workflow import Workflow

__all__ = ["Runner"]


def plain_result(done: ToolResult, name: str) -> Any:
    """What a tool gave. Raises ToolError where it says that it has failed."""
    if done.is_error:
        raise ToolError(one_line(f"tool `{name}` failed: {done.told()}", 1000), tool=name)
    return done.result if done.result is not None else done.text


class Runner:
    """Runs the steps of workflows. A subclass may do it otherwise.

    tools: what `tool="name"` finds; without it the built-in ones. context: what they may use; without it, nothing
    outside. agents, workflows: by name, for steps that name theirs. clock: where time comes from.
    """

    def __init__(
        self,
        *,
        tools: ToolRegistry | None = None,
        context: ToolContext | None = None,
        agents: Mapping[str, Agent] | None = None,
        workflows: Mapping[str, Workflow] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._tools, self._context = tools, context
        self._agents, self._workflows = agents or {}, workflows or {}
        self.clock = clock or Clock()

    # ---- what a step does

    async def tool(self, target: Any, arguments: Any) -> Any:
        """The result of a tool. Raises what it raises, and ToolError where it says that it has failed."""
        from llmspell.tools.base import ToolContext
        from llmspell.tools.permissions import Permissions

        tool = self.find_tool(target)
        self._context = self._context or ToolContext(Permissions())
        return plain_result(await tool.execute(arguments, self._context), tool.name)

    def find_tool(self, target: Any) -> Tool:
        """The tool that a step names. Raises NotFoundError with near names."""
        if isinstance(target, str):
            from llmspell.tools.registry import ToolRegistry

            self._tools = self._tools or ToolRegistry()
            return self._tools.get(target)
        tool: Tool = target
        return tool

    async def agent(self, target: Any, given: Any) -> Any:
        """An agent's answer: its data, where it was asked for some, else its text."""
        agent = self._named(self._agents, target, "agent") if isinstance(target, str) else target
        if isinstance(given, dict) and isinstance(given.get("text", given.get("prompt")), str):
            given = given.get("text", given.get("prompt"))
        done = await agent.execute(text_of(given))
        return done.text if done.data is None else done.data

    async def function(self, target: Any, context: StepContext) -> tuple[Any, Any]:
        """What a function gives, and the state as it left it."""
        context = context._replace(state=copy.deepcopy(context.state))  # what a failed attempt wrote is not kept
        found = target(context)
        return (await found if inspect.isawaitable(found) else found), context.state

    async def holds(self, condition: Any, context: StepContext) -> bool:
        """Whether a condition that is a function holds."""
        found, _ = await self.function(condition, context)
        return bool(found)

    def workflow(self, target: Any) -> Workflow:
        """The workflow that a step names."""
        found: Workflow = self._named(self._workflows, target, "workflow") if isinstance(target, str) else target
        return found

    @staticmethod
    def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name[:64], list(known), 3, 0.6)
            raise NotFoundError(
                f"there is no {what} `{one_line(name, 80)}`",
                hint=f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else None,
            )
        return known[name]

    # ---- who looks on

    def step_started(self, workflow: Workflow, step: Step) -> Any:
        """A step begins; what it gives is handed to `step_ended`."""

    def step_retried(self, token: Any, step: Step, attempt: int, wait: float, error: BaseException) -> None:
        """A step has failed and is begun again so many seconds later; *attempt*: the number of the one that comes."""

    def step_ended(self, token: Any, step: Step, done: StepResult) -> None:
        """A step has ended, or was given up."""

    # ---- time

    def timer(self, seconds: float, fire: Callable[[], object]) -> Callable[[], object]:
        """Calls *fire* after so many seconds; gives what cancels it."""
        return asyncio.get_running_loop().call_later(seconds, fire).cancel

    @asynccontextmanager
    async def within(self, seconds: float | None, what: str) -> AsyncIterator[None]:
        """Ends the block after so many seconds, with CallTimeoutError. *what*: the thing, for the message."""
        task = asyncio.current_task()
        if seconds is None or task is None:
            yield
            return
        before, late = task.cancelling(), False

        def fire() -> None:
            nonlocal late
            late = True
            task.cancel()

        cancel = self.timer(seconds, fire)
        try:
            yield
        except BaseException as error:
            if late and task.uncancel() <= before and isinstance(error, asyncio.CancelledError):
                raise CallTimeoutError(
                    f"{what} took longer than {seconds:g} s", hint="give it more: `timeout`"
                ) from error
            raise
        finally:
            cancel()


def as_state(given: Any, where: str) -> dict[Any, Any]:
    """A state as a function left it. Raises ValidationError where it is no table."""
    if isinstance(given, list):  # a table whose keys are 1 to n crosses as a list
        return dict(enumerate(given, 1))
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ValidationError(f"{where}: `ctx.state` must stay a table")
    return given
