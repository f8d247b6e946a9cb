"""Every command, in the order that help lists them. A command is a file here, a line in FILES, and its work in
`commands/`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import rich_click as click

__all__ = ["commands"]

#: The files of this folder; each has its commands in COMMANDS.
FILES = ("running", "session", "mapping", "validate", "chat", "providers", "models", "tools", "config", "shell")


def commands() -> Iterator[click.Command]:
    """All of them, declared."""
    for name in FILES:
        yield from import_module(f"{__name__}.{name}").COMMANDS
