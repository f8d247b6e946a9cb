"""Keys by every source: each reaches its service, and stands in nothing that llmspell writes."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from support.keyrings import keyring
from support.loopback import Loopback, reply
from support.terminal import Done, environment, llmspell, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.loopback import Request

pytestmark = pytest.mark.once
pytest.importorskip("keyring")

#: Each provider's key, which has the shape of no vendor's.
KEYS = {name: f"planted-{name}-9f8e7d6c5b4a" for name in ("byenv", "byfile", "byring", "bycmd", "byheader", "bytwo")}
SCRIPT = """
for _, name in ipairs{ "byenv", "byfile", "byring", "bycmd", "byheader", "bytwo" } do
  local ok, e = pcall(function() return Agent.create{ model = name .. "/m" }:execute("hi") end)
  print(name, ok, e, e.cause, e.hint)
  for key, value in pairs(Config.get("providers." .. name)) do print(key, value) end
end
Agent.create{ model = ARGS[1] .. "/m" }:execute("hi")
"""
CONFIG = """
providers.byenv = {{ {place}, api_key_env = "PLANTED_KEY" }}
providers.byfile = {{ {place}, api_key_file = "{folder}/key" }}
providers.byring = {{ {place}, api_key_keyring = "llmspell/me" }}
providers.bycmd = {{ {place}, api_key_cmd = ["{python}", "-c", "print('{bycmd}')"] }}
providers.byheader = {{ {place}, headers = {{ Authorization = "Bearer {byheader}" }} }}
"""
COMMANDS = (
    "run s.lua -- byenv",
    "run s.lua --traceback -- byfile",
    "run s.lua --output json --traceback -- byring",
    "run s.lua --output jsonl --traceback -- bycmd",
    "run s.lua --stream -- byheader",
    "run s.lua --record run.tape -- bytwo",
    "run s.lua --replay run.tape --traceback -- bytwo",
    "run s.lua --model byring/m --max-cpu 30 -- byring",
    "config show",
    "config show --origin",
    "config show --output json",
    "config show --output jsonl",
    "config show providers.bycmd",
    "config path --output json",
    "config check",
    "config check c.toml --output json",
    "config trust folder",
    "config trust --list",
    "config check bad.toml",
    "config check bad.toml --output json --traceback",
    "run s.lua --config bad.toml --traceback",
    "config show --config bad.toml --output json --traceback",
    "doctor",
    "doctor --output json",
    "providers list",
    "providers list --output json",
    "providers show bycmd",
    "providers show byring --output jsonl",
    "providers check --ask",
    "providers check byring byheader --ask --output json",
    "models list byring",
    "tools run environment_reader name=PLANTED_KEY --traceback",
)


class Planted(NamedTuple):
    """A folder with keys in every place, and the service that gets them."""

    folder: Path
    env: dict[str, str]
    server: Loopback

    def run(self, *words: str) -> Done:
        return llmspell("--config", "c.toml", *words, cwd=self.folder, env=environment(**self.env), seconds=60)


def refuse(request: Request) -> Any:
    """A service that repeats what it was sent."""
    sent = request.headers["authorization"]
    told = json.dumps({"error": {"message": f"no: {sent} ({sent.partition(' ')[2]})", "code": "invalid_api_key"}})
    return reply(told.encode(), 401, {"content-type": "application/json", "x-request-id": "r-1"})


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    folder = tmp_path_factory.mktemp("planted")
    with Loopback([refuse]) as server:
        (folder / "key").write_text(KEYS["byfile"] + "\n")
        (folder / "s.lua").write_text(SCRIPT)
        place = f'type = "openai", base_url = "{server.url}"'
        (folder / "c.toml").write_text(CONFIG.format(folder=folder, place=place, python=sys.executable, **KEYS))
        wrong = f'headers = {{ Authorization = "Bearer {KEYS["byheader"]}\\n" }}\napi_key_env = "{KEYS["byenv"]}"\n'
        (folder / "bad.toml").write_text(f"[providers.openai]\n{wrong}")
        (folder / "folder").mkdir()
        (folder / "folder" / "llmspell.toml").write_text((folder / "c.toml").read_text())
        env = keyring(folder, f"return {KEYS['byring']!r} if (service, username) == ('llmspell', 'me') else None")
        env["PLANTED_KEY"] = KEYS["byenv"]
        for name in ("DATA", "CONFIG", "CACHE"):
            env[f"XDG_{name}_HOME"] = str(folder / name)
        env["LLMSPELL_PROVIDERS__BYTWO__TYPE"] = "openai"
        env["LLMSPELL_PROVIDERS__BYTWO__BASE_URL"] = server.url
        env["LLMSPELL_PROVIDERS__BYTWO__HEADERS"] = f'{{ Authorization = "Bearer {KEYS["bytwo"]}" }}'
        yield Planted(folder, env, server)


@pytest.mark.parametrize("line", COMMANDS)
def test_no_command_writes_a_key_wherever_it_comes_from(planted: Planted, line: str) -> None:
    if "--replay" in line and not (planted.folder / "run.tape").exists():
        planted.run(*COMMANDS[5].split())
    own = {"key", "c.toml", "bad.toml", os.path.join("folder", "llmspell.toml"), "test_keyring_of_ours.py"}
    asked = len(planted.server.requests)
    done = planted.run(*line.split())
    if line.startswith("run ") and "--replay" not in line and "bad.toml" not in line:
        sent = {request.headers["authorization"] for request in planted.server.requests[asked:]}
        assert sent >= {f"Bearer {key}" for key in KEYS.values()}, done
        assert done.code == 4, done
    texts = {"standard output": done.out, "standard error": done.err}
    for path in planted.folder.rglob("*"):
        name = str(path.relative_to(planted.folder))
        if path.is_file() and name not in own and "__pycache__" not in name:
            texts[name] = path.read_bytes()
    assert texts["standard output"] + texts["standard error"], "it says something"
    for where, text in texts.items():
        for name, key in KEYS.items():
            assert key.encode() not in text, f"the key {name} is in {where} of `{line}`"


def test_where_a_key_is_found_is_told(planted: Planted) -> None:
    told = {
        one["name"]: one for one in json.loads(planted.run("providers", "list", "--output", "json").out)["providers"]
    }
    assert told["byenv"]["key"] == {"kind": "variable", "what": "PLANTED_KEY"}
    assert told["byring"]["key"] == {"kind": "keyring", "what": "llmspell/me"}
    assert told["byfile"]["key"] == {"kind": "file", "what": f"{planted.folder}/key"}
    assert told["bycmd"]["key"] == {"kind": "command", "what": sys.executable}
    text = planted.run("doctor").out.decode()
    assert "with the key from the keyring llmspell/me" in text
    assert "with the key in PLANTED_KEY" in text


def test_looking_asks_no_keyring_and_runs_no_command(planted: Planted) -> None:
    asked = planted.folder / "asked"
    asked.unlink(missing_ok=True)
    for line in ("config show --origin", "config check", "doctor", "providers list", "providers check byring"):
        planted.run(*line.split())
    assert not asked.exists()


# The keyring


def ask(
    folder: Path, does: str | None, *, setting: str = 'api_key_keyring = "a/b/me"', **env: str
) -> tuple[Done, Loopback]:
    """One call of a model whose key is in a keyring that *does* that; None: where keyrings cannot be read."""
    (folder / "s.lua").write_text("print(Agent.create{ model = 'mine/m' }:execute('hi').text)")
    with Loopback([refuse]) as server:
        text = f'[providers.mine]\ntype = "openai"\nbase_url = "{server.url}"\n{setting}\n'
        (folder / "c.toml").write_text(text)
        if does is None:
            (folder / "keyring.py").write_text("raise ImportError('there is none')")
            env["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        else:
            env |= keyring(folder, does)
        return llmspell("--config", "c.toml", "run", "s.lua", cwd=folder, env=environment(**env)), server


def test_a_key_in_the_keyring_is_asked_for_once_and_by_its_entry(tmp_path: Path) -> None:
    done, server = ask(tmp_path, "return ' key-of-the-keyring\\n'")
    assert server.requests[0].headers["authorization"] == "Bearer key-of-the-keyring"
    assert json.loads((tmp_path / "asked").read_text().splitlines()[0]) == ["a/b", "me"]
    assert b"key-of-the-keyring" not in done.out + done.err


def test_a_variable_wins_over_the_keyring(tmp_path: Path) -> None:
    _, server = ask(tmp_path, "return 'other'", MINE_API_KEY="of-the-variable")
    assert server.requests[0].headers["authorization"] == "Bearer of-the-variable"
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("does", "code", "words"),
    [
        (None, 3, "`pip install 'llmspell[keyring]'`"),
        ("return None", 4, "the keyring has no key of mine under `a/b/me`"),
        ("return '  '", 4, "the keyring has no key of mine under `a/b/me`"),
        ("raise RuntimeError('it is\\nlocked')", 4, "did not give the key of mine: RuntimeError: it is locked"),
        ("raise keyring.errors.KeyringLocked('shut')", 4, "did not give the key of mine: KeyringLocked: shut"),
    ],
)
def test_a_keyring_that_gives_no_key_is_an_error_that_says_what_to_do(
    tmp_path: Path, does: str | None, code: int, words: str
) -> None:
    done, server = ask(tmp_path, does)
    assert words in done.err.decode()
    assert done.code == code
    assert server.requests == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_keyring_that_waits_for_a_person_is_left_when_the_run_is_stopped(
    tmp_path: Path, number: int, code: int
) -> None:
    os.mkfifo(tmp_path / "here")
    (tmp_path / "s.lua").write_text("print(pcall(function() Agent.create{ model = 'mine/m' }:execute('hi') end))")
    (tmp_path / "c.toml").write_text(
        '[providers.mine]\ntype = "openai"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_keyring = "a/me"\n'
    )
    env = environment(**keyring(tmp_path, f"open({str(tmp_path / 'here')!r}, 'w').close(); time.sleep(600)"))
    process = start("--config", "c.toml", "run", "s.lua", cwd=tmp_path, env=env)
    (tmp_path / "here").read_bytes()  # until the keyring is asked
    process.send_signal(number)
    out, _ = process.communicate(timeout=15)
    assert (process.returncode, out) == (code, b"")


@pytest.mark.parametrize("entry", ["sk-0123456789", "/me", "me/", "a/b\\n", ""])
def test_what_is_no_entry_is_refused_and_not_repeated(tmp_path: Path, entry: str) -> None:
    done, _ = ask(tmp_path, "return 'x'", setting=f'api_key_keyring = "{entry}"')
    assert done.code == 3
    assert "c.toml:4:1: `providers.mine.api_key_keyring`: expected an entry" in done.err.decode()
    assert "sk-0123" not in done.err.decode()


def test_doctor_says_that_keyrings_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmspell.cli.checks import models, probes
    from llmspell.config.loader import load

    (tmp_path / "c.toml").write_text('[providers.openai]\napi_key_keyring = "a/me"\n')
    config = load(script_dir=None, config_file=str(tmp_path / "c.toml"), env={}, flags={})
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    found = {check.name: check for check in models.models(config, {}, probes.Found({}, "not installed"))}
    assert found["provider.openai"].state == "warning"
    assert found["provider.openai"].hint == "`pip install 'llmspell[keyring]'`"


def test_providers_check_says_that_keyrings_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    from llmspell.cli.commands import providers

    (tmp_path / "c.toml").write_text('[providers.openai]\napi_key_keyring = "a/me"\n')
    monkeypatch.setattr(providers, "find_spec", lambda name: None)
    assert providers.check(["openai"], {"config": str(tmp_path / "c.toml")}) == 3
    assert b"`pip install 'llmspell[keyring]'`" in capsysbinary.readouterr().out


async def test_a_keyring_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it says when nobody waits any more harms nobody."""
    from threading import Event
    from types import SimpleNamespace

    from llmspell.errors import AuthError
    from llmspell.providers import keys

    late = Event()
    slow = SimpleNamespace(get_password=lambda service, user: late.wait(10) and "key")
    monkeypatch.setitem(sys.modules, "keyring", slow)
    with pytest.raises(AuthError, match=r"has not given the key of mine within 0\.01 s: `a/me`"):
        await keys.from_keyring("a/me", "mine", 0.01)
    late.set()
