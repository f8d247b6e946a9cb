# Finding Lua in what lupa brings, the timer of a thread, and making a state.

cdef bint bound = False
cdef str lua_ident_ = ""
cdef lua_CFunction openers[8]

cdef tuple LIBRARIES = (b"_G", b"string", b"table", b"math", b"utf8", b"os", b"debug", b"coroutine")
cdef tuple OPENERS = (
    b"luaopen_base", b"luaopen_string", b"luaopen_table", b"luaopen_math", b"luaopen_utf8", b"luaopen_os",
    b"luaopen_debug", b"luaopen_coroutine",
)


def library_path() -> str:
    """Where lupa's Lua 5.4 is, without importing lupa: that costs more than all the rest of a start. ImportError."""
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = None if find is None else find("lupa", None, None)
        if spec is not None and spec.submodule_search_locations:
            inner = find("lupa.lua54", spec.submodule_search_locations, None)
            if inner is not None and inner.origin:
                return inner.origin
    raise ImportError("lupa's Lua 5.4 is not installed")


cdef void* symbol(void* library, bytes name) except NULL:
    cdef void* found = dlsym(library, <const char*> name)
    if found == NULL:
        raise ImportError(f"lupa's Lua does not export {name.decode()}")
    return found


cdef int bind(str path) except -1:
    """Fills the table of Lua's functions. ImportError where anything is not as expected."""
    global bound, lua_ident_
    cdef void* library
    cdef const char* ident
    cdef Py_ssize_t i
    if bound:
        return 0
    if sizeof(LuaApi) != len(LUA_NAMES) * sizeof(void*):
        raise ImportError("the table of Lua's functions does not fit its names")
    library = dlopen(os.fsencode(path), RTLD_NOW | RTLD_LOCAL)
    if library == NULL:
        raise ImportError("lupa's Lua cannot be loaded")
    for i in range(len(LUA_NAMES)):
        (<void**> &lua)[i] = symbol(library, LUA_NAMES[i])
    for i in range(len(OPENERS)):
        openers[i] = <lua_CFunction> symbol(library, OPENERS[i])
    ident = <const char*> symbol(library, b"lua_ident")
    if strstr(ident, b"Lua 5.4.") == NULL:
        raise ImportError("lupa's Lua is not 5.4")
    lua_ident_ = strstr(ident, b"Lua 5.4.").decode("latin-1").split()[1]
    bound = True
    return 0


def lua_version() -> str:
    """Lua's exact release."""
    return lua_ident_

# ------------------------------------------------------------------------------------------------ timers

cdef Py_tss_t ticker_key
cdef object of_thread = _local()
cdef Ticker* spare = NULL
cdef long forks = 0

if PyThread_tss_create(&ticker_key):  # at import: reading a key that was never made reads another library's
    raise ImportError("no thread storage")


@cython.final
@cython.no_gc
cdef class TickerOwner:
    """Lives in the thread's locals: its timer goes with the thread, its memory stays for the next."""
    cdef Ticker* ticker

    def __dealloc__(self):
        global spare
        if self.ticker != NULL:
            if PyThread_tss_get(&ticker_key) == self.ticker:
                PyThread_tss_set(&ticker_key, NULL)
            self.ticker.active = NULL
            if self.ticker.generation == forks:
                timer_end(self.ticker.timer)
            self.ticker.next = spare
            spare = self.ticker


cdef inline Ticker* ticker() except NULL:
    cdef Ticker* t = <Ticker*> PyThread_tss_get(&ticker_key)
    return t if t != NULL and t.generation == forks else new_ticker(t)


cdef Ticker* new_ticker(Ticker* t) except NULL:
    """This thread's timer; *t*: the one it had before the process was forked."""
    global spare
    cdef TickerOwner owner
    if t == NULL:
        t = spare
        if t != NULL:
            spare = t.next
        else:
            t = <Ticker*> calloc(1, sizeof(Ticker))
            if t == NULL:
                raise MemoryError
        t.active = NULL
        owner = TickerOwner()
        owner.ticker = t
        t.generation = -1
        of_thread.ticker = owner
        if PyThread_tss_set(&ticker_key, t):
            raise OSError("no thread storage")
        t.takes_signals = in_main_thread()
    start_timer(t)
    return t


cdef bint in_main_thread() except -1:
    """Whether signals' handlers run on this thread."""
    try:
        _signal.signal(0, _signal.SIG_DFL)  # no signal has this number, but who may ask is looked at first
    except ValueError as error:
        return "main thread" not in str(error)
    return True


cdef int start_timer(Ticker* t) except -1:
    t.pending = 0
    if timer_start(&t.timer, t, on_tick):
        raise OSError("no timer is to be had")
    t.generation = forks
    return 0


def _forked() -> None:
    """In the child: timers are not inherited. A script that runs right now gets a new one."""
    global forks
    cdef Ticker* t = <Ticker*> PyThread_tss_get(&ticker_key)
    forks += 1
    if t != NULL:
        start_timer(t)
        t.takes_signals = True  # the thread that forked is the child's main one
        if t.active != NULL and t.active.how == BY_TICK:
            aim(t.active)


os.register_at_fork(after_in_child=_forked)

# ------------------------------------------------------------------------------------------------ a state

cdef void field(lua_State* L, const char* name, lua_CFunction f) noexcept nogil:
    lua.pushcclosure(L, f, 0)
    lua.setfield(L, -2, name)

cdef void put_public(lua_State* L) noexcept nogil:
    lua.createtable(L, 0, 12)
    field(L, b"pcall", safe_pcall)
    field(L, b"xpcall", safe_xpcall)
    field(L, b"create", co_create)
    field(L, b"wrap", co_wrap)
    field(L, b"resume", co_resume)
    field(L, b"yield", co_yield)
    field(L, b"status", co_status)
    field(L, b"close", co_close)
    field(L, b"running", co_running)
    field(L, b"isyieldable", co_isyieldable)

cdef int host_keep_names(lua_State* L) noexcept nogil:
    """Where Lua looks up what a function without a name is called, for tracebacks and errors: copies of the libraries,
    which a script cannot fill with a million names to look at."""
    lua.getfield(L, REGISTRY, b"_LOADED")
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.createtable(L, 0, 32)
        lua.pushnil(L)
        while lua.next(L, -3):
            lua.pushvalue(L, -2)
            insert(L, -2)
            lua.rawset(L, -4)
        lua.copy(L, -1, -2)
        lua.settop(L, -2)
        lua.pushvalue(L, -2)
        insert(L, -2)
        lua.rawset(L, -4)
    return 0

cdef void put_host(lua_State* L) noexcept nogil:
    lua.createtable(L, 0, 48)
    put_public(L)
    lua.setfield(L, -2, b"public")
    lua.createtable(L, 0, 4)
    register_match(L)
    lua.setfield(L, -2, b"patterns")
    field(L, b"ask", host_ask)
    field(L, b"ask_json", host_ask_json)
    field(L, b"call", host_call)
    field(L, b"write", host_write)
    field(L, b"kill", host_kill)
    field(L, b"caught", host_caught)
    field(L, b"keep_names", host_keep_names)
    field(L, b"remember", host_remember)
    field(L, b"new_fiber", new_fiber)
    field(L, b"drop_fiber", host_drop_fiber)
    field(L, b"close_fiber", host_close_fiber)
    field(L, b"this_fiber", host_this_fiber)
    field(L, b"after_collection", host_after_collection)
    field(L, b"call_coroutine", co_called)
    field(L, b"thread_called", thread_called)
    field(L, b"thread_close", thread_close)

cdef void weak_table(lua_State* L, const void* key, const char* mode) noexcept nogil:
    lua.createtable(L, 0, 0)
    lua.createtable(L, 0, 1)
    lua.pushstring(L, mode)
    lua.setfield(L, -2, b"__mode")
    lua.setmetatable(L, -2)
    lua.rawsetp(L, REGISTRY, key)

cdef struct Source:
    const char* text
    size_t length
    const char* name
    const char* mode

cdef int open_state(lua_State* L) noexcept nogil:
    """Opens the libraries and makes `host`; 1 is the Source of the Lua half. Protected."""
    cdef Source* half = <Source*> lua.touserdata(L, 1)
    cdef State* s = state_of(L)
    cdef int i
    lua.gc(L, LUA_GCSTOP)  # until the script is loaded: nothing of ours is garbage
    for i in range(8):
        lua.L_requiref(L, library_names[i], openers[i], 1)
    lua.settop(L, 0)
    lua.rawgeti(L, REGISTRY, LUA_RIDX_GLOBALS)
    lua.createtable(L, 0, 1)
    lua.pushstring(L, b"/\n;\n?\n!\n-\n")
    lua.setfield(L, -2, b"config")
    lua.setfield(L, -2, b"package")
    pop(L, 1)
    lua.createtable(L, 0, 4)
    lua.rawsetp(L, REGISTRY, &FIBERS_)
    lua.pushstring(L, b"the run was stopped")
    lua.rawsetp(L, REGISTRY, &STOPPED_)
    lua.pushstring(L, b"C stack overflow")  # or `lua_resume` makes it when it is needed, where nothing catches the end
    lua.rawsetp(L, REGISTRY, &TOO_DEEP_)    # of memory: that would end the process
    weak_table(L, &KEEPERS_, b"v")
    put_host(L)
    lua.pushvalue(L, -1)
    lua.rawsetp(L, REGISTRY, &HOST_)
    if lua.L_loadbufferx(L, half.text, half.length, half.name, half.mode) != LUA_OK:
        return lua.error(L)
    insert(L, -2)
    lua.callk(L, 1, 4, 0, NULL)
    lua.rawsetp(L, REGISTRY, &MAKE_ERROR_)
    lua.rawsetp(L, REGISTRY, &ORIGIN_)
    s.array_at = lua.topointer(L, -1)
    lua.rawsetp(L, REGISTRY, &ARRAY_)
    s.null_at = lua.topointer(L, -1)
    lua.rawsetp(L, REGISTRY, &NULL_)
    return 0

cdef enum:
    PARSED = 256  # bytes at a time

cdef const char* next_piece(lua_State* L, void* of, size_t* n) noexcept nogil:
    """For the parser, which takes time in the square of some texts' length: it is stopped between two pieces."""
    cdef Source* source = <Source*> of
    cdef State* s = state_of(L)
    cdef const char* piece = source.text
    if s.how != NEVER and now() >= s.deadline:
        stop(s, WHY_DEADLINE)
        lua.rawgetp(L, REGISTRY, &STOPPED_)
        lua.error(L)
    n[0] = PARSED if source.length > PARSED else source.length
    source.text += n[0]
    source.length -= n[0]
    return piece

cdef int load_main(lua_State* L) noexcept nogil:
    """Makes a fiber of a Source: pushes its number. Protected."""
    cdef Source* source = <Source*> lua.touserdata(L, 1)
    lua.settop(L, 0)
    lua.pushnil(L)
    if lua.load(L, next_piece, source, source.name, source.mode) != LUA_OK:
        return lua.error(L)
    return new_fiber(L)

cdef int run_own(lua_State* L) noexcept nogil:
    """Runs a Source of llmspell's own with `host`. Protected."""
    cdef Source* source = <Source*> lua.touserdata(L, 1)
    lua.settop(L, 0)
    if lua.L_loadbufferx(L, source.text, source.length, source.name, source.mode) != LUA_OK:
        return lua.error(L)
    lua.rawgetp(L, REGISTRY, &HOST_)
    lua.callk(L, 1, 0, 0, NULL)
    return 0

cdef int sweep(lua_State* L) noexcept nogil:
    """Calls what the prelude wants called after a collection. Protected."""
    lua.rawgetp(L, REGISTRY, &SWEEP_)
    lua.callk(L, 0, 0, 0, NULL)
    return 0

cdef int dump_piece(lua_State* L, const void* piece, size_t n, void* into) noexcept nogil:
    add_piece(<PyObject*> into, <const char*> piece, n)
    return 0

cdef void add_piece(PyObject* into, const char* piece, size_t n) noexcept with gil:
    (<bytearray> into).extend(PyBytes_FromStringAndSize(piece, n))

cdef const char* library_names[8]
for _i in range(8):
    library_names[_i] = <const char*> <bytes> LIBRARIES[_i]

# ------------------------------------------------------------------------------------------------ our own Lua

cdef bytes HALF = b""
LUA_HALF = ("compiled_locals", "common", "words", "compiled")


cdef bytes own_half():
    global HALF
    if not HALF:
        HALF = lua_half(LUA_HALF)
    return HALF


cdef str message_at_top(lua_State* L):
    """The error on top of the stack, taken off, as text."""
    cdef str text = "an error that is no text"
    if lua.type(L, -1) == LUA_TSTRING:
        text = PyBytes_FromStringAndSize(lua.tolstring(L, -1, NULL), lua.rawlen(L, -1)).decode("utf-8", "replace")
    pop(L, 1)
    return text


def _compile(bytes text) -> bytes:
    """The bytecode of a text of llmspell's own."""
    cdef lua_State* L = lua.newstate(plain_alloc, NULL)
    cdef bytearray code = bytearray()
    if L == NULL:
        raise MemoryError
    try:
        if lua.L_loadbufferx(L, <const char*> text, len(text), b"=[llmspell]", b"t") != LUA_OK:
            raise SyntaxError(message_at_top(L))
        lua.dump(L, dump_piece, <void*> code, 1)
    finally:
        lua.close(L)
    return bytes(code)


cdef void* plain_alloc(void* ud, void* p, size_t old, size_t size) noexcept nogil:
    if size == 0:
        free(p)
        return NULL
    return realloc(p, size)
