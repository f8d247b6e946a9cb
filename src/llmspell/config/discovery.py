"""Which configuration files there are. Looks, and reads nothing: a start without a file pays for a few `stat`s only."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PROJECT_FILE", "data_folder", "find", "project_file", "state_file", "system_file", "user_file"]

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


def data_folder(env: Mapping[str, str], platform: str = sys.platform, kind: str = "data") -> str:
    """Where llmspell keeps what it makes for the user. kind: "data", or "state" for what can be lost."""
    place = env.get(f"XDG_{kind.upper()}_HOME", "")
    if not os.path.isabs(place):
        home = os.path.expanduser("~")
        if platform == "win32":
            place = env.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
        else:
            own = "share" if kind == "data" else kind
            below = ("Library", "Application Support") if platform == "darwin" else (".local", own)
            place = os.path.join(home, *below)
    return os.path.join(place, "llmspell")


def state_file(env: Mapping[str, str], script: str | None, platform: str = sys.platform) -> str:
    """Where the State of a script is kept that is to outlive its run: one file for each script, by its path."""
    from hashlib import sha256

    real = os.path.realpath(script) if script is not None else ""
    name = "".join(c if c.isalnum() else "_" for c in os.path.basename(real))[:40] or "script"
    digest = sha256(os.fsencode(real)).hexdigest()[:16]
    return os.path.join(data_folder(env, platform), "state", f"{name}-{digest}.db")


def project_file(folder: str) -> str | None:
    """The nearest `llmspell.toml`, from *folder* upwards."""
    try:
        folder = os.getcwd() if folder == os.curdir else os.path.abspath(folder)
    except OSError:  # the working folder is gone
        return None
    for path in _upwards(folder):
        if _is_file(path):
            return path
    return None


_last: tuple[str, list[str]] = "", []


def _upwards(folder: str) -> list[str]:
    """Where a project's file of *folder* could be. The last answer is kept: embedders ask for each of their scripts."""
    global _last
    known, paths = _last  # once: other threads look, too
    if folder == known:
        return paths
    paths = []
    at, above = folder, ""
    while at != above:
        paths.append(os.path.join(at, PROJECT_FILE))
        at, above = os.path.dirname(at), at
    _last = folder, paths
    return paths


def _is_file(path: str) -> bool:
    """Mostly there is none, and `access` says so at less than half the price: it raises nothing."""
    try:
        return os.access(path, os.F_OK) and os.path.isfile(path)
    except ValueError:  # no path that a system could have
        return False


def find(script_dir: str | None, config_file: str | None, places: list[str]) -> list[tuple[str, bool]]:
    """The files to read, the strongest last, each with whether it is trusted.

    places: where the machine's file and the user's would be. script_dir: the folder of the script, None where it has
    none. config_file: what `--config` named, taken as it is and not looked for. A project's file may have come with the
    script, so it is not trusted more than the script is.
    """
    found = [(path, True) for path in places if _is_file(path)]
    if config_file is not None:
        found.append((config_file, True))
        return found
    project = (project_file(script_dir) if script_dir is not None else None) or project_file(os.curdir)
    if project is not None:
        found.append((project, False))
    return found
