"""What a script may say to an agent, in each form, and what is said of what it may not."""

from __future__ import annotations

import pytest

from llmspell import ScriptRuntime
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.types.messages import Message, ToolCall


def said(given: str) -> list[Message]:
    """The messages that an agent was asked with *given*, Lua."""
    mock = MockProvider(("ok",))
    manager = ProviderManager({})
    manager.register(mock)
    ScriptRuntime(timeout=20, providers=manager).run(f"Agent.create{{ model = 'mock/mock' }}:execute({given})")
    return list(mock.calls[0].messages)


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ("'a'", [Message("user", "a")]),
        ("{ text = 'a' }", [Message("user", "a")]),
        ("{ messages = { { role = 'user', content = { 'a', { type = 'text', text = 'b' } } } } }", [
            Message("user", "ab")
        ]),
    ],
)  # fmt: skip
def test_each_form(given: str, messages: list[Message]) -> None:
    assert said(given) == messages


def test_turns_of_a_conversation_come_before_what_is_said() -> None:
    heard = said(
        """{ text = "b", messages = {
          { role = "user", content = "a" },
          { role = "assistant", content = {}, tool_calls = { { id = "1", name = "f", arguments = {} } } },
          { role = "tool", content = "x", tool_call_id = "1" } } }"""
    )
    assert heard == [
        Message("user", "a"),
        Message("assistant", "", (ToolCall("1", "f", {}),)),
        Message("tool", "x", tool_call_id="1"),
        Message("user", "b"),
    ]


def test_a_context_is_told_as_json() -> None:
    heard = said("{ text = 'a', context = { b = 1, a = { true } } }")
    assert 'Context, as JSON:\n{"a":[true],"b":1}' in "".join(one.text for one in heard)
    assert heard[-1].text.endswith("a")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{}", "needs something to say"),
        ("{ text = 'a', context = { b = '\\xff' } }", "`context` has what is no text"),
        ("{ messages = { { content = 'a' } } }", "`messages[1].role` is missing"),
        ("{ messages = { { role = 'user' } } }", "`messages[1].content` is missing"),
        ("{ messages = { { role = 'user', content = '\\xff' } } }", "`messages[1].content` is not UTF-8"),
        ("{ messages = { { role = 'user', content = { a = 1 } } } }", "`messages[1].content` must be a string or"),
        ("{ messages = { { role = 'assistant', tool_calls = { { id = '1' } } } } }", "tool_calls[1].name` is missing"),
        ("{ messages = { { role = 'assistant', tool_calls = { { name = 'a' } } } } }", "tool_calls[1].id` is missing"),
    ],
)
def test_what_may_not_be_said(given: str, words: str) -> None:
    script = f"local _, e = pcall(function() Agent.create{{ model = 'mock' }}:execute({given}) end) return e.message"
    assert words in ScriptRuntime(timeout=20).run(script).result
