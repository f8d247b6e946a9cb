"""Mutants of a Python source: small changes, each of which some test should notice. Used by mutate.py.

Not changed is what says nothing of behaviour: docstrings, annotations, imports, `__all__`, what only type checkers
see, and words for a person (of errors and of warnings, and whatever is put together in an f-string).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType

__all__ = ["Mutant", "Piece", "compiled", "mutants", "piece"]

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COUNTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
#: Ends of the names of calls whose texts are words for a person.
WORDED = ("Error", "error", "invalid", "missing", "not_found", "wrong", "told", "warn", "TypeVar")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)


class Mutant(NamedTuple):
    """One change. lines: of the statement it is in, the first and the last (of a default: of its function); line, text:
    where, and what stands there; function: the qualified name of the outermost function, empty where the change works
    when the module is made; names: what then is made otherwise, but for a default."""

    number: int
    lines: tuple[int, int]
    line: int
    text: str
    change: str
    function: str
    names: frozenset[str]


class _Change(NamedTuple):
    site: ast.AST
    what: str
    make: Callable[[], None]
    lines: tuple[int, int]
    function: str
    names: frozenset[str]


class _Walker:
    """Goes through a tree, in its order, and gives each change that can be made."""

    def __init__(self) -> None:
        self._names: list[str] = []  # of classes, then of one function
        self._inside = False  # of a function's body
        self._lines = (0, 0)
        self._made: frozenset[str] = frozenset()

    def walk(self, node: ast.AST) -> Iterator[_Change]:
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment", "type_params", "ctx"):
                continue
            if isinstance(value, list):
                for index, item in enumerate(value):
                    if isinstance(item, ast.AST) and not _is_told(node, field, index, item):
                        yield from self._child(node, field, index, item)
            elif isinstance(value, ast.AST) and not _is_told(node, field, None, value):
                yield from self._child(node, field, None, value)

    def _child(self, parent: ast.AST, field: str, index: int | None, node: ast.AST) -> Iterator[_Change]:
        if isinstance(node, ast.stmt):
            if _is_silent(node):
                return
            self._lines = _header(node)
            if not self._inside:
                self._made = _made(node) | {*self._names[-1:]}
        before = self._lines, self._made

        def put(what: str, *fresh: ast.AST) -> _Change:
            def make() -> None:
                if index is None:
                    setattr(parent, field, fresh[0])
                else:
                    getattr(parent, field)[index : index + 1] = fresh

            return _Change(node, what, make, before[0], ".".join(self._names) if self._inside else "", before[1])

        yield from _changes(node, put)
        if isinstance(node, ast.ClassDef) and not self._inside:
            self._names.append(node.name)
            yield from self.walk(node)
            self._names.pop()
        elif isinstance(node, FUNCTIONS) and not self._inside:
            yield from self._function(node)
        else:
            yield from self.walk(node)
        self._lines, self._made = before

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[_Change]:
        """Its defaults and decorators work when the module is made, its body when it is called."""
        self._lines, self._made = (node.lineno, node.end_lineno or node.lineno), frozenset()
        yield from self._child(node, "args", None, node.args)
        for index, decorator in enumerate(node.decorator_list):
            yield from self._child(node, "decorator_list", index, decorator)
        self._names.append(node.name)
        self._inside = True
        for index, statement in enumerate(node.body):
            if not _is_told(node, "body", index, statement):
                yield from self._child(node, "body", index, statement)
        self._inside = False
        self._names.pop()


def _header(node: ast.stmt) -> tuple[int, int]:
    """The lines of a statement, without those of what stands below it."""
    body = getattr(node, "body", None)
    last = node.end_lineno or node.lineno
    if isinstance(body, list) and body:
        last = max(node.lineno, body[0].lineno - 1)
    return node.lineno, last


def _made(node: ast.stmt) -> frozenset[str]:
    """The names that a statement of a module or of a class makes."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return frozenset({node.name})
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return frozenset(one.id for target in targets if target for one in ast.walk(target) if isinstance(one, ast.Name))


def _is_silent(node: ast.stmt) -> bool:
    """Whether nothing of it is behaviour."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.Pass):
        return True
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return True
    names = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(name, ast.Name) and name.id in ("__all__", "__slots__") for name in names)


def _is_told(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> bool:
    """Whether it is words: a docstring, what an error says, a part of an f-string."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg in ("hint", "doc")):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(parent, ast.Call) and field == "args" and isinstance(node, ast.Constant):
        name = parent.func.attr if isinstance(parent.func, ast.Attribute) else getattr(parent.func, "id", "")
        return name.endswith(WORDED) and isinstance(node.value, str)
    return False


def _changes(node: ast.AST, put: Callable[..., _Change]) -> Iterator[_Change]:
    """What can become of one node."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            fresh = COMPARED[type(operator)]()
            ops: list[ast.cmpop] = [*node.ops[:at], fresh, *node.ops[at + 1 :]]
            changed = ast.Compare(node.left, ops, node.comparators)
            yield put(f"{type(operator).__name__} to {type(fresh).__name__}", changed)
    elif isinstance(node, ast.BinOp) and type(node.op) in COUNTED:
        other = COUNTED[type(node.op)]()
        yield put(f"{type(node.op).__name__} to {type(other).__name__}", ast.BinOp(node.left, other, node.right))
    elif isinstance(node, ast.AugAssign) and type(node.op) in COUNTED:
        other = COUNTED[type(node.op)]()
        yield put(
            f"{type(node.op).__name__}= to {type(other).__name__}=", ast.AugAssign(node.target, other, node.value)
        )
    elif isinstance(node, ast.BoolOp):
        either = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield put(f"{type(node.op).__name__} to {type(either).__name__}", ast.BoolOp(either, node.values))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield put("without not", node.operand)
    elif isinstance(node, ast.Constant):
        yield from _constants(node, put)
    elif isinstance(node, ast.stmt):
        yield from _statements(node, put)
    elif isinstance(node, ast.IfExp) and isinstance(node.test, ast.Name | ast.Call | ast.Attribute):
        yield put("if to if not", ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse))


def _constants(node: ast.Constant, put: Callable[..., _Change]) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield put(f"{value} to {not value}", ast.Constant(not value))
    elif isinstance(value, int | float):
        yield put(f"{value!r} to {value + 1!r}", ast.Constant(value + 1))
    elif isinstance(value, str):
        yield put(f"{value!r:.60} to another", ast.Constant(f"{value}XX" if value else "XX"))
    elif isinstance(value, bytes):
        yield put(f"{value!r:.60} to another", ast.Constant(value + b"XX"))


def _statements(node: ast.stmt, put: Callable[..., _Change]) -> Iterator[_Change]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name | ast.Call | ast.Attribute):
        yield put("if to if not", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse))
    elif isinstance(node, ast.Return) and not (node.value is None or _is_none(node.value)):
        yield put("return None", ast.Return(ast.Constant(None)))
    elif _does_something(node):
        yield put("left out", ast.Pass())
    elif isinstance(node, ast.Break):
        yield put("break to continue", ast.Continue())
    elif isinstance(node, ast.Continue):
        yield put("continue to break", ast.Break())


def _does_something(node: ast.stmt) -> bool:
    """Whether it may be left out, and all names are there still."""
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    return calls or isinstance(node, ast.Raise)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def mutants(source: str) -> list[Mutant]:
    """All mutants of *source*, in its order."""
    lines = source.splitlines()
    found = []
    for number, change in enumerate(_Walker().walk(ast.parse(source))):
        line: int = change.site.lineno  # type: ignore[attr-defined]
        found.append(
            Mutant(number, change.lines, line, lines[line - 1].strip(), change.what, change.function, change.names)
        )
    return found


def _mutated(source: str, number: int) -> tuple[ast.Module, ast.AST]:
    """The tree with that change, and where it is. Raises IndexError where there is no such mutant."""
    tree = ast.parse(source)
    for at, change in enumerate(_Walker().walk(tree)):
        if at == number:
            change.make()
            for node in ast.walk(tree):
                if isinstance(node, ast.expr | ast.stmt) and not hasattr(node, "lineno"):
                    ast.copy_location(node, change.site)
            return ast.fix_missing_locations(tree), change.site
    raise IndexError(number)


def compiled(source: str, number: int, path: str) -> CodeType:
    """The code of the mutant of that number, with *source*'s places in it. Raises IndexError for another number."""
    return compile(_mutated(source, number)[0], path, "exec", dont_inherit=True)


class Piece(NamedTuple):
    """What is to be done again in a module that is there already. names: what it makes. Either a module's names, or one
    function without its decorators, for its defaults: place is its qualified name, empty otherwise."""

    code: CodeType
    names: tuple[str, ...]
    place: str


def piece(source: str, number: int, path: str) -> Piece | None:
    """The mutant as a part that can be done again: assignments of the module from the changed one on, or a function's
    defaults. None where neither is changed, or a class's own names are."""
    tree, site = _mutated(source, number)
    line: int = site.lineno  # type: ignore[attr-defined]
    top = next(at for at, node in enumerate(tree.body) if node.lineno <= line <= (node.end_lineno or node.lineno))
    node, place = tree.body[top], ""
    if isinstance(node, ast.ClassDef):
        place = f"{node.name}."
        node = next(one for one in node.body if one.lineno <= line <= (one.end_lineno or one.lineno))
    if isinstance(node, FUNCTIONS):
        node.decorator_list = []
        return Piece(_alone([node], path), (node.name,), place + node.name)
    if place or not isinstance(node, ASSIGNMENTS):
        return None
    first = next(at for at, one in enumerate(tree.body) if isinstance(one, ASSIGNMENTS) and _made(one) & _made(node))
    again = [one for one in tree.body[first:] if isinstance(one, ASSIGNMENTS) and getattr(one, "value", None)]
    return Piece(_alone(again, path), tuple(sorted({name for one in again for name in _made(one)})), "")


def _alone(body: list[ast.stmt], path: str) -> CodeType:
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    return compile(ast.fix_missing_locations(ast.Module([future, *body], [])), path, "exec", dont_inherit=True)
