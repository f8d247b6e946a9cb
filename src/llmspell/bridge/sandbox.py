"""What a script may reach outside of Lua. On this road: the modules beside it, and nothing else."""

from __future__ import annotations

import os

from llmspell.errors import NotFoundError, PermissionDeniedError, ScriptError

__all__ = ["dofile", "find_module"]

LARGEST = 8 * 1024 * 1024  # bytes of a module: the parser cannot be interrupted


def _read(path: str, shown: str) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read `{shown}`: {error.strerror}", cause=error) from error
    if len(text) > LARGEST:
        raise ScriptError(f"`{shown}` is larger than 8 MiB")
    if text.startswith(b"\x1bLua"):
        raise PermissionDeniedError(f"`{shown}` is Lua bytecode", hint="scripts and modules are loaded as text only")
    return text


def _inside(folder: str, path: str, shown: str) -> str:
    """The real path of *path*, which must lie in *folder* once links are followed."""
    root = os.path.realpath(folder)
    real = os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        raise PermissionDeniedError(
            f"`{shown}` lies outside the script's folder", hint="keep modules beside the script, or in folders below it"
        )
    return real


def find_module(folder: str | None, shown_folder: str, name: str) -> tuple[bytes, str, str]:
    """The text of module *name*, its path as shown, and its real path: `a.b` is a/b.lua or a/b/init.lua in *folder*."""
    parts = name.split(".")
    plain = all(part and all(c.isalnum() or c in "_-" for c in part) for part in parts)
    if not plain:
        raise NotFoundError(
            f"`{name}` is not a module's name",
            hint="letters, digits, `_` and `-`, with dots between folders: `require('lib.text')` loads lib/text.lua",
        )
    if folder is None:
        raise NotFoundError(
            f"module `{name}` is not there: this script has no folder", hint="run it from a file to use modules"
        )
    tried = [os.path.join(*parts) + ".lua", os.path.join(*parts, "init.lua")]
    for relative in tried:
        path = os.path.join(folder, relative)
        if os.path.isfile(path):
            real = _inside(folder, path, relative)
            return _read(real, relative), os.path.join(shown_folder, relative), real
    raise NotFoundError(f"module `{name}` is not there", hint=f"looked for {' and '.join(tried)} beside the script")


def dofile(folder: str | None, shown_folder: str, path: str) -> tuple[bytes, str, str]:
    """The text of a file beside the script, its path as shown, and its real path."""
    if folder is None:
        raise NotFoundError(f"`{path}` is not there: this script has no folder")
    real = _inside(folder, os.path.join(folder, path), path)
    return _read(real, path), os.path.join(shown_folder, path), real
