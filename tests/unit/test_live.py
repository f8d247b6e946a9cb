"""The live view, by what a terminal shows of it: the bytes go through a terminal emulator, screens are compared."""

from __future__ import annotations

import io
import subprocess
import sys

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell.cli.render import painter
from llmspell.cli.render.live import LiveView
from llmspell.cli.render.painter import Painter
from llmspell.cli.render.summary import summary
from llmspell.cli.render.terminal import cell_width, takes_unicode
from llmspell.cli.watching import TerminalObserver
from llmspell.types.messages import ToolCall
from llmspell.types.streaming import AgentChunk, ChunkContent, Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage
from support.terminal import Screen


class Wire(io.StringIO):
    """A terminal's end of the line; *encoding* is what it says of itself."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding
        self.broken = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)


class Desk:
    """A terminal, a clock that is moved by hand, and the view."""

    def __init__(
        self, width: int = 30, height: int = 8, encoding: str = "utf-8", *, reasoning: bool = True, colour: bool = False
    ) -> None:
        self.wire = Wire(encoding)
        self.size = (width, height)
        self.screen = Screen(width, height)
        self.screen.set_mode(pyte.modes.LNM)  # a terminal's driver gives each newline its carriage return
        self._stream = pyte.Stream(self.screen)
        self._fed = 0
        self.now = 100.0
        self.view = LiveView(
            Painter(self.wire, lambda: self.size, colour=colour),
            lambda: self.now,
            unicode=takes_unicode(self.wire),
            reasoning=reasoning,
        )

    def resize(self, width: int, height: int) -> None:
        """The terminal gets another size: lines go at its foot, as in terminals, and not at its head, as in pyte."""
        self.shown()
        assert self.screen.cursor.y < height
        self.size = (width, height)
        for line in range(height, self.screen.lines):
            self.screen.buffer.pop(line, None)
        self.screen.lines = min(height, self.screen.lines)
        self.screen.resize(height, width)

    def reflow(self, width: int, height: int) -> None:
        """The terminal gets another size, and breaks lines that no longer fit, as many do."""
        lines, row = self.shown(), self.screen.cursor.y
        above = sum(max(1, -(-len(line) // width)) for line in lines[:row])
        rows = above + sum(max(1, -(-len(line) // width)) for line in lines[row:])
        hidden = self.screen.cursor.hidden
        self.size = (width, height)
        self.screen = Screen(width, height)
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self.screen)
        self._stream.feed("\n".join(lines))
        self.screen.cursor_position(max(above - max(rows - height, 0), 0) + 1, 1)
        self.screen.cursor.hidden = hidden

    def pass_(self, seconds: float) -> None:
        """Time passes, with the driver's ticks."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 0.1, end)
            self.view.tick()

    def script(self, text: str) -> None:
        """The script writes to the terminal."""
        self.view.pause()
        self.wire.write(text)
        self.view.resume(at_line_start=text.endswith("\n"))

    def shown(self) -> list[str]:
        """The screen's lines, trailing blanks and blank lines at the end left out."""
        text = self.wire.getvalue()
        self._stream.feed(text[self._fed :])
        self._fed = len(text)
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def cursor_hidden(self) -> bool:
        self.shown()
        return bool(self.screen.cursor.hidden)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_before_the_first_token_a_spinner_tells_model_and_seconds(desk: Desk) -> None:
    desk.view.call_started(1, "gpt-4o-mini")
    assert desk.shown() == ["⠋ gpt-4o-mini 0.0 s"]
    assert desk.cursor_hidden
    desk.pass_(1.2)
    assert desk.shown() == ["⠹ gpt-4o-mini 1.2 s"]


def test_the_first_text_takes_the_spinner_s_place_at_once(desk: Desk) -> None:
    desk.view.call_started(1, "gpt-4o-mini")
    desk.now += 0.001
    desk.view.text(1, "An old")
    assert desk.shown() == ["An old"]
    desk.view.text(1, " pond")
    assert desk.shown() == ["An old"], "text that comes at once is drawn with the next tick"
    desk.pass_(0.1)
    assert desk.shown() == ["An old pond"]
    desk.pass_(5)
    assert desk.shown() == ["An old pond"]


def test_when_the_last_call_ends_the_view_is_gone(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "one\ntwo\nthree")
    desk.pass_(0.2)
    desk.view.call_ended(1)
    assert desk.shown() == []
    assert (desk.screen.cursor.x, desk.screen.cursor.y) == (0, 0)
    assert not desk.cursor_hidden


def test_words_are_wrapped_and_long_words_broken(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    for piece in ("the quick brown ", "fox jumps", " over the ", "x" * 40, " end", "\n\n  last"):
        desk.view.text(1, piece)
    desk.pass_(0.1)
    assert desk.shown() == ["the quick brown fox jumps", "over the", "x" * 29, "x" * 11 + " end", "", "  last"]


def test_a_word_that_ends_at_the_edge_takes_its_space_with_it(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "x" * 29 + " ")
    desk.view.text(1, "y")
    desk.pass_(0.1)
    assert desk.shown() == ["x" * 29, "y"]


def test_two_calls_have_a_labelled_block_each(desk: Desk) -> None:
    desk.view.call_started(1, "gpt-4o-mini")
    desk.view.call_started(2, "local")
    desk.pass_(0.5)
    assert desk.shown() == ["⠴ gpt-4o-mini 0.5 s", "⠴ local 0.5 s"]
    desk.view.text(1, "An old pond")
    desk.pass_(0.1)
    assert desk.shown() == ["gpt-4o-mini", "An old pond", "⠦ local 0.6 s"]
    desk.view.text(2, "A frog")
    desk.pass_(0.1)
    assert desk.shown() == ["gpt-4o-mini", "An old pond", "local", "A frog"]
    desk.view.call_ended(1)
    desk.pass_(0.1)
    assert desk.shown() == ["A frog"]
    desk.view.call_ended(2)
    assert desk.shown() == []


def test_only_the_last_lines_that_fit_are_shown(desk: Desk) -> None:
    desk.wire.write("$ llmspell run x.lua\n")
    desk.view.call_started(1, "m")
    for number in range(100):
        desk.view.text(1, f"line {number}\n")
        desk.pass_(0.1)
    assert desk.shown() == ["$ llmspell run x.lua"] + [f"line {number}" for number in range(93, 100)]
    desk.view.call_ended(1)
    assert desk.shown() == ["$ llmspell run x.lua"], "the screen has not moved"


def test_blocks_share_the_height_fairly(desk: Desk) -> None:
    for call, count in ((1, 50), (2, 1), (3, 50)):
        desk.view.call_started(call, f"m{call}")
        desk.view.text(call, "\n".join(f"{call}: {number}" for number in range(count)))
    desk.pass_(0.1)
    assert desk.shown() == ["m1", "1: 49", "m2", "2: 0", "m3", "3: 48", "3: 49"]


def test_calls_that_do_not_fit_are_counted(desk: Desk) -> None:
    for call in range(1000):
        desk.view.call_started(call, f"m{call}")
    desk.pass_(0.1)
    assert desk.shown() == [f"⠙ m{call} 0.1 s" for call in range(6)] + ["… 994 more in flight"]
    for call in range(1000):
        desk.view.text(call, "x")
    desk.pass_(0.1)
    assert desk.shown() == ["m0", "x", "m1", "x", "m2", "x", "… 997 more in flight"]


@pytest.mark.parametrize("height", [1, 2, 3])
def test_a_terminal_of_hardly_any_height(height: int) -> None:
    desk = Desk(height=height)
    desk.view.call_started(1, "one")
    desk.view.call_started(2, "two")
    desk.view.text(1, "a\nb\nc\nd")
    desk.pass_(0.2)
    assert 1 <= len(desk.shown()) <= max(height - 1, 1)
    desk.view.close()
    assert desk.shown() == []


def test_wide_characters_are_wrapped_by_their_width() -> None:
    desk = Desk(width=11)
    desk.view.call_started(1, "m")
    desk.view.text(1, "日本語の詩を書く🎉🎉é")
    desk.pass_(0.1)
    # The emulator fills the second column of a wide character with nothing, so a line reads as it was written.
    assert desk.shown() == ["日本語の詩", "を書く🎉🎉", "é"]
    desk.view.call_ended(1)
    assert desk.shown() == []


def test_what_a_model_writes_does_not_steer_the_terminal(desk: Desk) -> None:
    desk.view.call_started(1, "m\x1b[2J\nx")
    assert desk.shown() == ["⠋ m␛[2J␊x 0.0 s"]
    desk.view.text(1, "a\x1b[2Jb\x1b]0;t\x07\tc\r\nd\u202e")
    desk.pass_(0.1)
    assert desk.shown() == ["a␛[2Jb␛]0;t␇    c", "d<202e>"]


def test_markup_and_emoji_codes_stay_as_they_are(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "[bold]x[/] :smile: [/nope]")
    assert desk.shown() == ["[bold]x[/] :smile: [/nope]"]


def test_in_ascii_where_the_terminal_has_no_more() -> None:
    desk = Desk(encoding="ascii", height=4)
    for call in range(4):
        desk.view.call_started(call, "a model of a very long name indeed")
    desk.pass_(0.1)
    assert desk.shown() == ["/ a model of a very ... 0.1 s"] * 2 + ["... 2 more in flight"]
    desk.view.text(0, "\x1b")
    assert all(ord(char) < 128 for char in desk.wire.getvalue())


def test_reasoning_stands_on_lines_of_its_own(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.reasoning(1, "think")
    desk.view.reasoning(1, "ing")
    desk.view.text(1, "Answer")
    desk.pass_(0.1)
    assert desk.shown() == ["│ thinking", "Answer"]


def test_reasoning_that_is_hidden_is_told_of_and_makes_place_for_the_answer() -> None:
    desk = Desk(reasoning=False)
    desk.view.call_started(1, "m")
    desk.pass_(0.5)
    desk.view.reasoning(1, "SECRET")
    desk.pass_(0.5)
    assert desk.shown() == ["⠋ m — thinking 1.0 s"]
    desk.view.text(1, "Answer")
    desk.pass_(0.1)
    assert desk.shown() == ["Answer"]
    assert "SECRET" not in desk.wire.getvalue()


def test_reasoning_is_dim_and_the_answer_is_not() -> None:
    desk = Desk(colour=True)
    desk.view.call_started(1, "m")
    desk.view.reasoning(1, "hm")
    desk.view.text(1, "Answer")
    desk.pass_(0.1)
    assert desk.shown() == ["│ hm", "Answer"]
    assert "\x1b[2;3m│ hm\x1b[0m" in desk.wire.getvalue()
    assert "\r\nAnswer\x1b[K" in desk.wire.getvalue()


# Tools and retries


def test_a_tool_is_a_row_with_its_time_running_done_or_failed(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "I look")
    desk.view.tool_started(1, "a", 'read(path: "x")')
    desk.pass_(0.5)
    desk.view.tool_started(1, "b", "net()")
    desk.pass_(0.7)
    assert desk.shown() == ["I look", '⠹ read(path: "x") 1.2 s', "⠹ net() 0.7 s"]
    desk.view.tool_ended(1, "b", 0.71, "no\x1broute")
    desk.pass_(0.8)
    assert desk.shown() == ["I look", '⠋ read(path: "x") 2.0 s', "✗ net() 0.7 s: no␛route"]
    desk.view.tool_ended(1, "a", 2.04, None)
    desk.pass_(0.3)
    assert desk.shown() == ["I look", '✓ read(path: "x") 2.0 s', "✗ net() 0.7 s: no␛route", "⠸ m 0.3 s"]
    desk.view.text(1, "So it is")
    desk.pass_(0.1)
    assert desk.shown() == ["I look", '✓ read(path: "x") 2.0 s', "✗ net() 0.7 s: no␛route", "So it is"]


def test_what_a_tool_calls_stands_below_it_and_what_it_says_beside_it() -> None:
    desk = Desk(width=60)
    desk.view.call_started(1, "m")
    desk.view.tool_started(1, "c1", "run_lua()")
    desk.view.tool_started(1, "c1.1", "net()")
    desk.view.tool_told(1, "c1", "half\x1b done")
    desk.view.tool_told(1, "c9", "not there")
    desk.view.tool_started(1, "c10", "other()")
    desk.view.tool_ended(1, "c1.1", 0.1, "no")
    desk.pass_(0.1)
    assert desk.shown() == ["⠙ run_lua() — half␛ done 0.1 s", "  ✗ net() 0.1 s: no", "⠙ other() 0.1 s"]


def test_the_chunks_of_a_run_are_told_to_the_view() -> None:
    desk, observer = Desk(width=60), TerminalObserver(colour=False)
    observer._view = desk.view
    desk.view.call_started("c", "a · mock/m")
    told: list[ChunkContent] = [
        Control("stream_start"),
        Reasoning("hm"),
        Text("I "),
        Text("walk"),
    ]
    observer.chunks("c", [AgentChunk("c", index, one, {}, 0.0) for index, one in enumerate(told)], False)
    writes = ToolCallProgress("t", "walk", '{"to"')
    observer.chunks("c", [AgentChunk("c", 5, writes, {}, 0.0)] * 3, False)
    desk.pass_(0.3)
    assert desk.shown() == ["│ hm", "I walk", "⠸ a · mock/m — calling walk 0.3 s"]
    walk = ToolCall("t", "walk", {"to": "a\nb", "far": True, "long": "x" * 100})
    observer.tool_started("c", walk)
    details = {"tool_id": "t", "name": "walk", "text": "half way"}
    observer.chunks("c", [AgentChunk("c", 9, Control("heartbeat", details=details), {}, 0.0)], False)
    desk.pass_(0.1)
    first, second, third = desk.shown()
    assert [first, second] == ["│ hm", "I walk"]
    assert third[1:].startswith(' walk(to: "a\\nb", far: true, long: "xxxx')
    assert third.endswith("… 0.1 s")
    observer.tool_ended("c", walk, 0.5)
    observer.chunks("c", [AgentChunk("c", 10, Text("mine"), {}, 0.0)], True)
    assert desk.shown() == [], "the script reads the rest itself"


def test_a_tool_s_row_keeps_its_time_where_it_has_to_be_cut() -> None:
    desk = Desk(width=24, encoding="ascii")
    desk.view.call_started(1, "m")
    desk.view.tool_started(1, "a", 'search(query: "what is it that")')
    desk.view.tool_started(1, "b", "net()")
    desk.view.tool_ended(1, "b", 1.0, "nobody answered there at all")
    desk.pass_(0.1)
    assert desk.shown() == ["/ search(query... 0.1 s", "x net() 1.0 s: nobod..."]


def test_a_retry_tells_attempt_reason_and_what_is_left_to_wait() -> None:
    desk = Desk(width=60)
    desk.view.call_started(1, "poet · openai/m")
    desk.pass_(0.5)
    desk.view.again(1, "attempt 2: overloaded", wait=2.0)
    desk.pass_(0.5)
    assert desk.shown() == ["⠋ poet · openai/m — attempt 2 in 1.5 s: overloaded 1.0 s"]
    desk.pass_(2)
    assert desk.shown() == ["⠋ poet · openai/m — attempt 2: overloaded 3.0 s"]
    desk.view.again(1, "no such model", model="openai/n")
    desk.pass_(0.1)
    assert desk.shown() == ["⠙ poet · openai/n — no such model 3.1 s"]
    desk.view.text(1, "Hello")
    desk.pass_(0.1)
    assert desk.shown() == ["Hello"]


def test_what_came_before_a_retry_goes_back_to_the_last_tool(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "I look")
    desk.view.tool_started(1, "a", "read()")
    desk.view.tool_ended(1, "a", 0.1, None)
    desk.view.text(1, "{ nonsense\nof two lines")
    desk.pass_(0.1)
    desk.view.again(1, "attempt 2: no JSON")
    desk.pass_(0.1)
    assert desk.shown() == ["I look", "✓ read() 0.1 s", "⠙ m — attempt 2: no JS… 0.1 s"]


# The terminal's size, and what is written


@pytest.mark.parametrize("reflows", [False, True])
def test_a_screen_that_gets_smaller_or_larger_shows_the_view_once(desk: Desk, reflows: bool) -> None:
    desk.wire.write("$ run x\n")
    desk.view.call_started(1, "m")
    whole = "the quick brown fox jumps over the lazy dog the quick brown fox jumps over the lazy dog"
    desk.view.text(1, whole)
    desk.pass_(0.1)
    for width, height in ((40, 10), (25, 10), (60, 12), (16, 8), (12, 5), (30, 8)):
        (desk.reflow if reflows else desk.resize)(width, height)
        desk.pass_(0.1)
        lines = [line for line in desk.shown() if line != "$ run x"]
        shown = " ".join(lines)
        assert whole.endswith(shown)
        assert shown == whole or len(lines) == height - 1
    desk.view.call_ended(1)
    assert desk.shown() in ([], ["$ run x"])


def test_only_rows_that_changed_are_written_each_frame_as_a_whole(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "first\nsecond\nthi")
    desk.pass_(0.1)
    before = len(desk.wire.getvalue())
    desk.view.text(1, "rd")
    desk.pass_(0.1)
    assert desk.shown() == ["first", "second", "third"]
    frame = desk.wire.getvalue()[before:]
    assert frame.startswith("\x1b[?2026h")
    assert frame.endswith("\x1b[?2026l")
    assert "first" not in frame
    assert "second" not in frame
    assert "\x1b[J" not in frame, "nothing is erased that stays"
    before = len(desk.wire.getvalue())
    desk.pass_(1)
    assert len(desk.wire.getvalue()) == before, "nothing is written where nothing changed"


def test_a_job_in_the_background_draws_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.view._painter._fd = 2
    monkeypatch.setattr(painter, "in_foreground", lambda fd: False)
    desk.view.call_started(1, "m")
    desk.view.text(1, "text")
    desk.pass_(0.5)
    assert desk.wire.getvalue() == ""
    monkeypatch.setattr(painter, "in_foreground", lambda fd: True)
    desk.view.text(1, " and more")
    desk.pass_(0.1)
    assert desk.shown() == ["text and more"]


def test_text_is_drawn_at_most_twenty_times_a_second(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    before = desk.wire.getvalue().count("\x1b[?2026h")
    for _ in range(10_000):
        desk.now += 0.0001
        desk.view.text(1, "word ")
    assert desk.wire.getvalue().count("\x1b[?2026h") - before <= 21


def test_a_script_that_writes_much_makes_the_view_wait_and_not_flicker(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "text")
    desk.pass_(0.1)
    frames = desk.wire.getvalue().count("\x1b[?2026h")
    for number in range(50):
        desk.script(f"{number}\n")
        desk.now += 0.01
        desk.view.tick()
    assert desk.wire.getvalue().count("\x1b[?2026h") - frames <= 1
    desk.pass_(0.1)
    assert desk.shown()[-2:] == ["49", "text"]


# The script's own output


def test_what_a_script_writes_stands_and_the_view_comes_back_below(desk: Desk) -> None:
    desk.script("first\n")
    desk.view.call_started(1, "m")
    desk.view.text(1, "one\ntwo")
    desk.pass_(0.1)
    desk.script("second\n")
    assert desk.shown() == ["first", "second", "one", "two"]
    desk.view.pause()
    assert desk.shown() == ["first", "second"]
    assert not desk.cursor_hidden
    desk.view.text(1, "\nthree")
    desk.pass_(1)
    assert desk.shown() == ["first", "second"], "while it pauses nothing is drawn"
    desk.view.resume()
    assert desk.shown() == ["first", "second", "one", "two", "three"]
    desk.view.call_ended(1)
    assert desk.shown() == ["first", "second"]
    desk.script("last")
    assert desk.shown() == ["first", "second", "last"]


def test_a_line_that_the_script_has_not_ended_is_left_alone(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "text")
    desk.pass_(0.1)
    desk.script("counting: 1")
    desk.pass_(0.3)
    assert desk.shown() == ["counting: 1"]
    desk.script(", 2\n")
    desk.pass_(0.1)
    assert desk.shown() == ["counting: 1, 2", "text"]
    desk.view.close()
    assert desk.shown() == ["counting: 1, 2"]


def test_a_transient_view_leaves_exactly_the_script_s_own_output(desk: Desk) -> None:
    words = ["one\n", "two ", "three\n", "\n", "a line that is longer than the terminal is wide\n", "end"]
    for number, word in enumerate(words):
        desk.view.call_started(number, "m")
        desk.view.text(number, f"streamed {number}\n" * 3)
        desk.pass_(0.2)
        desk.script(word)
        desk.pass_(0.2)
        desk.view.call_ended(number)
    desk.view.close()
    alone = Desk()
    alone.wire.write("".join(words))
    assert desk.shown() == alone.shown()
    assert (desk.screen.cursor.x, desk.screen.cursor.y) == (alone.screen.cursor.x, alone.screen.cursor.y)


def test_a_script_that_reads_the_stream_itself_owns_the_screen(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.pass_(0.3)
    desk.view.take_screen(1)
    assert desk.shown() == []
    for piece in ("An ", "old ", "pond"):
        desk.view.text(1, piece)
        desk.script(piece)
        desk.pass_(0.2)
    desk.view.call_ended(1)
    assert desk.shown() == ["An old pond"]
    assert not desk.cursor_hidden


def test_the_other_calls_blocks_stay_when_one_is_taken(desk: Desk) -> None:
    desk.view.call_started(1, "one")
    desk.view.call_started(2, "two")
    desk.pass_(0.1)
    desk.view.take_screen(1)
    desk.script("mine\n")
    desk.pass_(0.1)
    assert desk.shown() == ["mine", "⠙ two 0.2 s"]


# The end


def test_close_always_gives_the_terminal_back(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "half an ans")
    desk.view.close()
    assert desk.shown() == []
    assert not desk.cursor_hidden
    desk.view.close()
    desk.view.call_started(2, "m")
    desk.view.text(2, "x")
    desk.view.resume()
    desk.view.tick()
    assert desk.shown() == []


def test_given_back_by_another_thread_it_stays_away(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "text")
    desk.view._painter._fd = None
    desk.view.give_back()
    before = desk.wire.getvalue()
    desk.view.text(1, " more")
    desk.pass_(0.5)
    assert "more" not in desk.wire.getvalue()[len(before) :]


def test_nothing_of_rich_is_loaded_for_it() -> None:
    code = "import sys, llmspell.cli.render.live, llmspell.cli.render.painter; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_calls_that_are_not_known_are_passed_over(desk: Desk) -> None:
    desk.view.text(7, "x")
    desk.view.reasoning(7, "x")
    desk.view.call_ended(7)
    desk.view.take_screen(7)
    desk.view.tick()
    assert desk.wire.getvalue() == ""


def test_a_terminal_that_fails_ends_the_view_and_nothing_else(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.wire.broken = True
    desk.pass_(0.2)
    desk.view.text(1, "x")
    desk.view.pause()
    desk.view.resume()
    desk.view.call_ended(1)
    desk.view.close()


def test_a_new_width_wraps_anew(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    desk.view.text(1, "the quick brown fox jumps over")
    desk.pass_(0.1)
    assert desk.shown() == ["the quick brown fox jumps", "over"]
    desk.resize(16, 8)
    desk.pass_(0.1)
    assert desk.shown() == ["the quick brown", "fox jumps over"]


def test_a_long_answer_costs_no_more_than_its_last_lines(desk: Desk) -> None:
    desk.view.call_started(1, "m")
    for _ in range(200):
        desk.view.text(1, "word " * 2000)
    block = desk.view._blocks[1]
    assert block._fresh_size <= 100_000
    desk.pass_(0.1)
    assert sum(len(piece[0]) for piece in block._pieces if isinstance(piece, tuple)) <= 40_000
    assert len(block._rows) <= 1000
    desk.view.text(1, "x" * 5_000_000)
    desk.pass_(0.1)
    assert len(block._line) <= 30


_events = st.one_of(
    st.tuples(st.sampled_from(["start", "end", "take"]), st.integers(0, 3), st.just("")),
    st.tuples(
        st.sampled_from(["text", "reasoning", "script"]),
        st.integers(0, 3),
        st.text("ab \n\t日🎉é\u0301❤\ufe0f\x1b\u200b\u200d🇫👍🏽", max_size=40),
    ),
    st.tuples(st.just("pass"), st.integers(0, 3), st.just("")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_events, max_size=25), st.integers(8, 30), st.integers(2, 8))
def test_whatever_happens_the_script_s_output_is_what_remains(
    events: list[tuple[str, int, str]], width: int, height: int
) -> None:
    desk, alone = Desk(width, height), Desk(width, height)
    for what, call, text in events:
        if what == "start":
            desk.view.call_started(call, f"m{call}")
        elif what == "end":
            desk.view.call_ended(call)
        elif what == "take":
            desk.view.take_screen(call)
        elif what == "script":
            # What scrolls off the top while the view is drawn does not come back; so the script writes little here.
            line = "".join(char for char in text if char.isascii() and char.isprintable())[: width - 1]
            desk.script(f"\r{line}\n")
            alone.wire.write(f"\r{line}\n")
        elif what == "pass":
            desk.pass_(0.1 * call)
        elif what == "text":
            desk.view.text(call, text)
        else:
            desk.view.reasoning(call, text)
        # Whatever was drawn fits: no line is wider than the terminal, and one line of its height is left.
        rows = desk.view._rows(desk.now) if desk.view._blocks else []
        assert len(rows) <= max(height - 1, 1)
        assert all(cell_width(row) < width for row, _ in rows)
    desk.view.close()
    mine = [line for line in desk.shown() if line]
    theirs = [line for line in alone.shown() if line]
    assert mine == theirs[len(theirs) - len(mine) :]
    assert not desk.cursor_hidden


# The line at the end


@pytest.mark.parametrize(
    ("line", "usage", "seconds", "first", "writing"),
    [
        (
            "1,234 tokens in · 567 out · 50.0 tokens/s · first token 0.42 s · 12.9 s",
            Usage(1234, 567),
            12.9,
            0.42,
            11.34,
        ),
        ("10 tokens in · 20 out · 10.0 tokens/s · first token 1.00 s · 3.00 s", Usage(10, 20), 3.0, 1.0, None),
        ("500 tokens out · 250 tokens/s · 2.00 s", Usage(None, 500), 2.0, None, None),
        ("7 tokens in · 0 out · 1.00 s", Usage(7, 0), 1.0, None, None),
        ("7 tokens in · 0 out · 1.00 s · $0.0012", Usage(7, 0, cost_usd=0.00123), 1.0, None, None),
        ("7 tokens in · 0 out · 1.00 s", Usage(7, 0, cost_usd=0.0), 1.0, None, None),
        ("2.00 s", None, 2.0, None, None),
        ("2 min 5 s", Usage(), 125.2, None, None),
        ("7 tokens in · 5 out · 0.00 s", Usage(7, 5), 0.0, None, None),
    ],
)
def test_the_summary_tells_what_is_known(
    line: str, usage: Usage | None, seconds: float, first: float | None, writing: float | None
) -> None:
    assert summary(usage, seconds, first_token=first, writing=writing) == line


def test_the_summary_in_ascii_and_dim() -> None:
    assert summary(Usage(1, 1), 2.0, unicode=False, colour=True) == "\x1b[2m1 tokens in, 1 out, 2.00 s\x1b[0m"
