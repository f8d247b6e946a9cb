"""A new runtime to its first result, in a warm process, against a bare Lua state of lupa's.

    python benchmarks/starts.py [--rounds N]

    lupa      `LuaRuntime().execute("return 1")`: a state with all of Lua's libraries, no sandbox, no limits
    engine    llmspell's engine alone, made and closed
    script    `ScriptRuntime().run("return 1")`, which looks for configuration files each time; here there are none
    given     `ScriptRuntime(config).run("return 1")`
    loop      `await ScriptRuntime(config).execute_script("return 1")`

CPU time of this process, each. The budget is 0.15 ms where a bare state takes 0.04 to 0.045.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from floor import loop_factory
from harness import engine_module, interleaved, of_medians, plain_config, ratios, table, times_over, under
from llmspell import ScriptRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STARTS", "SUBJECTS", "main", "measure"]

STARTS = 100  # a round
SUBJECTS = ("lupa", "engine", "script", "given", "loop")
LINE = "return 1"


def _lupa() -> None:
    from lupa import lua54

    if lua54.LuaRuntime().execute(LINE) != 1:
        raise RuntimeError("lupa's Lua does not run")


def _subjects(twin: str, runner: asyncio.Runner) -> dict[str, Callable[[], None]]:
    config = plain_config()
    engine = engine_module(twin).Engine

    def check(result: Any) -> None:
        if result != 1:
            raise RuntimeError(f"the line came to {result}")

    def bare() -> None:
        engine(lambda op, args: None, lambda fd, data: True, lambda error: {}).close()

    async def on_loop() -> None:
        for _ in range(STARTS):
            check((await ScriptRuntime(config).execute_script(LINE)).result)

    def many(work: Callable[[], None]) -> Callable[[], None]:
        return times_over(work, STARTS)

    return {
        "lupa": many(_lupa),
        "engine": many(bare),
        "script": many(lambda: check(ScriptRuntime().run(LINE).result)),
        "given": many(lambda: check(ScriptRuntime(config).run(LINE).result)),
        "loop": lambda: runner.run(on_loop()),
    }


def measure(
    rounds: int, *, twin: str = "compiled", times: float = 1.0, subjects: tuple[str, ...] = SUBJECTS
) -> list[dict[str, float]]:
    """Each round's µs a start, by subject. times: the script is started so many times for one."""
    with (
        tempfile.TemporaryDirectory() as home,
        patch.dict(os.environ, {"HOME": home, "XDG_CONFIG_HOME": home}),
        asyncio.Runner(loop_factory=loop_factory()) as runner,
        under(twin),
    ):
        known = _subjects(twin, runner)
        known["script"] = times_over(known["script"], times)
        return interleaved({name: known[name] for name in subjects}, rounds, items=STARTS)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="a new runtime to its first result")
    parser.add_argument("--rounds", type=int, default=21)
    rounds: int = parser.parse_args().rounds
    rows = [["", "µs", "× lupa", "middle half", ""]]
    for twin in ("compiled", "pure"):
        told = measure(rounds if twin == "compiled" else max(1, rounds // 3), twin=twin)
        for name in SUBJECTS[twin == "pure" :]:
            spread = ratios(told, name, "lupa")
            range_ = f"{spread.low:.2f} – {spread.high:.2f}"
            note = "budget 150 µs" if name in ("script", "given", "loop") and twin == "compiled" else ""
            rows.append([f"{twin} {name}", f"{of_medians(told, name):.0f}", f"{spread.median:.2f}", range_, note])
    print(table(rows))


if __name__ == "__main__":
    main()
