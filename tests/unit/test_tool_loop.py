"""The tool loop: what is run, what the model is told, and where it ends."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llmspell
from llmspell import Agent, Meter
from llmspell.agents.toolcalls import AT_ONCE
from llmspell.errors import (
    CallTimeoutError,
    ContextLengthError,
    LimitError,
    LLMSpellError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    ToolError,
    ValidationError,
)
from llmspell.providers.base import ProviderCapabilities
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import ToolContext, ToolResult
from llmspell.types.agent import AgentOutput
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.streaming import Control, ToolCallComplete
from llmspell.types.tools import ToolSpec
from support.tools import Does, asks, calling, scripted

pytestmark = pytest.mark.once

ADD = asks("add", a=1, b=2)


def add() -> Does:
    return Does("add", lambda given: given["a"] + given["b"], a="integer", b="integer")


def told(mock: MockProvider, call: int = -1) -> list[str]:
    """What the model was told of tools in a call, in order."""
    return [message.text for message in mock.calls[call].messages if message.role == "tool"]


# ---- what runs


async def test_calls_of_one_answer_run_together_and_their_results_stand_in_order() -> None:
    here: set[int] = set()
    all_here, first_done = asyncio.Event(), asyncio.Event()

    async def meet(given: dict[str, Any]) -> int:
        here.add(given["n"])
        if len(here) == 3:
            all_here.set()
        await all_here.wait()
        if given["n"] == 1:
            await first_done.wait()  # the first ends last
        elif given["n"] == 3:
            first_done.set()
        return int(given["n"])

    agent, mock = scripted(
        [calling(*(asks("meet", n=n) for n in (1, 2, 3))), "done"], [Does("meet", meet, n="integer")]
    )
    async with asyncio.timeout(10):
        output = await agent.execute("go")
    assert [call.result for call in output.tool_calls] == [1, 2, 3]
    assert told(mock) == ["1", "2", "3"]
    assert [message.tool_call_id for message in mock.calls[1].messages if message.role == "tool"] == [
        "call_1",
        "call_2",
        "call_3",
    ]


async def test_so_many_run_at_once_and_no_more() -> None:
    running = most = 0

    async def busy(given: dict[str, Any]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    agent, _ = scripted(
        [calling(*(asks("busy", n=n) for n in range(3 * AT_ONCE))), "done"], [Does("busy", busy, n="integer")]
    )
    await agent.execute("go")
    assert most == AT_ONCE


async def test_a_forced_choice_holds_for_the_first_answer_only() -> None:
    for choice, meant in (("required", "required"), ("get-it", "get_it"), ("none", "none")):
        tool = Does("get_it", lambda given: 1)
        agent, mock = scripted([calling(asks("get_it")), "done"], [tool], tool_choice=choice)
        await agent.execute("go")
        assert [call.tool_choice for call in mock.calls] == [meant, "none" if choice == "none" else None]


async def test_a_tool_is_found_by_a_name_with_other_dashes() -> None:
    agent, _ = scripted([calling(asks("get-it")), "done"], [Does("get_it", lambda given: 7)])
    assert (await agent.execute("go")).tool_calls[0].result == 7


# ---- what the model is told


async def test_faults_of_a_call_go_back_to_the_model() -> None:
    tool = add()
    replies = [calling(asks("subtract"), asks("add", a="1", b=2), asks("add", a=1)), "done"]
    agent, mock = scripted(replies, [tool])
    output = await agent.execute("go")
    assert output.text == "done"
    assert tool.calls == []
    unknown, wrong, missing = told(mock)
    assert unknown == "Error: there is no tool `subtract`; there are: add"
    assert "$.a: must be an integer" in wrong
    assert "$.b: is missing" in missing
    assert all(message.is_error for message in mock.calls[1].messages if message.role == "tool")
    assert [call.result for call in output.tool_calls] == [None] * 3
    assert all(call.error for call in output.tool_calls)


async def test_arguments_that_are_no_json_go_back_to_the_model() -> None:
    tool = add()
    agent, mock = scripted(["done"], [tool])
    answers = iter([AgentOutput("", tool_calls=(ToolCall("c", "add", None, '{"a": 1,'),), finish_reason="tool_calls")])

    class Broken(MockProvider):
        async def execute(self, call: Any) -> AgentOutput:
            for answer in answers:
                return answer
            return await super().execute(call)

    broken = Broken(["done"])
    manager = ProviderManager({})
    manager.register(broken)
    agent = Agent("mock", providers=manager, tools=[tool])
    assert (await agent.execute("go")).text == "done"
    assert "no JSON object" in told(broken)[0]
    assert tool.calls == []
    assert mock.calls == []


async def test_a_tool_that_fails_is_told_of_or_raised() -> None:
    def fail(given: dict[str, Any]) -> None:
        raise OSError("no disk")

    replies = [calling(asks("fail")), "done"]
    agent, mock = scripted(replies, [Does("fail", fail)])
    assert (await agent.execute("go")).text == "done"
    assert told(mock) == ["Error: tool `fail` failed: OSError: no disk"]

    agent, mock = scripted(replies, [Does("fail", fail)], on_tool_error="raise")
    with pytest.raises(ToolError, match="no disk") as caught:
        await agent.execute("go")
    assert caught.value.tool == "fail"
    assert len(mock.calls) == 1

    refuses = Does("fail", lambda given: ToolResult("not found", is_error=True))
    agent, mock = scripted(replies, [refuses])
    output = await agent.execute("go")
    assert (output.tool_calls[0].result, output.tool_calls[0].error) == ("not found", "not found")
    assert mock.calls[1].messages[-1].is_error
    agent, _ = scripted(replies, [refuses], on_tool_error="raise")
    with pytest.raises(ToolError, match="not found"):
        await agent.execute("go")


@pytest.mark.parametrize("on_error", ["tell", "raise"])
async def test_the_model_is_told_of_a_permission_and_the_caller_of_a_limit(on_error: str) -> None:
    def denied(given: dict[str, Any]) -> None:
        raise PermissionDeniedError("`it` may not read `/etc`", hint="--allow-read=/etc")

    def limited(given: dict[str, Any]) -> None:
        raise LimitError("the limit of 3 s is reached")

    agent, mock = scripted([calling(asks("it")), "done"], [Does("it", denied)], on_tool_error=on_error)
    assert (await agent.execute("go")).text == "done"
    assert told(mock) == ["Error: `it` may not read `/etc`"]
    agent, _ = scripted([calling(asks("it")), "done"], [Does("it", limited)], on_tool_error=on_error)
    with pytest.raises(LimitError, match="3 s"):
        await agent.execute("go")


async def test_a_long_result_is_cut_and_that_is_said() -> None:
    agent, mock = scripted([calling(asks("long")), "done"], [Does("long", lambda given: "é" * 100_000)])
    output = await agent.execute("go")
    (text,) = told(mock)
    assert text.startswith("é" * 50_000 + "\n[cut here: these are the first 100000 of 200000 bytes]")
    assert len(output.tool_calls[0].result) == 100_000  # the caller gets it whole


async def test_what_a_tool_shows_goes_to_a_model_that_sees() -> None:
    image = Media("image/png", b"\x89PNG")
    shows = Does("show", lambda given: ToolResult("here", media=(image, Media("font/woff", b"x"))))
    agent, mock = scripted([calling(asks("show")), "done"], [shows])
    await agent.execute("go")
    content = mock.calls[1].messages[-1].content
    assert content[0].startswith("here")
    assert image in content

    class Blind(MockProvider):
        def capabilities(self, model: str | None = None) -> ProviderCapabilities:
            return ProviderCapabilities()

    blind, manager = Blind([calling(asks("show")), "done"]), ProviderManager({})
    manager.register(blind)
    await Agent("mock", providers=manager, tools=[shows]).execute("go")
    assert told(blind) == ["here\n[2 more of the result cannot be shown to this model]"]


# ---- who is asked


@pytest.mark.parametrize(
    ("said", "runs", "word"),
    [
        (True, True, "3"),
        (False, False, "Error: the call was denied"),
        (None, False, "Error: the call was denied"),
        ("not on a Sunday", False, "Error: the call was denied: not on a Sunday"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_a_call_runs_where_approve_says_true(said: Any, runs: bool, word: str, waits: bool) -> None:
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> Any:
        asked.append(call)
        return said

    async def approve_later(call: ToolCall) -> Any:
        await asyncio.sleep(0)
        return approve(call)

    tool = add()
    agent, mock = scripted([calling(ADD), "done"], [tool], approve=approve_later if waits else approve)
    await agent.execute("go")
    assert [(call.name, call.arguments) for call in asked] == [("add", {"a": 1, "b": 2})]
    assert bool(tool.calls) is runs
    assert told(mock) == [word]


async def test_nobody_is_asked_of_a_call_that_cannot_run_and_nothing_runs_before_all_were_asked() -> None:
    seen: list[Any] = []
    tool = Does("add", lambda given: seen.append(("runs", given["n"])), n="integer")

    async def approve(call: ToolCall) -> bool:
        await asyncio.sleep(0)
        seen.append(("asks", (call.arguments or {})["n"]))
        return True

    replies = [calling(asks("add", n=1), asks("add", n="x"), asks("no_tool"), asks("add", n=2)), "done"]
    agent, _ = scripted(replies, [tool], approve=approve)
    await agent.execute("go")
    assert seen == [("asks", 1), ("asks", 2), ("runs", 1), ("runs", 2)]


@pytest.mark.parametrize("kind", [LookupError, TimeoutError, LLMSpellError])
@pytest.mark.parametrize("limit", [None, 60])
async def test_what_approve_raises_comes_to_the_caller(kind: type[Exception], limit: float | None) -> None:
    def approve(call: ToolCall) -> bool:
        raise kind("nobody there")

    tool = add()
    agent, _ = scripted([calling(ADD), "done"], [tool], approve=approve, timeout=limit)
    with pytest.raises(kind, match="nobody there"):
        await agent.execute("go")
    assert tool.calls == []


# ---- where it ends


async def test_rounds_are_limited() -> None:
    tool = Does("count", lambda given: len(tool.calls))
    replies = [*(calling(asks("count"), text=f"round {n}") for n in range(4)), "done"]
    agent, _mock = scripted(replies, [tool], max_tool_rounds=3)
    with pytest.raises(LimitError, match="3 rounds") as caught:
        await agent.execute("go")
    error = caught.value
    assert (error.setting, error.value, error.partial, error.exit_code) == ("max_tool_rounds", 3, "round 3", 5)
    assert error.rounds == 4
    assert error.call_usage["output_tokens"] > 0
    assert len(tool.calls) == 3
    agent, _ = scripted(replies, [tool], max_tool_rounds=4)
    assert (await agent.execute("go")).text == "done"


async def test_without_rounds_calls_come_back_unrun() -> None:
    tool = add()
    agent, mock = scripted([calling(ADD, text="hm")], [tool], max_tool_rounds=0)
    output = await agent.execute("go")
    assert (output.finish_reason, output.text, output.tool_calls[0].answered) == ("tool_calls", "hm", False)
    assert tool.calls == []
    assert mock.calls[0].tools == (tool.spec,)
    assert [message.role for message in output.messages] == ["assistant"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_of_a_plain_spec_are_the_callers(streamed: bool) -> None:
    tool = add()
    agent, mock = scripted([calling(ADD, asks("mine"), text="both")], [tool, ToolSpec("mine")])
    output = await (agent.stream("go").collect() if streamed else agent.execute("go"))
    assert [(call.name, call.result) for call in output.tool_calls] == [("add", 3), ("mine", None)]
    assert (output.text, output.finish_reason) == ("both", "tool_calls")
    assert [message.role for message in output.messages] == ["assistant", "tool"]
    assert len(output.message().tool_calls) == 2
    assert len(mock.calls) == 1


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_calls_of_an_answer_that_was_cut_are_not_run(reason: str) -> None:
    tool = add()
    agent, _ = scripted([{**calling(ADD), "finish_reason": reason}], [tool])
    output = await agent.execute("go")
    assert (output.finish_reason, output.tool_calls[0].answered, tool.calls) == (reason, False, [])
    output = await scripted([{**calling(ADD), "finish_reason": reason}], [tool])[0].stream("go").collect()
    assert (output.finish_reason, output.tool_calls[0].answered, tool.calls) == (reason, False, [])


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_that_pauses_goes_on(streamed: bool) -> None:
    replies = [{"text": "first, ", "finish_reason": "pause"}, "second"]
    agent, mock = scripted(replies, [add()])
    output = await (agent.stream("go").collect() if streamed else agent.execute("go"))
    assert (output.text, output.finish_reason, len(mock.calls)) == ("first, second", "stop", 2)
    assert mock.calls[1].messages[-1] == Message("assistant", "first, ")


async def test_the_same_call_with_the_same_result_is_stopped_with_a_word_and_then_an_error() -> None:
    tool = add()
    agent, mock = scripted([calling(ADD)] * 9, [tool])
    with pytest.raises(ToolError, match="again and again") as caught:
        await agent.execute("go")
    assert caught.value.tool == "add"
    assert len(tool.calls) == 3
    assert [text[:14] for text in told(mock)] == ["3", "3", "3", "Error: not run", "Error: not run"]

    agent, mock = scripted([*[calling(ADD)] * 4, "I see"], [tool])
    assert (await agent.execute("go")).text == "I see"


async def test_a_call_whose_result_changes_may_be_made_again() -> None:
    tool = Does("poll", lambda given: len(tool.calls))
    agent, _ = scripted([*[calling(asks("poll"))] * 9, "done"], [tool])
    assert (await agent.execute("go")).text == "done"
    assert len(tool.calls) == 9
    dice = Does("dice", lambda given: 4)
    agent, _ = scripted([calling(*[asks("dice")] * 5), "done"], [dice])
    await agent.execute("go")
    assert len(dice.calls) == 5  # of one answer


async def test_a_conversation_that_cannot_fit_is_not_sent() -> None:
    class Small(MockProvider):
        def capabilities(self, model: str | None = None) -> ProviderCapabilities:
            return ProviderCapabilities(max_context_tokens=4000)

    def small(*replies: Any) -> Small:
        return Small(list(replies))

    tool = Does("read", lambda given: "x" * 90_000)
    reading = calling(*(asks("read", n=n) for n in range(8)))
    for replies, text, calls in ((["done"], "word " * 50_000, 0), ([reading, "done"], "go", 1)):
        for streamed in (False, True):
            model, manager = small(*replies), ProviderManager({})
            manager.register(model)
            agent = Agent("mock", providers=manager, tools=[tool])
            with pytest.raises(ContextLengthError) as caught:
                await (agent.stream(text).collect() if streamed else agent.execute(text))
            assert (caught.value.value, caught.value.exit_code, len(model.calls)) == (4000, 4, calls)
    reads = small(calling(asks("read")), "done")
    manager = ProviderManager({})
    manager.register(reads)
    assert (await Agent("mock", providers=manager, tools=[tool]).execute("go")).text == "done"  # it was cut
    assert "first 4000 of 90000 bytes" in told(reads)[0]


async def test_a_meter_holds_each_request() -> None:
    reply = {**calling(asks("count")), "usage": {"input_tokens": 400, "output_tokens": 100}}
    tool = Does("count", lambda given: len(tool.calls))
    meter = Meter(max_tokens_total=1500)
    agent, mock = scripted([reply] * 9, [tool], meter=meter, max_tokens=200)
    with pytest.raises(LimitError, match="1,500 tokens") as caught:
        await agent.execute("go")
    assert meter.tokens == 500 * len(mock.calls)
    assert caught.value.call_usage["total_tokens"] == 500 * len(mock.calls)


# ---- streams


async def test_a_stream_shows_calls_with_their_results_and_what_tools_say() -> None:
    tool = add()

    def says(given: dict[str, Any]) -> int:
        assert tool.context is not None
        assert tool.context.on_progress is not None
        tool.context.on_progress("half way")
        return 3

    tool._does = says
    agent, _ = scripted([calling(ADD, text="let me see"), "it is 3"], [tool])
    async with agent.stream("go") as stream:
        chunks = [chunk async for chunk in stream]
        output = stream.collector.output()
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.stream_id for chunk in chunks} == {stream.stream_id}
    kinds = [chunk.content.type for chunk in chunks]
    assert kinds.index("tool_call_progress") < kinds.index("tool_call_complete")
    done = next(chunk.content for chunk in chunks if isinstance(chunk.content, ToolCallComplete))
    assert (done.name, done.arguments, done.result) == ("add", {"a": 1, "b": 2}, 3)
    controls = [chunk.content for chunk in chunks if isinstance(chunk.content, Control)]
    assert [one.message for one in controls] == ["stream_start", "heartbeat", "stream_end"]
    assert controls[1].details == {"tool_id": "call_1", "name": "add", "text": "half way"}
    assert output.text == "it is 3"
    assert controls[2].usage == output.usage
    assert chunks[-1].metadata["rounds"] == 2


def same(output: AgentOutput) -> AgentOutput:
    known = {name: value for name, value in output.metadata.items() if name != "latency_ms"}
    return output._replace(metadata=known)


CALLS = st.lists(st.sampled_from([ADD, asks("add", a="x", b=1), asks("no_tool"), asks("fail")]), max_size=3)
ROUNDS = st.lists(st.tuples(CALLS, st.sampled_from(["", "some text", "a\nb"])), max_size=5)


@settings(max_examples=40, deadline=None)
@given(rounds=ROUNDS, last=st.sampled_from(["the end", {"text": "", "reasoning": "hm"}]), poured=st.booleans())
async def test_a_stream_comes_to_what_execute_gives(rounds: Any, last: Any, poured: bool) -> None:
    def fail(given: dict[str, Any]) -> None:
        raise ValueError("no")

    replies = [*(calling(*calls, text=text) for calls, text in rounds), last]

    async def come_to(streamed: bool) -> Any:
        agent, _ = scripted(replies, [add(), Does("fail", fail)])
        try:
            if not streamed:
                return same(await agent.execute("go"))
            stream = agent.stream("go")
            if poured:
                await stream.pour(lambda batch: True, lambda: asyncio.sleep(0))
            return same(await stream.collect())
        except LLMSpellError as error:
            return error.kind, error.message

    assert await come_to(True) == await come_to(False)


async def test_a_retry_in_a_later_round_leaves_what_came_before() -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    agent, mock = scripted([calling(ADD), "three", '{"sum": 3}'], [add()], response_schema=schema)
    stream = agent.stream("go")
    chunks = [chunk async for chunk in stream]
    output = stream.collector.output()
    assert "retry" in [chunk.content.message for chunk in chunks if isinstance(chunk.content, Control)]
    assert output.data == {"sum": 3}
    assert output.text == '{"sum": 3}'
    assert [call.result for call in output.tool_calls] == [3]
    assert len(mock.calls) == 3

    agent, _ = scripted([calling(ADD), "three", '{"sum": 3}'], [add()], response_schema=schema)
    whole = await agent.execute("go")
    assert (whole.data, whole.usage) == (output.data, output.usage)
    agent, _ = scripted([calling(ADD), "three", "four"], [add()], response_schema=schema)
    with pytest.raises(ProviderError, match="form"):
        await agent.execute("go")


# ---- stopping


@pytest.mark.parametrize("how", ["execute", "read", "pour", "close"])
async def test_cancelled_it_leaves_no_tool_running(how: str) -> None:
    begun, ended = asyncio.Event(), []

    async def hang(given: dict[str, Any]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(given["n"])

    agent, _ = scripted([calling(asks("hang", n=1), asks("hang", n=2)), "done"], [Does("hang", hang, n="integer")])
    before = asyncio.all_tasks()

    async def work() -> None:
        if how == "execute":
            await agent.execute("go")
        elif how == "pour":
            await agent.stream("go").pour(lambda batch: True, lambda: asyncio.sleep(0))
        else:
            async with agent.stream("go") as stream:
                async for _ in stream:
                    pass

    task = asyncio.create_task(work())
    async with asyncio.timeout(10):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert sorted(ended) == [1, 2]
    assert asyncio.all_tasks() == before


async def test_an_error_that_is_raised_ends_the_tools_beside_it() -> None:
    ended = []

    async def hang(given: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    def limited(given: dict[str, Any]) -> None:
        raise LimitError("enough")

    agent, _ = scripted([calling(asks("hang"), asks("stop")), "done"], [Does("hang", hang), Does("stop", limited)])
    with pytest.raises(LimitError, match="enough"):
        await agent.execute("go")
    assert ended == [True]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_timeout_is_for_the_whole_call(streamed: bool) -> None:
    async def hang(given: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    agent, mock = scripted([calling(asks("hang")), "done"], [Does("hang", hang)], timeout=0.05)
    with pytest.raises(CallTimeoutError, match=r"longer than 0.05 s, with its tools \(hang\)"):
        await (agent.stream("go").collect() if streamed else agent.execute("go"))
    assert mock.calls[0].timeout == 0.05
    agent, mock = scripted([calling(ADD), "done"], [add()], timeout=60)
    await agent.execute("go")
    assert 0 < (mock.calls[1].timeout or 0) < 60


# ---- models and agents


async def test_a_later_round_stays_with_the_model_that_answered() -> None:
    def model(name: str, *replies: Any) -> MockProvider:
        return MockProvider(list(replies), name=name, when_over="error")

    down = {"error": {"kind": "provider", "message": "down"}}
    for streamed in (False, True):
        manager = ProviderManager({})
        for one in (first := model("first", down), second := model("second", calling(ADD), down), model("third", "no")):
            manager.register(one)
        agent = Agent(["first", "second", "third"], providers=manager, tools=[add()])
        with pytest.raises(ProviderError, match="down") as caught:
            await (agent.stream("go").collect() if streamed else agent.execute("go"))
        assert caught.value.provider == "second"
        assert (len(first.calls), len(second.calls)) == (1, 2)


async def test_an_agent_is_a_tool_of_another() -> None:
    helper, heard = scripted(["Paris"], name="capital finder", description="Knows capitals.")
    agent, mock = scripted([calling(asks("capital_finder", input="France?")), "It is Paris."], [helper])
    output = await agent.execute("What is the capital of France?")
    assert output.tool_calls[0].result == "Paris"
    assert mock.calls[0].tools[0].description == "Knows capitals."
    assert heard.calls[0].messages[-1].text == "France?"


async def test_agents_that_call_each_other_without_end_are_stopped() -> None:
    mock = MockProvider([calling(asks("again", input="go"))])
    manager = ProviderManager({})
    manager.register(mock)

    async def again(given: dict[str, Any]) -> str:
        return (await agents[0].execute(given["input"])).text

    inner = Agent("mock", providers=manager, name="again", tools=[Does("again", again, input="string")])
    agents = [Agent("mock", providers=manager, tools=[inner])]
    with pytest.raises(LimitError, match="deep"):
        await agents[0].execute("go")


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(NotFoundError, match="no tool `file_operation`") as caught:
        scripted([], ["file_operation"])
    assert "file_operations" in (caught.value.hint or "")
    for wrong, word in (
        ({"tools": [3]}, "is no tool"),
        ({"tools": [add(), add()]}, "same name"),
        ({"tools": [add()], "tool_choice": "subtract"}, "subtract"),
        ({"tools": [add()], "on_tool_error": "ignore"}, "on_tool_error"),
        ({"tools": [add()], "max_tool_rounds": -1}, "max_tool_rounds"),
        ({"tools": [add()], "approve": True}, "approve"),
    ):
        with pytest.raises(ValidationError, match=word):
            Agent("mock", **wrong)  # type: ignore[arg-type]


async def test_the_context_of_an_input_stands_with_what_the_system_says() -> None:
    from llmspell.agents.agent import AgentInput

    agent, mock = scripted(["a", "b"], system_prompt="Be brief.")
    await agent.execute(AgentInput((Message("user", "hi"),), context="The user is Ann."))
    assert mock.calls[0].messages[0] == Message("system", "Be brief.\n\nThe user is Ann.")
    agent, mock = scripted(["a"])
    await agent.execute(AgentInput((Message("user", "hi"),), context="The user is Ann."))
    assert mock.calls[0].messages[0] == Message("system", "The user is Ann.")


async def test_an_error_has_the_usage_of_all_answers() -> None:
    def used(reply: Any) -> dict[str, Any]:
        return {**({"text": reply} if isinstance(reply, str) else reply), "usage": {"input_tokens": 10}}

    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    replies = [used(calling(ADD)), used("three"), used("four")]
    for streamed in (False, True):
        agent, _ = scripted(replies, [add()], response_schema=schema)
        with pytest.raises(ProviderError, match="form") as caught:
            await (agent.stream("go").collect() if streamed else agent.execute("go"))
        assert caught.value.call_usage == {"input_tokens": 30}


async def test_a_plain_function_is_a_tool() -> None:
    def multiply(a: int, b: int) -> int:
        """Multiplies two numbers."""
        return a * b

    agent, mock = scripted([calling(asks("multiply", a=6, b=7), asks("multiply", a="x", b=7)), "42"], [multiply])
    output = await agent.execute("6 * 7")
    assert mock.calls[0].tools[0].description == "Multiplies two numbers."
    assert [call.result for call in output.tool_calls] == [42, None]


@pytest.mark.parametrize("poured", [None, False, True])
async def test_another_model_runs_the_rounds_where_the_first_one_fails(poured: bool | None) -> None:
    manager = ProviderManager({})
    first = MockProvider([{"error": {"kind": "rate_limit", "message": "busy"}}], name="first")
    second = MockProvider([calling(ADD), "it is 3"], name="second", when_over="error")
    for one in (first, second):
        manager.register(one)
    chunks: list[Any] = []

    def take(batch: list[Any]) -> bool:
        chunks.extend(batch)
        return False

    agent = Agent(["first", "second"], providers=manager, tools=[add()])
    if poured is None:
        output = await agent.execute("go")
    else:
        stream = agent.stream("go")
        if poured:
            await stream.pour(take, lambda: asyncio.sleep(0))
        else:
            chunks = [chunk async for chunk in stream]
        output = stream.collector.output()
        assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
        assert [chunk.content.message for chunk in chunks if isinstance(chunk.content, Control)] == [
            "stream_start",
            "retry",
            "stream_end",
        ]
    assert (output.text, output.metadata["provider"], output.metadata["rounds"]) == ("it is 3", "second", 2)
    assert [call.result for call in output.tool_calls] == [3]
    assert (len(first.calls), len(second.calls)) == (1, 2)


@pytest.mark.parametrize("streamed", [True, False])
def test_arguments_nested_too_deep_go_back_to_the_model(streamed: bool) -> None:
    from llmspell import ScriptRuntime
    from llmspell.providers.calls import PartialCall
    from llmspell.providers.manager import ProviderManager

    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    call = PartialCall("1", "add")
    call.add(deep)
    assert call.parsed() is None
    manager = ProviderManager({}, env={})
    manager.register(MockProvider([{"tool_calls": [{"name": "add", "arguments": deep}]}, "sorry"]))
    ask = 'stream("go"):collect()' if streamed else 'execute("go")'
    script = f"""
    Tool.register{{ name = "add", parameters = {{ type = "object" }}, execute = function() return 1 end }}
    local got = Agent.create{{ tools = {{ "add" }} }}:{ask}
    return {{ got.text, got.tool_calls[1].error }}
    """
    text, error = ScriptRuntime(timeout=30, providers=manager, model="mock").run(script).result
    assert text == "sorry"
    assert "too deep" in error


@pytest.mark.parametrize("name", ["", "a b", "ns.add", "größe", "x" * 65, "<lambda>"])
def test_a_name_that_services_do_not_take_is_told_before_they_are_asked(name: str) -> None:
    with pytest.raises(ValidationError, match="is no name for a tool"):
        scripted([], [Does(name, lambda given: 1)])


def test_a_function_without_a_name_or_a_signature_is_told_so() -> None:
    with pytest.raises(ValidationError, match="`<lambda>` is no name for a tool"):
        scripted([], [lambda: 1])
    with pytest.raises(ValidationError, match="what `dict` takes cannot be read"):
        scripted([], [dict])


async def test_progress_of_a_function_in_a_thread_is_seen_while_it_runs() -> None:
    seen = threading.Event()

    @llmspell.tool
    def works(context: ToolContext) -> bool:
        assert context.on_progress is not None
        seen.wait(0.2)  # until the loop sleeps
        context.on_progress("half of it")
        return seen.wait(5)

    agent, _ = scripted([calling(asks("works")), "done"], [works])
    async with asyncio.timeout(20), agent.stream("go") as stream:
        async for chunk in stream:
            if isinstance(chunk.content, Control) and chunk.content.message == "heartbeat":
                seen.set()
            if isinstance(chunk.content, ToolCallComplete):
                assert chunk.content.result is True
