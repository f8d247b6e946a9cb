"""The limits of a run, as errors that name the limit, its value and the setting that raises it."""

from __future__ import annotations

from llmspell.errors import LimitError

__all__ = ["cpu_reached", "memory_reached", "output_reached", "size", "timeout_reached"]

#: Seconds that `<close>` variables have, in all, once Ctrl+C or the end of the run stops a script.
CLOSE_GRACE = 0.5


def size(count: int) -> str:
    """A number of bytes for people: 256 MB, 1.5 KB, 12 bytes."""
    for unit, factor in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} bytes"


def timeout_reached(seconds: float) -> LimitError:
    """The run took longer than `runtime.timeout`."""
    return LimitError(
        f"the run took longer than its limit of {seconds:g} s",
        hint="raise it with `--timeout SECONDS` or the setting `runtime.timeout` (0 is without limit)",
        limit="timeout",
        value=seconds,
        setting="runtime.timeout",
    )


def cpu_reached(seconds: float) -> LimitError:
    """The script computed longer than `runtime.max_cpu`."""
    return LimitError(
        f"the script computed longer than its limit of {seconds:g} s",
        hint="raise it with `--max-cpu SECONDS` or the setting `runtime.max_cpu` (0 is without limit)",
        limit="cpu",
        value=seconds,
        setting="runtime.max_cpu",
    )


def memory_reached(limit: int) -> LimitError:
    """The script's values need more than `runtime.max_memory`."""
    return LimitError(
        f"the script needs more memory than its limit of {size(limit)}",
        hint="raise it with `--max-memory SIZE` or the setting `runtime.max_memory` (0 is without limit)",
        limit="memory",
        value=limit,
        setting="runtime.max_memory",
    )


def output_reached(limit: int) -> LimitError:
    """The script wrote more than `runtime.max_output`."""
    return LimitError(
        f"the script wrote more than its limit of {size(limit)}",
        hint="raise the setting `runtime.max_output`",
        limit="output",
        value=limit,
        setting="runtime.max_output",
    )
