"""`llmspell chat` in pipes and for programs: one answer, its forms, its file, its exit codes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.cli.chat.slash import COMMANDS
from support.answers import KEY, answer, asking
from support.loopback import CLOSE, STALL, Gate, Loopback, reply
from support.terminal import COMMAND, Done, llmspell, start
from support.tool_turns import CALLING

if TYPE_CHECKING:
    from support.loopback import Request

pytestmark = pytest.mark.once

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0"
REFUSED = reply(b'{"error": {"message": "no such key"}}', 401, sized=True)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where conversations are kept."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "llmspell" / "state" / "chats"


def chat(server: Loopback, *words: str, stdin: bytes = b"", model: str = "openai/m", **more: Any) -> Done:
    done = llmspell("chat", "--model", model, *words, stdin=stdin, env=asking(server), **more)
    assert KEY.encode() not in done.out + done.err
    return done


def asked(server: Loopback, number: int = 0) -> list[tuple[str, Any]]:
    return [(one["role"], one["content"]) for one in server.requests[number].json["messages"]]


# ---- text


def test_a_question_in_a_pipe_is_answered_once_and_nothing_is_kept(data: Path) -> None:
    with Loopback([answer("Hello ", "wor", "ld")]) as server:
        done = chat(server, stdin=b"  hi there\n")
        assert done == (0, b"Hello world\n", b"")
        assert asked(server) == [("user", "hi there")]
    assert not data.exists()


def test_words_and_what_standard_input_has_are_one_question() -> None:
    with Loopback([answer("ok")]) as server:
        assert chat(server, "What", "is this?", stdin=b"a\nb\n").out == b"ok\n"
        assert chat(server, "--", "--no", stdin=b"").out == b"ok\n"
        assert [asked(server, n)[0][1] for n in (0, 1)] == ["What is this?\n\na\nb", "--no"]


def test_the_answer_comes_as_it_is_and_as_it_comes() -> None:
    gate = Gate()
    with Loopback([answer("a\x1b[2J\u202e", gate, "b")]) as server:
        process = start("chat", "--model", "openai/m", "hi", env=asking(server))
        assert process.stdout is not None
        first = "a\x1b[2J\u202e".encode()
        assert os.read(process.stdout.fileno(), 100) == first  # before the end is sent
        gate.open()
        out, err = process.communicate(timeout=15)
        assert (process.returncode, out, err) == (0, b"b\n", b"")


def test_a_closed_pipe_ends_quietly() -> None:
    gate = Gate()
    with Loopback([answer("a" * 10, gate, *(["b" * 10_000] * 20))]) as server:
        process = start("chat", "--model", "openai/m", "hi", env=asking(server))
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10) == b"a" * 10
        process.stdout.close()
        gate.open()
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(15) == 141


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_closes_the_connection(number: int, code: int) -> None:
    with Loopback([answer("Hello", then=STALL)]) as server:
        process = start("chat", "--model", "openai/m", "hi", env=asking(server))
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"Hello"
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
        server.connections[0].wait_closed()
        assert (process.returncode, out, err) == (code, b"\n", b"error[cancelled]: stopped\n")


FAILURES = [
    (answer("Hel", then=CLOSE), (), 4, "stream_truncated"),
    (REFUSED, (), 4, "auth"),
    (answer("Hello"), ("--max-tokens-total", "5"), 5, "limit"),
    (answer("Hello"), ("--resume", "--session", "f.json"), 2, "validation"),
    (answer("Hello"), ("--max-cost", "0.01"), 5, "limit"),
    (answer("Hello"), ("--tool", "calculater"), 1, "not_found"),
    (answer("Hello"), ("--schema", "none.json"), 1, "validation"),
    (answer("Hello"), ("--attach", "none.txt"), 1, "not_found"),
    (answer("Hello"), ("--model", "nobody/m"), 3, "config"),
    (answer("Hello"), ("--resume",), 1, "not_found"),
]


@pytest.mark.parametrize(("plan", "words", "code", "kind"), FAILURES)
def test_an_error_ends_it_with_the_exit_code_of_its_kind(
    plan: Any, words: tuple[str, ...], code: int, kind: str, tmp_path: Path
) -> None:
    with Loopback([plan]) as server:
        done = chat(server, *words, stdin=b"hi", cwd=tmp_path)
    assert done.code == code
    assert done.err.startswith(f"error[{kind}]: ".encode())
    assert done.out == (b"Hel\n" if kind == "stream_truncated" else b"")


@pytest.mark.parametrize(("plan", "words", "code", "kind"), FAILURES[:4])
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_a_program_reads_of_an_error_what_it_is(
    plan: Any, words: tuple[str, ...], code: int, kind: str, form: str, tmp_path: Path
) -> None:
    with Loopback([plan]) as server:
        done = chat(server, "--output", form, *words, stdin=b"hi", cwd=tmp_path)
    assert done.code == code
    told = json.loads(done.err if form == "json" else done.out.splitlines()[-1])["error"]
    assert (told["kind"], told.get("partial") or "") == (kind, "Hel" if kind == "stream_truncated" else "")
    assert (done.out if form == "json" else done.err) == b""


def test_without_a_question_it_is_a_mistake_of_usage() -> None:
    done = llmspell("chat", stdin=b" \n")
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith(b"error[validation]: there is no question\nhint: ")


def test_an_option_without_its_value_is_told() -> None:
    done = llmspell("chat", "hi", "--system")
    assert (done.code, done.err.splitlines()[0]) == (2, b"error[validation]: `--system` needs a value")


# ---- for programs


def test_json_is_one_object() -> None:
    with Loopback([answer("Hello ", "world")]) as server:
        done = chat(server, "--output", "json", "hi")
    told = json.loads(done.out)
    assert (done.code, done.err, done.out.count(b"\n")) == (0, b"", 1)
    assert told.pop("seconds") > 0
    assert told == {
        "result": "Hello world",
        "output": "",
        "model": "openai/m",
        "finish_reason": "stop",
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
        "calls": 1,
        "exit_code": 0,
    }


def test_jsonl_is_an_event_a_line_tools_among_them() -> None:
    call = CALLING["openai"]([("c1", "calculator", {"input": "6 * 7"})], "")[0]
    with Loopback([reply(call), answer("42")]) as server:
        done = chat(server, "--output", "jsonl", "--tool", "calculator", "hi")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert events[0] == {"event": "start", "version": 1, "command": "chat", "model": "openai/m"}
    assert [one["state"] for one in events if one["event"] == "tool"] == ["start", "end"]
    texts = [one["chunk"]["content"] for one in events if one["event"] == "chunk"]
    assert "".join(one["text"] for one in texts if one["type"] == "text") == "42"
    assert (events[-1]["event"], events[-1]["result"], events[-1]["calls"]) == ("result", "42", 2)


# ---- schema, system, attachments, tools


def test_answers_of_a_form_are_data_and_checked(tmp_path: Path) -> None:
    form = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    (tmp_path / "form.json").write_text(json.dumps(form))
    words = ("--schema", "form.json", "count")
    with Loopback([answer('{"n"', ": 4}")]) as server:
        assert chat(server, *words, cwd=tmp_path) == (0, b'{\n  "n": 4\n}\n', b"")
        assert json.loads(chat(server, *words, "--output", "json", cwd=tmp_path).out)["result"] == {"n": 4}
    with Loopback([answer('{"n": "four"}')]) as server:
        done = chat(server, *words, cwd=tmp_path)
        assert (done.code, done.out, len(server.requests)) == (4, b"", 2)
        assert b"does not have the form" in done.err
    (tmp_path / "form.json").write_text('{"type": ')
    with Loopback([answer("")]) as server:
        done = chat(server, *words, cwd=tmp_path)
        assert (done.code, len(server.requests)) == (1, 0)
        assert b"`form.json` is no JSON" in done.err


def test_a_system_prompt_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("Be brief.\n")
    with Loopback([answer("ok")]) as server:
        chat(server, "--system", "@s.txt", "hi", cwd=tmp_path)
        assert asked(server)[0] == ("system", "Be brief.")
        assert chat(server, "--system", "@none", "hi", cwd=tmp_path).code == 1


def test_files_go_along_as_what_their_bytes_are(tmp_path: Path) -> None:
    (tmp_path / "picture.txt").write_bytes(PNG)
    (tmp_path / "notes").write_text("buy milk")
    words = ("--attach", "picture.txt", "--attach", "notes", "look")
    with Loopback([answer("ok")]) as server:
        assert chat(server, *words, model="openai/gpt-4o-mini", cwd=tmp_path).code == 0
        text, image = asked(server)[0][1]
        assert text["text"] == "File `notes`:\n\nbuy milk\n\nlook"
        assert image["type"] == "image_url"


def test_a_medium_that_the_model_does_not_take_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with Loopback([answer("ok")]) as server:
        done = chat(server, "--attach", "a.png", "look", model="openai/gpt-3.5-turbo", cwd=tmp_path)
        assert (done.code, len(server.requests)) == (1, 0)
        assert b"error[not_supported]: `openai/gpt-3.5-turbo` takes text, and `a.png` is image/png" in done.err


@pytest.mark.parametrize(("grant", "reads"), [((), False), (("--allow-read=.",), True)])
def test_a_tool_gets_what_was_granted_and_no_more(grant: tuple[str, ...], reads: bool, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the word is milk")
    arguments = {"operation": "read", "path": "note.txt"}
    call = CALLING["openai"]([("c1", "file_operations", arguments)], "")[0]
    with Loopback([reply(call), answer("done")]) as server:
        assert chat(server, "--tool", "file_operations", *grant, "read", cwd=tmp_path).code == 0
        told = json.dumps(server.requests[1].json["messages"][-1])
    assert ("the word is milk" in told) is reads
    assert ("may not read" in told) is not reads


# ---- kept


def test_a_session_file_is_gone_on_with(tmp_path: Path, data: Path) -> None:
    with Loopback([answer("one"), answer("two")]) as server:
        assert chat(server, "--session", "s.json", "--system", "Be brief.", "first", cwd=tmp_path).code == 0
        assert os.stat(tmp_path / "s.json").st_mode & 0o777 == 0o600
        assert llmspell("chat", "--session", "s.json", "second", env=asking(server), cwd=tmp_path).out == b"two\n"
        roles = [("system", "Be brief."), ("user", "first"), ("assistant", "one"), ("user", "second")]
        assert asked(server, 1) == roles
    told = json.loads((tmp_path / "s.json").read_text())
    assert (told["calls"], told["usage"]["input_tokens"], told["model"]) == (2, 14, "openai/m")
    assert not data.exists()
    assert os.listdir(tmp_path) == ["s.json"]  # and nothing beside it


def test_what_came_of_an_answer_that_broke_off_is_kept_and_marked(tmp_path: Path) -> None:
    with Loopback([answer("Hel", then=CLOSE), answer("fine")]) as server:
        assert chat(server, "--session", "s.json", "hi", cwd=tmp_path).code == 4
        last = json.loads((tmp_path / "s.json").read_text())["messages"][-1]
        assert (last["role"], last["content"], last["cut"]) == ("assistant", "Hel", "stream_truncated")
        assert chat(server, "--session", "s.json", "go on", cwd=tmp_path).code == 0


@pytest.mark.parametrize("text", ["precious", '{"a": 1}', "[]", '{"version": 9, "messages": []}'])
def test_a_file_that_is_no_conversation_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text)
    with Loopback([answer("one")]) as server:
        done = chat(server, "--session", "s.json", "hi", cwd=tmp_path)
        assert (done.code, len(server.requests)) == (1, 0)
    assert (tmp_path / "s.json").read_text() == text


def test_a_file_grants_nothing(tmp_path: Path) -> None:
    """Tools and permissions are of the command line alone, whatever a conversation's file says."""
    told = {
        "llmspell": "chat",
        "version": 1,
        "model": "openai/m",
        "tools": ["process_executor"],
        "permissions": {"run": ["*"]},
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
    }
    (tmp_path / "s.json").write_text(json.dumps(told))
    with Loopback([answer("one")]) as server:
        assert chat(server, "--session", "s.json", "go on", cwd=tmp_path).code == 0
        assert "tools" not in server.requests[0].json


def test_the_list_shows_what_is_kept_the_last_first(data: Path) -> None:
    assert llmspell("chat", "--list").out == b"no conversation is kept yet\n"
    data.mkdir(parents=True)
    for moment, name in enumerate(("old", "new")):
        messages = [{"role": "user", "content": f"a {name}\x1b[2J question"}]
        told = {"llmspell": "chat", "version": 1, "model": "openai/m", "title": messages[0]["content"]}
        (data / f"{name}.json").write_text(json.dumps({**told, "messages": messages}))
        os.utime(data / f"{name}.json", (moment, moment))
    (data / "broken.json").write_text("{")
    done = llmspell("chat", "--list")
    head, *rows = done.out.decode().splitlines()
    assert head.split() == ["NAME", "UPDATED", "QUESTIONS", "MODEL", "BEGINS"]
    assert [row.split()[0] for row in rows] == ["new", "old"]
    assert b"\x1b" not in done.out
    told = json.loads(llmspell("chat", "--list", "--output", "json").out)
    assert [one["name"] for one in told["conversations"]] == ["new", "old"]
    with Loopback([answer("one")]) as server:
        done = llmspell("chat", "-p", "more", "--resume", env=asking(server))  # the last one, which is no older one
        assert (done.code, b"is no saved conversation" in done.err) == (1, True)
        (data / "broken.json").unlink()
        assert llmspell("chat", "-p", "more", "--resume", env=asking(server)).code == 0
        assert asked(server)[0][1] == "a new\x1b[2J question"
        assert llmspell("chat", "-p", "more", "--resume", "old", env=asking(server)).code == 0
        assert asked(server, 1)[0][1] == "a old\x1b[2J question"
        assert llmspell("chat", "-p", "more", "--resume", "../old", env=asking(server)).code == 1


# ---- the document

DOCUMENT = (Path(__file__).parents[2] / "docs" / "chat.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_each_command_of_the_document_does_what_it_says(tmp_path: Path) -> None:
    form = {"type": "object", "properties": {"title": {"type": "string"}}}
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "notes.txt").write_text("Moby-Dick")
    (tmp_path / "invoice.json").write_text(json.dumps(form))
    command = tmp_path / "bin" / "llmspell"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    command.chmod(0o755)

    def plan(request: Request) -> list[Any]:
        return answer('{"title": ', '"Moby-Dick"}') if "response_format" in request.json else answer("It is ", "wide.")

    with Loopback([plan]) as server:
        env = {**asking(server), "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}
        for line in LINES:
            done = subprocess.run(
                ["sh", "-ec", line], capture_output=True, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, timeout=30
            )
            assert (done.returncode, done.stderr) == (0, b""), line
            assert done.stdout or ">" in line, line
        last = server.requests[-1].json["messages"]
    assert json.loads((tmp_path / "book.json").read_text()) == {"title": "Moby-Dick"}
    assert [one["content"] for one in last] == ["I go to Lisbon.", "It is wide.", "What should I see?"]


def test_the_document_names_each_command_of_the_conversation() -> None:
    for one in COMMANDS:
        assert f"`/{one.name}" in DOCUMENT
