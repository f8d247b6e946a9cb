"""A file's bytes by windows, which keeps count of what is asked for."""

from __future__ import annotations

__all__ = ["Counting"]


class Counting:
    """To be given to `read_media`; refuses what may not be asked. size: of the file, if not that of *data*."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = data
        self.size = len(data) if size is None else size
        self.reads = 0
        self.bytes = 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert 0 <= offset < self.size
        assert 0 < length <= 65536
        self.reads += 1
        self.bytes += length
        return self.data[offset : offset + length]
