"""What an agent is to its callers: llmspell's own, and those that a program writes.

    class Echo(BaseAgent):
        name = "echo"

        async def execute(self, given):
            return AgentOutput.of(given.messages[-1].text)

    print((await Echo().answer("hello")).text)

Scripts ask it through a provider: see `provided`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from llmspell.errors import LLMSpellError, NotSupportedError, ProviderError, one_line
from llmspell.types.agent import AgentInput, AgentOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.types.messages import Message
    from llmspell.types.streaming import AgentStream

__all__ = ["BaseAgent"]


class BaseAgent(ABC):
    """An agent: `execute` is what it must have. llmspell's own is Agent; a program may write others.

    Callers use `answer`, which checks what is said before, and lets the agent make something of an error after.
    """

    name: str = "agent"
    description: str | None = None

    @abstractmethod
    async def execute(self, given: Any) -> AgentOutput:
        """The whole answer to an AgentInput."""

    def stream_execute(self, given: Any) -> AgentStream:
        """The answer as it comes. Raises NotSupportedError where the agent has no streams: see `supports_streaming`."""
        raise NotSupportedError(f"{self.name} does not stream", hint="call `execute`")

    def supports_streaming(self) -> bool:
        """Whether `stream_execute` gives streams."""
        return type(self).stream_execute is not BaseAgent.stream_execute

    def supported_media_types(self) -> tuple[str, ...]:
        """What it reads besides text: "image", "audio", "video", "file"."""
        return ()

    def supports_multimodal(self) -> bool:
        """Whether it reads anything but text."""
        return bool(self.supported_media_types())

    def validate_input(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentInput:
        """What is said, whole. Raises ValidationError for nothing to say, NotSupportedError for media that it does not
        read."""
        told = AgentInput.of(given)
        kinds = self.supported_media_types()
        for one in told.media:
            if one.kind not in kinds:
                reads = f"it reads text, {', '.join(kinds)}" if kinds else "it reads text alone"
                raise NotSupportedError(f"{self.name} does not read {one.mime_type}", hint=reads)
        return told

    async def handle_error(self, error: Exception) -> AgentOutput:
        """An answer in the place of *error*, or an error: by default itself, and ProviderError for what is none of
        llmspell's."""
        if isinstance(error, LLMSpellError):
            raise error
        what = one_line(str(error)) or type(error).__name__
        raise ProviderError(f"{self.name} failed: {what}", cause=error) from error

    async def answer(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentOutput:
        """The whole answer to what is said. Raises LLMSpellError."""
        told = self.validate_input(given)
        try:
            return await self.execute(told)
        except Exception as error:
            return await self.handle_error(error)
