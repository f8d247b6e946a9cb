"""What a host may want to be told while a model is made ready. The command line sets both; a library is silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["notify", "progress"]

#: Takes one line for a person. Called on the event loop's thread.
notify: Callable[[str], None] | None = None
#: Takes the bytes done and the bytes in all of a fetch. Called on the event loop's thread.
progress: Callable[[int, int], None] | None = None
