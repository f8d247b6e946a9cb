"""What a script may reach outside of Lua. On this road: the modules beside it, and nothing else."""

from __future__ import annotations

import os

from llmspell.errors import NotFoundError, PermissionDeniedError, ScriptError, one_line

__all__ = ["dofile", "find_module"]

LARGEST = 8 * 1024 * 1024  # bytes of a module: the parser cannot be interrupted
LONGEST = 1000  # bytes of a name or a path


def _read(path: str, shown: str) -> bytes:
    """A file's text, as Lua loads files: without a byte order mark, and a first line that begins with `#` is none."""
    try:
        # Not to wait where a pipe has no writer; what is no plain file is refused before anything is read of it.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(number, "rb") as file:
            if not os.path.isfile(path):
                raise NotFoundError(f"`{shown}` is not a file", hint="only files are loaded")
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise NotFoundError(f"cannot read `{shown}`: {error.strerror}", cause=error) from error
    if len(text) > LARGEST:
        raise ScriptError(f"`{shown}` is larger than 8 MiB", hint="split it into modules")
    if text.startswith(b"\x1bLua"):
        raise PermissionDeniedError(f"`{shown}` is Lua bytecode", hint="scripts and modules are loaded as text only")
    if text.startswith(b"\xef\xbb\xbf"):
        text = text[3:]
    return b"--" + text if text.startswith(b"#") else text


def _inside(folder: str, path: str, shown: str) -> str:
    """The real path of *path*, which must lie in *folder* once links are followed."""
    root = os.path.realpath(folder)
    real = os.path.realpath(path)
    try:
        outside = os.path.commonpath([root, real]) != root
    except ValueError:  # another drive
        outside = True
    if outside:
        raise PermissionDeniedError(
            f"`{shown}` lies outside the script's folder", hint="keep modules beside the script, or in folders below it"
        )
    return real


def _name_of(given: str | bytes) -> tuple[str, str]:
    """What a script named, as the file system has it and as it may be shown."""
    path = given if isinstance(given, str) else os.fsdecode(given)
    return path, one_line(path.encode("utf-8", "replace").decode(), 200)


def find_module(folder: str | None, shown_folder: str, given: str | bytes) -> tuple[bytes, str, str]:
    """The text of module *given*, its path as shown, and its real path: `a.b` is a/b.lua or a/b/init.lua in *folder*.

    Raises NotFoundError, PermissionDeniedError where it lies outside of *folder*, ScriptError where it is too large.
    """
    name, shown = _name_of(given)
    parts = name.split(".")
    plain = len(name) <= LONGEST and all(part and all(c.isalnum() or c in "_-" for c in part) for part in parts)
    if not plain:
        raise NotFoundError(
            f"`{shown}` is not a module's name",
            hint="letters, digits, `_` and `-`, with dots between folders: `require('lib.text')` loads lib/text.lua",
        )
    if folder is None:
        raise NotFoundError(
            f"module `{shown}` is not there: this script has no folder", hint="run it from a file to use modules"
        )
    tried = [os.path.join(*parts) + ".lua", os.path.join(*parts, "init.lua")]
    for relative in tried:
        path = os.path.join(folder, relative)
        if os.path.isfile(path):
            real = _inside(folder, path, relative)
            return _read(real, relative), os.path.join(shown_folder, relative), real
    raise NotFoundError(f"module `{shown}` is not there", hint=f"looked for {' and '.join(tried)} beside the script")


def dofile(folder: str | None, shown_folder: str, given: str | bytes) -> tuple[bytes, str, str]:
    """The text of a file beside the script, its path as shown, and its real path. Raises as `find_module` does."""
    path, shown = _name_of(given)
    if folder is None:
        raise NotFoundError(
            f"`{shown}` is not there: this script has no folder", hint="run it from a file to use files beside it"
        )
    if "\0" in path or len(path) > LONGEST:
        raise NotFoundError(f"`{shown}` is not a path", hint="name a file beside the script")
    real = _inside(folder, os.path.join(folder, path), shown)
    return _read(real, shown), os.path.join(shown_folder, shown), real
