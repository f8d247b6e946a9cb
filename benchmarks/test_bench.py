"""Parts, one by one, under fixed names, for a history of them. Run by `pytest benchmarks`; not part of the tests.

Garbage is collected before each round. Those of one group do the same work: their ratio says more than their times.
"""

from __future__ import annotations

import asyncio
import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from floor import loop_factory
from llmspell._speedups._lua_py import DONE, Engine
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.config.loader import load
from llmspell.types.streaming import AgentChunk, Text
from server import text_event, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture

MANY = 6400  # chunks a round
CALLS = 2000  # waiting calls a round
METADATA = {
    "model": "benchmark",
    "provider": "bench",
    "request_id": "req-benchmark",
    "id": "chatcmpl-benchmark",
    "created": 1760000000,
    "system_fingerprint": "fp_benchmark",
}


def timed(benchmark: BenchmarkFixture, work: Callable[[], Any], rounds: int = 20) -> Any:
    """Times *work*, garbage collected before each round; gives what it gave."""

    def collect() -> None:
        gc.collect()

    return benchmark.pedantic(work, setup=collect, rounds=rounds, warmup_rounds=2)


# ---- the event-stream parser


@pytest.mark.benchmark(group="event stream of 2,000 events, 16 KiB a read")
@pytest.mark.parametrize("twin", ["c", "py"])
def test_event_stream_parser(benchmark: BenchmarkFixture, twin: str) -> None:
    try:
        parser = import_module(f"llmspell._speedups._sse_{twin}").EventParser
    except ImportError:
        pytest.skip("this twin is not built")
    wire = b"".join(frame.partition(b"\r\n")[2][:-2] for frame in texts(2000))
    reads = [wire[at : at + 16384] for at in range(0, len(wire), 16384)]

    def parse() -> int:
        feed = parser().feed
        return sum(len(feed(read)) for read in reads)

    assert timed(benchmark, parse) == 2000
    assert text_event("the").partition(b"\r\n")[2][:-2] in wire


# ---- chunks into Lua

PRELUDE = b"local host = ...\ncall = host.call\nhost.thread_methods({})\n"
TAKE = b"""
local n = 0
while true do
  local batch = call("stream:next", 1)
  if not batch then
    return n
  end
  for i = 1, #batch do
    if batch[i].content.type == "text" then
      n = n + 1
    end
  end
end
"""
#: The same tables, of values that are in Lua already: what no bridge can be below.
BUILD = b"""
local n, fields = 0, {}
for name, value in pairs(...) do
  fields[name] = value
end
for at = 0, %d, %d do
  local batch = {}
  for i = 1, %d do
    local metadata = {}
    for name, value in next, fields do
      metadata[name] = value
    end
    batch[i] = {
      stream_id = "stream-0123456789ab",
      chunk_index = at + i,
      content = { type = "text", text = "word" },
      metadata = metadata,
      timestamp = 1760000000.25,
    }
  end
  for i = 1, #batch do
    if batch[i].content.type == "text" then
      n = n + 1
    end
  end
end
return n
"""


def engine() -> Engine:
    made = Engine(lambda op, args: METADATA, lambda fd, data: True, lambda error: {}, max_memory=256 << 20)
    made.use_chunks(AgentChunk, {Text: b"text"})
    made.start(PRELUDE + b"ask = host.ask\n")
    return made


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.benchmark(group="6,400 chunks in Lua")
def test_chunks_cross_into_lua(benchmark: BenchmarkFixture, batch: int) -> None:
    made = engine()
    chunks = [AgentChunk("stream-0123456789ab", index, Text("word"), METADATA, 1760000000.25) for index in range(MANY)]
    batches = [chunks[at : at + batch] for at in range(0, MANY, batch)]

    def cross() -> Any:
        fiber = made.load(TAKE, b"@take.lua")
        made.resume(fiber, None, [])
        for one in batches:
            made.resume(fiber, True, one)
        return made.resume(fiber, True, None)

    assert timed(benchmark, cross) == (DONE, MANY)


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.benchmark(group="6,400 chunks in Lua")
def test_chunks_built_in_lua(benchmark: BenchmarkFixture, batch: int) -> None:
    made = engine()
    text = BUILD.replace(b"pairs(...)", b"pairs(ask('metadata'))") % (MANY - 1, batch, batch)

    def build() -> Any:
        return made.resume(made.load(text, b"@build.lua"), None, [])

    assert timed(benchmark, build) == (DONE, MANY)


# ---- a call that waits


@pytest.mark.benchmark(group="2,000 calls that wait")
def test_host_call_that_waits(benchmark: BenchmarkFixture) -> None:
    source = f"for i = 1, {CALLS} do Async.sleep(0) end return {CALLS}"

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runtime = ScriptRuntime(load(script_dir=None, config_file=None, env={}, flags={}))

        def wait() -> Any:
            return runner.run(runtime.execute_script(source)).result

        assert timed(benchmark, wait) == CALLS


@pytest.mark.benchmark(group="2,000 calls that wait")
def test_loop_alone(benchmark: BenchmarkFixture) -> None:
    """The turns of the loop that such a call takes: a timer that is due, then a callback."""

    async def turns() -> int:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        count = 0

        def due() -> None:
            loop.call_soon(again)

        def again() -> None:
            nonlocal count
            count += 1
            if count == CALLS:
                done.set_result(count)
            else:
                loop.call_later(0, due)

        loop.call_later(0, due)
        return await done

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert timed(benchmark, lambda: runner.run(turns())) == CALLS


# ---- starts


@pytest.mark.benchmark(group="starts")
def test_new_runtime_to_first_result(benchmark: BenchmarkFixture) -> None:
    config = load(script_dir=None, config_file=None, env={}, flags={})

    def first() -> Any:
        return ScriptRuntime(config).run("return 1").result

    assert timed(benchmark, first, rounds=200) == 1


@pytest.mark.benchmark(group="starts")
def test_config_load(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text('[runtime]\ntimeout = 20.0\n[providers.openai]\nmodel = "gpt-4o-mini"\n')
    env = {"HOME": str(tmp_path), "LLMSPELL_RUNTIME__MAX_OUTPUT": "1MB"}

    def read() -> Any:
        return load(script_dir=str(tmp_path), config_file=None, env=env, flags={}).get("runtime.timeout")

    assert timed(benchmark, read, rounds=100) == 20.0
