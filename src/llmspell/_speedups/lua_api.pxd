# Lua 5.4's C API as a table of pointers, filled at run time from the library that lupa has loaded: no headers, nothing
# to link. The names of what they point to are in lua_names.pxi, in the same order; a test compares the two.

from libc.stdint cimport intptr_t

cdef extern from *:
    """
    typedef struct lua_State lua_State;
    """
    ctypedef struct lua_State

ctypedef long long lua_Integer
ctypedef unsigned long long lua_Unsigned
ctypedef intptr_t lua_KContext

# Fields as lua.h has them; `room` is for the private part, and more.
cdef struct lua_Debug:
    int event
    const char* name
    const char* namewhat
    const char* what
    const char* source
    size_t srclen
    int currentline
    int linedefined
    int lastlinedefined
    unsigned char nups
    unsigned char nparams
    char isvararg
    char istailcall
    unsigned short ftransfer
    unsigned short ntransfer
    char short_src[60]
    void* room[16]

ctypedef int (*lua_CFunction)(lua_State*) noexcept nogil
ctypedef int (*lua_KFunction)(lua_State*, int, lua_KContext) noexcept nogil
ctypedef const char* (*lua_Reader)(lua_State*, void*, size_t*) noexcept nogil
ctypedef int (*lua_Writer)(lua_State*, const void*, size_t, void*) noexcept nogil
ctypedef void (*lua_Hook)(lua_State*, lua_Debug*) noexcept nogil
ctypedef void* (*lua_Alloc)(void*, void*, size_t, size_t) noexcept nogil

cdef enum:
    LUA_TNONE = -1
    LUA_TNIL = 0
    LUA_TBOOLEAN = 1
    LUA_TLIGHTUSERDATA = 2
    LUA_TNUMBER = 3
    LUA_TSTRING = 4
    LUA_TTABLE = 5
    LUA_TFUNCTION = 6
    LUA_TUSERDATA = 7
    LUA_TTHREAD = 8
    LUA_OK = 0
    LUA_YIELD = 1
    LUA_ERRRUN = 2
    LUA_ERRSYNTAX = 3
    LUA_ERRMEM = 4
    LUA_ERRERR = 5
    LUA_MULTRET = -1
    LUA_MASKCOUNT = 8
    LUA_RIDX_MAINTHREAD = 1
    LUA_RIDX_GLOBALS = 2
    LUA_GCSTOP = 0
    LUA_GCRESTART = 1
    LUA_GCCOLLECT = 2
    LUA_GCCOUNT = 3
    LUA_GCCOUNTB = 4
    LUA_GCSETPAUSE = 6
    REGISTRY = -1001000

cdef struct LuaApi:
    int (*gettop)(lua_State*) noexcept nogil
    void (*settop)(lua_State*, int) noexcept nogil
    int (*checkstack)(lua_State*, int) noexcept nogil
    void (*pushvalue)(lua_State*, int) noexcept nogil
    void (*rotate)(lua_State*, int, int) noexcept nogil
    void (*copy)(lua_State*, int, int) noexcept nogil
    void (*pushnil)(lua_State*) noexcept nogil
    void (*pushboolean)(lua_State*, int) noexcept nogil
    void (*pushinteger)(lua_State*, lua_Integer) noexcept nogil
    void (*pushnumber)(lua_State*, double) noexcept nogil
    const char* (*pushlstring)(lua_State*, const char*, size_t) noexcept nogil
    const char* (*pushstring)(lua_State*, const char*) noexcept nogil
    void (*pushcclosure)(lua_State*, lua_CFunction, int) noexcept nogil
    void (*pushlightuserdata)(lua_State*, void*) noexcept nogil
    void (*createtable)(lua_State*, int, int) noexcept nogil
    void (*setfield)(lua_State*, int, const char*) noexcept nogil
    int (*getfield)(lua_State*, int, const char*) noexcept nogil
    void (*rawset)(lua_State*, int) noexcept nogil
    void (*rawseti)(lua_State*, int, lua_Integer) noexcept nogil
    int (*rawget)(lua_State*, int) noexcept nogil
    int (*rawgeti)(lua_State*, int, lua_Integer) noexcept nogil
    void (*rawsetp)(lua_State*, int, const void*) noexcept nogil
    int (*rawgetp)(lua_State*, int, const void*) noexcept nogil
    lua_Unsigned (*rawlen)(lua_State*, int) noexcept nogil
    int (*next)(lua_State*, int) noexcept nogil
    int (*type)(lua_State*, int) noexcept nogil
    const char* (*typename)(lua_State*, int) noexcept nogil
    int (*isinteger)(lua_State*, int) noexcept nogil
    int (*toboolean)(lua_State*, int) noexcept nogil
    lua_Integer (*tointegerx)(lua_State*, int, int*) noexcept nogil
    double (*tonumberx)(lua_State*, int, int*) noexcept nogil
    const char* (*tolstring)(lua_State*, int, size_t*) noexcept nogil
    void* (*touserdata)(lua_State*, int) noexcept nogil
    lua_State* (*tothread)(lua_State*, int) noexcept nogil
    const void* (*topointer)(lua_State*, int) noexcept nogil
    void* (*newuserdatauv)(lua_State*, size_t, int) noexcept nogil
    int (*setmetatable)(lua_State*, int) noexcept nogil
    int (*getmetatable)(lua_State*, int) noexcept nogil
    int (*pcallk)(lua_State*, int, int, int, lua_KContext, lua_KFunction) noexcept nogil
    void (*callk)(lua_State*, int, int, lua_KContext, lua_KFunction) noexcept nogil
    int (*error)(lua_State*) noexcept nogil
    lua_State* (*newthread)(lua_State*) noexcept nogil
    int (*resume)(lua_State*, lua_State*, int, int*) noexcept nogil
    int (*yieldk)(lua_State*, int, lua_KContext, lua_KFunction) noexcept nogil
    int (*status)(lua_State*) noexcept nogil
    int (*isyieldable)(lua_State*) noexcept nogil
    void (*xmove)(lua_State*, lua_State*, int) noexcept nogil
    int (*closethread)(lua_State*, lua_State*) noexcept nogil
    void (*sethook)(lua_State*, lua_Hook, int, int) noexcept nogil
    int (*gc)(lua_State*, int, ...) noexcept nogil
    int (*getstack)(lua_State*, int, lua_Debug*) noexcept nogil
    int (*load)(lua_State*, lua_Reader, void*, const char*, const char*) noexcept nogil
    int (*L_loadbufferx)(lua_State*, const char*, size_t, const char*, const char*) noexcept nogil
    int (*L_error)(lua_State*, const char*, ...) noexcept nogil
    void (*L_checkstack)(lua_State*, int, const char*) noexcept nogil
    void (*L_checktype)(lua_State*, int, int) noexcept nogil
    int (*rawequal)(lua_State*, int, int) noexcept nogil
    int (*iscfunction)(lua_State*, int) noexcept nogil
    int (*isstring)(lua_State*, int) noexcept nogil
    lua_CFunction (*tocfunction)(lua_State*, int) noexcept nogil
    int (*gettable)(lua_State*, int) noexcept nogil
    void (*concat)(lua_State*, int) noexcept nogil
    int (*pushthread)(lua_State*) noexcept nogil
    int (*getinfo)(lua_State*, const char*, lua_Debug*) noexcept nogil
    int (*dump)(lua_State*, lua_Writer, void*, int) noexcept nogil
    lua_Integer (*L_optinteger)(lua_State*, int, lua_Integer) noexcept nogil
    const char* (*L_checklstring)(lua_State*, int, size_t*) noexcept nogil
    void (*L_checkany)(lua_State*, int) noexcept nogil
    int (*L_typeerror)(lua_State*, int, const char*) noexcept nogil
    const char* (*L_tolstring)(lua_State*, int, size_t*) noexcept nogil
    void (*L_where)(lua_State*, int) noexcept nogil
    int (*L_getmetafield)(lua_State*, int, const char*) noexcept nogil
    lua_State* (*newstate)(lua_Alloc, void*) noexcept nogil
    void (*close)(lua_State*) noexcept nogil
    void (*L_requiref)(lua_State*, const char*, lua_CFunction, int) noexcept nogil
    int (*gethookmask)(lua_State*) noexcept nogil
    int (*gethookcount)(lua_State*) noexcept nogil
