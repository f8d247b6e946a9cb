"""A small file, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile

__all__ = ["write"]


def write(path: str, data: bytes, *, mode: int, replace: bool) -> None:
    """Writes *data* to *path*: whoever looks sees what was there before, or all of it.

    mode: who may read and write it. replace: whether what is there may go; a link is replaced, and not followed.
    Raises OSError; FileExistsError where something is there that may not.
    """
    folder = os.path.dirname(os.path.abspath(path))
    number, beside = tempfile.mkstemp(prefix=".llmspell-", dir=folder)
    try:
        with open(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        if replace:
            os.replace(beside, path)
            return
        try:
            os.link(beside, path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            _write_new(path, data, mode)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)


def _write_new(path: str, data: bytes, mode: int) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
