"""What the command line says of the embedded model's weights that are damaged, or find no room. Fetches nothing."""

from __future__ import annotations

import json
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.terminal import COMMAND, Done, environment, llmspell
from support.weights import needs_engine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file that begins as weights do, and goes on as nothing does."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + b"x" * 200_000)
    return path


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(LLMSPELL_CACHE_DIR=str(tmp_path / "cache"))


def test_a_disk_without_room_for_the_weights(damaged: Path, env: dict[str, str], tmp_path: Path) -> None:
    def pull(*words: str) -> Done:
        shell = 'ulimit -f 32; exec "$@"'  # files of at most 16 or 32 KB, which stands for a disk that is full
        command = ["sh", "-c", shell, "sh", *COMMAND, "models", "pull", *words, str(damaged)]
        done = subprocess.run(command, capture_output=True, env=env, timeout=30)
        return Done(done.returncode, done.stdout, done.stderr)

    done = pull()
    lines = done.err.decode().splitlines()
    assert (done.code, done.out) == (4, b"")
    assert lines[0].startswith(f"error[provider]: no space left for the model in {tmp_path / 'cache'}")
    assert lines[1] == "hint: free some space, or set LLMSPELL_CACHE_DIR to a folder that has it"
    assert json.loads(pull("--output", "json").err)["error"]["kind"] == "provider"
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.name != ".lock"]
    assert left == []


@needs_engine
def test_damaged_weights_are_named(damaged: Path, env: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "s.lua"
    script.write_text("print(Agent.create{}:execute('hi').text)")
    pulled = llmspell("models", "pull", str(damaged), env=env)
    assert (pulled.code, pulled.err) == (0, b"")
    kept = pulled.out.decode().strip()
    assert kept == str(tmp_path / "cache" / "models" / "mine.gguf")
    for model, path in (("local/mine", kept), (str(damaged), str(damaged))):
        done = llmspell("run", "--model", model, str(script), env=env)
        lines = done.err.decode().splitlines()
        assert (done.code, done.out) == (1, b"")
        assert lines[0].startswith(f"error[validation]: the model file {path} cannot be loaded")
        assert lines[-1].startswith("hint: fetch or copy it again")


def test_a_file_that_is_no_model_is_not_taken(env: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "text.gguf"
    other.write_text("no weights")
    done = llmspell("models", "pull", str(other), env=env)
    assert (done.code, done.out) == (1, b"")
    assert done.err.decode().startswith(f"error[validation]: {other} is not a GGUF file\nhint: ")
