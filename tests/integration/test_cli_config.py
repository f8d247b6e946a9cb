"""`llmspell config`, as its process is seen from outside."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.config import template
from support.terminal import Done, Terminal, environment, llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once


class Home:
    """A user with a home folder and a project to work in."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        self.project.mkdir()
        self.file = root / "xdg" / "llmspell" / "config.toml"
        self.own = self.project / "llmspell.toml"
        self.env = environment(XDG_CONFIG_HOME=str(root / "xdg"), XDG_DATA_HOME=str(root / "data"), HOME=str(root))

    def run(self, *words: str, **env: str) -> Done:
        return llmspell("config", *words, cwd=self.project, env=self.env | env)

    def json(self, *words: str, **env: str) -> Any:
        return json.loads(self.run(*words, "--output", "json", **env).out)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# show


def test_show_says_all_and_where_it_is_from_and_what_was_read(home: Home) -> None:
    home.own.write_text("[runtime]\ntimeout = 30\n[profile.fast.runtime]\ntimeout = 3\n")
    text = home.run("show", "--origin", "--max-cpu", "2", LLMSPELL_STATE__BACKEND="sqlite").out.decode()
    lines = [line.split("  # ") for line in text.splitlines()]
    told = {line[0].strip(): line[1] for line in lines if len(line) == 2}
    assert told["timeout = 30.0"] == f"{home.own}:2"
    assert told["max_cpu = 2.0"] == "--max-cpu"
    assert told['backend = "sqlite"'] == "environment LLMSPELL_STATE__BACKEND"
    assert told['tools = ["*"]'] == "default"
    assert text.startswith(f"# read: {home.own}\n")
    told = home.json("show", "runtime", "--profile", "fast")
    assert told["files"] == [str(home.own)]
    assert told["profile"] == "fast"
    assert told["settings"][0] == {
        "key": "runtime.timeout",
        "value": 3.0,
        "origin": {"source": "file", "name": str(home.own), "line": 4, "column": 1},
    }
    assert {one["key"].partition(".")[0] for one in told["settings"]} == {"runtime"}


def test_show_as_events(home: Home) -> None:
    *settings, last = map(json.loads, home.run("show", "state", "--output", "jsonl").out.splitlines())
    assert [(one["event"], one["key"], one["value"]) for one in settings] == [
        ("setting", "state.backend", "memory"),
        ("setting", "state.path", None),
    ]
    assert (last["event"], last["exit_code"]) == ("result", 0)


@pytest.mark.parametrize("words", [["show", "nope"], ["show", "--profile", "nope"], ["show", "runtime.timout"]])
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_not_there_is_an_error_with_the_next_step(home: Home, words: list[str], form: str) -> None:
    done = home.run(*words, "--output", form)
    assert (done.code, done.out) == (3, b"")
    if form == "json":
        assert json.loads(done.err)["error"]["hint"]
    else:
        assert b"\nhint: " in done.err


def test_a_profile_and_a_configuration_reach_every_command(home: Home) -> None:
    home.own.write_text('[profile.a.providers.openai]\nmodel = "gpt-9"\n[profile.a.runtime]\ntimeout = 3\n')
    (home.project / "s.lua").write_text('print(Config.get("providers.openai.model"))')
    for words in (["--profile", "a", "run", "s.lua"], ["run", "s.lua", "--profile=a"]):
        assert llmspell(*words, cwd=home.project, env=home.env).out == b"gpt-9\n"
    env = home.env | {"LLMSPELL_PROFILE": "a"}
    assert llmspell("run", "s.lua", cwd=home.project, env=env).out == b"gpt-9\n"
    shown = llmspell("providers", "show", "openai", "--profile", "a", cwd=home.project, env=home.env)
    assert b"gpt-9" in shown.out
    for words in (
        ["doctor"],
        ["providers", "list"],
        ["run", "s.lua"],
        ["models", "list", "openai"],
        ["tools", "run", "calculator"],
    ):
        done = llmspell(*words, "--profile", "nope", cwd=home.project, env=home.env)
        assert b"there is no profile `nope`" in done.out + done.err, words
        assert b"there are `a`" in done.out + done.err, words
        assert done.code == (1 if words == ["doctor"] else 3)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (200, 50)])
def test_on_a_terminal_nothing_steers_it_and_it_is_given_back(home: Home, size: tuple[int, int]) -> None:
    name = home.project / "a\x1b[31m\u202eb"
    name.mkdir()
    (name / "llmspell.toml").write_text("[runtime]\ntimeout = 3\n")
    for words in (["show", "--origin", "runtime"], ["path"], ["check"], ["trust"], ["trust", "--list"]):
        with Terminal(["config", *words], size=size, env=home.env, cwd=name) as terminal:
            assert terminal.wait() == 0
            assert b"\x1b[31m" not in terminal.raw
            assert "\u202e".encode() not in terminal.raw
            terminal.assert_as_before()


@pytest.mark.parametrize("words", [["show"], ["check"], ["path"], ["show", "--output", "jsonl"]])
def test_a_closed_pipe_ends_it_quietly(home: Home, words: list[str]) -> None:
    process = start("config", *words, cwd=home.project, env=home.env)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() in (0, 141)


# path


def test_path_lists_what_is_looked_for_what_is_there_and_what_is_used(home: Home) -> None:
    rows = {one["kind"]: one for one in home.json("path")["files"]}
    assert set(rows) == {"project", "system", "user"}
    assert rows["user"] == {"kind": "user", "path": str(home.file), "exists": False, "used": False}
    assert rows["project"]["path"] is None
    home.run("init")
    home.own.write_text("")
    (home.project / "c.toml").write_text("")
    rows = {one["kind"]: one for one in home.json("path")["files"]}
    assert rows["user"]["used"]
    assert rows["project"] == {
        "kind": "project",
        "path": str(home.own),
        "exists": True,
        "used": True,
        "trust": "not trusted",
    }
    rows = {one["kind"]: one for one in home.json("path", "--config", "c.toml")["files"]}
    assert (rows["project"]["used"], rows["--config"]["used"]) == (False, True)
    text = home.run("path").out.decode().splitlines()
    assert [line.split()[0] for line in text] == ["system", "user", "project"], "the strongest last"


# init


def test_init_writes_the_user_s_file_for_the_user_alone(home: Home) -> None:
    done = home.run("init")
    assert (done.code, done.err) == (0, b"")
    assert str(home.file).encode() in done.out
    assert home.file.read_text() == template.user()
    assert stat.S_IMODE(home.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.file.parent.stat().st_mode) & 0o077 == 0
    assert os.listdir(home.file.parent) == ["config.toml"], "nothing is left beside it"
    assert home.run("check").code == 0


def test_init_writes_over_nothing_that_it_was_not_told_to(home: Home) -> None:
    home.file.parent.mkdir(parents=True)
    home.file.write_text("# mine\n")
    done = home.run("init")
    assert (done.code, done.out, home.file.read_text()) == (3, b"", "# mine\n")
    assert b"is there already\nhint: `--force` writes over it" in done.err
    assert home.run("init", "--force").code == 0
    assert home.file.read_text() == template.user()
    home.file.unlink()
    home.file.symlink_to(home.project / "elsewhere")
    assert home.run("init").code == 3, "a link that leads nowhere is something, too"
    assert not (home.project / "elsewhere").exists()


def test_init_of_a_project_follows_no_link_that_was_put_there(home: Home) -> None:
    other = home.project / "other"
    other.write_text("keep")
    home.own.symlink_to(other)
    assert home.run("init", "--project").code == 3
    assert home.run("init", "--project", "--force").code == 0
    assert other.read_text() == "keep"
    assert not home.own.is_symlink()
    assert home.own.read_text() == template.project()
    assert home.run("check").code == 0


def test_init_where_nothing_can_be_written_says_so(home: Home) -> None:
    home.file.parent.parent.write_text("a file where the folder should be")
    done = home.run("init")
    assert done.code == 3
    assert b"cannot write" in done.err


# check


def test_check_tells_all_with_their_places(home: Home) -> None:
    home.own.write_text('[runtime]\ntimout = 3\nmax_cpu = "x"\n')
    done = home.run("check")
    assert done.code == 3
    assert done.out.decode().splitlines()[::2][:2] == [
        f"error[config]: {home.own}:2:1: unknown key `runtime.timout`",
        f"error[config]: {home.own}:3:1: `runtime.max_cpu`: expected a number of seconds, got a string",
    ]
    assert done.out.decode().splitlines()[-1] == f"{home.own}: 2 errors"
    told = home.json("check")
    assert (told["ok"], told["exit_code"], told["files"]) == (False, 3, [str(home.own)])
    assert [(one["level"], one["file"], one["line"], one["column"]) for one in told["findings"]] == [
        ("error", str(home.own), 2, 1),
        ("error", str(home.own), 3, 1),
    ]
    assert told["findings"][0]["hint"] == "the nearest known key is `runtime.timeout`"
    events = [json.loads(line) for line in home.run("check", "--output", "jsonl").out.splitlines()]
    assert [event["event"] for event in events] == ["finding", "finding", "result"]


def test_check_of_a_file_and_of_one_that_is_none(home: Home) -> None:
    (home.project / "c.toml").write_text("[runtime]\ntimeout = 3\n")
    done = home.run("check", "c.toml")
    assert (done.code, done.out) == (0, b"c.toml: all is well\n")
    done = home.run("check", "none.toml")
    assert done.code == 3
    assert b"cannot read none.toml: no such file or directory" in done.out
    (home.project / "c.toml").write_text('[providers.openai]\nheaders = { X-Api-Key = "secret-of-mine" }\n')
    done = home.run("check", "c.toml")
    assert done.code == 0, "a warning is no error"
    assert done.out.startswith(b"warning: c.toml:2:1: `providers.openai.headers` has what looks like a key")
    assert b"secret-of-mine" not in done.out


# trust


def test_a_project_s_file_raises_what_it_may_once_it_is_trusted_and_until_it_changes(home: Home) -> None:
    (home.project / "s.lua").write_text('print(Config.get("runtime.timeout"))')

    def run() -> Done:
        return llmspell("run", "s.lua", cwd=home.project, env=home.env)

    home.own.write_text("[runtime]\ntimeout = 900\n")
    refused = run()
    assert refused.code == 3
    assert f"`llmspell config trust {home.own}`".encode() in refused.err
    told = home.json("trust")
    assert (told["path"], told["raises"]) == (str(home.own), [{"key": "runtime.timeout", "value": 900.0}])
    assert run().out == b"900.0\n"
    assert f"trusted  {home.own}" in home.run("trust", "--list").out.decode()
    assert b"(trusted)" in home.run("path").out
    home.own.write_text("[runtime]\ntimeout = 901\n")
    assert b"it has changed since it was trusted" in run().err
    assert b"has changed since it was trusted" in home.run("trust", "--list").out
    assert home.run("trust", str(home.project)).code == 0
    assert run().out == b"901.0\n"
    assert home.run("trust", "--remove", "llmspell.toml").code == 0
    assert run().code == 3
    done = home.run("trust", "--remove")
    assert (done.code, b"is not trusted" in done.err) == (3, True)
    assert home.run("trust", "--list").out == b"no project's file is trusted\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, b"there is no llmspell.toml from here upwards"), ("[runtime]\ntimout = 1\n", b":2:1: unknown key")],
)
def test_what_is_not_there_or_not_right_is_not_trusted(home: Home, text: str | None, words: bytes) -> None:
    if text is not None:
        home.own.write_text(text)
    done = home.run("trust")
    assert done.code == 3
    assert words in done.err
    assert home.json("trust", "--list")["trusted"] == []


def test_a_pipe_of_that_name_is_not_waited_for(home: Home) -> None:
    os.mkfifo(home.own)
    done = home.run("trust", str(home.project))
    assert (done.code, b"is no file" in done.err) == (3, True)
    assert home.run("show", "runtime").code == 0


def test_a_file_of_another_name_is_not_a_project_s(home: Home) -> None:
    (home.project / "c.toml").write_text("")
    done = home.run("trust", "c.toml")
    assert (done.code, b"is not called llmspell.toml" in done.err) == (3, True)


def test_a_script_cannot_trust_its_own_file(home: Home) -> None:
    """What it was granted does not reach what is kept of trust, unless somebody grants just that."""
    home.own.write_text("[runtime]\ntimeout = 900\n")
    home.run("trust")
    (kept,) = (home.file.parents[2] / "data" / "llmspell" / "trusted").iterdir()
    (home.project / "s.lua").write_text(f'print(pcall(function() return io.open("{kept}", "w") end))')
    done = llmspell("run", "--allow-write=.", "s.lua", cwd=home.project, env=home.env)
    assert b"false" in done.out or b"nil" in done.out
    assert json.loads(kept.read_text())["path"] == str(home.own)


def test_many_at_once_lose_nothing(home: Home) -> None:
    folders = [home.project / f"p{number}" for number in range(4)]
    for folder in folders:
        folder.mkdir()
        (folder / "llmspell.toml").write_text("[runtime]\ntimeout = 900\n")
    running = [
        start("config", "trust", str(folder), env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for folder in folders
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert len(home.json("trust", "--list")["trusted"]) == 4
