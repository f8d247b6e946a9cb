"""What was typed in earlier sessions: a file for its owner alone, without what looks like a key."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from llmspell.config.discovery import data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["history_file", "is_kept", "made_ready"]

LARGEST = 1024 * 1024  # bytes, of which the newer half stays where there are more
#: Keys as services make them, and what is said to be one: such an input is not kept.
_SECRET = re.compile(
    r"api_?key|secret|passw|token\s*=|authorization|bearer\s|"
    r"\b(sk|pk|rk|gsk|xai|hf|ghp|gho|github_pat|glpat|r8|pplx|csk|AIza|AKIA|ya29)[-_A-Za-z0-9.]{16,}|"
    r"\b(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9_-]{32,}\b",
    re.IGNORECASE,
)


def history_file(env: Mapping[str, str], platform: str = sys.platform) -> str:
    """Where it is."""
    return os.path.join(data_folder(env, platform, "state"), "repl_history")


def is_kept(text: str) -> bool:
    """Whether an input may be kept: not one that begins with a space, nor one in which a secret may be."""
    return bool(text.strip()) and not text.startswith(" ") and _SECRET.search(text) is None


def made_ready(path: str) -> bool:
    """Sees to it that the file is there, is its owner's alone, and is not too large; False where it cannot be."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        return False
    with open(number, "r+b") as file:
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(number, 0o600)
            if os.fstat(number).st_size > LARGEST:
                file.seek(-LARGEST // 2, os.SEEK_END)
                newer = file.read()
                start = newer.find(b"\n#")  # where an entry begins
                file.seek(0)
                file.write(newer[start:] if start >= 0 else b"")
                file.truncate()
        except OSError:
            return False
    return True
