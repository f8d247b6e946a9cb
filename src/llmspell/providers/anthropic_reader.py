"""Anthropic's Messages: events to chunk contents. Source: WIRE.md §1, §2, §6, §12."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import one_line
from llmspell.providers.calls import PartialCall, count, new_text, text_of
from llmspell.providers.reading import AnswerReader, failure
from llmspell.types.streaming import Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.types.streaming import ChunkContent

__all__ = ["MessagesReader"]

#: What the service says for what llmspell says; a word that is not here is kept.
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "pause",
}
LISTS = 256  # citations kept of one answer


class MessagesReader(AnswerReader):
    """One answer's reader: `read_all` the values of a stream, or `whole` a message, then `end`.

    metadata: model, id, citations, stop_sequence, stop_details, container, and `blocks`: the answer's blocks as they
    came, for the next turn, where there is thinking or a server's own tool among them.
    """

    __slots__ = ("_blocks", "_calls", "_finish", "_open", "_pieces", "_place", "_usage")

    typed = True

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__(provider, model, key_env=key_env, secrets=secrets)
        self._blocks: dict[int, dict[str, Any]] = {}  # by their place
        self._pieces: dict[int, dict[str, list[str]]] = {}  # of a block's members, by its place
        self._calls: dict[int, PartialCall] = {}  # by the place of their block
        self._place = 0  # of the block that began last
        self._usage: dict[str, Any] = {}  # as the service said it, the last that was said of each field
        self._finish = ""
        self._open: tuple[Any, list[str]] = (None, [])  # the place of the last block of text, and its pieces

    @property
    def complete(self) -> bool:
        """Whether the answer may end here."""
        return self.over or bool(self._finish)

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the events add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            try:  # the most are a piece of the text that is open
                delta = value["delta"]
                if (
                    delta["type"] == "text_delta"
                    and value["type"] == "content_block_delta"
                    and value["index"] == self._open[0]
                    and type(text := delta["text"]) is str
                ):
                    if text:
                        out.append(new_text((text,)))
                        self._open[1].append(text)
                    continue
            except (KeyError, TypeError):
                pass
            if type(value) is not dict:
                continue
            kind = value.get("type")
            if kind == "content_block_delta":
                self._delta(value.get("delta"), value.get("index"), out)
            elif kind == "content_block_start":
                self._start(value.get("content_block"), value.get("index"), out)
            elif kind == "message_start":
                self._message(value.get("message"))
            elif kind == "message_delta":
                self._ending(value)
            elif kind == "message_stop":
                self.over = True
            elif kind == "error" or (kind is None and "error" in value):
                self._raise(value)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What a message holds that came in one piece."""
        blocks = value.get("content") if isinstance(value, dict) else None
        if blocks is None and isinstance(value, dict) and value.get("stop_reason"):
            blocks = []  # the model refused, say
        if not isinstance(blocks, list):
            raise failure(self, value)
        self._message(value)
        for index, block in enumerate(blocks):
            self._start(block, index, out)
        self._ending({"delta": value})
        self.over = True

    def _last(self) -> list[ChunkContent]:
        blocks = [self._finished(place) for place in sorted(self._blocks)]
        if self._finish == "max_tokens":  # thinking that was cut has no signature, and is refused without
            blocks = [block for block in blocks if block.get("type") != "thinking" or block.get("signature")]
        if any(block.get("type") not in ("text", "tool_use") for block in blocks):
            self.metadata["blocks"] = blocks
        out: list[ChunkContent] = [self._calls[place].whole() for place in sorted(self._calls)]
        usage = usage_of(self._usage)
        finish = FINISH.get(self._finish, self._finish)
        if out and finish in ("stop", ""):
            finish = "tool_calls"
        out.append(Control("stream_end", finish or "stop", usage if usage != Usage() else None))
        return out

    def _message(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        for name in ("id", "model"):
            if isinstance(message.get(name), str) and message[name]:
                self.metadata[name] = one_line(message[name], 200)
        self._count(message.get("usage"))

    def _ending(self, value: dict[str, Any]) -> None:
        delta = value.get("delta")
        if isinstance(delta, dict):
            if isinstance(finish := delta.get("stop_reason"), str) and finish:
                self._finish = one_line(finish, 64)
            if isinstance(stop := delta.get("stop_sequence"), str) and stop:
                self.metadata["stop_sequence"] = one_line(stop, 200)
            for name in ("stop_details", "container"):
                if isinstance(details := delta.get(name), dict):
                    self.metadata[name] = details
        self._count(value.get("usage"))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: told for name, told in usage.items() if told is not None})

    def _start(self, block: Any, index: Any, out: list[ChunkContent]) -> None:
        """A block begins, or is there whole."""
        if not isinstance(block, dict):
            return
        self._place = place = index if type(index) is int else len(self._blocks)
        block = dict(block)
        self._blocks[place] = block
        kind = block.get("type")
        if kind == "tool_use":
            call = PartialCall(self._id(text_of(block.get("id"))), text_of(block.get("name")))
            block["id"] = call.id
            self._calls[place] = call
            given = block.get("input")
            piece = call.add(given) if isinstance(given, dict) and given else ""
            out.append(ToolCallProgress(call.id, call.name, piece))
        elif kind == "text":
            self._open = place, self._pieces.setdefault(place, {}).setdefault("text", [])
            if text := text_of(block.get("text")):
                out.append(Text(text))
            citations = block.get("citations")
            for citation in citations if isinstance(citations, list) else ():
                self._cited(citation)
        elif kind == "thinking" and (text := text_of(block.get("thinking"))):
            out.append(Reasoning(text))

    def _id(self, told: str) -> str:
        """A call's id: the service's own, or the next that is free."""
        self._room(len(self._calls))
        taken = {call.id for call in self._calls.values()}
        number = len(taken) + 1
        while f"call_{number}" in taken:
            number += 1
        return told if told and told not in taken else f"call_{number}"

    def _delta(self, delta: Any, index: Any, out: list[ChunkContent]) -> None:
        if type(delta) is not dict:
            return
        kind = delta.get("type")
        if type(index) is not int:
            index = self._place  # blocks do not overlap
        block = self._blocks.get(index)
        if kind == "text_delta":
            if text := text_of(delta.get("text")):
                out.append(Text(text))
                self._add(index, "text", text)
        elif kind == "thinking_delta":
            if text := text_of(delta.get("thinking")):
                out.append(Reasoning(text))
                self._add(index, "thinking", text)
        elif kind == "input_json_delta":
            self._arguments(text_of(delta.get("partial_json")), index, block, out)
        elif kind == "signature_delta":
            if block is not None:
                block["signature"] = text_of(delta.get("signature"))
        elif kind == "citations_delta":
            self._cited(delta.get("citation"))
            if block is not None:
                kept = block.get("citations")
                block["citations"] = [*(kept if isinstance(kept, list) else ()), delta.get("citation")][:LISTS]
        elif kind == "compaction_delta" and (text := text_of(delta.get("content"))):
            self._add(index, "content", text)

    def _arguments(self, piece: str, index: int, block: dict[str, Any] | None, out: list[ChunkContent]) -> None:
        call = self._calls.get(index)
        if call is not None:
            if call.add(piece):
                out.append(ToolCallProgress(call.id, call.name, piece))
        elif block is not None and piece:  # of a tool that the service runs itself
            self._add(index, "partial_json", piece)

    def _add(self, index: int, name: str, text: str) -> None:
        """A piece of a block's text: they are joined once, at the end."""
        if index in self._blocks:
            self._pieces.setdefault(index, {}).setdefault(name, []).append(text)

    def _cited(self, citation: Any) -> None:
        if isinstance(citation, dict):
            kept = self.metadata.setdefault("citations", [])
            if len(kept) < LISTS:
                kept.append(citation)

    def _finished(self, place: int) -> dict[str, Any]:
        """A block as the next turn has to say it."""
        block = self._blocks[place]
        for name, pieces in self._pieces.get(place, {}).items():
            block[name] = text_of(block.get(name)) + "".join(pieces)
        call = self._calls.get(place)
        if call is not None:
            block["input"] = call.parsed() or {}
        elif "partial_json" in block:
            own = PartialCall("", "")
            own.add(block.pop("partial_json"))
            block["input"] = own.parsed() or {}
        return block


def usage_of(usage: dict[str, Any]) -> Usage:
    """The tokens that a `usage` tells: here what came from a cache, or went into it, is not among the input.

    Passes that are no message (a compaction, an advisor's) are told in `iterations` only.
    """
    read, written, cached, made = _tokens(usage)
    passes = usage.get("iterations")
    for one in passes if isinstance(passes, list) else ():
        if isinstance(one, dict) and one.get("type") not in (None, "message"):
            more = _tokens(one)
            read, written, cached, made = (
                (a or 0) + (b or 0) if a is not None or b is not None else None
                for a, b in zip((read, written, cached, made), more, strict=True)
            )
    details = usage.get("output_tokens_details")
    thought = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    return Usage(read, written, cached, thought, cache_write_tokens=made or None).with_total()


def _tokens(usage: dict[str, Any]) -> tuple[int | None, int | None, int | None, int | None]:
    plain, cached, made, written = (
        count(usage.get(name))
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    )
    read = None if plain is None else plain + (cached or 0) + (made or 0)
    return read, written, cached, made
