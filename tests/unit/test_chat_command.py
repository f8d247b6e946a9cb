"""Parts of `llmspell chat`: messages of several lines, files that go along, conversations on disk, what is shown."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING, Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.agents.agent import Agent
from llmspell.agents.chat import Chat
from llmspell.agents.meter import Meter
from llmspell.cli.chat import attach, lines, slash, store
from llmspell.cli.chat.session import Host, Session
from llmspell.cli.render import chat_view
from llmspell.cli.render.chat_view import ChatView
from llmspell.config.loader import load
from llmspell.errors import LimitError, LLMSpellError, NotFoundError, NotSupportedError, ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.permissions import Permissions
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.messages import Message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LINES = st.lists(st.text(alphabet='ab "\\ ', max_size=8), min_size=1, max_size=5)

WORDS = st.sampled_from(["version", "messages", "llmspell", "role"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
)


# ---- what is typed


def typed(rows: Sequence[str]) -> list[str]:
    """The messages that the rows come to, as they are typed one after another."""
    messages, so_far = [], []
    for row in rows:
        so_far.append(row)
        block = so_far[0].lstrip().startswith('"""')
        if not (lines.goes_on("\n".join(so_far)) if block else row.endswith("\\")):
            messages.append(lines.joined(so_far))
            so_far = []
    return messages


def test_a_backslash_goes_on_and_a_block_keeps_all() -> None:
    assert typed(["a \\", "b", "c"]) == ["a \nb", "c"]
    assert typed(['"""', "a\\", "", "b", '"""', "c"]) == ["a\\\n\nb", "c"]
    assert typed(['"""one line"""', '""" a', 'b"""']) == ["one line", " a\nb"]


@given(LINES)
def test_any_line_is_a_message_alone_but_for_its_marks(rows: list[str]) -> None:
    plain = [row for row in rows if not row.endswith("\\") and not row.lstrip().startswith('"""')]
    assert typed(plain) == plain
    assert typed(['"""', *(row.replace('"', "'") for row in rows), '"""']) == [
        "\n".join(row.replace('"', "'") for row in rows).strip("\n")
    ]


@given(st.text(max_size=20))
def test_a_message_may_begin_with_anything(text: str) -> None:
    assert not slash.is_command(f"//{text}")
    assert slash.said(f"//{text}") == f"/{text}"
    assert slash.is_command(f"/{text}") is not text.startswith("/")


# ---- files that go along


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        (b"%PDF-1.7\n", "file"),
        (b"\0\0\0\x18ftypmp42", "video"),
        ("grüße".encode(), "text"),
        (b"\xef\xbb\xbfwith a mark", "text"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "text"),
    ],
)
def test_a_file_is_what_its_bytes_are(data: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "any.name").write_bytes(data)
    attached = attach.read(str(tmp_path / "any.name"))
    assert attached.kind == kind
    assert isinstance(attached.part, str) is (kind == "text")
    mock = MockProvider()
    takes = mock.capabilities("mock").input_modalities
    if kind == "text" or kind in takes:
        attach.check(attached, mock, "mock")
    else:
        with pytest.raises(NotSupportedError, match="takes text"):
            attach.check(attached, mock, "mock")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("none", NotFoundError, "there is no file"),
        ("folder", ValidationError, "is a folder"),
        ("pipe", ValidationError, "not a plain file"),
        ("empty", ValidationError, "is empty"),
        ("binary", NotSupportedError, "neither UTF-8 text"),
        ("latin", NotSupportedError, "neither UTF-8 text"),
        ("long", LimitError, "at most"),
        ("nul\0", ValidationError, "cannot read"),
    ],
)
def test_what_cannot_go_along_is_told(
    name: str, error: type[LLMSpellError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "LARGEST_TEXT", 100)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for other, data in (("empty", b""), ("binary", b"\0\1"), ("latin", b"gr\xfc\xdfe"), ("long", b"a" * 101)):
        (tmp_path / other).write_bytes(data)
    with pytest.raises(error, match=words):
        attach.read(f"{tmp_path}/{name}")


# ---- kept


def test_two_that_write_to_one_file_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "s.json")
    first = store.Kept(path)
    assert first.write({"messages": [1]})
    second = store.Kept(path)
    assert second.write({"messages": [2]})
    assert not first.write({"messages": [3]})
    assert first.path != path
    assert first.write({"messages": [4]})  # from now on its own
    assert store.read(path)["messages"] == [2]
    assert store.read(str(first.path))["messages"] == [4]
    assert len(os.listdir(tmp_path)) == 2


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = store.Kept(str(tmp_path / "s.json"))
    kept.write({"messages": [1]})

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValidationError, match="no space left"):
        kept.write({"messages": [2]})
    assert store.read(str(tmp_path / "s.json"))["messages"] == [1]
    assert os.listdir(tmp_path) == ["s.json"]


@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_what_is_no_conversation_is_refused_in_words(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s.json")
        with open(path, "wb") as file:
            file.write(data)
        session = sessions()
        try:
            session.load(path)
        except LLMSpellError:
            assert session.chat.messages == []
            assert session.kept is None


# ---- a session


def sessions(*replies: Any, **more: Any) -> Session:
    manager = ProviderManager({})
    manager.register(MockProvider(replies or ("ok",)))
    config = load(script_dir=None, config_file=None, env={}, flags={})
    return Session(manager, config, host=Host(Permissions(), {}), model="mock/mock", **more)


async def test_retry_and_undo_take_back_what_was_said() -> None:
    session = sessions("one", "two", "three")
    await session.chat.send(session.message("first"))
    await session.chat.send(session.message("second"))
    assert session.again() == (Message("user", "second"),)
    assert [one.text for one in session.chat.messages] == ["first", "one"]
    assert session.undo()
    assert not session.undo()
    assert session.again() == ()


async def test_what_was_used_is_added_up_and_comes_back(tmp_path: Path) -> None:
    session = sessions("one", "two three")
    for text in ("first", "second"):
        session.count(await session.chat.send(session.message(text)))
    session.count(AgentOutput(""))  # stopped before it had begun
    assert (session.calls, session.unpriced_calls) == (2, 2)
    assert session.totals()["output_tokens"] == 3
    session.write_to(str(tmp_path / "s.json"))
    other = sessions()
    other.load(str(tmp_path / "s.json"))
    assert (other.calls, other.totals()) == (session.calls, session.totals())


def test_a_change_that_cannot_be_changes_nothing(tmp_path: Path) -> None:
    session = sessions(system="Be brief.")
    agent = session.agent
    for change in ({"model": "nobody/m"}, {"schema": {"type": "nonsense"}}):
        with pytest.raises(LLMSpellError):
            session.use(**change)
        assert (session.agent, session.label, session.schema) == (agent, "mock/mock", None)
    (tmp_path / "s.json").write_text('{"version": 1, "messages": [], "model": "nobody/m"}')
    with pytest.raises(LLMSpellError, match="the conversation's model cannot be used"):
        session.load(str(tmp_path / "s.json"))
    assert (session.agent, session.system) == (agent, "Be brief.")


async def test_media_are_kept_and_come_back(tmp_path: Path) -> None:
    session = sessions("one")
    picture = Media("image/png", b"\x89PNG\r\n\x1a\n", filename="a.png")
    await session.chat.send((Message("user", ("look", picture)),))
    session.write_to(str(tmp_path / "s.json"))
    other = sessions()
    other.load(str(tmp_path / "s.json"))
    assert other.chat.messages == session.chat.messages
    assert other.label == "mock/mock"


async def test_a_limit_that_shortens_the_request_loses_nothing_of_the_answer() -> None:
    """The stream under a meter is made anew then; what it gathers is the conversation's all the same."""
    manager = ProviderManager({})
    manager.register(MockProvider(["one two three"]))
    chat = Chat(Agent("mock/mock", providers=manager, meter=Meter(max_tokens_total=200)))
    output = await chat.send("hi")
    assert (output.text, output.finish_reason) == ("one two three", "stop")
    assert output.usage.output_tokens == 3


# ---- the view


class Screen(io.TextIOWrapper):
    """A terminal's end of the line."""

    def isatty(self) -> bool:
        return True


class Desk:
    """A view on a terminal of 30 columns, whose clock is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, term: str = "xterm", **more: Any) -> None:
        monkeypatch.setenv("TERM", term)
        monkeypatch.setenv("COLUMNS", "30")
        monkeypatch.setenv("LINES", "20")
        self.now = 0.0
        self.bytes = io.BytesIO()
        wire = Screen(self.bytes, encoding="utf-8", write_through=True)
        self.view = ChatView(wire, wire, clock=lambda: self.now, **more)

    @property
    def rows(self) -> list[str]:
        screen = pyte.Screen(30, 20)
        pyte.ByteStream(screen).feed(self.bytes.getvalue().replace(b"\n", b"\r\n"))
        rows = [row.rstrip() for row in screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows


def test_the_spinner_shows_the_seconds_and_goes_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.view.waits("openai/m")
    assert desk.rows == ["⠋ openai/m 0.0 s"]
    desk.now = 1.25
    desk.view.tick()
    assert desk.rows == ["⠹ openai/m 1.2 s"]
    desk.view.waits("a model with a very long name\x1b[2J")
    assert desk.rows == ["⠹ a model with a very … 0.0 s"]
    desk.view.text("Hi")
    assert desk.rows == ["Hi"]
    assert desk.bytes.getvalue().endswith(b"\x1b[?25hHi")


def test_lines_beside_an_answer_begin_lines_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, no_color=True)
    desk.view.reasoning("let me see")
    desk.view.text("I count")
    desk.view.line('calculator 0.01 s {"input": "1 + 1"} → 2')
    desk.view.text("It is 2.")
    desk.view.end()
    desk.view.note("7 tokens in · 2 out · first token 0.10 s · 0.20 s")
    assert desk.rows == [
        "│ let me see",
        "",
        "I count",
        'calculator 0.01 s {"input": …',
        "It is 2.",
        "7 tokens in · 2 out · first",
        "token 0.10 s · 0.20 s",
    ]
    assert b"\x1b[2m" not in desk.bytes.getvalue()


def test_a_dumb_terminal_gets_no_sequence_and_each_word_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, term="dumb")
    desk.view.waits("openai/m")
    desk.view.text("Hello wor")
    assert desk.rows == ["Hello"]
    desk.now = chat_view.SETTLES
    desk.view.tick()
    assert desk.rows == ["Hello wor"]
    desk.view.end()
    assert b"\x1b" not in desk.bytes.getvalue()


def test_a_pipe_gets_the_bytes_of_the_answer_alone() -> None:
    out, aside = io.BytesIO(), io.BytesIO()
    view = ChatView(io.TextIOWrapper(out), io.TextIOWrapper(aside))
    view.waits("openai/m")
    view.reasoning("hm")
    view.text("a\x1b[2J ü")
    view.line("a tool")
    view.end()
    view.text("more\n")
    view.end()
    view.note("7 tokens in")
    assert (out.getvalue().decode(), aside.getvalue()) == ("a\x1b[2J ü\nmore\n", b"")


@given(st.text(alphabet="ab漢🙂é ", max_size=60), st.integers(4, 40))
def test_what_is_cut_fits(text: str, width: int) -> None:
    from llmspell.cli.render.terminal import cell_width

    assert cell_width(chat_view.cut(text, width)) <= width


def test_plain_lines_are_typed_where_the_extra_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(lines.reader(lambda text: None, lambda: (), ()), lines.Plain)
