-- Tries to fill the memory with functions and what they hold.
-- Ends: memory
local f
while true do
  local inner = f
  f = function() return inner, f end
end
