"""The road through a proxy, or over HTTP/2: httpx, whose client knows proxies, their passwords and exceptions.

The same face as transport.py's Exchange, and the same exceptions, so that the door sees no difference.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from llmspell.errors import ConfigError, one_line
from llmspell.providers.framing import WireError
from llmspell.providers.transport import ConnectTimeout

if "httpx" not in sys.modules:
    # httpx imports its own command line, and with it rich and click, where they are installed: 50 ms for nothing.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    try:
        import httpx
    finally:
        del sys.modules["httpx._main"]
else:
    import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from llmspell.providers.network import Network

__all__ = ["ProxiedExchange", "ProxyRoad"]


class ProxyRoad:
    """A client of httpx for one service, on one event loop. Proxies are those of *network*, else the environment's."""

    def __init__(self, name: str, base: str, tls: Callable[[], ssl.SSLContext] | None, network: Network) -> None:
        self.base = base
        self.loop = asyncio.get_running_loop()
        try:
            self.client = httpx.AsyncClient(
                verify=tls() if tls is not None else False,  # without TLS none is looked at
                proxy=network.proxy if network.proxy != "none" else None,
                trust_env=network.proxy is None,
                http1=True,
                http2=network.http2,
                follow_redirects=False,
                timeout=None,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=30.0),
            )
        except ImportError:
            needed = "http2" if network.http2 else "socks"
            raise ConfigError(
                f"provider `{name}` wants {'HTTP/2' if network.http2 else 'a SOCKS proxy'}, which is not installed",
                hint=f"install llmspell's extra `{needed}`: pip install 'llmspell[{needed}]'",
            ) from None
        except ValueError as error:  # of an address that httpx cannot read
            raise ConfigError(f"the proxy of provider `{name}` is no address: {one_line(str(error), 120)}") from None

    def exchange(self) -> ProxiedExchange:
        """For one request."""
        return ProxiedExchange(self)

    async def aclose(self) -> None:
        await self.client.aclose()


class ProxiedExchange:
    """One request and its answer."""

    def __init__(self, road: ProxyRoad) -> None:
        self._road = road
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None
        self.answered = False
        self.sent = False  # a connection stood, so the request may have gone out
        self.status = 0
        self.headers: dict[str, str] = {}

    async def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        connect: float | None,
        deadline: float | None,
    ) -> None:
        """Sends the request and reads the answer's head."""
        client = self._road.client
        timeout = httpx.Timeout(None, connect=connect)
        request = client.build_request(method, self._road.base + target, headers=headers, content=body, timeout=timeout)
        try:
            async with asyncio.timeout_at(deadline):
                self._response = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            self.sent = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
            raise _plain(error) from error
        self.sent = self.answered = True
        self.status = self._response.status_code
        self.headers = {name.lower(): value for name, value in self._response.headers.items()}
        self._pieces = self._response.aiter_raw()

    async def read(self, deadline: float | None) -> bytes:
        """The next bytes of the body; none at its end."""
        if self._pieces is None:
            return b""
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(self._pieces, b"")
        except httpx.RemoteProtocolError as error:
            raise EOFError from error
        except httpx.HTTPError as error:
            raise _plain(error) from error

    async def aclose(self, *, finished: bool) -> None:
        """Gives the connection back where the answer was read to its end, else closes it."""
        if self._response is not None:
            await self._response.aclose()


def _plain(error: httpx.HTTPError) -> Exception:
    """As transport.py words it."""
    if isinstance(error, httpx.RemoteProtocolError) and str(error).startswith("Server disconnected"):
        return ConnectionResetError("the connection was closed before the answer's headers were whole")
    if isinstance(error, httpx.ConnectTimeout):
        return ConnectTimeout()
    if isinstance(error, httpx.ProxyError):
        return ConnectionError(0, f"the proxy refused: {error}")
    if isinstance(error, httpx.TransportError) and not isinstance(error, httpx.RemoteProtocolError):
        cause: BaseException | None = error
        while cause is not None:  # httpx and httpcore each wrap what the system said
            if isinstance(cause, OSError):
                return cause
            cause = cause.__cause__ or cause.__context__
        return ConnectionError(0, str(error))
    return WireError("what answers does not speak HTTP/1.1")
