-- Tries to call a table that is its own `__call`: Lua looks for the function until its stack is full.
-- Ends: timeout
-- Only: process
local t = {}
setmetatable(t, { __call = t })
pcall(t)
while true do pcall(coroutine.wrap(pcall), t) end
