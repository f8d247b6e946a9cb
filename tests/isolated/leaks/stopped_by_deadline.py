"""Runs that are stopped: by a deadline, by an interrupt, in coroutines, in C functions, with variables to be closed."""

from __future__ import annotations

from time import monotonic

from flat import Host, flat

SCRIPTS = [
    "while true do end",
    "while true do pcall(function() local t = { {} } while true do end end) end",
    "coroutine.wrap(function() local x <close> = setmetatable({}, { __close = type }) while true do end end)()",
    "table.sort({ 3, 1, 2 }, function() while true do end end)",
    "string.gsub('x', '.', function() coroutine.wrap(function() while true do end end)() end)",
    "while true do local s = ('x'):rep(10) .. tostring({}) end",
]
stops = 0


def once() -> None:
    global stops
    stops += 1
    host = Host()
    if stops % 2:
        host.engine.deadline = monotonic()
    else:
        host.engine.deadline = monotonic() + 0.0005
    _, outcome = host.start(SCRIPTS[stops % len(SCRIPTS)])
    assert outcome[1] == "deadline", outcome
    host.engine.close()


flat(once, 450, most=100_000)  # each takes up to a tick
