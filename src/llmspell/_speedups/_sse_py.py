"""The event-stream parser, pure twin: bytes of `text/event-stream` in, events out.

One rule a line, the same in both twins (`_sse_c.pyx` is the other; tests/conformance/test_sse.py compares them):
a line ends with LF, CRLF or CR; a blank line gives out the event; what starts with a colon is a comment. Of the
fields, `data` adds a line, `event` names the event, `id` and `retry` are for browsers, `error` is a habit of
llama.cpp's children, and a line that is no field at all is kept aside. Source: WIRE.md §1, §12.
"""

from __future__ import annotations

__all__ = ["LEFTOVER_MAX", "MAX_EVENT", "EventParser", "EventTooLarge"]

MAX_EVENT = 8 * 1024 * 1024
LEFTOVER_MAX = 64 * 1024
BOM = b"\xef\xbb\xbf"


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
