"""A script is a guest: what it tries in `lua/hostile/` comes to the end that its first lines say, and in time.

Each file there tries one thing. After it, another script runs in the same process. Below are the attacks that fit in
a line: what a script could reach, forge or smuggle.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from llmspell import ScriptRuntime, _speedups
from llmspell.errors import LimitError, LLMSpellError, ScriptError
from support.quiet import Nowhere, quiet

HOSTILE = sorted((Path(__file__).parent / "lua" / "hostile").glob("*.lua"))
DEADLINE, LATE = 0.3, 2.0  # seconds: the run's limit, and what is too late whatever else the machine does
MEMORY = 48_000_000
FIRST_LINES = re.compile(r"-- Tries [^\n]+\n-- Ends: ([^\n]+)\n(?:-- Only: (\w+)\n)?")

#: What the pure twin cannot stop: one call of a C function that takes as long as the script likes, or many that each
#: take long and leave nothing for the collector to see. The files say `Only: compiled`.
BEYOND_PURE = {
    "endless_closers",
    "endless_find_balance",
    "endless_find_pattern",
    "endless_find_plain",
    "endless_find_set",
    "endless_gmatch_pattern",
    "endless_gsub_index_chain",
    "endless_gsub_pattern",
    "endless_gsub_slow_c",
    "endless_match_pattern",
    "slow_coercion",
    "slow_lengths",
}
#: What nothing inside the process stops: loops of Lua's own machine, its collector and `os.date`, where nothing of
#: ours is called. The command line, or a pool of processes, ends the process. The files say `Only: process`.
BEYOND_BOTH = {
    "endless_call_chain",
    "endless_call_itself",
    "endless_date",
    "endless_weak_chain",
}
BEYOND = BEYOND_BOTH if _speedups.choice("lua") == "compiled" else BEYOND_PURE | BEYOND_BOTH


def runtime(timeout: float) -> ScriptRuntime:
    return ScriptRuntime(
        timeout=timeout, max_memory=MEMORY, max_output=2_000_000, stdout=Nowhere(), stderr=Nowhere(), log=quiet
    )


def ending(text: str, timeout: float) -> str:
    """How a script ends, in a word."""
    try:
        done = runtime(timeout).run(text)
    except LimitError as error:
        return str(error.limit or "limit")
    except ScriptError:
        return "script"
    return "done" if done.exit_code == 0 and "exit" not in text else f"exit {done.exit_code}"


def first_lines(path: Path) -> tuple[list[str], str | None]:
    """The ends that a file may come to, and where alone it does."""
    told = FIRST_LINES.match(path.read_text())
    assert told, f"{path.name}: a hostile script begins with what it tries and how it ends"
    return told[1].split(" or "), told[2]


@pytest.mark.parametrize("path", [p for p in HOSTILE if p.stem not in BEYOND], ids=lambda path: path.stem)
def test_a_hostile_script_comes_to_its_end_and_the_next_one_runs(path: Path) -> None:
    ends, _ = first_lines(path)
    timeout = DEADLINE if "timeout" in ends else 10.0
    began = monotonic()
    assert ending(path.read_text(), timeout) in ends
    assert monotonic() - began < timeout + LATE
    assert ScriptRuntime().run("return 1 + 1").result == 2


@pytest.mark.parametrize("path", [p for p in HOSTILE if p.stem in BEYOND], ids=lambda path: path.stem)
def test_the_command_line_ends_what_cannot_be_stopped(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llmspell", "run", "--timeout", str(DEADLINE), str(path)],
        env={**os.environ, "LLMSPELL_RUNTIME__MAX_MEMORY": str(MEMORY)},
        capture_output=True,
        text=True,
        timeout=20,  # it would not end by itself for minutes
    )
    assert done.returncode == 5, done.stderr
    assert "the run took longer than its limit of 0.3 s" in done.stderr


@pytest.mark.parametrize(
    "text",
    ["local x return " + "x and " * 1_000_000 + "x", "local x if x then " + "elseif x then " * 500_000 + "end"],
    ids=["a condition of a million parts", "half a million branches"],
)
def test_a_script_that_takes_long_to_parse_is_stopped_before_it_starts(text: str) -> None:
    began = monotonic()
    with pytest.raises(LimitError) as caught:
        runtime(DEADLINE).run(text)
    assert caught.value.limit == "timeout"
    assert monotonic() - began < DEADLINE + LATE


KEEPING = """
import resource, sys
from llmspell import ScriptRuntime
from llmspell.errors import LimitError
try:
    ScriptRuntime(timeout=3.0, max_memory=48_000_000, log=lambda *_: None).run(sys.stdin.read())
except LimitError:
    pass
try:  # the peak that getrusage tells includes what this process was before it became Python: a copy of the tests'
    with open("/proc/self/status") as file:
        print(next(line.split()[1] for line in file if line.startswith("VmHWM")))
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""


@pytest.mark.parametrize("stem", ["flood_kept_errors", "flood_small_writes", "flood_names_of_errors"])
def test_the_host_keeps_little_for_what_a_script_makes_it_say(stem: str) -> None:
    """Kilobytes at the peak: what the script may have, what crosses at once, and Python itself."""
    text = (Path(__file__).parent / "lua" / "hostile" / f"{stem}.lua").read_text()
    done = subprocess.run([sys.executable, "-c", KEEPING], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200_000


def test_the_exceptions_are_those_that_the_files_name() -> None:
    marks = {path.stem: first_lines(path)[1] for path in HOSTILE}
    assert {stem for stem, only in marks.items() if only == "compiled"} == BEYOND_PURE
    assert {stem for stem, only in marks.items() if only == "process"} == BEYOND_BOTH
    assert set(marks.values()) == {None, "compiled", "process"}


# ---- what can be reached

WALK = """
local seen, strange, known = {}, {}, {}
for lib, names in pairs(JSON.parse(ARGS[1])) do
  for name in names:gmatch("%S+") do
    local f = rawget(_G[lib] or _G, name)
    if type(f) == "function" then known[f] = true else strange[#strange + 1] = lib .. "." .. name .. " is missing" end
  end
end
for _, lib in pairs({ debug, package }) do known[getmetatable(lib).__index] = true end
local function walk(v, path)
  local kind = type(v)
  if kind == "userdata" then strange[#strange + 1] = path end
  if kind == "function" or kind == "thread" or kind == "table" then
    if seen[v] then return end
    seen[v] = true
  end
  if kind == "function" and not known[v] then strange[#strange + 1] = path end
  local mt = getmetatable(v)
  if mt and type(mt) ~= "table" then strange[#strange + 1] = path .. " metatable " .. type(mt) end
  if type(mt) == "table" then walk(mt, path .. "<mt>") end
  if kind == "table" then
    for k, w in next, v do
      walk(k, path .. "<key>")
      walk(w, path .. "." .. tostring(k))
    end
  end
end
local function fails(f, ...) return select(2, pcall(f, ...)) end
"""
SAMPLES = """
local samples = {
  fails(JSON.parse, "{"), fails(Async.sleep, -1), fails(error), fails(io.open, "x"), fails(os.exit, "x"),
  fails(require, "nope"), fails(dofile, "/etc/passwd"), fails(setmetatable, {}, {__gc = 1}),
  fails(function() return Agent.nothing end), fails(function() local x <close> = 1 end), fails(string.rep),
  fails(coroutine.wrap(function() error(JSON.null) end)), fails(JSON.stringify, print),
  fails(JSON.parse, "18446744073709551615"), JSON.parse('{"a": [1, {"b": null}, []]}'), JSON.null, JSON.array({}),
  Async.spawn(function() end), io.stdout, io.stdin,
  Async.settle({ function() error({}) end, function() error("x") end, function() Async.sleep(-1) end }),
  coroutine.running(), coroutine.create(print), debug.traceback(), fails(debug.getinfo), package, arg, ARGS,
  { xpcall(error, debug.traceback, "m") }, { xpcall(error, function(e) return e end, nil) },
  { coroutine.resume(coroutine.create(function() Async.sleep(-1) end)) }, { load("return 1")() }, { load("=") },
}
local closed = {}
pcall(function()
  local x <close> = setmetatable({}, { __close = function(_, e) closed[1] = e end })
  JSON.parse("{")
end)
samples[#samples + 1] = closed
walk(_G, "_G")
walk(getmetatable(""), "string metatable")
walk(samples, "samples")
return JSON.array(strange)
"""

PLAIN = {
    "": "assert collectgarbage dofile error getmetatable ipairs load loadfile next pairs pcall print rawequal rawget "
    "rawlen rawset require select setmetatable tonumber tostring type warn xpcall",
    "coroutine": "close create isyieldable resume running status wrap yield",
    "debug": "traceback",
    "io": "close flush input lines open output popen read tmpfile type write",
    "math": "abs acos asin atan ceil cos deg exp floor fmod log max min modf rad random randomseed sin sqrt tan "
    "tointeger type ult",
    "os": "clock date difftime execute exit getenv remove rename setlocale time tmpname",
    "string": "byte char dump find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
    "table": "concat insert move pack remove sort unpack",
    "utf8": "char codepoint codes len offset",
    "Agent": "builder chat_from create createAsync get get_info list new register wrap_as_tool",
    "Async": "all map merge race rate semaphore settle sleep spawn timeout",
    "Config": "get isEnvAccessAllowed isFileAccessAllowed isNetworkAccessAllowed",
    "File": "append exists lines list read write",
    "Media": "audio binary from_base64 from_file image video",
    "Provider": "capabilities default embed find get getCapabilities isAvailable list models",
    "Run": "clock limits usage",
    "State": "agent_get agent_set delete exists get keys list_keys load save set tool_get tool_set update workflow_get "
    "workflow_set",
    "Stdin": "lines read",
    "Template": "execute render",
    "Tool": "categories discover execute executeAsync exists get get_info get_schema invoke list register",
    "Workflow": "builder conditional execute get get_info list loop parallel register sequential",
    "JSON": "array decode encode parse stringify",
    "Log": "debug error info timer warn",
}


def test_a_script_reaches_plain_values_and_the_functions_of_this_list() -> None:
    """No userdata, no other function, and no member of the list missing, wherever a script can go by legal means."""
    named = [name for name in PLAIN if name[:1].isupper()]
    load_all = "".join(f"pairs({name})\n" for name in named)
    assert ScriptRuntime(log=quiet).run(load_all + WALK + SAMPLES, args=[json.dumps(PLAIN)]).result == []


def test_no_file_of_the_prelude_uses_a_global_when_the_script_has_changed_them_all() -> None:
    """Whatever of the prelude is first loaded or run after that works as before, and nothing of it is called."""
    result = (
        ScriptRuntime(log=quiet)
        .run("""
      local keep = { JSON = JSON, Async = Async, Agent = Agent, Log = Log, coroutine = coroutine, error = error,
        pcall = pcall, require = require, print = print, io = io, load = load, table = table, string = string, os = os }
      local raw_next, raw_type, raw_rawset, raw_pcall = next, type, rawset, pcall
      local called = 0
      local function bomb() called = called + 1; return nil end
      for _, lib in raw_next, { string, table, math, utf8, os, debug } do
        for name, f in raw_next, lib do
          if raw_type(f) == "function" then lib[name] = bomb end
        end
      end
      for name, v in raw_next, _G do
        if raw_type(v) == "function" then _G[name] = bomb end
      end
      local told = {}
      told[1] = keep.JSON.parse("[1]")[1]
      told[2] = keep.JSON.stringify({ a = 1 })
      told[3] = keep.Async.all({ function() keep.Async.sleep(0) return 3 end })[1]
      told[4] = keep.Async.map({ 1 }, function(x) return x + 3 end, { concurrency = 1 })[1]
      told[5] = keep.Async.settle({ function() keep.error("x", 0) end })[1].error
      told[6] = keep.Async.timeout(5, function() return 6 end)
      told[7] = keep.Async.spawn(function() return 7 end):await()
      keep.Log.info("x", { y = 1 })
      told[8] = keep.Agent.list()[1] == nil
      told[9] = raw_pcall(keep.Agent.create, { nonsense = 1 }) == false
      told[10] = keep.coroutine.wrap(function() keep.coroutine.yield(10) end)()
      told[11] = keep.load("return 11")()
      local co = keep.coroutine.create(function() keep.coroutine.yield("x") end)
      told[12] = co:text()
      keep.print(1, "a", nil)
      keep.io.write("x", 1)
      told[13] = raw_pcall(keep.require, "nowhere") == false
      told[14] = called
      return told
    """)
        .result
    )
    assert result == [1, '{"a":1}', 3, 4, "x", 6, 7, True, True, 10, 11, "x", True, 0]


# ---- attacks that fit in a line: the claim, the script, its result

ATTACKS: list[tuple[str, str, Any]] = [
    (
        "an integer beyond Lua's is a float, not an error that is a Python object",
        "return {math.type(JSON.parse('[18446744073709551615]')[1]), math.type(JSON.parse('18446744073709551615'))}",
        ["float", "float"],
    ),
    (
        "a stop hands `__close` a plain string",
        "local x <close> = setmetatable({}, {__close = function(_, e) assert(type(e) == 'string') end}) os.exit(0)",
        None,
    ),
    (
        "a metatable that lists share cannot be seen or changed",
        "return {getmetatable(JSON.parse('[]')), getmetatable(JSON.array{}), getmetatable(JSON.null)}",
        [False, False, False],
    ),
    (
        "a list from the host can be given a metatable all the same",
        "local l = setmetatable(JSON.parse('[1,2]'), {__index = {f = 7}}) return {l.f, #l, JSON.stringify(l)}",
        [7, 2, "[1,2]"],
    ),
    ("and lose it", "return JSON.stringify(setmetatable(JSON.parse('[]'), nil))", "{}"),
    (
        "`JSON.array` does not break into a closed metatable",
        "return {pcall(JSON.array, io.stdout)}",
        [False, "cannot change a protected metatable"],
    ),
    (
        "a task's own coroutine cannot be resumed with a forged answer by another",
        """
        local co
        local task = Async.spawn(function() co = coroutine.running() Async.sleep(0.01) return 'real' end)
        Async.sleep(0)
        local told = {coroutine.status(co), coroutine.resume(co, true, false, 'forged')}
        told[4], told[5] = pcall(coroutine.close, co)
        told[6], told[7] = pcall(co, true, false, 'forged')
        told[8] = task:await()
        return told
        """,
        [
            "normal",
            False,
            "cannot resume non-suspended coroutine",
            False,
            "cannot close a normal coroutine",
            False,
            "cannot resume non-suspended coroutine",
            "real",
        ],
    ),
    (
        "nor can a coroutine that waits inside of a task",
        """
        local co = coroutine.create(function() Async.sleep(0.01) return 'real' end)
        local task = Async.spawn(function() return select(2, coroutine.resume(co)) end)
        Async.sleep(0)
        local ok, e = coroutine.resume(co, true, false, 'forged')
        return {ok, e, coroutine.status(co), pcall(coroutine.close, co), task:await()}
        """,
        [False, "cannot resume non-suspended coroutine", "normal", False, "real"],
    ),
    (
        "what a script yields is never taken for a host call",
        """
        local co = coroutine.wrap(function(...) return coroutine.yield({}, 'Async.sleep', false, 0) end)
        return {select('#', co()), co('back')}
        """,
        [4, "back"],
    ),
    (
        "an error's fields are the script's to change, its identity is not",
        """
        local ok, e = pcall(JSON.parse, '{')
        e.id, e.traceback, e.type, e.self, e.line, e.script, e.hint, e.kind = {}, 5, 1, 2, 'x', {}, {}, 'limit'
        e['\\xff'] = print
        local ok, again = pcall(error, e)
        return rawequal(again, e)
        """,
        True,
    ),
    (
        "globals that the prelude once used may be replaced",
        """
        local seen = 0
        setmetatable = function(...) seen = seen + 1 end
        table.pack, table.unpack, math.type, type, next, select, rawget, tostring, error = nil
        Async.all{function() return 1 end}
        return seen
        """,
        0,
    ),
    ("bytecode is not loaded, however it is named", r"return {load('\27Lua', 'x', 'b')}", None),
    (
        "nor from a reader",
        r"local n = 0 return select(2, load(function() n = n + 1 return n == 1 and '\27Lua' or nil end, 'x', 'b'))",
        "attempt to load a binary chunk (mode is 'b')",
    ),
    (
        "`load` with an environment sees that one only",
        "return {load('return x', 'c', 't', {x = 5})(), pcall(load('return print(1)', 'c', 't', nil))}",
        None,
    ),
    (
        "only files beside the script are loaded, and this one has no place",
        "return {(pcall(require, 'os.x')), (pcall(dofile, '/etc/passwd')), (pcall(loadfile, 'x'))}",
        [False, False, False],
    ),
    (
        "what is not open says so",
        """
        local told = {}
        for i, f in ipairs{ io.open, io.popen, os.execute, os.getenv, os.remove, debug.getinfo, debug.sethook, loadfile,
          debug.getregistry, debug.setmetatable, package.loadlib, string.dump, io.lines } do
          local ok, e = pcall(f, 'x')
          told[i] = not ok and e.kind
        end
        return told
        """,
        ["permission"] * 13,
    ),
    ("there is no way to Python's names", "return {python, _G.python, package.loaded.python, lua}", {}),
    (
        "a coroutine of `coroutine.running` in an error's `__tostring` is the main one, and stays",
        """
        local co, main = coroutine.running()
        return {main, (coroutine.resume(co)), (pcall(coroutine.close, co)), (pcall(coroutine.yield))}
        """,
        [True, False, False, False],
    ),
    ("os.exit takes any whole number", "pcall(os.exit, 3.0)", None),
    (
        "equality of its own does not let a table pass for a stream",
        "return io.type(setmetatable({}, {__eq = function() return true end})) == nil",
        True,
    ),
]


@pytest.mark.parametrize(("claim", "script", "expected"), ATTACKS, ids=[claim for claim, _, _ in ATTACKS])
def test_an_attack_comes_to_nothing(claim: str, script: str, expected: Any) -> None:
    try:
        result = runtime(5.0).run(script).result
    except LLMSpellError as error:
        pytest.fail(f"{error}: {error.traceback}")
    if expected is not None:
        assert result == expected


ODD_ERRORS = [
    "error(setmetatable({}, {__metatable = 1}))",
    "error(setmetatable({}, {__metatable = setmetatable({}, {__index = error})}))",
    "error(setmetatable({}, {__tostring = function() error({}) end}))",
    "error(setmetatable({}, {__tostring = function() return 1 end}))",
    "error(setmetatable({}, {__name = {}, __tostring = false}))",
    "error(print)",
    "error(coroutine.create(print))",
    "error(0/0)",
    "error({[{}] = 1})",
    "error(nil)",
    "error(true)",
    "error(('x'):rep(5000000))",
    "error('\\xff\\0\\27[31m')",
    "error(JSON.null)",
    "error(io.stdout)",
    "local t = {} t.t = t error(t)",
    "local ok, e = pcall(Async.sleep, -1) e.message = nil error(e)",
    "local ok, e = pcall(Async.sleep, -1) e.self, e.id, e.traceback, e.type = 1, {}, 2, 3 error(e)",
    "local ok, e = pcall(Async.sleep, -1) e.line, e.script, e.hint, e.column = {}, 1, {}, 'x' error(e)",
    "local ok, e = pcall(Async.sleep, -1) e['\\xff'], e[1], e[print] = 1, 2, 3 error(e)",
    "local ok, e = pcall(Async.sleep, -1) e.kind = 'nonsense' error(e)",
    "return {[setmetatable({}, {__tostring = function() error('y') end})] = 1}",
    "return print",
    "return setmetatable({}, {__pairs = error, __index = error, __len = error}), coroutine.create(print)",
]


@pytest.mark.parametrize("script", ODD_ERRORS)
def test_whatever_a_script_raises_or_returns_ends_as_an_error_of_ours(script: str) -> None:
    with pytest.raises(LLMSpellError) as caught:
        runtime(5.0).run(script)
    assert len(str(caught.value)) < 3000
    assert "\n" not in str(caught.value)


def test_an_error_that_the_script_wrote_into_keeps_its_identity_in_python() -> None:
    with pytest.raises(LLMSpellError, match="unexpected end of data") as caught:
        ScriptRuntime().run("local ok, e = pcall(JSON.parse, '{') e.message, e.id, e.line = 'forged', 1, {} error(e)")
    assert caught.value.kind == "validation"
    assert isinstance(caught.value.traceback, list)


def test_a_signal_s_exception_on_the_way_into_a_callback_never_reaches_the_script() -> None:
    """Python looks at signals as a callback begins: what that raises is a Python object where Lua called from."""
    import threading
    from _thread import interrupt_main

    rounds = 5
    for _ in range(rounds):
        script = "while true do local ok, e = pcall(JSON.stringify, 1) if not ok then error(type(e)) end end"
        timer = threading.Timer(0.03, interrupt_main)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            runtime(5.0).run(script)
        timer.join()


def test_a_recursion_without_end_is_told_in_good_time() -> None:
    """Setting a hook takes time in proportion to the stack's depth: ticks must not change their pace at each."""
    with pytest.raises(ScriptError, match="stack overflow"):
        ScriptRuntime(timeout=5.0).run("local function f() return 1 + f() end f()")


def test_deep_in_c_calls_a_tick_that_finds_no_room_does_not_end_the_run() -> None:
    script = """
      local function burn() for i = 1, 20000 do end return 'done' end
      local function deep(n) if n == 0 then return burn() end
        local r string.gsub('x', '.', function() r = deep(n - 1) end) return r end
      for n = 150, 210 do pcall(deep, n) end
      return 'end'
    """
    assert ScriptRuntime(timeout=20).run(script).result == "end"


@pytest.mark.parametrize("extra", range(0, 60, 3))
def test_a_stack_overflow_is_told_at_the_script_s_place_wherever_a_tick_falls(extra: int) -> None:
    """The hook may be what finds no room: nothing of llmspell's own stands in what is told."""
    pad = "local _ " * extra
    script = f"local function f() {pad} return 1 + f() end local ok, e = pcall(f) error(e, 0)"
    with pytest.raises(ScriptError) as caught:
        ScriptRuntime(timeout=20.0).run(script)
    assert caught.value.message == "stack overflow"
    assert caught.value.script == "script.lua"
