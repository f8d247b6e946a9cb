-- Tries to hide `__gc` behind `__index` of the metatable, and behind a metatable set later.
-- Ends: done
local hidden = setmetatable({}, { __index = { __gc = function() while true do end end } })
setmetatable({}, hidden)
setmetatable(JSON.array({}), hidden)
collectgarbage()
