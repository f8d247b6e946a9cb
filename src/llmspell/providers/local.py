"""The embedded model: a provider that needs no key and no server. Source: LOCAL.md.

llama.cpp runs in this process (`local_engine.py`) on weights that lie in the cache folder (`local_weights.py`); it
speaks the chat dialect, so its chunks are read as a service's are. The built-in model is tiny: it shows that
everything works, and not what a good model can do.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import (
    CallTimeoutError,
    ConfigError,
    ContextLengthError,
    LLMSpellError,
    NotSupportedError,
    PermissionDeniedError,
    ProviderError,
    ValidationError,
    one_line,
)
from llmspell.providers import local_engine, local_weights, notices
from llmspell.providers.base import ProviderInstance
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.turn import Turn
from llmspell.types.messages import ROLES
from llmspell.types.streaming import AgentStream

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llmspell.providers.base import ModelCall
    from llmspell.types.agent import AgentOutput
    from llmspell.types.messages import Message
    from llmspell.types.streaming import AgentChunk, ChunkContent

__all__ = ["LocalProvider"]

MAX_TOKENS = 512  # of an answer that set no limit: a tiny model that loops must end
TOKEN = 256  # bytes that no token reaches on average: a longer prompt is refused without being counted
TINY = "is a tiny model: it shows that everything works, not what a good model can do"
_told: set[str] = set()  # lines that were given to `notify` in this process

#: Without a wish of the caller's. Source: LOCAL.md §2.
SAMPLING = {"temperature": 0.6, "min_p": 0.1, "repeat_penalty": 1.1}
#: Members of a body that bind the answer's form; the model is too small to stray from its best guess there.
FORMS = ("response_format", "json_schema", "grammar")
#: What the request must say itself, whatever `body` adds.
OURS = ("messages", "stream", "stream_options", "return_progress", "model")


class LocalProvider(ProviderInstance):
    """A model in this process.

    settings: model (a name in the models folder, or the path of a .gguf), path (of a .gguf, over `model`), pull
    ("auto" fetches the built-in model when it is first used, "never"), threads, context (tokens of one call), slots
    (calls at the same time; more wait their turn). Others are ignored.

    A file is loaded once a process for all instances with the same settings, on the first read of the first stream,
    and freed when the last of them is closed. A call's model is a name; a path only as the settings have it, so that
    a script cannot have any file read. Same seed, or temperature 0: the same text, on the same machine and version.
    """

    type = "local"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._settings = {key: settings[key] for key in ("model", "path", "pull") if settings.get(key) is not None}
        self._threads = _number(settings, "threads", max(1, min(4, _cores() - 1)), 1, 256)
        self._context = _number(settings, "context", 4096, 64, 2**20)
        self._slots = _number(settings, "slots", 2, 1, 64)
        self._engines: dict[local_engine.Options, local_engine.Engine] = {}

    @property
    def default_model(self) -> str:
        """The model of the settings, by name: a file's is its own without `.gguf`."""
        target = str(self._settings.get("path") or self._settings.get("model") or local_weights.DEFAULT_MODEL)
        return os.path.basename(target).removesuffix(".gguf") if local_weights.is_path(target) else target

    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as it comes. The first read fetches and loads the model where that was not done yet.

        Closing it, or cancelling who reads, stops the model. Raises on reading: NotSupportedError (no engine here, or
        tools with the built-in model), NotFoundError, ValidationError, ContextLengthError, CallTimeoutError, and what
        `local_weights.ensure` raises. `call.timeout` counts from the first read, fetching and loading included.
        """
        turn = Turn(self.name, call.model or self.default_model)
        return AgentStream(turn.stream_id, self._batches(call, turn))

    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer; it is streamed beneath. Cancelled, it stops the model."""
        async with self.stream(call) as stream:
            return await stream.collect()

    async def aclose(self) -> None:
        """Gives the models back; the memory is free once no other instance uses them."""
        engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            await asyncio.to_thread(local_engine.release, engine)

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        turn.start()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + call.timeout if call.timeout else None
        model = turn.metadata["model"]
        settings = self._settings_of(call.model)
        tiny = local_weights.built_in(settings)
        request = _request(call, tiny, self.name)
        if len(request) > TOKEN * self._context:
            raise self._named(_too_long(f"{len(request)} bytes", f"{self._context} tokens"), model)
        reader = ChatReader(self.name, model)
        doing = "fetching and loading the model"
        try:
            async with asyncio.timeout_at(deadline):
                engine = await self._engine(settings, loop)
            doing = "answering"
            chunks = engine.generate(request)
            try:
                while True:
                    # Around each wait alone: a timeout must not reach into the code that reads this stream.
                    async with asyncio.timeout_at(deadline):
                        batch = await anext(chunks, None)
                    if batch is None:
                        break
                    contents, error = _read(batch, reader, model)
                    if contents:
                        if tiny:
                            _say_once(f"{model} {TINY}")
                        turn.told(reader.metadata)
                        yield turn.chunks(contents)
                    if error is not None:
                        raise error
            finally:
                await chunks.aclose()
        except TimeoutError as error:
            hint = "raise the timeout, or `llmspell models pull` first" if doing != "answering" else "raise the timeout"
            message = f"{self.name}/{model} was not done within {call.timeout:g} s ({doing})"
            raise CallTimeoutError(message, hint=hint, limit=call.timeout, provider=self.name, model=model) from error
        except _REFUSED as error:
            raise self._named(error, model) from error.__cause__
        yield turn.chunks(reader.end())

    async def _engine(self, settings: dict[str, Any], loop: asyncio.AbstractEventLoop) -> local_engine.Engine:
        local_engine.require_engine()
        options = local_engine.Options(local_weights.where(settings), self._threads, self._context, self._slots)
        engine = self._engines.get(options)
        if engine is None:
            engine = await local_engine.acquire(options, lambda stop: _locate(settings, loop, stop))
            if options in self._engines:  # another task of this instance was quicker: one hold is enough
                local_engine.release(engine)
            self._engines[options] = engine
        return engine

    def _settings_of(self, model: str) -> dict[str, Any]:
        """The settings for a call's *model*."""
        own = {self.default_model, self._settings.get("path"), self._settings.get("model")}
        if not model or model in own:
            return self._settings
        if local_weights.is_path(model):
            raise PermissionDeniedError(
                f"{self.name}/{one_line(model, 200)}: a model's file cannot be named here",
                hint="`llmspell models pull FILE.gguf` and use its name, or set `path` of the provider",
            )
        return {key: value for key, value in self._settings.items() if key == "pull"} | {"model": model}

    def _named(self, error: Exception, model: str) -> LLMSpellError:
        """*error* with who failed in it."""
        if not isinstance(error, LLMSpellError):  # the engine's word for a message or schema that it does not take
            return ValidationError(f"the local model refused the request: {one_line(str(error), 300)}", cause=error)
        if not isinstance(error, (ValidationError, ConfigError, PermissionDeniedError)):
            error.context.setdefault("provider", self.name)
            error.context.setdefault("model", model)
        return error


_REFUSED = (LLMSpellError, ValueError)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _number(settings: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = settings.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ConfigError(f"`{key}` of a local provider is {value!r}", hint=f"a whole number from {low} to {high}")
    return value


def _locate(settings: Mapping[str, Any], loop: asyncio.AbstractEventLoop, stop: threading.Event) -> str:
    """The model's path, on the thread that loads; what there is to tell goes to the event loop's thread."""

    def post(hook: Callable[..., None], *args: Any) -> None:
        try:
            loop.call_soon_threadsafe(hook, *args)
        except RuntimeError:
            pass  # the loop is closed: nobody looks on

    def tell(done: int, total: int) -> None:
        if notices.progress is not None:
            post(notices.progress, done, total)

    return local_weights.ensure(settings, tell, notify=lambda text: post(_say, text), stop=stop)


def _say(text: str) -> None:
    if notices.notify is not None:
        notices.notify(text)


def _say_once(text: str) -> None:
    if notices.notify is not None and text not in _told:
        _told.add(text)
        notices.notify(text)


# -- a request


def _request(call: ModelCall, tiny: bool, provider: str) -> bytes:
    """The body for the engine. It takes unknown roles and no messages at all, so they are looked at here."""
    body: dict[str, Any] = {"max_tokens": MAX_TOKENS} | SAMPLING
    if any(call.body.get(form) for form in FORMS):
        body["temperature"] = 0
    if call.body.get("n", 1) != 1:
        raise ValidationError("the local model gives one answer a call", hint="leave `n` out")
    if tiny and call.body.get("tools"):
        # Its template leaves them out without a word. Source: LOCAL.md §2.
        raise NotSupportedError(
            f"{provider}/{local_weights.DEFAULT_MODEL} knows no tools",
            hint="use another model, or ask for JSON with a schema",
            provider=provider,
        )
    given = call.parameters
    if given.reasoning is not None:
        raise NotSupportedError(f"`reasoning` cannot be set for {provider}", hint="leave it out", provider=provider)
    for name in ("temperature", "top_p", "max_tokens", "seed"):
        if (value := getattr(given, name)) is not None:
            body[name] = value
    if given.stop:
        body["stop"] = list(given.stop)
    if given.seed is not None:
        if type(given.seed) is not int or not 0 <= given.seed < 2**32 - 1:
            raise ValidationError(f"`seed` is {given.seed!r}", hint="a whole number from 0 to 4294967294")
        body["cache_prompt"] = False  # what was read before would change the batches, and so the last digits
    if given.max_tokens is not None and (type(given.max_tokens) is not int or given.max_tokens < 1):
        raise ValidationError(f"`max_tokens` is {given.max_tokens!r}", hint="a whole number above 0")
    body |= {name: value for name, value in call.body.items() if name not in OURS}
    body |= {"messages": _messages(call.messages), "stream": True, "return_progress": True}
    body["stream_options"] = {"include_usage": True}
    try:
        return orjson.dumps(body)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"a request to {provider} that is no JSON: {error}", cause=error) from error


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    if not messages:
        raise ValidationError("a model call needs at least one message")
    told: list[dict[str, Any]] = []
    for message in messages:
        if message.role not in ROLES:
            raise ValidationError(f"unknown role {message.role!r}", hint=f"one of {', '.join(ROLES)}")
        if not isinstance(message.content, str):
            raise ValidationError(
                f"a message's content is {type(message.content).__name__}", hint="the local model reads text"
            )
        entry: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            entry["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.name,
                        "arguments": call.raw or orjson.dumps(call.arguments or {}).decode(),
                    },
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            entry["tool_call_id"] = message.tool_call_id
        told.append(entry)
    return told


# -- an answer


def _read(batch: list[bytes], reader: ChatReader, model: str) -> tuple[list[ChunkContent], LLMSpellError | None]:
    """What the engine's chunks add, and the error that came after it."""
    contents: list[ChunkContent] = []
    for raw in batch:
        chunk = orjson.loads(raw)
        if "error" in chunk:
            return contents, _error(chunk["error"])
        if "prompt_progress" not in chunk:
            chunk["model"] = model  # the engine names the file's path
            reader.read(chunk, contents)
    return contents, None


def _error(told: Any) -> LLMSpellError:
    """The error that the engine's error chunk means."""
    told = told if isinstance(told, dict) else {}
    message = one_line(str(told.get("message", "no reason given")), 300)
    if told.get("type") == "exceed_context_size_error" or "context size" in message.lower():
        prompt, context = told.get("n_prompt_tokens"), told.get("n_ctx")
        error = _too_long(f"{prompt or '?'} tokens", f"{context or '?'}")
        error.context |= {"value": prompt, "limit": context}
        return error
    if told.get("code") == 400:
        return ValidationError(f"the local model refused the request: {message}")
    return ProviderError(f"the local model failed: {message}", status=told.get("code"))


def _too_long(prompt: str, context: str) -> ContextLengthError:
    return ContextLengthError(
        f"the prompt does not fit the local model's context: it has {prompt}, the context {context}",
        hint="shorten the prompt, or raise `context` of the provider",
    )
