"""A run that is written down."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell._version import __version__
from llmspell.config.schema import KEY_SOURCES
from llmspell.errors import LLMSpellError, RunCancelledError
from llmspell.providers.tape.chunks import plain
from llmspell.providers.tape.file import Entry, Writer, bytes_entry
from llmspell.providers.tape.redaction import plain_settings
from llmspell.providers.tape.tape import Tape, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.providers.base import ProviderInstance

__all__ = ["Recorder"]

AT_ONCE = 200  # values that are gathered before they are written


class Recorder(Tape):
    """Writes to *path* as things happen; see file.Writer. about: goes into the head. Raises ConfigError."""

    def __init__(self, path: str, about: Entry) -> None:
        head = {"llmspell": __version__, **about, "started": round(time.time(), 6)}
        super().__init__(path, head)
        self._began = time.monotonic()
        self.writer = Writer(path, head)
        self._queue: deque[_Due] = deque()
        self._values: dict[str, list[Any]] = {}
        self._calls = self._timers = 0
        self._default: str | None = None
        self._known: set[str] = set()

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 6)

    def _write(self, entry: Entry) -> None:
        for source in list(self._values):
            self._write_values(source)
        self._put(entry)

    def _write_values(self, source: str) -> None:
        self._put({"do": "values", "of": source, "values": self._values.pop(source)})

    def _put(self, entry: Entry) -> None:
        try:
            self.writer.write(entry)
        except LLMSpellError as error:
            self.writer.close()
            self.fail(error)

    def begin(self, script: str, args: list[str]) -> None:
        super().begin(script, args)
        self._write({"do": "script", "name": printable(script), "args": [printable(arg) for arg in args]})

    # ---- values

    def value(self, source: str, read: Callable[[], Any]) -> Any:
        value = read()
        kept = self._values.setdefault(source, [])
        kept.append(bytes_entry(value) if isinstance(value, bytes) else value)
        if len(kept) >= AT_ONCE:
            self._write_values(source)
        return value

    # ---- providers

    def note_default(self, find: Callable[[], str]) -> str:
        default = find()
        if default != self._default:
            self._default = default
            self._write({"do": "default", "provider": default})
        return default

    def wrap(self, provider: ProviderInstance, settings: dict[str, Any]) -> ProviderInstance:
        from llmspell.providers.tape.recorded import recorded

        if provider.name not in self._known:
            self._known.add(provider.name)
            keyed = any(settings.get(name) for name in ("api_key", *KEY_SOURCES))
            told = {"name": provider.name, "default_model": provider.default_model, "keyed": keyed}
            key = settings.get("api_key")
            if isinstance(key, str) and key not in (provider.name, provider.type):
                self.writer.hide((key,))
            told_settings = plain(plain_settings({"type": provider.type, **settings}))
            self._write({"do": "provider", **told, "settings": told_settings})
        return recorded(provider, self)

    def request(self, entry: Entry) -> int:
        """A call's number: its request goes out now."""
        self._calls += 1
        self._write({"do": "request", "call": self._calls, "at": self._elapsed(), **entry})
        return self._calls

    # ---- events

    async def event(self, entry: Entry) -> None:
        """Waits until it is this event's turn, and writes it down. Cancelled before, it has never happened."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(_Due(entry, lambda: not turn.done(), lambda: turn.set_result(None)))
        self.kick()
        await turn

    def timer(self, seconds: float, fire: Callable[[], object], background: bool = False) -> Callable[[], object]:
        self._timers += 1
        number, live = self._timers, True
        self._write({"do": "wait", "timer": number, "at": self._elapsed(), "seconds": whole_seconds(seconds)})

        def over() -> None:
            self._queue.append(_Due({"do": "fired", "timer": number}, lambda: live, fire))
            self.kick()

        handle = asyncio.get_running_loop().call_later(seconds, over)

        def cancel() -> None:
            nonlocal live
            live = False
            handle.cancel()

        return cancel

    def _hand_out(self) -> float | None:
        while self._queue:
            due = self._queue.popleft()
            if due.is_wanted():
                self.at = self._elapsed()
                self._write({"do": due.entry["do"], "at": self.at} | due.entry)
                due.hand_out()
                return 0.0
        return None

    # ---- the end

    def finish(self, error: BaseException | None = None) -> None:
        """Marks the recording as whole, unless the run was stopped from outside. Raises what has kept it from that."""
        for source in list(self._values):
            self._write_values(source)
        if self.failed is not None and error is not self.failed:
            raise self.failed
        if not _is_from_outside(error):
            self._write({"do": "done", "at": self._elapsed()})
        self.close()

    def close(self) -> None:
        self.writer.close()


def _is_from_outside(error: BaseException | None) -> bool:
    """Whether a run was stopped at a point that its script does not decide."""
    if isinstance(error, LLMSpellError) and error.context.get("setting") in ("runtime.timeout", "runtime.max_cpu"):
        return True
    return isinstance(error, RunCancelledError | asyncio.CancelledError | KeyboardInterrupt)


def printable(text: str) -> str:
    """*text* without surrogates, which stand for bytes of arguments and paths that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Due(NamedTuple):
    """An event that has come."""

    entry: Entry
    is_wanted: Callable[[], bool]
    hand_out: Callable[[], object]
