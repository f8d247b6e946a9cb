"""Gemini, at Google AI and at Vertex: answers to chunk contents. Source: WIRE.md §1, §2, §7, §12."""

from __future__ import annotations

from binascii import Error as NoBase64
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import StreamTruncatedError, one_line
from llmspell.providers.calls import PartialCall, count, new_text, text_of
from llmspell.providers.reading import AnswerReader, Reading, failure
from llmspell.types.streaming import Control, MediaPiece, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.types.streaming import ChunkContent

__all__ = ["INVENTED", "GenerateReader", "GenerateReading"]

#: What the service says for what llmspell says; a word that is not here is kept.
FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    **dict.fromkeys(
        ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
        "error",
    ),
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
         "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
        "content_filter",
    ),
}  # fmt: skip
#: The same words where they come as numbers, which an `enum-encoding` of the request asks for: the number is the place.
FINISH_NUMBERS = (
    "", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
    "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
)  # fmt: skip
BLOCK_NUMBERS = ("", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")
#: Of a candidate, what the metadata keep under which name.
TOLD = {
    "groundingMetadata": "grounding",
    "citationMetadata": "citations",
    "urlContextMetadata": "url_context",
    "finishMessage": "finish_message",
}
#: A part with one of these is wanted back in the next turn, and with it all others, in their order.
WANTED = {"thoughtSignature", "executableCode", "codeExecutionResult", "toolCall", "toolResponse"}
PARTS = 4096  # parts kept of one answer, for the next turn; texts that follow each other are one
INVENTED = "gemini_call_"  # begins the ids of calls to which the service gave none: it must not get them back


class GenerateReader(AnswerReader):
    """One answer's reader: `read_all` the values of a stream, or `whole` an answer, then `end`.

    Of several candidates the first is told. Raw sound comes in pieces of one medium, all else that the model makes is
    whole in its part.

    metadata: model, id, grounding, citations, url_context, finish_message, block_reason, and `parts`: the answer's
    parts for the next turn, where a signature or a server's own tool is among them; thoughts without a signature are
    not.
    """

    __slots__ = ("_blocked", "_calls", "_finish", "_full", "_ids", "_kept", "_parts", "_said", "_sound", "_usage")

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__(provider, model, key_env=key_env, secrets=secrets)
        self._calls: list[PartialCall] = []
        self._ids: set[str] = set()
        self._parts: list[dict[str, Any]] = []
        self._kept = False  # one of them is wanted back
        self._full = False  # no more of them are kept
        self._sound = ""  # the type of the raw sound that is coming
        self._usage: dict[str, Any] = {}
        self._said: tuple[Any, Any] = (None, None)  # the last model and id
        self._finish = ""
        self._blocked = False

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        return self.over or self._blocked or bool(self._finish)

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the values add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            # The most are a piece of text and running totals. What a string subscripts is a dict, and all else raises.
            try:
                (candidate,) = value["candidates"]
                (part,) = candidate["content"]["parts"]
                text, usage = part["text"], value["usageMetadata"]
                if (
                    type(text) is str
                    and len(part) == 1
                    and len(value) == 4
                    and value["modelVersion"] == self._said[0]
                    and value["responseId"] == self._said[1]
                    and (len(candidate) == 1 or (len(candidate) == 2 and candidate["index"] == 0))
                    and None not in usage.values()
                    and usage.keys() >= self._usage.keys()  # whatever was told before is told again
                    and len(self._parts) < PARTS - 1
                ):
                    self._usage = usage
                    if not self._full:
                        self._parts.append(part)
                    if text:
                        out.append(new_text((text,)))
                    continue
            except (KeyError, TypeError, ValueError, AttributeError):
                pass
            for one in value if type(value) is list else (value,):
                if type(one) is dict:
                    self._answer(one, out)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What an answer holds that came in one piece: one value, or all of a stream's in a list."""
        known = ("candidates", "promptFeedback", "usageMetadata")
        if isinstance(value, dict) and not any(name in value for name in known):
            raise failure(self, value)
        self.read_all((value,), out)
        self.over = isinstance(value, dict)  # a list is a stream's, whose end is its last answer's to tell

    def _last(self) -> list[ChunkContent]:
        if self._kept:
            self.metadata["parts"] = _joined(self._parts)
        out: list[ChunkContent] = []
        self._silence(out)
        out += [call.whole() for call in self._calls]
        finish = "content_filter" if self._blocked else FINISH.get(self._finish, self._finish.lower() or "stop")
        if self._calls and finish == "stop":
            finish = "tool_calls"
        usage = usage_of(self._usage)
        out.append(Control("stream_end", finish, usage if usage != Usage() else None))
        return out

    def _answer(self, value: dict[str, Any], out: list[ChunkContent]) -> None:
        facts = self.metadata
        self._said = value.get("modelVersion"), value.get("responseId")
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
        if isinstance(feedback, dict) and (why := _word(feedback.get("blockReason"), BLOCK_NUMBERS)):
            self._blocked = True
            facts["block_reason"] = one_line(why, 64)
            if words := text_of(feedback.get("blockReasonMessage")):
                facts["finish_message"] = one_line(words, 500)
        if value.get("error"):
            self._raise(value)

    def _candidate(self, candidate: dict[str, Any], out: list[ChunkContent]) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._part(part, out)
        if finish := candidate.get("finishReason"):
            self._finish = one_line(_word(finish, FINISH_NUMBERS), 64) or self._finish
        for name, key in TOLD.items():
            if candidate.get(name):
                told = candidate[name]
                self.metadata[key] = one_line(told, 500) if isinstance(told, str) else told

    def _part(self, part: dict[str, Any], out: list[ChunkContent]) -> None:
        """A part is known by what is in it."""
        if not self._full:
            self._parts.append(part)
            if len(self._parts) >= PARTS:
                self._parts = _joined(self._parts)
                self._full = len(self._parts) > PARTS // 2
        if len(part) == 1 and type(text := part.get("text")) is str:  # the most are nothing else
            if text:
                out.append(Text(text))
            return
        self._kept = self._kept or not WANTED.isdisjoint(part)
        call, media = part.get("functionCall"), part.get("inlineData")
        if text := text_of(part.get("text")):
            out.append(Reasoning(text) if part.get("thought") is True else Text(text))
        elif isinstance(call, dict):
            one = PartialCall(self._id(text_of(call.get("id"))), text_of(call.get("name")))
            self._calls.append(one)
            args = call.get("args")
            out.append(ToolCallProgress(one.id, one.name, one.add(args if isinstance(args, dict) else {})))
        elif isinstance(media, dict) and part.get("thought") is not True:
            self._medium(one_line(text_of(media.get("mimeType")), 100), _bytes(text_of(media.get("data"))), out)

    def _medium(self, type_: str, data: bytes, out: list[ChunkContent]) -> None:
        """What the model made: its sound comes without a head (audio/L16), so that the pieces of it add up."""
        raw = type_.lower().startswith(("audio/l16", "audio/pcm"))
        if type_ != self._sound:
            self._silence(out)
        if data:
            out.append(MediaPiece(type_ or "application/octet-stream", data, is_final=not raw))
            self._sound = type_ if raw else ""

    def _silence(self, out: list[ChunkContent]) -> None:
        """The sound that was coming is whole."""
        if self._sound:
            out.append(MediaPiece(self._sound, b""))
            self._sound = ""

    def _id(self, told: str) -> str:
        """A call's id: the service's own, or one that no other turn has, where the answer has an id."""
        if not told or told in self._ids:
            answer = "".join(c for c in self.metadata.get("id", "") if c.isascii() and c.isalnum())[:20]
            told = f"{INVENTED}{answer}_{len(self._calls) + 1}" if answer else f"{INVENTED}{len(self._calls) + 1}"
        self._ids.add(told)
        return told


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


class GenerateReading(Reading):
    """Reads an answer; of a list of answers that is cut short, those that came whole are told before the error."""

    __slots__ = ()

    def _reply(self, out: list[ChunkContent]) -> None:
        try:
            super()._reply(out)
        except StreamTruncatedError:
            text = b"".join(self._bare).decode("utf-8", "replace").strip()
            if not text.startswith("["):
                raise
            answers, rest = whole_ones(text)
            self.reader.read_all(answers, out)
            if rest or not self.reader.complete:
                raise


def whole_ones(text: str) -> tuple[list[Any], str]:
    """The elements of a JSON list that is cut short, up to the cut; and the piece of one that is left."""
    from json import JSONDecoder

    found: list[Any] = []
    decode, at = JSONDecoder().raw_decode, 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            end = decode(text, at)[1]  # it knows where a value ends; what it makes of one is not as strict
            found.append(orjson.loads(text[at:end]))
        except (ValueError, RecursionError):
            return found, text[at:]
        at = end


def _joined(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """*parts* without the thoughts that nobody wants back; plain texts that follow each other are one."""
    joined: list[dict[str, Any]] = []
    texts: list[str] = []
    for part in parts:
        if part.get("thought") is True and WANTED.isdisjoint(part):
            continue
        text = part.get("text")
        if len(part) == 1 and isinstance(text, str):
            texts.append(text)
            continue
        if any(texts):
            joined.append({"text": "".join(texts)})
        texts = []
        joined.append(part)
    return [*joined, {"text": "".join(texts)}] if any(texts) else joined


def _word(told: Any, numbers: tuple[str, ...]) -> str:
    """A word of an enumeration that may come as a number; one that is not known is its own word."""
    if type(told) is int:
        return numbers[told] if 0 <= told < len(numbers) else str(told)
    return text_of(told)


def _bytes(text: str) -> bytes:
    """Base64, however it is written; of what is none, as much as there is."""
    text = text.replace("-", "+").replace("_", "/")
    try:
        return a2b_base64(text.encode("ascii", "ignore"))
    except NoBase64:  # its padding is not there, or it is cut
        letters = "".join(c for c in text if c.isascii() and (c.isalnum() or c in "+/"))
        letters = letters[: len(letters) - (len(letters) % 4 == 1)]
        return a2b_base64(letters + "=" * (-len(letters) % 4))
