"""What every provider is to the rest of llmspell, and what a dialect is to the door to the network."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import NotSupportedError
from llmspell.types.agent import AgentOutput, Parameters
from llmspell.types.messages import Message
from llmspell.types.tools import ResponseSchema, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmspell.types.price import Price
    from llmspell.types.streaming import AgentStream
    from llmspell.types.usage import Usage

__all__ = [
    "Embeddings",
    "ModelCall",
    "ModelInfo",
    "ProviderCapabilities",
    "ProviderInstance",
    "Timeouts",
    "WireReply",
    "WireRequest",
]


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
    tools: what the model may call. tool_choice: "auto", "none", "required", or the name of one of them; None is the
    service's own default. parallel_tools: False asks for one call at a time. schema: the form of the answer, which the
    service is to hold the model to: only where its `structured_output` is "native". modalities: what the answer may
    be made of besides text ("image", "audio"). retry: attempts, base, max and budget over the provider's own, or a
    number of attempts. on_retry: is told of each retry: attempt, wait, error and kind, as Control has them.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    body: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    timeout: float | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = None
    parallel_tools: bool | None = None
    schema: ResponseSchema | None = None
    modalities: tuple[str, ...] = ()
    retry: Mapping[str, Any] | int | None = None
    on_retry: Callable[[Mapping[str, Any]], object] | None = None


class ProviderCapabilities(NamedTuple):
    """What a service can do, or one of its models. None is unknown.

    structured_output: how an answer gets its form: "native" (the service holds the model to a schema), "tool" (a tool
    that must be called takes it), "instruct" (the model is told, and what it says is checked). tool_result_media: what
    the result of a tool may hold besides text; all else goes beside it, in a message of the user's. modalities: text,
    image, audio, video, file. max_media_size: bytes of one medium. structured_output_with_tools: whether a service that
    holds a model to a schema does so in a call that offers tools, too; structured_output_any_root: whether one that is
    no object's, but a list's, say.
    """

    supports_streaming: bool = True
    supports_tools: bool = True
    supports_tool_choice: bool = True
    structured_output: str = "native"
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    tool_result_media: tuple[str, ...] = ()
    supports_reasoning: bool | None = None
    supports_embeddings: bool = False
    max_context_tokens: int | None = None
    max_output_tokens: int | None = None
    max_media_size: int | None = None
    structured_output_with_tools: bool = True
    structured_output_any_root: bool = False

    @property
    def supports_multimodal(self) -> bool:
        """Whether it takes or makes anything but text."""
        return self.input_modalities != ("text",) or self.output_modalities != ("text",)

    @property
    def supports_structured_output(self) -> bool:
        """Whether the service itself sees to an answer's form."""
        return self.structured_output != "instruct"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the unknown left out; lists for tuples."""
        told = {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}
        told |= {
            "supports_multimodal": self.supports_multimodal,
            "supports_structured_output": self.supports_structured_output,
        }
        return {name: value for name, value in told.items() if value is not None}


class ModelInfo(NamedTuple):
    """A model that a service has. details: what else it says (size, family, owner, created …)."""

    id: str
    details: Mapping[str, Any] = {}


class Embeddings(NamedTuple):
    """Texts as vectors, in the order of the texts. model: as the service named it."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage


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
    #: Tokens that an answer has at most where a call sets no `max_tokens`, where the provider itself sees to that.
    usual_output: int | None = None

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

    def now(self) -> float:
        """What a chunk's `timestamp` is, of one that is made now: seconds since the epoch."""
        return time.time()

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What it can do, with *model* where one is named. Asks nobody."""
        return ProviderCapabilities()

    def price(self, model: str) -> Price | None:
        """What *model* costs there; None where nobody knows. Asks nobody."""
        return None

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        """*texts* as vectors. Raises NotSupportedError where the service makes none."""
        raise NotSupportedError(f"{self.name} makes no embeddings", hint="see docs/providers.md for those that do")

    async def models(self) -> tuple[ModelInfo, ...]:
        """The models that the service says it has. Raises NotSupportedError where it does not say."""
        raise NotSupportedError(f"{self.name} does not list its models")

    async def disconnect(self) -> None:
        """Closes the connections of an event loop that is about to end; on another, it serves on as it was."""
        return None

    async def aclose(self) -> None:
        """Gives back connections and models."""
        return None
