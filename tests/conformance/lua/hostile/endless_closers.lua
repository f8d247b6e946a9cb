-- Tries to unwind a deep stack of `<close>` variables that C functions close, slowly: no instruction runs meanwhile.
-- Ends: timeout
-- Only: compiled
local t = {}
for i = 1, 20000 do t["key" .. i] = true end
for k in next, t do t[k] = nil end -- the next key of an empty table of this size is a long way off
setmetatable(t, { __close = pairs, __pairs = next })
local function f()
  local x <close> = t
  return 1 + f()
end
while true do pcall(f) end
