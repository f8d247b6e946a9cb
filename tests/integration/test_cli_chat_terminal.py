"""What a person sees of `llmspell chat` on a terminal, with prompt_toolkit's prompt and with plain lines."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.answers import KEY, answer, asking
from support.loopback import CLOSE, STALL, Gate, Loopback, chunked, head, reply, sse
from support.terminal import Terminal
from support.tool_turns import CALLING
from support.weights import needs_engine, real_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.once

LAST = re.compile(r"7 tokens in · \d+ out( · [\d.,]+ tokens/s)? · first token [\d.]+ s · [\d.]+ s")
CHAT = ["chat", "--model", "openai/m"]
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where conversations are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "llmspell" / "state" / "chats"


@pytest.fixture(params=["xterm-256color", "dumb"], ids=["editor", "plain"])
def term(request: pytest.FixtureRequest) -> str:
    """prompt_toolkit's prompt, and plain lines."""
    return str(request.param)


def talking(server: Loopback, *words: str, term: str = "xterm-256color", **more: Any) -> Terminal:
    return Terminal([*CHAT, *words], env=asking(server), term=term, **more)


def prompts(terminal: Terminal, count: int = 1) -> None:
    """Waits for the prompt after *count* answers."""
    terminal.until(lambda: terminal.lines[-1:] == [">"] and terminal.text.count(" tokens in ") == count)


def say(terminal: Terminal, text: str, answers: int = 1) -> None:
    terminal.keys(text.encode() + b"\r")
    prompts(terminal, answers)


def leave(terminal: Terminal) -> None:
    terminal.until(lambda: terminal.lines[-1] == ">")
    terminal.keys(b"\x04")
    assert terminal.wait() == 0
    terminal.assert_as_before()


def kept(data: Path) -> dict[str, Any]:
    [path] = data.glob("*.json")
    told: dict[str, Any] = json.loads(path.read_bytes())
    return told


def contents(messages: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(one["role"], one["content"]) for one in messages]


# ---- answers


def test_a_spinner_then_the_answer_as_it_comes_and_a_last_line(data: Path) -> None:
    before, between = Gate(), Gate()
    with Loopback([[before, *answer("Hello ", between, "world")]]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until(lambda: bool(re.fullmatch(r"\S openai/m [\d.]+ s", terminal.lines[-1])))
        first = terminal.text
        terminal.until(lambda: terminal.text != first)  # it turns
        assert terminal.screen.cursor.hidden
        before.open()
        terminal.until("Hello")
        assert terminal.lines[1:] == ["> hi", "Hello"]
        between.open()
        prompts(terminal)
        assert terminal.lines[1:3] == ["> hi", "Hello world"]
        assert LAST.fullmatch(terminal.lines[3])
        leave(terminal)


def test_the_model_is_told_what_was_said_before(data: Path, term: str) -> None:
    with Loopback([answer("one"), answer("two")]) as server, talking(server, "--system", "Be brief.", term=term) as t:
        prompts(t, 0)
        say(t, "first")
        say(t, "second", 2)
        leave(t)
        assert contents(server.requests[1].json["messages"]) == [
            ("system", "Be brief."),
            ("user", "first"),
            ("assistant", "one"),
            ("user", "second"),
        ]
        assert t.lines[1:3] == ["> first", "one"]
        assert term != "dumb" or b"\x1b" not in t.raw


def test_an_answer_is_wrapped_once_at_the_width_by_words(data: Path) -> None:
    gate = Gate()
    words = [f"word{n} " for n in range(30)]
    with Loopback([answer(*words[:20], gate, *words[20:])]) as server, talking(server, size=(30, 24)) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until("word19")
        gate.open()
        terminal.until("word29")
        text = terminal.text[terminal.text.index("word0") :]
        assert text.split()[:30] == [f"word{n}" for n in range(30)]
        rows = [line for line in terminal.lines if line.startswith("word")]
        assert all(20 < len(row) < 30 for row in rows[:-1])


def test_a_message_may_have_several_lines(data: Path, term: str) -> None:
    with Loopback([answer("ok")]) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"one \\\r")
        terminal.until(lambda: terminal.lines[-1] == "…")
        say(terminal, "two")
        terminal.keys(b'"""\r')
        terminal.keys(b"three\r")
        say(terminal, 'four"""', 2)
        leave(terminal)
        said = [request.json["messages"][-1]["content"] for request in server.requests]
        assert said == ["one \ntwo", "three\nfour"]


def test_what_is_typed_while_an_answer_comes_does_not_stand_in_it(data: Path, term: str) -> None:
    gate = Gate()
    with Loopback([answer("Hello ", gate, "world"), answer("two")]) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until("Hello")
        terminal.keys(b"more\r")
        gate.open()
        prompts(terminal, 2)
        assert terminal.lines[2] == "Hello world"
        assert server.requests[1].json["messages"][-1]["content"] == "more"
        leave(terminal)


def test_model_text_does_not_steer_the_terminal(data: Path) -> None:
    with Loopback([answer("a\x1b[2Jb\x07c\x1b]0;title\x07\u202ed")]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        say(terminal, "hi")
        assert "a␛[2Jb␇c␛]0;title␇<202e>d" in terminal.lines
        assert b"\x1b]0;title" not in terminal.raw
        assert KEY.encode() not in terminal.raw


def reasoned() -> list[Any]:
    def event(delta: dict[str, Any]) -> bytes:
        told = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        return b"data: " + json.dumps(told).encode() + b"\n\n"

    thought = [event({"reasoning_content": "Let me see."}), event({"reasoning_content": " So."})]
    return [head(), *chunked([*thought, *sse(["It is."])])]


def test_reasoning_stands_apart_and_can_be_hidden(data: Path) -> None:
    with Loopback([reasoned()]) as server:
        with talking(server) as terminal:
            prompts(terminal, 0)
            say(terminal, "hi")
            assert terminal.lines[1:5] == ["> hi", "│ Let me see. So.", "", "It is."]
            assert b"\x1b[2m" in terminal.raw
        with talking(server, "--hide-reasoning") as terminal:
            prompts(terminal, 0)
            say(terminal, "hi")
            assert "Let me see" not in terminal.text


def test_a_line_for_each_tool_and_no_tool_that_was_not_named(data: Path) -> None:
    call = CALLING["openai"]([("c1", "calculator", {"input": "6 * 7"})], "I count.")[0]
    with Loopback([reply(call), answer("It is 42.")]) as server, talking(server, "--tool", "calculator") as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hm\r")
        terminal.until(lambda: " tokens in " in terminal.text)
        assert "I count." in terminal.lines
        assert any(re.match(r'calculator [\d.]+ s \{"input":"6 \* 7"\} → .*42', line) for line in terminal.lines)
        assert "It is 42." in terminal.lines
        assert [one["function"]["name"] for one in server.requests[0].json["tools"]] == ["calculator"]
    with Loopback([answer("no")]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        say(terminal, "hm")
        assert "tools" not in server.requests[0].json


def test_a_retry_is_said(data: Path) -> None:
    refused = reply(b'{"error": {"message": "slow down"}}', 429, {"retry-after-ms": "1"}, sized=True)
    with Loopback([refused, answer("yes")]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        say(terminal, "hi")
        assert any(line.startswith("again") and "slow down" in line for line in terminal.lines)
        assert "yes" in terminal.lines


# ---- Ctrl+C, SIGTERM, errors


def test_ctrl_c_stops_the_answer_keeps_what_came_and_the_conversation_goes_on(data: Path, term: str) -> None:
    plans = [answer("Hello ", "wor", then=STALL), answer("two")]
    with Loopback(plans) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until("Hello wor")
        terminal.interrupt()
        terminal.until("stopped; what came is kept")
        server.connections[0].wait_closed()
        last = kept(data)["messages"][-1]
        assert (last["content"], last["cut"]) == ("Hello wor", "cancelled")
        terminal.until(lambda: terminal.lines[-1] == ">")
        say(terminal, "go on")
        assert contents(server.requests[1].json["messages"])[1] == ("assistant", "Hello wor")
        leave(terminal)


def test_ctrl_c_before_the_first_token(data: Path) -> None:
    with Loopback([[STALL]]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        server.wait_requests(1)
        terminal.until("openai/m 0.")
        terminal.interrupt()
        terminal.until("stopped; nothing came of it")
        server.connections[0].wait_closed()
        terminal.until(lambda: terminal.lines[-1] == ">")
        leave(terminal)


def test_ctrl_c_at_the_prompt_takes_the_line_away_and_twice_leaves(data: Path, term: str) -> None:
    with Loopback([answer("one")]) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        if term != "dumb":
            terminal.keys(b"never sent")
            terminal.until("never sent")
            terminal.interrupt()
            terminal.until(lambda: terminal.lines[-1] == ">")
            assert "leaves" not in terminal.text
        terminal.interrupt()
        terminal.until(lambda: "Ctrl+C again, or Ctrl+D, leaves" in terminal.text and terminal.lines[-1] == ">")
        say(terminal, "hi")  # something else came between
        terminal.interrupt()
        terminal.until(lambda: terminal.text.count("leaves") == 2 and terminal.lines[-1] == ">")
        terminal.interrupt()
        assert terminal.wait() == 0
        terminal.assert_as_before()
        assert len(server.requests) == 1


@pytest.mark.parametrize("when", ["prompt", "answer"])
def test_sigterm_gives_the_terminal_back_and_keeps_what_came(data: Path, term: str, when: str) -> None:
    with Loopback([answer("Hello", then=STALL)]) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        if when == "answer":
            terminal.keys(b"hi\r")
            terminal.until("Hello")
        terminal.terminate()
        assert terminal.wait() == 143
        assert "error[cancelled]: stopped by SIGTERM" in terminal.lines
        terminal.assert_as_before()
        if when == "answer":
            assert kept(data)["messages"][-1]["cut"] == "cancelled"


def test_an_error_in_a_turn_does_not_end_the_conversation(data: Path) -> None:
    plans = [reply(b'{"error": {"message": "no such key"}}', 401, sized=True), answer("He", "llo", then=CLOSE)]
    with Loopback([*plans, answer("fine")]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until(lambda: "error[auth]" in terminal.text and terminal.lines[-1] == ">")
        terminal.keys(b"/retry\r")
        terminal.until(lambda: "error[stream_truncated]" in terminal.text and terminal.lines[-1] == ">")
        assert "Hello" in terminal.lines
        assert [one["content"] for one in server.requests[1].json["messages"]] == ["hi"]
        say(terminal, "again")
        assert "fine" in terminal.lines
        leave(terminal)


def test_a_limit_of_tokens_holds_for_the_whole_conversation(data: Path) -> None:
    with Loopback([answer("one")]) as server, talking(server, "--max-tokens-total", "60") as terminal:
        prompts(terminal, 0)
        say(terminal, "hi")
        terminal.keys(b"a " * 200 + b"\r")
        terminal.until(lambda: "error[limit]" in terminal.text and terminal.lines[-1] == ">")
        assert len(server.requests) == 1
        leave(terminal)


def test_a_slow_answer_has_its_time(data: Path) -> None:
    with Loopback([answer("Hel", then=STALL)]) as server, talking(server, "--timeout", "0.3") as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until(lambda: "error[timeout]" in terminal.text and terminal.lines[-1] == ">")
        assert kept(data)["messages"][-1]["cut"] == "timeout"


# ---- commands


def test_commands_change_what_is_asked(data: Path, tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    plans = [answer("one"), answer('{"n"', ": 4}"), answer("three"), answer("four")]
    with Loopback(plans) as server, talking(server, cwd=tmp_path, size=(80, 60)) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"/system Be kind.\r")
        terminal.until("system: Be kind.")
        terminal.keys(b"/model openai/other\r")
        terminal.until("model: openai/other")
        say(terminal, "hi")
        assert server.requests[0].json["model"] == "other"
        assert server.requests[0].json["messages"][0] == {"role": "system", "content": "Be kind."}
        terminal.keys(b"/undo\r")
        terminal.until("taken back; 0 questions left")
        terminal.keys(b"/schema form.json\r")
        terminal.until("schema: {")
        say(terminal, "count", 2)
        assert '{\n  "n": 4\n}' in terminal.text
        assert len(server.requests[1].json["messages"]) == 2
        terminal.keys(b"/schema off\r")
        terminal.until("schema: none")
        terminal.keys(b"/retry\r")
        prompts(terminal, 3)
        assert server.requests[2].json["messages"] == server.requests[1].json["messages"]
        assert "response_format" not in server.requests[2].json
        say(terminal, "//etc is a folder", 4)
        assert server.requests[3].json["messages"][-1]["content"] == "/etc is a folder"
        terminal.keys(b"/history\r")
        terminal.until("user: /etc is a folder")
        assert "assistant: three" in terminal.lines
        terminal.keys(b"/usage\r")
        terminal.until("4 answers, 28 tokens in, 5 tokens out")
        terminal.keys(b"/clear\r")
        terminal.until("a new conversation")
        terminal.keys(b"/tools\r")
        terminal.until(lambda: "none: `--tool NAME`" in terminal.text and terminal.lines[-1] == ">")
        terminal.keys(b"/quit\r")
        assert terminal.wait() == 0


def test_data_that_did_not_fit_is_asked_for_again_and_shown_once(data: Path, tmp_path: Path) -> None:
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (tmp_path / "form.json").write_text(json.dumps(form))
    gate = Gate()
    plans = [answer('{"n"', ': "four"}'), answer('{"n"', gate, ": 4}")]
    with Loopback(plans) as server, talking(server, "--schema", "form.json", cwd=tmp_path) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"count\r")
        terminal.until("4 characters")
        gate.open()
        prompts(terminal)
        assert terminal.lines[2].startswith("again: ")
        assert terminal.lines[3:6] == ["{", '  "n": 4', "}"]
        assert "four" not in "".join(terminal.lines[3:])
        leave(terminal)


def test_an_unknown_command_is_not_sent_and_the_nearest_is_named(data: Path, term: str) -> None:
    with Loopback([answer("one")]) as server, talking(server, term=term) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"/modle x\r")
        terminal.until(lambda: "did you mean `/model`?" in terminal.text and terminal.lines[-1] == ">")
        assert "there is no command `/modle`" in terminal.text
        leave(terminal)
        assert not server.requests


def test_files_go_along_with_the_next_message(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("buy milk\n")
    (tmp_path / "what.bin").write_bytes(b"\0\1\2\3")
    with Loopback([answer("one")]) as server:
        env = asking(server)
        with Terminal(["chat", "--model", "openai/gpt-4o-mini"], env=env, cwd=tmp_path) as terminal:
            prompts(terminal, 0)
            terminal.keys(b"/attach a b.png\r")
            terminal.until("attached a b.png (image/png, 29 B)")
            terminal.keys(b"/attach notes.txt\r")
            terminal.until("attached notes.txt (text, 9 B)")
            terminal.keys(b"/attach what.bin\r")
            terminal.until("`what.bin` is neither UTF-8 text nor")
            terminal.keys(b"/attach none.txt\r")
            terminal.until("there is no file `none.txt`")
            say(terminal, "look")
            say(terminal, "and now", 2)
    text, image = server.requests[0].json["messages"][0]["content"]
    assert text["text"] == "File `notes.txt`:\n\nbuy milk\n\nlook"
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert server.requests[1].json["messages"][-1]["content"] == "and now"


def test_what_was_attached_waits_for_the_first_message_and_can_be_taken_back(data: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    words = ["chat", "--model", "openai/gpt-4o-mini", "--attach", "a.png"]
    with Loopback([answer("one")]) as server, Terminal(words, env=asking(server), cwd=tmp_path) as terminal:
        prompts(terminal, 0)
        assert "a.png (image/png, 29 B)" in terminal.lines[0]
        terminal.keys(b"/model openai/gpt-3.5-turbo\r")
        terminal.until("model: openai/gpt-3.5-turbo")
        terminal.keys(b"look\r")
        terminal.until("error[not_supported]")
        terminal.keys(b"/attach off\r")
        terminal.until("nothing is attached")
        say(terminal, "hi")
        leave(terminal)
        assert [request.json["messages"][0]["content"] for request in server.requests] == ["hi"]


def test_a_terminal_that_is_closed_keeps_what_came(data: Path) -> None:
    with Loopback([answer("Hello", then=STALL)]) as server, talking(server) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        terminal.until("Hello")
        terminal.signal(signal.SIGHUP)
        assert terminal.wait() == 129
        assert kept(data)["messages"][-1]["cut"] == "cancelled"
        terminal.assert_as_before()


def test_a_resize_while_streaming_loses_and_doubles_nothing(data: Path) -> None:
    gates = [Gate(), Gate()]
    words = [f"word{n} " for n in range(60)]
    plan = answer(*words[:20], gates[0], *words[20:40], gates[1], *words[40:])
    with Loopback([plan]) as server, talking(server, size=(60, 24)) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"hi\r")
        for number, (columns, last) in enumerate([(100, "word19"), (40, "word39")]):
            terminal.until(last)
            fcntl.ioctl(terminal._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            terminal.screen.resize(24, max(columns, 100))  # no row that stands is cut off
            gates[number].open()
        terminal.until("first token")
        text = terminal.text[terminal.text.index("word0") :]
        assert text.split()[:60] == [f"word{n}" for n in range(60)]
        rows = [line for line in terminal.lines if line.startswith("word")]
        assert max(map(len, rows)) > 60
        assert len(rows[-1]) < 40


def test_a_conversation_is_resumed_with_its_model_and_system(data: Path) -> None:
    with Loopback([answer("one"), answer("two")]) as server:
        with talking(server, "--system", "Be brief.") as terminal:
            prompts(terminal, 0)
            say(terminal, "first")
            leave(terminal)
        [path] = data.glob("*.json")
        assert os.stat(path).st_mode & 0o777 == 0o600
        assert KEY not in path.read_text()
        with Terminal(["chat", "--resume"], env=asking(server)) as terminal:
            terminal.until("openai/m · 1 question so far")
            say(terminal, "second")
            leave(terminal)
        assert contents(server.requests[1].json["messages"]) == [
            ("system", "Be brief."),
            ("user", "first"),
            ("assistant", "one"),
            ("user", "second"),
        ]
        with Terminal(["chat"], env=asking(server)) as terminal:
            prompts(terminal, 0)
            terminal.keys(f"/load {path.stem}\r".encode())
            terminal.until("openai/m, 2 questions")
            leave(terminal)
    assert len(kept(data)["messages"]) == 4


def test_print_answers_once_on_a_terminal_and_a_prompt_alone_begins_a_conversation(data: Path) -> None:
    with Loopback([answer("one")]) as server:
        with talking(server, "-p", "hi there") as terminal:
            assert terminal.wait() == 0
            assert terminal.lines[0] == "one"
            assert LAST.fullmatch(terminal.lines[1])
            terminal.assert_as_before()
        assert not data.exists()  # one answer is kept nowhere, unless that was asked for
        with talking(server, "hi there") as terminal:
            prompts(terminal)
            assert terminal.lines[1] == "one"
            leave(terminal)
        assert {request.json["messages"][0]["content"] for request in server.requests} == {"hi there"}


def test_ctrl_c_while_it_answers_once(data: Path) -> None:
    with Loopback([answer("Hello", then=STALL)]) as server, talking(server, "-p", "hi") as terminal:
        terminal.until("Hello")
        terminal.interrupt()
        assert terminal.wait() == 130
        server.connections[0].wait_closed()
        assert terminal.lines[0].startswith("Hello")
        assert terminal.lines[-1] == "error[cancelled]: stopped"
        terminal.assert_as_before()


def test_a_person_is_asked_for_what_was_not_granted(data: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("milk")
    arguments = {"operation": "read", "path": str(tmp_path / "note.txt")}
    call = CALLING["openai"]([("c1", "file_operations", arguments)], "")[0]
    words = ("--tool", "file_operations", "--ask")
    with Loopback([reply(call), answer("It says milk.")]) as server, talking(server, *words) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"read it\r")
        terminal.until("allow it?")
        terminal.keys(b"y\r")
        terminal.until(lambda: "It says milk." in terminal.lines and terminal.lines[-1] == ">")
        assert "milk" in json.dumps(server.requests[1].json["messages"][-1])
        leave(terminal)


def test_ctrl_c_while_a_person_is_asked_stops_the_answer_and_grants_nothing(data: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("milk")
    arguments = {"operation": "read", "path": str(tmp_path / "note.txt")}
    call = CALLING["openai"]([("c1", "file_operations", arguments)], "")[0]
    words = ("--tool", "file_operations", "--ask")
    with Loopback([reply(call), answer("ok")]) as server, talking(server, *words) as terminal:
        prompts(terminal, 0)
        terminal.keys(b"read it\r")
        terminal.until("allow it?")
        terminal.interrupt()
        terminal.until(lambda: "stopped" in terminal.text and terminal.lines[-1] == ">")
        terminal.keys(b"go on\r")
        terminal.until(lambda: "ok" in terminal.lines and terminal.lines[-1] == ">")
        assert "milk" not in json.dumps(server.requests[1].json["messages"])
        leave(terminal)


@needs_engine
def test_the_embedded_model_talks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(Path(real_weights()).parents[1]))
    with Terminal(["chat", "--model", "local"]) as terminal:
        terminal.until(">")
        terminal.keys(b"Say hello.\r")
        terminal.until(lambda: "first token" in terminal.text and terminal.lines[-1] == ">", seconds=60)
        terminal.keys(b"\x04")
        assert terminal.wait() == 0
        terminal.assert_as_before()
    assert [one["role"] for one in kept(data)["messages"]] == ["user", "assistant"]
