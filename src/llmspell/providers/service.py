"""A service over HTTP: its dialect and the door to the network, joined."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell._speedups import Passing
from llmspell.config.schema import KEY_SOURCES
from llmspell.errors import AuthError, LLMSpellError
from llmspell.providers.base import ProviderInstance
from llmspell.providers.dialect import dialect_class
from llmspell.providers.headers import request_id
from llmspell.providers.http import ERROR_MAX, Door, Origin
from llmspell.providers.late_key import LateKey
from llmspell.providers.network import Network
from llmspell.providers.reading import MAX_REPLY
from llmspell.providers.retrying import Retries
from llmspell.providers.terms import policy_of, timeouts_of
from llmspell.providers.turn import Turn
from llmspell.types.streaming import Collector
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from typing import NoReturn

    from llmspell.providers.base import Embeddings, ModelCall, ModelInfo, ProviderCapabilities, WireRequest
    from llmspell.providers.dialect import Dialect
    from llmspell.providers.http import Answer
    from llmspell.providers.reading import Reading
    from llmspell.providers.retrying import Tries
    from llmspell.types.agent import AgentOutput
    from llmspell.types.price import Price
    from llmspell.types.streaming import AgentChunk, AgentStream, ChunkContent, Room, Taker
    from llmspell.types.usage import Usage
    from llmspell.utils.async_utils import Clock

__all__ = ["Service"]

#: Configured headers whose values are secrets, by a part of their name.
SECRET_HEADERS = ("auth", "key", "token", "secret", "cookie")


class Service(ProviderInstance):
    """One configured service.

    settings: type (of DIALECTS), base_url, api_key (the secret itself), api_key_env (its variable, for hints),
    api_key_file, api_key_keyring, api_key_cmd (see keys.py: where the first request finds a key that is not there),
    model, headers,
    timeout, retry (of RetryPolicy), those of Network, vendor (of vendors.toml), prices ({model: {input, output, cached,
    cache_write}}, US dollars for a million tokens, "*" for all others). dialect: in place of the type's. Without a key,
    a service at its vendor's own address raises AuthError when it is first used; others are asked without. clock: where
    waits take their time from.
    Raises ConfigError for a base_url, header or timeout that cannot be used.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        dialect: type[Dialect] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.type = str(settings.get("type") or "openai")
        usual = dialect or dialect_class(self.type)
        address = usual.address(str(settings.get("base_url") or usual.base_url))
        origin = Origin.of(address, f"providers.{name}.base_url")
        self._dialect = spoken = usual(origin.host)
        if vendor := settings.get("vendor"):
            spoken.of_vendor(str(vendor))
        self._key_env: str | None = settings.get("api_key_env")
        key = str(settings.get("api_key") or "").strip()  # keys out of files have a line end
        own: Mapping[str, str] = settings.get("headers") or {}
        headers = spoken.auth(key) | {header.lower(): value for header, value in own.items()}
        bare = not key and spoken.auth("?").keys() - headers.keys() != set()
        source = {kind: told for kind in KEY_SOURCES if (told := settings.get(kind)) and bare}
        lacking = bare and (not spoken.keyless or bool(source))
        self._late = LateKey(name, source, lacking=lacking, missing=self._no_key, found=self._carry)
        secret = [value for header, value in own.items() if any(part in header.lower() for part in SECRET_HEADERS)]
        self._secrets = tuple(value for value in (key, *secret, *(s.partition(" ")[2] for s in secret)) if value)
        logs.hide(self._secrets)
        self._catalog = "own" if spoken.own else str(settings.get("vendor") or ""), self.type, origin.host
        self._prices: Mapping[str, Any] = settings.get("prices") or {}
        self._retries = Retries(policy_of(name, settings.get("retry")), clock)
        self._model = str(settings.get("model") or (spoken.model if spoken.own else ""))
        self._door = Door(
            name,
            origin,
            timeouts=timeouts_of(name, settings.get("timeout") or {}),
            headers=headers,
            network=Network.of(name, settings),
        )

    def __repr__(self) -> str:
        return f"Service({self.name!r}, {self._door.origin.host!r})"

    @property
    def default_model(self) -> str:
        """The model of the settings; at its vendor's own address a small one where they name none."""
        return self._model

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What its dialect can do, with *model* where one is named, and what the catalogue knows of that."""
        can = self._dialect.capabilities(model)
        if self._dialect.embeds:
            can = can._replace(supports_embeddings=True)
        if model is None:
            return can
        from llmspell.providers.catalog import known_of

        return known_of(can, self._catalog, model)

    def price(self, model: str) -> Price | None:
        """What *model* costs: as configured, else by the service's price list."""
        from llmspell.providers.catalog import price_of

        return price_of(self._catalog, model, self._prices)

    def _priced(self, call: ModelCall, usage: Usage, told: str) -> Usage:
        """*usage* with its cost: as the service said it, else by the model asked for, or that the service named."""
        if usage.cost_usd is None:
            price = self.price(call.model) or self.price(told)
            if price is not None:
                return usage._replace(cost_usd=price.cost(usage))
        return usage

    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as it comes. Nothing is sent before the first read.

        Raises on reading: AuthError, NetworkError, CallTimeoutError, StreamTruncatedError, and what the service's own
        error means. Closing it, or cancelling who reads, closes the connection at once.
        """
        turn = Turn(self.name, call.model, partial(self._priced, call))
        return turn.stream(call, self._batches(call, turn), partial(self._pour, call, turn))

    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer, asked for in one piece; of the timeouts, `first_token` does not hold."""
        turn = Turn(self.name, call.model, partial(self._priced, call))
        collector = Collector()
        with turn.whole(call):
            for chunk in turn.chunks(await self._executed(call, turn)):
                collector.add(chunk)
        return collector.output()

    async def _executed(self, call: ModelCall, turn: Turn) -> list[ChunkContent]:
        tries = self._tries(call)
        try:
            while True:
                try:
                    return await self._whole(call, turn, tries)
                except LLMSpellError as error:
                    turn.retried(tries.after(error))
                await tries.wait()
        finally:
            tries.leave(answered=False)  # where it was cancelled

    async def disconnect(self) -> None:
        """Closes all connections; calls in flight end with an error."""
        await self._late.aclose()
        await self._door.aclose()

    async def aclose(self) -> None:
        await self.disconnect()

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """*texts* as vectors; *model* may be empty for the service's usual one. See `sides.embed`."""
        from llmspell.providers import sides

        return await sides.embed(self._dialect, self._ask, self.name, model, texts, dimensions)

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that the service says it has. See `sides.models`."""
        from llmspell.providers import sides

        return await sides.models(self._dialect, self._ask, self.name)

    async def _ask(self, request: WireRequest, model: str) -> Any:
        """The parsed answer to a request that is no call of a model, tried again as calls are. Raises typed errors."""
        tries = self._retries.call(model, None, self._door.timeouts.total)
        try:
            while True:
                try:
                    value = await self._asked(request, model, await tries.enter())
                    tries.leave(answered=True)
                    return value
                except LLMSpellError as error:
                    tries.after(error)
                await tries.wait()
        finally:
            tries.leave(answered=False)

    async def _asked(self, request: WireRequest, model: str, total: float | None) -> Any:
        await self._late.need(model)
        lists = request.method == "GET"  # which no service has to think about
        answer = await self._door.send(request, model=model, total=total, first_token=lists)
        if not 200 <= answer.status < 300:
            await self._refuse(answer, model)
        whole = False
        try:
            reply = await answer.whole(MAX_REPLY)
            whole = True
        finally:
            await answer.aclose(finished=whole)
        import orjson

        try:
            value = orjson.loads(reply.body)
        except ValueError:
            value = None
        if value is None or (isinstance(value, dict) and value.get("error")):
            from llmspell.providers.wire_errors import from_error

            body = reply.body[:100_000].decode("utf-8", "replace") if value is None else value
            raise from_error(
                body,
                status=None,
                headers=reply.headers,
                provider=self.name,
                model=model,
                key_env=self._key_env,
                secrets=self._secrets,
            )
        return value

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        turn.start()
        tries = self._tries(call)
        finished = False
        try:
            while True:
                try:
                    reading, answer, contents = await self._begun(call, turn, tries)
                    break
                except LLMSpellError as error:
                    retry = tries.after(error)
                    turn.retried(retry)
                yield turn.chunks([retry])
                await tries.wait()
            try:
                read, feed = answer.read, reading.feed
                over = reading.finished
                while True:
                    if over:
                        # Before the last chunks are given out: their reader may never ask again.
                        finished = reading.error is None
                        await answer.aclose(finished=finished)
                        turn.told(reading.metadata)  # services say what they say in the first chunk and the last
                    if contents:
                        yield turn.chunks(contents)
                    if over:
                        break
                    data = await read()
                    contents = feed(data) if data else reading.end()
                    over = reading.finished
                self._check(reading, answer)
            finally:
                await answer.aclose(finished=finished)
        finally:
            tries.leave(answered=finished)

    async def _pour(self, call: ModelCall, turn: Turn, take: Taker, room: Room) -> None:
        """As `_batches`, but each batch is handed to *take* where its bytes come in; see AgentStream.pour."""
        turn.start()
        tries = self._tries(call)
        finished = False
        try:
            while True:
                try:
                    reading, answer, contents = await self._begun(call, turn, tries)
                    break
                except LLMSpellError as error:
                    retry = tries.after(error)
                    turn.retried(retry)
                if not take(turn.chunks([retry])):
                    await room()
                await tries.wait()
            pours = answer.pours

            def last(contents: list[ChunkContent]) -> bool:
                nonlocal finished
                finished = reading.error is None
                if pours:  # the connection may be wanted as soon as the last chunks are given out
                    answer.close(finished=finished)
                turn.told(reading.metadata)
                if contents:
                    take(turn.chunks(contents))
                return False

            piece = Passing(reading, turn.stamp, take, last)
            try:
                more = last(contents) if reading.finished else take(turn.chunks(contents))
                while not reading.finished:
                    if not more:
                        await room()
                    more = (await answer.pour(piece) and piece(b"")) if pours else piece(await answer.read())
                self._check(reading, answer)
            finally:
                await answer.aclose(finished=finished)
        finally:
            tries.leave(answered=finished)

    async def _begun(self, call: ModelCall, turn: Turn, tries: Tries) -> tuple[Reading, Answer, list[ChunkContent]]:
        """One attempt at a stream, up to its first contents: until then, what fails may be tried again."""
        total = await tries.enter()
        answer = await self._send(call, turn, total, stream=True)
        reading = self._reading(call)  # only now all secrets are known
        try:
            contents: list[ChunkContent] = []
            while not contents and not reading.finished:
                data = await answer.read()
                contents = reading.feed(data) if data else reading.end()
            if not contents:
                self._check(reading, answer)
            turn.told(reading.metadata)
        except BaseException:
            await answer.aclose()
            raise
        return reading, answer, contents

    async def _whole(self, call: ModelCall, turn: Turn, tries: Tries) -> list[ChunkContent]:
        """One attempt at an answer in one piece."""
        total = await tries.enter()
        answer = await self._send(call, turn, total, stream=False)
        reading = self._reading(call)
        try:
            reply = await answer.whole(MAX_REPLY)
            contents = [*reading.feed(reply.body), *reading.end()]
            self._check(reading, answer)
        except BaseException:
            await answer.aclose()
            raise
        await answer.aclose(finished=True)
        tries.leave(answered=True)
        turn.told(reading.metadata)
        return contents

    def _tries(self, call: ModelCall) -> Tries:
        total = self._door.timeouts.total if call.timeout is None else call.timeout
        return self._retries.call(call.model, call.retry, total, call.on_retry)

    def go_through(
        self, way: Callable[[Door, tuple[str, ...]], Any], clock: Clock, *, keyless: bool = False, played: bool = False
    ) -> None:
        """Takes another door to the network: what *way* makes of its own, and of the secrets that go through it.

        clock: of the waits between attempts, and of their chance. keyless: what goes through needs no key.
        played: no secret is in what comes through it, and none is looked for.
        """
        self._late.lacking = self._late.lacking and not keyless
        self._door = way(self._door, self._secrets)
        if played:
            self._secrets = ()
        self._retries.clock = clock

    def _reading(self, call: ModelCall) -> Reading:
        return self._dialect.reading(self.name, call.model, key_env=self._key_env, secrets=self._secrets)

    async def _send(self, call: ModelCall, turn: Turn, total: float | None, *, stream: bool) -> Answer:
        """Sends the request; an answer that is an error is read and raised. total: seconds that it has.

        A key from a file or a command that the service refuses may have been changed there: then it is sent again.
        """
        if self._late.lacking:
            await self._late.need(call.model)
        used = self._late.key
        try:
            return await self._send_once(call, turn, total, stream=stream)
        except AuthError as error:
            if not await self._late.renewed(error, used, call.model):
                raise
        return await self._send_once(call, turn, total, stream=stream)

    async def _send_once(self, call: ModelCall, turn: Turn, total: float | None, *, stream: bool) -> Answer:
        request = self._dialect.request(call, stream=stream)
        left = call.timeout if total is None else total
        answer = await self._door.send(
            request, model=call.model, total=left, own_total=call.timeout, first_token=stream
        )
        if 200 <= answer.status < 300:
            turn.told({"request_id": request_id(answer.headers)})
            return answer
        return await self._refuse(answer, call.model)

    async def _refuse(self, answer: Answer, model: str) -> NoReturn:
        """Raises what an answer means that has the status of an error, also where its body breaks off."""
        try:
            reply = await answer.whole(ERROR_MAX, cut=True)
        finally:
            await answer.aclose(finished=answer.over)
        from llmspell.providers.wire_errors import from_reply

        raise from_reply(reply, provider=self.name, model=model, key_env=self._key_env, secrets=self._secrets)

    def _no_key(self, model: str) -> AuthError:
        return AuthError(
            f"there is no key for {self.name}",
            hint=f"set `{self._key_env or self._dialect.key_env}`, or run without one: `--model local`",
            provider=self.name,
            model=model or None,
        )

    def _carry(self, key: str) -> None:
        """Sends *key* from now on, and shows it nowhere."""
        self._door.carry(self._dialect.auth(key))
        self._secrets = (key, *self._secrets)
        logs.hide((key,))

    def _check(self, reading: Reading, answer: Answer) -> None:
        error: LLMSpellError | None = reading.error
        if error is not None:
            if (told := request_id(answer.headers)) is not None:
                error.context.setdefault("request_id", told)
            raise error
