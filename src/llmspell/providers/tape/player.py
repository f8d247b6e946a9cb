"""A run that hears again what was written down; the network is shut."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from llmspell.config.schema import KEY_SOURCES
from llmspell.errors import LLMSpellError, ValidationError, error_class, one_line
from llmspell.providers.tape.difference import difference, is_as_recorded
from llmspell.providers.tape.file import EVENTS, Entry, as_bytes, read
from llmspell.providers.tape.tape import Tape, whole_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.providers.base import ProviderInstance

__all__ = ["Player", "as_error"]

PATIENCE = 0.02  # seconds until it is believed that what the recording has next is not asked for
TICK = 0.001  # seconds between two looks at a clock, where the recording has no more of them
AGAIN = "record again with `--record FILE` if that is what the script should do"


class Player(Tape):
    """Reads the recording at *path*. Raises what file.read raises.

    A request that the recording does not have makes the run fail, and so do requests of the recording that are not
    made. A script that waits, reads clocks or draws numbers more often than the recorded one gets more.
    """

    replaying = True

    def __init__(self, path: str) -> None:
        head, entries = read(path)
        super().__init__(path, head)
        self.whole = bool(entries) and entries[-1]["do"] == "done"
        self._events = [entry for entry in entries if entry["do"] in EVENTS]
        self._next = 0  # all events before are handed out, or never will be
        self._past: set[int] = set()  # those after that are
        self._requests = {entry["call"]: entry for entry in entries if entry["do"] == "request"}
        self._free = list(self._requests)  # calls that nobody has made yet
        self._waiting: dict[int, asyncio.Future[Entry]] = {}
        self._gone: set[int] = set()  # calls that nobody reads any more
        self._values: dict[str, deque[Any]] = {}
        for entry in entries:
            if entry["do"] == "values":
                self._values.setdefault(entry["of"], deque()).extend(entry["values"])
        self._last: dict[str, Any] = {}
        self._recorded_waits: dict[float, deque[int]] = {}
        for entry in entries:
            if entry["do"] == "wait":
                self._recorded_waits.setdefault(entry["seconds"], deque()).append(entry["timer"])
        self._fired = {entry["timer"] for entry in self._events if entry["do"] == "fired"}
        self._timers: dict[int, _Wait] = {}  # by the recording's number, below 0 where it has none
        self._new = 0
        self._missed = False  # nobody waited for the next event when it was looked for
        scripts = [entry for entry in entries if entry["do"] == "script"]
        self.args: list[str] = [str(arg) for arg in scripts[0]["args"]] if scripts else []
        defaults = [entry["provider"] for entry in entries if entry["do"] == "default"]
        self._default: str | None = defaults[-1] if defaults else None
        self.providers: dict[str, Entry] = {entry["name"]: entry for entry in entries if entry["do"] == "provider"}

    # ---- values

    def value(self, source: str, read: Callable[[], Any]) -> Any:
        kept = self._values.get(source)
        if kept:
            value = kept.popleft()
            if isinstance(value, dict):
                value = as_bytes(value)
            self._last[source] = value
            return value
        last = self._last.get(source)
        if isinstance(last, float):
            self._last[source] = last = last + TICK
        if source in ("os.time", "Run.clock", "os.clock"):
            return last if last is not None else int(self.now()) if source == "os.time" else self.at
        return None if source == "stdin" else read()

    # ---- providers

    def note_default(self, find: Callable[[], str]) -> str:
        return self._default or find()

    def settings(self, configured: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        told = {name: _keyless(each) for name, each in configured.items()}
        for name, entry in self.providers.items():
            told[name] = _keyless(entry["settings"]) | ({"api_key": "replayed"} if entry["keyed"] else {})
        return told

    def wrap(self, provider: ProviderInstance, settings: dict[str, Any]) -> ProviderInstance:
        from llmspell.providers.tape.played import played

        return played(provider, self)

    def request(self, entry: Entry) -> int:
        """The recording's number of a call that is made now. Raises ValidationError: it has none that is the same."""
        try:
            call = self.known(entry)
            if call is not None:
                return call
            error = self._changed(entry, _compared(entry))
        except RecursionError:
            provider = one_line(entry["provider"], 60)
            error = ValidationError(f"a request to {provider} has too many levels to be compared", hint=AGAIN)
        raise self.fail(error)

    def known(self, entry: Entry) -> int | None:
        """The same, and None where the recording has none."""
        mine = _compared(entry)
        for call in self._free:
            was = _compared(self._requests[call])
            if was == mine or is_as_recorded(was, mine):
                self._free.remove(call)
                return int(call)
        return None

    def _changed(self, entry: Entry, mine: Entry) -> ValidationError:
        provider = one_line(entry["provider"], 60)
        near = [self._requests[call] for call in self._free if self._requests[call]["provider"] == entry["provider"]]
        if not near:
            there = any(one["provider"] == entry["provider"] for one in self._requests.values())
            why = "" if self.whole else ": it was cut off while it was made"
            return ValidationError(f"the recording has no {'more ' * there}requests to {provider}{why}", hint=AGAIN)
        was = next((one for one in near if one.get("target") == entry.get("target")), near[0])
        return ValidationError(
            one_line(f"a request to {provider} is not as it was recorded: {difference(_compared(was), mine)}", 1200),
            hint=AGAIN,
        )

    # ---- events

    async def event(self, call: int) -> Entry:
        """The next event of *call*. Raises ValidationError where the recording has no more."""
        waiter: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        self._waiting[call] = waiter
        self.kick()
        try:
            return await waiter
        finally:
            if self._waiting.get(call) is waiter:
                del self._waiting[call]

    def leave(self, call: int) -> None:
        """Nobody reads *call* any more."""
        self._gone.add(call)

    def timer(self, seconds: float, fire: Callable[[], object], background: bool = False) -> Callable[[], object]:
        recorded = self._recorded_waits.get(whole_seconds(seconds))
        if recorded:
            number = recorded.popleft()
        else:
            self._new -= 1
            number = self._new
        self._timers[number] = _Wait(self.at + seconds, fire, background)
        self.kick()
        return lambda: self._timers.pop(number, None)

    def _hand_out(self) -> float | None:
        if not (self._waiting or any(not wait.background for wait in self._timers.values())):
            return None
        if self._hand_out_next():
            self._missed = False
            return 0.0
        if not self._missed:  # what comes next may be asked for by somebody who takes real time
            self._missed = True
            return PATIENCE
        if any(ask() for ask in self.others):
            return PATIENCE
        self._missed = False
        if self._hand_out_later() or self._fire_first():
            return 0.0
        for call in list(self._waiting):
            waiter = self._waiting.pop(call)
            if not waiter.done():
                waiter.set_exception(self.fail(self._ended(call)))
        return None

    def _hand_out_next(self) -> bool:
        """Hands out the next event, if somebody waits for it."""
        while self._next < len(self._events):
            event = self._events[self._next]
            if self._next in self._past or event.get("call") in self._gone:
                self._past.discard(self._next)
                self._next += 1
                continue
            if self._fire_new(event["at"]):
                return True
            if not self._is_wanted(event):
                return False
            self._next += 1
            self._deliver(event)
            return True
        return False

    def _hand_out_later(self) -> bool:
        """Hands out the first event that somebody waits for: the script is not the one that was recorded."""
        for index in range(self._next, len(self._events)):
            event = self._events[index]
            if index not in self._past and self._is_wanted(event):
                self._past.add(index)
                self._deliver(event)
                return True
        return False

    def _is_wanted(self, event: Entry) -> bool:
        if "timer" in event:
            return event["timer"] in self._timers
        return event["call"] in self._waiting and not self._waiting[event["call"]].done()

    def _deliver(self, event: Entry) -> None:
        self.at = max(self.at, event["at"])
        if "timer" in event:
            self._timers.pop(event["timer"]).fire()
        else:
            self._waiting.pop(event["call"]).set_result(event)

    def _fire_new(self, before: float) -> bool:
        """Ends a wait that the recording does not know, and that is over by then."""
        due = [(wait.due, number) for number, wait in self._timers.items() if number < 0 and wait.due <= before]
        return bool(due) and self._fire(min(due)[1])

    def _fire_first(self) -> bool:
        """Ends the wait that is over first, of those that the recorded script did not see the end of."""
        due = [(wait.due, number) for number, wait in self._timers.items() if not wait.background]
        if due and not self.whole and (self._waiting or self.stop is not None):
            if not self._waiting:  # those are told what they miss
                what = "the recording ends within a wait: it was cut off while it was made"
                self.fail(ValidationError(what, hint="record again with `--record FILE`"))
            return False  # a loop of waits would not end
        return bool(due) and self._fire(min(due)[1])

    def _fire(self, number: int) -> bool:
        wait = self._timers.pop(number)
        self.at = max(self.at, wait.due)
        wait.fire()
        return True

    def _ended(self, call: int) -> ValidationError:
        provider = one_line(str(self._requests[call]["provider"]), 60)
        if not self.whole:
            return ValidationError(
                f"the recording ends within an answer of {provider}: it was cut off while it was made",
                hint="record again with `--record FILE`",
            )
        return ValidationError(
            f"the recording has no more of an answer of {provider}: when it was made, the script read no further",
            hint=AGAIN,
        )

    # ---- the end

    def finish(self, error: BaseException | None = None) -> None:
        """Raises ValidationError if the run has failed though the script did not, or left out requests."""
        if self.failed is not None:
            if error is not self.failed:
                raise self.failed
        elif error is None and (free := [call for call in self._free if self._requests[call].get("ask") != "tool"]):
            first = self._requests[free[0]]
            count = len(free)
            what = "a request" if count == 1 else f"{count} requests, the first"
            place = f" ({first['method']} {one_line(first['target'], 80)})" if "method" in first else ""
            raise ValidationError(
                f"the recording has {what} to {one_line(first['provider'], 60)}{place}, and the script did not make it",
                hint=AGAIN,
            )


def _keyless(settings: dict[str, Any]) -> dict[str, Any]:
    """*settings* without what gives a key: a replay needs none, and it may be a stranger's."""
    if not any(settings.get(name) for name in KEY_SOURCES):
        return settings
    told = {name: value for name, value in settings.items() if name not in KEY_SOURCES}
    return told | {"api_key": "replayed"}


class _Wait:
    """A wait that is not over. due: seconds since the start."""

    __slots__ = ("background", "due", "fire")

    def __init__(self, due: float, fire: Callable[[], object], background: bool) -> None:
        self.due, self.fire, self.background = due, fire, background


#: Headers that say who asks and how it is framed, not what is asked.
_UNCOMPARED = ("user-agent", "host", "content-length", "accept-encoding", "accept", "connection")


def _compared(entry: Entry) -> Entry:
    """What of a request has to be equal."""
    told: Entry = {name: entry[name] for name in ("provider", "method", "target", "ask", "base64") if name in entry}
    if "headers" in entry:
        told["headers"] = {name: value for name, value in entry["headers"].items() if name not in _UNCOMPARED}
    body = entry.get("body")
    return {**told, **body} if isinstance(body, dict) and not told.keys() & body.keys() else {**told, "body": body}


def as_error(told: Entry) -> LLMSpellError:
    """An error that was written down as its `to_dict` has it."""
    context = dict(told)
    kind, message, hint = context.pop("kind", ""), context.pop("message", ""), context.pop("hint", None)
    retryable = context.pop("retryable", None)
    cls = error_class(kind) if isinstance(kind, str) else LLMSpellError
    return cls(str(message), hint=hint, retryable=retryable, **context)
