"""Which variable a name means, and where a `goto` may go: the rules and the limits of Lua's own compiler.

Source: lparser.c of Lua 5.4; names are as there where nothing better is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge.lint.problems import WARNING, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.lint.tree import Expression

__all__ = ["MOST_LOCALS", "MOST_UPVALUES", "Local", "Scope"]

MOST_LOCALS = 200  # of one function, those that the compiler makes for itself included
MOST_UPVALUES = 255  # variables of outer functions that one function uses


class Local:
    """A local variable.

    start, end: where it is declared. attribute: "const", "close" or None. value: what it is first given, where that is
    known. changed: whether it is given another value later. folded: the compiler puts its value in its place.
    """

    __slots__ = ("attribute", "changed", "end", "folded", "name", "start", "value")

    def __init__(self, name: str, start: int, end: int) -> None:
        self.name, self.start, self.end = name, start, end
        self.attribute: str | None = None
        self.value: Expression | None = None
        self.changed = False
        self.folded = False


class _Jump:
    """A `goto` that has not found its label; `break` is one."""

    __slots__ = ("active", "end", "line", "name", "start")

    def __init__(self, name: str, start: int, end: int, line: int, active: int) -> None:
        self.name, self.start, self.end, self.line, self.active = name, start, end, line, active


class _Label:
    __slots__ = ("active", "end", "line", "name", "start", "used")

    def __init__(self, name: str, start: int, end: int, line: int, active: int) -> None:
        self.name, self.start, self.end, self.line, self.active = name, start, end, line, active
        self.used = False


class _Block:
    """active: how many locals of the function were there before it. jumps: those that wait for a label, by its name."""

    __slots__ = ("active", "jumps", "labels", "loop", "outer")

    def __init__(self, outer: _Block | None, active: int, loop: bool) -> None:
        self.outer, self.active, self.loop = outer, active, loop
        self.labels: dict[str, _Label] = {}
        self.jumps: dict[str, list[_Jump]] = {}


class Scope:
    """One function's variables, blocks and jumps. line: where it begins, 0 of the main chunk.

    report: takes the faults that are none of its grammar.
    """

    def __init__(self, outer: Scope | None, line: int, report: Callable[[Fault], None]) -> None:
        self.outer, self.line, self.report = outer, line, report
        self.vararg = False
        self.active: list[Local] = []
        self.declared = 0  # and not yet active
        self.block: _Block | None = None
        self._by_name: dict[str, list[Local]] = {}
        self._captured: set[Local | None] = set() if outer is not None else {None}  # None: _ENV

    # ---- variables

    def declare(self, count: int, start: int, end: int, near: str) -> None:
        """Makes room for *count* more locals. Raises Fault where there is none."""
        self.declared += count
        if len(self.active) + self.declared > MOST_LOCALS:
            raise self._limit(MOST_LOCALS, "local variables", start, end, near)

    def activate(self, *locals: Local) -> None:
        """What was declared is seen from here on."""
        for local in locals:
            self.active.append(local)
            self._by_name.setdefault(local.name, []).append(local)
        self.declared -= len(locals)

    def find(self, name: str, start: int, end: int, near: str) -> Local | None:
        """The variable that *name* means here; None where it is a global. Raises Fault where a function has too many
        of outer functions."""
        scope: Scope | None = self
        while scope is not None:
            if known := scope._by_name.get(name):
                local = known[-1]
                if scope is not self and not local.folded:
                    self._capture(local, scope, start, end, near)
                return local
            scope = scope.outer
        return None

    def use_globals(self, start: int, end: int, near: str) -> None:
        """A global is used: each function on the way has `_ENV` of the main chunk's."""
        if None not in self._captured:
            self._capture(None, None, start, end, near)

    def _capture(self, local: Local | None, home: Scope | None, start: int, end: int, near: str) -> None:
        if local in self._captured:
            return
        if self.outer is not None and self.outer is not home:
            self.outer._capture(local, home, start, end, near)
        if len(self._captured) >= MOST_UPVALUES:
            raise self._limit(MOST_UPVALUES, "upvalues", start, end, near)
        self._captured.add(local)

    def _limit(self, most: int, what: str, start: int, end: int, near: str) -> Fault:
        where = f"function at line {self.line}" if self.line else "main function"
        return Fault(f"too many {what} (limit is {most}) in {where} near {near}", start, end, "limit")

    # ---- blocks and jumps

    def enter(self, *, loop: bool = False) -> None:
        """A block begins."""
        self.block = _Block(self.block, len(self.active), loop)

    def leave(self, told: int) -> None:
        """It ends. told: the offset where Lua's compiler is by then."""
        block = self.block
        assert block is not None
        for local in self.active[block.active :]:
            self._by_name[local.name].pop()
        del self.active[block.active :]
        if block.loop:
            self._solve(_Label("break", 0, 0, 0, block.active), told)
        for label in block.labels.values():
            if not label.used:
                message = f"no `goto` goes to the label `{label.name}`"
                self.report(Fault(message, label.start, label.end, "unused-label", WARNING))
        self.block = outer = block.outer
        if outer is None:
            self._lost([jump for jumps in block.jumps.values() for jump in jumps], told)
            return
        for name, jumps in block.jumps.items():
            for jump in jumps:
                jump.active = min(jump.active, block.active)
            outer.jumps.setdefault(name, []).extend(jumps)

    def _lost(self, jumps: list[_Jump], told: int) -> None:
        """The function ends, and *jumps* have found no label."""
        for jump in sorted(jumps, key=lambda jump: jump.start):
            if jump.name == "break":
                message = f"break outside loop at line {jump.line}"
            else:
                message = f"no visible label '{jump.name}' for <goto> at line {jump.line}"
            self.report(Fault(message, jump.start, jump.end, "syntax", told=told))

    def jump(self, name: str, start: int, end: int, line: int) -> None:
        """`goto name`, or a `break`."""
        label = self._label(name)
        if label is None:
            assert self.block is not None
            self.block.jumps.setdefault(name, []).append(_Jump(name, start, end, line, len(self.active)))
        else:
            label.used = True

    def label(self, name: str, start: int, end: int, line: int, *, last: bool, told: int) -> None:
        """`::name::`. last: nothing follows it in its block."""
        block = self.block
        assert block is not None
        known = self._label(name)
        if known is not None:
            message = f"label '{name}' already defined on line {known.line}"
            self.report(Fault(message, start, end, "syntax", told=told))
        label = _Label(name, start, end, line, block.active if last else len(self.active))
        label.used = known is not None  # one complaint is enough
        block.labels.setdefault(name, label)
        self._solve(label, told)

    def _label(self, name: str) -> _Label | None:
        block = self.block
        while block is not None:
            if name in block.labels:
                return block.labels[name]
            block = block.outer
        return None

    def _solve(self, label: _Label, told: int) -> None:
        """The jumps of this block that wait for *label*."""
        assert self.block is not None
        for jump in self.block.jumps.pop(label.name, ()):
            label.used = True
            if jump.active < label.active:
                variable = self.active[jump.active].name
                message = f"<goto {jump.name}> at line {jump.line} jumps into the scope of local '{variable}'"
                self.report(Fault(message, jump.start, jump.end, "syntax", told=told))
