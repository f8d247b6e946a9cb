# Python's work while Lua runs: each function is called without a reference, takes the GIL it has, catches everything,
# and says through the State what is to happen, since it must return before anything leaves by longjmp.

cdef void run_signals(State* s) noexcept with gil:
    """Runs the handlers of signals that came, as Python does between two of its instructions."""
    try:
        PyErr_CheckSignals()
    except BaseException as error:
        (<Engine> s.owner).interrupted(error)

cdef void ask_python(State* s, lua_State* L, bint strict) noexcept with gil:
    """Asks the host for something that needs no waiting; its answer is left in `s.answer`."""
    cdef Engine engine = <Engine> s.owner
    cdef list args
    cdef str op
    try:  # outside of the other: a signal's exception may come while a fault is told
        try:
            op = op_at(engine, L)
            args = pull_all(L, s, 2, lua.gettop(L), strict)
            s.answer_ok = 1
            engine.hand(engine.host_ask(op, args))
        except Stopped:
            pass
        except Unfit as unfit:
            engine.refuse(op, unfit)
        except Exception as error:
            engine.fault(error)
    except BaseException as error:
        engine.interrupted(error)

cdef void write_python(State* s, int fd, const char* text, size_t n) noexcept with gil:
    cdef Engine engine = <Engine> s.owner
    s.answer_ok = 1
    try:
        try:
            engine.hand(None)
            if not engine.host_write(fd, PyBytes_FromStringAndSize(text, n)):
                s.kill = 1
                if s.why == 0:
                    s.why = WHY_HOST
        except Exception as error:
            engine.fault(error)
    except BaseException as error:
        engine.interrupted(error)

cdef object op_at(Engine engine, lua_State* L):
    """The name of the call; mostly that of the last one."""
    cdef size_t n
    cdef Py_ssize_t known = 0
    cdef const char* text = lua.tolstring(L, 1, &n)
    cdef const char* last = NULL
    if engine.last_op is not None:
        last = str_utf8(<PyObject*> engine.last_op, &known)
    if last != NULL and <size_t> known == n and memcmp(text, last, n) == 0:
        return engine.last_op
    cdef object op = text_at(L, 1)
    engine.last_op = op if type(op) is str else None
    return op

cdef bint take_call(State* s, lua_State* L) noexcept with gil:
    """Takes a call that waits: its name and arguments. False where these cannot cross; then `s.answer` says why."""
    cdef Engine engine = <Engine> s.owner
    try:
        try:
            engine.op = op_at(engine, L)
            engine.args = pull_all(L, s, 2, lua.gettop(L), True)
            return True
        except Stopped:
            pass
        except Unfit as unfit:
            engine.refuse(engine.op, unfit)
        except Exception as error:
            engine.fault(error)
    except BaseException as error:
        engine.interrupted(error)
    return False

cdef void faulted(State* s, int fault) noexcept with gil:
    """A value that Lua cannot have: what goes in its place is the error that says so."""
    cdef Engine engine = <Engine> s.owner
    try:
        tell_fault(engine, s, fault)
    except BaseException as error:
        engine.interrupted(error)

cdef int tell_fault(Engine engine, State* s, int fault) except -1:
    cdef str kind = s.fault_type.decode() if s.fault_type != NULL else "value"
    cdef object error
    kind = kind.rpartition(".")[2]
    if not s.answer_ok:  # an error whose fields cannot go in: its kind and text alone
        engine.plain_fault()
        return 0
    if fault == BAD_TYPE:
        error = TypeError(f"a Python {kind} cannot go into Lua")
    elif fault == BAD_KEY:
        error = TypeError(f"a Python {kind} cannot be a key in Lua")
    elif fault == TOO_DEEP or fault == NO_STACK:
        error = ValueError(f"values nested more than {<int> MAX_DEPTH} deep")
    elif fault == TOO_MANY:
        error = ValueError(f"more than {<int> MAX_VALUES} values")
    elif fault == BAD_TEXT:
        error = ValueError("a text with half a surrogate pair cannot go into Lua")
    else:
        error = ValueError("an integer beyond the range of floats cannot go into Lua")
    engine.fault(error)
    return 0

cdef list frames_of(lua_State* L, int level):
    """The script's own frames, innermost first, at most 20, each a dict of source, line and what.

    Of the innermost thousand: a level is found by counting, and a script may name all of its frames as ours are named.
    """
    cdef lua_Debug frame
    cdef list frames = []
    cdef bytes source
    while len(frames) < 20 and level < 1000 and lua.getstack(L, level, &frame):
        level += 1
        lua.getinfo(L, b"Sln", &frame)
        if frame.currentline <= 0 or frame.what[0] == 67:  # C
            continue
        source = PyBytes_FromStringAndSize(frame.source, frame.srclen)
        if source == b"=[llmspell]":
            continue
        if source[:1] == b"@":
            source = source[1:]
        else:
            source = <bytes> frame.short_src
        frames.append({
            "source": source.decode("utf-8", "replace"),
            "line": frame.currentline,
            "what": frame.name.decode("utf-8", "replace") if frame.name != NULL
            else "main chunk" if frame.what[0] == 109 else "function",
        })
    return frames

cdef void note_frames(State* s, lua_State* L, bint handed_on) noexcept with gil:
    cdef Engine engine = <Engine> s.owner
    try:
        if handed_on:
            engine.notes[s.fiber] = engine.deepest
        else:
            engine.notes[s.fiber] = frames_of(L, 1)
    except BaseException as error:
        engine.interrupted(error)

cdef void remember_frames(State* s, lua_State* L) noexcept with gil:
    cdef Engine engine = <Engine> s.owner
    try:
        engine.deepest = frames_of(L, 1)
    except BaseException as error:
        engine.interrupted(error)
