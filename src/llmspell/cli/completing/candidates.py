"""What may stand at the cursor: commands, options, and the values of either."""

from __future__ import annotations

from llmspell.cli.completing.table import TREE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llmspell.cli.completing.table import Node

__all__ = ["Candidate", "candidates"]


class Candidate:
    """A word that may stand at the cursor.

    about: what it is, on one line. goes_on: whether it is a beginning only. file: whether its end is a file's name.
    """

    __slots__ = ("about", "file", "goes_on", "word")

    def __init__(self, word: str, about: str = "", *, goes_on: bool = False, file: bool = False) -> None:
        self.word, self.about, self.goes_on, self.file = word, about, goes_on, file


class _Where:
    """Where in the command line the cursor stands."""

    __slots__ = ("arguments", "given", "node", "path", "values")

    def __init__(self) -> None:
        self.node: Node = TREE
        self.path: tuple[str, ...] = ()
        self.arguments: list[str] = []  # that stand before the cursor
        self.given: set[str] = set()  # the options that do
        self.values: dict[str, str] = {}  # and what was said with them

    def enter(self, word: str) -> None:
        """A word that is no option."""
        below = self.node[3].get(word)
        if below is not None:
            self.node, self.path = below, (*self.path, word)
        else:
            self.arguments.append(word)


def candidates(words: list[str]) -> list[Candidate]:
    """What may stand in place of the last of *words*, which follow the command's own name; it may be empty."""
    *before, current = words
    where = _Where()
    waiting = ""  # an option that waits for its value
    for word in before:
        if waiting:
            where.values[waiting] = word
            waiting = ""
        elif word == "--":
            return _files(current)  # the script's own arguments
        elif word.startswith("-") and word != "-":
            name, equals, value = word.partition("=")
            where.given.add(name)
            if equals:
                where.values[name] = value
            elif _needs_value(where.node[1].get(name)):
                waiting = name
        else:
            where.enter(word)
    if waiting:
        return _values(where, waiting, current, "")
    if current.startswith("-"):
        name, equals, value = current.partition("=")
        return _values(where, name, value, f"{name}=") if equals else _options(where, current)
    return _arguments(where, current)


def _needs_value(option: tuple[str, str] | None) -> bool:
    return option is not None and option[0] != "" and not option[0].startswith("=")


def _options(where: _Where, current: str) -> list[Candidate]:
    found = []
    for name, (kind, about) in where.node[1].items():
        again = kind.startswith("=")
        if not name.startswith(current) or (name in where.given and not again):
            continue
        found.append(Candidate(name, about))
        if again:
            found.append(Candidate(f"{name}=", about, goes_on=True))
    if len(current) < 2 or "--help".startswith(current):
        found.append(Candidate("--help", "Show what there is."))
    if "--".startswith(current) and where.node[2] and where.node[2][-1].startswith("-- "):
        found.append(Candidate("--", "What follows is the script's own."))
    return found


def _arguments(where: _Where, current: str) -> list[Candidate]:
    """Commands, where there are any; else the argument that comes next."""
    if where.node[3]:
        found = [Candidate(name, node[0]) for name, node in where.node[3].items() if name.startswith(current)]
        return found if not where.arguments else []
    kinds = where.node[2]
    if where.path == ("help",):
        return _help(where, current)
    if not kinds:
        return []
    count = len(where.arguments)
    kind = kinds[count] if count < len(kinds) else kinds[-1]
    if kind.startswith("-- ") or (count >= len(kinds) and not kind.endswith("…")):
        return [] if current else _options(where, current)
    return _of_kind(where, kind, current, "")


def _help(where: _Where, current: str) -> list[Candidate]:
    node: Node | None = TREE
    for word in where.arguments:
        node = node[3].get(word) if node is not None else None
    below = node[3] if node is not None else {}
    return [Candidate(name, one[0]) for name, one in below.items() if name.startswith(current)]


def _values(where: _Where, option: str, current: str, prefix: str) -> list[Candidate]:
    """The values of *option*, each behind *prefix*."""
    kind = where.node[1].get(option, ("", ""))[0]
    if not kind:
        return []
    if kind.startswith("="):  # a list with commas between
        done, comma, current = current.rpartition(",")
        prefix += done + comma
    return _of_kind(where, f"{option} {kind}", current, prefix)


def _of_kind(where: _Where, kind: str, current: str, prefix: str) -> list[Candidate]:
    option, _, what = kind.rpartition(" ")
    if "|" in what and what != what.upper():
        return [Candidate(prefix + word) for word in what.split("|") if word.startswith(current)]
    from llmspell.cli.completing import values

    found = {
        one.word: Candidate(prefix + one.word, one.about, goes_on=one.goes_on, file=one.file)
        for kind_of in what.split("|")  # as in `FOLDER|FILE`
        for one in values.of(where.path, f"{option} {kind_of}", current, where.values)
    }
    return list(found.values())


def _files(current: str) -> list[Candidate]:
    from llmspell.cli.completing import values

    return values.files(current)
