# One Lua state: its memory, and how it is made to stop. What is here is called by Lua or by a signal.
#
# A function that Lua or a signal calls is `noexcept nogil`: it holds pointers only, owns nothing when it leaves by
# longjmp (`lua.error`, a yield, no memory), and does Python's work in one `with gil` function that catches everything.

cdef enum:
    BUSY = 1       # flags of a coroutine, in the low bits of its pointer to the State: it waits, or was preempted,
    FIBER = 2      # inside of another; it is a fiber's own
    FLAGS = 3

cdef enum:
    BY_TICK = 0    # how a computing script is interrupted: by a signal and a timer,
    BY_HOOK = 1    # by a count hook,
    NEVER = 2

cdef enum:
    WHY_HOST = 1   # why a run ends, where Python does not know it yet
    WHY_MEMORY = 2
    WHY_DEADLINE = 3
    WHY_CPU = 4

cdef enum:
    SOONEST_US = 50          # microseconds to a shot at least
    DEEP = 20000             # frames of a stack that is deep
    HOOK_EVERY = 5000        # instructions, where a hook counts them
    STOP_MASK = 9            # count and call: a C function that C calls over and over runs no instruction
    TICK_US = 5000           # microseconds between ticks while Lua runs
    SIGNALS_EVERY_US = 9000  # between looks for signals, which take the GIL
    CROWDED_PAUSE = 120      # percent: where a quarter of the memory is used, collect sooner; at 100, Lua is at it without end
    USUAL_PAUSE = 200

cdef enum:
    LUA_HOOKCOUNT = 3

cdef struct State

cdef struct Ticker:          # one a thread; its memory is never freed, so that a late signal finds it
    timer_id timer
    long generation          # of forks: a child has no timers
    bint takes_signals       # this is the thread whose Python runs signals' handlers
    volatile int pending
    State* active
    Ticker* next

cdef struct State:
    lua_State* main
    lua_State* cur           # the innermost coroutine that runs
    Ticker* ticker
    PyObject* owner          # borrowed: the Engine
    void* thread             # Python's, while the GIL is let go; NULL: it is held
    bint may_let_go
    volatile int tick        # a tick came, and its safepoint is still to be taken
    volatile int kill        # the run is to stop
    int why
    int how                  # BY_TICK, BY_HOOK or NEVER
    int preempting, preempted
    int closing              # `<close>` variables of a stopped run have their time
    int calling              # a yield under way is a host call
    int refused              # the call could not be passed up: the answer is an error
    int collected            # the collector went through
    int failed               # the fiber that has ended, ended with an error
    int nodes                # of the value that is pushed
    const char* fault_type
    PyObject* answer         # borrowed: what goes into Lua next; NULL for nothing
    int answer_ok
    const char* wanted       # the call that asks for more of what was fed: its name, and its one argument
    size_t wanted_size
    long long wanted_arg
    bint wants_more          # the call under way is that
    PyObject* shared         # borrowed from `answer`: metadata that its chunks of text have in common
    long long shared_at      # where its table stands in SHARED_
    bint new_shared          # those in SHARED_ are forgotten
    long long error_id
    long long fiber, main_fiber, last_fiber
    const void* null_at      # addresses of JSON.null and of the metatable of lists
    const void* array_at
    long tick_us
    double deadline, grace_until, next_look, next_signals
    double cpu_limit, cpu_used, cpu_from
    Memory memory
    int pause, deep
    unsigned long long ticks, safepoints

cdef LuaApi lua
cdef char FIBERS_, KEEPERS_, NULL_, ARRAY_, ORIGIN_, MAKE_ERROR_, DEEPEST_, HOST_, SWEEP_, TOO_DEEP_, STOPPED_, SHARED_   # only their addresses matter


cdef inline State* state_of(lua_State* L) noexcept nogil:
    """A coroutine's extra space is a copy of the main thread's: the State's address, and flags."""
    return <State*> (((<size_t*> L) - 1)[0] & ~<size_t> FLAGS)

cdef inline bint has_flag(lua_State* L, int flag) noexcept nogil:
    return ((<size_t*> L) - 1)[0] & flag

cdef inline void set_flag(lua_State* L, int flag) noexcept nogil:
    ((<size_t*> L) - 1)[0] |= <size_t> flag

cdef inline void clear_flag(lua_State* L, int flag) noexcept nogil:
    ((<size_t*> L) - 1)[0] &= ~<size_t> flag

cdef inline void pop(lua_State* L, int n) noexcept nogil:
    lua.settop(L, -n - 1)

cdef inline void insert(lua_State* L, int i) noexcept nogil:
    lua.rotate(L, i, 1)

cdef inline double now() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_MONOTONIC, &t)
    return t.tv_sec + t.tv_nsec * 1e-9

cdef inline double cpu_time() noexcept nogil:
    cdef timespec t
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
    return t.tv_sec + t.tv_nsec * 1e-9

# ------------------------------------------------------------------------------------------------ stopping

cdef int out_of_memory(lua_State* L) noexcept nogil:
    """Memory ended inside a call that somebody meant to catch: it ends the run instead."""
    cdef State* s = state_of(L)
    if not s.kill:
        s.why = WHY_MEMORY
    s.kill = 1
    return throw_kill(L)

cdef void aim(State* s) noexcept nogil:
    """The timer's next shot: after a tick, or at the deadline if that is sooner."""
    cdef double left, until = s.grace_until if s.closing else s.deadline
    cdef long wait = s.tick_us * (1 + s.deep)
    cdef Ticker* t = s.ticker
    if until < INFINITY:
        left = (until - now()) * 1e6 + 1
        if left < wait:
            wait = <long> left if left > SOONEST_US else SOONEST_US
        elif t.pending:
            return
    elif t.pending:
        return
    t.pending = 1
    timer_shoot(t.timer, wait)

cdef inline void hook_now(lua_State* L) noexcept nogil:
    """At L's next instruction. Setting a hook takes time in proportion to the stack's depth: not again where it is set."""
    if lua.gethookmask(L) != STOP_MASK or lua.gethookcount(L) != 1:
        lua.sethook(L, on_hook, STOP_MASK, 1)

cdef void on_tick(void* of) noexcept nogil:
    """In the signal's handler. `lua_sethook` is what lua.c itself calls in one; it and the next shot are all that is done.

    The next shot, since a hook that is set can be lost: at one point Lua has read that there is none, and is about to
    note that it need not look again.
    """
    cdef Ticker* t = <Ticker*> of
    cdef State* s
    if t == NULL:
        return
    t.pending = 0
    s = t.active
    if s == NULL:
        return
    s.ticks += 1
    s.tick = 1
    fence()
    if s.cur != NULL:
        lua.sethook(s.cur, on_hook, STOP_MASK, 1)
    t.pending = 1
    timer_shoot(t.timer, s.tick_us * (1 + s.deep))

cdef inline void take_gil(State* s) noexcept nogil:
    """Before Python objects are touched. Who leaves by longjmp meanwhile leaves it taken, which is what `thread` says."""
    cdef void* thread = s.thread
    if thread != NULL:
        s.thread = NULL
        restore_thread(thread)

cdef inline void let_gil_go(State* s) noexcept nogil:
    """While Lua computes, Python's other threads run: who watches for Ctrl+C, or the loops of other runtimes."""
    if s.thread == NULL and s.may_let_go:
        s.thread = save_thread()

cdef void look(State* s) noexcept nogil:
    """What a tick is for: the clock, and signals. Afterwards `s.kill` says whether to stop."""
    cdef int wanted = USUAL_PAUSE
    cdef double at = now()
    cdef lua_Debug frame
    s.tick = 0
    s.safepoints += 1
    s.deep = s.cur != NULL and lua.getstack(s.cur, DEEP, &frame)  # there, every tick takes milliseconds
    let_gil_go(s)
    if s.closing:
        if at >= s.grace_until:
            s.kill = 1
    elif at >= s.deadline:
        stop(s, WHY_DEADLINE)
    elif s.cpu_limit > 0 and s.cpu_used + cpu_time() - s.cpu_from >= s.cpu_limit:
        stop(s, WHY_CPU)
    if at >= s.next_signals and not s.kill and (s.ticker == NULL or s.ticker.takes_signals):
        s.next_signals = at + SIGNALS_EVERY_US * 1e-6
        run_signals(s)
    if s.memory.limit and s.memory.used > s.memory.limit // 4:  # or Lua collects in need, at every allocation
        wanted = CROWDED_PAUSE
    if wanted != s.pause:
        s.pause = wanted
        lua.gc(s.main, LUA_GCSETPAUSE, wanted)

cdef inline void stop(State* s, int why) noexcept nogil:
    s.kill = 1
    if s.why == 0:
        s.why = why

cdef inline bint must_stop(State* s) noexcept nogil:
    """For long work in C: takes a safepoint if one is due; whether the run is to stop."""
    if s.how == BY_HOOK and now() >= s.next_look:
        s.next_look = now() + s.tick_us * 1e-6
        look(s)
    elif s.tick:
        look(s)
        if s.how == BY_TICK:
            aim(s)
    return s.kill

cdef void unhook(State* s, lua_State* L) noexcept nogil:
    if s.how == BY_HOOK:
        lua.sethook(L, on_hook, LUA_MASKCOUNT, HOOK_EVERY)
    else:
        lua.sethook(L, NULL, 0, 0)
        if s.tick:  # it came in the middle of that, and its hook was taken off again
            lua.sethook(L, on_hook, STOP_MASK, 1)

cdef void on_hook(lua_State* L, lua_Debug* ar) noexcept nogil:
    """A safepoint between two instructions. A stop yields from here, which no pcall catches, or raises where it can't."""
    cdef State* s = state_of(L)
    if s.how == BY_HOOK and not s.kill:
        if now() < s.next_look:
            return
        s.next_look = now() + s.tick_us * 1e-6
        s.tick = 1
    if s.tick:
        look(s)
        if not s.kill:
            unhook(s, L)
            if s.how == BY_TICK:
                aim(s)
            if ar.event == LUA_HOOKCOUNT and s.preempting and not s.closing and lua.isyieldable(L):
                s.preempted = 1
                lua.yieldk(L, 0, 0, NULL)
            return
    if not s.kill:
        unhook(s, L)
        return
    if ar.event != LUA_HOOKCOUNT:  # a yield is for between instructions
        hook_now(L)
        lua.rawgetp(L, REGISTRY, &STOPPED_)
        lua.error(L)
    throw_kill(L)

cdef int throw_kill(lua_State* L) noexcept nogil:
    """Unwinds a run that is to stop. What catches it is hooked to raise again at its next instruction."""
    hook_now(L)
    if lua.isyieldable(L) and not state_of(L).closing:
        return lua.yieldk(L, 0, 0, NULL)
    lua.rawgetp(L, REGISTRY, &STOPPED_)  # plain: `__close` is handed it; made before, since making it may collect
    return lua.error(L)
