"""The configuration: what wins, what is refused, and that an error names its place."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.bridge.runtime import ScriptRuntime
from llmspell.config import discovery, files, loader, schema
from llmspell.config.loader import load
from llmspell.config.positions import line_and_column, positions
from llmspell.errors import ConfigError, LimitError, ValidationError
from support.places import Place, place, refused

pytestmark = pytest.mark.once
__all__ = ["place"]


# What was found before is not taken for what is there now


def test_a_look_at_a_process_s_own_surroundings_sees_what_has_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeout() -> tuple[float, str]:
        config = load(script_dir=None, config_file=None, env=os.environ, flags={})
        return config.get("runtime.timeout"), config.origin("runtime.timeout")

    monkeypatch.setattr(loader, "_known", None)
    for name in [name for name in os.environ if name.startswith("LLMSPELL_") or name == "OPENAI_BASE_URL"]:
        monkeypatch.delenv(name)
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    usual = timeout()
    assert usual[1] == "default"
    assert timeout() == usual

    monkeypatch.setenv("LLMSPELL_RUNTIME__TIMEOUT", "7")
    assert timeout() == (7, "environment LLMSPELL_RUNTIME__TIMEOUT")
    monkeypatch.setenv("LLMSPELL_RUNTIME__TIMEOUT", "8")
    assert timeout()[0] == 8
    monkeypatch.delenv("LLMSPELL_RUNTIME__TIMEOUT")
    assert timeout() == usual

    place.user.write_text("[runtime]\ntimeout = 9")
    assert timeout()[0] == 9
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.cwd / "elsewhere"))
    assert timeout() == usual
    monkeypatch.setenv("XDG_CONFIG_HOME", place.env["XDG_CONFIG_HOME"])
    place.user.unlink()
    assert timeout() == usual

    (place.cwd / "llmspell.toml").write_text("[runtime]\ntimeout = 5")
    assert timeout()[0] == 5
    monkeypatch.chdir(place.cwd.parent)
    assert timeout() == usual


# What wins


def test_the_defaults_are_the_documented_ones(place: Place) -> None:
    config = place.load()
    assert config.get("runtime.timeout") == 300.0
    assert config.get("runtime.max_cpu") == 0.0
    assert config.get("runtime.interrupts") == "tick"
    assert config.get("runtime.max_memory") == 256 * 1024 * 1024
    assert config.get("runtime.max_output") == 64 * 1024 * 1024
    assert config.get("runtime.max_concurrency") == 1024
    assert config.get("providers.default") == "auto"
    assert config.get("providers.openai.timeout.idle") == 30.0
    assert config.origin("runtime.timeout") == "default"
    assert config.files == ()
    retry = {"attempts": 4, "base": 0.5, "max": 30.0, "budget": 60.0}
    network = {"proxy": None, "ca_file": None, "client_cert": None, "http2": False}
    timeout = {"connect": 5.0, "first_token": 60.0, "idle": 30.0, "total": 600.0}
    assert list(config.providers().items()) == [
        (
            "openai",
            {
                "type": "openai",
                "base_url": "https://api.openai.com/v1",
                "api_key_env": "OPENAI_API_KEY",
                "api_key_file": None,
                "api_key_cmd": None,
                "api_key_keyring": None,
                "model": "gpt-4o-mini",
                "headers": {},
                **network,
                "prices": {},
                "timeout": timeout,
                "retry": retry,
            },
        ),
        (
            "anthropic",
            {
                "type": "anthropic",
                "base_url": "https://api.anthropic.com",
                "api_key_env": "ANTHROPIC_API_KEY",
                "api_key_file": None,
                "api_key_cmd": None,
                "api_key_keyring": None,
                "model": "claude-haiku-4-5",
                "headers": {},
                **network,
                "prices": {},
                "timeout": timeout,
                "retry": retry,
            },
        ),
        (
            "gemini",
            {
                "type": "gemini",
                "base_url": "https://generativelanguage.googleapis.com/v1beta",
                "api_key_env": "GEMINI_API_KEY",
                "api_key_file": None,
                "api_key_cmd": None,
                "api_key_keyring": None,
                "model": "gemini-2.5-flash-lite",
                "headers": {},
                **network,
                "prices": {},
                "timeout": timeout,
                "retry": retry,
            },
        ),
        (
            "ollama",
            {
                "type": "ollama",
                "base_url": "http://localhost:11434",
                "api_key_env": None,
                "api_key_file": None,
                "api_key_cmd": None,
                "api_key_keyring": None,
                "model": None,
                "headers": {},
                **network,
                "prices": {},
                "timeout": timeout,
                "retry": retry,
            },
        ),
        (
            "local",
            {
                "type": "local",
                "model": "smollm2-135m-instruct",
                "timeout": {"total": 600.0},
                "path": None,
                "pull": "auto",
                "threads": None,
                "context": 4096,
                "slots": 2,
            },
        ),
    ]


def test_each_layer_wins_over_the_one_before_it_and_origin_tells_which(place: Place) -> None:
    place.system.write_text("[runtime]\ntimeout = 90\n")
    assert place.load().origin("runtime.timeout") == f"{place.system}:2"
    place.user.write_text("# mine\n\nruntime.timeout = 80.5\n")
    config = place.load()
    assert (config.get("runtime.timeout"), config.origin("runtime.timeout")) == (80.5, f"{place.user}:3")
    project = place.stranger("runtime = { timeout = 70 }\n")
    config = place.load()
    assert (config.get("runtime.timeout"), config.origin("runtime.timeout")) == (70.0, f"{project}:1")
    assert config.files == (str(place.system), str(place.user), str(project))
    named = place.cwd / "named.toml"
    named.write_text("[runtime]\ntimeout = 900\n")
    config = place.load(config=named)
    assert (config.get("runtime.timeout"), config.origin("runtime.timeout")) == (900.0, f"{named}:2")
    assert str(project) not in config.files, "--config stands instead of the project's file"
    env = {"LLMSPELL_RUNTIME__TIMEOUT": "1000"}
    config = place.load(config=named, env=env)
    assert config.get("runtime.timeout") == 1000.0
    assert config.origin("runtime.timeout") == "environment LLMSPELL_RUNTIME__TIMEOUT"
    config = place.load(config=named, env=env, flags={"runtime.timeout": 5, "runtime.max_memory": None})
    assert (config.get("runtime.timeout"), config.origin("runtime.timeout")) == (5.0, "flag")
    assert config.origin("runtime.max_memory") == "default"


def test_the_script_s_folder_is_searched_upwards_before_the_working_folder(place: Place) -> None:
    (place.cwd.parent / "llmspell.toml").write_text("[runtime]\nmax_concurrency = 2\n")
    assert place.load().get("runtime.max_concurrency") == 2
    place.stranger("[runtime]\nmax_concurrency = 3\n")
    assert place.load().get("runtime.max_concurrency") == 3
    assert place.load(script=False).get("runtime.max_concurrency") == 2
    (place.project / "llmspell.toml").write_text("[runtime]\nmax_concurrency = 4\n")
    assert place.load().get("runtime.max_concurrency") == 4


def test_a_folder_named_as_the_file_is_passed_over(place: Place) -> None:
    (place.project / "llmspell.toml").mkdir()
    place.stranger("[runtime]\nmax_concurrency = 3\n")
    assert place.load().get("runtime.max_concurrency") == 3


def test_a_working_folder_that_is_gone_is_no_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    assert place.load(script=False).files == ()


@pytest.mark.parametrize(
    ("platform", "env", "path"),
    [
        ("linux", {"HOME": "/home/u"}, "/home/u/.config/llmspell/config.toml"),
        ("linux", {"HOME": "/home/u", "XDG_CONFIG_HOME": "/x"}, "/x/llmspell/config.toml"),
        ("linux", {"HOME": "/home/u", "XDG_CONFIG_HOME": "x"}, "/home/u/.config/llmspell/config.toml"),
        ("linux", {}, None),
        ("darwin", {"HOME": "/Users/u"}, "/Users/u/Library/Application Support/llmspell/config.toml"),
        ("win32", {"APPDATA": "/r"}, "/r/llmspell/config.toml"),
        ("win32", {}, None),
    ],
)
def test_the_user_s_file_is_where_the_platform_keeps_such(platform: str, env: dict[str, str], path: str | None) -> None:
    assert discovery.user_file(env, platform) == path


def test_the_system_s_file_is_where_the_platform_keeps_such() -> None:
    assert discovery.system_file({}, "linux") == "/etc/llmspell/config.toml"
    assert discovery.system_file({}, "darwin") == "/Library/Application Support/llmspell/config.toml"
    assert discovery.system_file({"PROGRAMDATA": "/d"}, "win32") == "/d/llmspell/config.toml"


# Providers


def test_a_provider_of_one_s_own_comes_after_the_built_in_ones(place: Place) -> None:
    place.user.write_text(
        '[providers.lm-studio]\ntype = "openai"\nbase_url = "http://localhost:1234/v1/"\n'
        'headers = { X-Team = "a" }\ntimeout = { idle = 5 }\n[providers.openai]\nmodel = "gpt-5"\n'
    )
    providers = place.load().providers()
    assert list(providers) == ["openai", "anthropic", "gemini", "ollama", "local", "lm-studio"]
    assert providers["openai"]["model"] == "gpt-5"
    own = providers["lm-studio"]
    assert own["base_url"] == "http://localhost:1234/v1"
    assert own["headers"] == {"X-Team": "a"}
    assert own["timeout"] == {"connect": 5.0, "first_token": 60.0, "idle": 5.0, "total": 600.0}
    assert own["model"] is None
    assert own["api_key_env"] is None, "another vendor's key must not go to an address of one's own"


def test_what_is_read_from_a_configuration_cannot_change_it(place: Place) -> None:
    place.load().providers()["openai"]["headers"]["X-A"] = "1"
    assert place.load().providers()["openai"]["headers"] == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[providers.mine]\nbase_url = "http://h/"\n', "2:1: provider `mine` has no `type`"),
        ('[providers.mine]\ntype = "openai"\n', "2:1: provider `mine` has no `base_url`"),
        ("[providers.mine]\n", "1:12: `providers.mine` is empty"),
        ('[providers."My Own"]\ntype = "openai"\n', "1:12: `providers.My Own` is no name for a provider"),
        (
            '[providers.openai]\npull = "never"\n',
            '2:1: `providers.openai.pull` is of type "local", the provider of type "openai"',
        ),
        ('[providers]\ndefault = "opnai"\n', "2:1: unknown provider `opnai`"),
        ("[providers.openai]\ntimeout = 30\n", "2:1: `providers.openai.timeout`: expected a table"),
        ("providers = 3\n", "1:1: `providers`: expected a table"),
    ],
)
def test_a_provider_that_cannot_work_is_an_error_at_its_place(place: Place, text: str, words: str) -> None:
    place.user.write_text(text)
    assert refused(place).message == f"{place.user}:{words}"


def test_the_environment_reaches_providers(place: Place) -> None:
    place.user.write_text('[providers.lm-studio]\ntype = "openai"\nbase_url = "http://h/v1"\n')
    config = place.load(
        env={
            "LLMSPELL_PROVIDERS__OPENAI__TIMEOUT__CONNECT": "0.5",
            "LLMSPELL_PROVIDERS__LM_STUDIO__MODEL": "m",
            "LLMSPELL_PROVIDERS__OPENAI__HEADERS": '{ X-Team = "b" }',
            "LLMSPELL_PROVIDERS__NEW__TYPE": "openai",
            "LLMSPELL_PROVIDERS__NEW__BASE_URL": "http://new",
            "LLMSPELL_PROVIDERS__DEFAULT": "new",
            "LLMSPELL_PROVIDERS__LOCAL__MODEL": "",
        }
    )
    providers = config.providers()
    assert list(providers) == ["openai", "anthropic", "gemini", "ollama", "local", "lm-studio", "new"]
    assert providers["openai"]["timeout"]["connect"] == 0.5
    assert providers["openai"]["headers"] == {"X-Team": "b"}
    assert providers["lm-studio"]["model"] == "m"
    assert providers["local"]["model"] == "smollm2-135m-instruct", "set to nothing is not set"
    assert config.get("providers.default") == "new"


def test_the_vendor_s_own_variable_gives_the_address_and_ours_wins_over_it(place: Place) -> None:
    place.user.write_text('[providers.openai]\nbase_url = "http://file/v1"\n')
    env = {"OPENAI_BASE_URL": "http://vendor/v1", "OPENAI_API_KEY": "sk-secret-1"}
    config = place.load(env=env)
    assert config.get("providers.openai.base_url") == "http://vendor/v1"
    assert config.origin("providers.openai.base_url") == "environment OPENAI_BASE_URL"
    assert "sk-secret-1" not in repr(config) + repr(config.providers()), "keys are not read into the configuration"
    config = place.load(env=env | {"LLMSPELL_PROVIDERS__OPENAI__BASE_URL": "http://ours/v1"})
    assert config.get("providers.openai.base_url") == "http://ours/v1"


def test_variables_of_llmspell_s_own_are_no_keys(place: Place) -> None:
    place.load(env=dict.fromkeys(set(schema.OWN_VARIABLES) - {schema.PROFILE_VARIABLE}, "1"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("LLMSPELL_RUNTIME__TIMOUT", "LLMSPELL_RUNTIME__TIMEOUT"),
        ("LLMSPELL_RUNTIME_TIMEOUT", "LLMSPELL_RUNTIME__TIMEOUT"),
        ("LLMSPELL_PROVIDERS__OPENAI__BASEURL", "LLMSPELL_PROVIDERS__OPENAI__BASE_URL"),
        ("LLMSPELL_NO_EXTENSION", "LLMSPELL_NO_EXTENSIONS"),
        ("LLMSPELL_", "LLMSPELL_"),
        ("LLMSPELL_PROVIDERS__A.B__MODEL", "LLMSPELL_"),
    ],
)
def test_an_unknown_variable_is_an_error_with_the_nearest_known(place: Place, name: str, near: str) -> None:
    error = refused(place, env={name: "secret-value"})
    assert error.message == f"unknown environment variable {name}"
    assert near in str(error.hint)
    assert "secret-value" not in error.message + str(error.hint)


def test_a_bad_value_names_its_variable_or_the_flag(place: Place) -> None:
    error = refused(place, env={"LLMSPELL_RUNTIME__TIMEOUT": "soon"})
    assert error.message == (
        "environment LLMSPELL_RUNTIME__TIMEOUT: `runtime.timeout`: expected a number of seconds, got a string"
    )
    error = refused(place, flags={"runtime.max_memory": "lots"})
    assert error.message == 'flag: `runtime.max_memory`: expected a size such as "256MB"'
    error = refused(place, flags={"providers.default": "none"})
    assert error.message == "flag: unknown provider `none`"
    assert refused(place, flags={"runtime.timout": 1}).hint == "the nearest known key is `runtime.timeout`"


# Errors in files


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[runtime]\n\n  timout = 3\n",
            "3:3: unknown key `runtime.timout`",
            "the nearest known key is `runtime.timeout`",
        ),
        (
            '[providers.openai]\napi_key = "sk-secret"\n',
            "2:1: unknown key `providers.openai.api_key`",
            "the nearest known key is `providers.openai.api_key_env`",
        ),
        (
            'x = """\n[runtime]\n"""\n[runtimes]\na=1',
            "1:1: unknown key `x`",
            "known are: runtime.*, limits.*, providers.*, permissions.*, tools.*, state.*",
        ),
        ("timeout = 3", "1:1: unknown key `timeout`", "the nearest known key is `runtime.timeout`"),
        (
            '"runtime.timeout" = 3',
            "1:1: unknown key `runtime.timeout`",
            "the nearest known key is `runtime.timeout`",
        ),
        (
            "providers.openai.timeout = { connect = 1, frist_token = 2 }",
            "1:43: unknown key `providers.openai.timeout.frist_token`",
            "the nearest known key is `providers.openai.timeout.first_token`",
        ),
        (
            '[runtime]\ntimeout = "300"\n',
            "2:1: `runtime.timeout`: expected a number of seconds, got a string",
            "runtime.timeout: seconds for the whole run; 0 = none",
        ),
        (
            "[runtime]\ntimeout = true\n",
            "2:1: `runtime.timeout`: expected a number of seconds, got a boolean",
            "runtime.timeout: seconds for the whole run; 0 = none",
        ),
        (
            "[runtime]\ntimeout = -1\n",
            "2:1: `runtime.timeout`: expected seconds from 0 (none) to one year",
            "runtime.timeout: seconds for the whole run; 0 = none",
        ),
        (
            "[runtime]\ntimeout = nan\n",
            "2:1: `runtime.timeout`: expected seconds from 0 (none) to one year",
            "runtime.timeout: seconds for the whole run; 0 = none",
        ),
        (
            "[runtime]\nmax_concurrency = -1\n",
            "2:1: `runtime.max_concurrency`: expected a whole number from 0 to 100000",
            "runtime.max_concurrency: model calls at once; 0 = any",
        ),
        (
            "[runtime]\nmax_memory = 1979-05-27\n",
            '2:1: `runtime.max_memory`: expected a size such as "256MB", got a date or time',
            'runtime.max_memory: of the Lua heap, such as "256MB"; 0 = none',
        ),
        (
            '[providers.local]\npull = "allways"\n',
            '2:1: `providers.local.pull`: expected "auto" or "never"',
            "providers.NAME.pull: whether a missing model is fetched",
        ),
        ("runtime = 3\n", "1:1: `runtime`: expected a table", None),
        ("[runtime\n", None, "correct the TOML syntax there"),
    ],
)
def test_an_error_names_file_line_column_and_what_to_do(
    place: Place, text: str, message: str | None, hint: str | None
) -> None:
    place.user.write_text(text)
    error = refused(place)
    if message is not None:
        assert error.message == f"{place.user}:{message}"
    if hint is not None:
        assert error.hint == hint
    assert (error.file, error.line) == (str(place.user), error.line)
    assert "sk-secret" not in error.message + str(error.hint)


def test_a_syntax_error_carries_the_parser_s_own_place(place: Place) -> None:
    place.user.write_text("[runtime]\r\ntimeout = = 3\r\n")
    error = refused(place)
    assert (error.line, error.column) == (2, 11)
    assert error.message.startswith(f"{place.user}:2:11: ")
    place.user.write_text("[runtime]\ntimeout = [1,\n")
    assert refused(place).line == 3


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = 2020-99-99", "a.b" + ".c" * 5000 + " = 1", "a = {b" * 3000],
)
def test_a_hostile_file_is_a_configuration_error_too(place: Place, text: str) -> None:
    place.stranger(text)
    error = refused(place)
    assert len(error.message) < 600


@pytest.mark.parametrize("secret", ["sk-abcdef-123", "$(pass show x)"])
def test_a_secret_in_the_wrong_place_is_not_echoed(place: Place, secret: str) -> None:
    for key in ("api_key_env", "base_url", "type", "headers", "timeout"):
        place.user.write_text(f'[providers.openai]\n{key} = "{secret}"\n')
        error = refused(place)
        assert secret not in repr(error.to_dict())
    place.user.write_text(f'[providers.openai]\nheaders = {{ "Authorization" = "{secret}\\n" }}\n')
    assert secret not in repr(refused(place).to_dict())
    place.user.write_text('[providers.openai]\nbase_url = "https://me:' + secret + '@host/v1"\n')
    assert secret not in repr(refused(place).to_dict())


def test_headers_cannot_smuggle_in_another_line(place: Place) -> None:
    for header in ('"X-A" = "1\\r\\nX-B: 2"', '"X-A: 1\\r\\nX-B" = "2"', '"" = "1"', '"X-A" = 1'):
        place.user.write_text(f"[providers.openai]\nheaders = {{ {header} }}\n")
        assert "expected header" in refused(place).message


@pytest.mark.parametrize(
    "url", ["api.openai.com/v1", "ftp://h/", "http://", "http://h/ x", "http://h/?k=1", "file:///"]
)
def test_an_address_must_be_one(place: Place, url: str) -> None:
    error = refused(place, env={"OPENAI_BASE_URL": url})
    assert error.message.startswith("environment OPENAI_BASE_URL: `providers.openai.base_url`: expected")


# The file that --config names


def test_a_named_file_that_cannot_be_read_is_an_error(place: Place) -> None:
    missing = place.cwd / "none.toml"
    assert refused(place, config=missing).message == f"cannot read {missing}: no such file or directory"
    assert refused(place, config=place.cwd).message == f"cannot read {place.cwd}: is a directory"
    binary = place.cwd / "binary.toml"
    binary.write_bytes(b"\x7fELF\x02\x01\x01\x00\n\xff\xfe")
    error = refused(place, config=binary)
    assert error.message == f"{binary}:2:1: is not UTF-8 text"
    binary.write_bytes(b"a\x00b")
    assert refused(place, config=binary).message.startswith(f"{binary}:1:2: ")
    large = place.cwd / "large.toml"
    large.write_bytes(b"#" * (files.MOST_BYTES + 1))
    assert refused(place, config=large).message == f"{large} is larger than 256 KB"
    assert refused(place, config="a\x00b").message == "cannot read a b: not a file's name"
    assert refused(place, config="").message == "cannot read : no such file or directory"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the user may read everything")
def test_a_file_without_permission_is_an_error(place: Place) -> None:
    place.user.write_text("")
    place.user.chmod(0)
    assert refused(place).message == f"cannot read {place.user}: permission denied"


def test_a_byte_order_mark_is_taken(place: Place) -> None:
    place.user.write_bytes(b"\xef\xbb\xbf[runtime]\r\ntimeout = 1\r\n")
    assert place.load().origin("runtime.timeout") == f"{place.user}:2"


# The file that came with the script


def test_a_project_may_lower_limits(place: Place) -> None:
    place.stranger('[runtime]\ntimeout = 10\nmax_cpu = 5\nmax_memory = "1MB"\nmax_output = 100\nmax_concurrency = 2\n')
    config = place.load()
    limits = ("timeout", "max_cpu", "max_memory", "max_output", "max_concurrency")
    assert [config.get(f"runtime.{name}") for name in limits] == [10.0, 5.0, 1 << 20, 100, 2]


@pytest.mark.parametrize(
    "setting",
    [
        "timeout = 301",
        "timeout = 0",
        'max_memory = "257MB"',
        "max_memory = 0",
        'max_output = "1GB"',
        "max_output = 0",
        "max_concurrency = 1025",
    ],
)
def test_a_project_may_not_raise_limits(place: Place, setting: str) -> None:
    path = place.stranger(f"[runtime]\n{setting}\n")
    name = setting.split(" ")[0]
    error = refused(place)
    assert error.message == f"{path}:2:1: `runtime.{name}` may not be raised by a project's file"
    assert error.hint == f"trust it as it is, `llmspell config trust {path}`, or name it for one run: --config {path}"
    assert place.load(config=path).origin(f"runtime.{name}") == f"{path}:2"


def test_what_a_project_may_not_raise_is_what_the_user_said(place: Place) -> None:
    place.user.write_text('[runtime]\ntimeout = 0\nmax_cpu = 5\nmax_memory = "1MB"\n')
    place.stranger("[runtime]\ntimeout = 9999\n")
    assert place.load().get("runtime.timeout") == 9999.0
    place.stranger("[runtime]\ntimeout = 0\n")
    assert place.load().get("runtime.timeout") == 0.0
    for setting in ("max_cpu = 6", "max_cpu = 0", 'max_memory = "2MB"'):
        place.stranger(f"[runtime]\n{setting}\n")
        assert "may not be raised" in refused(place).message
    # A variable is the user's word for this run, and no leave for the file.
    assert "may not be raised" in refused(place, env={"LLMSPELL_RUNTIME__MAX_MEMORY": "4MB"}).message


@pytest.mark.parametrize(
    "text",
    [
        '[runtime]\ninterrupts = "none"\n',
        '[providers.openai]\nbase_url = "http://evil/v1"\n',
        '[providers.openai]\napi_key_env = "AWS_SECRET_ACCESS_KEY"\n',
        '[providers.openai]\nheaders = { X-A = "1" }\n',
        '[providers.openai]\ntype = "local"\n',
        '[providers.local]\npath = "/etc/passwd"\n',
        '[providers.local]\npull = "auto"\n',
        "[providers.local]\nthreads = 900\n",
        "[providers.local]\ncontext = 900000\n",
        "[providers.local]\nslots = 200\n",
        '[providers.new]\ntype = "openai"\nbase_url = "http://evil"\napi_key_env = "OPENAI_API_KEY"\n',
        'providers = { openai = { "base_url" = "http://evil/v1" } }\n',
        '[providers."openai"]\nbase_url = "http://evil/v1"\n',
    ],
)
def test_a_project_may_not_choose_where_requests_go_and_what_is_sent(place: Place, text: str) -> None:
    path = place.stranger(text)
    error = refused(place)
    assert error.message.startswith(f"{path}:")
    assert error.message.endswith("may not be set by a project's file")
    assert error.hint == f"trust it as it is, `llmspell config trust {path}`, or name it for one run: --config {path}"
    if "type" not in text:
        place.load(config=path)


@pytest.mark.parametrize("key", ["api_key_file", "ca_file", "client_cert"])
def test_files_that_a_file_names_are_below_its_folder_and_not_where_one_works(place: Place, key: str) -> None:
    """Else a stranger's folder could bring the certificates that are trusted in it."""
    for written, path in (("a/b.pem", f"{place.user.parent}/a/b.pem"), ("/a/b.pem", "/a/b.pem")):
        place.user.write_text(f'[providers.openai]\n{key} = "{written}"\n')
        assert place.load().get(f"providers.openai.{key}") == path
    place.user.write_text(f'[providers.openai]\n{key} = "~/b.pem"\n')
    assert place.load().get(f"providers.openai.{key}") == str(Path.home() / "b.pem")
    config = place.load(env={f"LLMSPELL_PROVIDERS__OPENAI__{key.upper()}": "b.pem"})
    assert config.get(f"providers.openai.{key}") == "b.pem", "a variable is said where one works"


def test_a_program_that_tells_a_key_is_below_the_file_s_folder_or_on_the_path(place: Place) -> None:
    for written, words in (
        ("./key.sh a/b", [f"{place.user.parent}/./key.sh", "a/b"]),
        ("pass show a/b", ["pass", "show", "a/b"]),
        ("/bin/pass", ["/bin/pass"]),
        ("~/key", [str(Path.home() / "key")]),
    ):
        place.user.write_text(f'[providers.openai]\napi_key_cmd = "{written}"\n')
        assert place.load().get("providers.openai.api_key_cmd") == words


_limit = st.sampled_from([0, 1, 5, 9, 200])
_tables = st.dictionaries(
    st.sampled_from(["timeout", "max_cpu", "max_memory", "max_output", "max_concurrency"]), _limit, max_size=5
)


@given(_tables, _tables, _tables)
def test_whatever_a_project_says_no_limit_is_above_the_user_s(
    user: dict[str, int], project: dict[str, int], profile: dict[str, int]
) -> None:
    """0 is without limit."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "xdg" / "llmspell").mkdir(parents=True)

        def table(name: str, told: dict[str, int]) -> str:
            return "".join([f"[{name}]\n", *(f"{key} = {value}\n" for key, value in told.items())])

        (root / "xdg" / "llmspell" / "config.toml").write_text(table("runtime", user))
        (root / "llmspell.toml").write_text(table("runtime", project) + table("profile.p.runtime", profile))
        env = {"XDG_CONFIG_HOME": str(root / "xdg"), "XDG_DATA_HOME": str(root / "data")}
        granted = load(script_dir="/", config_file=os.devnull, env=env, flags={})
        refusals: list[str] = []
        for name in (None, "p"):
            try:
                config = load(script_dir=folder, config_file=None, env=env, flags={}, profile=name)
            except ConfigError as error:
                refusals.append(error.message)
                continue
            for key in ("timeout", "max_cpu", "max_memory", "max_output", "max_concurrency"):
                bound, value = granted.get(f"runtime.{key}"), config.get(f"runtime.{key}")
                assert not bound or 0 < value <= bound
        assert all("may not be raised" in message for message in refusals)


def test_a_project_s_file_in_the_working_folder_is_trusted_no_more(place: Place) -> None:
    (place.cwd / "llmspell.toml").write_text('[providers.openai]\nbase_url = "http://evil/v1"\n')
    assert "may not be set" in refused(place, script=False).message


def test_a_project_may_choose_provider_model_and_timeouts(place: Place) -> None:
    place.user.write_text('[providers.mine]\ntype = "openai"\nbase_url = "http://h/v1"\n')
    place.stranger(
        '[providers]\ndefault = "mine"\n[providers.mine]\nmodel = "meta/llama"\n'
        '[providers.openai]\nmodel = "gpt-5"\ntimeout = { idle = 90 }\n[providers.local]\nmodel = "other"\n'
    )
    providers = place.load().providers()
    assert (providers["mine"]["model"], providers["openai"]["model"]) == ("meta/llama", "gpt-5")
    assert providers["openai"]["timeout"]["idle"] == 90.0
    assert providers["local"]["model"] == "other"


def test_a_project_may_not_add_a_provider_nor_name_a_file_as_the_model(place: Place) -> None:
    place.stranger('[providers.new]\nmodel = "m"\n')
    assert refused(place).message.endswith("1:12: `providers.new` may not be added by a project's file")
    for model in ("/etc/passwd", "../x", "c:\\\\x", "evil.GGUF"):
        place.stranger(f'[providers.local]\nmodel = "{model}"\n')
        assert refused(place).message.endswith("may not be set to a file by a project's file")


# Reading from it


def test_get_of_what_is_no_key_is_an_error_with_the_nearest(place: Place) -> None:
    config = place.load()
    with pytest.raises(ConfigError) as caught:
        config.get("runtime.timout")
    assert caught.value.hint == "the nearest known key is `runtime.timeout`"
    with pytest.raises(ConfigError):
        config.origin("providers.nobody.model")
    assert config.get("providers.local.threads") is None


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("10", 10), ("10B", 10), ("1k", 1024), ("1.5 KB", 1536), ("2MiB", 2 << 20), ("1GB", 1 << 30)],
)
def test_sizes_have_units(text: str, count: int) -> None:
    assert schema.size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "1e3", "-1", "1_0", "nan", "1TB", "1..2", "٣", "9999GB", ".", "1" * 400])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        schema.size(text)


def test_every_key_is_documented_and_its_default_is_valid() -> None:
    for key in schema.KEYS:
        assert key.doc
        assert "\n" not in key.doc
        assert key.default is None or key.check(key.default) == key.default
        assert schema.lookup(key.path) is key
    for name, settings in schema.BUILT_IN.items():
        for rest, value in settings.items():
            key_of = schema.lookup(f"providers.{name}.{rest}")
            assert key_of is not None
            assert key_of.check(value) == value
    for path in (*schema.PROJECT_LIMITS, *schema.PROJECT_KEYS):
        assert schema.lookup(path) is not None


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_with_one_error(text: str) -> None:
    for key in schema.KEYS:
        told = _complaint(key, text)
        # No text is repeated: it may be a secret. The message's own words may be the text, though.
        assert told is None or len(text) < 8 or text not in told or text in (_complaint(key, "\u2042" * 9) or "")


def _complaint(key: schema.Key, text: str) -> str | None:
    try:
        key.parse(text)
    except ValueError as exc:
        return str(exc)
    return None


# Where keys stand


_bare = st.text("abcXYZ019_-", min_size=1, max_size=6)
_quoted = st.text('ab ".]=#é\t\\', max_size=6)
_scalars = st.sampled_from(
    ["1", "true", "1979-05-27 07:32:00", '"a # ] } ,"', "'lit\\'", '"""\nx = 1\n[t]\n""""', "'''\n[b]\n'''", "-0.5"]
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[" + ",\n # c ]\n".join(items) + "\n]"),
    max_leaves=4,
)


def _spelled(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


@given(st.data())
def test_a_key_s_place_is_where_it_was_written(data: st.DataObject) -> None:
    text = ""
    wanted: dict[tuple[str, ...], int] = {}
    names = data.draw(st.lists(st.one_of(_bare, _quoted), unique=True, min_size=1, max_size=4))
    spelled = {name: name if name and set(name) <= set("abcXYZ019_-") else _spelled(name) for name in names}
    for index, name in enumerate(names):
        inner = data.draw(_bare)
        form = data.draw(st.sampled_from(["dotted", "inline"])) if index == 0 else "header"
        value = data.draw(_values)
        if form == "header":
            text += "[ "
            wanted[(name,)] = len(text)
            text += spelled[name] + " ] # [c]\n  "
            wanted[(name, inner)] = len(text)
            text += f"{inner} = {value} # end\n"
        elif form == "dotted":
            wanted[(name,)] = len(text)
            text += spelled[name] + " . "
            wanted[(name, inner)] = len(text)
            text += f"{inner}={value}\n\n"
        else:
            wanted[(name,)] = len(text)
            text += spelled[name] + " = { "
            wanted[(name, inner)] = len(text)
            text += f"{inner} = {value}, zz = {{}} }}\n"
    import tomllib

    tomllib.loads(text)
    found = positions(text)
    assert {path: found.get(path) for path in wanted} == wanted


@given(st.text("ab[]{}=.,#\"'\\\n 1", max_size=60))
def test_the_scan_ends_on_any_text(text: str) -> None:
    for offset in positions(text).values():
        line, column = line_and_column(text, offset)
        assert text.split("\n")[line - 1][column - 1 :] == text[offset:].split("\n")[0]


# The start


@pytest.mark.unmeasured
def test_without_a_file_nothing_is_imported() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from llmspell.config.loader import load\n"
        "load(script_dir='/', config_file=None, env={'A': 'b'}, flags={'runtime.timeout': 3})\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('llmspell')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    assert out.strip() in ("[]", "['__future__']")


def test_a_runtime_takes_its_limits_from_the_configuration_or_from_its_caller(place: Place) -> None:
    place.user.write_text('[runtime]\nmax_cpu = 0.05\ninterrupts = "hook"\n')
    config = place.load()
    endless = "while true do end"
    with pytest.raises(LimitError) as caught:
        ScriptRuntime(config).run(endless)
    assert (caught.value.limit, caught.value.value, caught.value.setting) == ("cpu", 0.05, "runtime.max_cpu")
    with pytest.raises(LimitError) as caught:
        ScriptRuntime(config, max_cpu=0.1, interrupts="tick").run(endless)
    assert caught.value.value == 0.1
    with pytest.raises(LimitError) as caught:
        ScriptRuntime(config, max_cpu=0, timeout=0.1).run(endless)
    assert caught.value.limit == "timeout"
    with pytest.raises(ValidationError) as refusal:
        ScriptRuntime(config, interrupts="never")
    assert refusal.value.message == "ScriptRuntime: `interrupts` is 'never'"
    assert refusal.value.hint == 'it is one of "tick", "hook", "none"'
