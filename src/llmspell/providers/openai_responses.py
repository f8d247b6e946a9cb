"""OpenAI's Responses, and those who serve it: one call to one request. Source: WIRE.md §5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.providers.base import WireRequest
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import Reading
from llmspell.providers.responses_reader import ResponsesReader

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message

__all__ = ["Responses"]


class Responses(Dialect):
    """`POST /responses`. Nothing is kept at the service (`store` is false) unless `extra.body` says so."""

    base_url = "https://api.openai.com/v1"
    key_env = "OPENAI_API_KEY"
    model = "gpt-4o-mini"

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Texts that end the answer and a seed are not sent: the service has neither."""
        parameters = call.parameters
        system = [message.text for message in call.messages if message.role == "system" and message.text]
        body: dict[str, Any] = {
            "model": call.model,
            "input": [item for message in call.messages if message.role != "system" for item in _items(message)],
            "store": False,
        }
        if system:
            body["instructions"] = "\n\n".join(system)
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
        if parameters.max_tokens is not None:
            body["max_output_tokens"] = parameters.max_tokens
        if parameters.reasoning is not None:
            body["reasoning"] = {"effort": parameters.reasoning, "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if stream:
            body["stream"] = True
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(extra_headers(call.headers))
        return WireRequest("POST", "/responses", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        """Reads one answer."""
        return Reading(ResponsesReader(provider, model, key_env=key_env, secrets=secrets))


def _items(message: Message) -> list[dict[str, Any]]:
    """A message as the items of an input."""
    if message.role == "tool":
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}]
    if message.role == "assistant" and (kept := message.native.get("items")):
        return [item for told in kept if (item := _kept(told)) is not None]
    items: list[dict[str, Any]] = []
    if message.text or not message.tool_calls:
        kind = "output_text" if message.role == "assistant" else "input_text"
        items.append({"role": message.role, "content": [{"type": kind, "text": message.text}]})
    for call in message.tool_calls:
        arguments = call.raw or orjson.dumps(call.arguments or {}).decode()
        items.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments})
    return items


def _kept(item: dict[str, Any]) -> dict[str, Any] | None:
    """An item of an answer as it can be sent back where the service keeps nothing: by what is in it, not by its id.

    Reasoning goes back encrypted or not at all; what the service's own tools did is in the answer's text.
    """
    kind = item.get("type")
    if kind not in ("message", "reasoning", "function_call", "custom_tool_call"):
        return None
    if kind == "reasoning" and not item.get("encrypted_content"):
        return None
    return {name: value for name, value in item.items() if name not in ("id", "status")}
