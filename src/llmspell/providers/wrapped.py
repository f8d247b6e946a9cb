"""A provider around another: what it does not say itself, that one says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.providers.base import ProviderInstance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.providers.base import Embeddings, ModelCall, ModelInfo, ProviderCapabilities
    from llmspell.types.agent import AgentOutput
    from llmspell.types.price import Price
    from llmspell.types.streaming import AgentStream

__all__ = ["WrappedProvider"]


class WrappedProvider(ProviderInstance):
    """*inner*, whose methods and other attributes are its own; closing it closes that."""

    def __init__(self, inner: ProviderInstance) -> None:
        self.inner = inner
        self.name, self.type, self.usual_output = inner.name, inner.type, inner.usual_output

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    @property
    def default_model(self) -> str:
        return self.inner.default_model

    def stream(self, call: ModelCall) -> AgentStream:
        return self.inner.stream(call)

    async def execute(self, call: ModelCall) -> AgentOutput:
        return await self.inner.execute(call)

    def now(self) -> float:
        return self.inner.now()

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return self.inner.capabilities(model)

    def price(self, model: str) -> Price | None:
        return self.inner.price(model)

    async def embed(self, model: str, texts: Sequence[str], *, dimensions: int | None = None) -> Embeddings:
        return await self.inner.embed(model, texts, dimensions=dimensions)

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self.inner.models()

    async def disconnect(self) -> None:
        await self.inner.disconnect()

    async def aclose(self) -> None:
        await self.inner.aclose()
