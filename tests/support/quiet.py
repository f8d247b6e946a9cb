"""For scripts that write without end: where it all goes."""

from __future__ import annotations

__all__ = ["Nowhere", "quiet"]


class Nowhere:
    """Output that goes nowhere."""

    def write(self, data: bytes, /) -> None:
        return None

    def flush(self) -> None:
        return None


def quiet(*_: object) -> None:
    """A log that nobody reads."""
