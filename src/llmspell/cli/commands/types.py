"""`llmspell types`: stubs by which an editor completes and checks scripts."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from llmspell.bridge.stubs import stubs
from llmspell.cli.asking import said, written
from llmspell.cli.render import terminal
from llmspell.errors import LLMSpellError, PermissionDeniedError, ValidationError, one_line
from llmspell.utils.file_utils import put

if TYPE_CHECKING:
    from typing import Any

__all__ = ["types"]

FILE = "llmspell.lua"
HEAD = "---@meta llmspell\n"  # begins the file, and tells one of ours from a script of that name


def types(folder: str | None, options: dict[str, Any]) -> int:
    """Writes them to standard output, or into *folder*; gives the exit code."""
    text = stubs()
    if folder is None:
        if (options.get("output") or "text") != "text":
            return written("", {"stubs": text}, options)
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return 0
    path = os.path.join(folder, FILE)
    try:
        _write(folder, path, text)
    except LLMSpellError as error:
        return said(error, options)
    library = json.dumps({"workspace.library": [folder]}, ensure_ascii=False)
    told = f"{path} is written. For the Lua language server, in `.luarc.json`: {library}"
    return written(terminal.harmless(told, keep_newlines=False), {"path": path}, options)


def _write(folder: str, path: str, text: str) -> None:
    """Puts the file in its place at once: an editor may be reading it."""
    try:
        os.makedirs(folder, exist_ok=True)
        if os.path.lexists(path) and not _is_ours(path):
            raise ValidationError(
                f"`{one_line(path)}` is there, and is none that llmspell wrote", hint="name another folder"
            )
        put(path, text.encode())
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise PermissionDeniedError(f"cannot write `{one_line(path)}`: {why}", cause=error) from error


def _is_ours(path: str) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(len(HEAD)) == HEAD
