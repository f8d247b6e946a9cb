-- Tries to unpack a million elements that are not there, each looked up in two thousand tables.
-- Ends: timeout
local t = {}
for i = 1, 1990 do t = setmetatable({}, { __index = t }) end
while true do pcall(table.unpack, t, 1, 900000) end
