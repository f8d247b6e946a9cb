"""Agents that a program writes: asked from Python, from scripts, as tools and in workflows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import (
    Agent,
    AgentInput,
    AgentOutput,
    AgentProvider,
    BaseAgent,
    Media,
    Message,
    ScriptRuntime,
    Usage,
)
from llmspell.config.loader import load
from llmspell.errors import (
    CallTimeoutError,
    ConfigError,
    LimitError,
    NotFoundError,
    NotSupportedError,
    ProviderError,
    ValidationError,
)
from llmspell.providers.manager import ProviderManager
from llmspell.providers.turn import Turn
from llmspell.types.agent import Parameters
from llmspell.types.streaming import AgentStream, Control, Text

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmspell.types.streaming import AgentChunk

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x03\x08\x02\0\0\0"
PLAIN = load(script_dir=None, config_file=None, env={}, flags={})


class Echo(BaseAgent):
    name = "echo"
    description = "Says it again."

    def __init__(self) -> None:
        self.seen: list[AgentInput] = []

    def supported_media_types(self) -> tuple[str, ...]:
        return ("image",)

    async def execute(self, given: AgentInput) -> AgentOutput:
        self.seen.append(given)
        return AgentOutput.of(given.messages[-1].text, usage=Usage(3, 2), note="said")


class Counting(BaseAgent):
    """Streams numbers; "fail N" fails after so many of them, "wait" never goes on."""

    name = "counting"

    async def execute(self, given: AgentInput) -> AgentOutput:
        async with self.stream_execute(given) as stream:
            return await stream.collect()

    def stream_execute(self, given: AgentInput) -> AgentStream:
        turn = Turn(self.name, "numbers")
        return AgentStream(turn.stream_id, self._batches(given.messages[-1].text, turn))

    async def _batches(self, text: str, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        turn.start()
        word, _, number = text.partition(" ")
        for n in range(5):
            if word == "fail" and n == int(number):
                raise RuntimeError("out of numbers")
            if word == "wait" and n == 2:
                await asyncio.Event().wait()
            yield turn.chunks([Text(f"{n} ")])
        yield turn.chunks([Control("stream_end", "length", Usage(1, 5))])


def runtime(*agents: BaseAgent) -> ScriptRuntime:
    manager = ProviderManager({}, env={})
    manager.register(AgentProvider(agents))
    return ScriptRuntime(PLAIN, providers=manager)


# ---- from Python


async def test_what_is_said_is_checked_and_answered() -> None:
    echo = Echo()
    assert (await echo.answer("hello")).text == "hello"
    assert (await echo.answer(AgentInput.builder().text("see").media(Media("image/png", PNG)).build())).text == "see"
    with pytest.raises(NotSupportedError, match="echo does not read audio/wav") as failed:
        await echo.answer(Message("user", ("hear", Media("audio/wav", b"RIFF"))))
    assert failed.value.hint == "it reads text, image"
    with pytest.raises(ValidationError):
        await echo.answer([])
    assert (echo.supports_multimodal(), echo.supports_streaming()) == (True, False)
    with pytest.raises(NotSupportedError, match="echo does not stream"):
        echo.stream_execute(AgentInput.text("x"))
    assert (Counting().supports_multimodal(), Counting().supports_streaming()) == (False, True)


async def test_an_error_is_typed_or_made_an_answer() -> None:
    class Fails(BaseAgent):
        async def execute(self, given: AgentInput) -> AgentOutput:
            raise LimitError("enough") if given.messages[-1].text == "limit" else KeyError("lost")

    with pytest.raises(LimitError, match="enough"):
        await Fails().answer("limit")
    with pytest.raises(ProviderError, match="agent failed: 'lost'") as failed:
        await Fails().answer("x")
    assert isinstance(failed.value.__cause__, KeyError)

    class Forgives(Fails):
        async def handle_error(self, error: Exception) -> AgentOutput:
            return AgentOutput.of(f"never mind: {type(error).__name__}")

    assert (await Forgives().answer("x")).text == "never mind: KeyError"


def test_an_agent_must_answer() -> None:
    with pytest.raises(TypeError):
        BaseAgent()  # type: ignore[abstract]


async def test_llmspells_own_agents_are_such_too() -> None:
    manager = ProviderManager({"mock": {"type": "mock", "replies": ["hi"]}}, env={})
    agent = Agent("mock/m", providers=manager)
    assert isinstance(agent, BaseAgent)
    assert (await agent.answer("hello")).text == "hi"
    assert agent.supports_streaming()
    assert "image" in agent.supported_media_types()
    async with agent.stream_execute("hello") as stream:
        assert (await stream.collect()).text == "hi"


# ---- what goes in


def test_an_input_is_put_together() -> None:
    picture = Media("image/png", PNG)
    told = (
        AgentInput.builder().text("What ").text("is it?").media(picture)
        .message(Message("assistant", "A dot.")).text("Sure?").system("Be brief.").context("It is late.")
        .context({"b": 1, "a": None}).parameters(temperature=0.5).parameters(max_tokens=9).output("image", "audio")
        .output("image").build()
    )  # fmt: skip
    assert told.messages == (
        Message("system", "Be brief."), Message("user", ("What ", "is it?", picture)), Message("assistant", "A dot."),
        Message("user", "Sure?"),
    )  # fmt: skip
    assert told.parameters == Parameters(temperature=0.5, max_tokens=9)
    assert told.modalities == ("image", "audio")
    assert told.context == 'It is late.\n\nContext, as JSON:\n{"a":null,"b":1}'
    assert told.media == (picture,)
    assert AgentInput.text("hi") == AgentInput.builder().text("hi").build() == AgentInput.of("hi")
    with pytest.raises(ValidationError, match="nothing to say"):
        AgentInput.builder().build()
    with pytest.raises(ValidationError, match="no parameter `temprature`"):
        AgentInput.builder().parameters(temprature=1)


# ---- from scripts


async def test_a_script_asks_it_and_is_told_its_usage() -> None:
    echo = Echo()
    done = await runtime(echo).execute_script("""
        local agent = Agent.create{ model = "agents/echo", name = "e" }
        local out = agent:execute{ text = "hello", parameters = { temperature = 0.5 } }
        return { out.text, out.metadata.note, out.metadata.model, out.usage.output_tokens, agent:supports_multimodal() }
    """)
    assert done.result == ["hello", "said", "echo", 2, True]
    assert done.usage["input_tokens"] == 3
    assert echo.seen[0].parameters.temperature == 0.5


async def test_a_script_streams_from_it_and_from_one_that_does_not_stream() -> None:
    done = await runtime(Echo(), Counting()).execute_script("""
        local told = {}
        for _, name in ipairs { "counting", "echo" } do
          for chunk in Agent.create{ model = "agents/" .. name }:stream_execute("a b") do
            local content = chunk.content
            told[#told + 1] = content.text or (content.message .. " " .. (content.finish_reason or ""))
          end
        end
        return told
    """)
    assert done.result == [
        "stream_start ", "0 ", "1 ", "2 ", "3 ", "4 ", "stream_end length", "stream_start ", "a b", "stream_end stop",
    ]  # fmt: skip
    assert done.usage["output_tokens"] == 7


async def test_an_error_in_its_stream_comes_after_what_was_said() -> None:
    done = await runtime(Counting()).execute_script("""
        local told, agent = {}, Agent.create{ model = "agents/counting" }
        local ok, e = pcall(function()
          for chunk in agent:stream_execute("fail 2") do told[#told + 1] = chunk.content.text end
        end)
        local ok2, e2 = pcall(function() return agent:execute("fail 0") end)
        return { told, e.kind, e.message, e2.kind }
    """)
    assert done.result == [["0 ", "1 "], "provider", "counting failed: out of numbers", "provider"]


async def test_what_an_agent_makes_of_an_error_is_streamed_where_nothing_was_said() -> None:
    class Forgiving(Counting):
        async def handle_error(self, error: Exception) -> AgentOutput:
            return AgentOutput.of("never mind")

    done = await runtime(Forgiving()).execute_script("""
        local agent = Agent.create{ model = "agents/counting" }
        local ok = pcall(function() return agent:stream_execute("fail 1"):text() end)
        return { agent:stream_execute("fail 0"):text(), ok }
    """)
    assert done.result == ["never mind", False]


async def test_its_time_is_bounded_and_leaving_ends_it() -> None:
    ended: list[str] = []

    class Slow(BaseAgent):
        name = "slow"

        async def execute(self, given: AgentInput) -> AgentOutput:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")
            raise AssertionError

    manager = ProviderManager({}, env={})
    manager.register(AgentProvider([Slow(), Counting()]))
    with pytest.raises(CallTimeoutError, match=r"slow took longer than 0\.02 s"):
        await Agent("agents/slow", providers=manager, timeout=0.02).execute("x")
    with pytest.raises(CallTimeoutError) as failed:
        async with Agent("agents/counting", providers=manager, timeout=0.05).stream("wait") as stream:
            await stream.collect()
    assert failed.value.partial == "0 1 "
    assert ended == ["ended"]


async def test_it_is_a_tool_of_another_and_a_step_of_a_workflow() -> None:
    manager = ProviderManager(
        {
            "mock": {
                "type": "mock",
                "replies": [{"tool_calls": [{"name": "echo", "arguments": {"input": "ho"}}]}, "done"],
            }
        },
        env={},
    )
    manager.register(AgentProvider([Echo()]))
    done = await ScriptRuntime(PLAIN, providers=manager).execute_script("""
        local echo = Agent.create{ model = "agents/echo", name = "echo", description = "Says it again." }
        local out = Agent.create{ model = "mock/m", tools = { echo } }:execute("go")
        local step = { name = "s", type = "agent", agent = "echo", input = "hi" }
        local flow = Workflow.sequential{ name = "w", steps = { step } }
        return { out.text, out.tool_calls[1].result, flow:execute().steps.s.result }
    """)
    text, result, step = done.result
    assert text == "done"
    assert "ho" in str(result)
    assert "hi" in str(step)


async def test_what_cannot_be_asked_of_it_is_told() -> None:
    manager = ProviderManager({}, env={})
    manager.register(AgentProvider([Echo(), Counting()]))
    with pytest.raises(NotFoundError, match="agents has no agent `nobody`") as failed:
        await Agent("agents/nobody", providers=manager).execute("x")
    assert failed.value.hint == "there are echo, counting"
    with pytest.raises(ConfigError, match="two agents are called `echo`"):
        AgentProvider([Echo(), Echo()])
    assert [one.id for one in await AgentProvider([Echo(), Counting()]).models()] == ["echo", "counting"]

    class Wrong(BaseAgent):
        async def execute(self, given: AgentInput) -> Any:
            return "text"

    manager.register(AgentProvider([Wrong()], name="wrong"))
    with pytest.raises(ProviderError, match="agent gave a str and no AgentOutput"):
        await Agent("wrong", providers=manager).execute("x")
