"""OpenAI's chat dialect: one call to one request, bytes to chunk contents. I/O is in http.py.

What vendors of this dialect do differently is read by `ChatReader` without knowing who they are; what must be written
differently is in `vendors.toml`. Source: WIRE.md §1, §2.2, §4, §9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.providers import reading
from llmspell.providers.base import WireRequest
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.vendors import Vendor, vendor_at

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message, ToolCall

__all__ = ["BASE_URL", "KEY_ENV", "MODEL", "PATH", "Chat", "Reading", "request"]

BASE_URL = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"
MODEL = "gpt-4o-mini"
PATH = "/chat/completions"
#: OpenAI's own reasoning models, which refuse `max_tokens`.
REASONING_MODEL = re.compile(r"o\d|gpt-([5-9]|\d\d)")


PLAIN = Vendor("")


def request(call: ModelCall, *, stream: bool, vendor: Vendor = PLAIN, own: bool = False) -> WireRequest:
    """The request for *call*. `call.body` and `call.headers` are laid over it last.

    vendor: what it wants written in another way. own: it is OpenAI itself, whose reasoning models take
    `max_completion_tokens`. Raises ValidationError for a header that is not for a script to set.
    """
    parameters = call.parameters
    body: dict[str, Any] = {"model": call.model, "messages": [_message(message) for message in call.messages]}
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if parameters.top_p is not None:
        body["top_p"] = parameters.top_p
    if parameters.max_tokens is not None:
        new = own and REASONING_MODEL.match(call.model)
        body["max_completion_tokens" if new else "max_tokens"] = parameters.max_tokens
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.seed is not None:
        body[vendor.seed] = parameters.seed
    if parameters.reasoning is not None:
        body |= _reasoning(vendor.reasoning, parameters.reasoning)
    if stream:
        body["stream"] = True
        if vendor.usage:
            body["stream_options"] = {"include_usage": True}
    lay_over(body, vendor.body)
    lay_over(body, call.body)
    headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
    headers.update(extra_headers(call.headers))
    return WireRequest("POST", PATH, headers, orjson.dumps(body))


def _reasoning(way: str, effort: str) -> dict[str, Any]:
    """How hard to think, as a vendor wants it said."""
    if way == "object":
        return {"reasoning": {"enabled": False} if effort == "none" else {"effort": effort}}
    if way == "thinking":
        return {"thinking": {"type": "disabled" if effort == "none" else "enabled"}}
    return {"reasoning_effort": effort}


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        told["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
        told["content"] = message.text or None
    if message.role == "tool":
        told["tool_call_id"] = message.tool_call_id
    return told


def _tool_call(call: ToolCall) -> dict[str, Any]:
    arguments = call.raw or orjson.dumps(call.arguments or {}).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


class Chat(Dialect):
    """`POST /chat/completions`, as OpenAI and many others answer it."""

    base_url = BASE_URL
    key_env = KEY_ENV
    model = MODEL

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.vendor = None if self.own else vendor_at(self.host)

    @property
    def keyless(self) -> bool:
        """Whether the service may answer without a key: where nothing is known of it, or nothing of a key."""
        return not self.own and (self.vendor is None or self.vendor.api_key_env is None)

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token, or a header of its own."""
        if self.vendor is not None and self.vendor.auth == "api-key":
            return {"api-key": key} if key else {}
        return {"authorization": f"Bearer {key}"} if key else {}

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*."""
        return request(call, stream=stream, vendor=self.vendor or PLAIN, own=self.own)

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> reading.Reading:
        """Reads one answer."""
        return Reading(provider, model, key_env=key_env, secrets=secrets)


class Reading(reading.Reading):
    """One answer of this dialect; see `reading.Reading`."""

    __slots__ = ()

    def __init__(self, provider: str, model: str, *, key_env: str | None = None, secrets: tuple[str, ...] = ()) -> None:
        super().__init__(ChatReader(provider, model, key_env=key_env, secrets=secrets))
