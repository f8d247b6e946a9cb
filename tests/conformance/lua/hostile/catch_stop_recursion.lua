-- Tries to be where the stack is full, again and again: growing it and unwinding it takes long.
-- Ends: timeout or memory
local function f() return 1 + f() end
while true do pcall(f) end
