-- Tries to have table.concat join empty strings for ever.
-- Ends: timeout or memory
local t = setmetatable({}, { __index = function() return "" end })
table.concat(t, "", 1, 1 << 60)
