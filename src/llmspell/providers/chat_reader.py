"""Reads `chat.completion` objects and their stream chunks, as every vendor of that dialect writes them.

Values in, chunk contents out; no bytes and no I/O, so that a service over HTTP and a model in this process share it.
The rules cover the whole table of vendors without knowing their names. Source: WIRE.md §2, §4, §9, §12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell._speedups import chat_text
from llmspell.errors import LLMSpellError, one_line
from llmspell.providers.calls import PartialCall, PartialMedia, count, image_of, money, new_text, text_of
from llmspell.providers.reading import AnswerReader, failure
from llmspell.types.media import sniff
from llmspell.types.streaming import Control, MediaPiece, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.types.streaming import ChunkContent

__all__ = ["ChatReader", "usage_of"]

#: What vendors say for what llmspell says; a word that is not here is kept.
FINISH = {"eos": "stop", "function_call": "tool_calls"}
#: Of an answer's own members, what the metadata keep.
TOLD = ("id", "created", "system_fingerprint", "service_tier")
SOUND = "audio/pcm;rate=24000"  # of 16 bits: how sound comes as a stream
LISTS = 256  # citations and annotations kept of one answer


class ChatReader(AnswerReader):
    """One answer's reader: `event` for each chunk or `reply` for a whole one, then `end`.

    metadata: model, id, created … as far as they came, image_urls, and `chat`: what a vendor wants back with the
    answer's calls, by its member. An error inside the answer is raised as the LLMSpellError of
    its kind, once what came before it has been given out. provider, model, key_env, secrets: for the words of errors.
    """

    __slots__ = (
        "_calls", "_details", "_done", "_extra", "_finish", "_keys", "_pieces", "_refused", "_sound",
        "_thoughts", "_usage",
    )  # fmt: skip

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        # `over` stays false: usage may come after all else, so the transport's end, or the end mark, is the end.
        super().__init__(provider, model, key_env=key_env, secrets=secrets)
        self._calls: list[_Call] = []
        self._keys: dict[int | str, _Call] = {}  # a fragment's index, or its place, to the call it belongs to
        self._usage = Usage()
        self._finish = ""
        self._refused = False
        self._done = False  # the protocol's own end mark was seen
        self._pieces = False  # it comes in pieces
        self._sound: PartialMedia | None = None
        self._thoughts: dict[str, list[str]] = {}  # pieces of reasoning, by the member that they came in
        # `reasoning_details`: each, and the pieces of its texts, which are joined once.
        self._details: list[tuple[dict[str, Any], dict[str, list[str]]]] = []
        self._extra: dict[str, Any] = {}  # Google's signature of the answer

    def event(self, data: dict[str, Any]) -> list[ChunkContent]:
        """What one chunk adds; often nothing. Raises LLMSpellError for an error in it, or in the one before."""
        out: list[ChunkContent] = []
        try:
            self.read(data, out)
        except LLMSpellError:
            if not out:
                raise
        return out

    def read(self, data: dict[str, Any], out: list[ChunkContent]) -> None:
        """As `event`, appended to *out*; an error is raised at once, what came before it stands in *out*."""
        self.read_all((data,), out)

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """As `read`, of many in one go; a list stands for its members, and what is no object is nothing."""
        if self._error is not None:
            raise self._error
        for data in values:
            if self.quick is not None and (text := chat_text(data)) is not None:
                if text:
                    out.append(new_text((text,)))
                continue
            for one in data if type(data) is list else (data,):
                if type(one) is dict:
                    self._whole(one, out)

    def reply(self, data: dict[str, Any]) -> list[ChunkContent]:
        """What a whole `chat.completion` holds; it is complete as it stands."""
        self._done = True
        return self.event(data)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """As `reply`, of what may be a list of such, or an error in a shape of its own, under status 200."""
        one = next((v for v in value if isinstance(v, dict)), {}) if isinstance(value, list) else value
        if not isinstance(one.get("choices"), list):
            raise failure(self, one)
        out += self.reply(one)

    def done(self) -> None:
        """The stream's end mark was seen."""
        self._done = True

    @property
    def complete(self) -> bool:
        """Whether the protocol's end was seen: its mark, or a finish reason."""
        return self._done or bool(self._finish)

    def _last(self) -> list[ChunkContent]:
        out: list[ChunkContent] = []
        if self._sound is not None:
            out.append(MediaPiece(self._sound.type or SOUND, b""))
        out += [call.whole() for call in self._calls]
        if kept := self._kept():
            self.metadata["chat"] = kept
        usage = self._usage.with_total()
        out.append(Control("stream_end", self._finish_reason(), usage if usage != Usage() else None))
        return out

    def _kept(self) -> dict[str, Any]:
        """What services want back with the calls of an answer: reasoning by the member's name, and signatures."""
        if not self._calls:
            return {}
        kept: dict[str, Any] = {name: "".join(pieces) for name, pieces in self._thoughts.items()}
        if self._details:
            kept["reasoning_details"] = [
                detail | {name: "".join(pieces) for name, pieces in texts.items()} for detail, texts in self._details
            ]
        if self._extra:
            kept["extra_content"] = self._extra
        if signed := {call.id: call.extra for call in self._calls if call.extra}:
            kept["calls"] = signed
        return kept

    def _finish_reason(self) -> str:
        finish = FINISH.get(self._finish, self._finish) or "stop"
        if finish == "stop":
            # What the model wants is known from what it wrote, not from the word. Source: WIRE.md §2.1.
            if self._calls:
                return "tool_calls"
            if self._refused:
                return "content_filter"
        return finish

    def _whole(self, data: dict[str, Any], out: list[ChunkContent]) -> None:
        choices = data.get("choices")
        self._tell(data, bool(choices))
        if isinstance(choices, list):
            for place, choice in enumerate(choices):
                if isinstance(choice, dict) and choice.get("index", place) in (0, None, "0"):
                    self._choice(choice, out)
        if data.get("object") == "chat.completion" and not self._pieces:
            self._done = True
        if data.get("error") or data.get("object") == "error" or data.get("type") == "error":
            self._raise(data)

    def _tell(self, data: dict[str, Any], named: bool) -> None:
        """Usage and what the answer says of itself. A first chunk without choices may have an empty model (Azure)."""
        usage = data.get("usage")
        if not isinstance(usage, dict) and isinstance(groq := data.get("x_groq"), dict):
            usage = groq.get("usage")
        if isinstance(usage, dict):
            self._usage = self._usage.merged(usage_of(usage))
        facts = self.metadata
        model = data.get("model")
        if named and "model" not in facts and isinstance(model, str) and model:
            facts["model"] = one_line(model, 200)
        for name in TOLD:
            value = data.get(name)
            if name in facts or not value:
                continue
            if isinstance(value, str):
                facts[name] = one_line(value, 200)
            elif name == "created" and isinstance(value, (int, float)):
                facts[name] = value
        if isinstance(citations := data.get("citations"), list) and citations:
            facts["citations"] = [one_line(c, 2000) for c in citations[:LISTS] if isinstance(c, str)]
        if "model" in facts:  # later chunks repeat what is known
            self.quick = chat_text

    def _choice(self, choice: dict[str, Any], out: list[ChunkContent]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._pieces = True
        elif not self._pieces:  # beside pieces, or after them, a message is what they add up to
            delta = choice.get("message")
        if isinstance(delta, dict):
            self._delta(delta, out)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self._finish = one_line(finish, 64)
        if choice.get("error"):  # OpenRouter's, of the service behind it
            self._raise(choice)

    def _delta(self, delta: dict[str, Any], out: list[ChunkContent]) -> None:
        self._think(delta, out)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                out.append(Text(content))
        elif isinstance(content, list):
            for part in content:
                self._part(part, out)
        self._refuse(delta, out)
        fragments = delta.get("tool_calls")
        if isinstance(fragments, list):
            for place, fragment in enumerate(fragments):
                if not isinstance(fragment, dict):
                    continue
                if isinstance(fragment.get("function"), dict):
                    self._fragment(fragment, fragment["function"], place, out)
                elif isinstance(custom := fragment.get("custom"), dict):
                    given = {"name": custom.get("name"), "arguments": custom.get("input")}
                    self._fragment(fragment, given, place, out).custom = True
        legacy = delta.get("function_call")
        if isinstance(legacy, dict) and not fragments and (legacy.get("name") or legacy.get("arguments")):
            self._fragment({"index": -1}, legacy, 0, out)
        if isinstance(sound := delta.get("audio"), dict) and sound:
            self._hear(sound, not content, out)
        if isinstance(images := delta.get("images"), list):
            for image in images:
                self._image(image, out)
        if isinstance(extra := delta.get("extra_content"), dict):
            self._extra |= extra
        notes = delta.get("annotations")
        if isinstance(notes, list) and notes:
            kept = self.metadata.setdefault("annotations", [])
            kept += [note for note in notes if isinstance(note, dict)][: LISTS - len(kept)]

    def _refuse(self, told: dict[str, Any], out: list[ChunkContent]) -> None:
        refusal = told.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refused = True
            out.append(Text(refusal))

    def _part(self, part: Any, out: list[ChunkContent]) -> None:
        """One of a content that is a list: text, a refusal, an image, Mistral's thinking."""
        if isinstance(part, str):
            if part:
                out.append(Text(part))
        elif isinstance(part, dict):
            thinking = part.get("thinking")
            if isinstance(thinking, list):
                thinking = "".join(
                    p["text"] for p in thinking if isinstance(p, dict) and isinstance(p.get("text"), str)
                )
            text = part.get("text")
            if isinstance(thinking, str) and thinking:
                out.append(Reasoning(thinking))
            elif isinstance(text, str) and text:
                out.append(Text(text))
            self._refuse(part, out)
            self._image(part, out)

    def _think(self, delta: dict[str, Any], out: list[ChunkContent]) -> None:
        """The piece of reasoning, which vendors name in three ways and sometimes give twice."""
        told = ""
        for name in ("reasoning_content", "reasoning"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._thoughts.setdefault(name, []).append(text)
                told = told or text
        details = delta.get("reasoning_details")
        if isinstance(details, list):
            found = [detail for detail in details if isinstance(detail, dict)]
            for detail in found:
                self._detail(detail)
            told = told or "".join(text_of(one.get("text") or one.get("summary")) for one in found)
        if told:
            out.append(Reasoning(told))

    def _detail(self, detail: dict[str, Any]) -> None:
        """A piece of `reasoning_details`: more of the last, or the next; a stream's texts without a number are one."""
        last, texts = self._details[-1] if self._details else ({}, {})
        whole = "index" not in detail and (not self._pieces or "data" in detail or last.get("signature"))
        if not last or whole or any(last.get(name) != detail.get(name) for name in ("index", "type")):
            if len(self._details) >= LISTS:
                return
            last, texts = {}, {}
            self._details.append((last, texts))
        for name, value in detail.items():
            if name in ("text", "summary", "data") and isinstance(value, str):
                texts.setdefault(name, []).append(value)
            if value is not None or name not in last:
                last[name] = value

    def _hear(self, sound: dict[str, Any], silent: bool, out: list[ChunkContent]) -> None:
        """A piece of sound, or all of it; what is said in it is the answer's text, where there is no other."""
        if silent and (said := text_of(sound.get("transcript"))):
            out.append(Text(said))
        if piece := text_of(sound.get("data")):
            self._sound = self._sound or PartialMedia()
            if data := self._sound.add(piece):
                # A stream's is raw, and may begin as a frame of MP3 does.
                bare = not self._done and data[0] == 0xFF
                self._sound.type = self._sound.type or (None if bare else sniff(data)) or SOUND
                out.append(MediaPiece(self._sound.type, data, is_final=False))

    def _image(self, image: Any, out: list[ChunkContent]) -> None:
        told = image.get("image_url") if isinstance(image, dict) else None
        url = text_of(told.get("url") if isinstance(told, dict) else told)
        if url.lower().startswith(("https://", "http://")):
            kept = self.metadata.setdefault("image_urls", [])
            kept += [one_line(url, 2000)][: LISTS - len(kept)]
        elif (piece := image_of(url)) is not None:
            out.append(piece)

    def _fragment(
        self, fragment: dict[str, Any], function: dict[str, Any], place: int, out: list[ChunkContent]
    ) -> _Call:
        """A piece of a tool call: finds its call, or begins one."""
        id_, name = text_of(fragment.get("id")), text_of(function.get("name"))
        index = fragment.get("index")
        key: int | str = index if type(index) is int else f"place {place}"
        call = self._keys.get(key)
        if type(index) is not int and id_:
            call = next((known for known in self._calls if known.told_id == id_), None)
        if call is not None and name and call.is_ended_by(id_, name, function.get("arguments"), indexed=key is index):
            call = None
        first = call is None
        if call is None:
            self._room(len(self._calls))
            taken = {known.id for known in self._calls}
            number = len(self._calls) + 1
            while (invented := f"call_{number}") in taken:
                number += 1
            call = _Call(id_ if id_ and id_ not in taken else invented, id_)
            self._calls.append(call)
        self._keys[key] = call
        if name and not call.name:
            call.name = name
        if isinstance(extra := fragment.get("extra_content"), dict):
            call.extra = extra
        piece = call.add(function.get("arguments"))
        if piece or first:
            out.append(ToolCallProgress(call.id, call.name, piece))
        return call


class _Call(PartialCall):
    """A tool call that is being read."""

    __slots__ = ("custom", "extra", "told_id")

    def __init__(self, id_: str, told_id: str) -> None:
        super().__init__(id_, "")
        self.told_id = told_id  # as the service said; empty where it said none
        self.extra: dict[str, Any] = {}  # Google's signature of the call
        self.custom = False  # its input is plain text

    def parsed(self) -> dict[str, Any] | None:
        return {"input": "".join(self.pieces)} if self.custom else super().parsed()

    def is_ended_by(self, id_: str, name: str, arguments: Any, *, indexed: bool) -> bool:
        """Whether a fragment that names a function begins a call of its own, though its key is this call's.

        Some servers number every call 0 and tell them apart by id, or not at all; a server that makes a new id for
        every fragment gives the name only once, others repeat both. A whole call is followed by the next one where
        its own is not named again: nothing could be added to it.
        """
        if id_ and self.told_id and id_ != self.told_id:
            return True
        if indexed and (id_ or self.told_id):
            return False
        if indexed and self.name and name != self.name:
            return True
        more = not (indexed or id_) or bool(text_of(arguments).strip())
        end = next((piece for piece in reversed(self.pieces) if not piece.isspace()), "").rstrip()
        return more and end.endswith(("}", "null")) and self.parsed() is not None


def usage_of(usage: dict[str, Any]) -> Usage:
    """The tokens that a `usage` member tells; what it leaves out is unknown.

    Where the total shows that the output was counted without its reasoning (xAI), the reasoning is added.
    """
    read, written, total = (count(usage.get(f"{name}_tokens")) for name in ("prompt", "completion", "total"))
    details = usage.get("prompt_tokens_details")
    cached = count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = count(usage.get("prompt_cache_hit_tokens"))  # DeepSeek
    details = usage.get("completion_tokens_details")
    reasoning = count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if reasoning is None:
        reasoning = count(usage.get("reasoning_tokens"))
    if reasoning and None not in (read, written, total) and total == read + written + reasoning:  # type: ignore[operator]
        written += reasoning  # type: ignore[operator]
    return Usage(read, written, cached, reasoning, total, money(usage))
