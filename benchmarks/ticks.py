"""What it costs a computing script that it can be stopped: `interrupts="tick"` and `"hook"` against `"none"`.

    python benchmarks/ticks.py [--rounds N]

The same script, some 50 ms of it, three times a round in an order that is drawn anew. CPU time of this process, the
signals' handlers and the system's part of them included; the median of the rounds' ratios is told. The tick's budget
is 3 % over all scripts together; a hook is for who cannot spare a signal.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness import interleaved, of_medians, plain_config, ratios, table, times_over
from llmspell import ScriptRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SCRIPTS", "WAYS", "main", "measure"]

WAYS = ("none", "tick", "hook")
SCRIPTS = {
    "loop": "local n = 0 for i = 1, 8000000 do n = n + i % 7 end return n > 0",
    "calls": "local function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end return f(28) > 0",
    "tables": "for i = 1, 60000 do local t = { i, i + 1, name = i } t[3] = t end return true",
    "strings": "local t = {} for i = 1, 80000 do t[i] = ('%d:%s'):format(i, 'x') end return #table.concat(t) > 0",
    "coroutines": "local c = coroutine.wrap(function() while true do coroutine.yield(1) end end) "
    "for i = 1, 400000 do c() end return true",
}


def measure(
    rounds: int,
    *,
    times: float = 1.0,
    ways: tuple[str, ...] = WAYS,
    scripts: tuple[str, ...] = tuple(SCRIPTS),
) -> list[dict[str, float]]:
    """Each round's µs of the scripts together, by way. times: with a tick, they are run so many times over."""
    config = plain_config()

    def run(way: str) -> Callable[[], None]:
        def work() -> None:
            for name in scripts:
                if ScriptRuntime(config, interrupts=way).run(SCRIPTS[name]).result is not True:
                    raise RuntimeError(f"{name} came to another result")

        return times_over(work, times if way == "tick" else 1.0)

    return interleaved({way: run(way) for way in ways}, rounds)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="what a tick costs a computing script")
    parser.add_argument("--rounds", type=int, default=31)
    rounds: int = parser.parse_args().rounds
    rows = [["", "ms", "tick : none", "middle half", "hook : none", "middle half", ""]]
    for name in (*SCRIPTS, "all"):
        told = measure(rounds, scripts=tuple(SCRIPTS) if name == "all" else (name,))
        cells = []
        for way in ("tick", "hook"):
            spread = ratios(told, way, "none")
            cells += [f"{spread.median:.3f}", f"{spread.low:.3f} – {spread.high:.3f}"]
        rows.append([name, f"{of_medians(told, 'none') / 1000:.1f}", *cells, "budget 1.03" if name == "all" else ""])
    print(table(rows))


if __name__ == "__main__":
    main()
