# What of an error that nobody in the script caught is told to Python.

cdef frozenset OURS = frozenset(("self", "id", "type", "traceback", "value", "cause"))
cdef frozenset FIELDS = frozenset(("kind", "message", "hint", "script"))

cdef object failure(Engine engine, lua_State* co, long long fiber, int st):
    """What is known of an error that nobody in the script caught."""
    cdef int top = lua.gettop(co)
    cdef int at = 1 if st == LUA_OK else top
    cdef object number = number_of(co, at) if top else None
    cdef dict told = {"traceback": engine.notes.get(fiber) or []}
    cdef int t = lua.type(co, at) if top else LUA_TNIL
    told["type"] = lua.typename(co, t).decode()
    if t == LUA_TSTRING:
        told["message"] = cut(text_at(co, at))
    elif number is not None:
        copy_fields(engine, co, at, told)
    elif t == LUA_TTABLE:
        try:
            told["value"] = pull_all(co, engine.s, at, at, False)[0]
        except (Unfit, Stopped):
            pass
        if top > at and st == LUA_OK:
            told["message"] = cut(text_at(co, at + 1))
    elif t == LUA_TNIL:
        told["message"] = "nil"
    elif t == LUA_TBOOLEAN:
        told["message"] = "true" if lua.toboolean(co, at) else "false"
    elif t == LUA_TNUMBER:
        lua.tolstring(co, at, NULL)
        told["message"] = text_at(co, at)
    else:
        told["message"] = f"{told['type']}: 0x{<size_t> lua.topointer(co, at):x}"
    return ERROR, told, engine.errors.get(number) if number else None

cdef inline object cut(object text):
    return text[:1048576]

cdef object number_of(lua_State* co, int at):
    """The number of the exception that an error table stands for; 0 of the prelude's own; None of the script's."""
    cdef object number = None
    if lua.type(co, at) != LUA_TTABLE or not lua.checkstack(co, 4):
        return None
    lua.rawgetp(co, REGISTRY, &ORIGIN_)
    lua.pushvalue(co, at)
    if lua.rawget(co, -2) == LUA_TNUMBER:
        number = lua.tointegerx(co, -1, NULL)
    pop(co, 2)
    return number

cdef int copy_fields(Engine engine, lua_State* co, int at, dict told) except -1:
    """What of an error table of llmspell's may be taken at its word: the script may have written into it."""
    cdef object key, value
    cdef int top = lua.gettop(co)
    if not lua.checkstack(co, 4):
        return 0
    lua.pushnil(co)
    while lua.next(co, at):
        if lua.type(co, top + 1) == LUA_TSTRING:
            key = text_at(co, top + 1)
            if type(key) is str and key not in OURS:
                try:
                    value = pull_all(co, engine.s, top + 2, top + 2, False)[0]
                except (Unfit, Stopped):
                    value = None
                if key in ("line", "column"):
                    value = value if type(value) is int else None
                elif key == "retryable":
                    value = value if type(value) is bool else None
                elif key in FIELDS:
                    value = value if type(value) is str else None
                if value is not None:
                    told[key] = value
        lua.settop(co, top + 1)
    lua.settop(co, top)
    told.setdefault("kind", "script")
    told.setdefault("message", "an error without a message")
    return 0
