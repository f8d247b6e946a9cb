"""Arithmetic expressions: read and worked out by hand, so that nothing else of a language is there.

Numbers, + - * / // % ^ **, parentheses, functions, constants and variables. Whole numbers stay whole as long as they
have at most MAX_BITS; time is bounded by the length of the text and that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from llmspell.errors import ToolError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CONSTANTS", "FUNCTIONS", "evaluate"]

MAX_TEXT = 10_000  # characters
MAX_DEPTH = 100
MAX_BITS = 4096  # of a whole number
MAX_FACTORIAL = 170

Number: TypeAlias = int | float

CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e, "tau": math.tau, "phi": (1 + math.sqrt(5)) / 2}


def _log(*args: Number) -> float:
    """Of one number to base 10; of two, the second to the base of the first."""
    return math.log10(args[0]) if len(args) == 1 else math.log(args[1]) / math.log(args[0])


def _round(value: Number, digits: Number = 0) -> Number:
    places = _whole(digits)
    if isinstance(value, int) and places >= 0:
        return value
    return round(value) if places == 0 else round(value, max(-400, min(places, 400)))


def _whole(value: Number) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no whole number")
    return int(value)


def _factorial(value: Number) -> int:
    number = _whole(value)
    if not 0 <= number <= MAX_FACTORIAL:
        raise ValueError(f"takes a whole number from 0 to {MAX_FACTORIAL}")
    return math.factorial(number)


def _sign(value: Number) -> int:
    return (value > 0) - (value < 0)


def _sum(*values: Number) -> Number:
    return sum(values)


def _mean(*values: Number) -> float:
    return sum(values) / len(values)


#: Name: the function, and how many numbers it takes at least and at most.
FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {
    "sin": (math.sin, 1, 1), "cos": (math.cos, 1, 1), "tan": (math.tan, 1, 1),
    "asin": (math.asin, 1, 1), "acos": (math.acos, 1, 1), "atan": (math.atan, 1, 1), "atan2": (math.atan2, 2, 2),
    "sinh": (math.sinh, 1, 1), "cosh": (math.cosh, 1, 1), "tanh": (math.tanh, 1, 1),
    "asinh": (math.asinh, 1, 1), "acosh": (math.acosh, 1, 1), "atanh": (math.atanh, 1, 1),
    "degrees": (math.degrees, 1, 1), "radians": (math.radians, 1, 1),
    "sqrt": (math.sqrt, 1, 1), "cbrt": (math.cbrt, 1, 1), "hypot": (math.hypot, 2, 2),
    "exp": (math.exp, 1, 1), "ln": (math.log, 1, 1), "log": (_log, 1, 2),
    "log2": (math.log2, 1, 1), "log10": (math.log10, 1, 1), "pow": (lambda a, b: _power(a, b), 2, 2),
    "abs": (abs, 1, 1), "sign": (_sign, 1, 1), "floor": (math.floor, 1, 1), "ceil": (math.ceil, 1, 1),
    "trunc": (math.trunc, 1, 1), "int": (math.trunc, 1, 1), "round": (_round, 1, 2),
    "min": (lambda *values: min(values), 1, 1000), "max": (lambda *values: max(values), 1, 1000),
    "sum": (_sum, 1, 1000), "mean": (_mean, 1, 1000),
    "factorial": (_factorial, 1, 1),
    "gcd": (lambda a, b: math.gcd(_whole(a), _whole(b)), 2, 2),
    "lcm": (lambda a, b: math.lcm(_whole(a), _whole(b)), 2, 2),
}  # fmt: skip

SIGNS = ("//", "**", "+", "-", "*", "/", "%", "^", "(", ")", ",")
#: Of the signs between two terms: how strongly they bind.
BINDS = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2}


def evaluate(text: str, variables: Mapping[str, Number] | None = None) -> Number:
    """The value of an expression; a whole one is an int.

    Raises ValidationError for a text that is no expression, naming the place, ToolError where there is no value
    (a division by 0, a number too large).
    """
    if len(text) > MAX_TEXT:
        raise ValidationError(f"the expression is longer than {MAX_TEXT} characters")
    value = _Reader(text, variables or {}).whole()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


class _Reader:
    """Reads an expression from the left, and works it out as it goes."""

    def __init__(self, text: str, variables: Mapping[str, Number]) -> None:
        self.text, self.variables = text, variables
        self.at = self.depth = 0
        self.kind = self.word = ""
        self.start = 0
        self.step()

    def wrong(self, what: str, at: int | None = None) -> ValidationError:
        place = (self.start if at is None else at) + 1
        return ValidationError(f"the expression `{one_line(self.text, 80)}`: {what} at character {place}")

    def step(self) -> None:
        """Reads the next word: its kind is number, name, sign, or end."""
        text, length = self.text, len(self.text)
        while self.at < length and text[self.at].isspace():
            self.at += 1
        self.start = at = self.at
        if at == length:
            self.kind, self.word = "end", ""
            return
        char = text[at]
        if char in "0123456789" or (char == "." and text[at + 1 : at + 2].isdigit()):
            self.kind = "number"
            at = self._number_end(at)
        elif char.isalpha() or char == "_":
            self.kind = "name"
            while at < length and (text[at].isalnum() or text[at] == "_"):
                at += 1
        else:
            sign = next((one for one in SIGNS if text.startswith(one, at)), None)
            if sign is None:
                raise self.wrong(f"`{one_line(char) or 'a control character'}` means nothing")
            self.kind = "sign"
            at += len(sign)
        self.word = text[self.start : at]
        self.at = at

    def _number_end(self, at: int) -> int:
        text, length = self.text, len(self.text)
        digits = "0123456789_"
        if text[at : at + 2].lower() in ("0x", "0b", "0o"):
            at += 2
            while at < length and (text[at].isalnum() or text[at] == "_"):
                at += 1
            return at
        while at < length and text[at] in digits:
            at += 1
        if text[at : at + 1] == ".":
            at += 1
            while at < length and text[at] in digits:
                at += 1
        if text[at : at + 1] in ("e", "E"):
            sign = 1 if text[at + 1 : at + 2] in ("+", "-") else 0
            if text[at + 1 + sign : at + 2 + sign].isdigit():
                at += 1 + sign
                while at < length and text[at] in digits:
                    at += 1
        return at

    def whole(self) -> Number:
        if self.kind == "end":
            raise ValidationError("the expression is empty")
        value = self.terms(1)
        if self.kind != "end":
            raise self.wrong(f"`{one_line(self.word, 20)}` is unexpected")
        return value

    def terms(self, least: int) -> Number:
        """Terms between signs that bind at least as strongly as *least*."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.wrong(f"it is nested more than {MAX_DEPTH} deep")
        value = self.signed()
        while self.kind == "sign" and BINDS.get(self.word, 0) >= least:
            sign, at = self.word, self.start
            self.step()
            value = self._worked(sign, value, self.terms(BINDS[sign] + 1), at)
        self.depth -= 1
        return value

    def signed(self) -> Number:
        """A term with its sign: `-2 ^ 2` is -4."""
        negative = False
        while self.kind == "sign" and self.word in "+-":
            negative ^= self.word == "-"
            self.step()
        value = self.power()
        return -value if negative else value

    def power(self) -> Number:
        """`2 ^ 3 ^ 2` is `2 ^ 9`."""
        value = self.term()
        if self.kind == "sign" and self.word in ("^", "**"):
            at = self.start
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise self.wrong(f"it is nested more than {MAX_DEPTH} deep")
            self.step()
            value = self._worked("^", value, self.signed(), at)
            self.depth -= 1
        return value

    def term(self) -> Number:
        kind, word, at = self.kind, self.word, self.start
        if kind == "number":
            self.step()
            return self._number(word, at)
        if kind == "name":
            self.step()
            if self.kind == "sign" and self.word == "(":
                return self._called(word, at)
            if word in self.variables:
                return _within(self.variables[word])
            if word.lower() in CONSTANTS:
                return CONSTANTS[word.lower()]
            raise self._unknown(word, at)
        if word == "(":
            self.step()
            value = self.terms(1)
            self._close(at)
            return value
        raise self.wrong("a number is missing" if kind == "end" else f"`{word}` is unexpected")

    def _close(self, opened: int) -> None:
        if self.word != ")":
            raise self.wrong(f"the parenthesis of character {opened + 1} is not closed")
        self.step()

    def _number(self, word: str, at: int) -> Number:
        try:
            if word[:2].lower() in ("0x", "0b", "0o"):
                return _within(int(word, 0))
            plain = word.replace("_", "")
            if plain.isdigit():
                return _within(int(plain) if len(plain) <= MAX_BITS // 4 else float(plain))
            return _within(float(plain))
        except ValueError:
            raise self.wrong(f"`{one_line(word, 20)}` is no number", at) from None

    def _unknown(self, word: str, at: int) -> ValidationError:
        from difflib import get_close_matches

        if word in FUNCTIONS:
            return self.wrong(f"the function `{word}` needs its arguments in parentheses", at)
        error = self.wrong(f"`{one_line(word, 40)}` is not known", at)
        near = get_close_matches(word[:40], [*FUNCTIONS, *CONSTANTS, *list(self.variables)[:100]], 1, 0.6)
        error.hint = f"did you mean `{near[0]}`?" if near else "give it a value in `variables`"
        return error

    def _called(self, name: str, at: int) -> Number:
        opened = self.start
        self.step()
        given: list[Number] = []
        while self.word != ")":
            given.append(self.terms(1))
            if self.word == ",":
                self.step()
            elif self.word != ")":
                break
        self._close(opened)
        known = FUNCTIONS.get(name.lower())
        if known is None:
            if name.lower() in CONSTANTS and not given:
                return CONSTANTS[name.lower()]
            raise self._unknown(name, at)
        function, least, most = known
        if not least <= len(given) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise self.wrong(f"`{name}` takes {wanted} numbers, not {len(given)}", at)
        try:
            return _within(function(*given))
        except (ValueError, ZeroDivisionError) as error:
            told = "no such value" if "math domain" in str(error) or not str(error) else str(error)
            raise ToolError(f"`{name}` of {', '.join(map(_shown, given))}: {told}") from None
        except OverflowError:
            raise _too_large() from None

    def _worked(self, sign: str, a: Number, b: Number, at: int) -> Number:
        try:
            if sign == "+":
                return _within(a + b)
            if sign == "-":
                return _within(a - b)
            if sign == "*":
                return _within(a * b)
            if sign == "/":
                return _within(a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b)
            if sign == "//":
                return _within(a // b)
            if sign == "%":
                return _within(a % b)
            return _power(a, b)
        except ZeroDivisionError:
            raise ToolError(
                f"the expression `{one_line(self.text, 80)}`: a division by 0 at character {at + 1}"
            ) from None
        except OverflowError:
            raise _too_large() from None


def _shown(value: Number) -> str:
    return f"{value:.17g}" if isinstance(value, float) else str(value)[:40]


def _too_large() -> ToolError:
    return ToolError("a number is too large", hint="whole numbers have up to 1,233 digits, others up to 1.8e308")


def _within(value: Number) -> Number:
    """The value, if it is one that can be gone on with."""
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise _too_large()
        return value
    if isinstance(value, complex) or math.isnan(value):
        raise ToolError(
            "there is no such number", hint="the root of a negative number, 0 / 0 and the like have no value"
        )
    if math.isinf(value):
        raise _too_large()
    return value


def _power(a: Number, b: Number) -> Number:
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        if abs(a) > 1 and (abs(a).bit_length() - 1) * b > MAX_BITS:
            raise _too_large()
        return _within(a**b)
    return _within(a**b)
