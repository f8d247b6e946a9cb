"""What a script reads of clocks and of chance where the run is recorded or replayed."""

from __future__ import annotations

import secrets
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _value(run: Run, source: str, read: Callable[[], Any]) -> Any:
    assert run.readings is not None  # nothing else asks
    return run.readings.value(source, read)


def _seed() -> list[int]:
    return [secrets.randbits(52), secrets.randbits(52)]  # JSON has no more bits


ASKS: dict[str, Callable[..., Any]] = {
    "Tape.time": lambda run: _value(run, "os.time", lambda: int(time.time())),
    "Tape.clock": lambda run: _value(run, "os.clock", lambda: round(time.process_time(), 6)),
    "Tape.seed": lambda run: _value(run, "seed", _seed),
}
CALLS: dict[str, Callable[..., Any]] = {}
