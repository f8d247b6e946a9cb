"""`--ask`: a person at the terminal says whether what was not granted may be done."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from llmspell.cli.render.terminal import harmless, is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.tools.permissions import Wanted

__all__ = ["Prompt"]

ANSWERS = {"y": "once", "yes": "once", "a": "always", "always": "always"}
TERMINAL = "/dev/tty"  # not standard input, which may be the script, or its data
#: A script may have left the terminal so that a question is not seen whole: gives it all lines to scroll, breaks of
#: long lines, its plain look and letters.
PLAIN = "\x1b7\x1b[r\x1b8\x1b[?7h\x1b[0m\x1b(B\x0f"


class Prompt:
    """Asks one question at a time; where nobody looks at standard error, or there is no terminal, the answer is no.

    before, after: are called around a question, so that nothing else is written meanwhile; afterwards the cursor stands
    at the start of a line.
    """

    def __init__(self, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None) -> None:
        self._before, self._after = before, after

    async def __call__(self, wanted: Wanted) -> str:
        if not is_terminal(sys.stderr):  # a program that runs this one may have a terminal all the same
            return "no"
        try:
            terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return "no"
        self._before()
        answer = ""
        try:
            _drop_typed(terminal)  # what was typed before is no answer
            os.write(terminal, _question(wanted).encode())
            answer = await _line(terminal)
        except OSError:  # the terminal is gone
            pass
        finally:
            if not answer.endswith("\n"):  # the end of input, or of the run
                with suppress(OSError):
                    os.write(terminal, b"\n")
            os.close(terminal)
            self._after()
        return ANSWERS.get(answer.strip().lower(), "no")


def _question(wanted: Wanted) -> str:
    plain = "" if os.environ.get("TERM", "dumb") == "dumb" else PLAIN
    always = "always, whatever it is called with" if wanted.capability == "call" else "always in this run"
    told = harmless(str(wanted), keep_newlines=False)
    return f"{plain}{told}\n  allow it? y = this once, a = {always}, else no: "


def _drop_typed(terminal: int) -> None:
    try:
        import termios

        termios.tcflush(terminal, termios.TCIFLUSH)
    except (ImportError, OSError):
        pass


async def _line(terminal: int) -> str:
    """The next line that is typed; empty at the end of input. Cancelled, it leaves nothing behind."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(terminal, readable)
    try:
        await ready
    finally:
        loop.remove_reader(terminal)
    return os.read(terminal, 1024).decode("utf-8", "replace")
