"""`require` and `dofile`: what is found, what is refused, and modules that wait while they are loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError, NotFoundError, PermissionDeniedError, ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The script's folder, with a secret outside of it."""
    (tmp_path / "secret.lua").write_text("return 'secret'")
    place = tmp_path / "scripts"
    place.mkdir()
    return place


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a script in the folder; keyword arguments are files beside it: `__` is a slash, `_lua` stands for .lua."""

    def run(script: str, **files: str | bytes) -> Any:
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_lua", ".lua")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return ScriptRuntime(timeout=10).run(script, path=str(folder / "main.lua"), name="main.lua").result

    return run


def test_a_module_is_loaded_once_and_told_its_name_and_path(run: Run) -> None:
    script = """
      local a, path = require('m')
      local b = require('m')
      return {rawequal(a, b), a.args, path, select('#', require('m'))}
    """
    assert run(script, m_lua="return { args = {...} }") == [True, ["m", "m.lua"], "m.lua", 1]


def test_dots_are_folders_and_a_folder_has_init(run: Run) -> None:
    script = "return {require('lib.a'), require('lib'), (require('lib.b-2'))}"
    files = {"lib__a_lua": "return 'a'", "lib__init_lua": "return 'init'", "lib__b-2_lua": "return 'b'"}
    assert run(script, **files) == ["a", "init", "b"]


def test_a_module_that_returns_nothing_or_false(run: Run) -> None:
    script = "return {require('nothing'), require('nothing'), require('no'), package.loaded.no, (require('own'))}"
    files = {"nothing_lua": "", "no_lua": "return false", "own_lua": "package.loaded.own = 'set' return nil"}
    assert run(script, **files) == [True, True, False, False, "set"]


def test_a_module_that_fails_is_tried_again(run: Run) -> None:
    script = """
      count = 0
      local ok, e = pcall(require, 'm')
      return {ok, e, package.loaded.m == nil, (pcall(require, 'm')), count}
    """
    expected = [False, "m.lua:2: failed", True, False, 2]
    assert run(script, m_lua="count = count + 1\nerror('failed')") == expected


def test_a_syntax_error_names_the_module_and_the_line(run: Run) -> None:
    script = "return {pcall(require, 'm')}"
    assert run(script, m_lua="local x\nx = = 1")[1] == "m.lua:2: unexpected symbol near '='"


def test_a_mark_and_a_first_line_for_the_shell_are_left_out(run: Run) -> None:
    files = {"m_lua": b"\xef\xbb\xbf#!/usr/bin/lua\nerror('here')", "n_lua": "#!x\nreturn 2"}
    assert run("return {select(2, pcall(require, 'm')), require('n'), dofile('n.lua')}", **files) == [
        "m.lua:2: here",
        2,
        2,
    ]


def test_modules_that_require_each_other_are_told(run: Run) -> None:
    script = "local ok, e = pcall(require, 'a') return {ok, e.kind, e.message, package.loaded.a == nil}"
    files = {"a_lua": "require('b')", "b_lua": "require('c')", "c_lua": "require('a')"}
    assert run(script, **files) == [
        False,
        "script",
        "module `a` requires itself, directly or through others",
        True,
    ]


def test_a_module_may_wait_at_its_top_level(run: Run) -> None:
    assert run("return (require('m'))", m_lua="Async.sleep(0) return Async.all{function() return 5 end}[1]") == 5


def test_two_tasks_that_require_a_module_which_waits_load_it_once(run: Run) -> None:
    script = """
      count = 0
      local function get() return require('m') end
      local got = Async.all{get, get, get}
      return {count, rawequal(got[1], got[2]) and rawequal(got[2], got[3])}
    """
    assert run(script, m_lua="count = count + 1 Async.sleep(0.01) return {}") == [1, True]


def test_when_a_module_fails_those_that_wait_for_it_try_themselves(run: Run) -> None:
    script = """
      count = 0
      local function get() return require('m') end
      local got = Async.settle{get, get}
      return {count, got[1].ok, got[1].error, got[2].ok, got[2].value}
    """
    module = "count = count + 1 Async.sleep(0.01) if count == 1 then error('first', 0) end return 'second'"
    assert run(script, m_lua=module) == [2, False, "first", True, "second"]


def test_a_task_that_is_cancelled_while_it_loads_leaves_the_module_to_others(run: Run) -> None:
    script = """
      count = 0
      local first = Async.spawn(function() return require('m') end)
      local second = Async.spawn(function() return require('m') end)
      Async.sleep(0)
      first:cancel()
      return {second:await(), count}
    """
    module = "count = count + 1 if count == 1 then Async.sleep(60) end return 'loaded'"
    assert run(script, m_lua=module) == ["loaded", 2]


def test_tasks_whose_modules_wait_for_each_other_are_told_and_do_not_hang(run: Run) -> None:
    script = """
      local got = Async.settle{ function() return require('a') end, function() return require('b') end }
      local told = {}
      for i, one in ipairs(got) do told[i] = one.ok or one.error.message end
      return told
    """
    files = {
        "a_lua": "Async.sleep(0.01) return 'a' .. require('b')",
        "b_lua": "Async.sleep(0.01) return 'b' .. require('a')",
    }
    assert any("requires itself" in str(told) for told in run(script, **files))


OUTSIDE = [
    "dofile('../secret.lua')",
    "dofile('x/../../secret.lua')",
    "dofile('/etc/passwd')",
    "dofile('link.lua')",
    "dofile('linked/secret.lua')",
    "require('link')",
    "require('linked.secret')",
]


@pytest.mark.parametrize("script", OUTSIDE)
def test_what_lies_outside_of_the_folder_is_refused_links_followed(script: str, run: Run, folder: Path) -> None:
    (folder / "link.lua").symlink_to(folder.parent / "secret.lua")
    (folder / "linked").symlink_to(folder.parent)
    (folder / "x").mkdir()
    with pytest.raises(PermissionDeniedError, match="outside the script's folder") as caught:
        run(f"return {script}")
    assert "secret'" not in str(caught.value)


NAMES = [
    "",
    ".",
    "..",
    "a..b",
    ".a",
    "a.",
    "a/b",
    "../secret",
    "..secret",
    "a\\\\b",
    "/etc/passwd",
    "\\0",
    "\\xff",
    "~",
    "a b",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_module_s_name_is_not_looked_for(name: str, run: Run) -> None:
    with pytest.raises(NotFoundError, match="is not a module's name"):
        run(f"require('{name}')")


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("dofile('nowhere.lua')", NotFoundError),
        ("dofile('')", NotFoundError),
        ("dofile('.')", NotFoundError),
        ("dofile('a\\0b')", NotFoundError),
        ("dofile('\\xff\\xfe.lua')", NotFoundError),
        ("dofile(('x'):rep(100000))", NotFoundError),
        ("dofile('pipe')", NotFoundError),
        ("dofile('code.lua')", PermissionDeniedError),
        ("require('code')", PermissionDeniedError),
        ("dofile('large.lua')", ScriptError),
        ("dofile()", PermissionDeniedError),
        ("dofile({})", ScriptError),
        ("require('nowhere')", NotFoundError),
        ("require({})", ScriptError),
        ("require(('x.'):rep(5000) .. 'x')", NotFoundError),
        ("loadfile('m.lua')", PermissionDeniedError),
    ],
)
def test_what_cannot_be_loaded_is_an_error_of_ours(
    script: str, error: type[LLMSpellError], run: Run, folder: Path
) -> None:
    os.mkfifo(folder / "pipe")
    with (folder / "large.lua").open("wb") as file:
        file.truncate(8 * 1024 * 1024 + 1)
    with pytest.raises(error) as caught:
        run(script, code_lua=b"\x1bLua\x54")
    assert len(caught.value.message) < 400
    assert str(folder.parent) not in caught.value.message


def test_a_script_without_a_folder_has_no_modules() -> None:
    with pytest.raises(NotFoundError, match="has no folder"):
        ScriptRuntime().run("require('m')")


def test_preload_and_path_are_there_for_scripts_that_use_them(run: Run) -> None:
    script = """
      package.path = package.path .. ';lib/?.lua'
      package.preload.p = function(name, where) return {name, where} end
      return {require('p'), type(package.loaded), package.loaded.string == string, (require('m'))}
    """
    assert run(script, m_lua="return 1") == [["p", ":preload:"], "table", True, 1]


def test_a_module_s_error_tells_its_own_place(run: Run) -> None:
    with pytest.raises(ScriptError, match="boom") as caught:
        run("\nrequire('lib.m').f()", lib__m_lua="local M = {}\nfunction M.f()\n  error('boom')\nend\nreturn M")
    assert (caught.value.script, caught.value.line) == ("lib/m.lua", 3)
    assert [frame["line"] for frame in caught.value.traceback] == [3, 2]
