"""Host calls behind `Config`, and `os.getenv`."""

from __future__ import annotations

import os

from llmspell.errors import ConfigError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run

SECRET = "***"
#: Settings whose values may be secret, or say how to come by one.
SECRETS = ("headers", "api_key_cmd", "api_key_file", "api_key_keyring", "proxy", "client_cert")


def _plain(name: str, value: Any) -> Any:
    """A setting as a script sees it, of a table each of its settings."""
    if value and (name in SECRETS or name == "api_key"):
        return dict.fromkeys(value, SECRET) if isinstance(value, dict) else SECRET
    if isinstance(value, dict):
        return {key: _plain(key, one) for key, one in value.items()}
    return [_plain("", one) for one in value] if isinstance(value, (tuple, list)) else value


def _get(run: Run, path: str | bytes) -> Any:
    if isinstance(path, bytes):
        raise NotFoundError("there is no setting of that name: it is no text in UTF-8")
    last = path.rpartition(".")[2]
    if last == "api_key":
        return SECRET
    try:
        value = run.setting(path)
    except ConfigError as error:
        raise NotFoundError(error.message, hint=error.hint, cause=error) from None
    return _plain(last, value)


def _allows(run: Run, capability: str, what: str | bytes) -> bool:
    text = os.fsdecode(what)
    return run.permissions.allows_host(text) if capability == "net" else run.permissions.allows(capability, text)


def _getenv(run: Run, name: str | bytes) -> list[Any]:
    """True and the value, or false where a person is to be asked."""
    text = os.fsdecode(name)
    if run.permissions.allows("env", text):
        value = os.environ.get(text)
        return [True] if value is None else [True, value]
    if run.permissions.ask is None:
        raise run.permissions.denied("env", text, by="os.getenv")
    return [False]


async def _getenv_later(run: Run, name: str | bytes) -> str | None:
    text = os.fsdecode(name)
    await run.permissions.need("env", text, by="os.getenv")
    return os.environ.get(text)


ASKS: dict[str, Callable[..., Any]] = {"Config.get": _get, "Config.allows": _allows, "Config.getenv": _getenv}
CALLS: dict[str, Callable[..., Any]] = {"Config.getenv": _getenv_later}
