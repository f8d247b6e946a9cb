"""Ollama's own API: one call to one request, lines of JSON to contents. Source: WIRE.md §1, §2, §8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import NotSupportedError, one_line
from llmspell.providers.asking import (
    NAME,
    check_names,
    choice_of,
    failed_text,
    named_plainly,
    place_of,
    refused,
    results_first,
    web_address,
)
from llmspell.providers.base import ProviderCapabilities, WireRequest
from llmspell.providers.calls import PartialCall, count, new_text, text_of
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import AnswerReader, LineReading
from llmspell.types.streaming import Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.media import Media
    from llmspell.types.messages import Message
    from llmspell.types.streaming import ChunkContent

__all__ = ["ChatLines", "Ollama"]

THINK = {"none": False, "minimal": "low", "xhigh": "max"}  # it has fewer words than others, and refuses theirs
SECOND = 1_000_000_000  # its times are nanoseconds
#: Of the last line, what the metadata keep, in seconds.
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class Ollama(Dialect):
    """`POST /api/chat`, on this machine or at ollama.com."""

    base_url = "http://localhost:11434"
    key_env = "OLLAMA_API_KEY"
    sides = "ollama"

    @property
    def keyless(self) -> bool:
        """A server of one's own asks for none."""
        return self.host != "ollama.com"

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token, at ollama.com."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        """What the server does; what a model does beyond is for its own card to say."""
        return ProviderCapabilities(
            supports_tool_choice=False,
            structured_output="native",
            structured_output_any_root=True,
            structured_output_with_tools=False,  # held to a form, it has no way to say a call
            input_modalities=("text", "image"),
        )

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Whether it streams is always said: without a word it does.

        Nobody can be made to call a tool, and whether calls may come at once the service leaves to the model. Raises
        NotSupportedError for that, and for media that the service does not take.
        """
        parameters = call.parameters
        body: dict[str, Any] = {"model": call.model, "messages": _messages(call.messages), "stream": stream}
        options = {
            "temperature": parameters.temperature,
            "top_p": parameters.top_p,
            "num_predict": parameters.max_tokens,
            "stop": list(parameters.stop) if parameters.stop else None,
            "seed": parameters.seed,
        }
        if options := {name: value for name, value in options.items() if value is not None}:
            body["options"] = options
        if parameters.reasoning is not None:
            body["think"] = THINK.get(parameters.reasoning, parameters.reasoning)
        if (call.tools or call.tool_choice is not None) and (tools := _tools(call)):
            body["tools"] = tools
        if call.schema is not None:
            body["format"] = call.schema.schema
        for modality in call.modalities:
            if modality != "text":
                raise NotSupportedError(f"the service makes no {one_line(modality, 40)}", hint="it writes text only")
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "application/x-ndjson"}
        headers.update(extra_headers(call.headers))
        return WireRequest("POST", "/api/chat", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> LineReading:
        """Reads one answer."""
        return LineReading(ChatLines(provider, model, key_env=key_env, secrets=secrets))


def _tools(call: ModelCall) -> list[dict[str, Any]]:
    """The tools; none where none may be called."""
    check_names(call, named_plainly, NAME)
    choice = choice_of(call)
    if choice == "none":
        return []
    if choice not in (None, "auto"):
        raise NotSupportedError("Ollama cannot be made to call a tool", hint='`tool_choice = "auto"`')
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in call.tools
    ]


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The conversation. A tool's result is told by the tool's name, and its images by the user, after all results."""
    names: dict[str | None, str] = {}
    told: list[dict[str, Any]] = []
    beside: dict[str, Any] = {}
    for place, message in results_first(messages):
        if beside and message.role != "tool":
            told.append(beside)
            beside = {}
        images = [
            _image(part, place_of(place, number), message.role)
            for number, part in enumerate(message.parts)
            if not isinstance(part, str)
        ]
        one: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.role == "tool":
            name = names.get(message.tool_call_id, message.tool_call_id or "")
            one["content"] = failed_text(message)
            one["tool_name"] = name
            if images:
                one["content"] = one["content"] or "It is in the user's message after this."
                beside = beside or {"role": "user", "content": "", "images": []}
                beside["content"] += f"{' ' if beside['content'] else ''}{len(images)} from the tool {name}."
                beside["images"] += images
        elif images:
            one["images"] = images
        if message.tool_calls:
            kept = message.native.get("chat")
            if isinstance(kept, dict) and isinstance(thinking := kept.get("thinking"), str):
                one["thinking"] = thinking
            names.update({call.id: call.name for call in message.tool_calls})
            one["tool_calls"] = [
                {"function": {"name": call.name, "arguments": call.arguments or {}}} for call in message.tool_calls
            ]
        told.append(one)
    return [*told, beside] if beside else told


def _image(media: Media, place: str, role: str) -> str:
    """An image as bare base64: the server fetches nothing."""
    if role not in ("user", "tool"):
        raise refused(media, place, "text from the system and as what the model said")
    if media.kind != "image":
        raise refused(media, place, "text and images")
    web_address(media, place)
    if media.data is None:
        raise NotSupportedError(f"the service takes no address as {place}", hint="give it `data`: the bytes themselves")
    return media.base64


class ChatLines(AnswerReader):
    """One answer's reader: `read_all` its lines, then `end`. Those of `/api/generate` are read as well.

    metadata: model, created_at, done_reason where it is a word of Ollama's own, the times of TIMES in
    seconds, and `chat`: what goes back with its calls.
    """

    __slots__ = ("_calls", "_finish", "_known", "_thoughts", "_usage")

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__(provider, model, key_env=key_env, secrets=secrets)
        self._calls: list[PartialCall] = []
        self._usage = Usage()
        self._finish = ""
        self._thoughts: list[str] = []
        self._known = False  # the model was named: later lines repeat what is known

    @property
    def complete(self) -> bool:
        """Whether the last line came."""
        return self.over

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the lines add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            try:  # the most are a piece of text
                message = value["message"]
                text = message["content"]
                if (
                    self._known
                    and type(text) is str
                    and len(message) == 2  # its role, too
                    and value["done"] is False
                    and "role" in message
                    and "error" not in value
                ):
                    if text:
                        out.append(new_text((text,)))
                    continue
            except (KeyError, TypeError):
                pass
            if not isinstance(value, dict):
                continue
            if value.get("error"):
                self._raise(value)
            self._line(value, out)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer holds that came in one piece: a line that is the first and the last."""
        self.read_all((value,), out)

    def _last(self) -> list[ChunkContent]:
        out: list[ChunkContent] = [call.whole() for call in self._calls]
        if out and self._thoughts:
            self.metadata["chat"] = {"thinking": "".join(self._thoughts)}
        finish = self._finish or "stop"
        if out and finish == "stop":
            finish = "tool_calls"
        usage = self._usage.with_total()
        out.append(Control("stream_end", finish, usage if usage != Usage() else None))
        return out

    def _line(self, value: dict[str, Any], out: list[ChunkContent]) -> None:
        message = value.get("message")
        if isinstance(message, dict):
            self._message(message, "content", out)
        elif "response" in value:  # of /api/generate
            self._message(value, "response", out)
        if "model" not in self.metadata:
            for name in ("model", "created_at"):
                if told := text_of(value.get(name)):
                    self.metadata[name] = one_line(told, 200)
            self._known = "model" in self.metadata
        if value.get("done") is True:
            self._told(value)

    def _message(self, message: dict[str, Any], name: str, out: list[ChunkContent]) -> None:
        if thinking := text_of(message.get("thinking")):
            self._thoughts.append(thinking)
            out.append(Reasoning(thinking))
        if text := text_of(message.get(name)):
            out.append(Text(text))
        calls = message.get("tool_calls")
        for one in calls if isinstance(calls, list) else ():
            function = one.get("function") if isinstance(one, dict) else None
            if isinstance(function, dict):
                id_ = self._id(text_of(one.get("id")))
                call = PartialCall(id_, text_of(function.get("name")))
                self._calls.append(call)
                out.append(ToolCallProgress(call.id, call.name, call.add(function.get("arguments"))))

    def _id(self, told: str) -> str:
        """A call's id: the service's own, or the next that is free."""
        self._room(len(self._calls))
        taken = {call.id for call in self._calls}
        number = len(self._calls) + 1
        while f"call_{number}" in taken:
            number += 1
        return told if told and told not in taken else f"call_{number}"

    def _told(self, value: dict[str, Any]) -> None:
        """The last line."""
        self.over = True
        self._finish = one_line(text_of(value.get("done_reason")), 64)
        # What it found in its cache it may leave out: that is unknown, and not 0.
        self._usage = Usage(count(value.get("prompt_eval_count")), count(value.get("eval_count")))
        for name in TIMES:
            if (told := count(value.get(name))) is not None:
                self.metadata[name] = told / SECOND
