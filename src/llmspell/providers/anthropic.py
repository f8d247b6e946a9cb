"""Anthropic's Messages: one call to one request. Source: WIRE.md §6, §10, §11."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import NotSupportedError, ValidationError, one_line
from llmspell.providers.anthropic_reader import MessagesReader
from llmspell.providers.asking import (
    answered,
    call_id,
    check_names,
    choice_of,
    kept_of,
    nothing_to_send,
    place_of,
    refused,
    system_of,
)
from llmspell.providers.base import ProviderCapabilities, WireRequest
from llmspell.providers.calls import text_of
from llmspell.providers.claude import UNBOUND, claude
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ModelCall
    from llmspell.providers.claude import Claude
    from llmspell.types.media import Media
    from llmspell.types.messages import Message
    from llmspell.types.tools import ToolSpec

__all__ = ["Anthropic"]

VERSION = "2023-06-01"
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 65536}  # of thinking
CHOICES = {"auto": "auto", "none": "none", "required": "any"}
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PLAIN = ("application/json", "application/xml", "application/yaml", "application/javascript")  # text, by another name
TAKES = "images (jpeg, png, gif, webp), PDF, and files of text"
LARGEST = 24 * 1024 * 1024  # bytes: a request holds 32 MB, of base64
NAME = "1 to 128 letters, digits, `_` and `-`"
#: What a schema may not say where the service holds the model to it; it is for who reads the answer to check.
UNHELD = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "minItems", "maxItems", "uniqueItems", "minContains", "maxContains", "minProperties", "maxProperties",
}  # fmt: skip


class Anthropic(Dialect):
    """`POST /v1/messages`, as Anthropic and those who speak like it answer it."""

    base_url = "https://api.anthropic.com"
    key_env = "ANTHROPIC_API_KEY"
    model = "claude-haiku-4-5"
    sides = "anthropic"

    @classmethod
    def address(cls, base_url: str) -> str:
        """With or without its version, as Anthropic's own clients take it without."""
        return base_url.rstrip("/").removesuffix("/v1")

    def auth(self, key: str) -> dict[str, str]:
        """The key's own header, and the version that every request names."""
        version = {"anthropic-version": VERSION}
        return version | {"x-api-key": key} if key else version

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the service can do; of a model that is not Claude's by its name, what the first of them could."""
        ways = None if model is None else claude(model)
        return ProviderCapabilities(
            supports_tool_choice=ways is None or ways.forced,
            structured_output="native" if ways is None or ways.native else "tool",
            input_modalities=("text", "image", "file"),
            tool_result_media=("image", "file"),
            supports_reasoning=True if ways is None else ways.thinks,
            max_output_tokens=None if ways is None or ways.limit == UNBOUND else ways.limit,
            max_media_size=LARGEST,
        )

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Messages of the system go on top, turns of one role are joined.

        A seed is not sent: the service has none. temperature and top_p are left out where the model refuses them:
        while it thinks, and from Claude 4.7 on always. Raises NotSupportedError for media that the service does not
        take, and for a forced call where the model thinks; ValidationError for what no service would take.
        """
        parameters, ways = call.parameters, claude(call.model)
        body: dict[str, Any] = {
            "model": call.model,
            "max_tokens": parameters.max_tokens or ways.answer,
            "messages": _turns(call.messages),
        }
        if not body["messages"]:
            raise nothing_to_send()
        if system := system_of(call.messages):
            body["system"] = system
        thinks = parameters.reasoning is not None and _think(body, parameters.reasoning, ways)
        if ways.samples:
            if parameters.temperature is not None and not thinks:
                body["temperature"] = parameters.temperature
            if parameters.top_p is not None and (not thinks or parameters.top_p >= 0.95):
                body["top_p"] = parameters.top_p
        if parameters.stop:
            body["stop_sequences"] = list(parameters.stop)
        if call.tools or call.tool_choice is not None:
            _give_tools(body, call, ways, thinks=thinks)
        if call.schema is not None:
            _hold(body, call, ways)
        for modality in call.modalities:
            if modality != "text":
                raise NotSupportedError(f"the service makes no {one_line(modality, 40)}", hint="it writes text only")
        if stream:
            body["stream"] = True
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(extra_headers(call.headers))
        return WireRequest("POST", "/v1/messages", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        """Reads one answer."""
        return Reading(MessagesReader(provider, model, key_env=key_env, secrets=secrets))


def _think(body: dict[str, Any], effort: str, ways: Claude) -> bool:
    """Says how much to think; gives whether it is asked to. Thinking is paid out of the answer's tokens, so there are
    as many more of these, up to what the model writes. "none" is the least that the model knows.
    """
    if effort == "none":
        if ways.off:
            body["thinking"] = {"type": ways.off}
        else:
            body["output_config"] = {"effort": "low"}
        return False
    asked = body["max_tokens"]
    budget = BUDGETS.get(effort, BUDGETS["medium"])
    body["max_tokens"] = most = max(asked, min(asked + budget, ways.limit))
    if ways.adaptive:
        # From 4.7 on the text of thoughts comes only where it is asked for.
        body["thinking"] = {"type": "adaptive"} if ways.samples else {"type": "adaptive", "display": "summarized"}
        body["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    else:
        body["thinking"] = {"type": "enabled", "budget_tokens": min(budget, most - min(asked, 1024))}
    return True


def _give_tools(body: dict[str, Any], call: ModelCall, ways: Claude, *, thinks: bool) -> None:
    check_names(call, _named, NAME)
    choice = choice_of(call)
    told: dict[str, Any]
    if call.tools:
        body["tools"] = [_tool(tool, ways) for tool in call.tools]
    if choice in (None, "auto", "none"):
        told = {"type": choice} if choice else {}
    elif thinks or not ways.forced:
        raise NotSupportedError(
            f"{one_line(call.model, 80)} cannot be made to call a tool while it thinks",
            hint='`tool_choice = "auto"`' + (", or no `reasoning`" if ways.forced else ", or another model"),
        )
    else:
        told = {"type": CHOICES[choice]} if choice in CHOICES else {"type": "tool", "name": choice}
    if call.parallel_tools is not None and call.tools and choice != "none":
        told = (told or {"type": "auto"}) | {"disable_parallel_tool_use": not call.parallel_tools}
    if told:
        body["tool_choice"] = told


def _named(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isascii() and all(c.isalnum() or c in "_-" for c in name)


def _tool(tool: ToolSpec, ways: Claude) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **tool.parameters}}
    if tool.description:
        told["description"] = tool.description
    if tool.strict and ways.native:
        told["strict"] = True
        told["input_schema"] = _held(told["input_schema"])
    return told


def _hold(body: dict[str, Any], call: ModelCall, ways: Claude) -> None:
    """Holds the answer to the call's schema."""
    if not ways.native:
        raise NotSupportedError(
            f"{one_line(call.model, 80)} cannot be held to a schema",
            hint="a tool that must be called can take the form",
        )
    form = {"type": "json_schema", "schema": _held(call.schema.schema if call.schema else {})}
    body["output_config"] = body.get("output_config", {}) | {"format": form}


def _held(schema: Any) -> Any:
    """A schema as the service takes it: an object's members are all that it has, and nothing is said of sizes."""
    if isinstance(schema, list):
        return [_held(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            told[name] = {member: _held(one) for member, one in value.items()}
        elif name in ("enum", "const", "default", "examples"):
            told[name] = value
        elif name not in UNHELD:
            told[name] = _held(value)
    if told.get("type") == "object" or "properties" in told:
        told.setdefault("additionalProperties", False)
    return told


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The conversation: the results of one turn's tools in one message of the user's, before any text of it."""
    turns: list[dict[str, Any]] = []
    for place, message in answered(messages):
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, place)
        if not blocks:
            continue  # an empty text is refused
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    if turns and turns[-1]["role"] == "assistant":
        _begun(turns[-1]["content"])
    for turn in turns:
        if len(turn["content"]) == 1 and turn["content"][0].keys() == {"type", "text"}:
            turn["content"] = turn["content"][0]["text"]
    return turns


def _begun(blocks: list[dict[str, Any]]) -> None:
    """An answer that the script began, and the model is to go on with: it may not end in a space."""
    if blocks[-1].get("type") == "text":
        blocks[-1] = blocks[-1] | {"text": blocks[-1]["text"].rstrip()}


def _blocks(message: Message, place: int) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [_result(message, place)]
    if message.role == "assistant" and (kept := kept_of(message, "blocks")):
        said = [block for block in kept if block.get("type") != "text" or text_of(block.get("text")).strip()]
        return [
            {**block, "id": _id(text_of(block.get("id")))} if block.get("type") == "tool_use" else block
            for block in said
        ]
    blocks = _content(message, place)
    blocks += [
        {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": call.arguments or {}}
        for call in message.tool_calls
    ]
    return blocks


def _id(told: str) -> str:
    """A call's id as the service takes it: the same for a call and its result."""
    return call_id(told, 128)


def _content(message: Message, place: int) -> list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    blocks: list[dict[str, Any]] = []
    for number, part in enumerate(content):
        if not isinstance(part, str):
            if message.role == "assistant":
                raise refused(part, place_of(place, number), "text as what the model said")
            blocks.append(_medium(part, place_of(place, number)))
        elif part.strip():
            blocks.append({"type": "text", "text": part})
    return blocks


def _result(message: Message, place: int) -> dict[str, Any]:
    """What a tool gave: its text, or texts and media in order."""
    told: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(message.tool_call_id or "")}
    told["content"] = _content(message, place) if message.media else message.text
    if message.is_error:
        told["is_error"] = True
        told["content"] = told["content"] or "The tool failed."  # an error without a word is refused
    return told


def _medium(media: Media, place: str) -> dict[str, Any]:
    mime = media.mime_type.partition(";")[0].strip().lower()
    told: dict[str, Any]
    if mime in IMAGES or (mime == "image/*" and media.data is None):  # an address need not tell its format
        return {"type": "image", "source": _source(media, mime, place)}
    if mime == "application/pdf":
        told = {"type": "document", "source": _source(media, mime, place)}
    elif (mime.startswith("text/") or mime in PLAIN) and media.data is not None:
        try:
            text = media.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValidationError(f"{place} is no text in UTF-8", hint=f"the service takes {TAKES}") from error
        told = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    else:
        raise refused(media, place, TAKES)
    if media.filename:
        told["title"] = media.filename
    return told


def _source(media: Media, mime: str, place: str) -> Mapping[str, str]:
    if media.data is not None:
        return {"type": "base64", "media_type": mime, "data": media.base64}
    url = media.url or ""
    if not url.lower().startswith(("https://", "http://")):
        raise ValidationError(f"{place} has neither bytes nor a web address", hint="give it `data`, or an https `url`")
    return {"type": "url", "url": url}
