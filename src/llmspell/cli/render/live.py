"""The live view: answers as they come, on a terminal's standard error, gone without a trace when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.cli.render.block import REASONING, Block, Signs, one_row
from llmspell.cli.render.cells import cut
from llmspell.cli.render.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from llmspell.cli.render.painter import Painter, Row

__all__ = ["LiveView", "summary"]

_BETWEEN = 0.05  # seconds between two drawings that only text asks for: eyes need no more


class LiveView:
    """What is shown of the calls in flight: a spinner until a call's first token, then the text as it comes.

    One block a call, never higher than the terminal less one line, cleared when the last call has ended. For one
    event loop's thread; starts no thread: `tick` moves the spinner, so call it ten to twenty times a second while
    calls are in flight. A `call_id` is whatever tells calls apart; one that is not known is passed over. Where the
    terminal fails (it was closed) the view goes away and nothing is raised.

    Put `pause` and `resume` around every write to the terminal that is not the view's own, and `close` in a
    `finally`: until then the cursor may be hidden.

    reasoning: whether it is shown, or only that there is some.
    """

    def __init__(
        self, painter: Painter, clock: Callable[[], float], *, unicode: bool = True, reasoning: bool = True
    ) -> None:
        self._painter = painter
        self._clock = clock
        self._signs = Signs(unicode=unicode)
        self._reasons = reasoning
        self._blocks: dict[Hashable, Block] = {}  # in the order in which the calls began
        self._drawn_at = float("-inf")
        self._written_at = float("-inf")  # by somebody else
        self._stale = False
        self._paused = False
        self._mid_line = False
        self._closed = False

    # ---- what happens

    def call_started(self, call_id: Hashable, label: str) -> None:
        """A call was sent; *label* tells its model."""
        self._blocks[call_id] = Block(label, self._clock(), self._painter.size()[0], self._signs)
        self._changed()

    def text(self, call_id: Hashable, text: str) -> None:
        """A piece of a call's answer came."""
        self._add(call_id, text, "")

    def reasoning(self, call_id: Hashable, text: str) -> None:
        """A piece of a call's reasoning came."""
        if self._reasons:
            self._add(call_id, text, REASONING)
        else:
            self.waits(call_id, "thinking")

    def waits(self, call_id: Hashable, why: str) -> None:
        """A call is at something that is not shown: *why* says what."""
        block = self._blocks.get(call_id)
        if block is not None and (block.waits_since is None or block.why != one_row(why, self._signs)):
            block.wait(why, self._clock())
            self._changed()

    def again(self, call_id: Hashable, why: str = "", *, wait: float = 0.0, model: str = "") -> None:
        """A call begins anew, *wait* seconds from now: what it has said goes, and *why* stands there until it answers.

        why: "attempt 2: what was wrong". model: another one that is asked now.
        """
        block = self._blocks.get(call_id)
        if block is not None:
            now = self._clock()
            if model:
                agent, dot, _ = block.label.partition(" · ")
                block.label = one_row(f"{agent}{dot}{model}" if dot else model, self._signs)
            block.again(why, now + wait if wait else None, now)
            self._changed()

    def tool_started(self, call_id: Hashable, tool: str, name: str) -> None:
        """A tool runs that a call's model has asked for; name: with what it is given.

        *tool* tells it from others; with a dot and more behind that of one that runs, it is called by that one.
        """
        if (block := self._blocks.get(call_id)) is not None:
            block.tool_started(tool, name, self._clock())
            self._changed()

    def tool_told(self, call_id: Hashable, tool: str, text: str) -> None:
        """A tool that runs says how far it is."""
        if (block := self._blocks.get(call_id)) is not None:
            block.tool_told(tool, text)
            self._changed()

    def tool_ended(self, call_id: Hashable, tool: str, seconds: float, error: str | None) -> None:
        """It has ended. error: how it failed."""
        if (block := self._blocks.get(call_id)) is not None:
            block.tool_ended(tool, seconds, error, self._clock())
            self._changed()

    def call_ended(self, call_id: Hashable) -> None:
        """A call is over, however it ended: its block goes."""
        if self._blocks.pop(call_id, None) is not None:
            self._changed()

    def take_screen(self, call_id: Hashable) -> None:
        """The script reads this call's stream itself: its block goes at once and for good."""
        if self._blocks.pop(call_id, None) is not None:
            self._clear()
            self._stale = True

    def tick(self) -> None:
        """Time has passed: moves the spinner, and draws what was put off, or anew where the terminal's size changed."""
        if self._clock() - self._written_at < _BETWEEN:
            return
        if self._stale or self._painter.resized or any(block.moves for block in self._blocks.values()):
            self._draw()

    # ---- the screen

    @property
    def drawn(self) -> bool:
        """Whether anything of it is on the screen. May be asked from any thread."""
        return self._painter.drawn

    def pause(self) -> None:
        """Clears the view, before something else is written to the terminal."""
        self._paused = True
        self._clear()

    def resume(self, *, at_line_start: bool = True) -> None:
        """What was written stands: the view comes back, now or with a later tick.

        Later where much is written: a view that comes and goes between two lines would only flicker.
        at_line_start: whether what was written ended its line. Where it did not, the view stays away until a later
        `resume` says that it did, since it would have to erase the line's beginning.
        """
        before, self._written_at = self._written_at, self._clock()
        self._paused = False
        self._mid_line = not at_line_start
        if self._written_at - before >= _BETWEEN:
            self._draw()
        else:
            self._stale = True

    def suspend(self, while_gone: Callable[[], None] | None) -> None:
        """Takes the view away while *while_gone* runs. From any thread but the view's own; it comes back by itself.

        None: somebody else has had the terminal meanwhile, and the view is drawn anew.
        """
        if while_gone is None:
            self._painter.forget()
        else:
            self._painter.suspend(while_gone)
        self._stale = True

    def give_back(self) -> None:
        """Clears the view for good. From any thread but the view's own: the process is about to end."""
        self._painter.ended = True
        self._painter.suspend(lambda: None)

    def close(self) -> None:
        """Clears the view and shows the cursor. Safe to call twice; what is called later does nothing."""
        self._blocks.clear()
        self._clear()
        self._closed = True

    def _add(self, call_id: Hashable, text: str, look: str) -> None:
        block = self._blocks.get(call_id)
        if block is None or not text:
            return
        first = block.empty
        block.add(text, look)
        self._changed(at_once=first and len(self._blocks) == 1)

    def _changed(self, *, at_once: bool = False) -> None:
        """Draws, unless that was done a moment ago: then the next tick does."""
        now = self._clock()
        if not self._blocks or at_once or (now - self._drawn_at >= _BETWEEN and now - self._written_at >= _BETWEEN):
            self._draw()
        else:
            self._stale = True

    def _draw(self) -> None:
        if self._closed or self._paused or self._mid_line or not self._blocks:
            self._clear()
            return
        now = self._clock()
        self._stale = False
        self._drawn_at = now
        try:
            self._painter.paint(self._rows(now))
        except (OSError, ValueError):
            self._fail()

    def _clear(self) -> None:
        try:
            self._painter.clear()
        except (OSError, ValueError):
            self._fail()

    def _fail(self) -> None:
        """The terminal is gone."""
        self._closed = True
        self._blocks.clear()

    # ---- what is drawn

    def _rows(self, now: float) -> list[Row]:
        """The view, row by row."""
        width, most = self._painter.size()
        labelled = len(self._blocks) > 1
        shown: list[Block] = []
        least = 0
        for index, block in enumerate(self._blocks.values()):
            needs = 2 if labelled and not block.empty else 1
            more_follow = index + 1 < len(self._blocks)
            if least + needs + (1 if more_follow else 0) > most:
                break
            least += needs
            shown.append(block)
        missing = len(self._blocks) - len(shown)
        rows: list[Row] = []
        for block, height in zip(shown, _share(shown, most - least - (1 if missing else 0), width), strict=True):
            if block.empty:
                rows.append(block.spinner(now))
                continue
            if labelled:
                rows.append((cut(block.label, width, self._signs.more), "bold"))
            rows += block.last(height, now, labelled=labelled)
        if missing:
            what = f"{self._signs.more} {missing} more in flight" if shown else f"{missing} in flight"
            rows.append((cut(what, width, self._signs.more), "dim"))
        return rows


def _share(blocks: list[Block], spare: int, width: int) -> list[int]:
    """How many rows each block gets below its label: one, and its fair part of the *spare* ones."""
    heights = [1] * len(blocks)
    wants = []
    for index, block in enumerate(blocks):
        block.fit(width)
        if not block.empty:
            wants.append((block.height() - 1, index))
    wants.sort()
    for done, (want, index) in enumerate(wants):
        given = min(want, spare // (len(wants) - done))
        heights[index] += given
        spare -= given
    return heights
