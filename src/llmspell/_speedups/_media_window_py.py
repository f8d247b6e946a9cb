"""A file, looked at through windows: a bounded number of reads, of bounded length, whatever the file says.

One source for both twins: this file, and the module that Cython makes of it (with the fields that the `.pxd` types).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["HEAD", "MOST_BYTES", "MOST_READS", "MOST_STEPS", "Beyond", "Window", "sized", "sounded"]

HEAD = 65536  # bytes of the first window, which tell most files; no window is larger
AHEAD = 8192  # bytes of a later window, where no more are asked for: what is looked for is often a few bytes further on
MOST_READS = 64  # windows of one file
MOST_BYTES = MOST_READS * HEAD
LARGEST = (1 << 32) - 1  # pixels of a side, and samples a second
MOST_CHANNELS = 65535
MOST_STEPS = 20_000  # segments, chunks, boxes, frames of one file that are passed over


class Beyond(Exception):
    """What comes next is not to be seen: it lies beyond a head that is all there is, or beyond what may be read."""


class Window:
    """The bytes of one file. name: the format, for errors. size: bytes; None where a head is all that is known."""

    __slots__ = ("_at", "_data", "_head", "_read", "_reads", "_steps", "name", "size")

    def __init__(self, head: bytes, read: Callable[[int, int], bytes] | None = None, size: int | None = None) -> None:
        self._head = head
        self._read = read
        self.size = size
        self.name = "file"
        self._at = 0
        self._data = b""
        self._reads = 1  # the head was one
        self._steps = 0

    def get(self, at: int, count: int, ahead: int = AHEAD) -> bytes:
        """The *count* bytes at *at*; no more than HEAD. ahead: how many to read at once, if any must be read.

        Raises ValueError where the file ends before, Beyond where they are not to be seen.
        """
        end = at + count
        if end <= len(self._head):
            return self._head[at:end]
        start = at - self._at
        if start >= 0 and start + count <= len(self._data):
            return self._data[start : start + count]
        if self.size is not None and end > self.size:
            raise ValueError(f"the {self.name} is cut: it goes on to byte {end} at least, and ends at {self.size}")
        if not count:
            return b""
        self._fetch(at, max(count, ahead))
        if len(self._data) < count:
            raise ValueError(f"the {self.name} is cut: it goes on to byte {end} at least, and ends before")
        return self._data[:count]

    def some(self, at: int, count: int) -> bytes:
        """Up to *count* bytes at *at*, as many as there are, at once; no more than HEAD. Raises Beyond."""
        if self.size is not None:
            count = max(0, min(count, self.size - at))
        if at + count <= len(self._head) or self.size is None:
            return self._head[at : at + count]
        start = at - self._at
        if count and (start < 0 or start + count > len(self._data)):
            self._fetch(at, count)
            start = 0
        return self._data[start : start + count]

    def _fetch(self, at: int, count: int) -> None:
        if self._read is None or self.size is None or self._reads >= MOST_READS:
            raise Beyond
        self._reads += 1
        count = min(count, HEAD, self.size - at)
        self._data = bytes(self._read(at, count))[:count]
        self._at = at

    def fixed(self, at: int, count: int) -> bytes:
        """Bytes that even a head alone must have. Raises ValueError where it has not."""
        if self.size is None and at + count > len(self._head):
            raise ValueError("its head is cut")
        return self.get(at, count)

    def number(self, at: int, count: int, order: str = "big") -> int:
        """A whole number without a sign."""
        data = self.get(at, count)
        return int.from_bytes(data, "big") if order == "big" else int.from_bytes(data, "little")

    def within(self, end: int, what: str) -> None:
        """Raises ValueError if *what*, which goes on to *end*, is longer than the file."""
        if self.size is not None and end > self.size:
            raise ValueError(f"the {self.name} is cut: its {what} goes on to byte {end}, and it ends at {self.size}")

    def step(self) -> None:
        """One more thing is passed over. Raises Beyond after MOST_STEPS of them."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Beyond


def sized(facts: dict[str, Any], width: int, height: int) -> None:
    """Puts down *width* and *height*, pixels. Raises ValueError where they cannot be."""
    if width <= 0 or height <= 0 or width > LARGEST or height > LARGEST:
        raise ValueError(f"an image of {width} by {height} pixels cannot be")
    facts["width"] = width
    facts["height"] = height


def sounded(facts: dict[str, Any], channels: int, rate: int) -> None:
    """Puts down *channels* and *rate*, Hz. Raises ValueError where they cannot be."""
    if not 0 < channels <= MOST_CHANNELS or not 0 < rate <= LARGEST:
        raise ValueError(f"sound of {channels} channels at {rate:.10g} Hz cannot be")
    facts["channels"] = channels
    facts["sample_rate"] = rate
