"""The terminal's echo of what is typed, which would write into the live view: off while the view is drawn.

What is typed is kept by the terminal, unseen, for whoever reads it next; Ctrl+C and Ctrl+Z do what they do.
"""

from __future__ import annotations

import os

try:
    import termios
except ImportError:  # no such terminals here
    termios = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Echo", "descriptor", "in_foreground"]

_LOCAL = 3  # of what `tcgetattr` gives: the local modes


def descriptor(stream: TextIO) -> int | None:
    """The file's number, where it has one."""
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


def in_foreground(fd: int) -> bool:
    """Whether the terminal is ours: a job in the background would draw over what its user types."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not the terminal of this session: nobody else is on it that we know of
        return True


class Echo:
    """That of the terminal which a file is; nothing happens where it is none."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._off = False

    def off(self) -> None:
        """Switches it off, if it is on."""
        if self._set(on=False):
            self._off = True

    def on(self) -> None:
        """Switches it on again, if it was switched off here."""
        if self._off:
            self._off = False
            self._set(on=True)

    def _set(self, *, on: bool) -> bool:
        """Whether it had to be changed. All else stays as it is now, whoever has set it meanwhile."""
        if termios is None or self._fd is None or not in_foreground(self._fd):  # whom the system would stop for it
            return False
        try:
            modes = termios.tcgetattr(self._fd)
            if bool(modes[_LOCAL] & termios.ECHO) is on:
                return False
            modes[_LOCAL] ^= termios.ECHO
            termios.tcsetattr(self._fd, termios.TCSANOW, modes)
        except (termios.error, OSError):
            return False
        return True
