-- Tries to run on in metamethods.
-- Ends: timeout
local t = setmetatable({}, {
  __index = function(t, k) return t[k + 1] end,
  __add = function() while true do end end,
  __tostring = function() while true do end end,
})
pcall(function() return t[1] end)
pcall(function() return t + 1 end)
print(t)
