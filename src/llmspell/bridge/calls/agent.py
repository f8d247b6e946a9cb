"""Host calls behind `Agent`, agents and their streams."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from llmspell.bridge.agents import agent_tool, make
from llmspell.bridge.api import AGENT, WRAPPED, check
from llmspell.bridge.calls.config import SECRET
from llmspell.bridge.inputs import agent_input
from llmspell.errors import LimitError, NotFoundError, ValidationError
from llmspell.types.messages import NATIVE
from llmspell.types.streaming import AgentChunk, AgentStream, Reasoning, Text
from llmspell.types.usage import Usage
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from llmspell.agents.agent import Agent
    from llmspell.bridge.calls.media import Reader
    from llmspell.bridge.run import Run
    from llmspell.types.agent import AgentOutput
    from llmspell.types.streaming import AgentStream, Collector

MOST_AGENTS = 10_000  # of one run; each is kept until it ends
MOST_STREAMS = 100_000  # open at once


class Metrics:
    """What an agent has done in this run, of calls that have ended."""

    def __init__(self) -> None:
        self.calls = self.errors = self.tool_calls = self.rounds = 0
        self.seconds = 0.0
        self.usage = Usage()

    def failed(self) -> None:
        """A call that raised."""
        self.calls += 1
        self.errors += 1

    def add(self, done: AgentOutput) -> None:
        """A call that gave an answer."""
        self.calls += 1
        self.rounds += done.metadata.get("rounds", 1)
        self.tool_calls += len(done.tool_calls)
        self.seconds += (done.metadata.get("latency_ms") or 0.0) / 1000
        self.usage = self.usage.plus(done.usage)

    def to_dict(self) -> dict[str, Any]:
        """calls, errors, rounds, tool_calls, seconds (of all answers together), seconds_each (of one), usage."""
        each = self.seconds / self.rounds if self.rounds else 0.0
        told = {name: getattr(self, name) for name in ("calls", "errors", "rounds", "tool_calls", "seconds")}
        return {**told, "seconds_each": each, "usage": self.usage.with_total().to_dict()}


def _create(run: Run, config: dict[str, Any], function: str = "Agent.create") -> dict[str, Any]:
    if len(run.agents) >= MOST_AGENTS:
        raise LimitError(
            f"the script has made more than {MOST_AGENTS} agents", hint="make an agent once and use it again"
        )
    agent = make(run, config, function)
    number = len(run.agents) + 1
    run.agents[number] = agent
    run.agents_by_name[agent.name] = number
    return {"id": number, "name": agent.name}


def _register(run: Run, config: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(config.get("name"), str):
        raise ValidationError("`Agent.register` needs a `name`", hint="`Agent.get(name)` gives the agent then")
    return _create(run, config, "Agent.register")


def _wrap_as_tool(run: Run, number: int, given: Any) -> dict[str, Any]:
    told = check("Agent.wrap_as_tool", WRAPPED, given)
    tool = agent_tool(run, number, told.get("name"), told.get("description"))
    run.tools.register(tool)
    return {"name": tool.name, "description": tool.description}


def _get(run: Run, name: str) -> dict[str, Any] | None:
    number = run.agents_by_name.get(name)
    return None if number is None else {"id": number, "name": name}


def _config(run: Run, number: int) -> dict[str, Any]:
    agent = run.agents[number]
    provider, model = agent.resolve()
    told: dict[str, Any] = {
        "name": agent.name,
        "description": agent.description,
        "model": model,
        "provider": provider.name,
        "system_prompt": agent.system_prompt,
        "response_schema": agent.response_schema,
        "timeout": agent.timeout,
        "models": None if agent.model is None or isinstance(agent.model, str) else list(agent.model),
        "retry": agent.retry,
        "metadata": agent.metadata or None,
        "extra": _shown_extra(agent.extra) or None,
        "tools": [tool.name for tool in agent.tools] or None,
        "tool_choice": agent.tool_choice,
        **agent.parameters._asdict(),
    }
    return {name: value for name, value in told.items() if value is not None}


def _shown_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """A header may be a key; a script may hand what it is told here to whoever asks."""
    headers = extra.get("headers")
    return {**extra, "headers": dict.fromkeys(headers, SECRET)} if headers else dict(extra)


def _get_info(run: Run, name: str) -> dict[str, Any] | None:
    number = run.agents_by_name.get(name)
    return None if number is None else {**_config(run, number), "metrics": _metrics(run, number)}


def _metrics(run: Run, number: int) -> dict[str, Any]:
    return run.agent_metrics.setdefault(number, Metrics()).to_dict()


def _media_types(run: Run, number: int) -> list[str]:
    """Of what it reads and writes, text among them."""
    provider, model = run.agents[number].resolve()
    able = provider.capabilities(model)
    return list(dict.fromkeys((*able.input_modalities, *able.output_modalities)))


# ---- what comes out


def reader(run: Run, agent: Agent) -> Callable[[int], bytes]:
    """What gives the bytes of media of files to one call of an agent's, where they are no more than its model takes."""

    files: Reader | None = None

    def most() -> int | None:
        provider, model = agent.resolve()
        return provider.capabilities(model).max_media_size

    def read(number: int) -> bytes:
        nonlocal files
        if files is None:
            from llmspell.bridge.calls.media import Reader

            files = Reader(run, most)
        return files(number)

    return read


def _label(agent: Agent) -> str:
    """What a call is called on a screen."""
    provider, model = agent.resolve()
    return f"{agent.name} · {provider.name}/{model}"


async def _execute(run: Run, number: int, given: Any) -> dict[str, Any]:
    return (await run_agent(run, number, given)).to_dict()


async def run_agent(run: Run, number: int, given: Any, function: str = "agent:execute") -> AgentOutput:
    """The whole answer of an agent of the run's, counted, and seen by who looks on. given: what a script says to it."""
    agent = run.agents[number]
    told = agent_input(given, function, reader(run, agent))
    # A run with a tape always has an observer: it streams, whoever looks on.
    return await counted(run, number, agent.execute(told) if run.observer is None else agent.stream(told))


async def counted(run: Run, number: int, asked: Coroutine[Any, Any, AgentOutput] | AgentStream) -> AgentOutput:
    """The whole of an answer of an agent's, counted; a stream is seen by who looks on."""
    agent = run.agents[number]
    metrics = run.agent_metrics.setdefault(number, Metrics())
    try:
        async with nullcontext() if agent.runs_tools else run.slot():  # with tools it takes a slot for each answer
            if not isinstance(asked, AgentStream):
                output = await asked
            elif run.observer is None:
                async with asked:
                    output = await asked.collect()
            else:
                output = await _watched(run, asked, agent)
    except BaseException as error:
        run.count_failed(error)
        metrics.failed()
        raise
    run.count_call(output)
    metrics.add(output)
    return output


def _whose(agent: Agent) -> tuple[str, str, str]:
    provider, model = agent.resolve()
    return agent.name, provider.name, model


async def _watched(run: Run, stream: AgentStream, agent: Agent) -> AgentOutput:
    """The same answer, streamed under the hood so that an observer sees it come."""
    observer = run.observer
    assert observer is not None
    observer.about_call(stream.stream_id, *_whose(agent))
    observer.call_started(stream.stream_id, _label(agent))
    failure: BaseException | None = None
    try:
        async with stream:
            logs.CALL.set(logs.call_of(stream.stream_id))  # in the operation's own context
            while (batch := await stream.next_batch()) is not None:
                observer.chunks(stream.stream_id, batch, False)
        return stream.collector.output()
    except BaseException as error:
        failure = error
        if isinstance(error, asyncio.CancelledError) and stream.collector.text:
            run.partials.append(stream.collector.text)
        raise
    finally:
        observer.call_ended(stream.stream_id, failure)


def _stream(run: Run, number: int, given: Any) -> int:
    agent = run.agents[number]
    told = agent_input(given, "agent:stream_execute", reader(run, agent))
    return open_stream(run, number, agent.stream(told))


def open_stream(run: Run, number: int, stream: AgentStream) -> int:
    """Takes in a stream of an agent's for the script; gives its number. Raises LimitError."""
    agent = run.agents[number]
    if len(run.streams.known) >= MOST_STREAMS:
        raise LimitError(f"the script has more than {MOST_STREAMS} streams", hint="read or close streams")
    run.engine.use_chunks(AgentChunk, {Text: b"text", Reasoning: b"reasoning"})
    metrics = run.agent_metrics.setdefault(number, Metrics())

    def ended(collector: Collector, error: BaseException | None) -> None:
        if error is None:
            metrics.add(collector.output())
        else:
            metrics.failed()

    whose = None if run.observer is None else _whose(agent)
    return run.streams.open(stream, _label(agent), slot=not agent.runs_tools, ended=ended, whose=whose)


def _collect(run: Run, number: int) -> dict[str, Any]:
    one = run.streams.known.get(number)
    if one is None:
        raise NotFoundError("the stream is no longer known")
    return one.stream.collector.output().to_dict()


def _chat_from(run: Run, saved: Any, agent: int | None = None) -> dict[str, Any]:
    from llmspell.bridge.calls.chat import load  # which is built upon what is here

    return load(run, saved, agent)


ASKS: dict[str, Callable[..., Any]] = {
    "Agent.fields": lambda run: list(AGENT),
    "Agent.native": lambda run: list(NATIVE),
    "Agent.create": _create,
    "Agent.chat_from": _chat_from,
    "Agent.get": _get,
    "Agent.list": lambda run: list(run.agents_by_name),
    "Agent.register": _register,
    "Agent.wrap_as_tool": _wrap_as_tool,
    "Agent.get_info": _get_info,
    "agent:get_config": _config,
    "agent:get_metrics": _metrics,
    "agent:supported_media_types": _media_types,
    "agent:stream_execute": _stream,
    "stream:collect": _collect,
    "stream.close": lambda run, number: run.streams.close(number),
    "stream.known": lambda run: list(run.streams.known),
    "stream.forget": lambda run, number: run.streams.forget(number),
}
CALLS: dict[str, Callable[..., Any]] = {"agent:execute": _execute}
