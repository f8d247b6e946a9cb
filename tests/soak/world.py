"""What jobs share: providers at the hostile server, in three tempers, threads, a pool of workers, a folder."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell import _speedups
from llmspell.bridge.isolation import ProcessPool
from llmspell.config.loader import Config, load
from llmspell.errors import LLMSpellError
from llmspell.providers.manager import ProviderManager
from soak.faults import GARBLED, TEXT
from support.dialects import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell import ScriptRuntime

__all__ = [
    "DIALECT_NAMES",
    "OK",
    "PREEMPTS",
    "THREADS",
    "Told",
    "World",
    "Wrong",
    "kind_of",
    "script_kind",
    "sound",
    "temper_for",
]

OK = frozenset({"ok"})
#: Whether a script that computes can be interrupted anywhere, and lets its loop have turns: the pure engine cannot.
PREEMPTS = _speedups.choice("lua") == "compiled"

DIALECT_NAMES = tuple(DIALECTS)
THREADS = 3
#: How a service is reached: connections of llmspell's own, the same within TLS, and httpx, as for proxies.
ROADS = ("plain", "TLS", "httpx")
KEY = "SOAK_KEY"  # the variable that has the key of all services
#: How long each temper waits, and how often it asks. Only stalls are met with impatience: on a machine with other
#: work, an answer that is merely late would be taken for one that never comes.
TEMPERS: dict[str, dict[str, Any]] = {
    "calm": {"timeout": {"connect": 5, "first_token": 20, "idle": 20, "total": 40}, "retry": {"attempts": 1}},
    "impatient": {"timeout": {"connect": 5, "first_token": 0.3, "idle": 0.3, "total": 1}, "retry": {"attempts": 1}},
    "persistent": {
        "timeout": {"connect": 5, "first_token": 20, "idle": 20, "total": 40},
        "retry": {"attempts": 3, "base": 0.002, "max": 0.05, "budget": 5},
    },
}


class Told(NamedTuple):
    """What a part of a job came to. fault: what was done to it, "" for none. outcome: "ok", or the kind of an error.

    allowed: the outcomes that it may have. streams: how many it had, however they ended; chunks: of these.
    """

    fault: str
    outcome: str
    allowed: frozenset[str] = OK
    streams: int = 0
    chunks: int = 0


class Wrong(Exception):
    """A job saw what must not be."""


def sound(text: str, outcome: str, fault: str) -> None:
    """Raises Wrong for a text that is not what was said: all of it, or of an answer that failed its beginning."""
    if fault in GARBLED:
        return
    longest = TEXT * (len(text) // len(TEXT) + 1)
    if outcome == "ok" and (not text or len(text) % len(TEXT) or not longest.startswith(text)):
        raise Wrong(f"an answer ended well, and is {text!r}")
    if not longest.startswith(text):
        raise Wrong(f"an answer began with {text!r}")


def kind_of(error: BaseException) -> str:
    """The kind of an error of llmspell's. Raises any other: that is what the soak looks for."""
    if not isinstance(error, LLMSpellError):
        raise error
    return error.kind


class World:
    """Made within the event loop that jobs run on; `aclose` gives back all that it holds."""

    def __init__(self, seed: int, folder: str, certificate: str, weights: str | None) -> None:
        os.environ[KEY] = "k"
        self.folder = folder
        self.weights = weights
        self._certificate = certificate
        self._server = subprocess.Popen(
            [
                sys.executable,
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py"),
                str(seed),
                certificate,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl+C is not for it
        )
        assert self._server.stdout is not None
        self.ports = dict(zip(("http", "https"), map(int, self._server.stdout.readline().split()), strict=True))
        self.plain: Config = load(script_dir=None, config_file=None, env={}, flags={})
        self._managers = {(temper, road): self.manager(temper, road) for temper in TEMPERS for road in ROADS}
        self._threads = ThreadPoolExecutor(THREADS, "soak")
        self.pool = ProcessPool(1)
        self._local: ProviderManager | None = None

    @property
    def server_pid(self) -> int:
        """Of the server's process."""
        return self._server.pid

    def settings(self, temper: str, road: str = "plain") -> dict[str, dict[str, Any]]:
        """A provider for each dialect, named after it. road: one of ROADS."""
        base = {"api_key_env": KEY, **TEMPERS[temper]}
        url = f"http://127.0.0.1:{self.ports['http']}"
        if road == "TLS":
            url = f"https://127.0.0.1:{self.ports['https']}"
            base["ca_file"] = self._certificate
        elif road == "httpx":
            base["http2"] = True  # which it speaks over TLS only: here it is HTTP/1.1
        return {name: {"type": name, "base_url": f"{url}/{name}", **base} for name in DIALECT_NAMES}

    def manager(self, temper: str, road: str = "plain") -> ProviderManager:
        """One of the caller's own, to be closed by it."""
        return ProviderManager(self.settings(temper, road), env=os.environ)

    def shared(self, temper: str, road: str = "plain") -> ProviderManager:
        """One that lives as long as the soak, for the soak's own loop."""
        return self._managers[temper, road]

    def local(self) -> ProviderManager:
        """The embedded model, loaded when first asked for."""
        if self._local is None:
            settings = {"local": {"type": "local", "path": self.weights, "threads": 1, "context": 512}}
            self._local = ProviderManager(settings, env={})
        return self._local

    def page(self, fault: str) -> str:
        """An address for tools."""
        return f"http://127.0.0.1:{self.ports['http']}/page/{fault}"

    def config_file(self, temper: str) -> str:
        """The same providers as a file, for what reads one itself."""
        path = os.path.join(self.folder, f"{temper}.toml")
        if not os.path.exists(path):
            lines = []
            for name, given in self.settings(temper).items():
                lines.append(f"[providers.{name}]\n")
                for key, value in given.items():
                    shown = value if not isinstance(value, dict) else None
                    inner = ", ".join(f"{k} = {v}" for k, v in value.items()) if shown is None else ""
                    lines.append(f"{key} = {{ {inner} }}\n" if shown is None else f'{key} = "{value}"\n')
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines)
        return path

    def configured(self, temper: str) -> Config:
        """The configuration of that file."""
        return load(script_dir=None, config_file=self.config_file(temper), env={}, flags={})

    async def in_thread(self, work: Callable[..., Any], *args: Any) -> Any:
        """*work* on one of a few threads of the soak's."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def rest(self) -> None:
        """Connections that wait for another call are closed, so that what is counted is what nobody holds."""
        for manager in self._managers.values():
            await manager.disconnect()

    async def aclose(self) -> tuple[dict[str, int], str]:
        """Closes all of it; how many requests each dialect had, and what the server says of its own mistakes."""
        for manager in self._managers.values():
            await manager.aclose()
        if self._local is not None:
            await self._local.aclose()
        self._threads.shutdown()
        self.pool.close()
        asked, said = await asyncio.to_thread(self._server.communicate)
        return json.loads(asked or b"{}"), said.decode("utf-8", "replace")


def temper_for(fault: str) -> str:
    """Who should meet a fault."""
    return "impatient" if fault.startswith("stall") else "calm"


async def script_kind(runtime: ScriptRuntime, source: str, **given: Any) -> str:
    """How a script ended: "ok" or a kind."""
    try:
        await runtime.execute_script(source, **given)
    except LLMSpellError as error:
        return error.kind
    return "ok"
