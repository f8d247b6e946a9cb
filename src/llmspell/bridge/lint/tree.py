"""A script as a tree. Every node knows where it begins and ends, as offsets in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmspell.bridge.lint.scopes import Local

__all__ = [
    "Assign", "Binary", "Block", "Call", "Constant", "Do", "Expression", "Function", "GenericFor", "If", "Index",
    "LocalFunction", "LocalNames", "Loop", "Name", "Node", "NumericFor", "Paren", "Return", "Table", "Unary",
    "Vararg",
]  # fmt: skip


@dataclass(slots=True, eq=False)
class Node:
    start: int
    end: int


class Expression(Node):
    __slots__ = ()


@dataclass(slots=True, eq=False)
class Constant(Expression):
    """kind: nil, true, false, or the lexer's STRING, INTEGER, FLOAT. value: what a string says, a number's text."""

    kind: str
    value: str


class Vararg(Expression):
    """`...`"""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Name(Expression):
    """local: what it means; None of a global. hidden: a global of an `_ENV` that is the script's own."""

    name: str
    local: Local | None
    hidden: bool = False


@dataclass(slots=True, eq=False)
class Index(Expression):
    """`object.key` and `object[key]`; a name after a dot is a string constant."""

    object: Expression
    key: Expression


@dataclass(slots=True, eq=False)
class Call(Expression):
    """`function(arguments)`, and `function:method(arguments)`."""

    function: Expression
    method: Constant | None
    arguments: list[Expression]


@dataclass(slots=True, eq=False)
class Paren(Expression):
    inner: Expression


@dataclass(slots=True, eq=False)
class Unary(Expression):
    operator: str
    operand: Expression


@dataclass(slots=True, eq=False)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Table(Expression):
    """items: key and value each; the key is None where the list's next place is meant."""

    items: list[tuple[Expression | None, Expression]]


Block = list[Node]


@dataclass(slots=True, eq=False)
class Function(Expression):
    body: Block = field(default_factory=list)


@dataclass(slots=True, eq=False)
class LocalNames(Node):
    locals: list[Local]
    values: list[Expression]


@dataclass(slots=True, eq=False)
class Assign(Node):
    """Also `function name() end`."""

    targets: list[Expression]
    values: list[Expression]


@dataclass(slots=True, eq=False)
class LocalFunction(Node):
    local: Local
    function: Function


@dataclass(slots=True, eq=False)
class Do(Node):
    body: Block


@dataclass(slots=True, eq=False)
class Loop(Node):
    """`while` and `repeat`."""

    condition: Expression
    body: Block


@dataclass(slots=True, eq=False)
class If(Node):
    """branches: condition and block each; the condition of `else` is None."""

    branches: list[tuple[Expression | None, Block]]


@dataclass(slots=True, eq=False)
class NumericFor(Node):
    bounds: list[Expression]
    body: Block


@dataclass(slots=True, eq=False)
class GenericFor(Node):
    values: list[Expression]
    body: Block


@dataclass(slots=True, eq=False)
class Return(Node):
    values: list[Expression]
