"""`run_lua`: a model writes a program that calls its tools, picks out what it wants, and returns that.

The program runs in a Lua state of its own, with limits of its own within those of the run, and sees nothing of the
script: plain Lua, `JSON`, `Async`, and `tools`. Each call of a tool is looked at and asked about as the model's own
calls are. What goes wrong is told to the model, with the line.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llmspell.bridge.calls.tool import ordered
from llmspell.bridge.limits import cpu_reached
from llmspell.bridge.output import Captured
from llmspell.bridge.run import Run, ScriptExit
from llmspell.errors import LLMSpellError, NotSupportedError, ToolError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

__all__ = ["TOOL", "RunLua", "ToolCalls"]

NAME = "program"
SECONDS = 30.0  # of one program, the tools that it calls included
CPU = 5.0  # seconds of computing
MEMORY = 32 * 1024 * 1024  # bytes of its Lua heap
OUTPUT = 256 * 1024  # bytes that it prints
MOST_CALLS = 1000  # of tools, in one program
LONGEST = 100_000  # characters of a program
AT_ONCE = 4  # programs of one run
CHARGED = 0.02  # seconds after which what a program has computed counts for the run, again and again
#: What a program may ask of the host.
HOMES = frozenset(("tools", "JSON", "io", "os", "Tape", "prelude", "api", "fiber", "group", "task", "semaphore"))

_within: ContextVar[Run | None] = ContextVar("llmspell_program_of", default=None)


class ToolCalls:
    """The tools of one program: those of *find*, by *names*, but for `run_lua` itself."""

    def __init__(
        self,
        names: Callable[[], Iterable[str]],
        find: Callable[[str], Tool | None],
        call: Callable[[str, dict[str, Any]], Awaitable[ToolResult]],
    ) -> None:
        self._names, self._find, self._call = names, find, call
        self._made = 0

    def names(self) -> list[str]:
        """All that may be called."""
        return [name for name in self._names() if self.has(name)]

    def has(self, name: str) -> bool:
        """Whether that may be called."""
        tool = self._find(name)
        return tool is not None and not isinstance(tool, RunLua)

    async def call(self, name: str, params: dict[str, Any]) -> ToolResult:
        """Calls one. Raises what it raises, and ToolError."""
        self._made += 1
        if self._made > MOST_CALLS:
            raise ToolError(f"the program calls tools more than {MOST_CALLS} times")
        if not self.has(name):
            raise NotSupportedError(f"`{one_line(name, 60)}` is no tool of the program's")
        return await self._call(name, params)


class RunLua(Tool):
    """The tool. What a program may call are the tools of the agent whose model wrote it, without this one."""

    name = "run_lua"
    description = (
        "Run a Lua 5.4 program that calls your other tools and returns what you need of what they give. Each tool is "
        "a function: `local r = tools.NAME{ parameter = value }` gives its result (a table or a text), or raises an "
        "error. `Async.map(list, f, { concurrency = n })` runs many at once. `print` and the program's `return` value "
        "come back to you. Use it for loops, filters and sums over several calls."
    )
    category = "script"
    timeout = None  # SECONDS, below
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"code": {"type": "string", "minLength": 1, "maxLength": LONGEST, "description": "The program."}},
        "required": ["code"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        parent = context.run
        calls, out = _tools(context), Captured()
        seconds = context.setting(self.name, "timeout", SECONDS)
        async with _place(parent):
            child = _child(parent, context, calls, out, seconds)
            charge = None if parent is None or not parent.max_cpu else _charging(parent, child)
            charging = None if charge is None else asyncio.create_task(_charge_often(charge))
            token = _within.set(parent)
            if parent is not None:
                parent.children.add(child)
            try:
                return await _executed(child, arguments["code"], out)
            finally:
                if charge is not None and charging is not None:
                    charging.cancel()
                    charge()
                if parent is not None:
                    parent.children.discard(child)
                child.close()
                _within.reset(token)


def _charging(parent: Run, child: Run) -> Callable[[], object]:
    """What counts a program's computing as the run's, so far; and stops the program where the run may do no more.

    Programs that run at once share what is left. Engines in other processes count for themselves.
    """
    charged = 0.0
    engine: Any = parent.engine

    def charge() -> None:
        nonlocal charged
        used = getattr(child.engine, "cpu_used", 0.0)
        if hasattr(engine, "charge"):
            engine.charge(used - charged)
            charged = used
            if engine.cpu_used >= parent.max_cpu:
                child.stop(cpu_reached(parent.max_cpu))

    return charge


async def _charge_often(charge: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(CHARGED)
        charge()


def _tools(context: ToolContext) -> ToolCalls:
    """What a program may call, and how."""
    tools, run = context.tools, context.run
    if tools is not None and context.call is not None:  # of the agent whose model wrote it
        return ToolCalls(lambda: tools, tools.get, context.call)
    if run is None:
        return ToolCalls(tuple, lambda name: None, _nothing)

    async def call(name: str, params: dict[str, Any]) -> ToolResult:
        result: ToolResult = await run.tools.get(name).execute(params, run.tool_context())
        return result

    return ToolCalls(lambda: [tool.name for tool in run.tools], run.tools.find, call)


async def _nothing(name: str, params: dict[str, Any]) -> ToolResult:
    raise NotSupportedError("there are no tools here")


def _place(parent: Run | None) -> AbstractAsyncContextManager[Any]:
    """A program's place among those of its run. One within another has the other's: it would wait for it for ever."""
    if parent is None or _within.get() is parent:
        return nullcontext()
    if parent.programs is None:
        parent.programs = asyncio.Semaphore(AT_ONCE)
    place: asyncio.Semaphore = parent.programs
    return place


def _refused(*_: Any) -> Any:
    raise NotSupportedError("a program of a model's has its tools, and nothing else")


def _child(parent: Run | None, context: ToolContext, calls: ToolCalls, out: Captured, seconds: float) -> Run:
    """A run for the program, within what is left of its parent's limits."""
    memory, cpu, interrupts, pool = MEMORY, CPU, "tick", None
    if parent is not None:
        interrupts, pool = parent.interrupts, parent.pool
        if parent.deadline is not None and parent.tape is None:  # whose time is not the clock's
            left = max(parent.deadline - parent.clock(), 0.001)
            seconds = min(seconds or left, left)
        memory = min(memory, parent.max_memory) if parent.max_memory else memory
        if parent.max_cpu:
            cpu = max(min(cpu, parent.max_cpu - getattr(parent.engine, "cpu_used", 0.0)), 0.001)
    child = Run(
        name=NAME,
        folder=None,
        args=[],
        timeout=seconds,
        max_cpu=cpu,
        max_memory=memory,
        max_output=OUTPUT,
        max_concurrency=1,
        max_tokens_total=0,
        max_cost_usd=0.0,
        interrupts=interrupts,
        stdout=out,
        stderr=out,
        live=False,
        observer=None,
        providers=_refused,
        model=None,
        provider=None,
        log=lambda level, message, fields: None,
        pool=pool,
        permissions=lambda: context.permissions,
        tool_settings=dict,
        setting=_refused,
        state=_refused,
    )
    from llmspell.bridge.engine import prelude

    child.tool_calls = calls
    child.homes = HOMES
    if parent is not None and parent.tape is not None:
        child.read_of(parent.tape)
    child.engine.start(prelude("child"))
    return child


async def _executed(child: Run, code: str, out: Captured) -> ToolResult:
    """Runs it; what went wrong is a result, for the model."""
    try:
        main = child.load(code.encode())
        await child.place()
        child.engine.preempting = True
        outcome = child.engine.resume(main, None, child.args)
        if not child.is_over(outcome):
            driver = child.fibers()
            try:
                outcome = await driver.drive(main, outcome)
            finally:
                driver.report_unawaited()
        value = ordered(child.settle(outcome))
    except ScriptExit:
        value = None
    except LLMSpellError as error:
        return _failed(error, _printed(out))
    printed = _printed(out)
    result: dict[str, Any] = {"result": value, "output": printed}
    shown = "" if value is None else ToolResult(value).told()
    return ToolResult(
        result, "\n".join(part for part in (printed.rstrip("\n"), shown) if part) or "done: nothing returned"
    )


def _printed(out: Captured) -> str:
    return out.getvalue().decode("utf-8", "replace")


def _failed(error: LLMSpellError, printed: str) -> ToolResult:
    line = error.context.get("line")
    place = f"line {line}: " if line is not None and error.context.get("script") in (NAME, None) else ""
    hint = f" ({one_line(error.hint, 500)})" if error.hint and error.kind != "limit" else ""  # that is for users
    told = f"the program failed: {place}{one_line(error.message, 1000)}{hint}"
    text = f"{told}\nit had printed:\n{printed}" if printed else told
    result = {"error": error.message, "kind": error.kind, "line": line, "output": printed}
    return ToolResult(result, text, is_error=True)


TOOL = RunLua()
