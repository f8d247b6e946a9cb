"""Content codings of answers: nothing is asked for, and what comes packed all the same is unpacked, within bounds."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from llmspell.errors import one_line
from llmspell.providers.framing import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INFLATED_MAX", "inflater"]

INFLATED_MAX = 32 * 1024 * 1024  # bytes that one read may become


def inflater(coding: str) -> Callable[[bytes], bytes]:
    """Undoes a content coding, a bounded amount at a time. Raises WireError, at its first use for an unknown one."""
    known = {"gzip": 31, "x-gzip": 31, "deflate": 15}
    if coding not in known:

        def refuse(data: bytes) -> bytes:
            raise WireError(f"its answer is in a coding that was not asked for: {one_line(coding, 40)}")

        return refuse
    machine = zlib.decompressobj(known[coding])

    def inflate(data: bytes) -> bytes:
        try:
            out = machine.decompress(data, INFLATED_MAX)
        except zlib.error:
            raise WireError(f"its answer is not the {coding} that it says") from None
        if machine.unconsumed_tail:
            raise WireError("its answer is packed more tightly than any text is")
        if machine.unused_data:  # zlib would keep all of it
            raise WireError(f"its answer goes on after the end of its {coding}")
        return out

    return inflate
