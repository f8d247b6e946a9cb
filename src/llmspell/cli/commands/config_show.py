"""`llmspell config show` and `path`: what holds, where it came from, and the files that are looked for."""

from __future__ import annotations

import os
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any

from llmspell.cli.asking import said, written
from llmspell.cli.events import plain_json
from llmspell.cli.render import terminal
from llmspell.cli.settings import GRANTED, SETTINGS, configuration
from llmspell.config import discovery, effective, toml
from llmspell.config.loader import surroundings
from llmspell.errors import LLMSpellError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llmspell.config.effective import Setting
    from llmspell.config.loader import Config

__all__ = ["path", "show"]

_WIDE = 44  # columns before a comment, where they are enough
_FLAGS = {setting: "--" + flag.replace("_", "-") for flag, setting in (SETTINGS | GRANTED).items()}


def show(part: str | None, options: dict[str, Any]) -> int:
    """Every setting, or those below *part*. Gives the exit code."""
    try:
        config = configuration(options, os.curdir)
        found = list(effective.settings(config, part, os.environ))
    except LLMSpellError as error:
        return said(error, options)
    if options.get("output") == "jsonl":
        for setting in found:
            sys.stdout.buffer.write(plain_json({"event": "setting", **_plain(setting)}) + b"\n")
        return written("", {"profile": config.profile, "files": list(config.files)}, options)
    text = "\n".join([*_head(config), *_tables(found, part, origin=bool(options.get("origin")))])
    files = list(config.files)
    told = {"profile": config.profile, "files": files, "settings": [_plain(setting) for setting in found]}
    return written(harmless(text), told, options)


def harmless(text: str) -> str:
    """What may be a stranger's, for a terminal."""
    return terminal.harmless(text, unicode=terminal.look(sys.stdout, no_color=True).unicode)


def _head(config: Config) -> Iterator[str]:
    """Comments that say what was read."""
    for file in config.files:
        yield f"# read: {one_line(file)}"
    if not config.files:
        yield "# no file was read: `llmspell config path` shows where they would be"
    if config.profile is not None:
        yield f"# profile: {config.profile}"


def _tables(found: Iterable[Setting], part: str | None, *, origin: bool) -> Iterator[str]:
    """The settings as TOML."""
    for table, group in groupby(found, lambda setting: _table_of(setting.parts)):
        lines = []
        for setting in group:
            name = toml.key(setting.parts[len(table) :])
            if setting.value is None:
                if ".".join(setting.parts) == part:
                    lines.append(f"# {name} is unset")
                continue
            line = f"{name} = {toml.value(setting.value, setting.key.kind)}"
            lines.append(f"{line:<{_WIDE}}  # {_words(setting)}" if origin else line)
        if lines:
            yield ""
            yield f"[{toml.key(table)}]"
            yield from lines


def _table_of(parts: tuple[str, ...]) -> tuple[str, ...]:
    return parts[:2] if len(parts) > 2 else parts[:1]


def _words(setting: Setting) -> str:
    return _FLAGS.get(".".join(setting.parts), "flag") if setting.origin == "flag" else setting.origin


def _plain(setting: Setting) -> dict[str, Any]:
    """A setting for a program."""
    path = ".".join(setting.parts)
    origin: dict[str, Any] = {"source": setting.origin.partition(" ")[0]}
    if setting.place is not None:
        file, line, column = setting.place
        origin = {"source": "file", "name": file, "line": line, "column": column}
    elif setting.origin == "flag":
        origin["name"] = _FLAGS.get(path, "")
    elif setting.origin != "default":
        origin["name"] = setting.origin.partition(" ")[2]
    return {"key": path, "value": setting.value, "origin": origin}


# The files


def path(options: dict[str, Any]) -> int:
    """The files that are looked for. Gives the exit code."""
    rows = list(_files(options.get("config")))
    wide = max(len(row["kind"]) for row in rows)
    lines = [f"{row['kind']:<{wide}}  {_state(row):<11}  {_where(row)}" for row in rows]
    if options.get("output") == "jsonl":
        for row in rows:
            sys.stdout.buffer.write(plain_json({"event": "file", **row}) + b"\n")
        return written("", {}, options)
    return written(harmless("\n".join(lines)), {"files": rows}, options)


def _files(named: str | None) -> Iterator[dict[str, Any]]:
    """Each that is looked for, the strongest last."""
    _, places = surroundings(os.environ)
    used = {one for one, _ in discovery.find(None, named, places)}
    user = discovery.user_file(os.environ)
    for kind, place in (("system", discovery.system_file(os.environ)), ("user", user)):
        yield _file(kind, place, place in used)
    project = discovery.project_file(os.curdir)
    told = _file("project", project, project in used)
    if project is not None:
        told["trust"] = _trust(project)
    yield told
    if named is not None:
        yield _file("--config", named, True)


def _file(kind: str, place: str | None, used: bool) -> dict[str, Any]:
    return {"kind": kind, "path": place, "exists": place is not None and os.path.isfile(place), "used": used}


def _trust(project: str) -> str:
    """Whether a project's file is trusted, in words."""
    from llmspell.config import files, trust

    try:
        state = trust.state_of(files.read(project, False), os.environ)
    except LLMSpellError as error:
        return one_line(error.message, 200)
    return "trusted" if state.trusted else f"not trusted: it {state.why}" if state.why else "not trusted"


def _state(row: dict[str, Any]) -> str:
    if row["used"]:
        return "used" if row["exists"] else "missing"
    return "not used" if row["exists"] else "not there"


def _where(row: dict[str, Any]) -> str:
    if row["path"] is None:
        return "(there is no home folder)" if row["kind"] == "user" else "(no llmspell.toml from here upwards)"
    return one_line(row["path"]) + (f"  ({row['trust']})" if "trust" in row else "")
