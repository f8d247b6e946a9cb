"""What `validate` found, as a person reads it: the place, the script's lines around it, what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.lint.problems import ERROR
from llmspell.cli.render.errors import excerpt
from llmspell.cli.render.terminal import harmless, style
from llmspell.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell.bridge.lint.problems import Problem
    from llmspell.cli.render.terminal import Look

__all__ = ["counted", "drawn"]

MOST_SHOWN = 100  # problems of one file: a person reads no more, and programs get all
MOST_TEXT = 1000  # characters of a message


def drawn(problems: list[Problem], text: str, look: Look) -> Iterator[str]:
    """Each problem of one file in full, an empty line after it. text: the file's."""
    for problem in problems[:MOST_SHOWN]:
        yield _drawn(problem, text, look)
    if len(problems) > MOST_SHOWN:
        yield f"{_line(problems[0].path, look)}: {len(problems) - MOST_SHOWN} more problems are not shown\n"


def _drawn(problem: Problem, text: str, look: Look) -> str:
    place = f"{_line(problem.path, look)}:{problem.line}:{problem.column}:"
    severity = f"{problem.severity}:"
    message = f"{_line(problem.message, look)} [{problem.code}]"
    if look.colour:
        severity = style(severity, "bold red" if problem.severity == ERROR else "bold yellow")
        place, message = style(place, "bold"), style(message, "bold")
    lines = [f"{place} {severity} {message}"]
    at = ScriptError("", script=problem.path, line=problem.line, column=problem.column)
    if text:
        lines += excerpt(at, text, colour=look.colour, width=look.width, unicode=look.unicode)
    if problem.hint:
        lines.append(f"{style('hint:', 'cyan') if look.colour else 'hint:'} {_line(problem.hint, look)}")
    return "\n".join(lines) + "\n"


def _line(text: str, look: Look) -> str:
    """*text* as one line that steers no terminal."""
    cut = text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + ("…" if look.unicode else "...")
    return harmless(cut, keep_newlines=False, unicode=look.unicode)


def counted(files: int, errors: int, warnings: int, look: Look) -> str:
    """The last line."""
    where = _many(files, "file")
    if not errors and not warnings:
        return f"no problems in {where}"
    told = f"{_many(errors, 'error')} and {_many(warnings, 'warning')} in {where}"
    return style(told, "bold red" if errors else "bold yellow") if look.colour else told


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
