"""`llmspell config trust`: which projects' files may say more than a stranger's."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Any

from llmspell.cli.asking import said, written
from llmspell.cli.commands.config_show import harmless
from llmspell.config import checking, discovery, files, toml
from llmspell.config import trust as trusted
from llmspell.errors import ConfigError, one_line

__all__ = ["trust"]


def trust(path: str | None, options: dict[str, Any]) -> int:
    """Trusts a project's file, trusts it no more, or lists those that are trusted. Gives the exit code."""
    try:
        if options.get("list"):
            text, told = _listed()
        elif options.get("remove"):
            text, told = _removed(_project_file(path))
        else:
            text, told = _added(_project_file(path))
    except ConfigError as error:
        return said(error, options)
    return written(harmless(text), told, options)


def _project_file(path: str | None) -> str:
    """The file that is meant. It need not be there: what is gone may be trusted no more."""
    if path is None:
        found = discovery.project_file(os.curdir)
        if found is None:
            raise ConfigError("there is no llmspell.toml from here upwards", hint="name its folder")
        return found
    if os.path.basename(path) == discovery.PROJECT_FILE:
        return path
    if os.path.isfile(path):
        hint = "only a file of that name is read for the scripts beside it; any other is named with `--config`"
        raise ConfigError(f"{one_line(path, 200)} is not called {discovery.PROJECT_FILE}", hint=hint)
    return os.path.join(path, discovery.PROJECT_FILE)


def _added(path: str) -> tuple[str, dict[str, Any]]:
    if os.path.lexists(path) and not os.path.isfile(path):  # of a pipe, reading would not end
        raise ConfigError(f"{one_line(path, 200)} is no file", hint="name a folder with a llmspell.toml in it")
    file = files.read(path, False)  # once: what is shown is what is trusted
    errors, asks = checking.beyond(file, os.environ)
    if errors:
        raise errors[0]
    trusted.add(file, os.environ)
    digest = sha256(file.data).hexdigest()
    lines = [f"{one_line(trusted.key_of(path))} is trusted as it is now"]
    if asks:
        lines.append("what takes effect, and would not without it:")
        lines += [f"  {toml.key(at)} = {toml.value(value, kind)}" for at, kind, value in asks]
    else:
        lines.append("it says nothing that would not hold without it")
    raises = [{"key": ".".join(at), "value": value} for at, _, value in asks]
    return "\n".join(lines), {"path": trusted.key_of(path), "sha256": digest, "raises": raises}


def _removed(path: str) -> tuple[str, dict[str, Any]]:
    key = trusted.key_of(path)
    if not trusted.remove(path, os.environ):
        raise ConfigError(f"{one_line(key)} is not trusted", hint="`llmspell config trust --list` shows those that are")
    return f"{one_line(key)} is trusted no more", {"path": key}


def _listed() -> tuple[str, dict[str, Any]]:
    rows = [
        {"path": entry.path, "sha256": entry.digest, "when": entry.when, "state": _state(entry.path)}
        for entry in trusted.entries(os.environ)
    ]
    lines = [f"{row['when']}  {row['state']}  {one_line(row['path'])}" for row in rows]
    return "\n".join(lines) or "no project's file is trusted", {"trusted": rows}


def _state(path: str) -> str:
    """How a file that was trusted is now."""
    if not os.path.lexists(path):
        return "gone"
    try:
        state = trusted.state_of(files.read(path, False), os.environ)
    except ConfigError as error:
        return one_line(error.message, 120)
    return "trusted" if state.trusted else f"not trusted, it {state.why or 'is another'}"
