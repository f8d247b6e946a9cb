"""`llmspell models`: what there is, fetching with progress, removing; in a pipe and on a terminal."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from support.loopback import STALL, Gate, Loopback, reply
from support.terminal import Terminal, environment, llmspell, start
from support.weights import gguf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

TAGS = {
    "models": [
        {
            "name": "qwen3:8b",
            "size": 5_225_388_164,
            "details": {"family": "qwen3", "parameter_size": "8.2B", "quantization_level": "Q4_K_M"},
        },
        {"name": "evil\x1b[2J\u202e", "size": 1_000_000},
    ]
}
MODEL = {"general.architecture": "llama", "llama.context_length": 8192, "general.size_label": "135M"}


def answers(value: Any, status: int = 200) -> list[Any]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return reply(body, status, {"content-type": "application/json"}, sized=True)


def steps(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() + b"\n" for value in values]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The models folder, with two models and what else lies there."""
    made = tmp_path / "cache" / "models"
    made.mkdir(parents=True)
    (made / "tiny.gguf").write_bytes(gguf(MODEL))
    (made / "other.gguf").write_bytes(gguf({}) + bytes(2_000_000))
    (made / "other.gguf.LICENSE.txt").write_text("a licence")
    (made / ".fetch-x.gguf").write_bytes(b"half")
    (made / ".lock").write_bytes(b"")
    return made


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(LLMSPELL_CACHE_DIR=str(tmp_path / "cache"), OLLAMA_HOST="127.0.0.1:9")


def at(server: Loopback, env: dict[str, str]) -> dict[str, str]:
    """*env*, with an Ollama at *server*."""
    return env | {"OLLAMA_HOST": server.url.removesuffix("/v1")}


# ---- list


def test_the_files_that_are_here_are_listed(folder: Path, env: dict[str, str]) -> None:
    done = llmspell("models", "list", env=env)
    assert (done.code, done.err) == (0, b"")
    other, tiny = done.out.decode().splitlines()
    assert other.split() == ["local/other", "2", "MB", str(folder / "other.gguf")]
    assert tiny.split() == [
        "local/tiny",
        str((folder / "tiny.gguf").stat().st_size),
        "B",
        "135M",
        "8192",
        str(folder / "tiny.gguf"),
    ]
    assert other.index("/cache/") == tiny.index("/cache/")  # columns


def test_a_list_for_programs(folder: Path, env: dict[str, str]) -> None:
    done = llmspell("models", "list", "--output", "json", env=env)
    told = json.loads(done.out)
    assert (done.code, told["errors"]) == (0, [])
    assert [model["name"] for model in told["models"]] == ["local/other", "local/tiny"]
    assert told["models"][1]["details"] == {
        "architecture": "llama",
        "context": 8192,
        "parameters": "135M",
        "path": str(folder / "tiny.gguf"),
        "size": (folder / "tiny.gguf").stat().st_size,
        "tools": False,
    }
    events = [json.loads(line) for line in llmspell("models", "list", "--output", "jsonl", env=env).out.splitlines()]
    assert [event["event"] for event in events] == ["model", "model", "result"]


def test_where_nothing_is_here_a_person_is_told_what_to_do(env: dict[str, str]) -> None:
    done = llmspell("models", "list", env=env)
    assert (done.code, done.out) == (0, b"")
    assert b"`llmspell models pull` fetches" in done.err
    assert json.loads(llmspell("models", "list", "--output", "json", env=env).out)["models"] == []


def test_a_service_is_asked_only_where_it_is_named(folder: Path, env: dict[str, str]) -> None:
    with Loopback([answers(TAGS)]) as server:
        assert llmspell("models", "list", env=at(server, env)).code == 0
        assert server.requests == []
        done = llmspell("models", "list", "ollama", env=at(server, env))
        every = llmspell("models", "list", "--all", "--output", "json", env=at(server, env))
    assert (done.code, done.err) == (0, b"")
    first, second = done.out.decode().splitlines()
    assert first.split() == ["ollama/qwen3:8b", "5.2", "GB", "8.2B", "Q4_K_M", "qwen3"]
    assert second.startswith("ollama/evil [2J")
    assert b"\x1b" not in done.out
    names = [model["name"] for model in json.loads(every.out)["models"]]
    assert {"ollama/qwen3:8b", "local/tiny"} <= set(names)


def test_one_that_does_not_run_is_an_error_alone_and_a_note_among_all(folder: Path, env: dict[str, str]) -> None:
    done = llmspell("models", "list", "ollama", env=env)
    assert (done.code, done.out) == (4, b"")
    assert done.err.startswith(b"error[network]: Ollama is not running at http://127.0.0.1:9\n")
    assert b"`ollama serve`" in done.err
    every = llmspell("models", "list", "--all", env=env)
    assert every.code == 0
    assert len(every.out.splitlines()) == 2
    assert every.err == b"ollama: Ollama is not running at http://127.0.0.1:9\n"
    told = json.loads(llmspell("models", "list", "--all", "--output", "json", env=env).out)
    assert [(error["provider"], error["kind"]) for error in told["errors"]] == [("ollama", "network")]


def test_a_signal_ends_the_wait_for_a_server(env: dict[str, str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with Loopback([[STALL]]) as server, start("models", "list", "ollama", env=at(server, env)) as process:
            server.wait_requests(1)
            process.send_signal(number)
            out, err = process.communicate(timeout=15)
            server.connections[0].wait_closed()
        assert (process.returncode, out) == (128 + number, b"")
        assert err.startswith(b"error[cancelled]: stopped")


def test_on_a_terminal_a_list_has_a_head(folder: Path, env: dict[str, str]) -> None:
    with Terminal(["models", "list"], env=env, size=(200, 24)) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines[0].split() == ["model", "size", "parameters", "context", "path"]
        assert len(terminal.lines) == 3
        terminal.assert_as_before()


def test_an_unknown_provider_is_told_with_the_nearest(env: dict[str, str]) -> None:
    done = llmspell("models", "list", "olama", env=env)
    assert done.code == 3
    assert b"did you mean `ollama`?" in done.err


# ---- show


def test_what_is_known_of_a_model(folder: Path, env: dict[str, str]) -> None:
    shown = {"model_info": {"general.architecture": "q", "q.context_length": 40960}, "capabilities": ["tools"]}
    with Loopback([answers(shown), answers({"error": "model 'no' not found"}, 404)]) as server:
        local = llmspell("models", "show", "tiny", "--output", "json", env=env)
        ollama = llmspell("models", "show", "ollama/qwen3", env=at(server, env))
        missing = llmspell("models", "show", "ollama/no", env=at(server, env))
    assert json.loads(local.out)["details"]["context"] == 8192
    assert ollama.out.decode() == "ollama/qwen3\n  context: 40960\n  capabilities: tools\n"
    assert missing.code == 4
    assert b"`llmspell models pull ollama/no` fetches it" in missing.err
    other = llmspell("models", "show", "openai/gpt-4o-mini", "--output", "json", env=env)
    assert json.loads(other.out)["capabilities"]["supports_streaming"] is True


# ---- pull

PULL = (
    {"status": "pulling manifest"},
    {"status": "pulling aa", "digest": "aa", "total": 4_000_000, "completed": 1_000_000},
)
END = ({"status": "pulling aa", "digest": "aa", "total": 4_000_000, "completed": 4_000_000}, {"status": "success"})


def test_a_pull_in_a_pipe_is_two_lines_and_the_name(env: dict[str, str]) -> None:
    with Loopback([reply(steps(*PULL, *END))]) as server:
        done = llmspell("models", "pull", "ollama/qwen3", env=at(server, env))
        program = llmspell("models", "pull", "ollama/qwen3", "--output", "json", env=at(server, env))
    assert (done.code, done.out) == (0, b"ollama/qwen3\n")
    assert done.err == b"fetching ollama/qwen3 (4 MB)\nfetched 4 MB\n"
    assert json.loads(program.out) == {"model": "ollama/qwen3"}


def test_a_pull_on_a_terminal_has_a_bar_and_leaves_none(env: dict[str, str]) -> None:
    gate = Gate()
    first, end = reply(steps(*PULL))[:-1], reply(steps(*END))[1:]
    command = ["models", "pull", "ollama/qwen3"]
    with Loopback([[*first, gate, *end]]) as server, Terminal(command, env=at(server, env)) as terminal:
        terminal.until(lambda: bool(re.search(r"fetching ollama/qwen3 .*1\.0/4\.0 MB", terminal.text)))
        assert terminal.screen.cursor.hidden
        terminal.keys(b"typed meanwhile\r")
        terminal.until_queued(len("typed meanwhile\n"))
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines == ["fetched 4 MB", "ollama/qwen3"]
        terminal.assert_as_before()


def test_ctrl_c_ends_a_pull_and_its_connection(env: dict[str, str]) -> None:
    plan = [*reply(steps(*PULL))[:-1], STALL]
    command = ["models", "pull", "ollama/qwen3"]
    with Loopback([plan]) as server, Terminal(command, env=at(server, env)) as terminal:
        terminal.until("1.0/4.0 MB")
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert "fetched" not in terminal.text
        assert "stopped" in terminal.text
        assert "4.0 MB" not in terminal.text
        terminal.assert_as_before()


def test_ctrl_c_while_a_file_is_taken_leaves_nothing_half(tmp_path: Path, env: dict[str, str]) -> None:
    import fcntl
    import os

    folder = tmp_path / "cache" / "models"
    folder.mkdir(parents=True)
    big = tmp_path / "big.gguf"
    big.write_bytes(gguf(MODEL) + bytes(3_000_000))
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # as another process that fetches: this one waits, and is stopped
        with start("models", "pull", str(big), env=env) as process:
            assert process.stderr is not None
            assert b"waiting for it" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=15)
    finally:
        os.close(handle)
    assert process.returncode == 130
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]


@pytest.mark.parametrize(
    ("word", "code", "message", "hint"),
    [
        ("llama3", 1, "error[validation]: `llama3` is nothing that can be fetched", "`ollama/llama3` for your Ollama"),
        ("openai/gpt-4o", 1, "error[not_supported]: models of openai cannot be pulled", "models list openai"),
        ("groq/llama", 1, "error[not_supported]: models of groq cannot be pulled", "models list groq"),
        ("no/such.gguf", 1, "error[not_found]: no file ", "name a .gguf file"),
        ("ollama/qwen3", 4, "error[network]: Ollama is not running at http://127.0.0.1:9", "`ollama serve`"),
    ],
)
def test_what_cannot_be_pulled_says_why(word: str, code: int, message: str, hint: str, env: dict[str, str]) -> None:
    done = llmspell("models", "pull", word, env=env)
    assert (done.code, done.out) == (code, b"")
    assert done.err.decode().startswith(message)
    assert hint in done.err.decode()


def test_a_model_that_the_library_has_not(env: dict[str, str]) -> None:
    error = {"error": "pull model manifest: file does not exist"}
    with Loopback([reply(steps(PULL[0], error))]) as server:
        done = llmspell("models", "pull", "ollama/nope", env=at(server, env))
    assert done.code == 4
    assert done.err.startswith(b"error[not_found]: ollama finds no model nope to fetch\n")


# ---- rm


def test_a_file_is_removed_with_what_lies_beside_it(folder: Path, env: dict[str, str]) -> None:
    done = llmspell("models", "rm", "local/other", env=env)
    assert (done.code, done.out, done.err) == (0, b"removed local/other (2 MB)\n", b"")
    assert sorted(path.name for path in folder.iterdir()) == [".fetch-x.gguf", ".lock", "tiny.gguf"]
    again = llmspell("models", "rm", "other", env=env)
    assert (again.code, again.out) == (1, b"")
    program = llmspell("models", "rm", "tiny.gguf", "--output", "json", env=env)
    assert json.loads(program.out)["removed"] == "local/tiny"


def test_an_unknown_model_is_told_with_the_nearest(folder: Path, env: dict[str, str]) -> None:
    done = llmspell("models", "rm", "tny", env=env)
    assert done.err == b"error[not_found]: no local model tny\nhint: did you mean `tiny`?\n"
    with Loopback([answers({"error": "model 'qwen' not found"}, 404), answers(TAGS)]) as server:
        done = llmspell("models", "rm", "ollama/qwen", env=at(server, env))
    assert done.code == 4
    assert b"did you mean `ollama/qwen3:8b`?" in done.err


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", ".fetch-x", "~/x", "sub/x", "local/../../x.gguf"])
def test_nothing_outside_of_the_folder_is_removed(name: str, folder: Path, env: dict[str, str]) -> None:
    (folder.parent / "secret.gguf").write_bytes(b"GGUF")
    before = sorted(folder.parent.rglob("*"))
    done = llmspell("models", "rm", "--yes", name, env=env)
    assert done.code in (1, 6)
    assert done.err.startswith((b"error[permission]", b"error[not_found]"))
    assert sorted(folder.parent.rglob("*")) == before


def test_on_a_terminal_it_asks(folder: Path, env: dict[str, str]) -> None:
    size = (folder / "tiny.gguf").stat().st_size
    with Terminal(["models", "rm", "tiny"], env=env) as terminal:
        terminal.until(f"remove local/tiny ({size} B)? [y/N]")
        terminal.keys(b"n\n")
        assert terminal.wait() == 1
        assert terminal.lines[-1] == "nothing was removed"
    assert (folder / "tiny.gguf").exists()
    with Terminal(["models", "rm", "tiny"], env=env) as terminal:
        terminal.until("[y/N]")
        terminal.interrupt()
        assert terminal.wait() == 130
    assert (folder / "tiny.gguf").exists()
    with Terminal(["models", "rm", "tiny"], env=env) as terminal:
        terminal.until("[y/N]")
        terminal.keys(b"y\n")
        assert terminal.wait() == 0
        assert terminal.lines[-1] == f"removed local/tiny ({size} B)"
    with Terminal(["models", "rm", "--yes", "other"], env=env) as terminal:
        assert terminal.wait() == 0
        assert terminal.lines == ["removed local/other (2 MB)"]


def test_a_model_of_an_ollama_is_removed_there(env: dict[str, str]) -> None:
    with Loopback([answers(b"")]) as server:
        done = llmspell("models", "rm", "ollama/qwen3:8b", env=at(server, env))
        assert (server.requests[0].method, server.requests[0].json["model"]) == ("DELETE", "qwen3:8b")
    assert (done.code, done.out) == (0, b"removed ollama/qwen3:8b\n")
