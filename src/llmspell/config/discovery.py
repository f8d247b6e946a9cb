"""Which configuration files there are. Looks, and reads nothing: a start without a file pays for a few `stat`s only."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROJECT_FILE", "find", "project_file", "system_file", "user_file"]

PROJECT_FILE = "llmspell.toml"


def system_file(env: Mapping[str, str], platform: str = sys.platform) -> str:
    """Where the machine's file would be."""
    if platform == "win32":
        return os.path.join(env.get("PROGRAMDATA") or r"C:\ProgramData", "llmspell", "config.toml")
    if platform == "darwin":
        return "/Library/Application Support/llmspell/config.toml"
    return "/etc/llmspell/config.toml"


def user_file(env: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Where the user's file would be; None where the user has no home."""
    place = env.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(place):  # the XDG specification has relative ones ignored
        if platform == "win32":
            place = env.get("APPDATA", "")
        else:
            home = env.get("HOME", "")
            below = ("Library", "Application Support") if platform == "darwin" else (".config",)
            place = os.path.join(home, *below) if os.path.isabs(home) else ""
    return os.path.join(place, "llmspell", "config.toml") if place else None


def project_file(folder: str) -> str | None:
    """The nearest `llmspell.toml`, from *folder* upwards."""
    try:
        folder = os.getcwd() if folder == os.curdir else os.path.abspath(folder)
    except OSError:  # the working folder is gone
        return None
    while True:
        path = os.path.join(folder, PROJECT_FILE)
        if _is_file(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _is_file(path: str) -> bool:
    """Mostly there is none, and `access` says so at less than half the price: it raises nothing."""
    try:
        return os.access(path, os.F_OK) and os.path.isfile(path)
    except ValueError:  # no path that a system could have
        return False


def find(script_dir: str | None, config_file: str | None, env: Mapping[str, str]) -> list[tuple[str, bool]]:
    """The files to read, the strongest last, each with whether it is trusted.

    script_dir: the folder of the script, None where it has none. config_file: what `--config` named, taken as it is
    and not looked for. A project's file may have come with the script, so it is not trusted more than the script is.
    """
    found = [(path, True) for path in (system_file(env), user_file(env)) if path and _is_file(path)]
    if config_file is not None:
        found.append((config_file, True))
        return found
    project = (project_file(script_dir) if script_dir is not None else None) or project_file(os.curdir)
    if project is not None:
        found.append((project, False))
    return found
