"""OpenAI's chat dialect: one call to one request, bytes to chunk contents. I/O is in http.py.

What vendors of this dialect do differently is read by `ChatReader` without knowing who they are; what must be written
differently is in `vendors.toml`. Source: WIRE.md §1, §2.2, §4, §9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import NotSupportedError, one_line
from llmspell.providers import reading
from llmspell.providers.asking import NAME, check_names, choice_of, form_name, held, named_plainly
from llmspell.providers.base import ProviderCapabilities, WireRequest
from llmspell.providers.chat_messages import messages
from llmspell.providers.chat_reader import ChatReader
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.vendors import Vendor, vendor, vendor_at

if TYPE_CHECKING:
    from llmspell.providers.base import ModelCall
    from llmspell.types.tools import ResponseSchema, ToolSpec

__all__ = ["BASE_URL", "KEY_ENV", "MODEL", "PATH", "Chat", "Reading", "request"]

BASE_URL = "https://api.openai.com/v1"
KEY_ENV = "OPENAI_API_KEY"
MODEL = "gpt-4o-mini"
PATH = "/chat/completions"
#: OpenAI's own reasoning models, which refuse `max_tokens` and take `max_completion_tokens`.
REASONING_MODEL = re.compile(r"o\d|gpt-([5-9]|\d\d)")

#: Services that nothing is known of are sent what OpenAI is sent, and are taken to do what it does.
PLAIN = Vendor("")
#: Gemini, where Google answers for it in this dialect: its signatures are wanted back.
GOOGLE = Vendor("", keeps="extra_content", makes=())
#: OpenAI itself, which does not take the longest ids that others give a call.
OPENAI = Vendor("", ids="forty", embedding="text-embedding-3-small")


def request(call: ModelCall, *, stream: bool, vendor: Vendor = PLAIN, own: bool = False) -> WireRequest:
    """The request for *call*. `call.body` and `call.headers` are laid over it last.

    vendor: what it wants written in another way. own: it is OpenAI itself. Raises ValidationError for a header that is
    not for a script to set, or a tool that no service would take; NotSupportedError for what this one does not do.
    """
    parameters = call.parameters
    body: dict[str, Any] = {"model": call.model, "messages": messages(call, vendor)}
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if parameters.top_p is not None:
        body["top_p"] = parameters.top_p
    reasons = bool(REASONING_MODEL.match(call.model))
    if parameters.max_tokens is not None:
        new = (own or vendor.openais) and reasons
        body["max_completion_tokens" if new else "max_tokens"] = parameters.max_tokens
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.seed is not None:
        body[vendor.seed] = parameters.seed
    if parameters.reasoning is not None and not (parameters.reasoning == "none" and own and not reasons):
        body |= _reasoning(vendor.reasoning, parameters.reasoning)  # who does not reason refuses to be told not to
    if call.tools or call.tool_choice is not None:
        _give_tools(body, call, vendor)
    if call.schema is not None:
        _hold(body, call.schema, vendor)
    if call.modalities:
        _make(body, call, vendor, stream=stream, own=own)
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


def _give_tools(body: dict[str, Any], call: ModelCall, vendor: Vendor) -> None:
    """The tools, and who of them must be called."""
    check_names(call, named_plainly, NAME)
    choice = choice_of(call)
    if not vendor.choice and choice not in (None, "auto"):
        if choice != "none":
            raise NotSupportedError("the service cannot be made to call a tool", hint='`tool_choice = "auto"`')
        return  # who may call nothing is told of no tools
    if not call.tools:
        return
    body["tools"] = [{"type": "function", "function": _function(tool, vendor)} for tool in call.tools]
    if choice == "required":
        body["tool_choice"] = vendor.required
    elif choice is not None:
        named = {"type": "function", "function": {"name": choice}}
        body["tool_choice"] = choice if choice in ("auto", "none") else named
    if call.parallel_tools is not None:
        body["parallel_tool_calls"] = call.parallel_tools


def _function(tool: ToolSpec, vendor: Vendor) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        told["description"] = tool.description
    if tool.strict is not None and vendor.strict:
        told["parameters"], told["strict"] = held(tool.parameters, tool.strict)
    return told


def _hold(body: dict[str, Any], schema: ResponseSchema, vendor: Vendor) -> None:
    """Holds the answer to a schema; strictly where a model can be."""
    if vendor.form != "native":
        raise NotSupportedError("the service cannot be held to a schema", hint="a tool can take the form")
    form: dict[str, Any] = {"name": form_name(schema.name)}
    if schema.description:
        form["description"] = schema.description
    form["schema"], form["strict"] = held(schema.schema, schema.strict)
    body["response_format"] = {"type": "json_schema", "json_schema": form}


def _make(body: dict[str, Any], call: ModelCall, vendor: Vendor, *, stream: bool, own: bool) -> None:
    """What the answer may be made of besides text."""
    makes = ("audio",) if own else vendor.makes
    if makes is None:
        makes = tuple(call.modalities)  # nobody knows: the server is to say
    for modality in call.modalities:
        if modality != "text" and modality not in makes:
            told = ", ".join(("text", *makes))
            raise NotSupportedError(f"the service makes no {one_line(modality, 40)}", hint=f"it makes {told}")
    if any(modality != "text" for modality in call.modalities):
        body["modalities"] = list(dict.fromkeys((*call.modalities, "text")))
    if "audio" in call.modalities:
        body["audio"] = {"voice": "alloy", "format": "pcm16" if stream else "wav"}  # as a stream it comes in no other


class Chat(Dialect):
    """`POST /chat/completions`, as OpenAI and many others answer it."""

    base_url = BASE_URL
    key_env = KEY_ENV
    model = MODEL
    sides = "openai"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.vendor = None if self.own else vendor_at(self.host)
        unlisted = OPENAI if self.own else GOOGLE if self.host.endswith("googleapis.com") else PLAIN
        self._take(self.vendor or unlisted)

    def of_vendor(self, name: str) -> None:
        """A vendor's service is spoken to in the vendor's way behind a gateway, too, or at another of its hosts."""
        if (row := vendor(name)) is not None:
            self._take(row)

    def _take(self, row: Vendor) -> None:
        self._row = row
        self.embedding_model, self.dimensions = row.embedding, row.dimensions

    @property
    def embeds(self) -> bool:
        """Whether it makes embeddings; who is not known may."""
        return self._row.embeds

    @property
    def embedding_batch(self) -> int:
        """Texts of one request; of others than OpenAI itself only some say how many they take."""
        return 2048 if self.own else super().embedding_batch

    @property
    def keyless(self) -> bool:
        """Whether the service may answer without a key: where nothing is known of it, or nothing of a key."""
        return not self.own and (self.vendor is None or self.vendor.api_key_env is None)

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token, or a header of its own."""
        if self._row.auth == "api-key":
            return {"api-key": key} if key else {}
        return {"authorization": f"Bearer {key}"} if key else {}

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the vendor does; where nobody knows, what OpenAI does, which holds a model to a schema."""
        row = self._row
        return ProviderCapabilities(
            supports_tool_choice=row.choice,
            structured_output=row.form,
            structured_output_with_tools=row.form_with_tools,
            input_modalities=("text", *row.takes),
            output_modalities=("text", *(("audio",) if self.own else row.makes or ())),
            tool_result_media=row.result_media,
        )

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*."""
        return request(call, stream=stream, vendor=self._row, own=self.own)

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> reading.Reading:
        """Reads one answer."""
        return Reading(provider, model, key_env=key_env, secrets=secrets)


class Reading(reading.Reading):
    """One answer of this dialect; see `reading.Reading`."""

    __slots__ = ()

    def __init__(self, provider: str, model: str, *, key_env: str | None = None, secrets: tuple[str, ...] = ()) -> None:
        super().__init__(ChatReader(provider, model, key_env=key_env, secrets=secrets))
