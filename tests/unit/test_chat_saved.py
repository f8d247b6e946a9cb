"""A conversation as it is saved: what comes back, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.agents.agent import Agent
from llmspell.agents.chat import Chat
from llmspell.errors import ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall

pytestmark = pytest.mark.once


def agent(*replies: Any) -> Agent:
    manager = ProviderManager({})
    manager.register(MockProvider(replies or ("ok",)))
    return Agent("mock/mock", providers=manager)


TURNS = [
    Message(
        "user", ("Look: ", Media("image/png", b"\x89PNG", filename="a.png"), Media("image/png", url="https://e/a"))
    ),
    Message("assistant", "", (ToolCall("1", "dice", {"sides": 6}),), native={"anthropic": [1]}),
    Message("tool", "4", tool_call_id="1", is_error=True),
    Message("assistant", "Fo", cut="timeout"),
]


def test_all_of_it_comes_back_from_json() -> None:
    chat = Chat(agent(), list(TURNS))
    again = Chat.load(agent(), json.loads(json.dumps(chat.save())))
    assert again.messages == TURNS
    assert again.save() == chat.save()


def test_what_lua_has_made_of_empty_lists_and_tables_is_taken() -> None:
    told = {"role": "assistant", "content": {}, "tool_calls": [{"id": "1", "name": "a", "arguments": []}]}
    again = Chat.load(agent(), {"version": 1, "messages": [told, {"role": "user", "content": "a", "tool_calls": {}}]})
    assert again.messages == [Message("assistant", (), (ToolCall("1", "a", {}),)), Message("user", "a")]
    assert Chat.load(agent(), {"version": 1, "messages": {}}).messages == []


def turn(**more: Any) -> dict[str, Any]:
    return {"version": 1, "messages": [{"role": "user", "content": "a", **more}]}


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ([], "it is no table"),
        ({}, "its version is None"),
        ({"version": 99, "messages": []}, "its version is 99"),
        ({"version": 1, "messages": "a"}, "`messages` is no list"),
        ({"version": 1, "messages": ["a"]}, "a turn is no table"),
        (turn(role="king"), "a turn's role is 'king'"),
        (turn(role=[]), "a turn's role is []"),
        (turn(content=5), "`content` is no list"),
        (turn(content=[5]), "a part is no table"),
        (turn(content=[{"type": "text", "text": 5}]), "`text` is no string"),
        (turn(content=[{"base64": "AAAA"}]), "a part has no `mime_type`"),
        (turn(content=[{"mime_type": "image/png", "base64": "*"}]), "base64"),
        (turn(content=[{"mime_type": "image/png", "base64": "é"}]), "ASCII"),
        (turn(tool_calls="a"), "`tool_calls` is no list"),
        (turn(tool_calls=["a"]), "a call is no table"),
        (turn(tool_calls=[{"id": "1"}]), "a call has no `id`, or no `name`"),
        (turn(tool_calls=[{"id": "1", "name": "a", "arguments": [1]}]), "`arguments` is no table"),
        (turn(native=5), "`native` is no table"),
        (turn(cut=5), "`cut` is no string"),
    ],
)
def test_what_is_no_conversation_is_said(saved: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Chat.load(agent(), saved)
    assert caught.value.message.startswith("that is no saved conversation: ")
    assert said in caught.value.message


NAMES = ("role", "content", "tool_calls", "native", "cut", "type", "text", "mime_type", "base64", "id", "name", "url")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["user", "text", "tool", "AAAA", "é", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
)


@given(VALUES)
def test_any_value_is_a_conversation_or_none(told: Any) -> None:
    try:
        chat = Chat.load(agent(), {"version": 1, "messages": [told]})
    except ValidationError:
        return
    assert Chat.load(agent(), json.loads(json.dumps(chat.save()))).messages == chat.messages


async def test_it_is_shortened_to_a_summary_and_its_last_turns() -> None:
    turns = [Message(role, f"{role} {number}") for number in range(3) for role in ("user", "assistant")]
    chat = Chat(agent("in short"), list(turns))
    assert await chat.compact(keep=2)
    assert "in short" in chat.messages[0].text
    assert chat.messages[2:] == turns[4:]
    assert not await chat.compact(keep=2)
    with pytest.raises(ValidationError, match="`keep` must be at least 0"):
        await chat.compact(keep=-1)
    empty = Chat(agent(" "), list(turns))
    with pytest.raises(ValidationError, match="the model gave no summary"):
        await empty.compact(keep=2)
    assert empty.messages == turns


async def test_while_an_answer_comes_there_is_no_other() -> None:
    chat = Chat(agent("one", "two"))
    async with chat.stream("a") as stream:
        with pytest.raises(ValidationError, match="the conversation waits for an answer"):
            chat.stream("b")
        with pytest.raises(ValidationError, match="the conversation waits for an answer"):
            await chat.compact()
        await stream.collect()
    assert [one.text for one in chat.messages] == ["a", "one"]
    async with chat.stream("c"):
        pass  # left before anything came
    assert [one.text for one in chat.messages] == ["a", "one"]
    chat.reset()
    assert chat.messages == []
