"""CPU a chunk of each dialect, from the socket to the script's hand, against the floor and against plain httpx.

    python benchmarks/dialects.py [--rounds N]

As chunks.py, for all dialects: one answer read to its end, the CPU time of this process divided by its chunks. The
floor reads the same bytes with a socket, a split and orjson; `httpx` with an httpx client, its lines and orjson, as one
would write it by hand; `script` is a Lua `for` that counts. All in turn in each round, on the same kind of loop.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

import floor
from harness import Server, Spread, of_medians, ratios, table
from wires import WIRES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from llmspell.providers.manager import ProviderManager
    from wires import Wire

__all__ = ["KINDS", "SUBJECTS", "main", "measure"]

KINDS = {"ready": 20_000, "each": 3_000}
SUBJECTS = ("floor", "httpx", "script")

COUNT = """
local n = 0
for chunk in Agent.create({ provider = ARGS[1], model = ARGS[2] }):stream_execute("go") do
  if chunk.content.type == "text" then
    n = n + 1
  end
end
return n
"""


class Subjects:
    """The readers. Each is called with a wire and a model and gives how many texts came."""

    def __init__(self, server: Server) -> None:
        from llmspell.providers.manager import ProviderManager

        self._port = server.port
        self._root = f"http://127.0.0.1:{server.port}"
        self._providers: ProviderManager = ProviderManager(
            {f"bench-{wire.type}": {"type": wire.type, "base_url": self._root + wire.base} for wire in WIRES.values()},
            env={},
        )
        self._client: httpx.AsyncClient | None = None

    async def floor(self, wire: Wire, model: str) -> int:
        count = 0

        def take(text: str) -> None:
            nonlocal count
            count += 1

        await floor.read_wire(self._port, wire, model, take)
        return count

    async def httpx(self, wire: Wire, model: str) -> int:
        import hand_httpx

        if self._client is None:
            self._client = hand_httpx.client()
        body: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": "go"}]}
        if wire.member:
            body[wire.member] = model
        count = 0

        def take(text: str) -> None:
            nonlocal count
            count += 1

        url = self._root + wire.base + wire.path.format(model=model)
        await hand_httpx.read(self._client, url, body, take, text_of=wire.text, lines=wire.cut == b"\n")
        return count

    async def script(self, wire: Wire, model: str) -> int:
        from llmspell import ScriptRuntime

        runtime = ScriptRuntime(providers=self._providers)
        done = await runtime.execute_script(COUNT, args=[f"bench-{wire.type}", model])
        return int(done.result)

    async def aclose(self) -> None:
        await self._providers.aclose()
        if self._client is not None:
            await self._client.aclose()


def measure(
    server: Server,
    wire: Wire,
    kind: str,
    rounds: int,
    *,
    count: int | None = None,
    times: float = 1.0,
    subjects: Sequence[str] = SUBJECTS,
) -> list[dict[str, float]]:
    """Each round's µs a chunk, by subject. times: multiplies the work of the script."""
    size = count or KINDS[kind]

    async def work() -> list[dict[str, float]]:
        readers = Subjects(server)
        told: list[dict[str, float]] = []
        try:
            for number in range(rounds + 1):
                one: dict[str, float] = {}
                for name in subjects:
                    many = round((size if number else 100) * (times if name == "script" else 1.0))
                    gc.collect()
                    before = time.process_time_ns()
                    came = await getattr(readers, name)(wire, f"{kind}-{many}")
                    one[name] = (time.process_time_ns() - before) / size / 1000
                    if came != many:
                        raise RuntimeError(f"{wire.type}, {name}: {came} chunks came of {many}")
                told.append(one)
        finally:
            await readers.aclose()
        return told[1:]  # the first one imports and warms up

    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        return runner.run(work())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="CPU a chunk of each dialect")
    parser.add_argument("--rounds", type=int, default=5)
    rounds: int = parser.parse_args().rounds
    rows: list[list[str]] = [["", "floor µs", "httpx ×", "script ×", "script : httpx", "middle half of script ×"]]
    with Server() as server:
        for kind in KINDS:
            rows += [_row(f"{kind} {wire.type}", measure(server, wire, kind, rounds)) for wire in WIRES.values()]
    print(table(rows))


def _row(name: str, told: list[dict[str, float]]) -> list[str]:
    spread: Spread = ratios(told, "script", "floor")
    return [
        name,
        f"{of_medians(told, 'floor'):.2f}",
        f"{ratios(told, 'httpx', 'floor').median:.2f}",
        f"{spread.median:.2f}",
        f"{ratios(told, 'script', 'httpx').median:.2f}",
        f"{spread.low:.2f} – {spread.high:.2f}",
    ]


if __name__ == "__main__":
    main()
