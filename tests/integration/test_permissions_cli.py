"""Permissions from flags, files and a person at the terminal."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import CallTimeoutError, ConfigError, PermissionDeniedError
from llmspell.tools.permissions import Permissions, Wanted
from support.terminal import COMMAND, PATIENCE, Terminal, environment, llmspell

pytestmark = pytest.mark.once

SCRIPT = """
Tool.register{ name = "hi", execute = function() return "hi there" end }
Tool.register{ name = "other", execute = function() return "other" end }
print(Tool.execute("hi").text)
print(Tool.execute("other").text)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "script.lua"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    return path


def test_a_flag_narrows_and_a_denied_call_says_which_flag_would_grant_it(script: Path) -> None:
    done = llmspell("--output", "json", "run", "--allow-tool=hi", str(script))
    error = json.loads(done.err)["error"]
    assert done.code == 6
    assert error["kind"] == "permission"
    assert "--allow-tool=other" in error["hint"]
    assert llmspell("run", "--allow-tool=hi,other", str(script)).code == 0
    assert llmspell("run", "--allow-tool=hi", "--allow-tool=other", str(script)).code == 0
    assert llmspell("run", "--allow-tool", str(script)).code == 0


def test_a_script_that_may_read_all_files_does_not_read_the_variables(tmp_path: Path) -> None:
    path = tmp_path / "s.lua"
    path.write_text('print(#File.read(ARGS[0]) > 0, (pcall(File.read, "/proc/self/environ")))')
    assert llmspell("run", "--allow-read", str(path)).out == b"true\tfalse\n"


def test_a_flag_that_grants_nonsense_is_told_before_the_script_begins(tmp_path: Path) -> None:
    path = tmp_path / "s.lua"
    path.write_text("print('ran')")
    done = llmspell("run", "--allow-net=10.0.0.0/33", str(path))
    assert (done.code, done.out) == (3, b"")
    assert b"10.0.0.0/33" in done.err


@pytest.mark.parametrize(
    ("user", "project", "refused"),
    [
        ('tools = ["*"]', 'tools = ["hi"]', False),
        ('tools = ["hi"]', 'tools = ["hi"]', False),
        ('tools = ["h*"]', 'tools = ["hi"]', False),
        ('tools = ["hi"]', 'tools = ["*"]', True),
        ('tools = ["hi"]', 'tools = ["other"]', True),
        ("", 'net = ["example.com"]', True),
        ('net = ["*"]', 'net = ["example.com"]', False),
        ('net = ["*"]', 'net = ["127.0.0.1"]', True),
        ('net = ["*"]', 'net = ["localhost"]', True),
        ('net = ["*"]', 'net = ["10.0.0.0/8"]', True),
        ('net = ["*"]', 'net = ["::1"]', True),
        ('net = ["*"]', 'net = ["localhost."]', True),
        ('net = ["*"]', 'net = [" localhost "]', True),
        ('net = ["*"]', 'net = ["ｌocalhost"]', True),
        ('net = ["*"]', 'net = ["*.localhost."]', True),
        ('net = ["*.example.com"]', 'net = ["a.example.com"]', False),
        ('net = ["*.example.com"]', 'net = ["a.example.com:443"]', False),
        ('net = ["example.com"]', 'net = ["example.com:443"]', False),
        ('net = ["example.com:443"]', 'net = ["example.com"]', True),
        ('net = ["*.example.com"]', 'net = ["*.com"]', True),
        ('env = ["APP_*"]', 'env = ["APP_X"]', False),
        ('env = ["APP_*"]', 'env = ["A*"]', True),
        ('run = ["git status"]', 'run = ["git"]', True),
        ("", 'read = ["."]', True),
        ('read = ["/"]', 'read = ["."]', False),
        ('read = ["*"]', 'read = ["/proc/self/environ"]', True),
        ('read = ["/"]', 'read = ["/proc"]', True),
        ('read = ["/proc"]', 'read = ["/proc/self"]', False),
        ('read = ["/usr/lib"]', 'read = ["/usr/lib/.. "]', False),  # a folder of that name, and not /usr
    ],
)
def test_a_project_s_file_may_narrow_and_never_widen(
    user: str, project: str, refused: bool, script: Path, tmp_path: Path
) -> None:
    (tmp_path / "llmspell").mkdir()
    (tmp_path / "llmspell" / "config.toml").write_text(f"[permissions]\n{user}\n")
    (script.parent / "llmspell.toml").write_text(f"[permissions]\n{project}\n")
    env = environment(XDG_CONFIG_HOME=str(tmp_path))

    def loaded() -> object:
        return load(script_dir=str(script.parent), config_file=None, env=env, flags={}).permissions()

    if refused:
        with pytest.raises(ConfigError, match="may not grant more than its user does"):
            loaded()
    else:
        loaded()


def test_the_hint_about_a_project_s_file_names_it_for_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "it's  mine"
    folder.mkdir()
    (folder / "llmspell.toml").write_text('[permissions]\nread = ["/"]\n')
    with pytest.raises(ConfigError) as caught:
        load(script_dir=str(folder), config_file=None, env={}, flags={})
    _, path = shlex.split(str(caught.value.hint).partition(": ")[2])
    assert load(script_dir=None, config_file=path, env={}, flags={}).permissions()["read"] == ("/",)


def test_paths_of_a_file_are_below_its_folder(script: Path, tmp_path: Path) -> None:
    config = tmp_path / "my  own" / "mine.toml"
    config.parent.mkdir()
    config.write_text('[permissions]\nread = ["data", "~/x"]\n')
    told = load(script_dir=None, config_file=str(config), env={}, flags={}).permissions()
    assert told["read"] == (str(config.parent / "data"), str(Path.home() / "x"))


def test_programs_of_a_file_are_below_its_folder_wherever_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text("""[permissions]\nrun = ["./build.sh -v 'a b*'", "git status", "~/x y"]\n""")
    told = load(script_dir=None, config_file=str(config), env={}, flags={}).permissions()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    permissions = Permissions.of(told)
    assert permissions.allows("run", f"{tmp_path}/build.sh -v 'a bc'")
    assert permissions.allows("run", "git status")
    assert permissions.allows("run", f"{Path.home()}/x y")
    assert not permissions.allows("run", "./build.sh -v 'a bc'")
    assert Permissions(run=("~/x",)).allows("run", f"{Path.home()}/x y")


def test_permissions_from_python(script: Path) -> None:
    with pytest.raises(PermissionDeniedError):
        ScriptRuntime(permissions=Permissions(tool=("other",))).run(SCRIPT)
    asked: list[str] = []

    async def ask(wanted: Wanted) -> str:
        asked.append(str(wanted))
        return "always"

    done = ScriptRuntime(permissions=Permissions(tool=(), ask=ask)).run(SCRIPT)
    assert done.output == "hi there\nother\n"
    assert asked == ["`the script` wants to use the tool `hi`", "`the script` wants to use the tool `other`"]


def test_a_person_is_asked_for_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_KEY", "sesame")
    asked: list[str] = []

    async def ask(wanted: Wanted) -> str:
        asked.append(str(wanted))
        return "no" if wanted.what == "OTHER" else "always"

    done = ScriptRuntime(permissions=Permissions(ask=ask)).run("""
        local get = os.getenv
        local none = get("APP_NONE") == nil and get("APP_NONE") == nil
        return { get("APP_KEY"), get("APP_KEY"), (pcall(get, "OTHER")), none }
    """)
    assert done.result == ["sesame", "sesame", False, True]
    assert asked == [f"`os.getenv` wants to read the variable `{name}`" for name in ("APP_NONE", "APP_KEY", "OTHER")]


def test_a_person_is_asked_on_the_terminal_and_what_was_typed_before_is_no_answer(script: Path) -> None:
    command = ["run", "--ask", "--allow-tool=none", str(script)]
    with Terminal(command, env=environment()) as terminal:
        terminal.until("use the tool `hi`")
        terminal.until("else no:")
        terminal.keys(b"y\n")
        terminal.until("hi there")
        terminal.until("use the tool `other`")
        terminal.keys(b"n\n")
        assert terminal.wait() == 6


def test_ctrl_c_at_the_question_ends_the_run(script: Path) -> None:
    with Terminal(["run", "--ask", "--allow-tool=none", str(script)], env=environment()) as terminal:
        terminal.until("else no:")
        terminal.keys(b"\x03")
        assert terminal.wait() == 130


WRITES = 'local ok, why = pcall(File.write, "x.txt", "x") print(ok)'


def test_while_a_person_is_asked_a_script_cannot_write_over_the_question(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(f"""
        io.write("\\27[8m\\27[24;24r\\27[?7l")
        Async.spawn(function()
          Async.sleep(0.05)
          io.write("\\27[2J\\27[HAll is well, press y\\n") Log.warn("a word")
          Async.sleep(60)
        end)
        {WRITES}""")
    with Terminal(["run", "--ask", str(tmp_path / "s.lua")], env=environment(), cwd=tmp_path) as terminal:
        terminal.until("else no:")
        with pytest.raises(AssertionError, match="timed out"):
            terminal.until("All is well", seconds=0.7)
        question, plain = terminal.raw.index(b"`File.write` wants"), b"\x1b[r\x1b8\x1b[?7h\x1b[0m"
        assert terminal.raw.rindex(b"\x1b[8m") < terminal.raw.index(plain) < question
        terminal.keys(b"n\n")
        terminal.until("a word")
        assert terminal.wait() == 0
    assert terminal.raw.index(b"else no:") < terminal.raw.index(b"All is well") < terminal.raw.index(b"warn: a word")
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize("flags", [(), ("--stream",)])
def test_time_that_a_person_takes_does_not_count(flags: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(WRITES + " Async.sleep(0.1) print('on') while true do end")
    command = ["run", "--ask", "--timeout", "1", *flags, str(tmp_path / "s.lua")]
    with Terminal(command, env=environment(), cwd=tmp_path) as terminal:
        terminal.until("else no:")
        with pytest.raises(AssertionError, match="timed out"):  # longer than the run's limit and its backstop
            terminal.until("longer than its limit", seconds=2.5)
        terminal.keys(b"y\n")
        terminal.until("on")
        assert terminal.wait() == 5  # it holds all the same
    assert (tmp_path / "x.txt").exists()


def test_the_end_of_input_is_a_no_and_what_follows_begins_a_line(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(WRITES)
    with Terminal(["run", "--ask", str(tmp_path / "s.lua")], env=environment(), cwd=tmp_path) as terminal:
        terminal.until("else no:")
        terminal.keys(b"\x04")
        assert terminal.wait() == 0
    assert terminal.lines[-1] == "false"


def test_calls_that_go_on_meanwhile_are_not_drawn_over_the_question(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[providers]\ndefault = "mock"\n[providers.mock]\nreplies = [{ text = "one two three four", delay = 0.1 }]\n'
    )
    (tmp_path / "s.lua").write_text(f"""
        local agent = Agent.create{{ name = "slow" }}
        local task = Async.spawn(function() return agent:execute("hi").text end)
        {WRITES}
        print(task:await())""")
    command = ["--config", str(tmp_path / "c.toml"), "run", "--ask", "--stream", str(tmp_path / "s.lua")]
    with Terminal(command, env=environment(), cwd=tmp_path) as terminal:
        terminal.until("else no:")
        with pytest.raises(AssertionError, match="timed out"):
            terminal.until("two", seconds=1.0)
        asked = len(terminal.raw)
        terminal.keys(b"y\n")
        terminal.until("one two three four")
        assert terminal.wait() == 0
        terminal.assert_as_before()
    assert b"one" not in terminal.raw[:asked]
    assert "`File.write` wants to write to" in terminal.text


def test_without_a_terminal_nobody_is_asked(script: Path) -> None:
    done = llmspell("run", "--ask", "--allow-tool=none", str(script), stdin=b"y\ny\n")
    assert done.code == 6


ON_A_TERMINAL = """
import os, pty, sys
def read(fd):
    os.write(1, data := os.read(fd, 1000))
    return data
os._exit(os.waitstatus_to_exitcode(pty.spawn(["sh", "-c", '"$0" "$@" </dev/null >out 2>err', *sys.argv[1:]], read)))
"""


def test_nobody_is_asked_on_a_terminal_that_none_of_its_streams_is_on(script: Path, tmp_path: Path) -> None:
    words = [*COMMAND, "run", "--ask", "--allow-tool=none", str(script)]
    done = subprocess.run(
        [sys.executable, "-c", ON_A_TERMINAL, *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout) == (6, b"")
    assert b"--allow-tool=hi" in (tmp_path / "err").read_bytes()


APPROVED = """
local add = { name = "add", parameters = { type = "object" }, execute = function(p) return p.a + p.b end }
local agent = Agent.create{ name = "sums", approve = "ask", tools = { add } }
local out = agent:execute("go")
for _, call in ipairs(out.tool_calls) do print(call.result or call.error) end
"""
REPLIES = """
[providers]
default = "mock"
[providers.mock]
replies = [
  { tool_calls = [{ name = "add", arguments = { a = 1, b = 2 } }] },
  { tool_calls = [{ name = "add", arguments = { a = 3, b = 4 } }] },
  "done",
]
"""


def test_a_person_approves_calls_of_tools(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(APPROVED)
    (tmp_path / "c.toml").write_text(REPLIES)
    command = ["--config", str(tmp_path / "c.toml"), "run", "--ask", str(tmp_path / "s.lua")]
    with Terminal(command, env=environment()) as terminal:
        terminal.until('`sums` wants to call `add {"a":1,"b":2}`')
        terminal.until("else no:")
        terminal.keys(b"y\n")
        terminal.until('`add {"a":3,"b":4}`')
        terminal.keys(b"n\n")
        terminal.until("the call was denied")
        assert terminal.wait() == 0


def test_time_that_a_person_takes_to_approve_does_not_count_for_the_agent(tmp_path: Path) -> None:
    async def ask(wanted: Wanted) -> str:
        await asyncio.sleep(0.3)
        return "once"

    (tmp_path / "c.toml").write_text(REPLIES)
    config = load(script_dir=None, config_file=str(tmp_path / "c.toml"), env={}, flags={})

    def output(script: str) -> str:
        runtime = ScriptRuntime(config, permissions=Permissions(ask=ask))
        return runtime.run(script.replace('"ask",', '"ask", timeout = 0.5,')).output

    assert output(APPROVED) == "3\n7\n"
    with pytest.raises(CallTimeoutError, match="longer than"):
        output(APPROVED.replace("return p.a", "Async.sleep(1) return p.a"))


def test_without_a_person_each_call_is_denied(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(APPROVED)
    (tmp_path / "c.toml").write_text(REPLIES)
    for flags in ((), ("--ask",)):
        done = llmspell("--config", str(tmp_path / "c.toml"), "run", *flags, str(tmp_path / "s.lua"))
        assert done.code == 0, done.err
        assert done.out.count(b"denied") == 2


async def test_what_is_always_approved_is_so_for_that_tool() -> None:
    asked: list[str] = []

    async def ask(wanted: Wanted) -> str:
        asked.append(wanted.what)
        return "always"

    permissions = Permissions(ask=ask)
    assert await permissions.approves("add", "{}", by="a") is True
    assert await permissions.approves("add", '{"a":1}', by="a") is True
    assert await permissions.approves("other", "{}", by="a") is True
    assert asked == ["add {}", "other {}"]
