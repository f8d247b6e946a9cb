"""Ollama's own API: one call to one request, lines of JSON to contents. Source: WIRE.md §1, §2, §8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import LLMSpellError, one_line
from llmspell.providers.base import WireRequest
from llmspell.providers.calls import PartialCall, count, text_of
from llmspell.providers.dialect import Dialect, lay_over
from llmspell.providers.headers import extra_headers
from llmspell.providers.reading import LineReading, failure, truncated
from llmspell.types.streaming import Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message
    from llmspell.types.streaming import ChunkContent

__all__ = ["ChatLines", "Ollama"]

SECOND = 1_000_000_000  # its times are nanoseconds
#: Of the last line, what the metadata keep, in seconds.
TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class Ollama(Dialect):
    """`POST /api/chat`, on this machine or at ollama.com."""

    base_url = "http://localhost:11434"
    key_env = "OLLAMA_API_KEY"

    @property
    def keyless(self) -> bool:
        """A server of one's own asks for none."""
        return self.host != "ollama.com"

    def auth(self, key: str) -> dict[str, str]:
        """A bearer's token, at ollama.com."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def request(self, call: ModelCall, *, stream: bool) -> WireRequest:
        """The request for *call*. Whether it streams is always said: without a word it does."""
        parameters = call.parameters
        names: dict[str | None, str] = {}
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [_message(message, names) for message in call.messages],
            "stream": stream,
        }
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
            body["think"] = False if parameters.reasoning == "none" else parameters.reasoning
        lay_over(body, call.body)
        headers = {"content-type": "application/json", "accept": "application/x-ndjson"}
        headers.update(extra_headers(call.headers))
        return WireRequest("POST", "/api/chat", headers, orjson.dumps(body))

    def reading(self, provider: str, model: str, *, key_env: str | None, secrets: tuple[str, ...]) -> LineReading:
        """Reads one answer."""
        return LineReading(ChatLines(provider, model, key_env=key_env, secrets=secrets))


def _message(message: Message, names: dict[str | None, str]) -> dict[str, Any]:
    """A message; a tool's result is told by the tool's name."""
    told: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.role == "tool":
        told["tool_name"] = names.get(message.tool_call_id, message.tool_call_id or "")
    if message.tool_calls:
        names.update({call.id: call.name for call in message.tool_calls})
        told["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments or {}}} for call in message.tool_calls
        ]
    return told


class ChatLines:
    """One answer's reader: `read_all` its lines, then `end`. Those of `/api/generate` are read as well.

    metadata: model, created_at, done_reason where it is a word of Ollama's own, and the times of TIMES in seconds.
    """

    __slots__ = (
        "_calls", "_done", "_ended", "_error", "_finish", "_usage",
        "key_env", "metadata", "model", "provider", "secrets",
    )  # fmt: skip

    typed = False

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        self.provider = provider
        self.model = model
        self.key_env = key_env
        self.secrets = secrets
        self.metadata: dict[str, Any] = {}
        self._calls: list[PartialCall] = []
        self._usage = Usage()
        self._finish = ""
        self._done = False
        self._ended = False
        self._error: LLMSpellError | None = None

    @property
    def over(self) -> bool:
        """Whether the last line came."""
        return self._done

    complete = over

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the lines add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            if not isinstance(value, dict):
                continue
            if value.get("error"):
                self._error = failure(self, value)
                raise self._error
            self._line(value, out)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer holds that came in one piece: a line that is the first and the last."""
        self.read_all((value,), out)

    def done(self) -> None:
        """A mark of other dialects."""

    def end(self) -> list[ChunkContent]:
        """Each tool call whole, then "stream_end". Raises StreamTruncatedError where the last line was not seen."""
        if self._ended:
            return []
        if self._error is not None:
            raise self._error
        if not self._done:
            raise truncated(self)
        self._ended = True
        out: list[ChunkContent] = [call.whole() for call in self._calls]
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
        if value.get("done") is True:
            self._last(value)

    def _message(self, message: dict[str, Any], name: str, out: list[ChunkContent]) -> None:
        if thinking := text_of(message.get("thinking")):
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
        taken = {call.id for call in self._calls}
        number = len(self._calls) + 1
        while f"call_{number}" in taken:
            number += 1
        return told if told and told not in taken else f"call_{number}"

    def _last(self, value: dict[str, Any]) -> None:
        self._done = True
        self._finish = one_line(text_of(value.get("done_reason")), 64)
        # What it found in its cache it may leave out: that is unknown, and not 0.
        self._usage = Usage(count(value.get("prompt_eval_count")), count(value.get("eval_count")))
        for name in TIMES:
            if (told := count(value.get(name))) is not None:
                self.metadata[name] = told / SECOND
