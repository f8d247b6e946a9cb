"""What a person sees of an answer in a conversation: a spinner, reasoning apart, the text as it comes, tools, a last
line. Draws by itself, without rich: an answer is only ever added to.

Standard output has the answer, and nothing else; all around it goes to standard error, where that is a terminal.
"""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from llmspell.cli.render import terminal
from llmspell.cli.render.terminal import cell_width, char_width, harmless, is_terminal, style
from llmspell.cli.render.wrapping import ERASE, Pen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

__all__ = ["ChatView", "cut"]

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
FRAMES, ASCII_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
FRAMES_A_SECOND = 10
SETTLES = 0.5  # seconds without a new piece after which the last word is taken as whole
MOST_LABEL = 200  # characters of what stands beside the spinner


def cut(text: str, width: int, *, unicode: bool = True) -> str:
    """*text* on one line of *width* columns, harmless, with a sign where something is missing."""
    text = harmless(text[: 4 * width], keep_newlines=False, unicode=unicode).replace("\t", " ")
    if cell_width(text) <= width:
        return text
    sign = "…" if unicode else "..."
    used, kept = 0, ""
    for char in text:
        used += 1 if char == "\ufe0f" else char_width(char)
        if used > width - len(sign):
            break
        kept += char
    return (kept + sign)[:width]


class ChatView:
    """Shows one answer after another. out, aside: standard output and error.

    OSError where the answer cannot be written; what cannot be written beside it is dropped.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        aside: TextIO | None = None,
        *,
        no_color: bool = False,
        hide_reasoning: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._out, self._aside = out or sys.stdout, aside or sys.stderr
        self.live, self.told = is_terminal(self._out), is_terminal(self._aside)
        self.look = terminal.look(self._aside, no_color=no_color)
        self._out_look = terminal.look(self._out, no_color=no_color)
        self._steers = os.environ.get("TERM", "") not in ("dumb", "")
        self._hide_reasoning = hide_reasoning
        self._clock = clock
        self._pen: Pen | None = None  # of what is being written
        self._thinking = False  # whether that is reasoning
        self._raw_open = False  # standard output is no terminal, and its last line has not ended
        self._label, self._since, self._came_at = "", 0.0, 0.0
        self._spins = self._drawn = self._held = False

    # ---- the spinner

    def waits(self, label: str, *, since: float | None = None) -> None:
        """Something is waited for: a spinner with *label* and the seconds, until something comes."""
        self._label, self._spins = label[:MOST_LABEL], True
        self._since = self._clock() if since is None else since
        self.tick()

    @property
    def since(self) -> float:
        """When the spinner began."""
        return self._since

    def tick(self) -> None:
        """Time has passed: the spinner turns; a word that was held back is shown, if nothing has come for a while."""
        if self._pen is not None and self._clock() - self._came_at >= SETTLES:
            held = self._pen.settle()
            self._say(held) if self._thinking else self._write(self._out, held)
        if not self._spins or self._held or not self.told or not self._steers or self._mid_line():
            return
        now = self._clock()
        frames = FRAMES if self.look.unicode else ASCII_FRAMES
        frame = frames[int(now * FRAMES_A_SECOND) % len(frames)]
        seconds = f" {max(now - self._since, 0.0):.1f} s"
        label = cut(self._label, max(self._width() - 3 - len(seconds), 1), unicode=self.look.unicode)
        row = cut(f"{frame} {label}{seconds}", self._width() - 1, unicode=self.look.unicode)
        self._say(("" if self._drawn else HIDE_CURSOR) + ERASE + self._dim(row))
        self._drawn = True

    def _mid_line(self) -> bool:
        return self._pen is not None and not self._pen.at_line_start

    def clear(self) -> None:
        """Takes the spinner off the screen, until the next `tick`."""
        if self._drawn:
            self._drawn = False
            self._say(ERASE + SHOW_CURSOR)

    def hold(self) -> None:
        """The screen stands still until `release`: a person is asked something there."""
        self.end_line()
        self.clear()
        self._held = True

    def release(self) -> None:
        self._held = False

    # ---- what comes

    def text(self, text: str) -> None:
        """A piece of the answer. Where standard output is no terminal, it gets it as it is."""
        if not text:
            return
        if not self.live:
            self._quiet()
            self._end_pen()
            self._write(self._out, text, "utf-8")
            self._raw_open = not text.endswith("\n")
            return
        self._quiet()
        if self._thinking:
            self._end_pen()
            if self.told:
                self._say("\n")
        if self._pen is None:
            look = self._out_look
            self._pen = Pen(lambda: self._width(self._out), steers=self._steers, unicode=look.unicode)
        self._write(self._out, self._pen.write(text))

    def reasoning(self, text: str) -> None:
        """A piece of the model's reasoning: dim, and behind a bar."""
        if self._hide_reasoning or not self.told or not text:
            return
        self._quiet()
        if not self._thinking:
            self.end_line()
            self._thinking = True
            self._pen = Pen(
                self._width,
                steers=self._steers,
                unicode=self.look.unicode,
                prefix="│ " if self.look.unicode else "| ",
                look="dim" if self.look.colour else "",
            )
        assert self._pen is not None
        self._say(self._pen.write(text))

    def line(self, text: str, *, look: str = "dim") -> None:
        """One line beside the answer, cut at the terminal's width."""
        if not self.told:
            return
        self.end_line()
        shown = cut(text, self._width() - 1, unicode=self.look.unicode)
        self._say((style(shown, look) if self.look.colour else shown) + "\n")

    def note(self, text: str) -> None:
        """A dim line beside the answer, all of it: on several rows where one is too narrow."""
        if self.told:
            self.end_line()
            look = "dim" if self.look.colour else ""
            pen = Pen(self._width, steers=self._steers, unicode=self.look.unicode, look=look)
            self._say(pen.write(text) + pen.finish())

    def end_line(self) -> None:
        """What comes next on the terminal begins a line of its own."""
        self.clear()
        self._end_pen()

    def end(self) -> None:
        """The answer, or this turn of it, is over: nothing of it is open, or drawn."""
        self._quiet()
        self._end_pen()
        if self._raw_open:
            self._raw_open = False
            self._write(self._out, "\n")

    def _end_pen(self) -> None:
        pen, thinking = self._pen, self._thinking
        self._pen, self._thinking = None, False
        if pen is not None and (rest := pen.finish()):
            if thinking:
                self._say(rest)
            else:
                self._write(self._out, rest)

    def _quiet(self) -> None:
        self._came_at = self._clock()
        self._spins = False
        self.clear()

    # ---- writing

    def _width(self, stream: TextIO | None = None) -> int:
        return terminal.terminal_size(stream or self._aside, os.environ)[0]

    def _dim(self, text: str) -> str:
        return style(text, "dim") if self.look.colour else text

    def _say(self, text: str) -> None:
        try:
            self._write(self._aside, text)
        except OSError:  # that terminal is gone
            self.told = False

    def _write(self, stream: TextIO, text: str, encoding: str = "") -> None:
        """All of it at once, in the stream's own letters where no others are meant."""
        if not text:
            return
        data = text.encode(encoding or stream.encoding or "utf-8", "replace")
        stream.buffer.write(data)
        stream.flush()
