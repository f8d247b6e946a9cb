"""`llmspell doctor`: what it tells of an installation that works, and of each way in which one does not."""

from __future__ import annotations

import json
import os
import re
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell import _speedups
from llmspell._version import __version__
from llmspell.cli.checks import extras, probes, surroundings, versions
from llmspell.providers import local_weights
from support.terminal import Done, Terminal, environment, llmspell
from support.weights import needs_engine

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "sk-do-not-tell-1234567890"


def doctor(*words: str, cwd: Path | None = None, **env: str) -> Done:
    done = llmspell("doctor", *words, cwd=cwd, env=environment(**env), seconds=60)
    assert done.err == b""
    return done


def checks(*words: str, code: int = 0, cwd: Path | None = None, **env: str) -> dict[str, Any]:
    """The report's checks by name."""
    done = doctor("--output", "json", *words, cwd=cwd, **env)
    told = json.loads(done.out)
    assert (done.code, told["exit_code"], told["ok"]) == (code, code, code == 0)
    by_name = {check["name"]: check for check in told["checks"]}
    assert len(by_name) == len(told["checks"]), "a name stands for two checks"
    assert any(check["state"] == "broken" for check in by_name.values()) == (code == 1)
    for check in by_name.values():
        assert check["hint"] or check["state"] in ("ok", "off"), f"nothing is said to do about {check['message']}"
    return by_name


def broken_library(folder: Path, name: str, code: str) -> dict[str, str]:
    """An environment in which importing *name* runs *code*."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


# ---- where all is well


def test_an_installation_that_works() -> None:
    told = checks()
    assert told["llmspell"]["facts"]["version"] == __version__
    python = told["python"]["facts"]
    assert python["version"] == sys.version.split()[0]
    assert os.path.samefile(python["executable"], sys.executable)  # under whichever of its names
    assert python["free_threaded"] is False
    lua = told["lua"]
    assert lua["facts"]["lupa"] == metadata.version("lupa")
    assert re.fullmatch(r"5\.4\.\d+", lua["facts"]["lua"]), "Lua's exact release"
    assert lua["message"] == f"Lua {lua['facts']['lua']} in lupa {lua['facts']['lupa']}"
    assert told["engine"]["state"] == "ok"
    for project in ("orjson", "httpx", "uvloop", "rich-click"):
        assert told[f"library.{project}"]["message"] == f"{project} {metadata.version(project)}"
    assert told["configuration"]["facts"]["files"] == []


@pytest.mark.parametrize("stem", _speedups.STEMS)
def test_each_twin_and_why(stem: str) -> None:
    which, _, why = _speedups.choice(stem).partition(": ")
    told = checks()[f"twin.{stem}"]
    assert told["facts"] == {"twin": which, "reason": why or None}
    assert told["state"] == ("ok" if which == "compiled" else "warning")


def test_pure_twins_are_a_warning_and_work() -> None:
    told = checks(LLMSPELL_NO_EXTENSIONS="1")
    for stem in _speedups.STEMS:
        twin = told[f"twin.{stem}"]
        assert (twin["state"], twin["facts"]["twin"]) == ("warning", "pure")
        assert "LLMSPELL_NO_EXTENSIONS is set" in twin["message"]
        assert twin["hint"] == "`unset LLMSPELL_NO_EXTENSIONS` to have the compiled twin"
    assert told["engine"]["facts"]["module"] == "llmspell._speedups._lua_py"


def test_in_a_pipe_states_are_words_and_nothing_steers_a_terminal() -> None:
    done = doctor(LLMSPELL_NO_EXTENSIONS="1")
    *lines, verdict = done.out.decode("ascii").splitlines()
    for line in lines:
        assert re.match(r"(ok     |off    |warning|broken |       ) (hint: )?\S", line), line
    assert lines[0].startswith(f"ok      llmspell {__version__} in ")
    assert "ok      a script runs, and one without end is stopped" in lines
    warnings = sum(line.startswith("warning") for line in lines)
    assert (done.code, verdict) == (0, f"llmspell works: {warnings} warning{'s' if warnings > 1 else ''}")


def test_on_a_terminal_each_line_has_a_mark() -> None:
    env = environment(LLMSPELL_NO_EXTENSIONS="1")
    with Terminal(["doctor"], size=(60, 120), env=env) as terminal:
        assert terminal.wait() == 0
        assert f"✓ llmspell {__version__} in" in terminal.text
        assert (
            "! event-stream parser: pure twin, slower:\n  LLMSPELL_NO_EXTENSIONS is set\n  hint: `unset LLM"
            in terminal.text
        )
        assert "- openai: no key in OPENAI_API_KEY" in terminal.text
        assert b"\x1b[32m" in terminal.raw
        terminal.assert_as_before()
    with Terminal(["doctor", "--no-color"], size=(60, 120), env=env) as terminal:
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert f"✓ llmspell {__version__} in" in terminal.text


def test_as_events_each_check_is_a_line() -> None:
    *lines, last = [json.loads(line) for line in doctor("--output", "jsonl").out.splitlines()]
    assert {line.pop("event") for line in lines} == {"check"}
    assert {line["name"] for line in lines} == set(checks())
    assert last == {"event": "result", "llmspell": __version__, "ok": True, "exit_code": 0}


# ---- where something is broken


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "No module named 'lupa.lua54'"),
        ("raise ImportError('libfoo.so.1: cannot open shared object file')", "libfoo.so.1: cannot open"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it ends the process (SIGSEGV)"),
        ("import os; os._exit(3)", "it ends the process (exit code 3)"),
        ("raise RuntimeError('of its own')", "RuntimeError: of its own"),
    ],
)
def test_a_lua_that_cannot_be_loaded(tmp_path: Path, code: str, words: str) -> None:
    told = checks(code=1, **broken_library(tmp_path / "libraries", "lupa", code))
    assert told["lua"]["state"] == "broken"
    assert told["lua"]["message"].startswith("Lua cannot be loaded: ")
    assert words in told["lua"]["message"]
    assert told["lua"]["hint"].startswith("`pip install --force-reinstall ")
    assert "engine" not in told, "the same said twice"
    assert {told[name]["state"] for name in ("python", "configuration", "library.orjson", "library.httpx")} == {"ok"}


def test_what_cannot_run_sends_its_reader_to_the_doctor(tmp_path: Path) -> None:
    env = environment(**broken_library(tmp_path / "libraries", "lupa", "raise ImportError('no Lua')"))
    (tmp_path / "s.lua").write_text("print('never')")
    done = llmspell("run", str(tmp_path / "s.lua"), env=env)
    first, hint = done.err.decode().splitlines()
    assert (done.code, done.out) == (1, b"")
    assert first.startswith("error[not_supported]: Lua cannot be loaded: ")
    assert hint.startswith("hint: `llmspell doctor` says more; ")
    done = llmspell("run", "--output", "json", str(tmp_path / "s.lua"), env=env)
    assert json.loads(done.err)["error"]["kind"] == "not_supported"


def test_a_library_that_ends_its_process_takes_no_other_check_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "libraries"
    for name in ("orjson", "uvloop"):
        env = broken_library(folder, name, "print('a line of its own'); import os; os.abort()")
    told = checks(code=1, **env)
    assert told["library.orjson"]["state"] == "broken"
    assert "it ends the process (SIGABRT)" in told["library.orjson"]["message"]
    assert told["library.uvloop"]["state"] == "warning", "asyncio's own loop serves"
    assert {told[name]["state"] for name in ("lua", "engine", "library.httpx", "library.rich-click")} == {"ok"}


def test_a_broken_help_does_not_hide_the_doctor(tmp_path: Path) -> None:
    told = checks(code=1, **broken_library(tmp_path, "rich_click", "raise ImportError('no click')"))
    assert told["library.rich-click"]["state"] == "broken"


def test_a_library_that_never_comes_back_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(probes, "PATIENCE", 1.0)
    found = probes.run([probes.library("hangs")])
    assert found == {"library:hangs": probes.Found({}, "it does not come back within 1 s")}


def test_what_lies_in_the_working_folder_is_not_taken_for_a_library(tmp_path: Path) -> None:
    for name in ("lupa", "json", "orjson"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    assert {checks(cwd=tmp_path)[name]["state"] for name in ("lua", "engine", "library.orjson")} == {"ok"}


# ---- configuration, keys, models


def test_a_configuration_that_is_wrong_is_broken_and_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[runtime]\ntimeuot = 1\n")
    told = checks("--config", "bad.toml", code=1, cwd=tmp_path)
    configuration = told["configuration"]
    assert configuration["message"] == "configuration: bad.toml:2:1: unknown key `runtime.timeuot`"
    assert configuration["hint"] == "the nearest known key is `runtime.timeout`"
    assert told["lua"]["state"] == "ok"
    assert not [name for name in told if name.startswith("provider.")]


def test_where_the_configuration_comes_from(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text("[runtime]\ntimeout = 5\n")
    told = checks(cwd=tmp_path, LLMSPELL_RUNTIME__MAX_CPU="3")["configuration"]
    assert [path.endswith("llmspell.toml") for path in told["facts"]["files"]] == [True]
    assert told["message"].endswith("llmspell.toml; environment: LLMSPELL_RUNTIME__MAX_CPU")


def test_a_path_may_hold_anything(tmp_path: Path) -> None:
    name = "ev\x1bil\udcff.toml"
    (tmp_path / name).write_text("")
    shown = doctor("--config", name, cwd=tmp_path).out.decode()
    assert "configuration: ev␛il<dcff>.toml" in shown
    assert checks("--config", name, cwd=tmp_path)["configuration"]["facts"]["files"] == ["ev\x1bil?.toml"]


def test_keys_are_named_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[providers]\ndefault = "mine"\n'
        f'[providers.mine]\ntype = "openai"\nbase_url = "https://gate.example/{SECRET}/v1"\nmodel = "m"\n'
        f'api_key_env = "MINE_KEY"\nheaders = {{ x-token = "{SECRET}" }}\n'
    )
    env = {"OPENAI_API_KEY": SECRET, "MINE_KEY": SECRET}
    told = checks("--config", "c.toml", cwd=tmp_path, **env)
    assert told["provider.openai"]["message"] == "openai: api.openai.com, with the key in OPENAI_API_KEY"
    assert told["provider.mine"]["message"] == "mine: gate.example, with the key in MINE_KEY"
    assert told["default"]["message"] == "where a script names no model, mine/m answers"
    for form in ("text", "json", "jsonl"):
        done = doctor("--config", "c.toml", "--output", form, cwd=tmp_path, **env)
        assert b"MINE_KEY" in done.out
        assert SECRET.encode() not in done.out


def test_a_provider_without_a_key_is_a_warning_only_where_somebody_wants_it(tmp_path: Path) -> None:
    assert checks()["provider.openai"]["state"] == "off"
    (tmp_path / "llmspell.toml").write_text('[providers]\ndefault = "openai"\n')
    told = checks(cwd=tmp_path)
    assert (told["provider.openai"]["state"], told["default"]["state"]) == ("warning", "warning")
    assert told["provider.openai"]["hint"] == "`export OPENAI_API_KEY=...`, with your key in it, to use it"
    assert told["default"]["message"] == "where a script names no model, openai/gpt-4o-mini would answer, and cannot"


def test_a_server_of_one_s_own_needs_no_key(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[providers.own]\ntype = "openai"\nbase_url = "http://localhost:8000/v1"\n')
    told = checks("--config", "c.toml", cwd=tmp_path)
    assert told["provider.own"]["state"] == "ok"
    assert told["default"]["message"] == "where a script names no model, own would answer, and has no model of its own"


@pytest.mark.skipif(find_spec("xllamacpp") is not None, reason="the embedded engine is installed")
def test_without_the_embedded_engine_that_is_said() -> None:
    told = checks()
    assert told["provider.local"]["state"] == "warning"
    assert told["provider.local"]["hint"] == "`pip install 'llmspell[local]'`"
    assert checks(OPENAI_API_KEY="k")["provider.local"]["state"] == "off"


@needs_engine
def test_whether_the_weights_are_there(tmp_path: Path) -> None:
    cache = {"LLMSPELL_CACHE_DIR": str(tmp_path)}
    told = checks(**cache)
    assert told["provider.local"]["state"] == "warning"
    assert told["provider.local"]["message"].endswith(f"the model {local_weights.DEFAULT_MODEL} is not fetched yet")
    assert told["default"]["state"] == "ok", "the first call fetches it"
    never = checks(**cache, LLMSPELL_PROVIDERS__LOCAL__PULL="never")
    assert never["default"]["state"] == "warning"
    weights = tmp_path / "models" / f"{local_weights.DEFAULT_MODEL}.gguf"
    weights.parent.mkdir()
    weights.write_bytes(b"GGUF of another kind")
    assert checks(**cache)["provider.local"]["message"].endswith(f"but {weights} is damaged")
    own = tmp_path / "own.gguf"
    own.write_bytes(b"no weights at all")
    broken = checks(code=1, **cache, LLMSPELL_PROVIDERS__LOCAL__PATH=str(own))
    assert broken["provider.local"]["state"] == "broken"


# ---- extras, folders, terminal


def test_each_extra_is_told_with_the_command_that_installs_it() -> None:
    told = {name: check for name, check in checks().items() if name.startswith("extra.")}
    lines = metadata.requires("llmspell") or []
    names = {found[1] for line in lines if (found := re.search(r"extra == ['\"](\w+)", line))} - {"dev"}
    assert told.keys() == {f"extra.{extra}" for extra in names}
    for extra in names:
        check = told[f"extra.{extra}"]
        assert (check["state"] == "off") == (not any(check["facts"]["packages"].values()))
        assert check["hint"] == (None if check["state"] == "ok" else f"`pip install 'llmspell[{extra}]'`")


def test_an_extra_of_which_a_part_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['whole>=1; extra == "a"', 'none>=1; extra == "b"', 'whole>=1; extra == "c"', 'none>=1; extra == "c"']
    lines += ['whole>=2; extra == "d"', 'whole>=1; extra == "dev"', "lupa>=2"]
    monkeypatch.setattr(metadata, "requires", lambda project: lines)
    monkeypatch.setattr(versions, "of", lambda project: {"whole": "1.5"}.get(project))
    monkeypatch.setattr(versions, "unmet", lambda project, version: None)
    told = {check.name: check for check in extras.extras()}
    states = {name: check.state for name, check in told.items()}
    assert states == {"extra.a": "ok", "extra.b": "off", "extra.c": "warning", "extra.d": "ok"}
    monkeypatch.setattr(versions, "unmet", lambda project, version: ">=2")
    told = {check.name: check for check in extras.extras()}
    assert told["extra.d"].state == "warning"
    assert told["extra.d"].message == "extra d: whole 1.5, where llmspell wants >=2"


PLACES = {
    "config": ("XDG_CONFIG_HOME", "llmspell", "off"),
    "cache": ("LLMSPELL_CACHE_DIR", "", "warning"),
    "state": ("XDG_DATA_HOME", "llmspell/state", "warning"),
}


@pytest.mark.parametrize("name", PLACES)
def test_each_folder_whether_it_is_there_and_can_be_written_to(tmp_path: Path, name: str) -> None:
    variable, below, bad = PLACES[name]
    place = tmp_path / "place"
    path = str(place / below) if below else str(place)
    told = checks(**{variable: str(place)})[f"folder.{name}"]
    assert (told["state"], told["facts"]) == ("ok", {"path": path, "exists": False, "writable": True})
    assert told["message"].endswith(f"{path}, made when needed")
    os.makedirs(path)
    told = checks(**{variable: str(place)})[f"folder.{name}"]
    assert (told["state"], told["facts"]["exists"], told["hint"]) == ("ok", True, None)
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("")
    told = checks(**{variable: str(in_the_way)})[f"folder.{name}"]
    assert (told["state"], told["facts"]["writable"]) == (bad, False)
    assert told["message"].endswith(f"but {in_the_way} is no folder")
    assert f"`mv '{in_the_way}' '{in_the_way}.old'`" in told["hint"]
    assert f"`export {variable}=FOLDER`" in told["hint"]


def test_a_folder_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    for path, words in (
        (tmp_path, "cannot be written to"),
        (tmp_path / "x" / "y", f"cannot be made: {tmp_path} cannot"),
    ):
        monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(path))
        told = {check.name: check for check in surroundings.folders(os.environ)}["folder.cache"]
        assert (told.state, told.facts["writable"]) == ("warning", False)
        assert words in told.message
        assert f"`chmod u+rwx {tmp_path}`" in str(told.hint)


def test_the_terminal_as_it_is() -> None:
    for env, columns, term, words in (
        ({}, 80, "xterm-256color", "80 columns, 90 rows, colours, Unicode (xterm-256color)"),
        ({"NO_COLOR": "1"}, 200, "xterm", "200 columns, 90 rows, no colours (NO_COLOR is set), Unicode (xterm)"),
        ({}, 80, "dumb", "80 columns, 90 rows, no colours (TERM is dumb), Unicode (dumb)"),
    ):
        with Terminal(["doctor"], size=(columns, 90), env=environment(**env), term=term) as terminal:
            assert terminal.wait() == 0
            assert f"terminal: {words}" in terminal.text
            assert (b"\x1b" in terminal.raw) == ("no colours" not in words)


def test_a_terminal_of_ascii_alone_is_a_warning_with_a_remedy() -> None:
    told = checks(PYTHONIOENCODING="ascii")["terminal"]
    assert (told["state"], told["facts"]["unicode"]) == ("warning", False)
    assert told["hint"] == "`export LC_ALL=C.UTF-8` lets answers show all their characters"


def test_on_a_small_terminal_each_line_is_whole_and_the_verdict_is_last() -> None:
    with Terminal(["doctor"], size=(40, 10), env=environment()) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[-1].startswith("llmspell works")
        assert all(len(line) <= 40 for line in terminal.lines)


def test_on_a_terminal_subjects_stand_under_headings() -> None:
    with Terminal(["doctor"], size=(100, 90), env=environment()) as terminal:
        assert terminal.wait() == 0
        names = ("Installation", "Extras", "This machine", "Configuration", "Models")
        assert [line for line in terminal.lines if line in names] == list(names)


# ---- releases

RELEASE = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@pytest.mark.parametrize(
    ("version", "met"),
    [
        *(("2.5", True), ("2.5.0", True), ("2.10rc1", True), ("2.99.9", True)),
        *(("2.4.99", False), ("3", False), ("3.0.0", False), ("10.1", False), ("1", False)),
    ],
)
def test_releases_compare_by_their_numbers(monkeypatch: pytest.MonkeyPatch, version: str, met: bool) -> None:
    monkeypatch.setattr(metadata, "requires", lambda project: ["other<2", 'lupa<3,>=2.5 ; extra == "x"'])
    assert versions.unmet("lupa", version) == (None if met else ">=2.5,<3")
    assert versions.unmet("no-such", version) is None
    assert versions.install("lupa") == 'pip install --force-reinstall "lupa>=2.5,<3"'


@given(text=st.one_of(st.text(), RELEASE))
def test_any_release_is_compared_or_taken_to_be_right(text: str) -> None:
    assert versions.unmet("lupa", text) in (None, ">=2.5,<3")


@given(low=RELEASE, high=RELEASE, tail=st.sampled_from(["", ".0", ".0.0", "rc1", "+local", ".dev3"]))
def test_the_order_of_releases_is_that_of_their_numbers(low: str, high: str, tail: str) -> None:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(".")] + [0] * (4 - text.count("."))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "requires", lambda project: [f"lupa>={low}"])
        assert (versions.unmet("lupa", high + tail) is None) == (numbers(high) >= numbers(low))


def test_a_key_that_a_command_tells_and_a_mock(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    text = '[providers.openai]\napi_key_cmd = "/nowhere/program x"\n[providers.trial]\ntype = "mock"\n'
    path.write_text(text)
    told = checks("--config", str(path))
    assert told["provider.openai"]["message"].endswith(", with the key from the command /nowhere/program")
    assert told["provider.trial"]["message"] == "trial: mock, without an address"
