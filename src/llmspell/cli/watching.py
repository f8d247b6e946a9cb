"""What a person sees of a run with `--stream` on a terminal: the live view, fed by the run's model calls."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from llmspell.bridge.observer import Observer
from llmspell.cli.render import terminal
from llmspell.types.streaming import Control, Reasoning, StructuredText, Text, ToolCallProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from llmspell.bridge.runtime import ScriptResult
    from llmspell.cli.render.live import LiveView
    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["TerminalObserver"]

TICK = 0.05  # seconds between two looks whether there is something to draw
MOST_VALUE = 60  # characters that are shown of one argument of a tool


def _why(details: Mapping[str, Any]) -> str:
    """Why a call is made again, for the spinner."""
    if "error" not in details:
        return ""
    what = "" if "model" in details else f"attempt {details['attempt']}: "
    return f"{what}{details['error']}"


def _called(tool: ToolCall) -> str:
    """A tool with what it is given, for its row."""
    import json

    told = []
    for name, value in (tool.arguments or {}).items():
        text = json.dumps(value[:MOST_VALUE] if isinstance(value, str) else value, ensure_ascii=False, default=str)
        told.append(f"{name}: {text if len(text) <= MOST_VALUE + 2 else text[:MOST_VALUE] + '...'}")
    return f"{tool.name}({', '.join(told)})"


class TerminalObserver(Observer):
    """Shows calls in flight on standard error. reasoning: whether the models' is shown, too."""

    def __init__(self, *, colour: bool, reasoning: bool = True) -> None:
        self._reasoning = reasoning
        self._look = terminal.look(sys.stderr, no_color=not colour)
        self._dumb = os.environ.get("TERM", "") in ("dumb", "")
        self._shared = terminal.is_terminal(sys.stdout)  # the script writes to the same screen
        self._view: LiveView | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._in_flight: dict[str, float] = {}
        self._steps: set[str] = set()  # of workflows, that run now
        self._held = False
        self._taken: set[str] = set()
        self._cut_off: deque[BaseException] = deque(maxlen=100)  # what ended calls whose text the view has shown
        self._first_call: float | None = None
        self._first_token: float | None = None
        self._writing = 0.0  # seconds between first token and end, all calls together
        self._token_at: dict[str, float] = {}

    # ---- model calls

    def _open(self) -> LiveView | None:
        if self._view is None and not self._dumb:
            from llmspell.cli.render.live import LiveView
            from llmspell.cli.render.painter import Painter

            # The size is the terminal's own, and not what COLUMNS was when somebody exported it.
            painter = Painter(sys.stderr, lambda: terminal.terminal_size(sys.stderr, {}), colour=self._look.colour)
            self._view = LiveView(painter, monotonic, unicode=self._look.unicode, reasoning=self._reasoning)
            if self._held:
                self._view.pause()
        return self._view

    @property
    def drawn(self) -> bool:
        """Whether the view is on the screen now. From any thread."""
        return self._view is not None and self._view.drawn

    def call_started(self, call: str, label: str) -> None:
        now = monotonic()
        self._first_call = self._first_call or now
        self._in_flight[call] = now
        view = self._open()
        if view is not None:
            view.call_started(call, label)
            if self._ticker is None:
                self._tick()

    def _tick(self) -> None:
        if self._view is None or not (self._in_flight or self._steps):
            self._ticker = None
            return
        self._view.tick()
        self._ticker = asyncio.get_running_loop().call_later(TICK, self._tick)

    def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
        for chunk in batch:
            content = chunk.content
            if isinstance(content, Text | Reasoning | StructuredText):
                self._note_token(call)
                if owned:
                    self._take(call)
                elif self._view is not None:
                    show = self._view.reasoning if isinstance(content, Reasoning) else self._view.text
                    show(call, content.text)
            elif self._view is not None and isinstance(content, Control):
                self._controlled(self._view, call, content)
            elif self._view is not None and isinstance(content, ToolCallProgress) and content.name:
                self._view.waits(call, f"calling {content.name}")  # its arguments may take a model long to write

    def _controlled(self, view: LiveView, call: str, control: Control) -> None:
        told = control.details or {}
        if control.message == "retry":
            view.again(call, _why(told), wait=float(told.get("wait", 0)), model=str(told.get("model", "")))
        elif control.message == "heartbeat" and "tool_id" in told:
            view.tool_told(call, str(told["tool_id"]), str(told.get("text", "")))

    def _note_token(self, call: str) -> None:
        if call not in self._token_at:
            now = self._token_at[call] = monotonic()
            if self._first_token is None and self._first_call is not None:
                self._first_token = now - self._first_call

    def _take(self, call: str) -> None:
        """The script reads this stream itself: what it shows of it is its own affair."""
        if call not in self._taken:
            self._taken.add(call)
            if self._view is not None:
                self._view.take_screen(call)

    def tool_started(self, call: str, tool: ToolCall) -> None:
        if self._view is not None:
            self._view.tool_started(call, tool.id, _called(tool))

    def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
        if self._view is not None:
            self._view.tool_ended(call, tool.id, seconds, tool.error)

    def call_ended(self, call: str, error: BaseException | None) -> None:
        self._in_flight.pop(call, None)
        if error is not None and call not in self._taken:
            self._cut_off.append(error)
        self._taken.discard(call)
        first = self._token_at.pop(call, None)
        if first is not None:
            self._writing += monotonic() - first
        if self._view is not None:
            self._view.call_ended(call)

    # ---- steps of workflows: a line each, with its seconds

    def step_started(self, step: str, workflow: str, name: str, kind: str) -> None:
        self._steps.add(step)
        view = self._open()
        if view is not None:
            view.call_started(("step", step), f"{workflow} · {name}")
            if self._ticker is None:
                self._tick()

    def step_ended(self, step: str, told: Mapping[str, Any]) -> None:
        self._steps.discard(step)
        if self._view is not None:
            self._view.call_ended(("step", step))

    def has_shown(self, error: BaseException) -> bool:
        """Whether what came before *error* was shown here, and by nobody else."""
        return any(one is error for one in self._cut_off)

    # ---- the script's own reads and writes

    def before_read(self) -> None:
        if self._view is not None and not self._held and terminal.is_terminal(sys.stdin):
            self._view.pause()

    def after_read(self) -> None:
        if self._view is not None and not self._held and terminal.is_terminal(sys.stdin):
            self._view.resume()

    def before_write(self, fd: int) -> None:
        if self._view is not None and not self._held and (fd == 2 or self._shared):
            self._view.pause()

    def after_write(self, fd: int, data: bytes) -> None:
        if self._view is not None and not self._held and (fd == 2 or self._shared):
            self._view.resume(at_line_start=data.endswith(b"\n"))

    def hold(self) -> None:
        """Takes the view away until `release`: a person is asked something, and what the script writes is kept back."""
        self._held = True
        if self._view is not None:
            self._view.pause()

    def release(self, *, at_line_start: bool) -> None:
        """What stands on the terminal now stays."""
        self._held = False
        if self._view is not None:
            self._view.resume(at_line_start=at_line_start)

    # ---- the end

    def summary(self, done: ScriptResult) -> None:
        """One dim line: tokens, rate, times, cost. Nothing for a run without a model call."""
        self.close()
        if not done.calls:
            return
        from llmspell.cli.render.summary import summary
        from llmspell.types.usage import Usage

        line = summary(
            Usage(**done.usage),  # type: ignore[arg-type]
            done.seconds,
            first_token=self._first_token,
            writing=self._writing or None,
            colour=self._look.colour,
            unicode=self._look.unicode,
        )
        sys.stderr.write(line + "\n")

    def close(self) -> None:
        """Clears the view and gives the terminal back."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        if self._view is not None:
            self._view.close()

    def give_back(self) -> None:
        """The same for good, from another thread, in the middle of things."""
        if self._view is not None:
            self._view.give_back()

    def suspend(self, while_gone: Callable[[], None] | None) -> None:
        """Gives the terminal back while *while_gone* runs. From any thread but the run's. None: see `LiveView`."""
        if self._view is not None:
            self._view.suspend(while_gone)
        elif while_gone is not None:
            while_gone()
