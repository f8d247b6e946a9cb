"""A text's words one after the other, and what is wrong with one: the ground that the parser stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from llmspell.bridge.lint.lexer import EOF, NAME, WRONG, quoted, tokens
from llmspell.bridge.lint.problems import ERROR, Fault, Lines
from llmspell.bridge.lint.scopes import Scope

if TYPE_CHECKING:
    from llmspell.bridge.lint.tree import Block

__all__ = ["MOST_LEVELS", "Chunk", "Words"]

MOST_LEVELS = 197  # that statements and expressions may be nested: Lua has 200, a few of which are taken by then


class Chunk:
    """A text that was read. faults: what is wrong, in the order in which it was met; none: `body` is all of it.

    names: of all local variables.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)
        self.body: Block = []
        self.faults: list[Fault] = []
        self.names: set[str] = set()

    @property
    def broken(self) -> bool:
        """Whether it is not Lua."""
        return any(fault.severity == ERROR for fault in self.faults)


class Words:
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
        start, end = self.starts[self.at], self.ends[self.at]
        char = self.chunk_.text[start]
        if end == start + 1 and not " " <= char <= "~":
            return f"'<\\{char.encode('utf-8', 'replace')[0]}>'"
        return quoted(self.chunk_.text, start, end)

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


def _quoted(kind: str) -> str:
    return kind if kind in (NAME, EOF) else f"'{kind}'"
