"""One script's run: its Lua state, its limits, what it has opened, and what it came to."""

from __future__ import annotations

import os
from time import monotonic

from llmspell.bridge import limits
from llmspell.bridge.engine import (
    AWAY,
    CALL,
    DONE,
    ERROR,
    LOST,
    PREEMPTED,
    STOPPED,
    Engine,
    LoadError,
    core,
)
from llmspell.bridge.output import Output, unwritten
from llmspell.errors import (
    InternalError,
    LimitError,
    LLMSpellError,
    NotSupportedError,
    RunCancelledError,
    ScriptError,
    ValidationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from llmspell.agents.agent import Agent
    from llmspell.agents.chat import Chat
    from llmspell.agents.meter import Meter
    from llmspell.bridge.calls.agent import Metrics
    from llmspell.bridge.driver import Driver, Fiber
    from llmspell.bridge.isolation.pool import ProcessPool
    from llmspell.bridge.isolation.remote import RemoteEngine
    from llmspell.bridge.observer import Observer
    from llmspell.bridge.output import Sink
    from llmspell.bridge.run_lua import ToolCalls
    from llmspell.bridge.streams import Streams
    from llmspell.bridge.upcalls import Upcalls
    from llmspell.providers.manager import ProviderManager
    from llmspell.providers.tape.tape import Tape
    from llmspell.tools.base import ToolContext
    from llmspell.tools.permissions import Permissions
    from llmspell.tools.registry import ToolRegistry
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentStream, Collector
    from llmspell.types.usage import Usage
    from llmspell.workflows.state import StateStore
    from llmspell.workflows.workflow import Workflow

__all__ = ["Run", "ScriptExit", "error_fields"]

#: Which file of `calls/` serves an operation, by the part of its name before the first `.` or `:`.
HOMES = {
    "Agent": "agent",
    "agent": "agent",
    "chat": "chat",
    "stream": "agent",
    "JSON": "json",
    "Provider": "provider",
    "Log": "log",
    "Run": "run",
    "Tape": "tape",
    "io": "io",
    "os": "io",
    "require": "module",
    "dofile": "module",
    "prelude": "module",
    "api": "module",
    "function": "functions",
    "Tool": "tool",
    "tools": "tools",
    "Workflow": "workflow",
    "workflow": "workflow",
    "Template": "workflow",
    "File": "file",
    "Config": "config",
    "State": "state",
    "Media": "media",
    "media": "media",
    "fiber": "fibers",
    "group": "fibers",
    "task": "fibers",
    "semaphore": "fibers",
    "session": "session",
}


class ScriptExit(Exception):
    """The script called `os.exit`; the code is 0 to 255."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code & 0xFF


def error_fields(error: BaseException) -> dict[str, Any]:
    """What a script sees of an exception."""
    if isinstance(error, LLMSpellError):
        return error.to_dict()
    kind = "validation" if isinstance(error, TypeError | ValueError) else "internal"
    message = str(error) or type(error).__name__
    return {"kind": kind, "message": message, "retryable": False}


class Run:
    """A run from its start to its end. Made by ScriptRuntime.

    name: the script as shown in messages; folder: where its modules are, or None; args: as after `--`.
    timeout, max_cpu: seconds, 0 without limit. interrupts: see Engine. observer: see Observer.
    pool: where its engine is, or None: here. tape: what it is recorded on, or replayed from.
    permissions: what the script may reach, made when first asked for. tool_settings: `[tools]`, likewise.
    setting: gives that of a dotted path. state: where `State` is kept beyond the run; None: in its own memory.
    tools: what it has besides the built-in ones. named: see `script_globals`.
    meter, slots: what holds its model calls to limits that it has in common with other runs.
    """

    last = 0  # the number of the newest one of this process

    def __init__(
        self,
        *,
        name: str,
        folder: str | None,
        args: list[str],
        timeout: float,
        max_cpu: float,
        max_memory: int,
        max_output: int,
        max_concurrency: int,
        max_tokens_total: int,
        max_cost_usd: float,
        interrupts: str,
        stdout: Sink,
        stderr: Sink,
        live: bool,
        observer: Observer | None,
        providers: Callable[[], ProviderManager],
        model: str | None,
        provider: str | None,
        log: Callable[[str, str, dict[str, Any] | None], None],
        note: Callable[[str, str, dict[str, Any] | None], None] | None = None,
        pool: ProcessPool | None = None,
        tape: Tape | None = None,
        permissions: Callable[[], Permissions],
        tool_settings: Callable[[], Mapping[str, Mapping[str, Any]]],
        setting: Callable[[str], Any],
        state: Callable[[], StateStore | None],
        tools: ToolRegistry | None = None,
        named: bytes | None = None,
        meter: Meter | None = None,
        slots: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        self.name, self.folder, self.args = name, folder, args
        self._named = named
        self.timeout, self.max_cpu, self.max_memory = timeout, max_cpu, max_memory
        self.max_concurrency = max_concurrency
        self.max_tokens_total, self.max_cost_usd = max_tokens_total, max_cost_usd
        self.output = Output(stdout, stderr, max_output, live)
        self.observer = observer
        Run.last += 1
        self.number = str(Run.last)
        self.log_id = ""  # of what is told of it, where somebody listens
        self.log_token: Any = None
        self.ended_as = "nil", 0  # the kind of its result, and the exit code
        self.providers = providers
        self._permissions, self.base_tools = permissions, tools
        self._tool_settings, self.setting = tool_settings, setting
        self._shared_state = state
        self._state: StateStore | None = None
        self.model, self.provider = model, provider  # for agents that name none
        self.homes: frozenset[str] | None = None  # what may be asked for; None: all
        self.pool, self.interrupts = pool, interrupts
        self.programs: Any = None  # a place for each of those that models write
        self.children: set[Run] = set()  # those programs, while they run
        self.tool_calls: ToolCalls | None = None  # of a program of a model's: its tools
        self.log, self.note = log, note or log  # the script's own lines, and what else a person is told of its run
        self.interrupted = False  # a chunk of a session is to stop: what it waits for outside of the loop ends
        self.session_functions: tuple[int, int] = (0, 0)  # of a session: see there
        self.tape = tape
        self.readings: Tape | None = None  # where clocks and chance are read of, if that is a tape
        self.clock = monotonic
        self.started = monotonic()
        self.deadline = self.started + timeout if timeout else None
        self._time_left: float | None = None  # seconds, while none passes
        self.stop_error: BaseException | None = None
        self.driver: Driver | None = None
        self.agents: dict[int, Agent] = {}
        self.agents_by_name: dict[str, int] = {}
        self.agent_metrics: dict[int, Metrics] = {}
        self.chats: dict[int, tuple[int, Chat]] = {}  # conversations, each with its agent's number
        self.chat_sends: dict[int, tuple[asyncio.Task[Any], AgentStream]] = {}  # answers that are awaited whole
        self.media: dict[int, Any] = {}  # of files, which are read when they are wanted
        self.workflows: dict[int, Workflow] = {}
        self.workflows_by_name: dict[str, int] = {}
        self.workflow_states: dict[int, dict[Any, Any]] = {}  # what steps find, by the workflow's number
        self.workflows_under_way = 0
        self.steps = 0  # of workflows, so far
        self.calls = self.unpriced_calls = 0
        self._meter = meter
        self.partials: list[str] = []  # of calls that were cut off: the text so far
        self.sources: dict[str, str] = {}  # modules and files that were loaded: as shown → path
        self._usage: Usage | None = None
        self._streams: Streams | None = None
        self._upcalls: Upcalls | None = None
        self._tools: ToolRegistry | None = None
        self._slots: Any = slots
        self._reader: Any = None
        self._asks: dict[str, Callable[..., Any]] = {}
        self._calls: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {}
        options = {"max_memory": max_memory, "max_cpu": max_cpu, "interrupts": interrupts}
        self.remote = None if pool is None else self._remote_engine(pool, options)
        self.engine = self._own_engine(options) if self.remote is None else self.remote
        if self.deadline is not None:
            self.engine.deadline = self.deadline
        self._give_args()
        if tape is not None:
            tape.stop = self.stop
            self.read_of(tape)

    def _own_engine(self, options: dict[str, Any]) -> Engine | RemoteEngine:
        engine = Engine(self._ask, self._write, error_fields, **options)
        engine.start(core())
        return engine

    def _remote_engine(self, pool: ProcessPool, options: dict[str, Any]) -> RemoteEngine:
        from llmspell.bridge.isolation.remote import RemoteEngine

        return RemoteEngine(self._ask, self._write, error_fields, pool, options)

    def read_of(self, tape: Tape) -> None:
        """Clocks and chance are the tape's from now on, and `pairs` has an order."""
        from llmspell.bridge.engine import prelude

        self.readings = tape
        self.engine.start(prelude("tape"))

    def _give_args(self) -> None:
        from llmspell.bridge.arguments import script_globals

        self.engine.start(script_globals(self.name, self.args, self._named))

    # ---- starting

    def load(self, text: bytes, *, expression: bool = False) -> int:
        """The main fiber. Raises ScriptError with line and column where the text is not Lua.

        expression: the text may be an expression, too; its values are the result then.
        """
        if text.startswith(b"\x1bLua"):
            raise ScriptError(
                f"`{self.name}` is Lua bytecode", hint="scripts are loaded as text only", script=self.name
            )
        if b"\0" in text[:4096]:
            raise ScriptError(
                f"`{self.name}` is a binary file, not a Lua script", hint="scripts are text", script=self.name
            )
        if text.startswith(b"\xef\xbb\xbf"):
            text = text[3:]
        if text.startswith(b"#") and not expression:  # a file's first line; `#list` is an expression
            text = b"--" + text
        self.text = text
        name = b"@" + os.fsencode(self.name)
        if expression:
            try:
                return self.engine.load(b"return " + text, name)
            except LoadError:  # what is wrong with it is told of the text as it was given
                pass
        try:
            return self.engine.load(text, name)
        except LoadError as error:
            raise self.refused(str(error)) from None

    def refused(self, message: str, column: int = 0) -> ScriptError:
        """What is wrong with a text that is not Lua. column: as a worker process found it."""
        from llmspell.bridge import failures, near

        error = failures.syntax_error(message, self.name, self.text)
        if self.remote is None:  # one in a worker process is there because its text may not be parsed here
            near.point(error, self.text, self.max_memory)
        elif 0 < column <= len(self.text):
            error.context.setdefault("column", column)
        return error

    async def place(self) -> None:
        """Before the start of one that has its engine in a worker process: waits for a worker."""
        if self.remote is not None:
            await self.remote.place()
            self._begin_time()

    def place_now(self) -> None:
        """The same without an event loop."""
        if self.remote is not None:
            self.remote.place_now()
            self._begin_time()

    def _begin_time(self) -> None:
        self.started = self.clock()
        if self.deadline is not None:
            self.deadline = self.engine.deadline = self.started + self.timeout

    def stand_still(self) -> None:
        """From now on no time counts against the run's limit, until `go_on`: somebody is asked, who is in no hurry."""
        if self.deadline is not None and self._time_left is None and self.tape is None:
            self._time_left = self.deadline - self.clock()
            self._move_deadline(None)

    def go_on(self) -> None:
        """It counts again, from where it stood."""
        left, self._time_left = self._time_left, None
        if left is not None:
            self._move_deadline(self.clock() + left)

    def _move_deadline(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.engine.deadline = float("inf") if deadline is None else deadline
        if self.driver is not None and self.driver.loop is not None:
            self.driver.set_timer()

    def first(self, main: int) -> tuple[Any, ...]:
        """The main fiber's first outcome, without an event loop."""
        outcome = self.engine.resume(main, None, self.args)
        while True:
            if outcome[0] == AWAY and self.remote is not None:
                outcome = self.remote.wait()
            elif outcome[0] == PREEMPTED and self.driver is None and self._streams is None:
                outcome = self.engine.resume(main, None, None)  # there is nobody else
            else:
                return outcome

    # ---- what Lua asks

    def _ask(self, op: str, args: list[Any]) -> Any:
        handler = self._asks.get(op)
        if handler is None:
            handler = self._asks[op] = self._home(op).ASKS[op]
        if self.log_id:
            from llmspell.bridge import run_log

            return run_log.asked(self, handler, args)
        return handler(self, *args)

    def _home(self, op: str) -> Any:
        from importlib import import_module

        for mark in (".", ":"):
            prefix = op.partition(mark)[0]
            if prefix in HOMES and self.homes is not None and prefix not in self.homes:
                raise NotSupportedError(f"`{op}` is not open to programs", hint="they have plain Lua and their tools")
            if prefix in HOMES:
                return import_module(f"llmspell.bridge.calls.{HOMES[prefix]}")
        raise InternalError(f"no operation `{op}`")

    def call(self, op: str, args: list[Any]) -> Coroutine[Any, Any, Any]:
        """The coroutine of an operation that waits."""
        handler = self._calls.get(op)
        if handler is None:
            handler = self._calls[op] = self._home(op).CALLS[op]
        return handler(self, *args)

    def _write(self, fd: int, data: bytes) -> bool:
        observer = self.observer
        if observer is not None:
            observer.before_write(fd)
        try:
            if self.output.write(fd, data):
                return True
            self.stop(limits.output_reached(self.output.limit))
        except OSError as error:
            self.stop(unwritten(error))
        finally:
            if observer is not None:
                observer.after_write(fd, data)
        return False

    def exit(self, code: int) -> None:
        """The script's `os.exit`: `<close>` variables are closed on the way out."""
        self.stop(ScriptExit(code), limits.CLOSE_GRACE)

    def fibers(self) -> Driver:
        """Who keeps the script's fibers; made at the first need."""
        if self.driver is None:
            from llmspell.bridge.driver import Driver

            self.driver = Driver(self)
        return self.driver

    # ---- stopping

    def stop(self, error: BaseException, grace: float = 0.0) -> None:
        """Ends the run with *error*. From any thread, and from a signal's handler."""
        if self.stop_error is None and self.engine.stop_reason is None:
            self.stop_error = error
            self.engine.interrupt("host", grace)
            for child in tuple(self.children):
                child.stop(error)
        driver = self.driver
        if driver is not None and driver.loop is not None:
            try:
                driver.loop.call_soon_threadsafe(driver.check_stop)
            except RuntimeError:  # the loop is closed: the run has ended
                return

    # ---- streams and calls

    @property
    def streams(self) -> Streams:
        if self._streams is None:
            from llmspell.bridge.streams import Streams

            self._streams = Streams(self)
        return self._streams

    @property
    def tools(self) -> ToolRegistry:
        """The tools of this run: the script's own over the runtime's."""
        if self._tools is None:
            from llmspell.tools.registry import ToolRegistry

            self._tools = ToolRegistry(base=self.base_tools)
        return self._tools

    @property
    def state(self) -> StateStore:
        """What the script keeps."""
        if self._state is None:
            from llmspell.workflows.state import MemoryState

            self._state = self._shared_state() or MemoryState()
        return self._state

    @property
    def permissions(self) -> Permissions:
        """What the script may reach."""
        return self._permissions()

    def tool_context(self, *, agent: str | None = None, call_id: str | None = None) -> ToolContext:
        """What a tool that this script calls may use."""
        from llmspell.tools.base import ToolContext

        settings = self._tool_settings()
        return ToolContext(self.permissions, agent=agent, call_id=call_id, settings=settings, run=self)

    @property
    def upcalls(self) -> Upcalls:
        """Functions of the script's that Python calls."""
        if self._upcalls is None:
            from llmspell.bridge.upcalls import Upcalls

            self._upcalls = Upcalls(self)
        return self._upcalls

    def start_streams(self, driver: Driver) -> None:
        """Sends the requests of streams that the script has opened."""
        if self._streams is not None:
            self._streams.start(driver)

    def stream_wait(self, driver: Driver) -> Callable[[int, Fiber, list[Any]], None]:
        """How the driver serves `stream:next`."""
        streams = self.streams
        return lambda number, fiber, args: streams.wait(driver, number, fiber, args)

    def close_streams(self) -> None:
        """Closes what is open."""
        if self._streams is not None:
            self._streams.close_all()

    def slot(self) -> Any:
        """One of `runtime.max_concurrency` places for a model call; an async context manager."""
        if self._slots is None:
            import asyncio
            from contextlib import nullcontext

            self._slots = asyncio.Semaphore(self.max_concurrency) if self.max_concurrency else nullcontext()
        return self._slots

    def count_ended(self) -> None:
        """Counts the streams that have just ended, too."""
        if self._streams is not None:
            self._streams.count_ended()

    @property
    def meter(self) -> Meter | None:
        """What holds the run's model calls to its limits of tokens and cost; None where it has none."""
        if self._meter is None and (self.max_tokens_total or self.max_cost_usd):
            from llmspell.agents.meter import Meter

            self._meter = Meter(max_tokens_total=self.max_tokens_total, max_cost_usd=self.max_cost_usd)
        return self._meter

    def count_call(self, done: Collector | AgentOutput) -> None:
        """Adds a call to the run's usage."""
        asked = done.metadata.get("rounds", 1)  # how often a model was
        self.calls += asked
        usage = done.usage
        if usage.cost_usd is None and done.metadata:  # an answer had begun
            self.unpriced_calls += asked
        self._usage = usage if self._usage is None else self._usage.plus(usage)

    def count_failed(self, error: BaseException | None) -> bool:
        """Adds the answers that there were before a call failed that asks a model several times; whether it did."""
        if self.observer is not None and isinstance(error, LimitError):
            self.observer.limit_reached(error)
        if not isinstance(error, LLMSpellError) or not isinstance(error.rounds, int):
            return False
        from llmspell.types.agent import AgentOutput
        from llmspell.types.usage import Usage

        usage = Usage(**(error.call_usage or {}))
        self.count_call(AgentOutput("", usage=usage, metadata={"rounds": error.rounds}))
        return True

    def go_on_from(self, before: Run) -> None:
        """Takes over what *before* has used, and so what is left of the limits of tokens and cost."""
        before.count_ended()
        self._meter = before._meter
        self._usage, self.calls, self.unpriced_calls = before._usage, before.calls, before.unpriced_calls

    @property
    def usage(self) -> dict[str, int | float]:
        """Of the calls so far, the known fields: tokens, and `cost_usd` where every call has a price."""
        if self._usage is None:
            return {}
        usage = self._usage.with_total()
        return (usage._replace(cost_usd=None) if self.unpriced_calls else usage).to_dict()

    # ---- the end

    def seconds(self) -> float:
        """Since the start."""
        if self.tape is not None:
            return float(self.tape.value("Run.clock", lambda: round(self.clock() - self.started, 6)))
        return self.clock() - self.started

    def is_over(self, outcome: tuple[Any, ...]) -> bool:
        """Whether the main fiber's first outcome is its last, and nothing else was started."""
        return outcome[0] not in (CALL, PREEMPTED, AWAY) and self.driver is None and self._streams is None

    def settle(self, outcome: tuple[Any, ...]) -> Any:
        """The script's result, or the error that ended it, raised."""
        code = outcome[0]
        if code == DONE:
            return outcome[1]
        if code == LOST:
            raise outcome[1]
        from llmspell.bridge import failures

        if code == ERROR:
            error = failures.script_failure(outcome[1], outcome[2], self.name)
            if isinstance(error, LLMSpellError):
                name, text = self._text_of(error.script)
                failures.point(error, name, text)
                if self.remote is None and error.column is None and " near '" in error.message:
                    from llmspell.bridge import near

                    near.point(error, text, self.max_memory)
            raise error
        if code == STOPPED:
            raise self._stopped(outcome[1])
        raise ValidationError(
            f"the script's result: {outcome[1]} cannot be passed on",
            hint="return strings, numbers, booleans, or tables of them",
            script=self.name,
        )

    def _text_of(self, script: str | None) -> tuple[str, bytes]:
        """The name and the text of the script's file, or of one that it has loaded, as far as it can be read."""
        path = self.sources.get(script or "")
        if script == self.name or path is None:
            return self.name, self.text
        from llmspell.bridge.runtime import read_script

        try:
            return script or "", read_script(path).removeprefix(b"\xef\xbb\xbf")
        except LLMSpellError:
            return script or "", b""

    def _stopped(self, reason: str) -> BaseException:
        if reason == "memory":
            return limits.memory_reached(self.max_memory)
        if reason == "deadline":
            return limits.timeout_reached(self.timeout)
        if reason == "cpu":
            return limits.cpu_reached(self.max_cpu)
        if reason == "raised" and self.engine.raised is not None:
            return self.engine.raised
        error = self.stop_error or RunCancelledError("the run was stopped")
        if self.partials and isinstance(error, LLMSpellError):
            error.context.setdefault("partial", "\n".join(self.partials))
        return error

    def close(self) -> None:
        """Frees the Lua state."""
        self.engine.close()
