"""What the commands of a conversation do and show, each by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.cli.chat.session import Host, Session
from llmspell.cli.chat.slash import COMMANDS, Slash
from llmspell.config.loader import load
from llmspell.errors import LLMSpellError, NotFoundError, ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.permissions import Permissions
from llmspell.types.messages import Message, ToolCall

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once


class Typed:
    """A session at which commands are typed. shown: what the last one showed."""

    def __init__(self, **more: Any) -> None:
        manager = ProviderManager({})
        manager.register(MockProvider(("the answer", "another")))
        config = load(script_dir=None, config_file=None, env={}, flags={})
        self.session = Session(manager, config, host=Host(Permissions(), {}), model="mock/mock", **more)
        self.shown: list[str] = []
        self.slash = Slash(self.session, lambda line: self.shown.append(line))

    def do(self, text: str) -> tuple[Message, ...]:
        self.shown.clear()
        return self.slash.do(text)

    async def ask(self, text: str) -> None:
        self.session.count(await self.session.chat.send(self.session.message(text)))


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.chdir(tmp_path)
    return Typed()


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("/nope", "there is no command `/nope`", "`/help` shows what there is"),
        ("/sytem x", "there is no command `/sytem`", "did you mean `/system`?"),
        ("/", "there is no command `/`", "`/help`"),
        ("/help me", "`/help` takes nothing, not `me`", None),
        ("/load", "`/load` needs ", None),
    ],
)
def test_what_is_no_command_is_told(at: Typed, text: str, said: str, hint: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        at.do(text)
    assert said in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_help_shows_each_command(at: Typed) -> None:
    at.do("/help")
    assert [line.split()[0] for line in at.shown[: len(COMMANDS)]] == [f"/{one.name}" for one in COMMANDS]


def test_the_model_is_shown_and_set_and_stays_where_there_is_no_such_one(at: Typed) -> None:
    at.do("/model")
    assert at.shown == ["model: mock/mock"]
    at.do("/model mock/other")
    assert at.shown == ["model: mock/other"]
    with pytest.raises(LLMSpellError):
        at.do("/model nowhere/model")
    assert at.session.label == "mock/other"


def test_the_system_prompt_is_a_text_or_a_file_or_off(at: Typed, tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("Be brief.\n")
    at.do("/system")
    assert at.shown == ["system: nothing"]
    at.do("/system\nBe kind.")
    assert (at.shown, at.session.system) == (["system: Be kind."], "Be kind.")
    at.do("/system @system.txt")
    assert at.session.system == "Be brief."
    with pytest.raises(ValidationError, match=r"cannot read `none\.txt`"):
        at.do("/system @none.txt")
    (tmp_path / "latin.txt").write_bytes(b"gr\xfc\xdfe")
    with pytest.raises(ValidationError, match=r"`latin\.txt` is no UTF-8 text"):
        at.do("/system @latin.txt")
    at.do("/system off")
    assert (at.shown, at.session.system) == (["system: nothing"], None)


def test_the_form_of_the_answers_is_set_and_taken_away(at: Typed, tmp_path: Path) -> None:
    (tmp_path / "form.json").write_text(json.dumps({"title": "Town", "type": "object"}))
    (tmp_path / "plain.json").write_text(json.dumps({"type": "string"}))
    (tmp_path / "bad.json").write_text("{")
    at.do("/schema")
    assert at.shown == ["schema: none"]
    at.do("/schema form.json")
    assert at.shown == ["schema: Town"]
    at.do("/schema plain.json")
    assert at.shown == ["schema: {'type': 'string'}"]
    with pytest.raises(ValidationError):
        at.do("/schema bad.json")
    assert at.session.schema == {"type": "string"}
    at.do("/schema off")
    assert at.shown == ["schema: none"]


def test_files_are_attached_by_paths_with_and_without_quotes(at: Typed, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "with space.txt", "quote'.txt"):
        (tmp_path / name).write_text(name)
    at.do("/attach")
    assert at.shown == ["nothing is attached"]
    at.do("/attach a.txt b.txt")
    at.do("/attach with space.txt")
    at.do("/attach 'with space.txt'")
    at.do("/attach quote'.txt")
    at.do("/attach")
    assert ["a.txt" in at.shown[0], "b.txt" in at.shown[1], "with space" in at.shown[3]] == [True] * 3
    assert len(at.shown) == 5
    with pytest.raises(NotFoundError, match="it's gone"):
        at.do("/attach it's gone")
    at.do("/attach off")
    assert at.shown == ["nothing is attached"]


async def test_a_question_is_asked_again_and_taken_back(at: Typed) -> None:
    with pytest.raises(ValidationError, match="nothing was asked yet"):
        at.do("/retry")
    with pytest.raises(ValidationError, match="there is nothing to take back"):
        at.do("/undo")
    await at.ask("first")
    await at.ask("second")
    assert at.do("/retry") == (Message("user", "second"),)
    at.do("/undo")
    assert at.shown == ["taken back; 0 questions left"]


async def test_the_history_shows_who_said_what_with_all_that_went_along(at: Typed) -> None:
    at.do("/history")
    assert at.shown == ["nothing was said yet"]
    await at.ask("\x1b[31mfirst")
    at.session.chat.messages.append(Message("assistant", "half", tool_calls=(ToolCall("1", "dice", {}),), cut="error"))
    at.do("/history")
    assert at.shown[0].startswith("user: ")
    assert "\x1b" not in at.shown[0]
    assert at.shown[1:] == ["assistant: the answer", "assistant: half [calls dice] [cut: error]"]


async def test_a_conversation_is_saved_and_gone_on_with(at: Typed, tmp_path: Path) -> None:
    at.do("/save")
    assert at.shown == ["it is not kept: `/save FILE` keeps it"]
    await at.ask("first")
    at.do("/save 'my talk.json'")
    assert at.shown == [f"kept in {tmp_path}/my talk.json"]
    at.do("/save")
    assert at.shown == [f"kept in {tmp_path}/my talk.json"]
    with pytest.raises(ValidationError, match="is more than one path"):
        at.do("/save one.json two.json")
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(ValidationError, match="is no saved conversation"):
        at.do("/save other.txt")
    at.do("/clear")
    assert (at.shown, at.session.chat.messages) == (["a new conversation"], [])
    at.do("/load my talk.json")
    assert at.shown == ["mock/mock, 1 question"]
    assert [one.text for one in at.session.chat.messages] == ["first", "the answer"]
    with pytest.raises(NotFoundError):
        at.do("/load nothing.json")


async def test_what_was_used_is_added_up(at: Typed) -> None:
    at.do("/usage")
    assert at.shown[0].startswith("0 answers")
    await at.ask("first")
    await at.ask("second")
    at.do("/usage")
    assert at.shown[0].startswith("2 answers, ")
    assert " tokens in, " in at.shown[0]


def test_the_tools_are_shown(at: Typed) -> None:
    at.do("/tools")
    assert at.shown == ["none: `--tool NAME` gives it some; `llmspell tools list` shows those there are"]
    given = Typed(tools=("calculator",))
    given.do("/tools")
    assert [line.partition(":")[0] for line in given.shown] == ["calculator"]


def test_leaving(at: Typed) -> None:
    assert not at.slash.left
    at.do("/quit")
    assert at.slash.left


def test_a_conversation_whose_model_is_gone_stays_as_it_was(at: Typed, tmp_path: Path) -> None:
    kept = {"version": 1, "model": "nowhere/m", "messages": [{"role": "user", "content": "a"}]}
    (tmp_path / "gone.json").write_text(json.dumps(kept))
    with pytest.raises(LLMSpellError):
        at.do("/load gone.json")
    assert (at.session.label, at.session.chat.messages) == ("mock/mock", [])
