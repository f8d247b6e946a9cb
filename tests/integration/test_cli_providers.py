"""`llmspell providers`, as its process is seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support.loopback import Loopback

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

KEY = "sk-secret-of-nobody"


def llmspell(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ
    } | {"HOME": str(folder)}
    command = [sys.executable, "-m", "llmspell", "providers", *words]
    return subprocess.run(
        command, env=own | env, cwd=folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )


def models(value: Any, status: int = 200) -> list[bytes]:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return [head.encode() + body]


def test_list(tmp_path: Path) -> None:
    done = llmspell(tmp_path, "list", "--output", "json", OPENAI_API_KEY=KEY, GROQ_API_KEY=KEY)
    told = {one["name"]: one for one in json.loads(done.stdout)["providers"]}
    assert told["openai"]["key"] == {"kind": "variable", "what": "OPENAI_API_KEY"}
    assert told["openai"]["default"]
    assert "groq" in told
    assert KEY not in done.stdout + done.stderr
    text = llmspell(tmp_path, "list", OPENAI_API_KEY=KEY).stdout
    assert "*  openai" in text
    assert "\x1b" not in text


def test_show(tmp_path: Path) -> None:
    done = llmspell(tmp_path, "show", "anthropic", "claude-x", ANTHROPIC_API_KEY=KEY)
    assert "https://api.anthropic.com" in done.stdout
    assert "claude-x" in done.stdout
    assert KEY not in done.stdout
    assert llmspell(tmp_path, "show", "nobody\x1b[31m").returncode == 3


def test_check(tmp_path: Path) -> None:
    assert llmspell(tmp_path, "check").returncode == 0
    assert llmspell(tmp_path, "check", "openai").returncode == 3
    with Loopback([models({"data": [{"id": "a"}]}), models({"error": {"message": KEY}}, 401)]) as server:
        env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY}
        good = llmspell(tmp_path, "check", "openai", "--ask", **env)
        bad = llmspell(tmp_path, "check", "openai", "--ask", **env)
    assert (good.returncode, bad.returncode) == (0, 4)
    assert "1 models" in good.stdout
    assert "answered 401" in bad.stdout
    assert KEY not in bad.stdout + bad.stderr


def test_an_ollama_that_is_named_is_asked_though_no_model_of_it_is_set(tmp_path: Path) -> None:
    with Loopback([models({"models": [{"name": "a"}]})]) as server:
        env = {"OLLAMA_HOST": server.url.removesuffix("/v1")}
        assert llmspell(tmp_path, "check", "--ask", **env).returncode == 0
        assert server.requests == []
        done = llmspell(tmp_path, "check", "ollama", "--ask", **env)
    assert (done.returncode, done.stdout.split()[0]) == (0, "ok")
    assert "1 models" in done.stdout
    gone = llmspell(tmp_path, "check", "ollama", "--ask", **env)
    assert (gone.returncode, gone.stdout.split()[0]) == (4, "failed")
