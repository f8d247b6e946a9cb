# `coroutine`, `pcall` and `xpcall` in place of Lua's own: host calls, preemptions and stops travel up through the
# script's coroutines to the driver, and neither a stop nor the end of memory can be caught.

cdef enum:
    PLAIN = 0     # `coroutine.resume`: the coroutine is the first argument
    WRAPPED = 1   # what `coroutine.wrap` gives: it is an upvalue
    CALLED = 2    # a coroutine that is called: the first argument, and raises like a wrapped one


cdef inline lua_State* coroutine_of(lua_State* L, lua_KContext how) noexcept nogil:
    return lua.tothread(L, REGISTRY - 1 if how == WRAPPED else 1)

cdef int give_back(lua_State* L, lua_State* co, int st, int nres, lua_KContext how) noexcept nogil:
    """What the script's own coroutine has yielded, returned or raised, on its resumer's stack."""
    if st == LUA_OK or st == LUA_YIELD:
        if not lua.checkstack(L, nres + 1):
            pop(co, nres)
            lua.pushstring(L, b"too many results to resume")
            return failed(L, how)
        if how != PLAIN:
            lua.xmove(co, L, nres)
            return nres
        lua.pushboolean(L, 1)
        lua.xmove(co, L, nres)
        return nres + 1
    if how != PLAIN and lua.status(co) > LUA_YIELD:  # it died; one that C's stack had no room for is as it was
        st = close_thread(L, co)
        if st == LUA_ERRMEM:
            return out_of_memory(L)
        if state_of(L).kill:
            return throw_kill(L)
    lua.xmove(co, L, 1)
    return failed(L, how)

cdef int failed(lua_State* L, lua_KContext how) noexcept nogil:
    """With an error on top: false and it, or it raised, a text with the place of the call before it, as Lua's `wrap`."""
    if how == PLAIN:
        lua.pushboolean(L, 0)
        insert(L, -2)
        return 2
    if lua.type(L, -1) == LUA_TSTRING:
        lua.L_where(L, 1)
        insert(L, -2)
        lua.concat(L, 2)
    return lua.error(L)

cdef int close_thread(lua_State* L, lua_State* co) noexcept nogil:
    """Closes *co*; its `<close>` variables run in it, and can be stopped."""
    cdef State* s = state_of(L)
    cdef lua_State* prev = s.cur
    cdef int st
    s.cur = co
    fence()
    if s.tick or s.kill:
        hook_now(co)
    st = lua.closethread(co, L)
    s.cur = prev
    fence()
    if s.tick:
        hook_now(L)
    return st

cdef int co_step(lua_State* L, lua_State* co, int narg, lua_KContext how) noexcept nogil:
    """Resumes *co*. What it yields for the driver goes up, what it yields for the script comes back."""
    cdef State* s = state_of(L)
    cdef lua_State* prev
    cdef int nres, st
    while True:
        prev = s.cur
        s.cur = co
        fence()
        if s.tick or s.kill:
            hook_now(co)
        st = lua.resume(co, L, narg, &nres)
        s.cur = prev
        fence()
        if s.tick:  # it came too late for *co* to see it
            hook_now(L)
        if st == LUA_ERRMEM:
            return out_of_memory(L)
        if s.kill:
            if st == LUA_YIELD:
                set_flag(co, BUSY)
            return throw_kill(L)
        if st != LUA_YIELD or not (s.preempted or s.calling):
            return give_back(L, co, st, nres, how)
        if lua.isyieldable(L):
            set_flag(co, BUSY)
            return lua.yieldk(L, 0, how, co_continue)
        narg = 0  # a C function of Lua's stands between: go on, or tell the call that it cannot wait here
        if s.calling:
            s.calling = 0
            s.refused = 1
        s.preempted = 0

cdef int co_continue(lua_State* L, int status, lua_KContext how) noexcept nogil:
    cdef lua_State* co = coroutine_of(L, how)
    clear_flag(co, BUSY)
    return co_step(L, co, 0, how)

cdef const char* why_not(lua_State* L, lua_State* co, int narg) noexcept nogil:
    """Why *co* cannot be resumed with so many arguments; NULL if it can."""
    cdef lua_Debug frame
    cdef int st = lua.status(co)
    if not lua.checkstack(co, narg):
        return b"too many arguments to resume"
    if has_flag(co, FLAGS):
        return b"cannot resume non-suspended coroutine" if st == LUA_YIELD or st == LUA_OK else b"cannot resume dead coroutine"
    if st == LUA_YIELD:
        return NULL
    if st != LUA_OK:
        return b"cannot resume dead coroutine"
    if co == L or lua.getstack(co, 0, &frame):
        return b"cannot resume non-suspended coroutine"
    if lua.gettop(co) == 0:
        return b"cannot resume dead coroutine"
    return NULL

cdef int start_step(lua_State* L, lua_State* co, int narg, lua_KContext how) noexcept nogil:
    cdef const char* why = why_not(L, co, narg)
    if why != NULL:
        if how != PLAIN and lua.status(co) > LUA_YIELD:
            close_thread(L, co)
        lua.pushstring(L, why)
        return failed(L, how)
    lua.xmove(L, co, narg)
    return co_step(L, co, narg, how)

cdef int co_resume(lua_State* L) noexcept nogil:
    cdef lua_State* co = lua.tothread(L, 1)
    if co == NULL:
        return lua.L_typeerror(L, 1, b"thread")
    return start_step(L, co, lua.gettop(L) - 1, PLAIN)

cdef int co_wrapped(lua_State* L) noexcept nogil:
    return start_step(L, lua.tothread(L, REGISTRY - 1), lua.gettop(L), WRAPPED)

cdef int co_called(lua_State* L) noexcept nogil:
    cdef lua_State* co = lua.tothread(L, 1)
    if co == NULL:
        return lua.L_typeerror(L, 1, b"thread")
    return start_step(L, co, lua.gettop(L) - 1, CALLED)

cdef int thread_called(lua_State* L) noexcept nogil:
    """`__call` of coroutines: a `for` over one ends where it is dead."""
    cdef lua_State* co = lua.tothread(L, 1)
    if co == NULL or is_dead(co):
        return 0
    return start_step(L, co, lua.gettop(L) - 1, CALLED)

cdef bint is_dead(lua_State* co) noexcept nogil:
    cdef lua_Debug frame
    cdef int st = lua.status(co)
    return st != LUA_YIELD and (st != LUA_OK or (lua.gettop(co) == 0 and not lua.getstack(co, 0, &frame)))

cdef int co_create(lua_State* L) noexcept nogil:
    cdef lua_State* co
    lua.L_checktype(L, 1, LUA_TFUNCTION)
    co = lua.newthread(L)
    lua.pushvalue(L, 1)
    lua.xmove(L, co, 1)
    return 1

cdef int co_wrap(lua_State* L) noexcept nogil:
    co_create(L)
    lua.pushcclosure(L, co_wrapped, 1)
    return 1

cdef int co_yield(lua_State* L) noexcept nogil:
    if has_flag(L, FIBER):
        lua.pushstring(L, b"attempt to yield from outside a coroutine")
        return lua.error(L)
    return lua.yieldk(L, lua.gettop(L), 0, NULL)

cdef const char* status_of(lua_State* L, lua_State* co) noexcept nogil:
    cdef lua_Debug frame
    cdef int st = lua.status(co)
    if co == L:
        return b"running"
    if st == LUA_YIELD:
        return b"normal" if has_flag(co, FLAGS) else b"suspended"
    if is_dead(co):
        return b"dead"
    if has_flag(co, FIBER) or lua.getstack(co, 0, &frame):
        return b"normal"
    return b"suspended"

cdef int co_status(lua_State* L) noexcept nogil:
    cdef lua_State* co = lua.tothread(L, 1)
    if co == NULL:
        return lua.L_typeerror(L, 1, b"thread")
    lua.pushstring(L, status_of(L, co))
    return 1

cdef int co_close(lua_State* L) noexcept nogil:
    cdef lua_State* co = lua.tothread(L, 1)
    cdef const char* status
    cdef int st
    if co == NULL:
        return lua.L_typeerror(L, 1, b"thread")
    status = status_of(L, co)
    if status[0] != 115 and status[0] != 100:  # suspended, dead
        return lua.L_error(L, b"cannot close a %s coroutine", status)
    st = close_thread(L, co)
    if st == LUA_ERRMEM:
        return out_of_memory(L)
    if state_of(L).kill:
        return throw_kill(L)
    lua.pushboolean(L, st == LUA_OK)
    if st == LUA_OK:
        return 1
    lua.xmove(co, L, 1)
    return 2

cdef int thread_close(lua_State* L) noexcept nogil:
    """`__close` of coroutines: one that is not done is closed."""
    cdef lua_State* co = lua.tothread(L, 1)
    if co == NULL or lua.status(co) != LUA_YIELD or has_flag(co, FLAGS):
        if co == NULL or lua.status(co) != LUA_OK or status_of(L, co)[0] != 115:
            return 0
    lua.settop(L, 1)
    return co_close(L)

cdef int co_running(lua_State* L) noexcept nogil:
    cdef bint main = lua.pushthread(L)
    lua.pushboolean(L, main or has_flag(L, FIBER))
    return 2

cdef int co_isyieldable(lua_State* L) noexcept nogil:
    cdef lua_State* co = L
    if lua.gettop(L) > 0:
        co = lua.tothread(L, 1)
        if co == NULL:
            return lua.L_typeerror(L, 1, b"thread")
    lua.pushboolean(L, lua.isyieldable(co) and not has_flag(co, FIBER))
    return 1

# ------------------------------------------------------------------------------------------------ pcall

cdef int pcall_done(lua_State* L, int status, lua_KContext extra) noexcept nogil:
    if status == LUA_ERRMEM:
        return out_of_memory(L)
    if state_of(L).kill:
        return throw_kill(L)
    if status != LUA_OK and status != LUA_YIELD:
        lua.pushboolean(L, 0)
        lua.pushvalue(L, -2)
        return 2
    return lua.gettop(L) - <int> extra

cdef int safe_pcall(lua_State* L) noexcept nogil:
    lua.L_checkany(L, 1)
    lua.pushboolean(L, 1)
    insert(L, 1)
    return pcall_done(L, lua.pcallk(L, lua.gettop(L) - 2, LUA_MULTRET, 0, 0, pcall_done), 0)

cdef int on_message(lua_State* L) noexcept nogil:
    """A message handler of the script's; it may run inside a hook, where nothing could stop it."""
    if state_of(L).kill:
        lua.settop(L, 1)
        return 1
    lua.pushvalue(L, REGISTRY - 1)
    insert(L, 1)
    lua.callk(L, 1, 1, 0, NULL)
    return 1

cdef int safe_xpcall(lua_State* L) noexcept nogil:
    cdef int n = lua.gettop(L)
    lua.L_checktype(L, 2, LUA_TFUNCTION)
    if not lua.iscfunction(L, 2):  # those stay as they are: `debug.traceback` shows who called it
        lua.pushvalue(L, 2)
        lua.pushcclosure(L, on_message, 1)
        lua.copy(L, -1, 2)
        pop(L, 1)
    lua.pushboolean(L, 1)
    lua.pushvalue(L, 1)
    lua.rotate(L, 3, 2)
    return pcall_done(L, lua.pcallk(L, n - 2, LUA_MULTRET, 2, 2, pcall_done), 2)
