"""`--log-level` and `--log-file`: where the log of a command goes. Loaded only where one of them is set."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, one_line
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.config.loader import Config

__all__ = ["flush", "of_script", "on_screen", "shows", "start"]

SCRIPT = "llmspell.script"
NOTED = ("call retried", "another model is asked", "step retried", "task failed, and nobody awaited it")
MOST_WAITING = 10_000  # lines of other threads


class LogFile(logging.Handler):
    """Adds records to the end of a file, a line of JSON each, each in one write: several processes may share it.

    Raises OSError where it cannot be opened; what cannot be written later is told of once, and dropped.
    """

    def __init__(self, path: str, failed: Callable[[str], None]) -> None:
        super().__init__()
        self.setFormatter(logs.JSONFormatter())
        self._failed = failed
        self._told = False
        # For its user's eyes alone: it names scripts, models and files.
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            data = (self.format(record) + "\n").encode()
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            if not self._told:
                self._told = True
                self._failed(f"warn: the log cannot be written to {one_line(self.path)}: {error.strerror}")

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._fd)
        super().close()


class Screen(logging.Handler):
    """Lines on standard error. A live view may be there: lines of other threads wait until its own can write them."""

    def __init__(self) -> None:
        super().__init__()
        self.say: Callable[[str], None] = _say
        self.soon: Callable[[Callable[[], None]], bool] = lambda work: False
        self._own = get_ident()
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)

    def emit(self, record: logging.LogRecord) -> None:
        """One line, but of what a script says, and of what a run notes: those are shown as they always are."""
        if record.name != SCRIPT and (self.say is _say or getattr(record, "event", "") not in NOTED):
            name = record.name.removeprefix("llmspell.")
            self.tell(f"{record.levelname.lower()}: {name}: {record.getMessage()}")

    def tell(self, line: str) -> None:
        """*line*, from any thread."""
        self._waiting.append(line)
        # Without a view (`_say`), any thread may write: one line is one write.
        if get_ident() == self._own or (not self.soon(self.flush) and self.say is _say):
            self.flush()

    def flush(self) -> None:
        """What waits, on the own thread."""
        while self._waiting:
            self.say(self._waiting.popleft())


def _say(line: str) -> None:
    from llmspell.cli.render.terminal import harmless

    try:
        sys.stderr.write(harmless(line) + "\n")
        sys.stderr.flush()
    except OSError:  # nobody reads it: the command goes on
        pass


_set: tuple[str | None, str | None] | None = None  # the settings that hold now
_read: set[str] = set()  # files that were told of
_screen: Screen | None = None
_file: LogFile | None = None
_level = logs.LEVELS["info"]


def start(config: Config) -> None:
    """Logs as *config* says, from now on; what was set up otherwise before is taken down. Raises ConfigError."""
    global _screen, _file, _level, _set
    path, word = config.get("logging.file"), config.get("logging.level")
    if _set != (path, word):
        _set = path, word
        _set_up(path, word, config)
    for name in config.files:  # read before there was a log
        if name not in _read:
            _read.add(name)
            logs.tell("config", logging.INFO, "configuration read", {"file": name})


def _set_up(path: str | None, word: str | None, config: Config) -> None:
    global _screen, _file, _level
    logger = logging.getLogger("llmspell")
    for handler in (_screen, _file):
        if handler is not None:
            logger.removeHandler(handler)
    if _file is not None:
        _file.close()
    _screen, _file = Screen(), None
    _level = logs.LEVELS[word or "info"]
    if word != "off":
        if path is not None:
            _file = _opened(path, config, _screen.tell)
        logger.addHandler(_file or _screen)
        logger.setLevel(_level)
        logger.propagate = False


def _opened(path: str, config: Config, failed: Callable[[str], None]) -> LogFile:
    try:
        return LogFile(path, failed)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        origin = config.origin("logging.file")
        where = "--log-file" if origin == "flag" else f"{origin}: `logging.file`"
        why = (error.strerror if isinstance(error, OSError) else None) or "not a file's name"
        raise ConfigError(
            f"{where}: cannot open {one_line(path)}: {why.lower()}",
            hint="name a file in a folder that you may write to",
            setting="logging.file",
            cause=error,
        ) from None


def on_screen(say: Callable[[str], None], soon: Callable[[Callable[[], None]], bool]) -> None:
    """Lines go through *say* from now on. soon: has something done on this thread, from another; whether it can."""
    if _screen is not None:
        _screen.say, _screen.soon = say, soon


def flush() -> None:
    """Shows what other threads have told since."""
    if _screen is not None:
        _screen.flush()


def of_script(level: str, message: str, fields: dict[str, Any] | None) -> None:
    """A line of the script's `Log`."""
    logs.tell("script", logs.LEVELS[level], message, fields)


def shows(level: str) -> bool:
    """Whether such a line is shown on standard error: with a file, the screen stays as it is without a log."""
    number = logs.LEVELS[level]
    if _file is not None:
        return number >= logs.LEVELS["info"]
    return number >= _level
