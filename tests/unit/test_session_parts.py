"""The parts of a session: whether an input is whole, what may follow, what is kept of it, and inputs as a script."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.bridge.chunks import is_chunk, is_expression, needs_more
from llmspell.bridge.runtime import ScriptRuntime
from llmspell.cli.repl.completion import Place, candidates, place
from llmspell.cli.repl.history import LARGEST, history_file, is_kept, made_ready
from llmspell.cli.repl.readers import wants_more
from llmspell.cli.repl.saving import script_of

if TYPE_CHECKING:
    from pathlib import Path

# ---- whether more is needed

BEGINNINGS = [
    "1 +", "f(", "if x then", "{1,", "x = [[", "function f()", "for i = 1, 2 do", "return", "x = {", "'a' ..",
    "-- [[ a comment\nrepeat", "f{", "local function g() if true then", "a.b", "--[[ a",
]  # fmt: skip
WHOLE = ["", "x = 1", "1 + 1", "-- a comment", "f()", "return 5", "'abc", '"abc', "foo bar(", "end", "a.b()", ")", "\0"]


@pytest.mark.parametrize("text", [text for text in BEGINNINGS if text not in ("return", "a.b")])
def test_what_lacks_an_end_needs_more(text: str) -> None:
    assert needs_more(text.encode())


@pytest.mark.parametrize("text", WHOLE)
def test_what_is_whole_or_wrong_needs_no_more(text: str) -> None:
    assert not needs_more(text.encode())


@given(st.lists(st.sampled_from(["do\n", "if x then\n", "repeat\n", "function f()\n"]), min_size=1, max_size=8))
def test_each_block_that_is_open_needs_its_end(opened: list[str]) -> None:
    text = "".join(opened)
    for opening in reversed(opened):
        assert needs_more(text.encode())
        text += "until x\n" if opening == "repeat\n" else "end\n"
    assert not needs_more(text.encode())


@given(st.text(max_size=60))
def test_any_text_is_judged_and_nothing_of_it_is_run(text: str) -> None:
    data = text.encode("utf-8", "surrogateescape") if text.isascii() else text.encode("utf-8", "replace")
    whole = is_chunk(data) or is_expression(data)
    assert not (whole and needs_more(data))


def test_a_word_for_the_session_is_whole_and_a_label_is_lua() -> None:
    assert not wants_more(":load f(")
    assert not wants_more("::here::")
    assert wants_more("= f(")
    assert not wants_more("= 1")


# ---- what may follow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pri", Place("name", (), "pri")),
        ("x = pri", Place("name", (), "pri")),
        ("string.re", Place("member", ("string",), "re")),
        ("a.b.", Place("member", ("a", "b"), "")),
        ("print(a . b . c", Place("member", ("a", "b"), "c")),
        ("agent:", Place("method", ("agent",), "")),
        ("x.agent:ex", Place("method", ("x", "agent"), "ex")),
        ("Agent.create{ na", Place("field", ("Agent", "create"), "na")),
        ("Agent.create({ name = 'x', ", Place("field", ("Agent", "create"), "")),
        ("Agent.create{ model = 'open", Place("model", (), "open")),
        ('Agent.create{ model = "', Place("model", (), "")),
        ("f{ a = { b = 1 }, ", Place("field", ("f",), "")),
        ("f{ a = na", Place("name", (), "na")),
        ("x = 'Agent.", Place("")),
        ("-- Agent.", Place("")),
        ("--[[ Agent.", Place("")),
        ("--[[ a ]] Agent.", Place("member", ("Agent",), "")),
        ("x = [[ Agent.", Place("")),
        ("x = 'it\\'s Agent.", Place("")),
        ("x = '{' y", Place("name", (), "y")),
        ("f().", Place("")),
        ("'abc':re", Place("")),
        ("t[1].", Place("")),
        ("1 + ", Place("")),
        ("'a' .. na", Place("name", (), "na")),
        ("", Place("")),
        (":he", Place("word", (), ":he")),
        (":", Place("word", (), ":")),
    ],
)
def test_where_the_cursor_is(text: str, expected: Place) -> None:
    assert place(text) == expected


@given(st.text(alphabet=st.sampled_from("ab.:{}[]()='\"-\\ \n_,;1"), max_size=80))
def test_the_prefix_is_the_end_of_any_text_and_what_may_follow_begins_with_it(text: str) -> None:
    where = place(text)
    assert text.endswith(where.prefix)
    for name in candidates(where, names=["a", "ab", "b"], kind="agent", models=["a/b"], words=[":a"]):
        assert name.startswith(where.prefix)


def test_what_follows_comes_of_the_session_and_of_the_api() -> None:
    assert candidates(Place("name", (), "pr"), names=["print", "price", "x"]) == ["price", "print"]
    assert candidates(Place("name", (), "wh")) == ["while"]
    assert "stream_execute" in candidates(Place("method", ("a",), ""), names=["name"], kind="agent")
    assert "create" in candidates(Place("member", ("Agent",), "cr"))
    assert "create" not in candidates(Place("member", ("x", "y"), ""))
    assert candidates(Place("field", ("Agent", "create"), "max_to")) == ["max_tokens", "max_tool_rounds"]
    assert "messages" in candidates(Place("field", ("a", "execute"), "me"))
    assert candidates(Place("member", ("m",), ""), names=["_hidden", "seen"]) == ["seen"]
    assert candidates(Place("member", ("m",), "_"), names=["_hidden", "seen"]) == ["_hidden"]
    assert candidates(Place("model", (), "op"), models=["openai", "openai/m", "local"]) == ["openai", "openai/m"]


# ---- what is kept


@pytest.mark.parametrize(
    "text",
    [
        " print(1)",
        "",
        "Agent.create{ api_key = 'x' }",
        'key = "sk-abcdefghijklmnopqrstuvwxyz"',
        "h = { Authorization = x }",
        "x = 'AIzaSyA1234567890abcdefghijk'",
        "x = '0123456789abcdef0123456789abcdef'",
        "password = 'p'",
    ],
)
def test_what_may_be_a_secret_is_not_kept(text: str) -> None:
    assert not is_kept(text)


def test_what_is_plain_is_kept() -> None:
    assert is_kept("for i = 1, 10 do print(i) end")
    assert is_kept("a = Agent.create{ model = 'openai/gpt-4o-mini', max_tokens = 100 }")


def test_the_history_is_its_owners_alone_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "state" / "llmspell" / "repl_history"
    assert history_file({"XDG_STATE_HOME": str(tmp_path / "state")}) == str(path)
    assert made_ready(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    entry = b"\n# 2026-01-01\n+print(1)\n"
    path.write_bytes(entry * (LARGEST // len(entry) + 10))
    assert made_ready(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size <= LARGEST // 2
    assert path.read_bytes().startswith(b"\n# ")


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_history_that_is_a_link_is_left_alone(tmp_path: Path) -> None:
    aim, path = tmp_path / "other", tmp_path / "llmspell" / "repl_history"
    aim.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(aim)
    assert not made_ready(str(path))
    assert aim.read_text() == "mine"


# ---- inputs as a script


@pytest.mark.parametrize(
    ("inputs", "result"),
    [
        (["x = 1", "x = x + 1"], 2),
        (["x = 1", "x + 1", "x = x + 1 -- a comment", "x -- another"], 2),
        (["local x = 1", "x = 5"], 5),
        (["local y = 2; x = y", "x = (y or 3) + x"], 5),
        (["x = 1", "return x", "x = x + 1"], 2),
        (["x = 0", "(function() x = x + 1 end)()", "x = x * 10"], 10),
        (["x = 1", "if false then return end", "x = 3"], 3),
    ],
)
def test_inputs_do_the_same_in_a_script(inputs: list[str], result: int) -> None:
    script = script_of(text.encode() for text in inputs) + b"return x"
    assert ScriptRuntime().run(script).result == result


@pytest.mark.parametrize("piece", ["a.", "a", "f{", "'", "--[[", " ", "model=", "[=["])
def test_a_long_line_takes_no_long_time(piece: str) -> None:
    text = piece * 20_001
    started = time.monotonic()
    place(text)
    assert time.monotonic() - started < 1
