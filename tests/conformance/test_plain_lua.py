"""Plain Lua stays plain Lua: what llmspell replaces gives the same values, and the same words, as Lua 5.4's own.

Each snippet runs twice, in a stock state and in llmspell, and what it returns is compared as text: types, values,
messages with their places. Where llmspell means to differ is said in `DIFFERENT`, with what it gives instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lupa.lua54 as lua54
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: On the snippet's first line, so that places are the same. `show` is a value as text, `try` a call's outcome.
HEAD = (
    "local function show(...) local out = {} for i = 1, select('#', ...) do local v = select(i, ...) "
    "local k = math.type(v) or type(v) if k == 'table' then local t = {} for a, b in next, v do "
    "t[#t + 1] = show(a) .. '=' .. show(b) end table.sort(t) v = '{' .. table.concat(t, ',') .. '}' "
    "elseif k == 'function' or k == 'thread' or k == 'userdata' then v = '' end "
    "out[i] = k .. ':' .. tostring(v) end return table.concat(out, ' ') end "
    "local function try(f, ...) return show(pcall(f, ...)) end "
)


def stock(source: str) -> str:
    """What Lua's own makes of it."""
    runtime = lua54.LuaRuntime(encoding="latin-1", register_eval=False)
    run = runtime.eval(
        "function(s) local f = assert(load(s, '@script.lua')) local ok, e = pcall(f) return ok, tostring(e) end"
    )
    ok, text = run(source)
    return f"{ok} {text}"


def ours(source: str) -> str:
    """What llmspell makes of it."""
    try:
        result = ScriptRuntime(timeout=20).run(source).result
    except LLMSpellError as error:
        return f"False {error.script}:{error.line}: {error.message}"
    text = result.decode("latin-1") if isinstance(result, bytes) else str(result)
    return f"True {text}"


SAME: dict[str, Sequence[str]] = {
    "pcall": [
        "return try(error)",
        "return try(error, 'm')",
        "return try(error, 'm', 0)",
        "return try(error, {1, 2})",
        "return try(error, nil)",
        "return show(pcall())",
        "return show(pcall(pcall))",
        "return try(pcall)",
        "return show(pcall(nil))",
        "return show(pcall(5))",
        "return try(function() return 1, nil, 3, nil end)",
        "return try(function() local x = nil + 1 end)",
        "return try(function() local t = {} return t.a.b end)",
        "return try(function() undefined() end)",
        "return show(pcall(pcall, error, 'x'))",
        "return show(select('#', pcall(function() return nil, nil end)))",
        "return show(pcall(setmetatable({}, {__call = function(self, a) return a, self ~= nil end}), 7))",
        "local t = {} for i = 1, 300 do t[i] = i end return show(pcall(select, '#', table.unpack(t)))",
    ],
    "xpcall": [
        "return show(xpcall(error, function(e) return 'h ' .. tostring(e) end, 'm'))",
        "return show(xpcall(error, function(e) return e, 2 end, 'm'))",
        "return show(xpcall(function(...) return ... end, print, 1, nil, 3))",
        "return try(xpcall)",
        "return try(xpcall, print)",
        "return try(function() xpcall(print) end)",
        "return try(function() xpcall(print, 5) end)",
        "return show(xpcall(function() error({}) end, type))",
        "return show(xpcall(function() error('a') end, function(e) return xpcall(error, "
        "function(m) return e .. m end, 'b') end))",
        "return show(xpcall(function() local x = nil; x() end, function(e) return e end))",
        "local ok, e = xpcall(function()\n error('deep')\nend, debug.traceback)\nreturn show(ok, e:match('^[^\\n]+'))",
        "return show(xpcall(nil, function(e) return 'h: ' .. e end))",
    ],
    "error": [
        "local function f() error('m') end\nreturn try(function()\n f()\nend)",
        "local function f() error('m', 2) end\nreturn try(function()\n f()\nend)",
        "local function g() error('m', 3) end local function f() g() end\nreturn try(function()\n f()\nend)",
        "local function f() error('m', 2.0) end\nreturn try(function()\n f()\nend)",
        "local function f() error('m', '2') end\nreturn try(function()\n f()\nend)",
        "local function f() return error('tail') end\nreturn try(function()\n f()\n return 1 end)",
        "return try(function() error('m', -1) end)",
        "return try(function() error('m', math.maxinteger) end)",
        "return try(function() error('m', 1.5) end)",
        "return try(function() error('m', {}) end)",
        "return try(function() error(12) end)",
        "return try(function() error() end)",
        "return try(function() assert(false) end)",
        "return try(function() assert(nil, 'm') end)",
        "return try(function() assert(false, {1}) end)",
        "return try(function() assert() end)",
        "return try(assert)",
        "return show(assert(1, 2, nil))",
        "error('uncaught')",
        "\n\nlocal x = nil\nx.y = 1",
    ],
    "coroutine": [
        "return show(coroutine.resume(coroutine.create(function(...) return ... end), 1, nil))",
        "return show(coroutine.resume(coroutine.create(function() end)))",
        "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) "
        "return show(coroutine.resume(co, 1), coroutine.resume(co, 5), coroutine.resume(co))",
        "return show(coroutine.resume(coroutine.create(function() error('m') end)))",
        "return show(coroutine.resume(coroutine.create(function() error({}) end)))",
        "return show(coroutine.resume(coroutine.create(function() error() end)))",
        "return show(coroutine.resume(coroutine.create(function() local x = nil; x() end)))",
        "local co = coroutine.create(function() end) coroutine.resume(co) return show(coroutine.resume(co))",
        "return show(coroutine.resume(coroutine.running()))",
        "return show(coroutine.isyieldable(), select(2, coroutine.running()))",
        "return show(coroutine.wrap(function() return coroutine.isyieldable(), select(2, coroutine.running()) end)())",
        "local co = coroutine.create(print) return show(coroutine.isyieldable(co))",
        "local co co = coroutine.create(function() return coroutine.status(co) end) "
        "local s = coroutine.status(co) return show(s, coroutine.resume(co), coroutine.status(co))",
        "local outer outer = coroutine.create(function() "
        "return coroutine.wrap(function() return coroutine.status(outer), coroutine.resume(outer) end)() end) "
        "return show(coroutine.resume(outer))",
        "return show(coroutine.status(coroutine.running()))",
        "local g = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) "
        "local t = {} for i in g do t[#t + 1] = i end return show(t)",
        "local g = coroutine.wrap(function() error('m') end)\nreturn try(function()\n g()\nend)",
        "local g = coroutine.wrap(function() error('m', 0) end)\nreturn try(function()\n g()\nend)",
        "local g = coroutine.wrap(function() error({}) end) return try(g)",
        "local g = coroutine.wrap(function() end) g() return try(function() g() end)",
        "local g = coroutine.wrap(function() end) g() return try(g)",
        "local g g = coroutine.wrap(function() return pcall(g) end) return show(g())",
        "local g = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = "
        "function() error('c', 0) end}) error('m') end)"
        "\nreturn try(function()\n g()\nend)",
        "return show(coroutine.wrap(function(...) return select('#', ...), ... end)(nil, nil))",
        "return try(coroutine.yield, 1)",
        "return try(function() coroutine.yield(1) end)",
        "return try(function() coroutine.create() end)",
        "return try(function() coroutine.create(1) end)",
        "return try(function() coroutine.wrap({}) end)",
        "return try(function() coroutine.resume(1) end)",
        "return try(function() coroutine.status('x') end)",
        "return try(function() coroutine.close({}) end)",
        "return try(function() coroutine.isyieldable({}) end)",
        "return try(function() coroutine.close(coroutine.running()) end)",
        "local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) "
        "return show(coroutine.close(co), coroutine.status(co), coroutine.close(co))",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, {__close = "
        "function() error('c') end}) "
        "coroutine.yield() end) coroutine.resume(co) return show(coroutine.close(co))",
        "local co = coroutine.create(function() error('m') end) coroutine.resume(co) "
        "local a, b = coroutine.close(co) return show(a, b, coroutine.close(co))",
        "local outer outer = coroutine.create(function() return coroutine.wrap(function() "
        "return pcall(coroutine.close, outer) end)() end) "
        "return show(coroutine.resume(outer))",
        "local outer outer = coroutine.wrap(function()\n return coroutine.wrap(function()\n"
        "   return pcall(function() coroutine.close(outer_co) end)\n end)()\nend)\n"
        "outer_co = coroutine.running() return show(outer())",
        "local co = coroutine.create(function() pcall(function() coroutine.yield(1) error('m') end) return 2 end) "
        "return show(coroutine.resume(co), coroutine.resume(co))",
        "local t = setmetatable({}, {__index = function(_, k) return coroutine.yield(k) end, "
        "__add = function(a, b) return coroutine.yield(b) end, __concat = function() return coroutine.yield('cc') end, "
        "__eq = function() return coroutine.yield('eq') end, __lt = function() return coroutine.yield('lt') end, "
        "__len = function() return coroutine.yield('len') end, __call = function(_, x) return coroutine.yield(x) end, "
        "__close = function() coroutine.yield('close') end}) "
        "local co = coroutine.wrap(function() local a = {t.x, t + 5, t .. 'z', t == "
        "setmetatable({}, getmetatable(t)), t < t, #t, t(9)} "
        "do local c <close> = t end return a end) "
        "local seen = {} for i = 1, 8 do seen[i] = co(i) end return show(seen, co('end'))",
        "local function iter(_, i) i = i + 1 if i <= 3 then coroutine.yield('y' .. i) return i end end "
        "local co = coroutine.wrap(function() local s = 0 for i in iter, nil, 0 do s = s + i end return s end) "
        "return show(co(), co(), co(), co())",
        "return try(coroutine.wrap(function() table.sort({3, 2, 1}, function() coroutine.yield() end) end))",
        "local function deep(n) if n == 0 then coroutine.yield('bottom') return 0 end return 1 + deep(n - 1) end "
        "local co = coroutine.wrap(deep) return show(co(1000), co())",
        "local co = coroutine.wrap(function(...) local n = select('#', ...) "
        "while true do n = select('#', coroutine.yield(n)) end end) return show(co(), co(nil), co(1, nil, nil), co())",
        "local log = {} local co = coroutine.create(function() local a <close> = setmetatable({}, "
        "{__close = function(_, e) log[#log + 1] = tostring(e) end}) coroutine.yield() end) "
        "coroutine.resume(co) coroutine.close(co) return show(log)",
    ],
    "load": [
        "return show(load('return 1, 2')())",
        "return show(load('return ...')(1, nil))",
        "return show(load('x ='))",
        "return show(load('x =', '=name'))",
        "return show(load('x =', '@file.lua'))",
        "return show(load('x =', 'some text\\nmore'))",
        "return show(load('return x', 'n', 't', {x = 5})())",
        "return try(load('return x.y', '=n', 't', nil))",
        "return show(load('return 1', 'n', 'b'))",
        "return show(load('return 1', 'n', 'x'))",
        "return show(load('return 1', 'n', ''))",
        "return show(load('return 1', 'n', 'bt')())",
        "local parts, i = {'return ', '4', '2'}, 0 return show(load(function() i = i + 1 return parts[i] end)())",
        "local done = false return show(load(function() if done then return '' end done = true "
        "return 'return 3' end)())",
        "return show(load(function() return {} end))",
        "return show(load(function() return {} end))",
        "return show(load(function() error('reader') end))",
        "return show(load(function() error({}) end))",
        "return show(load(function() end))",
        "return try(load)",
        "return try(function() load() end)",
        "return try(function() load({}) end)",
        "return try(function() load('x', {}) end)",
        "return try(function() load('x', 'n', {}) end)",
        "return show(load(12))",
        "x = 3 return show(load('x = x + 1 return x')(), x)",
        "return try(load('local t = nil\\nreturn t.x', '=chunk'))",
        "return try(load('error(\"m\", 2)', '=chunk'))",
    ],
    "metatables": [
        "local mt = {} local t = setmetatable({}, mt) return show(getmetatable(t) == mt, "
        "getmetatable(setmetatable(t, nil)))",
        "return try(function() setmetatable(1, {}) end)",
        "return try(function() setmetatable({}, 1) end)",
        "return try(setmetatable, {}, 1)",
        "return try(function() setmetatable(setmetatable({}, {__metatable = 'x'}), {}) end)",
        "return try(setmetatable, setmetatable({}, {__metatable = 'x'}), nil)",
        "return show(getmetatable(setmetatable({}, {__metatable = 'x'})))",
        "return show(getmetatable(setmetatable({}, {__metatable = false})))",
        "local t = {} return show(setmetatable(t, {}) == t)",
        "return show(rawequal(setmetatable({}, {__eq = function() return true end}), {}))",
        "return show(tostring(setmetatable({}, {__tostring = function() return 'me' end})))",
        "return try(tostring, setmetatable({}, {__tostring = function() return {} end}))",
        "return show((tostring(setmetatable({}, {__name = 'N'})):gsub('0x%x+', '')))",
    ],
    "strings": [
        "return show(string.rep('ab', 3), ('x'):rep(2, ','), string.rep('x', 0), "
        "string.rep('x', -5), string.rep('', 9))",
        "return show(string.rep(12, 2), string.rep('x', '3'), string.rep('x', 2.0), string.rep('a', 1, 'sep'))",
        "return show(string.rep('', 5, '-'), string.rep('', 0, '-'), string.rep('x', 3, 7))",
        "return try(function() string.rep('x', 1.5) end)",
        "return try(function() string.rep('x', {}) end)",
        "return try(function() string.rep({}, 1) end)",
        "return try(function() string.rep('x', 'y') end)",
        "return try(function() string.rep('x', 1, {}) end)",
        "return try(function() string.rep('x', 1 << 40) end)",
        "return try(function() string.rep('xx', math.maxinteger) end)",
        "return try(function() string.rep('', 1.5) end)",
        "return show(('%d %s %5.2f %q'):format(3, 'x', 1.5, 'a\\nb'))",
        "return try(function() ('x'):bad() end)",
        "return show(#'x' .. 1, 10 .. '', '10' + 5, '0x10' * 1)",
        "return show(tostring(1e15), tostring(1e100), tostring(-0.0), tostring(1/0), tostring(2^53), 3 // 0.0, 7 // 2)",
        "return show(select('#'), select('#', nil, nil), select(2, 1, 2, 3), select(-1, 1, 2))",
        "return try(function() select(0) end)",
        "return show(tostring(nil), tostring(true), tonumber('0x1p4'), tonumber('z', 36), tonumber('  5  '))",
    ],
    "table": [
        "local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.insert(t, 5, 9) return show(t)",
        "local t = {} table.insert(t, nil) table.insert(t, 1, nil) return show(t, #t)",
        "return try(function() table.insert() end)",
        "return try(function() table.insert({}) end)",
        "return try(function() table.insert({}, 1, 2, 3) end)",
        "return try(function() table.insert({}, 5, 1) end)",
        "return try(function() table.insert({}, 0, 1) end)",
        "return try(function() table.insert({}, 'x', 1) end)",
        "return try(function() table.insert({}, nil, 1) end)",
        "return try(function() table.insert({}, 1.5, 1) end)",
        "return try(function() table.insert(5, 1) end)",
        "return try(function() table.insert('abc', 1) end)",
        "local t = {1} table.insert(t, '1', 0) return show(t)",
        "local t = {1, 2, 3} return show(table.remove(t), table.remove(t, 1), t, "
        "table.remove({}), table.remove({}, 0))",
        "local t = {1, 2} return show(table.remove(t, 3), t)",
        "local t = {[0] = 'z'} return show(table.remove(t, 0), t)",
        "return try(function() table.remove({1, 2}, 5) end)",
        "return try(function() table.remove({1, 2}, 'x') end)",
        "return try(function() table.remove(5) end)",
        "return show(table.concat({1, 'b', 3.5}, ', '), table.concat({}), table.concat({1, 2, 3}, '-', 2, 3))",
        "return show(table.concat({1, 2}, 5), table.concat({1, 2, 3}, '', 3, 2))",
        "return try(function() table.concat({1, {}, 3}) end)",
        "return try(function() table.concat({1, 2}, '', 1, 3) end)",
        "return try(function() table.concat({}, {}) end)",
        "return try(function() table.concat({}, '', 'x') end)",
        "return try(function() table.concat(5) end)",
        "return show(table.move({1, 2, 3}, 1, 3, 2), table.move({1, 2, 3}, 2, 3, 1), table.move({1}, 1, 1, 1, {9, 9}))",
        "return show(table.move({}, 1, 0, 5), table.move({}, 5, 1, 1))",
        "return try(function() table.move({}, 1, math.maxinteger, 2) end)",
        "return try(function() table.move({}, math.mininteger, math.maxinteger, 2) end)",
        "return try(function() table.move({}, -5, math.maxinteger, 2) end)",
        "return try(function() table.move({}, 'x', 2, 2) end)",
        "return try(function() table.move({}, 1, 2, 2, 5) end)",
        "return try(function() table.move(1, 1, 2, 2) end)",
        "local t = {3, 1, 2} table.sort(t) local u = {3, 1, 2} table.sort(u, function(a, b) "
        "return a > b end) return show(t, u)",
        "return try(function() table.sort({1, 'x'}) end)",
        "return try(function() table.sort({1, {}, 3}) end)",
        "return try(function() table.sort({3, 1, 2, 5, 4}, function() return true end) end)",
        "return try(function() table.sort({1, 2}, 5) end)",
        "return try(function() table.sort() end)",
        "return try(function() table.sort({3, 2, 1}, function() error('in') end) end)",
        "return try(function() table.sort({3, 2, 1}, function() error({}) end) end)",
        "return show(table.unpack({1, 2, nil, 4}, 1, 4))",
        "return try(function() table.unpack({}, 1, 1e8) end)",
        "return show(table.pack(nil, nil).n)",
        # proxies: what looks like a table by its metamethods is worked on through them
        "local log, s = {}, {1, 2, 3} local p = setmetatable({}, {__len = function() log[#log + "
        "1] = 'len' return #s end, "
        "__index = function(_, k) log[#log + 1] = 'get' .. k return s[k] end, "
        "__newindex = function(_, k, v) log[#log + 1] = 'set' .. k s[k] = v end}) "
        "table.insert(p, 4) table.insert(p, 1, 0) local r = table.remove(p) local q = table.remove(p, 1) "
        "local c = table.concat(p, ',') table.move(p, 1, 2, 3) table.sort(p, function(a, b) return a > b end) "
        "return show(s, r, q, c, log)",
        "local p = setmetatable({}, {__len = function() return 'x' end}) return try(function() "
        "table.insert(p, 1, 2) end)",
        "local p = setmetatable({}, {__len = function() return 2.5 end}) return try(function() table.remove(p) end)",
        "local p = setmetatable({}, {__len = function() return 3.0 end, __index = function(_, k) return k end}) "
        "return show(table.concat(p, ' '), table.remove(p))",
        "local p = setmetatable({}, {__len = function() return 3 end, __index = function() return {} end}) "
        "return try(function() table.concat(p) end)",
        "local p = setmetatable({}, {__index = function(_, k) return k end}) "
        "return show(table.concat(p, ',', 1, 4), table.unpack(p, 1, 3))",
        "local p = setmetatable({3, 1, 2}, {}) table.sort(p) return show(p)",
        "local p = setmetatable({3, 'x', 2}, {}) return try(function() table.sort(p) end)",
        "local p = setmetatable({}, {__newindex = function() error('no') end}) "
        "return try(function() table.insert(p, 1) end)",
        "local a, b = setmetatable({1, 2}, {__eq = function() return true end}), nil "
        "b = setmetatable({1, 2}, getmetatable(a)) return show(table.move(a, 1, 2, 2, b))",
    ],
    "long tables": [
        "local t = {} for i = 1, 150000 do t[i] = i end table.insert(t, 1, 0) table.insert(t, 75000, -1) "
        "local r = table.remove(t, 2) return show(#t, t[1], t[2], t[74999], t[150001], r, table.remove(t))",
        "local t = {} for i = 1, 150000 do t[i] = (i * 7919) % 150001 end table.sort(t) "
        "for i = 2, #t do assert(t[i - 1] <= t[i]) end return show(#t, t[1], t[150000])",
        "local t = {} for i = 1, 150000 do t[i] = 1 end t[77777] = 'x' return try(function() table.sort(t) end)",
        "local t = {} for i = 1, 150000 do t[i] = i end table.move(t, 1, 150000, 2) "
        "local u = table.move(t, 1, 150000, 0, {}) return show(t[1], t[2], t[150001], u[0], u[149999], #t)",
        "local t = {} for i = 1, 150000 do t[i] = i end table.move(t, 2, 150000, 1) return "
        "show(t[1], t[149999], t[150000])",
    ],
    "the rest": [
        "return show(collectgarbage('count') > 0, collectgarbage(), collectgarbage('collect'))",
        "return try(function() collectgarbage('nonsense') end)",
        "return try(function() collectgarbage({}) end)",
        "return show(type(os.time()), type(os.clock()), type(os.date()), os.time{year = 2020, "
        "month = 1, day = 1, hour = 12} > 0)",
        "return show(os.date('!%Y-%m-%d', 0), os.difftime(5, 3), os.date('!*t', 0).year)",
        "return try(os.date, '%Ez', 0)",
        "return try(os.time, {})",
        "return show(type(io.stdout), io.type(5), io.type({})) == 'x' or 'same'",
        "return try(function() io.write({}) end)",
        "return try(function() io.write('', nil) end)",
        "return try(function() io.type() end)",
        "return try(function() io.read('x') end)",
        "return try(function() print(setmetatable({}, {__tostring = function() return {} end})) end)",
        "return try(function() print(setmetatable({}, {__tostring = function() error('in') end})) end)",
        "return try(function() warn() end)",
        "return try(function() warn('a', {}) end)",
        "return show(require('string') == string, require('_G') == _G, require('coroutine') == coroutine)",
        "package.loaded.mine = {7} return show(require('mine'))",
        "package.preload.p = function(...) return {...} end return show(require('p'), require('p'))",
        "package.preload.p = function() end return show(require('p'), require('p'))",
        "package.preload.p = function() package.loaded.p = 5 end return show(require('p'))",
        "local n = 0 package.preload.p = function() n = n + 1 return false end require('p') "
        "require('p') return show(n)",
        "local n = 0 package.preload.p = function() n = n + 1 error('m' .. n) end "
        "return show(try(require, 'p'), try(require, 'p'))",
        "return try(function() require() end)",
        "return try(function() require({}) end)",
        "return show(debug.traceback('m', 1):match('^[^\\n]+\\n[^\\n]+'), debug.traceback({}) ~= nil)",
        "return show(debug.traceback(coroutine.create(print)))",
        "local t <const> = 5 do local c <close> = setmetatable({}, {__close = function(_, e) "
        "got = {e} end}) end return show(got)",
        "return try(function() local c <close> = 5 end)",
        "return show(math.type(1), math.type(1.0), math.type('1'), math.tointeger('8'), math.ult(1, -1))",
        "for i, v in ipairs(setmetatable({}, {__index = function(_, k) return k < 4 and k or "
        "nil end})) do last = i end return show(last)",
        "return show(next({}), rawlen({1, 2}), rawget(setmetatable({}, {__index = {x = 1}}), 'x'), _VERSION)",
    ],
}  # fmt: skip

CASES = [(group, index, text) for group, texts in SAME.items() for index, text in enumerate(texts)]


@pytest.mark.parametrize(("group", "index", "text"), CASES, ids=[f"{group}-{index}" for group, index, _ in CASES])
def test_what_is_replaced_gives_what_lua_gives(group: str, index: int, text: str) -> None:
    assert ours(HEAD + text) == stock(HEAD + text)


DIFFERENT = [
    ("functions of ours are Lua functions: their own name stands where C's would", "return try(string.rep, {})",
     "bad argument #1 to 'rep' (string expected, got table)"),
    ("an argument that is missing is told as nil", "return try(function() string.rep('x') end)",
     "bad argument #2 to 'rep' (number expected, got nil)"),
    ("and so where Lua's own would not be content with nothing", "return show(setmetatable({}) ~= nil)",
     "boolean:true"),
    ("the collector is the host's", "return show(collectgarbage('step'), collectgarbage('generational'))",
     "integer:0 integer:0"),
    ("what is called in the last place of a `return` leaves no place behind, being a Lua function",
     "return try(function() return table.concat({{}}) end)",
     "boolean:false string:invalid value (table) at index 1 in table for 'concat'"),
    ("finalisers are not there", "return show(pcall(setmetatable, {}, {__gc = print}))", "is not open to scripts"),
    ("a coroutine may be called", "return show(coroutine.create(function(a) return a end)(5))", "integer:5"),
    ("bytecode is not there", "return show(pcall(string.dump, print))", "is not open to scripts"),
    ("`pcall` counts as two levels for `error`",
     "local function f() error('m', 3) end\nreturn try(function() return pcall(f) end)", "m"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "text", "words"), DIFFERENT, ids=[why for why, _, _ in DIFFERENT])
def test_where_llmspell_means_to_differ(why: str, text: str, words: str) -> None:
    assert words in ours(HEAD + text)


@given(
    values=st.lists(st.one_of(st.none(), st.integers(-9, 9), st.text("ab", max_size=2)), max_size=4),
    steps=st.lists(st.sampled_from(["yield", "error", "return", "pcall", "nested"]), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_any_coroutine_passes_on_what_lua_s_own_would(values: list[Any], steps: list[str]) -> None:
    shown = ", ".join("nil" if v is None else repr(v) if isinstance(v, int) else f"'{v}'" for v in values) or "nil"
    body = {
        "yield": f"got = got .. show(coroutine.yield({shown}))",
        "error": "if #got > 30 then error('stop') end",
        "return": f"if #got > 60 then return {shown} end",
        "pcall": f"got = got .. try(function() local a = coroutine.yield({shown}) error(a) end)",
        "nested": "got = got .. show(coroutine.wrap(function() coroutine.yield(1) end)(), coroutine.isyieldable()) "
        f"coroutine.yield({shown})",
    }
    lines = "\n".join(body[step] for step in steps)
    text = (
        f"{HEAD} local got = '' local co = coroutine.create(function(...)\n{lines}\nreturn got end) local out = {{}} "
        f"for i = 1, 8 do out[i] = show(coroutine.resume(co, i, {shown})) .. coroutine.status(co) end "
        "return table.concat(out, '|')"
    )
    assert ours(text) == stock(text)


INDEXES = st.integers(-3, 9) | st.sampled_from([0, 2**63 - 1, -(2**63)])


@given(
    length=st.integers(0, 6),
    operation=st.sampled_from(["insert", "remove", "concat", "move", "unpack"]),
    a=INDEXES, b=INDEXES, c=INDEXES, proxy=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_range_of_a_table_is_worked_on_as_by_lua_s_own(
    length: int, operation: str, a: int, b: int, c: int, proxy: bool
) -> None:
    if operation in ("concat", "unpack", "move") and b - a > 10**6:
        b = a + 3
    a, b, c = min(max(a, -(2**63) + 1), 2**63 - 1), min(b, 2**63 - 1), max(c, -(2**63) + 1)
    call = {
        "insert": f"table.insert(t, {a}, 'new')",
        "remove": f"table.remove(t, {a})",
        "concat": f"table.concat(t, ',', {a}, {b})",
        "move": f"table.move(t, {a}, {b}, {c})",
        "unpack": f"table.unpack(t, {a}, {b})",
    }[operation]
    of = "t = setmetatable({}, {__len = function() return #s end, __index = s, __newindex = s})" if proxy else "t = s"
    text = (
        f"{HEAD} local s = {{}} for i = 1, {length} do s[i] = i * 10 end local t {of} "
        f"return try(function() local r = table.pack({call}) return table.unpack(r, 1, r.n) end) .. show(s)"
    )
    assert ours(text) == stock(text)


# ---- output and input


def test_print_and_write_give_the_bytes_that_lua_gives(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    text = r"""
      print() print(nil) print(1, 1.0, -0.0, 1e15, 2^53, 1e100, 1/0, true, 'x\0y', '\xff')
      print(setmetatable({}, {__tostring = function() return 'shown' end}))
      io.write('a', 1, 2.5, 1.0, 1e15, 2^63, '\n') io.write() io.stdout:write('b'):write('c', '\n')
      io.write(('x'):rep(10000), '\n')
      io.stdout:flush() io.flush()
    """
    stock(text)
    expected = capfdbinary.readouterr().out
    assert ScriptRuntime(stdout=(sink := Sink())).run(text).result is None
    assert bytes(sink.data) == expected


class Sink:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes, /) -> None:
        self.data += data

    def flush(self) -> None:
        return None


READS = [
    "return show(io.read(), io.read('l'), io.read('L'), io.read('n', 'n'), io.read('a'), io.read('a'), io.read('l'))",
    "return show(io.read('*l'), io.read(4), io.read(0), io.read(2.0), io.read('*a'))",
    "local t = {} for line in io.lines() do t[#t + 1] = line end return show(t, io.read(0))",
    "return show(io.read('n'), io.read('l'))",
    "return show(io.stdin:read('l', 'l', 'n', 'n'))",
    "local t = {} for a, b in io.stdin:lines(1, 'l') do t[#t + 1] = a .. '|' .. tostring(b) end return show(t)",
]


@pytest.mark.parametrize("text", READS)
def test_io_read_takes_the_formats_of_lua(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "input"
    path.write_bytes(b"first line\nsecond\nthird\n 12 -3.5\nrest\n\nof it")
    redirected = f"io.input('{path}') io.stdin = io.input() "
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert ours(HEAD + text) == stock(redirected + HEAD + text)


def test_warn_writes_to_standard_error_when_it_is_on() -> None:
    sink = Sink()
    ScriptRuntime(stderr=sink).run("warn('no') warn('@on') warn('a', 1, 'b') warn('@off') warn('no') warn('@on', 'x')")
    assert bytes(sink.data) == b"Lua warning: a1b\n"
