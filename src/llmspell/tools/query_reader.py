"""Reads the texts of queries; `query.py` says what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Filter", "Reader"]

MAX_DEPTH = 40

#: A filter as it was read: what it is, and its parts.
Filter: TypeAlias = tuple[Any, ...]

SIGNS = ("?(", "//", "==", "!=", "<=", ">=", "..", *"<>|,.[](){}:?+-*/%$@;")
LEVELS = (("//",), ("or",), ("and",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))
ENDS = ("then", "elif", "else", "end", "and", "or")


class Reader:
    """Reads a query from the left. functions: the names that may be called, and how many arguments each takes."""

    def __init__(self, text: str, functions: Mapping[str, tuple[int, ...]]) -> None:
        self.text, self.functions = text, functions
        self.words = list(self._words())
        self.at = self.depth = 0

    def _words(self) -> Iterator[tuple[str, Any, int]]:
        text, at = self.text, 0
        while at < len(text):
            start, char = at, text[at]
            if char.isspace():
                at += 1
                continue
            if char in "\"'":
                at = self._string_end(at)
                yield "string", self._string(text[start:at], start), start
            elif char in "0123456789":
                while at < len(text) and (
                    text[at] in "0123456789." or text[at] in "eE" or (text[at - 1] in "eE" and text[at] in "+-")
                ):
                    at += 1
                yield "number", self._number(text[start:at], start), start
            elif char.isalpha() or char == "_":
                while at < len(text) and (text[at].isalnum() or text[at] == "_"):
                    at += 1
                yield "name", text[start:at], start
            else:
                sign = next((one for one in SIGNS if text.startswith(one, at)), None)
                if sign is None:
                    raise self.wrong(f"`{one_line(char)}` means nothing", at)
                at += len(sign)
                yield "sign", sign, start
        yield "end", "", len(text)

    def _string_end(self, at: int) -> int:
        quote, text = self.text[at], self.text
        start = at
        at += 1
        while at < len(text) and text[at] != quote:
            at += 2 if text[at] == "\\" else 1
        if at >= len(text):
            raise self.wrong("a string is not closed", start)
        return at + 1

    def _string(self, quoted: str, at: int) -> str:
        import orjson

        if quoted[0] == "'":
            return quoted[1:-1].replace("\\'", "'")
        try:
            found: str = orjson.loads(quoted)
        except orjson.JSONDecodeError:
            raise self.wrong("a string cannot be read", at) from None
        return found

    def _number(self, word: str, at: int) -> int | float:
        try:
            return int(word) if word.isdigit() and len(word) < 19 else float(word)
        except ValueError:
            raise self.wrong(f"`{one_line(word, 20)}` is no number", at) from None

    def wrong(self, what: str, at: int | None = None) -> ValidationError:
        place = self.words[self.at][2] if at is None else at
        return ValidationError(
            f"the query `{one_line(self.text, 80)}`: {what} at character {place + 1}",
            hint="it is jq's: `.items[] | select(.price > 3) | .name`",
        )

    # ---- words

    def sees(self, *signs: str) -> bool:
        kind, word, _ = self.words[self.at]
        return kind != "string" and word in signs

    def takes(self, *signs: str) -> bool:
        if self.sees(*signs):
            self.at += 1
            return True
        return False

    def needs(self, sign: str) -> None:
        if not self.takes(sign):
            word = self.words[self.at][1]
            raise self.wrong(f"`{sign}` is missing" + (f" before `{one_line(str(word), 20)}`" if word != "" else ""))

    # ---- filters

    def whole(self) -> Filter:
        if self.words[0][0] == "end":
            return ("self",)
        made = self.pipe()
        if self.words[self.at][0] != "end":
            raise self.wrong(f"`{one_line(str(self.words[self.at][1]), 20)}` is unexpected")
        return made

    def pipe(self) -> Filter:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"it is nested more than {MAX_DEPTH} deep")
        made = self.comma()
        while self.takes("|"):
            made = ("pipe", made, self.comma())
        self.depth -= 1
        return made

    def comma(self) -> Filter:
        made = self.level(0)
        while self.takes(","):
            made = ("comma", made, self.level(0))
        return made

    def level(self, number: int) -> Filter:
        if number == len(LEVELS):
            return self.signed()
        made = self.level(number + 1)
        while self.sees(*LEVELS[number]):
            sign = self.words[self.at][1]
            self.at += 1
            right = self.level(number) if sign == "//" else self.level(number + 1)
            made = ("sign", sign, made, right)
        return made

    def signed(self) -> Filter:
        if self.takes("-"):
            return ("sign", "-", ("value", 0), self.signed())
        return self.path()

    def path(self) -> Filter:
        made = self.term()
        while True:
            if self.takes("?"):
                made = ("try", made)
            elif self.takes("["):
                made = self.brackets(made)
            elif self.sees("."):
                self.at += 1
                if self.takes("["):
                    made = self.brackets(made)
                elif self.takes("*"):
                    made = ("pipe", made, ("each",))
                else:
                    made = ("pipe", made, ("member", self.key()))
            elif self.takes(".."):  # `$..b`
                made = ("pipe", made, ("pipe", ("deep",), ("held", self.key())))
            else:
                return made

    def key(self) -> str:
        kind, word, _ = self.words[self.at]
        if kind not in ("name", "string"):
            raise self.wrong("a name is missing")
        self.at += 1
        return str(word)

    def brackets(self, of: Filter) -> Filter:
        """What stands in brackets after a path: nothing, `*`, an index, a slice, a name, a condition."""
        if self.takes("]"):
            return ("pipe", of, ("each",))
        if self.takes("*"):
            self.needs("]")
            return ("pipe", of, ("each",))
        if self.takes("?("):
            condition = self.pipe()
            self.needs(")")
            self.needs("]")
            return ("pipe", ("pipe", of, ("each",)), ("call", "select", (condition,)))
        first = None if self.sees(":") else self.pipe()
        if self.takes(":"):
            last = None if self.sees("]") else self.pipe()
            self.needs("]")
            return ("slice", of, first, last)
        self.needs("]")
        assert first is not None
        return ("index", of, first)

    def term(self) -> Filter:
        kind, word, _ = self.words[self.at]
        if kind in ("string", "number"):
            self.at += 1
            return ("value", word)
        if self.takes("$", "@"):
            return ("self",)
        if self.takes(".."):
            if self.words[self.at][0] in ("name", "string") and not self.sees(*ENDS):
                return ("pipe", ("deep",), ("held", self.key()))
            return ("deep",)
        if self.takes("."):
            kind, word, at = self.words[self.at]
            touching = at == self.words[self.at - 1][2] + 1
            if touching and kind in ("name", "string"):
                return ("member", self.key())
            return ("self",)
        if self.takes("("):
            made = self.pipe()
            self.needs(")")
            return made
        if self.takes("["):
            if self.takes("]"):
                return ("value", [])
            made = self.pipe()
            self.needs("]")
            return ("list", made)
        if self.takes("{"):
            return self.object()
        if kind == "name" and word not in ENDS:
            self.at += 1
            return self.named(word)
        raise self.wrong("a filter is missing" if kind == "end" else f"`{one_line(str(word), 20)}` is unexpected")

    def object(self) -> Filter:
        members: list[tuple[Filter, Filter]] = []
        while not self.takes("}"):
            if self.takes("("):
                key: Filter = self.pipe()
                self.needs(")")
                self.needs(":")
                members.append((key, self.level(0)))
            else:
                name = self.key()
                value = self.level(0) if self.takes(":") else ("member", name)
                members.append((("value", name), value))
            if not self.takes(",") and not self.sees("}"):
                raise self.wrong("`}` is missing")
        return ("object", tuple(members))

    def named(self, name: str) -> Filter:
        if name in ("true", "false", "null"):
            return ("value", {"true": True, "false": False, "null": None}[name])
        if name == "if":
            condition = self.pipe()
            self.needs("then")
            yes = self.pipe()
            if self.takes("elif"):
                return ("if", condition, yes, self.named("if"))
            no = self.pipe() if self.takes("else") else ("self",)
            self.needs("end")
            return ("if", condition, yes, no)
        arguments: list[Filter] = []
        if self.takes("("):
            arguments.append(self.pipe())
            while self.takes(";"):
                arguments.append(self.pipe())
            self.needs(")")
        known = self.functions
        if name not in known:
            from difflib import get_close_matches

            self.at -= 1
            error = self.wrong(f"there is no `{one_line(name, 40)}` here")
            near = get_close_matches(name[:40], known, 1, 0.6)
            error.hint = f"did you mean `{near[0]}`?" if near else error.hint
            raise error
        if len(arguments) not in known[name]:
            raise self.wrong(f"`{name}` takes {' or '.join(map(str, known[name]))} arguments, not {len(arguments)}")
        return ("call", name, tuple(arguments))
