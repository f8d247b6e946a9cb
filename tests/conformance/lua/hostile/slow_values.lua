-- Tries calls with hundreds of thousands of values.
-- Ends: timeout
local function f(...)
  while true do
    local n, last = select("#", ...), select(-1, ...)
    local t = { ... }
    t = table.pack(...)
    pcall(string.format, ...)
    pcall(math.max, ...)
  end
end
f(table.unpack({}, 1, 150000))
