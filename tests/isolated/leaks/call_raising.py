"""A call that raises: what does not wait, and what waited; the error is caught, and handed on by `error`."""

from __future__ import annotations

from flat import Host, flat

made = 0


def failure() -> ValueError:
    global made
    made += 1
    return ValueError(f"failure {made}")


host = Host(failure)
fiber, _ = host.start("""
  while true do
    for i = 1, 10 do pcall(ask, "fail", { i }) end
    local ok, e = pcall(call, "wait")
    pcall(error, e)
    local ok2, text = pcall(function() return e .. "!" end)
  end
""")


def once() -> None:
    try:
        raise failure()  # with a traceback, as a call's own
    except ValueError as error:
        host.engine.resume(fiber, False, error)


flat(once, 20_000, 11)
