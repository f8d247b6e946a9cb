"""What a host may watch of a run. All calls come on the run's thread, between two pieces of the script's work."""

from __future__ import annotations

import sys

from llmspell.errors import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["EVENTS", "Harmless", "Observer", "Observers"]


class Observer:
    """Does nothing; a host overrides what it wants to see. With an observer, every model call is streamed."""

    def run_started(self, run: str, script: str) -> None:
        """A script begins. *run*: its number, as text; *script*: as it is shown in messages.

        Called in the context (`contextvars`) that its calls inherit.
        """

    def run_ended(self, run: str, error: BaseException | None) -> None:
        """It is over. *error*: what ended it, where it did not come to its end."""

    def about_call(self, call: str, agent: str, provider: str, model: str) -> None:
        """Whose the call is that `call_started` tells of next: the agent's name, and who is asked for which model."""

    def call_started(self, call: str, label: str) -> None:
        """A model call was sent. *call*: its number, as text; *label*: the agent or model, for a person."""

    def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
        """Chunks came. *owned*: the script reads this stream itself, so what it shows is its own affair."""

    def call_ended(self, call: str, error: BaseException | None) -> None:
        """The call is over."""

    def tool_started(self, call: str, tool: ToolCall) -> None:
        """A tool begins that the model of *call* asked for."""

    def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
        """It has a result or an error, which *tool* has."""

    def retried(self, agent: str, details: Mapping[str, object]) -> None:
        """A request is tried again. details: attempt, wait (seconds), error, kind; model, where another is asked."""

    def limit_reached(self, error: BaseException) -> None:
        """A limit of the run's holds: what ends it, or the call that is not made. May be told more than once."""

    def step_started(self, step: str, workflow: str, name: str, kind: str) -> None:
        """A step of a workflow begins. *step*: its number, as text; *kind*: tool, agent, function or workflow."""

    def step_ended(self, step: str, told: Mapping[str, Any]) -> None:
        """It has ended: success, duration_ms, attempts; error where it failed; skipped where it was not to run."""

    def before_read(self) -> None:
        """The script waits for standard input, and all of the run with it."""

    def after_read(self) -> None:
        """Some came, or the end."""

    def before_write(self, fd: int) -> None:
        """The script is about to write to standard output (1) or error (2)."""

    def after_write(self, fd: int, data: bytes) -> None:
        """It has written *data*, or failed to."""


EVENTS = tuple(name for name in vars(Observer) if not name.startswith("_"))


class Observers(Observer):
    """Several at once, each told of all, also where one of them fails."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        for name in EVENTS:
            setattr(self, name, self._telling(name))

    def _telling(self, name: str) -> Callable[..., None]:
        methods = [getattr(observer, name) for observer in self._observers]

        def tell(*args: object) -> None:
            failure: Exception | None = None
            for method in methods:
                try:
                    method(*args)
                except Exception as error:
                    failure = failure or error
            if failure is not None:
                raise failure

        return tell


class Harmless(Observer):
    """Tells a host's *observer* of all, and the run nothing of its failures: the first of each method is logged."""

    def __init__(self, observer: Observer, log: Callable[[str, str, dict[str, Any] | None], None]) -> None:
        self._log = log
        self._failed: set[str] = set()
        for name in EVENTS:
            method = getattr(observer, name)
            if getattr(method, "__func__", None) is not getattr(Observer, name):  # which cannot fail, and costs less
                setattr(self, name, self._telling(name, method))

    def _telling(self, name: str, method: Callable[..., None]) -> Callable[..., None]:
        def tell(*args: object) -> None:
            try:
                method(*args)
            except Exception as error:
                if name not in self._failed:
                    self._failed.add(name)
                    told = one_line(f"{type(error).__name__}: {error}", 300)
                    self._log("warn", f"an observer failed in `{name}`: {told}", None)
                    if "logging" in sys.modules:  # else nobody listens
                        from llmspell.utils import logs

                        logs.tell("run", 30, "observer failed", {"method": name, **logs.error_fields(error)})

        return tell
