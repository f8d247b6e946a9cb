"""What a dialect is: how one kind of service is spoken to and read. Functions of values; the network is http.py's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from llmspell.providers.base import ProviderCapabilities
from llmspell.providers.vendors import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmspell.providers.base import Embeddings, ModelCall, ModelInfo, WireRequest
    from llmspell.providers.reading import Reading
    from llmspell.providers.sides import Side

__all__ = ["DIALECTS", "Dialect", "dialect_class", "dialect_of", "lay_over"]

#: type of provider: where its dialect is.
DIALECTS = {
    "openai": ("llmspell.providers.openai_chat", "Chat"),
    "anthropic": ("llmspell.providers.anthropic", "Anthropic"),
    "gemini": ("llmspell.providers.gemini", "Gemini"),
    "ollama": ("llmspell.providers.ollama", "Ollama"),
    "openai-responses": ("llmspell.providers.openai_responses", "Responses"),
}


class Dialect(ABC):
    """One service's dialect, made for the host that it is at.

    base_url: where the vendor's own service is, its version included. key_env: the variable that usually holds its
    key; None where it takes none. model: a small one of the vendor's own. keyless: whether the host answers without a
    key, or may. sides: how it is asked for embeddings and its models, of `sides.SIDES`; empty where the methods for
    that are its own, or it has neither. embedding_model: the one that a call means which names none.
    """

    base_url: ClassVar[str]
    key_env: ClassVar[str | None]
    model: ClassVar[str] = ""
    sides: ClassVar[str] = ""
    embedding_model: str = ""
    dimensions: str = "dimensions"  # what the length of a vector is called

    def __init__(self, host: str) -> None:
        self.host = host.lower()
        home = host_of(self.base_url)
        self.own = self.host == home or self.host.endswith(f".{home}")  # "eu.api.openai.com" is OpenAI's, too

    @classmethod
    def address(cls, base_url: str) -> str:
        """What the paths of requests are joined to, of a configured *base_url*."""
        return base_url

    def of_vendor(self, name: str) -> None:
        """Told once, before all else, which vendor of `vendors.toml` it is configured as, wherever it is."""
        return None

    @property
    def keyless(self) -> bool:
        """Whether the service may answer without a key: any that is not the vendor's own."""
        return not self.own

    @abstractmethod
    def auth(self, key: str) -> dict[str, str]:
        """The headers that carry *key*; with an empty one, those that every request has."""

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What this kind of service can do, with *model* where one is named; functions of names, nobody is asked."""
        return ProviderCapabilities()

    @abstractmethod
    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*; its `body` and `headers` are laid over it last. Raises ValidationError."""

    @abstractmethod
    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        """Reads the answer to one request."""

    # Embeddings, and the models that the service has

    @property
    def embeds(self) -> bool:
        """Whether it makes embeddings."""
        return self.embedding_batch > 0

    @property
    def embedding_batch(self) -> int:
        """Texts that one request for embeddings takes; 0 where there are none."""
        return self._side().batch if self.sides else 0

    def embed_request(self, model: str, texts: Sequence[str], dimensions: int | None) -> WireRequest:
        """The request for the vectors of *texts*, of as many numbers as *dimensions* says, where it says any."""
        make = self._side().embed_request
        assert make is not None  # `embeds` was asked
        return make(self, model, texts, dimensions)

    def read_embeddings(self, value: Any) -> Embeddings:
        """What an answer holds, parsed JSON, in the order of the texts. Raises ValueError for anything else."""
        read = self._side().read_embeddings
        assert read is not None
        return read(value)

    def models_request(self, after: str) -> WireRequest | None:
        """The request for the models, from the mark *after* on, empty at first; None where the service lists none."""
        return self._side().models_request(after) if self.sides else None

    def read_models(self, value: Any) -> tuple[list[ModelInfo], str]:
        """A page of the models, and the mark of the next, empty for none. Raises ValueError for anything else."""
        return self._side().read_models(value)

    def _side(self) -> Side:
        from llmspell.providers.sides import SIDES

        return SIDES[self.sides]


def dialect_class(type_: str) -> type[Dialect]:
    """The class of a type of provider."""
    module, name = DIALECTS[type_]
    cls: type[Dialect] = getattr(import_module(module), name)
    return cls


def dialect_of(type_: str, host: str | None = None) -> Dialect:
    """The dialect of a type of provider. host: where it is; without, at the vendor's own."""
    cls = dialect_class(type_)
    return cls(host_of(cls.base_url) if host is None else host)


def lay_over(body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Lays an agent's `extra.body` over a request: objects are joined, all else is replaced."""
    for name, value in extra.items():
        if isinstance(value, dict):
            old = body.get(name)
            joined: dict[str, Any] = dict(old) if isinstance(old, dict) else {}
            lay_over(joined, value)
            body[name] = joined  # a new one: neither is changed for the next request
        else:
            body[name] = value
