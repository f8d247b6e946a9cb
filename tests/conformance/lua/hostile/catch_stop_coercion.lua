-- Tries arithmetic of strings, which looks for metamethods in C.
-- Ends: timeout
local spin = setmetatable({}, {
  __add = function(a, b) return "10" * b end,
  __mul = function(a, b) return a .. b end,
  __concat = function(a, b)
    while true do
      pcall(function() return "x" + b end)
    end
  end,
})
while true do
  pcall(function() return "1" + spin end)
end
