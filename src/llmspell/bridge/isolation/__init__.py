"""Scripts in processes of their own: a pool of workers, each with a Lua engine and nothing else.

    ScriptRuntime(isolation="process")                      the pool that this process shares
    ScriptRuntime(isolation=ProcessPool(workers=4))         one of your own; close it when it is no longer needed

A worker has no configuration, no keys, no connections. What a script asks for is done by the host, with the host's
permissions and limits; what comes from a worker is taken as the word of a stranger (`codec`, `gate`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell.bridge.isolation.pool import ProcessPool as ProcessPool
    from llmspell.bridge.isolation.pool import default_pool as default_pool

__all__ = ["ProcessPool", "default_pool"]


def __getattr__(name: str) -> Any:
    """The pool's names, on their first use: a worker imports this package, too, and needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from llmspell.bridge.isolation import pool

    return getattr(pool, name)
