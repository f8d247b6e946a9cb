"""Agents that a program wrote, as the models of a provider: so scripts, workflows and other agents can ask them.

manager.register(AgentProvider([Echo()]))     # and in Lua: Agent.create{ model = "agents/echo" }
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from llmspell.errors import (
    CallTimeoutError,
    ConfigError,
    LLMSpellError,
    NotFoundError,
    ProviderError,
    ValidationError,
    one_line,
)
from llmspell.providers.base import ModelInfo, ProviderCapabilities, ProviderInstance
from llmspell.types.agent import AgentInput, AgentOutput

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable

    from llmspell.agents.base import BaseAgent
    from llmspell.providers.base import ModelCall
    from llmspell.providers.turn import Turn
    from llmspell.types.streaming import AgentChunk, AgentStream, ChunkContent

__all__ = ["AgentProvider"]


class AgentProvider(ProviderInstance):
    """Agents of a program, by their names.

    name: the prefix, "agents". An agent's own name is the model's. Those that do not stream are asked for the whole.
    """

    type = "agents"

    def __init__(self, agents: Iterable[BaseAgent], name: str = "agents") -> None:
        self.name = name
        self._agents: dict[str, BaseAgent] = {}
        for agent in agents:
            if agent.name in self._agents:
                raise ConfigError(f"two agents are called `{one_line(agent.name, 60)}`")
            self._agents[agent.name] = agent

    def __repr__(self) -> str:
        return f"AgentProvider({list(self._agents)!r}, name={self.name!r})"

    @property
    def default_model(self) -> str:
        """The first agent's name."""
        return next(iter(self._agents), "")

    def _agent(self, name: str) -> BaseAgent:
        agent = self._agents.get(name)
        if agent is None:
            raise NotFoundError(
                f"{self.name} has no agent `{one_line(name, 60)}`",
                hint=f"there are {', '.join(self._agents)}" if self._agents else None,
                provider=self.name,
            )
        return agent

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What its agents say of themselves; tools and forms are their own affair."""
        agent = self._agents.get(self.default_model if model is None else model)
        kinds = () if agent is None else agent.supported_media_types()
        return ProviderCapabilities(
            supports_streaming=agent is not None and agent.supports_streaming(),
            supports_tools=False,
            supports_tool_choice=False,
            structured_output="instruct",
            input_modalities=("text", *kinds),
            output_modalities=("text", "image", "audio", "video", "file"),
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        """The agents."""
        return tuple(
            ModelInfo(name, {"description": agent.description} if agent.description else {})
            for name, agent in self._agents.items()
        )

    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as the agent streams it, or the whole at once."""
        from llmspell.providers.turn import Turn
        from llmspell.types.streaming import AgentStream

        turn = Turn(self.name, call.model)
        return AgentStream(turn.stream_id, self._batches(call, turn))

    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer; `metadata` name the agent, unless it says otherwise."""
        agent = self._agent(call.model)
        async with self._until(_deadline(call), call):
            done = await agent.answer(self._input(call))
        if not isinstance(done, AgentOutput):
            raise ProviderError(f"{agent.name} gave a {type(done).__name__} and no AgentOutput", provider=self.name)
        return done._replace(metadata={"model": call.model, "provider": self.name, **done.metadata})

    @staticmethod
    def _input(call: ModelCall) -> AgentInput:
        return AgentInput(call.messages, call.parameters, call.modalities)

    @asynccontextmanager
    async def _until(self, deadline: float | None, call: ModelCall) -> AsyncIterator[None]:
        """Raises CallTimeoutError for what lasts beyond *deadline*, in the loop's time."""
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                yield
        except TimeoutError as late:
            if not scope.expired():
                raise
            what = f"{call.model} took longer than {call.timeout:g} s"
            raise CallTimeoutError(what, provider=self.name, model=call.model) from late

    async def _batches(self, call: ModelCall, turn: Turn) -> AsyncGenerator[list[AgentChunk], None]:
        agent = self._agent(call.model)
        turn.start()
        if not agent.supports_streaming():
            done = await self.execute(call)
            turn.told(done.metadata)
            yield turn.chunks(_contents(done))
            return
        deadline = _deadline(call)
        async with agent.stream_execute(agent.validate_input(self._input(call))) as stream:
            while True:
                try:
                    async with self._until(deadline, call):
                        batch = await stream.next_batch()
                except Exception as error:
                    yield turn.chunks(_contents(await self._instead(agent, stream, error)))
                    return
                if batch is None:
                    return
                if contents := _taken(batch, turn):
                    yield turn.chunks(contents)

    async def _instead(self, agent: BaseAgent, stream: AgentStream, error: Exception) -> AgentOutput:
        """What *agent* makes of an error, as long as nothing was said: that cannot be taken back."""
        if stream.collector.text and isinstance(error, LLMSpellError):
            raise error
        if stream.collector.text:
            raise ProviderError(f"{agent.name} failed: {one_line(str(error))}", cause=error) from error
        return await agent.handle_error(error)


def _deadline(call: ModelCall) -> float | None:
    return asyncio.get_running_loop().time() + call.timeout if call.timeout else None


def _taken(batch: list[AgentChunk], turn: Turn) -> list[ChunkContent]:
    """The contents of an agent's own chunks; the turn begins with a "stream_start" of its own."""
    from llmspell.types.streaming import Control

    contents: list[ChunkContent] = []
    for chunk in batch:
        if not (isinstance(chunk.content, Control) and chunk.content.message == "stream_start"):
            contents.append(chunk.content)
        turn.told(chunk.metadata)
    return contents


def _contents(done: AgentOutput) -> list[ChunkContent]:
    """A whole answer as the contents of a stream."""
    from llmspell.types.streaming import Control, MediaPiece, Reasoning, Text, ToolCallComplete
    from llmspell.types.usage import Usage

    contents: list[ChunkContent] = [Reasoning(done.reasoning)] if done.reasoning else []
    contents += [Text(done.text)] if done.text else []
    for one in done.media:
        if one.data is None:
            raise ValidationError("an answer's media are bytes, not addresses")
        contents.append(MediaPiece(one.mime_type, one.data))
    contents += [ToolCallComplete(call.id, call.name, call.arguments, call.result, call.raw, call.error)
                 for call in done.tool_calls]  # fmt: skip
    usage = done.usage if done.usage != Usage() else None
    contents.append(
        Control("stream_end", done.finish_reason, usage, None if done.data is None else {"data": done.data})
    )
    return contents
