"""What a person sees of `llmspell run` on a terminal: spinner, live text, Ctrl+C, and the terminal left as it was."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.answers import answer, asking
from support.loopback import CLOSE, STALL, Gate, Loopback, reply
from support.terminal import Terminal, environment
from support.tool_turns import CALLING

if TYPE_CHECKING:
    from pathlib import Path

    from support.loopback import Request

SUMMARY = re.compile(r"7 tokens in · \d+ out( · [\d.,]+ tokens/s)? · first token [\d.]+ s · [\d.]+ s")
EXECUTE = "print(Agent.create{ name = 'poet', model = 'openai/m' }:execute('hi').text)\n"
OWN = """
local keep <close> = setmetatable({}, { __close = function() print('closed') end })
for chunk in Agent.create{ name = 'poet', model = 'openai/m' }:stream_execute('hi') do
  if chunk.content.type == 'text' then io.write(chunk.content.text) end
end
print()
"""
CLOSES = "local keep <close> = setmetatable({}, { __close = function() print('closed') end })\n"


def script(folder: Path, text: str) -> list[str]:
    """The command that runs *text* with `--stream`."""
    (folder / "s.lua").write_text(text)
    return ["run", "--stream", str(folder / "s.lua")]


# ---- the live view


def test_a_spinner_with_the_model_until_the_first_token_then_live_text(tmp_path: Path) -> None:
    before, between = Gate(), Gate()
    plan = [before, *answer("Hello ", between, "world")]
    with Loopback([plan]) as server, Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal:
        terminal.until(lambda: bool(re.fullmatch(r"\S poet · openai/m [\d.]+ s", terminal.text)))
        first = terminal.text
        terminal.until(lambda: terminal.text != first)  # it turns
        assert terminal.screen.cursor.hidden
        before.open()
        terminal.until("Hello")
        assert terminal.lines == ["Hello"]
        between.open()
        assert terminal.wait() == 0
        output, summary = terminal.lines
        assert output == "Hello world"
        assert SUMMARY.fullmatch(summary)
        terminal.assert_as_before()


def test_a_tool_and_the_agent_that_it_is_stand_with_the_call_that_they_are_of(tmp_path: Path) -> None:
    asking_helper, helping, last = CALLING["openai"]([("c1", "helper", {"input": "hm"})], "I ask")[0], Gate(), Gate()
    plans = [reply(asking_helper), [helping, *answer("yes")], [last, *answer("It ", "is so.")]]
    text = """
      local helper = Agent.create{ name = 'helper', model = 'openai/h' }
      print(Agent.create{ name = 'chief', model = 'openai/m', tools = { helper } }:execute('hi').text)
    """
    with Loopback(plans) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until(lambda: len(terminal.lines) == 4 and "helper · openai/h" in terminal.lines[3])
        assert terminal.lines[:2] == ["chief · openai/m", "I ask"]
        assert re.fullmatch(r'\S helper\(input: "hm"\) [\d.]+ s', terminal.lines[2])
        helping.open()
        terminal.until(lambda: len(terminal.lines) == 3 and "chief · openai/m" in terminal.lines[2])
        assert terminal.lines[0] == "I ask"
        assert re.fullmatch(r'✓ helper\(input: "hm"\) [\d.]+ s', terminal.lines[1])
        last.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "It is so."
        terminal.assert_as_before()


def test_a_block_for_each_call_in_flight(tmp_path: Path) -> None:
    gates = {"a": Gate(), "b": Gate()}

    def plan(request: Request) -> list[object]:
        model = request.json["model"]
        return answer(f"words of {model}", gates[model], " at last")

    text = """
      local function ask(model)
        local agent = Agent.create{ name = 'agent-' .. model, model = 'openai/' .. model }
        return function() return agent:execute('hi').text end
      end
      print(table.concat(Async.all{ ask('a'), ask('b') }, '; '))
    """
    with Loopback([plan]) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until(lambda: "words of a" in terminal.text and "words of b" in terminal.text)
        assert sorted(terminal.lines) == ["agent-a · openai/a", "agent-b · openai/b", "words of a", "words of b"]
        gates["b"].open()
        terminal.until(lambda: terminal.lines == ["words of a"])  # one call is left: it needs no name
        gates["a"].open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "words of a at last; words of b at last"
        assert terminal.lines[1].startswith("14 tokens in · 4 out")
        assert len(terminal.lines) == 2
        terminal.assert_as_before()


def test_an_answer_that_is_asked_for_once_more_takes_the_place_of_the_first(tmp_path: Path) -> None:
    text = """
      local agent = Agent.create{ model = 'openai/m', response_schema = { type = 'array' } }
      print(#agent:execute('hi').data)
    """
    gates = [Gate(), Gate()]
    plans = [answer("{", gates[0], "}"), answer("[", "1, 2", gates[1], "]")]
    with Loopback(plans) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until(lambda: terminal.lines == ["{"])
        gates[0].open()
        terminal.until(lambda: terminal.lines == ["[1, 2"])
        gates[1].open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "2"
        assert terminal.lines[1].startswith("14 tokens in · 5 out")
        terminal.assert_as_before()


def test_a_long_answer_stays_within_a_small_screen_and_goes_without_a_trace(tmp_path: Path) -> None:
    gate = Gate()
    words = " ".join(f"word{n}" for n in range(200))
    text = "print(#Agent.create{ model = 'openai/m' }:execute('hi').text)\n"
    plan = answer(words, gate, "!")
    command = script(tmp_path, text)
    with Loopback([plan]) as server, Terminal(command, env=asking(server), size=(40, 10)) as terminal:
        terminal.until("word199")
        assert len(terminal.lines) <= 9
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == str(len(words) + 1)
        assert " ".join(terminal.lines[1:]).startswith("7 tokens in")
        terminal.assert_as_before()


def test_a_stream_that_the_script_reads_is_the_scripts_own_affair(tmp_path: Path) -> None:
    before, between = Gate(), Gate()
    plan = [before, *answer("Hel", between, "lo")]
    with Loopback([plan]) as server, Terminal(script(tmp_path, OWN), env=asking(server)) as terminal:
        terminal.until("poet · openai/m")
        before.open()
        terminal.until(lambda: terminal.lines == ["Hel"])
        assert not terminal.screen.cursor.hidden
        drawn = len(terminal.raw)
        between.open()
        assert terminal.wait() == 0
        assert terminal.raw[drawn:].startswith(b"lo\r\nclosed\r\n")
        assert terminal.lines[:2] == ["Hello", "closed"]
        assert SUMMARY.fullmatch(terminal.lines[2])
        assert len(terminal.lines) == 3
        terminal.assert_as_before()


def test_what_the_script_writes_meanwhile_stands_above_the_view(tmp_path: Path) -> None:
    gate = Gate()
    text = """
      Async.all{
        function() return Agent.create{ model = 'openai/m' }:execute('hi') end,
        function() Async.sleep(0.05) print('out') Log.info('note') io.stderr:write('err\\n') end,
      }
      io.write('no end')
    """
    with Loopback([answer("live", gate)]) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until(lambda: terminal.lines == ["out", "info: note", "err", "live"])
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[:4] == ["out", "info: note", "err", "no end"]
        assert SUMMARY.fullmatch(terminal.lines[4])
        terminal.assert_as_before()


def test_control_characters_of_a_model_do_not_steer_the_terminal(tmp_path: Path) -> None:
    gate = Gate()
    text = "print(#Agent.create{ model = 'openai/m' }:execute('hi').text)\n"
    plan = answer("a\x1b[2Jb\x07c\x1b]0;title\x07\u202ed", gate)
    with Loopback([plan]) as server, Terminal(script(tmp_path, text), env=asking(server)) as terminal:
        terminal.until("a␛[2Jb␇c␛]0;title␇<202e>d")
        gate.open()
        assert terminal.wait() == 0
        assert b"\x1b[2J" not in terminal.raw
        assert b"\x07" not in terminal.raw


def test_no_color_means_no_looks_and_a_dumb_terminal_gets_no_sequences_at_all(tmp_path: Path) -> None:
    with Loopback([answer("Hello")]) as server:
        command = script(tmp_path, EXECUTE + "error('lost')\n")
        for env, term in ((asking(server, NO_COLOR="1"), "xterm-256color"), (asking(server), "dumb")):
            with Terminal(command, env=env, term=term) as terminal:
                assert terminal.wait() == 1
                assert terminal.lines[:2] == ["Hello", "error[script]: lost"]
                assert not re.search(rb"\x1b\[[\d;]*m", terminal.raw)
                assert term != "dumb" or b"\x1b" not in terminal.raw
                terminal.assert_as_before()


def test_standard_output_elsewhere_holds_the_scripts_bytes_alone(tmp_path: Path) -> None:
    gate, kept = Gate(), tmp_path / "out"
    command = script(tmp_path, EXECUTE)
    with Loopback([answer("Hello", gate)]) as server, Terminal(command, env=asking(server), out=kept) as terminal:
        terminal.until("Hello")
        gate.open()
        assert terminal.wait() == 0
        assert kept.read_bytes() == b"Hello\n"
        assert len(terminal.lines) == 1
        assert SUMMARY.fullmatch(terminal.lines[0])


def test_without_stream_there_is_no_view_but_the_scripts_words_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "s.lua").write_text("io.write('asking ') " + EXECUTE)
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        Terminal(["run", str(tmp_path / "s.lua")], env=asking(server)) as terminal,
    ):
        terminal.until("asking")
        server.wait_requests(1)
        assert terminal.raw == b"asking "
        terminal.interrupt()
        assert terminal.wait() == 130
        assert terminal.lines == ["asking ^C", "error[cancelled]: stopped by Ctrl+C"]


def test_an_error_in_mid_answer_leaves_what_had_come_on_the_screen(tmp_path: Path) -> None:
    plan = answer("Hello", " world", then=CLOSE)
    with Loopback([plan]) as server, Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal:
        assert terminal.wait() == 4
        assert terminal.lines[0] == "Hello world"
        assert terminal.lines[1].startswith("error[stream_truncated]:")
        terminal.assert_as_before()


def test_an_error_in_a_stream_of_the_scripts_own_does_not_show_its_text_again(tmp_path: Path) -> None:
    plan = answer("Hello", " world", then=CLOSE)
    with Loopback([plan]) as server, Terminal(script(tmp_path, OWN), env=asking(server)) as terminal:
        assert terminal.wait() == 4
        assert terminal.lines[0] == "Hello worldclosed"
        assert terminal.lines[1].startswith("error[stream_truncated]:")
        assert "  the answer so far: 11 characters" in terminal.lines
        terminal.assert_as_before()


def test_a_script_can_be_typed(tmp_path: Path) -> None:
    with Terminal(["run", "-"], env=environment()) as terminal:
        terminal.keys(b"print('typed')\r")
        terminal.until("print('typed')")
        terminal.keys(b"\x04")
        assert terminal.wait() == 0
        assert terminal.lines[-1] == "typed"


# ---- Ctrl+C and SIGTERM


def test_ctrl_c_in_a_slow_answer_keeps_what_came_closes_the_connection_and_runs_close(tmp_path: Path) -> None:
    plan = answer("Hello ", "world", then=STALL)
    with Loopback([plan]) as server, Terminal(script(tmp_path, CLOSES + EXECUTE), env=asking(server)) as terminal:
        terminal.until("Hello world")
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert terminal.lines == ["closed", "Hello world", "error[cancelled]: stopped by Ctrl+C"]
        terminal.assert_as_before()


def test_ctrl_c_in_a_stream_of_the_scripts_own(tmp_path: Path) -> None:
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        Terminal(script(tmp_path, OWN), env=asking(server)) as terminal,
    ):
        terminal.until("Hello")
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert terminal.lines == ["Hello^Cclosed", "error[cancelled]: stopped by Ctrl+C"]
        terminal.assert_as_before()


def test_ctrl_c_before_the_first_byte(tmp_path: Path) -> None:
    with Loopback([[STALL]]) as server, Terminal(script(tmp_path, EXECUTE), env=asking(server)) as terminal:
        terminal.until("poet")
        server.wait_requests(1)
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert terminal.lines == ["error[cancelled]: stopped by Ctrl+C"]
        terminal.assert_as_before()


@pytest.mark.parametrize(
    "work",
    ["while true do pcall(function() while true do end end) end", "Async.sleep(60)", "io.read('a')"],
    ids=["computing", "asleep", "reading"],
)
def test_ctrl_c_while_the_script_is(work: str, tmp_path: Path) -> None:
    with Terminal(script(tmp_path, f"{CLOSES}print('at work')\n{work}\nprint('not reached')\n")) as terminal:
        terminal.until("at work")
        terminal.interrupt()
        assert terminal.wait() == 130
        assert terminal.lines == ["at work", "^Cclosed", "error[cancelled]: stopped by Ctrl+C"]
        terminal.assert_as_before()


STUCK = "print('at work') string.find(('a'):rep(40), ('a*'):rep(20) .. 'b') print('not reached')\n"


def test_a_second_ctrl_c_ends_at_once_even_inside_a_pattern_match(tmp_path: Path) -> None:
    with Terminal(
        script(tmp_path, "pcall(function() while true do pcall(function() " + STUCK + " end) end end)")
    ) as terminal:
        terminal.until("at work")
        first = time.monotonic()
        terminal.insist()
        assert time.monotonic() - first < 2
        assert terminal.wait() == 130
        terminal.assert_as_before()


def test_a_second_ctrl_c_ends_a_close_that_does_not_end(tmp_path: Path) -> None:
    text = CLOSES.replace("print('closed')", "while true do end") + "print('at work') Async.sleep(60)"
    with Terminal(script(tmp_path, text)) as terminal:
        terminal.until("at work")
        terminal.insist()
        assert terminal.wait() == 130


def test_sigterm_ends_likewise_with_its_own_code(tmp_path: Path) -> None:
    plan = answer("Hello", then=STALL)
    with Loopback([plan]) as server, Terminal(script(tmp_path, CLOSES + EXECUTE), env=asking(server)) as terminal:
        terminal.until("Hello")
        terminal.terminate()
        assert terminal.wait() == 143
        server.connections[0].wait_closed()
        assert terminal.lines == ["closed", "Hello", "error[cancelled]: stopped by SIGTERM"]
        terminal.assert_as_before()


def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a job in the background
    try:
        terminal = Terminal(script(tmp_path, "print('at work') print(io.read('l'))\n"))
    finally:
        signal.signal(signal.SIGINT, old)
    with terminal:
        terminal.until("at work")
        terminal.interrupt()
        terminal.until("^C")
        terminal.keys(b"go on\r")
        assert terminal.wait() == 0
        assert terminal.lines[-1] == "go on"


# ---- errors


def test_an_error_begins_a_line_of_its_own_and_has_colours(tmp_path: Path) -> None:
    with Terminal(script(tmp_path, "io.write('half a line') error('lost')\n")) as terminal:
        assert terminal.wait() == 1
        assert terminal.lines[:2] == ["half a line", "error[script]: lost"]
        assert b"\x1b[1;31merror[script]" in terminal.raw
        terminal.assert_as_before()


def test_an_error_is_wrapped_to_a_narrow_terminal(tmp_path: Path) -> None:
    with Terminal(script(tmp_path, "Agent.create{ temprature = 1 }\n"), size=(40, 12)) as terminal:
        assert terminal.wait() == 1
        assert terminal.lines[:2] == ["error[validation]: `Agent.create` has no", "  field `temprature`"]
        assert terminal.lines[-1] == "hint: did you mean `temperature`?"


def test_a_line_for_each_step_of_a_workflow_that_runs(tmp_path: Path) -> None:
    gate = Gate()
    text = """
      local agent = Agent.create{ name = 'poet', model = 'openai/m' }
      print(Workflow.sequential{ name = 'song', steps = {
        { name = 'words', agent = agent, input = 'hi' },
        { name = 'tune\\27[2J', run = function() return 'la' end },
      } }:execute().text)
    """
    with (
        Loopback([[gate, *answer("Hello")]]) as server,
        Terminal(script(tmp_path, text), env=asking(server)) as terminal,
    ):
        terminal.until(lambda: len(terminal.lines) == 2 and "poet" in terminal.lines[1])
        assert re.fullmatch(r"\S song · words [\d.]+ s", terminal.lines[0])
        gate.open()
        assert terminal.wait() == 0
        assert terminal.lines[0] == "la"
        assert SUMMARY.fullmatch(terminal.lines[1])
        terminal.assert_as_before()


def test_ctrl_c_ends_the_steps_of_a_workflow(tmp_path: Path) -> None:
    text = (
        CLOSES
        + """
      local agent = Agent.create{ name = 'poet', model = 'openai/m' }
      local inner = Workflow.sequential{ on_error = 'skip', steps = {
        { name = 'words', agent = agent, input = 'hi' },
      } }
      Workflow.parallel{ on_error = 'continue', steps = {
        { name = 'song', workflow = inner, retry = 3 },
        { name = 'beat', run = function() pcall(Async.sleep, 60) end },
      } }:execute()
      print('went on')
    """
    )
    with (
        Loopback([answer("Hello", then=STALL)]) as server,
        Terminal(script(tmp_path, text), env=asking(server)) as terminal,
    ):
        terminal.until("Hello")
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert terminal.lines == ["closed", "Hello", "error[cancelled]: stopped by Ctrl+C"]
        terminal.assert_as_before()
