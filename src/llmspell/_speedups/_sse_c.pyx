# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The event-stream parser, compiled twin. What each rule is for stands in `_sse_py.py`; here is only how.

Lines are found with memchr; the next LF and the next CR are each looked for once, so that a stream of one kind of
line end costs one pass. A line's bytes are copied once, into the event.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp

from orjson import JSONDecodeError, loads

from llmspell._speedups._sse_py import LEFTOVER_MAX, MAX_EVENT, EventTooLarge

__all__ = ["LEFTOVER_MAX", "MAX_EVENT", "EventParser", "EventTooLarge", "Events", "chat_text"]

cdef extern from "Python.h":
    object PyType_GenericAlloc(type kind, Py_ssize_t size)

cdef object NO_JSON = object()

# Nearly every event of a stream is the one before it with another text. Such an event needs no parsing: what stands
# before and after the text is compared, and the text alone is read.
cdef str PROBE = "another text than any before"
cdef tuple PADDINGS = (b',"obfuscation":"', b',"p":"')  # random letters that hide how long a text is (OpenAI, Mistral)
cdef enum:
    LONGEST_ALIKE = 16384   # bytes of an event that is kept for it
    FREE_LESSONS = 4        # tries to find where the text stands that need not have paid


cdef inline const char* _find(const char* at, const char* end, int byte) noexcept nogil:
    """The next *byte* in [at, end), else end."""
    if at >= end:
        return end
    cdef const char* hit = <const char*>memchr(at, byte, end - at)
    return end if hit == NULL else hit


@cython.final
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

    cdef bint _between(self):
        """Whether it holds nothing of an event that is not whole."""
        return not (
            self._tail or self._skip or self._fresh or self._failed or self._first is not None or self._more is not None
            or self._error is not None or self._name
        )


cdef class Events:
    """The beginning of a reading of an event stream; see the pure twin."""

    cdef readonly EventParser parser
    cdef public object reader
    cdef public object plain
    cdef public object quick
    cdef public object error
    cdef public Py_ssize_t most
    cdef public Py_ssize_t count
    cdef public bint finished
    cdef bint _typed
    cdef type _kind
    cdef bytes _before          # of the last event of text: what stands before the text, up to its quote
    cdef bytes _after           # what stands after it, from its quote on; up to the padding's quote, if there is one
    cdef bytes _last            # what stands after the padding, from its quote on; empty without
    cdef object _alike_for      # the `quick` of which that is so
    cdef Py_ssize_t _alike
    cdef Py_ssize_t _lessons

    def __init__(self, reader, EventParser parser not None, Py_ssize_t most, type kind not None):
        if not issubclass(kind, tuple) or kind.__itemsize__ != sizeof(PyObject*):
            raise TypeError("contents are named tuples")
        self.reader = reader
        self.parser = parser
        self.most = most
        self._kind = kind
        self._typed = reader.typed
        self.plain = None
        self.quick = None
        self._before = None
        self._after = None
        self._last = None
        self._alike_for = None
        self._alike = 0
        self._lessons = 0
        self.count = 0
        self.error = None
        self.finished = False

    def unusual(self, data, out):
        """Takes in *data*, of which it is not known, or known, that it is no event stream."""
        raise NotImplementedError

    def several(self, events, out):
        """Takes in events of any number, and counts them."""
        raise NotImplementedError

    def ended(self, out):
        """The answer is over."""
        raise NotImplementedError

    def fail(self, error):
        """Keeps the error, or raises it where it is none of an answer's own."""
        raise NotImplementedError

    def feed(self, bytes data not None):
        """What *data* completes; nothing once `finished`."""
        cdef list out = []
        cdef list events
        cdef tuple event = None
        cdef bint whole
        cdef Py_ssize_t at = 0
        if self.finished:
            return out
        try:
            if self.plain is not False:
                self.unusual(data, out)
                return out
            whole = self.parser._between()
            if whole and self._before is not None and self._alike_for is self.quick:
                at = self._texts(data, out)
                if at == PyBytes_GET_SIZE(data):
                    return out
                if at:
                    data = data[at:]
            if whole:
                event = _only_event(data, self.parser.max_event)
            if event is None:
                try:
                    events = self.parser.feed(data)
                except EventTooLarge:
                    if at:  # what came before it is given out first, and it is told with what comes next
                        return out
                    raise
                if len(events) != 1:
                    self.several(events, out)
                    return out
                event = events[0]
                whole = False
            if self.count < self.most:
                self._one(event, data if whole else None, out)
            else:
                self.several([event], out)
        except Exception as error:
            self.fail(error)
        return out

    cdef object _value(self, tuple event):
        """What the event says; NO_JSON where it is none, or none that is looked into."""
        cdef str name = event[0]
        cdef object value
        if name and not self._typed:
            return NO_JSON
        try:
            value = loads(event[1])
        except JSONDecodeError:
            return NO_JSON
        if name and type(value) is dict and "type" not in <dict> value:
            (<dict> value)["type"] = name
        return value

    cdef int _one(self, tuple event, bytes data, list out) except -1:
        """Takes in one event. data: where that is all of it."""
        cdef object value = self._value(event)
        cdef object text
        if value is NO_JSON:
            self.several([event], out)
            return 0
        self.count += 1
        if self.quick is not None:
            text = self.quick(value)
            if text is not None:
                if text:
                    self._add_text(text, out)
                    if data is not None and type(text) is str:
                        self._learn(data, text)
                return 0
        reader = self.reader
        reader.read_all((value,), out)
        self.quick = reader.quick
        if self._typed and reader.over:
            self.ended(out)
        return 0

    cdef int _add_text(self, object text, list out) except -1:
        cdef object content = PyType_GenericAlloc(self._kind, 1)
        Py_INCREF(text)
        PyTuple_SET_ITEM(content, 0, text)
        out.append(content)
        return 0

    cdef int _learn(self, bytes data, str text) except -1:
        """Keeps what stands before and after *text* in the event *data*, where it is certain which string it is.

        With another in its place `quick` gives that other: so this is the string that `quick` gives, whatever it is.
        """
        cdef bytes token, quoted, before, after, last
        cdef tuple probe
        cdef object value
        cdef Py_ssize_t at
        if PyBytes_GET_SIZE(data) > LONGEST_ALIKE or self._lessons >= FREE_LESSONS + (self._alike >> 2):
            return 0
        self._lessons += 1
        self._before = None
        token = text.encode("utf-8")
        quoted = b'"' + token + b'"'
        at = data.find(quoted)
        if at < 0:
            return 0
        before, after = data[: at + 1], data[at + 1 + PyBytes_GET_SIZE(token) :]
        after, last = _without_padding(after)
        probe = _only_event(before + PROBE.encode() + after + last, self.parser.max_event)
        value = NO_JSON if probe is None else self._value(probe)
        if value is not NO_JSON and self.quick(value) == PROBE:
            self._before, self._after, self._last, self._alike_for = before, after, last, self.quick
        return 0

    cdef Py_ssize_t _texts(self, bytes data, list out) except -1:
        """Takes in the events that are the last one of text with another text; tells where any other begins."""
        cdef const char* start = PyBytes_AS_STRING(data)
        cdef const char* end = start + PyBytes_GET_SIZE(data)
        cdef const char* at = start
        cdef const char* text
        cdef const char* stop
        cdef const char* before = PyBytes_AS_STRING(self._before)
        cdef const char* after = PyBytes_AS_STRING(self._after)
        cdef Py_ssize_t n_before = PyBytes_GET_SIZE(self._before)
        cdef const char* last = PyBytes_AS_STRING(self._last)
        cdef Py_ssize_t n_after = PyBytes_GET_SIZE(self._after)
        cdef Py_ssize_t n_last = PyBytes_GET_SIZE(self._last)
        cdef const char* rest
        cdef bint escaped
        cdef object told
        while self.count < self.most and end - at > n_before + n_after and memcmp(at, before, n_before) == 0:
            text = at + n_before
            stop = _closing_quote(text, end, &escaped)
            if stop == NULL or end - stop < n_after or memcmp(stop, after, n_after) != 0:
                break
            rest = stop + n_after
            if n_last:
                while rest < end and _is_letter(rest[0]):
                    rest += 1
                if end - rest < n_last or memcmp(rest, last, n_last) != 0:
                    break
                rest += n_last
            if rest - at > self.parser.max_event:
                break
            try:
                if escaped:
                    told = loads(PyBytes_FromStringAndSize(text - 1, stop - text + 2))
                else:
                    told = PyUnicode_DecodeUTF8(text, stop - text, NULL)
            except ValueError:  # no text of JSON's: the parser says what is wrong with it
                break
            if told:
                self._add_text(told, out)
            self.count += 1
            self._alike += 1
            at = rest
        return at - start


cdef tuple _without_padding(bytes after):
    """What stands before and after the letters of a padding."""
    cdef Py_ssize_t at, stop
    for name in PADDINGS:
        at = after.find(name)
        if at >= 0:
            at += len(name)
            stop = after.find(b'"', at)
            if stop >= 0:
                return after[:at], after[stop:]
    return after, b""


cdef inline bint _is_letter(unsigned char byte) noexcept nogil:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57


cdef inline const char* _closing_quote(const char* at, const char* end, bint* escaped) noexcept nogil:
    """Where the string of JSON ends of which *at* is the first byte; NULL where it does not end, or can be none."""
    escaped[0] = False
    while at < end:
        if at[0] == 34:
            return at
        if at[0] == 92:
            escaped[0] = True
            at += 1
        elif <unsigned char> at[0] < 32:
            return NULL
        at += 1
    return NULL


cdef tuple _only_event(bytes data, Py_ssize_t max_event):
    """The name and the data of the one event that *data* is: at most a line of `event` and one of `data`.

    None for anything else, which is the parser's.
    """
    cdef const char* at = PyBytes_AS_STRING(data)
    cdef const char* end = at + PyBytes_GET_SIZE(data)
    cdef const char* stop
    cdef str name = ""
    cdef const char* first
    if end - at > max_event or end - at < 8:
        return None
    if at[0] == 101 and memcmp(at, b"event: ", 7) == 0:
        stop = _find(at + 7, end, 10)
        if stop == end:
            return None
        first = at + 7
        at = stop + 1
        if stop > first and (stop - 1)[0] == 13:
            stop -= 1
        if memchr(first, 13, stop - first) != NULL:
            return None
        name = PyBytes_FromStringAndSize(first, stop - first).decode("utf-8", "replace")
    if end - at < 8 or memcmp(at, b"data: ", 6) != 0:
        return None
    at += 6
    stop = _find(at, end, 10)
    if stop + 2 == end and stop[1] == 10:
        pass
    elif stop + 3 == end and stop[1] == 13 and stop[2] == 10:
        pass
    else:
        return None
    if stop > at and (stop - 1)[0] == 13:
        stop -= 1
    if memchr(at, 13, stop - at) != NULL:
        return None
    return name, PyBytes_FromStringAndSize(at, stop - at)


def chat_text(value):
    """The text of a chunk that is a piece of text and nothing else; see the pure twin."""
    cdef dict whole, choice, delta
    cdef list choices
    if type(value) is not dict:
        return None
    whole = value
    found = whole.get("choices")
    if type(found) is not list:
        return None
    choices = found
    if len(choices) != 1:
        return None
    found = choices[0]
    if type(found) is not dict:
        return None
    choice = found
    found = choice.get("delta")
    if type(found) is not dict:
        return None
    delta = found
    text = delta.get("content")
    if type(text) is not str or len(delta) != 1 or whole.get("usage") is not None or "error" in whole:
        return None
    if choice.get("finish_reason") is not None or choice.get("index"):
        return None
    return text
