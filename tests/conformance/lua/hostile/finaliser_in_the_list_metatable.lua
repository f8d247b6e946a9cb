-- Tries to put a finaliser into the metatable that lists from the host share.
-- Ends: done
local list = JSON.parse("[]")
assert(not getmetatable(list))
pcall(function() getmetatable(list).__gc = function() while true do end end end)
assert(getmetatable(JSON.array({})) == getmetatable(list))
list = nil
collectgarbage()
collectgarbage()
JSON.parse("[[],[],[]]")
collectgarbage()
