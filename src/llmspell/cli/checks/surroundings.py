"""Where llmspell reads and writes, and what it writes to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from llmspell.cli.checks import OFF, OK, WARNING, Check
from llmspell.cli.render import terminal
from llmspell.config import discovery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["folders", "screen"]


def folders(env: Mapping[str, str]) -> Iterator[Check]:
    """Those of the user's configuration, of what was fetched, and of what scripts keep."""
    from llmspell.providers.local_store import cache_folder

    user_file = discovery.user_file(env)
    if user_file is None:
        yield Check("folder.config", OFF, "configuration folder: there is no home, so none is looked for", None, {})
    else:
        # That it is read-only is how some systems want it.
        yield _folder("config", "configuration folder", os.path.dirname(user_file), "XDG_CONFIG_HOME", OFF)
    yield _folder("cache", "cache folder", cache_folder(), "LLMSPELL_CACHE_DIR", WARNING)
    state = os.path.dirname(discovery.state_file(env, None))
    yield _folder("state", "state folder", state, "XDG_DATA_HOME", WARNING)


def _folder(name: str, what: str, path: str, variable: str, otherwise: str) -> Check:
    """otherwise: the state where it cannot be written to. variable: what names another place."""
    at = path
    while not os.path.lexists(at) and os.path.dirname(at) != at:
        at = os.path.dirname(at)
    exists, is_folder = at == path, os.path.isdir(at)
    writable = is_folder and os.access(at, os.W_OK | os.X_OK)
    facts = {"path": path, "exists": exists and is_folder, "writable": writable}
    if writable:
        return Check(f"folder.{name}", OK, f"{what}: {path}{'' if exists else ', made when needed'}", None, facts)
    hint = f"`chmod u+rwx {_quoted(at)}`, or name another place: `export {variable}=FOLDER`"
    if not is_folder:
        hint = f"move it away: `mv {_quoted(at)} {_quoted(at + '.old')}`, or `export {variable}=FOLDER`"
        return Check(f"folder.{name}", otherwise, f"{what}: {path}, but {at} is no folder", hint, facts)
    beyond = "cannot be written to" if exists else f"cannot be made: {at} cannot be written to"
    return Check(f"folder.{name}", otherwise, f"{what}: {path} {beyond}", hint, facts)


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(path)


def screen(env: Mapping[str, str], *, no_color: bool) -> Iterator[Check]:
    """The terminal, as llmspell sees it: its size, and whether it takes colours and more than ASCII."""
    columns, rows = terminal.terminal_size(sys.stdout, env)
    colour = terminal.takes_colour(sys.stdout, env, no_color=no_color)
    unicode = terminal.takes_unicode(sys.stdout)
    streams = {name: terminal.is_terminal(getattr(sys, name)) for name in ("stdin", "stdout", "stderr")}
    encoding = getattr(sys.stdout, "encoding", None)
    facts: dict[str, Any] = {**streams, "columns": columns, "rows": rows, "colour": colour, "unicode": unicode}
    facts |= {"encoding": encoding, "term": env.get("TERM")}
    if not streams["stdout"]:
        told = "terminal: none, output is no terminal"
        told += "; errors are shown on one" if streams["stderr"] else ""
    else:
        told = f"terminal: {columns} columns, {rows} rows, {_colours(env, colour=colour, no_color=no_color)}"
        told += f", {'Unicode' if unicode else f'{encoding} alone'} ({env.get('TERM') or 'TERM is not set'})"
    if unicode:
        yield Check("terminal", OK, told, None, facts)
    else:
        hint = "`export LC_ALL=C.UTF-8` lets answers show all their characters"
        yield Check("terminal", WARNING, told, hint, facts)


def _colours(env: Mapping[str, str], *, colour: bool, no_color: bool) -> str:
    if colour:
        return "colours"
    if no_color:
        return "no colours (--no-color)"
    return "no colours (NO_COLOR is set)" if env.get("NO_COLOR") else f"no colours (TERM is {env.get('TERM')})"
