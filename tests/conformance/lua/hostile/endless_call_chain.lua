-- Tries to call a table that is called by a table, twenty thousand deep: Lua moves all arguments at each step.
-- Ends: timeout
-- Only: process
local f = function() end
for i = 1, 20000 do f = setmetatable({}, { __call = f }) end
while true do f() end
