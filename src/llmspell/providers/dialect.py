"""What a dialect is: how one kind of service is spoken to and read. Functions of values; the network is http.py's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from llmspell.providers.base import ProviderCapabilities
from llmspell.providers.vendors import host_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ModelCall, WireRequest
    from llmspell.providers.reading import Reading

__all__ = ["DIALECTS", "Dialect", "dialect_of", "lay_over"]

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
    key, or may.
    """

    base_url: ClassVar[str]
    key_env: ClassVar[str | None]
    model: ClassVar[str] = ""

    def __init__(self, host: str) -> None:
        self.host = host.lower()
        self.own = self.host == host_of(self.base_url)

    @classmethod
    def address(cls, base_url: str) -> str:
        """What the paths of requests are joined to, of a configured *base_url*."""
        return base_url

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


def dialect_of(type_: str, host: str | None = None) -> Dialect:
    """The dialect of a type of provider. host: where it is; without, at the vendor's own."""
    module, name = DIALECTS[type_]
    cls: type[Dialect] = getattr(import_module(module), name)
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
