"""What a script writes to a terminal, on its way there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llmspell.bridge.output import Sink
    from llmspell.cli.commands.run import Command

__all__ = ["Shown"]

MOST_KEPT_BACK = 1 << 20  # bytes, beyond which lines of the log are dropped


class Shown:
    """A sink whose text stands on the terminal. `line_start` of *screen*: whether its last line was ended, where
    *counts*: standard error is on a terminal, too.

    While a person is asked, it is kept back: a script could write over the question, and another in its place.
    """

    def __init__(self, screen: Command, out: Sink, *, counts: bool) -> None:
        self._screen, self._out, self._counts = screen, out, counts
        self._kept_back = bytearray()

    def write(self, data: bytes, /) -> None:
        if self._screen.asking:
            self._kept_back += data
            return
        self._out.write(data)
        if data and self._counts:
            self._screen.line_start = data.endswith(b"\n")

    def flush(self) -> None:
        self._out.flush()

    def log(self, line: bytes) -> None:
        """A line of the host's, while a person is asked; nothing else bounds how many there are."""
        if len(self._kept_back) < MOST_KEPT_BACK:
            ended = not self._kept_back or self._kept_back.endswith(b"\n")
            self._kept_back += line if ended else b"\n" + line

    def let_go(self) -> None:
        """Writes what was kept back."""
        data, self._kept_back = bytes(self._kept_back), bytearray()
        if data:
            self.write(data)
            self.flush()
