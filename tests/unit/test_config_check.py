"""`config check`, `init` and `show` beneath their commands: all errors, a file that equals the defaults, masks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.config import checking, effective, files, schema, template, toml
from llmspell.config.loader import load
from llmspell.errors import ConfigError
from support.places import Place, place

if TYPE_CHECKING:
    from llmspell.config.checking import Findings

pytestmark = pytest.mark.once
__all__ = ["place"]
ROOT = Path(__file__).parents[2]


def check(place: Place, file: object = None, **how: Any) -> Findings:
    given = {"folder": str(place.project), "config_file": None, "env": place.env, **how}
    return checking.check(None if file is None else str(file), **given)


# All that is wrong


def test_every_error_is_told_with_its_place_in_the_order_of_the_file(place: Place) -> None:
    place.user.write_text(
        '[runtime]\ntimout = 3\ntimeout = "x"\nmax_cpu = -1\n[providers.mine]\nmodel = "m"\n'
        "[providers.openai]\ntimeout = 3\n[providers.local]\nhttp2 = true\n"
        "[profile.a.runtime]\nnope = 1\n[bogus]\nx = 1\n"
    )
    found = check(place)
    told = [(error.line, error.column, error.message.split(" ", 1)[1]) for error in found.errors]
    assert told == [
        (2, 1, "unknown key `runtime.timout`"),
        (3, 1, "`runtime.timeout`: expected a number of seconds, got a string"),
        (4, 1, "`runtime.max_cpu`: expected seconds from 0 (none) to one year"),
        (6, 1, "provider `mine` has no `type`"),
        (8, 1, "`providers.openai.timeout`: expected a table"),
        (10, 1, told[5][2]),
        (12, 1, "unknown key `profile.a.runtime.nope`"),
        (13, 2, "unknown key `bogus`"),
    ]
    assert told[5][2].endswith('the provider of type "local"')
    assert all(error.hint for error in found.errors)
    assert found.errors[0].hint == "the nearest known key is `runtime.timeout`"


def test_errors_of_all_files_of_variables_and_of_the_profile_stand_together(place: Place) -> None:
    place.system.write_text("[runtime\n")
    place.user.write_text("[runtime]\nx = 1\n")
    project = place.stranger("[runtime]\ntimeout = 9999\n")
    env = place.env | {"LLMSPELL_RUNTIME__TIMOUT": "3", "LLMSPELL_RUNTIME__MAX_CPU": "x", "LLMSPELL_PROFILE": "none"}
    messages = [error.message for error in check(place, env=env).errors]
    assert [message.split(" ")[0] for message in messages[:3]] == [
        f"{place.system}:1:9:",
        f"{place.user}:2:1:",
        f"{project}:2:1:",
    ]
    assert sorted(message.split(": ")[0] for message in messages[3:]) == [
        "environment LLMSPELL_RUNTIME__MAX_CPU",
        "there is no profile `none`",
        "unknown environment variable LLMSPELL_RUNTIME__TIMOUT",
    ]


def test_a_file_by_its_name_is_looked_at_as_config_takes_it_and_others_are_not_told_of(place: Place) -> None:
    place.user.write_text("[runtime]\nwrong = 1\n[providers.mine]\ntype = 'openai'\nbase_url = 'http://h/v1'\n")
    path = place.cwd / "mine.toml"
    path.write_text("[runtime]\ntimeout = 9999\n[providers.mine]\nmodel = 'm'\n")
    path.chmod(0o644)
    assert check(place, path) == ([str(path)], [], [])
    missing = check(place, place.cwd / "none.toml")
    assert [error.message for error in missing.errors] == [
        f"cannot read {place.cwd / 'none.toml'}: no such file or directory"
    ]


def test_the_user_s_own_file_by_its_name_is_looked_at_once(place: Place) -> None:
    place.user.write_text("[runtime]\nwrong = 1\n")
    assert [error.line for error in check(place, place.user).errors] == [2]
    assert [error.line for error in check(place, os.path.relpath(place.user)).errors] == [2]


def test_what_another_file_leaves_open_is_not_told_of_a_file(place: Place) -> None:
    place.user.write_text("[providers.mine]\nmodel = 'm'\n")
    path = place.cwd / "c.toml"
    path.write_text("[runtime]\ntimeout = 3\n")
    path.chmod(0o600)
    assert check(place, path) == ([str(path)], [], [])
    assert len(check(place).errors) == 1


def test_a_provider_of_the_user_s_needs_no_trust_for_its_model_and_one_of_the_file_s_does(place: Place) -> None:
    place.user.write_text("[providers.mine]\ntype = 'openai'\nbase_url = 'http://h/v1'\n")
    path = place.stranger("[providers.mine]\nmodel = 'm'\n[providers.new]\ntype = 'ollama'\nmodel = 'm'\n")
    errors, asks = checking.beyond(files.read(str(path), False), place.env)
    assert errors == []
    assert [".".join(at) for at, _, _ in asks] == ["providers.new.type", "providers.new.model"]


def test_of_a_project_s_file_it_says_what_needs_trust(place: Place) -> None:
    path = place.stranger("[runtime]\ntimeout = 9999\nmax_cpu = 3\n")
    found = check(place, path)
    assert found.errors == []
    assert [(error.line, "more than a project's file may" in error.message) for error in found.warnings] == [(2, True)]


@pytest.mark.parametrize(
    ("text", "warns"),
    [
        ('[providers.openai]\nheaders = { Authorization = "Bearer abc" }\n', True),
        ('[providers.openai]\nheaders = { X-Api-Key = "abc" }\n', True),
        ('[providers.openai]\nheaders = { X-Team = "blue" }\n', False),
        ('[providers.openai]\nheaders = { X-Team = "sk-proj-0123456789" }\n', True),
        ('[providers.openai]\napi_key_cmd = "echo sk-0123456789abc"\n', True),
        ('[providers.openai]\napi_key_cmd = "pass show openai"\n', False),
        ('[providers.openai]\nmodel = "AIzaSyA0123456789012345678901"\n', True),
        ('[providers.openai]\nmodel = "hf-internal/llama-3.1-405b-instruct"\n', False),
        ('[profile.a.providers.openai]\nmodel = "gsk_0123456789abcdefghij"\n', True),
    ],
)
def test_a_key_in_plain_text_is_warned_of_and_not_shown(place: Place, text: str, warns: bool) -> None:
    place.user.write_text(text)
    place.user.chmod(0o600)
    found = check(place)
    assert found.errors == []
    assert [error.line for error in found.warnings] == ([2] if warns else [])
    assert "0123" not in repr([error.to_dict() for error in found.warnings])


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_a_file_that_others_may_write_is_warned_of(place: Place) -> None:
    place.user.write_text("")
    place.user.chmod(0o666)
    assert [error.message for error in check(place).warnings] == [f"{place.user} may be written by others"]


# The file that init writes


def uncommented(text: str) -> str:
    """The file with every setting taken out of its comment, as it says itself."""
    return re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE)


def flat(place: Place) -> dict[str, Any]:
    return {path: list(value) if isinstance(value, tuple) else value for path, value in place.load().items()}


@pytest.mark.parametrize("change", [str, uncommented])
def test_the_user_s_file_is_valid_and_equals_the_defaults(place: Place, change: Any) -> None:
    defaults = flat(place)
    place.user.write_text(change(template.user()))
    place.user.chmod(0o600)
    now = flat(place)
    assert now.pop("tools.http_request.timeout", 60.0) == 60.0
    assert now == defaults
    assert check(place)[1:] == ([], [])


@pytest.mark.parametrize("change", [str, uncommented])
def test_the_project_s_file_is_valid_without_trust_and_equals_the_defaults(place: Place, change: Any) -> None:
    defaults = flat(place)
    path = place.stranger(change(template.project()))
    assert flat(place) == defaults
    assert check(place)[1:] == ([], [])
    assert checking.beyond(files.read(str(path), False), place.env) == ([], [])


def test_every_key_stands_in_the_user_s_file_and_every_one_that_it_may_in_the_project_s() -> None:
    whole, own = template.user(), template.project()
    for key in schema.KEYS:
        rest = key.path.removeprefix("providers.NAME.") if ".NAME." in key.path else key.path.partition(".")[2]
        if key.path != "tools.NAME.timeout" and not {"mock"} & set(key.types):
            assert re.search(rf"^#( ?){re.escape(rest)}( =|:)", whole, re.MULTILINE), key.path
    for path in (*schema.PROJECT_LIMITS, *schema.PROJECT_GRANTS, *schema.PROJECT_KEYS):
        rest = path.removeprefix("providers.NAME.") if ".NAME." in path else path.partition(".")[2]
        assert re.search(rf"^#{re.escape(rest)} =", own, re.MULTILINE), path
    assert max(map(len, whole.splitlines())) <= 120


def test_the_settings_in_words_of_the_user_s_file_are_valid_too(place: Place) -> None:
    shown = re.findall(r"^#     (.+)$", template.user(), re.MULTILINE)
    place.user.write_text("\n".join(shown))
    assert place.load(profile="fast").get("runtime.timeout") == 30.0
    assert place.load().get("providers.mine.model") == "my-model"


# What is shown


_plain = st.one_of(
    st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
_nested = st.recursive(
    _plain, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
)


@given(st.dictionaries(st.text(), _nested, max_size=4))
def test_what_is_written_as_toml_is_read_as_the_same(told: dict[str, Any]) -> None:
    def valid(value: Any) -> Any:
        if isinstance(value, dict):
            return {valid(name): valid(one) for name, one in value.items()}
        if isinstance(value, list):
            return [valid(one) for one in value]
        return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value

    text = "\n".join(f"{toml.key((name,))} = {toml.value(value)}" for name, value in valid(told).items())
    assert tomllib.loads(text) == valid(told)
    assert "\x1b" not in text


@given(st.integers(0, 1 << 40))
def test_a_size_is_written_so_that_it_is_read_as_the_same(count: int) -> None:
    value = tomllib.loads(f"a = {toml.value(count, 'size')}")["a"]
    assert schema.size(value) == count


@pytest.mark.parametrize(
    "text",
    [
        'headers = { X-Team = "SECRET" }',
        'api_key_cmd = "vault --token=SECRET"',
        'api_key_cmd = ["vault", "SECRET"]',
        'model = "SECRET"',
        'base_url = "https://h/SECRET/v1"',
        'proxy = "http://h/SECRET"',
        "prices = { SECRET = { input = 1, output = 2 } }",
    ],
)
def test_a_secret_is_masked_wherever_it_stands(place: Place, text: str) -> None:
    for secret in ("sk-planted-0123456789", "in-the-environment"):
        place.user.write_text(f"[providers.openai]\n{text.replace('SECRET', secret)}\n")
        env = {"OPENAI_API_KEY": "in-the-environment"}
        config = load(script_dir=None, config_file=None, env=place.env | env, flags={})
        shown = repr(list(effective.settings(config, None, env)))
        assert secret not in shown
        assert "***" in shown


def test_a_part_is_shown_alone_and_one_that_is_none_names_the_nearest(place: Place) -> None:
    config = place.load()
    parts = {setting.parts[:2] for setting in effective.settings(config, "providers.local", {})}
    assert parts == {("providers", "local")}
    assert [one.value for one in effective.settings(config, "providers.local.threads", {})] == [None]
    for part, near in (("runtime.timout", "`runtime.timeout`"), ("providers.opnai", "providers"), ("run", "`perm")):
        with pytest.raises(ConfigError) as caught:
            list(effective.settings(config, part, {}))
        assert near in (caught.value.hint or "")


def test_what_is_shown_is_every_key(place: Place, tmp_path: Path) -> None:
    place.user.write_text('[tools.x]\ntimeout = 3\n[providers.robot]\ntype = "mock"\n')
    paths = [path for path, _ in place.load().items()]
    assert len(paths) == len(set(paths))
    for key in schema.KEYS:
        rest = key.path.replace(".NAME.", ".")
        assert any(rest == re.sub(r"^(providers|tools)\.[^.]+\.(?=.)", r"\1.", path) or rest == path for path in paths)


def test_the_page_of_settings_is_as_the_schema_says() -> None:
    """`python scripts/configuration.py` writes it anew."""
    done = subprocess.run([sys.executable, "scripts/configuration.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0
