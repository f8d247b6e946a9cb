# Host calls and fibers: what the prelude asks of Python, and the functions that a fiber's body runs in.

cdef int raise_error(lua_State* L, State* s) noexcept nogil:
    """Raises the error table for the fields on top of the stack."""
    lua.rawgetp(L, REGISTRY, &MAKE_ERROR_)
    insert(L, -2)
    lua.pushinteger(L, s.error_id)
    lua.callk(L, 2, 1, 0, NULL)
    return lua.error(L)

cdef int give_answer(lua_State* L, State* s) noexcept nogil:
    """Returns what the host came to, or raises it. A value that Lua cannot have is an error in the script."""
    cdef int fault
    cdef bint ok = s.answer_ok
    if ok and (s.answer == NULL or s.answer == NONE):
        let_gil_go(s)
        return 0
    fault = push_answer(L, s)
    if fault != FITS:
        ok = False
        faulted(s, fault)
        if s.kill:
            return throw_kill(L)
        fault = push_answer(L, s)
        if fault != FITS:
            return lua.L_error(L, b"an error that cannot be told")
    let_gil_go(s)
    if s.memory.enforce and s.memory.used > s.memory.limit:  # or answers alone would fill any memory
        lua.gc(L, LUA_GCCOLLECT)
        if s.memory.used > s.memory.limit:
            return out_of_memory(L)
    return 1 if ok else raise_error(L, s)

cdef int host_ask(lua_State* L) noexcept nogil:
    """`ask(op, …)`: what the host answers at once. Possible wherever Lua runs."""
    cdef State* s = state_of(L)
    take_gil(s)
    ask_python(s, L, 0)
    if s.kill:
        return throw_kill(L)
    return give_answer(L, s)

cdef int host_ask_json(lua_State* L) noexcept nogil:
    cdef State* s = state_of(L)
    take_gil(s)
    ask_python(s, L, 1)
    if s.kill:
        return throw_kill(L)
    return give_answer(L, s)

cdef int host_write(lua_State* L) noexcept nogil:
    """`write(fd, text)`: text of any length to standard output or error."""
    cdef State* s = state_of(L)
    cdef size_t n
    cdef const char* text = lua.L_checklstring(L, 2, &n)
    take_gil(s)
    write_python(s, <int> lua.tointegerx(L, 1, NULL), text, n)
    if s.kill:
        return throw_kill(L)
    return give_answer(L, s)

cdef int cannot_wait(lua_State* L) noexcept nogil:
    """Raises for a call that waits, its name at index 1, where Lua cannot."""
    lua.rawgetp(L, REGISTRY, &HOST_)
    lua.getfield(L, -1, b"cannot_wait")
    lua.pushvalue(L, 1)
    lua.callk(L, 1, 0, 0, NULL)
    return 0

cdef inline bint is_wanted(State* s, lua_State* L) noexcept nogil:
    cdef size_t n
    cdef const char* op
    if lua.gettop(L) != 2 or not lua.isinteger(L, 2) or lua.tointegerx(L, 2, NULL) != s.wanted_arg:
        return False
    op = lua.tolstring(L, 1, &n)
    return op != NULL and n == s.wanted_size and memcmp(op, s.wanted, n) == 0

cdef int host_call(lua_State* L) noexcept nogil:
    """`call(op, …)`: what the host answers later; only this fiber waits. The values must be JSON."""
    cdef State* s = state_of(L)
    if not lua.isyieldable(L):
        return cannot_wait(L)
    if s.kill:
        return throw_kill(L)
    s.wants_more = s.wanted != NULL and is_wanted(s, L)
    if s.wants_more:  # nothing to tell of it
        lua.settop(L, 1)
        s.calling = 1
        return lua.yieldk(L, 0, 0, answered)
    take_gil(s)
    if not take_call(s, L):
        return throw_kill(L) if s.kill else give_answer(L, s)  # the values cannot cross
    lua.settop(L, 1)
    s.calling = 1
    return lua.yieldk(L, 0, 0, answered)

cdef int answered(lua_State* L, int status, lua_KContext context) noexcept nogil:
    cdef State* s = state_of(L)
    if s.refused:
        s.refused = 0
        return cannot_wait(L)
    return give_answer(L, s)

cdef int host_kill(lua_State* L) noexcept nogil:
    """Ends the run: the host knows why, or is told that it wished it."""
    cdef State* s = state_of(L)
    if not s.closing:
        s.kill = 1
        if s.why == 0:
            s.why = WHY_HOST
    return throw_kill(L)

cdef int host_caught(lua_State* L) noexcept nogil:
    """After Lua's own `load` has caught an error: a stop goes on, and so does the end of memory."""
    cdef State* s = state_of(L)
    cdef size_t n
    cdef const char* text
    if s.kill:
        return throw_kill(L)
    if lua.type(L, 1) == LUA_TSTRING:
        text = lua.tolstring(L, 1, &n)
        if n == 17 and memcmp(text, b"not enough memory", 17) == 0:
            return out_of_memory(L)
    return 0

# ------------------------------------------------------------------------------------------------ fibers

cdef int note(lua_State* L) noexcept nogil:
    """A fiber's message handler: its frames are seen before they are unwound."""
    cdef State* s = state_of(L)
    cdef bint handed_on
    if not s.kill:
        lua.rawgetp(L, REGISTRY, &DEEPEST_)
        handed_on = lua.type(L, -1) != LUA_TNIL and lua.rawequal(L, 1, -1)
        note_frames(s, L, handed_on)
    lua.settop(L, 1)
    return 1

cdef int host_remember(lua_State* L) noexcept nogil:
    """A message handler: the frames at an error that one of Lua's own functions hands on, and that error."""
    cdef State* s = state_of(L)
    lua.settop(L, 1)
    if not s.kill:
        remember_frames(s, L)
        lua.pushvalue(L, 1)
        lua.rawsetp(L, REGISTRY, &DEEPEST_)
    return 1

cdef int fiber_body(lua_State* L) noexcept nogil:
    """A fiber: calls the function at 1 with what stands above it. The main fiber's arguments come from the host."""
    cdef State* s = state_of(L)
    cdef int n = lua.gettop(L), fault
    lua.pushcclosure(L, note, 0)
    insert(L, 1)
    if s.answer != NULL and is_list(s.answer):
        fault = push_texts(L, s)
        if fault != FITS:
            return lua.L_error(L, b"an argument that cannot be passed on")
        n = lua.gettop(L) - 1
    let_gil_go(s)
    return fiber_done(L, lua.pcallk(L, n - 1, LUA_MULTRET, 1, 0, fiber_done), 0)

cdef int push_texts(lua_State* L, State* s) noexcept nogil:
    """Pushes a list's items, each for itself."""
    cdef bint enforce = s.memory.enforce, fault = FITS
    cdef Py_ssize_t i, n = seq_len(s.answer)
    if n > 100000 or not lua.checkstack(L, <int> n + 4):
        return TOO_MANY
    s.memory.enforce = 0
    for i in range(n):
        fault = push(L, s, seq_item(s.answer, i), 1)
        if fault != FITS:
            break
    s.memory.enforce = enforce
    return fault

cdef void keep(lua_State* L, State* s, bint ok, int first) noexcept nogil:
    """Puts what a fiber came to into the table that asked for it, if somebody still holds that."""
    cdef int i, n = lua.gettop(L) - first + 1
    lua.rawgetp(L, REGISTRY, &KEEPERS_)
    lua.rawgeti(L, -1, s.fiber)
    if lua.type(L, -1) == LUA_TTABLE:
        lua.createtable(L, n + 1, 1)
        lua.pushboolean(L, ok)
        lua.rawseti(L, -2, 1)
        for i in range(n):
            lua.pushvalue(L, first + i)
            lua.rawseti(L, -2, i + 2)
        lua.pushinteger(L, n + 1)
        lua.setfield(L, -2, b"n")
        lua.rawseti(L, -2, s.fiber)
    pop(L, 1)
    lua.pushnil(L)
    lua.rawseti(L, -2, s.fiber)
    pop(L, 1)

cdef int told_error(lua_State* L) noexcept nogil:
    """The text of an error value, by its own `__tostring`."""
    lua.L_tolstring(L, 1, NULL)
    return 1

cdef int fiber_done(lua_State* L, int status, lua_KContext context) noexcept nogil:
    """Returns to the driver: the main fiber's values; or true, the error, and its text if it has one of its own."""
    cdef State* s = state_of(L)
    if status == LUA_ERRMEM:
        return out_of_memory(L)
    if s.kill:
        return throw_kill(L)
    if status == LUA_OK or status == LUA_YIELD:
        if s.fiber != s.main_fiber:
            if not lua.checkstack(L, 8):
                return lua.L_error(L, b"too many results")
            keep(L, s, True, 2)
            return 0
        return lua.gettop(L) - 1
    s.failed = 1
    if s.fiber != s.main_fiber:
        keep(L, s, False, lua.gettop(L))
    if lua.type(L, -1) != LUA_TTABLE or lua.L_getmetafield(L, -1, b"__tostring") == LUA_TNIL:
        return 1
    pop(L, 1)
    lua.pushcclosure(L, told_error, 0)
    lua.pushvalue(L, -2)
    status = lua.pcallk(L, 1, 1, 0, 0, NULL)
    s.failed = 1
    if status == LUA_ERRMEM:
        return out_of_memory(L)
    if s.kill:
        return throw_kill(L)
    if status != LUA_OK:
        pop(L, 1)
        return 1
    return 2

cdef int new_fiber(lua_State* L) noexcept nogil:
    """`new_fiber(keeper, f, …)`: its number. Its outcome goes into `keeper`, which may be nil."""
    cdef State* s = state_of(L)
    cdef int n = lua.gettop(L)
    cdef long long id = next_fiber(s)
    cdef lua_State* co = lua.newthread(L)
    set_flag(co, FIBER)
    lua.rawgetp(L, REGISTRY, &FIBERS_)
    lua.pushvalue(L, -2)
    lua.rawseti(L, -2, id)
    pop(L, 2)
    if not lua.checkstack(co, n + 4):
        return lua.L_error(L, b"too many arguments")
    lua.pushcclosure(co, fiber_body, 0)
    lua.xmove(L, co, n - 1)
    if lua.type(L, 1) == LUA_TTABLE:
        lua.rawgetp(L, REGISTRY, &KEEPERS_)
        lua.pushvalue(L, 1)
        lua.rawseti(L, -2, id)
        pop(L, 1)
    lua.pushinteger(L, id)
    return 1

cdef lua_State* fiber_at(lua_State* L, long long id) noexcept nogil:
    """A fiber's coroutine, or NULL. Nothing is made: safe outside of protected calls."""
    cdef lua_State* co
    lua.rawgetp(L, REGISTRY, &FIBERS_)
    lua.rawgeti(L, -1, id)
    co = lua.tothread(L, -1)
    pop(L, 2)
    return co

cdef void forget_fiber(lua_State* L, long long id) noexcept nogil:
    lua.rawgetp(L, REGISTRY, &FIBERS_)
    lua.pushnil(L)
    lua.rawseti(L, -2, id)
    lua.rawgetp(L, REGISTRY, &KEEPERS_)
    lua.pushnil(L)
    lua.rawseti(L, -2, id)
    pop(L, 2)

cdef lua_State* waits_in(lua_State* co) noexcept nogil:
    """The coroutine that *co* waits for, where it is resuming one; NULL."""
    cdef lua_Debug frame
    cdef lua_CFunction f
    cdef lua_State* inner = NULL
    if lua.status(co) != LUA_YIELD or not lua.checkstack(co, 2) or not lua.getstack(co, 0, &frame):
        return NULL
    lua.getinfo(co, b"f", &frame)
    f = lua.tocfunction(co, -1)
    pop(co, 1)
    if f == co_resume or f == co_called or f == thread_called:
        inner = lua.tothread(co, 1)
    elif f == co_wrapped:
        inner = lua.tothread(co, REGISTRY - 1)
    return inner if inner != NULL and has_flag(inner, BUSY) else NULL

cdef void close_from_inside(lua_State* L, lua_State* co) noexcept nogil:
    """Closes *co* and what it waits in, the innermost first. What `<close>` variables raise is lost."""
    cdef State* s = state_of(L)
    cdef lua_State* at
    cdef lua_State* inner
    while True:  # quadratic in the depth of the nesting, which Lua's C stack keeps under 200
        at = co
        inner = waits_in(at)
        while inner != NULL:
            at = inner
            inner = waits_in(at)
        clear_flag(at, BUSY)
        if close_thread(L, at) == LUA_ERRMEM and not s.kill:
            s.kill = 1
            s.why = WHY_MEMORY
        lua.settop(at, 0)
        if at == co:
            return

cdef int host_close_fiber(lua_State* L) noexcept nogil:
    """`close_fiber(id)`: ends one that waits. One that runs, or is being closed, would lose the stack it stands on."""
    cdef State* s = state_of(L)
    cdef lua_Debug frame
    cdef long long id = lua.tointegerx(L, 1, NULL)
    cdef lua_State* co = fiber_at(L, id)
    if co == NULL or (lua.status(co) == LUA_OK and lua.getstack(co, 0, &frame)):
        return 0
    lua.rawgetp(L, REGISTRY, &FIBERS_)
    lua.rawgeti(L, -1, id)  # held, while it is closed
    forget_fiber(L, id)
    close_from_inside(L, co)
    if s.kill:
        return throw_kill(L)
    return 0

cdef int host_this_fiber(lua_State* L) noexcept nogil:
    lua.pushinteger(L, state_of(L).fiber)
    return 1

cdef int host_drop_fiber(lua_State* L) noexcept nogil:
    forget_fiber(L, lua.tointegerx(L, 1, NULL))
    return 0

# ------------------------------------------------------------------------------------------------ collections

cdef int collected(lua_State* L) noexcept nogil:
    """The only finaliser there is: it notes that the collector went through, and stands up again."""
    state_of(L).collected = 1
    lua.getmetatable(L, 1)
    lua.setmetatable(L, 1)
    return 0

cdef int host_after_collection(lua_State* L) noexcept nogil:
    """`after_collection(f)`: f is called at the end of a step during which something was collected."""
    lua.settop(L, 1)
    lua.rawsetp(L, REGISTRY, &SWEEP_)
    lua.newuserdatauv(L, 1, 0)
    lua.createtable(L, 0, 1)
    lua.pushcclosure(L, collected, 0)
    lua.setfield(L, -2, b"__gc")
    lua.setmetatable(L, -2)
    return 0
