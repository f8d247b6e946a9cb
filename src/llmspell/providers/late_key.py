"""A key that is looked for in a file, the keyring or by a command: when a request needs it, and when it is refused."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.errors import AuthError, NetworkError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

__all__ = ["LateKey"]

PAUSE = 30.0  # seconds between two looks for another key than the one that was refused


class LateKey:
    """What a service does about a key that its settings do not hold.

    source: api_key_file, api_key_keyring or api_key_cmd; empty where there is none. lacking: whether requests wait for
    it. missing: gives the error where there is no source. found: is told each key that is found.
    """

    def __init__(
        self,
        name: str,
        source: Mapping[str, Any],
        *,
        lacking: bool,
        missing: Callable[[str], AuthError],
        found: Callable[[str], object],
    ) -> None:
        self._name, self._source = name, source
        self.lacking = lacking
        self._missing, self._found = missing, found
        self._wait: asyncio.Task[str] | None = None
        self._key = ""
        self._asked = float("-inf")

    @property
    def key(self) -> str:
        """The last that was found."""
        return self._key

    async def need(self, model: str) -> None:
        """Gets the key, once for all who wait. Raises AuthError, ConfigError."""
        if not self.lacking:
            return
        if not self._source:
            raise self._missing(model)
        import asyncio

        if (wait := self._wait) is None or wait.done():
            wait = self._wait = asyncio.ensure_future(self._find())
        await asyncio.wait({wait})  # who is cancelled here leaves it to the others
        if wait.cancelled():
            raise NetworkError(f"{self._name} was closed before its key was there", provider=self._name, model=model)
        key = wait.result()
        if self.lacking:
            self._found(key)
            self._key = key
            self.lacking = False

    async def _find(self) -> str:
        from llmspell.providers import keys

        if (path := self._source.get("api_key_file")) is not None:
            return keys.from_file(path, self._name)
        if (entry := self._source.get("api_key_keyring")) is not None:
            return await keys.from_keyring(entry, self._name)
        return await keys.from_command(self._source["api_key_cmd"], self._name)

    async def renewed(self, error: AuthError, used: str, model: str) -> bool:
        """Whether there is another key than the one that was *used* and refused. It is looked for now and then only."""
        if not self._source or error.context.get("status") != 401:
            return False
        if self._key == used and not self.lacking:
            now = monotonic()
            if now - self._asked < PAUSE:
                return False
            self._asked = now
            if (command := self._source.get("api_key_cmd")) is not None:
                from llmspell.providers import keys

                keys.forget(command)
            self.lacking = True
        await self.need(model)
        return self._key != used

    async def aclose(self) -> None:
        """Stops a command that still runs."""
        import asyncio

        wait = self._wait
        if wait is not None and not wait.done() and wait.get_loop() is asyncio.get_running_loop():
            wait.cancel()
            await asyncio.wait({wait})  # its command is stopped by then
