"""Tools in a run that is recorded: a replay is the run again byte for byte, whatever its tools take and are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.dialects import DIALECTS
from support.loopback import reply
from support.tapes import Tapes
from support.terminal import environment, llmspell
from support.tool_turns import CALLING, Call

pytestmark = pytest.mark.once

SCRIPT = """
Tool.register{ name = "add", parameters = { type = "object" }, execute = function(p)
  Async.sleep(0.002)
  return { sum = (p.a or 0) + 1, time = os.time(), chance = math.random(), text = "x", more = { b = 1, a = 2, c = 3 } }
end }
local agent = Agent.create{ model = "acme", tools = { "run_lua", "add", "calculator", "uuid_generator",
  "json_processor", "file_operations" } }
print(JSON.stringify(agent:execute("go").tool_calls))
for chunk in agent:stream_execute("go") do print(JSON.stringify(chunk.content)) end
"""
NAMES = "local names = '' for name in pairs({ a = 1, b = 2, cc = 3, d = 4, ee = 5 }) do names = names .. name end "
READ = """
local function read(name) return tools.file_operations{ operation = "read", path = name } end
return Async.map({ "f.txt", "g.txt" }, read)
"""
CALLS: dict[str, list[Call]] = {
    "nothing outside": [("c1", "calculator", {"input": "1+1"}), ("c2", "uuid_generator", {}), ("c3", "no", {})],
    "in threads": [
        ("c1", "json_processor", {"input": list(range(5000)), "query": "map(. + 1) | length"}),
        ("c2", "json_processor", {"input": [1], "query": "length"}),
    ],
    "files": [
        ("c1", "file_operations", {"operation": "read", "path": "f.txt"}),
        ("c2", "file_operations", {"operation": "read", "path": "g.txt"}),
        ("c3", "file_operations", {"operation": "read", "path": "/etc/passwd"}),
    ],
    "written in Lua": [("c1", "add", {"a": 1}), ("c2", "add", {"a": 2})],
    "programs": [
        ("c1", "run_lua", {"code": NAMES + "return { names, math.random(), os.time(), os.clock() }"}),
        ("c2", "run_lua", {"code": "return tools.add{ a = 1 }"}),
        ("c3", "run_lua", {"code": READ}),
    ],
}


class ToolTapes(Tapes):
    """As Tapes; files may be read."""

    def run(self, *flags: str, **env: str) -> Any:
        named = ("--output", "jsonl", "--allow-read=.", *flags)
        return llmspell("run", "s.lua", *named, cwd=self.folder, env=environment(**env))

    def again(self, before: str, now: str) -> Any:
        """A replay of *now* out of a recording of *before*; neither asks a model."""
        recorded = self.record([reply([b"unasked"])], before)
        assert recorded.code == 0, recorded.err
        (self.folder / "s.lua").write_text(now)
        return self.replay()


@pytest.fixture
def tapes(tmp_path: Path) -> ToolTapes:
    (tmp_path / "f.txt").write_text("one")
    (tmp_path / "g.txt").write_text("two")
    return ToolTapes(tmp_path)


def answering(calls: list[Call]) -> Any:
    """A plan: these calls, and once they were answered, words."""
    made = DIALECTS["openai"]
    stream, _ = CALLING["openai"](calls, "")

    def plan(request: Any) -> list[Any]:
        told = any(message["role"] == "tool" for message in request.json["messages"])
        return reply(made.stream + made.end if told else stream, headers={"content-type": made.type})

    return plan


@pytest.mark.parametrize("kind", CALLS)
def test_a_replay_with_tools_is_the_run_again_byte_for_byte(tapes: ToolTapes, kind: str) -> None:
    recorded = tapes.record([answering(CALLS[kind])] * 4, SCRIPT)
    assert (recorded.code, tapes.requests) == (0, 4), recorded.err
    assert b'"state":"end"' in recorded.out
    (tapes.folder / "f.txt").unlink()  # it reaches nothing outside
    for _ in range(2):
        replayed = tapes.replay()
        assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


def test_of_several_tools_the_same_one_ends_first_again(tapes: ToolTapes) -> None:
    script = """
    local many = {}
    for i = 1, 20000 do many[i] = i end
    print(Async.race{
      function() return Tool.execute("json_processor", { input = many, query = "map(. + 1) | length" }).text end,
      function() return Tool.execute("file_operations", { operation = "read", path = "f.txt" }).text end,
    })
    local flow = Workflow.parallel{ name = "w", steps = {
      { name = "a", type = "tool", tool = "json_processor", timeout = 5, input = { input = many, query = "length" } },
      { name = "b", type = "tool", tool = "file_operations", input = { operation = "read", path = "g.txt" } },
    } }
    print(flow:execute{}.duration_ms)
    """
    recorded = tapes.record([reply([b"unasked"])], script)
    assert recorded.code == 0, recorded.err
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


ADDS = 'print(Tool.execute("calculator", { input = "1 + %d" }).text)'
READS = 'print(Tool.execute("file_operations", { operation = "read", path = "%s" }).text)'


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (ADDS % 1, ADDS % 2, "3"),  # it computes otherwise
        ("print(1)", ADDS % 1, "2"),
        (ADDS % 1, "print(1)", "1"),
        (READS % "f.txt", "print(1)", "1"),
        (READS % "f.txt", READS % "g.txt", None),  # it asks something else of the world
        ("print(1)", READS % "f.txt", None),
    ],
)
def test_a_changed_script_may_compute_otherwise_and_reach_nothing_else(
    tapes: ToolTapes, before: str, now: str, said: str | None
) -> None:
    replayed = tapes.again(before, now)
    events = [json.loads(line) for line in replayed.out.splitlines()]
    if said is None:
        assert replayed.code == 1
        assert "the tool file_operations" in events[-1]["error"]["message"]
    else:
        assert replayed.code == 0, replayed.out
        assert [one["text"] for one in events if one["event"] == "output"] == [said + "\n"]


def test_what_a_tool_is_given_is_not_in_the_recording(tapes: ToolTapes) -> None:
    script = 'pcall(Tool.execute, "http_request", { url = "http://a.example/", headers = { key = "hush" } })'
    assert tapes.record([reply([b"unasked"])], script).code == 0
    assert b'"ask":"tool"' in tapes.file.read_bytes()
    assert b"hush" not in tapes.file.read_bytes()
