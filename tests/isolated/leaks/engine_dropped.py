"""Engines that nobody closes: with a fiber that waits, with errors kept, with a script that never began."""

from __future__ import annotations

from flat import Host, flat


def once() -> None:
    waiting = Host(lambda: ValueError("no"), max_memory=1 << 22)
    waiting.start("pcall(ask, 'fail') coroutine.wrap(function() local t = { ('x'):rep(1000) } call('wait', t) end)()")
    Host().engine.load(b"return 1", b"@leak.lua")


flat(once, 4000, 2)
