"""The progress of a fetch: a bar on a terminal, a line at its start and end elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from llmspell.cli.render.echo import Echo, descriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from rich.progress import Progress

__all__ = ["Fetching", "size_words"]

MB = 1_000_000


def size_words(size: int) -> str:
    """Bytes, as a person reads them: "93 MB", "5.2 GB"."""
    if size < MB:
        return f"{size} B" if size < 1000 else f"{size / 1000:.0f} kB"
    return f"{size / MB:.0f} MB" if size < 1000 * MB else f"{size / (1000 * MB):.1f} GB"


class Fetching:
    """Shows one fetch at a time. bar: standard error is a terminal. pause, resume: of whatever else draws there.
    what: is fetched, in a few harmless words."""

    def __init__(
        self,
        *,
        bar: bool,
        colour: bool = True,
        out: TextIO | None = None,
        pause: Callable[[], None] | None = None,
        resume: Callable[[], None] | None = None,
        what: str = "the embedded model",
    ) -> None:
        self._what = what
        self._bar, self._colour = bar, colour
        self._out = out or sys.stderr
        self._pause, self._resume = pause, resume
        self._progress: Progress | None = None
        self._echo = Echo(descriptor(self._out) if bar else None)
        self._started = False

    def progress(self, done: int, total: int) -> None:
        """*done* of *total* bytes are here; equal once, at the end. The total may rise."""
        if not self._started:
            self._started = True
            if self._pause is not None:
                self._pause()
            if self._bar:
                self._progress = self._open(total)
            else:
                self._say(f"fetching {self._what} ({size_words(total)})")
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total, refresh=True)
        if done >= total:
            self.close(f"fetched {size_words(total)}")

    def _open(self, total: int) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        console = Console(file=self._out, no_color=not self._colour, highlight=False)
        bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
        bar.add_task(f"fetching {self._what}", total=total)
        self._echo.off()  # what is typed would move the bar's line
        bar.start()
        return bar

    def describe(self, text: str) -> None:
        """What is done meanwhile, in the bar's place of the name; nothing where there is no bar."""
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], description=f"{self._what}: {text}", refresh=True)

    def notify(self, text: str) -> None:
        """One line for a person."""
        if self._pause is not None:
            self._pause()
        self._say(text)
        if self._resume is not None:
            self._resume()

    def _say(self, text: str, end: str = "\n") -> None:
        self._out.write(text + end)
        self._out.flush()

    @property
    def drawn(self) -> bool:
        """Whether a bar is on the screen. May be asked from any thread."""
        return self._progress is not None

    def suspend(self, while_gone: Callable[[], None]) -> None:
        """Gives cursor and echo, which the bar takes, to somebody else while *while_gone* runs. From any thread."""
        if self._progress is None:
            while_gone()
            return
        self._echo.on()
        self._say("\x1b[?25h")
        while_gone()
        self._echo.off()
        self._say("\x1b[?25l", end="")

    def close(self, last: str | None = None) -> None:
        """Takes the bar away; *last* is a line to leave in its place. Safe to call twice."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._echo.on()
        if last is not None:
            self._say(last)
        if self._started:
            self._started = False
            if self._resume is not None:
                self._resume()
