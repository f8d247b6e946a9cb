-- Tries to have the host compare names without end.
-- Ends: done
for i = 1, 20000 do rawset(Agent, "name" .. i, i) end
local ok, e = pcall(function() return Agent[("x"):rep(1000000)] end)
assert(not ok and e.kind == "validation" and #e.message < 500, e)
ok, e = pcall(function() return Agent.create({ [("y"):rep(1000000)] = 1 }) end)
assert(not ok and e.kind == "validation" and #e.message < 500, e)
return true
