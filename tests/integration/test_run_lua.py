"""`run_lua`: programs that a model writes, within their own limits and with the tools that were granted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.bridge import run_lua
from llmspell.errors import LLMSpellError, ToolError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import ToolContext
from llmspell.tools.permissions import Permissions


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def execute(code: str, isolation: str | None = None, before: str = "", **more: Any) -> Any:
    script = f'{before} return Tool.execute("run_lua", {{ code = ARGS[1] }})'
    return ScriptRuntime(timeout=30, isolation=isolation, **more).run(script, args=[code]).result


MAPPED = """
    local sum = 0
    for _, r in ipairs(Async.map({ 1, 2, 3 }, function(n) return tools.add{ a = n } end)) do sum = sum + r.sum end
    return sum
"""
ENDLESS = "local c = coroutine.wrap(function() while true do pcall(error) end end) c()"
ADD = """
Tool.register{ name = "add", parameters = { type = "object", required = { "a" } }, execute = function(p)
  Async.sleep(0.001)
  if p.a == 13 then error("thirteen") end
  return { sum = p.a + (p.b or 0) }
end }
"""


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("return 1 + 1", "2"),
        ('print("a") io.write("b") return { 1, "x" }', 'a\nb\n[1,"x"]'),
        ("return tools.add{ a = 1, b = 2 }.sum", "3"),
        ("return tools:add{ a = 1 }.sum", "1"),
        (MAPPED, "6"),
        ("return tools.calculator{ input = '2^10' }.result", "1024"),
        ("return JSON.stringify{ a = JSON.parse('[1]') }", '{"a":[1]}'),
        ("local ok, e = pcall(tools.add, { a = 13 }) return e.message", "thirteen"),
        ("return type(tools), Agent, Tool, State, File, Media, Config, Run, Provider, require", '["table"'),
        ("os.exit(3)", "done: nothing returned"),
        ("", None),
    ],
)  # fmt: skip
def test_a_program_calls_tools_and_returns(code: str, text: str | None, isolation: str | None) -> None:
    if text is None:
        with pytest.raises(LLMSpellError):
            execute(code, isolation, ADD)
        return
    done = execute(code, isolation, ADD)
    assert done["success"] is True
    assert done["text"].startswith(text)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = ", "line 1: unexpected symbol near"),
        ("local x = nil\nreturn x.y", "line 2: attempt to index a nil value"),
        ("print('before')\nerror('no')", "line 2: no"),
        ("return tools.addd{}", "did you mean `tools:add`"),
        ("return tools.run_lua{ code = '1' }", "run_lua"),
        ("return tools.add{}", "is missing"),
        ("tools.add{ a = 13 }", "thirteen"),
        ("return print", "cannot be passed on"),
        ("return ('x'):rep(1e9)", "more memory than its limit"),
        ("for i = 1, 1e6 do print(('x'):rep(1000)) end", "more than its limit of 256 KB"),
        ("for i = 1, 2000 do tools.add{ a = 1 } end", "more than 1000 times"),
        ("return Agent.create{}", "attempt to index a nil value"),
        ("return os.getenv('HOME')", "getenv|Config"),
        ("return io.open('/etc/passwd')", "io.open"),
        ("return load('\\27Lua')()", "nil value|bytecode|text"),
    ],
)
def test_what_goes_wrong_is_told_with_its_line(code: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        execute(code, None, ADD)


@pytest.mark.parametrize(
    "code",
    ["while true do end", "Async.sleep(60)", ENDLESS],
)
def test_a_program_that_does_not_end_is_stopped_and_the_script_goes_on(
    code: str, isolation: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_lua, "SECONDS", 0.2)
    monkeypatch.setattr(run_lua, "CPU", 0.1)
    script = 'local ok, e = pcall(Tool.execute, "run_lua", { code = ARGS[1] }) return { ok, e.message, 1 + 1 }'
    ok, message, two = ScriptRuntime(timeout=30, isolation=isolation).run(script, args=[code]).result
    assert (ok, two) == (False, 2)
    assert "limit of 0." in message


async def test_a_timeout_of_0_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lua, "SECONDS", 0.05)
    context = ToolContext(Permissions(), settings={"run_lua": {"timeout": 0}})
    done = await run_lua.TOOL.execute({"code": "Async.sleep(0.3) return 1"}, context)
    assert done.result["result"] == 1


def test_its_computing_is_the_run_s() -> None:
    script = """
        for _ = 1, 100 do
          pcall(Tool.execute, "run_lua", { code = "local n = 0 for i = 1, 3e6 do n = n + i end return n" })
        end
    """
    with pytest.raises(LLMSpellError, match=r"computed longer than its limit of 0\.3 s"):
        ScriptRuntime(timeout=60, max_cpu=0.3).run(script)


def test_programs_at_once_share_the_computing_that_the_run_may_do() -> None:
    calls = [{"name": "run_lua", "arguments": {"code": f"local n = {n} while true do end"}} for n in range(4)]
    begun = time.process_time()
    with pytest.raises(LLMSpellError, match=r"computed longer than its limit of 0\.5 s"):
        asked(
            MockProvider([{"tool_calls": calls}, "done"]),
            'return Agent.create{ tools = { "run_lua" } }:execute("go").text',
            max_cpu=0.5,
        )
    assert time.process_time() - begun < 1.5  # of 4 × 0.5


def test_a_program_within_a_program_does_not_wait_for_its_place() -> None:
    before = """
        Tool.register{ name = "down", parameters = { type = "object", required = { "n" } }, execute = function(p)
          if p.n == 0 then return "the bottom" end
          return Tool.execute("run_lua", { code = "return tools.down{ n = " .. p.n - 1 .. " }" }).result.result
        end }
    """
    begun = time.monotonic()
    told = execute("return tools.down{ n = 6 }", before=before)
    assert told["result"]["result"] == "the bottom"
    assert time.monotonic() - begun < 10


#: Computes where it cannot be put aside: in a function that C has called.
STUCK = "table.sort({ 1, 2, 3 }, function() while true do end end)"


def test_the_run_s_time_ends_a_program_that_holds_up_the_loop(isolation: str | None) -> None:
    begun = time.monotonic()
    with pytest.raises(LLMSpellError, match=r"longer than its limit of 0\.5 s"):
        ScriptRuntime(timeout=0.5, isolation=isolation).run(f'Tool.execute("run_lua", {{ code = "{STUCK}" }})')
    assert time.monotonic() - begun < 3  # and not after the program's own 5 seconds


@pytest.mark.once
def test_ctrl_c_reaches_a_program_that_holds_up_the_loop(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(f"io.stderr:write('begun\\n') Tool.execute('run_lua', {{ code = [[{STUCK}]] }})")
    command = [sys.executable, "-m", "llmspell", "run", "s.lua"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"begun\n"
        time.sleep(0.7)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - begun < 2


def test_what_a_program_may_not_ask_for_is_named() -> None:
    with pytest.raises(ToolError, match=r"`Config\.getenv` is not open to programs"):
        execute("return os.getenv('HOME')")


def asked(mock: MockProvider, script: str, **more: Any) -> Any:
    manager = ProviderManager({}, env={})
    manager.register(mock)
    return ScriptRuntime(timeout=30, providers=manager, model="mock", **more).run(script).result


GO = 'return Agent.create{ tools = { "add", "run_lua" } }:execute("go").tool_calls[1].result'


def program(code: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": "run_lua", "arguments": {"code": code}}]}


def test_a_model_s_program_has_the_agent_s_tools_and_no_others(isolation: str | None) -> None:
    code = """
        local names = {}
        for name in pairs(tools) do names[#names + 1] = name end
        return { names, tools.add{ a = 20, b = 22 }.sum }
    """
    mock = MockProvider([program(code), "done"])
    got = asked(
        mock,
        ADD + 'return Agent.create{ tools = { "add", "run_lua" } }:execute("go").tool_calls[1].result',
        isolation=isolation,
    )
    assert got["result"] == [["add"], 42]
    told = mock.calls[1].messages[-1]
    assert json.loads(told.text) == [["add"], 42]


def test_each_call_in_a_program_is_asked_about() -> None:
    code = "local a = tools.add{ a = 1 }.sum local ok, e = pcall(tools.add, { a = 2 }) return { a, ok, e.message }"
    script = (
        ADD
        + """
        local seen = {}
        local agent = Agent.create{ tools = { "add", "run_lua" }, approve = function(call)
          seen[#seen + 1] = call.name .. " " .. tostring(call.arguments.a)
          if call.name == "add" and call.arguments.a == 2 then return false, "not two" end
          return true
        end }
        local out = agent:execute("go")
        return { seen, out.tool_calls[1].result.result }
    """
    )
    seen, result = asked(MockProvider([program(code), "done"]), script)
    assert seen == ["run_lua nil", "add 1", "add 2"]
    assert result[:2] == [1, False]
    assert "not two" in result[2]


def test_a_failing_program_goes_back_to_the_model_with_its_line() -> None:
    mock = MockProvider([program("local a = 1\nerror('oh')"), program("return 'mended'"), "done"])
    got = asked(mock, 'return Agent.create{ tools = { "run_lua" } }:execute("go").text')
    assert got == "done"
    assert "line 2: oh" in mock.calls[1].messages[-1].text
    assert mock.calls[1].messages[-1].is_error
    assert mock.calls[2].messages[-1].text == "mended"


def test_tools_of_a_program_obey_permissions() -> None:
    code = "return tools.file_operations{ operation = 'read', path = '/etc/passwd' }"
    with pytest.raises(ToolError, match="may not read"):
        execute(code, permissions=Permissions())
    with pytest.raises(LLMSpellError, match="may not use the tool `run_lua`"):
        execute("return 1", permissions=Permissions(tool=("calculator",)))
    with pytest.raises(LLMSpellError, match="may not use the tool `calculator`"):
        execute("return tools.calculator{ input = '1' }", permissions=Permissions(tool=("run_lua",)))


async def test_a_python_agent_s_model_writes_programs_too() -> None:
    from llmspell.agents.agent import Agent
    from llmspell.tools.function import tool

    @tool
    def double(n: int) -> int:
        """Twice n."""
        return 2 * n

    manager = ProviderManager({}, env={})
    manager.register(mock := MockProvider([program("return tools.double{ n = 21 }"), "done"]))
    output = await Agent("mock", providers=manager, tools=[double, "run_lua"]).execute("go")
    assert output.text == "done"
    assert mock.calls[1].messages[-1].text == "42"
