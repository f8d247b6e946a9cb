-- Tries to sort with a comparator that is a C function, over a length that lies.
-- Ends: timeout or script
local t = setmetatable({}, { __len = function() return (1 << 31) - 2 end, __index = rawlen, __newindex = rawequal })
while true do
  pcall(table.sort, t, rawequal)
  pcall(table.sort, t)
end
