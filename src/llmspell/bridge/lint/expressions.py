"""Lua 5.4's expressions, and the variables in them."""

from __future__ import annotations

from llmspell.bridge.lint.lexer import FLOAT, INTEGER, NAME, STRING
from llmspell.bridge.lint.problems import Fault
from llmspell.bridge.lint.scopes import Local, Scope
from llmspell.bridge.lint.tree import (
    Binary,
    Block,
    Call,
    Constant,
    Expression,
    Function,
    Index,
    Name,
    Paren,
    Table,
    Unary,
    Vararg,
)
from llmspell.bridge.lint.words import Words

__all__ = ["Expressions"]

#: Binary operators: how strongly they hold what is left and right of them.
PRIORITY = {
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "%": (11, 11), "^": (14, 13), "/": (11, 11), "//": (11, 11),
    "&": (6, 6), "|": (4, 4), "~": (5, 5), "<<": (7, 7), ">>": (7, 7), "..": (9, 8),
    "==": (3, 3), "<": (3, 3), "<=": (3, 3), "~=": (3, 3), ">": (3, 3), ">=": (3, 3), "and": (2, 2), "or": (1, 1),
}  # fmt: skip
UNARY = 12
UNARIES = frozenset(("not", "-", "~", "#"))
CALLS = frozenset((STRING, "{", "("))
CONSTANTS = frozenset((STRING, INTEGER, FLOAT, "nil", "true", "false"))


class Expressions(Words):
    """Reads expressions."""

    def block_body(self) -> Block:
        """The statements of a block: the parser's."""
        raise NotImplementedError

    # ---- variables

    def variable(self, *, reserve: bool = True) -> Local:
        """A name that becomes a local variable."""
        name, start, end = self.name()
        if reserve:
            self.reserve(1)
        self.chunk_.names.add(name)
        return Local(name, start, end)

    def reserve(self, count: int) -> None:
        self.scope.declare(count, self.starts[self.at], self.ends[self.at], self.shown())

    def global_or_local(self, name: str, start: int, end: int) -> Name:
        scope = self.scope
        here = self.starts[self.at], self.ends[self.at], ""
        try:
            local = scope.find(name, *here)
            if local is not None:
                return Name(start, end, name, local)
            own = scope.find("_ENV", *here)
            if own is None:
                scope.use_globals(*here)
        except Fault as fault:
            fault.message += self.shown()
            raise
        return Name(start, end, name, None, own is not None)

    # ---- expressions

    def expressions(self) -> list[Expression]:
        found = [self.expression()]
        while self.kind == ",":
            self.next()
            found.append(self.expression())
        return found

    def expression(self, limit: int = 0) -> Expression:
        self.level()
        kind = self.kind
        left: Expression
        if kind in UNARIES:
            start = self.starts[self.at]
            self.next()
            operand = self.expression(UNARY)
            left = Unary(start, operand.end, kind, operand)
        else:
            left = self.simple()
        priority = PRIORITY.get(self.kind)
        while priority is not None and priority[0] > limit:
            operator = self.kind
            self.next()
            right = self.expression(priority[1])
            left = Binary(left.start, right.end, operator, left, right)
            priority = PRIORITY.get(self.kind)
        self.levels -= 1
        return left

    def simple(self) -> Expression:
        kind, at = self.kind, self.at
        if kind in CONSTANTS:
            value = self.tokens.values[at]
            assert isinstance(value, str)
            self.next()
            return Constant(self.starts[at], self.ends[at], kind, value)
        if kind == "{":
            return self.table()
        if kind == "function":
            self.next()
            return self.function_body(at, False, self.line())
        if kind == "...":
            if not self.scope.vararg:
                raise self.fault("cannot use '...' outside a vararg function")
            self.next()
            return Vararg(self.starts[at], self.ends[at])
        return self.suffixed()

    def primary(self) -> Expression:
        if self.kind == NAME:
            return self.global_or_local(*self.name())
        if self.kind == "(":
            opener = self.at
            self.next()
            inner = self.expression()
            self.match(")", "(", opener)
            return Paren(self.starts[opener], self.ends[self.at - 1], inner)
        raise self.fault("unexpected symbol")

    def suffixed(self) -> Expression:
        found = self.primary()
        while True:
            kind = self.kind
            if kind == ".":
                self.next()
                key, start, end = self.name()
                found = Index(found.start, end, found, Constant(start, end, STRING, key))
            elif kind == "[":
                self.next()
                index = self.expression()
                self.check("]")
                found = Index(found.start, self.ends[self.at - 1], found, index)
            elif kind == ":":
                self.next()
                key, start, end = self.name()
                method = Constant(start, end, STRING, key)
                arguments = self.arguments()
                found = Call(found.start, self.ends[self.at - 1], found, method, arguments)
            elif kind in CALLS:
                arguments = self.arguments()
                found = Call(found.start, self.ends[self.at - 1], found, None, arguments)
            else:
                return found

    def arguments(self) -> list[Expression]:
        if self.kind == "(":
            opener = self.at
            self.next()
            found = [] if self.kind == ")" else self.expressions()
            self.match(")", "(", opener)
            return found
        if self.kind == "{":
            return [self.table()]
        if self.kind == STRING:
            return [self.simple()]
        raise self.fault("function arguments expected")

    def table(self) -> Expression:
        opener = self.at
        items: list[tuple[Expression | None, Expression]] = []
        self.next()
        while self.kind != "}":
            key: Expression | None = None
            if self.kind == NAME:
                following = self.tokens.values[self.at + 1]
                if isinstance(following, Fault):
                    raise following
                if self.kinds[self.at + 1] == "=":
                    word, start, end = self.name()
                    key = Constant(start, end, STRING, word)
            elif self.kind == "[":
                self.next()
                key = self.expression()
                self.check("]")
                if self.kind != "=":
                    self.expected("=")
            if key is not None:
                self.next()
            items.append((key, self.expression()))
            if self.kind != "," and self.kind != ";":
                break
            self.next()
        self.match("}", "{", opener)
        return Table(self.starts[opener], self.ends[self.at - 1], items)

    def function_body(self, opener: int, method: bool, line: int) -> Function:
        """Parameters and block. opener: the word `function`; line: where it begins for Lua's compiler."""
        scope = self.scope = Scope(self.scope, line, self.chunk_.faults.append)
        scope.enter()
        self.check("(")
        if method:
            self.reserve(1)
            scope.activate(Local("self", self.starts[opener], self.ends[opener]))
        parameters: list[Local] = []
        while self.kind != ")":
            if self.kind == NAME:
                parameters.append(self.variable())
            elif self.kind == "...":
                self.next()
                scope.vararg = True
                break
            else:
                raise self.fault("<name> or '...' expected")
            if self.kind != ",":
                break
            self.next()
            if self.kind == ")":
                raise self.fault("<name> or '...' expected")
        scope.activate(*parameters)
        self.check(")")
        self.nested += 1
        body = self.block_body()
        self.nested -= 1
        self.match("end", "function", opener, line)
        scope.leave(self.ends[self.at])
        assert scope.outer is not None
        self.scope = scope.outer
        return Function(self.starts[opener], self.ends[self.at - 1], body)
