"""Gemini, at Google AI and at Vertex: one call to one request, answers to contents. Source: WIRE.md §1, §2, §7, §12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from llmspell.errors import LLMSpellError, one_line
from llmspell.providers.base import WireRequest
from llmspell.providers.calls import PartialCall, count, text_of
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import Reading, failure, truncated
from llmspell.types.streaming import Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message
    from llmspell.types.streaming import ChunkContent

__all__ = ["Gemini", "GenerateReader"]

#: What the service says for what llmspell says; a word that is not here is kept.
FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"),
        "content_filter",
    ),
}
#: Of a candidate, what the metadata keep under which name.
TOLD = {
    "groundingMetadata": "grounding",
    "citationMetadata": "citations",
    "urlContextMetadata": "url_context",
    "finishMessage": "finish_message",
}
BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576}  # tokens of thinking
PARTS = 4096  # parts kept of one answer, for the next turn


class Gemini(Dialect):
    """`POST /models/MODEL:generateContent`; at Vertex the same below the project's own path, with a bearer's token."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    key_env = "GEMINI_API_KEY"
    model = "gemini-2.5-flash-lite"

    def auth(self, key: str) -> dict[str, str]:
        """The key's own header, and not the address, which is logged; at Vertex, a bearer's token."""
        if self.host.endswith("aiplatform.googleapis.com"):
            return {"authorization": f"Bearer {key}"} if key else {}
        return {"x-goog-api-key": key} if key else {}

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Whether it streams is said by its path alone."""
        parameters = call.parameters
        system = [message.text for message in call.messages if message.role == "system" and message.text]
        body: dict[str, Any] = {"contents": _contents(call.messages)}
        if system:
            body["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
        generation = {
            "temperature": parameters.temperature,
            "topP": parameters.top_p,
            "maxOutputTokens": parameters.max_tokens,
            "stopSequences": list(parameters.stop) if parameters.stop else None,
            "seed": parameters.seed,
            "thinkingConfig": None if parameters.reasoning is None else _thinking(call.model, parameters.reasoning),
        }
        if generation := {name: value for name, value in generation.items() if value is not None}:
            body["generationConfig"] = generation
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "text/event-stream" if stream else "application/json"}
        headers.update(extra_headers(call.headers))
        model = quote(call.model.removeprefix("models/"), safe="-._~:@")
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return WireRequest("POST", f"/models/{model}:{verb}", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> Reading:
        """Reads one answer."""
        return Reading(GenerateReader(provider, model, key_env=key_env, secrets=secrets))


def _thinking(model: str, effort: str) -> dict[str, Any]:
    """From Gemini 3 on a level, before that a number of tokens."""
    if "gemini-3" in model:
        return {
            "includeThoughts": effort != "none",
            "thinkingLevel": "low" if effort in ("none", "minimal") else effort,
        }
    budget = BUDGETS.get(effort, -1)  # -1: as many as the model finds right
    return {"includeThoughts": budget != 0, "thinkingBudget": budget}


def _contents(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The conversation: the results of one turn's tools in one content, in the order of their calls."""
    contents: list[dict[str, Any]] = []
    names: dict[str | None, tuple[str, bool]] = {}  # of a call: its function's, and whether its id is the service's own
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        parts: list[dict[str, Any]] = []
        if message.role == "system":
            continue
        kept = message.native.get("parts") if role == "model" else None
        if message.role == "tool":
            parts.append(_result(message, names))
        elif kept:
            parts += [part for part in kept if part.get("thought") is not True]
        elif message.text:
            parts.append({"text": message.text})
        for call in message.tool_calls:
            own = not call.id.startswith(INVENTED)
            names[call.id] = call.name, own
            told: dict[str, Any] = {"name": call.name, "args": call.arguments or {}}
            if not kept:
                parts.append({"functionCall": {"id": call.id, **told} if own else told})
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _result(message: Message, names: dict[str | None, tuple[str, bool]]) -> dict[str, Any]:
    """A tool's result, which has to be an object."""
    name, own = names.get(message.tool_call_id, (message.tool_call_id or "", False))
    try:
        value = orjson.loads(message.text)
    except ValueError:
        value = message.text
    response: dict[str, Any] = {"name": name, "response": value if isinstance(value, dict) else {"output": value}}
    if own:
        response["id"] = message.tool_call_id
    return {"functionResponse": response}


INVENTED = "gemini_call_"  # begins the ids of calls to which the service gave none: it must not get them back


class GenerateReader:
    """One answer's reader: `read_all` the values of a stream, or `whole` an answer, then `end`.

    metadata: model, id, grounding, citations, media (what the model made: {mime_type, data in base64}), block_reason,
    and `parts`: the answer's parts as they came, for the next turn, where a signature is among them.
    """

    __slots__ = (
        "_blocked", "_calls", "_ended", "_error", "_finish", "_parts", "_signed", "_usage",
        "key_env", "metadata", "model", "provider", "secrets",
    )  # fmt: skip

    typed = False
    over = False  # usage runs on to the transport's end

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        self.provider = provider
        self.model = model
        self.key_env = key_env
        self.secrets = secrets
        self.metadata: dict[str, Any] = {}
        self._calls: list[PartialCall] = []
        self._parts: list[dict[str, Any]] = []
        self._signed = False  # one of them carries a signature
        self._usage: dict[str, Any] = {}
        self._finish = ""
        self._blocked = False
        self._ended = False
        self._error: LLMSpellError | None = None

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        return self._blocked or bool(self._finish)

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the values add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            for one in value if type(value) is list else (value,):
                if type(one) is dict:
                    self._answer(one, out)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer holds that came in one piece: one value, or all of a stream's in a list."""
        known = ("candidates", "promptFeedback", "usageMetadata")
        if isinstance(value, dict) and not any(name in value for name in known):
            raise failure(self, value)
        self.read_all((value,), out)

    def done(self) -> None:
        """A mark of other dialects; some gateways add it."""

    def end(self) -> list[ChunkContent]:
        """Each tool call whole, then "stream_end". Raises StreamTruncatedError where the end was not seen."""
        if self._ended:
            return []
        if self._error is not None:
            raise self._error
        if not self.complete:
            raise truncated(self)
        self._ended = True
        if self._signed:
            self.metadata["parts"] = self._parts
        out: list[ChunkContent] = [call.whole() for call in self._calls]
        finish = "content_filter" if self._blocked else FINISH.get(self._finish, self._finish.lower())
        if out and finish == "stop":
            finish = "tool_calls"
        usage = usage_of(self._usage)
        out.append(Control("stream_end", finish, usage if usage != Usage() else None))
        return out

    def _answer(self, value: dict[str, Any], out: list[ChunkContent]) -> None:
        facts = self.metadata
        for name, key in (("modelVersion", "model"), ("responseId", "id")):
            if isinstance(value.get(name), str) and value[name]:
                facts[key] = one_line(value[name], 200)
        usage = value.get("usageMetadata")
        if isinstance(usage, dict):
            self._usage.update({name: told for name, told in usage.items() if told is not None})
        candidates = value.get("candidates")
        for place, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(candidate, dict) and candidate.get("index", place) in (0, None):
                self._candidate(candidate, out)
        feedback = value.get("promptFeedback")
        if isinstance(feedback, dict) and (why := text_of(feedback.get("blockReason"))):
            self._blocked = True
            facts["block_reason"] = one_line(why, 64)
            if words := text_of(feedback.get("blockReasonMessage")):
                facts["finish_message"] = one_line(words, 500)
        if "error" in value:
            self._error = failure(self, value)
            raise self._error

    def _candidate(self, candidate: dict[str, Any], out: list[ChunkContent]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._part(part, out)
        finish = candidate.get("finishReason")
        if isinstance(finish, str) and finish:
            self._finish = one_line(finish, 64)
        for name, key in TOLD.items():
            if candidate.get(name):
                told = candidate[name]
                self.metadata[key] = one_line(told, 500) if isinstance(told, str) else told

    def _part(self, part: dict[str, Any], out: list[ChunkContent]) -> None:
        """A part is known by what is in it."""
        if len(self._parts) < PARTS:
            self._parts.append(part)
        self._signed = self._signed or "thoughtSignature" in part
        call, media = part.get("functionCall"), part.get("inlineData")
        if text := text_of(part.get("text")):
            out.append(Reasoning(text) if part.get("thought") is True else Text(text))
        elif isinstance(call, dict):
            one = PartialCall(self._id(text_of(call.get("id"))), text_of(call.get("name")))
            self._calls.append(one)
            args = call.get("args")
            out.append(ToolCallProgress(one.id, one.name, one.add(args if isinstance(args, dict) else {})))
        elif isinstance(media, dict) and part.get("thought") is not True:
            kept = {"mime_type": text_of(media.get("mimeType")), "data": text_of(media.get("data"))}
            self.metadata.setdefault("media", []).append(kept)

    def _id(self, told: str) -> str:
        taken = {call.id for call in self._calls}
        return told if told and told not in taken else f"{INVENTED}{len(self._calls) + 1}"


def usage_of(usage: dict[str, Any]) -> Usage:
    """The tokens that a `usageMetadata` tells: the thoughts are written, too, and what a tool was told is read."""
    read, written, thoughts, tools, cached, total = (
        count(usage.get(f"{name}TokenCount"))
        for name in ("prompt", "candidates", "thoughts", "toolUsePrompt", "cachedContent", "total")
    )
    if read is not None and written is None and thoughts is None and total == read + (tools or 0):
        written = 0  # it is left out where it is 0
    if thoughts is not None:
        written = (written or 0) + thoughts
    if read is not None and tools is not None:
        read += tools
    return Usage(read, written, cached, thoughts, total)
