"""A thousand runs that end for want of memory, in Lua's own values and in the host's answers; some catch it."""

from __future__ import annotations

from flat import Host, flat

SCRIPTS = [
    "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "local s = 'x' while true do s = s .. s end",
    "while true do pcall(function() local t = {} while true do t[#t + 1] = { #t } end end) end",
    "local kept = {} while true do kept[#kept + 1] = coroutine.create(print) end",
    "local kept = {} while true do kept[#kept + 1] = ask('value') end",
    "while true do pcall(coroutine.wrap(function() local t = {} while true do t[#t + 1] = ask('value') end end)) end",
    "local function f(...) return 1 + f(1, 2, 3, 4, 5, ...) end while true do pcall(f) end",
]
kills = 0


def once() -> None:
    global kills
    kills += 1
    host = Host(lambda: ["x" * 1000] * 10, max_memory=800_000)
    _, outcome = host.start(SCRIPTS[kills % len(SCRIPTS)])
    assert outcome[1] == "memory", outcome
    host.engine.close()


flat(once, 1000)
