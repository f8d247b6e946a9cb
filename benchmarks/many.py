"""Many streams at once in one script, over loopback, against the floor's as many.

    python benchmarks/many.py [--rounds N]

    1 … 1,000 streams    CPU time of this process a chunk, connections, requests and ends left out: the server holds
                         its answers back until all streams have begun. One chunk a read, to each stream in turn; the
                         next turn when all have read. A chunk costs less where many are read in one turn of the loop
    paced                whole processes: 200 streams of 100 chunks, 100 a second each; CPU from the spawn to the end,
                         a chunk, and the peak of memory
    memory a stream      whole processes: the peak with 1,000 streams, less the peak with one

Subjects: `floor` (floor.py), `script` (a Lua `for` that counts, one for each stream) and, but for memory, `httpx`: a
client of httpx, its lines and orjson (a process: minimal_httpx.py).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import sys
import tempfile
import time
from http.client import HTTPConnection
from statistics import median
from typing import TYPE_CHECKING, Any

import floor
from harness import HERE, Server, environment, manager, of_medians, plain_config, ratios, table
from processes import Launcher, command, heavier, in_turn
from processes import Rounds as Processes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["CHUNKS", "COUNTS", "SUBJECTS", "main", "measure", "memory", "paced"]

SUBJECTS = ("floor", "httpx", "script")

COUNTS = (1, 10, 100, 1000)
CHUNKS = 10_000  # a round, of all streams together
STREAMS, EACH, RATE = 200, 100, 100  # paced: streams, chunks of each, chunks a second of each
BESIDE = 1000  # streams of the memory's measure
SCRIPT = os.path.join(HERE, "many_streams.lua")
UNLIMITED = {"LLMSPELL_RUNTIME__MAX_CONCURRENCY": "100000"}

MARKED = """
local model, streams, total = ARGS[1], tonumber(ARGS[2]), tonumber(ARGS[3])
local agent = Agent.create({ model = "bench/" .. model })
local list, n = {}, 0
for i = 1, streams do
  list[i] = i
end
Async.map(list, function()
  for chunk in agent:stream_execute("go") do
    if chunk.content.type == "text" then
      n = n + 1
      if n == streams or n == total then
        Log.info("mark")
      end
    end
  end
end)
return n
"""


class Marks:
    """The times between which chunks are counted; each mark lets the server go on.

    The first text of each stream comes before the first mark, the last of them before the second.
    """

    def __init__(self, port: int, model: str) -> None:
        self._port, self._model = port, model
        self.at: list[int] = []

    def set(self) -> None:
        self.at.append(time.process_time_ns())
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps({"model": f"go-{self._model}"}))
            connection.getresponse().read()
        finally:
            connection.close()
        if len(self.at) == 1:  # what asking took is not the reader's
            self.at[0] = time.process_time_ns()


async def _floor(port: int, model: str, streams: int, total: int, marks: Marks) -> int:
    count = 0

    def take(text: str) -> None:
        nonlocal count
        count += 1
        if count in (streams, total):
            marks.set()

    await asyncio.gather(*(floor.read(port, model, take) for _ in range(streams)))
    return count


async def _httpx(url: str, model: str, streams: int, total: int, marks: Marks) -> int:
    import hand_httpx

    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "go"}]}
    count = 0

    def take(text: str) -> None:
        nonlocal count
        count += 1
        if count in (streams, total):
            marks.set()

    async with hand_httpx.client() as client:
        reads = (hand_httpx.read(client, f"{url}/chat/completions", body, take) for _ in range(streams))
        await asyncio.gather(*reads)
    return count


async def _script(url: str, model: str, streams: int, total: int, marks: Marks) -> int:
    from llmspell import ScriptRuntime

    providers = manager(url)
    try:
        runtime = ScriptRuntime(
            plain_config(), providers=providers, max_concurrency=100_000, log=lambda level, text, fields: marks.set()
        )
        done = await runtime.execute_script(MARKED, args=[model, streams, total])
        return int(done.result)
    finally:
        await providers.aclose()


def _cost(server: Server, runner: asyncio.Runner, name: str, streams: int, chunks: int) -> float:
    each = chunks // streams
    model, total = f"turns-{streams}-{each}", streams * (each + 1)
    marks = Marks(server.port, model)
    readers: dict[str, Callable[..., Awaitable[int]]] = {"floor": _floor, "httpx": _httpx, "script": _script}
    where: Any = server.port if name == "floor" else server.url
    gc.collect()
    came: int = runner.run(readers[name](where, model, streams, total, marks))  # type: ignore[arg-type]
    if came != total or len(marks.at) != 2:
        raise RuntimeError(f"{came} chunks came of {total}")
    return (marks.at[1] - marks.at[0]) / (streams * each) / 1000


def measure(
    server: Server,
    rounds: int,
    *,
    counts: tuple[int, ...] = COUNTS,
    chunks: int = CHUNKS,
    times: float = 1.0,
    subjects: tuple[str, ...] = ("floor", "script"),
) -> list[dict[str, float]]:
    """Each round's µs a chunk, by `floor 10`, `script 10` and so on. times: the script reads so many times as many."""
    told: list[dict[str, float]] = []
    cases = [(name, count) for count in counts for name in subjects]
    with asyncio.Runner(loop_factory=floor.loop_factory()) as runner:
        for number in range(rounds + 1):
            one: dict[str, float] = {}
            turn = number % len(cases)
            for name, count in cases[turn:] + cases[:turn]:
                over = math.ceil(times) if name == "script" and count == counts[-1] else 1
                work = chunks if number else count  # the first one imports and warms up
                one[f"{name} {count}"] = sum(_cost(server, runner, name, count, work) for _ in range(over))
            told.append(one)
    return told[1:]


def paced(
    url: str, rounds: int, *, times: float = 1.0, weight: float = 0.0, names: tuple[str, ...] = ("floor", "script")
) -> Processes:
    """Subjects *names* of SUBJECTS, see `processes.hello`: 200 streams at 100 chunks a second each."""
    model = f"rate-{STREAMS}-{EACH}-{RATE}"
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url) | UNLIMITED, home) as launcher:
        subjects = {
            "floor": [sys.executable, os.path.join(HERE, "floor.py"), url, model, str(STREAMS)],
            "httpx": [sys.executable, os.path.join(HERE, "minimal_httpx.py"), url, model, str(STREAMS)],
            "script": [command(), "run", heavier(SCRIPT, weight, home), "--", model, str(STREAMS)],
        }
        subjects = {name: subjects[name] for name in names}
        for words in subjects.values():
            if launcher.output(words).strip() != str(STREAMS * EACH):
                raise RuntimeError("not all chunks came")
        return in_turn(launcher, subjects, rounds, {"script": math.ceil(times)})


def memory(url: str, rounds: int, *, weight: float = 0.0) -> dict[str, float]:
    """KB (1,000 bytes) that a stream more takes, by subject. weight: so much more, for real."""
    told: dict[str, list[float]] = {"floor": [], "script": []}
    with tempfile.TemporaryDirectory() as home, Launcher(environment(home, url) | UNLIMITED, home) as launcher:
        for number in range(rounds + 1):
            peaks: dict[tuple[str, int], float] = {}
            for streams in (1, BESIDE):
                model = f"rate-{streams}-10-20"
                script = heavier(SCRIPT, weight * BESIDE / 1000 if streams > 1 else 0.0, home)
                subjects = {
                    "floor": [sys.executable, os.path.join(HERE, "floor.py"), url, model, str(streams)],
                    "script": [command(), "run", script, "--", model, str(streams)],
                }
                for name, words in subjects.items():
                    peaks[name, streams] = launcher.run(words).megabytes
            if number:
                for name, values in told.items():
                    values.append((peaks[name, BESIDE] - peaks[name, 1]) * 1000 / (BESIDE - 1))
    return {name: median(values) for name, values in told.items()}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="many streams at once in one script")
    parser.add_argument("--rounds", type=int, default=7)
    rounds: int = parser.parse_args().rounds
    rows = [["", *SUBJECTS, "httpx ×", "script ×", "middle half", "× one stream's", ""]]
    with Server() as server:
        told = measure(server, rounds, subjects=SUBJECTS)
        for count in COUNTS:
            spread = ratios(told, f"script {count}", f"floor {count}")
            numbers = [f"{of_medians(told, f'{name} {count}'):.1f} µs" for name in SUBJECTS]
            numbers.append(f"{ratios(told, f'httpx {count}', f'floor {count}').median:.2f}")
            alone = f"{ratios(told, f'script {count}', 'script 1').median:.2f}"
            range_ = f"{spread.low:.2f} – {spread.high:.2f}"
            note = "budget 2 of one stream's" if count == COUNTS[-1] else ""
            rows.append([f"{count} at once", *numbers, f"{spread.median:.2f}", range_, alone, note])
        processes = paced(server.url, rounds, names=SUBJECTS)
        spread = ratios(processes.cpu, "script", "floor")
        numbers = [f"{of_medians(processes.cpu, name) * 1000 / STREAMS / EACH:.1f} µs" for name in SUBJECTS]
        numbers.append(f"{ratios(processes.cpu, 'httpx', 'floor').median:.2f}")
        range_ = f"{spread.low:.2f} – {spread.high:.2f}"
        rows.append(["200 paced, a process", *numbers, f"{spread.median:.2f}", range_, "", "budget 1.5"])
        numbers = [f"{of_medians(processes.peak, name):.1f} MB" for name in SUBJECTS]
        rows.append(["its peak", *numbers, "", "", "", "", "budget 45 MB"])
        kilobytes = memory(server.url, max(1, rounds // 3))
        numbers = [f"{kilobytes['floor']:.1f} KB", "", f"{kilobytes['script']:.1f} KB"]
        rows.append(["memory a stream", *numbers, "", "", "", "", "budget 60 KB"])
    print(table(rows))


if __name__ == "__main__":
    main()
