"""The event-stream parser, pure twin: bytes of `text/event-stream` in, events out, and contents of the usual ones.

One rule a line, the same in both twins (`_sse_c.pyx` is the other; tests/conformance/test_sse.py compares them):
a line ends with LF, CRLF or CR; a blank line gives out the event; what starts with a colon is a comment. Of the
fields, `data` adds a line, `event` names the event, `id` and `retry` are for browsers, `error` is a habit of
llama.cpp's children, and a line that is no field at all is kept aside. Source: WIRE.md §1, §12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEFTOVER_MAX", "MAX_EVENT", "EventParser", "EventTooLarge", "Events", "chat_text"]

MAX_EVENT = 8 * 1024 * 1024
LEFTOVER_MAX = 64 * 1024
BOM = b"\xef\xbb\xbf"
NO_JSON: Any = object()


class EventTooLarge(ValueError):
    """One event, or one line, has more bytes than the parser was told to hold."""


class EventParser:
    """Bytes in, events out; no I/O, and bytes may be cut anywhere.

    max_event: bytes of one event's data, and of any one line; beyond it EventTooLarge is raised. Events that were
    complete before the large one are given out first, so it is raised by that call of `feed` that completes none, by
    the next one otherwise, and by every call after.
    """

    __slots__ = (
        "_data",
        "_error",
        "_failed",
        "_fresh",
        "_left",
        "_name",
        "_pieces",
        "_room",
        "_size",
        "_skip",
        "_tail",
        "max_event",
    )

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self.max_event = max_event
        self._data: list[bytes] = []  # of the event that is being read
        self._size = 0  # bytes of _data, line ends counted
        self._name = ""
        self._error: bytes | None = None
        self._pieces: list[bytes] = []  # of the line that is being read
        self._tail = 0  # bytes of _pieces
        self._skip = False  # a CR ended the last line: an LF right after it belongs to it
        self._fresh = True  # no line has been read: a byte order mark may stand first
        self._left = bytearray()
        self._room = LEFTOVER_MAX  # bytes that _left may still grow by
        self._failed = False

    @property
    def leftover(self) -> bytes:
        """The lines that were no field of an event stream, each with an LF: the first LEFTOVER_MAX bytes of them."""
        return bytes(self._left)

    def feed(self, data: bytes) -> list[tuple[str, bytes]]:
        """The events that *data* completes: name (often empty) and data, its lines joined with LF.

        Raises EventTooLarge; see the class.
        """
        if type(data) is not bytes:
            data = bytes(memoryview(data))
        if self._failed:
            raise self._too_large()
        events: list[tuple[str, bytes]] = []
        failed = False
        if self._skip and data:
            self._skip = False
            if data[0] == 10:
                data = data[1:]
        if b"\r" in data:
            self._skip = data[-1] == 13
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" in data:
            if self._pieces:
                self._pieces.append(data)
                data = b"".join(self._pieces)
                self._pieces.clear()
                self._tail = 0
            lines = data.split(b"\n")
            data = lines.pop()
            failed = self._lines(lines, events)
        if data and not failed:
            self._pieces.append(data)
            self._tail += len(data)
            failed = self._tail > self.max_event + (len(BOM) if self._fresh else 0)
        self._failed = failed
        if failed and not events:
            raise self._too_large()
        return events

    def end(self) -> list[tuple[str, bytes]]:
        """The transport has ended: the last event, if it has data and its blank line was left off.

        A last line without a line end counts as a line; whether it is whole only its reader can tell.
        """
        if self._failed:
            raise self._too_large()
        events: list[tuple[str, bytes]] = []
        last = b"".join(self._pieces)
        self._pieces.clear()
        self._tail = 0
        if last:
            self._failed = self._lines([last], events)
        if self._failed:
            raise self._too_large()
        self._dispatch(events)
        return events

    def _lines(self, lines: list[bytes], events: list[tuple[str, bytes]]) -> bool:
        """Takes in whole lines; tells whether one of them made the event too large."""
        if self._fresh:
            self._fresh = False
            lines[0] = lines[0].removeprefix(BOM)
        limit, pending = self.max_event, self._data
        for line in lines:
            if not line:
                if len(pending) == 1 and not self._name:  # nearly every event
                    events.append(("", pending.pop()))
                    self._size = 0
                    self._error = None
                else:
                    self._dispatch(events)
                continue
            if len(line) > limit:
                return True
            if line.startswith(b"data:"):
                value = line[6:] if line.startswith(b" ", 5) else line[5:]
                pending.append(value)
                self._size += len(value) + 1
            elif line[0] != 58:
                self._field(line)
            if self._size > limit + 1:
                return True
        return False

    def _field(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":  # without a colon: an empty line
            self._data.append(b"")
            self._size += 1
        elif field == b"error":
            self._error = value
        elif field not in (b"id", b"retry"):
            if len(line) < self._room:
                self._left += line + b"\n"
                self._room -= len(line) + 1
            else:  # what is kept has no holes
                self._room = 0

    def _dispatch(self, events: list[tuple[str, bytes]]) -> None:
        if self._data:
            events.append((self._name, b"\n".join(self._data)))
            self._data.clear()
        elif self._error is not None:
            events.append(("error", self._error))
        self._size = 0
        self._name = ""
        self._error = None

    def _too_large(self) -> EventTooLarge:
        return EventTooLarge(f"an event of the stream has more than {self.max_event} bytes")


class Events:
    """The beginning of a reading of an event stream: bytes to contents, where all is as it nearly always is.

    reader: makes contents of values (`read_all`) and tells when the answer is `over`; `typed`: its values name their
    own type, which is the event's name where they do not; `quick`: a function that gives the text of a value that is
    nothing but a piece of text, None for any other, or None as long as there is none. That text is one of the value's
    strings, whichever it is: two values that differ in it alone give each its own. most: events of one answer. kind:
    the content of a piece of text, a named tuple. plain: whether the answer is JSON and no event stream; None before
    the first byte.

    A subclass adds `unusual`, for what comes before that is known and what is no event stream; `several`, for events
    that are not one event of JSON; `ended`, once the answer is over; and `fail`, told of what these raise.
    """

    __slots__ = ("_kind", "count", "error", "finished", "most", "parser", "plain", "quick", "reader")

    def __init__(self, reader: Any, parser: EventParser, most: int, kind: type[Any]) -> None:
        self.reader = reader
        self.parser = parser
        self.most = most
        self._kind = kind
        self.plain: bool | None = None
        self.quick: Callable[[Any], str | None] | None = None
        self.count = 0  # of events
        self.error: Any = None
        self.finished = False

    def unusual(self, data: bytes, out: list[Any]) -> None:
        """Takes in *data*, of which it is not known, or known, that it is no event stream."""
        raise NotImplementedError

    def several(self, events: list[tuple[str, bytes]], out: list[Any]) -> None:
        """Takes in events of any number, and counts them."""
        raise NotImplementedError

    def ended(self, out: list[Any]) -> None:
        """The answer is over."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """Keeps the error, or raises it where it is none of an answer's own."""
        raise NotImplementedError

    def feed(self, data: bytes) -> list[Any]:
        """What *data* completes; nothing once `finished`."""
        out: list[Any] = []
        if self.finished:
            return out
        try:
            if self.plain is not False:
                self.unusual(data, out)
                return out
            events = self.parser.feed(data)
            if len(events) == 1 and self.count < self.most:  # a token at a time
                self._one(events[0], out)
            else:
                self.several(events, out)
        except Exception as error:
            self.fail(error)
        return out

    def _one(self, event: tuple[str, bytes], out: list[Any]) -> None:
        (name, data), reader = event, self.reader
        typed = reader.typed
        value = NO_JSON
        if typed or not name:
            try:
                value = loads(data)
            except JSONDecodeError:
                pass
        if value is NO_JSON:
            self.several([event], out)
            return
        if name and type(value) is dict and "type" not in value:
            value["type"] = name
        self.count += 1
        text = None if self.quick is None else self.quick(value)
        if text is not None:
            if text:
                out.append(tuple.__new__(self._kind, (text,)))
            return
        reader.read_all((value,), out)
        self.quick = reader.quick
        if typed and reader.over:
            self.ended(out)


def chat_text(value: Any) -> str | None:
    """The text of a chunk of OpenAI's chat that is one piece of text and nothing else; None for any other value.

    Nearly every chunk is one choice whose delta is a piece of text.
    """
    # Values of JSON are dicts, lists or plain, so what a string can subscript is a dict, and all else raises.
    try:
        (choice,) = value["choices"]
        delta = choice["delta"]
        text = delta["content"]
        if (
            type(text) is str
            and len(delta) == 1
            and value.get("usage") is None
            and choice.get("finish_reason") is None
            and not choice.get("index")
            and "error" not in value
        ):
            return text
    except (KeyError, TypeError, ValueError):
        pass
    return None
