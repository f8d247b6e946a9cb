"""Reads the events of Responses, and a response in one piece. Source: WIRE.md §2, §5, §12.

Items may overlap, come without their place or without an id, change that id, and be told by pieces, whole, at the very
end, or all of it: each is kept, and of what is told again only what is new is given out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import one_line
from llmspell.providers.calls import PartialCall, count, image_of, json_of, money, new_text, text_of
from llmspell.providers.reading import AnswerReader, failure
from llmspell.types.streaming import Control, Reasoning, Text, ToolCallProgress
from llmspell.types.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmspell.types.streaming import ChunkContent

__all__ = ["ResponsesReader"]

#: An unfinished answer's reason, for what llmspell says.
FINISH = {"max_output_tokens": "length", "max_tokens": "length", "content_filter": "content_filter"}
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
CALLS = ("function_call", "custom_tool_call")
#: Events of text: the item's type, what the piece is, its member for the part's number, its member for the whole.
PIECES = {
    "response.output_text": ("message", "text", "content_index", "text"),
    "response.refusal": ("message", "refusal", "content_index", "refusal"),
    "response.reasoning_summary_text": ("reasoning", "summary", "summary_index", "text"),
    "response.reasoning_text": ("reasoning", "thought", "content_index", "text"),
}
ARGUMENTS = {
    "response.function_call_arguments": ("function_call", "arguments"),
    "response.custom_tool_call_input": ("custom_tool_call", "input"),
}
#: Items that the service stops for: to be allowed, or to have done what it asks. They are the caller's to answer, in
#: requests of its own; no pause, after which the same is asked again.
WAITS = ("mcp_approval_request", "computer_call", "local_shell_call", "shell_call", "apply_patch_call")
LISTS = 256  # annotations kept of one answer


class _Call(PartialCall):
    """A tool call; custom: its input is plain text. told: the id that the service said, empty where it said none."""

    __slots__ = ("custom", "told")

    def __init__(self, id_: str, name: str, *, custom: bool, told: str) -> None:
        super().__init__(id_, name)
        self.custom = custom
        self.told = told

    def parsed(self) -> dict[str, Any] | None:
        return {"input": "".join(self.pieces)} if self.custom else super().parsed()


class _Item:
    """An item of the answer, as far as it was told."""

    __slots__ = ("annotated", "call", "final", "id", "kind", "parts", "place", "told", "value")

    def __init__(self, kind: str, place: int | None) -> None:
        self.kind = kind
        self.place = place
        self.id = ""
        self.call: _Call | None = None
        self.value: dict[str, Any] | None = None  # all of it
        self.final = False  # it was met in the last event's output
        self.annotated = False
        self.told: dict[str, list[str]] = {}  # what it is: its pieces
        self.parts: set[tuple[str, int | None]] = set()  # of which any was told: what it is, and the part's number

    def more(self, what: str, whole: str) -> str:
        """What of *whole* was not told yet; nothing where that is something else."""
        before = "".join(self.told.get(what, ()))
        return whole[len(before) :] if whole.startswith(before) else ""


class ResponsesReader(AnswerReader):
    """One answer's reader: `read_all` the values of a stream, or `whole` a response, then `end`.

    metadata: model, id, annotations, and `items`: the answer's items as they came, for the next turn, where there is
    reasoning or a service's own tool among them.
    """

    __slots__ = ("_at", "_finish", "_items", "_open", "_refused", "_status", "_usage")

    typed = True

    def __init__(
        self, provider: str = "", model: str = "", *, key_env: str | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        super().__init__(provider, model, key_env=key_env, secrets=secrets)
        self._items: list[_Item] = []
        self._at: dict[int | str, _Item] = {}  # by their place, and by their id
        self._usage = Usage()
        self._status = ""
        self._finish = ""
        self._refused = False
        # The last piece of text: its item's place and id, its part's number, and where its pieces stand.
        self._open: tuple[Any, Any, Any, list[str]] = (None, None, None, [])

    @property
    def complete(self) -> bool:
        """Whether the last event came."""
        return self.over

    def read_all(self, values: Iterable[Any], out: list[ChunkContent]) -> None:
        """What the events add; an error is raised at once, what came before it stands in *out*."""
        if self._error is not None:
            raise self._error
        for value in values:
            try:  # the most are one more piece of the text that is open
                if value["type"] == "response.output_text.delta":
                    place, id_, number, pieces = self._open
                    if (
                        type(text := value["delta"]) is str
                        and value["output_index"] == place
                        and value["item_id"] == id_
                        and value["content_index"] == number
                        and place is not None
                    ):
                        if text:
                            pieces.append(text)
                            out.append(new_text((text,)))
                        continue
            except (KeyError, TypeError):
                pass
            if type(value) is not dict:
                continue
            kind = value.get("type")
            if kind == "error" or (kind is None and value.get("error")):
                self._raise(value)
            elif isinstance(kind, str):
                stem, _, last = kind.rpartition(".")
                if stem in PIECES:
                    self._piece(PIECES[stem], last, value, out)
                elif stem in ARGUMENTS:
                    self._arguments(ARGUMENTS[stem], last, value, out)
                else:
                    self._event(kind, value, out)

    def whole(self, value: Any, out: list[ChunkContent]) -> None:
        """What a response holds that came in one piece."""
        if not isinstance(value, dict) or not (
            isinstance(value.get("output"), list) or value.get("object") == "response"
        ):
            raise failure(self, value)
        self._response(value, out)

    def _last(self) -> list[ChunkContent]:
        self._items.sort(key=lambda item: len(self._items) if item.place is None else item.place)
        kept = [_without_media(item.value) for item in self._items if item.value is not None]
        if any(value.get("type") not in ("message", *CALLS) for value in kept):
            self.metadata["items"] = kept
        out: list[ChunkContent] = [item.call.whole() for item in self._items if item.call is not None]
        finish = self._finish or "stop"
        if finish == "stop":
            waits = any(_waits(value) for value in kept)
            finish = "tool_calls" if out or waits else "content_filter" if self._refused else "stop"
        usage = self._usage.with_total()
        out.append(Control("stream_end", finish, usage if usage != Usage() else None))
        return out

    # ---- which item is meant

    def _item(self, kind: str, place: Any, id_: str, call_id: str = "") -> _Item:
        """The item at a place, or of an id; where neither is told, the last of that kind; or a new one.

        Where a server says one place of all its items, they are known by what they are, and by their ids.
        """
        known = self._at.get(place) if type(place) is int else None
        if known is None or self._is_another(known, kind, id_, call_id):
            known = self._at.get(id_) if id_ else None
        if known is None and type(place) is not int and not id_:
            known = next((item for item in reversed(self._items) if item.kind == kind and item.value is None), None)
        if known is None:
            known = _Item(kind, place if type(place) is int else None)
            self._add(known)
        if type(place) is int:
            self._at[place] = known
        if id_:
            known.id = known.id or id_
            self._at.setdefault(id_, known)
        return known

    def _add(self, item: _Item) -> None:
        self._room(len(self._items))
        self._items.append(item)

    def _is_another(self, known: _Item, kind: str, id_: str, call_id: str) -> bool:
        """Whether what is told at the place of *known* is of another item."""
        told = known.call.told if known.call is not None else ""
        return known.kind != kind or bool(told and call_id and told != call_id) or self._at.get(id_, known) is not known

    def _met_before(self, value: dict[str, Any], place: int) -> _Item:
        """The item that one of the last event's output is: ids may have changed, and others may be left out."""
        kind, id_ = text_of(value.get("type")), text_of(value.get("id"))
        known = self._at.get(id_) if id_ else None
        if known is None:
            others = [item for item in self._items if item.kind == kind and not item.final]
            if kind in CALLS:
                others = [item for item in others if self._is_call(item, value)]
            known = others[0] if others else None
        if known is None:
            known = _Item(kind, None if place in self._at else place)
            self._add(known)
        known.final = True
        return known

    @staticmethod
    def _is_call(item: _Item, value: dict[str, Any]) -> bool:
        call, told = item.call, text_of(value.get("call_id"))
        if call is None or not call.told or not told:
            return True
        return call.told == told

    # ---- what it says

    def _piece(
        self, about: tuple[str, str, str, str], last: str, value: dict[str, Any], out: list[ChunkContent]
    ) -> None:
        kind, what, number, member = about
        text = text_of(value.get("delta" if last == "delta" else member))
        if not text or last not in ("delta", "done"):
            return
        item = self._item(kind, value.get("output_index"), text_of(value.get("item_id")))
        part = what, count(value.get(number))
        if last == "done" and part in item.parts:
            return
        if what == "summary" and item.parts and part not in item.parts:
            text = "\n\n" + text
        item.parts.add(part)
        self._tell(item, what, text, out)
        if what == "text":
            place = value.get("output_index")
            known = type(place) is int
            self._open = place if known else None, value.get("item_id"), value.get(number), item.told[what]

    def _tell(self, item: _Item, what: str, text: str, out: list[ChunkContent]) -> None:
        if not text:
            return
        item.told.setdefault(what, []).append(text)
        self._refused = self._refused or what == "refusal"
        out.append(Text(text) if what in ("text", "refusal") else Reasoning(text))

    def _arguments(self, about: tuple[str, str], last: str, value: dict[str, Any], out: list[ChunkContent]) -> None:
        kind, member = about
        item = self._item(kind, value.get("output_index"), text_of(value.get("item_id")))
        call = self._call(item, {}, out)
        if last == "delta":
            if piece := call.add(text_of(value.get("delta"))):
                out.append(ToolCallProgress(call.id, call.name, piece))
        elif last == "done":
            self._given(call, value.get(member), out)

    @staticmethod
    def _given(call: _Call, given: Any, out: list[ChunkContent]) -> None:
        """All of a call's arguments: as text, or as the object itself."""
        whole = json_of(given) if isinstance(given, dict) else text_of(given)
        before = "".join(call.pieces)
        if whole and whole != before:
            call.pieces = [whole]
            if whole.startswith(before):
                out.append(ToolCallProgress(call.id, call.name, whole[len(before) :]))

    def _call(self, item: _Item, value: dict[str, Any], out: list[ChunkContent]) -> _Call:
        """The call that an item is; what was not known of it is taken from *value*."""
        told, name = text_of(value.get("call_id")), text_of(value.get("name"))
        call = item.call
        if call is None:
            taken = {other.call.id for other in self._items if other.call is not None}
            number = len(taken) + 1
            while f"call_{number}" in taken:
                number += 1
            wanted = told or item.id
            id_ = wanted if wanted and wanted not in taken else f"call_{number}"
            call = item.call = _Call(id_, name, custom=item.kind == "custom_tool_call", told=told)
            if value:
                out.append(ToolCallProgress(call.id, call.name, ""))
        call.name = call.name or name
        if told and not call.told:
            call.told = told
            if all(other.call is None or other.call.id != told for other in self._items):
                call.id = told
        return call

    def _event(self, kind: str, value: dict[str, Any], out: list[ChunkContent]) -> None:
        if kind in ("response.output_item.added", "response.output_item.done"):
            told = value.get("item")
            if isinstance(told, dict):
                id_ = text_of(told.get("id")) or text_of(value.get("item_id"))
                kind_, call_id = text_of(told.get("type")), text_of(told.get("call_id"))
                item = self._item(kind_, value.get("output_index"), id_, call_id)
                self._told(item, told, out, whole=kind.endswith("done"))
        elif kind == "response.output_text.annotation.added":
            self._item("message", value.get("output_index"), text_of(value.get("item_id"))).annotated = True
            self._annotate([value.get("annotation")])
        elif kind == "response.created":
            self._about(value.get("response"))
        elif kind in TERMINAL and isinstance(value.get("response"), dict):
            self._response(value["response"], out, kind.partition(".")[2])

    def _told(self, item: _Item, value: dict[str, Any], out: list[ChunkContent], *, whole: bool) -> None:
        """An item begins, or is there whole: of what it holds, what was not told piece by piece is told now."""
        if item.kind in CALLS:
            call = self._call(item, value, out)
            given = value.get("input" if call.custom else "arguments")
            if whole or given:
                self._given(call, given, out)
        if not whole:
            return
        if item.kind == "image_generation_call" and not _made(item.value):
            piece = image_of(text_of(value.get("result")), _image_type(value))
            if piece is not None:
                out.append(piece)
        item.value = value
        if item.kind == "message":
            self._message(item, value, out)
        elif item.kind == "reasoning":
            for what, name in (("summary", "summary"), ("thought", "content")):
                text = ("\n\n" if what == "summary" else "").join(_texts(value.get(name)))
                if what in item.told or not item.told:
                    self._tell(item, what, item.more(what, text), out)

    def _message(self, item: _Item, value: dict[str, Any], out: list[ChunkContent]) -> None:
        parts = value.get("content")
        parts = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        refusals = [text_of(part.get("refusal")) for part in parts if part.get("type") == "refusal"]
        texts = [text_of(part.get("text")) for part in parts if part.get("type") != "refusal"]
        self._tell(item, "text", item.more("text", "".join(texts)), out)
        self._tell(item, "refusal", item.more("refusal", "".join(refusals)), out)
        self._refused = self._refused or bool(refusals)
        if not item.annotated:
            for part in parts:
                if notes := part.get("annotations"):
                    item.annotated = True
                    self._annotate(notes)

    def _annotate(self, notes: Any) -> None:
        found = [note for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []
        if found:
            kept = self.metadata.setdefault("annotations", [])
            kept += found[: LISTS - len(kept)]

    def _about(self, response: Any) -> None:
        if isinstance(response, dict):
            for name in ("id", "model"):
                if told := text_of(response.get(name)):
                    self.metadata[name] = one_line(told, 200)

    def _response(self, response: dict[str, Any], out: list[ChunkContent], event: str = "") -> None:
        """The whole answer, at its end: what did not come as a stream is told from it."""
        self._about(response)
        if isinstance(usage := response.get("usage"), dict):
            self._usage = usage_of(usage)
        status = text_of(response.get("status")) or event
        if status == "failed" or (response.get("error") and status != "completed"):
            self._raise({"error": response.get("error") or {"message": "it told no reason"}})
        output = response.get("output")
        for place, value in enumerate(output if isinstance(output, list) else ()):
            if isinstance(value, dict):
                self._told(self._met_before(value, place), value, out, whole=True)
        self._status = one_line(status, 64) or "completed"
        self.over = True
        if status in ("completed", "complete"):
            self._finish = "stop"
        elif status == "incomplete":
            details = response.get("incomplete_details")
            reason = one_line(text_of(details.get("reason")), 64) if isinstance(details, dict) else ""
            self._finish = FINISH.get(reason, reason) or "length"
        else:
            self._finish = self._status


def _waits(item: dict[str, Any]) -> bool:
    """Whether an item is a question that the service waits for an answer to, though it is no call of a tool."""
    kind = item.get("type")
    return kind in WAITS or (kind == "tool_search_call" and item.get("execution") == "client")


def _made(item: dict[str, Any] | None) -> bool:
    return item is not None and bool(item.get("result"))


def _image_type(item: dict[str, Any]) -> str:
    told = text_of(item.get("output_format"))
    return f"image/{told}" if told.isalnum() else ""


def _without_media(item: dict[str, Any]) -> dict[str, Any]:
    """An item to be kept: an image that was made is told as such, and not once more."""
    if item.get("type") != "image_generation_call":
        return item
    return {name: value for name, value in item.items() if name != "result"}


def _texts(parts: Any) -> list[str]:
    found = [text_of(part.get("text")) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return [text for text in found if text]


def usage_of(usage: dict[str, Any]) -> Usage:
    """The tokens that a `usage` tells."""
    details = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    cached = count(details[0].get("cached_tokens")) if isinstance(details[0], dict) else None
    reasoning = count(details[1].get("reasoning_tokens")) if isinstance(details[1], dict) else None
    read, written, total = (count(usage.get(f"{name}_tokens")) for name in ("input", "output", "total"))
    return Usage(read, written, cached, reasoning, total, money(usage))
