"""What a recording and a replay have in common: how a run hears of the world, one thing after the other.

A run is a function of what reaches it: answers, waits that are over, clocks, chance, standard input. All of that goes
through a Tape. Clocks, chance and input are values, read one after the other. Answers and waits are events: they are
handed out one at a time, and the next one only once everything that the last one set off has come to rest. So their
order alone says how concurrent streams interleave, and the same order again gives the same run.

A Recorder (recorder.py) hands out events as they come, and writes them down; a Player (player.py) as they were
written. Between two events time stands still: what is stamped has the time at which its event was handed out.
"""

from __future__ import annotations

import asyncio
import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.utils.async_utils import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.errors import LLMSpellError
    from llmspell.providers.base import ProviderInstance
    from llmspell.providers.tape.file import Entry

__all__ = ["QUIET", "Tape"]

QUIET = 12  # turns of the loop in which an event's consequences come to rest: a callback, a task, a task of its own …


class Tape:
    """One run's, or one session's of plain agents. Belongs to one event loop once it is used.

    head: the recording's. at: seconds since the start, when the event was handed out whose consequences now run.
    busy: ask whether somebody still works on the last event; others: whether work is done that is no event's.
    stop: ends the run, with an error that no script catches.
    """

    replaying = False

    def __init__(self, path: str, head: Entry) -> None:
        self.path = path
        self.head = head
        self.started: float = head["started"]
        self.at = 0.0
        self.busy: list[Callable[[], bool]] = []
        self.others: list[Callable[[], bool]] = []
        self._begun = False
        self.stop: Callable[[LLMSpellError], None] | None = None
        self.failed: LLMSpellError | None = None  # what makes the run fail, even if the script catches it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pumping = False
        self._still = 0  # turns in which nothing was to be done

    def begin(self, script: str, args: list[str]) -> None:
        """A script is started. Raises ValidationError: it is the second one."""
        if self._begun:
            raise ValidationError("a recording is of one run", hint="make another runtime for the next one")
        self._begun = True

    # ---- time, and what is read

    def now(self) -> float:
        """Seconds since the epoch, at the event that was handed out last."""
        return self.started + self.at

    def value(self, source: str, read: Callable[[], Any]) -> Any:
        """What *read* gives, a plain value; in a replay, what it gave. source: what it is called in the recording."""
        raise NotImplementedError

    def stream_id(self) -> str:
        """A new stream's."""
        return str(self.value("stream_id", lambda: "stream-" + os.urandom(6).hex()))

    def fail(self, error: LLMSpellError) -> LLMSpellError:
        """Remembers that the run has failed, whatever the script makes of it, and ends it; gives *error*."""
        self.failed = self.failed or error
        if self.stop is not None:
            self.stop(error)
        return error

    # ---- providers

    def note_default(self, find: Callable[[], str]) -> str:
        """The provider that answers where none is named."""
        raise NotImplementedError

    def settings(self, configured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The settings of providers that hold for this run."""
        return configured

    def wrap(self, provider: ProviderInstance, settings: dict[str, Any]) -> ProviderInstance:
        """The provider that is asked in place of *provider*."""
        raise NotImplementedError

    # ---- waits

    def timer(self, seconds: float, fire: Callable[[], object], background: bool = False) -> Callable[[], object]:
        """Calls *fire* on the loop after so many seconds; gives what cancels it. background: nobody waits for it."""
        raise NotImplementedError

    def clock(self) -> Clock:
        """Of waits between attempts: their time, and their chance."""
        usual = Clock()
        return Clock(self.now, self.sleep, lambda: float(self.value("chance", usual.chance)))

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        cancel = self.timer(seconds, partial(_settle, over))
        try:
            await over
        finally:
            cancel()

    # ---- one event at a time

    def kick(self) -> None:
        """Something may be to be handed out."""
        if not self._pumping:
            self._pumping = True
            self._still = 0
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        assert self._loop is not None
        if any(ask() for ask in self.busy):
            self._still = 0
        elif self._still < QUIET:
            self._still += 1
        else:
            pause = self._hand_out()
            self._still = 0
            if pause is None:
                self._pumping = False
                return
            if pause:
                self._loop.call_later(pause, self._turn)
                return
        self._loop.call_soon(self._turn)

    def _hand_out(self) -> float | None:
        """Hands out an event; gives how many seconds to wait before looking again, None where there is nothing."""
        raise NotImplementedError

    # ---- the end

    def finish(self, error: BaseException | None = None) -> None:
        """The run has ended, with *error*. Raises where that is no end for a run without one."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives back the file."""


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def whole_seconds(seconds: float) -> float:
    """As a recording has it: no infinity there."""
    return round(seconds, 6) if math.isfinite(seconds) else 1e9
