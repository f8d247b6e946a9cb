"""A script that computes lets the event loop have its turns, and has itself to itself all the same."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge.streams import Streams
from llmspell.errors import LimitError
from llmspell.providers.manager import ProviderManager

pytestmark = pytest.mark.compiled

COMPUTE = "local n = 0 for i = 1, {rounds} do n = n + i % 7 end return n"
WORK = "local function work() local n = 0 for i = 1, 2e6 do n = n + i % 7 end return n end "


async def beats(until: asyncio.Event) -> int:
    """How often the loop turned until then."""
    n = 0
    while not until.is_set():
        await asyncio.sleep(0)
        n += 1
    return n


async def turns_while(script: str) -> tuple[int, object]:
    done = asyncio.Event()
    beating = asyncio.create_task(beats(done))
    async with ScriptRuntime(timeout=60) as runtime:
        result = (await runtime.execute_script(script)).result
    done.set()
    return await beating, result


async def test_the_loop_turns_while_a_script_computes() -> None:
    turns, result = await turns_while(COMPUTE.format(rounds="1e7"))
    assert result == sum(i % 7 for i in range(7)) * (10_000_000 // 7) + sum(i % 7 for i in range(1, 10_000_000 % 7 + 1))
    assert turns > 20


@pytest.mark.parametrize(
    "wrap",
    [
        "return work()",
        "return (coroutine.wrap(function() return coroutine.wrap(work)() end)())",
        "return select(2, pcall(function() return select(2, pcall(work)) end))",
        "return setmetatable({}, { __index = work }).x",
        "return (Async.all { work, work })[1]",
        "local t = setmetatable({}, { __call = function() return work() end }) return t()",
        "for v in coroutine.wrap(function() coroutine.yield(work()) end) do return v end",
        "local x <close> = setmetatable({}, { __close = work }) return work()",
    ],
)
async def test_wherever_it_computes(wrap: str) -> None:
    expected = sum(i % 7 for i in range(1, 2_000_001))
    turns, result = await turns_while(
        WORK + wrap.replace("Async.all { work, work }[1]", "(Async.all { work, work })[1]")
    )
    assert result == expected
    assert turns > 3


async def test_where_lua_cannot_yield_the_result_is_the_same() -> None:
    script = WORK + "local s = 0 string.gsub('abc', '.', function() s = s + work() end) return s"
    _, result = await turns_while(script)
    assert result == 3 * sum(i % 7 for i in range(1, 2_000_001))


async def test_between_its_waits_a_script_has_itself_to_itself() -> None:
    """A fiber that is interrupted goes on before any other of its script: what it does between two waits is whole."""
    script = """
      local inside, broken = false, 0
      local function task()
        for _ = 1, 5 do
          if inside then broken = broken + 1 end
          inside = true
          local n = 0 for i = 1, 1e6 do n = n + 1 end
          inside = false
          Async.sleep(0)
        end
      end
      Async.all { task, task, task }
      return broken
    """
    turns, result = await turns_while(script)
    assert result == 0
    assert turns > 10


async def test_two_scripts_that_compute_share_a_loop() -> None:
    order: list[str] = []

    async def run(runtime: ScriptRuntime, name: str, rounds: str) -> None:
        await runtime.execute_script(COMPUTE.format(rounds=rounds))
        order.append(name)

    async with ScriptRuntime(timeout=60) as runtime:
        await asyncio.gather(run(runtime, "long", "3e7"), run(runtime, "short", "1e6"))
    assert order == ["short", "long"]


async def test_one_that_computes_for_ever_is_cancelled_from_the_loop() -> None:
    async with ScriptRuntime(timeout=60) as runtime:
        task = asyncio.create_task(runtime.execute_script("while true do pcall(function() while true do end end) end"))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await runtime.execute_script("return 1")).result == 1


async def test_and_its_deadline_holds_over_all_its_slices() -> None:
    async with ScriptRuntime(timeout=0.1) as runtime:
        with pytest.raises(LimitError, match=r"took longer than its limit of 0\.1 s"):
            await runtime.execute_script("while true do end")


async def test_a_stream_that_is_opened_late_in_a_slice_is_not_taken_for_one_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The script is interrupted right when the host comes back, and what was collected until then is looked at."""
    opened = Streams.open

    def slowly(*args: Any, **named: Any) -> int:
        number = opened(*args, **named)
        time.sleep(0.02)  # several ticks
        return number

    monkeypatch.setattr(Streams, "open", slowly)
    script = """
      local texts = {}
      for i = 1, 5 do
        for _ = 1, 2e5 do local t = {} end
        texts[i] = ""
        for chunk in Agent.create{ model = "mock" }:stream_execute("some words") do
          if chunk.content.type == "text" then texts[i] = texts[i] .. chunk.content.text end
        end
      end
      return texts
    """
    async with ScriptRuntime(providers=ProviderManager({"mock": {"type": "mock"}}, env={}), timeout=60) as runtime:
        assert (await runtime.execute_script(script)).result == ["some words"] * 5
