"""Lua 5.4's grammar by recursive descent: a text's tree, or what is wrong with it in the words of Lua's own compiler.

Source: lparser.c of Lua 5.4, function by function, so that the first fault is the one that Lua would tell.
"""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from llmspell.bridge.lint.lexer import EOF, FLOAT, INTEGER, NAME, STRING, WRONG, tokens
from llmspell.bridge.lint.problems import ERROR, Fault, Lines
from llmspell.bridge.lint.scopes import MOST_LOCALS, Local, Scope
from llmspell.bridge.lint.tree import (
    Assign,
    Binary,
    Call,
    Constant,
    Do,
    Function,
    GenericFor,
    If,
    Index,
    LocalFunction,
    LocalNames,
    Loop,
    Name,
    NumericFor,
    Paren,
    Return,
    Table,
    Unary,
    Vararg,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmspell.bridge.lint.tree import Block, Expression, Node

__all__ = ["Chunk", "parse"]

MOST_SHOWN = 60  # characters of a word in a message
MOST_LEVELS = 197  # that statements and expressions may be nested: Lua has 200, a few of which are taken by then
FRAMES = 12  # of Python's, at most, for a level

#: Binary operators: how strongly they hold what is left and right of them.
PRIORITY = {
    "+": (10, 10), "-": (10, 10), "*": (11, 11), "%": (11, 11), "^": (14, 13), "/": (11, 11), "//": (11, 11),
    "&": (6, 6), "|": (4, 4), "~": (5, 5), "<<": (7, 7), ">>": (7, 7), "..": (9, 8),
    "==": (3, 3), "<": (3, 3), "<=": (3, 3), "~=": (3, 3), ">": (3, 3), ">=": (3, 3), "and": (2, 2), "or": (1, 1),
}  # fmt: skip
UNARY = 12
UNARIES = frozenset(("not", "-", "~", "#"))
ENDS = frozenset(("else", "elseif", "end", EOF))  # of a block
CALLS = frozenset((STRING, "{", "("))
CONSTANTS = frozenset((STRING, INTEGER, FLOAT, "nil", "true", "false"))
#: A line that begins with one of these at its very beginning is taken for the main chunk's own, after an error.
STARTS = frozenset(("local", "function"))


class Chunk:
    """A text that was read. faults: what is wrong, in the order in which it was met; none: `body` is all of it.

    environment: whether it names `_ENV`, so that its globals may be anything.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)
        self.body: Block = []
        self.faults: list[Fault] = []
        self.environment = False

    @property
    def broken(self) -> bool:
        """Whether it is not Lua."""
        return any(fault.severity == ERROR for fault in self.faults)


def parse(text: str) -> Chunk:
    """Reads *text*, which is Lua 5.4, or tells what is wrong."""
    chunk = Chunk(text)
    with _room():
        _Parser(chunk).chunk()
    return chunk


@contextmanager
def _room() -> Iterator[None]:
    """Python's own limit of recursion is no limit of Lua's."""
    before, depth, frame = sys.getrecursionlimit(), 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(max(before, depth + MOST_LEVELS * FRAMES + 100))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Parser:
    """One text's reading. kind: of the word that comes next."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk_ = chunk
        self.tokens = tokens(chunk.text)
        self.kinds, self.starts, self.ends = self.tokens.kinds, self.tokens.starts, self.tokens.ends
        self.at = -1
        self.kind = ""
        self.levels = 0
        self.nested = 0  # blocks that are open
        self.flat = False  # a line's beginning says nothing of what it belongs to
        self.scope = Scope(None, 0, chunk.faults.append)

    # ---- words

    def next(self) -> None:
        """Goes on to the next word. Raises Fault where it is none."""
        self.at += 1
        kind = self.kind = self.kinds[self.at]
        if kind is WRONG:
            fault = self.tokens.values[self.at]
            assert isinstance(fault, Fault)
            raise fault

    def line(self) -> int:
        """The line where Lua's compiler is: that of the last character it has read."""
        return self.chunk_.lines.line(self.ends[self.at])

    def shown(self) -> str:
        """The next word as errors name it."""
        if self.kind == EOF:
            return EOF
        text = self.chunk_.text[self.starts[self.at] : self.ends[self.at]]
        if len(text) == 1 and not " " <= text <= "~":
            return f"'<\\{text.encode('utf-8', 'replace')[0]}>'"
        first = re.split(r"[\r\n]", text, maxsplit=1)[0][:MOST_SHOWN]
        return f"'{first if first == text else first + '…'}'"

    def fault(self, message: str, *, hint: str | None = None) -> Fault:
        """What is wrong at the next word."""
        start, end = self.starts[self.at], self.ends[self.at]
        return Fault(f"{message} near {self.shown()}", start, end, "syntax", hint=hint, told=end)

    def meaning(self, message: str, start: int, end: int) -> None:
        """Something wrong that is none of the grammar: the reading goes on."""
        self.chunk_.faults.append(Fault(message, start, end, "syntax", told=self.ends[self.at]))

    def expected(self, kind: str) -> NoReturn:
        raise self.fault(f"{_quoted(kind)} expected")

    def check(self, kind: str) -> None:
        """The next word must be *kind*; goes on."""
        if self.kind != kind:
            self.expected(kind)
        self.next()

    def test(self, kind: str) -> bool:
        """Whether the next word is *kind*; if so, goes on."""
        if self.kind != kind:
            return False
        self.next()
        return True

    def match(self, kind: str, opened: str, opener: int, line: int = 0) -> None:
        """*kind* must end what *opened* began, the word *opener*. line: where that was, if not in its own."""
        if self.kind == kind:
            self.next()
            return
        line = line or self.chunk_.lines.line(self.ends[opener])
        if line == self.line():
            self.expected(kind)
        raise self.fault(f"{_quoted(kind)} expected (to close '{opened}' at line {line})")

    def name(self) -> tuple[str, int, int]:
        """A name, and where it stands; goes on."""
        if self.kind != NAME:
            self.expected(NAME)
        at = self.at
        value = self.tokens.values[at]
        assert isinstance(value, str)
        self.next()
        return value, self.starts[at], self.ends[at]

    def level(self) -> None:
        """One level deeper; whoever calls it goes back up by itself. Raises Fault."""
        self.levels += 1
        if self.levels > MOST_LEVELS:
            start, end = self.starts[self.at], self.ends[self.at]
            raise Fault("nested too deeply (C stack overflow)", start, end, "limit", hint="take it apart", told=end)

    # ---- the text

    def chunk(self) -> None:
        """All of it. After an error it goes on where the main chunk surely does, if there is such a place."""
        first = True
        while True:
            count = len(self.chunk_.faults)
            try:
                self.main(first)
                return
            except Fault as fault:
                if not first and (self.flat or self.kind in ("end", "else", "elseif", "until", "}", ")")):
                    del self.chunk_.faults[count:]  # what seemed the main chunk's was none
                    return
                self.chunk_.faults.append(fault)
            if self.flat or not self.resume():
                return
            first = False

    def main(self, first: bool) -> None:
        self.scope.vararg = True
        self.scope.enter()
        if first:
            self.next()
        self.chunk_.body += self.block_body()
        if self.kind != EOF:
            self.expected(EOF)
        self.scope.leave(self.ends[self.at])

    def resume(self) -> bool:
        """Goes to the next line that begins with a word of STARTS; False where there is none."""
        begins = set(self.chunk_.lines.starts)
        for at in range(self.at + 1, len(self.kinds)):
            if self.kinds[at] in STARTS and self.starts[at] in begins:
                self.at, self.kind = at, self.kinds[at]
                break
        else:
            return False
        known = self.root().active[: MOST_LOCALS // 2]
        self.scope = Scope(None, 0, self.chunk_.faults.append)
        self.scope.activate(*known)
        self.scope.declared = self.levels = self.nested = 0
        return True

    def root(self) -> Scope:
        scope = self.scope
        while scope.outer is not None:
            scope = scope.outer
        return scope

    # ---- statements

    def block(self, *, loop: bool = False) -> Block:
        """A block with a scope of its own."""
        self.scope.enter(loop=loop)
        body = self.block_body()
        self.scope.leave(self.ends[self.at])
        return body

    def block_body(self) -> Block:
        body: Block = []
        while self.kind not in ENDS and self.kind != "until":
            last = self.kind == "return"
            node = self.statement()
            if node is not None:
                body.append(node)
            if last:
                break
        return body

    def inner(self, *, loop: bool = False) -> Block:
        """A block within a statement."""
        self.nested += 1
        body = self.block(loop=loop)
        self.nested -= 1
        return body

    def statement(self) -> Node | None:
        """One statement; None of those that say nothing to the checks."""
        kind, start = self.kind, self.starts[self.at]
        if self.nested and not self.flat and kind != ";":
            lines = self.chunk_.lines
            self.flat = start == lines.starts[lines.line(start) - 1]
        self.level()
        method = STATEMENTS.get(kind)
        node = method(self) if method is not None else self.expression_statement()
        self.levels -= 1
        return node

    def empty_statement(self) -> None:
        self.next()

    def if_statement(self) -> Node:
        opener = self.at
        branches: list[tuple[Expression | None, Block]] = []
        while True:
            self.next()
            condition = self.expression()
            self.check("then")
            branches.append((condition, self.inner()))
            if self.kind != "elseif":
                break
        if self.test("else"):
            branches.append((None, self.inner()))
        self.match("end", "if", opener)
        return If(self.starts[opener], self.ends[self.at - 1], branches)

    def while_statement(self) -> Node:
        opener = self.at
        self.next()
        condition = self.expression()
        self.scope.enter(loop=True)
        self.check("do")
        body = self.inner()
        self.match("end", "while", opener)
        self.scope.leave(self.ends[self.at])
        return Loop(self.starts[opener], self.ends[self.at - 1], condition, body)

    def do_statement(self) -> Node:
        opener = self.at
        self.next()
        body = self.inner()
        self.match("end", "do", opener)
        return Do(self.starts[opener], self.ends[self.at - 1], body)

    def repeat_statement(self) -> Node:
        opener = self.at
        self.scope.enter(loop=True)
        self.scope.enter()
        self.next()
        self.nested += 1
        body = self.block_body()
        self.nested -= 1
        self.match("until", "repeat", opener)
        condition = self.expression()  # sees the locals of the block
        self.scope.leave(self.ends[self.at])
        self.scope.leave(self.ends[self.at])
        return Loop(self.starts[opener], self.ends[self.at - 1], condition, body)

    def for_statement(self) -> Node:
        opener = self.at
        self.scope.enter(loop=True)
        self.next()
        first = self.variable(reserve=False)
        if self.kind == "=":
            node = self.numeric_for(opener, first)
        elif self.kind in (",", "in"):
            node = self.generic_for(opener, first)
        else:
            raise self.fault("'=' or 'in' expected")
        self.match("end", "for", opener)
        self.scope.leave(self.ends[self.at])
        node.end = self.ends[self.at - 1]
        return node

    def numeric_for(self, opener: int, variable: Local) -> Node:
        self.reserve(4)
        self.next()
        bounds = [self.expression()]
        self.check(",")
        bounds.append(self.expression())
        if self.test(","):
            bounds.append(self.expression())
        return NumericFor(self.starts[opener], 0, bounds, self.for_body(3, [variable]))

    def generic_for(self, opener: int, first: Local) -> Node:
        self.reserve(5)
        variables = [first]
        while self.test(","):
            variables.append(self.variable())
        self.check("in")
        values = self.expressions()
        return GenericFor(self.starts[opener], 0, values, self.for_body(4, variables))

    def for_body(self, hidden: int, variables: list[Local]) -> Block:
        self.scope.activate(*[Local("(for state)", 0, 0)] * hidden)
        self.check("do")
        self.scope.enter()
        self.scope.activate(*variables)
        body = self.inner()
        self.scope.leave(self.ends[self.at])
        return body

    def function_statement(self) -> Node:
        opener = self.at
        self.next()
        target: Expression = self.global_or_local(*self.name())
        method = False
        while self.kind in (".", ":") and not method:
            method = self.kind == ":"
            self.next()
            key, start, end = self.name()
            target = Index(target.start, end, target, Constant(start, end, STRING, key))
        function = self.function_body(opener, method, self.chunk_.lines.line(self.ends[opener]))
        if isinstance(target, Name):
            self.may_assign(target)
        return Assign(self.starts[opener], self.ends[self.at - 1], [target], [function])

    def local_statement(self) -> Node:
        opener = self.at
        self.next()
        if self.kind == "function":
            keyword = self.at
            self.next()
            local = self.variable()
            self.scope.activate(local)
            function = self.function_body(keyword, False, self.line())
            local.value = function
            return LocalFunction(self.starts[opener], self.ends[self.at - 1], local, function)
        locals = [self.attributed()]
        while self.test(","):
            local = self.attributed()
            if local.attribute == "close" and any(other.attribute == "close" for other in locals):
                self.meaning("multiple to-be-closed variables in local list", local.start, local.end)
            locals.append(local)
        values = self.expressions() if self.test("=") else []
        for local, value in zip(locals, values, strict=False):
            local.value = value
        last = locals[-1]
        last.folded = last.attribute == "const" and len(locals) == len(values) and isinstance(last.value, Constant)
        self.scope.activate(*locals)
        return LocalNames(self.starts[opener], self.ends[self.at - 1], locals, values)

    def attributed(self) -> Local:
        local = self.variable()
        if self.test("<"):
            word, start, end = self.name()
            self.check(">")
            if word not in ("const", "close"):
                self.meaning(f"unknown attribute '{word}'", start, end)
            local.attribute = word
        return local

    def label_statement(self) -> None:
        self.next()
        name, start, end = self.name()
        line = self.chunk_.lines.line(end)
        self.check("::")
        while self.kind in (";", "::"):
            self.statement()
        last = self.kind in ENDS
        self.scope.label(name, start, end, line, last=last, told=self.ends[self.at])

    def return_statement(self) -> Node:
        opener = self.at
        self.next()
        values = [] if self.kind in ENDS or self.kind in (";", "until") else self.expressions()
        self.test(";")
        return Return(self.starts[opener], self.ends[self.at - 1], values)

    def break_statement(self) -> None:
        start, end, line = self.starts[self.at], self.ends[self.at], self.line()
        self.next()
        self.scope.jump("break", start, end, line)

    def goto_statement(self) -> None:
        self.next()
        line = self.line()
        name, start, end = self.name()
        self.scope.jump(name, start, end, line)

    def expression_statement(self) -> Node:
        target = self.suffixed()
        if self.kind != "=" and self.kind != ",":
            if not isinstance(target, Call):
                raise self.fault("syntax error")
            return target
        targets, depth = [target], self.levels
        while True:
            if not isinstance(target, Name | Index):
                raise self.fault("syntax error")
            if isinstance(target, Name):
                self.may_assign(target)
            if not self.test(","):
                break
            target = self.suffixed()
            targets.append(target)
            self.level()
        self.check("=")
        values = self.expressions()
        self.levels = depth
        return Assign(targets[0].start, self.ends[self.at - 1], targets, values)

    def may_assign(self, target: Name) -> None:
        local = target.local
        if local is not None:
            local.changed = True
            if local.attribute in ("const", "close"):
                self.meaning(f"attempt to assign to const variable '{local.name}'", target.start, target.end)

    # ---- variables

    def variable(self, *, reserve: bool = True) -> Local:
        """A name that becomes a local variable."""
        name, start, end = self.name()
        if reserve:
            self.reserve(1)
        return Local(name, start, end)

    def reserve(self, count: int) -> None:
        self.scope.declare(count, self.starts[self.at], self.ends[self.at], self.shown())

    def global_or_local(self, name: str, start: int, end: int) -> Name:
        scope = self.scope
        here = self.starts[self.at], self.ends[self.at], ""
        try:
            local = scope.find(name, *here)
            if name == "_ENV":
                self.chunk_.environment = True
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


def _quoted(kind: str) -> str:
    return kind if kind in (NAME, EOF) else f"'{kind}'"


STATEMENTS: dict[str, Callable[[_Parser], Node | None]] = {
    ";": _Parser.empty_statement,
    "if": _Parser.if_statement,
    "while": _Parser.while_statement,
    "do": _Parser.do_statement,
    "for": _Parser.for_statement,
    "repeat": _Parser.repeat_statement,
    "function": _Parser.function_statement,
    "local": _Parser.local_statement,
    "::": _Parser.label_statement,
    "return": _Parser.return_statement,
    "break": _Parser.break_statement,
    "goto": _Parser.goto_statement,
}
