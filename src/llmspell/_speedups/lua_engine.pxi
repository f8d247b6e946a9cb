# The engine: what Python sees. Its meaning, call by call, stands in `_lua_py.py`.

@cython.final
@cython.no_gc_clear  # after `tp_clear`, `__dealloc__` would close a state whose owner has lost its callbacks
cdef class Engine:
    """One Lua state. The seam, and what each call means: `_lua_py.Engine`."""

    cdef State* s
    cdef object host_ask, host_write, host_fields
    cdef public object stop_reason, raised, running
    cdef object op, deepest, answer
    cdef str last_op
    cdef list args
    cdef dict errors, notes
    cdef long long last_error
    cdef double grace
    cdef bint busy
    cdef object chunk_type
    cdef tuple word_types
    cdef dict templates      # stream: Template
    cdef long long made_templates

    def __cinit__(self, ask, write, fields, *, max_memory=0, max_cpu=0.0, interrupts="tick"):
        cdef lua_State* L
        cdef Source half
        cdef bytes code
        if interrupts not in ("tick", "hook", "none"):
            raise ValueError(f"interrupts must be tick, hook or none, not {interrupts!r}")
        self.host_ask, self.host_write, self.host_fields = ask, write, fields
        self.errors, self.notes, self.templates = {}, {}, {}
        self.s = <State*> calloc(1, sizeof(State))
        if self.s == NULL:
            raise MemoryError
        self.s.owner = <PyObject*> self
        self.s.memory.limit = max_memory
        take_region(&self.s.memory)
        self.s.cpu_limit = max_cpu
        self.s.how = NEVER if interrupts == "none" else BY_TICK if interrupts == "tick" and TIMERS else BY_HOOK
        self.s.tick_us = TICK_US
        self.s.deadline = INFINITY
        self.s.pause = USUAL_PAUSE
        L = self.s.main = lua.newstate(limited_alloc, &self.s.memory)
        if L == NULL:
            raise MemoryError
        ((<State**> L) - 1)[0] = self.s
        code = code_of(own_half(), _compile)
        half.text, half.length, half.name, half.mode = <const char*> code, len(code), b"=[llmspell]", b"bt"
        lua.pushcclosure(L, open_state, 0)
        lua.pushlightuserdata(L, &half)
        if lua.pcallk(L, 1, 0, 0, 0, NULL) != LUA_OK:
            raise RuntimeError(message_at_top(L))
        if self.s.how == BY_HOOK:
            lua.sethook(L, on_hook, LUA_MASKCOUNT, HOOK_EVERY)  # coroutines inherit it

    def __dealloc__(self):
        self.free()

    cdef void free(self):
        cdef State* s = self.s
        self.s = NULL
        if s != NULL:
            if s.ticker != NULL and s.ticker.active == s:
                s.ticker.active = NULL
            s.memory.enforce = False
            if s.main != NULL and not drop_all(&s.memory):
                lua.close(s.main)
            give_region(&s.memory)
            free(s)

    cdef State* state(self) except NULL:
        if self.s == NULL:
            raise RuntimeError("the engine is closed")
        return self.s

    cdef State* idle(self) except NULL:
        """The state, where no Lua of it runs: not in another thread, and not below."""
        cdef State* s = self.state()
        if s.may_let_go or self.busy:
            raise RuntimeError("the engine runs already")
        return s

    # ---- what Python code under Lua uses

    cdef void hand(self, object value):
        """*value* goes into Lua next."""
        if type(value) is list and self.chunk_type is not None:
            value = self.crossing(<list> value)
            self.share(<list> value)
        elif self.chunk_type is not None and type(value) is self.chunk_type:
            value = self.crossing([value])[0]
        self.answer = value
        self.s.answer = <PyObject*> value

    cdef list crossing(self, list batch):
        """A list whose chunks are of text alone; the others as dicts."""
        cdef object item
        cdef list told = None
        cdef Py_ssize_t i
        for i in range(len(batch)):
            item = batch[i]
            if type(item) is self.chunk_type and (len(item) != 5 or type((<tuple> item)[2]) not in self.word_types):
                if told is None:
                    told = list(batch)
                told[i] = item.to_dict()
        return batch if told is None else told

    cdef void share(self, list batch):
        """The metadata of a batch of texts goes into Lua when it is new or has changed."""
        cdef object chunk, metadata
        cdef Template known
        for chunk in batch:
            if type(chunk) is self.chunk_type:
                break
        else:
            return
        metadata = (<tuple> chunk)[3]
        if type(metadata) is not dict:
            return
        try:
            known = self.templates.get((<tuple> chunk)[0])
            if known is None or not known.is_of(<dict> metadata):
                if self.made_templates % KEPT_TEMPLATES == 0:
                    self.templates.clear()
                    self.s.new_shared = 1
                self.made_templates += 1
                known = Template(<dict> metadata, self.made_templates)
                self.templates[(<tuple> chunk)[0]] = known
        except Exception:  # of a value that cannot be compared
            return
        self.s.shared = <PyObject*> metadata
        self.s.shared_at = known.at

    cdef void fault(self, object error):
        """An exception goes into Lua: its fields, and its number."""
        cdef dict fields
        let_values_go(error)
        self.last_error += 1
        self.errors[self.last_error] = error
        if len(self.errors) > KEPT_ERRORS:
            del self.errors[next(iter(self.errors))]
        try:
            fields = dict(self.host_fields(error))
        except Exception:
            fields = {}
        except BaseException as other:  # Ctrl+C, in the midst of that
            fields = {}
            self.interrupted(other)
        self.tell(fields, self.last_error)
        if not fields:
            self.plain_fault()

    cdef void plain_fault(self):
        cdef str text = "''"
        try:
            text = ascii(str(self.errors.get(self.last_error)))
        except Exception:
            pass
        except BaseException as other:
            self.interrupted(other)
        text = text[1 : len(text) - 1]  # without its quotes
        self.tell({"kind": "internal", "message": text[:500], "retryable": False}, self.last_error)

    cdef void refuse(self, object op, object unfit):
        """Arguments that cannot cross: an error of the prelude's own kind, without an exception."""
        self.tell(
            {"kind": "validation", "message": f"`{op}`: {unfit} cannot be passed on", "retryable": False}, 0
        )

    cdef void tell(self, dict fields, long long number):
        self.answer = fields
        self.s.answer = <PyObject*> fields
        self.s.answer_ok = 0
        self.s.error_id = number

    cdef void interrupted(self, object error):
        """What Python raised that no script may catch: a signal's exception."""
        self.raised = error
        self.stop_reason = "raised"
        self.s.kill = 1

    # ---- entering Lua

    cdef int enter(self, lua_State* co) except -1:
        """Before *co* runs: its clocks, its memory's limit, and a stop that came before."""
        cdef State* s = self.s
        if s.cpu_limit > 0:
            s.cpu_from = cpu_time()
        s.cur = co
        s.memory.enforce = s.memory.limit != 0
        if s.how == BY_TICK:
            s.ticker = ticker()
        elif s.how == BY_HOOK:
            s.next_look = now() + TICK_US * 1e-6
        if s.tick or s.kill:
            hook_now(co)
        return 0

    cdef int run_lua(self, lua_State* co, int n, bint close) except -2:
        """Resumes or closes *co*; the status of it."""
        cdef State* s = self.s
        cdef State* outer = NULL
        cdef Ticker* t = NULL
        cdef int st = 0, nres
        self.enter(co)
        if s.how == BY_TICK:
            t = s.ticker
            outer = t.active
            t.active = s
            aim(s)  # not before: a shot on its way, which arms none, would find no state to tell
        s.may_let_go = True
        if close:
            close_from_inside(s.main, co)
        else:
            st = lua.resume(co, s.main, n, &nres)
        s.may_let_go = False
        take_gil(s)
        s.memory.enforce = False
        s.cur = NULL
        if t != NULL:
            t.active = outer
            if outer != NULL:
                aim(outer)  # whose shot may have come meanwhile
        if s.cpu_limit > 0:
            s.cpu_used += cpu_time() - s.cpu_from
        return st

    # ---- the seam

    @property
    def deadline(self):
        """Of `time.monotonic`."""
        return self.state().deadline

    @deadline.setter
    def deadline(self, double at):
        self.state().deadline = at

    @property
    def preempting(self):
        """Whether a fiber that computes is interrupted, to let the host do other work: the outcome PREEMPTED."""
        return self.state().preempting != 0

    @preempting.setter
    def preempting(self, bint on):
        self.state().preempting = on

    @property
    def tick(self):
        """Seconds between two looks at the clock while Lua runs."""
        return self.state().tick_us * 1e-6

    @tick.setter
    def tick(self, double seconds):
        if not 0.00005 <= seconds <= 1:
            raise ValueError("a tick is 50 microseconds to a second")
        self.state().tick_us = <long> (seconds * 1e6)

    @property
    def memory(self):
        """Bytes of the Lua heap."""
        return self.state().memory.used

    @property
    def cpu_used(self):
        """Seconds of the processor that Lua has taken, where that is limited."""
        return self.state().cpu_used

    def charge(self, double seconds):
        """Counts seconds of the processor that another engine took for this one."""
        self.state().cpu_used += seconds

    def use_chunks(self, chunk_type, dict words):
        """Tells which class is a chunk and which of its contents are text alone, with their type's name."""
        cdef int i = 0
        if self.chunk_type is chunk_type:
            return
        if len(words) > 8:
            raise ValueError("more than 8 classes of text")
        self.chunk_type = chunk_type
        self.word_types = tuple(words)
        if told_chunks and told_chunks[len(told_chunks) - 1] == (chunk_type, words):
            return
        told_chunks.append((chunk_type, dict(words)))  # they live as long as this module: Lua's side borrows them
        chunks.kind = <PyObject*> chunk_type
        for kind, name in words.items():
            chunks.words[i].kind = <PyObject*> kind
            chunks.words[i].name = <const char*> <bytes> name
            chunks.words[i].length = len(name)
            i += 1
        chunks.n = i

    def start(self, bytes prelude not None):
        """Runs the prelude. Raises whatever is wrong in it: that is llmspell's own fault."""
        cdef lua_State* L = self.idle().main
        cdef Source source
        cdef bytes code = code_of(prelude, _compile)
        source.text, source.length, source.name, source.mode = <const char*> code, len(code), b"=[llmspell]", b"bt"
        lua.pushcclosure(L, run_own, 0)
        lua.pushlightuserdata(L, &source)
        if lua.pcallk(L, 1, 0, 0, 0, NULL) != LUA_OK:
            raise RuntimeError(message_at_top(L))

    def load(self, bytes text not None, bytes name not None):
        """The main fiber, not started. Raises LoadError."""
        cdef lua_State* L = self.idle().main
        cdef Source source
        source.text, source.length, source.name, source.mode = <const char*> text, len(text), <const char*> name, b"t"
        lua.pushcclosure(L, load_main, 0)
        lua.pushlightuserdata(L, &source)
        if lua.pcallk(L, 1, 1, 0, 0, NULL) != LUA_OK:
            if self.s.kill:
                pop(L, 1)
                self.know_why()
                return 0
            raise LoadError(message_at_top(L))
        self.s.main_fiber = lua.tointegerx(L, -1, NULL)
        lua.gc(L, LUA_GCRESTART)
        pop(L, 1)
        return self.s.main_fiber

    def resume(self, long long fiber, ok=None, value=None):
        """Runs *fiber* on; see `_lua_py.Engine.resume`. After PREEMPTED, with the fiber alone."""
        return self.run_on(fiber, ok, value)

    def feed(self, long long fiber, value, str op not None, long long arg):
        """Resumes with a value; None where the fiber then makes the call *op* with *arg* alone. See the pure twin."""
        cdef State* s = self.state()
        cdef Py_ssize_t size
        s.wanted = str_utf8(<PyObject*> op, &size)
        if s.wanted == NULL:
            err_clear()
        s.wanted_size, s.wanted_arg = size, arg
        try:
            return self.run_on(fiber, True, value)
        finally:
            if self.s != NULL:
                self.s.wanted = NULL

    cdef object run_on(self, long long fiber, object ok, object value):
        cdef State* s = self.state()
        cdef lua_State* co
        cdef int n, st
        if self.stop_reason is not None:
            return STOPPED, self.stop_reason
        if s.cpu_limit > 0 and s.cpu_used >= s.cpu_limit:
            self.stop_reason = "cpu"
            return STOPPED, "cpu"
        if s.may_let_go or self.busy:
            raise RuntimeError("the engine runs already")
        co = fiber_at(s.main, fiber)
        if co == NULL:
            return (GONE,)
        self.busy = True  # what prepares a value may be the host's own code: it must not close the state
        try:
            n = self.prepare(co, ok, value)
            s.fiber = fiber
            s.failed = s.preempted = s.calling = s.refused = 0
            self.running = fiber
            st = self.run_lua(co, n, False)
            self.running = None
            return self.outcome(co, fiber, st)
        finally:
            self.running = None
            self.busy = False

    cdef int prepare(self, lua_State* co, object ok, object value):
        """What the fiber is resumed with; how many values lie on its stack."""
        cdef State* s = self.s
        s.answer_ok = 1
        if ok is None:
            value = None if value is None else [arg.encode("utf-8", "surrogateescape") for arg in value]
            self.hand(value)
        elif ok:
            self.hand(value)
        else:
            self.fault(value)
        return 0 if lua.status(co) == LUA_YIELD else lua.gettop(co) - 1

    cdef object outcome(self, lua_State* co, long long fiber, int st):
        cdef State* s = self.s
        cdef object got
        self.answer = None
        s.answer = s.shared = NULL
        if st == LUA_ERRMEM and not s.kill:
            s.kill = 1
            s.why = WHY_MEMORY
        # Not where it was interrupted: a stream may just have been made of which Lua holds nothing yet.
        if s.collected and not s.kill and not (st == LUA_YIELD and s.preempted):
            self.swept()
        if s.kill:
            return self.stopped(co, fiber)
        if st == LUA_YIELD:
            if s.preempted:
                return (PREEMPTED,)
            if not s.calling:
                raise RuntimeError("a fiber yielded what no host call is")
            if s.wants_more:
                return None
            got = CALL, self.op, self.args
            self.op = self.args = None
            return got
        if st != LUA_OK or s.failed:
            got = failure(self, co, fiber, st)
        elif fiber == s.main_fiber:
            got = self.result(co)
            if s.kill:
                return self.stopped(co, fiber)
        else:
            got = DONE, None
        self.notes.pop(fiber, None)
        forget_fiber(s.main, fiber)
        return got

    cdef object result(self, lua_State* co):
        """What the main fiber came to; None if the run was stopped meanwhile."""
        cdef State* s = self.s
        cdef list values
        if s.cpu_limit > 0:
            s.cpu_from = cpu_time()
        s.may_let_go = True  # nobody closes the engine meanwhile
        try:
            values = pull_all(co, s, 1, lua.gettop(co), False)
        except Unfit as unfit:
            return UNFIT, str(unfit)
        except Stopped:
            return None
        except BaseException as error:
            self.interrupted(error)
            return None
        finally:
            s.may_let_go = False
        return DONE, values[0] if len(values) == 1 else values or None

    cdef object stopped(self, lua_State* co, long long fiber):
        """The run is to stop: its `<close>` variables have their time, and then it is over."""
        cdef State* s = self.s
        self.know_why()
        if s.why == WHY_MEMORY and self.stop_reason == "memory":
            self.grace = MEMORY_GRACE
        self.close_stopped(co)
        forget_fiber(s.main, fiber)
        self.notes.pop(fiber, None)
        return STOPPED, self.stop_reason

    cdef void know_why(self):
        if self.stop_reason is None:
            self.stop_reason = REASONS[self.s.why]

    cdef void close_stopped(self, lua_State* co):
        """Closes *co* of a run that is over, in what is left of its grace."""
        cdef State* s = self.s
        if s.grace_until == 0:
            s.grace_until = now() + self.grace
        s.closing = 1
        s.kill = now() >= s.grace_until
        s.preempted = s.calling = s.refused = 0
        try:
            self.run_lua(co, 0, True)
        finally:
            s.closing = 0
            s.kill = 1

    cdef void swept(self):
        """Something was collected: the prelude sees whether a stream is out of reach."""
        cdef State* s = self.s
        cdef lua_State* L = s.main
        s.collected = 0
        lua.pushcclosure(L, sweep, 0)
        if lua.pcallk(L, 0, 0, 0, 0, NULL) != LUA_OK:
            pop(L, 1)
        self.answer = None
        s.answer = s.shared = NULL

    # ---- stopping

    def close_fiber(self, long long fiber):
        """Ends a fiber that waits. What its `<close>` variables raise is lost; one that does not end is stopped."""
        cdef State* s = self.idle()
        cdef lua_State* L = s.main
        cdef lua_State* co = fiber_at(L, fiber)
        if co == NULL:
            return
        lua.rawgetp(L, REGISTRY, &FIBERS_)
        lua.rawgeti(L, -1, fiber)
        lua.rotate(L, -2, 1)
        pop(L, 1)  # held, while it is closed
        forget_fiber(L, fiber)
        s.fiber = fiber
        self.running = None
        if self.stop_reason is not None:
            self.close_stopped(co)
        else:
            self.run_lua(co, 0, True)
            if s.kill:
                self.know_why()
        pop(L, 1)
        self.notes.pop(fiber, None)
        self.answer = None
        s.answer = s.shared = NULL

    def interrupt(self, str reason not None, double grace=0.0):
        """Stops Lua at its next tick, for good. Safe from any thread and from a signal's handler."""
        if self.stop_reason is None:
            self.grace = grace
            self.stop_reason = reason
            if self.s != NULL:
                self.s.kill = 1

    def leave(self, double grace):
        """The run is over: only `<close>` variables still run, *grace* seconds if nothing stopped it before."""
        self.interrupt("finished", grace)
        if self.s != NULL and self.s.grace_until == 0 and self.grace > 0:
            self.s.grace_until = now() + self.grace

    def close(self):
        """Frees the Lua state. Further calls are errors of the caller's."""
        if self.s != NULL and (self.s.may_let_go or self.busy):
            raise RuntimeError("the engine runs")
        self.free()
        self.errors.clear()
        self.host_ask = self.host_write = self.host_fields = None


cdef enum:
    KEPT_TEMPLATES = 2000  # metadata of streams whose tables are kept

cdef tuple REASONS = ("host", "host", "memory", "deadline", "cpu")  # by WHY_…
cdef list told_chunks = []


@cython.final
cdef class Template:
    """A stream's metadata as it was when its table was made, and where that stands."""

    cdef dict source, copy
    cdef uint64_t version
    cdef long long at

    def __init__(self, dict metadata, long long at):
        self.source, self.copy, self.at = metadata, dict(metadata), at
        self.version = dict_version(<PyObject*> metadata)

    cdef bint is_of(self, dict metadata) except -1:
        """Whether *metadata* is what it was; of the same dict its version tells, without a look at what is in it."""
        if self.source is metadata and self.version and self.version == dict_version(<PyObject*> metadata):
            return True
        if self.copy != metadata:
            return False
        self.source, self.version = metadata, dict_version(<PyObject*> metadata)
        return True


cdef long long next_fiber(State* s) noexcept nogil:
    s.last_fiber += 1
    return s.last_fiber


def _self_test() -> None:
    """Whether what was found behaves as Lua 5.4 does. Raises ImportError."""
    cdef Engine engine = Engine(lambda op, args: args, lambda fd, data: True, lambda error: {})
    value = {"a": [1, 2.5, "x", None, True, {}], "b": b"\xff"}
    text = b"local c = coroutine.wrap(function(...) coroutine.yield(...) end) return c(...)"
    try:
        main = engine.load(text, b"=test")
        if engine.resume(main, None, ["x"]) != (DONE, "x"):
            raise ImportError("lupa's Lua does not run as expected")
        lua.pushcclosure(engine.s.main, push_entry, 0)
        engine.hand(value)
        if lua.pcallk(engine.s.main, 0, 1, 0, 0, NULL) != LUA_OK:
            raise ImportError("values do not cross into lupa's Lua")
        if pull_all(engine.s.main, engine.s, 1, 1, False) != [value]:
            raise ImportError("values do not cross out of lupa's Lua")
    finally:
        engine.close()


cdef int push_entry(lua_State* L) noexcept nogil:
    return 1 if push_answer(L, state_of(L)) == FITS else lua.L_error(L, b"a fault")


bind(library_path())
_self_test()
