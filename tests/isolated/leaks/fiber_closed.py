"""Fibers that wait, in coroutines and with variables to be closed, and are ended or forgotten by the host."""

from __future__ import annotations

from flat import Host, flat

host = Host()
SCRIPT = """
  local x <close> = setmetatable({}, { __close = function() pcall(error, {}) end })
  coroutine.wrap(function()
    local y <close> = setmetatable({}, { __close = function() error("closing") end })
    call("wait", { "text " .. tostring({}) })
  end)()
"""


def once() -> None:
    fiber, _ = host.start(SCRIPT)
    host.engine.close_fiber(fiber)
    host.engine.close_fiber(fiber)


flat(once, 12_000)
