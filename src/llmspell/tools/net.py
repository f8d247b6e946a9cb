"""HTTP for tools, as far as was granted: each host is asked for by name, and each address that its name has is looked
at before anything is connected to; the connection goes to that address and to no other.

A name is resolved once for a connection, so that an answer that changes in between changes nothing. Proxies of the
environment are not used: whom they reach could not be told. Source of the rules: DESIGN.md, "Limits and permissions".
"""

from __future__ import annotations

import asyncio
import socket
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import httpcore

from llmspell.errors import CallTimeoutError, LLMSpellError, NetworkError, ValidationError, one_line
from llmspell.tools.clocks import within
from llmspell.tools.grants import host_and_port, with_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from llmspell.tools.permissions import Permissions

__all__ = ["LARGEST", "Response", "fetch"]

LARGEST = 4 * 1024 * 1024  # bytes of an answer that are kept
MOST_REDIRECTS = 5
MOST_HEADERS = 64
LONGEST_URL = 8192
LONGEST_HEADER = 16_384
REDIRECTS = (301, 302, 303, 307, 308)
#: Headers that say where a request goes and how long it is: those are not a caller's to say.
OURS = ("host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "proxy-authorization", "trailer")
#: Headers that go along to another host; any other may be a key for the host that it was given for.
HARMLESS = ("accept", "accept-language", "content-language", "content-type", "range", "user-agent")


class Response(NamedTuple):
    """An answer. url: where it came from, after redirects. body: its bytes, decoded from gzip or deflate; truncated:
    whether there was more than was to be kept. headers: by small name, several of one name joined by a comma.
    """

    status: int
    url: str
    headers: dict[str, str]
    body: bytes
    truncated: bool

    def text(self) -> str:
        """The body as text, in the charset that its header names, else UTF-8; what does not fit is replaced."""
        charset = "utf-8"
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.strip().partition("=")
            if name.lower() == "charset":
                charset = value.strip("\"' ")
        try:
            return self.body.decode(charset, "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")


class Target(NamedTuple):
    """Where a request goes."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}{'' if usual else f':{self.port}'}{self.path}"

    @classmethod
    def of(cls, url: str) -> Target:
        """Raises ValidationError for an address that is none, or that can be read in two ways."""
        scheme, mark, rest = url.partition("://")
        end = next((at for at, c in enumerate(rest) if c in "/?#"), len(rest))
        user, at, _ = rest[:end].rpartition("@")
        shown = one_line(f"{scheme}{mark}{rest[len(user) + len(at) :]}", 200)  # a password is not told
        if at:
            raise ValidationError(
                f"the address of `{shown}` carries a user's name", hint="use the header `authorization`"
            )
        if len(url) > LONGEST_URL or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in url):
            raise ValidationError(f"`{shown}` is no address", hint="https://host/path, with no spaces in it")
        try:
            parts = urlsplit(url)
            host, port = host_and_port(parts.netloc)
        except ValueError:
            raise ValidationError(f"`{shown}` is no address of a host", hint="https://host/path") from None
        if parts.scheme not in ("http", "https"):
            raise ValidationError(f"`{shown}`: only http and https are spoken")
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
        whole = f"{path}?{query}" if parts.query else path
        return cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), whole)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


class _Guard(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were looked at."""

    def __init__(self, permissions: Permissions, by: str) -> None:
        self._permissions, self._by = permissions, by
        self._below = httpcore.AnyIOBackend()
        self._said: set[tuple[str, int]] = set()  # what a person has let pass: an address is not asked for twice

    async def need(self, host: str, port: int) -> None:
        """Returns where it may be connected to, as it was named. Raises PermissionDeniedError."""
        what = with_port(host, port)
        granted = self._permissions.allows("net", what)
        await self._permissions.need("net", what, by=self._by)
        if not granted:
            self._said.add((host, port))

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await resolve(host, port)
        except (OSError, UnicodeError) as error:
            told = getattr(error, "strerror", None) or error
            raise httpcore.ConnectError(f"the host `{host}` is not known ({told})") from error
        for address in addresses:
            if (address, port) not in self._said:
                await self._permissions.need_address(host, port, address, by=self._by)
        failure: Exception = httpcore.ConnectError(f"the host `{host}` has no address")
        for address in addresses:
            try:
                return await self._below.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("no sockets of this machine are connected to")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def checked_headers(given: Mapping[str, Any]) -> dict[str, str]:
    """A caller's headers by small name. Raises ValidationError."""
    told: dict[str, str] = {}
    if len(given) > MOST_HEADERS:
        raise ValidationError(f"more than {MOST_HEADERS} headers")
    for name, value in given.items():
        text, key = str(value), str(name).lower()
        if not key or not key.isascii() or not all(c.isalnum() or c in "-_" for c in key):
            raise ValidationError(f"`{one_line(str(name), 60)}` is no name of a header")
        if len(text) > LONGEST_HEADER or not all(" " <= c <= "~" or c == "\t" for c in text):
            raise ValidationError(f"the header `{key}` has a character that no header can carry")
        if key in OURS:
            raise ValidationError(f"the header `{key}` is not for a tool to say")
        told[key] = text
    return told


async def fetch(
    method: str,
    url: str,
    *,
    permissions: Permissions,
    by: str,
    headers: Mapping[str, Any] | None = None,
    body: bytes = b"",
    seconds: float = 30.0,
    largest: int = LARGEST,
    redirects: int = MOST_REDIRECTS,
    ssl_context: ssl.SSLContext | None = None,
) -> Response:
    """One request, and those that its redirects lead to; each is asked for as the first was.

    by: who wants it, for errors. seconds: for all of it. largest: bytes of the body that are kept.
    redirects: how many are followed; with 0 a redirect is the answer.
    Raises PermissionDeniedError, ValidationError, NetworkError, CallTimeoutError.
    """
    target, sent = Target.of(url), checked_headers(headers or {})
    try:
        guard = _Guard(permissions, by)
        pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context, network_backend=guard, max_connections=1, retries=0
        )
        async with within(seconds), pool:
            return await _follow(pool, guard, method, target, sent, body, largest, redirects)
    except TimeoutError as error:
        raise CallTimeoutError(
            f"{one_line(target.host, 100)} was not done within {seconds:g} s", hint="give it more time", cause=error
        ) from None
    except LLMSpellError:
        raise
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, EOFError) as error:
        told = one_line(str(error) or type(error).__name__, 300)
        raise NetworkError(f"{one_line(target.host, 100)}: {told}", hint="check the address", cause=error) from None


async def _follow(
    pool: httpcore.AsyncConnectionPool,
    guard: _Guard,
    method: str,
    target: Target,
    headers: dict[str, str],
    body: bytes,
    largest: int,
    redirects: int,
) -> Response:
    for left in range(redirects, -1, -1):
        await guard.need(target.host, target.port)
        answer = await _once(pool, method, target, headers, body, largest)
        place = answer.headers.get("location")
        if answer.status not in REDIRECTS or place is None or redirects == 0:
            return answer
        if not left:
            break
        onward = _onward(target, place)
        if (onward.scheme, onward.host, onward.port) != (target.scheme, target.host, target.port):
            headers = {name: value for name, value in headers.items() if name in HARMLESS}
        if answer.status == 303 or (answer.status in (301, 302) and method == "POST"):
            method, body = "GET" if method != "HEAD" else "HEAD", b""
            headers = {name: value for name, value in headers.items() if name != "content-type"}
        target = onward
    raise NetworkError(f"{one_line(target.host, 100)} redirects more than {redirects} times")


def _onward(target: Target, place: str) -> Target:
    try:
        return Target.of(urljoin(target.url, place))
    except ValueError as error:
        told = f"{one_line(target.host, 100)} redirects to what is no address"
        raise NetworkError(told, cause=error) from None


async def _once(
    pool: httpcore.AsyncConnectionPool, method: str, target: Target, headers: dict[str, str], body: bytes, largest: int
) -> Response:
    usual = target.port == (443 if target.scheme == "https" else 80)
    host = f"[{target.host}]" if ":" in target.host else target.host
    sent = {"user-agent": "llmspell", "accept": "*/*", "accept-encoding": "gzip, deflate"} | headers
    sent["host"] = host if usual else f"{host}:{target.port}"
    if body or method in ("POST", "PUT", "PATCH"):
        sent["content-length"] = str(len(body))
    url = httpcore.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
    )
    async with pool.stream(method, url, headers=list(sent.items()), content=body) as response:
        told: dict[str, str] = {}
        for raw, value in response.headers:
            name = raw.decode("latin-1").lower()
            text = value.decode("latin-1")
            told[name] = f"{told[name]}, {text}" if name in told else text
        kept, truncated = await _read(response, told.get("content-encoding", ""), largest)
    return Response(response.status, target.url, told, kept, truncated)


async def _read(response: httpcore.Response, coding: str, largest: int) -> tuple[bytes, bool]:
    """The body as far as it is kept, and whether there was more. What is packed grows no further than that either."""
    coding = coding.strip().lower()
    unpack = _unpacker(coding)
    begun = False  # with what is packed, and not at its end
    kept = bytearray()
    async for piece in response.aiter_stream():
        data = piece if begun or unpack is None else piece.lstrip(b"\0")
        while data:
            room = largest + 1 - len(kept)
            if unpack is None:
                kept += data[:room]
                data = b""
            else:
                try:
                    kept += unpack.decompress(data, room)
                except zlib.error as error:
                    raise NetworkError("the answer is not packed as it says", cause=error) from None
                data, begun = unpack.unconsumed_tail, True
                if unpack.eof:  # another may follow, as gzip has it; zeros are padding
                    data, begun, unpack = unpack.unused_data, False, _unpacker(coding)
            if not begun and unpack is not None:
                data = data.lstrip(b"\0")
            if len(kept) > largest:
                return bytes(kept[:largest]), True
    if begun:
        raise NetworkError("the answer ends in the midst of what is packed")
    return bytes(kept), False


def _unpacker(coding: str) -> Any:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(47)  # either's head
    raise NetworkError(f"the answer is packed by `{one_line(coding, 40)}`, which was not asked for")
