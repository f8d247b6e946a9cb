"""ScriptRuntime: runs Lua scripts from Python."""

from __future__ import annotations

import os
import sys

from llmspell.bridge.engine import REFUSED
from llmspell.bridge.limits import CLOSE_GRACE
from llmspell.bridge.output import Captured
from llmspell.bridge.run import Run, ScriptExit
from llmspell.config.schema import INTERRUPTS
from llmspell.errors import (
    ConfigError,
    LimitError,
    LLMSpellError,
    NotFoundError,
    RunCancelledError,
    ScriptError,
    ValidationError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Any

    from llmspell.agents.meter import Meter
    from llmspell.bridge.isolation.pool import ProcessPool
    from llmspell.bridge.observer import Observer
    from llmspell.bridge.output import Sink
    from llmspell.config.loader import Config
    from llmspell.providers.manager import ProviderManager
    from llmspell.providers.tape.player import Player
    from llmspell.providers.tape.tape import Tape
    from llmspell.tools.permissions import Permissions, Wanted
    from llmspell.tools.registry import ToolRegistry
    from llmspell.workflows.state import StateStore

__all__ = ["ScriptResult", "ScriptRuntime", "read_script"]

LARGEST_SCRIPT = 8 * 1024 * 1024


class ScriptResult:
    """What a run came to.

    result: the script's return value as plain data; several values are a list. output: what it wrote to standard
    output, where the runtime captured it. usage: tokens and `cost_usd` of its model calls, the known fields; no
    cost where some have no price. calls: how many; unpriced_calls: how many of them have no price.
    exit_code: 0, or what `os.exit` gave. seconds: from start to end. wrote_output: whether it wrote anything.
    """

    __slots__ = ("calls", "exit_code", "output", "result", "seconds", "unpriced_calls", "usage", "wrote_output")

    def __init__(self, run: Run, result: Any, output: str, exit_code: int) -> None:
        self.result = result
        self.output = output
        self.usage: dict[str, int | float] = run.usage
        self.calls, self.unpriced_calls = run.calls, run.unpriced_calls
        self.exit_code = exit_code
        self.seconds = run.seconds()
        self.wrote_output = run.output.wrote_output

    def __repr__(self) -> str:
        return f"ScriptResult(result={self.result!r}, exit_code={self.exit_code}, usage={self.usage!r})"


def read_script(path: str) -> bytes:
    """A script's text. Raises NotFoundError or ScriptError saying what is wrong with the file."""
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST_SCRIPT + 1)
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no script `{path}`",
            hint="check the path, or `-` reads a script from standard input",
            cause=error,
        ) from None
    except IsADirectoryError as error:
        raise NotFoundError(f"`{path}` is a folder, not a script", hint="name the script in it", cause=error) from None
    except OSError as error:
        raise NotFoundError(f"cannot read `{path}`: {error.strerror}", cause=error) from None
    if len(text) > LARGEST_SCRIPT:
        raise ScriptError(f"`{path}` is larger than 8 MiB")
    return text


def _json_of(named: Mapping[str, Any]) -> bytes:
    """Raises ValidationError for what is no plain data."""
    import orjson

    try:
        return orjson.dumps(named)
    except TypeError as error:
        raise ValidationError(f"`named` cannot be given to a script: {error}", hint="it is plain data") from None


def _harmless(observer: Observer, log: Callable[[str, str, dict[str, Any] | None], None]) -> Observer:
    from llmspell.bridge.observer import Harmless

    return Harmless(observer, log)


def _default_log(level: str, message: str, fields: dict[str, Any] | None) -> None:
    from llmspell.utils import logs

    logs.tell("script", logs.LEVELS[level], message, fields)


def _no_note(level: str, message: str, fields: dict[str, Any] | None) -> None:
    """What a person is told beside: `logging` has it as events, without messages that may quote what was said."""


class ScriptRuntime:
    """Runs scripts, each in a Lua state of its own; what they share is the configuration and the connections.

        async with ScriptRuntime() as runtime:
            done = await runtime.execute_script("return 1 + 1")

        done = ScriptRuntime().run("return 1 + 1")

    config: what `llmspell.config.loader.load` gives; without it the user's own configuration is read.
    timeout, max_cpu (seconds), max_memory, max_output (bytes), max_concurrency, max_tokens_total, max_cost_usd (of one
    script's model calls): over the configuration's; 0 is without limit. interrupts: how a script that computes is
    stopped: "tick" (a real-time signal and a timer), "hook" (counts instructions: slower), or "none" (not at all: what
    should stop it holds where it next waits).
    model, provider: for agents that name none. stdout, stderr: binary files; without them output is captured.
    observer: sees model calls as they stream; what it raises is logged, and the run goes on.
    providers: a manager to use, and not to close.
    log: takes level, message and fields of the script's `Log`; without it they go to the logger `llmspell.script`.
    note: takes the same of what llmspell says of the run (a call that is tried again); without it *log* does.
    before_models: called once, before the first model is looked for.
    isolation: "process" runs each script in a worker process of this process's pool, a ProcessPool (of
    `llmspell.bridge.isolation`) in one of that pool; what scripts ask for is done here all the same. A worker that
    dies is the error of its script alone, WorkerLostError.
    record: a file that everything is written to that the run hears of the world, keys excepted; replay: such a file
    in place of the world: no network, the same clocks and chance, and ValidationError for a request that it does not
    have. Either is for one run, in this process; see docs/testing.md.
    permissions: what scripts may reach through tools, files and the like; without it what the configuration grants,
    and *ask* (see Permissions) for the rest.
    tools: a registry of tools that scripts have besides the built-in ones. state: where their `State` is kept, not to
    be closed; without it as the configuration says: for each run, or in a file, by default one for each script.
    meter: holds the model calls of all scripts together to its limits of tokens and cost, in place of those of each
    script. slots: entered around each model call, in place of max_concurrency; a semaphore, shared by runtimes.

    Belongs to one event loop. Scripts run at once in one runtime do not see each other.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        timeout: float | None = None,
        max_cpu: float | None = None,
        max_memory: int | None = None,
        max_output: int | None = None,
        max_concurrency: int | None = None,
        max_tokens_total: int | None = None,
        max_cost_usd: float | None = None,
        interrupts: str | None = None,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        live: bool = False,
        model: str | None = None,
        provider: str | None = None,
        observer: Observer | None = None,
        providers: ProviderManager | None = None,
        log: Callable[[str, str, dict[str, Any] | None], None] | None = None,
        note: Callable[[str, str, dict[str, Any] | None], None] | None = None,
        before_models: Callable[[], None] | None = None,
        isolation: str | ProcessPool | None = None,
        record: str | os.PathLike[str] | None = None,
        replay: str | os.PathLike[str] | Player | None = None,
        permissions: Permissions | None = None,
        ask: Callable[[Wanted], Awaitable[str]] | None = None,
        tools: ToolRegistry | None = None,
        state: StateStore | None = None,
        meter: Meter | None = None,
        slots: AbstractAsyncContextManager[Any] | None = None,
    ) -> None:
        if config is None:
            from llmspell.config.loader import load

            config = load(script_dir=None, config_file=None, env=os.environ, flags={})
        self.config = config
        self._limits: dict[str, Any] = {
            "timeout": config.get("runtime.timeout") if timeout is None else timeout,
            "max_cpu": config.get("runtime.max_cpu") if max_cpu is None else max_cpu,
            "max_memory": config.get("runtime.max_memory") if max_memory is None else max_memory,
            "max_output": config.get("runtime.max_output") if max_output is None else max_output,
            "max_concurrency": config.get("runtime.max_concurrency") if max_concurrency is None else max_concurrency,
            "max_tokens_total": config.get("limits.max_tokens_total") if max_tokens_total is None else max_tokens_total,
            "max_cost_usd": config.get("limits.max_cost_usd") if max_cost_usd is None else max_cost_usd,
            "interrupts": config.get("runtime.interrupts") if interrupts is None else _way(interrupts),
        }
        self._stdout, self._stderr, self._live = stdout, stderr, live
        self._default_model, self._default_provider = model, provider
        self._interrupted: tuple[BaseException, float] | None = None
        self._log, self._note = log or _default_log, note or log or _no_note
        self._observer = None if observer is None else _harmless(observer, self._note)
        self._before_models = before_models
        self._state = state
        self._meter, self._slots = meter, slots
        self._state_files: dict[str, StateStore] = {}
        self._permissions, self._ask, self._tools = permissions, ask, tools
        if permissions is None and not config.grants_nothing_of_its_own():
            self._granted()  # what is wrong with a grant is told before the script begins
        self._providers = providers
        self._owns_providers = providers is None
        self._runs: set[Run] = set()
        self._pool = None if isolation is None else self._pool_of(isolation)
        self._tape: Tape | None = None
        if record is not None or replay is not None:
            given = {
                "max_concurrency": max_concurrency,
                "max_tokens_total": max_tokens_total,
                "max_cost_usd": max_cost_usd,
            }
            self._put_on_tape(record, replay, {name for name, value in given.items() if value is not None})

    def _put_on_tape(self, record: Any, replay: Any, given: set[str]) -> None:
        """What the one run of this runtime is recorded on, or replayed from. Raises ConfigError, ValidationError.

        given: the limits that this runtime was made with; others are those of the recording, as they shape requests.
        """
        from llmspell.bridge.observer import Observer
        from llmspell.providers.tape.file import LIMITS
        from llmspell.providers.tape.sessions import open_tape

        if self._pool is not None or self._providers is not None:
            other = "isolation" if self._pool is not None else "providers"
            raise ValidationError(f"ScriptRuntime: `record` and `replay` do not go with `{other}`")
        about = {"model": self._default_model, "provider": self._default_provider}
        tape = self._tape = open_tape(
            record, replay, {**about, "limits": {name: self._limits[name] for name in LIMITS}}
        )
        if tape.replaying:
            for name, value in tape.head.get("limits", {}).items():
                if name not in given and self.config.origin(LIMITS[name]) != "flag":
                    self._limits[name] = value
        if tape.replaying and self._default_model is None and self._default_provider is None:
            self._default_model, self._default_provider = tape.head.get("model"), tape.head.get("provider")
        self._observer = self._observer or Observer()  # so that the same calls are streamed, whoever looks on

    def _pool_of(self, isolation: str | ProcessPool) -> ProcessPool:
        """The pool that is meant, told what to make ready. Raises ValidationError."""
        from llmspell.bridge.isolation.pool import ProcessPool, default_pool

        pool = default_pool() if isolation == "process" else isolation
        if not isinstance(pool, ProcessPool):
            raise ValidationError(
                f"ScriptRuntime: `isolation` is {isolation!r}", hint='it is "process", a ProcessPool, or left out'
            )
        pool.expect({name: self._limits[name] for name in ("max_memory", "max_cpu", "interrupts")})
        return pool

    def _manager(self) -> ProviderManager:
        if self._providers is None:
            from llmspell.providers.manager import ProviderManager

            if self._before_models is not None:
                self._before_models()
            settings, default = self.config.providers(), self.config.get("providers.default")
            if self._tape is not None:
                from llmspell.providers.tape.sessions import TapedManager

                self._providers = TapedManager(settings, default, tape=self._tape)
            else:
                self._providers = ProviderManager(settings, default)
        return self._providers

    def _granted(self) -> Permissions:
        """What scripts may reach."""
        if self._permissions is None:
            from llmspell.tools.permissions import Permissions

            try:
                self._permissions = Permissions.of(self.config.permissions(), ask=self._ask)
            except ValidationError as error:
                raise ConfigError(error.message, hint=error.hint, cause=error) from None
        return self._permissions

    def _kept(self, script: str | None) -> StateStore | None:
        """Where the `State` of a script is kept beyond its run; None where it is not. Raises ConfigError."""
        if self._state is not None or self.config.get("state.backend") == "memory":
            return self._state
        from llmspell.config.discovery import state_file
        from llmspell.workflows.state_file import SqliteState

        path = self.config.get("state.path") or state_file(os.environ, script)
        if path not in self._state_files:
            self._state_files[path] = SqliteState(path)
        return self._state_files[path]

    def check_default(self) -> None:
        """Raises ConfigError or ValidationError if the default model or provider is none that can be had."""
        self._manager().resolve(self._default_model, self._default_provider)

    def check(
        self, source: str | bytes, *, path: str | None = None, name: str | None = None, expression: bool = False
    ) -> None:
        """Loads a script, as a run would, and runs none of it. expression: see `run`. Grants are looked at, too.

        Raises ScriptError where it is not Lua, and ConfigError where a grant is none.
        """
        run, _, _ = self._begin(source, (), path, name, expression=expression)
        self._end(run)
        self._granted()

    def _begin(
        self,
        source: str | bytes,
        args: Any,
        path: str | None,
        name: str | None,
        *,
        named: Mapping[str, Any] | None = None,
        expression: bool = False,
    ) -> tuple[Run, int, Captured]:
        captured = Captured()
        if self._tape is not None:
            self._tape.begin(name or path or "script.lua", [str(arg) for arg in args])
        run = Run(
            name=name or path or "script.lua",
            folder=os.path.dirname(os.path.abspath(path)) if path is not None else None,
            args=[str(arg) for arg in args],
            stdout=self._stdout or captured,
            stderr=self._stderr or sys.stderr.buffer,
            live=self._live,
            observer=self._observer,
            providers=self._manager,
            model=self._default_model,
            provider=self._default_provider,
            log=self._log,
            note=self._note,
            pool=self._pool,
            tape=self._tape,
            permissions=self._granted,
            tool_settings=self.config.tools,
            setting=self.config.get,
            state=lambda: self._kept(path),
            tools=self._tools,
            named=None if named is None else _json_of(named),
            meter=self._meter,
            slots=self._slots,
            **self._limits,
        )
        self._runs.add(run)
        if "logging" in sys.modules:  # else nobody listens
            from llmspell.bridge import run_log

            run_log.started(run)
        if self._observer is not None:
            self._observer.run_started(run.number, run.name)
        try:
            main = run.load(source.encode() if isinstance(source, str) else source, expression=expression)
        except BaseException:
            self._end(run)
            raise
        if self._interrupted is not None:
            run.stop(*self._interrupted)
        return run, main, captured

    def _end(self, run: Run) -> None:
        self._runs.discard(run)
        if self._observer is not None:
            error = sys.exc_info()[1]  # this is called on the way out
            if isinstance(error, LimitError):
                self._observer.limit_reached(error)
            self._observer.run_ended(run.number, error)
        if run.log_id:
            from llmspell.bridge import run_log

            run_log.left(run, sys.exc_info()[1])
        run.close()
        if self._tape is not None:
            self._tape.close()

    def _settled(self, run: Run, outcome: tuple[Any, ...], captured: Captured) -> ScriptResult:
        """The result, and the end of what it is recorded on or replayed from."""
        if self._tape is None:
            return self._result(run, outcome, captured)
        try:
            done = self._result(run, outcome, captured)
        except BaseException as error:
            self._tape.finish(error)
            raise
        self._tape.finish()
        return done

    @staticmethod
    def _result(run: Run, outcome: tuple[Any, ...], captured: Captured) -> ScriptResult:
        if outcome[0] == REFUSED:
            raise run.refused(*outcome[1:])
        result, code = None, 0
        try:
            result = run.settle(outcome)
        except ScriptExit as leave:
            code = leave.code
        except LLMSpellError as error:
            error.output = captured.getvalue().decode("utf-8", "replace")
            error.usage = run.usage
            error.sources = run.sources
            raise
        run.ended_as = ("nil" if result is None else type(result).__name__), code
        return ScriptResult(run, result, captured.getvalue().decode("utf-8", "replace"), code)

    async def execute_script(
        self,
        source: str | bytes,
        *,
        args: Any = (),
        named: Mapping[str, Any] | None = None,
        path: str | None = None,
        name: str | None = None,
    ) -> ScriptResult:
        """Runs a script on the running event loop, to its end.

        args: texts, as `ARGS` gives them. named: more fields of `ARGS`, over those of *args*: plain data as JSON has
        it; as in `JSON.parse`, an object's nulls are left out. path: where the script is, for `require`; name: as
        shown in messages.
        Raises LLMSpellError: ScriptError for the script's own errors, LimitError, whatever a model call raised and
        nobody caught. Cancelled, it closes what the script has open, lets `<close>` variables run, and ends.
        """
        run, main, captured = self._begin(source, args, path, name, named=named)
        try:
            await run.place()
            run.engine.preempting = self._tape is None
            outcome = run.engine.resume(main, None, run.args)
            if not run.is_over(outcome):
                outcome = await self._drive(run, main, outcome)
            return self._settled(run, outcome, captured)
        finally:
            self._end(run)

    @staticmethod
    async def _drive(run: Run, main: int, outcome: tuple[Any, ...]) -> tuple[Any, ...]:
        driver = run.fibers()
        try:
            return await driver.drive(main, outcome)
        finally:
            driver.report_unawaited()

    def run(
        self,
        source: str | bytes,
        *,
        args: Any = (),
        path: str | None = None,
        name: str | None = None,
        expression: bool = False,
    ) -> ScriptResult:
        """The same without an event loop: one is made only if the script waits. Closes the runtime afterwards.

        expression: the source may be an expression, such as `1 + 1`, whose values are then the result. Not with
        *isolation*.
        """
        if expression and self._pool is not None:
            raise ValidationError("ScriptRuntime: `expression` does not go with `isolation`")
        run, main, captured = self._begin(source, args, path, name, expression=expression)
        try:
            run.place_now()
            outcome = run.first(main)
            if not run.is_over(outcome):
                outcome = self._run_loop(run, main, outcome)
            return self._settled(run, outcome, captured)
        finally:
            self._end(run)

    def _run_loop(self, run: Run, main: int, outcome: tuple[Any, ...]) -> tuple[Any, ...]:
        import asyncio

        if asyncio._get_running_loop() is not None:
            raise RuntimeError("`run` was called inside a running event loop: use `await runtime.execute_script(…)`")

        async def work() -> tuple[Any, ...]:
            try:
                return await self._drive(run, main, outcome)
            finally:
                await self.leave_loop()

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work())

    async def leave_loop(self) -> None:
        """`aclose`, where the event loop was made for this runtime and ends with it."""
        await self.aclose()
        if self._providers is not None:  # its owner's; but what it opened here ends with this loop
            await self._providers.disconnect()

    def interrupt(self, error: LLMSpellError | None = None, grace: float = CLOSE_GRACE) -> None:
        """Stops every script of this runtime, now and from now on. From any thread, and from a signal's handler.

        grace: seconds that `<close>` variables have.
        """
        why = error or RunCancelledError("the run was stopped")
        self._interrupted = why, grace
        for run in list(self._runs):
            run.stop(why, grace)

    def soon(self, work: Callable[[], None]) -> bool:
        """Has *work* done on the thread of a script that runs, from any other thread; whether one waits there."""
        for run in list(self._runs):
            if (driver := run.driver) is not None and driver.loop is not None:
                try:
                    driver.loop.call_soon_threadsafe(work)
                except RuntimeError:  # the loop is closed
                    continue
                return True
        return False

    def stand_still(self) -> None:
        """Scripts that run have all the time until `go_on`: a person is asked. To be called on the event loop."""
        for run in self._runs:
            run.stand_still()

    def go_on(self) -> None:
        """Their limits of time hold again, each so much later."""
        for run in self._runs:
            run.go_on()

    async def aclose(self) -> None:
        """Closes connections and models. Scripts that still run are stopped."""
        for run in list(self._runs):
            run.stop(RunCancelledError("the runtime was closed"))
        while self._state_files:
            self._state_files.popitem()[1].close()
        if self._owns_providers and self._providers is not None:
            manager, self._providers = self._providers, None
            await manager.aclose()

    async def __aenter__(self) -> ScriptRuntime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _way(interrupts: str) -> str:
    """One of INTERRUPTS: a slip there would leave a script that nothing stops. Raises ValidationError."""
    if interrupts not in INTERRUPTS:
        known = ", ".join(f'"{word}"' for word in INTERRUPTS)
        raise ValidationError(f"ScriptRuntime: `interrupts` is {interrupts!r}", hint=f"it is one of {known}")
    return interrupts


def _loop_factory() -> Any:
    """uvloop's loop where it is there."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
