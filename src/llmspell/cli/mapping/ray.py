"""Rows on a Ray cluster: actors hold warm runtimes, one process each with several rows at once.

This process keeps the order, the journal and the limits; what it sends are the script, rows and settings. No key is
among them: each worker finds its keys in its own environment (those of a local cluster have this process's). Headers,
which may be secret, are not sent either.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmspell.cli.mapping.outcome import Outcome
from llmspell.config.schema import KEYS
from llmspell.errors import (
    InternalError,
    LLMSpellError,
    NetworkError,
    NotSupportedError,
    RunCancelledError,
    ValidationError,
    WorkerLostError,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.agents.estimate import Need
    from llmspell.agents.meter import Held
    from llmspell.cli.mapping.here import Here, Script
    from llmspell.config.loader import Config
    from llmspell.providers.base import ProviderInstance

__all__ = ["Cluster", "settings_of"]

MOST_TOLD = 1 << 20  # bytes of log lines of one row that come home
CONNECT = 5.0  # seconds
PATIENCE = 15.0  # seconds before it is said that no worker comes
REACHING = "check `--ray-address`, that `ray start` runs there, and its token if it has one (`RAY_AUTH_TOKEN`)"
ATTEMPTS = 2  # of a row whose worker died under it


def settings_of(config: Config) -> tuple[dict[str, Any], list[str]]:
    """What workers are told of the configuration, by dotted path, and which settings they are not told.

    What a script may take and reach is told in any case, so that no worker's own configuration grants more.
    """
    told = {key.path: config.get(key.path) for key in KEYS if ".NAME." not in key.path}
    held_back = []
    for path, value in config.given().items():
        if path.startswith("providers.") and path.endswith(".headers"):
            held_back.append(path)
        elif path not in told:
            told[path] = value
    told |= {"limits.max_tokens_total": 0, "limits.max_cost_usd": 0.0}  # they hold over all workers: see Till
    return told, held_back


# ---- in the workers


class Till:
    """An actor: the limits of tokens and money over all workers."""

    def __init__(self, max_tokens_total: int, max_cost_usd: float, tokens: int, cost_usd: float) -> None:
        from llmspell.agents.meter import Meter

        self._meter = Meter(max_tokens_total=max_tokens_total, max_cost_usd=max_cost_usd)
        self._meter.tokens, self._meter.cost_usd = tokens, cost_usd
        self._held: dict[tuple[str, int], Held | None] = {}  # by worker and number; None while it waits

    async def hold(self, worker: str, number: int, need: Need) -> int | LLMSpellError:
        """Reserves, and gives what is granted. An error is given, and not raised: Ray would wrap it."""
        known = worker, number
        self._held[known] = None
        try:
            granted, held = await self._meter.reserve(need)
        except LLMSpellError as error:
            self._held.pop(known, None)
            return error
        if known in self._held:
            self._held[known] = held
        else:  # who asked has gone meanwhile
            self._meter.take(held, 0, 0.0)
        return granted

    async def take(self, worker: str, number: int, tokens: int, cost: float) -> None:
        """What a call has taken in the end."""
        held = self._held.pop((worker, number), None)
        if held is not None:
            self._meter.take(held, tokens, cost)

    async def lost(self, worker: str) -> None:
        """A worker has died: its calls may have taken all that they had reserved."""
        for known, held in list(self._held.items()):
            if known[0] == worker:
                await self.take(*known, *(held.tokens, held.cost) if held is not None else (0, 0.0))

    async def state(self) -> tuple[int, int, int]:
        """Tokens that were taken, those reserved by calls in flight, and how many calls there are."""
        return self._meter.tokens, self._meter.reserved_tokens, len(self._held)


def _far_meter(till: Any, worker: str, max_tokens_total: int, max_cost_usd: float) -> Any:
    """A meter that asks the till."""
    from llmspell.agents.meter import Held, Meter

    class FarMeter(Meter):
        def __init__(self) -> None:
            super().__init__(max_tokens_total=max_tokens_total, max_cost_usd=max_cost_usd)
            self._numbers: dict[Held, int] = {}
            self._last = 0

        def _free(self, need: Need) -> bool:
            return False  # only the till knows, and asking it takes time

        async def _hold(self, provider: ProviderInstance, need: Need) -> tuple[int, Held]:
            self.check_price(provider, need)
            self._last += 1
            number = self._last
            try:
                granted = await till.hold.remote(worker, number, need)
            except asyncio.CancelledError:  # the call's time is over: what it may be granted yet is given back
                till.take.remote(worker, number, 0, 0.0)
                raise
            if isinstance(granted, LLMSpellError):
                raise granted
            held = Held(self, need, granted)
            self._numbers[held] = number
            return granted, held

        def take(self, held: Held, tokens: int, cost: float) -> None:
            number = self._numbers.pop(held, None)
            if number is not None:
                self.tokens += tokens
                self.cost_usd += cost
                till.take.remote(worker, number, tokens, cost)

    return FarMeter()


class Worker:
    """An actor: the script over rows, several at once."""

    def __init__(
        self, name: str, script: Script, settings: dict[str, Any], limits: tuple[int, float], till: Any
    ) -> None:
        self._name, self._script, self._settings = name, script, settings
        self._limits, self._till = limits, till
        self._here: Here | None = None
        self._told: dict[int, list[str]] = {}

    async def ready(self) -> LLMSpellError | None:
        """Makes the runtime; what is wrong is given."""
        from llmspell.cli.mapping.here import Here
        from llmspell.config.loader import load

        try:
            config = load(script_dir=None, config_file=None, env=os.environ, flags=self._settings)
            meter = None if self._till is None else _far_meter(self._till, self._name, *self._limits)
            self._here = Here(self._script, config, self._tell, meter=meter)
            self._here.check()
        except LLMSpellError as error:
            return error
        return None

    def _tell(self, number: int, text: str) -> None:
        told = self._told.setdefault(number, [])
        if sum(map(len, told[-1000:])) < MOST_TOLD and len(told) < 1000:
            told.append(text)

    async def run(self, number: int, value: Any) -> tuple[tuple[Any, ...], list[str]]:
        """What the row came to, and what was said meanwhile."""
        assert self._here is not None
        outcome = await self._here.run(number, value)
        return tuple(outcome._replace(usage=dict(outcome.usage))), self._told.pop(number, [])

    async def stop(self, error: LLMSpellError) -> None:
        """Ends what runs now."""
        if self._here is not None:
            self._here.stop(error)

    async def pid(self) -> int:
        """The number of its process."""
        return os.getpid()


# ---- in the command's process


class _Actor:
    """A worker, as it is seen from here."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name, self.handle = name, handle
        self.running = 0


class Cluster:
    """Runs rows on the workers. `open` it first.

    actors: how many; None: as many as the cluster has cores, and no more than rows at once. address: of the cluster;
    None: that of RAY_ADDRESS, else one is started here, and ended with this. tell: as Here has it.
    limits: of tokens and dollars, over all workers; spent: what earlier runs have taken of them.
    """

    def __init__(
        self,
        script: Script,
        config: Config,
        tell: Callable[[int, str], None],
        say: Callable[[str], None],
        *,
        at_once: int,
        actors: int | None = None,
        address: str | None = None,
        spent: tuple[int, float] = (0, 0.0),
    ) -> None:
        self._ray = _imported()
        if config.get("state.backend") != "memory":
            raise ValidationError(
                "`State` that is kept on disk is not shared by the workers of a cluster",
                hint='set `state.backend = "memory"`, or leave out `--engine ray`',
            )
        self._script, self._tell, self._say = script, tell, say
        self._limits = config.get("limits.max_tokens_total"), config.get("limits.max_cost_usd")
        self._spent = spent
        self._settings, self._held_back = settings_of(config)
        self._at_once, self._wanted, self._address = at_once, actors, address
        self._each = 1  # rows at once of one worker
        self._actors: list[_Actor] = []
        self._starting: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._made = 0
        self._till: Any = None
        self._stopped_by: LLMSpellError | None = None
        self._broken: LLMSpellError | None = None  # why no worker can be had

    async def open(self) -> None:
        """Reaches the cluster and waits for the first worker. Raises LLMSpellError."""
        if not self._known_address():
            self._say("starting a Ray cluster on this machine")
        self._connect()
        count = self._wanted or max(int(self._ray.cluster_resources().get("CPU", 1)), 1)
        count = min(count, self._at_once)
        self._each = -(-self._at_once // count)
        most = self._settings["runtime.max_concurrency"]
        if most:
            self._settings["runtime.max_concurrency"] = max(most // count, 1)
        if any(self._limits):
            made = self._ray.remote(Till).options(num_cpus=0, max_concurrency=10_000)
            self._till = made.remote(*self._limits, *self._spent)
        for path in self._held_back:
            self._say(f"`{path}` may be secret and is not sent to the cluster: its nodes need it in their own settings")
        for _ in range(count):
            self._start()
        async with self._changed:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._changed.wait_for(self._can_begin)
            except TimeoutError:
                self._say("waiting for a worker: the cluster may have no core free")
                await self._changed.wait_for(self._can_begin)
        if self._broken is not None:
            raise self._broken

    def _can_begin(self) -> bool:
        return bool(self._actors) or self._broken is not None

    def _known_address(self) -> str | None:
        return self._address or os.environ.get("RAY_ADDRESS") or None

    def _connect(self) -> None:
        import logging

        address = self._known_address()
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # of what it prints of its own: that a worker has died, say
        where = f"the Ray cluster at `{one_line(address, 100)}`" if address else "a Ray cluster on this machine"
        if address is not None and (why := _unreachable(address)) is not None:  # Ray tries for a minute and a half
            raise NetworkError(f"{where} cannot be reached: {why}", hint=REACHING, retryable=False)
        own: dict[str, Any] = {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **own)
        except SystemExit:  # Ray's own answer to SIGTERM, while it starts
            raise RunCancelledError("stopped by SIGTERM", signal=15) from None
        except Exception as error:
            raise NetworkError(
                f"{where} cannot be {'reached' if address else 'started'}: {one_line(str(error), 300)}",
                hint=REACHING,
                retryable=False,
                cause=error,
            ) from None

    # ---- workers

    def _start(self) -> None:
        self._made += 1
        name = f"worker-{self._made}"
        options = {"num_cpus": 1, "max_concurrency": self._each + 8}
        made = self._ray.remote(Worker).options(**options)
        handle = made.remote(name, self._script, self._settings, self._limits, self._till)
        task = asyncio.get_running_loop().create_task(self._raise(_Actor(name, handle)))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _raise(self, actor: _Actor) -> None:
        """Waits until a worker is ready, and puts it to work."""
        error: LLMSpellError | None
        try:
            error = await actor.handle.ready.remote()
        except Exception as failed:
            error = _lost(failed)
        async with self._changed:
            if error is None:
                self._actors.append(actor)
            elif not self._actors:
                self._broken = error
            self._changed.notify_all()

    async def _pick(self) -> _Actor:
        """The worker with the fewest rows, once there is room. Raises where none is left, or all is to stop."""

        def free() -> bool:
            room = any(actor.running < self._each for actor in self._actors)
            return room or self._broken is not None or self._stopped_by is not None

        async with self._changed:
            await self._changed.wait_for(free)
            why = self._stopped_by or (self._broken if not self._actors else None)
            if why is not None:
                raise why
            actor = min(self._actors, key=lambda one: one.running)
            actor.running += 1
            return actor

    async def _put_back(self, actor: _Actor) -> None:
        async with self._changed:
            actor.running -= 1
            self._changed.notify_all()

    async def _bury(self, actor: _Actor) -> None:
        """A worker has died: another takes its place."""
        async with self._changed:
            if actor not in self._actors:
                return
            self._actors.remove(actor)
        if self._till is not None:
            self._till.lost.remote(actor.name)
        if self._stopped_by is None:
            self._start()

    # ---- rows

    async def run(self, number: int, value: Any) -> Outcome:
        """The script over one row, on some worker. Never raises, but where it is cancelled."""
        error: LLMSpellError = InternalError("no worker")
        for _ in range(ATTEMPTS):
            try:
                actor = await self._pick()
            except LLMSpellError as why:
                return Outcome(error=why.to_dict(), stopped=True)
            try:
                told, said = await actor.handle.run.remote(number, value)
            except Exception as failed:
                error = _lost(failed)
                await self._bury(actor)
                continue
            finally:
                await self._put_back(actor)
            for line in said:
                self._tell(number, line)
            return Outcome(*told)
        return Outcome(error=error.to_dict())

    def stop(self, error: LLMSpellError) -> None:
        """Ends what runs now with *error*."""
        self._stopped_by = error
        bare = type(error)(error.message, hint=error.hint, **error.context)  # a cause may not be fit to be sent
        for actor in self._actors:
            actor.handle.stop.remote(bare)
        task = asyncio.get_running_loop().create_task(self._wake())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def aclose(self) -> None:
        """Ends the workers, and the cluster if it is this process's own."""
        for task in list(self._starting):
            task.cancel()
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._ray.shutdown()


def _imported() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("ray")
    except ImportError as error:
        raise NotSupportedError(
            "`--engine ray` needs Ray, which is not installed", hint="pip install 'llmspell[ray]'", cause=error
        ) from None


def _unreachable(address: str) -> str | None:
    """Why nobody answers at an address; None where somebody does, or it is none with a port."""
    import socket

    host, mark, port = address.removeprefix("ray://").rpartition(":")
    if not mark or not port.isdigit():
        return None
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT).close()
    except (OSError, OverflowError) as error:
        return one_line(str(getattr(error, "strerror", None) or error).lower(), 200)
    return None


def _lost(error: Exception) -> LLMSpellError:
    """What an error of Ray's means for a row."""
    return WorkerLostError(
        f"the worker that had the row has died: {one_line(f'{type(error).__name__}: {error}', 300)}",
        hint="it may have run out of memory: the cluster's own logs say more",
    )
