"""Errors that end a script: texts, tables, a host's own, values that cannot cross; and texts that do not parse."""

from __future__ import annotations

from flat import Host, flat

from llmspell.bridge.engine import LoadError

SCRIPTS = [
    "local function f() error('text ' .. tostring({})) end f()",
    "error({ kind = 'mine', list = { 1, { 2 } }, text = 'text ' .. tostring({}) })",
    "error(setmetatable({}, { __tostring = function() return 'mine' end }))",
    "ask('fail')",
    "error(print)",
    "return { print }",
    "return { 'fine', tostring({}) }",
    "local x <close> = setmetatable({}, { __close = function() error('closing') end }) error('first')",
]
host = Host(lambda: ValueError("no"))


def once() -> None:
    for script in SCRIPTS:
        host.start(script)
    try:
        host.start("return +")
    except LoadError:
        pass


for _ in range(1000):
    host.start("ask('fail')")  # as many as are kept
flat(once, 12_000, len(SCRIPTS) + 1)
