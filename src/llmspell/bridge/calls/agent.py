"""Host calls behind `Agent`, agents and their streams."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell.agents.agent import Agent
from llmspell.bridge.api import AGENT, check
from llmspell.bridge.inputs import agent_input
from llmspell.errors import LimitError, NotFoundError
from llmspell.types.messages import NATIVE
from llmspell.types.streaming import AgentChunk, Reasoning, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.bridge.run import Run
    from llmspell.types.streaming import AgentStream

MOST_AGENTS = 10_000  # of one run; each is kept until it ends
MOST_STREAMS = 100_000  # open at once


def _create(run: Run, config: dict[str, Any]) -> dict[str, Any]:
    fields = dict(check("Agent.create", AGENT, config))
    if len(run.agents) >= MOST_AGENTS:
        raise LimitError(
            f"the script has made more than {MOST_AGENTS} agents", hint="make an agent once and use it again"
        )
    prompt = fields.pop("prompt", None)
    if prompt is not None:
        fields.setdefault("system_prompt", prompt)
    schema = fields.get("response_schema")
    if schema is not None:
        from llmspell.tools.schema import from_script

        fields["response_schema"] = from_script(schema)
    number = len(run.agents) + 1
    fields.setdefault("name", f"agent-{number}")
    if fields.get("model") is None and fields.get("provider") is None:
        fields["model"], fields["provider"] = run.model, run.provider
    retried = partial(_retried, run, fields["name"])
    agent = Agent(**fields, providers=run.providers(), meter=run.meter, on_retry=retried)
    agent.resolve()
    run.agents[number] = agent
    run.agents_by_name[agent.name] = number
    return {"id": number, "name": agent.name}


def _retried(run: Run, name: str, details: Mapping[str, Any]) -> None:
    """A line of the log: nothing is tried again in silence."""
    if "model" in details:
        run.log("warn", f"{name}: {details['error']}; asking {details['model']}", None)
    else:
        wait = f"in {details['wait']:.3g} s" if details["wait"] else "at once"
        run.log("warn", f"{name}: {details['error']}; attempt {details['attempt']} {wait}", None)


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
        "extra": agent.extra or None,
        **agent.parameters._asdict(),
    }
    return {name: value for name, value in told.items() if value is not None}


# ---- what comes out


def _label(agent: Agent) -> str:
    """What a call is called on a screen."""
    provider, model = agent.resolve()
    return f"{agent.name} · {provider.name}/{model}"


async def _execute(run: Run, number: int, given: Any) -> dict[str, Any]:
    agent = run.agents[number]
    told = agent_input(given, "agent:execute")
    async with run.slot():
        if run.observer is None:  # which a run with a tape always has: it streams, whoever looks on
            output = await agent.execute(told)
        else:
            output = await _watched(run, agent.stream(told), _label(agent))
    run.count_call(output)
    return output.to_dict()


async def _watched(run: Run, stream: AgentStream, label: str) -> Any:
    """The same answer, streamed under the hood so that an observer sees it come."""
    observer = run.observer
    assert observer is not None
    observer.call_started(stream.stream_id, label)
    failure: BaseException | None = None
    try:
        async with stream:
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
    if len(run.streams.known) >= MOST_STREAMS:
        raise LimitError(f"the script has more than {MOST_STREAMS} streams", hint="read or close streams")
    run.engine.use_chunks(AgentChunk, {Text: b"text", Reasoning: b"reasoning"})
    stream = agent.stream(agent_input(given, "agent:stream_execute"))
    return run.streams.open(stream, _label(agent))


def _collect(run: Run, number: int) -> dict[str, Any]:
    one = run.streams.known.get(number)
    if one is None:
        raise NotFoundError("the stream is no longer known")
    return one.stream.collector.output().to_dict()


ASKS: dict[str, Callable[..., Any]] = {
    "Agent.fields": lambda run: list(AGENT),
    "Agent.native": lambda run: list(NATIVE),
    "Agent.create": _create,
    "Agent.get": _get,
    "Agent.list": lambda run: list(run.agents_by_name),
    "agent:get_config": _config,
    "agent:stream_execute": _stream,
    "stream:collect": _collect,
    "stream.close": lambda run, number: run.streams.close(number),
    "stream.known": lambda run: list(run.streams.known),
    "stream.forget": lambda run, number: run.streams.forget(number),
}
CALLS: dict[str, Callable[..., Any]] = {"agent:execute": _execute}
