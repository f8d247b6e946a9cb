# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""What every byte and every chunk of a streamed answer passes, compiled twin. The rules stand in `_stream_py.py`.

A chunk that lies whole in the data is copied once; where there are more, they are gathered in one block, and that is
copied once more.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_SET_ITEM
from libc.string cimport memchr, memcpy

from collections import deque
from time import time

from llmspell._speedups._stream_py import LINE_MAX, TRAILER_MAX, TakerFailed, WireError, chunk_size

__all__ = [
    "LINE_MAX", "TRAILER_MAX", "Chunked", "Gathering", "Handing", "Passing", "Place", "Pouring", "Receiving",
    "Resuming", "Stamp", "TakerFailed", "Waits", "WireError",
]

cdef extern from "Python.h":
    object PyType_GenericAlloc(type kind, Py_ssize_t size)

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define llmspell_prefetch(address) __builtin_prefetch((const char *)(address))
    #else
    #define llmspell_prefetch(address) ((void)0)
    #endif
    """
    void prefetch "llmspell_prefetch"(const void*) noexcept nogil

cdef enum:
    MOST_NEAR = 12

cdef Py_ssize_t LONGEST_LINE = LINE_MAX
cdef Py_ssize_t LARGEST_TRAILER = TRAILER_MAX


cdef class Receiving:
    """The beginning of a connection; see the pure twin."""

    cdef public object clock
    cdef public object waiter
    cdef public double heard
    cdef public bint wanted
    cdef public bint answered
    cdef object _take
    cdef Pouring _pouring
    # What the next bytes will pass. With many streams these objects have left the processor's caches by the time that
    # more bytes come for this one, and waiting for one after the other is half of what a chunk costs: they are fetched
    # all at once. Addresses only, of what `take` keeps alive; fetching one that is no more does nothing.
    cdef int _n_near
    cdef void* _near[MOST_NEAR]

    def __init__(self, clock):
        self.clock = clock
        self.waiter = None
        self.heard = 0.0
        self.wanted = False
        self.answered = False
        self._take = None

    @property
    def take(self):
        return self._take

    @take.setter
    def take(self, take):
        self._take = take
        self._pouring = take if type(take) is Pouring else None
        self._n_near = 0
        if self._pouring is not None:
            self._pouring._tell(self)

    cdef void _will_touch(self, object one) noexcept:
        if one is not None and self._n_near < MOST_NEAR:
            self._near[self._n_near] = <void*> one
            self._n_near += 1

    def received(self, data):
        """What is not poured."""
        raise NotImplementedError

    def poured(self, waiter):
        """Nothing more is to be handed on."""
        raise NotImplementedError

    def data_received(self, bytes data not None):
        """Called by the event loop; see the pure twin."""
        cdef object take = self._take
        cdef object waiter = self.waiter
        cdef int i
        for i in range(self._n_near):
            prefetch(self._near[i])
            prefetch(<char*> self._near[i] + 64)
        if not self.wanted or take is None or waiter is None:
            self.received(data)
            return
        self.answered = True
        try:
            if self._pouring._pass(data) if self._pouring is not None else take(data):
                self.heard = self.clock()
            else:
                self.poured(waiter)
        except Exception as error:
            if not waiter.done():
                waiter.set_exception(error)
        except BaseException:
            if not waiter.done():
                waiter.set_exception(ConnectionAbortedError("interrupted"))
            raise


@cython.final
cdef class Chunked:
    """A body in chunks; see the pure twin."""

    cdef public bint done
    cdef public bytes rest
    cdef bytes _pending
    cdef Py_ssize_t _left
    cdef Py_ssize_t _trailer
    cdef bint _closing

    def __init__(self):
        self.done = False
        self.rest = b""
        self._pending = b""
        self._left = 0
        self._trailer = -1
        self._closing = False

    def feed(self, bytes data not None):
        """The content in *data*; see the pure twin."""
        return self._feed(data)

    cdef bytes _feed(self, bytes data):
        cdef Py_ssize_t first = -1  # where the first piece stands, and its size
        cdef Py_ssize_t size = 0
        cdef Py_ssize_t gathered = 0
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t end
        cdef Py_ssize_t here
        cdef char* block = NULL
        cdef const char* start
        if PyBytes_GET_SIZE(self._pending):
            data = self._pending + data
            self._pending = b""
        start = PyBytes_AS_STRING(data)
        end = PyBytes_GET_SIZE(data)
        try:
            while at < end and not self.done:
                if not self._left:
                    at = self._line(data, start, at, end)
                    continue
                here = self._left if self._left < end - at else end - at
                if first < 0:
                    first = at
                    size = here
                else:
                    if block == NULL:
                        block = <char*> PyMem_Malloc(size + end - at)
                        if block == NULL:
                            raise MemoryError
                        memcpy(block, start + first, size)
                        gathered = size
                    memcpy(block + gathered, start + at, here)
                    gathered += here
                at += here
                self._left -= here
                self._closing = True
            if block != NULL:
                return PyBytes_FromStringAndSize(block, gathered)
            return PyBytes_FromStringAndSize(start + first, size) if first >= 0 else b""
        finally:
            PyMem_Free(block)

    cdef Py_ssize_t _line(self, bytes data, const char* start, Py_ssize_t at, Py_ssize_t end) except -1:
        """Takes one line; tells where it got to."""
        cdef const char* stop = <const char*> memchr(start + at, 10, end - at)
        cdef const char* line = start + at
        cdef Py_ssize_t size
        if stop == NULL:
            self._pending = PyBytes_FromStringAndSize(line, end - at)
            if end - at > LONGEST_LINE:
                raise WireError("the answer has a chunk without a size")
            return end
        size = stop - line
        at += size + 1
        if size and line[size - 1] == 13:
            size -= 1
        if self._closing:
            if size:
                raise WireError("the answer has a chunk that is longer than it says")
            self._closing = False
        elif self._trailer < 0:
            self._left = _hex(line, size)
            if self._left < 0:
                self._left = chunk_size(PyBytes_FromStringAndSize(line, size))
            if self._left == 0:
                self._trailer = 0
        else:
            self._trailer += size + 2
            if self._trailer > LARGEST_TRAILER:
                raise WireError(f"the answer has more than {TRAILER_MAX >> 10} KiB of trailers")
            if size == 0:
                self.done = True
                self.rest = PyBytes_FromStringAndSize(start + at, end - at)
        return at


cdef inline Py_ssize_t _hex(const char* line, Py_ssize_t size) noexcept nogil:
    """A line of up to seven hexadecimal digits; -1 for what else it may be."""
    cdef Py_ssize_t value = 0
    cdef Py_ssize_t i
    cdef int c
    if size < 1 or size > 7:
        return -1
    for i in range(size):
        c = line[i]
        if 48 <= c <= 57:
            value = value << 4 | (c - 48)
        elif 97 <= c <= 102:
            value = value << 4 | (c - 87)
        elif 65 <= c <= 70:
            value = value << 4 | (c - 55)
        else:
            return -1
    return value


@cython.final
cdef class Pouring:
    """Hands on the content of bytes as they come; see the pure twin."""

    cdef object _body
    cdef object _take
    cdef Chunked _chunked
    cdef Passing _passing
    cdef Py_ssize_t _most
    cdef readonly Py_ssize_t size

    def __init__(self, body, take, Py_ssize_t most, Py_ssize_t size):
        self._body = body
        self._chunked = body if type(body) is Chunked else None
        self._take = take
        self._passing = take if type(take) is Passing else None
        self._most = most
        self.size = size

    def __call__(self, bytes data not None):
        return self._pass(data)

    cdef void _tell(self, Receiving near) noexcept:
        near._will_touch(self)
        near._will_touch(self._chunked)
        if self._passing is not None:
            self._passing._tell(near)

    cdef bint _pass(self, bytes data) except -1:
        cdef bytes content
        content = self._chunked._feed(data) if self._chunked is not None else self._body.feed(data)
        self.size += PyBytes_GET_SIZE(content)
        if self.size > self._most:
            raise WireError(f"its answer has more than {self._most >> 20} MiB")
        try:
            if PyBytes_GET_SIZE(content):
                if not (self._passing._pass(content) if self._passing is not None else self._take(content)):
                    return False
        except Exception as error:
            raise TakerFailed from error
        return not (self._chunked.done if self._chunked is not None else self._body.done)


@cython.final
cdef class Stamp:
    """Makes chunks of contents; see the pure twin."""

    cdef type _kind
    cdef object _stream_id
    cdef object _metadata
    cdef readonly Py_ssize_t next

    def __init__(self, type kind not None, str stream_id not None, dict metadata not None):
        if not issubclass(kind, tuple) or kind.__itemsize__ != sizeof(PyObject*):
            raise TypeError("chunks are named tuples")
        self._kind = kind
        self._stream_id = stream_id
        self._metadata = metadata
        self.next = 0

    def __call__(self, list contents not None):
        return self._stamp(contents)

    cdef list _stamp(self, list contents):
        cdef object now = time()
        cdef object number
        cdef object chunk
        cdef object content
        cdef list chunks = []
        for content in contents:
            number = self.next
            self.next += 1
            chunk = PyType_GenericAlloc(self._kind, 5)
            _set(chunk, 0, self._stream_id)
            _set(chunk, 1, number)
            _set(chunk, 2, content)
            _set(chunk, 3, self._metadata)
            _set(chunk, 4, now)
            chunks.append(chunk)
        return chunks


@cython.final
cdef class Passing:
    """Hands on the chunks of what bytes hold; see the pure twin."""

    cdef object _reading
    cdef object _feed
    cdef object _stamp
    cdef Stamp _stamping
    cdef object _take
    cdef Gathering _gathering
    cdef object _last

    def __init__(self, reading, stamp, take, last):
        self._reading = reading
        self._feed = reading.feed
        self._stamp = stamp
        self._stamping = stamp if type(stamp) is Stamp else None
        self._take = take
        self._gathering = take if type(take) is Gathering else None
        self._last = last

    def __call__(self, bytes data not None):
        return self._pass(data)

    cdef void _tell(self, Receiving near) noexcept:
        near._will_touch(self)
        near._will_touch(self._reading)
        near._will_touch(self._feed)
        near._will_touch(self._stamping)
        if self._gathering is not None:
            near._will_touch(self._gathering)
            near._will_touch(self._gathering._collector)
            if self._gathering._handing is not None:
                near._will_touch(self._gathering._handing)
                near._will_touch(self._gathering._handing._place)

    cdef bint _pass(self, bytes data) except -1:
        cdef list contents
        cdef list chunks
        contents = self._feed(data) if PyBytes_GET_SIZE(data) else self._reading.end()
        if self._reading.finished:
            return self._last(contents)
        if not len(contents):
            return True
        chunks = self._stamping._stamp(contents) if self._stamping is not None else self._stamp(contents)
        return self._gathering._gather(chunks) if self._gathering is not None else self._take(chunks)


@cython.final
cdef class Gathering:
    """Notes what chunks say, and hands them on; see the pure twin."""

    cdef object _collector
    cdef object _kind
    cdef object _take
    cdef Handing _handing

    def __init__(self, collector, type kind not None, take):
        self._collector = collector
        self._kind = kind
        self._take = take
        self._handing = take if type(take) is Handing else None

    def __call__(self, list batch not None):
        return self._gather(batch)

    cdef bint _gather(self, list batch) except -1:
        cdef object chunk
        cdef object content
        for chunk in batch:
            content = chunk[2]
            if type(content) is self._kind:
                (<list?> self._collector.texts).append(content[0])
            else:
                self._collector.add(chunk)
        return self._handing._give(batch) if self._handing is not None else self._take(batch)


cdef class Place:
    """The beginning of what a script streams; see the pure twin."""

    cdef public object number
    cdef public object waiter
    cdef public list ready
    cdef public bint done

    def __init__(self, number):
        self.number = number
        self.waiter = None
        self.ready = []
        self.done = False


cdef class Waits:
    """The beginning of a fiber that has not ended; see the pure twin."""

    cdef public object cancel
    cdef public bint doomed
    cdef public bint external

    def __init__(self):
        self.cancel = None
        self.doomed = False
        self.external = False


cdef class Resuming:
    """The beginning of what runs a script's fibers; see the pure twin."""

    cdef public object engine
    cdef public object is_away
    cdef public dict fibers
    cdef public object ready
    cdef public object ended
    cdef public bint flushing

    def __init__(self, engine, is_away):
        self.engine = engine
        self.is_away = is_away
        self.fibers = {}
        self.ready = deque()
        self.ended = None
        self.flushing = False

    def wake(self, fiber, ok, value):
        """Resumes *fiber* later."""
        raise NotImplementedError

    def came(self, number, fiber, outcome, op, arg):
        """What a fiber came to."""
        raise NotImplementedError

    def hand(self, number, value, op, arg):
        """Resumes a fiber at once with what came for it; see the pure twin."""
        return self._hand(number, value, op, arg)

    cdef bint _hand(self, object number, object value, object op, object arg) except -1:
        cdef Waits fiber = self.fibers.get(number)
        cdef object cancel, outcome
        if fiber is None or self.flushing or self.ended.done() or (self.is_away is not None and self.is_away()):
            self.wake(number, True, value)
            return False
        cancel = fiber.cancel
        fiber.cancel = None
        self.flushing = True
        try:
            outcome = self.engine.feed(number, value, op, arg)
        except Exception as error:
            outcome = error
        if outcome is None and not self.ready and not fiber.doomed:
            fiber.cancel = cancel
            self.flushing = False
            return True
        self.came(number, fiber, outcome, op, arg)
        return False


@cython.final
cdef class Handing:
    """Hands chunks to who waits for them; see the pure twin."""

    cdef Place _place
    cdef Resuming _fibers
    cdef str _op
    cdef Py_ssize_t _ahead
    cdef list _unstarted
    cdef object _after

    def __init__(self, Place place not None, Resuming fibers not None, str op not None, Py_ssize_t ahead,
                 list unstarted not None, after):
        self._place = place
        self._fibers = fibers
        self._op = op
        self._ahead = ahead
        self._unstarted = unstarted
        self._after = after

    def __call__(self, list batch not None):
        return self._give(batch)

    cdef bint _give(self, list batch) except -1:
        cdef Place place = self._place
        cdef object waiter = place.waiter
        if waiter is None or len(place.ready):
            place.ready.extend(batch)
            return len(place.ready) < self._ahead
        place.waiter = None
        if self._fibers._hand(waiter, batch, self._op, place.number):
            place.waiter = waiter
            if place.done or len(self._unstarted):
                self._after()
        return True


cdef inline void _set(object chunk, Py_ssize_t at, object value):
    Py_INCREF(value)
    PyTuple_SET_ITEM(chunk, at, value)
