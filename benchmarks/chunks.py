"""CPU a chunk, from the socket to the script's hand, against the floor.

    python benchmarks/chunks.py [--rounds N]

Measured is the CPU time of this process (user and system) while one answer is read to its end, divided by its
chunks; server.py has a process of its own. Connection and request are in it, the same for all, and of no weight among
so many chunks. Subjects, in turn in each round, all on the same kind of loop:

    floor     floor.py: a socket, a split and orjson, counted by Python
    httpx     an httpx client, its lines and orjson, as one would write it by hand
    domain    `llmspell.Agent(…).stream(…)` counted by an `async for`: what the provider's side costs
    script    a Lua `for` that counts: with the domain's, what the bridge costs

How the chunks come (server.py): `ready`, the whole answer written at once, so that reads are large; `each`, one a
read, the next as soon as the last was read, so that the loop's own turns are in it; `asleep`, one a read and none
before every subject has had its time, as tokens come, so that each pays its turns and the system's waking alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import TYPE_CHECKING

import floor
from harness import Server, manager, of_medians, ratios, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from llmspell.providers.manager import ProviderManager

__all__ = ["ASLEEP", "EACH", "READY", "SUBJECTS", "main", "measure"]

READY = "ready", 20_000
EACH = "each", 3_000
ASLEEP = "asleep", 2_000
PAUSE = 150  # µs between a chunk that was taken and the next of `asleep`: more than any subject needs for one
SUBJECTS = ("floor", "httpx", "domain", "script")

COUNT = """
local n = 0
for chunk in Agent.create({ model = "bench/" .. ARGS[1] }):stream_execute("go") do
  if chunk.content.type == "text" then
    n = n + 1
  end
end
return n
"""


class Subjects:
    """The readers. Each is called with a model and gives how many texts came."""

    def __init__(self, server: Server) -> None:
        self._port = server.port
        self._providers: ProviderManager = manager(server.url)
        self._client: httpx.AsyncClient | None = None

    async def floor(self, model: str) -> int:
        count = 0

        def take(text: str) -> None:
            nonlocal count
            count += 1

        await floor.read(self._port, model, take)
        return count

    async def httpx(self, model: str) -> int:
        import hand_httpx

        if self._client is None:
            self._client = hand_httpx.client()
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}
        count = 0

        def take(text: str) -> None:
            nonlocal count
            count += 1

        await hand_httpx.read(self._client, f"http://127.0.0.1:{self._port}/v1/chat/completions", body, take)
        return count

    async def domain(self, model: str) -> int:
        from llmspell import Agent
        from llmspell.types.streaming import Text

        count = 0
        async with Agent(f"bench/{model}", providers=self._providers).stream("go") as stream:
            async for chunk in stream:
                if isinstance(chunk.content, Text):
                    count += 1
        return count

    async def script(self, model: str) -> int:
        from llmspell import ScriptRuntime

        done = await ScriptRuntime(providers=self._providers).execute_script(COUNT, args=[model])
        return int(done.result)

    async def aclose(self) -> None:
        await self._providers.aclose()
        if self._client is not None:
            await self._client.aclose()


def model_of(kind: str, count: int) -> str:
    """What asks the server for it."""
    return f"each-{count}-{PAUSE}" if kind == "asleep" else f"{kind}-{count}"


async def _cost(read: Callable[[str], Awaitable[int]], kind: str, count: int, times: float) -> float:
    """µs of CPU a chunk; *times*: the work is really done that often over."""
    work = round(count * times)
    gc.collect()
    before = time.process_time_ns()
    came = await read(model_of(kind, work))
    spent = time.process_time_ns() - before
    if came != work:
        raise RuntimeError(f"{came} chunks came of {work}")
    return spent / count / 1000


def measure(
    server: Server, kind: str, count: int, rounds: int, *, times: float = 1.0, subjects: tuple[str, ...] = SUBJECTS
) -> list[dict[str, float]]:
    """Each round's µs a chunk, by subject. times: multiplies the work of the script."""

    async def work() -> list[dict[str, float]]:
        readers = Subjects(server)
        told: list[dict[str, float]] = []
        try:
            for number in range(rounds + 1):
                one: dict[str, float] = {}
                for name in subjects:
                    over = times if name == "script" else 1.0
                    one[name] = await _cost(getattr(readers, name), kind, count if number else 100, over)
                told.append(one)
        finally:
            await readers.aclose()
        return told[1:]  # the first one imports and warms up

    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        return runner.run(work())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="CPU a chunk, socket to the script's hand")
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    rows: list[list[str]] = [["", "µs a chunk", "× floor", "middle half", ""]]
    with Server() as server:
        for (kind, count), budget in ((READY, "budget 2"), (EACH, "budget 1.2"), (ASLEEP, "")):
            told = measure(server, kind, count, rounds)
            rows += [_row(kind, name, told, budget if name == SUBJECTS[-1] else "") for name in SUBJECTS]
    print(table(rows))


def _row(kind: str, name: str, told: list[dict[str, float]], note: str) -> list[str]:
    spread = ratios(told, name, "floor")
    range_ = f"{spread.low:.2f} – {spread.high:.2f}"
    return [f"{kind} {name}", f"{of_medians(told, name):.2f}", f"{spread.median:.2f}", range_, note]


if __name__ == "__main__":
    main()
