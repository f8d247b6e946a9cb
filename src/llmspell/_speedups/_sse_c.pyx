# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The event-stream parser, compiled twin. What each rule is for stands in `_sse_py.py`; here is only how.

Lines are found with memchr; the next LF and the next CR are each looked for once, so that a stream of one kind of
line end costs one pass. A line's bytes are copied once, into the event.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from llmspell._speedups._sse_py import LEFTOVER_MAX, MAX_EVENT, EventTooLarge

__all__ = ["LEFTOVER_MAX", "MAX_EVENT", "EventParser", "EventTooLarge"]


cdef inline const char* _find(const char* at, const char* end, int byte) noexcept nogil:
    """The next *byte* in [at, end), else end."""
    if at >= end:
        return end
    cdef const char* hit = <const char*>memchr(at, byte, end - at)
    return end if hit == NULL else hit


cdef class EventParser:
    """Bytes in, events out; see the pure twin."""

    cdef readonly Py_ssize_t max_event
    cdef bytes _first           # the event's first line of data
    cdef list _more             # the lines after it
    cdef Py_ssize_t _size
    cdef str _name
    cdef bytes _error
    cdef list _pieces
    cdef Py_ssize_t _tail
    cdef bint _skip
    cdef bint _fresh
    cdef bint _failed
    cdef bytearray _left
    cdef Py_ssize_t _room

    def __init__(self, max_event=MAX_EVENT):
        self.max_event = max_event
        self._first = None
        self._more = None
        self._size = 0
        self._name = ""
        self._error = None
        self._pieces = []
        self._tail = 0
        self._skip = False
        self._fresh = True
        self._failed = False
        self._left = bytearray()
        self._room = LEFTOVER_MAX

    @property
    def leftover(self):
        """Lines that were no field of an event stream; see the pure twin."""
        return bytes(self._left)

    def feed(self, data):
        """The events that *data* completes; see the pure twin."""
        cdef bytes held = data if type(data) is bytes else bytes(memoryview(data))
        if self._failed:
            raise self._too_large()
        cdef list events = []
        self._read(held, events)
        if self._failed and not events:
            raise self._too_large()
        return events

    def end(self):
        """The transport has ended; see the pure twin."""
        if self._failed:
            raise self._too_large()
        cdef list events = []
        cdef bytes last
        if self._tail:
            last = b"".join(self._pieces)
            self._pieces.clear()
            self._tail = 0
            self._line(PyBytes_AS_STRING(last), PyBytes_GET_SIZE(last), events)
        if self._failed:
            raise self._too_large()
        self._dispatch(events)
        return events

    cdef int _read(self, bytes data, list events) except -1:
        cdef const char* at = PyBytes_AS_STRING(data)
        cdef const char* end = at + PyBytes_GET_SIZE(data)
        cdef const char* lf
        cdef const char* cr
        cdef const char* stop
        if self._skip and at < end:
            self._skip = False
            if at[0] == 10:
                at += 1
        lf = _find(at, end, 10)
        cr = _find(at, end, 13)
        while True:
            stop = lf if lf < cr else cr
            if stop == end:
                break
            if self._tail:
                self._joined(at, stop - at, events)
            else:
                self._line(at, stop - at, events)
            if self._failed:
                return 0
            at = stop + 1
            if stop == cr:
                if at == end:
                    self._skip = True
                elif at[0] == 10:
                    at += 1
                cr = _find(at, end, 13)
            if lf < at:
                lf = _find(at, end, 10)
        if at < end:
            self._pieces.append(PyBytes_FromStringAndSize(at, end - at))
            self._tail += end - at
            self._failed = self._tail > self.max_event + (3 if self._fresh else 0)
        return 0

    cdef int _joined(self, const char* at, Py_ssize_t size, list events) except -1:
        """A line whose beginning came earlier."""
        self._pieces.append(PyBytes_FromStringAndSize(at, size))
        cdef bytes line = b"".join(self._pieces)
        self._pieces.clear()
        self._tail = 0
        self._line(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line), events)
        return 0

    cdef int _line(self, const char* at, Py_ssize_t size, list events) except -1:
        if self._fresh:
            self._fresh = False
            if size >= 3 and memcmp(at, b"\xef\xbb\xbf", 3) == 0:
                at += 3
                size -= 3
        if size == 0:
            self._dispatch(events)
        elif size > self.max_event:
            self._failed = True
        elif size >= 5 and memcmp(at, b"data:", 5) == 0:
            if size > 5 and at[5] == 32:
                self._add(PyBytes_FromStringAndSize(at + 6, size - 6))
            else:
                self._add(PyBytes_FromStringAndSize(at + 5, size - 5))
        elif at[0] != 58:
            self._field(PyBytes_FromStringAndSize(at, size))
        return 0

    cdef int _add(self, bytes value) except -1:
        self._size += PyBytes_GET_SIZE(value) + 1
        if self._size > self.max_event + 1:
            self._failed = True
        elif self._first is None:
            self._first = value
        elif self._more is None:
            self._more = [self._first, value]
        else:
            self._more.append(value)
        return 0

    cdef int _field(self, bytes line) except -1:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value.decode("utf-8", "replace")
        elif field == b"data":
            self._add(b"")
        elif field == b"error":
            self._error = value
        elif field not in (b"id", b"retry"):
            if PyBytes_GET_SIZE(line) < self._room:
                self._left += line + b"\n"
                self._room -= PyBytes_GET_SIZE(line) + 1
            else:
                self._room = 0
        return 0

    cdef int _dispatch(self, list events) except -1:
        if self._more is not None:
            events.append((self._name, b"\n".join(self._more)))
            self._more = None
            self._first = None
        elif self._first is not None:
            events.append((self._name, self._first))
            self._first = None
        elif self._error is not None:
            events.append(("error", self._error))
        self._size = 0
        self._name = ""
        self._error = None
        return 0

    cdef object _too_large(self):
        return EventTooLarge(f"an event of the stream has more than {self.max_event} bytes")
