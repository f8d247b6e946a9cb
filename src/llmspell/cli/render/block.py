"""One call's part of the live view: its text, its reasoning and its tools, in rows, wrapped as they come."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from llmspell.cli.render.cells import cut, expand_tabs, live_text, settle, split
from llmspell.cli.render.terminal import char_width, harmless

if TYPE_CHECKING:
    from llmspell.cli.render.painter import Row

__all__ = ["Block", "Signs", "one_row"]

KEPT_ROWS = 1000
KEPT_TEXT = 16_384  # characters of a call's text that are kept, to wrap them anew when the width changes
MOST_LABEL = 300
REASONING = "dim italic"
NARROW = 12  # columns, below which reasoning has no bar beside it


class Signs:
    """What the view is drawn with, where the terminal has it, and in ASCII."""

    def __init__(self, *, unicode: bool) -> None:
        self.unicode = unicode
        self.frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if unicode else "|/-\\"
        self.more = "…" if unicode else "..."
        self.dash = "—" if unicode else "-"
        self.done = "✓" if unicode else "+"
        self.failed = "✗" if unicode else "x"
        self.bar = "│ " if unicode else "| "

    def frame(self, now: float) -> str:
        """How the spinner looks at *now*: it turns once a second."""
        return self.frames[int(now * 10) % len(self.frames)]


def one_row(text: str, signs: Signs) -> str:
    """*text* in one harmless row, not yet cut."""
    return harmless(text[:MOST_LABEL], keep_newlines=False, unicode=signs.unicode).replace("\t", " ")


class ToolRow:
    """A tool that was called: one row, with its time."""

    __slots__ = ("error", "indent", "name", "seconds", "started", "told")

    def __init__(self, name: str, started: float, indent: str) -> None:
        self.name, self.started, self.indent = name, started, indent
        self.told = ""  # how far it is, in its own words
        self.seconds: float | None = None
        self.error: str | None = None

    def row(self, now: float, width: int, signs: Signs) -> Row:
        """As it looks at *now*."""
        if self.seconds is None:
            told = f"{self.indent}{signs.frame(now)} {self.name}"
            if self.told:
                told += f" {signs.dash} {self.told}"
            return with_time(told, now - self.started, width, signs), ""
        mark = signs.done if self.error is None else signs.failed
        told = f"{self.indent}{mark} {self.name}"
        if self.error is None:
            return with_time(told, self.seconds, width, signs), "dim"
        time = _seconds(self.seconds)
        return cut(f"{cut(told, max(width // 2, 8), signs.more)} {time}: {self.error}", width, signs.more), "red"


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f} s"


def with_time(text: str, seconds: float, width: int, signs: Signs) -> str:
    """*text*, cut so that the seconds after it are seen."""
    time = f" {_seconds(seconds)}"
    return cut(cut(text, max(width - len(time), 1), signs.more) + time, width, signs.more)


class Block:
    """One call, or one step of a workflow. width: in which its rows are wrapped."""

    def __init__(self, label: str, started: float, width: int, signs: Signs) -> None:
        self.label = one_row(label, signs)
        self.waits_since: float | None = started  # None while text comes, or tools run
        self.why = ""  # what it waits for, where that is no first token
        self.until: float | None = None  # when it is asked again
        self._width, self._signs = width, signs
        self._rows: deque[Row | ToolRow] = deque(maxlen=KEPT_ROWS)
        self._line = ""  # the last row, which is still being written
        self._look = ""
        self._pieces: deque[Row | ToolRow] = deque()  # all that is kept, to wrap it anew
        self._kept = 0
        self._fresh: list[Row] = []  # came since the last drawing
        self._fresh_size = 0
        self._running: dict[str, ToolRow] = {}

    # ---- what comes

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show of it but that it waits."""
        return not self._pieces and not self._fresh

    @property
    def moves(self) -> bool:
        """Whether it looks different with time."""
        return self.waits_since is not None or bool(self._running)

    def add(self, text: str, look: str) -> None:
        """A piece of text; what it looks like is found when it is drawn, and only for what may still be seen."""
        self.waits_since, self.why, self.until = None, "", None
        self._fresh.append((text, look))
        self._fresh_size += len(text)
        if self._fresh_size > 4 * KEPT_TEXT and len(self._fresh) > 1:
            self._settle()

    def tool_started(self, key: str, name: str, now: float) -> None:
        """A tool runs from *now* on; a *key* of one that runs, a dot and more is called by that one."""
        self._settle()
        self._end_line()
        above = self._running.get(key.rpartition(".")[0])
        indent = "" if above is None else above.indent + "  "
        tool = self._running[key] = ToolRow(one_row(name, self._signs), now, indent)
        self._rows.append(tool)
        self._pieces.append(tool)
        self._kept += len(tool.name)
        self.waits_since, self.why, self.until = None, "", None

    def tool_told(self, key: str, text: str) -> None:
        """A tool says how far it is."""
        if (tool := self._running.get(key)) is not None:
            tool.told = one_row(text, self._signs)

    def tool_ended(self, key: str, seconds: float, error: str | None, now: float) -> None:
        """It has ended; where it was the last that ran, the model is waited for."""
        tool = self._running.pop(key, None)
        if tool is None:
            return
        tool.seconds = seconds
        tool.error = None if error is None else one_row(error, self._signs)
        if not self._running:
            self.waits_since = now

    def again(self, why: str, until: float | None, now: float) -> None:
        """What was said since the last tool is void, and the model waited for anew."""
        self._settle()
        while self._pieces and not isinstance(last := self._pieces[-1], ToolRow):
            self._kept -= len(last[0])
            self._pieces.pop()
        self._wrap_all()
        self.wait(why, now)
        self.until = until

    def wait(self, why: str, now: float) -> None:
        """It waits for *why*."""
        self.waits_since = now if self.waits_since is None else self.waits_since
        self.why = one_row(why, self._signs)

    # ---- its rows

    def fit(self, width: int) -> None:
        """Takes in what came, and wraps all anew where the width has changed."""
        self._settle()
        if width != self._width:
            self._width = width
            self._wrap_all()

    def height(self) -> int:
        """How many rows it has in all."""
        return len(self._rows) + bool(self._line) + (self.waits_since is not None) or 1

    def last(self, count: int, now: float, *, labelled: bool) -> list[Row]:
        """The last *count* rows. labelled: its label stands above them."""
        shown: list[Row] = []
        if self._line:
            shown.append(self._dressed(self._line, self._look))
        if self.waits_since is not None:
            shown.append(self.spinner(now, labelled=labelled))
        missing = min(count - len(shown), len(self._rows))
        if missing < 0:
            return shown[-count:]
        rows = [self._rows[index] for index in range(len(self._rows) - missing, len(self._rows))]
        width, signs = self._width, self._signs
        above = [one.row(now, width, signs) if isinstance(one, ToolRow) else self._dressed(*one) for one in rows]
        return (above + shown) or [("", "")]

    def spinner(self, now: float, *, labelled: bool = False) -> Row:
        """The row that says what it waits for, and since when."""
        since = now if self.waits_since is None else self.waits_since
        why = self.why
        if self.until is not None and self.until > now:
            attempt, colon, reason = why.partition(": ")
            why = f"{attempt} in {_seconds(self.until - now)}{colon}{reason}"
        signs = self._signs
        told = [part for part in ("" if labelled else self.label, why) if part]
        return with_time(
            " ".join([signs.frame(now), f" {signs.dash} ".join(told)]).rstrip(), now - since, self._width, signs
        ), "dim"

    def _dressed(self, text: str, look: str) -> Row:
        return (self._signs.bar + text, look) if look == REASONING and self._width >= NARROW else (text, look)

    def _room(self, look: str) -> int:
        return self._width - len(self._signs.bar) if look == REASONING and self._width >= NARROW else self._width

    def _settle(self) -> None:
        """Wraps what came since the last time: of more than is kept, the end."""
        if not self._fresh:
            return
        fresh, self._fresh, self._fresh_size = self._fresh, [], 0
        pieces: list[tuple[list[str], str]] = []
        for text, look in fresh:
            if pieces and pieces[-1][1] == look:
                pieces[-1][0].append(text)
            else:
                pieces.append(([text], look))
        for texts, look in pieces:
            text = live_text("".join(texts)[-KEPT_TEXT:], unicode=self._signs.unicode)
            self._pieces.append((text, look))
            self._kept += len(text)
            self._wrap(text, look)
        while self._kept > 2 * KEPT_TEXT and len(self._pieces) > 1:
            gone = self._pieces.popleft()
            self._kept -= len(gone.name if isinstance(gone, ToolRow) else gone[0])

    def _wrap_all(self) -> None:
        self._rows.clear()
        self._line = ""
        for piece in self._pieces:
            if isinstance(piece, ToolRow):
                self._end_line()
                self._rows.append(piece)
            else:
                self._wrap(*piece)

    def _end_line(self) -> None:
        if self._line:
            self._rows.append((self._line, self._look))
            self._line = ""

    def _wrap(self, text: str, look: str) -> None:
        if look != self._look:
            self._end_line()
        self._look = look
        width = self._room(look)
        first = True
        for piece in text.split("\n"):
            if not first:
                self._rows.append((self._line, look))
                self._line = ""
            first = False
            self._grow(expand_tabs(self._line, piece) if "\t" in piece else piece)
            while not (len(self._line) <= width and self._line.isascii()):
                row, rest = split(self._line, width)
                if rest is None:
                    break
                self._rows.append((row, look))
                self._line = ""
                self._grow(rest)

    def _grow(self, text: str) -> None:
        # A mark that has nothing to stand on would be drawn onto the end of the line above.
        alone = not self._line and text and char_width(text[0]) == 0
        line = self._line + (" " + text if alone else text)
        self._line = settle(line)
