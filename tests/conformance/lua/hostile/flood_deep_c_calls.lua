-- Tries C functions that call each other by metamethods until C has no stack left.
-- Ends: done
local function ends(f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok and tostring(e):find("overflow"), e)
end
ends(tostring, setmetatable({}, { __tostring = tostring }))
ends(pairs, setmetatable({}, { __pairs = pairs }))
local t = setmetatable({}, {})
getmetatable(t).__index = function(t, k) return t[k] end
ends(function() return t.x end)
getmetatable(t).__index = t
ok, e = pcall(function() return t.x end)
assert(not ok and e:find("loop"), e)
local function nest(n) return (string.gsub("x", ".", function() return nest(n + 1) end)) end
ends(nest, 1)
local function sorted() table.sort({ 1, 2 }, sorted) end
ends(sorted)
local function loaded() return assert(load(loaded)) end
ends(loaded)
