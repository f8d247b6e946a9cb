"""Globals and members that a script uses and nobody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.failures import nearest
from llmspell.bridge.lint.known import API, CLOSED, CLOSED_LIBRARIES, ELSEWHERE, GLOBALS, LIBRARIES, MEMBERS, OLDER
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault
from llmspell.bridge.lint.survey import CALLED, INDEXED, TESTED, path_of
from llmspell.bridge.lint.tree import Index, Name

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from llmspell.bridge.lint.survey import Survey, Use

__all__ = ["check_globals", "check_members"]

MOST_COMPARED = 200  # names that are compared with those that are known: it takes a millisecond each
_LOWER = frozenset(name.lower() for name in GLOBALS)


def check_globals(
    survey: Survey, assigned: Set[str], *, names: Set[str] = frozenset(), alone: bool = False
) -> Iterator[Fault]:
    """Those that nobody sets. assigned: what this script and those that run with it set. names: of its local variables.
    alone: it looks like a module, and nobody is here who requires it: others may set what it uses.
    """
    if survey.open:
        return
    alone = alone or "_VERSION" in survey.tested  # what it calls may be of another version, and not be reached here
    known = GLOBALS | assigned
    choices = sorted(known | names)
    meant: dict[str, str | None] = {}
    for use in survey.globals:
        node = use.node
        assert isinstance(node, Name)
        if node.name in known or node.name in survey.tested or use.role == TESTED:
            continue
        used = use.role in (CALLED, INDEXED)
        if node.name in ELSEWHERE and not used:
            continue  # that is how a script asks for what other versions have
        if node.name not in meant:
            meant[node.name] = nearest(node.name, choices) if len(meant) < MOST_COMPARED else None
        near = meant[node.name]
        # A module's `config` may well be another's own, its `prin` not.
        certain = not alone or (near in GLOBALS and node.name not in _LOWER)
        fails = used and certain and not survey.protected(use.inside)
        message = f"there is no global `{node.name}`"
        severity = ERROR if fails else WARNING
        yield Fault(message, node.start, node.end, "unknown-global", severity, _global_hint(node.name, near, names))


def _global_hint(name: str, near: str | None, names: Set[str]) -> str:
    if name in ELSEWHERE:
        return f"llmspell has no global `{name}` here; a script can ask with `if {name} then`"
    if name in OLDER:
        return OLDER[name]
    if name in names:
        return "a local variable of that name is not seen here: it is declared later, or in another block"
    return f"did you mean `{near}`?" if near else "it is nil when this runs: nothing in the script sets it"


def check_members(survey: Survey, assigned: Set[str]) -> Iterator[Fault]:
    """Members that llmspell's globals and Lua's libraries do not have, and functions that are closed to scripts."""
    for use in survey.members:
        node = use.node
        assert isinstance(node, Index)
        path = path_of(node)
        if path is None or len(path) != 2 or path[0] in assigned or path[1] in survey.set_members:
            continue
        owner, key = path
        severity = WARNING if survey.protected(use.inside) else ERROR
        if owner in API and key not in MEMBERS[owner]:
            near = nearest(key, sorted(MEMBERS[owner]))
            hint = f"did you mean `{owner}.{near}`?" if near else f"it has {', '.join(sorted(MEMBERS[owner]))}"
            yield _fault(node, f"there is no `{owner}.{key}`", "unknown-member", severity, hint)
        elif owner in LIBRARIES:
            yield from _library(survey, use, owner, key, severity)
    for use in survey.globals:
        name = use.node.name if isinstance(use.node, Name) else ""
        if use.role == CALLED and name in CLOSED and name not in assigned:
            severity = WARNING if survey.protected(use.inside) else ERROR
            message = f"`{name}` is not open to scripts"
            yield Fault(message, use.node.start, use.node.end, "closed", severity, CLOSED[name])


def _library(survey: Survey, use: Use, owner: str, key: str, severity: str) -> Iterator[Fault]:
    node = use.node
    assert isinstance(node, Index)
    name = f"{owner}.{key}"
    there = key in LIBRARIES[owner]
    if name in CLOSED or (not there and owner in CLOSED_LIBRARIES):
        if use.role == CALLED and key not in survey.tested_members:
            hint = CLOSED.get(name) or CLOSED_LIBRARIES[owner]
            yield _fault(node, f"`{name}` is not open to scripts", "closed", severity, hint)
    elif not there and use.role != TESTED and key not in survey.tested_members:
        near = nearest(key, sorted(LIBRARIES[owner]))
        meant = f"did you mean `{owner}.{near}`?" if near else f"it is nil: Lua 5.4 has no `{name}`"
        hint = OLDER.get(name, meant)
        fails = use.role in (CALLED, INDEXED)
        yield _fault(node, f"there is no `{name}`", "unknown-member", severity if fails else WARNING, hint)


def _fault(node: Index, message: str, code: str, severity: str, hint: str | None) -> Fault:
    return Fault(message, node.key.start, node.key.end, code, severity, hint)
