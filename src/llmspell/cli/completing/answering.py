"""`llmspell __complete SHELL …`: what a shell asks at each Tab, and what it is told."""

from __future__ import annotations

import os
import sys

from llmspell.cli.completing import words
from llmspell.cli.completing.candidates import candidates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.cli.completing.candidates import Candidate

__all__ = ["answer"]

ABOUT = 100  # characters that are told of a candidate


def answer(given: Sequence[str]) -> int:
    """Writes what may stand at the cursor, as the shell wants it. Whatever fails completes nothing. Gives 0."""
    try:
        told = "".join(f"{line}\n" for line in _SHELLS[given[0]](given[1:]))
        sys.stdout.buffer.write(os.fsencode(told))
        sys.stdout.buffer.flush()
    except Exception:  # an error would stand in the middle of what a person types
        pass
    return 0


def _bash(given: Sequence[str]) -> list[str]:
    """given: the line up to the cursor, and what bash ends words at. The first line of the answer says how to take the
    others: `files`, whose quoting and slashes readline knows, or `words`; and `on`, where no blank is to follow.
    """
    line = words.split(given[0], given[1] if len(given) > 1 else words.BREAKS)
    begin = next((at for at, word in enumerate(line.words) if not _assigns(word)), 0)
    found = candidates(line.words[begin + 1 :] or [""])
    as_files = any(one.file for one in found)
    goes_on = found and all(one.goes_on for one in found)
    told = [one.word[line.cut :] for one in found]
    if as_files:  # readline marks a folder itself, unless it sees none there
        told = [one.removesuffix("/") if os.path.isdir(os.path.expanduser(one)) else one for one in told]
    return [f"{'files' if as_files else 'words'} {'on' if goes_on else ''}", *told]


def _assigns(word: str) -> bool:
    """Whether it stands before a command, as in `NAME=value command`."""
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


def _zsh(given: Sequence[str]) -> list[str]:
    """given: the words. A line begins with `+` where the word goes on, else with a blank; a tab, and what it is."""
    return [f"{'+' if one.goes_on else ' '}{one.word}\t{_about(one)}" for one in candidates(list(given[1:]) or [""])]


def _fish(given: Sequence[str]) -> list[str]:
    """given: the words before the one that is typed, and that as it stands there."""
    *before, current = given
    found = candidates([*before[1:], words.plain(current)])
    return [f"{one.word}\t{_about(one)}" if one.about else one.word for one in found]


def _powershell(given: Sequence[str]) -> list[str]:
    """given: the words, each behind a `:`, since empty ones would get lost on their way."""
    return [f"{one.word}\t{_about(one)}" for one in candidates([word[1:] for word in given[1:]] or [""])]


def _about(one: Candidate) -> str:
    text = "".join(char if char.isprintable() else " " for char in one.about)
    return text if len(text) <= ABOUT else f"{text[: ABOUT - 1]}…"


_SHELLS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
    "powershell": _powershell,
}
