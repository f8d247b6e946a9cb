# Lua → Python. Raw access only, so that no metamethod runs and Lua can raise nothing: ordinary code with objects is
# allowed here. The rules are those of `lua_half/values.lua`, and so are the words of what is refused.

cdef enum:
    MAX_BYTES = 67108864    # of all strings of one crossing: a string that Lua holds once is copied each time
    SHORT = 65536           # bytes of a text that is copied without further ado

class Unfit(Exception):
    """A value that cannot cross: what it is, and where."""

class Stopped(Exception):
    """The run is to stop, and `State.kill` says so, while a value is on its way out."""

cdef struct Pull:
    State* s
    bint strict             # as JSON
    int depth
    long nodes
    size_t bytes
    double next_look
    bint unticked           # no tick says when to look at the clock
    const void* path[64]

cdef object UNFIT_HERE = object()   # what `pull` returns where it has refused: each level adds its key

@cython.final
cdef class Refusal:
    """What was refused in one walk, and the way to it, from the inside out."""
    cdef str what
    cdef list keys

    def __cinit__(self):
        self.what = ""
        self.keys = []

    cdef object no(self, str what):
        self.what = what
        return UNFIT_HERE

    cdef str text(self):
        cdef str place = "", word
        for key in reversed(self.keys):
            if type(key) is int:
                place += f"[{key}]"
            else:
                if type(key) is bytes:
                    word = key[:80].decode("utf-8", "replace")
                elif type(key) is str:
                    word = key[:80]
                elif type(key) is bool:
                    word = "true" if key else "false"
                else:
                    word = str(key)
                place += ("." if place else "") + word
        return self.what + (f" at `{place}`" if place else "")

cdef inline object text_at(lua_State* L, int i):
    """A string; bytes where it is no UTF-8."""
    cdef size_t n
    cdef const char* text = lua.tolstring(L, i, &n)
    cdef object got
    try:
        got = PyUnicode_DecodeUTF8(text, n, NULL)
    except UnicodeDecodeError:
        got = PyBytes_FromStringAndSize(text, n)
    return got

cdef object pull_text(lua_State* L, int i, Pull* c, Refusal no):
    c.bytes += lua.rawlen(L, i)
    if c.bytes > MAX_BYTES:
        return no.no("more than 64 MB of text")
    return text_at(L, i)

cdef object pull_number(lua_State* L, int i, Pull* c, Refusal no):
    cdef double d
    if lua.isinteger(L, i):
        return lua.tointegerx(L, i, NULL)
    d = lua.tonumberx(L, i, NULL)
    if c.strict and (d != d or d == INFINITY or d == -INFINITY):
        return no.no("NaN" if d != d else "an infinity")
    return d

cdef object shown_key(lua_State* L, int i):
    """A key as it stands in the path to what was refused."""
    cdef int t = lua.type(L, i)
    if t == LUA_TSTRING:
        return text_at(L, i)
    if t == LUA_TNUMBER:
        return lua.tointegerx(L, i, NULL) if lua.isinteger(L, i) else lua.tonumberx(L, i, NULL)
    if t == LUA_TBOOLEAN:
        return lua.toboolean(L, i) != 0
    return f"a {lua.typename(L, t).decode()}"

cdef object pull_key(lua_State* L, int i, Pull* c, Refusal no):
    cdef int t = lua.type(L, i)
    if t == LUA_TSTRING:
        return pull_text(L, i, c, no)
    if t == LUA_TNUMBER and not c.strict:
        return lua.tointegerx(L, i, NULL) if lua.isinteger(L, i) else lua.tonumberx(L, i, NULL)
    if t == LUA_TBOOLEAN and not c.strict:
        return lua.toboolean(L, i) != 0
    if t == LUA_TNUMBER:
        return no.no("a table with mixed keys")
    return no.no(f"a key that is a {lua.typename(L, t).decode()}")

cdef long long list_length(lua_State* L, int t):
    """The length of a table whose keys are 1 to n, in whatever order; -1 of any other."""
    cdef long long n = <long long> lua.rawlen(L, t), seen = 0, k
    cdef int top = lua.gettop(L)
    lua.pushnil(L)
    while lua.next(L, t):
        if not lua.isinteger(L, top + 1):
            lua.settop(L, top)
            return -1
        k = lua.tointegerx(L, top + 1, NULL)
        if k < 1 or k > n:
            lua.settop(L, top)
            return -1
        seen += 1
        lua.settop(L, top + 1)
    return n if seen == n else -1

cdef object pull_list(lua_State* L, int t, long long n, Pull* c, Refusal no):
    cdef list items = []
    cdef long long i
    cdef int top = lua.gettop(L)
    cdef object item
    for i in range(1, n + 1):
        lua.rawgeti(L, t, i)
        item = pull(L, top + 1, c, no)
        lua.settop(L, top)
        if item is UNFIT_HERE:
            no.keys.append(i)
            return item
        items.append(item)
    return items

cdef object pull_dict(lua_State* L, int t, Pull* c, Refusal no):
    cdef dict fields = {}
    cdef int top = lua.gettop(L)
    cdef object key, item
    lua.pushnil(L)
    while lua.next(L, t):
        key = pull_key(L, top + 1, c, no)
        item = key if key is UNFIT_HERE else pull(L, top + 2, c, no)
        if item is UNFIT_HERE:
            no.keys.append(shown_key(L, top + 1))
            return item
        fields[key] = item
        lua.settop(L, top + 1)
    return fields

cdef int look_around(Pull* c) except -1:
    """What a tick is for, in a walk: it may be as long as the script likes, for `lua_next` passes over empty slots by the
    million, and the same table may stand in many places."""
    cdef State* s = c.s
    c.next_look = now() + s.tick_us * 1e-6
    if s.may_let_go:
        with nogil:
            pass
        PyErr_CheckSignals()
    if s.closing:
        if now() >= s.grace_until:
            s.kill = 1
    elif now() >= s.deadline:
        stop(s, WHY_DEADLINE)
    elif s.cpu_limit > 0 and s.cpu_used + cpu_time() - s.cpu_from >= s.cpu_limit:
        stop(s, WHY_CPU)
    if s.kill:
        raise Stopped
    return 0

cdef object pull_table(lua_State* L, int t, Pull* c, Refusal no):
    cdef const void* p = lua.topointer(L, t)
    cdef int i
    cdef long long n
    cdef object got
    if p == c.s.null_at:
        return None
    if (c.s.tick or c.unticked) and now() >= c.next_look:
        look_around(c)
    for i in range(c.depth):
        if c.path[i] == p:
            return no.no("a cycle")
    if c.depth >= MAX_DEPTH:
        return no.no(f"tables nested more than {<int> MAX_DEPTH} deep")
    if not lua.checkstack(L, 4):
        return no.no(f"tables nested more than {c.depth} deep")
    c.path[c.depth] = p
    c.depth += 1
    n = list_length(L, t)
    if n > 0:
        got = pull_list(L, t, n, c, no)
    elif n < 0:
        got = pull_dict(L, t, c, no)
    else:
        got = [] if is_marked(L, t, c.s) else {}
    c.depth -= 1
    return got

cdef bint is_marked(lua_State* L, int t, State* s):
    """Whether a table has the metatable of lists."""
    cdef bint marked
    if not lua.getmetatable(L, t):
        return False
    marked = lua.topointer(L, -1) == s.array_at
    pop(L, 1)
    return marked

cdef object pull(lua_State* L, int i, Pull* c, Refusal no):
    """The value at *i*, an index from the bottom."""
    cdef int t = lua.type(L, i)
    c.nodes += 1
    if c.nodes > MAX_VALUES:
        return no.no(f"a table of more than {<int> MAX_VALUES} values")
    if t == LUA_TSTRING:
        return pull_text(L, i, c, no)
    if t == LUA_TNUMBER:
        return pull_number(L, i, c, no)
    if t == LUA_TTABLE:
        return pull_table(L, i, c, no)
    if t == LUA_TBOOLEAN:
        return lua.toboolean(L, i) != 0
    if t == LUA_TNIL:
        return None
    return no.no(f"a {lua.typename(L, t).decode()}")

cdef bint are_plain(lua_State* L, int first, int last) noexcept nogil:
    """Whether the values are short texts and nils, of which none is refused and none takes long: a line of a log."""
    cdef int i, t
    for i in range(first, last + 1):
        t = lua.type(L, i)
        if t != LUA_TNIL and (t != LUA_TSTRING or lua.rawlen(L, i) > SHORT):
            return False
    return last - first < 8

cdef list pull_all(lua_State* L, State* s, int first, int last, bint strict):
    """The values at *first* to *last*. Raises Unfit, Stopped, and what a signal's handler raises."""
    cdef Pull c
    cdef Refusal no
    cdef list values = []
    cdef object value
    cdef int i, top = lua.gettop(L)
    if last == first and lua.isinteger(L, first):  # a stream's number, mostly
        values.append(<long long> lua.tointegerx(L, first, NULL))
        return values
    if are_plain(L, first, last):
        for i in range(first, last + 1):
            values.append(text_at(L, i) if lua.type(L, i) == LUA_TSTRING else None)
        return values
    no = Refusal()
    c.s, c.strict, c.depth, c.nodes, c.bytes = s, strict, 0, 0, 0
    c.next_look = now() + s.tick_us * 1e-6
    c.unticked = s.how != BY_TICK or s.cur == NULL
    try:
        for i in range(first, last + 1):
            value = pull(L, i, &c, no)
            if value is UNFIT_HERE:
                raise Unfit(no.text())
            values.append(value)
    finally:
        lua.settop(L, top)
    return values
