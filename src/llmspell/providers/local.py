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
    PermissionDeniedError,
    ProviderError,
    ValidationError,
    one_line,
)
from llmspell.providers import local_engine, local_weights, notices
from llmspell.providers.base import ModelInfo, ProviderCapabilities, ProviderInstance
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.local_gguf import Facts, facts
from llmspell.providers.local_request import MAX_TOKENS, request
from llmspell.providers.terms import timeouts_of
from llmspell.providers.turn import Turn
from llmspell.types.streaming import AgentStream, Control, Text, ToolCallComplete

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llmspell.providers.base import ModelCall
    from llmspell.providers.local_forms import ForcedCall
    from llmspell.types.agent import AgentOutput
    from llmspell.types.price import Price
    from llmspell.types.streaming import AgentChunk, ChunkContent
    from llmspell.types.usage import Usage

__all__ = ["MAX_TOKENS", "LocalProvider"]

TOKEN = 256  # bytes that no token reaches on average: a longer prompt is refused without being counted
TINY = "is a tiny model: it shows that everything works, not what a good model can do"
_told: set[str] = set()  # lines that were given to `notify` in this process


class LocalProvider(ProviderInstance):
    """A model in this process.

    settings: model (a name in the models folder, or the path of a .gguf), path (of a .gguf, over `model`), pull
    ("auto" fetches the built-in model when it is first used, "never"), threads, context (tokens of one call), slots
    (calls at the same time; more wait their turn), timeout.total (seconds of a call that says none itself). Others are
    ignored.

    A file is loaded once a process for all instances with the same settings, on the first read of the first stream,
    and freed when the last of them is closed. A call's model is a name; a path only as the settings have it, so that
    a script cannot have any file read. Same seed, or temperature 0: the same text, on the same machine and version.
    """

    type = "local"
    usual_output = MAX_TOKENS

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._settings = {key: settings[key] for key in ("model", "path", "pull") if settings.get(key) is not None}
        self._threads = _number(settings, "threads", max(1, min(4, _cores() - 1)), 1, 256)
        self._context = _number(settings, "context", 4096, 64, 2**20)
        self._slots = _number(settings, "slots", 2, 1, 64)
        self._total = timeouts_of(name, settings.get("timeout") or {}).total
        self._engines: dict[local_engine.Options, local_engine.Engine] = {}

    @property
    def default_model(self) -> str:
        """The model of the settings, by name: a file's is its own without `.gguf`."""
        target = str(self._settings.get("path") or self._settings.get("model") or local_weights.DEFAULT_MODEL)
        return os.path.basename(target).removesuffix(".gguf") if local_weights.is_path(target) else target

    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as it comes. The first read fetches and loads the model where that was not done yet.

        Closing it, or cancelling who reads, stops the model. A schema is held to by the engine's grammar, as far as
        that goes; a tool that must be called likewise, with any model; whether to call one is for a model to choose
        whose chat template has tools. Raises on reading: NotSupportedError (no engine here, media, or tools that the
        model would not see), NotFoundError, ValidationError, ContextLengthError, CallTimeoutError, and what
        `local_weights.ensure` raises. The time of a call counts from the first read, fetching and loading included.
        """
        turn = Turn(self.name, call.model or self.default_model, _free)
        return turn.stream(call, self._batches(call, turn))

    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer; it is streamed beneath. Cancelled, it stops the model."""
        async with self.stream(call) as stream:
            return await stream.collect()

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """As the model's file says, where it is here. Tools are those that it may choose to call; any model can be
        made to call one. Blocks for a moment, the first time."""
        try:
            known = facts(local_weights.where(self._settings_of(model or "")))
        except LLMSpellError:  # no name of a model's
            known = Facts()
        return ProviderCapabilities(
            supports_tools=known.tools,
            supports_tool_choice=True,
            structured_output="native",
            structured_output_any_root=True,
            supports_reasoning=False,
            max_context_tokens=min(self._context, known.context or self._context),
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models of the models folder, by name."""
        from llmspell.providers import local_files

        return tuple(ModelInfo(one.name, one.details()) for one in await asyncio.to_thread(local_files.models))

    def price(self, model: str) -> Price | None:
        """Nothing: it runs here."""
        from llmspell.types.price import FREE

        return FREE

    async def aclose(self) -> None:
        """Gives the models back; the memory is free once no other instance uses them."""
        engines, self._engines = list(self._engines.values()), {}
        for engine in engines:
            await asyncio.to_thread(local_engine.release, engine)

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        turn.start()
        loop = asyncio.get_running_loop()
        limit = self._total if call.timeout is None else call.timeout
        deadline = loop.time() + limit if limit else None
        model = turn.metadata["model"]
        settings = self._settings_of(call.model)
        tiny = local_weights.built_in(settings)
        knows_tools = _is_of_tools(call) and await asyncio.to_thread(_knows_tools, settings)
        asked = request(call, self.name, model, knows_tools=knows_tools)
        if len(asked.body) > TOKEN * self._context:
            raise self._named(_too_long(f"{len(asked.body)} bytes", f"{self._context} tokens"), model)
        reader = ChatReader(self.name, model)
        forced = _forced(turn) if asked.forced else None
        doing = "fetching and loading the model"
        try:
            async with asyncio.timeout_at(deadline):
                engine = await self._engine(settings, loop)
            doing = "answering"
            chunks = engine.generate(asked.body)
            try:
                while True:
                    # Around each wait alone: a timeout must not reach into the code that reads this stream.
                    async with asyncio.timeout_at(deadline):
                        batch = await anext(chunks, None)
                    if batch is None:
                        break
                    contents, error = _read(batch, reader, model)
                    if forced is not None:
                        contents = _calling(contents, forced)
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
            message = f"{self.name}/{model} was not done within {limit:g} s ({doing})"
            raise CallTimeoutError(message, hint=hint, limit=limit, provider=self.name, model=model) from error
        except _REFUSED as error:
            raise self._named(error, model) from error.__cause__
        last = reader.end()
        yield turn.chunks(last if forced is None else _called(last, forced))

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
            return ValidationError(
                f"the local model refused the request: {one_line(str(error), 300)}",
                hint="if there is a schema, keep to types, properties, items, enum, anyOf and `$ref`s within it",
                cause=error,
            )
        if not isinstance(error, (ValidationError, ConfigError, PermissionDeniedError)):
            error.context.setdefault("provider", self.name)
            error.context.setdefault("model", model)
        return error


_REFUSED = (LLMSpellError, ValueError)


def _free(usage: Usage, model: str) -> Usage:
    return usage._replace(cost_usd=0.0)


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


# -- tools


def _is_of_tools(call: ModelCall) -> bool:
    """Whether anything of *call* depends on what the model knows of tools."""
    turns = call.messages
    return bool(call.tools or call.body.get("tools")) or any(turn.tool_calls or turn.role == "tool" for turn in turns)


def _knows_tools(settings: Mapping[str, Any]) -> bool:
    """Whether the model's own template has tools. Of one that is not here nothing is known: loading it says so."""
    path = local_weights.where(settings)
    return facts(path).tools if os.path.isfile(path) or local_weights.built_in(settings) else True


def _forced(turn: Turn) -> ForcedCall:
    from llmspell.providers.local_forms import ForcedCall

    return ForcedCall("call_" + turn.stream_id.removeprefix("stream-"))  # another in each turn of a conversation


def _calling(contents: list[ChunkContent], forced: ForcedCall) -> list[ChunkContent]:
    """*contents* with the text of a forced call as the call that it is."""
    out: list[ChunkContent] = []
    for content in contents:
        if isinstance(content, Text):
            out += forced.feed(content.text)
        else:
            out.append(content)
    return out


def _called(last: list[ChunkContent], forced: ForcedCall) -> list[ChunkContent]:
    """The end of an answer that is a forced call: what it writes there is a call, and "stop" is not why it ended."""
    calls = forced.end()
    called = any(isinstance(content, ToolCallComplete) for content in calls)
    ended = [
        content._replace(finish_reason="tool_calls")
        if called and isinstance(content, Control) and content.finish_reason == "stop"
        else content
        for content in last
    ]
    return [*calls, *ended]


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
