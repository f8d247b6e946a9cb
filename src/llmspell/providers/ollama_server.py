"""An Ollama server: what it has, fetching and removing models, and plain words where it does not run. WIRE.md §8."""

from __future__ import annotations

import errno
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from llmspell.errors import (
    LLMSpellError,
    NetworkError,
    NotFoundError,
    ProviderError,
    StreamTruncatedError,
    ValidationError,
    one_line,
)
from llmspell.providers.base import ModelInfo, WireRequest
from llmspell.providers.calls import count, text_of
from llmspell.providers.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llmspell.providers.base import Embeddings, WireReply
    from llmspell.providers.http import Answer, Door

__all__ = ["OllamaServer", "model_info", "shown"]

REPLY = 16 * 2**20  # bytes of a list; of `show` with its licence and template
MODELS = 10_000
LINE = 2**20  # bytes of a line of a pull
LAYERS = 1000  # of one model; a few is usual
SILENCE = 1800.0  # seconds in a pull: it tells nothing while it takes the sum of a large layer
T = TypeVar("T")
CLOUD = "ollama.com"  # which has its models by itself


class OllamaServer(Service):
    """As Service; besides, it says what it has, and fetches and removes. All of it raises as calls do: NetworkError
    where it does not run, NotFoundError for a model that is not there."""

    async def _send(self, *args: Any, **more: Any) -> Answer:
        try:
            return await super()._send(*args, **more)
        except LLMSpellError as error:
            raise self._told(error, text_of(error.context.get("model"))) from error.__cause__

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """As every service's."""
        return await self._plainly(super().embed(model, texts, dimensions=dimensions), model)

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that are on the server, as `GET /api/tags` has them."""
        value = await self._json("GET", "/api/tags", None)
        rows = value.get("models") if isinstance(value, dict) else None
        if not isinstance(rows, list):
            raise self._garbage("what it says of its models")
        return tuple(info for row in rows[:MODELS] if (info := model_info(row)) is not None)

    async def show(self, model: str) -> ModelInfo:
        """What the server knows of *model*: its size is not among it; see `shown`."""
        return ModelInfo(model, shown(await self._json("POST", "/api/show", model)))

    async def remove(self, model: str) -> None:
        """Removes *model* from the server. NotFoundError names those that are called nearly so."""
        try:
            await self._json("DELETE", "/api/delete", model)
        except NotFoundError as error:
            names = [one.id for one in await self.models()]
            short = {name.partition(":")[0]: name for name in names} | {name: name for name in names}
            near = dict.fromkeys(short[name] for name in get_close_matches(model, short, n=4, cutoff=0.5))
            hint = f"did you mean {' or '.join(f'`{self.name}/{name}`' for name in near)}?" if near else None
            hint = hint or (f"it has: {', '.join(names[:20])}" if names else "it has none")
            raise NotFoundError(
                f"{self.name} has no model {one_line(model, 100)}", hint=one_line(hint), provider=self.name, model=model
            ) from error.__cause__

    async def pull(
        self,
        model: str,
        progress: Callable[[int, int], None] | None = None,
        *,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Has the server fetch *model*. Cancelled, the server stops, and keeps what came for the next time.

        progress(done, total): bytes of the layers that are known so far, so the total may rise; they are equal once,
        at the end. Of what the server had before it tells nothing. notify(text): what else the server does, in its
        own words ("verifying sha256 digest").
        Raises NotFoundError (its library has none such), StreamTruncatedError (the server went away).
        """
        await self._late.need(model)
        door = self._door.with_timeouts(self._door.timeouts._replace(idle=SILENCE, total=None))
        try:
            answer = await self._answered(door, self._wire("POST", "/api/pull", model, stream=True), model)
            try:
                await self._follow(answer, model, _Layers(progress), notify)
            finally:
                await answer.aclose()
        finally:
            await door.aclose()

    # -- the wire

    async def _follow(self, answer: Answer, model: str, layers: _Layers, notify: Callable[[str], None] | None) -> None:
        """Reads the lines of a pull to the one that says success."""
        rest, last = b"", ""
        while data := await self._plainly(answer.read(), model):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE:
                raise self._garbage("a line of its progress")
            for line in filter(bytes.strip, lines):
                status = self._step(line, model, layers)
                if status == "success":
                    layers.end()
                    return
                if status and status != last and notify is not None:
                    notify(status)
                last = status or last
        if rest.strip()[-1:] == b"}" and self._step(rest, model, layers) == "success":
            layers.end()
            return
        raise StreamTruncatedError(
            f"{self.name} stopped fetching {one_line(model, 100)} before its end",
            hint="pull again: it goes on from what came",
            provider=self.name,
            model=model,
        )

    def _step(self, line: bytes, model: str, layers: _Layers) -> str:
        """What a line says it does, where that is not of a layer's bytes. Raises the error that it is."""
        try:
            value = orjson.loads(line)
        except ValueError:
            raise self._garbage("its progress") from None
        if not isinstance(value, dict):
            return ""
        if told := text_of(value.get("error")):
            missing = "file does not exist" in told or "not found" in told
            if missing:
                raise NotFoundError(
                    f"{self.name} finds no model {one_line(model, 100)} to fetch",
                    hint=f"{CLOUD}/library lists what there is",
                    provider=self.name,
                    model=model,
                )
            from llmspell.providers.wire_errors import masked

            told = one_line(masked(told, self._secrets), 300)
            what = f"{self.name} could not fetch {one_line(model, 100)}: {told}"
            raise ProviderError(what, provider=self.name, model=model)
        status = one_line(text_of(value.get("status")), 100)
        return "" if layers.add(value) else status

    async def _json(self, method: str, path: str, model: str | None) -> Any:
        """One short request, and the JSON of its answer; None where it is empty."""
        answer = await self._answered(self._door, self._wire(method, path, model), model or "")
        whole = False
        try:
            reply: WireReply = await self._plainly(answer.whole(REPLY), model or "")
            whole = True
        finally:
            await answer.aclose(finished=whole)
        if not reply.body.strip():
            return None
        try:
            return orjson.loads(reply.body)
        except ValueError:
            raise self._garbage("its answer") from None

    def _wire(self, method: str, path: str, model: str | None, **more: Any) -> WireRequest:
        if model is None:
            return WireRequest(method, path, {"accept": "application/json"}, b"")
        if not model or len(model) > 1000 or not model.isprintable():
            raise ValidationError(f"`{one_line(model, 60)}` cannot name a model of {self.name}")
        # Servers of before 2024 knew it as `name`.
        body = orjson.dumps({"model": model, "name": model, **more})
        return WireRequest(method, path, {"content-type": "application/json", "accept": "application/json"}, body)

    async def _answered(self, door: Door, request: WireRequest, model: str) -> Answer:
        """The answer to *request*; one that is an error is read and raised."""
        from llmspell.providers.wire_errors import from_reply

        await self._late.need(model)
        answer = await self._plainly(door.send(request, model=model), model)
        if 200 <= answer.status < 300:
            return answer
        try:
            reply = await self._plainly(answer.whole(2**20, cut=True), model)
        finally:
            await answer.aclose()
        error = from_reply(reply, provider=self.name, model=model, key_env=self._key_env, secrets=self._secrets)
        raise self._told(error, "" if request.path == "/api/pull" else model)

    async def _plainly(self, work: Awaitable[T], model: str) -> T:
        try:
            return await work
        except LLMSpellError as error:
            raise self._told(error, model) from error.__cause__

    # -- words

    def _told(self, error: LLMSpellError, model: str) -> LLMSpellError:
        """*error* in the words of a server of one's own."""
        origin = self._door.origin
        if origin.host == CLOUD:
            return error
        if isinstance(error, NetworkError) and _refused(error.__cause__):
            return NetworkError(
                f"Ollama is not running at {origin.scheme}://{origin.authority}",
                hint=f"start it with `ollama serve`, or set OLLAMA_HOST or `providers.{self.name}.base_url`",
                retryable=False,  # it does not start by itself
                **{name: value for name, value in error.context.items() if value},
            )
        if isinstance(error, NotFoundError) and model and error.context.get("status") == 404:
            error.hint = f"`llmspell models pull {self.name}/{one_line(model, 100)}` fetches it"
        return error

    def _garbage(self, what: str) -> ProviderError:
        return ProviderError(
            f"{self.name} cannot be read: {what} makes no sense",
            hint=f"is it an Ollama server? check `providers.{self.name}.base_url`",
            provider=self.name,
        )


def _refused(error: BaseException | None) -> bool:
    """Whether nothing listens there: at any of the addresses that a name has."""
    return isinstance(error, OSError) and (
        isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error)
    )


class _Layers:
    """The bytes of a model's layers, as they are told one after another."""

    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self._layers: dict[str, tuple[int, int]] = {}  # digest: done, total

    def add(self, value: dict[str, Any]) -> bool:
        """Takes in a line; gives whether it is of a layer."""
        digest, total = text_of(value.get("digest")), count(value.get("total"))
        if not digest or not total or (digest not in self._layers and len(self._layers) >= LAYERS):
            return bool(digest)
        done = min(count(value.get("completed")) or 0, total)
        if done == total and digest not in self._layers:
            return True  # it was there before
        self._layers[digest] = (max(done, self._layers.get(digest, (0, 0))[0]), total)
        whole = self._total()
        self._tell(min(sum(done for done, _ in self._layers.values()), whole - 1), whole)
        return True

    def end(self) -> None:
        """All of it is there."""
        if whole := self._total():
            self._tell(whole, whole)

    def _total(self) -> int:
        return sum(total for _, total in self._layers.values())

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)


# -- what it says of models


def model_info(row: Any) -> ModelInfo | None:
    """A row of `/api/tags`; None for one without a name. details: size (bytes), family, parameters ("7.6B"),
    quantization, modified, as far as they are told."""
    if not isinstance(row, dict):
        return None
    name = text_of(row.get("model")) or text_of(row.get("name"))
    if not name:
        return None
    details: dict[str, Any] = {}
    if (size := count(row.get("size"))) is not None:
        details["size"] = size
    details |= _family(row.get("details"))
    if modified := text_of(row.get("modified_at")):
        details["modified"] = one_line(modified, 40)
    return ModelInfo(one_line(name, 200), details)


def shown(value: Any) -> dict[str, Any]:
    """What `/api/show` says: family, parameters, quantization, context (tokens), capabilities, licence (its first
    line), as far as they are told."""
    if not isinstance(value, dict):
        return {}
    told: dict[str, Any] = _family(value.get("details"))
    facts = value.get("model_info")
    if isinstance(facts, dict):
        context = count(facts.get(f"{facts.get('general.architecture')}.context_length"))
        if context:
            told["context"] = context
    able = value.get("capabilities")
    if isinstance(able, list):
        told["capabilities"] = [one_line(word, 40) for word in able[:50] if isinstance(word, str)]
    if licence := text_of(value.get("license")).strip():
        told["licence"] = one_line(licence.partition("\n")[0], 100)
    return told


def _family(details: Any) -> dict[str, Any]:
    if not isinstance(details, dict):
        return {}
    words = {"family": "family", "parameters": "parameter_size", "quantization": "quantization_level"}
    return {name: one_line(word, 60) for name, key in words.items() if (word := text_of(details.get(key)))}
