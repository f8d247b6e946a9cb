# What the compiled twin makes of the pure one's class: fields in a C struct. Everything else stays as it is written.

cdef class Window:
    cdef public object name, size
    cdef object _read, _head, _data, _at, _reads, _steps
