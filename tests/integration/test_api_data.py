"""The API's data against the prelude, the stubs and the reference that are made of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lupa import lua54

from llmspell import ScriptRuntime
from llmspell.bridge import api
from llmspell.bridge.failures import GLOBALS
from llmspell.bridge.signatures import CLASSES, SIGNATURES, TABLES
from llmspell.bridge.stubs import KINDS, reference, stubs
from support.terminal import llmspell

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
PRELUDE = Path(api.__file__).parent / "prelude"

MEMBERS = """
local told = {}
for _, name in ipairs(ARGS) do
  local found = {}
  for member, value in pairs(_G[name]) do
    if type(value) == "function" then found[#found + 1] = member end
  end
  table.sort(found)
  told[name] = found
end
return told
"""


def test_the_globals_have_the_functions_that_the_data_tells_and_no_others() -> None:
    owners = sorted({one.owner for one in SIGNATURES if not one.method})
    told = ScriptRuntime().run(MEMBERS, args=owners).result
    assert told == {
        owner: sorted(one.name for one in SIGNATURES if one.owner == owner and not one.method) for owner in owners
    }
    assert set(owners) | {"Debug", "ARGS"} == set(GLOBALS)


def test_methods_are_those_of_the_prelude() -> None:
    """A method that is misspelt names those that there are."""
    scripts = {
        "agent": 'Agent.create{ model = "mock" }',
        "chat": 'Agent.create{ model = "mock" }:chat()',
        "tool": 'Tool.get("calculator")',
        "workflow": 'Workflow.sequential{ name = "w", steps = { { name = "s", run = function() end } } }',
        "semaphore": "Async.semaphore(1)",
        "rate": "Async.rate(1, 1)",
        "Media": r'Media.binary("x", "text/plain")',
    }
    for owner, made in scripts.items():
        for name in (one.name for one in SIGNATURES if one.owner == owner and one.method):
            got = ScriptRuntime().run(f"local thing = {made} return type(thing.{name})").result
            assert got == "function", f"{owner}:{name}"


def test_the_stubs_tell_the_fields_that_things_have() -> None:
    got = (
        ScriptRuntime()
        .run(
            """
            local function keys(thing)
              local names = {}
              for name in next, thing do names[#names + 1] = name end
              return names
            end
            return { agent = keys(Agent.create{ model = "mock" }), tool = keys(Tool.get("calculator")),
              workflow = keys(Workflow.sequential{ steps = { { name = "s", run = print } } }) }
            """
        )
        .result
    )
    for owner, names in got.items():
        told = re.search(rf"^---@class {owner}\n((?:---@field .*\n)*)", stubs(), re.MULTILINE)
        assert told is not None
        assert sorted(names) == sorted(line.split()[1] for line in told[1].splitlines())


def test_parameters_are_called_as_in_the_prelude() -> None:
    source = "\n".join(path.read_text() for path in PRELUDE.glob("*.lua"))
    compared = 0
    for one in SIGNATURES:
        found = re.search(rf"^function {one.owner}\.{one.name}\((.*?)\)", source, re.MULTILINE)
        if found and not one.method:
            compared += 1
            assert [name.strip() for name in found[1].split(",") if name.strip()] == [p.name for p in one.parameters], (
                one
            )
    assert compared > 70


def test_each_word_of_a_field_has_one_of_lua_s() -> None:
    for fields in TABLES.values():
        for kind, _ in fields.values():
            assert kind in KINDS
            assert kind in api.KINDS


def test_each_type_that_is_named_is_one() -> None:
    known = {*TABLES, *CLASSES, *(one.owner for one in SIGNATURES), "builder"}
    plain = {"string", "number", "integer", "boolean", "table", "any", "function"}
    for one in SIGNATURES:
        for kind in (*(p.type for p in one.parameters), one.returns):
            if not kind.startswith("{"):
                for word in re.findall(r"[A-Za-z]+", kind):
                    assert word in known | plain, one


def test_the_stubs_are_lua() -> None:
    lua = lua54.LuaRuntime()
    lua.execute(stubs())
    assert "---@field temperature? number" in stubs()
    assert "function Agent.create(config) end" in stubs()
    assert "---@class stream: thread\n---@overload fun(): Chunk?\n" in stubs()


def test_the_command_writes_them(tmp_path: Path) -> None:
    done = llmspell("types")
    assert (done.code, done.out.decode()) == (0, stubs())
    done = llmspell("types", "stubs", cwd=tmp_path)
    assert done.code == 0
    assert (tmp_path / "stubs" / "llmspell.lua").read_text() == stubs()
    (tmp_path / "file").write_text("")
    done = llmspell("types", "file/x", cwd=tmp_path)
    assert done.code == 6
    assert b"cannot write" in done.err


def test_the_command_replaces_its_own_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / 'a "b' / "llmspell.lua"
    path.parent.mkdir()
    path.write_text("---@meta llmspell\n-- of an older release\n")
    done = llmspell("types", str(path.parent))
    assert (done.code, path.read_text()) == (0, stubs())
    setting = done.out.decode().partition(".luarc.json`: ")[2]
    assert json.loads(setting) == {"workspace.library": [str(path.parent)]}
    path.write_text("print('a script of mine')\n")
    done = llmspell("types", str(path.parent))
    assert (done.code, path.read_text()) == (1, "print('a script of mine')\n")
    assert b"is there, and is none that llmspell wrote" in done.err
    assert [one.name for one in path.parent.iterdir()] == ["llmspell.lua"]


def test_the_command_tells_programs_in_json(tmp_path: Path) -> None:
    assert json.loads(llmspell("types", "--output", "json").out) == {"stubs": stubs()}
    told = json.loads(llmspell("types", "--output", "json", "x\x1b[31m", cwd=tmp_path).out)
    assert told == {"path": os.path.join("x\x1b[31m", "llmspell.lua")}
    assert b"\x1b" not in llmspell("types", "x\x1b[31m", cwd=tmp_path).out


def test_the_reference_page_is_as_it_would_be_written() -> None:
    assert (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8") == reference()
    done = subprocess.run([sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0
