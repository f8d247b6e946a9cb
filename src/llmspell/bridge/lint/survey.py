"""What a script names, in one walk over its tree: globals and members, and how they are used; calls; modules."""

from __future__ import annotations

from typing import NamedTuple

from llmspell.bridge.lint.known import PROTECTORS
from llmspell.bridge.lint.lexer import STRING
from llmspell.bridge.lint.tree import (
    Assign,
    Binary,
    Call,
    Constant,
    Do,
    Expression,
    Function,
    GenericFor,
    If,
    Index,
    LocalFunction,
    LocalNames,
    Loop,
    Name,
    Node,
    NumericFor,
    Paren,
    Return,
    Table,
    Unary,
)

__all__ = ["Required", "Survey", "Use", "path_of", "text_of"]

READ, CALLED, INDEXED, TESTED = "read", "called", "indexed", "tested"
#: Functions of Lua's that take a value that may be nil, so that asking them is a test.
ASKERS = frozenset(("type", "rawequal", "rawget", "select"))
#: Those that take `_G` and change nothing in it.
READERS = frozenset(("pairs", "next", "rawget", "type", "tostring", "print", "rawlen"))
LOADERS = frozenset(("load", "loadstring", "dofile", "require"))
MOST_HOPS = 20  # from a local variable to what it stands for


class _Inside:
    """The function that something stands in."""

    __slots__ = ("node", "outer", "protected")

    def __init__(self, outer: _Inside | None, node: Function | None, protected: bool) -> None:
        self.outer, self.node, self.protected = outer, node, protected


class Use(NamedTuple):
    """A name, or a member of something, and what is done with it: read, called, indexed, tested."""

    node: Name | Index
    role: str
    inside: _Inside


class Required(NamedTuple):
    """A module or a file that is loaded by its name."""

    function: str
    name: str
    node: Constant
    inside: _Inside


def text_of(node: Expression | None) -> str | None:
    """What a string that stands there says; None of anything else."""
    return node.value if isinstance(node, Constant) and node.kind == STRING else None


def path_of(node: Expression, hops: int = MOST_HOPS) -> tuple[str, ...] | None:
    """The global that *node* surely stands for, and its members: `("Agent", "create")`. Through locals that are never
    changed."""
    members: list[str] = []
    while hops > 0:
        hops -= 1
        if isinstance(node, Index):
            key = text_of(node.key)
            if key is None:
                return None
            members.append(key)
            node = node.object
        elif isinstance(node, Paren):
            node = node.inner
        elif isinstance(node, Name):
            if node.local is None:
                return None if node.hidden else (node.name, *reversed(members))
            if node.local.changed or node.local.value is None:
                return None
            node = node.local.value
        else:
            return None
    return None


class Survey:
    """globals: those that are used. members: what is looked up in something. calls: all of them.

    assigned, tested: names of globals that are given a value anywhere, or asked whether they have one. set_members,
    tested_members: keys of any table likewise. required: modules by name. open: whether globals may come from where
    nobody sees them.
    """

    def __init__(self, body: list[Node]) -> None:
        self.globals: list[Use] = []
        self.members: list[Use] = []
        self.calls: list[tuple[Call, _Inside]] = []
        self.assigned: set[str] = set()
        self.tested: set[str] = set()
        self.set_members: set[str] = set()
        self.tested_members: set[str] = set()
        self.required: list[Required] = []
        self.open = False
        self._protected: set[int] = set()  # functions that are given to a protector by name
        self._work: list[tuple[Node, str, _Inside]] = []
        top = _Inside(None, None, False)
        self._push_all(body, top)
        while self._work:
            node, role, inside = self._work.pop()
            self._visit(node, role, inside)

    def protected(self, inside: _Inside | None) -> bool:
        """Whether an error there may be meant: something catches it."""
        while inside is not None:
            if inside.protected or id(inside.node) in self._protected:
                return True
            inside = inside.outer
        return False

    def _push_all(self, nodes: list[Node] | list[Expression], inside: _Inside) -> None:
        for node in reversed(nodes):
            self._work.append((node, READ, inside))

    def _visit(self, node: Node, role: str, inside: _Inside) -> None:
        push = self._work.append
        if isinstance(node, Name):
            self._name(node, role, inside)
        elif isinstance(node, Constant):
            pass
        elif isinstance(node, Index):
            self._index(node, role, inside)
        elif isinstance(node, Call):
            self._call(node, inside)
        elif isinstance(node, Binary):
            self._binary(node, role, inside)
        elif isinstance(node, Unary):
            push((node.operand, TESTED if node.operator == "not" else READ, inside))
        elif isinstance(node, Paren):
            push((node.inner, role, inside))
        elif isinstance(node, Function):
            self._push_all(node.body, _Inside(inside, node, False))
        elif isinstance(node, Table):
            for key, value in reversed(node.items):
                push((value, READ, inside))
                if key is not None:
                    push((key, READ, inside))
        else:
            self._statement(node, inside)

    def _statement(self, node: Node, inside: _Inside) -> None:
        push = self._work.append
        if isinstance(node, LocalNames | Return):
            self._push_all(node.values, inside)
        elif isinstance(node, LocalFunction):
            push((node.function, READ, inside))
        elif isinstance(node, Assign):
            self._push_all(node.values, inside)
            for target in node.targets:
                self._target(target, inside)
        elif isinstance(node, Do):
            self._push_all(node.body, inside)
        elif isinstance(node, Loop):
            self._push_all(node.body, inside)
            push((node.condition, TESTED, inside))
        elif isinstance(node, If):
            for condition, body in reversed(node.branches):
                self._push_all(body, inside)
                if condition is not None:
                    push((condition, TESTED, inside))
        elif isinstance(node, NumericFor):
            self._push_all(node.body, inside)
            self._push_all(node.bounds, inside)
        elif isinstance(node, GenericFor):
            self._push_all(node.body, inside)
            self._push_all(node.values, inside)

    # ---- names

    def _name(self, node: Name, role: str, inside: _Inside) -> None:
        if node.name == "_ENV":
            self.open = True
        elif node.local is None and not node.hidden:
            if node.name == "_G" and role != TESTED:
                self.open = True  # it may go anywhere
            if role == TESTED:
                self.tested.add(node.name)
            self.globals.append(Use(node, role, inside))

    def _index(self, node: Index, role: str, inside: _Inside) -> None:
        key = text_of(node.key)
        if _is_globals(node.object):
            if key is not None:
                self.tested.add(key)  # whoever writes it so knows that it may be nil
            else:
                self._work.append((node.key, READ, inside))
            return
        if key is None:
            self._work.append((node.key, READ, inside))
        else:
            if role == TESTED:
                self.tested_members.add(key)
            self.members.append(Use(node, role, inside))
        self._work.append((node.object, INDEXED, inside))

    def _target(self, target: Expression, inside: _Inside) -> None:
        """What is assigned to."""
        if isinstance(target, Name):
            if target.name == "_ENV":
                self.open = True
            elif target.local is None:
                self.assigned.add(target.name)
        elif isinstance(target, Index):
            key = text_of(target.key)
            if _is_globals(target.object):
                if key is None:
                    self.open = True
                else:
                    self.assigned.add(key)
                return
            if key is None:
                self._work.append((target.key, READ, inside))
            else:
                self.set_members.add(key)
            self._work.append((target.object, INDEXED, inside))

    def _binary(self, node: Binary, role: str, inside: _Inside) -> None:
        left = right = READ
        if node.operator in ("and", "or"):
            left, right = TESTED, role if role == TESTED else READ
            if node.operator == "or" and path_of(node.left) is not None:
                right = TESTED  # `table.unpack or unpack`: what another version has in the place of what is not there
        elif node.operator in ("==", "~="):
            left = right = TESTED
        self._work.append((node.right, right, inside))
        self._work.append((node.left, left, inside))

    # ---- calls

    def _call(self, node: Call, inside: _Inside) -> None:
        self.calls.append((node, inside))
        path = path_of(node.function) if node.method is None else None
        name = ".".join(path) if path is not None else ""
        within = inside
        if name in PROTECTORS:
            within = _Inside(inside, None, True)
            for argument in node.arguments:
                if isinstance(argument, Name) and argument.local and isinstance(argument.local.value, Function):
                    self._protected.add(id(argument.local.value))
        elif name in LOADERS:
            self._loader(name, node, inside)
        elif name == "rawset" and node.arguments and _is_globals(node.arguments[0]):
            key = text_of(node.arguments[1]) if len(node.arguments) > 1 else None
            if key is None:
                self.open = True
            else:
                self.assigned.add(key)
        role = TESTED if name in ASKERS else READ
        for argument in reversed(node.arguments):
            if _is_globals(argument) and name in (*READERS, "rawset"):
                continue
            self._work.append((argument, role, within))
        if node.method is not None:
            self._work.append((node.function, INDEXED, inside))
        else:
            self._work.append((node.function, CALLED, inside))

    def _loader(self, function: str, node: Call, inside: _Inside) -> None:
        first = node.arguments[0] if node.arguments else None
        name = text_of(first)
        if function in ("require", "dofile") and name is not None:
            assert isinstance(first, Constant)
            self.required.append(Required(function, name, first, inside))
        else:
            self.open = True


def _is_globals(node: Expression) -> bool:
    return isinstance(node, Name) and node.name == "_G" and node.local is None and not node.hidden
