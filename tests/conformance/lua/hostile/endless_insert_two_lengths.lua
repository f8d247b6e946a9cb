-- Tries to show a short length first and a long one after.
-- Ends: timeout
local n = 0
local t = setmetatable({}, { __len = function()
  n = n + 1
  return n == 1 and 3 or 1 << 60
end })
table.insert(t, 1, "x")
table.insert(t, 1, "x")
