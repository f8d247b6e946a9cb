"""A call that waits, answered: the fiber yields its name and arguments, and goes on with a value."""

from __future__ import annotations

from flat import Host, flat

host = Host()
fiber, _ = host.start("""
  local n = 0
  while true do
    n = n + 1
    local answer = coroutine.wrap(function() return call("wait", { n = n, text = "text " .. n }, "plain") end)()
    answer = call("wait", n)
  end
""")
made = 0


def once() -> None:
    global made
    made += 1
    for value in ({"text": f"answer {made}", "list": [made]}, f"text {made}"):
        host.engine.resume(fiber, True, value)


flat(once, 20_000, 2)
