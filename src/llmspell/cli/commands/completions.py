"""`llmspell completions`: what a shell needs to complete llmspell's command lines."""

from __future__ import annotations

import sys

from llmspell.cli.completing.shells import SCRIPTS

__all__ = ["completions"]


def completions(shell: str) -> int:
    """Writes the script of *shell* to standard output; gives the exit code."""
    sys.stdout.write(SCRIPTS[shell])
    sys.stdout.flush()
    return 0
