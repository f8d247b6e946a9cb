"""Functions of a script's that the host calls: here those of tools written in Lua."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import llmspell.bridge
from llmspell import ScriptRuntime
from llmspell.bridge.isolation import worker
from llmspell.errors import LLMSpellError, ScriptError

PRELUDE = Path(llmspell.bridge.__file__).parent / "prelude"


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, isolation: str | None, **options: Any) -> Any:
    return ScriptRuntime(timeout=options.pop("timeout", 20), isolation=isolation, **options).run(script)


def test_a_function_may_wait_and_many_run_at_once(isolation: str | None) -> None:
    done = run(
        """
        local running, most = 0, 0
        Tool.register{ name = "slow", execute = function(params)
          running = running + 1
          most = math.max(most, running)
          Async.sleep(0.01)
          running = running - 1
          return { twice = params.n * 2 }
        end }
        local got = Async.map({ 1, 2, 3, 4, 5 }, function(n) return Tool.execute("slow", { n = n }).result.twice end)
        return { got = got, most = most }
        """,
        isolation,
    )
    assert done.result == {"got": [2, 4, 6, 8, 10], "most": 5}


def test_what_a_function_raises_comes_to_its_caller(isolation: str | None) -> None:
    done = run(
        """
        Tool.register{ name = "fails", execute = function() error("no luck") end }
        Tool.register{ name = "refuses", execute = function() Tool.execute("no_such_tool") end }
        local _, plain = pcall(Tool.execute, "fails")
        local _, kept = pcall(Tool.execute, "refuses")
        return { plain.kind, plain.message, plain.tool, kept.kind, kept.message }
        """,
        isolation,
    )
    assert done.result[:3] == ["script", "no luck", "fails"]
    assert done.result[3:] == ["not_found", "there is no tool `no_such_tool`"]


def test_a_function_that_nobody_waits_for_any_more_is_closed_where_it_waits(isolation: str | None) -> None:
    done = run(
        """
        local closed = false
        Tool.register{ name = "slow", execute = function()
          local guard <close> = setmetatable({}, { __close = function() closed = true end })
          Async.sleep(60)
        end }
        local ok, e = pcall(Async.timeout, 0.02, function() Tool.execute("slow") end)
        for _ = 1, 500 do
          if closed then break end
          Async.sleep(0.002)
        end
        return { ok, e.kind, closed }
        """,
        isolation,
    )
    assert done.result == [False, "timeout", True]


def test_a_result_that_cannot_cross_is_an_error_of_the_call(isolation: str | None) -> None:
    with pytest.raises(LLMSpellError, match="cannot be passed on"):
        run('Tool.register{ name = "f", execute = function() return print end } Tool.execute("f")', isolation)


def test_functions_call_functions(isolation: str | None) -> None:
    done = run(
        """
        Tool.register{ name = "down", parameters = { type = "object" }, execute = function(params)
          if params.n == 0 then return 0 end
          return Tool.execute("down", { n = params.n - 1 }).result + 1
        end }
        return Tool.execute("down", { n = 20 }).result
        """,
        isolation,
    )
    assert done.result == 20


@pytest.mark.parametrize("inner", ["Tool.execute('again')", "Async.all{ function() Tool.execute('again') end }"])
def test_a_tool_that_calls_itself_without_end_is_an_error(isolation: str | None, inner: str) -> None:
    done = run(
        """
        local deep = 0
        Tool.register{ name = "again", execute = function() deep = deep + 1; INNER end }
        local _, e = pcall(Tool.execute, "again")
        Tool.register{ name = "waits", execute = function(p) Async.sleep(p.n % 7 / 5000) return 1 end }
        local beside = 0
        Async.map({ 1, 2, 3, 4, 5, 6 }, function(i)
          for n = 1, 40 do
            local one = Tool.execute("waits", { n = n * i }).result
            beside = beside + one
          end
        end)
        return { e.kind, e.limit, deep, beside }
        """.replace("INNER", inner),
        isolation,
    )
    assert done.result == ["limit", "tool_depth", 50, 240]


def test_the_end_of_the_run_ends_its_functions(isolation: str | None) -> None:
    done = run(
        """
        Tool.register{ name = "slow", execute = function() Async.sleep(60) end }
        Async.spawn(Tool.execute, "slow")
        Async.sleep(0.01)
        return "over"
        """,
        isolation,
    )
    assert done.result == "over"


def test_a_function_that_computes_for_ever_is_stopped_by_the_run_s_limit(isolation: str | None) -> None:
    with pytest.raises(LLMSpellError, match=re.escape("longer than its limit of 0.3 s")):
        run(
            'Tool.register{ name = "f", execute = function() while true do end end } Tool.execute("f")',
            isolation,
            timeout=0.3,
        )


async def test_a_run_that_is_cancelled_leaves_no_task() -> None:
    script = """
        Tool.register{ name = "slow", execute = function() Async.sleep(60) end }
        Tool.execute("slow")
    """
    async with ScriptRuntime(timeout=20) as runtime:
        task = asyncio.ensure_future(runtime.execute_script(script))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_too_many_at_once_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmspell.bridge.driver.MOST_FIBERS", 2)  # the script and what serves
    with pytest.raises(ScriptError, match="tasks at once"):
        ScriptRuntime(timeout=20).run(
            'Tool.register{ name = "f", execute = function() Async.sleep(60) end } Tool.execute("f")'
        )


def test_a_worker_has_read_every_part_of_the_prelude_that_is_loaded_late() -> None:
    """It can open no file once its doors are closed."""
    text = (PRELUDE / "api.lua").read_text()
    late = set(re.findall(r'lazy\("\w+", "(\w+)"\)', text)) | set(re.findall(r'load_file\("(\w+)"\)', text))
    assert "provider" in late
    assert late <= set(worker.LAZY)


def test_the_globals_are_there_in_a_worker() -> None:
    done = run("return { Provider.default(), type(Run.usage()), type(Tool.register) }", "process", model="mock")
    assert done.result[1:] == ["table", "function"]
