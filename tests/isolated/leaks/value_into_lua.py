"""A value into Lua, as the answer of a call that does not wait: tables, lists, texts, numbers, bytes."""

from __future__ import annotations

from typing import Any

from flat import Host, flat

EACH = 1000
made = 0


def value() -> dict[str, Any]:
    global made
    made += 1
    return {
        f"key{made}": [made, made * 0.5, "é" * (made % 40), b"\xff\xfe", True, None, 2**70],
        "nested": {"a": {"b": {"c": [[], {}, [f"text {made}"]]}}},
    }


host = Host(value)
fiber, _ = host.start(f"while true do for i = 1, {EACH} do local v = ask('value') end call('next') end")


def once() -> None:
    host.engine.resume(fiber, True, None)


flat(once, 12_000, EACH)
