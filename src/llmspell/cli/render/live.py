"""The live view: answers as they come, on a terminal's standard error, gone without a trace when they end.

Imports rich, so it is itself imported only where standard error is a terminal (and not TERM=dumb).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from llmspell.cli.render.terminal import cell_width, char_width, harmless, style
from llmspell.types.price import dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from rich.console import Console

    from llmspell.types.usage import Usage

__all__ = ["LiveView", "summary"]

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII_FRAMES = "|/-\\"
_FRAMES_A_SECOND = 10
_BETWEEN = 0.05  # seconds between two drawings that only text asks for: eyes need no more, and drawing costs a ms
_KEPT_ROWS = 500
_KEPT_TEXT = 16_384  # characters of a call's text that are kept, to wrap them anew when the width changes
_MOST_LABEL = 120
_TAB = "    "
_LOOKS = {"reasoning": "dim italic", "text": ""}

Row = tuple[str, str]  # what a line holds, and its look


def _split(line: str, width: int) -> tuple[str, str | None]:
    """As much of *line* as fits, broken at a space if there is one, and the rest; None where all of it fits."""
    used = space = 0
    before = ""
    for index, char in enumerate(line):
        wide = char_width(char)
        if char == "\ufe0f":  # makes an emoji of the sign before it, which some terminals then draw twice as wide
            wide = 1 if before and char_width(before) == 1 else 0
        if used + wide > width:
            if char == " ":
                return line[:index], line[index + 1 :]
            if space:
                return line[:space], line[space + 1 :]
            end = index - 1 if char == "\ufe0f" and index > 1 else index
            return line[:end], line[end:]
        if char == " " and index:
            space = index
        used += wide
        before = char
    return line, None


def _cut(text: str, width: int, sign: str) -> str:
    if cell_width(text) <= width:
        return text
    if width <= len(sign):
        return sign[:width]
    row, _ = _split(text.replace(" ", "\u00a0"), width - len(sign))
    return row.replace("\u00a0", " ") + sign


_AGAIN = " — "  # between a call's label and why it is asked again


class _Block:
    """One call's part of the view: its text in rows, wrapped as it comes."""

    __slots__ = ("_kept", "_pieces", "label", "line", "look", "rows", "started", "width")

    def __init__(self, label: str, started: float, width: int) -> None:
        self.label = label
        self.started = started
        self.width = width
        self.rows: deque[Row] = deque(maxlen=_KEPT_ROWS)
        self.line = ""  # the last row, which is still being written
        self.look = ""
        self._pieces: deque[Row] = deque()
        self._kept = 0

    @property
    def waits(self) -> bool:
        return not self._pieces

    def add(self, text: str, look: str) -> None:
        """Takes in harmless *text*."""
        text = text[-_KEPT_TEXT:]
        self._pieces.append((text, look))
        self._kept += len(text)
        while self._kept > 2 * _KEPT_TEXT:
            self._kept -= len(self._pieces.popleft()[0])
        self._wrap(text, look)

    def fit(self, width: int) -> None:
        """Wraps anew where the width has changed."""
        if width == self.width:
            return
        self.width = width
        self.rows.clear()
        self.line = ""
        for text, look in self._pieces:
            self._wrap(text, look)

    def _wrap(self, text: str, look: str) -> None:
        if look != self.look and self.line:
            self.rows.append((self.line, self.look))
            self.line = ""
        self.look = look
        first = True
        for piece in text.split("\n"):
            if not first:
                self.rows.append((self.line, look))
                self.line = ""
            first = False
            self._grow(piece)
            while not (len(self.line) <= self.width and self.line.isascii()):
                row, rest = _split(self.line, self.width)
                if rest is None:
                    break
                self.rows.append((row, look))
                self.line = ""
                self._grow(rest)

    def _grow(self, text: str) -> None:
        # A mark that has nothing to stand on would be drawn onto the end of the line above.
        alone = not self.line and text and char_width(text[0]) == 0
        self.line += " " + text if alone else text

    def height(self) -> int:
        return len(self.rows) + (1 if self.line else 0) or 1

    def last(self, count: int) -> list[Row]:
        """The last *count* rows."""
        shown: list[Row] = [(self.line, self.look)] if self.line or not self.rows else []
        missing = min(count - len(shown), len(self.rows))
        return [self.rows[index] for index in range(len(self.rows) - missing, len(self.rows))] + shown


class LiveView:
    """What is shown of the calls in flight: a spinner until a call's first token, then the text as it comes.

    One block a call, never higher than the terminal less one line, cleared when the last call has ended. For one
    event loop's thread; starts no thread: `tick` moves the spinner, so call it about ten times a second while calls
    are in flight. A `call_id` is whatever tells calls apart; one that is not known is passed over. Where the terminal
    fails (it was closed) the view goes away and nothing is raised.

    Put `pause` and `resume` around every write to the terminal that is not the view's own, and `close` in a
    `finally`: until then the cursor may be hidden.
    """

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._unicode = not console.options.ascii_only
        self._sign = "…" if self._unicode else "..."
        self._blocks: dict[Hashable, _Block] = {}  # in the order in which the calls began
        self._live: Live | None = None  # while something is drawn
        self._drawn_at = float("-inf")
        self._stale = False
        self._paused = False
        self._mid_line = False
        self._closed = False
        # rich's own would exit the process, and put the null device in the place of standard output before it does.
        console.on_broken_pipe = self._fail  # type: ignore[method-assign]

    # What happens

    def call_started(self, call_id: Hashable, label: str) -> None:
        """A call was sent; *label* tells its model."""
        shown = harmless(label[:_MOST_LABEL], keep_newlines=False, unicode=self._unicode).replace("\t", " ")
        self._blocks[call_id] = _Block(shown, self._clock(), self._width())
        self._changed()

    def text(self, call_id: Hashable, text: str) -> None:
        """A piece of a call's answer came."""
        self._add(call_id, text, _LOOKS["text"])

    def reasoning(self, call_id: Hashable, text: str) -> None:
        """A piece of a call's reasoning came."""
        self._add(call_id, text, _LOOKS["reasoning"])

    def again(self, call_id: Hashable, why: str = "") -> None:
        """A call begins anew: what it has said goes, and *why* stands beside its label until it answers."""
        block = self._blocks.get(call_id)
        if block is not None:
            label = block.label.partition(_AGAIN)[0]
            if why:
                why = harmless(why[:_MOST_LABEL], keep_newlines=False, unicode=self._unicode).replace("\t", " ")
                label = f"{label}{_AGAIN}{why}"
            self._blocks[call_id] = _Block(label, self._clock(), self._width())
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
        """Time has passed: moves the spinner, and draws what was put off."""
        if self._stale or any(block.waits for block in self._blocks.values()):
            self._draw()

    # The screen

    @property
    def drawn(self) -> bool:
        """Whether anything of it is on the screen. May be asked from any thread."""
        return self._live is not None

    def pause(self) -> None:
        """Clears the view, before something else is written to the terminal."""
        self._paused = True
        self._clear()

    def resume(self, *, at_line_start: bool = True) -> None:
        """What was written stands: the view comes back, now or with the next tick.

        at_line_start: whether what was written ended its line. Where it did not, the view stays away until a later
        `resume` says that it did, since it would have to erase the line's beginning.
        """
        self._paused = False
        self._mid_line = not at_line_start
        self._changed()

    def close(self) -> None:
        """Clears the view and shows the cursor. Safe to call twice; what is called later does nothing."""
        self._blocks.clear()
        self._clear()
        self._closed = True

    def _add(self, call_id: Hashable, text: str, look: str) -> None:
        block = self._blocks.get(call_id)
        if block is None or not text:
            return
        first = block.waits
        shown = harmless(text[-_KEPT_TEXT:].replace("\r", ""), unicode=self._unicode).replace("\t", _TAB)
        if not shown:
            return
        if first:
            block.label = block.label.partition(_AGAIN)[0]
        block.add(shown, look)
        self._changed(at_once=first and len(self._blocks) == 1)

    def _changed(self, *, at_once: bool = False) -> None:
        """Draws, unless that was done a moment ago: then the next tick does."""
        if not self._blocks or at_once or self._clock() - self._drawn_at >= _BETWEEN:
            self._draw()
        else:
            self._stale = True

    def _draw(self) -> None:
        if self._closed or self._paused or self._mid_line or not self._blocks:
            self._clear()
            return
        self._stale = False
        self._drawn_at = self._clock()
        view = Text(no_wrap=True, overflow="ignore")
        for index, (row, look) in enumerate(self._rows()):
            view.append("\n" + row if index else row, look or None)
        try:
            if self._live is None:
                # A new one each time: an old one would erase lines where it last was.
                self._live = Live(
                    console=self._console,
                    auto_refresh=False,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                    vertical_overflow="crop",
                )
                self._live.start()
            self._live.update(view, refresh=True)
        except (OSError, ValueError):
            self._fail()

    def _clear(self) -> None:
        live, self._live = self._live, None
        if live is None:
            return
        try:
            live.update(Text(""))  # rich draws once more before it erases: nothing, then
            live.stop()
        except (OSError, ValueError):
            self._fail()

    def _fail(self) -> None:
        """The terminal is gone."""
        self._closed = True
        self._live = None
        self._blocks.clear()

    # What is drawn

    def _width(self) -> int:
        # One column is spared: terminals differ about the width of the newest emoji, and a line that wraps by itself
        # would be left behind when the view is cleared.
        return max(self._console.width - 1, 2)

    def _rows(self) -> list[Row]:
        """The view, line by line."""
        width, most = self._width(), max(self._console.height - 1, 1)
        labelled = len(self._blocks) > 1
        shown: list[_Block] = []
        least = 0
        for index, block in enumerate(self._blocks.values()):
            needs = 2 if labelled and not block.waits else 1
            more_follow = index + 1 < len(self._blocks)
            if least + needs + (1 if more_follow else 0) > most:
                break
            least += needs
            shown.append(block)
        missing = len(self._blocks) - len(shown)
        rows: list[Row] = []
        for block, height in zip(shown, self._share(shown, most - least - (1 if missing else 0), width), strict=True):
            if block.waits:
                rows.append(self._spinner(block, width))
                continue
            if labelled:
                rows.append((_cut(block.label, width, self._sign), "bold"))
            rows += block.last(height)
        if missing:
            what = f"{self._sign} {missing} more in flight" if shown else f"{missing} in flight"
            rows.append((_cut(what, width, self._sign), "dim"))
        return rows

    def _share(self, blocks: list[_Block], spare: int, width: int) -> list[int]:
        """How many rows of text each block gets: one, and its fair part of the *spare* ones."""
        heights = [1] * len(blocks)
        wants = []
        for index, block in enumerate(blocks):
            block.fit(width)
            if not block.waits:
                wants.append((block.height() - 1, index))
        wants.sort()
        for done, (want, index) in enumerate(wants):
            given = min(want, spare // (len(wants) - done))
            heights[index] += given
            spare -= given
        return heights

    def _spinner(self, block: _Block, width: int) -> Row:
        now = self._clock()
        frames = _FRAMES if self._unicode else _ASCII_FRAMES
        frame = frames[int(now * _FRAMES_A_SECOND) % len(frames)]
        seconds = f" {max(now - block.started, 0.0):.1f} s"
        label = _cut(block.label, max(width - 2 - len(seconds), 1), self._sign)
        return _cut(f"{frame} {label}{seconds}", width, self._sign), "dim"


# The line at the end


def summary(
    usage: Usage | None,
    seconds: float,
    *,
    first_token: float | None = None,
    writing: float | None = None,
    colour: bool = False,
    unicode: bool = True,
) -> str:
    """The line at the end of a run, dim where *colour* is: tokens, rate, time to the first token, time in all, cost.

    seconds: of the whole run. first_token: seconds from the first request to the first token. writing: seconds in
    which tokens came, all calls' together; without it there is the time after the first token. What is not known is
    left out, and a cost of nothing.
    """
    parts: list[str] = []
    read = usage.input_tokens if usage is not None else None
    written = usage.output_tokens if usage is not None else None
    if read is not None:
        parts.append(f"{read:,} tokens in")
    if written is not None:
        parts.append(f"{written:,} out" if parts else f"{written:,} tokens out")
        during = writing if writing is not None else seconds - (first_token or 0.0)
        if written > 1 and during > 0.001:
            rate = written / during
            parts.append(f"{rate:,.1f} tokens/s" if rate < 100 else f"{rate:,.0f} tokens/s")
    if first_token is not None:
        parts.append(f"first token {_duration(first_token)}")
    parts.append(_duration(seconds))
    if usage is not None and usage.cost_usd:
        parts.append(dollars(usage.cost_usd))
    line = (" · " if unicode else ", ").join(parts)
    return style(line, "dim") if colour else line


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
