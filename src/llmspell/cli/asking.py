"""What commands that ask services share: the configured providers, a loop that Ctrl+C ends, and how it is told."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from llmspell.cli.settings import configuration
from llmspell.cli.signals import Watch
from llmspell.cli.telling import tell
from llmspell.errors import LLMSpellError, RunCancelledError
from llmspell.providers.manager import ProviderManager

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llmspell.config.loader import Config

__all__ = ["Asker", "said", "written"]

T = TypeVar("T")


class Asker:
    """The providers of the user's configuration, for one command. Raises ConfigError when it is made."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.manager = ProviderManager(config.providers(), config.get("providers.default"), os.environ)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Asker:
        """That of a command line."""
        common = {name: options.get(name) for name in ("config", "profile", "log_level", "log_file")}
        return cls(configuration(common, None))

    def types(self) -> dict[str, str]:
        """The configured providers' types, by name."""
        return {name: str(settings["type"]) for name, settings in self.config.providers().items()}

    def run(self, work: Callable[[Asker], Coroutine[Any, Any, T]], before_exit: Callable[[], None] | None = None) -> T:
        """Runs *work* to its end, and closes what it opened.

        Ctrl+C and SIGTERM cancel it: RunCancelledError. before_exit: called before a second one ends the process.
        """
        received: list[int] = []

        async def main() -> T:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            own = task

            def stop(number: int) -> None:
                received.append(number)
                loop.call_soon_threadsafe(own.cancel)

            watch = Watch(stop, lambda: None, before_exit or (lambda: None), None)
            try:
                return await work(self)
            finally:
                watch.finish()
                await self.manager.aclose()

        try:
            return asyncio.run(main())
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            raise RunCancelledError("stopped", signal=received[0] if received else None, cause=error) from error


def said(error: LLMSpellError, options: dict[str, Any]) -> int:
    """Tells *error* as the command line wants it; gives the exit code."""
    tell(
        error,
        options.get("output") or "text",
        no_color=bool(options.get("no_color")),
        python=bool(options.get("traceback")),
    )
    return error.exit_code


def written(text: str, value: dict[str, Any], options: dict[str, Any]) -> int:
    """Writes what came of a command: *text* for a person, *value* for a program (jsonl: as its last event). Gives 0."""
    if (options.get("output") or "text") == "text":
        data = (text + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    else:
        from llmspell.cli.events import plain_json

        if options.get("output") == "jsonl":
            value = {"event": "result", **value, "exit_code": 0}
        data = plain_json(value) + b"\n"
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return 0
