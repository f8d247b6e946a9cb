"""`llmspell config init` and `check`: a file to begin with, and all that is wrong with those there are."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from llmspell.cli.asking import said, written
from llmspell.cli.commands.config_show import harmless
from llmspell.cli.events import plain_json
from llmspell.cli.render import errors, terminal
from llmspell.config import checking, discovery, template
from llmspell.errors import ConfigError, one_line
from llmspell.utils.file_utils import put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell.config.checking import Findings

__all__ = ["check", "init"]


def init(options: dict[str, Any]) -> int:
    """Writes the user's file, or the project's. Gives the exit code."""
    try:
        path = _write(project=bool(options.get("project")), force=bool(options.get("force")))
    except ConfigError as error:
        return said(error, options)
    told = f"{one_line(path)} is written: each setting is in it as it is without it"
    return written(harmless(told), {"path": path}, options)


def _write(*, project: bool, force: bool) -> str:
    path = os.path.join(os.curdir, discovery.PROJECT_FILE) if project else discovery.user_file(os.environ)
    if path is None:
        raise ConfigError("there is no home folder to write a file into", hint="set XDG_CONFIG_HOME, or use --project")
    text = template.project() if project else template.user()
    try:
        if not project:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # The user's file says where keys are and where they are sent: it is nobody else's.
        put(path, text.encode(), mode=0o644 if project else 0o600, replace=force)
    except FileExistsError as error:
        hint = "`--force` writes over it; `llmspell config check` says whether it is right"
        raise ConfigError(f"{one_line(path)} is there already", hint=hint, file=one_line(path), cause=error) from None
    except OSError as error:
        why = (error.strerror or "it cannot be written").lower()
        hint = "check the path and its permissions"
        raise ConfigError(f"cannot write {one_line(path)}: {why}", hint=hint, cause=error) from None
    return path


def check(file: str | None, options: dict[str, Any]) -> int:
    """Tells all that is wrong with the configuration, or with *file*. Gives the exit code."""
    found = checking.check(
        file,
        folder=os.curdir,
        config_file=options.get("config"),
        env=os.environ,
        profile=options.get("profile"),
    )
    code = ConfigError.default_exit_code if found.errors else 0
    form = options.get("output") or "text"
    if form == "text":
        sys.stdout.buffer.write(
            "".join(_drawn(found, options)).encode(sys.stdout.encoding or "utf-8", "backslashreplace")
        )
    else:
        rows = [("error", error) for error in found.errors] + [("warning", error) for error in found.warnings]
        told = [{"level": level, **error.to_dict()} for level, error in rows]
        result = {"ok": not found.errors, "files": found.files, "exit_code": code}
        if form == "jsonl":
            for one in told:
                sys.stdout.buffer.write(plain_json({"event": "finding", **one}) + b"\n")
            sys.stdout.buffer.write(plain_json({"event": "result", **result}) + b"\n")
        else:
            sys.stdout.buffer.write(plain_json({"findings": told, **result}) + b"\n")
    sys.stdout.buffer.flush()
    return code


def _drawn(found: Findings, options: dict[str, Any]) -> Iterator[str]:
    """What was found, as errors are drawn everywhere, and a last line."""
    look = terminal.look(sys.stdout, no_color=bool(options.get("no_color")))
    for level, rows in (("error[config]", found.errors), ("warning", found.warnings)):
        for error in rows:
            drawn = errors.render(
                error, source=lambda name: None, colour=look.colour, width=look.width, unicode=look.unicode
            )
            yield drawn.replace("error[config]", level, 1)
    files = ", ".join(map(one_line, found.files)) or "no file"
    counts = [
        f"{len(rows)} {word}{'' if len(rows) == 1 else 's'}"
        for word, rows in (("error", found.errors), ("warning", found.warnings))
        if rows
    ]
    yield harmless(f"{files}: {', '.join(counts) or 'all is well'}") + "\n"
