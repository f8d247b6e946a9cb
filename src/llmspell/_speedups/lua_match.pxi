# string.find, match, gmatch and gsub: Lua's, with safepoints. All of it is called by Lua and may leave by longjmp: what
# grows is Lua's own memory. In three parts besides: lua_sets.pxi, sets of bytes; lua_pattern.pxi, what a pattern asks
# for; lua_search.pxi, where it matches.

ctypedef unsigned char Byte

cdef enum:
    WORK = 4096            # steps between two safepoints: some 50 µs

cdef struct Work:          # of one call
    lua_State* L
    State* state
    long left              # steps until the next safepoint

cdef void look_up(Work* w) noexcept nogil:
    w.left = WORK
    if must_stop(w.state):
        throw_kill(w.L)

cdef inline void spend(Work* w, long cost) noexcept nogil:
    """Where a loop may be long. A step is also 16 bytes gone through, or 64 where the C library does. Does not return
    if the run is to stop."""
    w.left -= cost
    if w.left < 0:
        look_up(w)

include "lua_sets.pxi"
include "lua_pattern.pxi"
include "lua_search.pxi"

cdef enum:
    SHORT_PATTERN = 128    # items that need no memory of Lua's
    SHORT_RESULT = 1024    # bytes of a gsub's result that need none
    SURE_SLOTS = 10        # of the 20 that Lua gives a C function
    FIRST_UPVALUE = REGISTRY - 1   # lua_upvalueindex(1)

cdef struct Output:        # of gsub
    Work* work
    Byte* bytes
    size_t used, size
    bint changed           # or the result is the subject
    int owner              # the index of what owns the bytes: nil while they are on C's stack

cdef struct Walk:          # of gmatch, its items behind it
    Pattern pattern
    const Byte* begin
    const Byte* end
    const Byte* next
    const Byte* last


cdef inline void begin_match(Match* m, lua_State* L, Pattern* pattern, const Byte* begin, size_t n) noexcept nogil:
    m.work.L = L
    m.work.state = state_of(L)
    m.work.left = WORK
    m.pattern = pattern
    m.begin = begin
    m.end = begin + n
    m.last = NULL

cdef inline size_t start_of(lua_Integer init, size_t n) noexcept nogil:
    """Bytes before where a search begins. A negative *init* counts from the end; beyond the end: more than n."""
    if init > 0:
        return n + 1 if <size_t> (init - 1) > n else <size_t> (init - 1)
    if init == 0 or init < -<lua_Integer> n:
        return 0
    return n - <size_t> -init

cdef void pattern_for(Match* m, Pattern* pattern, PatternItem* room, const Byte* p, size_t length) noexcept nogil:
    """The pattern of one call. room: SHORT_PATTERN items; a longer pattern's are left on the stack."""
    cdef size_t n = pattern_room(length)
    if n > SHORT_PATTERN:
        room = <PatternItem*> lua.newuserdatauv(m.work.L, n * sizeof(PatternItem), 0)
    begin_pattern(&m.work, pattern, room, p, length, True)

# ------------------------------------------------------------------------------------------------ captures

cdef inline void push_bytes(lua_State* L, const Byte* s, size_t n) noexcept nogil:
    lua.pushlstring(L, <const char*> s, n)

cdef void push_capture(Match* m, int i) noexcept nogil:
    """Capture i from 0; where a pattern has none, the first one is all that matched."""
    cdef lua_State* L = m.work.L
    if i >= m.pattern.captures:
        if i:
            lua.L_error(L, b"invalid capture index %%%d", i + 1)
        push_bytes(L, m.start, m.stop - m.start)
    elif m.pattern.open >> i & 1:
        lua.L_error(L, b"unfinished capture")
    elif m.pattern.places >> i & 1:
        lua.pushinteger(L, m.captures[i].start - m.begin + 1)
    else:
        push_bytes(L, m.captures[i].start, m.captures[i].length)

cdef int push_captures(Match* m, bint all_if_none) noexcept nogil:
    cdef int i, n = m.pattern.captures
    if n == 0 and all_if_none:
        n = 1
    if n > SURE_SLOTS:
        lua.L_checkstack(m.work.L, n, b"too many captures")
    for i in range(n):
        push_capture(m, i)
    return n

# ------------------------------------------------------------------------------------------------ find and match

cdef bint is_plain(Work* w, const Byte* p, size_t length) noexcept nogil:
    return find_of_set(w, p, p + length, &special_bytes) == NULL

cdef int find_or_match(lua_State* L, bint find) noexcept nogil:
    cdef size_t n, length, skip
    cdef const Byte* s = <const Byte*> lua.L_checklstring(L, 1, &n)
    cdef const Byte* p = <const Byte*> lua.L_checklstring(L, 2, &length)
    cdef Match m
    cdef Pattern pattern
    cdef PatternItem room[SHORT_PATTERN]
    skip = start_of(lua.L_optinteger(L, 3, 1), n)
    if skip > n:
        lua.pushnil(L)
        return 1
    begin_match(&m, L, &pattern, s, n)
    if find and (lua.toboolean(L, 4) or is_plain(&m.work, p, length)):
        m.start = find_text(&m.work, s + skip, m.end, p, length)
        if m.start == NULL:
            lua.pushnil(L)
            return 1
        lua.pushinteger(L, m.start - s + 1)
        lua.pushinteger(L, m.start - s + length)
        return 2
    pattern_for(&m, &pattern, room, p, length)
    if not search(&m, s + skip):
        lua.pushnil(L)
        return 1
    if not find:
        return push_captures(&m, True)
    lua.pushinteger(L, m.start - s + 1)
    lua.pushinteger(L, m.stop - s)
    return push_captures(&m, False) + 2

cdef int string_find(lua_State* L) noexcept nogil:
    return find_or_match(L, True)

cdef int string_match(lua_State* L) noexcept nogil:
    return find_or_match(L, False)

# ------------------------------------------------------------------------------------------------ gmatch

cdef int gmatch_step(lua_State* L) noexcept nogil:
    cdef Walk* walk = <Walk*> lua.touserdata(L, FIRST_UPVALUE)
    cdef Match m
    if walk.next == NULL:
        return 0
    begin_match(&m, L, &walk.pattern, walk.begin, walk.end - walk.begin)
    m.last = walk.last
    if not search(&m, walk.next):
        return 0
    walk.next = walk.last = m.stop
    return push_captures(&m, True)

cdef int string_gmatch(lua_State* L) noexcept nogil:
    cdef size_t n, length, skip
    cdef const Byte* s = <const Byte*> lua.L_checklstring(L, 1, &n)
    cdef const Byte* p = <const Byte*> lua.L_checklstring(L, 2, &length)
    cdef Walk* walk
    cdef Work work
    skip = start_of(lua.L_optinteger(L, 3, 1), n)
    lua.settop(L, 2)
    walk = <Walk*> lua.newuserdatauv(L, sizeof(Walk) + pattern_room(length) * sizeof(PatternItem), 0)
    walk.begin = s
    walk.end = s + n
    walk.next = s + skip if skip <= n else NULL
    walk.last = NULL
    work.L = L
    work.state = state_of(L)
    work.left = WORK
    begin_pattern(&work, &walk.pattern, <PatternItem*> (walk + 1), p, length, False)
    lua.rotate(L, 1, 1)  # the other two are upvalues to stay alive
    lua.pushcclosure(L, gmatch_step, 3)
    return 1

# ------------------------------------------------------------------------------------------------ gsub

cdef void make_room(Output* out, size_t n) noexcept nogil:
    """For n more bytes, in memory that Lua frees."""
    cdef lua_State* L = out.work.L
    cdef size_t size = out.size * 2
    cdef Byte* bytes
    if size < out.used + n:
        size = out.used + n
    bytes = <Byte*> lua.newuserdatauv(L, size, 0)
    copy_many(out.work, bytes, out.bytes, out.used)
    lua.copy(L, -1, out.owner)
    lua.settop(L, -2)
    out.bytes = bytes
    out.size = size

cdef inline void add_bytes(Output* out, const Byte* s, size_t n) noexcept nogil:
    cdef Byte* to
    if n > out.size - out.used:
        make_room(out, n)
    to = out.bytes + out.used
    out.used += n
    if n > 16:
        copy_many(out.work, to, s, n)
        return
    while n:  # a call takes longer
        to[0] = s[0]
        to += 1
        s += 1
        n -= 1

cdef void add_top(Output* out) noexcept nogil:
    """A string or number, which is popped."""
    cdef size_t n
    cdef const char* s = lua.tolstring(out.work.L, -1, &n)
    add_bytes(out, <const Byte*> s, n)
    lua.settop(out.work.L, -2)

cdef void add_capture(Output* out, Match* m, int i) noexcept nogil:
    """Capture i from 0, by push_capture's rules."""
    cdef int captures = m.pattern.captures
    if i == 0 and captures == 0:
        add_bytes(out, m.start, m.stop - m.start)
    elif i < captures and not (m.pattern.open | m.pattern.places) >> i & 1:
        add_bytes(out, m.captures[i].start, m.captures[i].length)
    else:
        push_capture(m, i)
        add_top(out)

cdef void add_template(Output* out, Match* m, const Byte* text, size_t n) noexcept nogil:
    """A replacement that is a string: %0 to %9 stand for captures, %% for `%`."""
    cdef const Byte* end = text + n
    cdef const Byte* from_ = text
    cdef Byte mark
    spend(&m.work, n >> 4)
    while text < end:
        if text[0] != c'%':
            text += 1
            continue
        add_bytes(out, from_, text - from_)
        mark = text[1] if text + 1 < end else 0
        if mark == c'0':
            add_bytes(out, m.start, m.stop - m.start)
        elif c'1' <= mark <= c'9':
            add_capture(out, m, mark - c'1')
        elif mark == c'%':
            add_bytes(out, text, 1)
        else:
            lua.L_error(out.work.L, b"invalid use of '%%' in replacement string")
        text += 2
        from_ = text
    add_bytes(out, from_, end - from_)

cdef bint push_replacement(Match* m, int kind) noexcept nogil:
    """What the table or function at index 3 has for a match. False: nothing, and nothing is pushed."""
    cdef lua_State* L = m.work.L
    if kind == LUA_TTABLE:
        push_capture(m, 0)
        lua.gettable(L, 3)
    else:
        lua.pushvalue(L, 3)
        lua.callk(L, push_captures(m, True), 1, 0, NULL)
    if not lua.toboolean(L, -1):
        lua.settop(L, -2)
        return False
    if not lua.isstring(L, -1):
        lua.L_error(L, b"invalid replacement value (a %s)", lua.typename(L, lua.type(L, -1)))
    return True

cdef lua_Integer replace(Match* m, Output* out, int kind, lua_Integer most) noexcept nogil:
    """How many matches there were. Only what changes is added, and what is before it."""
    cdef lua_Integer count = 0
    cdef const Byte* copied = m.begin
    cdef size_t n = 0
    cdef const Byte* text = NULL
    cdef bint marks = False
    if kind == LUA_TSTRING:
        text = <const Byte*> lua.tolstring(m.work.L, 3, &n)
        marks = find_byte(&m.work, text, text + n, c'%') != NULL
    m.stop = m.begin
    while count < most and search(m, m.stop):
        count += 1
        m.last = m.stop
        if text != NULL:
            add_bytes(out, copied, m.start - copied)
            if marks:
                add_template(out, m, text, n)
            else:
                add_bytes(out, text, n)
            copied = m.stop
        elif push_replacement(m, kind):
            add_bytes(out, copied, m.start - copied)
            add_top(out)
            copied = m.stop
        if m.pattern.anchored:
            break
    out.changed = copied != m.begin or out.used != 0
    if out.changed:
        add_bytes(out, copied, m.end - copied)
    return count

cdef int string_gsub(lua_State* L) noexcept nogil:
    cdef size_t n, length
    cdef const Byte* s = <const Byte*> lua.L_checklstring(L, 1, &n)
    cdef const Byte* p = <const Byte*> lua.L_checklstring(L, 2, &length)
    cdef int kind = lua.type(L, 3)
    cdef lua_Integer most = lua.L_optinteger(L, 4, <lua_Integer> n + 1), count
    cdef Match m
    cdef Pattern pattern
    cdef PatternItem room[SHORT_PATTERN]
    cdef Byte bytes[SHORT_RESULT]
    cdef Output out
    if kind == LUA_TNUMBER:
        kind = LUA_TSTRING
    if kind != LUA_TSTRING and kind != LUA_TTABLE and kind != LUA_TFUNCTION:
        return lua.L_typeerror(L, 3, b"string/function/table")
    lua.settop(L, 4)  # its last becomes what owns the output
    out.work = &m.work
    out.bytes = bytes
    out.used = 0
    out.size = SHORT_RESULT
    out.owner = 4
    begin_match(&m, L, &pattern, s, n)
    pattern_for(&m, &pattern, room, p, length)
    count = replace(&m, &out, kind, most)
    if out.changed:
        push_bytes(L, out.bytes, out.used)
    else:
        lua.pushvalue(L, 1)
    lua.pushinteger(L, count)
    return 2

cdef inline void set_function(lua_State* L, const char* name, lua_CFunction f) noexcept nogil:
    lua.pushcclosure(L, f, 0)
    lua.setfield(L, -2, name)

cdef void register_match(lua_State* L) noexcept nogil:
    """Sets find, match, gmatch and gsub as fields of the table on top of the stack."""
    make_classes()
    set_function(L, b"find", string_find)
    set_function(L, b"match", string_match)
    set_function(L, b"gmatch", string_gmatch)
    set_function(L, b"gsub", string_gsub)
