"""The driver of a run's fibers, where what it drives fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.run import Run


class Faulty:
    """An engine that fails when it is resumed for the *at*-th time; all else is the engine's."""

    def __init__(self, engine: Any, at: int) -> None:
        self.engine, self.left = engine, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def resume(self, *args: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("a fault of the engine's")
        return self.engine.resume(*args)


@pytest.mark.parametrize("at", [1, 2, 3, 5])
async def test_a_fault_of_the_engine_s_ends_the_run_and_hangs_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Run._own_engine
    monkeypatch.setattr(Run, "_own_engine", lambda run, options: Faulty(made(run, options), at))
    script = "Async.spawn(function() while true do Async.sleep(0.001) end end) while true do Async.sleep(0.001) end"
    with pytest.raises(RuntimeError, match="a fault of the engine's"):
        await asyncio.wait_for(ScriptRuntime(timeout=60).execute_script(script), 30)
