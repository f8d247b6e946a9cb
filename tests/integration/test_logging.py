"""The log of real runs: `--log-file`, `--log-level`, a host's own handlers; ids, and what must never be in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from support.answers import KEY, answer, asking
from support.loopback import STALL, Gate, Loopback, head, reply, sse
from support.terminal import Terminal, environment, llmspell, start

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = 'print(Agent.create{name = "alpha", model = "openai/m"}:execute("PROMPT-TEXT").text)'
BUSY = [b"HTTP/1.1 429 No\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}"]


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(path: Path, logger: str) -> list[dict[str, Any]]:
    return [line for line in told(path) if line["logger"] == f"llmspell.{logger}"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def script(tmp_path: Path) -> Any:
    def write(text: str) -> str:
        path = tmp_path / "a.lua"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# ---- what is in it


def test_a_run_with_a_call_that_is_tried_again_is_told_from_end_to_end(log: Path, script: Any) -> None:
    with Loopback([BUSY, reply(sse(["ANSWER", "-TEXT"]))]) as server:
        path = script(ASK)
        done = llmspell("run", "--stream", "--log-file", str(log), path, env=asking(server))
    assert (done.code, done.out) == (0, b"ANSWER-TEXT\n")
    lines = told(log)
    assert [line["message"] for line in lines] == ["run started", "call retried", "call ended", "run ended"]
    assert len({line["run"] for line in lines}) == 1
    assert re.fullmatch("run-[0-9a-f]{12}", lines[0]["run"])
    begun, retried, ended, over = (line["fields"] for line in lines)
    assert (begun["script"], begun["timeout"]) == (path, 300.0)
    assert (retried["provider"], retried["attempt"], retried["error"]) == ("openai", 2, "rate_limit")
    assert retried["wait"] >= 0
    assert (ended["provider"], ended["model"], ended["attempts"]) == ("openai", "m", 2)
    assert (ended["finish_reason"], ended["ms"] > 0) == ("stop", True)
    assert (over["result"], over["exit_code"], over["calls"]) == ("nil", 0, 1)
    assert re.fullmatch("call-[0-9a-f]{12}", lines[1]["call"])
    assert lines[1]["call"] == lines[2]["call"]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_the_id_of_a_call_is_that_of_its_events(log: Path, script: Any) -> None:
    with Loopback([reply(sse(["a"]))]) as server:
        done = llmspell("run", "--output", "jsonl", "--log-file", str(log), script(ASK), env=asking(server))
    calls = {line["call"] for line in map(json.loads, done.out.splitlines()) if line["event"] == "chunk"}
    assert {line["call"].replace("call", "stream") for line in events(log, "model")} == calls


def test_streams_at_once_have_calls_of_their_own(log: Path, script: Any) -> None:
    text = """
        local agent = Agent.create{model = "openai/m"}
        local one, two = agent:stream_execute("x"), agent:stream_execute("y")
        for _ in one do end
        Log.info("between")
        for _ in two do end"""
    with Loopback([reply(sse(["a"]))]) as server:
        assert llmspell("run", "--log-file", str(log), script(text), env=asking(server)).code == 0
    assert len({line["call"] for line in events(log, "model")}) == 2
    (between,) = events(log, "script")
    assert "call" not in between
    assert between["run"] == events(log, "run")[0]["run"]


TOOLS = """
    Tool.register{name = "mine", description = "d",
                  parameters = {type = "object", properties = {q = {type = "string"}}},
                  execute = function(p) if p.q == "bad" then error("TOOL-ERROR") end return "TOOL-RESULT" end}
    local agent = Agent.create{name = "alpha", model = "mocked", tools = {"mine"}}
    print(agent:execute("PROMPT-TEXT").text)"""
CONFIG = """
    [providers.mocked]
    type = "mock"
    replies = [{tool_calls = [{name = "mine", arguments = {q = "TOOL-ARGUMENT"}}]},
               {tool_calls = [{name = "mine", arguments = {q = "bad"}}, {name = "none"}]}, "ANSWER-TEXT"]"""
QUOTED = (b"TOOL-", b"PROMPT-TEXT", b"ANSWER-TEXT")


@pytest.mark.parametrize("stream", [True, False])
def test_tools_and_rounds_are_of_the_call_that_they_serve(log: Path, script: Any, tmp_path: Path, stream: bool) -> None:
    config = tmp_path / "c.toml"
    config.write_text(CONFIG)
    flags = ["--stream"] if stream else []
    done = llmspell(
        "run", *flags, "--config", str(config), "--log-level", "debug", "--log-file", str(log), script(TOOLS)
    )
    assert (done.code, done.out) == (0, b"ANSWER-TEXT\n"), done.err
    assert events(log, "config")[0]["fields"] == {"file": str(config)}
    tools = [(line["message"], line["fields"]["tool"], line["fields"].get("error")) for line in events(log, "tools")]
    assert sorted(tools, key=str) == [
        ("tool ended", "mine", "script"), ("tool ended", "mine", None), ("tool not run", "none", None)
    ]  # fmt: skip
    assert all(line["fields"]["agent"] == "alpha" for line in events(log, "tools"))
    calls = {line["call"] for line in told(log) if line["logger"] in ("llmspell.model", "llmspell.tools")}
    assert len(calls) == 1
    assert [line["message"] for line in events(log, "model")] == ["call started", "call ended"] * 3
    assert not any(word in log.read_bytes() for word in QUOTED)


def test_another_model_that_is_asked_is_told(log: Path, script: Any) -> None:
    text = 'print(Agent.create{model = {"openai/gone", "mock"}}:execute("PROMPT-TEXT").text)'
    body = b'{"error": {"message": "no PROMPT-TEXT"}}'
    plan = [b"HTTP/1.1 404 No\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)]
    with Loopback([plan]) as server:
        done = llmspell("run", "--log-file", str(log), script(text), env=asking(server))
    assert done.code == 0, done.err
    assert [line["message"] for line in told(log)] == [
        "run started", "call failed", "another model is asked", "call ended", "run ended"
    ]  # fmt: skip
    failed, other = told(log)[1:3]
    assert (failed["level"], failed["fields"]["error"], failed["fields"]["status"]) == ("warning", "not_found", 404)
    assert other["fields"] == {"model": "mock/mock", "error": "not_found", "status": 404}
    assert failed["call"] == other["call"]
    assert b"PROMPT-TEXT" not in log.read_bytes()


@pytest.mark.parametrize(
    ("text", "flags", "fields"),
    [
        ('\nerror("PROMPT-TEXT")', [], {"error": "script", "line": 2}),
        ("while true do end", ["--timeout", "0.1"], {"error": "limit", "limit": "timeout"}),
        ('File.read("/etc/hostname")', [], {"error": "permission", "line": 1}),
        ("x = = 1", [], {"error": "script", "line": 1}),
    ],
)
def test_a_run_that_fails_says_how(log: Path, script: Any, text: str, flags: list[str], fields: dict[str, Any]) -> None:
    llmspell("run", *flags, "--log-file", str(log), script(text))
    last = events(log, "run")[-1]
    assert (last["level"], last["message"]) == ("error", "run failed")
    assert fields.items() <= last["fields"].items()
    assert b"PROMPT-TEXT" not in log.read_bytes()


def test_a_denied_permission_is_told_without_what_was_wanted(log: Path, script: Any) -> None:
    llmspell("run", "--log-file", str(log), script('pcall(File.read, "/etc/SECRET-NAME")'))
    (line,) = events(log, "permissions")
    assert (line["level"], line["fields"]) == ("warning", {"capability": "read", "by": "File.read"})
    assert "SECRET-NAME" not in log.read_text()


def test_a_call_that_is_stopped_is_told(log: Path, script: Any) -> None:
    gate = Gate()
    with Loopback([[head(), gate, STALL]]) as server:
        running = start("run", "--log-file", str(log), script(ASK), env=asking(server))
        gate.reached()
        running.send_signal(2)
        running.communicate(timeout=15)
    assert running.returncode == 130
    assert [line["message"] for line in told(log)] == ["run started", "call stopped", "run stopped"]
    assert told(log)[-1]["fields"]["signal"] == 2


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "off"])
def test_a_level_leaves_out_what_is_below_it(log: Path, script: Any, level: str) -> None:
    text = 'Log.debug("a") Log.info("b", {n = 1}) Log.warn("c") Log.error("d")'
    words = ["debug", "info", "warning", "error"]
    done = llmspell("run", "--log-level", level, "--log-file", str(log), script(text))
    assert done.err == b"" if level == "off" else done.err == b"info: b n=1\nwarn: c\nerror: d\n"
    if level == "off":
        assert not log.exists()
        return
    assert [line["level"] for line in events(log, "script")] == words[words.index(level) :]


# ---- on standard error


def test_without_a_file_lines_go_to_standard_error(script: Any) -> None:
    path = script('Log.debug("a\\27[2J", {n = 1}) Log.info("b") print("out")')
    done = llmspell("run", "--log-level", "debug", path)
    first, debug, info, last = done.err.decode().splitlines()
    assert first.startswith(f"info: run: run started script={path} ")
    assert (debug, info) == ("debug: a␛[2J n=1", "info: b")
    assert last.startswith("info: run: run ended ")
    assert done.out == b"out\n"
    assert llmspell("run", "--log-level", "off", path).err == b""
    assert llmspell("run", path).err == b"info: b\n"


def test_lines_stand_above_the_live_view_and_not_in_it(script: Any) -> None:
    gate = Gate()
    with Loopback([BUSY, answer("first words", gate, " and last")]) as server:
        path = script(ASK)
        with Terminal(["run", "--stream", "--log-level", "info", path], env=asking(server), size=(100, 24)) as terminal:
            terminal.until("first words")
            shown = terminal.lines
            gate.open()
            assert terminal.wait() == 0
            end = terminal.lines
            terminal.assert_as_before()
    assert any(line.startswith("warn: alpha: openai answered 429") for line in shown)
    assert any("first words" in line for line in shown)
    kinds = [line.split(" ", 3)[:3] for line in end if line.startswith(("info:", "warn"))]
    assert [" ".join(kind) for kind in kinds] == [
        "info: run: run", "warn: alpha: openai", "info: model: call", "info: run: run"
    ]  # fmt: skip
    assert "first words and last" in end


# ---- where it goes


def test_a_file_is_added_to_and_is_its_user_s_alone(log: Path, script: Any) -> None:
    for _ in range(2):
        assert llmspell("run", "--log-file", str(log), script("return 1")).code == 0
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600
    assert [line["message"] for line in told(log)] == ["run started", "run ended"] * 2
    assert len({line["run"] for line in told(log)}) == 2


@pytest.mark.parametrize("where", ["none/log", "."])
def test_a_file_that_cannot_be_opened_is_an_error_before_the_run(tmp_path: Path, script: Any, where: str) -> None:
    done = llmspell("run", "--log-file", where, script('print("ran")'), cwd=tmp_path)
    assert (done.code, done.out) == (3, b"")
    assert done.err.startswith(b"error[config]: --log-file: cannot open ")
    config = tmp_path / "c.toml"
    config.write_text(f'[logging]\nfile = "{where}"\n')
    done = llmspell("run", "--config", str(config), script('print("ran")'))
    assert (done.code, done.out) == (3, b"")
    assert done.err.startswith(f"error[config]: {config}:2: `logging.file`: cannot open {tmp_path}".encode())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_told_of_once_and_the_run_goes_on(script: Any) -> None:
    done = llmspell("run", "--log-file", "/dev/full", script('Log.debug("a") print("ran")'))
    assert (done.code, done.out) == (0, b"ran\n")
    assert done.err == b"warn: the log cannot be written to /dev/full: No space left on device\n"


def test_a_file_of_the_configuration_is_beside_it_and_a_flag_wins(tmp_path: Path, log: Path, script: Any) -> None:
    (tmp_path / "sub").mkdir()
    config = tmp_path / "sub" / "c.toml"
    config.write_text('[logging]\nfile = "x.log"\nlevel = "warning"\n')
    path = script('Log.info("a") Log.warn("b")')
    assert llmspell("run", "--config", str(config), path).code == 0
    assert [line["message"] for line in told(tmp_path / "sub" / "x.log")] == ["b"]
    assert llmspell("run", "--config", str(config), "--log-file", str(log), "--log-level", "info", path).code == 0
    assert "a" in [line["message"] for line in told(log)]
    again = llmspell("run", path, env=environment(LLMSPELL_LOGGING__LEVEL="error"))
    assert again.err == b""


@pytest.mark.parametrize("line", ['file = "x.log"', 'level = "debug"'])
def test_a_project_s_file_sets_neither(tmp_path: Path, script: Any, line: str) -> None:
    (tmp_path / "llmspell.toml").write_text(f"[logging]\n{line}\n")
    done = llmspell("run", script("return 1"), cwd=tmp_path)
    assert done.code == 3
    assert b"may not be set by a project's file" in done.err
    assert not (tmp_path / "x.log").exists()


def test_other_commands_have_it_as_well(log: Path) -> None:
    words = ("tools", "run", "calculator", "--log-file", str(log), "expression=1+1")
    done = llmspell(*words)
    assert done.code == 0, done.err
    assert [line["fields"]["tool"] for line in events(log, "tools")] == ["calculator"]


@pytest.mark.parametrize("words", [["models", "list"], ["doctor"], ["types"], ["--traceback", "run", "SCRIPT"]])
def test_no_command_takes_the_flag_and_leaves_it_at_that(tmp_path: Path, script: Any, words: list[str]) -> None:
    words = [script("return 1") if word == "SCRIPT" else word for word in words]
    done = llmspell(*words, "--log-file", "none/log", cwd=tmp_path)
    assert done.code == 3
    assert b"--log-file: cannot open " in done.err
    config = tmp_path / "c.toml"
    config.write_text("[runtime]\ntimeout = 9\n")
    done = llmspell(*words, "--config", "c.toml", "--log-file", "log", cwd=tmp_path)
    assert done.code in (0, 1)
    assert {line["fields"]["file"] for line in events(tmp_path / "log", "config")} == {"c.toml"}


# ---- secrets


def test_no_key_is_in_it_wherever_it_stood(log: Path, script: Any, tmp_path: Path) -> None:
    """Keys of a variable, of a file and in a header; said by the script, by the service, in names and in arguments."""
    filed, headed = "filed-" + "key" * 6, "headed-" + "key" * 6
    (tmp_path / "key").write_text(filed)
    config = tmp_path / "c.toml"
    text = f"""
        local key = os.getenv("OPENAI_API_KEY")
        for _, secret in ipairs{{key, "{filed}", "{headed}"}} do
          for _, model in ipairs{{"openai/m", "other/m"}} do
            pcall(function() Agent.create{{model = model .. secret, name = "a" .. secret}}:execute(secret) end)
          end
          Log.warn("the key is " .. secret, {{[secret] = secret, deep = {{secret}}}})
          pcall(Tool.execute, "calculator", {{expression = secret}})
          pcall(File.read, secret)
        end
        error(key)"""
    body = json.dumps({"error": {"message": f"bad key {KEY} {filed} {headed}"}}).encode()
    lines = f"HTTP/1.1 401 No\r\nx-request-id: {KEY}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with Loopback([[lines, body]]) as server:
        config.write_text(f"""
            [providers.other]
            type = "openai"
            base_url = "{server.url}"
            api_key_file = "{tmp_path / "key"}"
            headers = {{"x-api-key" = "{headed}"}}""")
        done = llmspell(
            "run", "--allow-env", "--config", str(config), "--log-level", "debug", "--log-file", str(log),
            script(text), env=asking(server),
        )  # fmt: skip
    assert done.code == 1
    data = log.read_text()
    assert data.count("the key is ****") == 3
    assert len([line for line in told(log) if line["message"] == "call failed"]) == 6
    for secret in (KEY, filed, headed):
        assert secret not in data


# ---- in a program of one's own


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger("llmspell")
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    yield handler
    logger.removeHandler(handler)
    logger.setLevel("NOTSET")


def runtime() -> ScriptRuntime:
    return ScriptRuntime(load(script_dir=None, config_file=None, env={}, flags={}), model="mock")


async def test_scripts_at_once_are_told_apart(kept: Kept) -> None:
    text = """
        Log.info("begun", {who = ARGS[1]})
        for i = 1, 3 do
          Async.sleep(0.001)
          Agent.create{}:execute(ARGS[1])
          Log.info("said", {who = ARGS[1]})
        end"""
    async with runtime() as one:
        await asyncio.gather(*(one.execute_script(text, args=[who]) for who in "abcd"))
    own: dict[str, str] = {}
    for record in kept.records:
        if record.name == "llmspell.script":
            assert own.setdefault(record.fields["who"], record.run_id) == record.run_id
    assert len(set(own.values())) == 4
    for run in own.values():
        assert sum(r.run_id == run and r.event == "call ended" for r in kept.records) == 3
        assert sum(r.run_id == run and r.event == "run ended" for r in kept.records) == 1


async def test_a_script_in_a_process_of_its_own_is_told_as_any_other(kept: Kept) -> None:
    config = load(script_dir=None, config_file=None, env={}, flags={})
    async with ScriptRuntime(config, model="mock", isolation="process") as runtime:
        await runtime.execute_script('Log.info("a") Agent.create{}:execute("x") pcall(File.read, "/etc/hostname")')
    told = [record for record in kept.records if record.name != "llmspell.config"]
    assert [record.event for record in told if record.levelno >= logging.INFO] == [
        "run started", "a", "call ended", "permission denied", "run ended"
    ]  # fmt: skip
    assert len({record.run_id for record in told}) == 1


def test_a_run_leaves_no_id_behind(kept: Kept) -> None:
    from llmspell.utils import logs

    runtime().run("return 1")
    assert logs.RUN.get() == ""
    assert [record.event for record in kept.records] == ["run started", "run ended"]


NOBODY = """
import sys
from llmspell import ScriptRuntime
done = ScriptRuntime(model="mock").run('Log.warn("w") Agent.create{}:execute("x") Async.sleep(0) error("e")')
"""


def test_where_nobody_set_up_logging_nothing_is_said() -> None:
    import subprocess

    done = subprocess.run([sys.executable, "-c", NOBODY], capture_output=True, text=True, env=environment(), timeout=60)
    assert "ScriptError" in done.stderr
    assert "w\n" not in done.stderr.split("Traceback")[0]
    assert done.stdout == ""


@pytest.mark.parametrize("flags", [[], ["--timeout", "5"]])
def test_logging_is_not_loaded_without_a_flag(script: Any, flags: list[str]) -> None:
    import subprocess

    code = (
        "import sys; from llmspell.cli.main import main; "
        f"code = main(['run', *{flags!r}, {script('Log.info(1) print(1)')!r}]); "
        "sys.exit(code or ('logging' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60)
    assert (done.returncode, done.stdout) == (0, b"1\n"), done.stderr


def test_lines_of_processes_that_share_a_file_stay_whole(log: Path, script: Any) -> None:
    path = script('for i = 1, 200 do Log.info(("x"):rep(3000)) end')
    running = [start("run", "--log-file", str(log), path) for _ in range(3)]
    for one in running:
        one.communicate(timeout=30)
    assert len(events(log, "script")) == 600
