"""Recordings for Python programs: the managers that plain agents take, and what a runtime opens."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell.errors import ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.tape.player import Player
from llmspell.providers.tape.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from llmspell.providers.base import ProviderInstance
    from llmspell.providers.tape.file import Entry
    from llmspell.providers.tape.tape import Tape

__all__ = ["TapedManager", "open_tape", "record", "replay"]


def open_tape(record: Any, replay: Any, about: Entry) -> Tape:
    """What is recorded on, or replayed from: a path, or a Player. about: goes into a new recording's head.

    Raises as those do, and ValidationError for both.
    """
    if record is not None and replay is not None:
        raise ValidationError("`record` and `replay` exclude each other", hint="first record, then replay")
    if record is None:
        return replay if isinstance(replay, Player) else Player(os.fspath(replay))
    return Recorder(os.fspath(record), about)


class TapedManager(ProviderManager):
    """A ProviderManager whose providers are recorded, or answer out of a recording.

    Those that a recording knows have the settings that it has: no configuration and no key is needed to replay it.
    """

    def __init__(self, providers: Mapping[str, Mapping[str, Any]], default: str = "auto", *, tape: Tape) -> None:
        super().__init__(tape.settings({name: dict(settings) for name, settings in providers.items()}), default)
        self.tape = tape
        self._wrapped: dict[str, tuple[ProviderInstance, ProviderInstance]] = {}  # its own, and what is asked

    def default(self) -> str:
        return self.tape.note_default(super().default)

    def get(self, name: str) -> ProviderInstance:
        own = super().get(name)
        known = self._wrapped.get(name)
        if known is None or known[0] is not own:
            settings = dict(self._settings.get(name, {}))
            if name not in self._registered:
                settings["api_key"], settings["api_key_env"] = self.key_of(name)
            known = self._wrapped[name] = own, self.tape.wrap(own, settings)
        return known[1]

    async def aclose(self) -> None:
        self._wrapped.clear()
        await super().aclose()


class _Session:
    """A manager for plain agents, as an asynchronous context manager."""

    def __init__(self, tape: Tape, providers: Mapping[str, Mapping[str, Any]] | None, default: str) -> None:
        self._tape, self._providers, self._default = tape, providers, default
        self._manager: TapedManager | None = None

    async def __aenter__(self) -> TapedManager:
        providers, default = self._providers, self._default
        if providers is None:
            from llmspell.config.loader import load

            config = load(script_dir=None, config_file=None, env=os.environ, flags={})
            providers, default = config.providers(), config.get("providers.default")
        self._manager = TapedManager(providers, default, tape=self._tape)
        return self._manager

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._manager is not None:
                await self._manager.aclose()
            self._tape.finish(error)
        finally:
            self._tape.close()


def record(
    path: str | os.PathLike[str], providers: Mapping[str, Mapping[str, Any]] | None = None, *, default: str = "auto"
) -> _Session:
    """Writes down every exchange of the agents that take its manager.

        async with llmspell.record("answer.jsonl") as providers:
            print((await llmspell.Agent("openai/gpt-4o-mini", providers=providers).execute("Hi")).text)

    providers, default: as ProviderManager has them; without, the user's configuration. Keys are not written.
    Raises ConfigError where the file cannot be written, or is there and is no recording.
    """
    return _Session(Recorder(os.fspath(path), {}), providers, default)


def replay(
    path: str | os.PathLike[str], providers: Mapping[str, Mapping[str, Any]] | None = None, *, default: str = "auto"
) -> _Session:
    """The same agents with the answers of that recording, the network shut.

    Raises ValidationError for a request that the recording does not have, and at its end, if nothing else was
    raised, for requests of the recording that were not made.
    """
    return _Session(Player(os.fspath(path)), providers if providers is not None else {}, default)
