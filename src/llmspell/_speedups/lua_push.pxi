# Python → Lua. Runs inside a call that Lua protects, the GIL held, the memory limit lifted. Python objects are borrowed,
# and nothing here runs Python code; a value that Lua cannot have is a fault, told by the result.

cdef enum:
    FITS = 0
    BAD_TYPE = 1
    BAD_KEY = 2
    TOO_DEEP = 3
    TOO_MANY = 4
    BAD_TEXT = 5
    BAD_INT = 6
    NO_STACK = 7

cdef enum:
    MAX_DEPTH = 64
    MAX_VALUES = 1000000

cdef struct Word:               # a class of contents that are text alone, and its type's name
    PyObject* kind
    const char* name
    size_t length

cdef struct Chunks:             # of a process: every runtime is told the same
    PyObject* kind
    Word words[8]
    int n

cdef Chunks chunks


cdef int push_text(lua_State* L, PyObject* o) noexcept nogil:
    cdef const char* text
    cdef Py_ssize_t n
    if str_is_ascii(o):
        lua.pushlstring(L, <const char*> str_data(o), str_len(o))
        return FITS
    text = str_utf8(o, &n)
    if text == NULL:
        err_clear()
        return BAD_TEXT
    lua.pushlstring(L, text, n)
    return FITS

cdef int push_int(lua_State* L, PyObject* o) noexcept nogil:
    cdef int overflow
    cdef long long v = int_value(o, &overflow)
    cdef double d
    if not overflow:
        lua.pushinteger(L, v)
        return FITS
    d = int_as_double(o)
    if d == -1.0 and err_occurred() != NULL:
        err_clear()
        return BAD_INT
    lua.pushnumber(L, d)
    return FITS

cdef int push_key(lua_State* L, State* s, PyObject* k) noexcept nogil:
    if is_str(k):
        return push_text(L, k)
    if is_int(k):
        return push_int(L, k)
    if is_float(k) and float_value(k) == float_value(k):
        lua.pushnumber(L, float_value(k))
    elif is_bytes(k):
        lua.pushlstring(L, bytes_data(k), bytes_len(k))
    elif is_bool(k):
        lua.pushboolean(L, k == TRUE)
    else:
        s.fault_type = head_of(k).tp_name
        return BAD_KEY
    return FITS

cdef int push_dict(lua_State* L, State* s, PyObject* o, int depth) noexcept nogil:
    cdef Py_ssize_t pos = 0, n = dict_len(o)
    cdef PyObject* k
    cdef PyObject* v
    cdef int fault
    if not lua.checkstack(L, 4):
        return NO_STACK
    lua.createtable(L, 0, <int> n if n < MAX_VALUES else MAX_VALUES)
    while dict_next(o, &pos, &k, &v):
        if v == NONE:
            continue
        fault = push_key(L, s, k)
        if fault == FITS:
            fault = push(L, s, v, depth - 1)
        if fault != FITS:
            return fault
        lua.rawset(L, -3)
    return FITS

cdef int push_list(lua_State* L, State* s, PyObject* o, int depth) noexcept nogil:
    cdef Py_ssize_t i, n = seq_len(o)
    cdef PyObject* item
    cdef int fault
    if not lua.checkstack(L, 4):
        return NO_STACK
    if n > MAX_VALUES:
        return TOO_MANY
    lua.createtable(L, <int> n, 0)
    for i in range(n):
        item = seq_item(o, i)
        if item == NONE:
            lua.rawgetp(L, REGISTRY, &NULL_)
        else:
            fault = push(L, s, item, depth - 1)
            if fault != FITS:
                return fault
        lua.rawseti(L, -2, i + 1)
    lua.rawgetp(L, REGISTRY, &ARRAY_)
    lua.setmetatable(L, -2)
    return FITS

cdef int push(lua_State* L, State* s, PyObject* o, int depth) noexcept nogil:
    """Pushes one value, or returns a fault and leaves the stack to the caller."""
    s.nodes += 1
    if s.nodes > MAX_VALUES:
        return TOO_MANY
    if is_str(o):
        return push_text(L, o)
    if o == NONE:
        lua.pushnil(L)
    elif is_bool(o):
        lua.pushboolean(L, o == TRUE)
    elif is_int(o):
        return push_int(L, o)
    elif is_float(o):
        lua.pushnumber(L, float_value(o))
    elif is_bytes(o):
        lua.pushlstring(L, bytes_data(o), bytes_len(o))
    elif not (is_dict(o) or is_list(o) or is_tuple(o) or <PyObject*> head_of(o) == chunks.kind):
        s.fault_type = head_of(o).tp_name
        return BAD_TYPE
    elif depth == 0:
        return TOO_DEEP
    elif is_dict(o):
        return push_dict(L, s, o, depth)
    elif <PyObject*> head_of(o) == chunks.kind:
        return push_chunk(L, s, o, depth)
    else:
        return push_list(L, s, o, depth)
    return FITS

cdef inline Word* word_of(PyObject* content) noexcept nogil:
    cdef int i
    for i in range(chunks.n):
        if <PyObject*> head_of(content) == chunks.words[i].kind:
            return &chunks.words[i]
    return NULL

cdef int push_field(lua_State* L, State* s, PyObject* o, const char* name, int depth) noexcept nogil:
    cdef int fault = push(L, s, o, depth)
    if fault == FITS:
        lua.setfield(L, -2, name)
    return fault

cdef int push_shared(lua_State* L, State* s, PyObject* o, int depth) noexcept nogil:
    """Metadata that many chunks have: one table for all of them."""
    cdef int fault
    if s.new_shared:
        lua.createtable(L, 0, 4)
        lua.rawsetp(L, REGISTRY, &SHARED_)
        s.new_shared = 0
    lua.rawgetp(L, REGISTRY, &SHARED_)
    lua.rawgeti(L, -1, s.shared_at)
    if lua.type(L, -1) != LUA_TTABLE:
        pop(L, 1)
        fault = push(L, s, o, depth)
        if fault != FITS:
            return fault
        lua.pushvalue(L, -1)
        lua.rawseti(L, -3, s.shared_at)
    lua.setfield(L, -3, b"metadata")
    pop(L, 1)
    return FITS

cdef int push_chunk(lua_State* L, State* s, PyObject* o, int depth) noexcept nogil:
    """A chunk of text, straight into its three tables; what holds more than text comes as a dict."""
    cdef PyObject* content = tuple_item(o, 2) if tuple_len(o) == 5 else NULL
    cdef Word* word = word_of(content) if content != NULL else NULL
    cdef int fault
    if word == NULL or tuple_len(content) == 0:
        s.fault_type = head_of(o).tp_name
        return BAD_TYPE
    if not lua.checkstack(L, 8):
        return NO_STACK
    lua.createtable(L, 0, 5)
    fault = push_field(L, s, tuple_item(o, 0), b"stream_id", depth)
    if fault == FITS:
        fault = push_field(L, s, tuple_item(o, 1), b"chunk_index", depth)
    if fault != FITS:
        return fault
    lua.createtable(L, 0, 2)
    lua.pushlstring(L, word.name, word.length)
    lua.setfield(L, -2, b"type")
    fault = push_field(L, s, tuple_item(content, 0), b"text", depth)
    if fault != FITS:
        return fault
    lua.setfield(L, -2, b"content")
    if tuple_item(o, 3) == s.shared:
        fault = push_shared(L, s, s.shared, depth)
    else:
        fault = push_field(L, s, tuple_item(o, 3), b"metadata", depth)
    if fault == FITS:
        fault = push_field(L, s, tuple_item(o, 4), b"timestamp", depth)
    return fault

cdef int push_answer(lua_State* L, State* s) noexcept nogil:
    """Pushes what the host has answered. However large: the limit is the script's, and back before it runs on."""
    cdef bint enforce = s.memory.enforce, top = lua.gettop(L), fault
    s.nodes = 0
    s.fault_type = NULL
    s.memory.enforce = 0
    if not lua.checkstack(L, 8):
        s.memory.enforce = enforce
        return NO_STACK
    fault = push(L, s, s.answer, MAX_DEPTH)
    s.memory.enforce = enforce
    if fault != FITS:
        lua.settop(L, top)
    return fault
