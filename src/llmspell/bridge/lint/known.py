"""What a script finds when it starts: globals, their members, what is closed to it. A test compares it with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.bridge import failures, stubs
from llmspell.bridge.signatures import SIGNATURES, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.bridge.signatures import Signature

__all__ = [
    "API",
    "CLOSED",
    "CLOSED_LIBRARIES",
    "ELSEWHERE",
    "FIELDS",
    "FUNCTIONS",
    "GLOBALS",
    "LIBRARIES",
    "MEMBERS",
    "METHODS",
    "NESTED",
    "OLDER",
    "PROTECTORS",
    "TABLES",
]

ELSEWHERE = failures.ELSEWHERE

#: Lua's own libraries, and what is in them.
LIBRARIES: dict[str, frozenset[str]] = {
    name: frozenset(members.split())
    for name, members in {
        "coroutine": "close create isyieldable resume running status wrap yield",
        "debug": "traceback",
        "io": "close flush input lines open output popen read stderr stdin stdout tmpfile type write",
        "math": "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad "
        "random randomseed sin sqrt tan tointeger type ult",
        "os": "clock date difftime execute exit getenv remove rename setlocale time tmpname",
        "package": "config cpath loaded path preload",
        "string": "byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
        "table": "concat insert move pack remove sort unpack",
        "utf8": "char charpattern codepoint codes len offset",
    }.items()
}

#: Functions that are there and always raise, and what to do instead.
CLOSED: dict[str, str] = {
    "loadfile": "use `require` for modules beside the script",
    "string.dump": "functions cannot be written out as bytecode",
    **dict.fromkeys(
        ("io.open", "io.close", "io.input", "io.output", "io.tmpfile", "os.remove", "os.rename", "os.tmpname"),
        "files are `File`'s",
    ),
    "io.popen": "scripts start no programs",
    "os.execute": "scripts start no programs",
    "os.setlocale": "the locale belongs to the host",
}

#: Libraries of which any other member is one.
CLOSED_LIBRARIES = {
    "debug": "only `debug.traceback` is there",
    "package": "use `require` for modules beside the script",
}

#: What Lua 5.1 to 5.3 had, and what is there in its place.
OLDER: dict[str, str] = {
    "bit32": "Lua 5.4 has operators: `a & b`, `a | b`, `a ~ b`, `a << n`",
    "getfenv": "Lua 5.4 has `_ENV`",
    "loadstring": "it is `load` in Lua 5.4",
    "module": "a module returns a table in Lua 5.4",
    "setfenv": "Lua 5.4 has `_ENV`",
    "unpack": "it is `table.unpack` in Lua 5.4",
    "math.mod": "it is `math.fmod` in Lua 5.4, or `a % b`",
    "math.pow": "it is `x ^ y` in Lua 5.4",
    "string.gfind": "it is `string.gmatch` in Lua 5.4",
    "table.getn": "it is `#t` in Lua 5.4",
}

#: llmspell's functions by global and name, and the methods by class and name.
FUNCTIONS: dict[tuple[str, str], Signature] = {(one.owner, one.name): one for one in SIGNATURES if not one.method}
FUNCTIONS |= {("Debug", name): one for (owner, name), one in FUNCTIONS.items() if owner == "Log"}
METHODS: dict[str, dict[str, Signature]] = {}
for _one in SIGNATURES:
    if _one.method:
        METHODS.setdefault(_one.owner, {})[_one.name] = _one

#: llmspell's globals: a member that they do not have raises.
API = frozenset(owner for owner, _ in FUNCTIONS)
MEMBERS: dict[str, frozenset[str]] = {
    api: frozenset(name for owner, name in FUNCTIONS if owner == api) | ({"null"} if api == "JSON" else set())
    for api in API
}
#: What things with methods have besides.
FIELDS = {name: frozenset(field.split()[0] for field in fields) for name, fields in stubs.FIELDS.items()}
GLOBALS = frozenset(
    (*failures.GLOBALS, *failures.LUA_GLOBALS, *API, *LIBRARIES, "Args", "_G", "_VERSION", "arg", "loadfile")
)

#: Functions that turn an error of what they are given into a value.
PROTECTORS = frozenset(("pcall", "xpcall", "coroutine.create", "coroutine.resume", "Async.settle"))

#: Tables in tables: (table, field) → what each item of the list is, or the field itself where it is one.
NESTED: Mapping[tuple[str, str], str] = {
    ("Input", "messages"): "Message",
    ("Input", "media"): "Part",
    ("Input", "parameters"): "Parameters",
    ("Branch", "steps"): "Step",
    ("ConditionalConfig", "branches"): "Branch",
    **{
        (config, field): "Step"
        for config in ("SequentialConfig", "ParallelConfig", "ConditionalConfig", "LoopConfig")
        for field in ("steps", "body", "then_steps", "else_steps", "then_branch", "else_branch", "default_branch")
        if field in TABLES[config]
    },
}
