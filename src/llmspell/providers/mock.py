"""A model that says what it was told to: for tests of scripts and programs. It needs no key and no network.

    manager = ProviderManager({})
    manager.register(mock := MockProvider(replies=["Hello", {"error": {"kind": "rate_limit"}}]))

The same calls get the same answers, chunks and token counts, on every machine.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import ConfigError, LLMSpellError, ProviderError, ValidationError, error_class, one_line
from llmspell.providers.base import Embeddings, ModelInfo, ProviderCapabilities, ProviderInstance
from llmspell.providers.turn import Turn
from llmspell.types.streaming import AgentStream, Control, Reasoning, Text, ToolCallComplete, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentChunk, ChunkContent

__all__ = ["MockProvider"]

MODEL = "mock"
WIDTH = 8  # numbers of a vector, where a call asks for no other number
MOST_WIDTH = 4096
#: The fields of a reply and what they are.
FIELDS: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "reasoning": (str,),
    "tool_calls": (list,),
    "error": (dict,),
    "usage": (dict,),
    "finish_reason": (str,),
    "delay": (int, float),
    "chunk_size": (int,),
}


class MockProvider(ProviderInstance):
    """Answers with *replies*, in order; without any, with the last message of the user's.

    A reply is a text, or a table: text, reasoning, tool_calls ({name, arguments, id} each), finish_reason, usage
    ({input_tokens, output_tokens …}, else counted: a token is a word), error ({kind, message, status, retry_after}:
    raised after what else the reply has), delay (seconds before each chunk), chunk_size (characters of a chunk; a word
    where it is left out). when_over: after the last, "repeat" it, or raise an "error".
    calls: the requests that came, in order, each a ModelCall; written to by the provider alone.

    Raises ConfigError for a reply that is none.
    """

    type = "mock"

    def __init__(
        self,
        replies: Sequence[str | Mapping[str, Any]] = (),
        *,
        name: str = "mock",
        model: str = MODEL,
        when_over: str = "repeat",
    ) -> None:
        self.name = name
        self._model = model
        self._replies = [_checked(name, number, reply) for number, reply in enumerate(replies, 1)]
        if when_over not in ("repeat", "error"):
            raise ConfigError(f'`providers.{name}.when_over` is "repeat" or "error"')
        self._strict = when_over == "error"
        self.calls: list[ModelCall] = []

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, Any]) -> MockProvider:
        """The one that a configuration describes."""
        return cls(
            settings.get("replies") or (),
            name=name,
            model=str(settings.get("model") or MODEL),
            when_over=str(settings.get("when_over") or "repeat"),
        )

    def __repr__(self) -> str:
        return f"MockProvider({self.name!r}, replies={len(self._replies)}, calls={len(self.calls)})"

    @property
    def default_model(self) -> str:
        """The model of the settings, else "mock"."""
        return self._model

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """All that a model can be asked for, so that no test is refused what the service would take."""
        kinds = ("text", "image", "audio", "video", "file")
        return ProviderCapabilities(
            input_modalities=kinds,
            tool_result_media=kinds[1:],
            supports_reasoning=True,
            supports_embeddings=True,
            structured_output_any_root=True,
        )

    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as it comes. The reply is taken, and the call recorded, at the first read."""
        turn = Turn(self.name, call.model)
        return turn.stream(call, self._batches(call, turn))

    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer; it is streamed beneath."""
        async with self.stream(call) as stream:
            return await stream.collect()

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """Vectors of 8 numbers, or *dimensions*, from -1 to 1 that depend on the text alone."""
        from hashlib import shake_256

        width = WIDTH if dimensions is None else dimensions
        if not 0 < width <= MOST_WIDTH:
            raise ValidationError(f"{self.name} makes vectors of 1 to {MOST_WIDTH} numbers", provider=self.name)
        vectors = tuple(tuple(byte / 127.5 - 1 for byte in shake_256(text.encode()).digest(width)) for text in texts)
        return Embeddings(vectors, model, Usage(sum(_words(text) for text in texts), 0).with_total())

    async def models(self) -> tuple[ModelInfo, ...]:
        """Its one model."""
        return (ModelInfo(self._model),)

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        turn.start()
        reply = self._next(call)
        delay = float(reply.get("delay", 0))
        written = 0
        for content in _contents(reply):
            if delay:
                await asyncio.sleep(delay)
            written += 1
            yield turn.chunks([content])
        if "error" in reply:
            raise _error(self.name, call.model, reply["error"])
        usage = Usage(**reply["usage"]) if "usage" in reply else _usage(call, written)
        finish = reply.get("finish_reason") or ("tool_calls" if reply.get("tool_calls") else "stop")
        yield turn.chunks([Control("stream_end", finish, usage.with_total())])

    def _next(self, call: ModelCall) -> Mapping[str, Any]:
        number = len(self.calls)
        self.calls.append(call)
        if not self._replies:
            said = [message.text for message in call.messages if message.role == "user"]
            return {"text": said[-1] if said else call.messages[-1].text}
        if number >= len(self._replies):
            if self._strict:
                raise ProviderError(
                    f"{self.name} has no reply left: {len(self._replies)} were given, this is call {number + 1}",
                    hint=f"add one to `providers.{self.name}.replies`",
                    provider=self.name,
                    model=call.model,
                )
            number = len(self._replies) - 1
        return self._replies[number]


def _checked(provider: str, number: int, reply: Any) -> Mapping[str, Any]:
    """A reply as a table whose fields are known. Raises ConfigError."""
    where = f"providers.{provider}.replies[{number}]"

    def wrong(what: str) -> ConfigError:
        return ConfigError(f"`{where}` {what}", hint=f"a text, or a table of {', '.join(FIELDS)}", setting=where)

    if isinstance(reply, str):
        return {"text": reply}
    if not hasattr(reply, "keys"):
        raise wrong("is neither a text nor a table")
    told = dict(reply)
    for name, value in told.items():
        if name not in FIELDS:
            raise wrong(f"has no field `{one_line(str(name), 40)}`")
        if not isinstance(value, FIELDS[name]) or isinstance(value, bool):
            raise wrong(f"has a `{name}` that is none")
    if told.get("delay", 0) < 0 or told.get("chunk_size", 1) < 1:
        raise wrong("has a `delay` or `chunk_size` below 0")
    told["tool_calls"] = [_tool_call(call, index, wrong) for index, call in enumerate(told.get("tool_calls", ()), 1)]
    usage = told.get("usage", {})
    if not all(name in Usage._fields and type(value) is int and value >= 0 for name, value in usage.items()):
        raise wrong(f"has a `usage` that is none: {', '.join(Usage._fields)}")
    if "error" in told:
        _error(provider, "", told["error"], wrong)
    return told


def _tool_call(call: Any, number: int, wrong: Any) -> ToolCallComplete:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise wrong("has a tool call without a name")
    arguments = call.get("arguments", {})
    if not isinstance(arguments, dict) or call.keys() - {"name", "arguments", "id"}:
        raise wrong("has a tool call that is not {name, arguments, id}")
    try:
        raw = orjson.dumps(arguments).decode()
    except TypeError:
        raise wrong("has a tool call whose arguments cannot be JSON") from None
    if raw.count("{") + raw.count("[") > 50:  # most calls need not ask
        from llmspell.providers.calls import too_deep

        if too_deep(arguments):  # as the readers of services have it
            return ToolCallComplete(str(call.get("id") or f"call_{number}"), call["name"], None, None, raw)
    return ToolCallComplete(str(call.get("id") or f"call_{number}"), call["name"], arguments, None, raw)


def _error(provider: str, model: str, told: Mapping[str, Any], wrong: Any = None) -> LLMSpellError:
    """The error that a reply describes. With *wrong*, raises where it describes none."""
    kind = told.get("kind", "provider")
    cls = error_class(kind) if isinstance(kind, str) else None
    if wrong is not None and (
        cls is None or cls.kind != kind or told.keys() - {"kind", "message", "status", "retry_after", "retryable"}
    ):
        raise wrong("has an `error` that is not {kind, message, status, retry_after, retryable}")
    assert cls is not None  # looked at when the provider was made
    message = told.get("message") or f"{provider} was told to fail"
    facts = {name: told[name] for name in ("status", "retry_after") if name in told}
    return cls(
        one_line(str(message)),
        retryable=told.get("retryable"),
        provider=provider,
        model=model or None,
        **facts,
    )


def _contents(reply: Mapping[str, Any]) -> Iterator[ChunkContent]:
    size = reply.get("chunk_size")
    for piece in _pieces(reply.get("reasoning", ""), size):
        yield Reasoning(piece)
    for piece in _pieces(reply.get("text", ""), size):
        yield Text(piece)
    for call in reply.get("tool_calls", ()):
        yield ToolCallProgress(call.tool_id, call.name, call.raw)
        yield call


def _pieces(text: str, size: int | None) -> Iterator[str]:
    """*text* in pieces of *size* characters; else in words, each with the white space before it."""
    if size is not None:
        for at in range(0, len(text), size):
            yield text[at : at + size]
        return
    start = 0
    for at in range(1, len(text)):
        if text[at].isspace() and not text[at - 1].isspace():
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _words(text: str) -> int:
    return len(text.split())


def _usage(call: ModelCall, written: int) -> Usage:
    """A token of the input is a word, one of the output a chunk."""
    return Usage(sum(_words(message.text) for message in call.messages), written)
