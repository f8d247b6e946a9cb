"""What files say of permissions, and a project's file no more than its user granted. Loaded when one says something."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["narrows", "program_beside"]


def program_beside(grant: str, folder: str) -> str:
    """The grant of a program as it stands in a configuration file: a relative path is below the file's folder.

    Below the working folder, another program could be there each time.
    """
    import os
    import shlex

    try:
        words = shlex.split(grant)
    except ValueError:  # whoever reads the grant says so
        return grant
    if not words or "/" not in words[0]:
        return grant
    return shlex.join([os.path.join(folder, os.path.expanduser(words[0])), *words[1:]])


def narrows(capability: str, one: str, granted: Sequence[str]) -> bool:
    """Whether the grant *one* says no more than *granted* do; where that cannot be told, it does not."""
    if one in granted:
        return True
    if capability in ("read", "write") and _is_of_processes(one):  # no `*`, and no folder above, has those
        granted = [other for other in granted if _is_of_processes(other)]
    if capability == "net" and "*" in granted and _is_special(one):  # `*` is the open internet
        return one in granted
    if "*" in granted:
        return True
    if "*" in one or ("/" in one and capability == "net"):
        return False
    return any(_covers(capability, one, other) for other in granted)


def _is_special(host: str) -> bool:
    """Whether a grant may name a private address, in any form that a host's name is read in."""
    name = host.strip().rstrip(".").lower()
    plain = name.isascii() and any(c.isalpha() for c in name)  # other letters may stand for these
    return not plain or "/" in name or ":" in name or name.endswith("localhost")


def _is_of_processes(path: str) -> bool:
    """Whether a path is one that is granted by its name alone."""
    import os

    from llmspell.utils.places import is_of_processes

    return is_of_processes(os.path.realpath(path))


def _covers(capability: str, one: str, other: str) -> bool:
    """Whether everything that *one* grants *other* grants, too."""
    import os

    if capability in ("read", "write"):
        real, root = os.path.realpath(one), os.path.realpath(other)
        return real == root or real.startswith(root.rstrip(os.sep) + os.sep)
    if capability == "net":
        host, other = one.lower().partition(":")[0], other.lower()
        return host == other or (other.startswith("*.") and host.endswith(other[1:]))
    if capability in ("env", "tools"):
        return other.endswith("*") and one.startswith(other[:-1])
    return False
