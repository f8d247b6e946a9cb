"""A value out of Lua, as a call's argument: one that can cross, one that cannot, and one of many values."""

from __future__ import annotations

from flat import Host, flat

EACH = 1000
host = Host()
fiber, _ = host.start(f"""
  local big = {{}}
  for i = 1, 300 do big[i] = "item " .. i end
  while true do
    for i = 1, {EACH // 4} do
      ask("take", {{ ["key" .. i] = {{ i, i * 0.5, "text " .. i, true, {{}}, {{ {{ "\\xff" .. i }} }} }} }})
      ask("take", i, "text " .. i, false)
      pcall(ask, "take", {{ deep = {{ {{ print }} }}, ["key" .. i] = i }})
      pcall(ask, "take", {{ [{{}}] = i }})
    end
    for i = 1, 4 do ask("take", big) end
    call("next")
  end
""")


def once() -> None:
    host.engine.resume(fiber, True, None)


flat(once, 12_000, EACH)
