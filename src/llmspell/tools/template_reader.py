"""Reads the texts of templates; `templating.py` says what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Piece", "Reader"]

MAX_DEPTH = 30
MAX_PIECES = 20_000

#: A piece of a template as it was read: what it is, and its parts.
Piece: TypeAlias = tuple[Any, ...]


class Reader:
    """Takes a template apart. filters: their names."""

    def __init__(self, text: str, filters: Collection[str]) -> None:
        self.text, self.filters = text, filters
        self.at = self.count = 0
        self.tag_at = 0
        self.found: dict[str, int] = {}  # where marks next stand

    def wrong(self, what: str) -> ValidationError:
        line = self.text.count("\n", 0, self.tag_at) + 1
        return ValidationError(f"the template: {what} (line {line})")

    def whole(self) -> list[Piece]:
        pieces, end = self.pieces(0)
        if end is not None:
            raise self.wrong(f"`{end}` ends nothing")
        return pieces

    def pieces(self, depth: int) -> tuple[list[Piece], str | None]:
        """The pieces up to a tag that ends or divides a block, and that tag's text."""
        if depth > MAX_DEPTH:
            raise self.wrong(f"it is nested more than {MAX_DEPTH} deep")
        pieces: list[Piece] = []
        while True:
            kind, told = self.next()
            if kind == "end":
                return pieces, None
            self.count += 1
            if self.count > MAX_PIECES:
                raise ValidationError(f"the template has more than {MAX_PIECES} places")
            if kind == "text":
                pieces.append(("text", told))
            elif kind == "value" and told[:1] == "#":
                pieces.append(self.hash_block(told[1:].strip(), depth))
            elif kind == "value" and (told[:1] == "/" or told == "else" or told.startswith("else if ")):
                return pieces, told
            elif kind == "value":
                pieces.append(("value", self.expression(told)))
            elif told.partition(" ")[0] in ("else", "elif", "endif", "endfor"):
                return pieces, told
            else:
                pieces.append(self.statement(told, depth))

    def find(self, mark: str, at: int) -> int:
        """Where it next stands at *at* or after it; the text's end where it does not."""
        if self.found.get(mark, -1) < at:
            place = self.text.find(mark, at)
            self.found[mark] = place if place >= 0 else len(self.text)
        return self.found[mark]

    def next(self) -> tuple[str, str]:
        """The next piece: text, value (what stands in braces), statement, or end."""
        text, at = self.text, self.at
        while True:
            start = min(self.find(mark, at) for mark in ("{{", "{%", "{#"))
            if start > self.at:
                told = text[self.at : start]
                self.at = start
                return "text", told
            if start == len(text):
                return "end", ""
            self.tag_at = start
            opened = text[start : start + 2]
            if text.startswith("{{{", start):
                opened, closing = "{{{", "}}}"
            else:
                closing = {"{{": "}}", "{%": "%}", "{#": "#}"}[opened]
            end = text.find(closing, start + len(opened))
            if end < 0:
                raise self.wrong(f"`{opened}` is not closed by `{closing}`")
            told = text[start + len(opened) : end].strip("- \t\r\n" if opened == "{%" else " \t\r\n~")
            self.at = at = end + len(closing)
            if opened == "{#" or (opened == "{{" and told[:1] == "!"):
                continue
            return ("statement" if opened == "{%" else "value"), told

    def hash_block(self, told: str, depth: int) -> Piece:
        word, _, rest = told.partition(" ")
        if word not in ("if", "unless", "each"):
            raise self.wrong(f"there is no `{{{{#{one_line(word, 30)}}}}}` here; there are if, unless and each")
        condition = self.condition(rest) if word != "each" else self.expression(rest)
        return self.hash_rest(word, word, condition, depth)

    def hash_rest(self, word: str, closing: str, condition: Piece, depth: int) -> Piece:
        opened = self.tag_at
        yes, end = self.pieces(depth + 1)
        no: list[Piece] = []
        if end is not None and end.startswith("else if "):
            no = [self.hash_rest("if", closing, self.condition(end[8:]), depth + 1)]
            end = "/" + closing
        elif end == "else":
            no, end = self.pieces(depth + 1)
        if end is None or end.replace(" ", "") != "/" + closing:
            self.tag_at = opened
            raise self.wrong(f"`{{{{#{closing}}}}}` is not closed by `{{{{/{closing}}}}}`")
        if word == "each":
            return ("each", "this", condition, yes, no)
        return ("if", condition, yes, no) if word == "if" else ("if", condition, no, yes)

    def statement(self, told: str, depth: int) -> Piece:
        word, _, rest = told.partition(" ")
        if word == "if":
            return self.if_rest(rest, depth)
        if word == "for":
            name, _, source = rest.strip().partition(" in ")
            name = name.strip()
            if not source or not name.isidentifier():
                raise self.wrong("a loop is written `{% for item in items %}`")
            items = self.expression(source)
            opened = self.tag_at
            yes, end = self.pieces(depth + 1)
            no: list[Piece] = []
            if end == "else":
                no, end = self.pieces(depth + 1)
            if end != "endfor":
                self.tag_at = opened
                raise self.wrong("`{% for %}` is not closed by `{% endfor %}`")
            return ("each", name, items, yes, no)
        raise self.wrong(f"there is no `{{% {one_line(word, 30)} %}}` here; there are if and for")

    def if_rest(self, told: str, depth: int) -> Piece:
        condition, opened = self.condition(told), self.tag_at
        yes, end = self.pieces(depth + 1)
        no: list[Piece] = []
        if end is not None and end.startswith("elif "):
            return ("if", condition, yes, [self.if_rest(end[5:], depth + 1)])
        if end == "else":
            no, end = self.pieces(depth + 1)
        if end != "endif":
            self.tag_at = opened
            raise self.wrong("`{% if %}` is not closed by `{% endif %}`")
        return ("if", condition, yes, no)

    # ---- what stands in a tag

    def condition(self, told: str, depth: int = 0) -> Piece:
        told = told.strip()
        if told.startswith("not "):
            if depth > MAX_DEPTH:
                raise self.wrong(f"it has more than {MAX_DEPTH} times `not`")
            return ("not", self.condition(told[4:], depth + 1))
        at, sign = _sign(told)
        if sign:
            return ("sign", sign, self.expression(told[:at]), self.expression(told[at + len(sign) :]))
        return self.expression(told)

    def expression(self, told: str) -> Piece:
        """A value and its filters: ("path", names) or ("literal", value), within ("filter", name, arguments, of)."""
        first, *filters = _split(told, "|")
        if len(filters) > MAX_DEPTH:
            raise self.wrong(f"a value has more than {MAX_DEPTH} filters")
        made = self.operand(first)
        for one in filters:
            name, opened, rest = one.strip().partition("(")
            name = name.strip()
            if name not in self.filters:
                raise self.wrong(f"there is no filter `{one_line(name, 30)}`; there are {', '.join(self.filters)}")
            arguments: list[Piece] = []
            if opened:
                if not rest.rstrip().endswith(")"):
                    raise self.wrong(f"the parenthesis of `{name}` is not closed")
                inner = rest.rstrip()[:-1]
                arguments = [self.operand(_named(part)) for part in _split(inner, ",") if part.strip()]
            made = ("filter", name, arguments, made)
        return made

    def operand(self, told: str) -> Piece:
        told = told.strip()
        if not told:
            raise self.wrong("a name is missing")
        if told[0] in "\"'" and len(told) > 1 and told[-1] == told[0]:
            return ("literal", told[1:-1])
        if told in ("true", "false"):
            return ("literal", told == "true")
        try:
            return ("literal", int(told) if told.lstrip("-").isdigit() and len(told) < 19 else float(told))
        except ValueError:
            pass
        names: list[str] = []
        for part in told.replace("[", ".").replace("]", "").split("."):
            plain = part.strip().strip("\"'")
            if not plain or any(c.isspace() or c in "(){}" for c in plain):
                raise self.wrong(f"`{one_line(told, 40)}` is no name")
            names.append(plain)
        if len(names) > MAX_DEPTH:
            raise self.wrong("a name has too many parts")
        return ("path", names)


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks that stand outside of quotes."""
    parts, quote, start = [], "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == mark:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _sign(text: str) -> tuple[int, str]:
    """The first sign of a comparison that stands outside of quotes, and where; "" if there is none."""
    quote = ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif text[at : at + 2] in ("==", "!=", "<=", ">="):
            return at, text[at : at + 2]
        elif char in "<>":
            return at, char
    return 0, ""


def _named(part: str) -> str:
    """The value of `name=value`."""
    name, equals, value = part.partition("=")
    return value if equals and name.strip().isidentifier() else part
