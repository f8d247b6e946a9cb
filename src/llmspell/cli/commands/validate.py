"""`llmspell validate`: what is wrong with scripts, told without running them."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from llmspell.bridge.lint.problems import ERROR
from llmspell.bridge.lint.project import MOST_FILES, Project
from llmspell.bridge.runtime import LARGEST_SCRIPT, read_script
from llmspell.cli.settings import configuration
from llmspell.cli.telling import tell
from llmspell.errors import LLMSpellError, NotFoundError, ValidationError, one_line
from llmspell.providers.manager import ProviderManager

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmspell.bridge.lint.problems import Problem
    from llmspell.bridge.lint.project import Script

__all__ = ["VERSION", "validate"]

VERSION = 1  # of the JSON


def validate(names: Sequence[str], options: dict[str, Any]) -> int:
    """Looks at the scripts and tells what it finds. Gives the exit code."""
    gc.disable()  # trees are large and have no cycles: looking for some takes longer than reading
    try:
        return _validate(names, options)
    finally:
        gc.enable()


def _validate(names: Sequence[str], options: dict[str, Any]) -> int:
    form = options.get("output") or "text"
    usage = True
    try:
        wanted = list(_wanted(names))
        usage = False
        project = Project(_Providers(options).of)
        _read(project, wanted, options)
        scripts = list(project.check())
    except LLMSpellError as error:
        tell(error, form, no_color=bool(options.get("no_color")), python=bool(options.get("traceback")))
        return 2 if usage else error.exit_code
    problems = [problem for script in scripts for problem in script.problems()]
    errors = sum(problem.severity == ERROR for problem in problems)
    code = 1 if errors or (problems and options.get("strict")) else 0
    if form == "text":
        _text(scripts, len(problems) - errors, errors, options)
    else:
        _json(scripts, problems, errors, code, form)
    return code


# ---- what is looked at


def _wanted(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The files, each with the folder that was named for it; `-` is standard input. Raises NotFoundError."""
    for name in names:
        if name == "-":
            yield name, ""
        elif os.path.isdir(name):
            found = list(_walk(name))
            if not found:
                raise NotFoundError(f"there are no scripts in `{one_line(name, 200)}`", hint="scripts end in `.lua`")
            yield from ((path, name) for path in found)
        elif os.path.exists(name):
            yield name, ""
        else:
            raise NotFoundError(
                f"there is no script `{one_line(name, 200)}`",
                hint="check the path, or `-` reads a script from standard input",
            )


def _walk(folder: str) -> Iterator[str]:
    """Its scripts and those of the folders below, but for hidden ones; links to folders are not followed."""
    count = 0
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".lua") and not name.startswith("."):
                count += 1
                if count > MOST_FILES:
                    raise ValidationError(f"there are more than {MOST_FILES} scripts in `{one_line(folder, 200)}`")
                yield os.path.join(at, name)


def _read(project: Project, wanted: Iterable[tuple[str, str]], options: dict[str, Any]) -> None:
    """Adds the files to *project*; one that cannot be read is a problem of its own."""
    for path, folder in wanted:
        shown, own = path, os.path.dirname(os.path.abspath(path))
        failed: LLMSpellError | None = None
        text = b""
        if path == "-":
            shown = options.get("stdin_name") or "stdin"
            text = sys.stdin.buffer.read(LARGEST_SCRIPT + 1)
            if len(text) > LARGEST_SCRIPT:
                failed, text = ValidationError("what comes from standard input is larger than 8 MiB"), b""
        else:
            try:
                text = read_script(path)
            except LLMSpellError as error:
                failed = error
        if path == "-" and not options.get("stdin_name"):
            script = project.add(shown, text, None)
        else:
            own = os.path.dirname(os.path.abspath(shown))
            script = project.add(shown, text, own, _above(own, folder))
        if failed is not None:
            script.unreadable(failed)


def _above(own: str, named: str) -> tuple[str, ...]:
    """Where the modules of a module may be: the folders above its own, up to the one that was named or the working
    one. The script that requires it may stand in any."""
    top = os.path.abspath(named or os.curdir)
    found = []
    at = own
    while at != top and at.startswith(os.path.join(top, "")):
        at = os.path.dirname(at)
        found.append(at)
    return tuple(found)


class _Providers:
    """The configured providers, by the folder that a project's file is looked for from."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._known: dict[str, ProviderManager] = {}

    def of(self, folder: str | None) -> ProviderManager:
        """Raises ConfigError."""
        folder = folder or os.getcwd()
        if folder not in self._known:
            config = configuration(self._options, folder)
            made = ProviderManager(config.providers(), config.get("providers.default"), os.environ)
            self._known[folder] = made
        return self._known[folder]


# ---- what is told


def _text(scripts: list[Script], warnings: int, errors: int, options: dict[str, Any]) -> None:
    from llmspell.cli.render import problems, terminal

    look = terminal.look(sys.stdout, no_color=bool(options.get("no_color")))
    out = sys.stdout.buffer
    encoding = sys.stdout.encoding or "utf-8"
    for script in scripts:
        for part in problems.drawn(script.problems(), script.text, look):
            out.write((part + "\n").encode(encoding, "backslashreplace"))
    out.write((problems.counted(len(scripts), errors, warnings, look) + "\n").encode(encoding, "backslashreplace"))
    out.flush()


def _json(scripts: list[Script], problems: list[Problem], errors: int, code: int, form: str) -> None:
    from llmspell.cli.events import plain_json

    counts = {"errors": errors, "warnings": len(problems) - errors}
    head = {"version": VERSION, "files": [script.path for script in scripts]}
    out = sys.stdout.buffer
    if form == "jsonl":
        for problem in problems:
            out.write(plain_json({"event": "problem", **problem.plain()}) + b"\n")
        out.write(plain_json({"event": "result", **head, **counts, "exit_code": code}) + b"\n")
    else:
        out.write(plain_json({**head, "problems": [problem.plain() for problem in problems], **counts}) + b"\n")
    out.flush()
