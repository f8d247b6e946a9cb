"""What an error looks like, whole texts at two widths; and that nothing from outside steers the terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.cli.render import terminal
from llmspell.cli.render.errors import render
from llmspell.cli.render.terminal import cell_width, char_width, harmless
from llmspell.errors import (
    AuthError,
    ConfigError,
    LLMSpellError,
    PermissionDeniedError,
    RateLimitError,
    ScriptError,
    StreamTruncatedError,
    WorkflowError,
)

VERSE = """-- a haiku
local agent = Agent.new("openai/gpt-4o-mini")
if agent then
\tlocal 詩 = agent:execute("日本語の長い文字列をここに書く") .. missing.field.that.is.not.there .. "tail"
end
print("done")
"""


def drawn(
    error: LLMSpellError, text: str | None = VERSE, *, width: int = 100, unicode: bool = True, colour: bool = False
) -> str:
    return "\n" + render(error, source=lambda name: text, colour=colour, width=width, unicode=unicode)


def script_error() -> ScriptError:
    return ScriptError(
        "attempt to index a nil value (global 'missing')",
        hint="`missing` was never set: is its name spelled right?",
        script="haiku.lua",
        line=4,
        column=VERSE.split("\n")[3].index("missing") + 1,
        traceback=[
            {"source": "haiku.lua", "line": 4, "what": "function 'verse'"},
            {"source": "haiku.lua", "line": 9, "what": "main chunk"},
        ],
    )


def rate_error() -> RateLimitError:
    return RateLimitError(
        "openai: rate limit reached for gpt-4o-mini on requests per minute",
        hint="wait 12 s, or lower runtime.max_concurrency",
        provider="openai",
        model="gpt-4o-mini",
        status=429,
        request_id="req_1",
        script="haiku.lua",
        line=2,
        partial="an old pond",
    )


def test_a_script_s_error_wide() -> None:
    assert (
        drawn(script_error())
        == """
error[script]: attempt to index a nil value (global 'missing')
  --> haiku.lua:4:48
 2 │ local agent = Agent.new("openai/gpt-4o-mini")
 3 │ if agent then
 4 │     local 詩 = agent:execute("日本語の長い文字列をここに書く") .. missing.field.that.is.not.th…
   │                                                                   ^
 5 │ end
 6 │ print("done")
  at function 'verse' (haiku.lua:4)
  at main chunk (haiku.lua:9)
hint: `missing` was never set: is its name spelled right?
"""
    )


def test_a_script_s_error_narrow() -> None:
    assert (
        drawn(script_error(), width=40)
        == """
error[script]: attempt to index a nil
  value (global 'missing')
  --> haiku.lua:4:48
 2 │ local agent = Agent.new("openai/gp…
 3 │ if agent then
 4 │ …ここに書く") .. missing.field.tha…
   │                  ^
 5 │ end
 6 │ print("done")
  at function 'verse' (haiku.lua:4)
  at main chunk (haiku.lua:9)
hint: `missing` was never set: is its
  name spelled right?
"""
    )


def test_a_script_s_error_in_ascii() -> None:
    assert (
        drawn(script_error(), width=40, unicode=False)
        == """
error[script]: attempt to index a nil
  value (global 'missing')
  --> haiku.lua:4:48
 2 | local agent = Agent.new("openai/...
 3 | if agent then
 4 | ...こに書く") .. missing.field.t...
   |                  ^
 5 | end
 6 | print("done")
  at function 'verse' (haiku.lua:4)
  at main chunk (haiku.lua:9)
hint: `missing` was never set: is its
  name spelled right?
"""
    )


def test_a_provider_s_error_without_a_column_wide() -> None:
    assert (
        drawn(rate_error())
        == """
error[rate_limit]: openai: rate limit reached for gpt-4o-mini on requests per minute
  --> haiku.lua:2
 1 │ -- a haiku
 2 │ local agent = Agent.new("openai/gpt-4o-mini")
   │ ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
 3 │ if agent then
 4 │     local 詩 = agent:execute("日本語の長い文字列をここに書く") .. missing.field.that.is.not.th…
  provider: openai
  model: gpt-4o-mini
  status: 429
  request id: req_1
  the answer so far: 11 characters
hint: wait 12 s, or lower runtime.max_concurrency
"""
    )


def test_a_provider_s_error_narrow() -> None:
    assert (
        drawn(rate_error(), width=40)
        == """
error[rate_limit]: openai: rate limit
  reached for gpt-4o-mini on requests
  per minute
  --> haiku.lua:2
 1 │ -- a haiku
 2 │ local agent = Agent.new("openai/gp…
   │ ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
 3 │ if agent then
 4 │     local 詩 = agent:execute("日本…
  provider: openai
  model: gpt-4o-mini
  status: 429
  request id: req_1
  the answer so far: 11 characters
hint: wait 12 s, or lower
  runtime.max_concurrency
"""
    )


def test_without_a_terminal_s_width_a_sentence_stays_on_its_line() -> None:
    error = ConfigError("word " * 60 + "end", hint="hint " * 60 + "end")
    assert drawn(error, width=0) == f"\nerror[config]: {error.message}\nhint: {error.hint}\n"


def test_a_flag_that_is_to_be_copied_stays_on_its_line() -> None:
    hint = "to allow it: --allow-run='git log  --format=%h  --all', or `permissions.run`"
    shown = drawn(PermissionDeniedError("`t` may not run `git`", hint=hint), width=40)
    assert shown.endswith(f"\nhint: {hint}\n")


def test_in_colour() -> None:
    error = AuthError("no key", hint="set OPENAI_API_KEY", script="a.lua", line=1, column=3)
    assert drawn(error, "x = y", colour=True) == (
        "\n\x1b[1;31merror[auth]\x1b[0m\x1b[1m:\x1b[0m \x1b[1mno key\x1b[0m\n"
        "  \x1b[34m-->\x1b[0m a.lua:1:3\n"
        "\x1b[1m 1\x1b[0m \x1b[34m│\x1b[0m x = y\n"
        "   \x1b[34m│\x1b[0m   \x1b[1;31m^\x1b[0m\n"
        "\x1b[36mhint\x1b[0m: set OPENAI_API_KEY\n"
    )


def test_what_lies_beneath_a_step_s_failure_is_shown() -> None:
    cause = AuthError("openai: the key was refused", provider="openai", model="gpt-4o-mini", status=401)
    beneath = OSError("secret-of-a-library")
    cause.__cause__ = beneath
    error = WorkflowError("step `draft` failed", cause=cause, hint="check the key")
    assert (
        drawn(error)
        == """
error[workflow]: step `draft` failed
  caused by auth: openai: the key was refused
  provider: openai
  model: gpt-4o-mini
  status: 401
hint: check the key
"""
    )


def test_the_answer_so_far_is_counted_and_not_shown() -> None:
    error = StreamTruncatedError("the stream stopped", provider="mock", partial="s")
    assert (
        drawn(error)
        == """
error[stream_truncated]: the stream stopped
  provider: mock
  the answer so far: 1 character
"""
    )


def test_a_script_whose_text_is_not_known_is_named() -> None:
    error = ScriptError("no", script="(standard input)", line=7)
    assert drawn(error, None) == "\nerror[script]: no\n  --> (standard input):7\n"
    assert drawn(error, "one line") == "\nerror[script]: no\n  --> (standard input):7\n"
    assert drawn(ScriptError("no", script="a.lua", line=-1)) == "\nerror[script]: no\n"


def test_one_frame_is_no_traceback_and_a_long_one_is_cut() -> None:
    frame = {"source": "a.lua", "line": 1, "what": "function <a.lua:1>"}
    assert drawn(ScriptError("no", traceback=[frame])) == "\nerror[script]: no\n"
    frames = [{"source": "a.lua", "line": line, "what": "f"} for line in range(1, 201)]
    lines = drawn(ScriptError("no", traceback=frames)).strip().split("\n")
    assert len(lines) == 22
    assert lines[-1] == "  … 180 more"


def test_what_calls_itself_without_end_is_told_once() -> None:
    down, main = {"source": "a.lua", "line": 2, "what": "down"}, {"source": "a.lua", "line": 9, "what": "main chunk"}
    assert (
        drawn(ScriptError("stack overflow", traceback=[down] * 19 + [main]))
        == """
error[script]: stack overflow
  at down (a.lua:2)
  … and 18 more of the same
  at main chunk (a.lua:9)
"""
    )


def test_a_table_that_was_raised_is_shown_in_a_line_but_for_its_message() -> None:
    value = {"message": "full", "code": 7, "\x1b[2J": ["\u202e", "x" * 500]}
    told = drawn(ScriptError("full", value=value), width=60)
    assert (
        told
        == """
error[script]: full
  value: {"\\u001b[2J":["<202e>","xxxxxxxxxxxxxxxxxxxxxxxxxx…
"""
    )
    assert cell_width(told.splitlines()[-1]) <= 60
    assert drawn(ScriptError("full", value={"message": "full"})) == "\nerror[script]: full\n"
    assert drawn(ScriptError("full", value="text")) == "\nerror[script]: full\n"


def test_an_error_at_the_end_of_the_text() -> None:
    error = ScriptError("'end' expected near <eof>", script="a.lua", line=3)
    assert (
        drawn(error, "if x then\r\n\tf()\r\n")
        == """
error[script]: 'end' expected near <eof>
  --> a.lua:3
 1 │ if x then
 2 │     f()
 3 │
   │ ^
"""
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\r"])
def test_lines_are_counted_as_lua_counts_them(end: str) -> None:
    text = end.join(["a\x0b\x0c\u2028", "b", "", "the one", "c", "d", "e"])
    shown = drawn(ScriptError("no", script="a.lua", line=4, column=5), text)
    assert (
        shown
        == """
error[script]: no
  --> a.lua:4:5
 2 │ b
 3 │
 4 │ the one
   │     ^
 5 │ c
 6 │ d
"""
    )


def test_a_very_long_line_is_cut_around_the_caret() -> None:
    text = "x" * 500_000 + " = nil.y " + "z" * 900_000
    assert (
        drawn(ScriptError("no", script="a.lua", line=1, column=500_003), text, width=40)
        == """
error[script]: no
  --> a.lua:1:500003
 1 │ …xxxxxxxxxxxxxx = nil.y zzzzzzzzzz…
   │                  ^
"""
    )


def test_without_a_column_a_line_set_far_in_is_shown_from_its_first_sign() -> None:
    assert (
        drawn(ScriptError("no", script="a.lua", line=1), " " * 60 + "x" * 900, width=40)
        == """
error[script]: no
  --> a.lua:1
 1 │ …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
   │  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
    )


HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202egnp.exe\u200b\x9b31m\r"


def test_nothing_from_outside_steers_the_terminal() -> None:
    frame = {"source": HOSTILE, "line": HOSTILE, "what": HOSTILE}
    error = RateLimitError(
        HOSTILE + "\nhint: not mine",
        hint=HOSTILE,
        provider=HOSTILE,
        model=HOSTILE,
        status=HOSTILE,
        request_id=HOSTILE,
        script=HOSTILE,
        line=1,
        column=4,
        partial=HOSTILE,
        traceback=[frame, frame],
    )
    for unicode in (True, False):
        shown = drawn(error, HOSTILE, unicode=unicode)
        assert all(char.isprintable() or char == "\n" for char in shown)
        assert "\nhint: not mine" not in shown
    assert "␛[2J" in drawn(error, HOSTILE)


def test_what_is_too_long_is_shortened() -> None:
    error = RateLimitError("m" * 10**6, provider="p" * 10**6, script="s" * 10**6, line=1, hint="h" * 10**6)
    assert len(drawn(error, "x" * 10**6)) < 10_000


@given(st.text(max_size=300), st.integers(1, 60), st.integers(1, 80), st.integers(10, 90), st.booleans())
def test_an_excerpt_keeps_to_the_width_and_the_caret_to_its_character(
    text: str, line: int, column: int, width: int, unicode: bool
) -> None:
    error = ScriptError("no", script="a.lua", line=line, column=column)
    lines = render(error, source=lambda name: text, colour=False, width=width, unicode=unicode).splitlines()
    assert all(char.isprintable() for shown in lines for char in shown)
    bar = "│" if unicode else "|"
    room = max(width, 18)  # ten columns of text there are always
    for shown in lines[2:]:
        assert bar in shown
        assert sum(char_width(char) for char in shown) <= room


@given(st.text("ab\t日é\u0301 ", max_size=150), st.integers(20, 60))
def test_the_caret_stands_under_its_character(before: str, width: int) -> None:
    error = ScriptError("no", script="a.lua", line=1, column=len(before) + 1)
    lines = render(error, source=lambda name: before + "@" + "z" * 99, colour=False, width=width, unicode=True)
    _, _, shown, caret = lines.splitlines()
    at = sum(char_width(char) for char in caret[: caret.index("^")])
    assert sum(char_width(char) for char in shown[: shown.index("@")]) == at


# What a stream can show


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_what_is_a_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    assert terminal.is_terminal(Screen())
    assert not any(terminal.is_terminal(stream) for stream in (io.StringIO(), closed, None))


@pytest.mark.parametrize(
    ("env", "no_color", "screen", "pipe"),
    [
        ({}, False, True, False),
        ({"TERM": "dumb"}, False, False, False),
        ({"NO_COLOR": ""}, False, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True, True),
        ({"FORCE_COLOR": "0"}, False, True, False),
        ({"FORCE_COLOR": "1"}, True, False, False),
    ],
)
def test_who_gets_colours(env: dict[str, str], no_color: bool, screen: bool, pipe: bool) -> None:
    assert terminal.takes_colour(Screen(), env, no_color=no_color) is screen
    assert terminal.takes_colour(io.StringIO(), env, no_color=no_color) is pipe


def test_the_size_is_what_was_said_else_the_terminal_s_else_80_by_24() -> None:
    assert terminal.terminal_size(Screen(), {}) == (80, 24)
    assert terminal.terminal_size(None, {"COLUMNS": "40", "LINES": "x"}) == (40, 24)
    assert terminal.terminal_size(Screen(), {"COLUMNS": "99999", "LINES": "-3"}) == (500, 24)


def test_who_gets_more_than_ascii() -> None:
    assert terminal.takes_unicode(Screen())
    assert not terminal.takes_unicode(None)
    assert not terminal.takes_unicode(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))


def test_the_whole_look_of_a_stream() -> None:
    at = terminal.look(Screen(), env={"COLUMNS": "50"})
    assert (at.colour, at.width, at.unicode) == (True, 50, True)
    at = terminal.look(io.StringIO(), env={"COLUMNS": "50"}, no_color=True)
    assert (at.colour, at.width, at.unicode) == (False, 0, False)


def test_style() -> None:
    assert terminal.style("x", "bold red") == "\x1b[1;31mx\x1b[0m"
    assert terminal.style("", "bold") == ""
    assert terminal.style("x", "") == "x"


# Harmless


@pytest.mark.parametrize(
    ("text", "unicode", "ascii_"),
    [
        ("plain", "plain", "plain"),
        ("a\tb\nc", "a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc", "a\nb␍c", "a\nb<0d>c"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m", "<1b>[31mred<1b>[0m"),
        ("\x00\x7f\x9b", "␀␡<9b>", "<00><7f><9b>"),
        ("\u202eevil\u2066", "<202e>evil<2066>", "<202e>evil<2066>"),
        ("a\u200bb\ufeffc\u2060", "a<200b>b<feff>c<2060>", "a<200b>b<feff>c<2060>"),
        ("\u2028\u2029", "<2028><2029>", "<2028><2029>"),
        ("a\u00a0b\u3000c", "a b c", "a b c"),
        ("\ud800\U000e0041\ue000", "<d800><e0041><e000>", "<d800><e0041><e000>"),
        ("x\u3164y\ufe01", "x<3164>y<fe01>", "x<3164>y<fe01>"),
        ("é日本 ❤\ufe0f 🎉", "é日本 ❤\ufe0f 🎉", "é日本 ❤\ufe0f 🎉"),
    ],
)
def test_harmless(text: str, unicode: str, ascii_: str) -> None:
    assert harmless(text) == unicode
    assert harmless(text, unicode=False) == ascii_


def test_a_line_that_must_stay_one_does() -> None:
    assert harmless("a\r\nb\nc", keep_newlines=False) == "a␍␊b␊c"
    assert harmless("a\nb", keep_newlines=False, unicode=False) == "a<0a>b"


@given(st.text(), st.booleans(), st.booleans())
def test_only_newline_tab_and_printable_characters_get_through(text: str, newlines: bool, unicode: bool) -> None:
    shown = harmless(text, keep_newlines=newlines, unicode=unicode)
    allowed = "\n\t" if newlines else "\t"
    assert all(char.isprintable() or char in allowed for char in shown)
    assert not any(
        unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn")
        for char in shown.replace("\n", "").replace("\t", "")
    )
    assert harmless(shown, keep_newlines=newlines, unicode=unicode) == shown


@given(st.text(st.characters(exclude_categories=["C", "Z"])))
def test_what_is_printable_is_left_alone(text: str) -> None:
    kept = harmless(text)
    assert kept == text or any(mark in kept for mark in "<")


def test_no_text_makes_the_tables_grow_without_end() -> None:
    harmless("".join(map(chr, range(0x100, 0x8000))))
    assert all(len(forms) <= 4097 for forms in terminal._FORMS.values())


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("❤\ufe0f", 2), ("🎉\ufe0f", 2)])
def test_the_width_of_a_line(text: str, width: int) -> None:
    assert cell_width(text) == width
