"""The file that `llmspell config init` writes, made from the schema: every setting, as it is without the file.

A line that begins with `#` and no space is a setting to be uncommented; `# ` begins words. So the file says nothing
until somebody changes it, and a default that a later release improves is not pinned by it.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from llmspell.config import toml
from llmspell.config.schema import BUILT_IN, KEYS, PROJECT_GRANTS, PROJECT_KEYS, PROJECT_LIMITS, Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["project", "user"]

_WIDE = 100
_PROVIDER = "providers.NAME."
_TABLES = {
    "runtime": "What one run may take.",
    "limits": "Of all model calls of a run, held before each is sent.",
    "permissions": "What a script may reach beyond the models: folders, hosts, variables, programs, tools.",
    "state": "Where a script's State is kept.",
    "logging": "What is logged, and where: see docs/logging.md.",
}


def user() -> str:
    """The user's file."""
    head = (
        "llmspell's configuration. Each setting stands here as it is without this file: take the `#` away from its line"
        " and from its table's to change it. `llmspell config check` says whether all is well, `llmspell config show"
        " --origin` what holds and why. Keys of services never stand here: see api_key_env, api_key_keyring and"
        " api_key_cmd."
    )
    lines = [*_words(head), ""]
    lines += _table("runtime", _in("runtime"))
    lines += _table("limits", _in("limits"))
    lines += ["#[providers]", *_settings([(key, key.default) for key in _in("providers")]), ""]
    for name, own in BUILT_IN.items():
        lines += _provider(name, own, whole=name in ("openai", "local"))
    lines += _words("Any server that speaks OpenAI's dialect is a provider of your own; its name is yours to choose.")
    own = {"type": "openai", "base_url": "http://localhost:8000/v1", "model": "my-model"}
    lines += ["#", *(f"#     {line[1:]}" for line in _provider("mine", own, whole=False)[:-1]), ""]
    lines += _table("permissions", _in("permissions"))
    lines += _words("Of a tool by its name: " + next(key.doc for key in KEYS if key.path == "tools.NAME.timeout") + ".")
    lines += ["#[tools.http_request]", "#timeout = 60.0", ""]
    lines += _table("state", _in("state"))
    lines += _table("logging", _in("logging"))
    lines += _words(
        "A profile is laid over all of the above by `--profile NAME` or LLMSPELL_PROFILE. Any setting may stand in it,"
        " its table's name behind the profile's."
    )
    lines += ["#", "#     [profile.fast.runtime]", "#     timeout = 30.0"]
    return "\n".join(lines) + "\n"


def project() -> str:
    """A project's file: what it may say without being trusted."""
    head = (
        "llmspell's settings for the scripts in this folder and below it. A project's file may lower the limits and"
        " permissions of whoever runs its scripts, and choose among their providers and models. What asks for more"
        " holds only where they name the file with `--config`, or trust it: `llmspell config trust`."
    )
    lines = [*_words(head), ""]
    known = {key.path: key for key in KEYS}
    for table in ("runtime", "limits"):
        lines += _table(table, [known[path] for path in PROJECT_LIMITS if path.startswith(table + ".")])
    lines += ["#[providers]", *_settings([(known["providers.default"], "auto")]), ""]
    name, own = next(iter(BUILT_IN.items()))
    may = [known[path] for path in PROJECT_KEYS if path.startswith(_PROVIDER)]
    pairs = [(key, own.get(key.path.removeprefix(_PROVIDER), key.default)) for key in may]
    lines += [f"#[providers.{name}]", *_settings(pairs), ""]
    lines += _table("permissions", [known[path] for path in PROJECT_GRANTS])
    return "\n".join(lines)


def _in(table: str) -> list[Key]:
    return [key for key in KEYS if key.path.startswith(table + ".") and ".NAME." not in key.path]


def _table(name: str, keys: Iterable[Key]) -> list[str]:
    return [*_words(_TABLES[name]), f"#[{name}]", *_settings([(key, key.default) for key in keys]), ""]


def _provider(name: str, own: dict[str, Any], *, whole: bool) -> list[str]:
    """A provider's table. whole: with all that its type reads, and not only what is its own."""
    pairs = []
    for key in KEYS:
        rest = key.path.removeprefix(_PROVIDER)
        if key.path.startswith(_PROVIDER) and key.read_by(own["type"]) and (whole or rest in own):
            pairs.append((key, own.get(rest, key.default)))
    return [f"#[providers.{name}]", *_settings(pairs), ""]


def _settings(pairs: list[tuple[Key, Any]]) -> Iterator[str]:
    for key, value in pairs:
        parts = tuple(key.path.removeprefix(_PROVIDER).split("."))
        name = toml.key(parts if key.path.startswith(_PROVIDER) else parts[1:])
        if value is None:
            yield from _words(f"{name}: {key.doc}")
            continue
        line = f"#{name} = {toml.value(value, key.kind)}"
        doc = _doc(key)
        if len(line) < 40 and len(doc) + 42 <= _WIDE + 20:
            yield f"{line:<40}  # {doc}"
        else:
            yield from _words(doc)
            yield line


def _doc(key: Key) -> str:
    words = " or ".join(f'"{word}"' for word in key.choices) if key.kind == "word" else ""
    return f"{key.doc}: {words}" if words else key.doc


def _words(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDE, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
