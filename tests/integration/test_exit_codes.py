"""The exit codes of the command line: each, of each way to it that a script or a person has."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.answers import answer, asking
from support.loopback import Gate, Loopback, reply
from support.terminal import environment, llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

ASK = "Agent.create{ model = 'openai/m', retry = 1 }:execute('hi')"
BROKEN = "[runtime\n"
LIMITED = "[runtime]\ntimeout = 0.05\n"

#: Exit code; the command's words; the script that they run as `s.lua`; the file `c.toml`.
CODES = [
    (0, ["run", "s.lua"], "return 1", ""),
    (0, ["run", "s.lua"], "os.exit(true)", ""),
    (0, ["doctor"], "", ""),
    (0, ["types"], "", ""),
    (0, ["--version"], "", ""),
    (0, ["--help"], "", ""),
    (0, ["help", "run"], "", ""),
    (0, ["completions", "bash"], "", ""),
    (0, ["__complete", "bash", "llmspell ru"], "", ""),
    (0, ["__complete"], "", ""),
    (0, ["providers", "list"], "", ""),
    (0, ["providers", "check", "openai"], "", ""),
    (0, ["tools", "run", "calculator", "input=1"], "", ""),
    (9, ["run", "s.lua"], "os.exit(9)", ""),
    (1, ["run", "s.lua"], "error('x')", ""),
    (1, ["run", "s.lua"], "error({})", ""),
    (1, ["run", "s.lua"], "os.exit(false)", ""),
    (1, ["run", "s.lua"], "x = = 1", ""),
    (1, ["doctor", "--config", "c.toml"], "", BROKEN),
    (1, ["tools", "show", "no_such_tool"], "", ""),
    (2, [], "", ""),
    (2, ["frobnicate"], "", ""),
    (2, ["help", "frobnicate"], "", ""),
    (2, ["completions", "tcsh"], "", ""),
    (2, ["run"], "", ""),
    (2, ["run", "nowhere.lua"], "", ""),
    (2, ["run", "--timeout", "soon", "s.lua"], "", ""),
    (2, ["run", "--no-such-option", "s.lua"], "", ""),
    (2, ["models"], "", ""),
    (3, ["run", "--config", "c.toml", "s.lua"], "", BROKEN),
    (3, ["run", "--config", "nowhere.toml", "s.lua"], "", ""),
    (3, ["providers", "list", "--config", "c.toml"], "", BROKEN),
    (3, ["providers", "check", "anthropic"], "", ""),
    (3, ["tools", "run", "calculator", "input=1", "--config", "c.toml"], "", BROKEN),
    (4, ["run", "s.lua"], ASK, ""),
    (5, ["run", "--timeout", "0.05", "s.lua"], "while true do end", ""),
    (5, ["run", "--config", "c.toml", "s.lua"], "Async.sleep(60)", LIMITED),
    (5, ["run", "--max-cpu", "0.05", "s.lua"], "while true do pcall(function() while true do end end) end", ""),
    (6, ["run", "s.lua"], "File.read('/etc/hostname')", ""),
    (6, ["run", "s.lua"], "io.open('/etc/hostname')", ""),
    (6, ["tools", "run", "file_operations", "operation=read", "path=/etc/hostname"], "", ""),
]


def name_of(words: list[str]) -> str:
    return " ".join(words) or "nothing"


@pytest.mark.parametrize(
    ("code", "words", "script", "config"), CODES, ids=[f"{code}-{name_of(words)}" for code, words, _, _ in CODES]
)
def test_code(code: int, words: list[str], script: str, config: str, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(script)
    (tmp_path / "c.toml").write_text(config)
    refusal = reply(b'{"error": {"message": "no"}}', 500, {"content-type": "application/json"}, sized=True)
    with Loopback([refusal]) as server:
        done = llmspell(*words, cwd=tmp_path, env=asking(server), seconds=60)
    assert done.code == code, done.err.decode()
    assert b"Traceback" not in done.err
    if code in (4, 5, 6):
        assert done.err.startswith(b"error[")


#: The first of each code that is an error's.
ERRORS = {code: (words, script, config) for code, words, script, config in reversed(CODES) if 0 < code < 9 and words}


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("code", ERRORS)
def test_the_code_is_the_same_for_programs_and_stands_in_the_error(code: int, form: str, tmp_path: Path) -> None:
    words, script, config = ERRORS[code]
    (tmp_path / "s.lua").write_text(script)
    (tmp_path / "c.toml").write_text(config)
    refusal = reply(b'{"error": {"message": "no"}}', 500, {"content-type": "application/json"}, sized=True)
    with Loopback([refusal]) as server:
        done = llmspell("--output", form, *words, cwd=tmp_path, env=asking(server), seconds=60)
    assert done.code == code, done.err.decode()
    last = (done.err if form == "json" else done.out).splitlines()[-1]
    assert "error" in json.loads(last)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_it_waits_for_a_model(number: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text(ASK)
    gate = Gate()
    with (
        Loopback([answer("never", gate)]) as server,
        start("run", "s.lua", cwd=tmp_path, env=asking(server)) as child,
    ):
        gate.reached()
        child.send_signal(number)
        assert child.wait(15) == code
        server.connections[0].wait_closed()


def test_a_reader_that_has_gone_is_141(tmp_path: Path) -> None:
    for words in (["--help"], ["completions", "zsh"], ["doctor"], ["types"], ["--version"]):
        read, write = os.pipe()
        os.close(read)
        with start(*words, stdout=write, cwd=tmp_path) as child:
            os.close(write)
            assert child.stderr is not None
            assert (child.wait(30), child.stderr.read()) == (141, b""), words


def test_help_tells_the_codes_of_a_run() -> None:
    told = " ".join(llmspell("help", "run").out.decode().split())
    codes = told.partition("Exit codes: ")[2].partition(" Models:")[0]
    assert {int(code) for code in re.findall(r"\d+", codes)} == {0, 1, 2, 3, 4, 5, 6, 129, 130, 143}


@pytest.mark.parametrize("words", [["-m", "llmspell"], ["-P", "-m", "llmspell"]])
@pytest.mark.parametrize(("given", "code"), [(["--version"], 0), (["run", "nowhere.lua"], 2), ([], 2), (["--x"], 2)])
def test_python_m_llmspell_has_the_same(words: list[str], given: list[str], code: int, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words, *given], capture_output=True, env=environment(), cwd=tmp_path, timeout=30
    )
    ours = llmspell(*given, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, ours.out, ours.err)
