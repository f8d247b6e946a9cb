"""Parts, one by one, under fixed names, for a history of them. Run by `pytest benchmarks`; not part of the tests.

Garbage is collected before each round. Those of one group do the same work: their ratio says more than their times.
"""

from __future__ import annotations

import asyncio
import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import calls
import crossing
import ticks
from floor import loop_factory
from harness import TWINS, engine_module, plain_config, under
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.config.loader import load
from server import text_event, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(params=list(TWINS))
def twin(request: pytest.FixtureRequest) -> str:
    """Either engine; the compiled one only where it is built."""
    name = str(request.param)
    try:
        engine_module(name)
    except ImportError:
        pytest.skip("this engine is not built")
    return name


def timed(benchmark: BenchmarkFixture, work: Callable[[], Any], rounds: int = 20) -> Any:
    """Times *work*, garbage collected before each round; gives what it gave."""

    def collect() -> None:
        gc.collect()

    return benchmark.pedantic(
        work,  # type: ignore[no-untyped-call]
        setup=collect,
        rounds=rounds,
        warmup_rounds=2,
    )


# ---- the event-stream parser


@pytest.mark.benchmark(group="event stream of 2,000 events, 16 KiB a read")
@pytest.mark.parametrize("half", ["c", "py"])
def test_event_stream_parser(benchmark: BenchmarkFixture, half: str) -> None:
    try:
        parser = import_module(f"llmspell._speedups._sse_{half}").EventParser
    except ImportError:
        pytest.skip("this twin is not built")
    wire = b"".join(frame.partition(b"\r\n")[2][:-2] for frame in texts(2000))
    reads = [wire[at : at + 16384] for at in range(0, len(wire), 16384)]

    def parse() -> int:
        feed = parser().feed
        return sum(len(feed(read)) for read in reads)

    assert timed(benchmark, parse) == 2000
    assert text_event("the").partition(b"\r\n")[2][:-2] in wire


# ---- between Python and Lua


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.benchmark(group="6,400 chunks in Lua")
def test_chunks_cross_into_lua(benchmark: BenchmarkFixture, twin: str, batch: int) -> None:
    timed(benchmark, crossing.cross(twin, batch))


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.benchmark(group="6,400 chunks in Lua")
def test_chunks_built_in_lua(benchmark: BenchmarkFixture, twin: str, batch: int) -> None:
    timed(benchmark, crossing.build(batch, twin))


@pytest.mark.parametrize("case", crossing.CASES[2:], ids=lambda case: case.name)
@pytest.mark.benchmark(group="a table of 1,101 values, 20 times")
def test_tables_and_json(benchmark: BenchmarkFixture, twin: str, case: crossing.Case) -> None:
    timed(benchmark, case.subjects()[twin])


# ---- a call that waits


@pytest.mark.parametrize("kind", list(calls.KINDS))
@pytest.mark.benchmark(group="4,000 calls that wait")
def test_calls_that_wait(benchmark: BenchmarkFixture, kind: str) -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        work = calls.KINDS[kind]()
        assert timed(benchmark, lambda: runner.run(work())) == calls.CALLS


# ---- computing


@pytest.mark.parametrize("way", ticks.WAYS)
@pytest.mark.benchmark(group="a script that computes")
def test_interrupts(benchmark: BenchmarkFixture, way: str) -> None:
    runtime = ScriptRuntime(plain_config(), interrupts=way)
    assert timed(benchmark, lambda: runtime.run(ticks.SCRIPTS["loop"]).result) is True


# ---- starts


@pytest.mark.benchmark(group="starts")
def test_new_runtime_to_first_result(benchmark: BenchmarkFixture, twin: str) -> None:
    config = plain_config()

    def first() -> Any:
        return ScriptRuntime(config).run("return 1").result

    with under(twin):
        assert timed(benchmark, first, rounds=200) == 1


@pytest.mark.benchmark(group="starts")
def test_bare_lua_state(benchmark: BenchmarkFixture) -> None:
    lua = import_module("lupa.lua54")
    assert timed(benchmark, lambda: lua.LuaRuntime().execute("return 1"), rounds=200) == 1


@pytest.mark.benchmark(group="starts")
def test_config_load(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text('[runtime]\ntimeout = 20.0\n[providers.openai]\nmodel = "gpt-4o-mini"\n')
    env = {"HOME": str(tmp_path), "LLMSPELL_RUNTIME__MAX_OUTPUT": "1MB"}

    def read() -> Any:
        return load(script_dir=str(tmp_path), config_file=None, env=env, flags={}).get("runtime.timeout")

    assert timed(benchmark, read, rounds=100) == 20.0
