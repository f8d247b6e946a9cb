"""What every provider is to the rest of llmspell, and what a dialect is to the door to the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.messages import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.types.streaming import AgentStream

__all__ = ["ModelCall", "ProviderInstance", "Timeouts", "WireReply", "WireRequest"]


class Timeouts(NamedTuple):
    """Seconds; 0 or None is without end.

    connect: until the connection stands. first_token: from the request to the answer's first byte of body.
    idle: between two reads of a stream. total: the whole call.
    """

    connect: float | None = 5.0
    first_token: float | None = 60.0
    idle: float | None = 30.0
    total: float | None = 600.0


class ModelCall(NamedTuple):
    """One request to a model, in nobody's dialect.

    messages: in order, system first. body, headers: added to the request as they are (`extra` of an agent).
    timeout: seconds for the whole call, over the provider's own `total`.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    body: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    timeout: float | None = None


class WireRequest(NamedTuple):
    """An HTTP request without its host: path is joined to the provider's base_url."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class WireReply(NamedTuple):
    """An HTTP answer, read whole. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class ProviderInstance(ABC):
    """A service that answers, configured and named.

    name: the prefix in "openai/gpt-4o-mini". type: its dialect or vendor. One instance serves many calls at once
    on one event loop; `aclose` it when the loop ends.
    """

    name: str
    type: str

    @property
    def default_model(self) -> str:
        """The model where a call names none; empty where there is none."""
        return ""

    @abstractmethod
    def stream(self, call: ModelCall) -> AgentStream:
        """The answer as it comes. Nothing is sent before the first read."""

    @abstractmethod
    async def execute(self, call: ModelCall) -> AgentOutput:
        """The whole answer. Raises LLMSpellError; cancelled, it closes its connection."""

    async def aclose(self) -> None:
        """Gives back connections and models."""
        return None
