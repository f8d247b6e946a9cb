"""Answers that Lua cannot have: too deep, a cycle, a key or a value of a type that does not cross. Each an error."""

from __future__ import annotations

from typing import Any

from flat import Host, flat

EACH = 600
made = 0


def value() -> Any:
    global made
    made += 1
    cycle: list[Any] = [f"text {made}"]
    cycle.append({"back": cycle})
    deep: list[Any] = []
    for _ in range(80):
        deep = [deep, f"text {made}"]
    odd = [{("a", made): 1}, {"object": object()}, {float("nan"): made}, {"surrogate": "\ud800"}]
    return [cycle, deep, *odd][made % 6]


host = Host(value)
fiber, _ = host.start(f"while true do for i = 1, {EACH} do pcall(ask, 'value') end call('next') end")


def once() -> None:
    host.engine.resume(fiber, True, None)


flat(once, 7200, EACH)
