"""Gemini, at Google AI and at Vertex: one call to one request. Source: WIRE.md §7, §10, §11."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from llmspell.errors import NotSupportedError, ValidationError, one_line
from llmspell.providers.asking import (
    answered,
    check_names,
    choice_of,
    kept_of,
    name_parts,
    nothing_to_send,
    place_of,
    system_of,
    version_in,
)
from llmspell.providers.base import ProviderCapabilities, WireRequest
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.gemini_reader import INVENTED, GenerateReader, GenerateReading
from llmspell.providers.headers import extra_headers

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall
    from llmspell.providers.sides import Side
    from llmspell.types.media import Media
    from llmspell.types.messages import Message
    from llmspell.types.tools import ToolSpec

__all__ = ["Gemini"]

BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}  # tokens of thinking
LEAST = 128  # of them, for a model that cannot be without
CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
LATEST = (99, 0)  # of "gemini-flash-latest"
#: A turn with calls of which there is no signature, since another service or a script made it, is taken with this one.
FOREIGN = "skip_thought_signature_validator"
LARGEST = 50 * 1024 * 1024  # bytes of one medium
NAME = "1 to 128 letters, digits, `_`, `.`, `:` and `-`"
#: What a function's result may hold from Gemini 3 on; all else goes beside it.
IN_RESULTS = ("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain")


class Gemini(Dialect):
    """`POST /models/MODEL:generateContent`; at Vertex the same below the project's own path, with a bearer's token."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    key_env = "GEMINI_API_KEY"
    model = "gemini-2.5-flash-lite"
    sides = "gemini"
    embedding_model = "gemini-embedding-001"

    @property
    def _vertex(self) -> bool:
        return self.host.endswith(".googleapis.com") and "aiplatform" in self.host  # also "aiplatform.eu.rep."

    def _side(self) -> Side:
        from llmspell.providers.sides import SIDES

        return SIDES["vertex"] if self._vertex else super()._side()

    def auth(self, key: str) -> dict[str, str]:
        """The key's own header, and not the address, which is logged; at Vertex, a bearer's token."""
        if self._vertex:
            return {"authorization": f"Bearer {key}"} if key else {}
        return {"x-goog-api-key": key} if key else {}

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the service can do; of a model what its name tells: its version, whether it draws, speaks or embeds."""
        everything = ("text", "image", "audio", "video", "file")
        if model is None:
            return ProviderCapabilities(
                input_modalities=everything,
                output_modalities=("text", "image", "audio"),
                tool_result_media=("image", "file"),
                supports_reasoning=True,
                supports_embeddings=True,
                max_media_size=LARGEST,
                structured_output_any_root=True,
            )
        parts, version = name_parts(model), version_of(model)
        draws, speaks, embeds = ("image" in parts, "tts" in parts, "embedding" in parts)
        plain = not (draws or speaks or embeds or "gemma" in parts)
        return ProviderCapabilities(
            supports_streaming=not embeds,
            supports_tools=plain,
            supports_tool_choice=plain,
            structured_output="native" if plain else "instruct",
            structured_output_with_tools=version >= (3, 0),
            structured_output_any_root=True,
            input_modalities=("text",) if speaks or embeds else everything if plain else ("text", "image"),
            output_modalities=("text", "image") if draws else ("audio",) if speaks else ("text",),
            tool_result_media=("image", "file") if plain and version >= (3, 0) else (),
            supports_reasoning=None if version == (0, 0) else plain and version >= (2, 5),
            supports_embeddings=embeds,
            max_media_size=LARGEST,
        )

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Whether it streams is said by its path alone.

        parallel_tools and a tool's `strict` are not sent: the service has neither. Raises NotSupportedError where a
        model before Gemini 3 is to hold to a schema beside tools; ValidationError for what the service cannot read.
        """
        parameters, version = call.parameters, version_of(call.model)
        body: dict[str, Any] = {"contents": _contents(call.messages, newer=version >= (3, 0))}
        if not body["contents"]:
            raise nothing_to_send()
        if system := system_of(call.messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if call.tools or call.tool_choice is not None:
            self._give_tools(body, call)
        generation: dict[str, Any] = {
            "temperature": parameters.temperature,
            "topP": parameters.top_p,
            "maxOutputTokens": parameters.max_tokens,
            "stopSequences": list(parameters.stop) if parameters.stop else None,
            "seed": parameters.seed,
            "thinkingConfig": None if parameters.reasoning is None else _thinking(call.model, parameters.reasoning),
        }
        if call.schema is not None:
            if call.tools and version < (3, 0):
                raise NotSupportedError(
                    f"{one_line(call.model, 80)} cannot be held to a schema beside tools",
                    hint="take a model from Gemini 3 on, or ask in two calls",
                )
            generation["responseMimeType"] = "application/json"
            generation["responseJsonSchema"] = dict(call.schema.schema)
        if call.modalities:
            generation["responseModalities"] = _modalities(call.modalities)
        if generation := {name: value for name, value in generation.items() if value is not None}:
            body["generationConfig"] = generation
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(extra_headers(call.headers))
        model = quote(call.model.removeprefix("models/"), safe="-._~:@")
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return WireRequest("POST", f"/models/{model}:{verb}", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> GenerateReading:
        """Reads one answer."""
        return GenerateReading(GenerateReader(provider, model, key_env=key_env, secrets=secrets))

    def _give_tools(self, body: dict[str, Any], call: ModelCall) -> None:
        if self._vertex:
            check_names(call, lambda name: _named(name) and (name[0].isalpha() or name[0] == "_"), _AT_VERTEX)
        else:
            check_names(call, _named, NAME)
        choice = choice_of(call)
        if call.tools:
            body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in call.tools]}]
        if choice is not None:
            calling: dict[str, Any] = {"mode": CHOICES.get(choice, "ANY")}
            if choice not in CHOICES:
                calling["allowedFunctionNames"] = [choice]
            body["toolConfig"] = {"functionCallingConfig": calling}


_AT_VERTEX = f"{NAME}, of which the first is a letter or `_`"


@lru_cache(64)
def version_of(model: str) -> tuple[int, int]:
    """A model's version by its name; an alias without one is of the latest. (0, 0) where it is no Gemini's."""
    parts = name_parts(model)
    if "gemini" not in parts:
        return (0, 0)
    return version_in(parts[parts.index("gemini") :]) or (LATEST if "latest" in parts else (0, 0))


def _thinking(model: str, effort: str) -> dict[str, Any]:
    """From Gemini 3 on a level, before that a number of tokens. "none" is the least that the model knows."""
    version, parts = version_of(model), name_parts(model)
    if version >= (3, 0):
        if effort in ("none", "minimal"):
            least = "flash" in parts and (version < (3, 7) or "lite" in parts) and version < (4, 0)
            level = "minimal" if least else "low"
        elif effort in ("xhigh", "max") or (effort == "medium" and version == (3, 0) and "pro" in parts):
            level = "high"
        else:
            level = effort
        return {"includeThoughts": effort != "none", "thinkingLevel": level}
    budget = BUDGETS.get(effort, -1)  # -1: as many as the model finds right
    if budget == 0 and "pro" in parts:
        return {"includeThoughts": False, "thinkingBudget": LEAST}
    return {"includeThoughts": budget != 0, "thinkingBudget": budget}


def _modalities(asked: tuple[str, ...]) -> list[str]:
    """What the answer is made of: a model that draws may write, one that speaks may not."""
    for one in asked:
        if one not in ("text", "image", "audio"):
            raise NotSupportedError(f"the service makes no {one_line(one, 40)}", hint="it makes text, image and audio")
    if "audio" in asked:
        return ["AUDIO"]
    return ["TEXT", "IMAGE"] if "image" in asked else ["TEXT"]


def _named(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isascii() and all(c.isalnum() or c in "_.:-" for c in name)


def _tool(tool: ToolSpec) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    schema = dict(tool.parameters)
    if schema.keys() - {"type", "properties", "required", "additionalProperties"} or schema.get("properties"):
        told["parametersJsonSchema"] = schema  # left out where there is nothing to say: an empty object is refused
    return told


class _Call(NamedTuple):
    """A call that results may answer. place: in its turn. own: its id is the service's, and goes back."""

    name: str
    place: int
    own: bool


def _contents(messages: tuple[Message, ...], *, newer: bool) -> list[dict[str, Any]]:
    """The conversation: the results of one turn's tools in one content, in the order of their calls.

    newer: for Gemini 3 and later, which take media in results, and no call without a signature.
    """
    contents: list[dict[str, Any]] = []
    calls: dict[str | None, _Call] = {}
    results: list[tuple[int, dict[str, Any], list[dict[str, Any]]]] = []  # their calls' places, and what goes beside

    def add(role: str, parts: list[dict[str, Any]]) -> None:
        if parts and contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})

    def add_results() -> None:
        results.sort(key=lambda result: result[0])
        add("user", [result[1] for result in results] + [part for result in results for part in result[2]])
        results.clear()

    for place, message in answered(messages):
        if message.role == "system":
            continue
        if message.role == "tool":
            call = calls.get(message.tool_call_id) or _Call(message.tool_call_id or "", len(calls), own=False)
            results.append((call.place, *_result(message, place, call, inside=newer)))
            continue
        add_results()
        if message.role == "assistant":
            add("model", _answer(message, place, signed=newer))
            calls = {
                call.id: _Call(call.name, number, not call.id.startswith(INVENTED))
                for number, call in enumerate(message.tool_calls)
            }
        else:
            add("user", _parts(message, place))
    add_results()
    return contents


def _answer(message: Message, place: int, *, signed: bool) -> list[dict[str, Any]]:
    """A turn of the model's: as it came, where the service wants it so; of thoughts what carries a signature."""
    if kept := kept_of(message, "parts"):
        return [part for part in kept if part.get("thought") is not True or "thoughtSignature" in part]
    parts = _parts(message, place)
    for number, call in enumerate(message.tool_calls):
        told: dict[str, Any] = {"name": call.name, "args": call.arguments or {}}
        if not call.id.startswith(INVENTED):
            told = {"id": call.id, **told}
        parts.append(
            {"functionCall": told, "thoughtSignature": FOREIGN} if signed and number == 0 else {"functionCall": told}
        )
    return parts


def _parts(message: Message, place: int) -> list[dict[str, Any]]:
    content = message.content
    if isinstance(content, str):
        return [{"text": content}] if content else []
    return [
        {"text": part} if isinstance(part, str) else _medium(part, place_of(place, number))
        for number, part in enumerate(content)
        if part
    ]


def _result(message: Message, place: int, call: _Call, *, inside: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A tool's result, which has to be an object, and the parts that go beside it."""
    text = message.text
    value: Any
    try:
        value = orjson.loads(text)
    except ValueError:
        value = text
    if message.is_error:
        value = {"error": value if text else "The tool failed."}
    response: dict[str, Any] = {"name": call.name, "response": value if isinstance(value, dict) else {"output": value}}
    if call.own:
        response["id"] = message.tool_call_id
    within: list[dict[str, Any]] = []
    beside: list[dict[str, Any]] = []
    if not isinstance(message.content, str):
        for number, part in enumerate(message.content):
            if not isinstance(part, str):
                told = _medium(part, place_of(place, number))
                held = inside and part.data is not None and _mime(part) in IN_RESULTS
                (within if held else beside).append(told)
    if within:
        response["parts"] = within
    if beside:
        beside.insert(0, {"text": f"From `{call.name}`:"})
    return {"functionResponse": response}, beside


def _mime(media: Media) -> str:
    return media.mime_type.partition(";")[0].strip().lower()


def _medium(media: Media, place: str) -> dict[str, Any]:
    """A medium: its bytes, or where they are (an address of the web, of YouTube, of Google's storage or its files)."""
    if not media.mime_type and not media.url:
        raise ValidationError(f"{place} has no type", hint='give it a `mime_type`, such as "image/png"')
    if media.data is not None:
        return {"inlineData": {"mimeType": media.mime_type, "data": media.base64}}
    url = media.url or ""
    if not url.lower().startswith(("https://", "http://", "gs://")):
        raise ValidationError(f"{place} has neither bytes nor an address", hint="give it `data`, or a `url`")
    told = {"fileUri": url}
    if media.mime_type and not media.mime_type.endswith("/*"):  # an address that tells no format
        told["mimeType"] = media.mime_type
    return {"fileData": told}
