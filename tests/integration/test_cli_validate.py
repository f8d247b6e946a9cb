"""`llmspell validate` as a person, an editor and a pipeline meet it. Whole outputs are in tests/specs/validate-*."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmspell.bridge.lint import problems, project
from support.lua_words import ROOT
from support.terminal import COMMAND, Terminal, environment, llmspell

pytestmark = pytest.mark.once

SCHEMA = json.loads((ROOT / "docs" / "schemas" / "validate.json").read_text(encoding="utf-8"))
WRONG = "local a = Agent.create{ modle = 'é' }\nprint(a.nam, reslut)\n"


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.lua").write_text(text, encoding="utf-8")
    return folder


def document(*words: str, code: int, **more: Any) -> dict[str, Any]:
    done = llmspell("validate", "--output", "json", *words, **more)
    assert (done.code, done.err) == (code, b"")
    told: dict[str, Any] = json.loads(done.out)
    jsonschema.validate(told, SCHEMA)
    return told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print(1)",
        WRONG,
        "x = = 1",
        "\x1b[31m",
        "x = '\\q\n",
        "local \u202e = 1",
        "\x1bLua",
        "a\0b",
        "f(" + "(" * 300,
    ],
)
def test_json_is_as_the_schema_has_it(text: str) -> None:
    done = llmspell("validate", "--output", "json", "-", stdin=text.encode())
    jsonschema.validate(json.loads(done.out), SCHEMA)
    assert done.code == (1 if json.loads(done.out)["errors"] else 0)


def test_the_schema_names_every_code() -> None:
    """A code is what an editor's user switches off: it is in the schema, and in the document."""
    known = SCHEMA["$defs"]["problem"]["properties"]["code"]["enum"]
    document = (ROOT / "docs" / "validate.md").read_text(encoding="utf-8")
    assert [code for code in known if f"| `{code}` |" not in document] == []
    source = "".join(path.read_text(encoding="utf-8") for path in Path(project.__file__).parent.glob("*.py"))
    assert [code for code in known if f'"{code}"' not in source] == []


def test_jsonl_says_the_same_as_json(tmp_path: Path) -> None:
    path = str(written(tmp_path, s=WRONG) / "s.lua")
    whole = document(path, code=1)
    lines = [json.loads(line) for line in llmspell("validate", "--output=jsonl", path).out.splitlines()]
    assert [line.pop("event") for line in lines] == ["problem"] * len(whole["problems"]) + ["result"]
    last = lines.pop()
    assert (lines, last) == (whole.pop("problems"), {**whole, "exit_code": 1})


def test_places_are_lines_and_characters(tmp_path: Path) -> None:
    written(tmp_path, s="print('é😀') print(reslut)\r\nprint(reslut)\n")
    told = document(str(tmp_path / "s.lua"), code=0)["problems"]
    places = [(one["line"], one["column"], one["end_line"], one["end_column"]) for one in told]
    assert places == [(1, 19, 1, 25), (2, 7, 2, 13)]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["good.lua"], 0),
        (["warned.lua"], 0),
        (["--strict", "good.lua"], 0),
        (["--strict", "warned.lua"], 1),
        (["bad.lua"], 1),
        (["good.lua", "bad.lua"], 1),
        ([], 2),
        (["gone.lua"], 2),
        (["empty"], 2),
        (["--output", "json", "gone.lua"], 2),
        (["--unknown", "good.lua"], 2),
    ],
)
def test_exit_codes(tmp_path: Path, words: list[str], code: int) -> None:
    written(tmp_path, good="print(1)", warned="print(reslut)", bad="x = = 1")
    (tmp_path / "empty").mkdir()
    done = llmspell("validate", *words, cwd=tmp_path)
    assert done.code == code
    assert bool(done.err) == (code == 2)


def test_a_module_s_own_folder_may_be_another_one_s(tmp_path: Path) -> None:
    """`lib/a.lua` requires `lib.b` as the script above it does: looked at alone, it is found all the same."""
    (tmp_path / "lib").mkdir()
    written(tmp_path, main="require('lib.a')")
    written(tmp_path / "lib", a="require('lib.b')", b="return {}")
    for words in (["."], ["lib/a.lua"], ["lib"]):
        assert llmspell("validate", *words, cwd=tmp_path).code == (1 if words == ["lib"] else 0), words


def test_standard_input_may_have_a_name(tmp_path: Path) -> None:
    """An editor gives what is not saved yet, and modules are found beside the file that it will be."""
    written(tmp_path, m="return {}")
    told = document("-", "--stdin-name", str(tmp_path / "s.lua"), stdin=b"require('m') prin(1)", code=1)
    assert told["files"] == [str(tmp_path / "s.lua"), str(tmp_path / "m.lua")]
    assert [one["path"] for one in told["problems"]] == [str(tmp_path / "s.lua")]
    assert document("-", stdin=b"require('m')", code=1)["problems"][0]["code"] == "module"


def test_the_configuration_says_which_providers_there_are(tmp_path: Path) -> None:
    written(tmp_path, s="Agent.create{ model = 'mine/x' }")
    path = str(tmp_path / "s.lua")
    assert document(path, code=1)["problems"][0]["code"] == "unknown-provider"
    (tmp_path / "c.toml").write_text('[providers.mine]\ntype = "openai"\nbase_url = "http://127.0.0.1:9"\n')
    assert document(path, "--config", str(tmp_path / "c.toml"), code=0)["problems"] == []


def test_nothing_is_run_and_nothing_is_opened(tmp_path: Path) -> None:
    """No line of the script runs, no key is read, no connection is made: neither asyncio nor httpx is loaded."""
    mark = tmp_path / "mark"
    written(
        tmp_path, s=f"File.write({str(mark)!r}, 'x') Agent.create{{ model = 'openai/x' }}:execute('hi')", m="prin()"
    )
    code = (
        "import sys, socket\n"
        "def no(*a, **k): raise AssertionError('a socket')\n"
        "socket.socket = no\n"
        "from llmspell.cli.main import main\n"
        f"code = main(['validate', {str(tmp_path)!r}])\n"
        "loaded = {'asyncio', 'httpx', 'ssl', 'llmspell.providers.http'} & sys.modules.keys()\n"
        "sys.exit(code if not loaded else f'loaded {loaded}')\n"
    )
    env = environment(OPENAI_API_KEY="sk-planted-key")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert not mark.exists()
    assert "sk-planted" not in done.stdout


def test_a_pipe_that_is_closed_ends_it_quietly(tmp_path: Path) -> None:
    written(tmp_path, s="prin(1)\n" * 2000)
    command = subprocess.Popen(
        [*COMMAND, "validate", str(tmp_path / "s.lua"), "--output", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert command.stdout is not None
    assert command.stderr is not None
    assert command.stdout.read(1)
    command.stdout.close()
    assert command.stderr.read() == b""
    command.stderr.close()
    assert command.wait() == 141


def test_a_person_sees_colours_and_a_pipe_does_not(tmp_path: Path) -> None:
    written(tmp_path, s="\n" + WRONG)
    assert b"\x1b" not in llmspell("validate", "s.lua", cwd=tmp_path).out
    with Terminal(["validate", "s.lua"], cwd=tmp_path) as terminal:
        assert terminal.wait() == 1
        assert terminal.lines[0] == "s.lua:2:25: error: `Agent.create` has no field `modle` [unknown-field]"
        assert terminal.lines[3].endswith("^")
        assert terminal.lines[-1] == "1 error and 1 warning in 1 file"
        assert b"\x1b[1;31merror:" in terminal.raw
    for env in ({"NO_COLOR": "1"}, {}):
        term = "dumb" if not env else "xterm"
        with Terminal(["validate", "s.lua"], cwd=tmp_path, env=environment(**env), term=term) as terminal:
            assert terminal.wait() == 1
            assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize("columns", [20, 40, 200])
def test_source_lines_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    written(tmp_path, s="local x = '" + "日本" * 100 + "' .. reslut .. '" + "é" * 300 + "'\n")
    with Terminal(["validate", "s.lua"], cwd=tmp_path, size=(columns, 24)) as terminal:
        terminal.wait()
        source = next(at for at, line in enumerate(terminal.lines) if line.startswith(" 1 │"))
        caret = terminal.lines[source + 1].index("^")
        row = terminal.screen.buffer[source]  # by column: a wide character takes two
        shown = "".join(row[column].data for column in range(caret, min(caret + 6, columns - 1)))
        assert shown == "reslut"[: len(shown)] != ""


def test_what_a_script_is_called_steers_no_terminal(tmp_path: Path) -> None:
    name = "a\x1b[31m\n\u202e.lua"
    (tmp_path / name).write_text("prin('\x1b]0;x\x07')")
    with Terminal(["validate", "."], cwd=tmp_path, env=environment(NO_COLOR="1")) as terminal:
        assert terminal.wait() == 1
        assert b"\x1b" not in terminal.raw
        assert b"\x07" not in terminal.raw


def test_very_many_problems_are_counted_and_not_all_shown(tmp_path: Path) -> None:
    written(tmp_path, s="prin(1)\n" * 300)
    lines = llmspell("validate", "s.lua", cwd=tmp_path).out.decode().splitlines()
    assert lines[-3:] == ["s.lua: 200 more problems are not shown", "", "300 errors and 0 warnings in 1 file"]
    assert len(document("s.lua", cwd=tmp_path, code=1)["problems"]) == 300


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(tmp_path: Path) -> None:
    written(tmp_path, a="print(1)", b="print(1)")
    (tmp_path / "a.lua").chmod(0)
    told = document(str(tmp_path), code=1)["problems"]
    assert [(Path(one["path"]).name, one["code"]) for one in told] == [("a.lua", "unreadable")]


def test_a_file_that_is_too_large_is_a_problem_of_its_own(tmp_path: Path) -> None:
    with open(tmp_path / "a.lua", "wb") as file:
        file.truncate(9 * 1024 * 1024)
    assert document(str(tmp_path), code=1)["problems"][0]["code"] == "unreadable"


def test_the_word_of_lua_s_compiler_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parser should be wrong, a script that Lua takes has no syntax error."""
    real = project.parse

    def mistaken(text: str) -> Any:
        chunk = real(text)
        chunk.faults.append(problems.Fault("no", 0, 1, "syntax"))
        return chunk

    monkeypatch.setattr(project, "parse", mistaken)
    assert project.Script("s.lua", b"print(1)", None).problems() == []
    assert [one.message for one in project.Script("s.lua", b"x = = 1", None).problems()][-1].startswith("unexpected")


def test_ten_thousand_lines_take_about_a_second(tmp_path: Path) -> None:
    part = (ROOT / "src/llmspell/bridge/prelude/agent.lua").read_text(encoding="utf-8").replace("return Agent\n", "")
    text = f"do\n{part}end\n" * 29
    assert text.count("\n") > 10_000
    written(tmp_path, s=text)
    assert llmspell("validate", str(tmp_path / "s.lua"), seconds=10).code == 0
