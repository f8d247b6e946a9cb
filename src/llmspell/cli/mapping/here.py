"""Rows in this process: many runs of one script at once, which share providers, limits and State."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.agents.meter import Meter
from llmspell.bridge.output import Captured
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.cli.mapping.outcome import Outcome
from llmspell.errors import ConfigError, InternalError, LLMSpellError, ValidationError, one_line
from llmspell.providers.manager import ProviderManager
from llmspell.tools.permissions import Permissions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from llmspell.bridge.runtime import ScriptResult
    from llmspell.config.loader import Config
    from llmspell.workflows.state import StateStore

__all__ = ["Here", "Script"]

MOST_TOLD = 1 << 16  # bytes of what a script writes to standard error, of one row


class Script(NamedTuple):
    """What is run over each row. path: None where it came from standard input; args: as after `--`."""

    name: str
    text: bytes
    path: str | None
    args: list[str]
    model: str | None = None
    provider: str | None = None


class Here:
    """Runs rows on the running event loop. Raises ConfigError where the configuration or the default model is wrong.

    tell(row, text): a line that a script wrote to standard error, or to its log. meter: see ScriptRuntime.
    """

    def __init__(
        self, script: Script, config: Config, tell: Callable[[int, str], None], *, meter: Meter | None = None
    ) -> None:
        self.script = script
        self._config = config
        self._tell = tell
        self._meter = meter
        self._manager = ProviderManager(config.providers(), config.get("providers.default"))
        most = config.get("runtime.max_concurrency")
        self._slots: AbstractAsyncContextManager[Any] = asyncio.Semaphore(most) if most else nullcontext()
        try:
            self._permissions = Permissions.of(config.permissions())
        except ValidationError as error:
            raise ConfigError(error.message, hint=error.hint, cause=error) from None
        self._state = _kept_state(config, script.path)
        self._running: dict[int, ScriptRuntime] = {}
        self._stopped_by: LLMSpellError | None = None
        if script.model or script.provider:
            self._manager.resolve(script.model, script.provider)

    async def open(self) -> None:
        """Raises ScriptError where the script is not Lua."""
        self.check()

    def check(self) -> None:
        """Raises ScriptError where the script is not Lua."""
        self._runtime(0, Captured()).check(self.script.text, name=self.script.name)

    async def run(self, number: int, value: Any) -> Outcome:
        """The script over one row. Never raises, but where it is cancelled."""
        said = Captured()
        runtime = self._running[number] = self._runtime(number, said)
        script = self.script
        try:
            done = await runtime.execute_script(
                script.text, args=script.args, named=_named(number, value), path=script.path, name=script.name
            )
            outcome = _outcome(done)
        except LLMSpellError as error:
            outcome = self._failed(error)
        except Exception as error:
            outcome = self._failed(InternalError(one_line(f"{type(error).__name__}: {error}"), cause=error))
        finally:
            del self._running[number]
            self._pass_on(number, said)
        return outcome

    def _runtime(self, number: int, said: Captured) -> ScriptRuntime:
        """One a row, so that what it logs and writes is known as its own, and it can be stopped alone."""

        def log(level: str, message: str, fields: dict[str, Any] | None) -> None:
            from llmspell.bridge.calls.log import line_of

            if level != "debug":
                self._tell(number, f"{level}: {line_of(message, fields)}")

        return ScriptRuntime(
            self._config,
            stderr=said,
            model=self.script.model,
            provider=self.script.provider,
            providers=self._manager,
            permissions=self._permissions,
            state=self._state,
            meter=self._meter,
            slots=self._slots,
            log=log,
        )

    def _pass_on(self, number: int, said: Captured) -> None:
        data = said.getvalue()
        for line in data[:MOST_TOLD].decode("utf-8", "replace").splitlines():
            self._tell(number, line)
        if len(data) > MOST_TOLD:
            self._tell(number, f"… and {len(data) - MOST_TOLD:,} bytes more")

    def _failed(self, error: LLMSpellError) -> Outcome:
        why = self._stopped_by
        stopped = why is not None and (error.kind, error.message) == (why.kind, why.message)
        outcome = Outcome(None, error.to_dict(), error.output, error.usage or {}, stopped=stopped)
        return outcome._replace(stopped=stopped or outcome.met_limit)

    def stop(self, error: LLMSpellError) -> None:
        """Ends what runs now with *error*."""
        self._stopped_by = error
        for runtime in list(self._running.values()):
            runtime.interrupt(error)

    async def aclose(self) -> None:
        """To be called once no row runs."""
        await self._manager.aclose()
        close = getattr(self._state, "close", None)
        if close is not None:
            close()


def _named(number: int, value: Any) -> dict[str, Any]:
    """What a row is in `ARGS`: its fields by their names, and all of it."""
    fields = value if isinstance(value, dict) else {}
    return {**fields, "row": value, "row_number": number}


def _kept_state(config: Config, script: str | None) -> StateStore | None:
    """Where `State` is kept beyond a row, as in ScriptRuntime; None: each row has its own."""
    if config.get("state.backend") == "memory":
        return None
    from llmspell.config.discovery import state_file
    from llmspell.workflows.state_file import SqliteState

    return SqliteState(config.get("state.path") or state_file(os.environ, script))


def _outcome(done: ScriptResult) -> Outcome:
    told = Outcome(done.result, None, done.output, done.usage, done.seconds)
    if done.exit_code:
        message = f"the script ended itself with the exit code {done.exit_code}"
        error = {"kind": "script", "message": message, "hint": None, "retryable": False, "exit_code": done.exit_code}
        told = told._replace(result=None, error=error)
    return told
