"""Providers whose exchanges are written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import LLMSpellError
from llmspell.providers.http import Answer
from llmspell.providers.service import Service
from llmspell.providers.tape.chunks import plain, plain_content, plain_output
from llmspell.providers.tape.file import bytes_entry
from llmspell.providers.tape.player import as_error
from llmspell.providers.tape.redaction import Redactor, forms, plain_headers, plain_target, secret_values, without
from llmspell.providers.tape.stamped import Stamped
from llmspell.types.streaming import AgentStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmspell.providers.base import ModelCall, ProviderInstance, Timeouts, WireRequest
    from llmspell.providers.http import Door
    from llmspell.providers.tape.file import Entry
    from llmspell.providers.tape.recorder import Recorder
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentChunk

__all__ = ["RecordingDoor", "recorded", "wire_entry"]


def recorded(provider: ProviderInstance, tape: Recorder) -> ProviderInstance:
    """*provider*, its exchanges on *tape*: those over HTTP at the door to the network, others as chunks."""
    if isinstance(provider, Service):
        own = (provider.name, provider.type)  # as keys they are no secrets, and they are in every entry
        provider.go_through(
            lambda door, secrets: RecordingDoor(door, tape, tuple(one for one in secrets if one not in own)),
            tape.clock(),
        )
        return Stamped(provider, tape)
    return RecordedProvider(provider, tape)


def wire_entry(door: Door, request: WireRequest) -> Entry:
    """A request over HTTP, as it is written and compared."""
    try:
        body: Entry = {"body": orjson.loads(request.body)}
    except orjson.JSONDecodeError:
        body = {"base64": plain(request.body)["base64"]} if request.body else {"body": None}
    headers = {name.lower(): value for name, value in (door.headers | request.headers).items()}
    return {
        "provider": door.name,
        "method": request.method,
        "target": plain_target(door.origin.target(request.path)),
        "headers": plain_headers(headers, sent=True),
        **body,
    }


class RecordingDoor:
    """A Door; what goes through is written down."""

    def __init__(self, door: Door, tape: Recorder, secrets: tuple[str, ...]) -> None:
        self._door, self._tape = door, tape
        self._secrets = secrets
        self._known = forms(secrets)
        tape.writer.hide(secrets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._door, name)

    def carry(self, headers: Mapping[str, str]) -> None:
        """As Door.carry: a key that was found only now is as secret."""
        self._door.carry(headers)
        found = tuple(value.rpartition(" ")[2] for value in headers.values())
        self._secrets = (*self._secrets, *found)
        self._known = forms(self._secrets)
        self._tape.writer.hide(found)

    def with_timeouts(self, timeouts: Timeouts) -> RecordingDoor:
        """As Door.with_timeouts."""
        return RecordingDoor(self._door.with_timeouts(timeouts), self._tape, self._secrets)

    async def send(
        self,
        request: WireRequest,
        *,
        model: str,
        total: float | None = None,
        own_total: float | None = None,
        first_token: bool = True,
    ) -> Answer:
        """As Door.send."""
        tape = self._tape
        known = self._known
        if own := secret_values(request.headers):  # an agent's own, besides those of the settings
            tape.writer.hide(own)
            known = forms((*self._secrets, *own))
        call = tape.request(wire_entry(self._door, request))
        try:
            answer = await self._door.send(
                request, model=model, total=total, own_total=own_total, first_token=first_token
            )
        except LLMSpellError as error:
            raise await _failed(tape, call, error) from error
        try:
            headers = plain_headers(answer.headers, sent=False)
            headers = {name: without(known, value) for name, value in headers.items()}
            await tape.event({"do": "head", "call": call, "status": answer.status, "headers": headers})
        except BaseException:
            await answer.aclose()
            raise
        return RecordedAnswer(answer, headers, tape, call, Redactor(known))


async def _failed(tape: Recorder, call: int, error: LLMSpellError) -> LLMSpellError:
    """*error*, written down; as a replay will raise it."""
    told = error.to_dict()
    await tape.event({"do": "fail", "call": call, "error": told})
    return as_error(told)


class RecordedAnswer(Answer):
    """An Answer whose bytes are written down. Nobody sees a secret in it that the recording must not have."""

    def __init__(self, answer: Answer, headers: dict[str, str], tape: Recorder, call: int, redactor: Redactor) -> None:
        self._answer, self._tape, self._call, self._redactor = answer, tape, call, redactor
        self._watch = answer._watch
        self._outcome: LLMSpellError | bytes | None = None  # what comes after the last bytes
        self.status, self.headers = answer.status, headers

    @property
    def pours(self) -> bool:
        return False

    async def read(self) -> bytes:
        tape, call = self._tape, self._call
        while self._outcome is None:
            try:
                data = await self._answer.read()
            except LLMSpellError as error:
                self._outcome = error
            else:
                if not data:
                    self._outcome = b""
                data = self._redactor.feed(data) if data else b""
            data = data if self._outcome is None else self._redactor.flush()
            if data:
                await tape.event({"do": "data", "call": call, **bytes_entry(data)})
                return data
        if isinstance(self._outcome, LLMSpellError):
            raise await _failed(tape, call, self._outcome) from self._outcome
        await tape.event({"do": "end", "call": call})
        return b""

    def close(self, *, finished: bool) -> None:
        self._answer.close(finished=finished)

    async def aclose(self, *, finished: bool = False) -> None:
        await self._answer.aclose(finished=finished)


class RecordedProvider(Stamped):
    """A provider without HTTP: what it is asked is written down, and what it says, chunk by chunk."""

    def stream(self, call: ModelCall) -> AgentStream:
        name = self._tape.stream_id()
        return AgentStream(name, self._batches_of(call, name))

    async def _batches_of(self, call: ModelCall, name: str) -> AsyncGenerator[list[AgentChunk], None]:
        tape: Any = self._tape
        number = tape.request(asked(self.name, "stream", call))
        stamps = self.stamps(name)
        stream = self.inner.stream(call)
        try:
            while True:
                try:
                    batch = await stream.next_batch()
                except LLMSpellError as error:
                    error.context.pop("partial", None)  # the stream that is handed out has it
                    raise await _failed(tape, number, error) from error
                if batch is None:
                    await tape.event({"do": "end", "call": number})
                    return
                chunks = [plain_content(chunk.content) for chunk in batch]
                metadata = plain(batch[-1].metadata)
                await tape.event({"do": "chunks", "call": number, "chunks": chunks, "metadata": metadata})
                yield stamps([chunk.content for chunk in batch], metadata)
        finally:
            await stream.aclose()

    async def execute(self, call: ModelCall) -> AgentOutput:
        tape: Any = self._tape
        number = tape.request(asked(self.name, "execute", call))
        began = tape.at
        try:
            output = await self.inner.execute(call)
        except LLMSpellError as error:
            raise await _failed(tape, number, error) from error
        await tape.event({"do": "output", "call": number, "output": plain_output(output)})
        return self.stamp_output(output, began)


def asked(provider: str, how: str, call: ModelCall) -> Entry:
    """A request of a provider without HTTP, as it is written and compared."""
    told = plain(call._replace(on_retry=None, timeout=None))  # what is left of a call's time is another each time
    if told.get("headers"):
        told["headers"] = plain_headers(told["headers"], sent=True)
    body = {name: value for name, value in told.items() if value not in (None, {}, [], "")}
    return {"provider": provider, "ask": how, "body": orjson.loads(orjson.dumps(body))}
