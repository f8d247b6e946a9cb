"""How far `llmspell map` has come: a line that is drawn anew on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.cli.render import terminal
from llmspell.types.price import dollars

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from rich.live import Live

    from llmspell.cli.mapping.runner import Counts

__all__ = ["Progress", "drawn", "duration", "plain", "words"]

FIRST, OFTEN, SELDOM = 10.0, 30.0, 60.0  # seconds before the first plain line, between two, and after five minutes
MOST_TOLD = 20  # failed rows that are told one by one
SHOW_CURSOR = b"\x1b[?25h"
FRAMES = 0.1  # seconds between two drawings


def duration(seconds: float) -> str:
    """For people: 0:07, 12:05, 1:02:03; above four days, days."""
    whole = round(seconds)
    if whole > 4 * 86400:
        return f"{whole // 86400} days"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def words(counts: Counts, *, over: bool = False) -> list[str]:
    """What there is to say, the more important first. over: nothing more is done."""
    total = counts.guess()
    if over and total == counts.finished:
        total = None
    about = "" if counts.total is not None else "about "
    of = "" if total is None else f" of {about}{total:,}"
    told = [f"{counts.finished:,}{of} row{'' if counts.finished == 1 and not of else 's'}"]
    if counts.failed:
        told.append(f"{counts.failed:,} failed")
    if counts.finished > counts.kept:
        told.append(f"{_rate(counts.rate)} rows/s")
    left = counts.left()
    if left is not None and not over:
        told.append(f"{duration(left)} left")
    if counts.tokens:
        told.append(f"{counts.tokens:,} tokens")
    if counts.cost_usd:
        told.append(dollars(counts.cost_usd))
    return told


def plain(counts: Counts, *, over: bool = False) -> str:
    """The line for a pipe."""
    return "map: " + ", ".join(words(counts, over=over))


def drawn(counts: Counts, width: int, unicode: bool) -> tuple[str, str]:
    """The bar and the words beside it, in *width* columns together; what has no room is left out."""
    told, between = words(counts), " · " if unicode else ", "
    total = counts.guess()
    cells = 0 if total is None or width < 40 else 20 if width >= 80 else 8
    room = width - 1 - (cells + 1 if cells else 0)
    while len(told) > 1 and len(between.join(told)) > room:
        told.pop()
    text = between.join(told)[: max(room, 0)]
    if not cells or total is None:
        return "", text
    full = min(round(cells * counts.finished / max(total, 1)), cells)
    done, rest = ("━", "─") if unicode else ("#", "-")
    return done * full + rest * (cells - full) + " ", text


class Progress:
    """Tells of *counts* on standard error. quiet: a program reads it, so nothing is told but what scripts write.

    shared: standard output is on the same terminal.
    """

    def __init__(
        self, counts: Counts, *, quiet: bool, no_color: bool = False, shared: bool = False, out: TextIO | None = None
    ) -> None:
        self._counts = counts
        self._out = out or sys.stderr
        self._quiet = quiet
        self._look = terminal.look(self._out, no_color=no_color)
        dumb = os.environ.get("TERM", "") in ("dumb", "") or bool(os.environ.get("CI"))
        self._draws = not quiet and terminal.is_terminal(self._out) and not dumb
        self.shared = shared and self._draws
        self._live: Live | None = None
        self._next = monotonic() + (0.0 if self._draws else FIRST)
        self._told = 0
        self._begun = monotonic()

    @property
    def draws(self) -> bool:
        """Whether it is a line that is drawn anew."""
        return self._draws

    def tick(self) -> None:
        """To be called often: draws, or tells, where it is time."""
        now = monotonic()
        if self._quiet or now < self._next:
            return
        if self._draws:
            self._next = now + FRAMES
            self._draw()
        else:
            self._next = now + (OFTEN if now - self._begun < 300 else SELDOM)
            self._write(plain(self._counts))

    def _draw(self) -> None:
        from rich.text import Text

        width = terminal.terminal_size(self._out, os.environ)[0]
        bar, told = drawn(self._counts, width, self._look.unicode)
        text = Text(no_wrap=True, overflow="crop")
        text.append(bar, style="cyan")
        text.append(told)
        if self._live is None:
            self._live = self._open()
        self._live.update(text, refresh=True)

    def _open(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._out, no_color=not self._look.colour, highlight=False, force_terminal=True)
        live = Live(console=console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        live.start()
        return live

    def hide(self) -> None:
        """Takes away what is drawn, until the next `tick`. Safe to call at any time."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def failed(self, row: int, error: dict[str, Any]) -> None:
        """A row has failed: says so, of the first few."""
        self._told += 1
        if self._quiet or self._told > MOST_TOLD + 1:
            return
        if self._told == MOST_TOLD + 1:
            self.say("more rows fail: they are not told one by one")
            return
        self.say(f"row {row}: error[{error['kind']}]: {error['message']}")

    def row(self, row: int, text: str) -> None:
        """A line that the script wrote over a row."""
        self.say(f"row {row}: {text}")

    def note(self, text: str) -> None:
        """A line of llmspell's own, for a person."""
        if not self._quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """A line of its own, whatever comes from outside made harmless."""
        self.hide()
        self._write(terminal.harmless(text, keep_newlines=False, unicode=self._look.unicode))

    def _write(self, line: str) -> None:
        try:
            self._out.write(line + "\n")
            self._out.flush()
        except (OSError, ValueError):  # nobody can be told: the rows are what matters
            self._quiet = True

    def before_exit(self) -> None:
        """The process ends in the middle of things: the cursor shows again."""
        if self._live is not None:
            os.write(2, b"\r\x1b[K" + SHOW_CURSOR)

    def around(self, work: Callable[[], None]) -> None:
        """Does *work*, which writes to the same terminal, while nothing is drawn."""
        if self.shared:
            self.hide()
        work()
