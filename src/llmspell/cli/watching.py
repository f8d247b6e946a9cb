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
from llmspell.types.streaming import Control, Reasoning, StructuredText, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from llmspell.bridge.runtime import ScriptResult
    from llmspell.cli.render.live import LiveView
    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["TerminalObserver"]

TICK = 0.1  # seconds between two looks of the spinner
MOST_SHOWN = 5  # tools that are named beside a call
SHOW_CURSOR = b"\x1b[?25h"


def _why(details: Mapping[str, Any]) -> str:
    """Why a call is made again, for the spinner."""
    if "error" not in details:
        return ""
    if "model" in details:
        return f"asking {details['model']}: {details['error']}"
    return f"again in {details['wait']:.3g} s: {details['error']}"


class TerminalObserver(Observer):
    """Shows calls in flight on standard error. rich is imported when the first call is sent."""

    def __init__(self, *, colour: bool) -> None:
        self._look = terminal.look(sys.stderr, no_color=not colour)
        self._dumb = os.environ.get("TERM", "") in ("dumb", "")
        self._shared = terminal.is_terminal(sys.stdout)  # the script writes to the same screen
        self._view: LiveView | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._in_flight: dict[str, float] = {}
        self._steps: set[str] = set()  # of workflows, that run now
        self._held = False
        self._taken: set[str] = set()
        self._tools: dict[str, list[str]] = {}  # names of those that run, by call
        self._cut_off: deque[BaseException] = deque(maxlen=100)  # what ended calls whose text the view has shown
        self._first_call: float | None = None
        self._first_token: float | None = None
        self._writing = 0.0  # seconds between first token and end, all calls together
        self._token_at: dict[str, float] = {}

    # ---- model calls

    def _open(self) -> LiveView | None:
        if self._view is None and not self._dumb:
            from rich.console import Console

            from llmspell.cli.render.live import LiveView

            # Without colour, none of the sequences that set a look: `no_color` would leave bold and dim.
            console = Console(stderr=True, color_system="auto" if self._look.colour else None, highlight=False)
            self._view = LiveView(console, monotonic)
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
            elif isinstance(content, Control) and content.message == "retry" and self._view is not None:
                self._view.again(call, _why(content.details or {}))

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
        self._tools.setdefault(call, []).append(tool.name)
        self._show_tools(call)

    def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
        running = self._tools.get(call, [])
        if tool.name in running:
            running.remove(tool.name)
        self._show_tools(call)

    def _show_tools(self, call: str) -> None:
        """In the place of what the model said before it called them."""
        if self._view is not None:
            running = self._tools.get(call, [])
            self._view.again(call, f"running {', '.join(running[:MOST_SHOWN])}" if running else "")

    def call_ended(self, call: str, error: BaseException | None) -> None:
        self._in_flight.pop(call, None)
        self._tools.pop(call, None)
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

    # ---- the script's own writes

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
        from llmspell.cli.render.live import summary
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
        """The same, as far as it can be done from another thread while the view is being drawn."""
        if self._view is not None:
            os.write(2, SHOW_CURSOR + b"\n")
