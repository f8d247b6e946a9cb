"""`--ask`: a person at the terminal says whether what was not granted may be done."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from llmspell.cli.render.terminal import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.tools.permissions import Wanted

__all__ = ["Prompt"]

ANSWERS = {"y": "once", "yes": "once", "a": "always", "always": "always"}
TERMINAL = "/dev/tty"  # not standard input, which may be the script, or its data


class Prompt:
    """Asks one question at a time; where there is no terminal, the answer is no.

    before, after: are called around a question, so that a live view makes room.
    """

    def __init__(self, before: Callable[[], object], after: Callable[[], object] | None = None) -> None:
        self._before, self._after = before, after

    async def __call__(self, wanted: Wanted) -> str:
        try:
            terminal = os.open(TERMINAL, os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return "no"
        try:
            self._before()
            told = harmless(str(wanted), keep_newlines=False)
            question = f"{told}\n  allow it? y = this once, a = always in this run, else no: "
            _drop_typed(terminal)  # what was typed before is no answer
            os.write(terminal, question.encode())
            return ANSWERS.get((await _line(terminal)).strip().lower(), "no")
        finally:
            os.close(terminal)
            if self._after is not None:
                self._after()


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
