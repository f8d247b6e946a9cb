"""Conversations: from scripts and from Python, with tools, media, and answers that were cut off."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.agents.agent import Agent
from llmspell.agents.chat import Chat
from llmspell.errors import LLMSpellError, NetworkError, ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.types.media import Media
from llmspell.types.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

PNG = b"\x89PNG\r\n\x1a\n-picture"


class Add(Tool):
    name = "add"
    parameters: Mapping[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult(arguments["a"] + arguments["b"])


def agent(mock: MockProvider, **more: Any) -> Agent:
    manager = ProviderManager({}, env={})
    manager.register(mock)
    return Agent("mock", providers=manager, **more)


CALL = {"text": "Let me see.", "tool_calls": [{"name": "add", "arguments": {"a": 1, "b": 2}}]}


def shown(chat: Chat) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in chat.messages]


async def test_what_was_said_is_told_again() -> None:
    mock = MockProvider(["one", "two", "three"])
    chat = Chat(agent(mock, system_prompt="Be brief."))
    assert (await chat.send("first")).text == "one"
    async with chat.stream("second") as stream:
        assert (await stream.collect()).text == "two"
    assert shown(chat) == [("user", "first"), ("assistant", "one"), ("user", "second"), ("assistant", "two")]
    assert [message.text for message in mock.calls[1].messages] == ["Be brief.", "first", "one", "second"]
    chat.reset()
    await chat.send("third")
    assert [message.text for message in mock.calls[2].messages] == ["Be brief.", "third"]


async def test_turns_with_tools_and_media_stay() -> None:
    mock = MockProvider([CALL, "3", "yes"])
    chat = Chat(agent(mock, tools=[Add()]))
    output = await chat.send(Message("user", ("what is in it, and 1 + 2?", Media("image/png", PNG))))
    assert output.text == "3"
    assert [message.role for message in chat.messages] == ["user", "assistant", "tool", "assistant"]
    await chat.send("sure?")
    told = mock.calls[2].messages
    assert told[0].media[0].data == PNG
    assert (told[1].tool_calls[0].name, told[2].text) == ("add", "3")
    assert told[1].tool_calls[0].id == told[2].tool_call_id


async def test_saved_and_back_it_is_the_same() -> None:
    mock = MockProvider([CALL, "3", "yes"])
    one = agent(mock, tools=[Add()])
    chat = Chat(one)
    await chat.send(Message("user", ("1 + 2?", Media("image/png", PNG, filename="a.png"))))
    saved = json.loads(json.dumps(chat.save()))
    back = Chat.load(one, saved)
    assert back.save() == saved == chat.save()
    assert back.messages[0] == chat.messages[0]
    assert (await back.send("sure?")).text == "yes"


IMAGE = {"type": "image", "mime_type": "image/png", "base64": "%"}
NONE: list[dict[str, Any]] = [
    {},
    {"version": 2, "messages": []},
    {"version": 1, "messages": [1]},
    {"version": 1, "messages": [{"role": "x"}]},
    {"version": 1, "messages": [{"role": "user", "content": 5}]},
    {"version": 1, "messages": [{"role": "user", "content": [IMAGE]}]},
    {"version": 1, "messages": "hi"},
    {"version": 1, "messages": [{"role": ["user"], "content": "x"}]},
    {"version": 1, "messages": [{"role": "user", "content": [5]}]},
    {"version": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": {}}]}]},
    {"version": 1, "messages": [{"role": "user", "content": [{**IMAGE, "mime_type": {}, "base64": "aGk="}]}]},
    {"version": 1, "messages": [{"role": "user", "content": [{**IMAGE, "base64": 5}]}]},
    {"version": 1, "messages": [{"role": "user", "content": "x", "cut": 5}]},
    {"version": 1, "messages": [{"role": "tool", "content": "x", "tool_call_id": 5}]},
    {"version": 1, "messages": [{"role": "assistant", "content": "x", "native": [5]}]},
    {"version": 1, "messages": [{"role": "assistant", "content": "", "tool_calls": [5]}]},
    {"version": 1, "messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": 5, "name": "x"}]}]},
    {
        "version": 1,
        "messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "5", "name": "x", "arguments": 5}]}],
    },
]


@pytest.mark.parametrize("saved", NONE)
def test_what_is_no_saved_conversation_is_refused(saved: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="no saved conversation") as caught:
        Chat.load(agent(MockProvider()), saved)
    assert "object" not in caught.value.message  # Python's own words


class Slow(MockProvider):
    """Says two words, and then waits for ever."""

    def __init__(self) -> None:
        super().__init__([{"text": "so far so good", "delay": 0.0}])
        self.said = asyncio.Event()

    def stream(self, call: Any) -> Any:
        stream = super().stream(call)
        inner = stream._batches

        async def held() -> Any:
            count = 0
            async for batch in inner:
                yield batch
                count += 1
                if count == 3:
                    self.said.set()
                    await asyncio.Event().wait()

        stream._batches = held()
        return stream


@pytest.mark.parametrize("how", ["cancel", "close", "drop"])
async def test_a_cancelled_answer_keeps_what_came_marked(how: str) -> None:
    slow = Slow()
    chat = Chat(agent(slow))
    if how == "cancel":
        task = asyncio.ensure_future(chat.send("hi"))
        await slow.said.wait()
        task.cancel()
        await asyncio.wait([task])
    else:
        stream = chat.stream("hi")
        for _ in range(3):
            await stream.next_batch()
        if how == "close":
            await stream.aclose()
        del stream
    assert [message.role for message in chat.messages] == ["user", "assistant"]
    last = chat.messages[-1]
    assert last.cut == "cancelled"
    assert last.text
    assert "so far so good".startswith(last.text.strip())
    assert chat.save()["messages"][-1]["cut"] == "cancelled"


async def test_a_failed_answer_keeps_what_came_and_one_that_never_began_leaves_nothing() -> None:
    broken = {"text": "So far", "error": {"kind": "network", "message": "gone"}}
    mock = MockProvider(["ok", broken, {"error": {"kind": "network", "message": "gone"}}, "again"])
    chat = Chat(agent(mock, retry=1))
    await chat.send("one")
    with pytest.raises(NetworkError):
        await chat.send("two")
    assert shown(chat)[2:] == [("user", "two"), ("assistant", "So far")]
    assert chat.messages[-1].cut == "network"
    with pytest.raises(NetworkError):
        await chat.send("three")
    assert len(chat.messages) == 4
    assert (await chat.send("four")).text == "again"


async def test_one_answer_at_a_time() -> None:
    chat = Chat(agent(MockProvider(["ok"])))
    stream = chat.stream("one")
    with pytest.raises(ValidationError, match="waits for an answer"):
        await chat.send("two")
    await stream.aclose()
    await chat.send("two")


async def test_compact_puts_a_summary_in_the_place_of_older_turns() -> None:
    mock = MockProvider(["a1", CALL, "3", "a3", "They talked.", "on"])
    chat = Chat(agent(mock, tools=[Add()], response_schema=None))
    for text in ("u1", "u2", "u3"):
        await chat.send(text)
    assert await chat.compact(keep=3) is True
    summary, thanks, *rest = chat.messages
    assert (summary.role, summary.text.endswith("They talked."), thanks.role) == ("user", True, "assistant")
    assert [message.role for message in rest] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    asked = mock.calls[-1]
    assert asked.tool_choice == "none"
    assert asked.messages[-1].text.startswith("Summarise")
    await chat.send("u4")
    assert mock.calls[-1].messages[0].text.endswith("They talked.")
    assert await Chat(chat.agent).compact() is False


async def test_a_summary_that_fails_changes_nothing() -> None:
    mock = MockProvider(["a1", "a2", {"error": {"kind": "network", "message": "gone"}}])
    chat = Chat(agent(mock, retry=1))
    for text in ("u1", "u2"):
        await chat.send(text)
    before = list(chat.messages)
    with pytest.raises(NetworkError):
        await chat.compact(keep=1)
    assert chat.messages == before


# ---- from scripts


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def run(script: str, mock: MockProvider, isolation: str | None = None) -> Any:
    manager = ProviderManager({}, env={})
    manager.register(mock)
    return ScriptRuntime(timeout=30, providers=manager, model="mock", isolation=isolation).run(script).result


def test_a_conversation_of_a_script(isolation: str | None) -> None:
    got = run(
        """
        local chat = Agent.create{ name = "a", system_prompt = "Be brief." }:chat()
        local first = chat:send("one").text
        local words = {}
        for chunk in chat:stream{ text = "two" } do
          if chunk.content.type == "text" then words[#words + 1] = chunk.content.text end
        end
        local saved = JSON.parse(JSON.stringify(chat:save()))
        local n = #chat.messages
        chat:reset()
        local back = Agent.chat_from(saved)
        local third = back:send("three").text
        return { first, table.concat(words), n, #chat.messages, third, #back.messages, back.messages[1].content,
          Run.usage().calls }
        """,
        MockProvider(["A", "B C", "D"]),
        isolation,
    )
    assert got == ["A", "B C", 4, 0, "D", 6, "one", 3]


def test_a_conversation_s_turns_are_not_set_and_errors_name_what_the_script_called() -> None:
    got = run(
        """
        local a = Agent.create{ name = "a" }
        local chat = a:chat()
        chat.note = "mine"
        local _, set = pcall(function() chat.messages = {} end)
        local _, nan = pcall(Agent.chat_from, { version = 0/0 }, a)
        return { set.message, nan.message, chat.note, #chat.messages }
        """,
        MockProvider(["A"]),
    )
    assert got[:2] == ["`chat.messages` cannot be set", "`Agent.chat_from`: NaN at `version` cannot be passed on"]
    assert got[2:] == ["mine", 0]


def test_an_answer_that_is_cancelled_is_told_and_the_conversation_free_at_once(isolation: str | None) -> None:
    got = run(
        """
        local chat = Agent.create{}:chat()
        local ok, e = pcall(Async.timeout, 0.1, function() chat:send("hi") end)
        local n, cut = #chat.messages, chat.messages[2].cut
        local again = chat:stream("again"):text()
        local task = Async.spawn(function() chat:send("more") end)
        Async.sleep(0.1)
        task:cancel()
        return { e.kind, n, cut, again, chat:save().messages[6].cut, chat:send("last").text, #chat.messages }
        """,
        MockProvider([{"text": "word " * 50, "delay": 0.01}, "yes", {"text": "word " * 50, "delay": 0.01}, "end"]),
        isolation,
    )
    assert got == ["timeout", 2, "cancelled", "yes", "cancelled", "end", 8]


def test_a_stream_that_is_left_keeps_what_came(isolation: str | None) -> None:
    got = run(
        """
        local chat = Agent.create{}:chat()
        for chunk in chat:stream("hi") do
          if chunk.content.type == "text" then break end
        end
        for _ = 1, 500 do
          if #chat.messages > 0 then break end
          Async.sleep(0.002)
        end
        return { #chat.messages, chat.messages[2] and chat.messages[2].role, chat.messages[2] and chat.messages[2].cut }
        """,
        MockProvider([{"text": "word " * 50, "delay": 0.01}]),
        isolation,
    )
    assert got == [2, "assistant", "cancelled"]


@pytest.mark.parametrize("how", ["break", "chunk_read", "unread"])
def test_a_conversation_is_free_as_soon_as_its_stream_is_left(how: str) -> None:
    mock = MockProvider([{"text": "one two three", "delay": 0.01}])
    leave = {
        "break": "for c in chat:stream('count') do if c.content.type == 'text' then break end end",
        "chunk_read": "local s = chat:stream('count') s:next() s:next() s:cancel()",
        "unread": "chat:stream('count'):cancel()",
    }[how]
    script = f"""
    local chat = Agent.create{{}}:chat()
    {leave}
    local kept = #chat.messages
    return {{ kept, chat:send("again?").text, #chat.messages }}
    """
    kept = 0 if how == "unread" else 2  # of one that never began nothing stays
    assert run(script, mock) == [kept, "one two three", kept + 2]


def test_a_conversation_with_tools_of_the_script(isolation: str | None) -> None:
    got = run(
        """
        local add = { name = "add", description = "adds", parameters = { type = "object" },
          execute = function(p) return p.a + p.b end }
        local chat = Agent.create{ tools = { add } }:chat()
        for _ in chat:stream("1 + 2?") do end
        assert(#chat.messages == 4)
        chat:reset()
        local out = chat:send("1 + 2?")
        local roles = {}
        for _, message in ipairs(chat.messages) do roles[#roles + 1] = message.role end
        return { out.text, out.tool_calls[1].result, roles, chat:compact{ keep = 0 }, #chat.messages }
        """,
        MockProvider([CALL, "3", CALL, "3", "summary"]),
        isolation,
    )
    assert got == ["3", 3, ["user", "assistant", "tool", "assistant"], True, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("chat.send('x')", "with a colon"),
        ("chat:sent('x')", "send"),
        ("chat:send()", "something to say"),
        ("chat:send{ txt = 'x' }", "txt"),
        ("chat:compact{ kep = 1 }", "kep"),
        ("chat:compact{ keep = -1 }", "at least 0"),
        ("Agent.chat_from(1)", "takes what"),
        ("Agent.chat_from({})", "not in this script"),
        ("Agent.chat_from({ agent = 'a', version = 9 })", "no saved conversation"),
    ],
)
def test_bad_input_is_told(call: str, message: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        run(f"local chat = Agent.create{{ name = 'a' }}:chat() return {call}", MockProvider(["x"]))
    assert message in f"{caught.value} {caught.value.hint}"
