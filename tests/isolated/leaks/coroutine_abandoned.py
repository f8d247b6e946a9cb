"""Coroutines left in the middle: never resumed, suspended, waiting in a call within others, in error, and closed."""

from __future__ import annotations

from flat import Host, flat

EACH = 600
host = Host()
fiber, _ = host.start(f"""
  local function body(...)
    local x <close> = setmetatable({{}}, {{ __close = function() end }})
    pcall(coroutine.yield, ...)
    error({{}})
  end
  while true do
    for i = 1, {EACH // 6} do
      coroutine.create(body)
      coroutine.wrap(body)("text " .. i)
      coroutine.resume(coroutine.create(function() coroutine.wrap(body)(i) coroutine.yield() end))
      local co = coroutine.create(body)
      coroutine.resume(co, i)
      coroutine.close(co)
      pcall(coroutine.wrap(error), {{}})
      coroutine.wrap(coroutine.create)(body)
    end
    call("next")
  end
""")


def once() -> None:
    host.engine.resume(fiber, True, None)


flat(once, 36_000, EACH)
