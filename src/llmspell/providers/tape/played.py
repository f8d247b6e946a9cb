"""Providers that answer out of a recording. Nothing here can open a connection, or load a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.providers.http import Answer, _Watch
from llmspell.providers.service import Service
from llmspell.providers.tape.chunks import as_content, as_output
from llmspell.providers.tape.file import as_bytes
from llmspell.providers.tape.player import as_error
from llmspell.providers.tape.recorded import asked, wire_entry
from llmspell.providers.tape.stamped import Stamped
from llmspell.types.streaming import AgentStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from llmspell.providers.base import ModelCall, ProviderInstance, Timeouts, WireRequest
    from llmspell.providers.http import Door
    from llmspell.providers.tape.file import Entry
    from llmspell.providers.tape.player import Player
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentChunk

__all__ = ["PlayedDoor", "played"]


def played(provider: ProviderInstance, tape: Player) -> ProviderInstance:
    """*provider*, whose answers come from *tape*."""
    if isinstance(provider, Service):
        # One that the recording does not know is asked, to say so: that it has no key is not what is wrong.
        unknown = provider.name not in tape.providers
        provider.go_through(lambda door, _: PlayedDoor(door, tape), tape.clock(), keyless=unknown, played=True)
        return Stamped(provider, tape)
    return PlayedProvider(provider, tape)


class PlayedDoor:
    """A Door that is shut: what it sends is looked up in the recording."""

    def __init__(self, door: Door, tape: Player) -> None:
        self._door, self._tape = door, tape

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)

    def with_timeouts(self, timeouts: Timeouts) -> PlayedDoor:
        """As Door.with_timeouts."""
        return PlayedDoor(self._door.with_timeouts(timeouts), self._tape)

    async def send(
        self,
        request: WireRequest,
        *,
        model: str,
        total: float | None = None,
        own_total: float | None = None,
        first_token: bool = True,
    ) -> Answer:
        """As Door.send; raises ValidationError for a request that the recording does not have."""
        tape = self._tape
        call = tape.request(wire_entry(self._door, request))
        try:
            event = await tape.event(call)
        except BaseException:
            tape.leave(call)
            raise
        if event["do"] == "fail":
            raise as_error(event["error"])
        if event["do"] != "head":
            raise _muddled(tape, event)
        return PlayedAnswer(_Watch(self._door, model, tape.now, total, first_token, own_total), event, tape, call)

    async def aclose(self) -> None:
        """Nothing is open."""


class PlayedAnswer(Answer):
    """An Answer out of the recording."""

    def __init__(self, watch: _Watch, event: Entry, tape: Player, call: int) -> None:
        self._watch, self._tape, self._call = watch, tape, call
        self._ended = False
        self.status, self.headers = event["status"], dict(event["headers"])

    @property
    def pours(self) -> bool:
        return False

    async def read(self) -> bytes:
        if self._ended:
            return b""
        event = await self._tape.event(self._call)
        if event["do"] == "data":
            return as_bytes(event)
        self._ended = True
        if event["do"] == "fail":
            raise as_error(event["error"])
        return b""

    def close(self, *, finished: bool) -> None:
        self._tape.leave(self._call)

    async def aclose(self, *, finished: bool = False) -> None:
        self._tape.leave(self._call)


class PlayedProvider(Stamped):
    """A provider without HTTP. *inner* says what it can do, and is not asked."""

    def stream(self, call: ModelCall) -> AgentStream:
        name = self._tape.stream_id()
        return AgentStream(name, self._batches_of(call, name))

    async def _batches_of(self, call: ModelCall, name: str) -> AsyncGenerator[list[AgentChunk], None]:
        tape: Any = self._tape
        number = tape.request(asked(self.name, "stream", call))
        stamps = self.stamps(name)
        try:
            while (event := await tape.event(number))["do"] == "chunks":
                yield stamps(_made(tape, lambda: [as_content(one) for one in event["chunks"]]), event["metadata"])
        finally:
            tape.leave(number)
        if event["do"] == "fail":
            raise as_error(event["error"])

    async def execute(self, call: ModelCall) -> AgentOutput:
        tape: Any = self._tape
        number = tape.request(asked(self.name, "execute", call))
        began = tape.at
        event = await tape.event(number)
        if event["do"] == "fail":
            raise as_error(event["error"])
        return self.stamp_output(_made(tape, lambda: as_output(event["output"])), began)

    async def aclose(self) -> None:
        """Nothing is open."""


def _made(tape: Player, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValidationError(
            f"the recording `{tape.path}` has an answer that cannot be read", hint="record again with `--record FILE`"
        ) from error


def _muddled(tape: Player, event: Entry) -> ValidationError:
    return ValidationError(
        f"the recording `{tape.path}` has `{event['do']}` where an answer begins", hint="record again"
    )
