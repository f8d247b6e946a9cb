"""What the tests of the engine alone start it with."""

from __future__ import annotations

__all__ = ["PUBLIC"]

#: Stands first in a test's own prelude: the script gets the engine's `pcall`, `xpcall` and `coroutine`.
PUBLIC = b"""
local host = ...
local public = host.public
pcall, xpcall = public.pcall, public.xpcall
for _, name in ipairs { "create", "wrap", "resume", "yield", "status", "close", "running", "isyieldable" } do
  coroutine[name] = public[name]
end
"""
