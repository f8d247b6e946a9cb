-- Tries to move ninety thousand elements, each of which is looked up in two thousand tables.
-- Ends: timeout
local t = {}
for i = 1, 1990 do t = setmetatable({}, { __index = t }) end
while true do pcall(table.move, t, 1, 90000, 2, {}) end
