-- Tries to nest coroutines until C has no stack left.
-- Ends: done
local function nest(n)
  return coroutine.wrap(function() return nest(n + 1) end)()
end
local ok, e = pcall(nest, 1)
assert(not ok and tostring(e):find("C stack overflow"), e)
return true
