-- Tries to run where no hook runs, in a finaliser.
-- Ends: done
local ok, e = pcall(setmetatable, {}, { __gc = function() while true do end end })
assert(not ok and e.kind == "permission")
local mt = {}
local t = setmetatable({}, mt)
mt.__gc = function() while true do end end
t, mt = nil, nil
collectgarbage()
