"""`llmspell types`: stubs by which an editor completes and checks scripts."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from llmspell.bridge.stubs import stubs
from llmspell.cli.asking import said, written
from llmspell.errors import PermissionDeniedError

if TYPE_CHECKING:
    from typing import Any

__all__ = ["types"]

FILE = "llmspell.lua"


def types(folder: str | None, options: dict[str, Any]) -> int:
    """Writes them to standard output, or into *folder*; gives the exit code."""
    text = stubs()
    if folder is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return 0
    path = os.path.join(folder, FILE)
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        return said(PermissionDeniedError(f"cannot write `{path}`: {why}", cause=error), options)
    told = f'{path} is written. For the Lua language server, in `.luarc.json`: {{ "workspace.library": ["{folder}"] }}'
    return written(told, {"path": path}, options)
