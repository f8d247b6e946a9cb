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

from time import time

from llmspell._speedups._stream_py import LINE_MAX, TRAILER_MAX, TakerFailed, WireError, chunk_size

__all__ = ["LINE_MAX", "TRAILER_MAX", "Chunked", "Pouring", "Stamp", "TakerFailed", "WireError"]

cdef extern from "Python.h":
    object PyType_GenericAlloc(type kind, Py_ssize_t size)

cdef Py_ssize_t LONGEST_LINE = LINE_MAX
cdef Py_ssize_t LARGEST_TRAILER = TRAILER_MAX


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
    cdef Py_ssize_t _most
    cdef readonly Py_ssize_t size

    def __init__(self, body, take, Py_ssize_t most, Py_ssize_t size):
        self._body = body
        self._chunked = body if type(body) is Chunked else None
        self._take = take
        self._most = most
        self.size = size

    def __call__(self, bytes data not None):
        cdef bytes content
        content = self._chunked._feed(data) if self._chunked is not None else self._body.feed(data)
        self.size += PyBytes_GET_SIZE(content)
        if self.size > self._most:
            raise WireError(f"its answer has more than {self._most >> 20} MiB")
        try:
            if PyBytes_GET_SIZE(content) and not self._take(content):
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


cdef inline void _set(object chunk, Py_ssize_t at, object value):
    Py_INCREF(value)
    PyTuple_SET_ITEM(chunk, at, value)
