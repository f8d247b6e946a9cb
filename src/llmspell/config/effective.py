"""A configuration as it may be shown: every setting with its value and where that came from, nothing secret in it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.config.hints import nearest
from llmspell.config.schema import Key, lookup
from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llmspell.config.loader import Config

__all__ = ["MASK", "Setting", "has_a_key_in_it", "known_keys", "masked", "settings"]

MASK = "***"
#: What a key of a service looks like, whoever's it is.
_KEY_SHAPED = re.compile(
    r"\bsk-[\w.*-]{8,}|\b(?:gsk_|hf_|ghp_|gho_|r8_|tgp_|fw_|xai-|csk-|pplx-|nvapi-)(?=\D*\d)[\w.*-]{16,}"
    r"|\bAIza[\w-]{20,}|\bAKIA[A-Z0-9]{12,}|\beyJ[\w-]{10,}\.[\w-]+|(?<=Bearer )\S+"
)
#: What a variable's name ends with that holds a secret.
_SECRET_VARIABLES = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


class Setting(NamedTuple):
    """One of them. parts: its path; value: masked; origin: as Config has it; place: file, line and column, or None."""

    parts: tuple[str, ...]
    key: Key
    value: Any
    origin: str
    place: tuple[str, int, int] | None


def settings(config: Config, part: str | None, env: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting, or those below *part*: `providers.openai`. ConfigError where there is no such part."""
    secrets = known_keys(config, env)
    found = [(path, value) for path, value in config.items() if part is None or _is_below(path, part)]
    if not found and part is not None:
        config.get(part)  # which knows the nearest
        hint = nearest(tuple(part.split(".")), list(config.providers()))
        raise ConfigError(f"nothing is set below `{one_line(part, 80)}`", hint=hint)
    for path, value in found:
        key = lookup(path)
        assert key is not None  # it is one of the schema's
        shown = masked(key, value, secrets)
        yield Setting(tuple(path.split(".")), key, shown, config.origin(path), config.place(path))


def _is_below(path: str, part: str) -> bool:
    return path == part or path.startswith(part + ".")


def known_keys(config: Config, env: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that the environment holds, the longest first."""
    names = {one["api_key_env"] for one in config.providers().values() if one.get("api_key_env")}
    names |= {name for name in env if name.endswith(_SECRET_VARIABLES)}
    return tuple(sorted({env[name] for name in names if len(env.get(name, "")) >= 8}, key=len, reverse=True))


def masked(key: Key, value: Any, secrets: Iterable[str] = ()) -> Any:
    """A setting's value as it may be shown. secrets: texts that are out of it wherever they stand."""
    if value is None or key.kind in ("variable", "word", "type"):
        return value
    if key.kind == "headers":
        return dict.fromkeys(value, MASK)
    if key.kind == "command":  # a program's arguments may have a secret among them
        return [_plain(value[0], secrets), *([MASK] if len(value) > 1 else [])]
    return _plain(value, secrets)


def _plain(value: Any, secrets: Iterable[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return _KEY_SHAPED.sub(MASK, value)
    if isinstance(value, dict):
        return {_plain(name, secrets): _plain(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, secrets) for one in value]
    return value


def has_a_key_in_it(value: Any) -> bool:
    """Whether a value, or a part of it, looks like the key of a service."""
    if isinstance(value, dict):
        return any(map(has_a_key_in_it, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return any(map(has_a_key_in_it, value))
    return isinstance(value, str) and (_KEY_SHAPED.search(value) is not None) and not os.path.exists(value)
