"""Where the results of `llmspell map` go, and the rows that failed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmspell.cli.render import terminal
from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from typing import BinaryIO, TextIO

    from llmspell.cli.mapping.progress import Progress

__all__ = ["Results", "beside", "refuse_existing"]


def beside(results: str, word: str) -> str:
    """`out.failed.jsonl` for `out.jsonl` and "failed"."""
    stem, ending = os.path.splitext(results)
    return f"{stem}.{word}{ending}"


def refuse_existing(path: str) -> None:
    """Raises ValidationError where there is a file with something in it, which would be lost."""
    try:
        size = os.path.getsize(path)
    except OSError:
        return
    if size and os.path.isfile(path):
        raise ValidationError(
            f"`{one_line(path, 200)}` is there already, and was not begun by this command",
            hint="name another file, or let it be lost with `--overwrite`",
        )


class Results:
    """Takes lines in order. Without *results* they go to standard output; without *failed*, those of failed rows stand
    among them. Raises ValidationError where a file cannot be made.
    """

    def __init__(self, results: str | None, failed: str | None, progress: Progress, stdout: TextIO) -> None:
        self._progress = progress
        self._screen = results is None and terminal.is_terminal(stdout)
        self._encoding = stdout.encoding or "utf-8"
        self._out: BinaryIO = stdout.buffer if results is None else _made(results)
        self._own = results is not None
        self._failed: BinaryIO | None = None if failed is None else _made(failed)
        self._failed_path = failed
        self._kept = bytearray()  # for the screen

    def write(self, line: bytes, failed: bool) -> None:
        """One line. OSError where it cannot be written."""
        if failed and self._failed is not None:
            self._failed.write(line)
            self._failed.flush()
        elif self._screen:
            self._kept += terminal.harmless(line.decode()).encode(self._encoding, "backslashreplace")
            if not self._progress.shared:
                self.flush()
        else:
            self._out.write(line)
            self._out.flush()

    def flush(self) -> None:
        """What waits for the screen is written there."""
        if self._kept:
            data = bytes(self._kept)
            self._kept.clear()
            self._progress.around(lambda: self._to_screen(data))

    def _to_screen(self, data: bytes) -> None:
        self._out.write(data)
        self._out.flush()

    def close(self) -> None:
        """Closes the files; a file of failed rows with nothing in it goes."""
        if self._own:
            self._out.close()
        if self._failed is not None and self._failed_path is not None:
            empty = self._failed.tell() == 0
            self._failed.close()
            if empty and os.path.isfile(self._failed_path):
                os.unlink(self._failed_path)


def _made(path: str) -> BinaryIO:
    try:
        return open(path, "wb")
    except OSError as error:
        raise ValidationError(
            f"cannot write `{one_line(path, 200)}`: {(error.strerror or 'it failed').lower()}",
            hint="name another file",
            cause=error,
        ) from None
