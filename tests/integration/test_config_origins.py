"""Whatever sets a key, `config show --origin` names it: a line of a file, a variable, a flag."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.cli import logs
from llmspell.cli.commands.config_show import show
from llmspell.cli.settings import GRANTED, SETTINGS
from llmspell.config import discovery, schema, toml

pytestmark = pytest.mark.once

FLAGS = {setting: flag for flag, setting in (SETTINGS | GRANTED).items()}
VENDORS = {setting: name for name, setting in schema.VENDOR_VARIABLES.items()}
_word = st.text("abcdefgh", min_size=3, max_size=8)
_seconds = st.integers(1, 200).map(float)
VALUES: dict[str, Any] = {
    "seconds": _seconds,
    "dollars": st.integers(1, 500).map(float),
    "size": st.integers(1, 60).map(lambda count: count << 20),
    "text": _word.map("m-{}".format),
    "url": _word.map("http://{}.example/v1".format),
    "proxy": _word.map("http://{}.example:80".format),
    "variable": _word.map(str.upper),
    "command": st.lists(_word, min_size=1, max_size=3),
    "entry": _word.map("{}/me".format),
    "flag": st.booleans(),
    "headers": st.dictionaries(_word, _word, min_size=1, max_size=2),
    "grants": st.lists(_word, min_size=1, max_size=3, unique=True),
    "replies": st.lists(_word, min_size=1, max_size=2),
    "prices": st.dictionaries(_word, st.just({"input": 1.0, "output": 2.0}), min_size=1, max_size=2),
}


def path_of(key: schema.Key) -> str:
    """The key of a provider, or a tool, that reads it."""
    if not key.path.startswith("providers.NAME."):
        return key.path.replace(".NAME.", ".http_request.")
    name = "openai" if not key.types or "openai" in key.types else "local" if "local" in key.types else "robot"
    return key.path.replace(".NAME.", f".{name}.")


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, schema.Key, Any, str]:
    """A key's path, the key, a value and what sets it."""
    key = draw(st.sampled_from(schema.KEYS))
    path = path_of(key)
    sources = ["system", "user", "named", "profile", "environment"]
    sources += ["project"] * (key.path in (*schema.PROJECT_LIMITS, *schema.PROJECT_KEYS))
    sources += ["flag"] * (path in FLAGS) + ["vendor"] * (path in VENDORS)
    if path == "providers.default":
        value: Any = draw(st.sampled_from(["anthropic", "gemini", "local"]))
    elif key.kind == "type":
        value = "openai" if path.startswith("providers.openai") else "mock"
    elif key.kind == "word":
        value = draw(st.sampled_from(key.choices))
    elif key.kind == "count":
        value = draw(st.integers(max(key.bounds[0], 1), min(key.bounds[1], 1000)))
    else:
        value = draw(VALUES[key.kind])
    return path, key, value, draw(st.sampled_from(sources))


def shown(path: str, options: dict[str, Any]) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with mock.patch.object(sys, "stdout", out), mock.patch.object(sys, "stderr", io.StringIO()) as errors:
        code = show(path, options)
    assert code == 0, errors.getvalue()
    return out.buffer.getvalue().decode()


def written(path: str, value: Any, key: schema.Key, file: Path, table: str, extra: str) -> int:
    """Writes the setting into *file*; gives its line."""
    name = toml.key(tuple(path.split(".")))
    lines = ["# a file", "", *extra.splitlines(), f"{table}{name} = {toml.value(value, key.kind)}"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)
    return len(lines)


@settings(deadline=None, max_examples=200)
@given(cases())
def test_show_names_what_set_a_key(case: tuple[str, schema.Key, Any, str]) -> None:
    path, key, value, source = case
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        env = {"HOME": folder, "XDG_CONFIG_HOME": str(root / "xdg"), "XDG_DATA_HOME": str(root / "data")}
        places = {
            "system": root / "etc.toml",
            "user": root / "xdg" / "llmspell" / "config.toml",
            "named": root / "named.toml",
            "project": root / "work" / "llmspell.toml",
        }
        places["profile"] = places["user"]
        (root / "work").mkdir()
        options: dict[str, Any] = {}
        # A provider that is nobody's needs a type, wherever its setting comes from.
        extra = 'providers.robot.type = "mock"' if ".robot." in path and not path.endswith(".type") else ""
        if source in places:
            file = places[source]
            table = "profile.one." if source == "profile" else ""
            line = written(path, value, key, file, table, extra)
            origin: dict[str, Any] = {"source": "file", "name": str(file), "line": line}
            options |= {"config": str(file)} if source == "named" else {}
            options |= {"profile": "one"} if source == "profile" else {}
            words = f"{file}:{line}"
        elif source == "flag":
            options[FLAGS[path]] = [",".join(value)] if key.kind == "grants" else value
            words = "--" + FLAGS[path].replace("_", "-")
            origin = {"source": "flag", "name": words}
        else:
            name = VENDORS[path] if source == "vendor" else schema.PREFIX + path.upper().replace(".", "__")
            if extra:
                env["LLMSPELL_PROVIDERS__ROBOT__TYPE"] = "mock"
            text = ",".join(value) if key.kind == "grants" else toml.value(value, key.kind)
            env[name] = text.strip('"') if isinstance(value, str) or key.kind == "size" else text
            words, origin = f"environment {name}", {"source": "environment", "name": name}
        before = os.getcwd()
        try:
            os.chdir(root / "work")
            with (
                mock.patch.dict(os.environ, env, clear=True),
                mock.patch.object(discovery, "system_file", return_value=str(places["system"])),
                mock.patch.object(logs, "start"),  # of this process
            ):
                text = shown(path, {**options, "origin": True})
                (told,) = json.loads(shown(path, {**options, "output": "json"}))["settings"]
        finally:
            os.chdir(before)
    (line_of,) = [one for one in text.splitlines() if one and not one.startswith(("#", "["))]
    assert line_of.endswith(f"  # {words}")
    assert told["key"] == path
    assert ("column" in told["origin"]) == (source in places)
    told["origin"].pop("column", None)
    assert told["origin"] == origin
    assert_value(told["value"], value, key, root)
    parsed = tomllib.loads(text)
    for part in path.split("."):
        parsed = parsed[part]
    shown_as = schema.size(parsed) if key.kind == "size" else parsed
    assert_value(shown_as, value, key, root)


def assert_value(told: Any, value: Any, key: schema.Key, root: Path) -> None:
    if key.kind == "headers":
        assert told == dict.fromkeys(value, "***")
    elif key.kind == "command":
        assert told == [value[0], *(["***"] if len(value) > 1 else [])]
    elif key.path in ("permissions.read", "permissions.write"):
        assert [os.path.basename(one) for one in told] == value
    elif key.path.endswith(("path", "_file", "client_cert", "logging.file")):
        assert re.search(f"{re.escape(value)}$", told)
    else:
        assert told == value
