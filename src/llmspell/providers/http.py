"""The one door to the network: a request of a dialect goes out, an answer's bytes come in, checked and bounded.

Which road it takes is decided here: connections of our own (transport.py), or httpx where a proxy applies or HTTP/2 is
wanted (proxied.py). Whatever goes wrong leaves as an LLMSpellError that says what happened and what to do.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell._version import __version__
from llmspell.errors import (
    CallTimeoutError,
    ConfigError,
    LLMSpellError,
    NetworkError,
    ProviderError,
    StreamTruncatedError,
    one_line,
)
from llmspell.providers.base import WireReply
from llmspell.providers.framing import ANSWER_MAX, WireError
from llmspell.providers.headers import sendable
from llmspell.providers.network import Network, tls_context
from llmspell.providers.transport import ConnectTimeout, Exchange, Pool, TakerFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.providers.base import Timeouts, WireRequest
    from llmspell.providers.proxied import ProxiedExchange, ProxyRoad

__all__ = ["ANSWER_MAX", "ERROR_MAX", "Answer", "Door", "Origin"]

ERROR_MAX = 1024 * 1024  # bytes that are read of an error's answer
USER_AGENT = f"llmspell/{__version__}"


class Origin(NamedTuple):
    """Where a service is: what a base_url says."""

    scheme: str
    host: str
    port: int
    path: str
    query: str

    @classmethod
    def of(cls, base_url: str, setting: str) -> Origin:
        """Raises ConfigError, which names *setting* and never shows the address: it may hold a password."""

        def wrong(what: str, hint: str) -> ConfigError:
            return ConfigError(f"`{setting}` {what}", hint=hint, setting=setting)

        scheme, mark, rest = base_url.strip().partition("://")
        scheme = scheme.lower()
        if not mark or scheme not in ("http", "https"):
            raise wrong("is no address of a service", 'write it like "https://api.example.com/v1"')
        rest = rest.partition("#")[0]
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        if "@" in authority:
            raise wrong("carries a user name or password", "use `api_key_env`, or `headers`")
        if authority[:1] == "[":  # IPv6
            host, _, port = authority[1:].partition("]")
            good = "]" in authority and port[:1] in ("", ":")
            port = port[1:]
        else:
            host, _, port = authority.partition(":")
            good = True
        if not (good and host) or (port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536)):
            raise wrong("has no host, or a port that is none", 'write it like "https://api.example.com/v1"')
        if not all("!" <= c <= "~" for c in path + query) or not all(c.isalnum() or c in "-._:%" for c in host):
            raise wrong("has characters that an address cannot have", "write them %-encoded")
        number = int(port) if port else (443 if scheme == "https" else 80)
        try:
            host = host if host.isascii() else host.encode("idna").decode()
        except UnicodeError:
            raise wrong("has a host that cannot be a name", "write it as DNS has it: xn--…") from None
        return cls(scheme, host, number, (slash + path).rstrip("/"), query)

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def target(self, path: str) -> str:
        """The request's target: *path* below the base address, whose query is kept."""
        return f"{self.path}{path}" + (f"{'&' if '?' in path else '?'}{self.query}" if self.query else "")


class Door:
    """All requests to one service. Serves many at once on one event loop; `aclose` it when the loop ends.

    name: the provider's, for errors. headers: sent with each request, the key among them; never shown.
    """

    def __init__(
        self,
        name: str,
        origin: Origin,
        *,
        timeouts: Timeouts,
        headers: Mapping[str, str],
        network: Network = Network(),  # noqa: B008 (it is never written to)
    ) -> None:
        self.name = name
        self.origin = origin
        self.timeouts = timeouts
        self.network = network
        self._headers: dict[str, str] = {}
        self.carry(headers)
        self._pools: dict[asyncio.AbstractEventLoop, Pool] = {}  # threads may have loops of their own
        self._proxied: ProxyRoad | None = None

    def carry(self, headers: Mapping[str, str]) -> None:
        """Sends these with each request from now on. Raises ConfigError for one that no request can carry."""
        name = self.name
        for header, value in headers.items():
            if not sendable(header, value):
                raise ConfigError(
                    f"the key or a header of provider `{name}` has a character that no header can carry: `{header}`",
                    hint=f"check the key's variable and `providers.{name}.headers` for line ends and quotes",
                )
        self._headers |= {header.lower(): value for header, value in headers.items()}

    def __repr__(self) -> str:
        return f"Door({self.name!r}, {self.origin.host!r})"

    @property
    def headers(self) -> dict[str, str]:
        """What is sent with each request, names in lower case; the key is among it."""
        return self._headers

    async def send(
        self,
        request: WireRequest,
        *,
        model: str,
        total: float | None = None,
        own_total: float | None = None,
        first_token: bool = True,
    ) -> Answer:
        """Sends *request* and gives its answer once the head is there, whatever its status. `aclose` the answer.

        total: seconds that are left of the whole call, in place of the provider's `total`; own_total: what the caller
        gave it in all, as an error then says. first_token: whether that timeout
        holds; an answer that is made whole before it is sent has only `total`.
        Raises NetworkError (no byte of an answer came), CallTimeoutError, StreamTruncatedError (the head was cut),
        ProviderError (no HTTP). Cancelled, it leaves no connection open.
        """
        loop = asyncio.get_running_loop()
        watch = _Watch(self, model, loop.time, total, first_token, own_total)
        headers = self._headers | request.headers
        headers |= {"host": self.origin.authority, "user-agent": USER_AGENT, "accept-encoding": "identity"}
        headers["content-length"] = str(len(request.body))
        exchange: Exchange | ProxiedExchange | None = None
        try:
            if self.network.http2 or self._takes_proxy():
                exchange = self._proxy_road().exchange()
                await exchange.send(
                    request.method, self.origin.target(request.path), headers, request.body,
                    watch.left(self.timeouts.connect), watch.due(),
                )  # fmt: skip
            else:
                exchange = await self._direct(request, headers, watch)
        except BaseException as error:
            if exchange is not None:
                await exchange.aclose(finished=False)
                watch.sent = exchange.sent
            failure = watch.failure(error, begun=exchange is not None and exchange.answered)
            if failure is None:
                raise
            raise failure from error
        return Answer(exchange, watch)

    async def _direct(self, request: WireRequest, headers: dict[str, str], watch: _Watch) -> Exchange:
        lines = [f"{request.method} {self.origin.target(request.path)} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        wire = "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body
        pool = self._own_pool()
        kept = await pool.take()
        if kept is not None:
            watch.sent = True
            exchange = Exchange(kept)
            try:
                await exchange.start(wire, watch.due(), watch.ends)
                return exchange
            except BaseException as error:
                await exchange.aclose(finished=False)
                # A service may close a kept connection just as it is used. Nothing was begun then: a new one serves.
                if not isinstance(error, OSError) or isinstance(error, TimeoutError) or exchange.answered:
                    watch.begun = exchange.answered
                    raise
        connection = await pool.connect(watch.left(self.timeouts.connect))
        watch.sent = True
        exchange = Exchange(connection)
        try:
            await exchange.start(wire, watch.due(), watch.ends)
        except BaseException:
            watch.begun = exchange.answered
            await exchange.aclose(finished=False)
            raise
        return exchange

    def _takes_proxy(self) -> bool:
        """Whether a proxy of the settings, of the environment or of the system applies to this service."""
        if self.network.proxy is not None:
            return self.network.proxy != "none"
        if sys.platform not in ("darwin", "win32"):
            names = (f"{self.origin.scheme}_proxy", "all_proxy")
            if not any(os.environ.get(name) or os.environ.get(name.upper()) for name in names):
                return False
        from urllib.request import getproxies, proxy_bypass

        known = getproxies()
        return bool(known.get(self.origin.scheme) or known.get("all")) and not proxy_bypass(self.origin.host)

    def _own_pool(self) -> Pool:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for ended in [other for other in list(self._pools) if other.is_closed()]:
                self._pools.pop(ended, None)
            pool = self._pools[loop] = Pool(self.origin.host, self.origin.port, self._tls())
        return pool

    def _proxy_road(self) -> ProxyRoad:
        from llmspell.providers.proxied import ProxyRoad

        loop = asyncio.get_running_loop()
        if self._proxied is None or self._proxied.loop is not loop:
            base = f"{self.origin.scheme}://{self.origin.authority}"
            self._proxied = ProxyRoad(self.name, base, self._tls(), self.network)
        return self._proxied

    def _tls(self) -> Callable[[], ssl.SSLContext] | None:
        """What makes the context of its connections."""
        return partial(tls_context, self.name, self.network) if self.origin.scheme == "https" else None

    def with_timeouts(self, timeouts: Timeouts) -> Door:
        """Another door to the same service."""
        return Door(self.name, self.origin, timeouts=timeouts, headers=self._headers, network=self.network)

    async def aclose(self) -> None:
        """Closes the connections of the running loop; those of other loops, in other threads, are theirs."""
        loop = asyncio.get_running_loop()
        road = self._proxied
        if road is not None and road.loop is loop:
            self._proxied = None
            await road.aclose()
        if (pool := self._pools.pop(loop, None)) is not None:
            await pool.aclose()


class Answer:
    """An answer whose head has come. Belongs to one task."""

    over = False  # `whole` has read it to its end

    def __init__(self, exchange: Exchange | ProxiedExchange, watch: _Watch) -> None:
        self._exchange = exchange
        self._watch = watch
        self._size = 0
        self._inflate: Callable[[bytes], bytes] | None = None
        self.status = exchange.status
        self.headers = exchange.headers
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity"):  # although it was not asked for
            from llmspell.providers.codings import inflater  # with zlib, which few answers need

            self._inflate = inflater(coding)

    async def read(self) -> bytes:
        """The next bytes of the body; none at its end. Waits at most `idle`, or `first_token` for the first.

        Raises CallTimeoutError, StreamTruncatedError, ProviderError.
        """
        watch = self._watch
        try:
            while True:
                data = await self._exchange.read(watch.due())
                watch.waited_for = "idle"
                if not data:
                    return data
                self._size += len(data)
                if self._inflate is not None:
                    data = self._inflate(data)
                    self._size += len(data)  # besides what came: that may become nothing for ever
                if self._size > ANSWER_MAX:
                    raise WireError(f"its answer has more than {ANSWER_MAX >> 20} MiB")
                if data:
                    return data
        except Exception as error:
            failure = watch.failure(error, begun=True)
            if failure is None:
                raise
            raise failure from error

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Hands further bytes to *take* in the loop's own callback as they come, until it gives false or at their end.

        Gives whether they are at their end. Only where `pours`, after the first `read`; raises as that does, and what
        *take* raises as it is.
        """
        watch, exchange = self._watch, self._exchange
        assert isinstance(exchange, Exchange)
        try:
            self._size = await exchange.pour(take, watch.idle, watch.ends, self._size)
            return exchange.ended
        except TakerFailed as failed:
            own = failed.__cause__ or failed
        except Exception as error:
            failure = watch.failure(error, begun=True)
            if failure is None:
                raise
            raise failure from error
        raise own  # out here, for it is no context of itself

    @property
    def pours(self) -> bool:
        """Whether its bytes can be had where the loop gets them: over a connection of our own, as they are."""
        return self._inflate is None and isinstance(self._exchange, Exchange)

    def close(self, *, finished: bool) -> None:
        """As `aclose`, of one that `pours`, for who cannot wait."""
        assert isinstance(self._exchange, Exchange)
        self._exchange.close(finished=finished)

    async def whole(self, limit: int, *, cut: bool = False) -> WireReply:
        """The answer, read to its end. Beyond *limit* bytes: ProviderError.

        With *cut* just the beginning is given then, and where the rest does not come.
        """
        pieces: list[bytes] = []
        size = 0
        try:
            while size <= limit and not self.over:
                data = await self.read()
                pieces.append(data)
                size += len(data)
                self.over = not data
        except (CallTimeoutError, StreamTruncatedError, ProviderError):
            if not cut:
                raise
        if size > limit and not cut:
            raise self._watch.garbage(f"its answer has more than {limit >> 20} MiB")
        return WireReply(self.status, self.headers, b"".join(pieces)[:limit])

    async def aclose(self, *, finished: bool = False) -> None:
        """Closes the connection at once; finished: the answer went well, and the connection is kept."""
        await self._exchange.aclose(finished=finished)


class _Watch:
    """The timeouts of one call, and what to say when something goes wrong."""

    def __init__(
        self,
        door: Door,
        model: str,
        clock: Callable[[], float],
        timeout: float | None,
        first_token: bool,
        own_total: float | None,
    ) -> None:
        self._door = door
        self._model = model
        self._clock = clock
        self._started = clock()
        self._own_total = own_total is not None
        self._total = (timeout if timeout is not None else door.timeouts.total) or None
        self._whole = door.timeouts.total if own_total is None else own_total  # as a person knows it
        self.ends = None if self._total is None else self._started + self._total
        self.waited_for = "first_token" if first_token else "total"
        self.idle = door.timeouts.idle or None
        self._first = door.timeouts.first_token or None
        self.begun = False
        self.sent = False  # a connection stood, so a request may have gone out

    def due(self) -> float | None:
        """When the wait that now begins has lasted too long, by the loop's clock; None is never."""
        at: float | None = None
        if self.waited_for == "idle":
            at = None if self.idle is None else self._clock() + self.idle
        elif self.waited_for == "first_token":
            at = None if self._first is None else self._started + self._first
        ends = self.ends
        if ends is None:
            return at
        return ends if at is None or ends < at else at

    def left(self, timeout: float | None) -> float | None:
        """*timeout* seconds, or what is left of the whole call, if that is less."""
        timeout = timeout or None
        if self.ends is None:
            return timeout
        left = max(0.0, self.ends - self._clock())
        return left if timeout is None else min(timeout, left)

    def failure(self, error: BaseException, *, begun: bool) -> LLMSpellError | None:
        """What *error* means for the caller; None for what is not ours to word (a cancellation, a fault)."""
        begun = begun or self.begun
        if isinstance(error, TimeoutError):
            return self._late("connect" if isinstance(error, ConnectTimeout) else self.waited_for)
        if isinstance(error, WireError):
            return self.garbage(str(error))
        if isinstance(error, EOFError) or (begun and isinstance(error, OSError)):
            return StreamTruncatedError(
                f"the connection to {self._door.name} was lost within the answer",
                hint="try again; what came is in the error's `partial`",
                **self._about(),
            )
        return self._unreachable(error) if isinstance(error, OSError) else None

    def garbage(self, what: str) -> ProviderError:
        """What answers cannot be read, or is beyond the bounds."""
        name = self._door.name
        return ProviderError(
            f"{name} cannot be read: {what}", hint=f"check `providers.{name}.base_url`", **self._about()
        )

    def _late(self, which: str) -> CallTimeoutError:
        name, timeouts = self._door.name, self._door.timeouts
        if self.ends is not None and self._clock() >= self.ends - 0.002:
            which = "total"
        value = self._whole if which == "total" else getattr(timeouts, which)
        setting = f"providers.{name}.timeout.{which}"
        what = {
            "connect": "no connection to {name} within {value:g} s",
            "first_token": "{name} has not begun to answer within {value:g} s",
            "idle": "{name} sent nothing more for {value:g} s",
            "total": "{name} has not answered in full within {value:g} s",
        }[which].format(name=name, value=value)
        where = "the call's `timeout`" if which == "total" and self._own_total else f"`{setting}`"
        return CallTimeoutError(
            f"{what} ({which} timeout)",
            hint=f"try again, or raise {where}",
            retryable=which != "total",
            limit=which,
            value=value,
            setting=setting,
            **self._about(),
        )

    def _unreachable(self, error: OSError) -> NetworkError:
        origin, name = self._door.origin, self._door.name
        place = origin.authority
        setting = f"`providers.{name}.base_url`"
        retryable = True
        if isinstance(error, socket.gaierror):
            what, hint = f"the host `{origin.host}` is not known", f"is there a network? else check {setting}"
            retryable = error.errno == socket.EAI_AGAIN  # a name that is none stays none
        elif isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
            what, hint = f"nothing listens at {place}", f"start the service, or check {setting}"
            # Elsewhere it may be about to start again; on this machine its user would have to start it.
            retryable = origin.host != "localhost" and not origin.host.startswith("127.") and origin.host != "::1"
        elif isinstance(error, ssl.SSLCertVerificationError):
            what = f"the certificate of {place} is not trusted ({one_line(error.verify_message, 100)})"
            hint = "if a proxy of yours reads TLS, name its certificate's file in `SSL_CERT_FILE`"
            retryable = False
        elif isinstance(error, ssl.SSLError):
            reason = one_line(error.reason or "handshake failed", 60)
            what, hint = f"no TLS with {place} ({reason})", f"is it http:// and not https://? check {setting}"
            retryable = False
        else:
            reason = one_line(error.strerror or str(error) or type(error).__name__, 120)
            what, hint = f"no connection to {place}: {reason}", f"is there a network? else check {setting}"
        return NetworkError(
            f"{name} cannot be reached: {what}",
            hint=hint,
            retryable=retryable,
            unsent=None if self.sent else True,
            **self._about(),
        )

    def _about(self) -> dict[str, Any]:
        return {"provider": self._door.name, "model": self._model or None}
