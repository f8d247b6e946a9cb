"""`llmspell doctor`: what there is, what is in use, and what is wrong."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from llmspell import _speedups
from llmspell._version import __version__
from llmspell.cli.checks import BROKEN, OFF, OK, WARNING, extras, installation, models, probes, safely, surroundings
from llmspell.cli.render import terminal
from llmspell.config.loader import load
from llmspell.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmspell.cli.checks import Check
    from llmspell.config.loader import Config

__all__ = ["doctor"]

#: State: its mark on a terminal, and how that looks.
MARKS = {OK: ("✓", "green"), OFF: ("-", "dim"), WARNING: ("!", "bold yellow"), BROKEN: ("✗", "bold red")}
#: What stands above a check on a terminal, by the beginning of its name; one that is not here stands with the last.
HEADINGS = {
    "llmspell": "Installation",
    "extra": "Extras",
    "extras": "Extras",
    "folder": "This machine",
    "folders": "This machine",
    "terminal": "This machine",
    "configuration": "Configuration",
    "provider": "Models",
    "default": "Models",
}


def doctor(options: dict[str, Any]) -> int:
    """Shows the report; gives 1 where something is broken, else 0."""
    no_color = bool(options.get("no_color"))
    checks = list(_examine(options.get("config"), os.environ, options.get("profile"), no_color=no_color))
    code = 1 if any(check.state == BROKEN for check in checks) else 0
    form = options.get("output") or "text"
    if form == "text":
        look = terminal.look(sys.stdout, no_color=bool(options.get("no_color")))
        marks = look.unicode and terminal.is_terminal(sys.stdout)
        text = "".join(_lines(checks, look, marks=marks)) + ("\n" if marks else "") + _verdict(checks) + "\n"
        told = text.encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    elif form == "json":
        told = _json({"checks": [_plain(check) for check in checks], **_result(code)})
    else:
        told = b"".join(_json({"event": "check", **_plain(check)}) for check in checks)
        told += _json({"event": "result", **_result(code)})
    sys.stdout.buffer.write(told)
    sys.stdout.buffer.flush()
    return code


def _examine(
    config_file: str | None, env: Mapping[str, str], profile: str | None, *, no_color: bool
) -> Iterator[Check]:
    """All checks, in the order in which they are shown."""
    found = probes.run(
        [
            *(probes.LUA, probes.ENGINE),
            *(probes.twin(stem) for stem in _speedups.STEMS),
            *(probes.library(module) for _, module, _ in installation.LIBRARIES),
            probes.library(models.ENGINE),
        ]
    )
    yield from safely("llmspell", installation.own)
    yield from safely("python", installation.python)
    yield from safely("lua", lambda: installation.lua(found))
    yield from safely("twins", lambda: installation.twins(found))
    yield from safely("libraries", lambda: installation.libraries(found))
    yield from safely("extras", extras.extras)
    yield from safely("folders", lambda: surroundings.folders(env))
    yield from safely("terminal", lambda: surroundings.screen(env, no_color=no_color))
    config: Config | ConfigError
    try:
        config = load(script_dir=None, config_file=config_file, env=env, flags={}, profile=profile)
    except ConfigError as error:
        config = error
    except Exception as error:  # a fault of llmspell's: no reason to say nothing of all the rest
        config = ConfigError(f"it cannot be read: {type(error).__name__}", hint="this is a fault of llmspell's")
    yield from safely("configuration", lambda: models.configuration(config, env))
    if not isinstance(config, ConfigError):
        known = config
        yield from safely("models", lambda: models.models(known, env, found[probes.library(models.ENGINE)]))


# -- for people


def _lines(checks: list[Check], look: terminal.Look, *, marks: bool) -> Iterator[str]:
    """Each check with its hint. marks: signs and headings, where a person looks; else words, of one width."""
    above = ""
    for check in checks:
        kind = check.name.partition(".")[0]
        if marks and (heading := HEADINGS.get(kind, above)) != above:
            yield f"{'' if not above else chr(10)}{terminal.style(heading, 'bold') if look.colour else heading}\n"
            above = heading
        sign, style = MARKS[check.state]
        head = sign if marks else f"{check.state:<7}"
        shown = terminal.style(head, style) if look.colour else head
        yield _wrapped(f"{shown} ", len(head) + 1, check.message, look)
        if check.hint:
            indent = " " * (len(head) + 1)
            told = terminal.style("hint", "cyan") if look.colour else "hint"
            yield _wrapped(f"{indent}{told}: ", len(indent) + 6, check.hint, look)


def _wrapped(head: str, wide: int, text: str, look: terminal.Look) -> str:
    """*head*, which takes *wide* columns, and *text* in lines that fit where a terminal bounds them."""
    import textwrap

    text = terminal.harmless(text, keep_newlines=False, unicode=look.unicode)
    room = max(look.width - wide, 20) if look.width else 0
    lines = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) if room else [text]
    return head + ("\n" + " " * wide).join(lines) + "\n"


def _verdict(checks: list[Check]) -> str:
    count = {state: sum(check.state == state for check in checks) for state in (WARNING, BROKEN)}
    told = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((count[BROKEN], "error"), (count[WARNING], "warning"))
        if number
    ]
    if count[BROKEN]:
        return f"llmspell is broken: {', '.join(told)}"
    return f"llmspell works: {told[0]}" if told else "llmspell works"


# -- for programs


def _plain(check: Check) -> dict[str, Any]:
    told = {"name": check.name, "state": check.state, "message": check.message, "hint": check.hint}
    return {**told, "facts": check.facts}


def _result(code: int) -> dict[str, Any]:
    return {"llmspell": __version__, "ok": code == 0, "exit_code": code}


def _json(value: dict[str, Any]) -> bytes:
    """A line of the standard library's JSON: orjson may be what is broken. Of a path, what is no UTF-8 becomes `?`."""
    return (
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    )
