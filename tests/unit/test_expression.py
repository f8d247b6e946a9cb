"""Arithmetic expressions."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ToolError, ValidationError
from llmspell.tools.expression import FUNCTIONS, evaluate

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4 - 1", 13),
        ("(10 + 20) * 3 / 2", 45),
        ("10 / 4", 2.5),
        ("7 // 2 + 7 % 3", 4),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("2 ** -1", 0.5),
        ("- - 3", 3),
        ("2^-2^2", 0.0625),
        ("sqrt(16) + sin(0)", 4),
        ("sin(pi()/2) + cos(0)", 2),
        ("log(10, 100) + log(1000) + ln(e)", 6),
        ("max(1, 2, 3) - min(4, 5)", -1),
        ("round(2.567, 2)", 2.57),
        ("factorial(20)", 2432902008176640000),
        ("0xff + 0b11 + 1e3 + .5", 1258.5),
        ("1_000 * 2", 2000),
        ("PI - pi", 0),
        ("2 ^ 100", 2**100),
    ],
)
def test_values(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value, rel=1e-12)
    assert type(evaluate(text)) is type(value)


def test_variables() -> None:
    assert evaluate("x^2 + y^2", {"x": 3, "y": 4}) == 25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("2 +", "a number is missing at character 4"),
        ("(1", "the parenthesis of character 1 is not closed"),
        ("1)", "`)` is unexpected"),
        ("1 $ 2", "`$` means nothing at character 3"),
        ("sinn(1)", "`sinn` is not known"),
        ("x", "`x` is not known"),
        ("sin", "needs its arguments in parentheses"),
        ("sin(1, 2)", "takes 1 numbers, not 2"),
        ("max()", "takes 1 to 1000 numbers, not 0"),
        ("0x", "is no number"),
        ("(" * 200 + "1" + ")" * 200, "nested more than 100 deep"),
        ("2^" * 200 + "1", "nested more than 100 deep"),
        ("1+" * 6000, "longer than 10000"),
        ("__import__('os')", "means nothing"),
        ("().__class__", "unexpected"),
        ("\x1b[2J", "a control character"),
    ],
)
def test_what_is_no_expression(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        evaluate(text)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "1/0", "1//0", "1%0", "0^-1", "9**9**9", "9^9^9^9", "10^400*1.5", "1e308*10", "(-8)^0.5", "sqrt(-1)",
        "factorial(171)",
        "factorial(0.5)", "2^4096*2^4096",
        "gcd(0.5, 1)", "exp(1000)", "log(0)", "cosh(1000)", "round(1e308, -308)*1e300",
    ],
)  # fmt: skip
def test_what_has_no_value(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ToolError):
        evaluate(text)
    assert time.process_time() - started < 1


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(ValidationError) as caught:
        evaluate("sqt(4)")
    assert caught.value.hint == "did you mean `sqrt`?"


NUMBERS = st.integers(0, 1000) | st.floats(0.001, 1000).map(lambda value: round(value, 3))


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return str(draw(NUMBERS))
    sign = draw(st.sampled_from(["+", "-", "*", "/", "//", "%"]))
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    return draw(st.sampled_from([f"{left} {sign} {right}", f"({left}{sign}{right})", f"-{left}"]))


@settings(max_examples=150, deadline=None)
@given(expressions())
def test_they_are_what_python_makes_of_them(text: str) -> None:
    try:
        wanted = eval(text, {"__builtins__": {}})
    except ZeroDivisionError:
        wanted = None
    if wanted is None:
        with pytest.raises(ToolError):
            evaluate(text)
    else:
        assert math.isclose(evaluate(text), wanted, rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789.+-*/^%()e,x _" + "sincopqrt", max_size=40))
def test_any_text_has_a_value_or_an_error_of_ours(text: str) -> None:
    try:
        value = evaluate(text)
    except LLMSpellError:
        return
    assert math.isfinite(value) if isinstance(value, float) else value.bit_length() <= 4096


def test_every_function_answers_or_refuses() -> None:
    for name, (_, least, _most) in FUNCTIONS.items():
        for numbers in (["0.5"] * least, ["2"] * least, ["-3"] * least):
            told = name
            try:
                assert math.isfinite(evaluate(f"{name}({', '.join(numbers)})"))
            except ToolError as error:
                told = error.message
            assert name in told
