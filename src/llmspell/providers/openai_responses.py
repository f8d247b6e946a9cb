"""OpenAI's Responses, and those who serve it: one call to one request. Source: WIRE.md §5, §10, §11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import NotSupportedError, one_line
from llmspell.providers.asking import (
    NAME,
    arguments_of,
    check_names,
    choice_of,
    failed_text,
    form_name,
    held,
    kept_of,
    name_parts,
    named_plainly,
    place_of,
    refused,
    results_first,
    system_of,
    version_in,
    web_address,
)
from llmspell.providers.base import ProviderCapabilities, WireRequest
from llmspell.providers.calls import text_of
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import Reading
from llmspell.providers.responses_reader import ResponsesReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.media import Media
    from llmspell.types.messages import Message
    from llmspell.types.tools import ResponseSchema, ToolSpec

__all__ = ["Responses"]


class Responses(Dialect):
    """`POST /responses`. Nothing is kept at the service (`store` is false) unless `extra.body` says so."""

    base_url = "https://api.openai.com/v1"
    key_env = "OPENAI_API_KEY"
    model = "gpt-4o-mini"
    sides = "openai"
    embedding_model = "text-embedding-3-small"

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the service does."""
        return ProviderCapabilities(
            structured_output="native",
            input_modalities=("text", "image", "file"),
            output_modalities=("text", "image") if self.own else ("text",),
            tool_result_media=("image", "file"),
        )

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Texts that end the answer and a seed are not sent: the service has neither.

        Raises NotSupportedError for media that the service does not take or make, ValidationError for tools that none
        would take.
        """
        parameters, reasons = call.parameters, _reasons(call.model)
        body: dict[str, Any] = {"model": call.model, "input": _input(call.messages), "store": False}
        if system := system_of(call.messages):
            body["instructions"] = system
        if parameters.temperature is not None:
            body["temperature"] = parameters.temperature
        if parameters.top_p is not None:
            body["top_p"] = parameters.top_p
        if parameters.max_tokens is not None:
            body["max_output_tokens"] = parameters.max_tokens
        if parameters.reasoning is not None and not (parameters.reasoning == "none" and self.own and not reasons):
            body["reasoning"] = {"effort": parameters.reasoning, "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if call.tools or call.tool_choice is not None:
            _give_tools(body, call)
            if self.own and reasons:
                body["include"] = ["reasoning.encrypted_content"]  # it thinks unasked, and wants it back with its calls
        if call.schema is not None:
            body["text"] = {"format": _form(call.schema)}
        if call.modalities:
            _make(body, call)
        if stream:
            body["stream"] = True
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(extra_headers(call.headers))
        return WireRequest("POST", "/responses", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        """Reads one answer."""
        return Reading(ResponsesReader(provider, model, key_env=key_env, secrets=secrets))


def _reasons(model: str) -> bool:
    """Whether a model of OpenAI's thinks, by its name; others refuse to be asked for their reasoning."""
    parts = name_parts(model)
    if not parts or "chat" in parts:
        return False
    version = version_in(parts[1:]) if parts[0] == "gpt" else None
    return (version is not None and version[0] >= 5) or (parts[0][:1] == "o" and parts[0][1:].isdecimal())


def _give_tools(body: dict[str, Any], call: ModelCall) -> None:
    check_names(call, named_plainly, NAME)
    choice = choice_of(call)
    if not call.tools:
        return
    body["tools"] = [_tool(tool) for tool in call.tools]
    if choice is not None:
        named = {"type": "function", "name": choice}
        body["tool_choice"] = choice if choice in ("auto", "none", "required") else named
    if call.parallel_tools is not None:
        body["parallel_tool_calls"] = call.parallel_tools


def _tool(tool: ToolSpec) -> dict[str, Any]:
    """A tool. Without a word the service is strict, and needs arguments that need not be: so it is always told."""
    told: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        told["description"] = tool.description
    told["parameters"], told["strict"] = held(tool.parameters, tool.strict)
    return told


def _form(schema: ResponseSchema) -> dict[str, Any]:
    form: dict[str, Any] = {"type": "json_schema", "name": form_name(schema.name)}
    if schema.description:
        form["description"] = schema.description
    form["schema"], form["strict"] = held(schema.schema, schema.strict)
    return form


def _make(body: dict[str, Any], call: ModelCall) -> None:
    """What the answer is made of besides text: images are a tool of the service's own."""
    for modality in call.modalities:
        if modality not in ("text", "image"):
            raise NotSupportedError(f"the service makes no {one_line(modality, 40)}", hint="it makes text and images")
    if "image" in call.modalities:
        body["tools"] = [*body.get("tools", ()), {"type": "image_generation"}]


def _input(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation as items. What a tool of plain text gave goes back by a name of its own."""
    items: list[dict[str, Any]] = []
    plain: set[str] = set()  # ids of calls of such tools
    for place, message in results_first(messages):
        if message.role == "system":
            continue
        for item in _items(message, place):
            if item.get("type") == "custom_tool_call":
                plain.add(text_of(item.get("call_id")))
            elif item.get("type") == "function_call_output" and item["call_id"] in plain:
                item["type"] = "custom_tool_call_output"
            items.append(item)
    return items


def _items(message: Message, place: int) -> list[dict[str, Any]]:
    """A message as the items of an input."""
    if message.role == "tool":
        output: Any = failed_text(message)
        if message.media:
            output = _parts(message, place)
            if message.is_error:
                output.insert(0, {"type": "input_text", "text": "Error:"})
        return [{"type": "function_call_output", "call_id": message.tool_call_id or "", "output": output}]
    if message.role == "assistant" and (kept := kept_of(message, "items")):
        return [item for told in kept if (item := _kept(told)) is not None]
    items: list[dict[str, Any]] = []
    if message.content or not message.tool_calls:
        items.append({"role": message.role, "content": _parts(message, place)})
    for call in message.tool_calls:
        if call.raw and call.arguments == {"input": call.raw}:  # of a tool that takes plain text
            items.append({"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": call.raw})
            continue
        told = {"call_id": call.id, "name": call.name, "arguments": arguments_of(call)}
        items.append({"type": "function_call", **told})
    return items


def _parts(message: Message, place: int) -> list[dict[str, Any]]:
    """A message's parts, in order; one of no text where there is nothing."""
    said = message.role == "assistant"
    kind = "output_text" if said else "input_text"
    if not message.media:
        return [{"type": kind, "text": message.text}]
    parts: list[dict[str, Any]] = []
    for number, part in enumerate(message.content):
        if isinstance(part, str):
            if part:
                parts.append({"type": kind, "text": part})
        elif said:
            raise refused(part, place_of(place, number), "text as what the model said")
        else:
            parts.append(_medium(part, place_of(place, number)))
    return parts


def _medium(media: Media, place: str) -> dict[str, Any]:
    if media.kind == "image":
        image = {"type": "input_image", "image_url": web_address(media, place)}
        return image | ({"detail": media.detail} if media.detail else {})
    if media.kind != "file":
        raise refused(media, place, "text, images and files")
    if media.data is None:
        return {"type": "input_file", "file_url": web_address(media, place)}
    pdf = media.mime_type.lower().startswith("application/pdf")
    name = media.filename or ("file.pdf" if pdf else "file.txt" if media.mime_type.startswith("text/") else "file")
    return {"type": "input_file", "filename": name, "file_data": media.data_url}


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
