-- Tries the same, each time on the stack of another coroutine.
-- Ends: timeout or memory
local function f() return 1 + f() end
while true do
  coroutine.resume(coroutine.create(f))
  pcall(coroutine.wrap(f))
end
