"""A file's settings laid over what is there: checked, and of a project's file no more than its user granted.

Loaded where there is a file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llmspell.config import files, hints
from llmspell.config.schema import PROJECT_GRANTS, PROJECT_KEYS, PROJECT_LIMITS, lookup

if TYPE_CHECKING:
    from llmspell.config.files import File
    from llmspell.config.loader import Merger
    from llmspell.errors import ConfigError

    Path = tuple[str, ...]

__all__ = ["lay", "refusal"]

#: Settings that are paths, or lists of them.
_PATHS = (
    "permissions.read",
    "permissions.write",
    "state.path",
    "logging.file",
    *(f"providers.NAME.{name}" for name in ("api_key_file", "ca_file", "client_cert", "path")),
)


def lay(merger: Merger, file: File) -> None:
    """Lays *file* over what *merger* has: its own settings, then those of the profile that was asked for."""
    granted = merger.values if file.trusted else dict(merger.values)  # of a project's file: what its user granted
    for name in files.profiles(file):
        merger.profiles.setdefault(name, file.name)
    for at, value in files.leaves(file, merger.report):
        profile, parts = (at[1], at[2:]) if at[0] == "profile" else (None, at)
        key = lookup(".".join(parts))
        if key is None or any("." in part for part in parts):  # a quoted "a.b" is one word, and no key
            what = f"unknown key `{hints.told(at)}`"
            merger.report(file.error(at, what, hints.nearest(parts, merger.names)))
            continue
        try:
            checked = key.check(value)
        except ValueError as exc:
            merger.report(file.error(at, f"`{hints.told(at)}`: {exc}", key.path + ": " + key.doc))
            continue
        if profile not in (None, merger.profile):
            continue
        if key.path in _PATHS:
            paths = _beside((checked,) if isinstance(checked, str) else checked, file.folder)
            checked = paths[0] if isinstance(checked, str) else paths
        elif key.path == "providers.NAME.api_key_cmd":
            checked = _program_beside(checked, file.folder)
        elif key.path == "permissions.run":
            from llmspell.config.grants import program_beside

            checked = tuple(program_beside(one, file.folder) for one in checked)
        asked = value, checked, key.path in _PATHS
        if not file.trusted and (error := _forbidden(merger, file, at, parts, asked, granted)) is not None:
            merger.report(error)
            continue
        merger.put(parts, checked, (file, at))


def _beside(paths: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """Paths as they stand in a configuration file: relative ones are below its folder."""
    return tuple(path if path == "*" else os.path.join(folder, os.path.expanduser(path)) for path in paths)


def _program_beside(command: list[str], folder: str) -> list[str]:
    """A command whose program is a path, likewise: below the working folder, another could be there each time."""
    program = os.path.expanduser(command[0])
    return [os.path.join(folder, program) if os.sep in program else program, *command[1:]]


# What a project's file may not


def _forbidden(
    merger: Merger, file: File, at: Path, parts: Path, value: tuple[Any, Any, bool], granted: dict[str, Any]
) -> ConfigError | None:
    """What is wrong where a project's file asks for more than its user granted, and did not trust it.

    value: as it was written, as it was understood, and whether it is of paths.
    """
    refused = refusal(parts, value[1], granted, merger.names)
    if refused is None:
        return None
    asked, why = (*at[: -len(parts)], *refused[0]), refused[1]
    from llmspell.config import trust

    state = trust.state_of(file, merger.env)
    if state.trusted:
        if value[2] and (link := _link_in(value[0], value[1])) is not None:
            what = f"`{hints.told(at)}` passes a symbolic link, which others may turn: {hints.told((link,))}"
            return file.error(at, what, "name the folder itself")
        return None
    import shlex

    path = shlex.quote(file.path if file.path.isprintable() else file.name)
    what = f"`{hints.told(asked)}` {why}"
    hint = f"trust it as it is, `llmspell config trust {path}`, or name it for one run: --config {path}"
    if state.why:
        what, hint = f"{what}, and this one is not trusted: it {state.why}", f"look at it, then {hint}"
    return file.error(asked, what, hint)


def refusal(parts: Path, value: Any, granted: dict[str, Any], names: list[str]) -> tuple[Path, str] | None:
    """What of a setting a project's file may not, and why; None where it may.

    granted: what holds without the file. names: of the providers that there are.
    """
    path = ".".join(parts)
    if path in PROJECT_LIMITS:
        bound = granted[path]
        raised = bound and (not value or value > bound)  # 0 is no limit
        return (parts, "may not be raised by a project's file") if raised else None
    if path in PROJECT_GRANTS:
        from llmspell.config import grants

        if all(grants.narrows(parts[1], one, granted[path]) for one in value):
            return None
        return parts, "may not grant more than its user does"
    general = ".".join(("providers", "NAME", *parts[2:])) if parts[0] == "providers" and len(parts) > 2 else path
    if general not in PROJECT_KEYS:
        return parts, "may not be set by a project's file"
    if general != path and parts[1] not in names:
        return parts[:2], "may not be added by a project's file"
    # A local model may be named by the path of its file: what a stranger may not set as `path`, nor so.
    if general == "providers.NAME.model" and granted.get(f"providers.{parts[1]}.type") == "local":
        text = value.lower()
        if "/" in text or "\\" in text or text.endswith(".gguf"):
            return parts, "may not be set to a file by a project's file"
    return None


def _link_in(written: Any, understood: Any) -> str | None:
    """The first relative path of a setting that a link leads elsewhere: the file is trusted, not what is beside it."""
    pairs = [(written, understood)] if isinstance(written, str) else zip(written, understood, strict=True)
    for one, path in pairs:
        relative = one != "*" and not os.path.isabs(os.path.expanduser(one))
        if relative and os.path.realpath(path) != os.path.normpath(path):
            return str(one)
    return None
