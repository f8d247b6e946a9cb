"""The parser of `validate` and Lua's own compiler: the same verdict, the same line, the same words."""

from __future__ import annotations

import sys
import threading
from time import process_time

import pytest
from hypothesis import HealthCheck, example, given, settings

from llmspell.bridge.lint.calls import check_calls
from llmspell.bridge.lint.lexer import FLOAT, INTEGER, STRING, tokens
from llmspell.bridge.lint.names import check_globals, check_members
from llmspell.bridge.lint.parser import parse
from llmspell.bridge.lint.survey import Survey
from llmspell.bridge.lint.words import MOST_LEVELS
from support.lua_words import SCRIPTS, Verdict, changed_scripts, compiled, escapes, programs, sentences, words_of

pytestmark = pytest.mark.once


def verdict(text: str) -> Verdict | None:
    """What the parser says first, as Lua's compiler would."""
    chunk = parse(text)
    for fault in chunk.faults:
        if fault.severity == "error":
            return Verdict(chunk.lines.line(fault.told), words_of(fault.message))
    return None


def agree(text: str) -> None:
    if text.startswith(("#", "\ufeff", "\x1b")):
        return  # not of the language: what reads files sees to it
    expected = compiled(text)
    if expected is not None and expected.words.startswith("function or expression needs too many registers"):
        return  # only a compiler knows
    assert verdict(text) == expected, text


@settings(max_examples=400, deadline=None)
@given(sentences)
@example("x = p --[[p = [\nu{[")
@example("local function\nf() return 1 repeat end")
def test_words_in_any_order(text: str) -> None:
    agree(text)


@settings(max_examples=300, deadline=None)
@given(escapes)
@example("x = 'a\\\r\n\\\n\rb")
@example("x = '\\u{000000000000000041}'")
@example("x = .0x1")
def test_strings_and_numbers(text: str) -> None:
    agree(text)


@settings(max_examples=300, deadline=None)
@given(changed_scripts())
def test_scripts_with_a_slip(text: str) -> None:
    agree(text)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs)
def test_programs_made_by_the_grammar(text: str) -> None:
    """Nearly all are Lua: no false alarm, and none of the checks fails over them."""
    agree(text)
    chunk = parse(text)
    survey = Survey(chunk.body)
    list(check_globals(survey, survey.assigned))
    list(check_members(survey, survey.assigned))
    list(check_calls(survey, survey.assigned))


def test_every_script_of_the_project() -> None:
    assert len(SCRIPTS) > 200
    for path in SCRIPTS:
        agree(path.read_bytes().decode("utf-8", "replace"))


LEGAL = [
    "",
    ";;; ::a:: ; ::b:: goto a",
    "return",
    "return;",
    "return 1, 2;",
    "do return end",
    "goto done; do local x end ::done::",
    "do goto e; local x; ::e:: end",  # a label at a block's end is outside of its locals
    "do goto e; local x; ::e:: ; ::f:: ; end",
    "for i = 1, 2 do for j = 1, 2 do goto continue end ::continue:: end",
    "::a:: do ::b:: end goto a",
    "do ::a:: end do ::a:: end",
    "::a:: local function f() ::a:: goto a end",
    "while true do if x then break end; break; print(1) end",
    "repeat local x = 1; if x then break end until x",
    "repeat goto c; ::c:: until true",
    "local a <const>, b <close>, c = 1, nil, 3",
    "local x <const> = 5; local function f() return x end",
    "local function f(...) local a, b = ... return (...), select('#', ...) end",
    "f{...}(...)'x'[[y]]:m'z':n{}:o()",
    "a.b['c'].d, e = 1",
    "a.b.c:d(1).e = f",
    "(f or g)(x)",
    "(a).b = 1",
    "('x'):rep(3)",
    "local s = ('%d'):format(3) .. #'x' .. -2 ^ -3 ^ 2",
    "x = not not -~#a",
    "x = a // b | c & d ~ e << f >> g",
    "x = 1 < 2 == true ~= false",
    "x = 1 .. 2 .. 3",
    "x = {1, 2; 3, a = 1; ['b'] = 2, [3] = {}, f(), ...}",
    "x = {1,}",
    "x = {a, b = c, d}",
    "x = function(a, b, ...) return function() end end",
    "function a.b.c:d(x, ...) return self, ... end",
    "local function f() return f() end",
    "x = 0xA.8p1 + 0x.1 + 0x1. + 3. + .5 + 5e-3 + 0XFFFFFFFFFFFFFFFFFF + 9223372036854775808 + 1E+1",
    "x = '\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"\\065\\x41\\u{41}\\u{7FFFFFFF}\\z   \n  y\\\nz'",
    "x = [[\n]] .. [==[ ]] ]=] ]==] --[==[ ]] ]==] .. 'y'",
    "--[[ x ]] --[x\n--[=[ ]] \n ]=] x = 1",
    "x = a --[[b]] .. c --d",
    "local a = 1 local b = 2 print(a)print(b)",
    "local _ENV = {}; x = 1",
    "local function f(_ENV) return x end",
    "if a then elseif b then elseif c then else end",
    "for k, v in next, t, nil, nil do end",
    "for i = 1, 2, 3 do local i = i end",
    "for _ in f do end",
    'x = "a\\\n\\\r\nb"',
    "local goto1, end_, nilx = 1",
    "a = b\n(c or d)()",
    "return function(...) return ... == nil end",
    "x = 3 --" + "-" * 100,
    "\t\v\f\r\nx = 1\r\r\n\n",
    "x = ~1 ~ ~2",
    "x = a and b or c and not d",
    "x = 2^53 == 2^53 + 1.0",
    "local x <close> = setmetatable({}, {__close = function() end})",
    "do local a <const> = 1 do local a = 2; a = 3 end end",
    "x.y.z = {} x['y'] = 1",
    "x = #t[1].y",
    "x = -x^2",
    "local t = {[1] = 1, [1 + 1] = 2, ['a b'] = 3, [f()] = 4, [-1] = 5}",
    "x = 'é' -- é",
]
ILLEGAL = [
    "break",
    "goto a",
    "do ::a:: end goto a",
    "goto f; local x; ::f:: print(x)",
    "do goto f; local x; ::f:: x = 1 end",
    "repeat goto c; local x; ::c:: until x",
    "::a:: ::a::",
    "::a:: do ::a:: end",
    "local function f() goto a end ::a::",
    "for i = 1, 2 do local function f() break end end",
    "local x <const> = 1; x = 2",
    "local x <close> = nil; x = 2",
    "local x <const> = {}; function x() end",
    "local x <const> = 1; local function f() x = 2 end",
    "local x <const> = 1; a, x = 1, 2",
    "local x <foo> = 1",
    "local a <close>, b <close> = 1, 2",
    "function f() return ... end",
    "x = ",
    "x = 1 +",
    "f(",
    "f(1,)",
    "x = {1, 2",
    "x = {1 2}",
    "x = {[1] 2}",
    "x = {[1}",
    "local function f(a,) end",
    "local function f(..., a) end",
    "function f:g.h() end",
    "(f)",
    "a.b",
    "a, b",
    "a + b = 1",
    "f() = 1",
    "(a) = 1",
    "'x':rep(1)",
    "{}.x = 1",
    "return 1 x = 2",
    "if x end",
    "if x then",
    "if x then else elseif y then end",
    "while x end",
    "for i do end",
    "for i = 1 do end",
    "for a, b = 1, 2 do end",
    "for 1 = 1, 2 do end",
    "repeat",
    "local 1",
    "local function a.b() end",
    "x = 'a\nb'",
    'x = "a',
    "x = [[a",
    "x = [=a",
    "--[[ a",
    "x = 3x",
    "x = 0x",
    "x = 0xg",
    "x = 1e",
    "x = 1..2",
    "x = '\\q'",
    "x = '\\300'",
    "x = '\\xag'",
    "x = '\\u41'",
    "x = '\\u{80000000}'",
    "x = '\\u{41'",
    "x = a ! b",
    "x != y",
    "x = @",
    "é = 1",
    "goto 1",
    "::a",
    "x = and",
    "x = function end",
    "end",
    "until x",
    "local x = 1 local",
]


@pytest.mark.parametrize("text", LEGAL)
def test_odd_and_legal(text: str) -> None:
    assert compiled(text) is None
    assert verdict(text) is None


@pytest.mark.parametrize("text", ILLEGAL)
def test_illegal(text: str) -> None:
    assert compiled(text) is not None
    agree(text)


def locals_of(count: int) -> str:
    return "\n".join(f"local a{number}" for number in range(count))


@pytest.mark.parametrize(
    "text",
    [
        *(locals_of(count) for count in (200, 201)),
        *(locals_of(count) + "\nfor i = 1, 2 do end" for count in (196, 197)),
        *(locals_of(count) + "\nfor i in x do end" for count in (195, 196)),
        *(locals_of(count) + "\nfunction a0:f() local a end" for count in (199, 200)),
        *("local function f(" + ",".join(f"p{n}" for n in range(count)) + ") end" for count in (200, 201)),
    ],
)
def test_the_limit_of_locals(text: str) -> None:
    agree(text)


@pytest.mark.parametrize("count", [254, 255])
def test_the_limit_of_upvalues(count: int) -> None:
    names = [f"v{number}" for number in range(count)]
    outer, inner = names[:150], names[150:]
    text = f"local {','.join(outer)}\nlocal function f()\nlocal {','.join(inner)}\n"
    agree(text + f"return function()\nlocal x = {{{','.join(names)}}}\nreturn print end end")


NESTED = {
    "(": ("x = ", "(", "1", ")"),
    "{": ("x = ", "{", "1", "}"),
    "function": ("x = ", "function() return ", "1", " end"),
    "do": ("", "do ", "", " end"),
    "if": ("", "if x then ", "", " end"),
    "-": ("x = ", "- ", "1", ""),
    "..": ("x = ", "a .. ", "a", ""),
    "^": ("x = ", "a ^ ", "a", ""),
    "[": ("x = ", "a[", "1", "]"),
}


@pytest.mark.parametrize("kind", NESTED)
def test_depth_has_an_end_as_lua_s_has(kind: str) -> None:
    """Up to what Lua takes nothing is said, and far beyond it one sentence: Python's stack is not met."""
    before, opening, middle, closing = NESTED[kind]
    for depth in (MOST_LEVELS // 2 - 5, MOST_LEVELS + 10, 50_000):
        text = before + opening * depth + middle + closing * depth
        told = parse(text).faults
        assert bool(told) == (compiled(text) is not None), depth
        assert not told or told[0].message.startswith("nested too deeply")


def test_depth_is_the_same_on_a_deep_stack_and_in_a_thread() -> None:
    text = "x = " + "(" * 150 + "1" + ")" * 150

    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        else:
            assert not parse(text).faults

    limit = sys.getrecursionlimit()
    threads = [threading.Thread(target=deep, args=(limit // 3,))]
    deep(limit // 3)
    for thread in threads:
        thread.start()
        thread.join()
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize(
    "text",
    [
        "x = a" + " + a" * 20_000,
        "f" + "()" * 20_000,
        "x = y" + ".z" * 20_000,
        "if a then" + " elseif b then" * 20_000 + " end",
    ],
    ids=["sum", "calls", "members", "elseif"],
)
def test_what_is_long_and_not_deep_is_read(text: str) -> None:
    assert not parse(text).faults


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "piece", ["'\\z   ", "[[", "--[[", "[=", "'\\u{0", "x = '\\", "goto a ", "local x = = 1\n", "((", "::a::", '"\n']
)
def test_what_is_wrong_everywhere_is_read_in_linear_time(piece: str) -> None:
    """Forty times the text takes far less than the square of that."""

    def seconds(count: int) -> float:
        text = piece * count
        begin = process_time()
        parse(text)
        return process_time() - begin

    small, large = (min(seconds(count) for _ in range(3)) for count in (500, 20_000))
    assert large < max(300 * small, 1.0)


def told(text: str) -> list[tuple[int, int, str]]:
    chunk = parse(text)
    return [(*chunk.lines.place(fault.start), fault.message) for fault in chunk.faults]


def test_errors_of_one_file_are_all_told_where_the_main_chunk_surely_goes_on() -> None:
    text = "local a = = 1\nfunction f()\n  return 1\nend\nlocal function g()\n  x = (1\nend\nlocal b = 1\n"
    assert told(text) == [
        (1, 11, "unexpected symbol near '='"),
        (7, 1, "')' expected (to close '(' at line 6) near 'end'"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "if x then\n  y = = 1\nlocal z = 2\nend\n",  # the second `local` is none of the main chunk's
        "if x then\nlocal y = 1\nif z then\nlocal a = = 1\nend\nend\nlocal b = 1\n",
        "x = = 1\nlocal a\ngoto done\nlocal b\n",
        "::done:: x = = 1\nlocal a goto done\n",
        "while x do\n  y = = 1\nlocal z break\nend\n",
        "f(\n'a\nfunction g() end\nlocal x = 2)\n",
    ],
)
def test_an_error_makes_no_others(text: str) -> None:
    assert len(told(text)) == 1


def test_what_is_no_grammar_is_told_beside_the_rest() -> None:
    text = "local x <const> = 1\nx = 2\nbreak\ngoto nowhere\nlocal y <foo> = 1\n"
    assert [(line, column) for line, column, _ in sorted(told(text))] == [(2, 1), (3, 1), (4, 6), (5, 10)]


def test_columns_are_characters() -> None:
    assert told("x = 'é😀' = 1")[0][:2] == (1, 10)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12", INTEGER, "12"),
        ("9223372036854775807", INTEGER, "9223372036854775807"),
        ("9223372036854775808", FLOAT, "9223372036854775808"),
        ("9" * 5000, FLOAT, "9" * 5000),
        ("0xffffffffffffffffff", INTEGER, "0xffffffffffffffffff"),
        ("1e2", FLOAT, "1e2"),
        ("0x1p2", FLOAT, "0x1p2"),
        ("'a\\x41\\65\\u{42}\\z  \n c'", STRING, "aAABc"),
        ("[[\r\na]]", STRING, "a"),
        ("[==[]]]==]", STRING, "]]"),
    ],
)
def test_values(text: str, kind: str, value: str) -> None:
    found = tokens(text)
    assert (found.kinds[0], found.values[0]) == (kind, value)
