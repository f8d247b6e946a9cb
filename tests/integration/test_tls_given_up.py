"""A connection within TLS that is given up while it is being made: nothing is told of it, and nothing kept for long."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
import warnings
import weakref
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.bridge.runtime import _loop_factory
from llmspell.providers import transport
from llmspell.providers.transport import Pool
from support.certificates import make_certificate
from support.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.once


def on_each_loop(work: Callable[[], Any]) -> None:
    """On asyncio's own loop, and on uvloop's where it is there."""
    for factory in {None, _loop_factory()}:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # as an error it would keep uvloop from its own end
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(work())


def test_one_that_is_given_up_at_any_moment_writes_to_no_closed_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path)
    within = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    within.load_cert_chain(certificate)
    dice = Random(8)

    async def work() -> None:
        trusting = ssl.create_default_context(cafile=certificate)
        pool = Pool("127.0.0.1", server.port, lambda: trusting)
        for _ in range(400):  # in one of some ten the handshake has just ended
            task = asyncio.ensure_future(pool.connect(5))
            await asyncio.sleep(dice.random() * 0.006)
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result().abort()
        await pool.aclose()

    with Loopback([[]], tls=within) as server:
        on_each_loop(work)
        for connection in server.connections:
            connection.wait_closed()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


def test_a_handshake_that_is_given_up_is_not_kept_beyond_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[weakref.ref[transport.Connection]] = []

    class Watched(transport.Connection):
        def __init__(self, pool: Pool) -> None:
            super().__init__(pool)
            seen.append(weakref.ref(self))

    monkeypatch.setattr(transport, "Connection", Watched)

    async def work() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        pool = Pool("127.0.0.1", server.sockets[0].getsockname()[1], ssl.create_default_context)
        for turns in range(20):  # of the loop: before it is begun, before it stands, within the handshake
            task = asyncio.ensure_future(pool.connect(0.1))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(transport.ConnectTimeout):
            await pool.connect(0.1)
        del task
        until = time.monotonic() + 10
        while any(one() is not None for one in seen):
            assert time.monotonic() < until, "a handshake that was given up is still there"
            await asyncio.sleep(0.05)
            gc.collect()
        server.close()
        await server.wait_closed()

    on_each_loop(work)
