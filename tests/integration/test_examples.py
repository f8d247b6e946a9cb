"""Every example and every block of the documents runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmspell.config.loader import load
from support.loopback import Loopback, reply, sse
from support.weights import needs_engine, real_weights

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").rglob("*.lua"))
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANSWER = reply(sse(["one ", "two ", "three "]))
DATA = reply(sse(['{"title": "Moby', '-Dick", ', '"year": 1851}']))


def answer_to(code: str) -> object:
    """What the server says to a script: data where it asks for some."""
    return DATA if "response_schema" in code else ANSWER


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for path in DOCUMENTS:
        for match in BLOCK.finditer(path.read_text(encoding="utf-8")):
            if match[1] == language:
                line = path.read_text(encoding="utf-8")[: match.start()].count("\n") + 1
                found.append((f"{path.name}:{line}", match[2]))
    return found


def run(*command: str, url: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **more}
    if url is not None:
        env |= {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url}
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=ROOT, timeout=120)


def llmspell(*words: str, url: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "llmspell", *words, url=url, **more)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_against_a_server(example: str) -> None:
    with Loopback([answer_to((ROOT / example).read_text(encoding="utf-8"))]) as server:
        done = llmspell("run", example, url=server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_older_scripts_write_files_where_that_was_granted(tmp_path: Path) -> None:
    script = ROOT / "examples" / "compat" / "files.lua"
    flags = ("--allow-read=target/compat", "--allow-write=target/compat")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = (sys.executable, "-m", "llmspell", "run", *flags, str(script))
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "first line\nsecond line\nexists: true\nexists: false\n"


def test_an_older_script_s_exit_code_is_the_command_s(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("print('no') os.exit(1)")
    assert llmspell("run", str(tmp_path / "s.lua")).returncode == 1


def test_hello_says_hello() -> None:
    done = llmspell("run", "examples/hello.lua", "--", "you")
    assert (done.stdout, done.stderr, done.returncode) == ("Hello from llmspell, you!\n", "", 0)


def test_the_recorded_example_runs_without_a_network_and_shows_what_was_changed(tmp_path: Path) -> None:
    tape, script = "examples/recorded/triage.tape", ROOT / "examples/recorded/triage.lua"
    done = llmspell("run", "--replay", tape, str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == ["complaint", "question", "praise"]
    assert done.stdout.endswith(": 3 calls, 99 tokens\n")
    changed = tmp_path / "triage.lua"
    changed.write_text(script.read_text(encoding="utf-8").replace("the lamp", "a lamp"), encoding="utf-8")
    done = llmspell("run", "--replay", tape, str(changed))
    assert done.returncode == 1
    assert re.search(r"`messages\[1\]\.content`: was .*the lamp.*, is .*a lamp", done.stderr)


def test_haiku_prints_what_the_server_said() -> None:
    with Loopback([ANSWER]) as server:
        done = llmspell("run", "--stream", "examples/haiku.lua", "--", "a test", url=server.url)
        sent = server.requests[0].json
    assert (done.stdout, done.returncode) == ("one two three \n", 0)
    assert "a test" in sent["messages"][1]["content"]


def test_structured_prints_the_data_of_both_answers() -> None:
    with Loopback([DATA]) as server:
        done = llmspell("run", "examples/structured.lua", url=server.url)
    first, way, second = done.stdout.splitlines()
    assert first == second == "Moby-Dick\t1851"
    assert way.startswith("asked for by way of: ")
    assert done.stderr.splitlines()[0] == "Moby"


@needs_engine
def test_haiku_is_written_by_the_embedded_model_without_key_or_server() -> None:
    done = llmspell("run", "--stream", "examples/haiku.lua", LLMSPELL_CACHE_DIR=str(Path(real_weights()).parents[1]))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3
    assert "tiny model" in done.stderr


@pytest.mark.parametrize(("place", "code"), blocks("lua"), ids=[place for place, _ in blocks("lua")])
def test_a_lua_block_of_the_documents_runs(place: str, code: str, tmp_path: Path) -> None:
    script = tmp_path / "block.lua"
    script.write_text(code, encoding="utf-8")
    with Loopback([answer_to(code)]) as server:
        code = code.replace('model = "local"', 'model = "openai/m"').replace(':model("local")', ':model("openai/m")')
        script.write_text(code, encoding="utf-8")
        done = llmspell("run", str(script), url=server.url)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("place", "code"), blocks("python"), ids=[place for place, _ in blocks("python")])
def test_a_python_block_of_the_documents_runs(place: str, code: str) -> None:
    with Loopback([answer_to(code)]) as server:
        done = run(sys.executable, "-W", "error", "-c", code, url=server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_documented_configuration_is_one() -> None:
    for _, text in blocks("toml"):
        if text.startswith("[project"):
            continue  # of a package, and not of a configuration
        assert load_text(text).get("runtime.max_memory") == 256 * 2**20


def load_text(text: str) -> object:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        return load(script_dir=None, config_file=file.name, env={}, flags={})


def test_the_documented_configuration_gives_the_defaults() -> None:
    default = load(script_dir=None, config_file=None, env={}, flags={})
    for _, text in blocks("toml"):
        if text.startswith("[project"):
            continue
        told = load_text(text)
        for key in ("timeout", "max_memory", "max_output", "max_concurrency"):
            assert told.get(f"runtime.{key}") == default.get(f"runtime.{key}")  # type: ignore[attr-defined]
        assert told.providers()["openai"]["timeout"] == default.providers()["openai"]["timeout"]  # type: ignore[attr-defined]


def test_ci_runs_the_readme_s_own_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shell = [line for _, code in blocks("sh") for line in code.splitlines()]
    assert sum(line.startswith("python3 -m venv .venv && ") for line in readme.splitlines()) == 1
    assert "python3 -m venv .venv && .venv/bin/pip install --quiet '.[local]'" in shell[0]
    assert shell[1] == ".venv/bin/pip install --quiet '.[local,dev]' && .venv/bin/pytest -q"
