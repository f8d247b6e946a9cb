"""Lua 5.4's grammar by recursive descent: a text's tree, or what is wrong with it in the words of Lua's own compiler.

Source: lparser.c of Lua 5.4, function by function, so that the first fault is the one that Lua would tell.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmspell.bridge.lint.expressions import Expressions
from llmspell.bridge.lint.lexer import EOF, STRING
from llmspell.bridge.lint.problems import Fault
from llmspell.bridge.lint.scopes import Local, Scope
from llmspell.bridge.lint.tree import (
    Assign,
    Block,
    Call,
    Constant,
    Do,
    Expression,
    GenericFor,
    If,
    Index,
    LocalFunction,
    LocalNames,
    Loop,
    Name,
    Node,
    NumericFor,
    Return,
)
from llmspell.bridge.lint.words import MOST_LEVELS, Chunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Chunk", "parse"]

FRAMES = 12  # of Python's, at most, for a level
MOST_FAULTS = 20  # that the reading goes on after

ENDS = frozenset(("else", "elseif", "end", EOF))  # of a block
#: A line that begins with one of these at its very beginning is taken for the main chunk's own, after an error.
STARTS = frozenset(("local", "function"))
#: What ends something: where nothing is open, it ends what was passed over.
CLOSERS = frozenset(("end", "else", "elseif", "until", "}", ")", "]"))


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


class _Parser(Expressions):
    """Reads statements."""

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
                if not first and (self.flat or (not self.nested and self.kind in CLOSERS)):
                    del self.chunk_.faults[count:]  # what seemed the main chunk's was none
                    return
                self.chunk_.faults.append(fault)
            if self.flat or len(self.chunk_.faults) >= MOST_FAULTS or not self.resume():
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
        self.scope = Scope(None, 0, lambda fault: None)  # its labels may be in what was passed over
        self.levels = self.nested = 0
        return True

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
