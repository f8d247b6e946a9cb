"""The words for a session itself: `:help` and the like."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llmspell.bridge.calls.run import ASKS
from llmspell.bridge.failures import nearest
from llmspell.bridge.runtime import read_script
from llmspell.cli.repl.saving import script_of
from llmspell.errors import NotFoundError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llmspell.cli.commands.repl import Repl

__all__ = ["WORDS", "obey"]

WORDS = {
    ":help": "this",
    ":limits": "what the session may use, and what is left",
    ":usage": "what it has used of tokens and cost",
    ":reset": "a new Lua state; what was used stays used",
    ":load FILE": "runs a script here; its globals stay",
    ":save FILE": "writes what was typed, without what failed, as a script",
    ":quit": "ends the session, as Ctrl+D does",
}
HELP = """\
An expression shows its value; what is not finished goes on in the next line.
Globals stay, a `local` is of its own input.
Ctrl+C stops what runs, or clears the line; the session goes on.
"""


EXTRA = "`pip install 'llmspell[repl]'` brings line editing, history and completion.\n"


async def obey(repl: Repl, text: str) -> None:
    """Does what a word says. Raises LLMSpellError."""
    word, _, argument = text.strip().partition(" ")
    argument = argument.strip()
    takes = {name.partition(" ")[0]: " " in name for name in WORDS}
    if word not in takes:
        near = nearest(word, takes)
        known = ", ".join(takes)
        raise ValidationError(f"there is no `{word}`", hint=f"did you mean `{near}`?" if near else f"there are {known}")
    if takes[word] != bool(argument):
        needs = "needs the name of a file" if takes[word] else "stands alone"
        raise ValidationError(f"`{word}` {needs}")
    await _DEEDS[word](repl, argument)


async def _help(repl: Repl, _: str) -> None:
    width = max(map(len, WORDS)) + 2
    more = "" if repl.completes else EXTRA
    repl.print(HELP + more + "\n".join(f"  {word:<{width}}{told}" for word, told in WORDS.items()))


def _table(told: dict[str, object]) -> str:
    width = max(map(len, told), default=0) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in told.items())


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


async def _limits(repl: Repl, _: str) -> None:
    told = ASKS["Run.limits"](repl.session.run)
    left = told.pop("left")
    left.pop("timeout", None)  # of each input anew
    lines: dict[str, object] = {}
    for name, value in told.items():
        shown = _number(value) if value else "no limit"
        each = " s, for each input" if name == "timeout" and value else ""
        lines[name] = shown + each + (f"; {_number(left[name])} left" if name in left else "")
    repl.print(_table(lines))


async def _usage(repl: Repl, _: str) -> None:
    told = ASKS["Run.usage"](repl.session.run)
    told.pop("seconds", None)
    repl.print(_table({name: _number(value) for name, value in told.items()}))


async def _reset(repl: Repl, _: str) -> None:
    await repl.reset()


async def _load(repl: Repl, path: str) -> None:
    await repl.run(_script(os.path.expanduser(path)), path)  # noqa: ASYNC240 - nobody else runs meanwhile


def _script(path: str) -> bytes:
    """A script's text. Raises LLMSpellError."""
    text = read_script(path)
    for refused in (b"\x1bLua", b"\0"):
        if refused in text[:4096]:
            raise ValidationError(f"`{path}` is a binary file, not a Lua script", hint="scripts are text")
    text = text.removeprefix(b"\xef\xbb\xbf")
    return b"--" + text if text.startswith(b"#") else text


async def _save(repl: Repl, path: str) -> None:
    _write(repl, os.path.expanduser(path))  # noqa: ASYNC240 - likewise


def _write(repl: Repl, path: str) -> None:
    """Writes what was typed. Raises LLMSpellError; a file that the session has not written itself stays."""
    try:
        with open(path, "wb" if path in repl.saved else "xb") as file:
            file.write(script_of(repl.done))
    except FileExistsError:
        raise ValidationError(f"`{path}` is there already", hint="name another file") from None
    except OSError as error:
        raise NotFoundError(f"cannot write `{path}`: {error.strerror}", cause=error) from None
    repl.saved.add(path)


async def _quit(repl: Repl, _: str) -> None:
    repl.over = True


_DEEDS: dict[str, Callable[[Repl, str], Awaitable[None]]] = {
    ":help": _help,
    ":limits": _limits,
    ":usage": _usage,
    ":reset": _reset,
    ":load": _load,
    ":save": _save,
    ":quit": _quit,
}
