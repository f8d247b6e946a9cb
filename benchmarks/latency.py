"""From the server's send to the script's hand, at 1,000 chunks a second, against the floor.

    python benchmarks/latency.py [--rounds N]

Each chunk's text is the server's CLOCK_MONOTONIC right before its write; processes of one machine share that clock.
Subjects take theirs as soon as they hold the text:

    floor     in the callback of floor.py's reader, after its JSON was parsed
    domain    in an `async for` over `llmspell.Agent(…).stream(…)`
    script    a Lua `for` calls `Log.info(text)`, and the runtime's `log` callback reads the clock: so the way back from
              Lua into Python is in it, too (a call that does not wait, some 2 µs)

A chunk comes to a reader that sleeps, so the system's own waking is in all of them. The subjects take turns on one
loop; the median of the rounds' ratios of medians is told, and the 99th percentile over all rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import floor
from harness import Server, Spread, manager, table

if TYPE_CHECKING:
    from llmspell.providers.manager import ProviderManager

__all__ = ["RATE", "SUBJECTS", "main", "measure"]

RATE = 1000  # chunks a second
BUSY_MAX = 400_000  # ns that a hand is held busy: more, and the next chunk would wait for it
SUBJECTS = ("floor", "domain", "script")

HAND_OVER = """
for chunk in Agent.create({ model = "bench/" .. ARGS[1] }):stream_execute("go") do
  if chunk.content.type == "text" then
    Log.info(chunk.content.text)
  end
end
"""


class Subjects:
    """The three readers. Each is called with a model and gives nanoseconds of all its chunks.

    times: the script's hand comes so many times later: the callback is busy for the rest.
    """

    def __init__(self, server: Server, times: float) -> None:
        self._port = server.port
        self._times = times
        self._providers: ProviderManager = manager(server.url)

    async def floor(self, model: str) -> list[int]:
        late: list[int] = []
        await floor.read(self._port, model, lambda text: late.append(time.monotonic_ns() - int(text)))
        return late

    async def domain(self, model: str) -> list[int]:
        from llmspell import Agent
        from llmspell.types.streaming import Text

        late: list[int] = []
        async with Agent(f"bench/{model}", providers=self._providers).stream("go") as stream:
            async for chunk in stream:
                if isinstance(chunk.content, Text):
                    late.append(time.monotonic_ns() - int(chunk.content.text))  # noqa: PERF401 - one at a time
        return late

    async def script(self, model: str) -> list[int]:
        from llmspell import ScriptRuntime

        late: list[int] = []

        def log(level: str, text: str, fields: dict[str, Any] | None) -> None:
            now = time.monotonic_ns()
            until = now + min(round((now - int(text)) * (self._times - 1)), BUSY_MAX)
            while now < until:
                now = time.monotonic_ns()
            late.append(now - int(text))

        await ScriptRuntime(providers=self._providers, log=log).execute_script(HAND_OVER, args=[model])
        return late

    async def aclose(self) -> None:
        await self._providers.aclose()


def measure(
    server: Server, rounds: int, *, chunks: int = 1000, times: float = 1.0, subjects: tuple[str, ...] = SUBJECTS
) -> dict[str, list[list[int]]]:
    """By subject, each round's nanoseconds from send to hand."""

    async def work() -> dict[str, list[list[int]]]:
        readers = Subjects(server, times)
        told: dict[str, list[list[int]]] = {name: [] for name in subjects}
        try:
            for number in range(rounds + 1):
                for name in subjects:
                    gc.collect()
                    count = chunks if number else 50  # the first one imports and warms up
                    late = await getattr(readers, name)(f"paced-{RATE}-{count}")
                    if len(late) != count:
                        raise RuntimeError(f"{len(late)} chunks came of {count}")
                    if number:
                        told[name].append(late)
        finally:
            await readers.aclose()
        return told

    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        return runner.run(work())


def ratio(told: dict[str, list[list[int]]], subject: str) -> Spread:
    """*subject* to the floor: of each round's medians."""
    pairs = zip(told[subject], told["floor"], strict=True)
    return Spread.of([median(ours) / median(theirs) for ours, theirs in pairs])


def p99(late: list[list[int]]) -> float:
    """Milliseconds that 99 of 100 chunks take at most."""
    return quantiles([one for part in late for one in part], n=100)[98] / 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="from the server's send to the script's hand")
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    with Server() as server:
        told = measure(server, rounds)
    rows = [["", "median µs", "× floor", "middle half", "p99 ms"]]
    for name in SUBJECTS:
        spread = ratio(told, name)
        middle = median([one for part in told[name] for one in part]) / 1000
        range_ = f"{spread.low:.2f} – {spread.high:.2f}"
        rows.append([name, f"{middle:.0f}", f"{spread.median:.2f}", range_, f"{p99(told[name]):.2f}"])
    print(table(rows))
    print("budgets: 1.2 × and 0.5 ms")


if __name__ == "__main__":
    main()
