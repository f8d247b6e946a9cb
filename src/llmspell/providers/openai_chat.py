"""OpenAI's chat dialect: one call to one request, bytes to chunk contents. I/O is in http.py.

What vendors of this dialect do differently is read by `ChatReader` without knowing who they are; what must be written
differently is in `Quirks`. Source: WIRE.md §1, §2.2, §4, §9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmspell._speedups import EventParser, EventTooLarge
from llmspell.errors import LLMSpellError, ProviderError, StreamTruncatedError, one_line
from llmspell.providers.base import WireRequest
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.headers import extra_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message, ToolCall
    from llmspell.types.streaming import ChunkContent

__all__ = ["BASE_URL", "KEY_ENV", "MODEL", "PATH", "Quirks", "Reading", "request"]

BASE_URL = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"
MODEL = "gpt-4o-mini"
PATH = "/chat/completions"
#: OpenAI's own reasoning models, which refuse `max_tokens`.
REASONING_MODEL = re.compile(r"o\d|gpt-([5-9]|\d\d)")

MAX_EVENTS = 2_000_000  # of one answer
MAX_REPLY = 32 * 1024 * 1024  # bytes of an answer that is no event stream


class Quirks(NamedTuple):
    """What a service wants written in another way.

    own: OpenAI itself, whose reasoning models take `max_completion_tokens`. include_usage: usage in a stream has to be
    asked for. seed: the name of that member.
    """

    own: bool = False
    include_usage: bool = True
    seed: str = "seed"

    @classmethod
    def of(cls, host: str) -> Quirks:
        """Those of the service at *host*."""
        return HOSTS.get(host.lower(), PLAIN)


PLAIN = Quirks()
HOSTS = {
    "api.openai.com": Quirks(own=True),
    "api.mistral.ai": Quirks(include_usage=False, seed="random_seed"),
}


def request(call: ModelCall, *, stream: bool, quirks: Quirks = PLAIN) -> WireRequest:
    """The request for *call*. `call.body` and `call.headers` are laid over it last.

    Raises ValidationError for a header that is not for a script to set.
    """
    parameters = call.parameters
    body: dict[str, Any] = {"model": call.model, "messages": [_message(message) for message in call.messages]}
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if parameters.top_p is not None:
        body["top_p"] = parameters.top_p
    if parameters.max_tokens is not None:
        new = quirks.own and REASONING_MODEL.match(call.model)
        body["max_completion_tokens" if new else "max_tokens"] = parameters.max_tokens
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.seed is not None:
        body[quirks.seed] = parameters.seed
    if parameters.reasoning is not None:
        body["reasoning_effort"] = parameters.reasoning
    if stream:
        body["stream"] = True
        if quirks.include_usage:
            body["stream_options"] = {"include_usage": True}
    body.update(call.body)
    headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
    headers.update(extra_headers(call.headers))
    return WireRequest("POST", PATH, headers, orjson.dumps(body))


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        told["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        told["content"] = message.content or None
    if message.role == "tool":
        told["tool_call_id"] = message.tool_call_id
    return told


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = call.raw or orjson.dumps(call.arguments or {}).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


class Reading:
    """One answer of status 200: `feed` its bytes as they come, cut anywhere, then `end`.

    Both give the contents that came, and never raise: what failed stands in `error` and is for the caller to raise
    once the contents are delivered. `finished` is true when nothing more of the answer is wanted. An answer that is
    one JSON value, asked for or not, is read as a whole reply.
    """

    __slots__ = ("_bare", "_events", "_parser", "_plain", "_reader", "_size", "error", "finished")

    def __init__(self, provider: str, model: str, *, key_env: str | None = None, secrets: tuple[str, ...] = ()) -> None:
        self._reader = ChatReader(provider, model, key_env=key_env, secrets=secrets)
        self._parser = EventParser()
        self._plain: bool | None = None  # whether it is JSON and no event stream; None before the first byte
        self._bare: list[bytes] = []
        self._size = 0
        self._events = 0
        self.error: LLMSpellError | None = None
        self.finished = False

    @property
    def metadata(self) -> dict[str, Any]:
        """What the service told of the answer so far."""
        return self._reader.metadata

    def feed(self, data: bytes) -> list[ChunkContent]:
        """What *data* completes; nothing once `finished`."""
        out: list[ChunkContent] = []
        if self.finished:
            return out
        try:
            if self._plain is None:
                start = data.lstrip()[:1]
                self._plain = start in (b"{", b"[") if start else None
            if self._plain:
                self._keep(data)
            else:
                self._take(self._parser.feed(data), out)
        except EventTooLarge:
            self._fail(self._too_much(f"an event of more than {self._parser.max_event >> 20} MiB"))
        except LLMSpellError as error:
            self._fail(error)
        return out

    def end(self) -> list[ChunkContent]:
        """What is left when the transport has ended; afterwards the answer is `finished`, well or in error."""
        out: list[ChunkContent] = []
        if self.finished:
            return out
        try:
            if self._plain:
                self._reply(out)
            else:
                self._take(self._parser.end(), out, last=True)
                if not self.finished and not self._reader.complete:
                    self._aside()
            if not self.finished:
                out += self._reader.end()
                self.finished = True
        except EventTooLarge:
            self._fail(self._too_much(f"an event of more than {self._parser.max_event >> 20} MiB"))
        except LLMSpellError as error:
            self._fail(error)
        return out

    def _fail(self, error: LLMSpellError) -> None:
        self.error = error
        self.finished = True

    def _take(self, events: list[tuple[str, bytes]], out: list[ChunkContent], *, last: bool = False) -> None:
        self._events += len(events)
        if self._events > MAX_EVENTS:
            raise self._too_much(f"more than {MAX_EVENTS} events")
        if len(events) == 1 and not events[0][0]:  # a token at a time
            try:
                value = orjson.loads(events[0][1])
            except orjson.JSONDecodeError:
                self._no_value(events[0][1], out, last=last)
            else:
                self._reader.read_all((value,), out)
            return
        while events and not self.finished:
            names, datas = zip(*events, strict=True)
            count = names.index("error") if "error" in names else len(names)
            if count == 0:
                raise self._reader.failed(_json_or_text(datas[0]))
            texts = iter(datas[:count])
            try:
                # One at a time from bytes to contents: values that lie about in a list cost twice as much.
                self._reader.read_all(map(orjson.loads, texts), out)
            except orjson.JSONDecodeError:
                count -= sum(1 for _ in texts)
                self._no_value(datas[count - 1], out, last=last)
            events = events[count:]

    def _no_value(self, data: bytes, out: list[ChunkContent], *, last: bool) -> None:
        """An event that is no JSON: the end mark, or nothing, or what should not be."""
        if data.strip() == b"[DONE]":
            self._reader.done()
            out += self._reader.end()
            self.finished = True
        elif data.strip():
            raise self._cut_short() if last else self._no_json(data)  # at the transport's end it may be half an event

    def _keep(self, data: bytes) -> None:
        self._bare.append(data)
        self._size += len(data)
        if self._size > MAX_REPLY:
            raise self._too_much(f"an answer of more than {MAX_REPLY >> 20} MiB in one piece")

    def _reply(self, out: list[ChunkContent]) -> None:
        """The whole answer as one JSON value."""
        text = b"".join(self._bare)
        try:
            value = orjson.loads(text)
        except ValueError:
            raise self._cut_short() from None
        one = next((v for v in value if isinstance(v, dict)), None) if isinstance(value, list) else value
        if not isinstance(one, dict):
            raise self._no_json(text)
        if not isinstance(one.get("choices"), list):  # an error in a shape of its own, under status 200
            raise self._reader.failed(one)
        out += self._reader.reply(one)

    def _aside(self) -> None:
        """An error may stand as bare JSON among the events; and a web page is no event stream. Source: WIRE.md §1."""
        text = self._parser.leftover.strip()
        if text.startswith(b"<") and self._events == 0:
            raise self._no_json(text)
        try:
            value = orjson.loads(text[text.index(b"{") :])
        except ValueError:
            return
        if isinstance(value, dict) and "error" in value:
            raise self._reader.failed(value)

    def _cut_short(self) -> StreamTruncatedError:
        return StreamTruncatedError(
            f"the answer of {self._reader.provider or 'the model'} stopped within a piece",
            hint="try again; what came is in the error's `partial`",
            **self._about(),
        )

    def _no_json(self, data: bytes) -> ProviderError:
        excerpt = one_line(data[:200].decode("utf-8", "replace"), 80)
        return ProviderError(
            f"{self._reader.provider or 'the service'} sent what is no model's answer: {excerpt}",
            hint="check that `base_url` is that of a service of this type",
            **self._about(),
        )

    def _too_much(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self._reader.provider or 'the service'} sent {what}",
            hint="ask for a shorter answer (`max_tokens`), or check what answers at `base_url`",
            **self._about(),
        )

    def _about(self) -> Mapping[str, Any]:
        return {"provider": self._reader.provider or None, "model": self._reader.model or None}


def _json_or_text(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")
